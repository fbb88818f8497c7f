"""A form or call that met a database which takes nothing in now: no fault of who sent it, and no refusal."""

from __future__ import annotations

import re

import httpx
import pytest
from conftest import Site, dhr_of, form_token
from fixture_central import PASSWORD
from test_web_pages import _sign

from central.store import leases
from central.worker_states import WorkerState
from records import durable
from records.clock import iso_z
from records.errors import NoRoom, Unreachable


@pytest.fixture
def full(own: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[httpx.Client, httpx.Client]:
    """A person and a program while the disk is too slow for all the writes that wait."""
    person, program = own.signed_in("chen.li"), own.program("sign")
    monkeypatch.setattr(durable, "WAITING_LIMIT", 0)
    return person, program


def test_who_signs_or_decides_is_not_refused_as_a_person(full: tuple[httpx.Client, httpx.Client]) -> None:
    """Bug: a page of 403 or 409 with a driver's English text; a program read 403 or 422: never send that again."""
    person, program = full
    lot = dhr_of(person, "WO-1001")
    shown = re.search(r'name="content_hash" value="([0-9a-f]{64})"', person.get(f"/dhrs/{lot}").text)
    assert shown is not None
    who = {"user": "chen.li", "password": PASSWORD}
    signing = who | {"content_hash": shown[1], "meaning": "reviewed", "reason": "r"}
    found = person.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]
    deciding = {"act": "close", "reason": "r", "content_hash": found["content_hash"]}
    form = {"csrf": form_token(person, f"/dhrs/{lot}")}
    pages = [
        person.post(f"/dhrs/{lot}", data=form | signing),
        person.post(f"/findings/{found['id']}", data=form | deciding),
    ]
    told = [
        program.post(f"/api/v1/dhrs/{lot}/signatures", json=signing),
        program.post(f"/api/v1/exceptions/{found['id']}/decisions", json=deciding | who),
    ]
    for answer in pages:
        assert (answer.status_code, "Central cannot use its database now" in answer.text) == (503, True)
        assert "stored as a whole or not at all" in answer.text
    assert [(each.status_code, "writes wait" in each.json()["detail"]) for each in told] == [(503, True)] * 2


def test_a_full_disk_stands_on_the_first_page_and_is_told_to_monitors(own: Site) -> None:
    """Bug: central said that all is well, to people and to monitors, until somebody tried to store something."""
    person, store = own.signed_in("chen.li"), own.central.store
    assert "most often for a full disk" not in person.get("/").text
    store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1").close())  # no more than there are
    with pytest.raises(NoRoom):
        store.write(lambda c: c.exec_driver_sql("CREATE TABLE large AS SELECT randomblob(1000000) AS b").close())
    assert "most often for a full disk" in person.get("/").text
    assert "磁盘已满" in person.get("/", headers={"accept-language": "zh-CN"}).text
    told = person.get("/healthz")
    assert (told.status_code, "nothing was stored" in told.json()["detail"]) == (503, True)
    assert "\nlotkeeper_writes_refused 1.0\n" in person.get("/metrics").text


def test_who_only_reads_is_let_in(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: once a minute a page notes that its person was seen, and failed where that could not be stored."""
    person = own.signed_in("chen.li")
    own.central.clock.advance(120)
    monkeypatch.setattr(durable, "WAITING_LIMIT", 0)
    assert person.get("/dhrs").status_code == 200


def test_who_signed_or_decided_hears_that_it_is_stored_though_the_database_is_away_by_then(
    own: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the lot is judged again after the commit, and that this failed was the answer."""
    person = own.signed_in("chen.li")
    lot = dhr_of(person, "WO-1001")
    found = person.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]

    def away(*_: object, **__: object) -> int:
        raise Unreachable("the server does not answer")

    monkeypatch.setattr(own.central.reviews, "sweep", away)
    deciding = {"csrf": form_token(person, f"/dhrs/{lot}"), "content_hash": found["content_hash"]}
    decided = person.post(f"/findings/{found['id']}", data=deciding | {"act": "close", "reason": "r"})
    assert decided.status_code == 303
    assert _sign(person, lot, "chen.li", "reviewed")[0] == 303
    monkeypatch.undo()
    own.central.reviews.sweep(everything=True)
    codes = [entry["code"] for entry in own.signed_in("mueller").get("/api/v1/audit").json()["items"]]
    assert codes.count("review") == codes.count("close") == 1


def test_workers_that_are_refused_or_not_heard_of_stand_on_the_first_page(
    own: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: their own logs alone told of it."""
    person, store, now_us = own.signed_in("chen.li"), own.central.store, own.central.clock.now_us()
    store.write(lambda c: leases.take(c, "worker/serve", "serve", 60.0))
    store.write(lambda c: leases.take(c, "worker/gone", "gone", -600.0))
    assert person.get("/healthz").json()["silent_workers"].keys() == {"gone"}
    since_us = now_us - 180_000_000
    refused = WorkerState("one", "refused", since_us, "no-room", "the server's disk is full: nothing was stored")
    monkeypatch.setattr(own.central.ingest.workers, "refused", lambda: [refused])
    pages = [person.get("/"), person.get("/", headers={"accept-language": "zh-CN"})]
    for page, subjects, words in zip(
        pages,
        (("Worker one", "Worker gone"), ("工作进程 one", "工作进程 gone")),
        (("For 3 min what", "the disk of the database is full"), ("数据库的磁盘已满", "没有该工作进程的消息")),
        strict=True,
    ):
        assert all(text in page.text for text in (*subjects, *words))
    told = person.get("/healthz")
    assert told.status_code == 503
    assert f"what worker one is to store is refused since {iso_z(since_us)}: the server" in told.json()["detail"]
    figures = person.get("/metrics").text
    for line in ('writes_refused{worker="one"} 1.0', 'silent{worker="gone"} 1.0', 'silent{worker="one"} 0.0'):
        assert f"\nlotkeeper_worker_{line}\n" in figures
