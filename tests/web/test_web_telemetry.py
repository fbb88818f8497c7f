"""Telemetry for people and programs: which tags there are, and one over a span as a chart that hides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from accessible import violations
from conftest import Site, site
from fixture_central import whole_story
from playwright.sync_api import Browser
from test_web_browser import visit

from records.clock import iso_z, to_us
from tests.rigs import stores
from tests.rigs.trends import BAD, UNCERTAIN, TrendAgent, polled, spoil

SECOND = 1_000_000
HOUR = 3600 * SECOND


@pytest.fixture(scope="module")
def trended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An hour that ends now: a spike of one reading, bad ones, uncertain ones, and ten minutes of silence."""
    with site(tmp_path_factory.mktemp("central"), whole_story(3)) as made:
        now_us = made.central.clock.now_us()
        start_us = now_us - HOUR
        agent = TrendAgent().enrol(made.central.store, now_us)
        readings = polled(start_us, 3600, lambda n: 100 + n % 60 / 60)
        readings[1000] = (readings[1000][0], 175.0, 0)
        readings[2000:2030] = [(at, 0.0, BAD) for at, _, _ in readings[2000:2030]]
        readings[2100:2120] = [(at, value, UNCERTAIN) for at, value, _ in readings[2100:2120]]
        kept = readings[:2400] + readings[3000:]
        agent.send(made.central.ingest, *(agent.body(kept[n : n + 300]) for n in range(0, len(kept), 300)))
        yield made


@pytest.fixture(scope="module")
def program(trended: Site) -> httpx.Client:
    return trended.program("read")


def span(made: Site) -> dict[str, str]:
    now_us = made.central.clock.now_us()
    return {
        "agent": "trend-1",
        "tag": "welder.force",
        "from": iso_z(now_us - HOUR) or "",
        "to": iso_z(now_us) or "",
    }


def test_a_trend_over_the_interface_hides_no_extreme(trended: Site, program: httpx.Client) -> None:
    answer = program.get("/api/v1/telemetry/trend", params={**span(trended), "buckets": 60}).json()
    assert (len(answer["buckets"]), answer["bucket_us"], answer["readings"]) == (60, 60 * SECOND, 3000)
    assert {k: answer[k] for k in ("units", "given_up", "unreadable", "next")} == {
        "units": ["N"], "given_up": 0, "unreadable": 0, "next": None
    }  # fmt: skip
    buckets = answer["buckets"]
    assert buckets[0]["time"] == span(trended)["from"]
    assert [n for n, b in enumerate(buckets) if b["high"] == 175.0] == [16]
    assert max(b["high"] for n, b in enumerate(buckets) if n != 16 and b["high"] is not None) < 101
    assert (buckets[33]["good"], buckets[33]["bad"], buckets[33]["low"]) == (30, 30, 100.0)
    assert sum(b["uncertain"] for b in buckets) == 20
    empty = {"low": None, "high": None, "first": None, "last": None, "good": 0, "uncertain": 0, "bad": 0}
    assert {k: v for k, v in buckets[45].items() if k in empty} == empty
    assert sum(b["silent_us"] for b in buckets) == 601 * SECOND


def test_the_interface_names_tags_and_refuses_what_is_no_trend(trended: Site, program: httpx.Client) -> None:
    tags = program.get("/api/v1/telemetry/tags").json()
    assert [(item["agent"], item["tag"], item["unit"], item["data_type"]) for item in tags["items"]] == [
        ("trend-1", "welder.force", "N", "float64"), ("trend-1", "welder.word", None, "string")
    ]  # fmt: skip
    years = ({"from": "0001-01-01T00:00:00+14:00"}, {"to": "9999-12-31T23:59:59-14:00"})
    for wrong in (
        {"tag": "welder.word"},
        {"to": span(trended)["from"]},
        {"buckets": 0},
        {"buckets": 2001},
        *years,
    ):
        refused = program.get("/api/v1/telemetry/trend", params={**span(trended), **wrong})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize("resource", ["telemetry", "telemetry/trend"])
