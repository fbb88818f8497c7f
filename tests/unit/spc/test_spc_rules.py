"""The rules over a whole series: what completes them, what breaks them, and what they never reach across."""

import math
from dataclasses import replace

import pytest

from spc.rules import (
    CATALOGUE,
    Rule,
    Signal,
    beyond_limits,
    check_rules,
    evaluate,
    limit_rule,
    rule_words,
)
from spc.series import ENGLISH

UP = [1.0] * 9


def fired(
    rule: object, *values: float, excluded: tuple[int, ...] = (), restarts: tuple[int, ...] = ()
) -> list[int]:
    found = evaluate([rule], values, centre=0, lower=-3, upper=3, sigma=1, excluded=excluded, restarts=restarts)
    return [signal.index for signal in found]


def members(rule: object, *values: float) -> list[tuple[int, ...]]:
    return [signal.members for signal in evaluate([rule], values, centre=0, lower=-3, upper=3, sigma=1)]


def test_rule_1_is_strict_and_skips_gaps() -> None:
    assert fired("nelson1", 3.0, -3.0, 3.0000000001, math.nan, -3.1) == [2, 4]
    assert members("western1", 5.0) == [(0,)]


def test_rule_1_looks_at_the_limits_themselves_unless_told_otherwise() -> None:
    values = [-0.5, 2.5, 4.5]
    assert [s.index for s in evaluate(["nelson1"], values, centre=0, lower=0, upper=4, sigma=1)] == [0, 2]
    wider = {"nelson1": {"sigmas": 2.0}}
    assert [s.index for s in evaluate([wider], values, centre=0, lower=0, upper=4, sigma=1)] == [1, 2]


def test_a_run_flags_its_last_point_and_names_all() -> None:
    assert fired("nelson2", *UP[:-1]) == []
    assert members("nelson2", *UP) == [tuple(range(9))]
    assert members("nelson2", -1.0, *UP, 2.0) == [tuple(range(1, 10)), tuple(range(2, 11))]
    assert fired("western4", *UP) == [7, 8]


@pytest.mark.parametrize("breaker", [0.0, math.nan, -1.0])
def test_the_centre_a_gap_and_the_other_side_end_a_run(breaker: float) -> None:
    assert fired("nelson2", *UP[:5], breaker, *UP[:8]) == []
    assert fired("nelson2", *UP[:5], breaker, *UP) == [14]


def test_a_tie_breaks_a_trend_and_an_alternation() -> None:
    assert fired("nelson3", 1, 2, 3, 4, 5, 6, 7) == [5, 6]
    assert fired("nelson3", 1, 2, 3, 3, 4, 5, 6, 7) == []
    assert fired("nelson3", 9, 1, 2, 3, 3, 2, 1, 0, -1, -2) == [9]
    turns = [1.0, 0.0] * 7
    assert fired("nelson4", *turns) == [13]
    assert fired("nelson4", *turns[:6], 0.0, *turns) == [19, 20]
    assert fired("nelson4", *turns[:6], turns[5], *turns[6:]) == []


def test_the_completing_point_qualifies_itself_and_the_window_is_full() -> None:
    assert fired("nelson5", 2.1, 2.1) == []
    assert fired("nelson5", 0, 2.1, 2.1) == [2]
    assert fired("nelson5", 2.1, 2.1, 0) == []
    assert members("nelson5", 2.1, 0, 2.1) == [(0, 2)]
    assert fired("nelson5", 2.1, 0, -2.1) == []
    assert fired("western2", 2.0, 2.0, 2.0) == []
    assert members("nelson6", 1.1, 0, 1.1, 1.1, 1.1) == [(0, 2, 3, 4)]
    assert fired("nelson6", 1.1, 1.1, 1.1, 1.1) == []
    assert fired("western3", 1.1, 1.1, 1.1, 1.1, -1.1) == []


