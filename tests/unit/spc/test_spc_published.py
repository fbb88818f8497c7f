"""Every published figure we have, to its last printed digit; where a source differs from itself, its difference.

The cases are those of tests/data: data, parameters and figures, each with where it was published and where it was
read. What a case is about and why a figure differs stands in its `notes`.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spc.attributes import counts
from spc.charts import ChartResult, Floats, Plotted
from spc.constants import factors, median_factors, with_factors
from spc.hotelling import phase1_limit, phase2_limit
from spc.limits import Chart, Design
from spc.mewma_arl import decision_interval, mewma_arl, mewma_interval
from spc.multivariate import t2_individuals, t2_subgroup
from spc.rules import evaluate
from spc.study import study
from spc.variables import imr, means, t
from spc.weighted import cusum, ewma

DATA = Path(__file__).parents[2] / "data"
REFERENCE, MORE = (
    json.loads((DATA / name).read_text(encoding="utf-8"))["cases"]
    for name in ("spc_reference.json", "spc_more.json")
)
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in (*REFERENCE, *MORE)}
ELSEWHERE = ("capability", "arl")
"""Kinds of cases that the tests of capability and of run lengths hold."""


def meets(printed: str, value: float) -> bool:
    """Whether the value rounds to the printed figure."""
    figure = Decimal(printed)
    half = Decimal(5).scaleb(int(figure.as_tuple().exponent) - 1)
    return abs(Decimal(value) - figure) <= half + Decimal("1e-12")


def assert_meets(case_id: str, got: Mapping[str, Any], *, but: Mapping[str, Sequence[int]] = {}) -> None:
    """All published figures of the case; `but` names those that differ, of lists the places (from 1) that do."""
    published = CASES[case_id]["published"]
    assert published.keys() <= got.keys()
    missed: dict[str, list[int]] = {}
    for key, figure in published.items():
        if key.endswith("signals") or key.startswith("signals"):
            assert got[key] == figure, key
            continue
        printed, values = ([figure], [got[key]]) if isinstance(figure, str) else (figure, list(got[key]))
        assert len(values) >= len(printed), key
        wrong = [
            n for n, (text, value) in enumerate(zip(printed, values, strict=False), 1) if not meets(text, value)
        ]
        if wrong:
            missed[key] = wrong
    assert missed == {key: list(wrong) for key, wrong in but.items()}


def constants_of(case: Mapping[str, Any]) -> str:
    decimals = case["params"].get("d2_round")
    return f"d2 of {decimals} decimals" if decimals else case["params"].get("constants", "exact")


def one_based(plotted: Plotted) -> list[int]:
    return [signal.index + 1 for signal in plotted.signals]


def beyond(points: Floats, lower: Floats, upper: Floats) -> list[int]:
    return (np.flatnonzero((points < lower) | (points > upper)) + 1).tolist()


def told(result: ChartResult, spread: str = "mr") -> dict[str, Any]:
    """The figures of a chart of location and spread by the names of the cases."""
    limits = result.limits
    figures: dict[str, Any] = {
        "cl": limits.centre,
        "lcl": float(result.location.lower[0]),
        "ucl": float(result.location.upper[0]),
        "lcl_by_group": result.location.lower,
        "ucl_by_group": result.location.upper,
        "sigma": limits.sigma_within,
        "sigma_z": limits.sigma_z,
        "signals": one_based(result.location),
    }
    if result.spread is not None:
        figures |= {
            f"{spread}_cl": limits.range_centre,
            f"{spread}_lcl": limits.range_lower,
            f"{spread}_ucl": limits.range_upper,
            f"{spread}_ucl_by_group": result.spread.upper,
            f"{spread}_signals": one_based(result.spread),
        }
    return figures


def weighed(result: ChartResult) -> dict[str, Any]:
    """The figures of an EWMA by the names of the cases."""
    z, extras = result.location.points, result.extras
    return {
        "ewma": z,
        "cl": result.limits.centre,
        "sigma": result.limits.sigma_within,
        "lcl_exact": extras["lower_exact"],
        "ucl_exact": extras["upper_exact"],
        "lcl_inf": float(extras["lower_settled"][0]),
        "ucl_inf": float(extras["upper_settled"][0]),
        "signals_exact": beyond(z, extras["lower_exact"], extras["upper_exact"]),
        "signals_inf": beyond(z, extras["lower_settled"], extras["upper_settled"]),
    }


ONE = ("nelson1",)


# -- individuals ------------------------------------------------------------------------------------------------


def test_montgomery_6_5_mortgage_loans() -> None:
    """Montgomery, Example 6.5/6.6: textbook constants, limits from the first 20, signals at 39 and 40."""
    case = CASES["mont_6_5_mortgage_imr"]
    values = case["data"]["values"]
    printed = with_factors(factors(2), d2=case["params"]["d2"], D4=case["params"]["D4"])
    assert_meets(case["id"], told(imr(values, phase1=20, constants=printed, rules=ONE)))
    assert_meets(case["id"], told(imr(values, phase1=20, constants="textbook", rules=ONE)))
    exact = imr(values, phase1=20).limits
    assert (exact.upper, exact.lower) == pytest.approx((321.20972394, 279.79027606), abs=1e-8)
    assert exact.range_upper == pytest.approx(25.44456442, abs=1e-8)


def test_sas_jet_engines() -> None:
    """SAS/QC, IRCHART: diameters of jet engines, exact constants."""
    case = CASES["sas_jets_imr"]
    assert_meets(case["id"], told(imr(case["data"]["values"], rules=ONE)))


def test_qcc_viscosity() -> None:
    """R qcc 3.0, quick tour: sigma from the overall standard deviation."""
    case = CASES["qcc_viscosity_sd"]
    assert_meets(case["id"], told(imr(case["data"]["values"], method="sd/c4")))


def test_wheeler_p382_software_check() -> None:
    """Wheeler, Making Sense of Data, p. 382: factors 2.66 and 3.268."""
    case = CASES["wheeler_p382_verify"]
    result = imr(case["data"]["values"], constants=with_factors(factors(2), E2=2.66, D4=3.268))
    assert_meets(case["id"], told(result))
    assert result.limits.constants == "exact, D4 3.268, E2 2.66"


def test_wheeler_p145_median_moving_range() -> None:
    """Wheeler, Making Sense of Data, p. 145; the book's LCL 0.87 is 7.47 - 6.60, both rounded before."""
    case = CASES["wheeler_p145_median_mr"]
    values = case["data"]["values"]
    wheeler = with_factors(median_factors(), E2=3.145, D4=3.865)
    result = imr(values, method="median_mr", constants=wheeler)
    assert_meets(case["id"], told(result), but={"lcl": [1]})
    assert result.limits.lower == pytest.approx(0.862167, abs=1e-6)
    textbook = imr(values, method="median_mr", constants="textbook").limits
    assert (textbook.lower, textbook.range_upper) == (result.limits.lower, result.limits.range_upper)


