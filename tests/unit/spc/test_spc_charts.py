import math

import numpy as np
import pytest

from spc.charts import imr, xbar_r
from spc.constants import factors
from spc.fields import Fields
from spc.limits import LimitSet

NAN = math.nan


def test_a_gap_breaks_the_moving_range_and_enters_no_limits() -> None:
    result = imr([10.0, 12.0, NAN, 11.0, 14.0])
    np.testing.assert_array_equal(result.location, [10, 12, NAN, 11, 14])
    np.testing.assert_array_equal(result.ranges, [NAN, 2, NAN, NAN, 3])
    assert result.limits.centre == 11.75
    assert result.limits.range_centre == 2.5
    assert result.limits.upper == 11.75 + factors(2).E2 * 2.5
    assert result.limits.version == "phase1-4"
    assert result.limits.provisional


@pytest.mark.parametrize("nothing", [NAN, math.inf, -math.inf, 1e301])
def test_what_is_no_number_is_a_gap(nothing: float) -> None:
    result = imr([1.0, 2.0, nothing, 4.0, 5.0])
    assert result.limits.centre == 3.0
    assert math.isnan(result.location[2])
    assert 2 not in [signal.index for signal in result.location_signals]


def test_excluded_points_leave_the_estimate_but_are_judged() -> None:
    values = [10.0, 11.0, 10.0, 50.0, 10.0, 11.0, 10.0]
    result = imr(values, exclude=[3])
    assert result.limits.range_centre == 1.0
    assert result.limits.centre == pytest.approx(62 / 6)
    assert [(s.rule, s.index) for s in result.location_signals] == [("nelson1", 3)]
    assert [s.index for s in result.range_signals] == [3, 4]


def test_phase1_takes_the_first_usable_points() -> None:
    result = imr([1.0, NAN, 2.0, 3.0, 100.0, 200.0], phase1=3)
    assert (result.limits.centre, result.limits.range_centre) == (2.0, 1.0)
    assert result.limits.version == "phase1-3"


def test_phase1_goes_on_until_there_is_a_range() -> None:
    result = imr([1.0, NAN, 2.0, NAN, 3.0, 5.0, 99.0], phase1=2)
    assert (result.limits.centre, result.limits.range_centre) == (2.75, 2.0)
    assert result.limits.version == "phase1-4"


def test_a_subgroup_with_a_gap_is_a_gap() -> None:
    result = xbar_r([[1.0, 3.0], [NAN, 50.0], [2.0, 6.0]])
    np.testing.assert_array_equal(result.location, [2, NAN, 4])
    np.testing.assert_array_equal(result.ranges, [2, NAN, 4])
    assert result.limits.upper == 3 + factors(2).A2 * 3
    assert result.limits.range_upper == factors(2).D4 * 3
    assert result.limits.sigma_within == 3 / factors(2).d2
    assert result.limits.sigma == pytest.approx(result.limits.sigma_within / math.sqrt(2))


def test_given_limits_judge_both_charts() -> None:
    limits = LimitSet.fixed("xbar_r", 10, 9, 11, "v7", subgroup=2)
    wide = limits.range_upper
    result = xbar_r([[10, 10], [11, 11], [11.5, 11.5], [10 - wide, 10 + wide]], limits=limits)
    assert [s.index for s in result.location_signals] == [2]
    assert [s.index for s in result.range_signals] == [3]


def test_run_rules_stay_off_the_range_chart() -> None:
    values = [10.0, 10.1] * 10
    result = imr(values, limits=LimitSet.fixed("imr", 10, 4, 16, "v1"))
    assert result.range_signals == ()
    assert result.location_signals == ()


def test_the_same_bits_whatever_the_order() -> None:
    values = [0.1, 1e16, -1e16, 0.3, 7.7e-9]
    forward, backward = imr(values).limits, imr(values[::-1]).limits
    assert forward.centre == backward.centre == (0.1 + 0.3 + 7.7e-9) / 5


