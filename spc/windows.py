"""The rules of `spc.rules` point by point: one integer a rule, whatever its window.

The integer holds all that the points before have to say. By pattern:

- ``side``, ``trend``: points in the run so far, negative below the centre or downwards;
- ``alternating``: points in the alternation so far, negative where its last step went down;
- ``within``: points in the run so far;
- ``beyond``, ``outside``: two registers with a bit a point, the newest lowest: the points above the zone in the
  low `REGISTER` bits, those below it in the high ones.

Counts stop at the window, so that every memory fits 63 bits: `spc.bank` keeps the very same numbers in arrays.
A rule of single points remembers nothing (0).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from spc.limits import Lines
from spc.rules import Pattern, Rule

__all__ = ["REGISTER", "Hit", "longest", "step"]

REGISTER: Final = 32
"""Bits of one of the two registers of a memory; more than `spc.rules.LONGEST_WINDOW`."""
_LOW: Final = (1 << REGISTER) - 1

Hit = tuple[int, int]
"""A rule that fired: its place among the rules, and its members as bits, the completing point lowest."""

_Stepped = tuple[int, int]
"""The memory after the point, and the members as bits when the rule fires (else 0)."""


def longest(rules: Sequence[Rule]) -> int:
    """The longest window among the rules; 1 when there are none."""
    return max((rule.window for rule in rules), default=1)


def step(
    rules: Sequence[Rule], memory: Sequence[int], since: int, previous: float, value: float, lines: Lines
) -> tuple[tuple[int, ...], list[Hit]]:
    """The memory after `value` and what fired, given `memory` of the points since the last cut.

    `since` counts those points with this one, and `previous` is the one before (not looked at when `since` is 1:
    then `memory` is all 0).
    """
    after: list[int] = []
    hits: list[Hit] = []
    move = 0 if since < 2 else (value > previous) - (value < previous)
    for rule, held in zip(rules, memory, strict=True):
        stepped, members = _STEPS[rule.pattern](rule, held, since, move, value, lines)
        if members:
            hits.append((len(after), members))
        after.append(stepped)
    return tuple(after), hits


def _beyond(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    above, below = _sides(rule, value, lines)
    window = rule.window
    if window == 1:
        return 0, 1 if above or below else 0
    full = (1 << window) - 1
    highs, lows = ((held & _LOW) << 1 | above) & full, (held >> REGISTER << 1 | below) & full
    members = highs if above else lows if below else 0
    fires = since >= window and members.bit_count() >= rule.points
    return lows << REGISTER | highs, members if fires else 0


def _outside(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    above, below = _sides(rule, value, lines)
    full = (1 << rule.window) - 1
    highs, lows = ((held & _LOW) << 1 | above) & full, (held >> REGISTER << 1 | below) & full
    fires = highs and lows and highs | lows == full
    return lows << REGISTER | highs, full if fires else 0


def _sides(rule: Rule, value: float, lines: Lines) -> tuple[bool, bool]:
    if rule.at_limits:
        return value > lines.upper, value < lines.lower
    reach = (rule.sigmas or 0.0) * lines.sigma
    return value > lines.centre + reach, value < lines.centre - reach


def _side(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    way = (value > lines.centre) - (value < lines.centre)
    return _counted(rule, way * (min(max(held * way, 0) + 1, rule.window)))


def _trend(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    # the first step of a trend makes two points
    return _counted(rule, move * (min(max(held * move, 1) + 1, rule.window)))


def _alternating(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    return _counted(rule, move * (min(max(-held * move, 1) + 1, rule.window)))


def _within(rule: Rule, held: int, since: int, move: int, value: float, lines: Lines) -> _Stepped:
    reach = (rule.sigmas or 0.0) * lines.sigma
    inside = lines.centre - reach < value < lines.centre + reach
    return _counted(rule, min(held + 1, rule.window) if inside else 0)


def _counted(rule: Rule, run: int) -> _Stepped:
    return run, (1 << rule.window) - 1 if abs(run) == rule.window else 0


_STEPS: Final[Mapping[Pattern, Callable[[Rule, int, int, int, float, Lines], _Stepped]]] = {
    "beyond": _beyond,
    "side": _side,
    "trend": _trend,
    "alternating": _alternating,
    "within": _within,
    "outside": _outside,
}
