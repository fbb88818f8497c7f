"""What a person decided is committed, and the server is away by then: the interface says that it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from conftest import Site, dhr_of, site
from fixture_central import PASSWORD, whole_story
from test_web_charts_api import RECIPE, chart_of
from test_web_configurations import AGENT
from test_web_postgres import letting_nobody_in

from central.access import Actor
from central.holds import Held
from central.web.sending import STORING_NOTHING
from tests.rigs.stores import on_postgres

pytestmark = pytest.mark.postgres

ENGINEER = {"user": "eva", "password": PASSWORD, "reason": "as drawn"}
QA = {"user": "chen.li", "password": PASSWORD, "reason": "looked at"}
MANAGER = {"user": "mueller", "password": PASSWORD, "reason": "looked at"}
GIVEN = {"characteristic": "torque", "chart": "imr", "limits": {"centre": 2, "lower": 1, "upper": 3}}


class Leaving:
    """Once ``armed``, the server lets nobody in as soon as the next decision is committed."""

    def __init__(self, made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self._site = made
        self._away: AbstractContextManager[None] | None = None
        self._write = made.central.store.write
        monkeypatch.setattr(made.central.store, "write", self.write)

    def write(self, job: Callable[..., object]) -> object:
        before = self._decisions() if self.armed else 0
        done = self._write(job)  # type: ignore[arg-type]
        if self.armed and self._decisions() > before:
            self.armed, self._away = False, letting_nobody_in(self._site)
            self._away.__enter__()
        return done

    def _decisions(self) -> int:
        return len(self._site.central.store.facts(agent="central", kinds=["decision"]))

    def back(self) -> None:
        if self._away is not None:
            self._away.__exit__(None, None, None)
        self._away = None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    with on_postgres(), site(tmp_path, whole_story(12)) as made:
        made.central.access.add_user("eva", "engineer", PASSWORD, by=Actor("console", "command line"))
        yield made


def test_each_write_of_the_interface_that_is_committed_is_told_so(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: line files, limit sets, recipes and notes on points were read again after the commit, and 503 was told;
    sent again, they were there twice or refused.
    """
    program, leaving = served.program("sign"), Leaving(served, monkeypatch)
    written: list[str] = []

    def post(route: str, body: dict[str, object], **names: object) -> httpx.Response:
        place = f"/api/v1{route}".format(**names)
        leaving.armed = True
        try:
            told = program.post(place, json=body)
        finally:
            leaving.back()
        assert (told.status_code, leaving.armed) == (201, False), (place, told.text)
        written.append(route)
        return told

    _finding_hold_and_record(program, post)
    _charts(program, post)
    _line_file(program, post)
    paths = program.get("/api/v1/openapi.json").json()["paths"]
    every = {path.removeprefix("/api/v1") for path, each in paths.items() if "post" in each}
    assert {_bare(route) for route in written} == {_bare(route) for route in every} - {
        path.removeprefix("/api/v1") for path in STORING_NOTHING
    }


Post = Callable[..., httpx.Response]


def _finding_hold_and_record(program: httpx.Client, post: Post) -> None:
    for kind in ("exceptions", "discrepancies"):
        found = program.get(f"/api/v1/{kind}", params={"state": "open"}).json()["items"][0]
        body = {**QA, "act": "close", "content_hash": found["content_hash"]}
        assert post(f"/{kind}/{{id}}/decisions", body, id=found["id"]).json()["state"] == "closed"
    held = Held("lot", "LOT-9", "VS-100")
    one = post("/holds", {**QA, "kind": "lot", "id": held.id, "product": held.product}).json()
    body = {**MANAGER, "content_hash": one["content_hash"]}
    assert post("/holds/{id}/releases", body, id=one["hold"]).json()["released_by"] == "mueller"
    lot = dhr_of(program, "WO-1001")
    record = program.get(f"/api/v1/dhrs/{lot}").json()
    body = {**QA, "meaning": "reviewed", "content_hash": record["content_hash"]}
    assert post("/dhrs/{id}/signatures", body, id=lot).json()["meaning"] == "reviewed"


def _charts(program: httpx.Client, post: Post) -> None:
    chart = chart_of(program)["id"]
    note = {**ENGINEER, "cause": "tool-wear", "text": "tip worn"}
    del note["reason"]
    assert post("/charts/{id}/points/1/annotations", note, id=chart).json()["cause"] == "tool-wear"
    point = program.get(f"/api/v1/charts/{chart}/points").json()["items"][0]
    assert [each["text"] for each in point["notes"]] == ["tip worn"]
    body = {**ENGINEER, "content_hash": point["content_hash"]}
    assert post("/charts/{id}/points/1/exclusions", body, id=chart).json()["excluded"]

    study = {**ENGINEER, "first": 2, "last": 9, "method": {"sigma": "median_mr"}}
    assert post("/charts/{id}/limit-sets", study, id=chart).json()["state"] == "proposed"
    for route, body in (("/limit-sets", {"given": GIVEN}), ("/recipes", {"recipe": RECIPE})):
        made = post(route, {**ENGINEER, **body}).json()
        assert (made["state"], made["version"]) == ("proposed", 1)
        signed = {**QA, "content_hash": made["content_hash"]}
        assert post(f"{route}/{{id}}/signatures", signed, id=made["id"]).json()["state"] == "approved"
        listed = program.get(f"/api/v1{route}").json()["items"]
        assert [(one["state"], one["version"]) for one in listed if one["key"] == made["key"]] == [("approved", 1)]


def _line_file(program: httpx.Client, post: Post) -> None:
    one = program.get("/api/v1/configurations", params={"agent": AGENT}).json()["items"][0]
    body = {**MANAGER, "content_hash": one["content_hash"]}
    told = post("/configurations/{agent}/{hash}/approvals", body, agent=AGENT, hash=one["hash"]).json()
    assert (told["state"], told["decided_by"], told["reason"]) == ("approved", "mueller", "looked at")
    listed = program.get("/api/v1/configurations", params={"agent": AGENT}).json()["items"]
    assert told == next(each for each in listed if each["hash"] == one["hash"])


def _bare(route: str) -> str:
    """Without the names of its parameters."""
    return "/".join("{}" if part.startswith("{") or part == "1" else part for part in route.split("/"))
