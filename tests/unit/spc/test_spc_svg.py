import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from spc.rules import Signal
from spc.scale import decimals_for, exact_text, nice_step, number_text, spread, thin, ticks
from spc.svg import (
    CHART_CSS,
    ENGLISH,
    ChartSeries,
    Histogram,
    LimitSpan,
    Note,
    as_file,
    draw_chart,
    draw_pair,
    draw_with_histogram,
)

NS = "{http://www.w3.org/2000/svg}"
LIMITS = LimitSpan(10.0, 9.0, 11.0, "v3")
RUN = Signal("nelson2", 9, tuple(range(1, 10)))
SERIES = ChartSeries(
    "gap",
    "Gap width",
    [10.0, *[10.4] * 9, None, 11.6, 10.1],
    (LIMITS,),
    (RUN, Signal("nelson1", 11, (11,))),
    "mm",
    lsl=8.5,
    usl=11.5,
)


def drawn(series: ChartSeries = SERIES, **options: object) -> ElementTree.Element:
    return ElementTree.fromstring(draw_chart(series, **options))  # type: ignore[arg-type]


def having(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in (element.get("class") or "").split()]


def texts(root: ElementTree.Element, name: str) -> list[str]:
    return [element.text or "" for element in having(root, name)]


def test_it_stands_under_a_strict_content_security_policy() -> None:
    svg = draw_chart(SERIES)
    assert not re.search(r"\sstyle=|<style|<script|\son\w+=|href|url\(", svg)


def test_title_and_description_say_what_the_picture_says() -> None:
    root = drawn()
    assert root.get("role") == "img"
    ids = (root.get("aria-labelledby") or "").split()
    told = {element.get("id"): element.text for element in root if element.tag in (NS + "title", NS + "desc")}
    assert list(told) == ids == ["gap-title", "gap-desc"]
    assert told["gap-title"] == "Gap width"
    assert told["gap-desc"] == (
        "13 points, 2 flagged, 1 without a reading. "
        "Sample 10: 10.40 mm, 9 points in a row on one side of the centre line. "
        "Sample 12: 11.60 mm, one point beyond a control limit."
    )


def test_all_ids_are_unique_and_follow_the_key() -> None:
    both = draw_chart(SERIES) + draw_chart(replace(SERIES, key="gap range/2"))
    ids = re.findall(r'\sid="([^"]*)"', both)
    assert len(ids) == len(set(ids)) == 2 * (2 + 12)
    assert {"gap-p10", "gap-p12", "gap-range-2-p10", "gap-range-2-title"} <= set(ids)


def test_lines_are_named_at_the_right_end() -> None:
    root = drawn()
    assert texts(root, "lk-label") == [
        *("USL", "11.50", "UCL", "11.00", "CL", "10.00", "LCL", "9.00", "LSL", "8.50"),
    ]
    assert len(having(root, "lk-limit")) == len(having(root, "lk-spec")) == 2
    assert all(line.get("stroke-dasharray") for line in having(root, "lk-limit"))
    assert not any(line.get("stroke-dasharray") for line in having(root, "lk-spec"))


def test_labels_of_close_lines_do_not_touch() -> None:
    close = LimitSpan(10.0, 9.99, 10.01)
    root = drawn(ChartSeries("k", "t", [9.0, 11.0], (close,), lsl=9.985, usl=10.015), height=200)
    ys = [float(label.get("y") or "") for label in having(root, "lk-number")]
    assert len(ys) == 5
    assert min(b - a for a, b in pairwise(ys)) >= 14.9


def test_flagged_points_have_a_shape_and_their_rule_in_words() -> None:
    root = drawn()
    square, diamond = having(root, "lk-signal")
    assert "lk-rule-nelson2" in (square.get("class") or "")
    assert having(square, "lk-square")
    assert having(diamond, "lk-diamond")
    words = [element.findtext(f"{NS}title") for element in (square, diamond)]
    assert words[0] == "Sample 10: 10.40 mm, 9 points in a row on one side of the centre line"
    assert words[1] == "Sample 12: 11.60 mm, one point beyond a control limit"


