"""What a point of a chart is, computed from its readings: one scalar function each.

Batch functions and the streaming path both take a point's statistic from here and nowhere else, so that they agree
to the bit by construction. Sums are exact (`spc.exact`), and everything else is plain floating point in a fixed
order: no library whose result depends on the processor.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from spc.exact import exact_mean
from spc.limits import NELSON_T_POWER, Chart

__all__ = [
    "cholesky",
    "covariance",
    "cusum_score",
    "cusum_step",
    "distance",
    "ewma_step",
    "from_nominal",
    "mean_vector",
    "mewma_distance",
    "mewma_step",
    "rate",
    "standard_deviation",
    "to_normal",
    "value_range",
]

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]

_SINGULAR = 1e-12
"""A variable whose variance, given the variables before it, is below this share of its own counts as redundant."""


# -- one subgroup -----------------------------------------------------------------------------------------------


def value_range(values: Sequence[float]) -> float:
    """Largest minus smallest of at least one value."""
    return max(values) - min(values)


def standard_deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (divisor n - 1) of at least two values, else ValueError; 0 for equal values."""
    if len(values) < 2:
        raise ValueError(f"a standard deviation needs at least two values, got {len(values)}")
    mean = exact_mean(values)
    return math.sqrt(math.fsum((value - mean) * (value - mean) for value in values) / (len(values) - 1))


def mean_vector(rows: Sequence[Sequence[float]]) -> Vector:
    """Means of the variables over rows of (at least one) readings; shape rows x p gives p."""
    return tuple(exact_mean(column) for column in zip(*rows, strict=True))


def covariance(rows: Sequence[Sequence[float]]) -> Matrix:
    """Sample covariance (divisor m - 1) of at least two rows of readings, else ValueError; m x p gives p x p."""
    if len(rows) < 2:
        raise ValueError(f"a covariance needs at least two rows, got {len(rows)}")
    mean = mean_vector(rows)
    apart = [tuple(value - centre for value, centre in zip(row, mean, strict=True)) for row in rows]
    columns = list(zip(*apart, strict=True))
    return tuple(
        tuple(math.fsum(map(float.__mul__, one, other)) / (len(rows) - 1) for other in columns) for one in columns
    )


def rate(chart: Chart, count: float, size: float) -> float:
    """What a chart of counts plots: count / size for p, u and Laney's, the count itself for np and c."""
    return count if chart in ("np", "c") else count / size


def to_normal(time: float) -> float:
    """A time between events in the scale where it is nearly normal (Nelson 1994); ValueError below 0."""
    if time < 0:
        raise ValueError(f"a time between events cannot be negative, got {time}")
    return float(time**NELSON_T_POWER)


def from_nominal(value: float, nominal: float, sigma: float | None = None) -> float:
    """Short runs: the deviation from the part's nominal, divided by the part's `sigma` where that is given (Z)."""
    apart = value - nominal
    return apart if sigma is None else apart / sigma


# -- charts that weigh their past -------------------------------------------------------------------------------


def ewma_step(z: float, value: float, lam: float) -> float:
    """The next z = lam value + (1 - lam) z, written so that a process on its z stays on it."""
    return value if lam == 1 else z + lam * (value - z)


def cusum_score(value: float, target: float, sigma_within: float, size: float) -> float:
    """How far a value (or mean of `size` values) is from the target, in its own sigmas: what CUSUM adds up."""
    return (value - target) / (sigma_within / math.sqrt(size))


def cusum_step(plus: float, minus: float, score: float, k: float) -> tuple[float, float]:
    """The next pair of one-sided sums, both counted upwards from 0 (Page 1954)."""
    return max(0.0, plus + score - k), max(0.0, minus - score - k)


# -- several variables ------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def cholesky(matrix: Matrix) -> Matrix:
    """The lower triangle L with L L' = `matrix` (p x p, symmetric).

    Raises ValueError that names the variable (from 1) which does not vary, or follows from those before it.
    """
    rows: list[list[float]] = []
    for i, given in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            rest = given[j] - math.fsum(row[k] * rows[j][k] for k in range(j))
            row.append(rest / rows[j][j])
        pivot = given[i] - math.fsum(value * value for value in row)
        if not given[i] > 0:
            raise ValueError(f"covariance is singular: variable {i + 1} does not vary")
        if not pivot > _SINGULAR * given[i]:
            raise ValueError(f"covariance is singular: variable {i + 1} follows from the variables before it")
        row.append(math.sqrt(pivot))
        rows.append(row)
    return tuple(tuple(row + [0.0] * (len(matrix) - len(row))) for row in rows)


def distance(vector: Sequence[float], centre: Vector, matrix: Matrix, size: float = 1.0) -> float:
    """Hotelling's T squared, size (x - centre)' matrix^-1 (x - centre), of a mean of `size` readings.

    `matrix` is the covariance of one reading. Raises ValueError where it is singular.
    """
    return size * _square([x - c for x, c in zip(vector, centre, strict=True)], matrix)


def mewma_step(z: Vector, vector: Sequence[float], centre: Vector, lam: float) -> Vector:
    """The next Z = lam (x - centre) + (1 - lam) Z, from 0 before the first point (Lowry et al. 1992)."""
    return tuple(ewma_step(old, x - c, lam) for old, x, c in zip(z, vector, centre, strict=True))


def mewma_distance(z: Vector, matrix: Matrix, lam: float, step: int) -> float:
    """T squared of Z at point `step` (from 1), whose variance is lam / (2 - lam) (1 - (1 - lam)^(2 step))."""
    share = lam / (2 - lam) * (1 - (1 - lam) ** (2 * step))
    return _square(z, matrix) / share


def _square(apart: Sequence[float], matrix: Matrix) -> float:
    """The squared length of L^-1 apart, by forward substitution."""
    solved: list[float] = []
    total = 0.0
    for value, row in zip(apart, cholesky(matrix), strict=True):
        rest = value
        for known, factor in zip(solved, row, strict=False):
            rest -= factor * known
        rest /= row[len(solved)]
        solved.append(rest)
        total += rest * rest
    return total
