"""The study of every published case, figure by figure; what a request may say; what is refused, and where."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from spc.study import STUDIES, RequestError, studied, study

REFERENCE = Path(__file__).parents[2] / "data" / "spc_reference.json"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case for case in json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
}
VALUES = [9.8, 10.1, 10.0, 10.3, 9.9, 10.2, 10.0, 12.5, 9.7, 10.1]


def agrees(found: object, expected: object) -> bool:
    """Equal to 1e-9, lists element by element; null only where null is expected."""
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(agrees(*pair) for pair in zip(found, expected, strict=True))
        )
    if expected is None or isinstance(expected, bool | str):
        return found == expected
    return isinstance(found, int | float) and math.isclose(
        found, float(str(expected)), rel_tol=1e-9, abs_tol=1e-12
    )


def request_of(case: dict[str, Any]) -> dict[str, Any]:
    return {key: case[key] for key in ("chart", "data", "params")}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_figure_of_every_published_case(case: dict[str, Any]) -> None:
    answer = study(request_of(case))
    expected = {key: value for key, value in case["recomputed"].items() if not key.startswith("exact_")}
    assert expected
    assert {key for key, value in expected.items() if key not in answer or not agrees(answer[key], value)} == set()
    json.dumps(answer, allow_nan=False)


def test_no_case_is_left_out_and_a_case_is_a_request() -> None:
    assert len(CASES) == 33
    whole = CASES["mont_6_5_mortgage_imr"]
    assert study(whole) == study(request_of(whole))


def ask(chart: str, data: object, /, **params: object) -> dict[str, Any]:
    return study({"chart": chart, "data": data, "params": params})


def test_a_request_needs_no_params() -> None:
    assert study({"chart": "imr", "data": {"values": VALUES}})["signals"] == [8]


def test_gaps_break_moving_ranges_and_are_null_in_the_answer() -> None:
    gapped = [*VALUES[:4], None, math.nan, *VALUES[4:]]
    answer = ask("imr", {"values": gapped})
    assert answer["cl"] == ask("imr", {"values": VALUES})["cl"]
    assert answer["mrbar"] != ask("imr", {"values": VALUES})["mrbar"]
    smooth = ask("ewma", {"values": gapped}, target=10, sigma0=0.5)
    assert smooth["ewma"][4:6] == [None, None]
    plain = ask("ewma", {"values": VALUES}, target=10, sigma0=0.5)["ewma"]
    assert [z for z in smooth["ewma"] if z is not None] == plain


def test_centre_and_sigma_of_individuals_are_chosen() -> None:
    by_median = ask("imr", {"values": VALUES}, center="median", sigma="median_mr")
    assert by_median["cl"] == pytest.approx(10.05)
    assert by_median["sigma"] == pytest.approx(by_median["mrmed"] / 0.953872552)
    by_sd = ask("imr", {"values": VALUES}, sigma="sd")
    assert by_sd["ucl"] == pytest.approx(by_sd["cl"] + 3 * by_sd["sd"])
    textbook = ask("imr", {"values": VALUES}, constants="textbook")
    assert textbook["ucl"] == pytest.approx(textbook["cl"] + 2.66 * textbook["mrbar"], rel=1e-3)


def test_factors_of_a_mean_range_do_not_divide_a_median_one() -> None:
    """0.953873 is the median's; no d2 is below 1.128, so that a smaller one is meant for the median."""
    exact = ask("imr", {"values": VALUES}, sigma="median_mr")
    for told in ({"d2_round": 3}, {"d2": 1.128}):
        rounded = ask("imr", {"values": VALUES}, sigma="median_mr", **told)
        assert rounded["sigma"] == exact["sigma"]
        assert rounded["mr_ucl"] == pytest.approx((1.128 + 3 * 0.852502) / 0.953873 * exact["mrmed"], rel=1e-6)
    own = ask("imr", {"values": VALUES}, sigma="median_mr", d2=0.954)
    assert own["sigma"] == own["mrmed"] / 0.954
    assert own["mr_ucl"] == pytest.approx(exact["mr_ucl"] * 0.953873 / 0.954, rel=1e-6)


