"""Sigma of one value from the spreads of points: the one way to it, for charts, studies and capability.

A spread is a range or standard deviation within a subgroup, or a moving range between neighbours. Results are in
the unit of the values, and 0 where no spread is above 0: what follows from that is the caller's to say.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import Literal

from spc.constants import Factors, factors, median_factors, named_factors
from spc.exact import exact_mean

__all__ = ["Constants", "SigmaMethod", "central_range", "factors_of", "sigma_of_ranges", "sigma_of_subgroups"]

SigmaMethod = Literal["mean_mr", "median_mr", "sd", "sd/c4", "rbar", "sbar", "pooled"]
"""How sigma of one value is estimated.

Single values: mean moving range / d2, median moving range / 0.954, sample standard deviation, or that / c4(m).
The last two count every shift between the points as noise, so that an outlier hides itself: they are there to
recompute what others have published. Subgroups: mean of R / d2(n), mean of s / c4(n), or the pooled standard
deviation, of which the textbook's xbar_s chart with varying sizes takes A3(n), B3(n) and B4(n) times
(Montgomery, 6.3.2).
"""

Constants = str | Factors
"""``exact``, ``textbook``, ``d2 of 3 decimals``, or factors of one's own for ranges of one size."""


def factors_of(constants: Constants, n: int, *, by_median: bool = False) -> Factors:
    """The factors for ranges of `n` values; `by_median`: those that multiply a median moving range of two.

    Raises ValueError for an unknown set, and for factors of one's own for another size.
    """
    if not isinstance(constants, str):
        if constants.n != n:
            raise ValueError(f"factors are for ranges of {constants.n} values, there are ranges of {n}")
        return constants
    if by_median:
        return median_factors(constants)
    return named_factors(n, constants) if constants.startswith("d2 of ") else factors(n, constants)


def central_range(ranges: Sequence[float], method: SigmaMethod) -> float:
    """The median of at least one moving range for ``median_mr``, else the mean."""
    return median(ranges) if method == "median_mr" else exact_mean(ranges)


def sigma_of_ranges(ranges: Sequence[float], method: SigmaMethod, constants: Constants) -> float:
    """By ``mean_mr`` or ``median_mr`` of at least one moving range."""
    return central_range(ranges, method) / factors_of(constants, 2, by_median=method == "median_mr").d2


def sigma_of_subgroups(spreads: Sequence[tuple[float, int]], method: SigmaMethod, constants: Constants) -> float:
    """By ``rbar`` of ranges, ``sbar`` or ``pooled`` of standard deviations.

    Each comes with its number of readings, at least 2, which may differ; at least one of them.
    """
    if method == "pooled":
        freedom = math.fsum(n - 1 for _, n in spreads)
        return math.sqrt(math.fsum((n - 1) * s * s for s, n in spreads) / freedom)
    sizes = {n for _, n in spreads}
    tables = {n: factors_of(constants, n) for n in sizes}
    by = {n: table.d2 if method == "rbar" else table.c4 for n, table in tables.items()}
    if len(sizes) == 1:  # as the constants define it, to the last bit
        return exact_mean([spread for spread, _ in spreads]) / by[sizes.pop()]
    return exact_mean([spread / by[n] for spread, n in spreads])
