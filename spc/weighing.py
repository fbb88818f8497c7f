"""The charts that know only their limits: EWMA, CUSUM, Hotelling's T squared and MEWMA, one step.

(A whole series of them: `spc.weighted` and `spc.multivariate`, by the same `spc.statistics`.)

What they remember are sums, in `spc.state.Memory`. A gap leaves them as they are; other limits, a restart and a
changeover let them begin anew: an EWMA at its start, a CUSUM at its headstart, a MEWMA at 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

from spc.limits import LimitSet, Lines
from spc.points import Reduced
from spc.statistics import cusum_score, cusum_step, distance, ewma_step, mewma_distance, mewma_step

__all__ = ["Weighed", "weigh"]


class Weighed(NamedTuple):
    """What one point plots on such a chart: `statistic`, and of a CUSUM the lower sum on a second chart."""

    statistic: float
    lines: Lines
    sums: tuple[float, ...] = ()
    second: float | None = None
    spans: tuple[float, float] = (1, 1)
    """How many points made a signal of either: for a CUSUM those since the sum was last 0, which is where the
    process changed."""

    @property
    def beyond(self) -> bool:
        return not self.lines.lower <= self.statistic <= self.lines.upper

    @property
    def second_beyond(self) -> bool:
        return self.second is not None and self.second > self.lines.upper


def weigh(limits: LimitSet, sums: Sequence[float], step: int, point: Reduced) -> Weighed:
    """The chart at the point number `step` (from 1) since it began; `sums` are those before it, empty at first."""
    match limits.chart:
        case "ewma":
            return _ewma(limits, sums, step, point)
        case "cusum":
            return _cusum(limits, sums, point)
        case "mewma":
            return _mewma(limits, tuple(sums), step, point)
        case _:
            square = distance(point.vector, limits.mean, limits.covariance, point.size)
            return Weighed(square, limits.at(point.size))


def _ewma(limits: LimitSet, sums: Sequence[float], step: int, point: Reduced) -> Weighed:
    design = limits.design
    assert design is not None  # noqa: S101  limits of an EWMA have one
    start = limits.centre if design.start is None else design.start
    z = ewma_step(sums[0] if sums else start, point.location, design.lam)
    return Weighed(z, limits.at(point.size, step), (z,))


def _cusum(limits: LimitSet, sums: Sequence[float], point: Reduced) -> Weighed:
    design = limits.design
    assert design is not None  # noqa: S101  limits of a CUSUM have one
    start = (design.headstart, design.headstart, 0.0, 0.0)
    plus, minus, n_plus, n_minus = sums or start
    score = cusum_score(point.location, limits.centre, limits.sigma_within, point.size)
    plus, minus = cusum_step(plus, minus, score, design.k)
    n_plus, n_minus = (n_plus + 1 if plus > 0 else 0.0), (n_minus + 1 if minus > 0 else 0.0)
    weighed = Weighed(plus, limits.at(point.size), (plus, minus, n_plus, n_minus), minus, (n_plus, n_minus))
    begins_again = design.resets and (weighed.beyond or weighed.second_beyond)
    return weighed._replace(sums=start) if begins_again else weighed


def _mewma(limits: LimitSet, sums: tuple[float, ...], step: int, point: Reduced) -> Weighed:
    design = limits.design
    assert design is not None  # noqa: S101  limits of a MEWMA have one
    z = mewma_step(sums or (0.0,) * len(limits.mean), point.vector, limits.mean, design.lam)
    square = mewma_distance(z, limits.covariance, design.lam, step)
    return Weighed(square, limits.at(1), z)
