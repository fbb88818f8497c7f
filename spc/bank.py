"""Many charts at once: one step of numpy for a new point on each, with the same rules for all.

No part of the product uses it at run time: verdicts, on the line and at central, come from `spc.stream`. It is
what `benchmarks.spc` measures as a thousand charts in one step, for programs that watch many characteristics in
step (the tags of a poll, the cavities of a tool) and want the rules alone: no subgroups, phase I, references or
stored state. Both are the same rules: what a bank keeps for a chart are the very integers of `spc.windows`, and
tests hold that it flags the same points.

A bank changes in place and is not stored; a chart costs it `Bank.bytes_per_chart`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.rules import Pattern, Rule, check_rules
from spc.windows import REGISTER

__all__ = ["Bank"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]
_Zone = tuple[_Floats, _Floats]
"""The lower and the upper line that a rule speaks of, each of shape n; both the centre where it speaks of none."""

_LOW: Final = np.int64((1 << REGISTER) - 1)
_HIGH: Final = np.int64(REGISTER)


class Bank:
    """`n` charts of independent points under fixed limits, all with the same rules.

    Lines are scalars or have shape n; `sigma` is the standard deviation of the plotted statistic, a sixth of the
    way between the limits when left out. Raises ValueError for unknown rules, or lines of another shape.
    """

    def __init__(
        self,
        n: int,
        rules: Iterable[object],
        *,
        centre: npt.ArrayLike,
        lower: npt.ArrayLike,
        upper: npt.ArrayLike,
        sigma: npt.ArrayLike | None = None,
    ) -> None:
        low, mid, high = (np.broadcast_to(np.asarray(line, np.float64), (n,)) for line in (lower, centre, upper))
        width = (high - low) / 6 if sigma is None else np.broadcast_to(np.asarray(sigma, np.float64), (n,))
        self.rules = check_rules(rules)
        self.memory: _Ints = np.zeros((len(self.rules), n), dtype=np.int64)
        """What each rule remembers of each chart, shape rules x n (`spc.windows`)."""
        self.since: _Ints = np.zeros(n, dtype=np.int64)
        """Points since the last cut."""
        self._last = np.full(n, np.nan)
        zones = {(rule.sigmas, rule.at_limits) for rule in self.rules if rule.sigmas is not None}
        self._zones: dict[tuple[float | None, bool], _Zone] = {
            (sigmas, at_limits): (low, high) if at_limits else (mid - sigmas * width, mid + sigmas * width)
            for sigmas, at_limits in zones
        }
        self._centre = mid

    @property
    def bytes_per_chart(self) -> float:
        """Memory of state and lines, a chart."""
        lines = {id(line): line.nbytes for pair in self._zones.values() for line in pair}
        own = self.memory.nbytes + self.since.nbytes + self._last.nbytes + self._centre.size * 8
        return (own + sum(lines.values())) / max(self.since.size, 1)

    def step(self, values: npt.ArrayLike) -> _Ints:
        """Judge a new point on each chart: `values` of shape n, NaN for a gap, which cuts its chart.

        Gives the members of what fired as bits, shape rules x n: 0 where a rule did not fire, else a bit for each
        point that made the signal, the newest (this one) lowest.
        """
        points = np.asarray(values, dtype=np.float64)
        if points.shape != self.since.shape:
            raise ValueError(f"the bank has {self.since.size} charts, got points of shape {points.shape}")
        gaps = np.isnan(points)
        self.since += 1
        self.since[gaps] = 0
        # NaN, the last point of a chart that was cut, is neither above nor below anything
        move = (points > self._last).astype(np.int64) - (points < self._last)
        turn = _Turn(points, move, self.since)
        fired = np.zeros_like(self.memory)
        for rule, held, members in zip(self.rules, self.memory, fired, strict=True):
            zone = self._zones.get((rule.sigmas, rule.at_limits), (self._centre, self._centre))
            held[:], members[:] = _STEPS[rule.pattern](rule, held, zone, turn)
        if gaps.any():
            self.memory[:, gaps] = 0
        self._last = points.copy()
        return fired

    def restart(self, charts: npt.ArrayLike) -> None:
        """Cut these charts (indices, or a mask of shape n): no window reaches across."""
        chosen = np.asarray(charts)
        self.memory[:, chosen] = 0
        self.since[chosen] = 0
        self._last[chosen] = np.nan


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """What all rules look at in one step."""

    points: _Floats
    move: _Ints
    since: _Ints


def _beyond(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    above, below = turn.points > zone[1], turn.points < zone[0]
    if rule.window == 1:
        return np.zeros_like(held), (above | below).astype(np.int64)
    after = _shifted(rule, held, above, below)
    members = np.where(above, after & _LOW, np.where(below, after >> _HIGH, 0))
    fires = (np.bitwise_count(members) >= rule.points) & (turn.since >= rule.window)
    return after, members * fires


def _outside(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    after = _shifted(rule, held, turn.points > zone[1], turn.points < zone[0])
    highs, lows = after & _LOW, after >> _HIGH
    full = np.int64((1 << rule.window) - 1)
    return after, ((highs | lows == full) & (highs != 0) & (lows != 0)) * full


def _shifted(rule: Rule, held: _Ints, above: _Bools, below: _Bools) -> _Ints:
    """Both registers with this point in them."""
    full = (1 << rule.window) - 1
    return (held << 1) & np.int64(full << REGISTER | full) | above | below.astype(np.int64) << _HIGH


def _side(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    way = (turn.points > zone[1]).astype(np.int64) - (turn.points < zone[0])
    return _counted(rule, np.where(held * way > 0, held + way, way))


def _trend(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    return _counted(rule, np.where(held * turn.move > 0, held, turn.move) + turn.move)


def _alternating(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    return _counted(rule, np.where(held * turn.move < 0, -held, turn.move) + turn.move)


def _within(rule: Rule, held: _Ints, zone: _Zone, turn: _Turn) -> tuple[_Ints, _Ints]:
    return _counted(rule, (held + 1) * ((turn.points > zone[0]) & (turn.points < zone[1])))


def _counted(rule: Rule, count: _Ints) -> tuple[_Ints, _Ints]:
    window = rule.window
    return np.clip(count, -window, window), (np.abs(count) >= window) * np.int64((1 << window) - 1)


_STEPS: Final[Mapping[Pattern, Callable[[Rule, _Ints, _Zone, _Turn], tuple[_Ints, _Ints]]]] = {
    "beyond": _beyond,
    "side": _side,
    "trend": _trend,
    "alternating": _alternating,
    "within": _within,
    "outside": _outside,
}
