"""Whether values may be called normal, and what stands in for three sigmas where they may not.

Anderson-Darling, with mean and standard deviation estimated from the same values (case 3 of D'Agostino and
Stephens, *Goodness-of-Fit Techniques*, 1986, 4.8.5)::

    A2 = -n - 1/n sum over i of (2i - 1) (ln Phi(z_i) + ln(1 - Phi(z_(n+1-i))))
    A2* = A2 (1 + 0.75/n + 2.25/n^2)

The p-value is the piecewise exponential of A2* that they give in table 4.9; it holds from `FEWEST_VALUES` on.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.run_length import below

__all__ = [
    "FEWEST_FOR_PERCENTILES",
    "FEWEST_VALUES",
    "AndersonDarling",
    "Percentiles",
    "anderson_darling",
    "percentiles",
]

FEWEST_VALUES: Final = 8

FEWEST_FOR_PERCENTILES: Final = 741
"""From here on one value is expected beyond the 0.135 % percentile (1 / 0.00135): it is seen, not guessed."""

_TAIL: Final = 0.00135  # what a normal distribution has beyond three sigmas on one side, to five decimals
_P_VALUES: Final = (  # of D'Agostino and Stephens, table 4.9: up to A2*, one minus, then exp(a + b A2* + c A2*^2)
    (0.2, True, -13.436, 101.14, -223.73),
    (0.34, True, -8.318, 42.796, -59.938),
    (0.6, False, 0.9177, -4.279, -1.38),
    (math.inf, False, 1.2937, -5.709, 0.0186),
)
_LARGEST: Final = 13.0  # A2*; beyond it the last polynomial would turn back, and the p-value is below 1e-30

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AndersonDarling:
    """The statistic, the one adjusted for the number of values, and the probability of such a one if normal."""

    a2: float
    a2_adjusted: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The 0.135 %, 50 % and 99.865 % points of the values, in their unit."""

    low: float
    median: float
    high: float


def anderson_darling(values: _Values) -> AndersonDarling | None:
    """None for fewer than `FEWEST_VALUES` values, or values that are all the same."""
    n = values.size
    if n < FEWEST_VALUES or not np.ptp(values) > 0:
        return None
    z = (np.sort(values) - values.mean()) / values.std(ddof=1)
    tiny = float(np.finfo(np.float64).tiny)
    lower = np.log([max(below(value), tiny) for value in z.tolist()])
    upper = np.log([max(below(-value), tiny) for value in z.tolist()])
    weights = 2 * np.arange(1, n + 1) - 1
    a2 = float(-n - (weights * (lower + upper[::-1])).sum() / n)
    adjusted = a2 * (1 + 0.75 / n + 2.25 / n**2)
    return AndersonDarling(a2, adjusted, _p_value(min(adjusted, _LARGEST)))


def _p_value(adjusted: float) -> float:
    _, complement, a, b, c = next(row for row in _P_VALUES if adjusted < row[0])
    value = math.exp(a + b * adjusted + c * adjusted**2)
    return 1 - value if complement else value


def percentiles(values: _Values) -> Percentiles | None:
    """Empirical, median-unbiased (Hyndman and Fan 1996, type 8); None below `FEWEST_FOR_PERCENTILES` values."""
    if values.size < FEWEST_FOR_PERCENTILES:
        return None
    low, median, high = np.quantile(values, [_TAIL, 0.5, 1 - _TAIL], method="median_unbiased").tolist()
    return Percentiles(low, median, high)
