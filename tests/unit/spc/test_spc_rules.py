import math

import pytest

from spc.rules import RUN_LENGTH, Signal, evaluate, nelson1, nelson2

UP = [1.0] * RUN_LENGTH


def indices(signals: tuple[Signal, ...]) -> list[int]:
    return [signal.index for signal in signals]


def test_rule_1_is_strict_and_skips_gaps() -> None:
    assert indices(nelson1([3.0, -3.0, 3.0000000001, math.nan, -3.1], -3, 3)) == [2, 4]
    assert nelson1([5.0], -3, 3) == (Signal("nelson1", 0, (0,)),)


def test_rule_2_flags_the_ninth_point_and_names_all_nine() -> None:
    assert nelson2(UP[:-1], 0) == ()
    assert nelson2(UP, 0) == (Signal("nelson2", 8, tuple(range(9))),)
    assert nelson2([-1.0, *UP, 2.0], 0) == (
        Signal("nelson2", 9, tuple(range(1, 10))),
        Signal("nelson2", 10, tuple(range(2, 11))),
    )


@pytest.mark.parametrize("breaker", [0.0, math.nan, -1.0])
def test_the_centre_a_gap_and_the_other_side_end_a_run(breaker: float) -> None:
    assert nelson2([*UP[:5], breaker, *UP[:8]], 0) == ()
    assert indices(nelson2([*UP[:5], breaker, *UP], 0)) == [14]


def test_an_excluded_point_ends_a_run_without_joining_the_next() -> None:
    assert nelson2([1.0] * 13, 0, excluded=[4]) == ()
    assert indices(nelson2([1.0] * 14, 0, excluded=[4])) == [13]


def test_a_restart_begins_a_run_with_the_point_itself() -> None:
    assert nelson2([1.0] * 12, 0, restarts=[4]) == ()
    assert indices(nelson2([1.0] * 13, 0, restarts=[4])) == [12]


def test_signals_come_by_point_then_by_rule() -> None:
    values = [*UP[:-1], 4.0, 5.0]
    found = evaluate(("nelson2", "nelson1"), values, centre=0, lower=-3, upper=3)
    assert [(s.index, s.rule) for s in found] == [
        (8, "nelson1"),
        (8, "nelson2"),
        (9, "nelson1"),
        (9, "nelson2"),
    ]
    assert evaluate((), values, centre=0, lower=-3, upper=3) == ()
    assert evaluate(("nelson1", "nelson2"), [], centre=0, lower=-3, upper=3) == ()


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown rule 'nelson5'; known: nelson1, nelson2"):
        evaluate(("nelson5",), [1.0], centre=0, lower=-3, upper=3)