def test_a_point_on_the_line_of_a_zone_is_neither_within_nor_beyond() -> None:
    assert fired("nelson7", *[0.5] * 15) == [14]
    assert fired("nelson7", *[0.5] * 7, 1.0, *[0.5] * 14) == []
    mixed = [1.5, -1.5] * 4
    assert fired("nelson8", *mixed) == [7]
    assert fired("nelson8", *mixed[:4], 1.0, *mixed[:7]) == []
    assert fired("nelson8", *[1.5] * 12) == []
    assert members("nelson8", *[1.5] * 8, -1.5) == [tuple(range(1, 9))]


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("nelson2", UP),
        ("nelson3", [1, 2, 3, 4, 5, 6]),
        ("nelson4", [1, 0] * 7),
        ("nelson5", [2.5, 0, 2.5]),
        ("nelson6", [1.5, 1.5, 0, 1.5, 1.5]),
        ("nelson7", [0.5] * 15),
        ("nelson8", [1.5, -1.5] * 4),
        ("western4", UP[:8]),
    ],
)
def test_no_window_reaches_across_a_gap_an_excluded_point_or_a_restart(rule: str, values: list[float]) -> None:
    last = len(values) - 1
    assert fired(rule, *values) == [last]
    for cut in range(1, len(values)):
        assert fired(rule, *values, restarts=(cut,)) == []
        assert fired(rule, *values[:cut], math.nan, *values[cut:]) == []
        assert fired(rule, *values[:cut], *values, restarts=(cut,)) == [cut + last]
    for out in range(len(values)):
        assert fired(rule, *values, excluded=(out,)) == []
        assert fired(rule, *values[: out + 1], *values, excluded=(out,)) == [out + 1 + last]


def test_an_excluded_point_is_still_judged_by_rule_1() -> None:
    assert fired("nelson1", 0, 5.0, excluded=(1,)) == [1]


def test_parameters_change_what_is_asked() -> None:
    assert fired({"nelson2": {"window": 4}}, *UP[:5]) == [3, 4]
    assert fired({"nelson5": {"points": 3, "window": 4, "sigmas": 1.5}}, 1.6, 0, 1.6, 1.6) == [3]
    assert fired({"nelson7": {"window": 3, "sigmas": 0.2}}, 0.1, -0.1, 0.1, 0.3) == [2]
    (signal,) = evaluate([{"nelson3": {"window": 3}}], [1, 2, 3], centre=0, lower=-9, upper=9)
    assert (signal.rule, signal.meant) == ("nelson3", Rule.read({"nelson3": {"window": 3}}))


def test_zones_are_the_points_own() -> None:
    lines = {"centre": [0, 0, 0], "lower": [-3, -3, -6], "upper": [3, 3, 6], "sigma": [1, 1, 2]}
    assert [s.index for s in evaluate(["nelson1"], [4, 0, 4], **lines)] == [0]
    two = {"nelson5": {"points": 2, "window": 2}}
    assert [s.index for s in evaluate([two], [2.5, 2.5, 2.5], **lines)] == [1]


def test_signals_come_by_point_then_in_the_order_of_the_rules() -> None:
    values = [*UP[:-1], 4.0, 5.0]
    found = evaluate(("nelson2", "nelson1"), values, centre=0, lower=-3, upper=3)
    assert [(s.index, s.rule) for s in found] == [
        (8, "nelson2"),
        (8, "nelson1"),
        (9, "nelson2"),
        (9, "nelson1"),
    ]
    assert evaluate((), values, centre=0, lower=-3, upper=3) == ()
    assert evaluate(("nelson1", "nelson2"), [], centre=0, lower=-3, upper=3) == ()


def test_charts_without_run_rules_report_rule_1() -> None:
    rules = check_rules(["nelson2", "western1"])
    assert limit_rule(rules) == CATALOGUE["western1"]
    assert limit_rule(rules[:1]) is None
    found = beyond_limits(limit_rule(rules), [1, math.nan, 3, -1, 5], 0, [3, 3, 3, 3, 5])
    assert found == (Signal("western1", 3, (3,)),)
    assert beyond_limits(None, [9], 0, 1) == ()


def test_a_rule_is_told_in_words_with_its_parameters() -> None:
    for rule in CATALOGUE.values():
        key, numbers = rule_words(rule)
        assert "{" not in ENGLISH[key].format(**numbers)
    told = Rule.read({"nelson5": {"points": 3, "window": 4, "sigmas": 1.5}})
    key, numbers = rule_words(told)
    assert ENGLISH[key].format(**numbers) == "3 of 4 points beyond 1.5 sigma on one side"
    assert rule_words(replace(CATALOGUE["nelson1"], sigmas=2.5)) == (
        "rule-one-beyond",
        {"points": "1", "window": "1", "sigmas": "2.5"},
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nelson9", "unknown rule 'nelson9'; known: nelson1, nelson2"),
        ({"nelson3": {"window": 1}}, "too short"),
        ({"nelson4": {"window": 2}}, "too short"),
        ({"nelson8": {"window": 1}}, "too short"),
        ({"nelson2": {"points": 3}}, "leave `points` out"),
        ({"nelson2": {"window": 31}}, "window <= 30"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate([given], [1.0], centre=0, lower=-3, upper=3)


def test_a_rule_is_named_once() -> None:
    with pytest.raises(ValueError, match="named twice: nelson1, nelson1"):
        check_rules(["nelson1", {"nelson1": {"sigmas": 2}}])
