"""The rules that make a point on a control chart a signal.

Nelson, *Journal of Quality Technology* 16 (1984), in the reading that R's qcc has too:

- ``nelson1``: one point beyond a limit. Strictly: a point on the limit is in control.
- ``nelson2``: nine points in a row on one side of the centre line. Strictly: a point on it ends the run.

A run is flagged at its ninth point and at every further point, each with the nine points that made it. What
lies across a gap, an excluded point, a change of limits, tool or part is not a run, so each of these starts
the count anew. Rule 1 looks at single points and judges excluded ones too. Run rules suit charts of
independent, roughly symmetric points: never ranges or moving ranges.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["RULES", "RUN_LENGTH", "Signal", "check_rules", "evaluate", "nelson1", "nelson2"]

RULES: Final = ("nelson1", "nelson2")
"""The rules there are, by the names that configuration and verdicts use."""

RUN_LENGTH: Final = 9
"""Points on one side that make ``nelson2`` fire; with it alone, one false alarm in about 510 points."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that fired: at point `index` (0-based), made by the points `members` (it is the last)."""

    rule: str
    index: int
    members: tuple[int, ...]


def check_rules(rules: Iterable[str]) -> tuple[str, ...]:
    """The rules as a tuple; ValueError names an unknown or repeated one."""
    names = tuple(rules)
    for name in names:
        if name not in RULES:
            raise ValueError(f"unknown rule {name!r}; known: {', '.join(RULES)}")
    if len(set(names)) != len(names):
        raise ValueError(f"rules named twice: {', '.join(names)}")
    return names


def nelson1(points: npt.ArrayLike, lower: float, upper: float) -> tuple[Signal, ...]:
    """Points strictly beyond the limits; `points` is one-dimensional, NaN is a gap and never fires."""
    values = np.asarray(points, dtype=np.float64)
    beyond = np.flatnonzero((values < lower) | (values > upper)).tolist()
    return tuple(Signal("nelson1", index, (index,)) for index in beyond)


def nelson2(
    points: npt.ArrayLike,
    centre: float,
    *,
    excluded: Collection[int] = (),
    restarts: Collection[int] = (),
) -> tuple[Signal, ...]:
    """Points that complete a run of nine strictly on one side of `centre`.

    `points` is one-dimensional, NaN is a gap. `excluded` points belong to no run. `restarts` are indices
    at which a run may begin but not continue: the first point under new limits, a new tool, a new part.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return ()
    side = (values > centre).astype(np.int8) - (values < centre).astype(np.int8)
    side[list(excluded)] = 0
    begins = np.ones(values.size, dtype=bool)
    begins[1:] = side[1:] != side[:-1]
    begins[list(restarts)] = True
    index = np.arange(values.size)
    length = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1
    complete = np.flatnonzero((side != 0) & (length >= RUN_LENGTH)).tolist()
    return tuple(Signal("nelson2", last, tuple(range(last - RUN_LENGTH + 1, last + 1))) for last in complete)


def evaluate(
    rules: Iterable[str],
    points: npt.ArrayLike,
    *,
    centre: float,
    lower: float,
    upper: float,
    excluded: Collection[int] = (),
    restarts: Collection[int] = (),
) -> tuple[Signal, ...]:
    """All signals of the named rules, in the order of the points, then of `RULES`."""
    names = check_rules(rules)
    found: list[Signal] = []
    if "nelson1" in names:
        found += nelson1(points, lower, upper)
    if "nelson2" in names:
        found += nelson2(points, centre, excluded=excluded, restarts=restarts)
    return tuple(sorted(found, key=lambda signal: (signal.index, RULES.index(signal.rule))))
