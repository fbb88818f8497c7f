"""The SPC board, its wall, and the page of one chart: what they say, and what happens to what people say there."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from conftest import Site, dhr_of, form_token, site
from fixture_central import PASSWORD, chart_story
from pydantic import JsonValue

from central.access import Role, User
from central.limit_sets import LimitKey
from central.web import boards
from central.web.i18n import words
from central.web.pages import spc_chart


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A central whose press has charts in every state."""
    with site(tmp_path_factory.mktemp("press"), chart_story()) as made:
        yield made


@pytest.fixture(scope="module")
def quality(press: Site) -> httpx.Client:
    return press.signed_in("mueller")


def chart_id(press: Site, characteristic: str, stream: str = "") -> str:
    return next(
        h.id for h in press.central.charts.heads(characteristic=characteristic) if h.ref.stream.endswith(stream)
    )


def _tiles(text: str) -> list[str]:
    return re.findall(r'<h2><a class="rowlink" href="/spc/[0-9a-f]{24}">([^<]+)</a>', text)


# -- the board ---------------------------------------------------------------------------------------------


def test_the_board_shows_every_chart_the_worst_first(quality: httpx.Client) -> None:
    text = quality.get("/spc").text
    names = _tiles(text)
    assert len(names) == 13
    assert names[:2] == ["fill_weight", "seal_width"]  # signals that nobody has explained
    assert set(names[2:4]) == {"burst_pressure", "rejects"}  # older signals without a cause
    assert names[4:7] == ["mould_temperature", "particles", "wall_thickness"]  # gap, no limits, collecting
    assert text.count('class="lk-chart"') == 13
    for said in (
        "Limits are provisional: nobody has approved them",
        "5 signals without a cause",
        "Cpk 2.0",
        "n 170",
        "No Cpk: no specification",
        "PT-20 C, T4, 2 · valve-1 · press",
        "Single values · 11 of 25",
    ):
        assert said in text, said


def test_few_subgroups_make_limits_provisional_in_words(press: Site) -> None:
    head = next(h for h in press.central.charts.heads() if h.ref.characteristic == "seal_width")
    few = boards.provisional(words("en"), replace(head, points=24))
    assert few == "Fewer than 25 subgroups: limits are provisional"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=signal", {"fill_weight", "seal_width"}),
        ("state=attention", {"mould_temperature", "particles"}),
        ("state=collecting", {"wall_thickness"}),
        ("product=PT-21", {"particles"}),
        ("state=open&product=PT-20", {"fill_weight", "seal_width", "burst_pressure", "rejects"}),
    ],
)
def test_the_filter_is_in_the_address(quality: httpx.Client, query: str, names: set[str]) -> None:
    assert set(_tiles(quality.get(f"/spc?{query}").text)) == names


def test_a_filter_without_a_match_and_an_empty_central_say_what_comes_next(
    quality: httpx.Client, own: Site
) -> None:
    assert "Nothing matches the filter" in quality.get("/spc?line=elsewhere").text
    own.central.charts.heads = lambda *_a, **_k: []  # type: ignore[method-assign]
    assert "No control charts yet" in own.signed_in("op").get("/spc").text


def test_the_wall_has_no_controls_and_turns_its_pages(quality: httpx.Client) -> None:
    first = quality.get("/spc?wall=1").text
    assert 'data-theme="dark"' in first
    for control in ("<nav", "<form", "<button", "<a "):
        assert control not in first
    assert len(re.findall('<li class="tile', first)) == 6
    assert '<noscript><meta http-equiv="refresh" content="20;url=/spc?wall=1&amp;page=2"></noscript>' in first
    last = quality.get("/spc?wall=1&page=3").text
    assert "Page 3 of 3" in last
    assert 'data-next="/spc?wall=1&amp;page=1"' in last


# -- one chart ---------------------------------------------------------------------------------------------


