"""Limits from the points of phase I: the one place where data become a `LimitSet`, for charts of every kind.

Batch studies and the line both come here with the same points, so that they freeze the same limits. Points are
usable ones: what is a gap, excluded or of uncertain quality has been left out by the caller. Formulas: Montgomery,
*Introduction to Statistical Quality Control*, 6 to 11; Laney, *Quality Engineering* 14 (2002), for p' and u'.

Points that make no limits are refused with `NoLimitsError`: too few, or all alike. Limits of width 0 would call
every later point a signal.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from spc.constants import Factors, c4
from spc.exact import LARGEST, exact_mean
from spc.given import check_count, rates, vectors, weighted
from spc.hotelling import phase2_limit
from spc.limits import ATTRIBUTES, MEANS, NELSON_T_POWER, VECTORS, Chart, Design, LimitSet, check_subgroup
from spc.mewma_arl import decision_interval
from spc.sigma import Constants, SigmaMethod, central_range, factors_of, sigma_of_ranges, sigma_of_subgroups
from spc.statistics import Matrix, cholesky, covariance, mean_vector, standard_deviation, to_normal

__all__ = ["Centre", "NoLimitsError", "PhaseOnePoint", "estimate"]

Centre = Literal["mean", "median"]


class NoLimitsError(ValueError):
    """The points make no limits yet: too few, or without any variation. More points may."""


@dataclass(frozen=True, slots=True)
class PhaseOnePoint:
    """One usable point that limits are estimated from.

    `location`: the value, the mean of the readings, or the count. `spread`: the moving range that ends at this
    point (None where it has no neighbour before it), the range, or of xbar_s the standard deviation; for t the
    moving range of the times to the power `NELSON_T_POWER`; of EWMA and CUSUM the moving range, or with
    subgroups the range. `size`: number of readings, or of counts the size of the sample. Charts of several
    variables give the `vector` of readings or means and, with subgroups, their `covariance` (divisor n - 1)
    instead.

    `joined` is False where the point before this one in the sequence was not its neighbour on the line (a gap, an
    excluded point, a restart between them): Laney's charts take no moving range there.
    """

    location: float
    spread: float | None = None
    size: float = 1.0
    vector: tuple[float, ...] = ()
    covariance: Matrix = ()
    joined: bool = True


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the caller wants, beside the points."""

    chart: Chart
    subgroup: int
    constants: Constants
    design: Design | None
    version: str
    method: SigmaMethod | None
    centre: Centre
    narrow: bool
    confidence: float | None
    sigma_within: float | None

    def factors(self, n: int, *, by_median: bool = False) -> Factors:
        return factors_of(self.constants, n, by_median=by_median)

    def allows(self, *methods: SigmaMethod) -> SigmaMethod:
        """The method asked for, the first of `methods` when none was; ValueError when the chart has no such."""
        method = self.method or methods[0]
        if method not in methods:
            raise ValueError(f"{self.chart}: sigma is one of {', '.join(methods)} here, not {method!r}")
        return method


def estimate(
    chart: Chart,
    points: Sequence[PhaseOnePoint],
    *,
    subgroup: int,
    constants: Constants = "exact",
    design: Design | None = None,
    version: str | None = None,
    method: SigmaMethod | None = None,
    centre: Centre = "mean",
    narrow: bool = True,
    confidence: float | None = None,
    sigma_within: float | None = None,
) -> LimitSet:
    """The limits that `points` give a chart of the kind, provisional until a person has approved them.

    `subgroup` is the nominal number of readings a point. `version` defaults to phase1-<number of points>.
    `design` is needed by ewma, cusum and mewma (whose h4, when None, gives an in-control run length of 200) and
    allowed nowhere else. `method` defaults to mean_mr for single values, rbar for subgroups, sbar for xbar_s;
    `centre` matters to imr alone. `narrow` False keeps Laney's factor at 1 or above. `confidence` is that of T
    squared, default (1 - 0.0027)^p; its limit is the one for points to come (phase II). `sigma_within` replaces
    the estimate on the location chart of imr, xbar_r, xbar_s, ewma and cusum.

    Raises NoLimitsError for too few points or points all alike, ValueError for points that the chart cannot have.
    """
    check_subgroup(chart, subgroup)
    if (chart in ("ewma", "cusum", "mewma")) is (design is None):
        raise ValueError(f"{chart}: a design belongs to ewma, cusum and mewma, and only there")
    _check(chart, points)
    name = version or f"phase1-{len(points)}"
    asked = _Asked(chart, subgroup, constants, design, name, method, centre, narrow, confidence, sigma_within)
    return _MAKERS[chart](asked, points)


# -- what the points must be ------------------------------------------------------------------------------------