def test_a_point_under_both_rules_is_a_diamond_that_tells_both() -> None:
    both = replace(SERIES, signals=(RUN, Signal("nelson1", 9, (9,))))
    (mark,) = having(drawn(both), "lk-signal")
    assert having(mark, "lk-diamond")
    assert "9 points" in (mark.findtext(f"{NS}title") or "")
    assert "one point beyond" in (mark.findtext(f"{NS}title") or "")


def test_words_can_be_translated_and_unknown_rules_keep_their_name() -> None:
    root = drawn(labels={"ucl": "控制上限", "axis": "样本", "nelson1": "一点超出控制限"})
    assert "控制上限" in texts(root, "lk-label")
    assert "LCL" in texts(root, "lk-label")
    titles = [element.text for element in root.iter(NS + "title")]
    assert "样本 12: 11.60 mm, 一点超出控制限" in titles
    other = drawn(replace(SERIES, signals=(Signal("house7", 3, (3,)),)))
    assert having(other, "lk-signal")[0].findtext(f"{NS}title") == "Sample 4: 10.40 mm, house7"


def test_a_gap_breaks_the_line_and_leaves_a_tick() -> None:
    root = drawn()
    assert len(having(root, "lk-line")) == 2
    assert (having(root, "lk-gap")[0].get("d") or "").count("M") == 1
    whole = drawn(ChartSeries("k", "t", [1.0, 2.0, 3.0]))
    assert len(having(whole, "lk-line")) == 1
    assert having(whole, "lk-gap") == []


def test_a_run_lies_on_a_band_of_its_nine_points() -> None:
    (band,) = having(drawn(), "lk-run")
    assert (band.get("d") or "").count("L") == 8


def test_limits_begin_and_end_with_their_version() -> None:
    spans = (
        LimitSpan(10.0, 9.0, 11.0, "phase1-5", True, start=4, stop=8),
        LimitSpan(10.2, 9.5, 10.9, "v1", start=8),
    )
    root = drawn(replace(SERIES, limits=spans))
    assert texts(root, "lk-version") == ["phase1-5, provisional", "v1"]
    edges = [(float(e.get("x1") or ""), float(e.get("x2") or "")) for e in having(root, "lk-limit")]
    assert edges[0][1] == edges[2][0]
    assert edges[0][0] > 200
    assert texts(root, "lk-number")[1] == "10.90"


def test_a_far_specification_is_named_at_the_edge_instead_of_flattening_the_data() -> None:
    root = drawn(replace(SERIES, usl=500.0, lsl=None))
    assert texts(root, "lk-label")[:2] == ["USL ↑", "500"]
    assert having(root, "lk-spec") == having(root, "lk-outside") == []


def test_everything_from_outside_is_escaped() -> None:
    evil = "<script>\"&'\x00"
    series = ChartSeries(evil, evil, [1.0, 5.0], (LimitSpan(2, 1, 3, evil),), (Signal(evil, 1, (1,)),), evil)
    svg = draw_chart(
        series, labels={key: evil for key in ENGLISH if key not in ("point", "summary", "provisional")}
    )
    assert "<script" not in svg
    assert "\x00" not in svg
    root = ElementTree.fromstring(svg)
    assert root.findtext(f"{NS}title") == "<script>\"&'\ufffd"


def test_many_points_are_thinned_but_no_flagged_one_is_lost() -> None:
    values = [10 + math.sin(i) + (i % 7) / 10 for i in range(20_000)]
    signals = tuple(Signal("nelson1", i, (i,)) for i in range(1000, 1200))
    root = drawn(ChartSeries("k", "t", values, (LIMITS,), signals), width=960)
    assert len(having(root, "lk-signal")) == 200
    assert having(root, "lk-point") == []
    traces = [re.split("[ML]", line.get("d") or "") for line in having(root, "lk-line")]
    on_line = {place for trace in traces for place in trace}
    assert {f"{hit.get('cx')} {hit.get('cy')}" for hit in having(root, "lk-hit")} <= on_line
    points = sum((line.get("d") or "").count("L") for line in having(root, "lk-line"))
    assert 900 < points <= 2 * 960 + 200