def test_a_chart_tells_its_limits_rules_and_points(press: Site, quality: httpx.Client) -> None:
    text = quality.get(f"/spc/{chart_id(press, 'burst_pressure')}?point=60").text
    for said in (
        "8 points in a row on one side of the centre line",  # the parameters of the rule that fired
        "(53–60)",
        "2026-03",
        "2026-07",
        "390 … 430 kPa",
        "Signals without a cause",
        "Points 1 to 78",
        "Cpk 1.",
        "the chart of these points signals",
    ):
        assert said in text, said
    assert text.count("<svg xmlns") == 1
    assert "lk-spec" in text
    means = quality.get(f"/spc/{chart_id(press, 'seal_width')}").text
    assert "lk-spec" not in means  # a specification is for single values
    assert "is not drawn here" in means


def test_limits_that_vary_are_steps_and_sums_have_two_sides(press: Site, quality: httpx.Client) -> None:
    share = quality.get(f"/spc/{chart_id(press, 'rejects')}").text
    assert re.search(r'<path class="lk-limit" d="M[0-9. ]+H', share)
    sums = quality.get(f"/spc/{chart_id(press, 'fill_weight')}").text
    assert sums.count('class="lk-line"') == 2
    assert "−5.0" in sums


def test_the_stretch_follows_the_newest_points_or_is_held(press: Site, quality: httpx.Client) -> None:
    address = f"/spc/{chart_id(press, 'burst_pressure')}"
    newest = quality.get(f"{address}?show=50").text
    assert "Points 29 to 78" in newest
    assert newest.count("data-live") == 4
    held = quality.get(f"{address}?show=50&last=60").text
    assert "Points 11 to 60" in held
    assert "data-live" not in held
    assert re.search(r'href="[^"]*last=10" rel="prev"', held)
    assert re.search(r'href="[^"]*last=78" rel="next"', held)
    assert "Points 12 to 61" in quality.get(f"{address}?show=50&last=61&point=21").text
    assert "No points in this stretch" in quality.get(f"{address}?from=2020-01-01T00:00&to=2020-01-02T00:00").text
    times = re.findall(r'<time datetime="([^"]+)"', held)
    assert "Points 11 to" in quality.get(address, params={"from": times[2], "to": times[3]}).text


def test_a_long_stretch_is_drawn_whole_and_tabled_in_part(
    press: Site, quality: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spc_chart, "MOST_ROWS", 20)
    text = quality.get(f"/spc/{chart_id(press, 'burst_pressure')}?from=2020-01-01T00:00").text
    table = text[text.index('id="points"') :]
    assert re.findall(r'scope="row" class="num"><a class="rowlink"[^>]*>(\d+)<', table) == [
        str(n) for n in range(78, 58, -1)
    ]
    assert "20 of 78" in table
    assert "Points 1 to 78" in text


def test_the_stretch_is_there_as_files(press: Site, quality: httpx.Client) -> None:
    address = f"/spc/{chart_id(press, 'burst_pressure')}"
    answer = quality.get(f"{address}/points.csv?show=50&last=60")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "burst_pressure" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["number"]) for row in rows] == list(range(11, 61))
    assert rows[-1]["rules"] == "nelson2"
    assert rows[-1]["made_by"] == "nelson2:53+54+55+56+57+58+59+60"
    told = quality.get(f"{address}/points.json?show=50").json()
    assert (told["chart"]["kind"], len(told["points"])) == ("imr", 50)
    assert quality.get(f"{address}/points.xml").status_code == 404


@pytest.mark.parametrize("number", [str(2**63), "-" + "9" * 30, "9" * 30, "0"])
def test_an_address_with_any_number_is_answered(press: Site, quality: httpx.Client, number: str) -> None:
    """What is beyond every point is nothing there, or all there is; never a fault of ours."""
    chart = f"/spc/{chart_id(press, 'burst_pressure')}"
    for path, status in (
        (f"{chart}?last={number}", 200),
        (f"{chart}?show={number}", 200),
        (f"{chart}?point={number}", 404),
        (f"{chart}/points.csv?last={number}", 200),
        (f"{chart}/limits?first={number}&last={number}&preview=1", 422),
        (f"/spc?page={number}", 200),
    ):
        assert quality.get(path).status_code == status, path


