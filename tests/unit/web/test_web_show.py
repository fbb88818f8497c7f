"""How values are written, and what makes the pages safe, without a server."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

import central.web
from central.web import params, rules, show
from central.web.charts import curve
from central.web.i18n import words
from central.web.security import local_path
from records.model import OperationsEvent

CSS = (Path(central.web.__file__).parent / "static" / "app.css").read_text()


def test_figures_of_a_column_share_their_decimals() -> None:
    values: list[object] = [2.193, 2.2, 0.5, None, "x"]
    places = show.decimals_for(values)
    assert [show.figure(v, places) for v in values] == ["2.193", "2.200", "0.500", "–", "x"]
    assert show.figure(0.11923400312662125) == "0.1192"
    assert show.figure(-1234.5) == "−1234" or show.figure(-1234.5) == "−1235"
    assert show.figure(True) == "1"
    assert show.figure(0) == "0"
    assert show.exact(0.1 + 0.2) == "0.30000000000000004"


def test_times_carry_their_zone() -> None:
    told = show.Show("Asia/Shanghai", words("en"), 1_795_000_000_000_000)
    text = str(told.time(1_795_000_000_123_456, fine=True))
    assert "19:06:40.123456" in text
    assert "+08:00" in text
    assert 'datetime="2026-11-18T11:06:40.123456Z"' in text
    assert ">11-17 " in str(told.clock(1_794_900_000_000_000))
    assert ">2020-09-13 " in str(told.clock(1_600_000_000_000_000)), "another year is named"
    paper = show.Show(told.zone, told.words, told.now_us, dated=True)
    assert ">2026-11-17 " in str(paper.clock(1_794_900_000_000_000)), "on paper the whole date"
    assert ".000000<" in str(told.clock(1_794_900_000_000_000, fine=True))
    assert told.offset(0) == "+08:00"
    assert "–" in str(told.time(None))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_spans_take_their_largest_unit(seconds: float, text: str) -> None:
    assert show.Show("UTC", words("en"), 0).span(seconds) == text


def test_percent_is_100_only_when_nothing_is_missing() -> None:
    assert show.percent(999, 1000) == 99
    assert show.percent(1000, 1000) == 100
    assert show.percent(0, 0) == 100


def test_quantities_are_plain() -> None:
    assert show.quantity(Decimal("50.00")) == "50"
    assert show.quantity(Decimal("2E+2")) == "200"


def test_two_sides_of_a_finding() -> None:
    spoken = words("en")
    sides = params.pair(spoken, {"value": 0.535, "lower": 0.3, "upper": 0.5, "unit": "mm"})
    assert [(s.label, s.value, s.note) for s in sides] == [
        ("allowed", "0.3 … 0.5", "mm"),
        ("value", "0.535", "mm"),
    ]
    sides = params.pair(spoken, {"counter": "total", "machine": 51, "records": 50})
    assert [s.value for s in sides] == ["50", "51"]
    assert params.pair(spoken, {"tag": "x"}) == ()


def test_a_finding_in_one_line() -> None:
    spoken = words("en")
    test = {"characteristic": "leak_rate", "value": 0.62, "unit": "mL/min", "lower": 0.0, "upper": 0.5}
    assert params.brief(spoken, {"operation": "OP30", "attempt": 1, "tests": [test]}) == (
        "leak_rate 0.62 mL/min [0 … 0.5]"
    )
    assert params.brief(spoken, {"characteristic": "torque", "rule": "nelson1", "parts": []}) == (
        "torque · one point beyond a control limit"
    )
    assert len(params.brief(spoken, {"error": "x" * 1000})) <= 160


def test_an_event_in_one_line_says_of_a_finding_what_it_is() -> None:
    def told(event: str, /, **told: Any) -> str:
        return params.event_told(words("en"), OperationsEvent(event, told))

    assert told("lot-mounted", item="SR-20", lot="SR-2026-007") == "Item SR-20 · Lot SR-2026-007"
    issued = {"kind": "lots", "id": "SR-20", "content": "0a" * 32}
    assert told("document-issued", **issued) == "Kind Component lots · Number SR-20"
    opened = {"discrepancy": "4f1c", "code": "counter-disagrees", "params": {"records": 4, "machine": 1}}
    assert told("discrepancy-opened", **opened) == "Machine counter disagrees · Records 4 · Machine 1"
    assert told("exception-opened", code="from-the-future") == "from-the-future"


def test_a_curve_is_drawn_whatever_is_in_it() -> None:
    assert curve([], "f", "N") == ""
    drawn = str(curve([0.0, 5.0, float("nan"), 2.0], "<f>", "N"))
    assert "&lt;f&gt;" in drawn
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/dhrs?x=1", "/dhrs?x=1"),
        ("//evil", "/"),
        ("/\\evil", "/"),
        ("https://evil", "/"),
        ("/a\nb", "/"),
        (None, "/"),
        ("", "/"),
    ],
)
def test_one_goes_on_only_within_the_site(asked: str | None, path: str) -> None:
    assert local_path(asked) == path


# -- colours -----------------------------------------------------------------------------------------------


def _colours(theme: int) -> dict[str, str]:
    pairs = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
    return {name: (light, dark)[theme] for name, light, dark in pairs}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_status_colours_can_be_read(theme: int) -> None:
    c = _colours(theme)
    for ground in ("canvas", "surface", "sunken", "hover"):
        for ink in ("ink", "muted", "accent"):
            assert _contrast(c[ink], c[ground]) >= 4.5, (ink, ground)
    for status in ("ok", "warning", "bad", "hold", "idle"):
        for ground in (f"{status}-tint", "surface", "hover"):
            assert _contrast(c[status], c[ground]) >= 4.5, (status, ground)
    assert _contrast(c["accent-ink"], c["accent"]) >= 4.5
    assert _contrast(c["accent"], c["accent-tint"]) >= 4.5
    assert _contrast(c["line-strong"], c["surface"]) >= 3  # borders of fields


@pytest.mark.parametrize(
    ("name", "given", "english", "chinese"),
    [
        ("nelson1", {}, "one point beyond a control limit", "一点超出控制限"),
        ("nelson1", {"sigmas": 2.5}, "one point more than 2.5 σ from the centre line", "一点距中心线超过 2.5 σ"),
        ("nelson2", {}, "9 points in a row on one side of the centre line", "连续 9 点位于中心线同一侧"),
        (
            "nelson2",
            {"points": 8, "window": 8},
            "8 points in a row on one side of the centre line",
            "连续 8 点位于中心线同一侧",
        ),
        (
            "western2",
            {"points": 3, "window": 4, "sigmas": 1.5},
            "3 of 4 points in a row more than 1.5 σ from the centre line, on one side",
            "连续 4 点中有 3 点位于中心线同一侧且距离超过 1.5 σ",
        ),
        ("from-the-future", {}, "from-the-future", "from-the-future"),
    ],
)
def test_a_rule_is_told_with_its_parameters(
    name: str, given: dict[str, JsonValue], english: str, chinese: str
) -> None:
    assert rules.text(words("en"), name, given) == english
    assert rules.text(words("zh-CN"), name, given) == chinese
    finding: dict[str, JsonValue] = {"characteristic": "torque", "rule": name, **given}
    assert params.brief(words("en"), finding) == f"torque · {english}"
