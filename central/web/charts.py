"""Drawing evidence: a record's control charts, and the curve of one captured profile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from central.charts import ChartRef
from central.domain import SpcLimits, SpcPoint, SpcSeries
from central.web import rules, states
from central.web.i18n import Words
from central.web.params import stream_text
from central.web.plots import Line, Plot, draw, spread_name
from central.web.show import decimals_for
from central.web.verdicts import address
from spc.exact import usable
from spc.limits import LimitSet, check_subgroup
from spc.rules import Signal

WIDTH = 1080
"""Pixels of a drawing at its natural size: the width of the page."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flagged point: its number from 1, and the rules that it met, in words."""

    number: int
    point: SpcPoint
    rules: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One characteristic: its drawing, and the tables that say the same. ``spread`` names its second chart."""

    key: str
    title: str
    series: SpcSeries
    svg: Markup
    spread: str
    flagged: tuple[Flag, ...]
    decimals: int
    href: str


def chart(series: SpcSeries, words: Words) -> Chart:
    """Draw one series of a record in the reader's language."""
    key = "-".join(filter(None, ("chart", series.station, series.characteristic, series.stream)))
    told = stream_text(series.stream)
    name = f"{series.characteristic} · {told}" if told else series.characteristic
    title = f"{series.operation} · {name} · {states.name(words, 'chart', series.chart)}"
    location, spread = _signals(series)
    count = len(series.points)
    plot = Plot(
        key=key,
        title=title,
        chart=series.chart,
        unit=series.unit,
        values=[point.value for point in series.points],
        lines=_lines(series.limits, count),
        signals=location,
        spreads=[point.range_value for point in series.points],
        spread_lines=_lines(series.range_limits, count) if series.range_limits else _derived(series),
        spread_signals=spread,
        cuts=frozenset(i for i in range(1, count) if series.points[i].segment != series.points[i - 1].segment),
        lsl=series.lower,
        usl=series.upper,
    )
    said: dict[int, list[str]] = {}
    for signal in location:
        said.setdefault(signal.index, []).append(rules.text(words, signal.rule))
    of_spread = spread_name(words, series.chart)
    for signal in spread:
        said.setdefault(signal.index, []).append(f"{of_spread}: {rules.text(words, signal.rule)}")
    flagged = tuple(Flag(i + 1, series.points[i], "; ".join(said[i])) for i in sorted(said))
    decimals = decimals_for(p.value for p in series.points)
    drawn = draw(plot, words, width=WIDTH, height=440 if of_spread else 280)
    href = address(ChartRef(series.agent, series.station, series.characteristic, series.stream))
    return Chart(key, title, series, drawn, of_spread, flagged, decimals, href)


def _lines(limits: Iterable[SpcLimits], count: int) -> list[Line | None]:
    """What each point was judged by."""
    found: list[Line | None] = [None] * count
    for s in limits:
        stop = count if s.stop is None else s.stop
        found[s.start : stop] = [Line(s.version, s.provisional, s.centre, s.lower, s.upper)] * (stop - s.start)
    return found


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
    return (
        tuple(s for s in _once(location) if usable(series.points[s.index].value) is not None),
        tuple(s for s in _once(spread) if usable(series.points[s.index].range_value) is not None),
    )


def _inside(series: SpcSeries, index: int) -> bool:
    value = series.points[index].value
    held = [s for s in series.limits if s.start <= index and (s.stop is None or index < s.stop)]
    return value is not None and bool(held) and held[0].lower <= value <= held[0].upper


def _once(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    return tuple({(s.index, s.rule): s for s in signals}.values())


def _derived(series: SpcSeries) -> list[Line | None]:
    """Range limits of records that hold none: they follow from those of the location chart by one sigma."""
    found: list[Line | None] = []
    for line in _lines(series.limits, len(series.points)):
        if line is None or series.chart not in ("imr", "xbar_r", "xbar_s"):
            found.append(None)
            continue
        chart = check_subgroup(series.chart, series.size)
        made = LimitSet.fixed(chart, line.centre, line.lower, line.upper, line.version or "-", series.size)
        own = made.spread_at(series.size)
        found.append(
            None if own is None else Line(line.version, line.provisional, own.centre, own.lower, own.upper)
        )
    return found


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
