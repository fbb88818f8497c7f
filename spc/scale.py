"""The arithmetic of a drawing: ticks, rounding, thinning and labels that keep clear of each other.

Pure functions, so that what a chart shows can be tested without looking at it.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["decimals_for", "exact_text", "nice_step", "number_text", "spread", "text_width", "thin", "ticks"]

_MOST_DECIMALS = 6
_LARGEST_PLAIN = 1e7


def nice_step(span: float, count: float) -> float:
    """The step of 1, 2 or 5 times a power of ten that cuts `span` (> 0) into at most about `count` parts."""
    raw = span / max(count, 1.0)
    power: float = 10.0 ** math.floor(math.log10(raw))
    for multiple in (1.0, 2.0, 5.0):
        if multiple * power >= raw:
            return multiple * power
    return 10 * power


def ticks(low: float, high: float, count: float) -> list[float]:
    """Multiples of a nice step within [low, high]; none when low is not below high."""
    if not low < high:
        return []
    step = nice_step(high - low, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def decimals_for(resolution: float) -> int:
    """Decimals that show differences of `resolution` (> 0): 0.05 needs two, 20 none."""
    return max(0, -math.floor(math.log10(resolution) + 1e-9))


def number_text(value: float, decimals: int) -> str:
    """A figure for people: fixed decimals, a true minus sign; powers of ten where digits would only count 0s."""
    if decimals > _MOST_DECIMALS or abs(value) >= _LARGEST_PLAIN:
        text = f"{value:.4g}"
    else:
        text = f"{value:.{decimals}f}"
        if float(text) == 0:
            text = text.lstrip("-")
    return text.replace("-", "−")


def exact_text(value: float, decimals: int) -> str:
    """A specification limit, never rounded: with the decimals of the limits, or all its own."""
    plain = number_text(value, decimals)
    return plain if float(plain.replace("−", "-")) == value else f"{value:.12g}".replace("-", "−")


def text_width(text: str, size: float = 12.0) -> float:
    """Room to leave for a text in a system font, in pixels; a full em for Chinese and its like."""
    return sum(size if ord(char) >= 0x2E80 else 0.64 * size for char in text)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least `gap` apart, within [low, high] if they fit, as near as can be to those wanted.

    `wanted` is ascending. Neighbours too close are moved apart around their common middle (least squares,
    by pooling adjacent violators), so that no label drifts further than it must.
    """
    pools: list[tuple[float, int]] = []  # (sum, count) of positions with the gaps taken out
    for index, position in enumerate(wanted):
        total, count = position - index * gap, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    flat = [total / count for total, count in pools for _ in range(count)]
    ceiling = max(low, high - (len(flat) - 1) * gap)
    return [min(max(base, low), ceiling) + index * gap for index, base in enumerate(flat)]


def thin(
    x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], keep: Collection[int]
) -> npt.NDArray[np.intp]:
    """Indices of the points to draw: per pixel column the lowest and the highest, and all in `keep`.

    `x` (pixels) and `values` have the same shape m, NaN values are gaps. A line through these points covers
    the same pixels as a line through all of them.
    """
    present = np.flatnonzero(np.isfinite(values))
    column = np.floor(x[present])
    order = np.lexsort((values[present], column))
    ranked, columns = present[order], column[order]
    change = np.flatnonzero(columns[1:] != columns[:-1])
    lowest = ranked[np.concatenate(([0], change + 1))] if ranked.size else ranked
    highest = ranked[np.concatenate((change, [ranked.size - 1]))] if ranked.size else ranked
    wanted = np.array(sorted(keep), dtype=np.intp)
    wanted = wanted[np.isfinite(values[wanted])]
    return np.unique(np.concatenate((lowest, highest, wanted)))
