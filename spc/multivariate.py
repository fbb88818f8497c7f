"""Charts of several variables at once: Hotelling's T squared and the MEWMA. One limit, above, and no run rules.

Formulas: Montgomery, *Introduction to Statistical Quality Control*, 11; Lowry, Woodall, Champ and Rigdon,
*Technometrics* 34 (1992). What all functions have in common is in `spc.charts`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spc.charts import (
    DEFAULT_RULES,
    Bools,
    ChartResult,
    Floats,
    chosen,
    clean,
    estimated_from,
    lines_of,
    on_limits,
    places,
)
from spc.estimate import PhaseOnePoint, estimate
from spc.given import vectors
from spc.hotelling import phase1_limit
from spc.limits import Chart, Design, LimitSet, Lines
from spc.mewma_arl import decision_interval
from spc.statistics import covariance, distance, mean_vector, mewma_distance, mewma_step

__all__ = ["mewma", "t2_individuals", "t2_subgroup"]


def t2_individuals(
    rows: npt.ArrayLike,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    confidence: float | None = None,
    version: str | None = None,
) -> ChartResult:
    """T squared of single readings, `rows` of shape m x p: by their mean and covariance (divisor m - 1).

    Points that made the estimates are held against the phase I limit, all others against that of phase II
    (which is the one in `limits`). `confidence` that a point in control stays within, default (1 - 0.0027)^p. A
    row with a gap in it is a gap. Raises ValueError for rows of unequal length, NoLimitsError for too few rows
    or a covariance that is singular, naming the variable from 1.
    """
    data = clean(rows, 2, "rows")
    return _t2(
        "t2_individuals",
        data,
        1,
        lambda place: PhaseOnePoint(0.0, vector=tuple(data[place].tolist())),
        limits,
        phase1,
        exclude,
        rules,
        confidence,
        version,
    )


def t2_subgroup(
    variables: Sequence[Sequence[Sequence[float]]] | npt.NDArray[np.float64],
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    confidence: float | None = None,
    version: str | None = None,
) -> ChartResult:
    """T squared of the means of subgroups: `variables` as [variable][subgroup][value], p x m x n, n at least 2.

    By the mean of the means and the mean covariance within subgroups. All else as in `t2_individuals`. Subgroups
    have one size, since the limit depends on it; ValueError names the variable and subgroup, from 1, that differ.
    """
    size = _one_size(variables)
    data = clean(variables, 3, "variables").transpose(1, 2, 0)  # subgroup, value, variable
    means = np.full((len(data), data.shape[2]), np.nan)
    for place in np.flatnonzero(_complete(data)).tolist():
        means[place] = mean_vector(data[place].tolist())
    return _t2(
        "t2_subgroup",
        means,
        size,
        lambda place: PhaseOnePoint(
            0.0, None, float(size), tuple(means[place].tolist()), covariance(data[place].tolist())
        ),
        limits,
        phase1,
        exclude,
        rules,
        confidence,
        version,
    )


def _t2(
    chart: Chart,
    vectors_: Floats,
    size: int,
    point: Callable[[int], PhaseOnePoint],
    limits: LimitSet | None,
    phase1: int | None,
    exclude: Collection[int],
    rules: Iterable[object],
    confidence: float | None,
    version: str | None,
) -> ChartResult:
    """T squared of `vectors_` (m x p, NaN in what is a gap), each the mean of `size` readings.

    `point` makes a point of phase I of the vector at a place.
    """
    there, variables = _complete(vectors_), vectors_.shape[1]
    used = estimated_from(chart, there, limits, phase1, exclude, size)
    first = None
    if limits is None:
        points = [point(place) for place in np.flatnonzero(used).tolist()]
        limits = estimate(chart, points, subgroup=size, version=version, confidence=confidence)
        first = phase1_limit(variables, len(points), size, confidence)
    _same_variables(limits, variables)
    sizes = np.where(there, float(size), np.nan)
    squares = _distances(vectors_, sizes, limits)
    location = on_limits(squares, _lines(limits, sizes, used, first), rules)
    return ChartResult(limits, location, None, sizes, used)


def _complete(data: Floats) -> Bools:
    """Which of the points (along the first axis) have all their numbers."""
    return np.asarray(np.isfinite(data).all(axis=tuple(range(1, data.ndim))), dtype=np.bool_)


def _one_size(variables: Sequence[Sequence[Sequence[float]]] | npt.NDArray[np.float64]) -> int:
    if not len(variables) or not len(variables[0]):
        raise ValueError("variables: there is no subgroup")
    size = len(variables[0][0])
    for number, subgroups in enumerate(variables, 1):
        if len(subgroups) != len(variables[0]):
            raise ValueError(
                f"variable {number} has {len(subgroups)} subgroups, variable 1 has {len(variables[0])}"
            )
        for place, values in enumerate(subgroups, 1):
            if len(values) != size:
                raise ValueError(f"variable {number}, subgroup {place} has {len(values)} readings, not {size}")
    if size < 2:
        raise ValueError(f"subgroups have {size} readings: at least 2 are needed")
    return size


def _same_variables(limits: LimitSet, variables: int) -> None:
    if len(limits.mean) != variables:
        raise ValueError(
            f"limits {limits.version!r} are for {len(limits.mean)} variables, the data have {variables}"
        )


def _distances(vectors_: Floats, sizes: Floats, limits: LimitSet) -> Floats:
    rows = zip(vectors_.tolist(), sizes.tolist(), strict=True)
    squares = [
        math.nan if math.isnan(size) else distance(row, limits.mean, limits.covariance, size) for row, size in rows
    ]
    return np.array(squares, dtype=np.float64)


def _lines(limits: LimitSet, sizes: Floats, used: Bools, first: float | None) -> list[Lines | None]:
    """The lines of phase II, and of phase I for the points that made the limits."""
    lines = lines_of(limits, sizes)
    if first is None:
        return lines
    return [
        replace(line, upper=first) if line is not None and mine else line
        for line, mine in zip(lines, used.tolist(), strict=True)
    ]


def mewma(
    rows: npt.ArrayLike,
    *,
    design: Design | None = None,
    mean: Sequence[float] | None = None,
    matrix: npt.ArrayLike | None = None,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    version: str | None = None,
) -> ChartResult:
    """MEWMA of single readings, `rows` of shape m x p: T squared of Z = lam (x - mean) + (1 - lam) Z.

    Z begins at 0, and its covariance is the exact one of each point, lam / (2 - lam) [1 - (1 - lam)^(2 i)] S.
    `design` holds lam and h4; without h4 it is the one for an in-control run length of 200 (`spc.mewma_arl`).
    `mean` and the covariance `matrix` are given, or else estimated from phase I. A row with a gap in it is a
    gap, over which Z goes on. `extras`: `z1` to `zp`. Raises ValueError as `t2_individuals` does.
    """
    data = clean(rows, 2, "rows")
    there = _complete(data)
    if limits is None:
        limits, used = _mewma_limits(
            data, there, design or Design(lam=0.1), mean, matrix, phase1, exclude, version
        )
    else:
        used = estimated_from("mewma", there, limits, phase1, exclude)
    _same_variables(limits, data.shape[1])
    assert limits.design is not None  # noqa: S101  limits of a MEWMA have one
    lam = limits.design.lam
    cuts = set(places(restarts, len(data), "restarts"))
    origin = (0.0,) * data.shape[1]
    z, step = origin, 0
    plotted, squares = np.full(data.shape, np.nan), np.full(len(data), np.nan)
    for place, row in enumerate(data.tolist()):
        if place in cuts:
            z, step = origin, 0
        if there[place]:
            z, step = mewma_step(z, row, limits.mean, lam), step + 1
            plotted[place] = z
            squares[place] = mewma_distance(z, limits.covariance, lam, step)
    sizes = np.where(there, 1.0, np.nan)
    location = on_limits(squares, lines_of(limits, sizes), rules)
    extras = {f"z{number}": plotted[:, number - 1].copy() for number in range(1, data.shape[1] + 1)}
    return ChartResult(limits, location, None, sizes, used, extras)


def _mewma_limits(
    data: Floats,
    there: Bools,
    design: Design,
    mean: Sequence[float] | None,
    matrix: npt.ArrayLike | None,
    phase1: int | None,
    exclude: Collection[int],
    version: str | None,
) -> tuple[LimitSet, Bools]:
    """Limits with what is given of mean and covariance, the rest estimated, and the points that made them."""
    if mean is not None and matrix is not None:
        h4, source = (design.h4, "given") if design.h4 else decision_interval(len(mean), design.lam)
        name = version or "given"
        known = _known("mewma", mean, matrix, h4, name, replace(design, h4=h4), source=source)
        return known, np.zeros(len(data), dtype=np.bool_)
    used = chosen(there, phase1, exclude)
    points = [PhaseOnePoint(0.0, vector=tuple(row)) for row in data[used].tolist()]
    limits = estimate("mewma", points, subgroup=1, design=design, version=version)
    if mean is None and matrix is None:
        return limits, used
    centre = limits.mean if mean is None else mean
    shape = limits.covariance if matrix is None else matrix
    kept = limits.constants.removeprefix("h4 ")
    known = _known("mewma", centre, shape, limits.upper, limits.version, limits.design, True, kept)
    return known, used


def _known(
    chart: Chart,
    mean: Sequence[float],
    matrix: npt.ArrayLike,
    upper: float,
    version: str,
    design: Design | None,
    provisional: bool = False,
    source: str = "",
) -> LimitSet:
    """`spc.given.vectors` for a covariance as an array, which must be symmetric; else ValueError."""
    table = clean(matrix, 2, "covariance")
    if table.shape[0] != table.shape[1] or not np.array_equal(table, table.T):
        raise ValueError(f"covariance: a symmetric matrix is needed, got shape {table.shape}")
    rows = tuple(tuple(row) for row in table.tolist())
    return vectors(chart, [float(value) for value in mean], rows, upper, version, 1, design, provisional, source)
