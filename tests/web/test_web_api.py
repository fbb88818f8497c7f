"""The interface for programs: tokens, pages of lists, problem documents, writes that may come twice."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from conftest import Site, dhr_of
from fixture_central import PASSWORD

from central.store import agents
from records import chain
from records.clock import iso_z
from records.keys import SigningKey
from records.telemetry import KIND, Column, Series, SeriesTag, encode_chunk, encode_series
from records.wire import encode_frame, seal, up_topic


@pytest.fixture(scope="module")
def reader(shared: Site) -> httpx.Client:
    return shared.program("read")


LISTS = (
    "work-orders",
    "operation-records",
    "lots",
    "exceptions",
    "discrepancies",
    "dhrs",
    "agents",
    "audit",
    "configurations",
)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_to_its_end_in_pages(reader: httpx.Client, name: str) -> None:
    whole = reader.get(f"/api/v1/{name}", params={"limit": 500}).json()
    assert set(whole) == {"items", "next"}
    assert whole["next"] is None
    assert whole["items"]
    paged: list[object] = []
    cursor = None
    size = {"operation-records": 30, "configurations": 1}.get(name, 2)
    while True:
        page = reader.get(
            f"/api/v1/{name}", params={"limit": size, **({"cursor": cursor} if cursor else {})}
        ).json()
        assert len(page["items"]) <= size
        paged += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole["items"]


def test_an_operation_record_tells_everything(reader: httpx.Client) -> None:
    items = reader.get("/api/v1/operation-records", params={"order": "WO-1001", "station": "leak_test"}).json()[
        "items"
    ]
    assert len(items) == 30
    item = items[0]
    wanted = {"agent", "epoch", "seq", "run_id", "station", "cycle", "order", "lot", "product", "operation"}
    wanted |= {"attempt", "purpose", "began_at", "ended_at", "hash", "subjects", "readings", "materials"}
    assert wanted <= set(item)
    assert (
        item["subjects"][0] | {"kind": "unit", "id": "000001", "quantity": "1", "result": "pass"}
        == item["subjects"][0]
    )
    assert item["readings"][0]["unit"] == "mL/min"
    assert item["began_at"].endswith("Z")
    assert item["materials"][0]["kind"] == "identified_as"
    assert reader.get(f"/api/v1/operation-records/{item['hash']}").json() == item


def test_filters_narrow_a_list(reader: httpx.Client) -> None:
    dhrs = reader.get("/api/v1/dhrs", params={"lot": "WO-1002", "product": "VS-100"}).json()["items"]
    assert [d["lot"] for d in dhrs] == ["WO-1002"]
    assert reader.get("/api/v1/dhrs", params={"lot": "WO-1002", "product": "other"}).json()["items"] == []
    serial = reader.get("/api/v1/operation-records", params={"serial": "000003"}).json()["items"]
    assert {i["operation"] for i in serial} == {"OP30", "OP40"}
    found = reader.get("/api/v1/exceptions", params={"code": "retested"}).json()["items"]
    assert [f["code"] for f in found] == ["retested"]


def test_trace_goes_both_ways(reader: httpx.Client) -> None:
    piece = reader.get("/api/v1/trace", params={"serial": "000003"}).json()["pieces"][0]
    assert [r["operation"] for r in piece["runs"]] == ["OP10", "OP20", "OP30", "OP40"]
    assert {(u["item"], u["lot"]) for u in piece["used"]} == {("VB-10", "VB-2026-031"), ("SR-20", "SR-2026-007")}
    forward = reader.get("/api/v1/trace", params={"lot": "VB-2026-031"}).json()
    assert {d["lot"] for d in forward["dhrs"]} == {"WO-1001", "WO-1002"}
    assert len(forward["pieces"]) == 60
    assert reader.get("/api/v1/trace").status_code == 422
    assert reader.get("/api/v1/trace", params={"serial": "none"}).json() == {"pieces": [], "dhrs": []}


def test_every_error_is_a_problem_document(reader: httpx.Client, shared: Site) -> None:
    asked = [
        ("/api/v1/nope", 404),
        ("/api/v2/dhrs", 404),
        ("/api/v1/dhrs/none", 404),
        ("/api/v1/dhrs?limit=0", 422),
        ("/api/v1/dhrs?limit=501", 422),
        ("/api/v1/dhrs?cursor=%21%21", 422),
        ("/api/v1/operation-records?cursor=x", 422),
        ("/api/v1/work-orders/none", 404),
        ("/api/v1/exceptions/none", 404),
    ]
    for path, status in asked:
        answer = reader.get(path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == status
        assert {"type", "title", "detail"} <= set(body)
    stranger = shared.visitor()
    answer = stranger.get("/api/v1/dhrs", headers={"authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_interface_describes_itself(reader: httpx.Client) -> None:
    document = reader.get("/api/v1/openapi.json").json()
    assert {f"/api/v1/{name}" for name in (*LISTS, "trace")} <= set(document["paths"])
    assert "/api/v1/dhrs/{dhr_id}/signatures" in document["paths"]
    for path, operations in document["paths"].items():
        assert path.startswith("/api/v1/")
        assert all("401" in operation["responses"] for operation in operations.values())


def test_health_and_metrics(reader: httpx.Client) -> None:
    health = reader.get("/healthz").json()
    assert (health["status"], health["last_backup"]) == ("ok", None)
    text = reader.get("/metrics").text
    assert 'lotkeeper_open_findings{kind="exception"}' in text
    assert 'lotkeeper_agent_healthy{agent="assembly-1"} 1.0' in text
    assert 'lotkeeper_dropped_evidence{kind="conflict"} 0.0' in text


# -- writes ------------------------------------------------------------------------------------------------


def test_a_decision_may_be_sent_twice(own: Site) -> None:
    client = own.program("write")
    finding = client.get("/api/v1/exceptions", params={"code": "retested"}).json()["items"]
    finding = finding or client.get("/api/v1/exceptions").json()["items"]
    path = f"/api/v1/exceptions/{finding[0]['id']}/decisions"
    body = {"act": "close", "reason": "drop of oil on the seal, wiped", "content_hash": finding[0]["content_hash"]}
    assert client.post(path, json=body).status_code == 403  # a program decides nothing by itself
    body |= {"user": "chen.li", "password": PASSWORD}
    first = client.post(path, json=body, headers={"Idempotency-Key": "k1"})
    assert first.status_code == 201, first.text
    assert (first.json()["state"], first.json()["content_hash"]) == ("closed", body["content_hash"])
    again = client.post(path, json=body, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert client.post(path, json=body | {"reason": "else"}, headers={"Idempotency-Key": "k1"}).status_code == 422
    assert client.post(path, json=body, headers={"Idempotency-Key": "k2"}).status_code == 409
    assert client.post(path, json=body | {"reason": " "}).status_code == 422
    assert client.post(path, json=body | {"more": 1}).status_code == 422
    assert client.post(path.replace("exceptions", "discrepancies"), json=body).status_code == 404


def test_a_person_can_stand_behind_a_programs_decision(own: Site) -> None:
    client = own.program("write")
    found = client.get("/api/v1/exceptions", params={"state": "open"}).json()["items"]
    path = f"/api/v1/exceptions/{found[0]['id']}/decisions"
    body = {"act": "close", "reason": "seen", "user": "chen.li", "password": "wrong wrong"}
    body |= {"content_hash": found[0]["content_hash"]}
    assert client.post(path, json=body).status_code == 403
    other = client.post(path, json=body | {"password": PASSWORD, "content_hash": "0" * 64})
    assert (other.status_code, "something else" in other.text) == (409, True), other.text
    assert client.get(path.removesuffix("/decisions")).json()["state"] == "open"
    answer = client.post(path, json=body | {"password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json()["decision"]["user"] == "chen.li"


def test_a_token_that_may_only_read_changes_nothing(own: Site) -> None:
    client = own.program("read")
    finding = client.get("/api/v1/exceptions").json()["items"][0]
    path, seen = f"/api/v1/exceptions/{finding['id']}/decisions", {"content_hash": finding["content_hash"]}
    assert client.post(path, json={"reason": "x", **seen}).status_code == 403
    lot = dhr_of(client, "WO-1001")
    body = {"user": "chen.li", "password": PASSWORD, "meaning": "reviewed", "content_hash": "0" * 64}
    assert client.post(f"/api/v1/dhrs/{lot}/signatures", json=body).status_code == 403


def test_signatures_over_the_interface(own: Site) -> None:
    client = own.program("sign")
    lot = dhr_of(client, "WO-1001")
    path = f"/api/v1/dhrs/{lot}/signatures"
    content = client.get(f"/api/v1/dhrs/{lot}").json()["content_hash"]
    body = {
        "user": "chen.li",
        "password": PASSWORD,
        "meaning": "reviewed",
        "reason": "ok",
        "content_hash": content,
    }
    assert client.post(path, json=body | {"password": "wrong wrong"}).status_code == 403
    assert client.post(path, json=body | {"content_hash": "0" * 64}).status_code == 409
    assert client.post(path, json=body | {"meaning": "released", "user": "mueller"}).status_code == 409
    assert client.post(path, json=body | {"user": "op"}).status_code == 403
    signed = client.post(path, json=body, headers={"Idempotency-Key": "s1"})
    assert signed.status_code == 201, signed.text
    assert signed.json()["covers"] == content
    assert client.post(path, json=body, headers={"Idempotency-Key": "s1"}).json() == signed.json()
    released = client.post(path, json=body | {"meaning": "released", "user": "mueller"})
    assert released.status_code == 201, released.text
    assert [s["meaning"] for s in client.get(path).json()["items"]] == ["reviewed", "released"]
    assert PASSWORD not in client.get(path).text


def test_a_session_writes_only_from_our_own_pages(own: Site) -> None:
    client = own.signed_in("chen.li")
    finding = client.get("/api/v1/exceptions").json()["items"][0]
    path = f"/api/v1/exceptions/{finding['id']}/decisions"
    body = {"reason": "seen", "content_hash": finding["content_hash"]}
    assert client.post(path, json=body, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert client.post(path, json=body).status_code == 201


def test_telemetry_of_a_tag_is_read_over_a_span(own: Site) -> None:
    key, start_us = SigningKey.generate(), 1_795_000_000_000_000
    own.central.store.write(lambda c: agents.enrol(c, "trend-1", "p0", key.public.hex(), start_us))
    tags = (SeriesTag("force", "N"), SeriesTag("word"))
    columns = (Column("int16", tags[:1]), Column("string", tags[1:]))
    body = encode_chunk(
        encode_series(Series("trend-1", "suzhou", "valve-1", "welder", 0.1, "test", "sha256:0", columns)),
        np.array([start_us, start_us + 100_000, start_us + 200_000]),
        np.array([start_us - 5, 0, 0, 0, 0, 0]),
        np.array([0, 0, 0x8F060000, 0, 0, 0], np.uint32),
        [np.array([-1, 0, 3], np.int16), ["a", "b", "c"]],
    )
    first = chain.first_hash("trend-1", "e1", "telemetry")
    frame = encode_frame([seal("trend-1", "e1", "telemetry", 1, 1, KIND, body, first)], first, key)
    assert own.central.ingest.take(up_topic("p0", "trend-1", "telemetry"), frame).result == "committed"
    program = own.program("read")
    span = {"agent": "trend-1", "from": "2026-11-18T11:06:40Z", "to": "2026-11-18T11:06:40.2Z"}
    assert iso_z(start_us) == "2026-11-18T11:06:40.000000Z"
    answer = program.get("/api/v1/telemetry", params={**span, "tag": "welder.force"}).json()
    reading = {
        "time": "2026-11-18T11:06:40.000000Z",
        "source_time": "2026-11-18T11:06:39.999995Z",
        "unit": "N",
        "left_out": None,
    }
    stale = {"time": "2026-11-18T11:06:40.100000Z", "source_time": None, "unit": "N", "left_out": None}
    assert answer == {
        "items": [
            {**reading, "value": -1, "quality": "good", "status": "Good"},
            {**stale, "value": None, "quality": "bad", "status": "BadStale"},
        ],
        "next": None,
        "given_up": 0,
        "unreadable": 0,
        "unreadable_from": None,
        "unreadable_to": None,
    }
    page = program.get("/api/v1/telemetry", params={**span, "tag": "welder.word", "limit": 1}).json()
    assert [item["value"] for item in page["items"]] == ["a"]
    rest = program.get("/api/v1/telemetry", params={**span, "tag": "welder.word", "cursor": page["next"]}).json()
    assert [item["value"] for item in rest["items"]] == ["b"]
    for wrong in ({"tag": "welder"}, {"to": span["from"]}, {"from": "2026-11-18T11:06:40"}, {"limit": 0}):
        refused = program.get("/api/v1/telemetry", params={**span, "tag": "welder.force", **wrong})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
