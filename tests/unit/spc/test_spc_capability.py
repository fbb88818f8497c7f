"""Capability: every published figure, what must not depend on unit or order, normality, and what is refused."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spc.capability import Capability, WithinSigma, capability
from spc.constants import c4, d2
from spc.normality import anderson_darling, percentiles
from spc.sigma import SigmaMethod
from spc.variables import imr, means

REFERENCE = Path(__file__).parents[2] / "data" / "spc_reference.json"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case
    for case in json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
    if case["chart"] == "capability"
}
RINGS: list[list[float]] = CASES["qcc_cap_1"]["data"]["subgroups"]


def meets(printed: str, value: float) -> bool:
    """Whether the value rounds to the printed figure."""
    figure = Decimal(printed)
    return abs(Decimal(value) - figure) <= Decimal(5).scaleb(int(figure.as_tuple().exponent) - 1)


def of_case(case: dict[str, Any], constants: str) -> dict[str, Any]:
    params = {key: value for key, value in case["params"].items() if key != "d2_round"}
    return capability(case["data"]["subgroups"], **params, constants=constants).figures()


QCC = "d2 of 3 decimals"
"""qcc's d2 has three decimals."""


@pytest.mark.parametrize("case", sorted(CASES))
def test_published_figures(case: str) -> None:
    got = of_case(CASES[case], QCC)
    figures = 0
    for key, printed in CASES[case]["published"].items():
        if printed is None:
            assert got[key] is None, key
            continue
        both = zip(printed, got[key], strict=True) if isinstance(printed, list) else [(printed, got[key])]
        for figure, value in both:
            assert meets(figure, value), (key, figure, value)
            figures += 1
    assert figures >= 12


@pytest.mark.parametrize("case", sorted(CASES))
def test_recomputed_figures(case: str) -> None:
    for expected, constants in (
        (CASES[case]["recomputed"], QCC),
        (CASES[case]["recomputed_exact_constants"] or {}, "exact"),
    ):
        got = of_case(CASES[case], constants)
        for key, value in expected.items():
            assert got[key] == (None if value is None else pytest.approx(value, rel=1e-9)), key


def test_no_case_is_left_out() -> None:
    assert set(CASES) == {
        "qcc_cap_1",
        "qcc_cap_3_narrow",
        "qcc_cap_test_two_sided",
        "qcc_cap_test_usl_only",
    }


def test_every_way_to_sigma_within() -> None:
    values = [5.0, 5.4, 4.9, 5.2, 5.3, 4.7, 5.1, 5.0]
    moving = [0.4, 0.5, 0.3, 0.1, 0.6, 0.4, 0.1]
    assert capability(values, usl=6).sigma_within == pytest.approx(np.mean(moving) / d2(2))
    assert capability(values, usl=6, sigma="median_mr").sigma_within == pytest.approx(0.4 / 0.953873, rel=1e-6)
    uneven = [[1.0, 2.0], [2.0, 3.5, 1.5], [2.2], [1.8, 2.6, 2.1]]
    sds = [np.std(group, ddof=1) for group in uneven if len(group) > 1]
    assert capability(uneven, usl=9).sigma_within == pytest.approx(
        np.mean([1.0 / d2(2), 2.0 / d2(3), 0.8 / d2(3)])
    )
    assert capability(uneven, usl=9, sigma="sbar").sigma_within == pytest.approx(
        np.mean([sds[0] / c4(2), sds[1] / c4(3), sds[2] / c4(3)])
    )
    assert capability(uneven, usl=9, sigma="pooled").sigma_within == pytest.approx(
        math.sqrt((sds[0] ** 2 + 2 * sds[1] ** 2 + 2 * sds[2] ** 2) / 5)
    )


@pytest.mark.parametrize("constants", ["exact", "textbook", "d2 of 3 decimals"])
def test_sigma_is_that_of_the_charts(constants: str) -> None:
    values = [5.0, 5.4, 4.9, 5.2, 5.3, 4.7, 5.1, 5.0]
    singles: tuple[tuple[WithinSigma, SigmaMethod], ...] = (("mrbar", "mean_mr"), ("median_mr", "median_mr"))
    for sigma, method in singles:
        chart = imr(values, method=method, constants=constants)
        assert (
            capability(values, usl=9, sigma=sigma, constants=constants).sigma_within == chart.limits.sigma_within
        )
    uneven = [[1.0, 2.0], [2.0, 3.5, 1.5], [2.2, 2.9], [1.8, 2.6, 2.1]]
    averaged: tuple[Literal["rbar", "sbar", "pooled"], ...] = ("rbar", "sbar", "pooled")
    for each in averaged:
        chart = means("xbar_s", uneven, method=each, constants=constants)
        found = capability(uneven, usl=9, sigma=each, constants=constants)
        assert found.sigma_within == pytest.approx(chart.limits.sigma_within, rel=1e-15)