def test_a_flagged_range_is_told_with_its_value_and_the_wall_tells_signals_first(
    press: Site, quality: httpx.Client
) -> None:
    text = quality.get(f"/spc/{chart_id(press, 'burst_pressure')}").text
    assert re.search(r"Moving ranges \d+\.\d: one point beyond a control limit", text)
    for line in re.findall(r'<p class="about line">(.*)</p>', quality.get("/spc?wall=1").text):
        told = [line.find(word) for word in ("without a cause", "Cpk")]
        assert -1 in told or told[0] < told[1]  # what is cut where there is no room is not the signal


def test_charts_and_points_that_do_not_exist_are_not_there(press: Site, quality: httpx.Client) -> None:
    assert quality.get("/spc/ffffffffffffffffffffffff").status_code == 404
    assert quality.get(f"/spc/{chart_id(press, 'rejects')}?point=900").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_chart_is_drawn_in_both_languages(press: Site, quality: httpx.Client, language: str) -> None:
    spoken = {"cookie": f"lk_session={quality.cookies['lk_session']}; lk_language={language}"}
    for head in press.central.charts.heads():
        answer = quality.get(f"/spc/{head.id}?point=1", headers=spoken)
        assert answer.status_code == 200, head.ref
        assert f'<html lang="{language}"' in answer.text
        assert " style=" not in answer.text


# -- what people say of a point ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that note, sign and propose, each at points of its own."""
    with site(tmp_path_factory.mktemp("acting"), chart_story(2)) as made:
        yield made


def _post(client: httpx.Client, page: str, path: str, **data: str) -> httpx.Response:
    return client.post(path, data={"csrf": form_token(client, page), **data})


def _content(client: httpx.Client, page: str) -> str:
    found = re.search(r'name="content_hash" value="([0-9a-f]{64})"', client.get(page).text)
    assert found is not None
    return found[1]


def test_a_signal_gets_a_cause_and_a_thread(acting: Site) -> None:
    client = acting.signed_in("jansen")
    address = f"/spc/{chart_id(acting, 'burst_pressure')}"
    act = f"{address}/points/71?show=50"
    assert _post(client, address, act, act="comment").status_code == 422
    assert _post(client, address, act, act="comment", cause="sabotage").status_code == 403
    answer = _post(client, address, act, act="comment", cause="tool-wear", text="seal of the <press> leaks")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}?show=50&point=71#point")
    assert _post(client, address, act, act="comment", text="seal changed").status_code == 303
    page = client.get(f"{address}?point=71").text
    for said in ("Tool wear", "seal of the &lt;press&gt; leaks", "seal changed", "jansen"):
        assert said in page, said
    head = acting.central.charts.head(chart_id(acting, "burst_pressure"))
    assert head is not None
    assert head.signals_open == 4
    reader = acting.signed_in("op")
    assert 'name="cause"' not in reader.get(f"{address}?point=71").text
    assert _post(reader, "/", act, act="comment", cause="tool-wear").status_code == 403


def test_a_point_is_left_out_with_a_signature_and_taken_in_again(acting: Site) -> None:
    client = acting.signed_in("jansen")
    address = f"/spc/{chart_id(acting, 'burst_pressure')}"
    page, act = f"{address}?point=22", f"{address}/points/22"
    shown = _content(client, page)
    data = {"act": "exclude", "cause": "setup", "reason": "sensor was unplugged", "user": "jansen"}
    signed = data | {"content_hash": shown, "password": PASSWORD}
    assert _post(client, page, act, **data).status_code == 422
    assert _post(client, page, act, **signed | {"password": "wrong"}).status_code == 403
    assert _post(client, page, act, **signed | {"user": "op"}).status_code == 409
    assert _post(client, page, act, **signed).status_code == 303
    text = client.get(page).text
    for said in ("Left out of limits", "sensor was unplugged", "Take this point in again", "lk-excluded"):
        assert said in text, said
    stale = _post(client, page, act, **signed)  # what was shown is no longer so
    assert stale.status_code == 409
    assert "Nothing was signed: it is not as it was shown" in stale.text
    again = signed | {"act": "include", "content_hash": _content(client, page), "reason": "it was plugged in"}
    assert _post(client, page, act, **again).status_code == 303
    assert "it was plugged in" in client.get(page).text
    points = acting.central.charts.points(acting.central.charts.heads(characteristic="burst_pressure")[0].ref)
    assert not any(point.excluded for point in points)


