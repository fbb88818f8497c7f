"""From the points of phase I to limits: what each chart makes of them, and what it refuses."""

import math
from dataclasses import replace

import pytest

from spc.constants import factors
from spc.estimate import NoLimitsError, PhaseOnePoint, estimate
from spc.fields import Fields
from spc.given import rates, vectors, weighted
from spc.hotelling import phase1_limit, phase2_limit, usual_confidence
from spc.limits import Chart, Design, LimitSet
from spc.sigma import sigma_of_ranges, sigma_of_subgroups


def singles(*values: float) -> list[PhaseOnePoint]:
    before = [None, *values]
    return [PhaseOnePoint(v, None if b is None else abs(v - b)) for v, b in zip(values, before, strict=False)]


def counts(*pairs: tuple[float, float]) -> list[PhaseOnePoint]:
    return [PhaseOnePoint(count, None, size) for count, size in pairs]


def test_a_missing_neighbour_takes_no_part_in_the_moving_range() -> None:
    points = [PhaseOnePoint(10.0), PhaseOnePoint(12.0, 2.0), PhaseOnePoint(50.0), PhaseOnePoint(54.0, 4.0)]
    limits = estimate("imr", points, subgroup=1)
    assert (limits.centre, limits.range_centre) == (31.5, 3.0)
    assert limits.sigma_within == 3.0 / factors(2).d2
    assert (limits.version, limits.provisional, limits.constants) == ("phase1-4", True, "exact")


def test_the_centre_may_be_the_median() -> None:
    points = singles(1.0, 2.0, 9.0)
    assert estimate("imr", points, subgroup=1, centre="median").centre == 2.0
    assert estimate("imr", points, subgroup=1).centre == 4.0


def test_sizes_that_vary_weigh_the_mean_and_divide_each_spread_by_its_own_factor() -> None:
    points = [PhaseOnePoint(10.0, 1.0, 2), PhaseOnePoint(20.0, 3.0, 5)]
    limits = estimate("xbar_r", points, subgroup=5)
    sigma = (1.0 / factors(2).d2 + 3.0 / factors(5).d2) / 2
    assert limits.centre == pytest.approx((2 * 10 + 5 * 20) / 7)
    assert limits.sigma_within == pytest.approx(sigma)
    assert limits.upper == pytest.approx(limits.centre + 3 * sigma / math.sqrt(5))
    assert limits.at(2).upper == pytest.approx(limits.centre + 3 * sigma / math.sqrt(2))
    spread = limits.spread_at(2)
    assert spread is not None
    assert spread.upper == pytest.approx(factors(2).D4 * factors(2).d2 * sigma)


def test_the_pooled_deviation_is_the_sbar_that_each_size_has_factors_for() -> None:
    points = [PhaseOnePoint(10.0, 1.0, 3), PhaseOnePoint(20.0, 3.0, 5)]
    limits = estimate("xbar_s", points, subgroup=5, method="pooled")
    pooled = math.sqrt((2 * 1 + 4 * 9) / 6)
    assert limits.sbar == limits.sigma_within == pytest.approx(pooled)
    assert limits.at(3).upper == pytest.approx(limits.centre + factors(3).A3 * pooled)
    assert limits.at(5).upper == limits.upper
    spread = limits.spread_at(3)
    assert spread is not None
    assert spread.upper == pytest.approx(factors(3).B4 * pooled)
    assert LimitSet.from_json(Fields(limits.to_json(), "limits")) == limits


def test_rounded_factors_hold_for_every_size() -> None:
    points = [PhaseOnePoint(10.0, 2.326, 5), PhaseOnePoint(11.0, 1.693, 3)]
    limits = estimate("xbar_r", points, subgroup=5, constants="d2 of 3 decimals")
    assert limits.sigma_within == pytest.approx(1.0, abs=1e-15)
    assert limits.constants == "d2 of 3 decimals"
    spread = limits.spread_at(3)
    assert spread is not None
    assert spread.centre == pytest.approx(1.693, abs=1e-12)


def test_counts_keep_their_sample_size_apart_from_the_readings_of_a_point() -> None:
    limits = estimate("np", counts((4, 50), (6, 50)), subgroup=10)
    assert (limits.subgroup, limits.nominal_size, limits.centre) == (10, 50.0, 5.0)
    assert limits.at(50).upper == pytest.approx(5 + 3 * math.sqrt(5 * 0.9))
    with pytest.raises(ValueError, match="samples of one size, 50, not 40: use p"):
        limits.at(40)


def test_limits_end_where_counts_do() -> None:
    low = estimate("c", counts((1, 1), (3, 1)), subgroup=1)
    assert (low.lower, low.upper) == (0.0, 2 + 3 * math.sqrt(2))
    high = estimate("np", counts((9, 10), (10, 10)), subgroup=1)
    assert high.upper == 10.0
    assert estimate("p", counts((9, 10), (10, 10)), subgroup=1).upper == 1.0


