"""Drawing evidence: control charts through ``spc.svg``, and the curve of one captured profile."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from central.domain import SpcPoint, SpcSeries
from central.web import states
from central.web.i18n import N_, Words
from central.web.show import decimals_for, unit_text
from central.web.visit import markup
from spc.limits import LimitSet, check_subgroup
from spc.rules import Signal
from spc.series import ChartSeries, LimitSpan
from spc.svg import draw_chart

WIDTH = 1320
"""Pixels of a drawing at its natural size: the width of the page."""

CHART_WORDS = {
    "ucl": N_("UCL"),
    "cl": N_("CL"),
    "lcl": N_("LCL"),
    "usl": N_("USL"),
    "lsl": N_("LSL"),
    "axis": N_("Sample"),
    "provisional": N_("{version}, provisional"),
    "point": N_("{axis} {number}: {value}"),
    "summary": N_("{points} points, {signals} flagged, {gaps} without a reading."),
}
"""Words of ``spc.series.ENGLISH`` for the translators; the names in braces stay."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flagged point: its number from 1, and the rules that it met, in words."""

    number: int
    point: SpcPoint
    rules: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One characteristic: its drawings (``ranges`` is empty without limits), and the tables that say the same."""

    key: str
    title: str
    series: SpcSeries
    svg: Markup
    ranges: Markup
    flagged: tuple[Flag, ...]
    decimals: int


def chart(series: SpcSeries, words: Words) -> Chart:
    """Draw one series of a record in the reader's language.

    A record's verdict names its rules, not which of the two charts met them: a point within the limits that met
    rule 1 met it with its range.
    """
    key = f"chart-{series.station}-{series.characteristic}"
    title = f"{series.operation} · {series.characteristic} · {states.name(words, 'chart', series.chart)}"
    of_range = {s.index for s in series.signals if s.rule == "nelson1" and _inside(series, s.index)}
    on_location = _once(s for s in series.signals if s.rule != "nelson1" or s.index not in of_range)
    limits = tuple(
        LimitSpan(s.centre, s.lower, s.upper, s.version, s.provisional, s.start, s.stop) for s in series.limits
    )
    drawn = ChartSeries(
        key=key,
        title=title,
        values=[point.value for point in series.points],
        limits=limits,
        signals=on_location,
        unit=unit_text(series.unit),
        lsl=series.lower,
        usl=series.upper,
    )
    svg = draw_chart(drawn, width=WIDTH, height=280, labels=_labels(words))
    rules: dict[int, list[str]] = {}
    for signal in on_location:
        rules.setdefault(signal.index, []).append(states.name(words, "rule", signal.rule))
    for index in of_range:
        rules.setdefault(index, []).append(words(N_("range beyond its control limit")))
    flagged = tuple(Flag(i + 1, series.points[i], "; ".join(rules[i])) for i in sorted(rules))
    decimals = decimals_for(p.value for p in series.points)
    return Chart(key, title, series, markup(svg), _ranges(series, key, of_range, words), flagged, decimals)


def _inside(series: SpcSeries, index: int) -> bool:
    value = series.points[index].value
    held = [s for s in series.limits if s.start <= index and (s.stop is None or index < s.stop)]
    return value is not None and bool(held) and held[0].lower <= value <= held[0].upper


def _once(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    return tuple({(s.index, s.rule): s for s in signals}.values())


def _ranges(series: SpcSeries, key: str, flagged: Collection[int], words: Words) -> Markup:
    """The chart of ranges. Its limits follow from those of the location chart: one sigma is behind both."""
    spans: list[LimitSpan] = []
    for s in series.limits:
        made = LimitSet.fixed(
            check_subgroup(series.chart, series.size), s.centre, s.lower, s.upper, s.version or "-", series.size
        )
        lines = made.spread_at(series.size)
        if lines is not None:
            spans.append(LimitSpan(lines.centre, lines.lower, lines.upper, "", s.provisional, s.start, s.stop))
    if not spans:
        return Markup("")
    name = words(N_("Ranges")) if series.size > 1 else words(N_("Moving ranges"))
    drawn = ChartSeries(
        key=f"{key}-range",
        title=f"{series.operation} · {series.characteristic} · {name}",
        values=[point.range_value for point in series.points],
        limits=tuple(spans),
        signals=tuple(Signal("nelson1", index, (index,)) for index in sorted(flagged)),
        unit=unit_text(series.unit),
    )
    return markup(draw_chart(drawn, width=WIDTH, height=160, labels=_labels(words)))


def _labels(words: Words) -> dict[str, str]:
    spoken = {name: words(text) for name, text in CHART_WORDS.items()}
    return spoken | {rule: words(text) for rule, text in states.NAMES["rule"].items()}


def curve(values: Sequence[float], title: str, unit: str) -> Markup:
    """A captured profile as a small line: highest value named, nothing judged."""
    points = [v for v in values if math.isfinite(v)]
    if len(points) < 2:
        return Markup("")
    low, high = min(0.0, *points), max(points)
    span = (high - low) or 1.0
    path = " ".join(
        f"{40 + 920 * i / (len(points) - 1):.1f},{150 - 130 * (v - low) / span:.1f}" for i, v in enumerate(points)
    )
    peak = f"{high:.{decimals_for([float(high)])}f} {unit}".strip()
    return Markup(
        '<svg viewBox="0 0 1000 160" role="img" aria-label="{}">'
        '<line class="axis" x1="40" x2="960" y1="{}" y2="{}"/>'
        '<polyline class="curve" points="{}"/><text x="40" y="12">{}</text></svg>'
    ).format(title, f"{150 + 130 * low / span:.1f}", f"{150 + 130 * low / span:.1f}", path, peak)
