"""Charts of counts: nonconforming units (p, np), events (c, u), and Laney's p' and u' for more variation than
chance.

Formulas: Montgomery, *Introduction to Statistical Quality Control*, 7; Laney, *Quality Engineering* 14 (2002).
What all functions have in common is in `spc.charts`.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spc.charts import (
    DEFAULT_RULES,
    ChartResult,
    Floats,
    clean,
    drawn,
    estimated_from,
    lines_of,
    neighbours,
    on_rules,
)
from spc.estimate import PhaseOnePoint, estimate
from spc.given import check_count
from spc.limits import ATTRIBUTES, Chart, LimitSet
from spc.sigma import Constants
from spc.statistics import rate

__all__ = ["counts"]


def counts(
    chart: Chart,
    events: npt.ArrayLike,
    sizes: npt.ArrayLike | None = None,
    *,
    limits: LimitSet | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    restarts: Collection[int] = (),
    rules: Iterable[object] = DEFAULT_RULES,
    constants: Constants = "exact",
    narrow: bool = True,
    version: str | None = None,
) -> ChartResult:
    """A chart of kind p, np, c, u, laney_p or laney_u: `events` (shape m) counted in samples of `sizes`.

    `sizes` is one number, or one a sample; areas may be fractional. Only c does without. np and c need samples
    of one size. Limits follow each sample's own size and end where counts do: a lower limit below 0 is 0.
    Laney's charts widen them by `sigma_z`, the mean moving range of the z scores / d2, which between neighbours
    alone is taken; it may be below 1 and narrow them (fewer extremes than chance gives), unless `narrow` is
    False.

    A count that is NaN is a gap. Raises ValueError, naming the point from 1, for a count that is negative, not
    whole or above its sample, and a size that is not finite and above 0; NoLimitsError where nothing was
    counted, or all.
    """
    if chart not in ATTRIBUTES:
        raise ValueError(f"a chart of kind {chart} has no counts")
    points = clean(events, 1, "counts")
    areas = _sizes(chart, sizes, points)
    usable = np.isfinite(points)
    for place in np.flatnonzero(usable).tolist():
        check_count(chart, f"point {place + 1}", points[place], areas[place])
    if chart in ("np", "c") and len(set(areas[usable].tolist())) > 1:
        raise ValueError(f"a chart of kind {chart} needs samples of one size: use {'p' if chart == 'np' else 'u'}")
    used = estimated_from(chart, usable, limits, phase1, exclude)
    if limits is None:
        joined = neighbours(usable, restarts, used)
        table = zip(points[used].tolist(), areas[used].tolist(), joined[used].tolist(), strict=True)
        limits = estimate(
            chart,
            [PhaseOnePoint(count, None, size, joined=beside) for count, size, beside in table],
            subgroup=1,
            constants=constants,
            narrow=narrow,
            version=version,
        )
    areas[~usable] = np.nan
    pairs = zip(points.tolist(), areas.tolist(), strict=True)
    plotted = np.array([rate(chart, count, size) for count, size in pairs], dtype=np.float64)
    location = drawn(plotted, lines_of(limits, areas))
    location = replace(location, signals=on_rules(location, rules, exclude, restarts))
    return ChartResult(limits, location, None, areas, used)


def _sizes(chart: Chart, sizes: npt.ArrayLike | None, points: Floats) -> Floats:
    if sizes is None:
        if chart != "c":
            raise ValueError(f"a chart of kind {chart} needs the sizes of its samples")
        return np.ones(points.shape)
    areas = np.array(sizes, dtype=np.float64)
    if areas.ndim == 1 and len(areas) != len(points):
        raise ValueError(f"{len(points)} counts, but {len(areas)} sizes")
    areas = np.broadcast_to(areas, points.shape).copy()
    for place, size in enumerate(areas.tolist()):
        if not (math.isfinite(size) and size > 0):
            raise ValueError(f"point {place + 1}: the size of a sample must be finite and above 0, got {size:g}")
    return areas