def test_qcc_viscosity_by_moving_ranges() -> None:
    """R qcc 3.0, quick tour; with batch 4 deleted, a moving range reaches over it."""
    case = CASES["qcc_viscosity_mr"]
    assert_meets(case["id"], told(imr(case["data"]["values"], constants=constants_of(case), rules=ONE)))
    cleaned = CASES["qcc_viscosity_cleaned"]
    assert_meets(cleaned["id"], told(imr(cleaned["data"]["values"], phase1=19, constants=constants_of(cleaned))))
    values = CASES["qcc_viscosity_ewma"]["data"]["values"]
    bridged = imr(values, phase1=20, exclude=[3], bridge=True, constants=constants_of(cleaned))
    assert_meets(cleaned["id"], told(bridged))
    assert imr(values, phase1=20, exclude=[3]).limits.sigma_within < 0.41


def test_qicharts2_montgomery_7_6_valve_failures() -> None:
    """qicharts2's snapshot of Montgomery, Example 7.6: hours between failures, d2 1.128."""
    case = CASES["qicharts2_7_6_t"]
    result = t(case["data"]["values"], constants=with_factors(factors(2), d2=1.128), rules=ONE)
    assert_meets(case["id"], told(result))


def test_statprocon_three_points() -> None:
    """statprocon, tests/test_xmr.py::test_repr."""
    case = CASES["statprocon_small"]
    wheeler = with_factors(factors(2), E2=2.66, D4=3.268)
    assert_meets(case["id"], told(imr(case["data"]["values"], constants=wheeler)))


