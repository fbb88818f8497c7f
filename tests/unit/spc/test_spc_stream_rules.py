"""One meaning of the rules in three forms: a whole series, point by point, and many charts at once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.arl_shewhart import run_length
from spc.bank import Bank
from spc.limits import Lines
from spc.rules import CATALOGUE, LONGEST_WINDOW, Rule, check_rules, evaluate
from spc.windows import compiled, step

LINES = Lines(-3.0, 0.0, 3.0, 1.0)
SKEWED = Lines(-1.0, 0.5, 5.0, 0.7)

Found = set[tuple[str, int, tuple[int, ...]]]

# few levels make runs, ties, points on lines; longer stretches of one kind complete the long windows
LEVELS = (-3.5, -3.0, -2.2, -1.5, -1.0, -0.5, 0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 2.2, 3.0, 3.5)


@st.composite
def stretches(draw: st.DrawFn) -> list[float]:
    """Points that do the same for a while: rise, turn, stay on a side, stay near, stay far, or nothing at all."""
    values: list[float] = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 18))
        kind = draw(st.sampled_from(["rise", "turn", "side", "near", "far", "any", "gap"]))
        if kind == "gap":
            values.append(math.nan)
        elif kind == "rise":
            sign = draw(st.sampled_from([-0.1, 0.1]))
            values += [sign * place for place in range(length)]
        else:
            pool = {
                "turn": (-0.2, 0.4),
                "side": (0.5, 1.5, 2.2),
                "near": (0.5, -0.5, 0.1),
                "far": (1.5, -1.5, 2.2),
            }
            values += [draw(st.sampled_from(pool.get(kind, LEVELS))) for _ in range(length)]
            if kind == "turn":
                values[-length:] = [(-0.2, 0.4)[place % 2] for place in range(length)]
    return values


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Some rules of the catalogue, as they stand or with other parameters."""
    names = draw(st.lists(st.sampled_from(list(CATALOGUE)), min_size=1, max_size=6, unique=True))
    rules = []
    for name in names:
        known = CATALOGUE[name]
        told: dict[str, object] = {}
        if draw(st.booleans()):
            told["window"] = draw(st.integers(3, 6))
            if known.pattern == "beyond":
                told["points"] = draw(st.integers(1, 3))
            if known.sigmas is not None:
                told["sigmas"] = draw(st.sampled_from([1.0, 1.5, 2.0, 3.0]))
        rules.append(Rule.read({name: told}))
    return tuple(rules)


def scalar(rules: tuple[Rule, ...], values: list[float], restarts: set[int], lines: Lines) -> Found:
    """The signals point by point, with the points that made them."""
    steps, found = compiled(rules), set()
    memory, since, previous = (0,) * len(rules), 0, 0.0
    for place, value in enumerate(values):
        if place in restarts or math.isnan(value):
            memory, since = (0,) * len(rules), 0
        if math.isnan(value):
            continue
        since += 1
        memory, hits = step(steps, memory, since, previous, value, lines)
        previous = value
        for which, members in hits:
            found.add((rules[which].name, place, named(place, members)))
        assert all(-(2**63) <= held < 2**63 for held in memory)
    return found


def named(place: int, members: int) -> tuple[int, ...]:
    return tuple(place - bit for bit in range(LONGEST_WINDOW, -1, -1) if members >> bit & 1)


@given(rules=rule_sets(), values=stretches(), data=st.data(), lines=st.sampled_from([LINES, SKEWED]))
@settings(max_examples=200, deadline=None)
def test_point_by_point_equals_the_whole_series(
    rules: tuple[Rule, ...], values: list[float], data: st.DataObject, lines: Lines
) -> None:
    restarts = set(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=2)))
    batch = evaluate(
        rules,
        values,
        centre=lines.centre,
        lower=lines.lower,
        upper=lines.upper,
        sigma=lines.sigma,
        restarts=restarts,
    )
    assert scalar(rules, values, restarts, lines) == {(s.rule, s.index, s.members) for s in batch}


