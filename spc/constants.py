"""The control chart factors d2, d3, c4, A2, D3, D4 and E2, from their definitions.

W is the range of n independent standard normal values. Then (Tippett 1925; Montgomery, *Introduction to
Statistical Quality Control*, appendix VI)::

    d2 = E(W)    d3 = SD(W)    c4 = sqrt(2/(n-1)) * Gamma(n/2) / Gamma((n-1)/2)
    A2 = 3 / (d2 sqrt(n))      D3, D4 = max(0, 1 -/+ 3 d3/d2)      E2 = 3 / d2

Two sets are offered, and every set of limits names the one that made it, because they differ from the
fourth significant digit on and a recomputation must be able to follow:

- ``exact``: numerical integration, good to 1e-8.
- ``textbook``: what handbooks print and what people check by hand: three decimals (c4: four), and E2 from
  the printed d2 (3 / 1.128 = 2.660).

A third kind, for limits that come from elsewhere, is a `Factors` of one's own (`Factors.derived`, or
`dataclasses.replace` of one of these).
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

__all__ = [
    "MEDIAN_MOVING_RANGE",
    "ConstantSet",
    "Factors",
    "c4",
    "d2",
    "d3",
    "factors",
    "median_factors",
]

ConstantSet = Literal["exact", "textbook"]

MEDIAN_MOVING_RANGE: Final = math.sqrt(2) * NormalDist().inv_cdf(0.75)
"""Median of |Z1 - Z2| for standard normal Z: 0.953873; turns a median moving range into sigma."""

_REACH: Final = 10.0  # beyond +-10 sigma a normal tail is below 1e-23: nothing that 1e-8 could see
_STEP: Final = 0.05  # the trapezium rule converges exponentially here; half this step changes nothing
_NODES: Final = 128  # Gauss-Legendre nodes over the width of the range


@dataclass(frozen=True, slots=True)
class Factors:
    """One column of a factor table, for ranges of `n` values.

    All are pure numbers. `d2` divides the central range to give sigma: it is E(W) when ranges are
    averaged, and the median of W when their median is taken (`median_factors`). `source` names the set.
    """

    n: int
    source: str
    d2: float
    d3: float
    c4: float
    A2: float
    D3: float
    D4: float
    E2: float

    @classmethod
    def derived(cls, n: int, *, d2: float, d3: float, source: str) -> Self:
        """The other factors computed from a given `d2` and `d3`, without rounding in between.

        For software that rounds d2 and nothing else: R's qcc takes d2 = 2.326 for n = 5.
        Raises ValueError when n < 2 or d2 is not positive.
        """
        if d2 <= 0:
            raise ValueError(f"d2 must be positive, got {d2}")
        spread = 3 * d3 / d2
        return cls(
            n=n,
            source=source,
            d2=d2,
            d3=d3,
            c4=c4(n),
            A2=3 / (d2 * math.sqrt(n)),
            D3=max(0.0, 1 - spread),
            D4=1 + spread,
            E2=3 / d2,
        )


def d2(n: int) -> float:
    """Mean of the range of `n` standard normal values; n >= 2, else ValueError."""
    return _range_moments(n)[0]


def d3(n: int) -> float:
    """Standard deviation of the range of `n` standard normal values; n >= 2, else ValueError."""
    return _range_moments(n)[1]


def c4(n: int) -> float:
    """Mean of the sample standard deviation (divisor n-1) of `n` standard normal values; n >= 2."""
    _check_size(n)
    return math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))


@cache
def factors(n: int, constants: ConstantSet = "exact") -> Factors:
    """The factors for averaged ranges of `n` values, from the named set.

    Raises ValueError when n < 2 or the set is unknown.
    """
    exact = Factors.derived(n, d2=d2(n), d3=d3(n), source="exact")
    if constants == "exact":
        return exact
    if constants != "textbook":
        raise ValueError(f"unknown constant set {constants!r}; known: exact, textbook")
    printed_d2 = round(exact.d2, 3)
    return Factors(
        n=n,
        source="textbook",
        d2=printed_d2,
        d3=round(exact.d3, 3),
        c4=round(exact.c4, 4),
        A2=round(exact.A2, 3),
        D3=round(exact.D3, 3),
        D4=round(exact.D4, 3),
        E2=round(3 / printed_d2, 3),
    )


@cache
def median_factors(constants: ConstantSet = "exact") -> Factors:
    """The factors that multiply a **median** moving range of two values.

    Here `D4` and `E2` turn the median into the limits: (d2 + 3 d3) / 0.953873 = 3.864 and
    3 / 0.953873 = 3.145. The printed pair is 3.865 and 3.145 (Wheeler, *Making Sense of Data*, 10.2).
    """
    ranges = factors(2)
    exact = Factors(
        n=2,
        source="exact",
        d2=MEDIAN_MOVING_RANGE,
        d3=ranges.d3,
        c4=ranges.c4,
        A2=3 / (MEDIAN_MOVING_RANGE * math.sqrt(2)),
        D3=0.0,
        D4=(ranges.d2 + 3 * ranges.d3) / MEDIAN_MOVING_RANGE,
        E2=3 / MEDIAN_MOVING_RANGE,
    )
    if constants == "exact":
        return exact
    if constants != "textbook":
        raise ValueError(f"unknown constant set {constants!r}; known: exact, textbook")
    return Factors(2, "textbook", 0.954, round(ranges.d3, 3), 0.7979, 2.224, 0.0, 3.865, 3.145)


def _check_size(n: int) -> None:
    if n < 2:
        raise ValueError(f"a range needs at least two values, got n={n}")


@cache
def _range_moments(n: int) -> tuple[float, float]:
    """E(W) and SD(W), from P(W <= w) = n * integral of phi(x) (Phi(x+w) - Phi(x))^(n-1) dx."""
    _check_size(n)
    x = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    w = _REACH * (nodes + 1)
    weights = _REACH * weights
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    inside = np.clip(_normal_cdf(x[None, :] + w[:, None]) - _normal_cdf(x)[None, :], 0.0, 1.0)
    beyond = 1 - n * _STEP * (inside ** (n - 1) @ density)  # P(W > w)
    mean = float(weights @ beyond)
    square = float(weights @ (2 * w * beyond))
    return mean, math.sqrt(square - mean * mean)


def _normal_cdf(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Phi, elementwise; erfc keeps the lower tail, where 1 + erf would cancel."""
    flat = [math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(x.shape)
