"""A lot, a unit, an order or a machine is held and released by signature, on the pages and over the interface."""

from __future__ import annotations

import re

import httpx
from conftest import Site, form_token
from fixture_central import PASSWORD

from records.model import OperationsEvent

LOT = {"kind": "lot", "product": "VS-100", "held": "WO-1001"}


def sign(client: httpx.Client, path: str, act: str, **form: str) -> httpx.Response:
    page = client.get(path, params=LOT if path == "/holds/new" else None).text
    data = {"csrf": form_token(client, "/holds"), "act": act, "user": "chen.li", "password": PASSWORD}
    if (found := re.search('name="content_hash" value="([0-9a-f]{64})', page)) is not None:
        data["content_hash"] = found[1]
    if path == "/holds/new":
        data |= LOT
    return client.post(path, data=data | {"reason": "complaint 4711"} | form)


def told(site: Site) -> list[list[tuple[str, str]]]:
    """What the lines were told, oldest first: (kind, id) of what stands."""
    facts = site.central.store.facts(agent="central", codes=["document-issued"])
    said = [fact.fact.data.params for fact in facts if isinstance(fact.fact.data, OperationsEvent)]
    contents = [params["content"] for params in said if params["kind"] == "holds"]
    return [[(one["kind"], one["id"]) for one in content["holds"]] for content in contents]  # type: ignore[call-overload,index]


def test_a_lot_is_held_on_its_page_and_not_released_before_its_hold_is(own: Site) -> None:
    client = own.signed_in("chen.li")
    dhr = next(d for d in own.central.reviews.queue() if d.lot == "WO-1001")
    page = client.get(f"/dhrs/{dhr.id}").text
    assert "/holds/new?kind=lot&amp;product=VS-100&amp;held=WO-1001" in page
    answer = sign(client, "/holds/new", "hold")
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"]
    assert told(own) == [[("lot", "WO-1001")]]
    for place in (f"/dhrs/{dhr.id}", path, "/holds"):
        page = client.get(place).text
        assert path.rpartition("/")[2] in page, place
        assert "complaint 4711" in page, place
    record = own.central.reviews.get(dhr.id)
    assert record is not None
    assert [hold.held.id for hold in own.central.reviews.holds(record)] == ["WO-1001"]
    page = client.get(f"/dhrs/{dhr.id}").text
    blocks = page.partition('id="blockers"')[2].partition("</section>")[0]
    assert f'href="{path}"' in blocks
    assert "WO-1001 is held by quality: complaint 4711" in blocks
    told_ = own.program("read").get(f"/api/v1/dhrs/{dhr.id}").json()["blockers"]
    assert told_[0]["code"] == "held-by-quality"
    assert told_[0]["params"]["hold"] == path.rpartition("/")[2]
    unit = next(piece for piece in record.evidence.units if piece.serial)
    page = client.get(f"/units/{dhr.id}/{unit.name}").text
    assert "This is held already" in page
    assert f"/holds/new?kind=unit&amp;product=VS-100&amp;held={unit.serial}" in page
    assert sign(client, path, "release", reason=" ").status_code == 422
    assert sign(client, path, "release", password="wrong").status_code == 403
    assert sign(client, path, "release", content_hash="0" * 64).status_code == 403
    assert told(own) == [[("lot", "WO-1001")]]
    assert sign(client, path, "release", reason="judged good").status_code == 303
    assert told(own)[-1] == []
    assert "judged good" in client.get(path).text
    assert "held by quality" not in client.get(f"/dhrs/{dhr.id}").text
    again = sign(client, path, "release")
    assert (again.status_code, "this hold was released already" in again.text) == (403, True)


def test_what_cannot_be_held_is_asked_again_and_readers_only_read(own: Site) -> None:
    client = own.signed_in("chen.li")
    page = client.get("/holds/new", params={"kind": "unit", "held": "S1"})
    assert page.status_code == 200
    assert "A unit or lot needs its product" in page.text
    assert 'name="content_hash"' not in page.text
    assert sign(client, "/holds/new", "hold", product="").status_code == 200
    assert told(own) == []
    reader = own.signed_in("op")
    assert "Hold something" not in reader.get("/holds").text
    page = reader.get("/holds/new", params=LOT)
    assert "Your role can read what is held" in page.text
    assert sign(client, "/holds/new", "hold", user="op").status_code == 403
    assert client.get("/holds/H-00000000").status_code == 404
    assert told(own) == []


def test_programs_bring_holds_with_their_person_s_password(own: Site) -> None:
    body = {"kind": "order", "id": "WO-1001", "reason": "recall", "user": "jansen", "password": PASSWORD}
    assert own.program("write").post("/api/v1/holds", json=body).status_code == 403
    program = own.program("sign")
    key = {"idempotency-key": "one"}
    made = program.post("/api/v1/holds", json=body, headers=key)
    assert made.status_code == 201, made.text
    assert program.post("/api/v1/holds", json=body, headers=key).json() == made.json()
    hold = made.json()
    assert (hold["state"], hold["by"], hold["reason"]) == ("standing", "jansen", "recall")
    assert program.post("/api/v1/holds", json=body | {"product": "X"}).status_code == 422
    assert program.post("/api/v1/holds", json=body | {"password": "wrong"}).status_code == 403
    assert program.post("/api/v1/holds", json=body | {"user": "op"}).status_code == 403
    path = f"/api/v1/holds/{hold['hold']}/releases"
    said = {"reason": "done", "user": "mueller", "password": PASSWORD, "content_hash": hold["content_hash"]}
    assert program.post(path, json=said | {"content_hash": "0" * 64}).status_code == 409
    assert program.post(path, json=said | {"user": "jansen"}).status_code == 403
    assert program.post(path.replace("H-", "X-"), json=said).status_code == 404
    released = program.post(path, json=said)
    assert released.status_code == 201, released.text
    assert (released.json()["state"], released.json()["released_by"]) == ("released", "mueller")
    listed = program.get("/api/v1/holds").json()["items"]
    assert [one["state"] for one in listed] == ["released"]
    assert program.get("/api/v1/holds", params={"state": "standing"}).json()["items"] == []
    assert told(own) == [[("order", "WO-1001")], []]
