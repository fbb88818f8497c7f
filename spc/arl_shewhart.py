"""Average run lengths of a Shewhart chart with any set of rules, exactly, by a Markov chain.

A rule of the catalogue (but trends and alternation) sees of a point only the zone that it lies in. So a chart
with rules is a finite machine: its state is what the rules remember of the last points, its input a zone. Its
states are found by walking from the empty chart to all that can be reached, and then merging those that no future
points can tell apart (Moore's algorithm). With the zones' probabilities, the mean number of points until a rule
fires solves one linear system (Champ and Woodall, *Technometrics* 29, 1987).

Points are independent and normal with known parameters. Estimated limits make real run lengths shorter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from spc.rules import LONGEST_WINDOW, Rule
from spc.run_length import LONGEST, NeverSignals, below

__all__ = ["CHAIN_PATTERNS", "Filling", "TooManyStates", "chain_size", "run_length"]

Filling = Literal["first", "full"]
"""Whether k of m points can fire before m points are there (Champ and Woodall), or not (qcc, and our charts)."""

CHAIN_PATTERNS: Final = frozenset({"beyond", "side", "within", "outside"})
"""Patterns of zones. The others compare points with each other, which no finite machine can do exactly."""

_RULE_STATES: Final = 4_000
_CHAIN_STATES: Final = 100_000
_MERGED_STATES: Final = 20_000  # larger chains are walked as they are: merging would take longer
_SOLVED_STATES: Final = 1_200
_AGREEMENT: Final = 1e-11

_Array = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.intp]
_FIRED: Final = -1

_State = tuple[int, int]
"""Two numbers are all that any rule remembers; what they are, each rule says."""

_Step = Callable[[_State, float], _State | None]
"""The state after one more point in the zone of a value; None when the rule fires."""


class TooManyStates(ValueError):
    """The rules remember more than a chain can hold; simulate instead."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """`next[state, zone]` is the next state or `_FIRED`; it begins in state 0. `edges` part the zones."""

    edges: tuple[float, ...]
    next: _Indices


def run_length(
    rules: Sequence[Rule], *, shift: float = 0.0, filling: Filling = "first", apart: float = 0.0
) -> float:
    """Mean number of points until the first signal, the signalling one included (zero-state).

    `shift` is that of the plotted points, in their standard deviations. `apart` is the probability that a point
    signals for a reason of its own, independent of where it lies: that of a range chart beside a chart of means.

    Raises ValueError for rules that compare points with each other, `TooManyStates`, and `NeverSignals`.
    """
    machine = _machine(tuple(rules), filling)
    zones = _zone_probabilities(machine.edges, shift) * (1 - apart)
    count = len(machine.next)
    if count == 1:
        ends = float(zones[machine.next[0] == _FIRED].sum()) + apart
        return _checked(1 / ends if ends > 0 else math.inf, exact=True)
    if count <= _SOLVED_STATES:
        return _checked(_solved(machine.next, zones), exact=False)
    return _checked(_walked(machine.next, zones, apart), exact=False)


def chain_size(rules: Sequence[Rule], filling: Filling = "first") -> int:
    """How many states the chain of these rules has; up to 20,000 are merged where no future tells them apart."""
    return len(_machine(tuple(rules), filling).next)


def _checked(points: float, *, exact: bool) -> float:
    if not math.isfinite(points) or points <= 0 or (points > LONGEST and not exact):
        raise NeverSignals("a chart with these rules")
    return points


def _solved(table: _Indices, zones: _Array) -> float:
    """Mean points from state 0 until a rule fires: x = 1 + Q x."""
    count = len(table)
    stays = table != _FIRED
    matrix = np.eye(count)
    rows = np.repeat(np.arange(count), stays.sum(axis=1))
    np.subtract.at(matrix, (rows, table[stays]), np.broadcast_to(zones, stays.shape)[stays])
    try:
        return float(np.linalg.solve(matrix, np.ones(count))[0])
    except np.linalg.LinAlgError:
        return math.inf


def _walked(table: _Indices, zones: _Array, apart: float) -> float:
    """The same for chains too large to be solved: the charts that still run, point after point.

    After a few windows the share that signals at each point no longer changes (windows forget), and what is left
    is a geometric series. That share is summed from the signals themselves, so that nothing cancels in it.
    """
    running = np.zeros(len(table))
    running[0] = 1.0
    total, before, settled = 0.0, 0.0, 0
    while settled < 2 * LONGEST_WINDOW:
        left = float(running.sum())
        total += left
        after = np.zeros(len(table) + 1)
        for zone, chance in enumerate(zones.tolist()):
            after += np.bincount(table[:, zone] + 1, weights=running * chance, minlength=len(table) + 1)
        running = after[1:]
        signals = (float(after[0]) + apart * left) / left
        if signals >= 1 - _AGREEMENT or left < _AGREEMENT:
            return total
        value = total + float(running.sum()) / signals if signals > 0 else math.inf
        settled = settled + 1 if abs(value - before) <= _AGREEMENT * value else 0
        before = value
    return before


# -- zones -------------------------------------------------------------------------------------------------


def _edges(rules: Sequence[Rule]) -> tuple[float, ...]:
    found = {rule.sigmas for rule in rules if rule.sigmas is not None}
    sided = any(rule.pattern == "side" for rule in rules)
    return tuple(sorted({edge for sigmas in found for edge in (sigmas, -sigmas)} | ({0.0} if sided else set())))


def _zone_probabilities(edges: tuple[float, ...], shift: float) -> _Array:
    """Of each zone between the edges, the outermost two open. Each from its nearer tail, so that none cancels."""
    borders = [-math.inf, *(edge - shift for edge in edges), math.inf]
    return np.array(
        [below(-low) - below(-high) if low > 0 else below(high) - below(low) for low, high in pairwise(borders)]
    )


def _inside(edges: tuple[float, ...]) -> tuple[float, ...]:
    """One value of each zone. No value lies on an edge: that has probability 0."""
    return (edges[0] - 1, *((a + b) / 2 for a, b in pairwise(edges)), edges[-1] + 1)


# -- what each rule remembers ------------------------------------------------------------------------------


def _beyond(rule: Rule, side: int, filling: Filling) -> tuple[_State, _Step]:
    """Remembers (points seen, which of the last window - 1 qualified, the newest in bit 0).

    A bit that can no longer help is dropped: a point `age` points ago can be in a window that fires only if what
    qualified since, itself and the points that still fit into that window are enough.
    """
    window, points, sigmas = rule.window, rule.points, rule.sigmas or 0.0
    needed = window - 1 if filling == "full" and points < window else 0

    def step(state: _State, value: float) -> _State | None:
        seen, bits = state
        qualifies = side * value > sigmas
        if qualifies and seen >= needed and bits.bit_count() + 1 >= points:
            return None
        bits = (bits << 1 | qualifies) & ((1 << (window - 1)) - 1)
        kept = since = 0
        for age in range(1, window):
            if bits >> (age - 1) & 1:
                since += 1
                if since + window - age >= points:
                    kept |= 1 << (age - 1)
        return min(seen + 1, needed), kept

    return (0, 0), step


def _side(rule: Rule) -> tuple[_State, _Step]:
    """Remembers the length of the run, negative below the centre."""

    def step(state: _State, value: float) -> _State | None:
        run, _ = state
        side = 1 if value > 0 else -1
        run = run + side if run * side > 0 else side
        return None if abs(run) >= rule.window else (run, 0)

    return (0, 0), step


def _within(rule: Rule) -> tuple[_State, _Step]:
    """Remembers the length of the run."""
    sigmas = rule.sigmas or 0.0

    def step(state: _State, value: float) -> _State | None:
        run = state[0] + 1 if abs(value) < sigmas else 0
        return None if run >= rule.window else (run, 0)

    return (0, 0), step


def _outside(rule: Rule) -> tuple[_State, _Step]:
    """Remembers (points in a row that are far out, points in a row on the side of the last, negative below)."""
    sigmas, window = rule.sigmas or 0.0, rule.window

    def step(state: _State, value: float) -> _State | None:
        run, sided = state
        if abs(value) < sigmas:
            return 0, 0
        side = 1 if value > 0 else -1
        sided = sided + side if sided * side > 0 else side
        run += 1
        if run >= window and abs(sided) < window:
            return None
        return min(run, window - 1), max(-(window - 1), min(window - 1, sided))

    return (0, 0), step


def _memories(rule: Rule, filling: Filling) -> tuple[tuple[_State, _Step], ...]:
    match rule.pattern:
        case "beyond":
            return _beyond(rule, 1, filling), _beyond(rule, -1, filling)
        case "side":
            return (_side(rule),)
        case "within":
            return (_within(rule),)
        case "outside":
            return (_outside(rule),)
        case _:
            raise ValueError(
                f"{rule.name} compares points with each other: no Markov chain of zones has its run length"
            )


# -- putting them together ---------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _machine(rules: tuple[Rule, ...], filling: Filling) -> _Machine:
    if not rules:
        raise ValueError("no rules: such a chart never signals")
    edges = _edges(rules)
    parts = [_table(start, step, _inside(edges)) for rule in rules for start, step in _memories(rule, filling)]
    return _Machine(edges, _product(parts))


def _table(start: _State, step: _Step, values: Sequence[float]) -> _Indices:
    """Every state of one memory that can be reached, and where each zone leads."""
    numbers, states, rows = {start: 0}, [start], []
    for state in states:  # grows while it is walked
        row = []
        for value in values:
            after = step(state, value)
            if after is not None and after not in numbers:
                numbers[after] = len(states)
                states.append(after)
            row.append(_FIRED if after is None else numbers[after])
        rows.append(row)
        if len(states) > _RULE_STATES:
            raise TooManyStates("a rule with so long a window remembers too much for a Markov chain")
    return _merged(np.array(rows, dtype=np.intp))


def _product(parts: Sequence[_Indices]) -> _Indices:
    """All memories side by side: the states that can be reached together, breadth first."""
    sizes = [len(part) for part in parts]
    weights = np.cumprod([1, *sizes[:-1]], dtype=np.int64)
    if math.prod(sizes) > 2**62:
        raise TooManyStates("these rules together remember too much for a Markov chain")
    known = frontier = np.zeros(1, dtype=np.int64)
    found: list[npt.NDArray[np.int64]] = []
    while frontier.size:
        after = np.zeros((frontier.size, parts[0].shape[1]), dtype=np.int64)
        fired = np.zeros(after.shape, dtype=bool)
        for part, size, weight in zip(parts, sizes, weights, strict=True):
            moved = part[frontier // weight % size]
            fired |= moved == _FIRED
            after += moved * weight
        after[fired] = _FIRED
        found.append(after)
        frontier = np.setdiff1d(after[~fired], known)
        known = np.concatenate([known, frontier])
        if known.size > _CHAIN_STATES:
            raise TooManyStates("these rules together remember too much for a Markov chain")
    order = np.argsort(known)
    codes = np.concatenate(found)
    places = order[np.minimum(np.searchsorted(known[order], codes), known.size - 1)]
    table = np.where(codes == _FIRED, _FIRED, places)
    return _merged(table) if len(table) <= _MERGED_STATES else table


def _merged(table: _Indices) -> _Indices:
    """The smallest machine that fires after the same points; state 0 stays first."""
    classes, count = np.zeros(len(table), dtype=np.intp), 1
    while True:
        leads = np.where(table == _FIRED, _FIRED, classes[table])
        _, first, refined = np.unique(
            np.column_stack([classes, leads]), axis=0, return_index=True, return_inverse=True
        )
        refined = refined.reshape(-1)
        if len(first) == count:
            break
        classes, count = refined, len(first)
    order = np.argsort(first)  # the class of state 0 has its first member at 0
    names = np.empty(count, dtype=np.intp)
    names[order] = np.arange(count)
    leads = table[first[order]]
    return np.where(leads == _FIRED, _FIRED, names[classes[leads]])