def test_a_gap_counts_among_the_first_points_as_one_that_is_left_out_does() -> None:
    gapped = [*VALUES[:3], None, *VALUES[4:]]
    answer = ask("imr", {"values": gapped}, phase1=7)
    assert answer["cl"] == ask("imr", {"values": VALUES}, phase1=7, exclude=[4])["cl"]
    assert ask("imr", {"values": gapped}, phase1=10)["cl"] == ask("imr", {"values": gapped})["cl"]
    capable = ask("capability", {"values": gapped}, phase1=7, usl=12)
    assert (capable["center"], capable["sigma_within"]) == (answer["cl"], answer["sigma"])
    with pytest.raises(RequestError, match="phase I needs at least 2 points that are no gaps, got 1"):
        ask("imr", {"values": [None, 1, 2, 3, 5]}, phase1=2)


UNEVEN = [[10.1, 10.3, 9.8], [9.9, 10.4], [10.0, 10.2, 10.1, 9.6], [10.2, 9.7]]


def test_charts_of_both_kinds_take_the_pooled_deviation_for_s_bar() -> None:
    by_range, by_s = (ask(chart, {"subgroups": UNEVEN}, sigma="pooled") for chart in ("xbar_r", "xbar_s"))
    assert by_range == by_s
    assert by_range["ucl"] == pytest.approx(by_range["cl"] + 1.954410 * by_range["sigma"], rel=1e-6)


def test_where_sizes_vary_a_centre_is_null_and_ranges_stay_with_ranges() -> None:
    answer = ask("xbar_r", {"subgroups": UNEVEN})
    assert (answer["r_cl"], answer["s_cl"]) == (None, None)
    by_s = ask("xbar_r", {"subgroups": UNEVEN}, sigma="sbar")
    assert by_s["sigma"] != answer["sigma"]
    assert by_s["r_ucl_by_group"] == answer["r_ucl_by_group"]


def test_excluded_points_stay_out_of_the_limits_are_judged_and_may_say_why() -> None:
    plain = ask("imr", {"values": VALUES}, exclude=[8])
    told = studied({"chart": "imr", "data": {"values": VALUES}, "params": {"exclude": {"8": "tool broke"}}})
    assert told.answer == plain
    assert plain["signals"] == [8]
    assert plain["cl"] == pytest.approx(sum(v for v in VALUES if v != 12.5) / 9)
    assert told.excluded == {7: "tool broke"}
    bridged = ask("imr", {"values": VALUES}, exclude=[8], bridge=True)
    deleted = ask("imr", {"values": [v for v in VALUES if v != 12.5]})
    assert (bridged["ucl"], bridged["mrbar"]) == (deleted["ucl"], deleted["mrbar"])
    assert plain["mrbar"] != bridged["mrbar"]


def test_limits_that_are_given_judge_and_are_not_estimated() -> None:
    frozen = {"cl": 10, "lcl": 9.75, "ucl": 10.25, "version": "v7"}
    found = studied({"chart": "imr", "data": {"values": VALUES}, "params": {"limits": frozen}})
    assert (found.answer["signals"], found.answer["mrbar"], found.version) == ([4, 8, 9], None, "v7")
    assert found.answer["sigma"] == pytest.approx(0.25 / 3)
    subgroups = {"subgroups": [[10, 10.1], [9.9, 10.2], [10.4, 10.4]]}
    for chart in ("xbar_r", "xbar_s"):
        answer = ask(chart, subgroups, limits={"cl": 10, "lcl": 9.7, "ucl": 10.3})
        assert (answer["ucl"], answer["signals"], answer["rbar"]) == (10.3, [3], None)
        assert answer["sigma"] == pytest.approx(0.1 * math.sqrt(2))
        assert answer["r_cl"] == pytest.approx(1.128379 * answer["sigma"], rel=1e-6)


def test_rules_add_where_each_fired() -> None:
    values = [*VALUES[:7], *[10.5] * 9]
    answer = ask("imr", {"values": values}, phase1=7, rules="nelson")
    assert answer["rule_signals"]["nelson2"] == [16]
    assert set(answer["rule_signals"]) == {f"nelson{n}" for n in range(1, 9)}
    own = ask("imr", {"values": values}, phase1=7, rules=[{"nelson2": {"window": 8}}, "western1"])
    assert own["rule_signals"] == {"nelson2": [15, 16], "western1": []}
    assert "rule_signals" not in ask("imr", {"values": values}, phase1=7)