# -- means ------------------------------------------------------------------------------------------------------


def test_qcc_piston_rings() -> None:
    """R qcc 3.0, quick tour: d2 rounded to three decimals, limits from 25 of 40 subgroups."""
    case = CASES["qcc_pistonrings_xbar_r"]
    subgroups = case["data"]["subgroups"]
    result = means("xbar_r", subgroups, phase1=25, constants="d2 of 3 decimals", rules=ONE)
    assert_meets(case["id"], told(result, "r"), but={"r_ucl": [1]})
    # qcc's own d3 differs in the seventh digit: 0.04812533 printed, 0.04812523 with the exact one
    assert result.limits.range_upper == pytest.approx(0.04812533, abs=1.1e-7)
    assert one_based(result.location) == [37, 38, 39]
    assert result.spread is not None
    assert result.spread.signals == ()
    exact = means("xbar_r", subgroups, phase1=25).limits
    assert exact.sigma_within == pytest.approx(0.009785337607, abs=1e-12)


def test_sas_wafers() -> None:
    """SAS/QC, XRCHART: diameters of wafers, exact constants."""
    case = CASES["sas_wafers_xbar_r"]
    assert_meets(case["id"], told(means("xbar_r", case["data"]["subgroups"]), "r"))


def test_qicharts2_montgomery_6_3() -> None:
    """qicharts2's snapshot of Montgomery, Example 6.3: means and standard deviations."""
    case = CASES["qicharts2_6_3_xbar_s"]
    assert_meets(case["id"], told(means("xbar_s", case["data"]["subgroups"]), "s"))


def test_qicharts2_montgomery_6_4_sizes_that_vary() -> None:
    """qicharts2's snapshot of Montgomery, Example 6.4: the pooled deviation taken as s-bar, limits by subgroup."""
    case = CASES["qicharts2_6_4_variable_n"]
    result = means("xbar_s", case["data"]["subgroups"], method="pooled")
    assert_meets(case["id"], told(result, "s"))
    assert result.limits.sigma_within == pytest.approx(case["recomputed"]["sigma"], rel=1e-12)


def test_qcc_standard_deviations() -> None:
    """R qcc 3.0, quick tour: the chart of standard deviations of the piston rings."""
    case = CASES["qcc_pistonrings_s"]
    assert_meets(case["id"], told(means("xbar_s", case["data"]["subgroups"]), "s"))


def test_montgomery_6_1_flow_width() -> None:
    """Montgomery, Example 6.1: textbook constants, limits from 25 of 45 subgroups, signals at 43 and 45."""
    case = CASES["spckit_flow_width"]
    result = means("xbar_r", case["data"]["subgroups"], phase1=25, constants="textbook", rules=ONE)
    # the book's R-bar, 0.32521, is not that of its table, 0.325168
    assert_meets(case["id"], told(result, "r"), but={"r_cl": [1], "r_ucl": [1]})
    assert result.limits.range_centre == pytest.approx(0.325168, abs=1e-9)


def test_qcc_ryan_one_variable() -> None:
    """R qcc 3.0, mqcc: Ryan's second variable alone."""
    case = CASES["qcc_ryan_x2"]
    assert_meets(case["id"], told(means("xbar_r", case["data"]["subgroups"], constants=constants_of(case)), "r"))


# -- counts -----------------------------------------------------------------------------------------------------

COUNTS = [case["id"] for case in CASES.values() if case["chart"] in ("p", "np", "c", "u", "laney_p", "laney_u")]


@pytest.mark.parametrize("case_id", COUNTS)
def test_counts(case_id: str) -> None:
    """qcc's tour (orange juice, circuits, computers), Montgomery 7.4, 7.5, SAS's trucks, fabric and circuits."""
    case = CASES[case_id]
    data, params = case["data"], case["params"]
    chart: Chart = case["chart"]
    out = [place - 1 for place in params.get("exclude", ())]
    result = counts(chart, data["counts"], data.get("sizes"), phase1=params.get("phase1"), exclude=out, rules=ONE)
    assert_meets(case_id, told(result))
    for key in ("cl", "lcl", "ucl", "signals", "sigma_z"):
        if key in case.get("recomputed", ()):
            assert told(result)[key] == pytest.approx(case["recomputed"][key], rel=1e-9), key