def test_an_excluded_value_makes_no_moving_range_and_counts_nowhere() -> None:
    values = [5.0, 5.4, 9.0, 5.2, 5.3, 4.7, 5.1, 5.0, 99.0]
    found = capability(values, usl=6, phase1=8, exclude=[3])
    assert found.n == 7
    assert found.sigma_within == pytest.approx(np.mean([0.4, 0.1, 0.6, 0.4, 0.1]) / d2(2))
    assert found.observed_above_pct == 0.0
    assert capability(values, usl=6, phase1=8).observed_above_pct == pytest.approx(12.5)


values_of = st.lists(st.floats(-50, 50, allow_nan=False, width=32), min_size=9, max_size=40).filter(
    lambda values: float(np.abs(np.diff(values)).mean()) > 0.5
)


@given(values_of, st.floats(0.1, 100), st.floats(-1e3, 1e3))
def test_indices_depend_on_neither_unit_nor_zero(values: list[float], scale: float, shift: float) -> None:
    ours = capability(values, lsl=-60, usl=80, target=3)
    moved = capability(
        [scale * value + shift for value in values],
        lsl=-60 * scale + shift,
        usl=80 * scale + shift,
        target=3 * scale + shift,
    )
    assert indices(moved) == pytest.approx(indices(ours), rel=1e-6, abs=1e-9)


@given(values_of)
def test_a_mirror_changes_the_sides(values: list[float]) -> None:
    ours = capability(values, lsl=-60, usl=80)
    mirrored = capability([-value for value in values], lsl=-80, usl=60)
    for one, other in (
        (mirrored.within.lower, ours.within.upper),
        (mirrored.within.nearer, ours.within.nearer),
        (mirrored.overall.target, ours.overall.target),
    ):
        assert one is not None
        assert other is not None
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-9)
    assert mirrored.expected_below_pct == pytest.approx(ours.expected_above_pct)


def indices(found: Capability) -> list[float]:
    flat: list[float] = []
    for key, value in found.figures().items():
        if key[:2] in ("Cp", "Pp"):
            flat += value if isinstance(value, list) else []
    return flat


def test_one_sided_specifications_leave_null_what_they_do_not_define() -> None:
    lower = capability(RINGS, lsl=73.95, target=74).figures()
    for key in ("Cp", "Cpm", "Cpu", "Pp", "Ppm", "Ppu", "Cp_ci", "exp_above_pct", "obs_above_pct"):
        assert lower[key] is None, key
    assert lower["Cpk"] == lower["Cpl"]
    assert lower["Cpk_ci"] != lower["Cpl_ci"]  # two-sided against one-sided bounds


def test_a_centre_on_the_limit_and_beyond_it() -> None:
    values = [1.0, 2.0, 3.0, 2.0, 1.0, 3.0]
    at = capability(values, usl=2.0)
    assert at.within.nearer.value == 0
    assert at.within.nearer.low == pytest.approx(-at.within.nearer.high)
    assert at.expected_above_pct == pytest.approx(50)
    out = capability(values, usl=1.0).within.nearer
    assert out.low < out.value < 0
    assert out.value < out.high