def test_a_rule_of_other_sigmas_does_not_change_what_is_beyond_the_limits() -> None:
    answer = ask("imr", {"values": VALUES}, rules=[{"nelson1": {"sigmas": 1}}])
    assert answer["signals"] == [8]
    assert len(answer["rule_signals"]["nelson1"]) >= 1


def test_limits_that_vary_are_told_for_each_point_and_the_first_stand_for_all() -> None:
    answer = ask("p", {"counts": [3, 4, 2], "sizes": [50, 60, 50]})
    assert (answer["ucl"], answer["lcl"]) == (answer["ucl_by_group"][0], answer["lcl_by_group"][0])
    assert answer["ucl_by_group"][1] < answer["ucl"]
    assert "ucl_by_group" not in ask("p", {"counts": [3, 4, 2], "sizes": 50})
    assert ask("np", {"counts": [3, 4, 2], "sizes": [50, 50, 50]})["cl"] == 3
    laney = ask("laney_p", {"counts": [3, 40, 2, 30], "sizes": [50, 60, 50, 60]})
    assert laney["sigma_z"] > 1


def test_times_between_events() -> None:
    answer = ask("t", {"values": [10, 200, 35, 80, 120, 4000, 60]})
    assert answer["lcl"] == 0
    assert answer["ucl"] == pytest.approx((answer["transformed_cl"] + 3 * answer["sigma"]) ** 3.6)
    assert answer["transformed"][0] == pytest.approx(10 ** (1 / 3.6))


def test_cusum_with_a_headstart_sizes_and_its_estimate_of_the_change() -> None:
    data = {"values": [0.2, -0.1, 1.8, 2.2, 1.9, 2.4]}
    plain = ask("cusum", data, target=0, sigma0=1, k=0.5, h=4)
    assert (plain["signals"], plain["change_point"]) == ([5, 6], 3)
    falling = ask("cusum", {"values": [-v for v in data["values"]]}, target=0, sigma0=1, h=4, rules="nelson1")
    assert (falling["signals"], falling["rule_signals"]) == ([5, 6], {"nelson1": [5, 6]})
    fast = ask("cusum", data, target=0, sigma0=1, k=0.5, h=4, headstart=2)
    assert fast["c_plus"][0] == pytest.approx(1.7)
    means = ask("cusum", {"values": [0.5, 0.5], "sizes": [4, 1]}, target=0, sigma0=1, k=0.5, h=4)
    assert means["c_plus"] == [0.5, 0.5]


def test_ewma_may_start_elsewhere() -> None:
    answer = ask("ewma", {"values": [10, 10]}, target=10, sigma0=1, lam=0.5, L=3, z0=12)
    assert answer["ewma"] == [11, 10.5]


def test_ewma_of_means_that_are_given_with_their_sizes() -> None:
    subgroups = [[10.0, 10.4], [9.0, 9.4, 9.2], [11.0, 11.0]]
    given = {"values": [10.2, 9.2, 11.0], "sizes": [2, 3, 2]}
    params: dict[str, Any] = {"target": 10, "sigma0": 1, "lam": 0.2, "L": 3}
    assert ask("ewma", given, **params) == ask("ewma", {"subgroups": subgroups}, **params)


def test_several_variables() -> None:
    rows = [[math.sin(i), math.cos(i * 1.7)] for i in range(30)]
    answer = ask("mewma", {"rows": rows}, r=0.1, arl0=200)
    assert answer["h4"] == 8.66  # as published; computed: 8.634
    assert ask("mewma", {"rows": rows}, r=0.1, h4=8.66)["ucl"] == 8.66
    variables = [[[r[v], r[v] + 0.1 * math.sin(i * (v + 2))] for i, r in enumerate(rows)] for v in (0, 1)]
    subgroups = ask("t2_subgroup", {"vars": variables})
    assert len(subgroups["t2"]) == 30
    assert subgroups["ucl_phase1"] < subgroups["ucl_phase2"]


