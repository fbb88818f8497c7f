"""Charts that weigh the past: EWMA and the tabular CUSUM. They see small shifts soon, and have no run rules.

Formulas: Montgomery, *Introduction to Statistical Quality Control*, 9; Lucas and Saccucci, *Technometrics* 32
(1990); Lucas and Crosier, *Technometrics* 24 (1982), for the fast initial response. What all functions have in
common is in `spc.charts`.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spc.charts import (
    DEFAULT_RULES,
    Bools,
    ChartResult,
    Floats,
    Plotted,
    clean,
    estimated_from,
    lines_of,
    moving_ranges,
    neighbours,
    on_limits,
    places,
)
from spc.estimate import PhaseOnePoint, estimate
from spc.given import weighted
from spc.limits import Chart, Design, LimitSet, Lines
from spc.rules import LONGEST_WINDOW
from spc.sigma import Constants, SigmaMethod
from spc.statistics import cusum_score, cusum_step, ewma_step
from spc.variables import Subgroups, summaries

__all__ = ["Change", "Points", "changes", "cusum", "ewma"]


Points = Sequence[float] | Floats | Subgroups
"""m values or means, or m subgroups of readings."""


@dataclass(frozen=True, slots=True)
class _Series:
    """What both charts take in: means of m points with their spreads, NaN where there are none."""

    means: Floats
    spreads: dict[str, Floats]  # by what averages them: "r" or "s"
    sizes: Floats

    @property
    def usable(self) -> Bools:
        return np.isfinite(self.means)

    @property
    def nominal(self) -> int:
        first = self.sizes[np.isfinite(self.sizes)]
        return int(first[0]) if len(first) else 1


def _series(data: Points, sizes: npt.ArrayLike | None, restarts: Collection[int]) -> _Series:
    """Values (shape m), means with the `sizes` behind them, or m subgroups of readings."""
    nested = any(isinstance(row, Sequence | np.ndarray) for row in data)
    if nested:
        if sizes is not None:
            raise ValueError("subgroups have their sizes already")
        means, ranges, deviations, areas = summaries(data, least=1)  # type: ignore[arg-type]
        if np.nanmax(areas, initial=1.0) == 1:
            ranges = deviations = moving_ranges(means, restarts)
        return _Series(means, {"r": ranges, "s": deviations}, areas)
    means = clean(data, 1)
    areas = np.ones(means.shape) if sizes is None else np.array(sizes, dtype=np.float64)
    if areas.ndim == 1 and len(areas) != len(means):
        raise ValueError(f"{len(means)} values, but {len(areas)} sizes")
    areas = np.broadcast_to(areas, means.shape).copy()
    for place, size in enumerate(areas.tolist()):
        if not (math.isfinite(size) and size >= 1):
            raise ValueError(f"point {place + 1}: a mean is of at least one reading, not of {size:g}")
    ranges = moving_ranges(means, restarts) if (areas == 1).all() else np.full(means.shape, np.nan)
    areas[~np.isfinite(means)] = np.nan
    return _Series(means, {"r": ranges, "s": ranges}, areas)


def _limits(
    chart: Chart,
    series: _Series,
    used: Bools,
    design: Design,
    target: float | None,
    sigma: float | None,
    method: SigmaMethod | None,
    constants: Constants,
    version: str | None,
) -> LimitSet:
    """Limits with what is given of target and sigma, the rest estimated from the used points."""
    if target is not None and not math.isfinite(target):
        raise ValueError(f"the target must be finite, got {target}")
    if sigma is not None and not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be finite and above 0, got {sigma}")
    if target is not None and sigma is not None:
        return weighted(chart, target, sigma, design, version or "given", series.nominal)
    spreads = np.where(_paired(series, used), series.spreads["s" if method in ("sbar", "pooled") else "r"], np.nan)
    if sigma is None and np.nanmax(series.sizes, initial=1.0) > 1 and not np.isfinite(spreads[used]).any():
        raise ValueError(f"{chart}: sigma must be given with means, which do not tell how their readings vary")
    rows = zip(series.means[used].tolist(), spreads[used].tolist(), series.sizes[used].tolist(), strict=True)
    points = [PhaseOnePoint(mean, None if math.isnan(spread) else spread, size) for mean, spread, size in rows]
    limits = estimate(
        chart,
        points,
        subgroup=series.nominal,
        constants=constants,
        design=design,
        version=version,
        method=method,
        sigma_within=sigma,
    )
    if target is None:
        return limits
    return weighted(
        chart, target, limits.sigma_within, design, limits.version, series.nominal, limits.constants, True
    )


def _paired(series: _Series, used: Bools) -> Bools:
    """Whose spread counts: of single values, a moving range between two used ones; of subgroups, all."""
    return neighbours(used, ()) if np.nanmax(series.sizes, initial=1.0) == 1 else used


# -- EWMA -------------------------------------------------------------------------------------------------------


def ewma(
    data: Points,
    sizes: npt.ArrayLike | None = None,
    *,
    design: Design | None = None,
    target: float | None = None,
    sigma: float | None = None,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    method: SigmaMethod | None = None,
    constants: Constants = "exact",
    version: str | None = None,
) -> ChartResult:
    """EWMA of values (shape m), of means of `sizes` readings, or of m subgroups.

    `design` holds lam, width, whether limits are exact for each point, and z before the first point (`start`:
    the target when None). `target` and `sigma` (of one reading) are given or else estimated from phase I: the
    mean of all readings; R / d2 of moving ranges or subgroups, or what `method` says. Limits are target +-
    width sigma / sqrt(n) sqrt(lam / (2 - lam) [1 - (1 - lam)^(2 i)]) with each point's own n, i counting from
    the start or restart; without [..] where they are not exact. `extras`: `means`, and both kinds of limits,
    `lower_exact`, `upper_exact`, `lower_settled`, `upper_settled`.

    Raises ValueError when arguments contradict, sigma is not above 0 or cannot be estimated.
    """
    series = _series(data, sizes, restarts)
    used = np.zeros(len(series.means), dtype=np.bool_)
    if limits is not None or target is None or sigma is None:
        used = estimated_from("ewma", series.usable, limits, phase1, exclude)
    if limits is None:
        limits = _limits("ewma", series, used, design or Design(), target, sigma, method, constants, version)
    chosen_design = limits.design
    assert chosen_design is not None  # noqa: S101  limits of an EWMA have one
    z, steps = _smoothed(series, chosen_design, limits.centre, restarts)
    exact = lines_of(replace(limits, design=replace(chosen_design, exact=True)), series.sizes, steps)
    settled = [None if math.isnan(size) else limits.settled(size) for size in series.sizes.tolist()]
    location = on_limits(z, exact if chosen_design.exact else settled, rules)
    extras = {"means": series.means, **_both_limits(exact, settled)}
    return ChartResult(limits, location, None, series.sizes, used, extras)


def _smoothed(
    series: _Series, design: Design, target: float, restarts: Collection[int]
) -> tuple[Floats, list[int]]:
    """Z of each point, NaN at gaps, and the number of each point since the start."""
    start = target if design.start is None else design.start
    cuts = set(places(restarts, len(series.means), "restarts"))
    z, step = start, 0
    plotted, steps = np.full(series.means.shape, np.nan), []
    for place, mean in enumerate(series.means.tolist()):
        if place in cuts:
            z, step = start, 0
        if not math.isnan(mean):
            z, step = ewma_step(z, mean, design.lam), step + 1
            plotted[place] = z
        steps.append(max(step, 1))
    return plotted, steps


def _both_limits(exact: Sequence[Lines | None], settled: Sequence[Lines | None]) -> dict[str, Floats]:
    def line(lines: Sequence[Lines | None], name: str) -> Floats:
        return np.array([math.nan if one is None else getattr(one, name) for one in lines], dtype=np.float64)

    return {
        "lower_exact": line(exact, "lower"),
        "upper_exact": line(exact, "upper"),
        "lower_settled": line(settled, "lower"),
        "upper_settled": line(settled, "upper"),
    }


# -- CUSUM ------------------------------------------------------------------------------------------------------


def cusum(
    data: Points,
    sizes: npt.ArrayLike | None = None,
    *,
    design: Design | None = None,
    target: float | None = None,
    sigma: float | None = None,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    method: SigmaMethod | None = None,
    constants: Constants = "exact",
    version: str | None = None,
) -> ChartResult:
    """Two-sided tabular CUSUM of values (shape m), of means of `sizes` readings, or of m subgroups.

    Each point's score is (mean - target) / (sigma / sqrt(n)); `location` is the upper sum max(0, C + score - k),
    `spread` the lower one max(0, C - score - k), both held against h. `design` holds k, h, the `headstart` of both
    sums (in the scale of h) and whether sums that signalled begin at it again (`resets`; else they go on).
    Parameters as in `ewma`. `extras`: `means`, `scores`, `cumulative` (plain sum of the scores since the start),
    `n_plus` and `n_minus` (points since the sum was last 0; `changes` reads the change point off them). These
    points are what made a signal, the newest `LONGEST_WINDOW` of them.

    Raises ValueError as `ewma` does.
    """
    series = _series(data, sizes, restarts)
    used = np.zeros(len(series.means), dtype=np.bool_)
    if limits is not None or target is None or sigma is None:
        used = estimated_from("cusum", series.usable, limits, phase1, exclude)
    if limits is None:
        limits = _limits("cusum", series, used, design or Design(), target, sigma, method, constants, version)
    table = _sums(series, limits, restarts)
    lines = lines_of(limits, series.sizes)
    rules = tuple(rules)
    location = _with_members(on_limits(table["plus"], lines, rules), table["n_plus"])
    spread = _with_members(on_limits(table["minus"], lines, rules), table["n_minus"])
    extras = {"means": series.means} | {
        name: table[name] for name in ("scores", "cumulative", "n_plus", "n_minus")
    }
    return ChartResult(limits, location, spread, series.sizes, used, extras)


def _with_members(plotted: Plotted, runs: Floats) -> Plotted:
    """A sum's signals, made by the points since it was last 0 (`runs` counts them), the newest LONGEST_WINDOW."""
    there = np.flatnonzero(np.isfinite(plotted.points)).tolist()
    signals = []
    for signal in plotted.signals:
        stop = there.index(signal.index) + 1
        steps = min(int(runs[signal.index]), LONGEST_WINDOW)
        signals.append(replace(signal, members=tuple(there[stop - steps : stop])))
    return replace(plotted, signals=tuple(signals))


