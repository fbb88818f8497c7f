"""Drawing evidence: control charts through ``spc.svg``, and the curve of one captured profile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from central.domain import SpcLimits, SpcPoint, SpcSeries
from central.web import rules, states
from central.web.i18n import N_, Words
from central.web.params import stream_text
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


SPREADS: Mapping[str, str] = {
    "imr": N_("Moving ranges"),
    "xbar_r": N_("Ranges"),
    "xbar_s": N_("Standard deviations"),
    "cusum": N_("Lower sum"),
}
"""Kind of chart -> what its second chart shows; other kinds have none."""
OF_VALUES = frozenset({"imr", "xbar_r", "xbar_s", "ewma"})
"""Kinds whose first chart is in the unit of the characteristic, so that a specification can be drawn in it."""
UNITLESS = frozenset({"p", "np", "c", "laney_p", "t2_subgroup", "t2_individuals", "mewma"})


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
    spread: str
    flagged: tuple[Flag, ...]
    decimals: int


def chart_unit(chart: str, unit: str | None) -> str:
    """The unit of what the first chart of this kind plots."""
    return "σ" if chart == "cusum" else "" if chart in UNITLESS else unit_text(unit)


def spread_name(words: Words, chart: str) -> str:
    """What the second chart of this kind shows, in the reader's language; empty where there is none."""
    return words(SPREADS[chart]) if chart in SPREADS else ""


def chart(series: SpcSeries, words: Words) -> Chart:
    """Draw one series of a record in the reader's language."""
    key = "-".join(filter(None, ("chart", series.station, series.characteristic, series.stream)))
    told = stream_text(series.stream)
    name = f"{series.characteristic} · {told}" if told else series.characteristic
    title = f"{series.operation} · {name} · {states.name(words, 'chart', series.chart)}"
    location, spread = _signals(series)
    drawn = ChartSeries(
        key=key,
        title=title,
        values=[point.value for point in series.points],
        limits=_spans(series.limits),
        signals=location,
        unit=chart_unit(series.chart, series.unit),
        lsl=series.lower if series.chart in OF_VALUES else None,
        usl=series.upper if series.chart in OF_VALUES else None,
    )
    svg = draw_chart(drawn, width=WIDTH, height=280, labels=labels(words))
    said: dict[int, list[str]] = {}
    for signal in location:
        said.setdefault(signal.index, []).append(rules.text(words, signal.rule))
    of_spread = spread_name(words, series.chart)
    for signal in spread:
        said.setdefault(signal.index, []).append(f"{of_spread}: {rules.text(words, signal.rule)}")
    flagged = tuple(Flag(i + 1, series.points[i], "; ".join(said[i])) for i in sorted(said))
    decimals = decimals_for(p.value for p in series.points)
    return Chart(
        key, title, series, markup(svg), _spread_chart(series, key, spread, words), of_spread, flagged, decimals
    )


def _spans(limits: Iterable[SpcLimits]) -> tuple[LimitSpan, ...]:
    return tuple(LimitSpan(s.centre, s.lower, s.upper, s.version, s.provisional, s.start, s.stop) for s in limits)


def _signals(series: SpcSeries) -> tuple[tuple[Signal, ...], tuple[Signal, ...]]:
    """What the two charts flag.

    Records that do not say which chart met a rule: a point within the limits met rule 1 with its range.
    """
    location: list[Signal] = []
    spread = list(series.range_signals)
    for signal in series.signals:
        untold = series.points[signal.index].range_rules is None
        if untold and signal.rule == "nelson1" and _inside(series, signal.index):
            spread.append(signal)
        else:
            location.append(signal)
    return _once(location), tuple(s for s in _once(spread) if series.points[s.index].range_value is not None)


def _inside(series: SpcSeries, index: int) -> bool:
    value = series.points[index].value
    held = [s for s in series.limits if s.start <= index and (s.stop is None or index < s.stop)]
    return value is not None and bool(held) and held[0].lower <= value <= held[0].upper


def _once(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    return tuple({(s.index, s.rule): s for s in signals}.values())


def _spread_chart(series: SpcSeries, key: str, signals: tuple[Signal, ...], words: Words) -> Markup:
    """The chart of ranges, standard deviations or lower sums, by the record's own limits."""
    spans = _spans(series.range_limits) or _derived(series)
    name = spread_name(words, series.chart)
    if not spans or not name:
        return Markup("")
    drawn = ChartSeries(
        key=f"{key}-range",
        title=f"{series.operation} · {series.characteristic} · {name}",
        values=[point.range_value for point in series.points],
        limits=tuple(replace(span, version="") for span in spans),
        signals=signals,
        unit=chart_unit(series.chart, series.unit),
    )
    return markup(draw_chart(drawn, width=WIDTH, height=160, labels=labels(words)))


def _derived(series: SpcSeries) -> tuple[LimitSpan, ...]:
    """Range limits of records that hold none: they follow from those of the location chart by one sigma."""
    spans: list[LimitSpan] = []
    for s in series.limits:
        if series.chart not in ("imr", "xbar_r", "xbar_s"):
            break
        made = LimitSet.fixed(
            check_subgroup(series.chart, series.size), s.centre, s.lower, s.upper, s.version or "-", series.size
        )
        lines = made.spread_at(series.size)
        if lines is not None:
            spans.append(LimitSpan(lines.centre, lines.lower, lines.upper, "", s.provisional, s.start, s.stop))
    return tuple(spans)


def labels(words: Words) -> dict[str, str]:
    """The words of a drawing in the reader's language."""
    return {name: words(text) for name, text in CHART_WORDS.items()} | rules.chart_labels(words)


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