def test_short_runs_by_nominal_by_sigma_and_by_themselves() -> None:
    data = {"values": [10.1, 20.3, 9.8, 20.1, 10.0], "parts": ["A", "B", "A", "B", "A"]}
    off = ask("short_run", data, nominal={"A": 10, "B": 20})
    assert off["deviations"] == pytest.approx([0.1, 0.3, -0.2, 0.1, 0.0])
    z = ask("short_run", data, nominal={"A": 10, "B": 20}, sigma={"A": 0.1, "B": 0.2})
    assert (z["z"], z["ucl"]) == (pytest.approx([1, 1.5, -2, 0.5, 0]), 3)
    assert ask("short_run", data)["cl"] == 0


def test_rules_of_a_set_and_run_lengths_share_params() -> None:
    found = ask("rules", {"set": "western", "z": [0, 4, 0]})
    assert found == {"western1": [2], "western2": [], "western3": [], "western4": []}
    sets = {"a": {"rules": "western"}, "b": {"set": "western"}, "c": {"rules": [1], "set": "western"}}
    by_set = ask("arl", sets, f="shewhart")
    assert (by_set["a"], by_set["b"]) == (pytest.approx(91.7508, abs=1e-3), by_set["a"])
    assert by_set["c"] == pytest.approx(370.398, abs=1e-3)
    assert ask("arl", {"f": "shewhart", "mu": 1}) == {"arl": pytest.approx(43.895, abs=1e-3)}
    lengths = ask("arl", {"a": {"mu": 0}, "b": {"mu": 1}}, f="shewhart")
    assert (lengths["a"], lengths["b"]) == (pytest.approx(370.398, abs=1e-3), pytest.approx(43.895, abs=1e-3))


def test_capability_of_values_with_gaps() -> None:
    answer = ask("capability", {"values": [*VALUES, None, *VALUES]}, lsl=8, usl=12, target=10.2)
    assert answer["n"] == 20
    assert answer["Cpk"] == pytest.approx(min(answer["Cpl"], answer["Cpu"]))
    assert "unstable" in answer["cautions"]


ROWS = [[1.0, 2.0], [2.0, 1.5], [1.5, 2.5]]
HUGE = [[1e90 * math.sin(i), 1e90 * math.cos(2 * i)] for i in range(9)]