# -- limits ------------------------------------------------------------------------------------------------


def test_limits_are_previewed_proposed_and_approved_by_another(acting: Site) -> None:
    client = acting.signed_in("jansen")
    address = f"/spc/{chart_id(acting, 'burst_pressure')}/limits"
    preview = client.get(f"{address}?first=1&last=40&preview=1").text
    for said in ("Nothing is stored yet", "σ = mean(MR)/d₂", "39 of 1 to 40", "Signals under these limits"):
        assert said in preview, said
    assert re.search(
        r'>22</a></th><td>Single values</td><td class="num">429.50</td><td class="wrap">one point beyond', preview
    )
    assert acting.central.limit_sets.listed("burst_pressure") == []
    window = {"first": "1", "last": "40", "sigma": "median_mr", "centre": "mean", "constants": "exact"}
    assert _post(client, address, address, **window).status_code == 422
    answer = _post(client, address, address, **window, reason="process as it should be")
    assert answer.status_code == 303
    page = answer.headers["location"]
    text = client.get(page).text
    for said in ("Not approved", "process as it should be", "σ = median(MR)/0.954", "gap", "39 of 1 to 40"):
        assert said in text, said
    assert 'name="password"' not in text  # an engineer does not approve
    quality = acting.signed_in("chen.li")
    signed = {"act": "approve", "reason": "looked at the window", "user": "chen.li", "password": PASSWORD}
    signed |= {"content_hash": _content(quality, page), "effective": "2026-11-20T06:00"}
    assert _post(quality, page, page, **signed | {"effective": "soon"}).status_code == 422
    assert _post(quality, page, page, **signed | {"password": "wrong"}).status_code == 403
    assert _post(quality, page, page, **signed | {"user": "jansen"}).status_code == 403
    assert _post(quality, page, page, **signed).status_code == 303
    text = quality.get(page).text
    assert "2026-11-20 06:00:00" in text
    assert "Approved" in text
    stale = _post(quality, page, page, **signed)
    assert stale.status_code == 409
    assert "Nothing was signed: these limits changed while you looked at them." in stale.text
    assert "They are now: Approved, by chen.li." in stale.text
    withdrawn = signed | {"act": "withdraw", "content_hash": _content(quality, page), "effective": ""}
    assert _post(quality, page, page, **withdrawn).status_code == 303
    assert "Withdrawn" in quality.get(address).text


def test_whoever_proposed_limits_does_not_approve_them(acting: Site) -> None:
    client = acting.signed_in("chen.li")
    address = f"/spc/{chart_id(acting, 'rejects')}/limits"
    page = _post(client, address, address, first="1", last="36", reason="usual").headers["location"]
    signed = {"act": "approve", "reason": "mine", "user": "chen.li", "password": PASSWORD}
    answer = _post(client, page, page, **signed, content_hash=_content(client, page))
    assert answer.status_code == 403
    assert "whoever reviewed or proposed this may not release or approve it too" in answer.text
    assert "p̄ ± 3√(p̄(1 − p̄)/nᵢ)" in answer.text


@pytest.mark.parametrize(
    ("kind", "subgroup", "numbers"),
    [
        ("xbar_r", 5, {"centre": 410.0, "lower": 400.0, "upper": 420.0}),
        ("p", 1, {"centre": 0.02, "size": 50.0}),
        ("cusum", 1, {"target": 410.0, "sigma": 5.0}),
        ("t2_individuals", 1, {"mean": [410.0, 1.0], "covariance": [[1.0, 0.0], [0.0, 1.0]], "upper": 12.0}),
    ],
)
def test_limits_for_another_kind_of_chart_say_so(
    acting: Site, kind: str, subgroup: int, numbers: dict[str, JsonValue]
) -> None:
    chart = chart_id(acting, "burst_pressure")
    head = next(h for h in acting.central.charts.heads() if h.id == chart)
    author = User("jansen", "", Role.ENGINEER, False, 0, 0)
    one = acting.central.limit_sets.give(LimitKey.of(head), kind, subgroup, numbers, author, "drawing 9")
    client = acting.signed_in("chen.li")
    for page in (f"/spc/{chart}/limits", f"/spc/{chart}/limits/{one.id}"):
        told = re.search(r"For another kind of chart: [^.]+\. They judge nothing here\.", client.get(page).text)
        assert told, page
        assert told[0].endswith(f"subgroups of {subgroup}. They judge nothing here."), page


