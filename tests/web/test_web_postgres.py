"""The same pages over a PostgreSQL: lists, a record, search, and a lot reviewed and released."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Site, dhr_of, form_token, site
from fixture_central import PASSWORD, whole_story
from sqlalchemy import text
from test_web_pages import _sign

from central.store.database import Server
from central.web import sending
from central.web.desk import Desk
from tests.rigs import postgres
from tests.rigs.stores import on_postgres
from tests.rigs.trends import TrendAgent, polled
from tests.rigs.uplinks import until

PAGES = (
    "/",
    "/orders",
    "/findings?state=all",
    "/dhrs",
    "/audit",
    "/lines",
    "/holds",
    "/spc",
    "/recipes",
    "/trace",
)

pytestmark = pytest.mark.postgres


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    with on_postgres(), site(tmp_path, whole_story(8)) as made:
        assert isinstance(made.central.store.database, Server)
        yield made


def test_a_lot_is_found_looked_at_reviewed_and_released_on_a_server(served: Site) -> None:
    client = served.signed_in("mueller")
    lot = dhr_of(client, "WO-1001")
    tabs = ("units", "records", "charts", "events", "materials", "people", "equipment", "certificate", "audit")
    pages = (*PAGES, *(f"/dhrs/{lot}?show={tab}" for tab in tabs))
    assert [path for path in pages if client.get(path).status_code != 200] == []
    found = client.get("/trace", params={"q": "SR-2026-007"}).text
    assert "WO-1001" in found
    assert _sign(client, lot, "chen.li", "reviewed", password="wrong")[0] == 403
    assert _sign(client, lot, "chen.li", "reviewed", password=PASSWORD)[0] == 303
    assert _sign(client, lot, "mueller", "released", password=PASSWORD)[0] == 303
    assert "Released" in client.get(f"/dhrs/{lot}").text
    codes = [entry["code"] for entry in client.get("/api/v1/audit").json()["items"]]
    assert {"review", "release", "signature-refused"} <= set(codes)


def test_telemetry_is_drawn_from_a_server(served: Site) -> None:
    now_us = served.central.clock.now_us()
    agent = TrendAgent().enrol(served.central.store, now_us)
    agent.send(served.central.ingest, agent.body(polled(now_us - 600_000_000, 300, float)))
    client = served.signed_in("mueller")
    assert "/telemetry/trend-1/welder.force" in client.get("/telemetry").text
    assert 'class="lk-line"' in client.get("/telemetry/trend-1/welder.force").text


@contextmanager
def letting_nobody_in(made: Site) -> Iterator[None]:
    database = made.central.store.database
    assert isinstance(database, Server)
    with postgres.shared().admin() as admin:
        admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (database.name,)
        )
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true".encode())


def test_monitors_are_told_by_json_that_the_database_lets_nobody_in(served: Site) -> None:
    client = served.signed_in("mueller")
    with letting_nobody_in(served):
        answers = [client.get(path) for path in ("/healthz", "/metrics")]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "does not let central in" in answer.json()["detail"]
    assert client.get("/healthz").json()["status"] == "ok"


def test_nobody_waits_behind_a_write_that_waits_itself(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: with a table locked forms had no answer for minutes, and monitors were told that all is well."""
    monkeypatch.setattr(sending, "HELD_UP_S", 0.1)
    store, client = served.central.store, served.signed_in("mueller")
    program, signer = served.program("read"), served.program("sign")
    assert isinstance(store.database, Server)
    token = form_token(client, "/")
    lot = dhr_of(client, "WO-1001")
    with postgres.shared().admin(store.database.name) as other, other.transaction():
        other.execute("LOCK TABLE envelope IN SHARE ROW EXCLUSIVE MODE")
        waiting = store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
        until(lambda: store.under_way_s > 0.1)
        page = client.post("/sign-out", data={"csrf": token})
        signing = {
            "meaning": "reviewed",
            "reason": "r",
            "user": "chen.li",
            "password": PASSWORD,
            "content_hash": "0",
        }
        told = signer.post(f"/api/v1/dhrs/{lot}/signatures", json=signing)
        health = client.get("/healthz")
        figures = client.get("/metrics").text
        assert client.get("/").status_code == 200, "what is only read waits for nobody"
        chosen = client.post("/preferences", data={"csrf": token, "theme": "dark"})
        computed = program.post("/api/v1/recompute", params={"lot": "nope"})
    assert (page.status_code, told.status_code) == (503, 503)
    assert "Nothing can be stored now" in page.text
    assert re.match(r"nothing is stored: a write has been under way for \d+ s, and all ", told.json()["detail"])
    assert (health.status_code, health.headers["content-type"]) == (503, "application/problem+json")
    assert (chosen.status_code, computed.status_code) == (303, 404), "they store nothing"
    assert "(lotkeeper-central doctor says" in health.json()["detail"]
    assert "\nlotkeeper_write_under_way_seconds 0.0\n" not in figures
    assert waiting.result() == 0
    until(lambda: store.under_way_s == 0)
    assert client.get("/healthz").json()["status"] == "ok"
    assert "\nlotkeeper_write_under_way_seconds 0.0\n" in client.get("/metrics").text
    assert client.post("/sign-out", data={"csrf": token}).status_code == 303


