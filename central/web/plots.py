"""Drawing control charts through ``spc.svg``: one way for the chart page, the board and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from central.web import rules
from central.web.i18n import N_, Words
from central.web.params import version_text
from central.web.show import unit_text
from central.web.visit import markup
from spc.rules import Signal
from spc.svg import ChartSeries, LimitSpan, Note, draw_chart, draw_pair

CHART_WORDS = {
    "ucl": N_("UCL"),
    "cl": N_("CL"),
    "lcl": N_("LCL"),
    "usl": N_("USL"),
    "lsl": N_("LSL"),
    "axis": N_("Sample"),
    "phase1": N_("Phase I"),
    "provisional": N_("{version}, provisional"),
    "point": N_("{axis} {number}: {value}"),
    "within": N_("limits {lower} to {upper}"),
    "upto": N_("limit {upper}"),
    "excluded": N_("left out of the limits"),
    "summary": N_("{points} points, {signals} flagged, {gaps} without a reading."),
}
"""Words of ``spc.series.ENGLISH`` for the translators; the names in braces stay."""

SPREADS: Mapping[str, str] = {
    "imr": N_("Moving ranges"),
    "xbar_r": N_("Ranges"),
    "xbar_s": N_("Standard deviations"),
}
"""Kind of chart -> what its second chart shows; other kinds have none."""

LOCATIONS: Mapping[str, str] = {
    "imr": N_("Single values"),
    "xbar_r": N_("Means"),
    "xbar_s": N_("Means"),
    "cusum": N_("Upper and lower sum"),
    "ewma": N_("Weighted mean"),
    "p": N_("Proportion"),
    "laney_p": N_("Proportion"),
    "np": N_("Number of pieces"),
    "c": N_("Number of defects"),
    "u": N_("Defects per unit"),
    "laney_u": N_("Defects per unit"),
    "t": N_("Time between events"),
    "t2_subgroup": N_("T²"),
    "t2_individuals": N_("T²"),
    "mewma": N_("T²"),
}
"""Kind of chart -> what its points are."""

SINGLE_VALUES = frozenset({"imr"})
"""Kinds in which a specification is drawn: it is for single values, and means spread less."""
UPPER_ONLY = frozenset({"t2_subgroup", "t2_individuals", "mewma"})
UNITLESS = frozenset({"p", "np", "c", "laney_p", *UPPER_ONLY})


@dataclass(frozen=True, slots=True)
class Line:
    """What a point was judged by."""

    version: str
    provisional: bool
    centre: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart to be drawn; sequences have one entry a point, signals and notes index them from 0.

    The first point carries the number ``first``. ``cuts`` are points at which a new stretch begins: no run crosses
    them. ``spreads`` of a CUSUM are its lower sums.
    """

    key: str
    title: str
    chart: str
    unit: str | None
    values: Sequence[float | None]
    lines: Sequence[Line | None]
    signals: tuple[Signal, ...] = ()
    spreads: Sequence[float | None] = ()
    spread_lines: Sequence[Line | None] = ()
    spread_signals: tuple[Signal, ...] = ()
    notes: Mapping[int, Note] = field(default_factory=dict)
    cuts: frozenset[int] = frozenset()
    first: int = 1
    lsl: float | None = None
    usl: float | None = None
    names: Sequence[str] = ()


def chart_unit(chart: str, unit: str | None) -> str:
    """The unit of what the first chart of this kind plots."""
    return "σ" if chart == "cusum" else "" if chart in UNITLESS else unit_text(unit)


def spread_name(words: Words, chart: str) -> str:
    """What the second chart of this kind shows, in the reader's language; empty where there is none."""
    return words(SPREADS[chart]) if chart in SPREADS else ""


def location_name(words: Words, chart: str) -> str:
    """What the points of this kind of chart are."""
    return words(LOCATIONS[chart]) if chart in LOCATIONS else chart


def draw(plot: Plot, words: Words, *, width: int, height: int, told: Mapping[str, str] | None = None) -> Markup:
    """The chart, with its chart of spreads under it where it has one. ``told``: rules whose words differ."""
    upper = _location(plot, words)
    labels = _labels(words) | dict(told or {})
    name = spread_name(words, plot.chart)
    if not name or not any(value is not None for value in plot.spreads):
        return markup(draw_chart(upper, width=width, height=height, labels=labels))
    lower = ChartSeries(
        key=f"{plot.key}-spread",
        title=f"{plot.title} · {name}",
        values=plot.spreads,
        limits=spans(plot.spread_lines, plot.cuts, versions=False),
        signals=plot.spread_signals,
        unit=chart_unit(plot.chart, plot.unit),
        first=plot.first,
        panel=name,
        names=plot.names,
        notes={index: Note(excluded=note.excluded) for index, note in plot.notes.items() if note.excluded},
    )
    return markup(draw_pair(upper, lower, width=width, height=height, labels=labels))


