"""Each kind of chart on small series that can be followed by hand, and what it refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spc.attributes import counts
from spc.charts import ChartResult, Plotted
from spc.estimate import NoLimitsError
from spc.given import rates
from spc.limits import Chart, Design, LimitSet
from spc.mewma_arl import mewma_arl
from spc.multivariate import mewma, t2_individuals, t2_subgroup
from spc.variables import deviations, imr, means, standardised, summaries, t, z_mr
from spc.weighted import changes, cusum, ewma

NAN = math.nan
NORMAL = {"target": 0.0, "sigma": 1.0}
ROWS = [[1.0, 2.0], [2.0, 1.0], [4.0, 3.0], [3.0, 5.0], [5.0, 4.0], [2.0, 2.5]]


def at(plotted: Plotted | None) -> list[int]:
    assert plotted is not None
    return [signal.index for signal in plotted.signals]


# -- subgroups --------------------------------------------------------------------------------------------------


def test_each_size_has_limits_of_its_own() -> None:
    limits = LimitSet.fixed("xbar_s", 10, 8.5, 11.5, "v", subgroup=4)
    result = means("xbar_s", [[10, 10, 10, 10], [11.6, 11.6, 11.6, 11.6], [11.6] * 3, [11.6] * 9], limits=limits)
    assert result.location.upper.tolist() == pytest.approx([11.5, 11.5, 10 + 1.5 * math.sqrt(4 / 3), 11])
    assert at(result.location) == [1, 3]
    assert result.sizes.tolist() == [4, 4, 3, 9]
    assert result.spread is not None
    assert result.spread.centre[2] < result.spread.centre[0] < result.spread.centre[3]


def test_zones_follow_each_point_s_own_sigma() -> None:
    limits = LimitSet.fixed("xbar_r", 0, -3, 3, "v", subgroup=4)
    large, small = [1.5] * 16, [1.5] * 4
    rules = ["nelson5"]
    assert at(means("xbar_r", [small] * 3, limits=limits, rules=rules).location) == []
    assert at(means("xbar_r", [large] * 3, limits=limits, rules=rules).location) == [2]


def test_limits_of_means_may_come_from_deviations_and_of_deviations_from_ranges() -> None:
    data = [[1.0, 2.0, 4.0], [2.0, 2.0, 5.0], [3.0, 1.0, 1.0]]
    by_s = means("xbar_r", data, method="sbar").limits
    assert by_s.sigma_within == means("xbar_s", data).limits.sigma_within
    assert by_s.range_upper == means("xbar_r", data).limits.range_upper
    assert means("xbar_s", data, method="rbar").limits.sigma_within == means("xbar_r", data).limits.sigma_within


def test_a_gap_in_a_subgroup_makes_it_a_gap() -> None:
    means, ranges, sds, sizes = summaries([[1.0, 3.0], [NAN, 2.0], [4.0, math.inf]])
    for column in (means, ranges, sds, sizes):
        assert np.isnan(column).tolist() == [False, True, True]


# -- counts -----------------------------------------------------------------------------------------------------


def test_a_count_on_its_limit_is_no_signal() -> None:
    """NIST 6.3.3.1: 28 defects on a wafer where 16 are usual, and the upper limit is 28."""
    limits = rates("c", 16.0, 1.0, "v")
    assert (limits.lower, limits.upper) == (4.0, 28.0)
    assert at(counts("c", [28, 29, 4, 3], limits=limits).location) == [1, 3]


@pytest.mark.parametrize(
    ("chart", "centre", "size", "on"),
    [
        ("u", 4 / 3, 3, 10),
        ("u", 25 / 3, 3, 10),
        ("p", 25 / 45, 45, 15),
        ("p", 48 / 72, 72, 60),
        ("p", 0.2, 100, 8),
    ],
)
def test_a_share_on_its_limit_is_none_either(chart: Chart, centre: float, size: int, on: int) -> None:
    """In whole numbers these counts lie on a limit; a proportion of them that is rounded must not leave it."""
    limits = rates(chart, centre, size, "v")
    assert at(counts(chart, [on], size, limits=limits).location) == []
    outwards = 1 if on > centre * size else -1
    assert at(counts(chart, [on + outwards], size, limits=limits).location) == [0]


def test_a_gap_among_counts() -> None:
    result = counts("p", [1, NAN, 3, 2], [50, 50, 50, 60])
    assert result.location.points.tolist() == pytest.approx([0.02, NAN, 0.06, 2 / 60], nan_ok=True)
    assert result.limits.centre == 6 / 160
    assert np.isnan(result.location.upper).tolist() == [False, True, False, False]


def test_laney_takes_no_range_over_an_excluded_point_and_says_whether_it_narrows() -> None:
    events, sizes = [10, 11, 60, 10, 12], [100] * 5
    cut = counts("laney_p", events, sizes, exclude=[2])
    z = 0.01 / math.sqrt(43 / 400 * 357 / 400 / 100)
    assert cut.limits.sigma_z == pytest.approx((z + 2 * z) / 2 / (2 / math.sqrt(math.pi)))
    assert cut.limits.sigma_z < 1
    assert counts("laney_p", events, sizes, exclude=[2], narrow=False).limits.sigma_z == 1.0
    assert counts("laney_p", events, sizes, exclude=[2], restarts=[4]).limits.sigma_z < cut.limits.sigma_z


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: counts("p", [1, 51], [50, 50]), "point 2: 51 nonconforming of 50"),
        (lambda: counts("np", [1, -1], 50), "point 2: a count is a whole number from 0, not -1"),
        (lambda: counts("c", [1, 2.5]), r"point 2: .* not 2\.5"),
        (lambda: counts("u", [1, 2], [1, 0]), "point 2: the size of a sample must be finite and above 0, got 0"),
        (lambda: counts("u", [1, 2], [1, NAN]), "point 2: .* got nan"),
        (lambda: counts("u", [1, 2], [math.inf, 1]), "point 1: .* got inf"),
        (lambda: counts("u", [1, 2], [1]), "2 counts, but 1 sizes"),
        (lambda: counts("u", [1, 2]), "needs the sizes"),
        (lambda: counts("np", [1, 2], [50, 60]), "samples of one size: use p"),
        (lambda: counts("c", [1, 2], [1, 2]), "samples of one size: use u"),
        (lambda: counts("p", [0, 0], 50), "no event"),
        (lambda: counts("p", [50, 50], 50), "nothing conforms"),
        (lambda: counts("laney_u", [3, 3, 3], 5), "sigma_z is 0"),
        (lambda: counts("p", [1], 50), "needed at least 2"),
        (lambda: counts("p", [1, 2], 50, phase1=3), "2 usable points, phase I has 3"),
        (lambda: counts("imr", [1, 2], 50), "has no counts"),
        (lambda: counts("p", [[1, 2]], 50), "shape"),
        (lambda: counts("p", [1, 2], 50, limits=rates("u", 1.0, 1.0, "v")), "are for u"),
    ],
)
def test_counts_that_cannot_be(call: Callable[[], ChartResult], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# -- times and short runs ---------------------------------------------------------------------------------------


def test_run_rules_of_times_are_judged_in_their_normal_scale() -> None:
    times = [40.0, 60.0, 50.0, 45.0, 300.0, 55.0, 48.0, 0.0]
    result = t(times, rules=["nelson1"])
    scaled = imr([time ** (1 / 3.6) for time in times], rules=["nelson1"])
    assert at(result.location) == at(scaled.location)
    assert result.extras["transformed"].tolist() == pytest.approx(scaled.location.points.tolist())
    assert result.location.lower[0] == max(0.0, scaled.limits.lower) ** 3.6
    assert result.spread is None
    with pytest.raises(ValueError, match="point 2: a time between events cannot be negative, got -1"):
        t([1.0, -1.0])


def test_short_runs_of_known_parts() -> None:
    off = deviations([10.1, 20.3, 9.9], [10.0, 20.0, 10.0])
    assert off.tolist() == pytest.approx([0.1, 0.3, -0.1])
    scores = deviations([10.1, 20.6, 9.9], [10.0, 20.0, 10.0], [0.1, 0.15, 0.1])
    assert scores.tolist() == pytest.approx([1.0, 4.0, -1.0])
    result = z_mr(scores)
    assert (result.limits.lower, result.limits.centre, result.limits.upper) == (-3.0, 0.0, 3.0)
    assert result.limits.range_upper == pytest.approx(3.686, abs=5e-4)  # Montgomery, 10.1: D4 d2
    assert at(result.location) == [1]
    assert at(result.spread) == [2]


def test_short_runs_of_parts_that_tell_their_own_parameters() -> None:
    scores = standardised([10.0, 100.0, 12.0, 104.0, 14.0], ["a", "b", "a", "b", "a"])
    d2 = 2 / math.sqrt(math.pi)
    assert scores.tolist() == pytest.approx([-d2, -d2 / 2, 0.0, d2 / 2, d2])
    with pytest.raises(NoLimitsError, match="part b: too little"):
        standardised([10.0, 100.0, 12.0], ["a", "b", "a"])
    with pytest.raises(NoLimitsError, match=r"part a: .* width of 0"):
        standardised([10.0, 10.0], ["a", "a"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: deviations([1.0, 2.0], [1.0, NAN]), "point 2: its nominal is nan"),
        (lambda: deviations([1.0, 2.0], 1.0, [1.0, 0.0]), "point 2: the sigma of its part must be above 0"),
        (lambda: standardised([1.0, 2.0], ["a"]), "2 values, but 1 names"),
    ],
)
def test_parts_that_cannot_be(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# -- EWMA and CUSUM ---------------------------------------------------------------------------------------------


def test_an_ewma_goes_on_over_a_gap_and_begins_anew_at_a_restart() -> None:
    values = [1.0, NAN, 1.0, 1.0]
    through = ewma(values, design=Design(lam=0.5), **NORMAL)
    assert through.location.points.tolist() == pytest.approx([0.5, NAN, 0.75, 0.875], nan_ok=True)
    assert through.location.upper.tolist() == pytest.approx(
        [through.limits.at(1, 1).upper, NAN, through.limits.at(1, 2).upper, through.limits.at(1, 3).upper],
        nan_ok=True,
    )
    cut = ewma(values, design=Design(lam=0.5, start=2.0), restarts=[3], **NORMAL)
    assert cut.location.points.tolist() == pytest.approx([1.5, NAN, 1.25, 1.5], nan_ok=True)
    assert cut.location.upper[3] == cut.limits.at(1, 1).upper


def test_an_ewma_of_means_follows_their_sizes() -> None:
    result = ewma([0.0, 0.0], [4, 16], design=Design(lam=1.0), **NORMAL)
    assert result.location.upper.tolist() == [1.5, 0.75]
    settled = ewma([0.0, 0.0], design=Design(lam=0.2, exact=False), **NORMAL)
    assert settled.location.upper.tolist() == pytest.approx([1.0, 1.0])
    assert settled.extras["upper_exact"][0] < settled.extras["upper_settled"][0]


def test_what_is_not_given_is_estimated() -> None:
    values = [1.0, 3.0, 2.0, 4.0, 90.0]
    both = ewma(values, phase1=4)
    assert (both.limits.centre, both.used.tolist()) == (2.5, [True] * 4 + [False])
    target = ewma(values, phase1=4, target=3.0)
    assert (target.limits.centre, target.limits.sigma_within) == (3.0, both.limits.sigma_within)
    sigma = cusum(values, phase1=4, sigma=2.0)
    assert (sigma.limits.centre, sigma.limits.sigma_within, sigma.limits.constants) == (2.5, 2.0, "given")
    assert cusum(values, **NORMAL).limits.provisional is False


def test_a_headstart_is_in_the_scale_of_h_and_helps_at_the_start() -> None:
    """Lucas and Crosier's data, k 0.5, h 5: the sum signals at point 7, with half of h as headstart at 3."""
    values = [0.8, 1.9, 1.4, 2.0, 1.1, 0.7, 2.6]
    result = cusum(values, design=Design(k=0.5, h=5, headstart=2.5), **NORMAL)
    assert result.location.points[:3].tolist() == pytest.approx([2.8, 4.2, 5.1])
    assert at(result.location)[0] == 2
    assert result.spread is not None
    assert result.spread.points[0] == pytest.approx(1.2)