def test_who_asks_for_what_nobody_sends_hears_what_there_is(
    trended: Site, program: httpx.Client, resource: str
) -> None:
    """Bug: a tag or agent that was mistyped was answered by 200 and no reading."""
    for wrong, known in (
        ({"agent": "trend-9"}, "agents: trend-1"),
        ({"tag": "welder.forse"}, "tags: welder.force, welder.word"),
        ({"tag": "other.force"}, "tags: welder.force, welder.word"),
    ):
        refused = program.get(f"/api/v1/{resource}", params={**span(trended), **wrong})
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
        assert known in refused.json()["detail"]
    empty = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T01:00:00Z"}
    assert program.get(f"/api/v1/{resource}", params={**span(trended), **empty}).status_code == 200


def drawn(page: str) -> str:
    found = re.search(r"<figure class=\"chart broad\".*?</figure>", page, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("language", "silent"), [("en", "no reading"), ("zh-CN", "无读数")])
def test_the_page_draws_silence_bad_and_uncertain_apart(trended: Site, language: str, silent: str) -> None:
    client = trended.signed_in("mueller")
    client.cookies.set("lk_language", language)
    page = client.get("/telemetry/trend-1/welder.force").text
    svg = drawn(page)
    assert svg.count('class="lk-silent"') == 1
    assert svg.count('class="lk-strip-silent"') == svg.count('class="lk-strip-bad"') == 1
    assert svg.count('class="lk-strip-uncertain"') == 1
    assert 0 < svg.count("lk-excluded") <= 80
    lines = len(re.findall(r'class="lk-line"', svg))
    assert 3 <= lines <= 7, "it breaks at what was bad and at the silence; a bucket at such an end stands alone"
    assert silent in svg
    tops = [float(y) for y in re.findall(r"V(-?[0-9.]+)", svg)]
    assert min(tops) < 40, "the one spike is at the top of the plot"


def test_another_span_than_was_asked_for_is_told(trended: Site) -> None:
    page, said = "/telemetry/trend-1/welder.force", "This is not the span that was asked for"
    client = trended.signed_in("mueller")
    for begin, end, told in (
        ("2026-11-18T10:00:00", "2026-11-18T09:00:00", True),
        ("2026-11-01T10:00:00", "2026-11-18T09:00:00", True),
        ("2026-11-18T09:00:00", "2026-11-18T10:00:00", False),
    ):
        text = client.get(page, params={"from": begin, "to": end}).text
        assert (said in text) is told, (begin, end)
        assert (f'value="{end}"' in text) is not told  # the field shows what is shown


def test_every_page_around_it_answers(trended: Site) -> None:
    client = trended.signed_in("mueller")
    index = client.get("/telemetry").text
    assert 'href="/telemetry/trend-1/welder.force"' in index
    assert 'href="/telemetry?agent=trend-1"' in client.get("/lines").text
    at_us = trended.central.clock.now_us() - HOUR // 2
    around = client.get("/telemetry", params={"agent": "trend-1", "at": at_us}).text
    assert f"/telemetry/trend-1/welder.force?span=600&amp;at={at_us}" in around
    assert "/telemetry/trend-1" not in client.get("/telemetry?agent=other").text
    text = client.get("/telemetry/trend-1/welder.word")
    assert "no numbers" in text.text
    assert "w299" in text.text
    for path in ("?span=600", f"?at={at_us}&span=600", "?from=nonsense&to=2020-01-01T00:00", "?span=99999999"):
        assert client.get(f"/telemetry/trend-1/welder.force{path}").status_code == 200
    for time in ("from=0001-01-01T00:00", "to=0001-01-01T00:00", "from=9999-12-31T23:59", f"at={'9' * 17}"):
        assert client.get(f"/telemetry/trend-1/welder.force?{time}").status_code == 200, time
    for path in ("/telemetry/trend-1/other.force", "/telemetry/other/welder.force", "/telemetry/trend-1/welder"):
        assert client.get(path).status_code == 404
    older = client.get(f"/telemetry/trend-1/welder.force?{urlencode({'to': '2020-01-01T00:00'})}").text
    assert "No readings in this span" in older