def test_a_pair_is_one_drawing_with_one_axis_and_a_head_for_each_chart() -> None:
    span = LimitSpan(0.3, 0.0, 1000.0)
    ranges = ChartSeries("gap-range", "Moving range", [None, 0.4, 0.1], (span,), panel="Range")
    upper = ChartSeries(
        "gap", "Gap width", [1.0, 1.4, 1.3], (LimitSpan(1.2, 0.0, 2.0, "v1"),), panel="Value", unit="mm"
    )
    root = ElementTree.fromstring(draw_pair(upper, ranges))
    assert texts(root, "lk-panel") == ["Value, mm", "Range"]
    assert texts(root, "lk-version") == ["v1"]
    assert root.findtext(f"{NS}title") == "Gap width"
    assert (root.findtext(f"{NS}desc") or "").startswith(
        "Value: 3 points, 0 flagged, 0 without a reading. Range: 3"
    )
    assert texts(root, "lk-tick").count("3") == 1
    dots = {e.get("id"): e.get("cx") for e in having(root, "lk-point")}
    assert dots["gap-p2"] == dots["gap-range-p2"]
    assert dots["gap-p3"] == dots["gap-range-p3"]
    with pytest.raises(ValueError, match="at least 240 x 240"):
        draw_pair(upper, ranges, height=200)


VALUES = Histogram(
    [1.0, 1.1, 1.1, 1.2, 1.2, 1.2, 1.3, 1.3, math.nan, 1.5],
    0.8,
    9.0,
    (("within", 1.2, 0.1), ("overall", 1.2, 0.2)),
)


def test_a_histogram_holds_values_against_their_specification() -> None:
    root = ElementTree.fromstring(draw_with_histogram(SERIES, replace(VALUES, panel="Values")))
    bars = [bar.findtext(f"{NS}title") or "" for bar in having(root, "lk-bar")]
    counts = [int(text.rsplit(" ", 1)[1]) for text in bars]
    assert sum(counts) == 9
    assert bars[:2] == ["1.00 to 1.10: 1", "1.10 to 1.20: 2"]
    assert len(having(root, "lk-curve")) == 2
    ends = texts(root, "lk-label")
    assert {"LSL 0.8", "USL 9 →", "within", "overall"} <= {
        text.replace("0.80", "0.8").replace("9.00", "9") for text in ends
    }
    assert (root.findtext(f"{NS}desc") or "").endswith("9 values from 1.00 to 1.50, mean 1.211.")
    assert "Values, mm" in texts(root, "lk-panel")


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0], [-1e-9, 1e-9], [1e99, -1e99], [3.0] * 50 + [4.0]])
def test_few_and_odd_values_make_a_histogram(values: list[float]) -> None:
    svg = draw_with_histogram(SERIES, Histogram(values, -1.0, 8.0))
    assert "nan" not in svg
    assert len(svg) < 20_000
    bars = having(ElementTree.fromstring(svg), "lk-bar")
    assert sum(int((bar.findtext(f"{NS}title") or "").rsplit(" ", 1)[1]) for bar in bars) == len(values)


def test_a_histogram_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        draw_with_histogram(SERIES, Histogram([math.nan]))
    with pytest.raises(ValueError, match="at least 240 x 240"):
        draw_with_histogram(SERIES, VALUES, height=200)


def test_limits_of_their_own_for_each_point_are_steps() -> None:
    span = LimitSpan(0.1, 0.0, 0.2, "v1", uppers=[0.2, 0.2, 0.3, math.nan, 0.25], lowers=[0.0] * 5)
    signal = Signal("nelson1", 1, (1,))
    root = drawn(ChartSeries("p", "t", [0.1, 0.21, 0.1, None, 0.1], (span,), (signal,)))
    steps = [e for e in having(root, "lk-limit") if e.tag == f"{NS}path"]
    (upper,) = steps  # the lower one is the same for all points, and a plain line
    assert (upper.get("d") or "").count("V") == 2
    assert texts(root, "lk-number") == ["0.250", "0.100", "0.000"]
    told = having(root, "lk-signal")[0].findtext(f"{NS}title")
    assert told == "Sample 2: 0.210, limits 0.000 to 0.200, one point beyond a control limit"


