"""Control charts as SVG, drawn on the server: the same bytes on the page, in print and in the record.

The result has no script, no style element and no style attribute, so that ``default-src 'self'`` may stay
the whole content security policy. Its look comes from classes (`CHART_CSS`, light and dark); presentation
attributes in currentColor stand in where no stylesheet is.

How to read one: limits are dashed, specification limits solid with the room beyond them shaded, all named
at the right end. A diamond is a point beyond a limit, a square completes a run, and the run's points lie on
a band; each tells its rule in words on hover and has the id ``<key>-p<number>``, so that a table row can
link to it. A gap breaks the line and leaves a tick on the axis. A screen reader hears the title and a
summary; the table under the chart is the full alternative.

Is not: a layout engine. Text widths are estimates with room to spare.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spc.chart_css import CHART_CSS
from spc.exact import usable
from spc.markup import escaped, label, line, path, px
from spc.scale import decimals_for, exact_text, number_text, spread, text_width, thin, ticks
from spc.series import ENGLISH, ChartSeries, LimitSpan

__all__ = ["CHART_CSS", "ENGLISH", "ChartSeries", "LimitSpan", "draw_chart"]

_LABEL_GAP = 15.0  # px between the baselines of two labels at the right end
_DOT_ROOM = 5.0  # px a point needs for a dot of its own; denser series show the line alone
_FAR = 4.0  # a specification that would shrink the data to less than a quarter is named at the edge
_TOLD = 20  # flagged points that the description spells out


def draw_chart(
    series: ChartSeries, *, width: int = 960, height: int = 320, labels: Mapping[str, str] = ENGLISH
) -> str:
    """The chart as one svg element of `width` x `height` pixels.

    `labels` replaces words of `ENGLISH`; a rule without words is told by its name. All text is escaped.
    Raises ValueError for a chart smaller than 240 x 120, too small to be read, and for a signal at a point
    that does not exist.
    """
    if width < 240 or height < 120:
        raise ValueError(f"a chart of {width} x {height} px cannot be read; at least 240 x 120")
    return _Drawing(series, width, height, {**ENGLISH, **labels}).svg()


class _Drawing:
    """The layout of one chart and the parts drawn into it, back to front."""

    def __init__(self, series: ChartSeries, width: int, height: int, words: Mapping[str, str]) -> None:
        self.series = series
        self.width, self.height = width, height
        self.words = words
        self.key = re.sub(r"[^A-Za-z0-9_-]+", "-", series.key)
        readings = [usable(value) for value in series.values]
        self.values: npt.NDArray[np.float64] = np.array(
            [math.nan if value is None else value for value in readings], dtype=np.float64
        )
        self.flagged: dict[int, list[str]] = {}
        for signal in series.signals:
            if not 0 <= signal.index < len(readings) or readings[signal.index] is None:
                raise ValueError(f"{series.key}: {signal.rule} flags point {signal.index}, where none is drawn")
            self.flagged.setdefault(signal.index, []).append(signal.rule)
        self._scale_values()
        self._lay_out()

    def _scale_values(self) -> None:
        """The range of the value axis and how finely its figures are told."""
        shown = self.values[np.isfinite(self.values)].tolist()
        for span in self.series.limits:
            shown += [span.lower, span.centre, span.upper]
        specs = [spec for spec in (self.series.lsl, self.series.usl) if spec is not None]
        low, high = (min(shown), max(shown)) if shown else (min(specs, default=0.0), max(specs, default=1.0))
        reach = (high - low) or abs(high) * 0.01 or 1.0
        for spec in specs:
            if max(high, spec) - min(low, spec) <= _FAR * reach:
                low, high = min(low, spec), max(high, spec)
        span_width = (high - low) or reach
        self.low, self.high = low - 0.07 * span_width, high + 0.07 * span_width
        last = self.series.limits[-1] if self.series.limits else None
        told = (last.upper - last.lower) if last and last.upper > last.lower else span_width
        self.decimals = decimals_for(told / 100)

    def _lay_out(self) -> None:
        """The frame of the plot: `left`, `right`, `top`, `bottom`, in pixels."""
        self.top, self.bottom = 24.0, self.height - 30.0
        said = bool(self.series.limits) or bool(np.isfinite(self.values).any())
        self.y_ticks = ticks(self.low, self.high, (self.bottom - self.top) / 44) if said else []
        step = self.y_ticks[1] - self.y_ticks[0] if len(self.y_ticks) > 1 else self.high - self.low
        self.tick_texts = [number_text(tick, decimals_for(step)) for tick in self.y_ticks]
        widest = max([text_width(text) for text in self.tick_texts] + [text_width(self.series.unit)])
        self.left = widest + 14
        self.ends = self._end_labels()
        self.name_width = max([text_width(name) for _, _, name, _ in self.ends], default=0.0)
        figures = max([text_width(figure) for _, _, _, figure in self.ends], default=0.0)
        self.right = self.width - (self.name_width + figures + 36 if self.ends else 12)
        self.dense = len(self.values) * _DOT_ROOM > self.right - self.left

    def _end_labels(self) -> list[tuple[float, str, str, str]]:
        """(value, kind, name, figure) of each line that is named at the right end."""
        series, words = self.series, self.words
        found: list[tuple[float, str, str, str]] = []
        if series.limits:
            last = series.limits[-1]
            for value, key in ((last.upper, "ucl"), (last.centre, "cl"), (last.lower, "lcl")):
                found.append((value, key, words[key], number_text(value, self.decimals)))
        for spec, key in ((series.usl, "usl"), (series.lsl, "lsl")):
            if spec is not None:
                inside = self.low <= spec <= self.high
                arrow = "" if inside else (" ↑" if spec > self.high else " ↓")
                figure = exact_text(spec, self.decimals if inside else 0)
                found.append((spec, key, words[key] + arrow, figure))
        return found

    def x(self, index: float) -> float:
        count = len(self.values)
        inset = min(12.0, (self.right - self.left) / (2 * max(count, 1)))
        if count < 2:
            return (self.left + self.right) / 2
        return self.left + inset + index * (self.right - self.left - 2 * inset) / (count - 1)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def svg(self) -> str:
        key = self.key
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-chart" role="img" '
            f'aria-labelledby="{key}-title {key}-desc" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="system-ui, sans-serif" '
            f'font-size="12" fill="currentColor">'
            f'<title id="{key}-title">{escaped(self.series.title)}</title>'
            f'<desc id="{key}-desc">{escaped(self._description())}</desc>'
        )
        parts = [
            *self._outside(),
            *self._axes(),
            *self._specs(),
            *(self._data() + self._limits() if self.dense else self._limits() + self._data()),
            *self._named_ends(),
            *self._flags(),
        ]
        return head + "".join(parts) + "</svg>"

    def _description(self) -> str:
        gaps = int(np.isnan(self.values).sum())
        told = [self._told(index) for index in sorted(self.flagged)]
        summary = self.words["summary"].format(points=len(self.values), signals=len(told), gaps=gaps)
        more = " …" if len(told) > _TOLD else ""
        return " ".join([summary, *(f"{sentence}." for sentence in told[:_TOLD])]) + more

    def _told(self, index: int) -> str:
        """A flagged point in words: which, how much, and by which rules."""
        rules = "; ".join(self.words.get(rule, rule) for rule in self.flagged[index])
        return f"{self._point_text(index)}, {rules}"

    def _point_text(self, index: int) -> str:
        figure = number_text(float(self.values[index]), self.decimals)
        value = f"{figure} {self.series.unit}".rstrip()
        number = self.series.first + index
        return self.words["point"].format(axis=self.words["axis"], number=number, value=value)

    def _outside(self) -> list[str]:
        """The room beyond the specification, shaded."""
        parts = []
        usl, lsl = self.series.usl, self.series.lsl
        if usl is not None and usl <= self.high:
            parts.append(self._shade(self.top, self.y(usl)))
        if lsl is not None and lsl >= self.low:
            parts.append(self._shade(self.y(lsl), self.bottom))
        return parts

    def _shade(self, top: float, bottom: float) -> str:
        return (
            f'<rect class="lk-outside" x="{px(self.left)}" y="{px(top)}" '
            f'width="{px(self.right - self.left)}" height="{px(bottom - top)}" fill-opacity="0.05"/>'
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
            parts.append(label("lk-tick", x, self.bottom + 18, str(number), "middle"))
        if self.series.unit:
            parts.append(label("lk-unit", self.left - 8, 12, self.series.unit, "end"))
        parts.append(label("lk-unit", self.width - 4, self.bottom + 18, self.words["axis"], "end"))
        return parts

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

    def _limits(self) -> list[str]:
        """Centre and limits of each span, with its version above its beginning."""
        parts, free = [], -math.inf
        count = len(self.values)
        for span in self.series.limits:
            stop = count if span.stop is None else min(span.stop, count)
            begins, ends = span.start > 0, stop < count
            x1 = (self.x(span.start - 0.5)) if begins else self.left
            x2 = (self.x(stop - 0.5)) if ends else self.right
            for value in (span.lower, span.upper):
                y = self.y(value)
                parts.append(line("lk-limit", x1, y, x2, y, 'stroke-dasharray="6 4" stroke-width="1.25"'))
            y = self.y(span.centre)
            parts.append(line("lk-centre", x1, y, x2, y, 'stroke-opacity="0.6"'))
            if begins:
                parts.append(line("lk-change", x1, self.top - 8, x1, self.bottom, 'stroke-opacity="0.25"'))
            version = self._version(span)
            if version and x1 >= free:
                parts.append(label("lk-version", x1 + (6 if begins else 0), 12, version, "start"))
                free = x1 + text_width(version, 11) + 18
        return parts

    def _version(self, span: LimitSpan) -> str:
        return self.words["provisional"].format(version=span.version) if span.provisional else span.version

    def _specs(self) -> list[str]:
        shown = [s for s in (self.series.usl, self.series.lsl) if s is not None and self.low <= s <= self.high]
        return [line("lk-spec", self.left, self.y(s), self.right, self.y(s), 'stroke-width="1.5"') for s in shown]

    def _named_ends(self) -> list[str]:
        """The names and figures at the right end, kept apart, with a leader where one had to move."""
        ends = sorted(self.ends, key=lambda end: -end[0])
        wanted = [self.y(value) for value, *_ in ends]
        placed = spread(wanted, _LABEL_GAP, self.top + 2, self.bottom - 2)
        parts = []
        x = self.right + 20
        for (value, key, name, figure), at, y in zip(ends, wanted, placed, strict=True):
            if self.low <= value <= self.high:
                points = f"M{px(self.right + 2)} {px(at)}L{px(self.right + 15)} {px(y)}"
                parts.append(path("lk-leader", points, 'stroke-opacity="0.35"'))
            spec = " lk-label-spec" if key in ("usl", "lsl") else ""
            parts.append(label(f"lk-label{spec}", x, y + 4, name, "start"))
            parts.append(label(f"lk-label lk-number{spec}", self.width - 4, y + 4, figure, "end"))
        return parts

    def _data(self) -> list[str]:
        """The band under runs, the line, its dots where there is room, and ticks for gaps."""
        count = len(self.values)
        xs = np.array([self.x(index) for index in range(count)])
        kept = thin(xs, self.values, self.flagged).tolist()
        absent = np.cumsum(np.isnan(self.values)).tolist()
        runs = [] if self.dense else [s for s in self.series.signals if len(s.members) > 1]
        in_run = {member for run in runs for member in run.members}
        strokes: list[list[int]] = []
        bands: list[list[int]] = []
        for index in kept:
            joined = bool(strokes) and absent[strokes[-1][-1]] == absent[index]
            if not joined:
                strokes.append([])
            if index in in_run:
                if not (bands and joined and bands[-1][-1] == strokes[-1][-1]):
                    bands.append([])
                bands[-1].append(index)
            strokes[-1].append(index)
        name, look = "lk-line", 'stroke-width="1.4"'
        if self.dense:
            name, look = "lk-line lk-dense", 'stroke-width="0.9" stroke-opacity="0.5"'
        band_look = 'stroke-width="9" stroke-opacity="0.15"'
        parts = [path("lk-run", self._trace(band), band_look) for band in bands]
        parts += [path(name, self._trace(stroke), look) for stroke in strokes if len(stroke) > 1]
        dotted = [stroke for stroke in strokes if len(stroke) == 1 or not self.dense]
        dots = [i for stroke in dotted for i in stroke if i not in self.flagged]
        return [*parts, *(self._dot(index) for index in dots), *self._gap_ticks(xs)]

    def _trace(self, indices: list[int]) -> str:
        return "M" + "L".join(f"{px(self.x(i))} {px(self.y(float(self.values[i])))}" for i in indices)

    def _dot(self, index: int) -> str:
        return (
            f'<circle class="lk-point" cx="{px(self.x(index))}" cy="{px(self.y(float(self.values[index])))}" '
            f'r="3"><title>{escaped(self._point_text(index))}</title></circle>'
        )

    def _gap_ticks(self, xs: npt.NDArray[np.float64]) -> list[str]:
        columns = sorted({round(x) for x in xs[np.isnan(self.values)].tolist()})
        if not columns:
            return []
        strokes = "".join(f"M{x} {px(self.bottom - 7)}v7" for x in columns)
        return [path("lk-gap", strokes, 'stroke-width="1.5"')]

    def _flags(self) -> list[str]:
        """Diamonds for points beyond a limit, squares for completed runs, each with its rules in words."""
        parts = []
        for index in sorted(self.flagged):
            rules = self.flagged[index]
            x, y = self.x(index), self.y(float(self.values[index]))
            if "nelson1" in rules:
                r = 5 if self.dense else 7
                shape, outline = "lk-diamond", f"M{px(x)} {px(y - r)}l{r} {r}l-{r} {r}l-{r} -{r}z"
            else:
                r = 3 if self.dense else 5
                shape, outline = "lk-square", f"M{px(x - r)} {px(y - r)}h{2 * r}v{2 * r}h-{2 * r}z"
            names = " ".join(f"lk-rule-{escaped(rule)}" for rule in rules)
            parts.append(
                f'<g class="lk-signal {names}" id="{self.key}-p{self.series.first + index}">'
                f"<title>{escaped(self._told(index))}</title>"
                f'<circle class="lk-hit" cx="{px(x)}" cy="{px(y)}" r="12" fill="none" pointer-events="all"/>'
                f'<path class="lk-point-signal {shape}" d="{outline}" stroke-width="1.5"/></g>'
            )
        return parts
