"""A tag's trend as SVG, drawn on the server in the way of ``spc.svg``: no script, no style of its own.

How to read one: the line goes through the first, lowest, highest and last reading of each bucket, so a single
reading that stood out is in it. A hollow point is uncertain. Where nothing was read the line breaks on a shaded
ground; where readings were bad it breaks too. Strips under the plot name both, and what is uncertain, in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from central.trend import Floats, Trend
from records.clock import MICROSECONDS
from spc.markup import escaped, label, line, path, px
from spc.scale import decimals_for, number_text, text_width, ticks

HEAD, FOOT, STRIP, APART = 24.0, 30.0, 18.0, 6.0
"""Pixels above the plot, under it for the axis, for each strip, and between plot and strips."""
HOLLOW = 150
"""Most uncertain buckets that have a hollow point each; more are told by their strip alone."""
BUCKET_PX = 2
TREND_CSS = """\
.lk-silent { fill: var(--lk-muted); fill-opacity: .12; }
.lk-strip-silent { fill: var(--lk-muted); }
.lk-strip-bad { fill: var(--lk-alarm); }
.lk-strip-uncertain { fill: none; stroke: var(--lk-warn); stroke-width: 1.5; }
"""
"""Beside the rules of ``spc.svg``, whose colours it uses."""
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)

Strip = tuple[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn. ``clock``: local time of day of a time, to the second or the minute; ``offset_us``: the
    zone's at the beginning. ``words``: bad, uncertain, silent, summary.
    """

    key: str
    title: str
    trend: Trend
    to_us: int
    unit: str
    stepped: bool
    offset_us: int
    clock: Callable[[int, bool], str]
    words: Mapping[str, str]
    width: int = 1080
    height: int = 320


