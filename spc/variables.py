"""Charts of measured values: individuals, means with ranges or standard deviations, times, short runs.

Formulas: Montgomery, *Introduction to Statistical Quality Control*, 6; of times between events, Nelson,
*Journal of Quality Technology* 26 (1994); of short runs, Montgomery 10.1. What all functions have in common is
in `spc.charts`.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from spc.charts import (
    DEFAULT_RULES,
    Bools,
    ChartResult,
    Floats,
    bridged,
    clean,
    drawn,
    estimated_from,
    lines_of,
    moving_ranges,
    neighbours,
    on_limits,
    on_rules,
)
from spc.constants import ConstantSet
from spc.estimate import Centre, PhaseOnePoint, estimate
from spc.exact import exact_mean, usable
from spc.limits import LimitSet, Lines
from spc.sigma import Constants, SigmaMethod, sigma_of_subgroups
from spc.statistics import from_nominal, standard_deviation, to_normal, value_range

__all__ = ["Subgroups", "deviations", "imr", "means", "standardised", "summaries", "t", "z_mr"]

Subgroups = Sequence[Sequence[float]] | npt.NDArray[np.float64]
"""m subgroups of readings, not necessarily of one size."""


def imr(
    values: npt.ArrayLike,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    method: SigmaMethod = "mean_mr",
    centre: Centre = "mean",
    constants: Constants = "exact",
    bridge: bool = False,
    version: str | None = None,
) -> ChartResult:
    """Individuals and moving ranges of `values` (shape m).

    With `limits` given they judge; else they are estimated as `spc.estimate.estimate` says. A moving range
    counts in the estimate when both its values do; with `bridge` it reaches over excluded values to the one
    before them (as in R's qcc, where they are deleted). With the median estimator, factors of one's own
    multiply the median. Raises ValueError when the arguments contradict, NoLimitsError when there is too little
    to estimate from.
    """
    points = clean(values, 1)
    usable_ = np.isfinite(points)
    ranges = moving_ranges(points, restarts)
    used = estimated_from("imr", usable_, limits, phase1, exclude)
    if limits is None:
        between = bridged(points, restarts, used) if bridge else np.where(_both(used), ranges, np.nan)
        limits = estimate(
            "imr",
            _singles(points, between, used),
            subgroup=1,
            constants=constants,
            version=version,
            method=method,
            centre=centre,
        )
    sizes = np.where(usable_, 1.0, np.nan)
    location = drawn(points, lines_of(limits, sizes))
    rules = tuple(rules)
    location = replace(location, signals=on_rules(location, rules, exclude, restarts))
    spread = on_limits(ranges, [limits.spread_at(1)] * len(points), rules)
    return ChartResult(limits, location, spread, sizes, used)


def _both(used: Bools) -> Bools:
    return neighbours(used, ())


def _singles(points: Floats, ranges: Floats, used: Bools) -> list[PhaseOnePoint]:
    return [
        PhaseOnePoint(value, None if math.isnan(between) else between)
        for value, between in zip(points[used].tolist(), ranges[used].tolist(), strict=True)
    ]


# -- subgroups --------------------------------------------------------------------------------------------------


def summaries(subgroups: Subgroups, least: int = 2) -> tuple[Floats, Floats, Floats, Floats]:
    """Means, ranges, standard deviations and sizes of m subgroups; each of shape m, NaN for a subgroup with a gap.

    With one reading the range and the standard deviation are NaN. Raises ValueError, naming the subgroup from
    1, for one of fewer than `least` readings.
    """
    table = np.full((4, len(subgroups)), np.nan)
    for place, subgroup in enumerate(subgroups):
        readings = [usable(value) for value in subgroup]
        if len(readings) < max(least, 1):
            told = "is empty" if not readings else f"has {len(readings)} readings"
            raise ValueError(f"subgroup {place + 1} {told}: at least {max(least, 1)} are needed")
        values = [value for value in readings if value is not None]
        if len(values) < len(readings):
            continue
        several = len(values) > 1
        table[:, place] = (
            exact_mean(values),
            value_range(values) if several else np.nan,
            standard_deviation(values) if several else np.nan,
            len(values),
        )
    means, ranges, deviations_, sizes = table
    return means, ranges, deviations_, sizes


def means(
    chart: Literal["xbar_r", "xbar_s"],
    subgroups: Subgroups,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    method: SigmaMethod | None = None,
    constants: Constants = "exact",
    version: str | None = None,
) -> ChartResult:
    """Means and ranges (xbar_r) or standard deviations (xbar_s) of m subgroups of at least 2 readings each.

    A subgroup with a gap in it is a gap as a whole. Where sizes vary, each point has limits of its own; the
    limit set is that of the first subgroup's size. `method` is rbar for xbar_r; for xbar_s sbar, which averages
    s / c4(n), or pooled, the textbook's way with sizes that vary: A3(n), B3(n) and B4(n) times the pooled
    standard deviation. rbar for xbar_s, and sbar for xbar_r, give the limits of the means alone; those of the
    spreads stay with the chart's own. All else as in `imr`.
    """
    locations, ranges, deviations_, sizes = summaries(subgroups)
    spreads, others = (ranges, deviations_) if chart == "xbar_r" else (deviations_, ranges)
    used = estimated_from(chart, np.isfinite(locations), limits, phase1, exclude)
    if limits is not None:
        of_spread = limits
    else:
        own: tuple[SigmaMethod, ...] = ("rbar",) if chart == "xbar_r" else ("sbar", "pooled")
        method = method or own[0]
        if method == "pooled" and method not in own:
            raise ValueError("xbar_r: a pooled standard deviation is charted by xbar_s")
        if method not in (*own, "rbar", "sbar"):
            raise ValueError(f"{chart}: sigma is by rbar, sbar or (xbar_s) pooled, not {method!r}")
        make = partial(
            estimate,
            chart,
            _grouped(locations, spreads, sizes, used),
            subgroup=int(sizes[used][0]) if used.any() else 2,
            constants=constants,
            version=version,
            method=method if method in own else None,
        )
        limits = of_spread = make()
        if method not in own:
            spreads_there = zip(others[used].tolist(), map(int, sizes[used].tolist()), strict=True)
            limits = make(sigma_within=sigma_of_subgroups([*spreads_there], method, constants))
    location = drawn(locations, lines_of(limits, sizes))
    rules = tuple(rules)
    location = replace(location, signals=on_rules(location, rules, exclude, restarts))
    spread = on_limits(spreads, _spread_lines(of_spread, sizes), rules)
    return ChartResult(limits, location, spread, sizes, used)


def _grouped(means: Floats, spreads: Floats, sizes: Floats, used: Bools) -> list[PhaseOnePoint]:
    table = zip(means[used].tolist(), spreads[used].tolist(), sizes[used].tolist(), strict=True)
    return [PhaseOnePoint(mean, spread, size) for mean, spread, size in table]


def _spread_lines(limits: LimitSet, sizes: Floats) -> list[Lines | None]:
    return [None if math.isnan(size) else limits.spread_at(int(size)) for size in sizes.tolist()]


# -- times between events ---------------------------------------------------------------------------------------


def t(
    times: npt.ArrayLike,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    method: SigmaMethod = "mean_mr",
    constants: Constants = "exact",
    version: str | None = None,
) -> ChartResult:
    """Times between events (shape m, at least 0): individuals of time^(1/3.6), with limits transformed back.

    A lower limit below 0 in that scale is 0. Run rules are applied in that scale; the `sigma` of `location` is
    the one there, and `extras` hold the `transformed` times. Raises ValueError, naming the point from 1, for a
    negative time; all else as in `imr`.
    """
    points = clean(times, 1, "times")
    usable_ = np.isfinite(points)
    for place in np.flatnonzero(usable_ & (points < 0)).tolist():
        raise ValueError(f"point {place + 1}: a time between events cannot be negative, got {points[place]:g}")
    scaled = points.copy()
    scaled[usable_] = [to_normal(time) for time in points[usable_].tolist()]
    used = estimated_from("t", usable_, limits, phase1, exclude)
    if limits is None:
        ranges = np.where(_both(used), moving_ranges(scaled, restarts), np.nan)
        limits = estimate(
            "t", _singles(points, ranges, used), subgroup=1, constants=constants, version=version, method=method
        )
    sizes = np.where(usable_, 1.0, np.nan)
    flat = limits.transformed()
    judged = drawn(scaled, [flat if one else None for one in usable_.tolist()])
    signals = on_rules(judged, rules, exclude, restarts)
    location = drawn(points, lines_of(limits, sizes), signals)
    return ChartResult(limits, location, None, sizes, used, {"transformed": scaled})


# -- short runs -------------------------------------------------------------------------------------------------


def deviations(values: npt.ArrayLike, nominals: npt.ArrayLike, sigmas: npt.ArrayLike | None = None) -> Floats:
    """Short runs: what each value (shape m) is off its part's nominal, over the part's sigma where these are
    given.

    `nominals` and `sigmas` are one number, or one a value. Chart the result with `imr` or, row by row, with
    `means`. Raises ValueError for a nominal that is not finite or a sigma that is not above 0, naming the
    point from 1.
    """
    points = clean(values, 1)
    centres = np.broadcast_to(np.asarray(nominals, dtype=np.float64), points.shape).tolist()
    widths = (
        None if sigmas is None else np.broadcast_to(np.asarray(sigmas, dtype=np.float64), points.shape).tolist()
    )
    for place, nominal in enumerate(centres):
        if not math.isfinite(nominal):
            raise ValueError(f"point {place + 1}: its nominal is {nominal}")
        if widths is not None and not (math.isfinite(widths[place]) and widths[place] > 0):
            raise ValueError(f"point {place + 1}: the sigma of its part must be above 0, got {widths[place]}")
    rows = zip(points.tolist(), centres, widths or [None] * len(centres), strict=True)
    return np.array([from_nominal(value, nominal, sigma) for value, nominal, sigma in rows], dtype=np.float64)


def standardised(values: npt.ArrayLike, parts: Sequence[str], constants: Constants = "exact") -> Floats:
    """Short runs without known parameters: each value over its part's own mean and sigma (mean moving range / d2).

    `parts` names the part of each value; moving ranges are those between values of one part that follow each other
    among its values, whatever ran between. Raises NoLimitsError for a part of fewer than 2 values or without
    variation, naming it.
    """
    points = clean(values, 1)
    if len(parts) != len(points):
        raise ValueError(f"{len(points)} values, but {len(parts)} names of parts")
    scaled = np.full(points.shape, np.nan)
    for part in dict.fromkeys(parts):
        mine = np.array([name == part for name in parts]) & np.isfinite(points)
        between = bridged(points, (), mine)
        try:
            limits = estimate("imr", _singles(points, between, mine), subgroup=1, constants=constants)
        except ValueError as error:
            raise type(error)(f"part {part}: {error}") from error
        scaled[mine] = deviations(points[mine], limits.centre, limits.sigma_within)
    return scaled


def z_mr(
    scores: npt.ArrayLike,
    *,
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    constants: ConstantSet = "exact",
) -> ChartResult:
    """Z and W: standardised values of many parts (`deviations` with sigmas, `standardised`) on one chart.

    Its limits are known: -3 and 3 for Z, 0 and D4 d2 for the moving ranges.
    """
    limits = LimitSet.fixed("imr", 0.0, -3.0, 3.0, "z", constants=constants)
    return imr(scores, limits=limits, restarts=restarts, rules=rules)
