"""The frame of one chart: its scales, axes, limits and the names at their ends; `spc.marks` draws the points.

Is not: a layout engine. Text widths are estimates with room to spare.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.exact import LARGEST
from spc.markup import label, line, path, px
from spc.scale import decimals_for, exact_text, number_text, spread, text_width, thin, ticks
from spc.series import ChartSeries, LimitSpan

__all__ = ["Panel"]

_Floats = npt.NDArray[np.float64]

_LABEL_GAP: Final = 15.0  # px between the baselines of two labels at the right end
_DOT_ROOM: Final = 5.0  # px a point needs for a dot of its own; denser series show the line alone
_FAR: Final = 4.0  # a specification that would shrink the data to less than a quarter is named at the edge
_LOOKS: Final = {"lk-limit": 'stroke-dasharray="6 4" stroke-width="1.25"', "lk-centre": 'stroke-opacity="0.6"'}


@dataclass(frozen=True, slots=True)
class _Step:
    """One line of limits over the points `start` to `stop`: a value for all, or one for each (no gaps left)."""

    name: str
    start: int
    stop: int
    value: float
    each: _Floats | None = None


class Panel:
    """The layout of one chart of `width` pixels between the heights `top` and `bottom`, and its frame's parts.

    Of two panels in one drawing the lower one is `numbered` along its axis, and the upper one `names_phase` I.

    `left` and `right` are settled by `lay_out`, so that two panels of one drawing can share them.
    """

    def __init__(
        self,
        series: ChartSeries,
        width: int,
        top: float,
        bottom: float,
        words: Mapping[str, str],
        *,
        numbered: bool = True,
        names_phase: bool = True,
    ) -> None:
        self.series, self.words = series, words
        self.width, self.top, self.bottom = width, top, bottom
        self.numbered, self.names_phase = numbered, names_phase
        self.key = re.sub(r"[^A-Za-z0-9_-]+", "-", series.key)
        self.values = _readings(series.values)
        self.below = _readings(series.below)
        self.steps = [step for span in series.limits for step in _steps(span, len(self.values))]
        self._scale_values()
        said = bool(self.steps) or bool(np.isfinite(self.values).any())
        self.y_ticks = ticks(self.low, self.high, (bottom - top) / 44) if said else []
        step = self.y_ticks[1] - self.y_ticks[0] if len(self.y_ticks) > 1 else self.high - self.low
        self.tick_texts = [number_text(tick, decimals_for(step)) for tick in self.y_ticks]
        self.ends = self._end_labels()
        unit = 0.0 if series.panel else text_width(series.unit)
        self.room_left = max([text_width(text) for text in self.tick_texts] + [unit]) + 14
        names = max([text_width(name) for _, _, name, _ in self.ends], default=0.0)
        figures = max([text_width(figure) for _, _, _, figure in self.ends], default=0.0)
        self.room_right = names + figures + (36 if width >= 480 else 26) if self.ends else 12.0
        self.lay_out(self.room_left, self.room_right)

    def lay_out(self, room_left: float, room_right: float) -> None:
        """Settle the sides of the plot, in pixels kept free of it."""
        self.left, self.right = room_left, self.width - room_right
        self.dense = len(self.values) * _DOT_ROOM > self.right - self.left

    def _scale_values(self) -> None:
        """The range of the value axis and how finely its figures are told."""
        series = self.series
        drawn = np.concatenate((self.values, self.below))
        shown: list[float] = []
        if np.isfinite(drawn).any():
            shown += [float(np.nanmin(drawn)), float(np.nanmax(drawn))]
        for step in self.steps:
            shown += [step.value] if step.each is None else [float(step.each.min()), float(step.each.max())]
        specs = [spec for spec in (series.lsl, series.usl) if spec is not None]
        low, high = (min(shown), max(shown)) if shown else (min(specs, default=0.0), max(specs, default=1.0))
        reach = (high - low) or abs(high) * 0.01 or 1.0
        for spec in specs:
            if max(high, spec) - min(low, spec) <= _FAR * reach:
                low, high = min(low, spec), max(high, spec)
        span_width = (high - low) or reach
        self.low, self.high = low - 0.07 * span_width, high + 0.07 * span_width
        ends = [value for _, value in self._last_lines()]
        told = max(ends) - min(ends) if len(ends) > 1 and max(ends) > min(ends) else span_width
        self.decimals = decimals_for(told / 100)

    def _last_lines(self) -> list[tuple[str, float]]:
        """What the last span ends with, highest first: (ucl, value), (cl, value), (lcl, value)."""
        if not self.series.limits:
            return []
        span = self.series.limits[-1]
        found = []
        for key, one, each in (
            ("ucl", span.upper, span.uppers),
            ("cl", span.centre, span.centres),
            ("lcl", span.lower, span.lowers),
        ):
            value = next((own for own in reversed(each) if math.isfinite(own)), one)
            if value is not None:
                found.append((key, float(value)))
        return found

    def _end_labels(self) -> list[tuple[float, str, str, str]]:
        """(value, kind, name, figure) of each line that is named at the right end."""
        series, words = self.series, self.words
        found: list[tuple[float, str, str, str]] = []
        for key, value in self._last_lines():
            found.append((value, key, words[key], number_text(value, self.decimals)))
        for spec, key in ((series.usl, "usl"), (series.lsl, "lsl")):
            if spec is not None:
                inside = self.low <= spec <= self.high
                arrow = "" if inside else (" ↑" if spec > self.high else " ↓")
                figure = exact_text(spec, self.decimals if inside else 0)
                found.append((spec, key, words[key] + arrow, figure))
        return found

    # -- places --------------------------------------------------------------------------------------------

    def x(self, index: float) -> float:
        return float(self.xs(np.array([index], dtype=np.float64))[0])

    def xs(self, indices: _Floats) -> _Floats:
        """Pixels of points by their index; halves lie between two points."""
        count = len(self.values)
        if count < 2:
            return np.full(indices.shape, (self.left + self.right) / 2) + indices
        inset = min(12.0, (self.right - self.left) / (2 * count))
        placed: _Floats = self.left + inset + indices * (self.right - self.left - 2 * inset) / (count - 1)
        return placed

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def limits_at(self, index: int) -> tuple[float | None, float | None] | None:
        """Lower and upper limit of a point whose span has limits of its own for each; else None."""
        held = [step for step in self.steps if step.start <= index < step.stop]
        if all(step.each is None for step in held):
            return None
        own = {s.name: s.value if s.each is None else float(s.each[index - s.start]) for s in held}
        return own.get("lower"), own.get("upper")

    # -- parts ---------------------------------------------------------------------------------------------

    def behind(self) -> list[str]:
        """All that lies behind data and limits."""
        return [*self._phase1(), *self._outside(), *self._axes(), *self._specs()]

    def _phase1(self) -> list[str]:
        """The points that set the limits, on a faint ground and named above its end where there is room."""
        count = self.series.phase1
        if not count or not len(self.values):
            return []
        edge = self.right if count >= len(self.values) else self.x(count - 0.5)
        parts = [self._ground("lk-phase", self.left, edge, self.top, self.bottom)]
        name = self.words["phase1"]
        if count < len(self.values):
            parts.append(line("lk-change", edge, self.top, edge, self.bottom, 'stroke-opacity="0.25"'))
            if self.names_phase and edge - 6 - text_width(name, 11) > self._taken():
                parts.append(label("lk-version", edge - 6, self.top - 12, name, "end"))
        return parts

    def _taken(self) -> float:
        """Where the head of the panel and the version of the first limits end."""
        head = text_width(self._head(), 14) + 16 if self.series.panel else self.left
        first = self.series.limits[0] if self.series.limits else None
        version = "" if first is None or first.start else self._version(first)
        return max(head, self.left) + text_width(version, 11) + 12

    def _outside(self) -> list[str]:
        """The room beyond the specification, shaded."""
        parts = []
        usl, lsl = self.series.usl, self.series.lsl
        if usl is not None and usl <= self.high:
            parts.append(self._ground("lk-outside", self.left, self.right, self.top, self.y(usl)))
        if lsl is not None and lsl >= self.low:
            parts.append(self._ground("lk-outside", self.left, self.right, self.y(lsl), self.bottom))
        return parts

    def _ground(self, name: str, left: float, right: float, top: float, bottom: float) -> str:
        return (
            f'<rect class="{name}" x="{px(left)}" y="{px(top)}" '
            f'width="{px(right - left)}" height="{px(bottom - top)}" fill-opacity="0.05"/>'
        )

    def _axes(self) -> list[str]:
        parts = []
        for tick, text in zip(self.y_ticks, self.tick_texts, strict=True):
            y = self.y(tick)
            parts.append(line("lk-grid", self.left, y, self.right, y, 'stroke-opacity="0.12"'))
            parts.append(label("lk-tick", self.left - 8, y + 4, text, "end"))
        parts.append(line("lk-axis", self.left, self.bottom, self.right, self.bottom, 'stroke-opacity="0.4"'))
        for number in self._x_ticks():
            x = self.x(number - self.series.first)
            parts.append(line("lk-axis", x, self.bottom, x, self.bottom + 4, 'stroke-opacity="0.4"'))
            if self.numbered:
                parts.append(label("lk-tick", x, self.bottom + 18, str(number), "middle"))
        if self.series.panel:
            parts.append(label("lk-panel", 4, self.top - 12, self._head(), "start"))
        elif self.series.unit:
            parts.append(label("lk-unit", self.left - 8, self.top - 12, self.series.unit, "end"))
        if self.numbered:
            parts.append(label("lk-unit", self.width - 4, self.bottom + 18, self.words["axis"], "end"))
        return parts

    def _head(self) -> str:
        return f"{self.series.panel}, {self.series.unit}" if self.series.unit else self.series.panel

    def _x_ticks(self) -> list[int]:
        """Round numbers, and the first; as many as have room."""
        first, count = self.series.first, len(self.values)
        if count == 0:
            return []
        room = text_width(str(first + count)) + 26
        wanted = max(2.0, min((self.right - self.left) / room, 14.0))
        whole = {round(tick) for tick in ticks(first, first + count - 1, wanted) if tick == round(tick)}
        near = [tick for tick in whole if abs(self.x(tick - first) - self.x(0)) < room and tick != first]
        return sorted((whole | {first}) - set(near))

    def limits(self) -> list[str]:
        """Centre and limits of each span, with its version above its beginning."""
        parts = [self._step(step) for step in self.steps]
        free = text_width(self._head(), 14) + 16 if self.series.panel else -math.inf
        for span in self.series.limits:
            begins = span.start > 0
            x1 = self.x(span.start - 0.5) if begins else self.left
            if begins:
                parts.append(line("lk-change", x1, self.top - 8, x1, self.bottom, 'stroke-opacity="0.25"'))
            version = self._version(span)
            at = x1 + 6 if begins else max(x1, free)
            if (version and x1 + 6 >= free) or (not begins and version):
                parts.append(label("lk-version", at, self.top - 12, version, "start"))
                free = at + text_width(version, 11) + 12
        return parts

    def _version(self, span: LimitSpan) -> str:
        if not span.version:
            return ""
        return self.words["provisional"].format(version=span.version) if span.provisional else span.version

    def _step(self, step: _Step) -> str:
        name = "lk-centre" if step.name == "centre" else "lk-limit"
        x1 = self.x(step.start - 0.5) if step.start > 0 else self.left
        x2 = self.x(step.stop - 0.5) if step.stop < len(self.values) else self.right
        if step.each is None:
            y = self.y(step.value)
            return line(name, x1, y, x2, y, _LOOKS[name])
        if self.dense:
            indices = np.arange(step.start, step.stop, dtype=np.float64)
            xs = self.xs(indices)
            kept = thin(xs, step.each, ())
            d = "M" + "L".join(f"{px(x)} {px(self.y(v))}" for x, v in zip(xs[kept], step.each[kept], strict=True))
            return path(name, d, _LOOKS[name])
        d = f"M{px(x1)} {px(self.y(float(step.each[0])))}"
        for offset in range(1, len(step.each)):
            if step.each[offset] != step.each[offset - 1]:
                turn = self.x(step.start + offset - 0.5)
                d += f"H{px(turn)}V{px(self.y(float(step.each[offset])))}"
        return path(name, f"{d}H{px(x2)}", _LOOKS[name])

    def _specs(self) -> list[str]:
        shown = [s for s in (self.series.usl, self.series.lsl) if s is not None and self.low <= s <= self.high]
        return [line("lk-spec", self.left, self.y(s), self.right, self.y(s), 'stroke-width="1.5"') for s in shown]

    def named_ends(self) -> list[str]:
        """The names and figures at the right end, kept apart, with a leader where one had to move."""
        ends = sorted(self.ends, key=lambda end: -end[0])
        wanted = [self.y(value) for value, *_ in ends]
        placed = spread(wanted, _LABEL_GAP, self.top + 2, self.bottom - 2)
        parts = []
        leader = 20 if self.width >= 480 else 12
        for (value, key, name, figure), at, y in zip(ends, wanted, placed, strict=True):
            if self.low <= value <= self.high:
                points = f"M{px(self.right + 2)} {px(at)}L{px(self.right + leader - 5)} {px(y)}"
                parts.append(path("lk-leader", points, 'stroke-opacity="0.35"'))
            spec = " lk-label-spec" if key in ("usl", "lsl") else ""
            parts.append(label(f"lk-label{spec}", self.right + leader, y + 4, name, "start"))
            parts.append(label(f"lk-label lk-number{spec}", self.width - 4, y + 4, figure, "end"))
        return parts

    def told_number(self, value: float) -> str:
        figure = number_text(value, self.decimals)
        return f"{figure} {self.series.unit}".rstrip()

    def id_of(self, index: int, trace: str = "p") -> str:
        return f"{self.key}-{trace}{self.series.first + index}"


def _readings(values: Sequence[float | None]) -> _Floats:
    """As an array in which everything that is no reading is NaN."""
    array: _Floats = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    array[~(np.abs(array) <= LARGEST)] = math.nan
    return array


def _steps(span: LimitSpan, count: int) -> list[_Step]:
    stop = count if span.stop is None else min(span.stop, count)
    found = []
    for name, one, each in (
        ("lower", span.lower, span.lowers),
        ("upper", span.upper, span.uppers),
        ("centre", span.centre, span.centres),
    ):
        own = _filled(_readings(each)[: max(stop - span.start, 0)])
        if own is not None and np.all(own == own[0]):
            found.append(_Step(name, span.start, stop, float(own[0])))
        elif own is not None:
            found.append(_Step(name, span.start, span.start + len(own), float(own[-1]), own))
        elif one is not None:
            found.append(_Step(name, span.start, stop, float(one)))
    return found


def _filled(values: _Floats) -> _Floats | None:
    """Each gap carries on what stood before it (before the first: what comes first); None without a value."""
    present = np.isfinite(values)
    if not present.any():
        return None
    last = np.maximum.accumulate(np.where(present, np.arange(len(values)), 0))
    last[: int(np.argmax(present))] = int(np.argmax(present))
    filled: _Floats = values[last]
    return filled
