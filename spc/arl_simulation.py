"""Average run lengths of a Shewhart chart by simulation: for trends and alternation, and to prove the exact ones.

Many charts run side by side as the rows of a matrix, a block of points at a time, until each has signalled. Each
rule looks at all points of a block at once. Seeded: the same request gives the same answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.arl_shewhart import Filling
from spc.rules import Rule
from spc.run_length import NeverSignals

__all__ = ["Simulated", "fires", "simulate"]

RUNS: Final = 100_000
MOST_POINTS: Final = 30_000_000
"""Of all runs together: a second or two. Long run lengths are told by fewer runs."""

SEED: Final = 1984

_BATCH: Final = 2_000
_BLOCK: Final = 64  # points; the history that the longest rule needs is looked at again in each block

_Points = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Simulated:
    """The mean of the simulated run lengths, the standard error of that mean, and how many runs it is from."""

    value: float
    standard_error: float
    runs: int


def simulate(
    rules: Sequence[Rule],
    *,
    shift: float = 0.0,
    filling: Filling = "first",
    apart: float = 0.0,
    runs: int = RUNS,
    most_points: int = MOST_POINTS,
    seed: int = SEED,
) -> Simulated:
    """As `spc.arl_shewhart.run_length`, for rules of any kind, as long as `most_points` lasts.

    At least one batch of runs is finished, since leaving out the long ones would make the answer too small. Raises
    NeverSignals when that alone takes ten times `most_points`, ValueError without rules.
    """
    if not rules:
        raise ValueError("no rules: such a chart never signals")
    generator = np.random.default_rng(seed)
    lengths: list[npt.NDArray[np.int64]] = []
    points = done = 0
    while done < runs and (not lengths or points * (1 + 1 / len(lengths)) <= most_points):
        batch = min(_BATCH, runs - done)
        lengths.append(_batch(generator, batch, rules, shift, filling, apart, 10 * most_points))
        points += int(lengths[-1].sum())
        done += batch
    every = np.concatenate(lengths)
    error = float(every.std(ddof=1)) / math.sqrt(every.size) if every.size > 1 else math.inf
    return Simulated(float(every.mean()), error, every.size)


def _batch(
    generator: np.random.Generator,
    runs: int,
    rules: Sequence[Rule],
    shift: float,
    filling: Filling,
    apart: float,
    most_points: int,
) -> npt.NDArray[np.int64]:
    history = max(rule.window for rule in rules) - 1
    values = np.full((runs, history), np.nan)
    lengths = np.zeros(runs, dtype=np.int64)
    alive = np.arange(runs)
    begun = worked = 0
    while alive.size:
        fresh = generator.standard_normal((alive.size, _BLOCK)) + shift
        values = np.concatenate([values, fresh], axis=1)
        fired = np.zeros(values.shape, dtype=bool)
        for rule in rules:
            fired |= fires(rule, values, filling)
        fired = fired[:, history:]
        if apart:
            fired |= generator.random(fired.shape) < apart
        ended = fired.any(axis=1)
        lengths[alive[ended]] = begun + 1 + fired[ended].argmax(axis=1)
        begun, worked = begun + _BLOCK, worked + fresh.size
        if worked > most_points:
            raise NeverSignals("a chart with these rules, as far as it was simulated,")
        alive, values = alive[~ended], values[~ended][:, values.shape[1] - history :]
    return lengths


def fires(rule: Rule, values: _Points, filling: Filling) -> _Flags:
    """At which points of each row the rule fires; NaN stands for points before the first."""
    window, sigmas = rule.window, rule.sigmas or 0.0
    with np.errstate(invalid="ignore"):
        match rule.pattern:
            case "beyond":
                there = ~np.isnan(values)
                whole = _count(there, window) == window if filling == "full" else np.ones(values.shape, dtype=bool)
                above, under = values > sigmas, values < -sigmas
                enough_above = above & (_count(above, window) >= rule.points)
                return whole & (enough_above | (under & (_count(under, window) >= rule.points)))
            case "side":
                return _all(values > 0, window) | _all(values < 0, window)
            case "within":
                return _all(np.abs(values) < sigmas, window)
            case "outside":
                mixed = (_count(values > 0, window) > 0) & (_count(values < 0, window) > 0)
                return _all(np.abs(values) > sigmas, window) & mixed
            case "trend":
                rises, falls = _steps(values)
                return _all(rises, window - 1) | _all(falls, window - 1)
            case "alternating":
                rises, falls = _steps(values)
                even = np.arange(values.shape[1]) % 2 == 0
                return _all(np.where(even, rises, falls), window - 1) | _all(
                    np.where(even, falls, rises), window - 1
                )


def _steps(values: _Points) -> tuple[_Flags, _Flags]:
    """Whether each point is above, and below, the one before it."""
    change = np.diff(values, axis=1, prepend=np.nan)
    return change > 0, change < 0


def _count(flags: _Flags, window: int) -> npt.NDArray[np.int32]:
    """How many of the last `window` points of each row are flagged."""
    total = np.cumsum(flags, axis=1, dtype=np.int32)
    count = total.copy()
    count[:, window:] -= total[:, :-window]
    return count


def _all(flags: _Flags, window: int) -> _Flags:
    """Whether the last `window` points of each row are all flagged."""
    every: _Flags = _count(flags, window) == window
    return every
