"""Control charts as SVG, drawn on the server: the same bytes on the page, in print and in the record.

The result has no script, no style element and no style attribute, so that ``default-src 'self'`` may stay
the whole content security policy. Its look comes from classes (`CHART_CSS`, light and dark); presentation
attributes in currentColor stand in where no stylesheet is. `as_file` makes a file of it that carries its
stylesheet with it.

How to read one: limits are dashed, specification limits solid with the room beyond them shaded, all named
at the right end. A diamond is a point beyond a limit, a square completes a run, and the run's points lie on
a band; each tells its rule in words on hover. A hollow point was left out of the limits. Every point that is
drawn by itself has the id ``<key>-p<number>`` (``-m`` on the lower line of a CUSUM), so that a table row can
link to it. A gap breaks the line and leaves a tick on the axis. A screen reader hears the title and a
summary; the table under the chart is the full alternative.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from spc.chart_css import CHART_CSS
from spc.histogram import HistogramPanel
from spc.marks import Marks
from spc.markup import escaped
from spc.panel import Panel
from spc.series import ENGLISH, ChartSeries, Histogram, LimitSpan, Note

__all__ = [
    "CHART_CSS",
    "ENGLISH",
    "ChartSeries",
    "Histogram",
    "LimitSpan",
    "Note",
    "as_file",
    "draw_chart",
    "draw_pair",
    "draw_with_histogram",
]

_TOLD: Final = 20  # flagged points that the description spells out
_HEAD, _FOOT, _BETWEEN = 24.0, 30.0, 10.0  # px above a plot, under the lowest, under one that has another below
_MARGIN: Final = 12  # px of paper around a drawing that is a file
_LOWER_SHARE: Final = 0.38  # of the height of a pair


def draw_chart(
    series: ChartSeries, *, width: int = 960, height: int = 320, labels: Mapping[str, str] = ENGLISH
) -> str:
    """The chart as one svg element of `width` x `height` pixels.

    `labels` replaces words of `ENGLISH`; a rule without words is told by its name. All text is escaped.
    Raises ValueError for a chart smaller than 240 x 120, too small to be read, and for a signal at a point
    that does not exist.
    """
    _readable("a chart", width, height, 120)
    panel = Panel(series, width, _HEAD, height - _FOOT, {**ENGLISH, **labels})
    return _drawn(series, [panel], width, height)


def draw_pair(
    upper: ChartSeries,
    lower: ChartSeries,
    *,
    width: int = 960,
    height: int = 480,
    labels: Mapping[str, str] = ENGLISH,
) -> str:
    """Two charts of the same points, location above spread, as one svg element that is titled as `upper`.

    They share the axis of points, and each is headed by its `panel` name. All else as in `draw_chart`; the
    least size is 240 x 240.
    """
    _readable("a pair of charts", width, height, 240)
    words = {**ENGLISH, **labels}
    middle = round(height * (1 - _LOWER_SHARE))
    panels = [
        Panel(upper, width, _HEAD, middle - _BETWEEN, words, numbered=False),
        Panel(lower, width, middle + _HEAD, height - _FOOT, words, names_phase=False),
    ]
    left, right = (max(sizes) for sizes in zip(*((p.room_left, p.room_right) for p in panels), strict=True))
    for panel in panels:
        panel.lay_out(left, right)
    return _drawn(upper, panels, width, height)


def draw_with_histogram(
    series: ChartSeries,
    values: Histogram,
    *,
    width: int = 960,
    height: int = 480,
    labels: Mapping[str, str] = ENGLISH,
) -> str:
    """A chart, which says whether the process is in control, above the histogram of its values: capability.

    All else as in `draw_pair`. Raises ValueError without a finite value too.
    """
    _readable("a chart with a histogram", width, height, 240)
    words = {**ENGLISH, **labels}
    middle = round(height / 2)
    panel = Panel(series, width, _HEAD, middle - _FOOT + _BETWEEN, words)
    bars = HistogramPanel(values, width, middle + _FOOT + _BETWEEN, height - _FOOT, words, series.unit)
    return _drawn(series, [panel], width, height, bars)


def as_file(svg: str) -> str:
    """A drawing as a file of its own, which a viewer shows in its light or dark theme: stylesheet and paper."""
    head, _, rest = svg.partition(">")
    width, height = (int(head.split(f' {name}="')[1].split('"')[0]) for name in ("width", "height"))
    wide, high = width + 2 * _MARGIN, height + 2 * _MARGIN
    place = f'x="-{_MARGIN}" y="-{_MARGIN}" width="{wide}" height="{high}"'
    paper = f'<rect class="lk-paper" {place} fill="none"/>'
    head = head.replace(
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        f'viewBox="-{_MARGIN} -{_MARGIN} {wide} {high}" width="{wide}" height="{high}"',
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}><style>{CHART_CSS}</style>{paper}{rest}\n'


def _readable(what: str, width: int, height: int, least: int) -> None:
    if width < 240 or height < least:
        raise ValueError(f"{what} of {width} x {height} px cannot be read; at least 240 x {least}")


def _drawn(
    series: ChartSeries,
    panels: Sequence[Panel],
    width: int,
    height: int,
    bars: HistogramPanel | None = None,
) -> str:
    marks = [Marks(panel) for panel in panels]
    linked = any(note.href for panel in panels for note in panel.series.notes.values())
    role = "group" if linked else "img"  # what is inside an image has no role, and a link must keep its own
    key = panels[0].key
    said = [_description(one) for one in marks]
    if len(said) > 1:
        heads = [panel.series.panel for panel in panels]
        said = [f"{head}: {text}" if head else text for head, text in zip(heads, said, strict=True)]
    said += [] if bars is None else [bars.description()]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-chart" role="{role}" '
        f'aria-labelledby="{key}-title {key}-desc" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor">'
        f'<title id="{key}-title">{escaped(series.title)}</title>'
        f'<desc id="{key}-desc">{escaped(" ".join(said))}</desc>'
    ]
    for panel, mark in zip(panels, marks, strict=True):
        limits, data = panel.limits(), mark.data()
        inner = data + limits if panel.dense else limits + data
        parts += [*panel.behind(), *inner, *panel.named_ends(), *mark.flags()]
    parts += [] if bars is None else bars.parts()
    return "".join(parts) + "</svg>"


def _description(marks: Marks) -> str:
    words = marks.panel.words
    flagged, told = marks.told(_TOLD)
    summary = words["summary"].format(points=len(marks.panel.values), signals=flagged, gaps=marks.gaps)
    more = " …" if flagged > _TOLD else ""
    return " ".join([summary, *(f"{sentence}." for sentence in told)]) + more