def _check(chart: Chart, points: Sequence[PhaseOnePoint]) -> None:
    for number, point in enumerate(points, 1):
        numbers = (point.location, point.spread or 0.0, *point.vector)
        if not all(abs(value) <= LARGEST for value in numbers):
            raise ValueError(f"point {number} of phase I is not finite")
        if not (math.isfinite(point.size) and point.size > 0):
            raise ValueError(f"point {number} of phase I has the size {point.size}")
        if point.spread is not None and point.spread < 0:
            raise ValueError(f"point {number} of phase I has the negative spread {point.spread}")
        if chart in MEANS and point.size < 2:
            raise ValueError(f"point {number} of phase I has {point.size:g} readings; {chart} needs at least 2")
        if chart in ATTRIBUTES:
            check_count(chart, f"point {number}", point.location, point.size)
        if chart in VECTORS and (not point.vector or len(point.vector) != len(points[0].vector)):
            raise ValueError(
                f"point {number} of phase I has {len(point.vector)} variables, the first {len(points[0].vector)}"
            )
    if len(points) < 2:
        raise NoLimitsError(f"too little to estimate limits from: {len(points)} usable points, needed at least 2")


def _flat(asked: _Asked, points: Sequence[PhaseOnePoint], why: str) -> NoLimitsError:
    return NoLimitsError(f"{asked.chart}: {why} over {len(points)} points: limits would have a width of 0")


# -- single values ----------------------------------------------------------------------------------------------


def _sigma_of_values(
    asked: _Asked, points: Sequence[PhaseOnePoint], method: SigmaMethod
) -> tuple[float, float, Factors]:
    """Sigma, the central moving range, and the factors that belong to it."""
    ranges = [point.spread for point in points if point.spread is not None]
    if not ranges:
        raise NoLimitsError(
            f"too little to estimate limits from: {len(points)} usable points without a moving range"
        )
    table, spread = asked.factors(2, by_median=method == "median_mr"), central_range(ranges, method)
    if method in ("sd", "sd/c4"):
        values = [point.location for point in points]
        sigma = standard_deviation(values) / (c4(len(values)) if method == "sd/c4" else 1)
    else:
        sigma = sigma_of_ranges(ranges, method, asked.constants)
    if not sigma > 0:
        raise _flat(asked, points, f"sigma by {method} is 0")
    return sigma, spread, table