def test_whose_form_is_refused_reads_that_nothing_of_it_is_stored(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the page said that it is perhaps stored, to be looked for before it is sent again, as if signed out."""
    monkeypatch.setattr(sending, "HELD_UP_S", 0.1)
    store, client = served.central.store, served.signed_in("mueller")
    assert isinstance(store.database, Server)
    token = form_token(client, "/")
    with postgres.shared().admin(store.database.name) as other, other.transaction():
        other.execute("LOCK TABLE envelope IN SHARE ROW EXCLUSIVE MODE")
        waiting = store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
        until(lambda: store.under_way_s > 0.1)
        page = client.post("/sign-out", data={"csrf": token})
        assert client.post("/preferences", data={"csrf": token, "language": "zh-CN"}).status_code == 303
        chinese = client.post("/sign-out", data={"csrf": token})
    assert waiting.result() == 0
    for answer, title, nothing, stored in (
        (page, "Nothing can be stored now", "Nothing of what you sent is stored.", "stored as a whole"),
        (chinese, "目前无法保存任何内容", "您提交的内容完全没有保存。", "完整保存"),
    ):
        assert (answer.status_code, title in answer.text, nothing in answer.text) == (503, True, True)
        assert stored not in answer.text, "that is said where it is not certain"
        assert 'action="/sign-out"' in answer.text, "who was signed in still is"
        assert '<input type="hidden" name="next" value="/">' in answer.text, "it takes forms only"
    assert re.search(r"A write has been under way for \d+ s", page.text)
    assert re.search(r"一项写入已进行 \d+", chinese.text)


def test_who_reads_finds_a_thread_however_many_forms_wait(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: 40 forms that waited for a write took all threads; no page and no monitor had an answer any more."""
    monkeypatch.setattr(sending, "CROWDED_S", 0.1)
    store, client = served.central.store, served.signed_in("mueller")
    assert isinstance(store.database, Server)
    form = {"csrf": form_token(client, "/")}
    with ThreadPoolExecutor(45) as pool:
        with postgres.shared().admin(store.database.name) as other, other.transaction():
            other.execute("LOCK TABLE envelope IN SHARE ROW EXCLUSIVE MODE")
            waiting = store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
            until(lambda: store.under_way_s > 0.1)
            sent = [pool.submit(client.post, "/sign-out", data=form, timeout=90) for _ in range(45)]
            until(lambda: sum(each.done() for each in sent) == 45 - sending.PLACES)
            assert client.get("/healthz").json()["status"] == "ok"
        answers = Counter(each.result().status_code for each in sent)
    assert answers == {303: sending.PLACES, 503: 45 - sending.PLACES}
    assert waiting.result() == 0
    assert served.visitor().post("/sign-in", data=form).status_code == 403, "forms are taken again"


def test_who_reads_finds_a_thread_in_the_first_second_of_a_lock(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: before it was known that writes are held up, 40 forms that came at once took all threads."""
    monkeypatch.setattr(sending, "CROWDED_S", 600.0)
    store, client = served.central.store, served.signed_in("mueller")
    assert isinstance(store.database, Server)
    form = {"csrf": form_token(client, "/")}
    refuse_while_held_up, came = sending.refuse_while_held_up, []

    def refuse(asked: Desk, *, crowded: bool = False) -> None:
        came.append(crowded)
        refuse_while_held_up(asked, crowded=crowded)

    monkeypatch.setattr(sending, "refuse_while_held_up", refuse)
    with ThreadPoolExecutor(60) as pool:
        with postgres.shared().admin(store.database.name) as other, other.transaction():
            other.execute("LOCK TABLE envelope IN SHARE ROW EXCLUSIVE MODE")
            waiting = store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
            until(lambda: store.under_way_s > 0)
            sent = [pool.submit(client.post, "/sign-out", data=form, timeout=90) for _ in range(60)]
            until(lambda: len(came) == 60)
            for path in PAGES[:4]:
                assert client.get(path, timeout=15).status_code == 200
            assert client.get("/healthz", timeout=15).json()["status"] == "ok"
            assert not any(each.done() for each in sent)
        answers = Counter(each.result().status_code for each in sent)
    assert answers == {303: 60}, "nobody is refused: all of it was stored in the end"
    assert waiting.result() == 0


def test_people_are_told_by_a_page_that_the_database_lets_nobody_in(served: Site) -> None:
    client, stranger = served.signed_in("mueller"), served.visitor()
    token, other = form_token(client, "/"), form_token(stranger, "/sign-in")
    with letting_nobody_in(served):
        shown = [client.get(path) for path in ("/", "/dhrs?state=all", "/nope", "/static/nope.css")]
        sent = [
            client.post("/sign-out", data={"csrf": token}),
            stranger.post("/sign-in", data={"csrf": other, "user": "mueller", "password": PASSWORD}),
        ]
        assert stranger.get("/sign-in").status_code == 200
        chosen = client.post("/preferences", data={"csrf": token, "language": "zh-CN", "next": "/dhrs"})
        assert (chosen.status_code, chosen.headers["location"]) == (303, "/dhrs")
        chinese = client.get("/dhrs")
    for answer in (*shown, *sent):
        assert (answer.status_code, "<!doctype html>" in answer.text) == (503, True), answer.url
        assert "Central cannot use its database now" in answer.text
        assert ("stored as a whole or not at all" in answer.text) == (answer in sent), "of what was sent"
        assert 'class="door"' in answer.text
    assert 'href="/dhrs?state=all">Try again</a>' in shown[1].text
    assert all("Try again</a>" not in answer.text for answer in sent)
    assert chinese.status_code == 503
    assert "无法使用其数据库" in chinese.text
    assert "Central cannot" not in chinese.text
    assert client.get("/dhrs").status_code == 200


def test_a_program_hears_that_its_decision_is_stored_though_the_server_is_away_by_then(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the finding was read again after the commit; 503 was told, and 409 (closed already) when sent again."""
    program = served.program("sign")
    found = program.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]
    body = {"act": "close", "reason": "r", "content_hash": found["content_hash"]}
    away = letting_nobody_in(served)
    monkeypatch.setattr(served.central.reviews, "sweep", lambda *_: away.__enter__())
    try:
        body |= {"user": "chen.li", "password": PASSWORD}
        told = program.post(f"/api/v1/exceptions/{found['id']}/decisions", json=body)
    finally:
        away.__exit__(None, None, None)
    assert (told.status_code, told.json().get("state")) == (201, "closed")
    (again,) = program.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"]
    assert again == told.json()


def test_a_server_that_stops_keeping_its_commits_refuses_no_person(served: Site) -> None:
    """Bug: whoever sent a form read that they were refused (409), and who only read was refused once a minute."""
    client, program = served.signed_in("mueller"), served.program("sign")
    form = {"csrf": form_token(client, "/")}
    hold = {"kind": "order", "id": "WO-1001", "reason": "recall", "user": "jansen", "password": PASSWORD}
    served.central.clock.advance(120)
    with postgres.shared().admin() as admin:
        try:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda: admin.execute("SHOW fsync").fetchone() == ("off",))
            until(lambda: client.post("/sign-out", data=form).status_code == 503)
            read = client.get("/dhrs")
            told = program.post("/api/v1/holds", json=hold)
        finally:
            admin.execute("ALTER SYSTEM RESET fsync")
            admin.execute("SELECT pg_reload_conf()")
    assert (read.status_code, told.status_code) == (200, 503)
    assert "fsync is off, on is needed" in told.json()["detail"]
    until(lambda: client.post("/sign-out", data=form).status_code == 303)