def test_a_line_that_a_chart_does_not_have_is_not_drawn() -> None:
    root = drawn(ChartSeries("t2", "t", [1.0, 3.0], (LimitSpan(None, None, 9.0),)))
    assert texts(root, "lk-label") == ["UCL", "9.00"]
    assert len(having(root, "lk-limit")) == 1
    assert having(root, "lk-centre") == []


def test_the_lower_sum_of_a_cusum_is_drawn_below_with_marks_of_its_own() -> None:
    series = ChartSeries(
        *("c", "t", [0.5, 0.0, 0.0], (LimitSpan(0.0, -4.0, 4.0),)),
        below=[0.0, -2.0, -4.5],
        below_signals=(Signal("nelson1", 2, (2,)),),
    )
    root = drawn(series)
    assert len(having(root, "lk-line")) == 2
    (mark,) = having(root, "lk-signal")
    assert mark.get("id") == "c-m3"
    assert (mark.findtext(f"{NS}title") or "").startswith("Sample 3: −4.50")


def test_excluded_points_are_hollow_and_tell_their_cause_and_where_more_is_told() -> None:
    notes = {
        3: Note("new raw material", excluded=True, href="/points/4"),
        9: Note(excluded=True),
        4: Note("tool <cleaned>"),
    }
    svg = draw_chart(replace(SERIES, notes=notes, names=["", "", "", "08:31"]))
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "group"
    dot, mark = having(root, "lk-excluded")
    told = "Sample 4 (08:31): 10.40 mm; left out of the limits; new raw material"
    assert dot.findtext(f"{NS}title") == told
    (link,) = root.iter(f"{NS}a")
    assert (link.get("href"), link.get("aria-label"), list(link)) == ("/points/4", told, [dot])
    assert "lk-square" in (mark.get("class") or "")
    assert [e.findtext(f"{NS}title") for e in having(root, "lk-noted")] == ["Sample 5: 10.40 mm; tool <cleaned>"]


def test_the_points_that_set_the_limits_are_on_a_ground_of_their_own() -> None:
    root = drawn(replace(SERIES, phase1=6))
    (ground,) = having(root, "lk-phase")
    (edge,) = having(root, "lk-change")
    x, width, end = (float(e.get(k) or "") for e, k in ((ground, "x"), (ground, "width"), (edge, "x1")))
    assert x + width == pytest.approx(end, abs=0.2)
    assert texts(root, "lk-version") == ["Phase I", "v3"]
    assert "Phase I" not in texts(drawn(replace(SERIES, phase1=1)), "lk-version")
    named = replace(SERIES, phase1=6, panel="Width")
    pair = ElementTree.fromstring(draw_pair(named, replace(named, key="b")))
    assert texts(pair, "lk-version").count("Phase I") == 1
    assert "Phase I" in texts(drawn(named), "lk-version")


def test_a_drawing_as_a_file_carries_its_stylesheet_and_paper() -> None:
    text = as_file(draw_chart(SERIES))
    root = ElementTree.fromstring(text.encode())
    assert root[0].tag == f"{NS}style"
    assert "prefers-color-scheme: dark" in (root[0].text or "")
    place = [root[1].get(name) for name in ("class", "x", "y", "width", "height")]
    assert place == ["lk-paper", "-12", "-12", "984", "344"]
    assert root.get("viewBox") == "-12 -12 984 344"
    assert root.findtext(f"{NS}title") == "Gap width"


def test_very_many_flagged_points_share_a_path_and_none_is_left_out() -> None:
    values = [10 + math.sin(i / 50) for i in range(100_000)]
    signals = tuple(Signal("nelson1", i, (i,)) for i in range(0, 100_000, 10))
    notes = {50_001: Note("kept", excluded=True)}
    svg = draw_chart(ChartSeries("k", "t", values, (LIMITS,), signals, notes=notes))
    root = ElementTree.fromstring(svg)
    (crowd,) = having(root, "lk-diamond")
    outlines = (crowd.get("d") or "").split("M")[1:]
    assert len(outlines) == len(set(outlines)) > 900
    assert len(having(root, "lk-excluded")) == 1
    assert len(svg) < 700_000