def _individuals(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    method = asked.allows("mean_mr", "median_mr", "sd", "sd/c4")
    sigma, spread, table = _sigma_of_values(asked, points, method)
    values = [point.location for point in points]
    centre = median(values) if asked.centre == "median" else exact_mean(values)
    own = asked.sigma_within or (None if method in ("mean_mr", "median_mr") else sigma)
    return LimitSet.estimated("imr", 1, centre, spread, table, asked.version, own)


def _times(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    method = asked.allows("mean_mr", "median_mr", "sd", "sd/c4")
    scaled = [replace(point, location=to_normal(point.location)) for point in points]
    sigma, _, table = _sigma_of_values(asked, scaled, method)
    centre = exact_mean([point.location for point in scaled])
    back = 1 / NELSON_T_POWER
    return LimitSet(
        chart="t",
        version=asked.version,
        subgroup=1,
        centre=centre**back,
        lower=max(0.0, centre - 3 * sigma) ** back,
        upper=(centre + 3 * sigma) ** back,
        range_centre=None,
        range_lower=None,
        range_upper=None,
        sigma=sigma,
        sigma_within=sigma,
        constants=table.source,
        provisional=True,
        mean=(centre,),
    )


# -- subgroups --------------------------------------------------------------------------------------------------


def _sigma_of_subgroups(asked: _Asked, points: Sequence[PhaseOnePoint], method: SigmaMethod) -> float:
    spreads = [(_spread(number, point), int(point.size)) for number, point in enumerate(points, 1)]
    sigma = sigma_of_subgroups(spreads, method, asked.constants)
    if not sigma > 0:
        raise _flat(asked, points, "the readings within each subgroup are equal")
    return sigma


def _spread(number: int, point: PhaseOnePoint) -> float:
    if point.spread is None:
        raise ValueError(f"point {number} of phase I has no spread")
    return point.spread


def _grand_mean(points: Sequence[PhaseOnePoint]) -> float:
    """Mean of all readings: means weighted by their sizes, kept within them."""
    means = [point.location for point in points]
    if len({point.size for point in points}) == 1:
        return exact_mean(means)
    total = math.fsum(point.size * point.location for point in points)
    return min(max(total / math.fsum(point.size for point in points), min(means)), max(means))


def _means(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    by_s = asked.chart == "xbar_s"
    method = asked.allows("sbar", "pooled") if by_s else asked.allows("rbar")
    sigma = _sigma_of_subgroups(asked, points, method)
    table = asked.factors(asked.subgroup)
    if {point.size for point in points} == {asked.subgroup} and method != "pooled":
        spread = exact_mean([_spread(number, point) for number, point in enumerate(points, 1)])
    else:
        spread = sigma if method == "pooled" else sigma * (table.c4 if by_s else table.d2)
    grand = _grand_mean(points)
    limits = LimitSet.estimated(
        asked.chart, asked.subgroup, grand, spread, table, asked.version, asked.sigma_within
    )
    if method == "pooled" and asked.sigma_within is None:
        return replace(limits, sigma_within=sigma, sbar=sigma)
    return limits


def _weighted(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    sigma, source = asked.sigma_within, "given"
    if sigma is None:
        if asked.subgroup > 1:
            method = asked.allows("rbar", "sbar", "pooled")
            sigma = _sigma_of_subgroups(asked, points, method)
            source = asked.factors(asked.subgroup).source if method != "pooled" else "pooled"
        else:
            method = asked.allows("mean_mr", "median_mr", "sd", "sd/c4")
            sigma, _, table = _sigma_of_values(asked, points, method)
            source = table.source
    assert asked.design is not None  # noqa: S101  estimate has seen to it
    return weighted(
        asked.chart, _grand_mean(points), sigma, asked.design, asked.version, asked.subgroup, source, True
    )


# -- counts -----------------------------------------------------------------------------------------------------


def _counts(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    chart, sizes = asked.chart, [point.size for point in points]
    if chart in ("np", "c") and len(set(sizes)) > 1:
        instead = "p" if chart == "np" else "u"
        raise ValueError(f"a chart of kind {chart} needs samples of one size, got {sizes}: use {instead}")
    total, area = math.fsum(point.location for point in points), math.fsum(sizes)
    size = exact_mean(sizes)
    centre = total / len(points) if chart in ("np", "c") else total / area
    if centre == 0:
        raise NoLimitsError(f"{chart}: no event in {len(points)} points: limits would have a width of 0")
    if chart in ("p", "np", "laney_p") and total == area:
        raise NoLimitsError(f"{chart}: nothing conforms in {len(points)} points: limits would have a width of 0")
    limits = rates(chart, centre, size, asked.version, asked.subgroup, provisional=True)
    if not limits.lower < limits.centre < limits.upper:
        raise _flat(
            asked, points, f"a mean of {centre:g} is too large for floating point to tell its limits from it"
        )
    if chart not in ("laney_p", "laney_u"):
        return limits
    scores = [(point.location / point.size - centre) / limits.at(point.size).sigma for point in points]
    apart = [abs(b - a) for a, b, point in zip(scores, scores[1:], points[1:], strict=False) if point.joined]
    if not apart:
        raise NoLimitsError(f"{chart}: no two neighbours among {len(points)} points")
    table = asked.factors(2)
    factor = exact_mean(apart) / table.d2
    if not factor > 0:
        raise _flat(asked, points, "sigma_z is 0")
    factor = factor if asked.narrow else max(1.0, factor)
    return rates(chart, centre, size, asked.version, asked.subgroup, factor, table.source, provisional=True)


# -- several variables ------------------------------------------------------------------------------------------


def _vectors(asked: _Asked, points: Sequence[PhaseOnePoint]) -> LimitSet:
    rows = [point.vector for point in points]
    p = len(rows[0])
    if asked.chart == "t2_subgroup":
        mean, matrix = _pooled(points)
    elif len(points) <= p:
        raise NoLimitsError(
            f"{len(points)} points are too few for {p} variables: the covariance is not determined"
        )
    else:
        mean, matrix = mean_vector(rows), covariance(rows)
    design, source = asked.design, ""
    try:
        cholesky(matrix)
        if design is not None:
            upper, source = (design.h4, "given") if design.h4 else decision_interval(p, design.lam)
            design = replace(design, h4=upper)
        else:
            upper = phase2_limit(p, len(points), asked.subgroup, asked.confidence)
    except ValueError as error:
        raise NoLimitsError(f"{asked.chart}: {error}") from error
    return vectors(asked.chart, mean, matrix, upper, asked.version, asked.subgroup, design, True, source)


def _pooled(points: Sequence[PhaseOnePoint]) -> tuple[tuple[float, ...], Matrix]:
    """Mean vector weighted by sizes, within-subgroup covariance by degrees of freedom."""
    p = len(points[0].vector)
    for number, point in enumerate(points, 1):
        if len(point.covariance) != p or any(len(row) != p for row in point.covariance):
            raise ValueError(f"point {number} of phase I has no covariance of {p} variables")
    readings = math.fsum(point.size for point in points)
    freedom = math.fsum(point.size - 1 for point in points)
    mean = tuple(math.fsum(point.size * point.vector[i] for point in points) / readings for i in range(p))

    def element(i: int, j: int) -> float:
        return math.fsum((point.size - 1) * point.covariance[i][j] for point in points) / freedom

    return mean, tuple(tuple(element(i, j) for j in range(p)) for i in range(p))


_MAKERS: dict[Chart, Callable[[_Asked, Sequence[PhaseOnePoint]], LimitSet]] = {
    "imr": _individuals,
    "t": _times,
    "xbar_r": _means,
    "xbar_s": _means,
    "ewma": _weighted,
    "cusum": _weighted,
    "p": _counts,
    "np": _counts,
    "c": _counts,
    "u": _counts,
    "laney_p": _counts,
    "laney_u": _counts,
    "t2_subgroup": _vectors,
    "t2_individuals": _vectors,
    "mewma": _vectors,
}