# -- EWMA and CUSUM ---------------------------------------------------------------------------------------------

EWMA_DIFFERENCES: dict[str, dict[str, list[int]]] = {
    # the handbook rounds sqrt(lam / (2 - lam)) to 0.4201
    "nist_6324_ewma": {"lcl_inf": [1]},
    # their list is cut off, not rounded, at six digits
    "spckit_ewma_estimated": {"ewma": [4, 5, 6, 9, 10, 11, 13, 15, 17, 20, 21, 22, 23, 25, 29, 30]},
    # values are printed with seven digits, their average starts from more
    "ross_13_6c_ewma": {"ewma": [2, 6], "lcl_inf": [1]},
}


@pytest.mark.parametrize("case_id", [case["id"] for case in CASES.values() if case["chart"] == "ewma"])
def test_ewma(case_id: str) -> None:
    """NIST 6.3.2.4, spc-kit, qcc's piston rings, viscosity and its own tests, Ross 13.6c, Montgomery 9.2."""
    case = CASES[case_id]
    data, params = case["data"], case["params"]
    result = ewma(
        data.get("subgroups") or data["values"],
        design=Design(lam=params["lam"], width=params["L"]),
        target=params.get("target"),
        sigma=params.get("sigma0"),
        phase1=params.get("phase1"),
        method=params.get("sigma"),
        constants=constants_of(case),
    )
    assert_meets(case_id, weighed(result), but=EWMA_DIFFERENCES.get(case_id, {}))
    for key in ("ewma", "lcl_exact", "ucl_exact", "lcl_inf", "ucl_inf", "signals_exact", "signals_inf"):
        if "recomputed" in case:
            assert weighed(result)[key] == pytest.approx(case["recomputed"][key], rel=1e-9), key


