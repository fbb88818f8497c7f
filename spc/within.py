"""Points of which a capability is asked, and their standard deviation within subgroups.

Within subgroups, or between neighbours of single values, a process has only its common causes; the standard
deviation of all values also holds every shift between them.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from spc.sigma import Constants, factors_of, sigma_of_ranges, sigma_of_subgroups
from spc.statistics import standard_deviation, value_range

__all__ = ["Points", "Spread", "WithinSigma", "sigma_within", "signals"]

WithinSigma = Literal["rbar", "sbar", "pooled", "mrbar", "median_mr"]
"""How it is estimated: mean of R/d2, mean of s/c4, pooled standard deviation; of single values mean moving
range / d2, or median moving range / 0.9539. The overall standard deviation is none of them."""

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Range or standard deviation of point `number` (1-based), from `size` values."""

    number: int
    size: int
    value: float


@dataclass(frozen=True, slots=True)
class Points:
    """The points that count: their 1-based numbers and values. `single`: they are single values, not subgroups."""

    kept: tuple[tuple[int, _Values], ...]
    single: bool

    @classmethod
    def read(
        cls, points: Sequence[float] | Sequence[Sequence[float]], phase1: int | None, exclude: Collection[int]
    ) -> Self:
        if phase1 is not None and not 1 <= phase1 <= len(points):
            raise ValueError(f"phase1 counts the first points: from 1 to {len(points)}, not {phase1}")
        if unknown := [number for number in exclude if not 1 <= number <= len(points)]:
            raise ValueError(f"exclude lists points from 1 to {len(points)}, not {unknown}")
        grouped = [isinstance(point, Sequence | np.ndarray) for point in points]
        if any(grouped) and not all(grouped):
            raise ValueError("points are either single values or lists of values (subgroups), not both")
        kept = []
        for number, point in enumerate(points[:phase1], start=1):
            values = np.atleast_1d(np.asarray(point, dtype=np.float64))
            if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
                raise ValueError(
                    f"point {number} is no list of finite values; leave out what is missing: {point!r}"
                )
            if number not in exclude:
                kept.append((number, values))
        if not kept:
            raise ValueError("no points are left: a capability needs values")
        return cls(tuple(kept), all(values.size == 1 for _, values in kept))

    @property
    def values(self) -> _Values:
        return np.concatenate([values for _, values in self.kept])

    def spreads(self, method: WithinSigma) -> tuple[Spread, ...]:
        """Of each point that has one, as `method` needs it. ValueError where it does not suit the points."""
        if method not in get_args(WithinSigma):
            raise ValueError(
                f"sigma is {', '.join(get_args(WithinSigma))}, not {method!r}; "
                "the overall standard deviation is no estimate within subgroups"
            )
        moving = method in ("mrbar", "median_mr")
        if moving and not self.single:
            raise ValueError(f"{method} is for single values; for subgroups: rbar, sbar or pooled")
        if moving:
            pairs = zip(self.kept, self.kept[1:], strict=False)
            spreads = tuple(Spread(b, 2, float(abs(y[0] - x[0]))) for (a, x), (b, y) in pairs if b == a + 1)
        else:
            of = value_range if method == "rbar" else standard_deviation
            spreads = tuple(
                Spread(number, values.size, of(values.tolist())) for number, values in self.kept if values.size > 1
            )
        if not spreads:
            needed = (
                "neighbouring values" if moving else "subgroups of at least two values (for single ones: mrbar)"
            )
            raise ValueError(f"{method} needs {needed}")
        return spreads


def sigma_within(spreads: tuple[Spread, ...], method: WithinSigma, constants: Constants) -> float:
    """In the unit of the values, as `spc.sigma` has it. 0 where no spread is above 0."""
    if method == "mrbar" or method == "median_mr":
        ranges = [spread.value for spread in spreads]
        return sigma_of_ranges(ranges, "mean_mr" if method == "mrbar" else method, constants)
    return sigma_of_subgroups([(spread.value, spread.size) for spread in spreads], method, constants)


def signals(
    points: Points,
    spreads: tuple[Spread, ...],
    method: WithinSigma,
    centre: float,
    sigma: float,
    constants: Constants,
) -> tuple[int, ...]:
    """1-based points beyond three standard deviations of their mean, or beyond a limit of their spread."""
    found = {
        number
        for number, values in points.kept
        if abs(values.mean() - centre) > 3 * sigma / math.sqrt(values.size)
    }
    for spread in spreads:
        table = factors_of(constants, spread.size, by_median=method == "median_mr")
        usual, low, high = (
            (table.c4, table.B3, table.B4) if method in ("sbar", "pooled") else (table.d2, table.D3, table.D4)
        )
        if not low * usual * sigma <= spread.value <= high * usual * sigma:
            found.add(spread.number)
    return tuple(sorted(found))