def test_laney_takes_no_range_across_a_break_and_narrows_only_where_allowed() -> None:
    points = counts((5, 100), (5, 100), (6, 100), (20, 100))
    whole = estimate("laney_p", points, subgroup=1)
    cut = estimate("laney_p", [*points[:3], replace(points[3], joined=False)], subgroup=1)
    assert whole.sigma_z > 1 > cut.sigma_z > 0
    assert cut.upper - cut.centre == pytest.approx((rates("p", 0.09, 100, "v").upper - 0.09) * cut.sigma_z)
    wide = estimate("laney_p", [*points[:3], replace(points[3], joined=False)], subgroup=1, narrow=False)
    assert wide.sigma_z == 1.0


def test_times_are_judged_in_the_scale_where_they_are_normal() -> None:
    power = 1 / 3.6
    times = [1.0, 50.0, 3.0, 20.0, 0.5]
    scaled = [time**power for time in times]
    points = [replace(point, location=time) for point, time in zip(singles(*scaled), times, strict=True)]
    limits = estimate("t", points, subgroup=1)
    flat = estimate("imr", singles(*scaled), subgroup=1)
    assert limits.centre == pytest.approx(flat.centre**3.6)
    assert limits.upper == pytest.approx(flat.upper**3.6)
    assert (limits.lower, flat.lower < 0) == (0.0, True)
    assert limits.transformed().lower == pytest.approx(flat.lower)


def test_weighted_charts_take_sigma_from_ranges() -> None:
    ewma = estimate("ewma", singles(1.0, 3.0, 2.0), subgroup=1, design=Design(lam=0.2, width=3))
    assert (ewma.centre, ewma.sigma_within) == (2.0, 1.5 / factors(2).d2)
    assert ewma.upper == pytest.approx(2 + 3 * ewma.sigma_within / 3)
    assert ewma.at(1, step=1).upper < ewma.at(1, step=2).upper < ewma.upper
    cusum = estimate("cusum", [PhaseOnePoint(5.0, 2.0, 4)] * 2, subgroup=4, design=Design(h=4))
    assert (cusum.centre, cusum.lower, cusum.upper) == (5.0, 0.0, 4.0)
    assert cusum.sigma_within == 2.0 / factors(4).d2


def test_vectors_have_the_limit_of_points_to_come() -> None:
    rows = [(1.0, 2.0), (2.0, 1.0), (4.0, 3.0), (3.0, 5.0), (5.0, 4.0)]
    limits = estimate("t2_individuals", [PhaseOnePoint(0.0, vector=row) for row in rows], subgroup=1)
    assert limits.mean == (3.0, 3.0)
    assert limits.covariance == ((2.5, 1.5), (1.5, 2.5))
    assert limits.upper == phase2_limit(2, 5, 1) > phase1_limit(2, 5, 1)
    pooled = estimate(
        "t2_subgroup",
        [
            PhaseOnePoint(0.0, size=3, vector=(1.0, 1.0), covariance=((1.0, 0.0), (0.0, 2.0))),
            PhaseOnePoint(0.0, size=3, vector=(3.0, 5.0), covariance=((3.0, 0.0), (0.0, 4.0))),
        ],
        subgroup=3,
    )
    assert (pooled.mean, pooled.covariance) == ((2.0, 3.0), ((2.0, 0.0), (0.0, 3.0)))


def test_the_limits_of_t_squared_meet_where_estimates_are_perfect() -> None:
    known = 11.344867  # of a known mean and covariance: chi-square tables
    assert phase1_limit(3, 10**6, 1, 0.99) == pytest.approx(known, rel=1e-4)
    assert phase2_limit(3, 10**6, 1, 0.99) == pytest.approx(known, rel=1e-4)
    assert phase2_limit(3, 10**6, 4, 0.99) == pytest.approx(known, rel=1e-4)
    assert phase1_limit(1, 10**6, 5) == pytest.approx(9.0, abs=1e-3)  # three sigmas squared
    assert usual_confidence(2) == 0.9973**2


def test_sigma_by_each_method() -> None:
    points, ranges = singles(1.0, 2.0, 4.0, 3.0), [1.0, 2.0, 1.0]
    assert sigma_of_ranges(ranges, "mean_mr", "exact") == (4 / 3) / factors(2).d2
    assert sigma_of_ranges(ranges, "median_mr", "exact") == pytest.approx(1.0 / 0.9538726)
    assert estimate("imr", points, subgroup=1, method="sd").sigma_within == pytest.approx(math.sqrt(5 / 3))
    corrected = estimate("imr", points, subgroup=1, method="sd/c4").sigma_within
    assert corrected == pytest.approx(math.sqrt(5 / 3) / factors(4).c4)
    assert sigma_of_subgroups([(2.0, 4)] * 2, "sbar", "exact") == 2.0 / factors(4).c4
    assert sigma_of_subgroups([(2.0, 4)] * 2, "rbar", "exact") == 2.0 / factors(4).d2
    assert sigma_of_subgroups([(2.0, 3), (1.0, 2)], "pooled", "exact") == math.sqrt(9 / 3)