def _sums(series: _Series, limits: LimitSet, restarts: Collection[int]) -> dict[str, Floats]:
    design = limits.design
    assert design is not None  # noqa: S101  limits of a CUSUM have one
    cuts = set(places(restarts, len(series.means), "restarts"))
    start = (design.headstart, design.headstart, 0, 0)
    plus, minus, n_plus, n_minus = start
    cumulative = 0.0
    rows: list[tuple[float, ...]] = []
    for place, (mean, size) in enumerate(zip(series.means.tolist(), series.sizes.tolist(), strict=True)):
        if place in cuts:
            plus, minus, n_plus, n_minus = start
            cumulative = 0.0
        if math.isnan(mean):
            rows.append((math.nan,) * 6)
            continue
        score = cusum_score(mean, limits.centre, limits.sigma_within, size)
        plus, minus = cusum_step(plus, minus, score, design.k)
        n_plus, n_minus = (n_plus + 1 if plus > 0 else 0), (n_minus + 1 if minus > 0 else 0)
        cumulative += score
        rows.append((plus, minus, score, cumulative, n_plus, n_minus))
        if design.resets and max(plus, minus) > design.h:
            plus, minus, n_plus, n_minus = start
    names = ("plus", "minus", "scores", "cumulative", "n_plus", "n_minus")
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    return {name: table[:, column].copy() for column, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Change:
    """What a CUSUM that signalled at point `index` says about the shift behind it.

    `side` is 1 upwards, -1 downwards. `first` (from 0) is the first point after the change: that after the
    sum's last 0. `mean` estimates where the process is now, target +- sigma / sqrt(n) (k + C / N) (Montgomery,
    9.1.2).
    """

    index: int
    side: int
    first: int
    mean: float


def changes(result: ChartResult) -> tuple[Change, ...]:
    """The estimated change of each signal of a `cusum`, by points; ValueError for another chart."""
    design, spread = result.limits.design, result.spread
    if result.limits.chart != "cusum" or design is None or spread is None:
        raise ValueError(f"a chart of kind {result.limits.chart} estimates no change")
    found: list[Change] = []
    for side, plotted, runs in (
        (1, result.location, result.extras["n_plus"]),
        (-1, spread, result.extras["n_minus"]),
    ):
        there = np.flatnonzero(np.isfinite(plotted.points)).tolist()
        for signal in plotted.signals:
            steps = int(runs[signal.index])
            first = there[there.index(signal.index) - steps + 1]
            width = result.limits.sigma_within / math.sqrt(result.sizes[signal.index])
            reach = design.k + float(plotted.points[signal.index]) / steps
            found.append(Change(signal.index, side, first, result.limits.centre + side * width * reach))
    return tuple(sorted(found, key=lambda change: (change.index, -change.side)))
