"""How values lie in their specification: a histogram with the specification's lines and normal curves."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.markup import escaped, label, line, path, px
from spc.scale import decimals_for, exact_text, nice_step, number_text, text_width, ticks
from spc.series import Histogram

__all__ = ["HistogramPanel"]

_FAR: Final = 6.0  # a specification that would shrink the values to less than a sixth is named at the edge
_FEWEST, _MOST = 6, 40  # bars
_CURVE_POINTS: Final = 96


class HistogramPanel:
    """The parts of a histogram between the heights `top` and `bottom`, in a drawing of `width` pixels.

    Bars are as wide as Freedman and Diaconis (1981) ask for, rounded to a figure that people can read. Raises
    ValueError without a finite value.
    """

    def __init__(
        self, shown: Histogram, width: int, top: float, bottom: float, words: Mapping[str, str], unit: str = ""
    ) -> None:
        self.shown, self.words, self.unit = shown, words, unit
        self.width, self.top, self.bottom = width, top, bottom
        values = np.asarray(shown.values, dtype=np.float64)
        self.values = values[np.isfinite(values)]
        if not self.values.size:
            raise ValueError("a histogram needs at least one value")
        self.step = _bar_width(self.values)
        first = math.floor(float(self.values.min()) / self.step + 1e-9)
        last = math.floor(float(self.values.max()) / self.step + 1e-9) + 1
        self.edges = np.arange(first, last + 1) * self.step
        places = np.clip(np.floor(self.values / self.step + 1e-9).astype(np.int64) - first, 0, last - first - 1)
        self.counts = np.bincount(places, minlength=last - first)
        self.decimals = decimals_for(self.step / 2)
        self._scale()

    def _scale(self) -> None:
        low, high = float(self.edges[0]), float(self.edges[-1])
        reach = high - low
        for spec in (self.shown.lsl, self.shown.usl):
            if spec is not None and max(high, spec) - min(low, spec) <= _FAR * reach:
                low, high = min(low, spec), max(high, spec)
        pad = 0.06 * (high - low)
        self.low, self.high = low - pad, high + pad
        self.most = max([float(self.counts.max())] + [self._density(s, m) for _, m, s in self.shown.curves]) * 1.15
        self.y_ticks = [t for t in ticks(0, self.most, (self.bottom - self.top) / 44) if t == round(t)]
        self.left = max(text_width(f"{tick:.0f}") for tick in self.y_ticks or [0.0]) + 14
        self.right = self.width - 12.0

    def _density(self, sigma: float, mean: float, at: float | None = None) -> float:
        """Values expected in a bar at a place of the normal curve; at its top by default."""
        z = 0.0 if at is None else (at - mean) / sigma
        return len(self.values) * self.step / (sigma * math.sqrt(2 * math.pi)) * math.exp(-z * z / 2)

    def x(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)

    def y(self, count: float) -> float:
        return self.bottom - count / self.most * (self.bottom - self.top)

    def description(self) -> str:
        low, high = (number_text(float(v), self.decimals) for v in (self.values.min(), self.values.max()))
        mean = number_text(float(self.values.mean()), self.decimals + 1)
        return self.words["values"].format(count=len(self.values), low=low, high=high, mean=mean)

    def parts(self) -> list[str]:
        return [*self._axes(), *self._outside(), *self._bars(), *self._curves(), *self._specs()]

    def _axes(self) -> list[str]:
        head = f"{self.shown.panel}, {self.unit}" if self.unit else self.shown.panel
        parts = [label("lk-panel", 4, self.top - 12, head, "start")] if head else []
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(line("lk-grid", self.left, y, self.right, y, 'stroke-opacity="0.12"'))
            parts.append(label("lk-tick", self.left - 8, y + 4, f"{tick:.0f}", "end"))
        parts.append(line("lk-axis", self.left, self.bottom, self.right, self.bottom, 'stroke-opacity="0.4"'))
        room = text_width(number_text(self.high, self.decimals)) + 26
        for tick in ticks(self.low, self.high, max(2.0, (self.right - self.left) / room)):
            x = self.x(tick)
            parts.append(line("lk-axis", x, self.bottom, x, self.bottom + 4, 'stroke-opacity="0.4"'))
            parts.append(label("lk-tick", x, self.bottom + 18, number_text(tick, self.decimals), "middle"))
        return parts

    def _outside(self) -> list[str]:
        """The room beyond the specification, shaded."""
        lsl, usl = self.shown.lsl, self.shown.usl
        grounds = []
        if lsl is not None and lsl >= self.low:
            grounds.append((self.left, self.x(lsl)))
        if usl is not None and usl <= self.high:
            grounds.append((self.x(usl), self.right))
        return [
            f'<rect class="lk-outside" x="{px(left)}" y="{px(self.top)}" width="{px(right - left)}" '
            f'height="{px(self.bottom - self.top)}" fill-opacity="0.05"/>'
            for left, right in grounds
        ]

    def _bars(self) -> list[str]:
        parts = []
        for index, count in enumerate(self.counts.tolist()):
            if not count:
                continue
            left, right = self.x(float(self.edges[index])), self.x(float(self.edges[index + 1]))
            top = self.y(count)
            ends = [number_text(float(edge), self.decimals) for edge in self.edges[index : index + 2]]
            told = self.words["bar"].format(low=ends[0], high=ends[1], count=count)
            wide = px(max(right - left - 1, 0.5))
            parts.append(
                f'<rect class="lk-bar" x="{px(left + 0.5)}" y="{px(top)}" width="{wide}" '
                f'height="{px(self.bottom - top)}" fill-opacity="0.35"><title>{escaped(told)}</title></rect>'
            )
        return parts

    def _curves(self) -> list[str]:
        parts = []
        for number, (name, mean, sigma) in enumerate(self.shown.curves):
            places = np.linspace(self.low, self.high, _CURVE_POINTS).tolist()
            trace = "L".join(f"{px(self.x(at))} {px(self.y(self._density(sigma, mean, at)))}" for at in places)
            dashes = ' stroke-dasharray="3 3"' if number else ""
            parts.append(path("lk-curve", f"M{trace}", f'stroke-width="1.5"{dashes}'))
            side = -1 if number else 1
            at = mean + side * (1.6 if number else 1.1) * sigma
            if self.low < at < self.high:
                place = self.x(at) + 6 * side, self.y(self._density(sigma, mean, at)) - 2
                parts.append(label("lk-label", *place, name, "start" if side > 0 else "end"))
        return parts

    def _specs(self) -> list[str]:
        parts = []
        for key, spec, outwards in (("lsl", self.shown.lsl, -1), ("usl", self.shown.usl, 1)):
            if spec is None:
                continue
            text = f"{self.words[key]} {exact_text(spec, self.decimals)}"
            inside = self.low <= spec <= self.high
            at = self.x(spec)
            if inside:
                parts.append(line("lk-spec", at, self.top, at, self.bottom, 'stroke-width="1.5"'))
            else:
                text = f"← {text}" if outwards < 0 else f"{text} →"
            room = (at - self.left if outwards < 0 else self.right - at) > text_width(text) + 8
            side = outwards if room else -outwards
            parts.append(
                label("lk-label lk-label-spec", at + 6 * side, self.top + 12, text, "start" if side > 0 else "end")
            )
        return parts


def _bar_width(values: npt.NDArray[np.float64]) -> float:
    """2 IQR / cube root of n, rounded to 1, 2 or 5 times a power of ten, for not too few and not too many bars."""
    span = float(np.ptp(values))
    if not span > 0:
        return nice_step(abs(float(values[0])) * 0.02 or 1.0, 1)
    quarter, three = np.quantile(values, [0.25, 0.75])
    wanted = 2 * float(three - quarter) / len(values) ** (1 / 3) or span / _MOST
    return nice_step(span, min(max(1.6 * span / wanted, _FEWEST), _MOST))  # nice steps are mostly wider ones