@pytest.mark.parametrize("values", [[], [None, None], [5.0], [5.0, 5.0], [0.0], [1e299, -1e299], [1e-12, 2e-12]])
def test_poor_series_still_make_a_chart(values: list[float | None]) -> None:
    svg = draw_chart(ChartSeries("k", "t", values))
    assert "nan" not in svg
    assert "inf" not in svg
    ElementTree.fromstring(svg)


def test_a_chart_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 240 x 120"):
        draw_chart(SERIES, width=200)
    for index in (10, 13, -1):
        with pytest.raises(ValueError, match="where none is drawn"):
            draw_chart(replace(SERIES, signals=(Signal("nelson1", index, (index,)),)))


def test_every_class_has_its_rule_in_the_stylesheet() -> None:
    dense = draw_chart(ChartSeries("d", "t", [float(i % 5) for i in range(2000)]))
    spans = (replace(LIMITS, stop=4), replace(LIMITS, start=4))
    notes = {2: Note("a"), 3: Note(excluded=True), 9: Note(excluded=True)}
    series = replace(SERIES, limits=spans, notes=notes, phase1=4)
    svg = draw_pair(replace(series, panel="A"), replace(series, key="b", panel="B")) + as_file(dense)
    svg += draw_with_histogram(series, VALUES)
    used = {name for names in re.findall(r'class="([^"]*)"', svg) for name in names.split()}
    bare = {name for name in used if name.startswith("lk-rule-")} | {"lk-hit"}
    assert {name for name in used - bare if f".{name}" not in CHART_CSS} == set()
    assert set(re.findall(r"\.(lk-[\w-]+)", CHART_CSS)) - used == set()


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_contrast_in_both_themes_and_in_print() -> None:
    """WCAG 2.2: 4.5 for text, 3 for marks and lines that carry meaning."""
    themes = re.findall(r"\{\s*(--lk-paper: #[^}]*)\}", CHART_CSS)
    assert len(themes) == 4
    for theme in themes:
        colours = dict(re.findall(r"--lk-([a-z-]+): (#[0-9a-f]{6})", theme))
        paper = luminance(colours["paper"])
        for name, least in [
            *(("ink", 4.5), ("muted", 4.5), ("spec-ink", 4.5)),
            *(("data", 3), ("limit-ink", 3), ("alarm", 3), ("warn", 3)),
        ]:
            light, dark = sorted((paper, luminance(colours[name])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (name, colours[name])


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.13, 0.92, 5) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ticks(-3, 3, 4) == [-2, 0, 2]
    assert ticks(1, 1, 4) == []
    assert nice_step(7.1, 1) == 10


def test_figures_are_rounded_for_people_but_specifications_never() -> None:
    assert number_text(-0.0004, 2) == "0.00"
    assert number_text(-1.5, 1) == "−1.5"
    assert number_text(1.25e9, 0) == "1.25e+09"
    assert number_text(3.2e-9, 11) == "3.2e−09"
    assert [decimals_for(r) for r in (0.05, 0.01, 1.0, 20.0)] == [2, 2, 0, 0]
    assert exact_text(142.0, 2) == "142.00"
    assert exact_text(-0.12345, 2) == "−0.12345"


def test_labels_move_no_further_than_they_must() -> None:
    assert spread([10, 50, 90], 15, 0, 100) == [10, 50, 90]
    assert spread([50, 50], 10, 0, 100) == [45, 55]
    assert spread([0, 1, 2], 10, 0, 100) == [0, 10, 20]
    assert spread([98, 99], 10, 0, 100) == [90, 100]
    assert spread([], 10, 0, 100) == []


def test_thinning_keeps_extremes_and_what_it_is_told_to() -> None:
    x = np.array([0.0, 0.2, 0.4, 0.6, 1.0, 1.5])
    values = np.array([3.0, 1.0, 2.0, 9.0, math.nan, 4.0])
    assert thin(x, values, []).tolist() == [1, 3, 5]
    assert thin(x, values, [2, 4]).tolist() == [1, 2, 3, 5]
    assert thin(np.array([]), np.array([]), []).tolist() == []