@pytest.mark.parametrize("case_id", [case["id"] for case in CASES.values() if case["chart"] == "cusum"])
def test_cusum(case_id: str) -> None:
    """qcc's tests (a sum on h is no signal; sizes that vary), Lucas and Crosier 1982, SAS oil, Montgomery 9.1."""
    case = CASES[case_id]
    data, params = case["data"], case["params"]
    design = Design(k=params["k"], h=params["h"], headstart=params.get("headstart", 0.0))
    result = cusum(
        data.get("subgroups") or data["values"],
        data.get("sizes"),
        design=design,
        target=params.get("target"),
        sigma=params.get("sigma0"),
        phase1=params.get("phase1"),
        constants=constants_of(case),
    )
    assert result.spread is not None
    extras = result.extras
    got = {
        "cl": result.limits.centre,
        "sigma": result.limits.sigma_within,
        "c_plus": result.location.points,
        "c_minus": result.spread.points,
        "n_plus": extras["n_plus"],
        "n_minus": extras["n_minus"],
        "cumulative": extras["cumulative"],
        "means": extras["means"],
        "signals": sorted({*one_based(result.location), *one_based(result.spread)}),
    }
    assert_meets(case_id, got)
    for key, value in case.get("recomputed", {}).items():
        assert got[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key


# -- several variables ------------------------------------------------------------------------------------------


def test_qcc_boiler() -> None:
    """R qcc 3.0, quick tour: 25 observations of 8 variables; phase I 17.4, phase II 70.0."""
    case = CASES["qcc_boiler_t2"]
    result = t2_individuals(case["data"]["rows"], confidence=case["params"]["conf"])
    matrix = np.array(result.limits.covariance)
    got = {
        "center": result.limits.mean,
        "det": float(np.linalg.det(matrix)),
        "cov_diag": np.diag(matrix),
        "ucl_phase1": phase1_limit(8, 25, 1, 0.999),
        "ucl_phase2": phase2_limit(8, 25, 1, 0.999),
    }
    assert_meets(case["id"], got)
    assert result.limits.upper == got["ucl_phase2"]
    assert set(result.location.upper) == {got["ucl_phase1"]}
    assert result.location.points == pytest.approx(case["recomputed"]["t2"], rel=1e-9)
    assert one_based(result.location) == case["recomputed"]["signals"] == [9]


def test_qcc_ryan() -> None:
    """R qcc 3.0, mqcc: Ryan, Table 9.2, 20 subgroups of 4 readings of 2 variables, limits of both phases."""
    case = CASES["qcc_ryan_t2"]
    result = t2_subgroup(case["data"]["vars"])
    matrix = np.array(result.limits.covariance)
    got = {
        "center": result.limits.mean,
        "det": float(np.linalg.det(matrix)),
        "cov_diag": np.diag(matrix),
        "ucl_phase1": float(result.location.upper[0]),
        "ucl_phase2": result.limits.upper,
    }
    assert_meets(case["id"], got)
    assert result.limits.covariance[0][1] == pytest.approx(103.11667, abs=5e-6)


def test_intervals_of_a_mewma() -> None:
    """Rigdon 1995 and Knoth 2017 (in R spc's mewma.crit); Lowry et al. 1992 simulated: at most 0.03 above."""
    assert round(mewma_interval(4, 0.25, 500), 2) == 16.38
    knoth = [round(mewma_interval(3, lam, 1000), 2) for lam in (0.25, 0.2, 0.15, 0.1, 0.05)]
    assert knoth == [15.82, 15.62, 15.31, 14.76, 13.60]
    for variables, printed in {2: 8.66, 3: 10.79, 4: 12.73, 5: 14.56, 10: 22.67}.items():
        assert decision_interval(variables, 0.1) == (printed, "published")
        assert 0 < printed - mewma_interval(variables, 0.1) < 0.03
        assert 200 < mewma_arl(variables, 0.1, printed) < 202.3
    assert decision_interval(6, 0.1) == (mewma_interval(6, 0.1), "computed")
    # one variable: a two-sided EWMA, Lucas and Saccucci 1990
    assert mewma_arl(1, 0.2, 2.962**2) == pytest.approx(499.74, abs=0.005)
    assert mewma_arl(1, 0.5, 3.071**2) == pytest.approx(499.906, abs=0.001)


# -- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CASES["qcc_rules_nelson"]["data"]))
def test_qcc_nelson(name: str) -> None:
    """R qcc 3.0, tests/testthat/test-rules.R: NEL1 to NEL8; a point on the limit is none, a tie breaks a trend."""
    case = CASES["qcc_rules_nelson"]
    told_ = case["data"][name]
    signals = evaluate(
        [f"{told_['set']}{told_['rule']}"], told_["z"], centre=0.0, lower=-3.0, upper=3.0, sigma=1.0
    )
    assert [signal.index + 1 for signal in signals] == case["published"][name]


def test_minitab_runs_all_eight_tests() -> None:
    """Minitab, Example of I-MR chart: which points complete which test, on Wheeler's data of 45 batches."""
    case = CASES["minitab_weight_rules"]
    assert_meets(case["id"], study({key: case[key] for key in ("chart", "data", "params")}))


ARL_DIFFERENCES: dict[str, dict[str, list[int]]] = {
    "arl_lucas_crosier_1982": {"fir_mu3": [1]},  # 1.32 of a Markov chain; simulated 1.3248 +- 0.0004
    "arl_vance_1986": {"mu-0.25": [1]},  # 2071.51 for 2071.57
    "arl_crowder_1987": {"lam0.5_mu1.25": [1], "lam0.5_mu2": [1]},  # 3.95 for 3.59, a misprint; 1.94 for 1.945
}


@pytest.mark.parametrize("case_id", [case["id"] for case in MORE if case["chart"] == "arl"])
def test_tables_of_run_lengths(case_id: str) -> None:
    """Champ and Woodall 1987, Lucas and Crosier 1982, Vance 1986, Crowder 1987, Lucas and Saccucci 1990."""
    answer = study({"chart": "arl", "data": CASES[case_id]["data"]})
    assert_meets(case_id, answer, but=ARL_DIFFERENCES.get(case_id, {}))


def test_no_case_is_left_out() -> None:
    whole = {"p", "np", "c", "u", "laney_u", "ewma", "cusum", *ELSEWHERE}
    source = Path(__file__).read_text(encoding="utf-8")
    missing = [
        case["id"] for case in CASES.values() if case["chart"] not in whole and f'"{case["id"]}"' not in source
    ]
    assert missing == []
    assert len(CASES) == 33 + 28
