"""Every published I-MR and X-bar/R case we have, and qcc's own cases for the Nelson rules."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spc.charts import ChartResult, Estimator, imr, xbar_r
from spc.constants import Factors, d3, factors, median_factors
from spc.rules import Signal, evaluate

REFERENCE = Path(__file__).parents[2] / "data" / "spc_reference.json"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case for case in json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
}


def meets(printed: str, value: float) -> bool:
    """Whether the value rounds to the printed figure."""
    figure = Decimal(printed)
    half = Decimal(5).scaleb(int(figure.as_tuple().exponent) - 1)
    return abs(Decimal(value) - figure) <= half + Decimal("1e-12")


def assert_meets(case_id: str, result: ChartResult, *, but: tuple[str, ...] = ()) -> None:
    limits, mr = result.limits, "r" if result.limits.chart == "xbar_r" else "mr"
    got = {
        "cl": limits.centre,
        "lcl": limits.lower,
        "ucl": limits.upper,
        "sigma": limits.sigma_within,
        f"{mr}_cl": limits.range_centre,
        f"{mr}_lcl": limits.range_lower,
        f"{mr}_ucl": limits.range_upper,
    }
    published = CASES[case_id]["published"]
    figures = {key: value for key, value in published.items() if isinstance(value, str) and key not in but}
    assert {key for key, value in figures.items() if not meets(value, got[key])} == set()
    assert len(figures) >= 4
    assert one_based(result.location_signals) == published.get("signals", one_based(result.location_signals))
    assert one_based(result.range_signals) == published.get("mr_signals", one_based(result.range_signals))


def one_based(signals: tuple[Signal, ...]) -> list[int]:
    return [signal.index + 1 for signal in signals if signal.rule == "nelson1"]


def test_no_case_is_left_out() -> None:
    assert {name for name, case in CASES.items() if case["chart"] in ("imr", "xbar_r", "rules")} == {
        "qcc_pistonrings_xbar_r",
        "mont_6_5_mortgage_imr",
        "qcc_viscosity_sd",
        "wheeler_p382_verify",
        "wheeler_p145_median_mr",
        "statprocon_small",
        "qcc_rules_nelson",
    }


def test_montgomery_6_5_mortgage_loans() -> None:
    """Montgomery, Example 6.5/6.6: textbook constants, limits from the first 20, signals at 39 and 40."""
    case = CASES["mont_6_5_mortgage_imr"]
    result = imr(case["data"]["values"], phase1=20, constants="textbook")
    assert_meets(case["id"], result)
    exact = imr(case["data"]["values"], phase1=20).limits
    assert (exact.upper, exact.lower) == pytest.approx((321.20972394, 279.79027606), abs=1e-8)
    assert exact.range_upper == pytest.approx(25.44456442, abs=1e-8)


def test_qcc_piston_rings() -> None:
    """R qcc 3.0, quick tour: d2 rounded to three decimals, limits from 25 of 40 subgroups."""
    case = CASES["qcc_pistonrings_xbar_r"]
    rounded = Factors.derived(5, d2=2.326, d3=d3(5), source="qcc: d2 2.326")
    result = xbar_r(case["data"]["subgroups"], phase1=25, constants=rounded)
    assert_meets(case["id"], result, but=("r_ucl",))
    # qcc's own d3 differs in the seventh digit: 0.04812533 printed, 0.04812523 with the exact one
    assert result.limits.range_upper == pytest.approx(0.04812533, abs=1.1e-7)
    assert one_based(result.location_signals) == [37, 38, 39]
    assert result.range_signals == ()
    assert result.limits.constants == "qcc: d2 2.326"
    exact = xbar_r(case["data"]["subgroups"], phase1=25).limits
    assert exact.sigma_within == pytest.approx(0.009785337607, abs=1e-12)


def test_qcc_viscosity() -> None:
    """R qcc 3.0, quick tour: sigma from the overall standard deviation."""
    case = CASES["qcc_viscosity_sd"]
    estimator: Estimator = "sd"
    assert_meets(case["id"], imr(case["data"]["values"], estimator=estimator))


def test_wheeler_p382_software_check() -> None:
    """Wheeler, Making Sense of Data, p. 382: factors 2.66 and 3.268."""
    case = CASES["wheeler_p382_verify"]
    wheeler = replace(factors(2), E2=2.66, D4=3.268, source="Wheeler")
    assert_meets(case["id"], imr(case["data"]["values"], constants=wheeler))


def test_wheeler_p145_median_moving_range() -> None:
    """Wheeler, Making Sense of Data, p. 145; the book's LCL 0.87 is 7.47 - 6.60, both rounded before."""
    case = CASES["wheeler_p145_median_mr"]
    wheeler = replace(median_factors(), E2=3.145, D4=3.865, source="Wheeler")
    result = imr(case["data"]["values"], estimator="median_range", constants=wheeler)
    assert_meets(case["id"], result, but=("lcl",))
    assert result.limits.lower == pytest.approx(0.862167, abs=1e-6)
    textbook = imr(case["data"]["values"], estimator="median_range", constants="textbook").limits
    assert (textbook.lower, textbook.range_upper) == (result.limits.lower, result.limits.range_upper)


def test_statprocon_three_points() -> None:
    """statprocon, tests/test_xmr.py::test_repr."""
    case = CASES["statprocon_small"]
    wheeler = replace(factors(2), E2=2.66, D4=3.268, source="Wheeler")
    assert_meets(case["id"], imr(case["data"]["values"], constants=wheeler))


@pytest.mark.parametrize("series", ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n8b", "alt"])
def test_qcc_nelson_rules(series: str) -> None:
    """R qcc 3.0, tests/testthat/test-rules.R: NEL1 (a point on the limit is none) to NEL8 (both sides)."""
    case = CASES["qcc_rules_nelson"]
    given = case["data"][series]
    found = evaluate([f"nelson{given['rule']}"], given["z"], centre=0, lower=-3, upper=3)
    assert [signal.index + 1 for signal in found] == case["published"][series]
