"""Control charts of a whole series at once: individuals with moving ranges, means with ranges.

Pure functions over numpy arrays, for studies, drawing and recomputation; `spc.stream` judges point by point
and agrees with these to the bit. NaN (and infinite) is a gap, a reading of bad quality: it is plotted as
nothing, no moving range reaches across it, it enters no limits and it ends a run.

Limits are given (phase II), or estimated from the series (phase I) and then frozen: the same limits judge
all of it. Excluded points stay out of the estimate, with every moving range that touches them, but are
judged like the others. Formulas: Montgomery, *Introduction to Statistical Quality Control*, chapter 6.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
import numpy.typing as npt

from spc.constants import ConstantSet, Factors, c4, factors, median_factors
from spc.exact import LARGEST, exact_mean
from spc.limits import Chart, LimitSet
from spc.rules import Signal, beyond_limits, check_rules, evaluate, limit_rule

__all__ = ["ChartResult", "Estimator", "LimitSet", "imr", "xbar_r"]

Estimator = Literal["mean_range", "median_range", "sd"]
"""How an imr chart gets sigma: mean MR / d2, median MR / 0.954, or overall standard deviation / c4(m).

The last one counts every shift between the points as noise, so that an outlier hides itself: it is there to
recompute what others have published.
"""

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ChartResult:
    """A judged series of m points, in the unit of the characteristic.

    `location` (shape m) is what the upper chart plots: the values (imr) or the subgroup means (xbar_r).
    `ranges` (shape m) is the lower chart: the moving range that ends at the point, or the subgroup's range.
    Both are NaN where there is a gap. Signals count points from 0.
    """

    limits: LimitSet
    location: _Floats
    ranges: _Floats
    location_signals: tuple[Signal, ...]
    range_signals: tuple[Signal, ...]


def imr(
    values: npt.ArrayLike,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = ("nelson1", "nelson2"),
    estimator: Estimator = "mean_range",
    constants: ConstantSet | Factors = "exact",
    version: str | None = None,
) -> ChartResult:
    """Individuals and moving ranges of `values` (shape m).

    With `limits` given they judge; else they are estimated from the first `phase1` usable points (all, when
    None), `exclude` (0-based) left out. `restarts` are points at which no run may continue. A moving range
    counts in the estimate when both its points do. `version` names estimated limits; the default is
    phase1-<number of points used>. With the median estimator, `Factors` passed as `constants` multiply the
    median. Raises ValueError when there is too little to estimate from or the arguments contradict.
    """
    location = _clean(values, ndim=1)
    ranges = np.full(location.shape, np.nan)
    ranges[1:] = np.abs(location[1:] - location[:-1])
    if limits is None:
        used, used_ranges = _phase1_points(location, ranges, phase1, exclude, paired=True)
        limits = _estimate_imr(used, used_ranges, estimator, constants, version)
    else:
        _check_given(limits, "imr", 1, phase1)
    return _judged(limits, location, ranges, rules, exclude, restarts)


def xbar_r(
    subgroups: npt.ArrayLike,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = ("nelson1", "nelson2"),
    constants: ConstantSet | Factors = "exact",
    version: str | None = None,
) -> ChartResult:
    """Means and ranges of `subgroups` (shape m x n, n >= 2).

    A subgroup with a gap in it is a gap as a whole: fewer values would need other limits. All else as in
    `imr`, with subgroups for points.
    """
    data = _clean(subgroups, ndim=2)
    size = data.shape[1]
    if size < 2:
        raise ValueError(f"subgroups need at least 2 values, got {size}")
    complete = np.isfinite(data).all(axis=1)
    location = np.full(len(data), np.nan)
    location[complete] = [exact_mean(row) for row in data[complete].tolist()]
    ranges = np.where(complete, data.max(axis=1) - data.min(axis=1), np.nan)
    if limits is None:
        used, used_ranges = _phase1_points(location, ranges, phase1, exclude, paired=False)
        table = constants if isinstance(constants, Factors) else factors(size, constants)
        if table.n != size:
            raise ValueError(f"factors are for ranges of {table.n} values, the subgroups have {size}")
        centre, spread = exact_mean(used), exact_mean(used_ranges)
        name = version or f"phase1-{len(used)}"
        limits = LimitSet.estimated("xbar_r", size, centre, spread, table, name)
    else:
        _check_given(limits, "xbar_r", size, phase1)
    return _judged(limits, location, ranges, rules, exclude, restarts)


def _clean(data: npt.ArrayLike, ndim: int) -> _Floats:
    """A copy as floats in which everything that is no reading is NaN."""
    array = np.array(data, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError(f"expected an array of {ndim} dimension(s), got shape {array.shape}")
    array[~(np.abs(array) <= LARGEST)] = np.nan
    return array


def _check_given(limits: LimitSet, chart: Chart, subgroup: int, phase1: int | None) -> None:
    if phase1 is not None:
        raise ValueError("limits are given: phase1 would have no effect")
    if (limits.chart, limits.subgroup) != (chart, subgroup):
        raise ValueError(
            f"limits {limits.version!r} are for {limits.chart} with subgroups of {limits.subgroup}, "
            f"not for {chart} with subgroups of {subgroup}"
        )


def _phase1_points(
    location: _Floats, ranges: _Floats, phase1: int | None, exclude: Collection[int], *, paired: bool
) -> tuple[list[float], list[float]]:
    """The points and ranges to estimate from: those of the shortest beginning that holds enough.

    Enough is `phase1` usable points and one usable range. `paired` ranges need their predecessor too.
    """
    keep: _Bools = np.isfinite(location)
    keep[list(exclude)] = False
    keep_range: _Bools = keep & np.isfinite(ranges)
    if paired:
        keep_range[1:] &= keep[:-1]
    need = int(keep.sum()) if phase1 is None else phase1
    if need < 1 or keep.sum() < need or not keep_range.any():
        raise ValueError(
            f"too little to estimate limits from: {int(keep.sum())} usable points and "
            f"{int(keep_range.sum())} ranges, needed {max(need, 1)} and 1"
        )
    enough = (np.cumsum(keep) >= need) & (np.cumsum(keep_range) >= 1)
    stop = len(location) if phase1 is None else int(np.argmax(enough)) + 1
    return location[:stop][keep[:stop]].tolist(), ranges[:stop][keep_range[:stop]].tolist()


def _estimate_imr(
    used: list[float],
    ranges: list[float],
    estimator: Estimator,
    constants: ConstantSet | Factors,
    version: str | None,
) -> LimitSet:
    by_median = estimator == "median_range"
    if isinstance(constants, Factors):
        table = constants
    else:
        table = median_factors(constants) if by_median else factors(2, constants)
    if table.n != 2:
        raise ValueError(f"factors are for ranges of {table.n} values, moving ranges have 2")
    centre = exact_mean(used)
    spread = median(ranges) if by_median else exact_mean(ranges)
    sigma = None
    if estimator == "sd":
        square = math.fsum((value - centre) * (value - centre) for value in used)
        sigma = math.sqrt(square / (len(used) - 1)) / c4(len(used))
    name = version or f"phase1-{len(used)}"
    return LimitSet.estimated("imr", 1, centre, spread, table, name, sigma)


def _judged(
    limits: LimitSet,
    location: _Floats,
    ranges: _Floats,
    rules: Iterable[object],
    exclude: Collection[int],
    restarts: Collection[int],
) -> ChartResult:
    asked = check_rules(rules)
    on_location = evaluate(
        asked,
        location,
        centre=limits.centre,
        lower=limits.lower,
        upper=limits.upper,
        sigma=limits.sigma,
        excluded=exclude,
        restarts=restarts,
    )
    spread = limits.spread_at(limits.subgroup)
    on_ranges: tuple[Signal, ...] = ()
    if spread is not None:  # ranges are skewed or correlated: no run rules
        on_ranges = beyond_limits(limit_rule(asked), ranges, spread.lower, spread.upper)
    return ChartResult(limits, location, ranges, on_location, on_ranges)
