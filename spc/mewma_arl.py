"""How long a MEWMA runs in control, and the decision interval for a run length that is asked for.

In control the length of Z is a Markov process of its own, whatever the covariance: for x standard normal,
(length of Z / lam)^2 is noncentral chi-square with p degrees of freedom and noncentrality ((1 - lam) / lam
length before)^2 (Runger and Prabhu, *Biometrika* 83, 1996; Rigdon, *Sequential Analysis* 14, 1995). The
integral equation for its run length is solved on Gauss-Legendre nodes; the density is smooth, so that 7 digits
need no more of them. Rigdon's and Knoth's (*Journal of Quality Technology* 49, 2017) figures are met to all
digits.

As in the published tables (Prabhu and Runger, *Journal of Quality Technology* 29, 1997), Z is measured by the
covariance that it settles to. A chart that uses the exact covariance of each point alarms a little sooner at
its start.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["PUBLISHED", "USUAL_ARL", "decision_interval", "mewma_arl", "mewma_interval"]

USUAL_ARL: Final = 200.0
PUBLISHED: Final[dict[int, float]] = {2: 8.66, 3: 10.79, 4: 12.73, 5: 14.56, 10: 22.67}
"""h4 by number of variables, lam .1, run length 200, simulated (Lowry et al., *Technometrics* 34, 1992)."""

_NODES: Final = 48  # and as many again for each 12 widths of the kernel within the limit
_ARL_MOST: Final = 1e6

_Floats = npt.NDArray[np.float64]


def mewma_arl(variables: int, lam: float, h4: float) -> float:
    """Average run length in control, from Z = 0, of a MEWMA of `variables` with weight `lam` and interval `h4`.

    Raises ValueError for fewer than 1 or more than 50 variables, lam outside (0, 1], or h4 not above 0.
    """
    _check(variables, lam)
    if not (math.isfinite(h4) and h4 > 0):
        raise ValueError(f"h4 must be finite and above 0, got {h4}")
    reach = math.sqrt(h4 * lam / (2 - lam))
    count = _NODES * (1 + int(reach / (12 * lam)))
    at, weights = np.polynomial.legendre.leggauss(count)
    nodes, weights = reach * (at + 1) / 2, reach * weights / 2
    kernel = _density(variables, lam, nodes, nodes) * weights
    lengths = np.linalg.solve(np.eye(count) - kernel, np.ones(count))
    from_zero = _density(variables, lam, np.zeros(1), nodes)[0] * weights
    return float(1 + from_zero @ lengths)


@lru_cache(maxsize=256)
def mewma_interval(variables: int, lam: float, arl: float = USUAL_ARL) -> float:
    """h4 such that the run length in control is `arl`, to six decimals (so that it is the same everywhere).

    Raises ValueError as `mewma_arl` does, and for a run length not above 1 or beyond a million.
    """
    _check(variables, lam)
    if not 1 < arl <= _ARL_MOST:
        raise ValueError(f"an average run length must be above 1 and at most {_ARL_MOST:g}, got {arl}")
    low, high = 1e-9, 2.0 * variables
    while mewma_arl(variables, lam, high) < arl:
        low, high = high, 2 * high
    while high - low > 1e-8:
        # run lengths grow nearly exponentially: the middle is good enough, and sure
        middle = (low + high) / 2
        if mewma_arl(variables, lam, middle) < arl:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


def decision_interval(variables: int, lam: float, arl: float = USUAL_ARL) -> tuple[float, str]:
    """h4 for the run length in control, and where it comes from: ``published`` or ``computed``.

    Published are the handbooks' figures (`PUBLISHED`), for a chart to agree with its textbook. They are up to 0.03
    above the computed ones, and their run lengths up to 2 points above 200. Raises ValueError as `mewma_interval`.
    """
    if lam == 0.1 and arl == USUAL_ARL and variables in PUBLISHED:
        return PUBLISHED[variables], "published"
    return mewma_interval(variables, lam, arl), "computed"


def _check(variables: int, lam: float) -> None:
    if not 1 <= variables <= 50:
        raise ValueError(f"a MEWMA needs 1 to 50 variables here, got {variables}")
    if not 0 < lam <= 1:
        raise ValueError(f"lam must be above 0 and at most 1, got {lam}")


def _density(variables: int, lam: float, before: _Floats, after: _Floats) -> _Floats:
    """Density of the length of Z at `after` (columns), given that before (rows)."""
    from scipy.special import gammaln, ive  # loads slowly: only who asks for an interval waits for it

    order = variables / 2 - 1
    b = (1 - lam) * before[:, None] / lam
    a = np.broadcast_to(after[None, :] / lam, (len(before), len(after)))
    product = a * b
    with np.errstate(divide="ignore", under="ignore"):
        # I(order, ab) (a / b)^order, which at b = 0 is a^(2 order) / (2^order gamma(order + 1)), in logarithms
        bessel = np.log(ive(order, product)) + order * (np.log(a) - np.log(np.where(b > 0, b, 1.0)))
        central = 2 * order * np.log(a) - order * math.log(2) - gammaln(order + 1)
    logs = np.where(product > 1e-200, bessel, central)
    density: _Floats = a / lam * np.exp(logs - (a - b) ** 2 / 2)
    return density