def test_a_window_that_makes_no_limits_is_refused_in_words(press: Site, quality: httpx.Client) -> None:
    address = f"/spc/{chart_id(press, 'burst_pressure')}/limits"
    answer = quality.get(f"{address}?first=31&last=31&preview=1")
    assert answer.status_code == 422
    assert "These points give no limits: choose another window or method." in answer.text
    assert "no limits from these points: too little" in answer.text
    assert quality.get(f"{address}/ffffffffffffffffffffffff").status_code == 404


# -- on the pages of the review ----------------------------------------------------------------------------


def test_what_a_chart_said_later_stands_on_every_piece_that_it_names(quality: httpx.Client) -> None:
    lot = dhr_of(quality, "WO-1002")
    text = quality.get(f"/units/{lot}/C-010").text
    for said in (
        "What control charts said later",
        "Means: one point beyond a control limit",
        "limits 2026-03",
        "Units held",
        "Held after a signal",
    ):
        assert said in text, said
    link = re.search(r'<a class="rowlink" href="(/spc/[0-9a-f]{24}\?at=0-3#point)">energy', text)
    assert link is not None
    assert '<h2 id="point-title">Point 3</h2>' in quality.get(link[1]).text
    assert "What control charts said later" not in quality.get(f"/units/{lot}/C-009").text


def test_a_signals_finding_leads_to_its_chart(quality: httpx.Client) -> None:
    found = quality.get("/api/v1/exceptions", params={"code": "unit-held"}).json()["items"]
    assert len(found) == 1
    text = quality.get(f"/findings/{found[0]['id']}").text
    link = re.search(r'href="(/spc/[0-9a-f]{24}\?at=-3#point)"', text)
    assert link is not None
    assert '<h2 id="point-title">Point 3</h2>' in quality.get(link[1]).text


# -- recipes -----------------------------------------------------------------------------------------------


def test_a_recipe_is_compared_with_the_one_before_and_approved(acting: Site) -> None:
    client = acting.signed_in("chen.li")
    assert "No recipes yet" in client.get("/recipes").text
    engineer = next(u for u in acting.central.access.users() if u.id == "jansen")
    proposals = acting.central.recipes
    for usl in (430.0, 428.0):
        entry: dict[str, JsonValue] = {"tool": None, "position": "2", "sigma": None}
        entry["specification"] = {"lsl": 390.0, "usl": usl, "target": 410.0}
        content: dict[str, JsonValue] = {"product": "PT-20", "revision": "C"}
        content["characteristics"] = {"burst_pressure": [entry]}
        proposals.propose("PT-20/C", lambda _version, content=content: content, engineer, "drawing 7")
    newest = proposals.listed()[0]
    page = f"/recipes/{newest.id}"
    assert "PT-20/C" in client.get("/recipes").text
    text = client.get(page).text
    for said in ("compared with version 1", "<del>430</del>", "changed", "drawing 7"):
        assert said in text, said
    signed = {"act": "approve", "reason": "as drawn", "user": "chen.li", "password": PASSWORD}
    signed["content_hash"] = _content(client, page)
    assert _post(client, page, page, **signed | {"reason": ""}).status_code == 422
    assert _post(client, page, page, **signed | {"user": "jansen"}).status_code == 403
    assert _post(client, page, page, **signed).status_code == 303
    assert "Approved" in client.get(page).text
    stale = _post(client, page, page, **signed)
    assert stale.status_code == 409
    assert "Nothing was signed: this recipe changed" in stale.text
    assert client.get("/recipes/ffffffffffffffffffffffff").status_code == 404