def test_a_process_that_stands_still_is_on_its_centre() -> None:
    result = xbar_r([[0.1] * 5] * 12)
    assert result.limits.centre == 0.1
    assert set(result.location) == {0.1}
    assert result.location_signals == result.range_signals == ()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: imr([1.0, NAN, 2.0]), "too little"),
        (lambda: imr([]), "too little"),
        (lambda: imr([1.0, 2.0], phase1=3), "2 usable points"),
        (lambda: imr([1.0, 2.0], phase1=0), "too little"),
        (lambda: imr([[1.0, 2.0]]), "shape"),
        (lambda: xbar_r([[1.0], [2.0]]), "at least 2"),
        (lambda: xbar_r([[1.0, 2.0]], constants=factors(5)), "ranges of 5"),
        (lambda: imr([1.0, 2.0], constants=factors(5)), "ranges of 5"),
        (lambda: imr([1.0, 2.0], limits=LimitSet.fixed("imr", 1, 0, 2, "v"), phase1=2), "no effect"),
        (lambda: xbar_r([[1.0, 2.0]], limits=LimitSet.fixed("imr", 1, 0, 2, "v")), "not for xbar_r"),
        (lambda: imr([1.0, 2.0], rules=["nelson9"]), "unknown rule"),
        (lambda: imr([1.0, 2.0], rules=["nelson1", "nelson1"]), "twice"),
        (lambda: imr([1e300, -1e300, 1e300], estimator="sd"), "not finite"),
    ],
)
def test_what_cannot_be_charted_is_refused(call, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        call()


def test_fixed_limits_derive_the_range_chart() -> None:
    single = LimitSet.fixed("imr", 135.0, 129.0, 141.0, "v3")
    assert single.sigma == single.sigma_within == 2.0
    assert single.range_centre == pytest.approx(2.256758, abs=1e-6)
    assert single.range_upper == pytest.approx(3.266532 * 2.256758, abs=1e-5)
    assert (single.range_lower, single.provisional, single.constants) == (0.0, False, "exact")
    grouped = LimitSet.fixed("xbar_r", 135.0, 129.0, 141.0, "v3", subgroup=9, constants="textbook")
    assert (grouped.sigma, grouped.sigma_within) == (2.0, 6.0)
    assert grouped.range_centre == pytest.approx(2.970 * 6)
    assert grouped.range_lower == pytest.approx(0.184 * 2.970 * 6)
    assert grouped.constants == "textbook"


def test_limits_estimated_from_fixed_ones_agree() -> None:
    """Fixed limits with an estimated set's numbers give that set's range chart back."""
    estimated = xbar_r([[1.0, 4.0, 3.0], [2.0, 2.5, 7.0], [3.0, 3.0, 5.0]]).limits
    fixed = LimitSet.fixed("xbar_r", estimated.centre, estimated.lower, estimated.upper, "v", subgroup=3)
    assert fixed.range_centre == pytest.approx(estimated.range_centre, rel=1e-12)
    assert fixed.range_upper == pytest.approx(estimated.range_upper, rel=1e-12)
    assert fixed.sigma_within == pytest.approx(estimated.sigma_within, rel=1e-12)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("imr", 5, 5, 5, "v"), "lower < upper"),
        (("imr", 9, 1, 5, "v"), "out of order"),
        (("imr", NAN, 1, 5, "v"), "not finite"),
        (("imr", 3, 1, 5, ""), "version"),
        (("imr", 3, 1, 5, "v", 4), "single values"),
        (("xbar_r", 3, 1, 5, "v", 1), "at least 2"),
        (("histogram", 3, 1, 5, "v"), "unknown chart"),
    ],
)
def test_impossible_limits_are_refused(args, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        LimitSet.fixed(*args)


def test_stored_limits_come_back_or_say_what_is_wrong() -> None:
    limits = LimitSet.fixed("xbar_r", 0.1, -0.2, 0.7, "v3", subgroup=5)
    stored = limits.to_json()
    assert LimitSet.from_json(Fields(stored, "limits")) == limits
    for key, damage in [("upper", "0.7"), ("upper", NAN), ("provisional", 0), ("subgroup", True), ("version", 3)]:
        with pytest.raises(ValueError, match=rf"limits\.{key}: expected"):
            LimitSet.from_json(Fields(stored | {key: damage}, "limits"))
    del stored["sigma"]
    with pytest.raises(ValueError, match=r"limits\.sigma: missing"):
        LimitSet.from_json(Fields(stored, "limits"))