def draw_small(plot: Plot, words: Words, *, width: int, height: int) -> Markup:
    """The first chart alone, for a board: its tile tells name and unit."""
    labels = _labels(words)
    labels |= {"axis": "", "point": labels["point"].replace("{axis}", labels["axis"])}
    return markup(draw_chart(_location(plot, words, small=True), width=width, height=height, labels=labels))


def _location(plot: Plot, words: Words, *, small: bool = False) -> ChartSeries:
    with_specification = plot.chart in SINGLE_VALUES and not small
    paired = not small and plot.chart in SPREADS and any(value is not None for value in plot.spreads)
    below: tuple[float | None, ...] = ()
    if plot.chart == "cusum":
        below = tuple(None if value is None else -value for value in plot.spreads)
    return ChartSeries(
        key=plot.key,
        title=plot.title,
        values=plot.values,
        limits=spans(_drawn_lines(plot), plot.cuts, versions=not small, upper_only=plot.chart in UPPER_ONLY),
        signals=plot.signals,
        unit="" if small else chart_unit(plot.chart, plot.unit),
        lsl=plot.lsl if with_specification else None,
        usl=plot.usl if with_specification else None,
        first=plot.first,
        panel=location_name(words, plot.chart) if paired else "",
        names=plot.names,
        notes=plot.notes,
        below=below,
        below_signals=plot.spread_signals if below else (),
    )


def _drawn_lines(plot: Plot) -> Sequence[Line | None]:
    """A CUSUM's lower sum is drawn as negative numbers, held against minus the decision interval."""
    if plot.chart != "cusum":
        return plot.lines
    return [
        None if line is None else Line(line.version, line.provisional, 0.0, -line.upper, line.upper)
        for line in plot.lines
    ]


def spans(
    lines: Sequence[Line | None], cuts: frozenset[int], *, versions: bool = True, upper_only: bool = False
) -> tuple[LimitSpan, ...]:
    """Stretches of one limit version, broken at cuts; a version is named where it begins alone."""
    held_by = _carried(lines)
    edges = [0, *(i for i in range(1, len(held_by)) if i in cuts or _mark(held_by[i]) != _mark(held_by[i - 1]))]
    found: list[LimitSpan] = []
    told: tuple[str, bool] | None = None
    for start, stop in zip(edges, [*edges[1:], len(held_by)], strict=True):
        part = [line for line in held_by[start:stop] if line is not None]
        mark = _mark(part[0]) if part else None
        if part:
            found.append(_span(part, start, stop, mark if versions and mark != told else None, upper_only))
        told = mark
    return tuple(found)


def _mark(line: Line | None) -> tuple[str, bool] | None:
    return None if line is None else (line.version, line.provisional)


def _carried(lines: Sequence[Line | None]) -> list[Line | None]:
    """A gap between two points of one version keeps the lines of the point before it."""
    found = list(lines)
    before: Line | None = None
    gap: list[int] = []
    for index, line in enumerate(lines):
        if line is None:
            gap.append(index)
            continue
        if before is not None and _mark(before) == _mark(line):
            for missing in gap:
                found[missing] = before
        gap, before = [], line
    return found


def _span(
    part: Sequence[Line], start: int, stop: int, name: tuple[str, bool] | None, upper_only: bool
) -> LimitSpan:
    first = part[0]
    varying = any((p.centre, p.lower, p.upper) != (first.centre, first.lower, first.upper) for p in part)
    return LimitSpan(
        centre=None if upper_only else first.centre,
        lower=None if upper_only else first.lower,
        upper=first.upper,
        version=version_text(name[0]) if name and name[0] else "",
        provisional=name[1] if name else False,
        start=start,
        stop=stop,
        centres=[p.centre for p in part] if varying and not upper_only else (),
        lowers=[p.lower for p in part] if varying and not upper_only else (),
        uppers=[p.upper for p in part] if varying else (),
    )


def _labels(words: Words) -> dict[str, str]:
    """The words of a drawing in the reader's language."""
    return {name: words(text) for name, text in CHART_WORDS.items()} | rules.chart_labels(words)
