import math

import numpy as np
import pytest

from spc.charts import ChartResult, Plotted
from spc.constants import factors
from spc.estimate import NoLimitsError
from spc.fields import Fields
from spc.limits import LimitSet
from spc.variables import imr, means

NAN = math.nan


def spread_of(result: ChartResult) -> Plotted:
    assert result.spread is not None
    return result.spread


def test_a_gap_breaks_the_moving_range_and_enters_no_limits() -> None:
    result = imr([10.0, 12.0, NAN, 11.0, 14.0])
    np.testing.assert_array_equal(result.location.points, [10, 12, NAN, 11, 14])
    np.testing.assert_array_equal(spread_of(result).points, [NAN, 2, NAN, NAN, 3])
    assert result.limits.centre == 11.75
    assert result.limits.range_centre == 2.5
    assert result.limits.upper == 11.75 + factors(2).E2 * 2.5
    assert result.limits.version == "phase1-4"
    assert result.limits.provisional


@pytest.mark.parametrize("nothing", [NAN, math.inf, -math.inf, 1e301])
def test_what_is_no_number_is_a_gap(nothing: float) -> None:
    result = imr([1.0, 2.0, nothing, 4.0, 5.0])
    assert result.limits.centre == 3.0
    assert math.isnan(result.location.points[2])
    assert 2 not in [signal.index for signal in result.location.signals]


def test_excluded_points_leave_the_estimate_but_are_judged() -> None:
    values = [10.0, 11.0, 10.0, 50.0, 10.0, 11.0, 10.0]
    result = imr(values, exclude=[3])
    assert result.limits.range_centre == 1.0
    assert result.limits.centre == pytest.approx(62 / 6)
    assert [(s.rule, s.index) for s in result.location.signals] == [("nelson1", 3)]
    assert [s.index for s in spread_of(result).signals] == [3, 4]


def test_phase1_takes_the_first_usable_points() -> None:
    result = imr([1.0, NAN, 2.0, 3.0, 100.0, 200.0], phase1=3)
    assert (result.limits.centre, result.limits.range_centre) == (2.0, 1.0)
    assert result.limits.version == "phase1-3"


def test_phase1_that_has_no_range_is_refused() -> None:
    values = [1.0, NAN, 2.0, NAN, 3.0, 5.0, 99.0]
    with pytest.raises(NoLimitsError, match="without a moving range"):
        imr(values, phase1=2)
    limits = imr(values, phase1=4).limits
    assert (limits.centre, limits.range_centre, limits.version) == (2.75, 2.0, "phase1-4")


def test_excluded_points_count_among_the_first_ones() -> None:
    result = imr([10.0, 11.0, 90.0, 10.0, 12.0, 99.0], phase1=5, exclude=[2])
    assert result.used.tolist() == [True, True, False, True, True, False]
    assert (result.limits.centre, result.limits.range_centre, result.limits.version) == (10.75, 1.5, "phase1-4")


def test_ranges_may_bridge_what_was_excluded() -> None:
    bridged = imr([10.0, 11.0, 90.0, 14.0, 12.0], exclude=[2], bridge=True)
    assert bridged.limits.range_centre == (1 + 3 + 2) / 3
    cut = imr([10.0, 11.0, 90.0, 14.0, 12.0], exclude=[2], bridge=True, restarts=[3])
    assert cut.limits.range_centre == (1 + 2) / 2


def test_no_range_reaches_across_a_restart() -> None:
    result = imr([10.0, 11.0, 20.0, 21.0], restarts=[2])
    np.testing.assert_array_equal(spread_of(result).points, [NAN, 1, NAN, 1])