def test_sums_that_signalled_begin_anew_only_where_that_is_asked_for() -> None:
    values = [3.0, 3.0, 3.0, 3.0]
    goes_on = cusum(values, design=Design(k=0.5, h=4), **NORMAL)
    assert goes_on.location.points.tolist() == [2.5, 5.0, 7.5, 10.0]
    resets = cusum(values, design=Design(k=0.5, h=4, resets=True), **NORMAL)
    assert resets.location.points.tolist() == [2.5, 5.0, 2.5, 5.0]
    assert resets.extras["n_plus"].tolist() == [1, 2, 1, 2]
    assert at(resets.location) == [1, 3]


def test_a_change_is_dated_by_the_last_zero_and_its_mean_told() -> None:
    """Montgomery, Example 9.1: signal at 29, N+ is 7: shifted between 22 and 23, the mean now 10 + .5 + 5.28/7."""
    more = json.loads((Path(__file__).parents[2] / "data" / "spc_more.json").read_text(encoding="utf-8"))["cases"]
    values = next(case["data"]["values"] for case in more if case["id"] == "spckit_cusum_9_1")
    result = cusum(values, design=Design(k=0.5, h=5), target=10.0, sigma=1.0)
    change = changes(result)[0]
    assert (change.index + 1, change.side, change.first + 1) == (29, 1, 23)
    assert change.mean == pytest.approx(11.25, abs=0.005)
    down = changes(cusum([20 - value for value in values], design=Design(k=0.5, h=5), target=10.0, sigma=1.0))[0]
    assert (down.index, down.side, down.first) == (change.index, -1, change.first)
    assert down.mean == pytest.approx(20 - change.mean)
    with_gap = cusum([*values[:25], NAN, *values[25:]], design=Design(k=0.5, h=5), target=10.0, sigma=1.0)
    assert (changes(with_gap)[0].index, changes(with_gap)[0].first) == (29, 22)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ewma([1.0, 1.0, 1.0]), "width of 0"),
        (lambda: ewma([1.0, 2.0], sigma=0.0), "sigma must be finite and above 0, got 0"),
        (lambda: ewma([1.0, 2.0], target=NAN), "target must be finite"),
        (lambda: ewma([1.0, 2.0], [2, 2]), "sigma must be given with means"),
        (lambda: ewma([1.0, 2.0], [2, 0], **NORMAL), "point 2: a mean is of at least one reading, not of 0"),
        (lambda: ewma([1.0, 2.0], [2], **NORMAL), "2 values, but 1 sizes"),
        (lambda: ewma([[1.0, 2.0]], [2]), "have their sizes already"),
        (lambda: ewma([[1.0, 2.0], []], **NORMAL), "subgroup 2 is empty"),
        (lambda: cusum([1.0, 2.0], phase1=5), "2 usable points, phase I has 5"),
        (lambda: cusum([1.0, 2.0], method="rbar"), "sigma is one of"),
        (lambda: changes(ewma([1.0, 2.0])), "estimates no change"),
    ],
)
def test_weighted_charts_that_cannot_be(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# -- several variables ------------------------------------------------------------------------------------------


def test_points_that_made_the_estimates_have_another_limit_than_later_ones() -> None:
    result = t2_individuals([*ROWS, [3.0, 3.0]], phase1=6, exclude=[5])
    upper = result.location.upper.tolist()
    assert upper[0] == upper[4] < upper[5] == upper[6] == result.limits.upper
    gap = t2_individuals([*ROWS, [NAN, 3.0]])
    assert math.isnan(gap.location.points[6])
    assert gap.used.tolist() == [True] * 6 + [False]


def test_a_mewma_of_one_variable_is_an_ewma_squared() -> None:
    values = [1.0, 2.0, 0.0, 3.0, NAN, 2.0]
    one = mewma([[value] for value in values], design=Design(lam=0.3, h4=9.0), mean=[1.0], matrix=[[4.0]])
    other = ewma(values, design=Design(lam=0.3, width=3), target=1.0, sigma=2.0)
    z = (other.location.points - 1) / other.location.sigma
    assert one.location.points.tolist() == pytest.approx((z * z).tolist(), nan_ok=True)
    assert one.extras["z1"].tolist() == pytest.approx((other.location.points - 1).tolist(), nan_ok=True)
    assert (one.limits.upper, one.limits.constants) == (9.0, "h4 given")


def test_a_mewma_without_interval_has_one_for_200_points() -> None:
    result = mewma(ROWS)
    assert (result.limits.upper, result.limits.constants) == (8.66, "h4 published")
    assert result.limits.design == Design(lam=0.1, h4=8.66)
    assert mewma(ROWS, mean=[3.0, 3.0]).limits.mean == (3.0, 3.0)
    other = mewma(ROWS, design=Design(lam=0.3))
    assert other.limits.constants == "h4 computed"
    assert mewma_arl(2, 0.3, other.limits.upper) == pytest.approx(200, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: t2_individuals([[1.0, 2.0], [1.0]]), "rows: rows of unequal length"),
        (lambda: t2_individuals([[1.0, 2.0]] * 9), "variable 1 does not vary"),
        (lambda: t2_individuals([[float(i), 2.0 * i] for i in range(9)]), "variable 2 follows from the variables"),
        (lambda: t2_individuals(ROWS[:3]), "too few for 2 variables"),
        (lambda: t2_individuals(ROWS, confidence=1.0), "confidence must be above 0 and below 1"),
        (lambda: t2_individuals(ROWS, phase1=7), "6 usable points"),
        (lambda: t2_individuals([[1.0]], limits=t2_individuals(ROWS).limits), "for 2 variables, the data have 1"),
        (lambda: t2_subgroup([[[1.0, 2.0], [2.0]]]), "variable 1, subgroup 2 has 1 readings, not 2"),
        (lambda: t2_subgroup([[[1.0, 2.0]], [[1.0, 2.0]] * 2]), "variable 2 has 2 subgroups, variable 1 has 1"),
        (lambda: t2_subgroup([[[1.0], [2.0]]]), "at least 2 are needed"),
        (lambda: t2_subgroup([]), "there is no subgroup"),
        (lambda: mewma(ROWS, mean=[1.0, 2.0], matrix=[[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: mewma(ROWS, mean=[1.0], matrix=[[1.0]]), "for 1 variables, the data have 2"),
        (lambda: mewma(ROWS, mean=[1.0, 2.0], matrix=[[1.0, 1.0], [1.0, 1.0]]), "singular: variable 2"),
    ],
)
def test_vectors_that_cannot_be(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