class _Plot:
    """The scales of a drawing, settled once."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        found = drawing.trend
        words = drawing.words
        marks = (("bad", found.bad > 0), ("uncertain", found.uncertain > 0), ("silent", found.silent_us > 0))
        self.strips: list[Strip] = [(name, at) for name, at in marks if at.any()]
        self.strips_top = drawing.height - FOOT - STRIP * len(self.strips)
        self.top, self.bottom = HEAD, self.strips_top - (APART if self.strips else 0.0)
        low, high = _range(found)
        self.low, self.high = low, high
        self.y_ticks = ticks(low, high, (self.bottom - self.top) / 44) if np.isfinite(found.low).any() else []
        step = self.y_ticks[1] - self.y_ticks[0] if len(self.y_ticks) > 1 else high - low
        self.decimals = decimals_for(step)
        names = [number_text(tick, self.decimals) for tick in self.y_ticks]
        names += [drawing.unit, *(words[name] for name, _ in self.strips)]
        self.left = max([text_width(name) for name in names], default=0.0) + 14
        self.right = drawing.width - 12.0
        self.scale = (self.right - self.left) / max(1, drawing.to_us - found.from_us)

    def x(self, at_us: float) -> float:
        return self.left + (at_us - self.drawing.trend.from_us) * self.scale

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


def draw(drawing: Drawing) -> str:
    """The trend as one svg element."""
    plot = _Plot(drawing)
    found = drawing.trend
    told = drawing.words["summary"].format(
        readings=found.readings,
        bad=int(found.bad.sum()),
        uncertain=int(found.uncertain.sum()),
        silent=round(int(found.silent_us.sum()) / MICROSECONDS),
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-chart" role="img" '
        f'aria-labelledby="{drawing.key}-title {drawing.key}-desc" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor"><title id="{drawing.key}-title">{escaped(drawing.title)}</title>'
        f'<desc id="{drawing.key}-desc">{escaped(told)}</desc>'
    )
    return "".join([head, *_grounds(plot), *_axes(plot), *_line(plot), *_hollow(plot), *_strips(plot), "</svg>"])


def _range(found: Trend) -> tuple[float, float]:
    if not np.isfinite(found.low).any():
        return 0.0, 1.0
    low, high = float(np.nanmin(found.low)), float(np.nanmax(found.high))
    reach = (high - low) or abs(high) * 0.01 or 1.0
    return low - 0.07 * reach, high + 0.07 * reach


def _grounds(plot: _Plot) -> list[str]:
    """Silence, shaded over the height of the plot."""
    found = plot.drawing.trend
    return [
        f'<rect class="lk-silent" x="{px(x)}" y="{px(plot.top)}" width="{px(wide)}" '
        f'height="{px(plot.bottom - plot.top)}" fill-opacity="0.08"/>'
        for x, wide in _runs(plot, found.silent_us * 2 > found.width_us)
    ]


def _runs(plot: _Plot, at: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[float, float]]:
    """(x, width) of the runs of buckets that are marked, each at least two pixels wide."""
    found = plot.drawing.trend
    edges = np.diff(np.concatenate(([0], at.astype(np.int8), [0])))
    spans = zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True)
    told = []
    for first, after in spans:
        x = plot.x(found.from_us + first * found.width_us)
        end = plot.x(min(found.from_us + after * found.width_us, plot.drawing.to_us))
        told.append((x, max(end - x, 2.0)))
    return told


def _axes(plot: _Plot) -> list[str]:
    drawing = plot.drawing
    parts = []
    for tick in plot.y_ticks:
        y = plot.y(tick)
        parts.append(line("lk-grid", plot.left, y, plot.right, y, 'stroke-opacity="0.12"'))
        parts.append(label("lk-tick", plot.left - 8, y + 4, number_text(tick, plot.decimals), "end"))
    if drawing.unit:
        parts.append(label("lk-unit", plot.left - 8, plot.top - 10, drawing.unit, "end"))
    parts.append(line("lk-axis", plot.left, plot.bottom, plot.right, plot.bottom, 'stroke-opacity="0.4"'))
    foot = drawing.height - FOOT
    for at_us, text in _times(plot):
        x = plot.x(at_us)
        parts.append(line("lk-axis", x, foot, x, foot + 4, 'stroke-opacity="0.4"'))
        parts.append(label("lk-tick", x, foot + 18, text, "middle"))
    return parts


def _times(plot: _Plot) -> list[tuple[int, str]]:
    """Round local times along the axis, as many as have room."""
    drawing, begin_us = plot.drawing, plot.drawing.trend.from_us
    room_us = 84 / plot.scale
    step_s = next((s for s in _STEPS_S if s * MICROSECONDS >= room_us), _STEPS_S[-1])
    step_us = step_s * MICROSECONDS
    first = -(-(begin_us + drawing.offset_us) // step_us) * step_us - drawing.offset_us
    return [(at, drawing.clock(at, step_s < 60)) for at in range(first, drawing.to_us, step_us)]


def _strokes(plot: _Plot) -> list[list[int]]:
    """Runs of buckets that one line goes through: neither silence nor anything bad lies between two of them."""
    found = plot.drawing.trend
    breaks = np.cumsum((found.silent_us > 0).astype(np.int64) + (found.bad > 0))
    strokes: list[list[int]] = []
    last = -1
    for n in np.flatnonzero(np.isfinite(found.low)).tolist():
        here = int(breaks[n - 1]) if n else 0
        if last < 0 or here != int(breaks[last]) or (found.silent_us[n] > 0 or found.bad[n] > 0):
            strokes.append([])
        strokes[-1].append(n)
        last = n
    return strokes


def _middle(plot: _Plot, n: int) -> float:
    found = plot.drawing.trend
    return plot.x(min(found.from_us + (n + 0.5) * found.width_us, plot.drawing.to_us))


def _line(plot: _Plot) -> list[str]:
    found = plot.drawing.trend
    parts = []
    for stroke in _strokes(plot):
        d, before = "", None
        for n in stroke:
            x = px(_middle(plot, n))
            first, low, high, last = (
                px(plot.y(float(v[n]))) for v in (found.first, found.low, found.high, found.last)
            )
            d += (
                f"H{x}V{first}"
                if plot.drawing.stepped and before is not None
                else f"{'L' if d else 'M'}{x} {first}"
            )
            if (low, high) != (first, last) or low != high:
                d += f"V{low}V{high}V{last}"
            before = n
        alone = len(stroke) == 1 and found.low[stroke[0]] == found.high[stroke[0]]
        if alone:
            d += "h0.01"  # a round cap makes a point of it
        parts.append(path("lk-line", d, f'stroke-width="{3 if alone else 1.4}"'))
    return parts


def _hollow(plot: _Plot) -> list[str]:
    """Uncertain buckets: what was lowest and highest in them."""
    found = plot.drawing.trend
    unsure = np.flatnonzero((found.uncertain > 0) & np.isfinite(found.low)).tolist()
    if len(unsure) > HOLLOW:
        return []
    ends: list[tuple[int, Floats]] = [(n, values) for n in unsure for values in (found.low, found.high)]
    places = dict.fromkeys((px(_middle(plot, n)), px(plot.y(float(values[n])))) for n, values in ends)
    look = 'r="3" fill="none" stroke="currentColor" stroke-width="1.5"'
    return [f'<circle class="lk-point lk-excluded" cx="{x}" cy="{y}" {look}/>' for x, y in places]


def _strips(plot: _Plot) -> list[str]:
    parts = []
    for n, (name, at) in enumerate(plot.strips):
        y = plot.strips_top + STRIP * n + STRIP / 2 - 2
        parts.append(label("lk-tick", plot.left - 8, y + 6, plot.drawing.words[name], "end"))
        parts += [
            f'<rect class="lk-strip-{name}" x="{px(x)}" y="{px(y - 2)}" width="{px(wide)}" height="8"/>'
            for x, wide in _runs(plot, at)
        ]
    return parts
