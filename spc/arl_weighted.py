"""Average run lengths of EWMA and CUSUM charts, by their integral equations.

With L(z) the mean number of further points when the chart stands at z, each scheme gives an equation

    L(z) = 1 + integral of L(y) times the density of going from z to y, over the y that do not signal

(Page, *Biometrika* 41, 1954; Crowder, *Technometrics* 29, 1987). It is solved at Gauss-Legendre nodes (Nystrom),
between which the solution is smooth, so that the error falls exponentially; the number of nodes doubles until two
solutions agree to `AGREEMENT`. A CUSUM stands at 0 with a probability of its own: that atom is one more unknown.

Points are independent and normal with known parameters. `shift` is that of the plotted points in their own
standard deviations: sqrt(n) times the shift of single values for subgroups of n.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.run_length import LONGEST, NeverSignals, below, density

__all__ = ["SLOWEST_EXACT", "RunLength", "cusum_one_sided", "cusum_two_sided", "ewma"]

AGREEMENT: Final = 1e-7
"""Relative difference of two solutions, the second with twice the nodes, at which it is taken as converged."""

_FIRST_NODES: Final = 24
_ENOUGH_NODES: Final = 192  # fewer may miss the kernel of a small lam altogether
_MOST_NODES: Final = 1_536
SLOWEST_EXACT: Final = 0.004
"""The smallest lam whose exact limits are followed until they have settled."""

_SETTLED: Final = 1e-8
_AS_GOOD_AS_NEVER: Final = 1e13

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RunLength:
    """The mean number of points until the signal, and with how many nodes it was found."""

    value: float
    nodes: int


def ewma(lam: float, width: float, *, shift: float = 0.0, start: float = 0.0, exact: bool = False) -> RunLength:
    """Of a two-sided EWMA with weight `lam` and limits at `width` of its standard deviations.

    The limits are those that it widens to, or `exact` ones for each point. `start` is z before the first point,
    from the target, in standard deviations of the plotted points. Raises ValueError for a chart that cannot be, or
    whose equation cannot be solved to five digits.
    """
    if not (0 < lam <= 1 and width > 0 and math.isfinite(width) and math.isfinite(shift)):
        raise ValueError(f"needed: 0 < lam <= 1 and L > 0; got lam {lam}, L {width}, shift {shift}")
    limit = width * math.sqrt(lam / (2 - lam))
    if not abs(start) <= limit:
        raise ValueError(f"an EWMA that starts at {start} is beyond its limit {limit:.6g}")
    if exact and lam < SLOWEST_EXACT:
        raise ValueError(f"exact limits of a lam below {SLOWEST_EXACT} take too many points to settle, got {lam}")

    def solve(nodes: int) -> float:
        at, weights = _gauss(nodes)
        settled = _ewma_settled(lam, limit, shift, limit * at, limit * weights)
        if not np.isfinite(settled).all():
            return math.inf
        if exact:
            return _ewma_widening(lam, limit, shift, start, settled, at, weights)
        step = limit * weights * density((limit * at - (1 - lam) * start) / lam - shift) / lam
        return float(1 + step @ settled)

    return _converged(solve, f"an EWMA with lam {lam}, L {width}")


def _ewma_settled(lam: float, limit: float, shift: float, at: _Array, weights: _Array) -> _Array:
    """L at the nodes, with fixed limits."""
    step = weights * density((at[None, :] - (1 - lam) * at[:, None]) / lam - shift) / lam
    return _solve(np.eye(at.size) - step)


def _ewma_widening(
    lam: float, limit: float, shift: float, start: float, settled: _Array, at: _Array, weights: _Array
) -> float:
    """L at `start`, walking back from the point where the limits have settled to the first one."""
    decay = (1 - lam) ** 2
    steps = 1 if decay == 0 else max(1, math.ceil(math.log(_SETTLED) / math.log(decay)))
    ahead, reach = settled, limit
    for step in range(steps, -1, -1):
        before = limit * math.sqrt(1 - decay**step) if step else 0.0
        stands = before * at if step else np.array([start])
        step_to = density((reach * at[None, :] - (1 - lam) * stands[:, None]) / lam - shift) / lam
        ahead, reach = 1 + (reach * weights * step_to) @ ahead, before
    return float(ahead[0])


def cusum_one_sided(k: float, h: float, *, shift: float = 0.0, start: float = 0.0) -> RunLength:
    """Of one upper CUSUM with reference value `k` and decision interval `h`, begun at `start`."""
    _check_cusum(k, h, shift, start)
    return _converged(lambda nodes: _cusum(k, h, shift, start, nodes)[0], f"a CUSUM with k {k}, h {h}")


def cusum_two_sided(k: float, h: float, *, shift: float = 0.0, start: float = 0.0) -> RunLength:
    """Of an upper and a lower CUSUM together, both begun at `start` (FIR).

    With one sum above h the other stands at 0, so the two combine exactly (Kemp, *JRSS B* 23, 1961; Lucas and
    Crosier, *Technometrics* 24, 1982). That holds for starts up to h/2 + k; others raise ValueError.
    """
    _check_cusum(k, h, shift, start)
    if start > h / 2 + k:
        raise ValueError(f"two sums that both start above h/2 + k = {h / 2 + k:g} are not computed; got {start:g}")

    def solve(nodes: int) -> float:
        up, up_0 = _cusum(k, h, abs(shift), start, nodes)
        down, down_0 = _cusum(k, h, -abs(shift), start, nodes)
        if not 0 < down_0 < _AS_GOOD_AS_NEVER:  # rounding may leave anything of such a number
            return up
        return (up + up_0 * (down / down_0 - 1)) / (1 + up_0 / down_0)

    return _converged(solve, f"a CUSUM with k {k}, h {h}")


def _check_cusum(k: float, h: float, shift: float, start: float) -> None:
    if not (k >= 0 and h > 0 and 0 <= start <= h and all(map(math.isfinite, (k, h, shift)))):
        raise ValueError(
            f"needed: k >= 0, h > 0 and a start from 0 to h; got k {k}, h {h}, start {start}, shift {shift}"
        )


def _cusum(k: float, h: float, shift: float, start: float, nodes: int) -> tuple[float, float]:
    """L at `start` and at 0."""
    at, weights = _gauss(nodes)
    at, weights = h * (at + 1) / 2, h * weights / 2
    stands = np.append(at, 0.0)
    step = np.empty((nodes + 1, nodes + 1))
    step[:, :-1] = weights * density(at[None, :] - stands[:, None] + k - shift)
    step[:, -1] = [below(k - shift - value) for value in stands]
    solved = _solve(np.eye(nodes + 1) - step)
    if not np.isfinite(solved).all():  # no way out of some state: it never signals from there
        return math.inf, math.inf
    first = np.append(weights * density(at - start + k - shift), below(k - shift - start))
    return float(1 + first @ solved), float(solved[-1])


# -- the numbers -------------------------------------------------------------------------------------------


def _converged(solve: Callable[[int], float], what: str) -> RunLength:
    nodes, before = _FIRST_NODES, math.nan
    while nodes <= _MOST_NODES:
        value = solve(nodes)
        if not 1 <= value <= LONGEST and not 1 <= before <= LONGEST and nodes >= _ENOUGH_NODES:
            raise NeverSignals(what)
        if 1 <= value <= LONGEST and abs(value - before) <= AGREEMENT * value:
            return RunLength(value, nodes)
        nodes, before = 2 * nodes, value
    raise ValueError(f"the run length of {what} does not converge with {_MOST_NODES} nodes: it remembers too long")


@cache
def _gauss(nodes: int) -> tuple[_Array, _Array]:
    return np.polynomial.legendre.leggauss(nodes)


def _solve(matrix: _Array) -> _Array:
    try:
        return np.asarray(np.linalg.solve(matrix, np.ones(len(matrix))), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full(len(matrix), math.inf)