@given(rules=rule_sets(), rows=st.lists(stretches(), min_size=1, max_size=5), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_bank_of_charts_equals_each_alone(
    rules: tuple[Rule, ...], rows: list[list[float]], data: st.DataObject
) -> None:
    longest = max(map(len, rows))
    table = np.array([row + [math.nan] * (longest - len(row)) for row in rows])
    lines = [data.draw(st.sampled_from([LINES, SKEWED])) for _ in rows]
    cut = data.draw(st.integers(0, longest - 1))
    bank = Bank(
        len(rows),
        rules,
        centre=[one.centre for one in lines],
        lower=[one.lower for one in lines],
        upper=[one.upper for one in lines],
        sigma=[one.sigma for one in lines],
    )
    found: list[Found] = [set() for _ in rows]
    for place in range(longest):
        if place == cut:
            bank.restart([0])
        members = bank.step(table[:, place])
        for which, chart in zip(*np.nonzero(members), strict=True):
            found[chart].add((rules[which].name, place, named(place, int(members[which, chart]))))
    for chart, row in enumerate(table.tolist()):
        assert found[chart] == scalar(rules, row, {cut} if chart == 0 else set(), lines[chart])


def test_a_bank_takes_the_same_lines_for_all() -> None:
    bank = Bank(3, ["nelson1"], centre=0, lower=-3, upper=3)
    assert (bank.step([4.0, 0.0, math.nan]) != 0).tolist() == [[True, False, False]]
    assert bank.since.tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="3 charts, got points of shape"):
        bank.step([1.0])


@given(
    rules=rule_sets(),
    values=stretches(),
    scale=st.sampled_from([0.25, 2.0, 1024.0]),
    shift=st.sampled_from([0.0, 64.0, -4096.0]),
)
@settings(max_examples=200, deadline=None)
def test_signals_do_not_depend_on_unit_and_origin_and_mirror_their_side(
    rules: tuple[Rule, ...], values: list[float], scale: float, shift: float
) -> None:
    """On values that shift and scale without rounding, so that what is on a line stays on it."""
    exact = [round(value * 32) / 32 for value in values if not math.isnan(value)]

    def signals(factor: float, origin: float) -> list[tuple[str, int, tuple[int, ...]]]:
        points = [factor * value + origin for value in exact]
        ends = sorted((-3 * factor + origin, 3 * factor + origin))
        found = evaluate(rules, points, centre=origin, lower=ends[0], upper=ends[1], sigma=abs(factor))
        return sorted((s.rule, s.index, s.members) for s in found)

    plain = signals(1.0, 0.0)
    assert signals(scale, shift) == plain
    assert signals(-1.0, 0.0) == plain


@pytest.mark.parametrize(
    "rules",
    [
        ["western1", "western2", "western3", "western4"],
        ["nelson1", "nelson2", "nelson5", "nelson6", "nelson7", "nelson8"],
        ["nelson2", {"nelson5": {"points": 3, "window": 4, "sigmas": 1.5}}],
    ],
)
def test_charts_signal_as_often_as_the_markov_chain_of_their_rules_says(rules: list[object]) -> None:
    """Two ways that share nothing but the names: a chain over zones, and 4,000 charts of normal points."""
    exact = run_length(check_rules(rules), filling="full")
    charts, draw = 4000, np.random.default_rng(1956)
    bank = Bank(charts, rules, centre=0, lower=-3, upper=3, sigma=1)
    lengths, alive, point = np.zeros(charts), np.ones(charts, dtype=bool), 0
    while alive.any():
        point += 1
        fired = bank.step(draw.standard_normal(charts)).any(axis=0) & alive
        lengths[fired] = point
        alive &= ~fired
    error = lengths.std(ddof=1) / math.sqrt(charts)
    assert abs(lengths.mean() - exact) < 3 * error


def test_a_repeated_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        check_rules(["nelson1", "nelson1"])
