"""The control chart factors d2, d3, c4, A2, D3, D4 and E2, from their definitions.

W is the range of n independent standard normal values. Then (Tippett 1925; Montgomery, *Introduction to
Statistical Quality Control*, appendix VI)::

    d2 = E(W)    d3 = SD(W)    c4 = sqrt(2/(n-1)) * Gamma(n/2) / Gamma((n-1)/2)
    A2 = 3 / (d2 sqrt(n))      D3, D4 = max(0, 1 -/+ 3 d3/d2)                E2 = 3 / d2
    A3 = 3 / (c4 sqrt(n))      B3, B4 = max(0, 1 -/+ 3 sqrt(1 - c4^2)/c4)

Two sets are offered, and every set of limits names the one that made it, because they differ from the
fourth significant digit on and a recomputation must be able to follow:

- ``exact``: numerical integration, good to 1e-8.
- ``textbook``: what handbooks print and what people check by hand: three decimals (c4: four), and E2 from
  the printed d2 (3 / 1.128 = 2.660).

For limits that come from elsewhere there are two more kinds: a d2 rounded to some decimals and nothing else
rounded (`rounded_factors`; R's qcc does so with three), and a `Factors` of one's own (`with_factors`).
`named_factors` finds all but the last by the name that a set of limits carries.
"""

import math
import re
from dataclasses import dataclass, replace
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
    "named_factors",
    "rounded_factors",
    "with_factors",
    "with_median_factors",
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
    A3: float
    B3: float
    B4: float

    @classmethod
    def derived(cls, n: int, *, d2: float, d3: float, source: str) -> Self:
        """The other factors computed from a given `d2` and `d3`, without rounding in between.

        For software that rounds d2 and nothing else: R's qcc takes d2 = 2.326 for n = 5.
        Raises ValueError when n < 2 or d2 is not positive.
        """
        if d2 <= 0:
            raise ValueError(f"d2 must be positive, got {d2}")
        spread = 3 * d3 / d2
        unbiased = c4(n)
        spread_s = 3 * math.sqrt(1 - unbiased * unbiased) / unbiased
        return cls(
            n=n,
            source=source,
            d2=d2,
            d3=d3,
            c4=unbiased,
            A2=3 / (d2 * math.sqrt(n)),
            D3=max(0.0, 1 - spread),
            D4=1 + spread,
            E2=3 / d2,
            A3=3 / (unbiased * math.sqrt(n)),
            B3=max(0.0, 1 - spread_s),
            B4=1 + spread_s,
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
        A3=round(exact.A3, 3),
        B3=round(exact.B3, 3),
        B4=round(exact.B4, 3),
    )


@cache
def rounded_factors(n: int, decimals: int) -> Factors:
    """Exact factors but for d2, rounded to `decimals`, with A2, D3, D4 and E2 following from that.

    R's qcc keeps a d2 table of three decimals and rounds nothing else. Raises ValueError when n < 2 or d2
    would round to 0.
    """
    return Factors.derived(n, d2=round(d2(n), decimals), d3=d3(n), source=f"d2 of {decimals} decimals")


def with_factors(
    base: Factors,
    *,
    d2: float | None = None,
    c4: float | None = None,
    A2: float | None = None,
    A3: float | None = None,
    B3: float | None = None,
    B4: float | None = None,
    D3: float | None = None,
    D4: float | None = None,
    E2: float | None = None,
) -> Factors:
    """`base` with the factors that a source prints; its name lists them.

    A `d2` of one's own makes A2, D3, D4 and E2 too, a `c4` A3, unless they are given themselves. Raises
    ValueError for a factor that is no finite number, or not above 0 (D3, B3: below 0).
    """
    given = {
        name: value
        for name, value in (
            *(("d2", d2), ("c4", c4), ("A2", A2), ("A3", A3), ("B3", B3)),
            *(("B4", B4), ("D3", D3), ("D4", D4), ("E2", E2)),
        )
        if value is not None
    }
    for name, value in given.items():
        if not math.isfinite(value) or value < 0 or (value == 0 and name not in ("D3", "B3")):
            raise ValueError(f"the factor {name} cannot be {value}")
    if d2 is not None:
        base = Factors.derived(base.n, d2=d2, d3=base.d3, source=base.source)
    if c4 is not None:
        base = replace(base, A3=3 / (c4 * math.sqrt(base.n)))
    told = ", ".join(f"{name} {value:g}" for name, value in given.items())
    own = given.get
    return replace(
        base,
        source=f"{base.source}, {told}" if told else base.source,
        d2=own("d2", base.d2),
        c4=own("c4", base.c4),
        A2=own("A2", base.A2),
        A3=own("A3", base.A3),
        B3=own("B3", base.B3),
        B4=own("B4", base.B4),
        D3=own("D3", base.D3),
        D4=own("D4", base.D4),
        E2=own("E2", base.E2),
    )


def named_factors(n: int, name: str) -> Factors:
    """The factors for ranges of `n` values from the set that limits name (of one's own, the set under them).

    Raises ValueError when n < 2.
    """
    rounded = re.match(r"d2 of (\d+) decimals", name)
    if rounded:
        return rounded_factors(n, int(rounded[1]))
    return factors(n, "textbook" if name.startswith("textbook") else "exact")


@cache
def median_factors(constants: str = "exact") -> Factors:
    """The factors that multiply a **median** moving range of two values, from the set of that name.

    Here `D4` and `E2` turn the median into the limits: (d2 + 3 d3) / 0.953873 = 3.864 and
    3 / 0.953873 = 3.145. The printed pair is 3.865 and 3.145 (Wheeler, *Making Sense of Data*, 10.2). A d2 rounded
    to some decimals rounds nothing but itself.
    """
    if constants.startswith("d2 of "):
        rounded = named_factors(2, constants)
        return _of_mean_range(median_factors(), rounded.d2, rounded.source)
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
        A3=ranges.A3,
        B3=ranges.B3,
        B4=ranges.B4,
    )
    if constants == "exact":
        return exact
    if constants != "textbook":
        raise ValueError(f"unknown constant set {constants!r}; known: exact, textbook")
    return replace(factors(2, "textbook"), d2=0.954, A2=2.224, D3=0.0, D4=3.865, E2=3.145)


def with_median_factors(base: Factors, d2: float) -> Factors:
    """Factors for a median moving range (`median_factors`), with a `d2` that a source prints.

    No mean range is below 1.128 sigma: a smaller one is the median's own factor (0.954). Raises ValueError for
    one that is no factor.
    """
    if d2 < 1:
        return replace(with_factors(base, d2=d2), D4=base.D4 * base.d2 / d2)
    return _of_mean_range(base, d2, f"{base.source}, d2 {d2:g}")


def _of_mean_range(base: Factors, d2: float, source: str) -> Factors:
    return replace(base, source=source, D4=(d2 + 3 * base.d3) / base.d2)


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
