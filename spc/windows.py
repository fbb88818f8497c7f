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

__all__ = ["REGISTER", "Hit", "Step", "compiled", "longest", "step"]

REGISTER: Final = 32
"""Bits of one of the two registers of a memory; more than `spc.rules.LONGEST_WINDOW`."""

Hit = tuple[int, int]
"""A rule that fired: its place among the rules, and its members as bits, the completing point lowest."""

Step = Callable[[int, int, int, float, Lines], tuple[int, int]]
"""One rule: from its memory, the points since the last cut (with this one), the way up (1) or down (-1) from the
point before, the point and its lines, to the memory after it and, if it fires, the members as bits (else 0)."""


def longest(rules: Sequence[Rule]) -> int:
    """The longest window among the rules; 1 when there are none."""
    return max((rule.window for rule in rules), default=1)


def compiled(rules: Sequence[Rule]) -> tuple[Step, ...]:
    """The rules as functions with their parameters bound: this is what makes a point cheap."""
    return tuple(_MAKERS[rule.pattern](rule) for rule in rules)


def step(
    steps: Sequence[Step], memory: Sequence[int], since: int, previous: float, value: float, lines: Lines
) -> tuple[tuple[int, ...], list[Hit]]:
    """The memory after `value` and what fired, given `memory` of the points since the last cut.

    `since` counts those points with this one, and `previous` is the one before (not looked at when `since` is 1:
    then `memory` is all 0).
    """
    after: list[int] = []
    hits: list[Hit] = []
    move = 0 if since < 2 else (value > previous) - (value < previous)
    for one, held in zip(steps, memory, strict=True):
        stepped, members = one(held, since, move, value, lines)
        if members:
            hits.append((len(after), members))
        after.append(stepped)
    return tuple(after), hits


def _beyond(rule: Rule) -> Step:
    window, points, at_limits, sigmas = rule.window, rule.points, rule.at_limits, rule.sigmas or 0.0
    full = (1 << window) - 1
    both = full << REGISTER | full

    def single(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        if at_limits:
            return 0, 0 if lines.lower <= value <= lines.upper else 1
        reach = sigmas * lines.sigma
        return 0, 0 if lines.centre - reach <= value <= lines.centre + reach else 1

    def several(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        after, members = held << 1 & both, 0
        reach = sigmas * lines.sigma
        if value > (lines.upper if at_limits else lines.centre + reach):
            after |= 1
            members = after & full
        elif value < (lines.lower if at_limits else lines.centre - reach):
            after |= 1 << REGISTER
            members = after >> REGISTER
        fires = members and since >= window and members.bit_count() >= points
        return after, members if fires else 0

    return single if window == 1 else several


def _outside(rule: Rule) -> Step:
    sigmas, full = rule.sigmas or 0.0, (1 << rule.window) - 1
    both = full << REGISTER | full

    def outside(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        after = held << 1 & both
        reach = sigmas * lines.sigma
        if value > lines.centre + reach:
            after |= 1
        elif value < lines.centre - reach:
            after |= 1 << REGISTER
        highs, lows = after & full, after >> REGISTER
        return after, full if highs and lows and highs | lows == full else 0

    return outside


def _side(rule: Rule) -> Step:
    window, full = rule.window, (1 << rule.window) - 1

    def side(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        if value > lines.centre:
            count = held + 1 if held > 0 else 1
            return (count, 0) if count < window else (window, full)
        if value < lines.centre:
            count = held - 1 if held < 0 else -1
            return (count, 0) if -count < window else (-window, full)
        return 0, 0

    return side


def _trend(rule: Rule) -> Step:
    window, full = rule.window, (1 << rule.window) - 1

    def trend(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        # the first step of a trend makes two points
        count = held + move if held * move > 0 else 2 * move
        return (count, 0) if abs(count) < window else (move * window, full)

    return trend


def _alternating(rule: Rule) -> Step:
    window, full = rule.window, (1 << rule.window) - 1

    def alternating(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        count = move - held if held * move < 0 else 2 * move
        return (count, 0) if abs(count) < window else (move * window, full)

    return alternating


def _within(rule: Rule) -> Step:
    window, full, sigmas = rule.window, (1 << rule.window) - 1, rule.sigmas or 0.0

    def within(held: int, since: int, move: int, value: float, lines: Lines) -> tuple[int, int]:
        reach = sigmas * lines.sigma
        if not lines.centre - reach < value < lines.centre + reach:
            return 0, 0
        return (held + 1, 0) if held + 1 < window else (window, full)

    return within


_MAKERS: Final[Mapping[Pattern, Callable[[Rule], Step]]] = {
    "beyond": _beyond,
    "side": _side,
    "trend": _trend,
    "alternating": _alternating,
    "within": _within,
    "outside": _outside,
}