@pytest.mark.parametrize(
    ("chart", "points", "words"),
    [
        ("imr", singles(5.0, 5.0, 5.0), "width of 0"),
        ("imr", [PhaseOnePoint(1.0), PhaseOnePoint(2.0)], "without a moving range"),
        ("imr", singles(5.0), "needed at least 2"),
        ("xbar_r", [PhaseOnePoint(5.0, 0.0, 3)] * 9, "width of 0"),
        ("p", counts((0, 50), (0, 60)), "no event"),
        ("p", counts((50, 50), (60, 60)), "nothing conforms"),
        ("c", counts((0, 1), (0, 1)), "no event"),
        ("laney_u", counts((3, 1), (3, 1)), "sigma_z is 0"),
        ("t", singles(4.0, 4.0), "width of 0"),
        (
            "t2_individuals",
            [PhaseOnePoint(0.0, vector=(float(i), 2.0 * i)) for i in range(9)],
            "variable 2 follows",
        ),
        (
            "t2_individuals",
            [PhaseOnePoint(0.0, vector=(float(i), 2.0)) for i in range(9)],
            "variable 2 does not vary",
        ),
        (
            "t2_individuals",
            [PhaseOnePoint(0.0, vector=(1.0, 2.0)), PhaseOnePoint(0.0, vector=(2.0, 1.0))],
            "2 points are too few for 2 variables",
        ),
        (
            "t2_individuals",
            [PhaseOnePoint(0.0, vector=(float(i), 2.0 * i)) for i in range(4)],
            "singular",
        ),
    ],
)
def test_points_that_make_no_limits_yet(chart: Chart, points: list[PhaseOnePoint], words: str) -> None:
    subgroup = 3 if chart == "xbar_r" else 1
    with pytest.raises(NoLimitsError, match=words):
        estimate(chart, points, subgroup=subgroup)


@pytest.mark.parametrize(
    ("chart", "points", "words"),
    [
        ("p", counts((1, 50), (51, 50)), "point 2: 51 nonconforming of 50 is impossible"),
        ("u", counts((1, 50), (-1, 50)), "point 2: a count is a whole number from 0, not -1"),
        ("c", counts((1.5, 1), (1, 1)), "point 1: a count"),
        ("u", counts((1, 50), (1, 0)), "point 2 of phase I has the size 0"),
        ("u", counts((1, 50), (1, math.inf)), "point 2 of phase I has the size inf"),
        ("c", counts((1, 1), (1, 2)), "use u"),
        ("np", counts((1, 10), (1, 20)), "use p"),
        ("imr", singles(1.0, math.nan), "point 2 of phase I is not finite"),
        ("xbar_s", [PhaseOnePoint(1.0, 1.0, 1)], "has 1 readings; xbar_s needs at least 2"),
        ("xbar_s", [PhaseOnePoint(1.0, None, 3), PhaseOnePoint(1.0, 1.0, 3)], "point 1 of phase I has no spread"),
        ("t", [PhaseOnePoint(-1.0), PhaseOnePoint(2.0, 1.0)], "cannot be negative"),
        (
            "t2_individuals",
            [PhaseOnePoint(0.0, vector=(1.0, 2.0)), PhaseOnePoint(0.0, vector=(1.0,))],
            "1 variables",
        ),
    ],
)
def test_points_that_no_chart_can_have(chart: Chart, points: list[PhaseOnePoint], words: str) -> None:
    subgroup = 3 if chart == "xbar_s" else 1
    with pytest.raises(ValueError, match=words) as refused:
        estimate(chart, points, subgroup=subgroup)
    assert not isinstance(refused.value, NoLimitsError)


def test_what_does_not_belong_together_is_refused() -> None:
    points = singles(1.0, 2.0)
    with pytest.raises(ValueError, match="a design belongs"):
        estimate("imr", points, subgroup=1, design=Design())
    with pytest.raises(ValueError, match="a design belongs"):
        estimate("ewma", points, subgroup=1)
    with pytest.raises(ValueError, match="sigma is one of"):
        estimate("imr", points, subgroup=1, method="rbar")
    with pytest.raises(ValueError, match="unknown constant set"):
        estimate("imr", points, subgroup=1, constants="shewhart")
    with pytest.raises(ValueError, match="ranges of 5 values, there are ranges of 2"):
        estimate("imr", points, subgroup=1, constants=factors(5))
    for refused in (
        lambda: weighted("ewma", 1.0, 0.0, Design(), "v"),
        lambda: weighted("imr", 1.0, 1.0, Design(), "v"),
        lambda: rates("p", 1.0, 50, "v"),
        lambda: rates("c", 4.0, 0, "v"),
        lambda: rates("imr", 4.0, 1, "v"),
        lambda: vectors("t2_individuals", (1.0, 2.0), ((1.0,),), 9.0, "v"),
        lambda: vectors("t2_individuals", (1.0,), ((1.0,),), 0.0, "v"),
        lambda: vectors("imr", (1.0,), ((1.0,),), 9.0, "v"),
    ):
        with pytest.raises(ValueError, match=r"must be|not fixed|counts|vectors|sample|size"):
            refused()