# -- normality and percentiles -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("seed", range(3))
def test_anderson_darling_is_scipys(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for values in (generator.normal(5, 2, 60), generator.exponential(1, 40), generator.uniform(size=9)):
        found = anderson_darling(values)
        assert found is not None
        assert found.a2 == pytest.approx(float(stats.anderson(values, "norm").statistic), rel=1e-9)


def test_anderson_darling_p_values_are_those_of_the_table() -> None:
    # D'Agostino and Stephens 1986, table 4.7: upper tail points of A2* with both parameters estimated
    from spc.normality import _p_value

    for point, tail in ((0.341, 0.5), (0.470, 0.25), (0.561, 0.15), (0.631, 0.1), (0.752, 0.05), (1.035, 0.01)):
        assert _p_value(point) == pytest.approx(tail, rel=0.05)
    assert [_p_value(x) for x in (0.1, 0.3, 0.5, 1, 3, 13)] == sorted(
        (_p_value(x) for x in (0.1, 0.3, 0.5, 1, 3, 13)), reverse=True
    )


def test_where_normality_fails_percentiles_answer_if_there_are_values_enough() -> None:
    generator = np.random.default_rng(3)
    values = generator.exponential(1.0, 2_000)
    found = capability(values.tolist(), lsl=-0.5, usl=8.0)
    assert found.normal is False
    assert "not-normal" in found.cautions
    by = found.by_percentiles
    assert by is not None
    low, median, high = (stats.expon.ppf(q) for q in (0.00135, 0.5, 0.99865))
    assert by.both == pytest.approx(8.5 / (high - low), rel=0.15)
    assert by.lower == pytest.approx((median + 0.5) / (median - low), rel=0.1)
    assert by.nearer == min(by.lower, by.upper)
    few = capability(values[:740].tolist(), lsl=-0.5, usl=8.0)
    assert few.normal is False
    assert few.by_percentiles is None
    assert few.figures()["Ppk_percentile"] is None
    one_sided = capability(values.tolist(), usl=8.0).by_percentiles
    assert one_sided is not None
    assert (one_sided.both, one_sided.lower) == (None, None)
    normal = capability(generator.normal(size=2_000).tolist(), lsl=-4, usl=4)
    assert normal.normal is True
    assert normal.by_percentiles is None


def test_percentiles_of_a_normal_sample_are_three_sigmas() -> None:
    found = percentiles(np.asarray(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)))
    assert found is not None
    assert (found.low, found.median, found.high) == pytest.approx((-3, 0, 3), abs=0.01)


def test_values_that_are_nearly_all_the_same_have_no_percentile_indices() -> None:
    values = [1.0] * 900 + [1.5, 1.6] * 5
    found = capability(values, lsl=0, usl=2)
    assert found.normal is False
    assert found.by_percentiles is None


# -- preconditions and refusals ----------------------------------------------------------------------------


def test_preconditions_are_told() -> None:
    good = capability(RINGS[:25], lsl=73.95, usl=74.05)
    assert (good.signals, good.cautions, good.normal) == ((), (), True)
    shifted = capability(RINGS, lsl=73.95, usl=74.05)  # the rings' second part drifts upwards
    assert shifted.cautions[0] == "unstable"
    assert set(shifted.signals) >= {38, 39}
    few = capability([1.0, 1.2, 0.9, 1.1, 1.0], usl=2)
    assert few.cautions == ("few-values", "normality-unknown")
    wide = capability([[1.0, 1.1], [1.0, 1.1], [1.05, 1.0], [1.0, 1.8], *[[1.0, 1.1], [1.05, 1.0]] * 12], usl=3)
    assert wide.signals == (4,)
    centre, reach = good.centre, 3 * good.sigma_within / math.sqrt(5)
    drawn = capability(RINGS[:25], lsl=centre - reach, usl=centre + reach)
    assert drawn.cautions == ("specification-is-control-limits",)


@pytest.mark.parametrize(
    ("points", "given_", "says"),
    [
        ([1.0, 2.0, 3.0], {}, "give lsl or usl"),
        ([1.0, 2.0, 3.0], {"lsl": 2, "usl": 2}, "lsl must be below usl"),
        ([1.0, 2.0, 3.0], {"usl": math.inf}, "usl must be a finite number"),
        ([1.0, 2.0, 3.0], {"usl": 3, "target": math.nan}, "target must be a finite number"),
        ([1.0, 1.0, 1.0], {"usl": 3}, "sigma is 0"),
        ([[1.0, 1.0], [2.0, 2.0]], {"usl": 3}, "sigma is 0"),
        ([1.0, 2.0], {"usl": 3}, "at least 3 values"),
        ([], {"usl": 3}, "no points are left"),
        ([1.0, math.nan, 2.0], {"usl": 3}, "point 2 is no list of finite values"),
        ([[1.0, 2.0], []], {"usl": 3}, "point 2 is no list of finite values"),
        ([[1.0, 2.0], 3.0], {"usl": 3}, "not both"),
        ([1.0, 2.0, 3.0], {"usl": 3, "sigma": "rbar"}, "subgroups of at least two"),
        ([[1.0, 2.0], [2.0, 3.0]], {"usl": 3, "sigma": "mrbar"}, "for single values"),
        ([1.0, 2.0, 3.0], {"usl": 3, "sigma": "sd"}, "no estimate within subgroups"),
        ([1.0, 2.0, 3.0], {"usl": 3, "exclude": [2]}, "neighbouring values"),
        ([1.0, 2.0, 3.0], {"usl": 3, "exclude": [4]}, "exclude lists points from 1 to 3"),
        ([1.0, 2.0, 3.0], {"usl": 3, "phase1": 4}, "phase1 counts the first points"),
        ([1.0, 2.0, 3.0], {"usl": 3, "confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_answered_is_refused(points: Any, given_: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        capability(points, **given_)