def test_a_subgroup_with_a_gap_is_a_gap() -> None:
    result = means("xbar_r", [[1.0, 3.0], [NAN, 50.0], [2.0, 6.0]])
    np.testing.assert_array_equal(result.location.points, [2, NAN, 4])
    np.testing.assert_array_equal(spread_of(result).points, [2, NAN, 4])
    assert result.limits.upper == 3 + factors(2).A2 * 3
    assert result.limits.range_upper == factors(2).D4 * 3
    assert result.limits.sigma_within == 3 / factors(2).d2
    assert result.limits.sigma == pytest.approx(result.limits.sigma_within / math.sqrt(2))


def test_given_limits_judge_both_charts() -> None:
    limits = LimitSet.fixed("xbar_r", 10, 9, 11, "v7", subgroup=2)
    wide = limits.range_upper
    result = means("xbar_r", [[10, 10], [11, 11], [11.5, 11.5], [10 - wide, 10 + wide]], limits=limits)
    assert [s.index for s in result.location.signals] == [2]
    assert [s.index for s in spread_of(result).signals] == [3]


def test_run_rules_stay_off_the_range_chart() -> None:
    values = [10.0, 10.1] * 10
    result = imr(values, limits=LimitSet.fixed("imr", 10, 4, 16, "v1"))
    assert spread_of(result).signals == ()
    assert result.location.signals == ()


def test_the_same_bits_whatever_the_order() -> None:
    values = [0.1, 1e16, -1e16, 0.3, 7.7e-9]
    forward, backward = imr(values).limits, imr(values[::-1]).limits
    assert forward.centre == backward.centre == (0.1 + 0.3 + 7.7e-9) / 5


def test_a_process_that_stands_still_is_on_its_centre() -> None:
    result = means("xbar_r", [[0.1] * 5] * 12, limits=LimitSet.fixed("xbar_r", 0.1, 0.0, 0.2, "v", subgroup=5))
    assert set(result.location.points) == {0.1}
    assert result.location.signals == spread_of(result).signals == ()
    with pytest.raises(NoLimitsError, match="width of 0"):
        means("xbar_r", [[0.1] * 5] * 12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: imr([1.0, NAN, 2.0]), "too little"),
        (lambda: imr([]), "too little"),
        (lambda: imr([1.0, 2.0], phase1=3), "2 usable points"),
        (lambda: imr([1.0, 2.0], phase1=0), "at least 2 points that are no gaps, got 0"),
        (lambda: imr([[1.0, 2.0]]), "shape"),
        (lambda: means("xbar_r", [[1.0], [2.0]]), "at least 2"),
        (lambda: means("xbar_r", []), "0 usable points"),
        (lambda: means("xbar_r", [[1.0, 2.0], []]), "subgroup 2 is empty"),
        (lambda: means("xbar_r", [[1.0, 2.0]] * 2, constants=factors(5)), "ranges of 5"),
        (lambda: means("xbar_r", [[1.0, 2.0]] * 2, method="mean_mr"), "rbar, sbar or"),
        (lambda: imr([1.0, 2.0], constants=factors(5)), "ranges of 5"),
        (lambda: imr([1.0, 2.0], limits=LimitSet.fixed("imr", 1, 0, 2, "v"), phase1=2), "no effect"),
        (lambda: means("xbar_r", [[1.0, 2.0]], limits=LimitSet.fixed("imr", 1, 0, 2, "v")), "not for xbar_r"),
        (lambda: imr([1.0, 2.0], exclude=[2]), "exclude: there is no point 3, the series has 2"),
        (lambda: imr([1.0, 2.0], exclude=[-1]), "there is no point 0"),
        (lambda: imr([1.0, 2.0], restarts=[5]), "restarts: there is no point 6"),
        (lambda: imr([1.0, 2.0], rules=["nelson9"]), "unknown rule"),
        (lambda: imr([1.0, 2.0], rules=["nelson1", "nelson1"]), "twice"),
        (lambda: imr([1e300, -1e300, 1e300], method="sd"), "not finite"),
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
    estimated = means("xbar_r", [[1.0, 4.0, 3.0], [2.0, 2.5, 7.0], [3.0, 3.0, 5.0]]).limits
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
