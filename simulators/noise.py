"""Reproducible noise: every number is a hash of its own name, so that no timing and no order of calls changes it.

``calm_series`` is what a process in control looks like on a control chart: no point beyond its limits, no moving
range beyond its limit, no run that any of Nelson's rules for individuals would flag, and the same for means of
four at any offset (rules 1 and 2). Chance alone would break that about once in a few hundred points, and a clean
order must be clean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

BOUND = 1.7
"""No calm value is farther from its centre, in sigmas; so no moving range exceeds 3.4 (its limit is 3.69)."""

_NORMAL = NormalDist()
_CANDIDATES = 400
_RUN = 4
_WINDOW = 4
_MEAN_BOUND = 1.0

Key = str | int


def uniform(*key: Key) -> float:
    """A number in (0, 1) that belongs to this key alone."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return (int.from_bytes(digest[:7], "big") + 0.5) / 2**56


def bounded_normal(bound: float, *key: Key) -> float:
    """Standard normal, cut off at +-bound."""
    low = _NORMAL.cdf(-bound)
    return _NORMAL.inv_cdf(low + uniform(*key) * (1 - 2 * low))


def calm_series(count: int, *key: Key) -> tuple[float, ...]:
    """``count`` standardised values in control (see the module); the first n do not depend on count.

    The first value is below the centre and the second above: no run of whatever came before goes on.
    """
    series: list[float] = []
    for index in range(count):
        drawn = (bounded_normal(BOUND, *key, index, attempt) for attempt in range(_CANDIDATES))
        best, least = 0.0, 1_000
        for value in drawn:
            faults = _faults([*series[-40:], value]) + (index < 2 and (value > 0) != (index == 1))
            if faults < least:
                best, least = value, faults
            if not faults:
                break
        series.append(best)
    return tuple(series)


def _faults(tail: Sequence[float]) -> int:
    """How many rules the last value of the tail would come near to breaking."""
    found = 0
    sides = [value > 0 for value in tail]
    if _same_at_end(sides) > _RUN:
        found += 1
    if len(tail) >= _WINDOW:
        means = [sum(tail[end - _WINDOW : end]) / _WINDOW for end in range(len(tail), _WINDOW - 1, -_WINDOW)]
        found += 3 * (_same_at_end([mean > 0 for mean in reversed(means)]) > _RUN - 1)
        found += 2 * (abs(means[0]) > _MEAN_BOUND)
    rising = [after > before for before, after in pairwise(tail)]
    found += _same_at_end(rising) > 3
    turning = [after != before for before, after in pairwise(rising)]
    found += bool(turning and turning[-1]) and _same_at_end(turning) > 9
    inside = [abs(value) < 1 for value in tail]
    found += _same_at_end(inside) > (10 if inside[-1] else 4)
    for side in (1, -1):
        found += sum(side * value > 1 for value in tail[-5:]) > 3
    return found


def _same_at_end(flags: Sequence[bool]) -> int:
    count = 0
    for flag in reversed(flags):
        if flag != flags[-1]:
            break
        count += 1
    return count
