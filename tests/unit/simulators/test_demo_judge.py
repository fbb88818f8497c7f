"""The judge of ``demo --check`` signs as people do."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from records.errors import Unreachable
from simulators.demo_check import CentralClient, Figures, Judge, NotNow
from simulators.demo_plant import DemoPlant

LOOKS = 3


class Central:
    """Whose evidence changes between each two looks until it has been signed ``refusals`` times in vain."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.looks = refusals, 0
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.looks += 1
            item = {"id": "d", "content_hash": f"h{self.looks}"}
            return httpx.Response(200, json={"items": [item], "next": None})
        assert f'"content_hash":"h{self.looks}"' in request.content.decode(), "what was seen last is signed"
        self.asked.append(request.headers["Idempotency-Key"])
        refused = len(self.asked) <= self.refusals
        return httpx.Response(409 if refused else 201, json={"detail": "something arrived"} if refused else {})


def judge(central: Callable[[httpx.Request], httpx.Response]) -> Any:
    def wait_for(what: str, ready: Callable[[], bool], _limit_s: float) -> None:
        if not any(ready() for _ in range(LOOKS)):
            raise Unreachable(f"{what}: not there")

    client = CentralClient("http://central", "token")
    client._http = httpx.Client(base_url="http://central/api/v1", transport=httpx.MockTransport(central))
    made: Any = Judge.__new__(Judge)
    made._central = client
    made._plant = SimpleNamespace(password="x", processes=SimpleNamespace(wait_for=wait_for))
    return made


def test_who_is_told_that_something_came_looks_again_and_signs() -> None:
    """A record that came between looking and signing ended the whole run."""
    central = Central(refusals=1)
    judge(central)._sign("WO-1", "qa", "reviewed")
    assert central.asked == ["reviewed-WO-1-0", "reviewed-WO-1-1"], "an answer is given once for each key"


def test_what_is_refused_until_the_end_is_told_as_central_said_it() -> None:
    with pytest.raises(NotNow, match="something arrived"):
        judge(Central(refusals=LOOKS))._sign("WO-1", "qa", "reviewed")


def test_a_finding_that_changed_while_it_was_looked_at_is_looked_at_again_and_closed() -> None:
    """One more record that it names, come between looking and closing, ended the check: nothing was confirmed."""
    asked: list[str] = []
    state = {"looks": 0, "closed": False}

    def central(request: httpx.Request) -> httpx.Response:
        resource = request.url.path.rsplit("/", 1)[-1]
        if request.method == "POST":
            asked.append(request.headers["Idempotency-Key"])
            assert f'"content_hash":"h{state["looks"]}"' in request.content.decode(), (
                "what was seen last is closed"
            )
            state["closed"] = len(asked) > 1
            return httpx.Response(201 if state["closed"] else 409, json={"detail": "it has changed"})
        items: list[dict[str, object]] = []
        if resource == "exceptions":
            state["looks"] += 1
            shown = "closed" if state["closed"] else "open"
            items = [{"id": "f", "code": "retested", "state": shown, "content_hash": f"h{state['looks']}"}]
        elif resource == "work-orders":
            items = [{"posting": "posted" if state["closed"] else "waiting"}]
        return httpx.Response(200, json={"items": items, "next": None})

    made = judge(central)
    made.figures, made._truth = Figures(units=1, orders=1), SimpleNamespace(troubles=())
    made._close_and_confirm()
    assert state["closed"]
    assert len(set(asked)) == len(asked), "an answer is given once for each key"
    assert made.figures.exceptions == {"retested": 1}


def test_what_one_part_of_a_demo_raises_at_its_end_leaves_no_other_running() -> None:
    """Bug: a broker that ended with a fault left the ERP's process behind."""
    ended: list[str] = []

    def stop_all() -> None:
        ended.append("processes")
        raise RuntimeError("a fault")

    plant: Any = DemoPlant.__new__(DemoPlant)
    plant.processes = SimpleNamespace(stop_all=stop_all)
    plant._erp = SimpleNamespace(stop=lambda: ended.append("erp"))
    plant._central = SimpleNamespace(close=lambda: ended.append("central"))
    with pytest.raises(RuntimeError, match="a fault"):
        plant.stop()
    assert ended == ["processes", "erp", "central"]