def test_a_damaged_chunk_is_told_beside_the_others(tmp_path: Path) -> None:
    """Bug: page and interface refused a whole span for one chunk of it."""
    with site(tmp_path, whole_story(3)) as made:
        now_us = made.central.clock.now_us()
        agent = TrendAgent().enrol(made.central.store, now_us)
        parts = [polled(now_us - HOUR + n * 300 * SECOND, 300, float) for n in range(12)]
        agent.send(made.central.ingest, *map(agent.body, parts))
        spoil(partial(stores.by_hand, tmp_path), 12, b"damaged")
        page = made.signed_in("mueller").get("/telemetry/trend-1/welder.force")
        assert page.status_code == 200
        assert "1 chunk of this device and span is damaged in the database" in page.text
        told = made.program("read").get("/api/v1/telemetry", params={**span(made), "limit": 5000}).json()
        assert (len(told["items"]), told["unreadable"], told["given_up"], told["next"]) == (3300, 1, 0, None)


def test_a_tag_whose_only_chunks_are_damaged_is_told_of(tmp_path: Path) -> None:
    """Bug: the interface said that nobody sends it, and the page that its chunks were past their retention."""
    with site(tmp_path, whole_story(3)) as made:
        now_us = made.central.clock.now_us()
        agent = TrendAgent().enrol(made.central.store, now_us)
        began_us = [now_us - 1200 * SECOND, now_us - 600 * SECOND]
        agent.send(made.central.ingest, *(agent.body(polled(at_us, 300, float)) for at_us in began_us))
        for seq in (1, 2):
            spoil(partial(stores.by_hand, tmp_path), seq, b"damaged")
        program, reader = made.program("read"), made.signed_in("mueller")
        told = program.get("/api/v1/telemetry", params=span(made)).json()
        assert (told["items"], told["unreadable"]) == ([], 2)
        assert [to_us(datetime.fromisoformat(told[f"unreadable_{end}"])) for end in ("from", "to")] == began_us
        early = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
        refused = program.get("/api/v1/telemetry", params=span(made) | early)
        assert refused.status_code == 409
        assert "cannot be read: damaged in the database" in refused.text
        assert "restore a backup" in refused.text
        assert program.get("/api/v1/telemetry", params=span(made) | {"agent": "nobody-1"}).status_code == 404
        page = reader.get("/telemetry").text
        assert "past their retention" not in page
        assert "1 of the newest chunks of this device is damaged" in page
        assert "Restore a backup of before" in page
        assert "Restore a backup of before" in reader.get("/telemetry/trend-1/welder.force").text


@pytest.mark.browser
@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
def test_axe_finds_nothing_and_nothing_overflows(
    chromium: Browser,
    trended: Site,
    language: str,
    theme: str,
) -> None:
    context = visit(chromium, trended, "mueller", language, theme)
    page = context.new_page()
    for path in ("/telemetry", "/telemetry/trend-1/welder.force"):
        page.goto(path)
        assert violations(page, theme=theme) == []
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1280, "height": 900})
    context.close()


def test_a_record_of_an_agent_with_telemetry_links_to_its_surroundings(
    trended: Site, program: httpx.Client
) -> None:
    record = program.get("/api/v1/operation-records").json()["items"][0]
    client = trended.signed_in("mueller")
    path = f"/records/{record['hash']}"
    assert "/telemetry?agent=" not in client.get(path).text
    agent = TrendAgent(record["agent"], trended.central.plant.agents[record["agent"]].key)
    agent.send(trended.central.ingest, agent.body(polled(0, 3, float)))
    assert f"/telemetry?agent={record['agent']}&amp;at=" in client.get(path).text
