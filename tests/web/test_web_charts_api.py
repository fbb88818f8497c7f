"""Charts, limit sets and recipes over the interface for programs."""

from __future__ import annotations

import httpx
import pytest
from conftest import Site
from fixture_central import PASSWORD

from central.access import Actor

ENGINEER = {"user": "eva", "password": PASSWORD}
QA = {"user": "chen.li", "password": PASSWORD}
RECIPE = {"product": "VS-100", "revision": "B", "characteristics": {"torque": [{"specification": {"usl": 2.6}}]}}


@pytest.fixture(scope="module")
def program(shared: Site) -> httpx.Client:
    shared.central.access.add_user("eva", "engineer", PASSWORD, by=Actor("console", "command line"))
    return shared.program("sign")


def chart_of(client: httpx.Client, kind: str = "imr") -> dict[str, object]:
    found = client.get("/api/v1/charts").json()["items"]
    item: dict[str, object] = next(item for item in found if item["chart"] == kind)
    return item


def test_charts_are_read_with_their_points_and_limits(program: httpx.Client) -> None:
    item = chart_of(program)
    assert item["points"]
    assert item["last"]
    assert "tool-wear" in item["causes"]  # type: ignore[operator]
    assert program.get(f"/api/v1/charts/{item['id']}").json() == item
    whole = program.get(f"/api/v1/charts/{item['id']}/points").json()
    assert whole["next"] is None
    assert whole["items"][-1] == item["last"]
    page = program.get(f"/api/v1/charts/{item['id']}/points", params={"limit": 20}).json()
    assert page["items"] == whole["items"][-20:]
    older = program.get(f"/api/v1/charts/{item['id']}/points", params={"limit": 20, "cursor": page["next"]}).json()
    assert older["items"] == whole["items"][-40:-20]
    versions = program.get(f"/api/v1/charts/{item['id']}/limits").json()["items"]
    assert all(version["first"] <= version["last"] for version in versions)
    capable = program.get(f"/api/v1/charts/{item['id']}/capability").json()
    assert capable["why"] or capable["figures"]["Cpk"]
    assert program.get("/api/v1/charts/nope").status_code == 404
    assert program.get("/api/v1/charts", params={"line": "no-such-line"}).json()["items"] == []


def test_a_cause_is_noted_once_for_a_key(program: httpx.Client) -> None:
    item = chart_of(program)
    place = f"/api/v1/charts/{item['id']}/points/1/annotations"
    body = {"cause": "tool-wear", "text": "tip worn", **ENGINEER}
    first = program.post(place, json=body, headers={"Idempotency-Key": "note-1"})
    assert first.status_code == 201
    assert (first.json()["cause"], first.json()["notes"][0]["user"]) == ("tool-wear", "eva")
    again = program.post(place, json=body, headers={"Idempotency-Key": "note-1"})
    assert again.json() == first.json()
    assert len(program.get(f"/api/v1/charts/{item['id']}/points").json()["items"][0]["notes"]) == 1
    assert program.post(place, json={"text": "x"}).status_code == 403  # a program alone
    assert program.post(place, json={"cause": "sunspots", **ENGINEER}).status_code == 422
    assert program.post(place, json={"text": "x", "user": "op", "password": PASSWORD}).status_code == 403
    assert program.post(place, json={"text": "x", "user": "eva", "password": "wrong"}).status_code == 403
    assert program.post(place.replace("/1/", "/99999/"), json=body).status_code == 404


