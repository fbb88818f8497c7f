"""From readings to the point of a chart: what a subgroup comes to, for charts of every kind.

A reading is held as its values (with the size of its sample, for counts), None for a gap: a value that was not
read, is not finite or cannot be (a negative time, more nonconforming units than there were). A subgroup of
measured values with a gap in it is a gap as a whole; counts are summed over the samples that there are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from spc.exact import exact_mean, usable
from spc.limits import ATTRIBUTES, MEANS, VECTORS
from spc.plan import ChartPlan
from spc.state import ChartState
from spc.statistics import (
    covariance,
    from_nominal,
    mean_vector,
    standard_deviation,
    to_normal,
    value_range,
)

__all__ = ["Reading", "Reduced", "point_of", "reading_of"]

Reading = tuple[float, ...] | None


class Reduced(NamedTuple):
    """What a closed subgroup comes to, in the fields of `spc.estimate.PhaseOnePoint`."""

    location: float
    spread: float | None = None
    size: float = 1.0
    vector: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    joined: bool = True


_SHARES = frozenset({"p", "np", "laney_p"})
"""Charts of nonconforming units, of which a sample has no more than its size."""


def reading_of(plan: ChartPlan, values: Sequence[float | None], size: float) -> Reading:
    """The reading as the chart's state holds it; None for what is none. `size` is that of a sample of counts."""
    chart = plan.chart
    if chart in VECTORS:
        known = [usable(value) for value in values]
        found = tuple(value for value in known if value is not None)
        return found if len(found) == len(known) else None
    value = usable(values[0]) if len(values) == 1 else None
    if value is None:
        return None
    if chart in ATTRIBUTES:
        return _count(chart, value, size)
    if plan.nominal is not None:
        value = usable(from_nominal(value, plan.nominal.value, plan.nominal.sigma))
    return None if value is None or (chart == "t" and value < 0) else (value,)


def _count(chart: str, count: float, size: float) -> Reading:
    """A count that the sample can have, with its size; charts of counts per equal area take no size."""
    size = 1.0 if chart == "c" else float(size)
    possible = count >= 0 and count == math.floor(count) and (usable(size) or 0) > 0
    return (count, size) if possible and (chart not in _SHARES or count <= size) else None


def point_of(plan: ChartPlan, state: ChartState, readings: Sequence[Reading]) -> Reduced | None:
    """What the closed subgroup comes to, None for a gap; `state` knows the point before."""
    there = [reading for reading in readings if reading is not None]
    chart = plan.chart
    if chart in ATTRIBUTES:
        return _sum(plan, state, there, len(readings))
    if not there or len(there) < len(readings) or (chart in MEANS and len(there) < 2):
        return None
    if chart in VECTORS:
        return _vector(plan, there, makes_limits=plan.limits is None and state.limits is None)
    if plan.subgroup == 1:
        return _single(state, there[0][0])
    values = [reading[0] for reading in there]
    spread = None
    if len(values) > 1:
        spread = standard_deviation(values) if chart == "xbar_s" else value_range(values)
        if not math.isfinite(spread):
            return None
    return Reduced(exact_mean(values), spread, float(len(values)))


def _single(state: ChartState, value: float) -> Reduced:
    """A value with the moving range that ends at it, if there is a point before it."""
    previous = state.previous
    if previous is None:
        return Reduced(value, joined=False)
    if state.chart == "t":
        return Reduced(value, abs(to_normal(value) - to_normal(previous)))
    return Reduced(value, abs(value - previous))


def _sum(plan: ChartPlan, state: ChartState, there: Sequence[tuple[float, ...]], asked: int) -> Reduced | None:
    # np and c compare samples of one size: a reading less, or a subgroup cut short, is another size
    if not there or (plan.chart in ("np", "c") and not len(there) == asked == plan.subgroup):
        return None
    size = 1.0 if plan.chart == "c" else math.fsum(size for _, size in there)
    count = math.fsum(count for count, _ in there)
    return Reduced(count, None, size, joined=state.previous is not None)


def _vector(plan: ChartPlan, rows: Sequence[tuple[float, ...]], *, makes_limits: bool) -> Reduced:
    """Readings or their mean; their covariance only where limits are to be made of it."""
    if plan.chart == "t2_subgroup":
        return Reduced(0.0, None, float(len(rows)), mean_vector(rows), covariance(rows) if makes_limits else ())
    return Reduced(0.0, None, 1.0, rows[0])