@pytest.mark.parametrize(
    ("chart", "data", "params", "said"),
    [
        ("imrr", {}, {}, "chart: 'imrr' is no chart; did you mean imr?"),
        ("imr", [1, 2], {}, "data: expected an object, found a list"),
        ("imr", {}, {}, "data: values is missing; found: nothing"),
        ("imr", None, {}, "data: is null"),
        ("imr", {"values": None}, {}, "data.values: is null"),
        ("imr", {"value": [1, 2]}, {}, "data: values is missing; did you mean it by value?"),
        ("imr", {"values": VALUES, "sizes": [1]}, {}, "data.sizes: unknown here; known: values"),
        ("imr", {"values": []}, {}, "data.values: the list is empty"),
        ("imr", {"values": "1,2"}, {}, "data.values: expected a list, found the text '1,2'"),
        ("imr", {"values": [1, "2.5", 3]}, {}, "data.values[1]: expected a number, found the text '2.5'"),
        ("imr", {"values": [1, "NaN", 3]}, {}, "data.values[1]: expected a number, found the text 'NaN'"),
        ("imr", {"values": [1, True]}, {}, "data.values[1]: expected a number, found true"),
        ("imr", {"values": [1, math.inf]}, {}, "data.values[1]: expected a finite number, found inf"),
        ("imr", {"values": [1, 10**400]}, {}, "data.values[1]: expected a finite number, found inf"),
        ("imr", {"values": [1, -1e200]}, {}, "data.values[1]: -1e+200 is too large to be reckoned"),
        ("u", {"counts": [1, 2], "sizes": [1, 1e-300]}, {}, "data.sizes[1]: 1e-300 is too small to be reckoned"),
        ("imr", {"values": [5.0]}, {}, "data: too little to estimate limits from: 1 usable points"),
        ("imr", {"values": [5.0] * 9}, {}, "data: imr: sigma by mean_mr is 0 over 9 points"),
        ("imr", {"values": [None] * 9}, {}, "data: too little to estimate limits from: 0 usable points"),
        ("imr", {"values": VALUES}, {"phase": 5}, "params.phase: unknown here; did you mean phase1?"),
        ("imr", {"values": VALUES}, {"phase1": 50}, "params.phase1: 50 points, but there are 10"),
        ("imr", {"values": VALUES}, {"phase1": 2.5}, "params.phase1: expected a whole number from 2, found 2.5"),
        ("imr", {"values": VALUES}, {"exclude": [0]}, "params.exclude[0]: expected a whole number from 1"),
        ("imr", {"values": VALUES}, {"exclude": [11]}, "params.exclude: there is no point 11, there are 10"),
        ("imr", {"values": VALUES}, {"exclude": "3"}, "params.exclude: expected a list of points, counted from 1"),
        ("imr", {"values": VALUES}, {"sigma": "mbr"}, "params.sigma: 'mbr' is not known here; did you mean mbar?"),
        ("imr", {"values": VALUES}, {"D4": -1}, "params: the factor D4 cannot be -1"),
        ("imr", {"values": VALUES}, {"rules": "nelson9"}, "params.rules: no rule 'nelson9'; did you mean nelson"),
        ("imr", {"values": VALUES}, {"rules": [{"nelson2": {"window": 99}}]}, "params.rules: nelson2: 99 of 99"),
        ("imr", {"values": VALUES}, {"rules": "nelson2,nelson2"}, "params.rules: nelson2 is there twice"),
        ("imr", {"values": VALUES}, {"limits": {"cl": 1}}, "params.limits: lcl is missing; did you mean"),
        ("imr", {"values": VALUES}, {"limits": {"cl": 1, "lcl": 2, "ucl": 0}}, "params.limits: fixed limits need"),
        ("imr", {"values": VALUES}, {"limits": {"cl": 1, "lcl": 0, "ucl": 2}, "phase1": 5}, "data: limits are"),
        ("xbar_r", {"subgroups": [[1, 2], [3]]}, {}, "data.subgroups[1]: 1 value: a subgroup needs at least 2"),
        ("xbar_r", {"subgroups": [[1, 2], []]}, {}, "data.subgroups[1]: the list is empty"),
        ("xbar_r", {"subgroups": [[1, 2], 3]}, {}, "data.subgroups[1]: expected a list, found the number 3"),
        ("xbar_r", {"subgroups": [[1, 2], [3, "x"]]}, {}, "data.subgroups[1][1]: expected a number"),
        ("xbar_s", {"subgroups": [[1, 1], [1, 1]]}, {}, "data: xbar_r: the readings within each subgroup"),
        ("p", {"counts": [1, 2]}, {}, "data: sizes is missing; found: counts"),
        ("p", {"counts": [1, 2], "sizes": [5]}, {}, "data.sizes: 1 sizes, but 2 counts"),
        ("p", {"counts": [1, 9], "sizes": [5, 5]}, {}, "data: point 2: 9 nonconforming of 5 is impossible"),
        ("p", {"counts": [1, -1], "sizes": [5, 5]}, {}, "data: point 2: a count is a whole number from 0, not -1"),
        ("p", {"counts": [1, 2], "sizes": [5, 0]}, {}, "data.sizes[1]: the size of a sample must be above 0"),
        ("p", {"counts": [0, 0], "sizes": [5, 5]}, {}, "data: p: no event in 2 points"),
        ("p", {"counts": [1, 2], "sizes": [5, 9.5]}, {}, "data.sizes[1]: the size of a sample must be above 0"),
        ("laney_p", {"counts": [1, 2], "sizes": 9.5}, {}, "data.sizes: the size of a sample must be above 0"),
        ("c", {"counts": [1e99, 3]}, {}, "data: c: a mean of 5e+98 is too large for floating point"),
        ("np", {"counts": [1, 2], "sizes": [5, 6]}, {}, "data: a chart of kind np needs samples of one"),
        ("c", {"counts": [1, 2], "sizes": [5, 5]}, {}, "data.sizes: unknown here; known: counts"),
        ("t", {"values": [1, -2]}, {}, "data: point 2: a time between events cannot be negative"),
        ("ewma", {"values": VALUES}, {"lam": 2}, "params.lam: must be at most 1, got 2"),
        ("ewma", {"values": VALUES}, {"sigma0": 0}, "params.sigma0: must be above 0, got 0"),
        ("cusum", {"values": VALUES}, {"h": 4, "headstart": 5}, "params: needed: width > 0, k >= 0, h > 0, 0 <="),
        ("cusum", {"values": [1, 2], "sizes": [4, 4]}, {"target": 0}, "data: cusum: sigma must be given"),
        ("cusum", {"values": [1, 2], "sizes": [4, 1.5]}, {}, "data.sizes[1]: expected a whole number from 1"),
        ("cusum", {"values": [1, 2], "sizes": [4, None]}, {}, "data.sizes[1]: expected a number, found null"),
        ("t2_individuals", {"rows": ROWS[:2]}, {}, "data: 2 points are too few for 2 variables"),
        ("t2_individuals", {"rows": HUGE}, {}, "data: the determinant of the covariance is too large"),
        ("mewma", {"rows": HUGE}, {}, "data: the determinant of the covariance is too large"),
        ("t2_individuals", {"rows": [[1, 2], [1]]}, {}, "data.rows[1]: 1 values, but 2 in the first"),
        ("t2_individuals", {"rows": ROWS}, {"conf": 1}, "params.conf: must be above 0 and below 1, got 1"),
        ("t2_individuals", {"rows": ROWS}, {}, "data: 3 points are too few for 2 variables"),
        ("t2_subgroup", {"vars": [[[1, 2], [3]]]}, {}, "data: variable 1, subgroup 2 has 1 readings, not 2"),
        ("mewma", {"rows": ROWS}, {"h4": 8, "arl0": 200}, "params.arl0: the limit is given by h4 or by arl0"),
        ("capability", {"values": VALUES}, {}, "params: lsl or usl is missing"),
        ("capability", {"values": VALUES}, {"lsl": 5, "usl": 4}, "params.lsl: must be below usl, got 5 and 4"),
        ("capability", {"values": [1]}, {"usl": 20, "conf": 95}, "params.conf: must be above 0 and below 1"),
        ("rules", {"set": "nelso", "z": [1]}, {}, "data.set: 'nelso' is not known here; did you mean nelson?"),
        ("rules", {"a": {"z": [1], "rule": 9}}, {}, "data.a.rule: the rules of nelson are 1 to 8, not 9"),
        ("rules", {}, {}, "data: nothing to judge"),
        ("arl", {"a": {"f": "cusum", "k": 1}}, {}, "data.a: f is shewhart or ewma or cusum1"),
        ("arl", {"a": 3}, {}, "data.a: expected an object, found the number 3"),
        ("short_run", {"values": [1, 2], "parts": ["A"]}, {}, "data.parts: 1 names, but 2 values"),
        ("short_run", {"values": [1, 2], "parts": ["A", "B"]}, {"nominal": {"A": 1}}, "params.nominal: B is"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_with_its_place(
    chart: str, data: object, params: dict[str, object], said: str
) -> None:
    with pytest.raises(RequestError) as caught:
        study({"chart": chart, "data": data, "params": params})
    assert str(caught.value).startswith(said)


def test_other_keys_of_a_request_are_refused() -> None:
    with pytest.raises(RequestError, match=r"^parms: unknown here; did you mean params"):
        study({"chart": "imr", "data": {"values": VALUES}, "parms": {}})
    with pytest.raises(RequestError, match=r"^chart: chart is missing"):
        study({"data": {}})


@pytest.mark.parametrize("chart", STUDIES)
def test_whatever_a_request_holds_it_is_answered_or_refused_in_words(chart: str) -> None:
    odd: list[object] = [
        None,
        [],
        {},
        "x",
        5,
        [None],
        [[None, None]],
        [[1, 2], [3, 4]],
        [0, 0, 0],
        [1e300, -1e300, 1],
    ]
    for value in odd:
        for key in ("values", "subgroups", "rows", "vars", "counts", "z", "a"):
            data = {key: value, "sizes": value} if key == "counts" else {key: value}
            for params in ({}, {"lsl": 0.0, "usl": 1.0} if chart == "capability" else {}):
                try:
                    answer = study({"chart": chart, "data": data, "params": params})
                except RequestError:
                    continue
                json.dumps(answer, allow_nan=False)
