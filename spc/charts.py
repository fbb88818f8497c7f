"""What all charts of a whole series share: the result, the choice of phase I, lines for each point, judging.

The kinds of charts are pure functions in `spc.variables`, `spc.attributes`, `spc.weighted` and `spc.multivariate`,
for studies, drawing and recomputation; `spc.stream` judges point by point and agrees with them to the bit.

- A gap (NaN, infinite, a subgroup that holds one) is plotted as NaN: no moving range reaches across it, it
enters no
  limits and ends every window of the run rules. EWMA, CUSUM and MEWMA go on after it as if it had not been.
- Limits are given (phase II), or estimated from the series (phase I) and then frozen: the same limits judge all of
  it. `phase1` counts the first points that are no gaps (all of them, when None); of these, `exclude` (from 0) stay
  out of the estimate and out of windows, but are judged like the others.
- At `restarts` (from 0) the series was cut: a changeover, a new tool. No window, moving range or sum reaches
across.
- Signals are strict: a point on its limit is none. Points count from 0 here, from 1 in messages.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.exact import LARGEST
from spc.limits import Chart, LimitSet, Lines
from spc.rules import Signal, beyond_limits, check_rules, evaluate, limit_rule

__all__ = [
    "DEFAULT_RULES",
    "Bools",
    "ChartResult",
    "Floats",
    "Plotted",
    "bridged",
    "chosen",
    "clean",
    "drawn",
    "estimated_from",
    "lines_of",
    "moving_ranges",
    "neighbours",
    "on_limits",
    "on_rules",
    "places",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DEFAULT_RULES: Final = ("nelson1", "nelson2")


@dataclass(frozen=True, slots=True, eq=False)
class Plotted:
    """One chart of a series: what it plots and what each point is held against; all arrays of shape m.

    `points` is NaN at gaps, and so are the lines where a gap leaves no size to compute them for. `sigma` is the
    standard deviation of the plotted statistic, the width of the zones (0 where there are none).
    """

    points: Floats
    lower: Floats
    centre: Floats
    upper: Floats
    sigma: Floats
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChartResult:
    """A judged series of m points.

    `location` is the upper chart: values, means, proportions or rates (np, c: counts), z of an EWMA, the upper
    sum of a CUSUM, T squared. `spread` is the lower one: moving ranges (NaN where there is no neighbour),
    ranges, standard deviations, or the lower sum of a CUSUM, counted upwards; None where the chart has none.
    `sizes` are readings, or of counts the sizes of the samples (NaN at gaps). `used` marks the points that made
    the limits. `extras` hold what else the chart computes, each of shape m; the function says what.
    """

    limits: LimitSet
    location: Plotted
    spread: Plotted | None
    sizes: Floats
    used: Bools
    extras: Mapping[str, Floats] = field(default_factory=dict)


# -- what comes in ----------------------------------------------------------------------------------------------


def clean(data: npt.ArrayLike, ndim: int, what: str = "values") -> Floats:
    """A copy as floats in which everything that is no reading is NaN; ValueError for another shape."""
    try:
        array = np.array(data, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{what}: rows of unequal length, or what is no number") from error
    if array.ndim != ndim:
        raise ValueError(f"{what}: expected an array of {ndim} dimension(s), got shape {array.shape}")
    array[~(np.abs(array) <= LARGEST)] = np.nan
    return array


def places(points: Collection[int], count: int, what: str) -> list[int]:
    """The places (from 0) in order; ValueError names one that the series of `count` points does not have."""
    for place in points:
        if not 0 <= place < count:
            raise ValueError(f"{what}: there is no point {place + 1}, the series has {count}")
    return sorted(set(points))


def chosen(usable: Bools, phase1: int | None, exclude: Collection[int]) -> Bools:
    """The points that limits are estimated from: the first `phase1` usable ones, without the excluded.

    Raises ValueError when there are not that many.
    """
    out = places(exclude, len(usable), "exclude")
    keep = usable.copy()
    if phase1 is not None:
        if phase1 < 2:
            raise ValueError(f"phase I needs at least 2 points that are no gaps, got {phase1}")
        if usable.sum() < phase1:
            raise ValueError(
                f"too little to estimate limits from: {int(usable.sum())} usable points, phase I has {phase1}"
            )
        keep &= np.cumsum(usable) <= phase1
    keep[out] = False
    return keep


def estimated_from(
    chart: Chart,
    usable: Bools,
    limits: LimitSet | None,
    phase1: int | None,
    exclude: Collection[int],
    subgroup: int | None = None,
) -> Bools:
    """The points that limits are to be estimated from (`chosen`); none where `limits` are given.

    Raises ValueError for given limits that do not suit the chart.
    """
    if limits is None:
        return chosen(usable, phase1, exclude)
    if phase1 is not None:
        raise ValueError("limits are given: phase1 would have no effect")
    if limits.chart != chart or (subgroup is not None and limits.subgroup != subgroup):
        of = "" if subgroup is None else f" with subgroups of {subgroup}"
        raise ValueError(
            f"limits {limits.version!r} are for {limits.chart} with subgroups of {limits.subgroup}, "
            f"not for {chart}{of}"
        )
    return np.zeros(len(usable), dtype=np.bool_)


# -- neighbours -------------------------------------------------------------------------------------------------


def neighbours(usable: Bools, restarts: Collection[int], used: Bools | None = None) -> Bools:
    """Which points have a neighbour before them: neither is a gap (or unused), and no restart lies between."""
    joined = usable.copy() if used is None else usable & used
    joined[1:] &= joined[:-1].copy()
    joined[:1] = False
    joined[places(restarts, len(usable), "restarts")] = False
    return joined


def moving_ranges(values: Floats, restarts: Collection[int]) -> Floats:
    """The distance of each value to the one before it; NaN where that is not its neighbour."""
    ranges = np.full(values.shape, np.nan)
    ranges[1:] = np.abs(values[1:] - values[:-1])
    ranges[~neighbours(np.isfinite(values), restarts)] = np.nan
    return ranges


def bridged(values: Floats, restarts: Collection[int], used: Bools) -> Floats:
    """Moving ranges of the used values as if the others had never been: each to the used one before it."""
    ranges = np.full(values.shape, np.nan)
    cuts = places(restarts, len(values), "restarts")
    for before, after in pairwise(np.flatnonzero(used).tolist()):
        if not any(before < cut <= after for cut in cuts):
            ranges[after] = abs(values[after] - values[before])
    return ranges


# -- what comes out ---------------------------------------------------------------------------------------------


def lines_of(limits: LimitSet, sizes: Floats, steps: Sequence[int] | None = None) -> list[Lines | None]:
    """The lines for each point of the upper chart; None at gaps. `steps` number the points of an EWMA from 1."""
    known: dict[tuple[float, int], Lines] = {}
    lines: list[Lines | None] = []
    for place, size in enumerate(sizes.tolist()):
        if math.isnan(size):
            lines.append(None)
            continue
        key = (size, 1 if steps is None else steps[place])
        if key not in known:
            known[key] = limits.at(*key)
        lines.append(known[key])
    return lines


def drawn(points: Floats, lines: Sequence[Lines | None], signals: tuple[Signal, ...] = ()) -> Plotted:
    """The points with their lines as arrays."""
    table = np.array(
        [(math.nan,) * 4 if one is None else (one.lower, one.centre, one.upper, one.sigma) for one in lines],
        dtype=np.float64,
    ).reshape(len(lines), 4)
    lower, centre, upper, sigma = table.T
    return Plotted(points, lower, centre, upper, sigma, signals)


def on_rules(
    plotted: Plotted, rules: Iterable[object], exclude: Collection[int], restarts: Collection[int]
) -> tuple[Signal, ...]:
    """Signals of a chart of independent points: all rules."""
    return evaluate(
        rules,
        plotted.points,
        centre=plotted.centre,
        lower=plotted.lower,
        upper=plotted.upper,
        sigma=plotted.sigma,
        excluded=exclude,
        restarts=restarts,
    )


def on_limits(points: Floats, lines: Sequence[Lines | None], rules: Iterable[object]) -> Plotted:
    """A chart without run rules, judged by its limits alone, where the rules hold one for single points."""
    plotted = drawn(points, lines)
    rule = limit_rule(check_rules(rules))
    signals = beyond_limits(rule, points, plotted.lower, plotted.upper)
    return Plotted(plotted.points, plotted.lower, plotted.centre, plotted.upper, plotted.sigma, signals)