def test_a_point_is_excluded_and_limits_are_proposed_approved_and_withdrawn(program: httpx.Client) -> None:
    item = chart_of(program)
    points = program.get(f"/api/v1/charts/{item['id']}/points").json()["items"]
    place = f"/api/v1/charts/{item['id']}/points/2/exclusions"
    body = {"reason": "tip broke", "cause": "tool-wear", "content_hash": points[1]["content_hash"], **ENGINEER}
    done = program.post(place, json=body)
    assert (done.status_code, done.json()["excluded"]) == (201, True)
    assert program.post(place, json=body).status_code == 409  # not as it was shown

    study = {"first": 1, "last": 30, "method": {"sigma": "median_mr"}, "reason": "phase I", **ENGINEER}
    made = program.post(f"/api/v1/charts/{item['id']}/limit-sets", json=study)
    assert made.status_code == 201, made.text
    one = made.json()
    assert (one["state"], one["author"]) == ("proposed", "eva")
    assert [left["number"] for left in one["content"]["basis"]["left_out"]] == [2]
    own = {"reason": "x", "content_hash": one["content_hash"], **ENGINEER}
    signatures = f"/api/v1/limit-sets/{one['id']}/signatures"
    assert program.post(signatures, json=own).status_code == 403  # an engineer approves nothing
    signed = program.post(signatures, json={**own, **QA, "effective_from": "2026-11-26T08:00:00Z"})
    assert signed.status_code == 201, signed.text
    assert (signed.json()["state"], signed.json()["effective_from"]) == ("approved", "2026-11-26T08:00:00.000000Z")
    assert program.post(signatures, json={**own, **QA}).status_code == 409
    listed = program.get("/api/v1/limit-sets", params={"chart": item["id"]}).json()["items"]
    assert [each["id"] for each in listed] == [one["id"]]
    gone = {"act": "withdraw", "reason": "wrong", "content_hash": signed.json()["content_hash"], **QA}
    assert program.post(signatures, json=gone).json()["state"] == "withdrawn"
    assert program.get(f"/api/v1/limit-sets/{one['id']}").json()["decision_reason"] == "wrong"
    short = {"first": 1, "last": 1, "reason": "x", **ENGINEER}
    refused = program.post(f"/api/v1/charts/{item['id']}/limit-sets", json=short)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


def test_limits_by_numbers_and_recipes(program: httpx.Client) -> None:
    given = {"characteristic": "torque", "chart": "imr", "limits": {"centre": 2, "lower": 1, "upper": 3}}
    made = program.post("/api/v1/limit-sets", json={"given": given, "reason": "drawing", **ENGINEER})
    assert made.status_code == 201, made.text
    wrong = {**given, "limits": {"centre": 2}}
    assert program.post("/api/v1/limit-sets", json={"given": wrong, "reason": "x", **ENGINEER}).status_code == 422

    made = program.post("/api/v1/recipes", json={"recipe": RECIPE, "reason": "drawing B", **ENGINEER})
    assert made.status_code == 201, made.text
    one = made.json()
    place = f"/api/v1/recipes/{one['id']}/signatures"
    body = {"reason": "checked", "content_hash": one["content_hash"], **QA}
    assert program.post(place, json={**body, "effective_from": "2026-11-26T08:00:00Z"}).status_code == 422
    assert program.post(place, json=body).json()["state"] == "approved"
    found = program.get("/api/v1/recipes", params={"product": "VS-100"}).json()["items"]
    assert [(each["key"], each["approved_by"]) for each in found] == [("VS-100/B", "chen.li")]
    assert program.post("/api/v1/recipes", json={"recipe": {}, "reason": "x", **ENGINEER}).status_code == 422


def test_a_token_that_reads_writes_nothing(shared: Site, program: httpx.Client) -> None:
    reader = shared.program("read")
    item = chart_of(program)
    place = f"/api/v1/charts/{item['id']}/points/3"
    assert reader.post(f"{place}/annotations", json={"text": "x", **ENGINEER}).status_code == 403
    body = {"reason": "x", "content_hash": "0" * 64, **ENGINEER}
    assert reader.post(f"{place}/exclusions", json=body).status_code == 403
    assert reader.post("/api/v1/recipes", json={"recipe": RECIPE, "reason": "x", **ENGINEER}).status_code == 403
