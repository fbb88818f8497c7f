"""Run lengths: every published figure, exact answers against simulation, and what is refused."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spc.arl import ArlResult, arl, read_rules, rules_arl
from spc.arl_shewhart import TooManyStates, chain_size, run_length
from spc.arl_simulation import fires, simulate
from spc.arl_weighted import cusum_one_sided, cusum_two_sided, ewma
from spc.rules import CATALOGUE, Rule, evaluate
from spc.run_length import NeverSignals

REFERENCE = Path(__file__).parents[2] / "data" / "spc_reference.json"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case
    for case in json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
    if case["chart"] == "arl"
}


def meets(printed: str, value: float) -> bool:
    """Whether the value rounds to the printed figure."""
    figure = Decimal(printed)
    return abs(Decimal(value) - figure) <= Decimal(5).scaleb(int(figure.as_tuple().exponent) - 1)


@pytest.mark.parametrize("case", sorted(CASES))
def test_published_cases(case: str) -> None:
    answers = {name: arl(request).value for name, request in CASES[case]["data"].items()}
    assert answers == pytest.approx(CASES[case]["recomputed"], rel=1e-7)
    assert {key for key, printed in CASES[case]["published"].items() if not meets(printed, answers[key])} == set()


def test_no_case_is_left_out() -> None:
    assert set(CASES) == {"arl_brook_evans_1972", "arl_lucas_saccucci_1990"}


@pytest.mark.parametrize(
    ("rules", "printed"),
    [
        # Champ and Woodall, Technometrics 29 (1987), table 1, shift 0; to three decimals from the same chain
        ((1,), "370.398"),
        ((1, 2), "225.438"),
        ((1, 3), "166.055"),
        ((1, 4), "152.730"),
        ((1, 2, 3), "132.893"),
        ((1, 2, 4), "122.051"),
        ((1, 3, 4), "105.783"),
        ((1, 2, 3, 4), "91.751"),
    ],
)
def test_western_electric(rules: tuple[int, ...], printed: str) -> None:
    found = arl({"f": "shewhart", "rules": list(rules), "set": "western"})
    assert meets(printed, found.value)
    assert found.method == "markov chain"


def test_nelson_sets() -> None:
    assert meets("109.05", arl({"f": "shewhart", "rules": [1, 2, 5, 6]}).value)
    nine_in_a_row = 2**9 - 1  # the mean wait for nine equal tosses of a fair coin
    assert arl({"f": "shewhart", "rules": ["nelson2"]}).value == pytest.approx(nine_in_a_row, rel=1e-12)
    inside = math.erf(1 / math.sqrt(2))  # fifteen successes in a row: (p^-15 - 1) / (1 - p)
    assert arl({"f": "shewhart", "rules": ["nelson7"]}).value == pytest.approx(
        (inside**-15 - 1) / (1 - inside), rel=1e-12
    )


@pytest.mark.parametrize(
    ("request_", "printed"),
    [
        ({"f": "ewma", "lam": 0.2, "L": 2.962}, "499.74"),
        ({"f": "ewma", "lam": 0.1, "L": 2.814}, "499.6"),
        ({"f": "ewma", "lam": 0.4, "L": 3.054}, "500.0"),
        ({"f": "ewma", "lam": 0.05, "L": 2.615}, "499.9"),
        ({"f": "ewma", "lam": 0.25, "L": 2.998}, "499.8"),
        ({"f": "ewma", "lam": 0.2, "L": 3}, "559.87"),
        ({"f": "ewma", "lam": 0.1, "L": 2.7}, "368.99"),
        ({"f": "ewma", "lam": 1, "L": 3}, "370.398"),
        ({"f": "cusum2", "k": 0.5, "h": 4}, "167.68"),  # Lucas and Crosier 1982: 168
        ({"f": "cusum2", "k": 0.5, "h": 4, "hs": 2}, "148.70"),  # 149
        ({"f": "cusum2", "k": 0.5, "h": 5}, "465.44"),
        ({"f": "cusum2", "k": 0.5, "h": 5, "hs": 2.5}, "430.39"),
        ({"f": "cusum2", "k": 0.5, "h": 4.77}, "368.56"),
        ({"f": "cusum1", "k": 0.5, "h": 3, "mu": 1.5}, "3.75"),  # Waldmann 1986
    ],
)
def test_weighted_charts(request_: dict[str, object], printed: str) -> None:
    assert meets(printed, arl(request_).value)


def test_a_shift_is_seen_the_sooner_the_larger_the_subgroups() -> None:
    for request in (
        {"f": "shewhart", "rules": [1, 2]},
        {"f": "ewma", "lam": 0.2, "L": 2.962},
        {"f": "cusum2", "k": 0.5, "h": 5},
    ):
        of_four = arl({**request, "mu": 0.5, "n": 4}).value
        assert of_four == pytest.approx(arl({**request, "mu": 1}).value, rel=1e-12)
        assert of_four == pytest.approx(arl({**request, "mu": -1}).value, rel=1e-9)
        assert arl({**request, "mu": 0.5}).value > of_four


def test_rules_may_be_told_in_every_way() -> None:
    answers = {
        arl({"f": "shewhart", **told}).value
        for told in (
            {"rules": "western"},
            {"set": "western"},
            {"rules": [1, 2, 3, 4], "set": "western"},
            {"rules": "western1,western2,western3,western4"},
            {"rules": ["western1", {"western2": {"window": 3}}, "western3", {"western4": {}}]},
        )
    }
    assert len(answers) == 1


def test_rules_one_to_four_in_a_chain_stay_small_and_only_filling_tells_a_full_window() -> None:
    western = read_rules([1, 2, 3, 4], "western")
    assert chain_size(western) < 250
    assert run_length(western, filling="full") > run_length(western)
    runs = read_rules(["western1", "western4"])
    assert run_length(runs, filling="full") == pytest.approx(run_length(runs), rel=1e-12)


# -- against simulation ------------------------------------------------------------------------------------

EXACT_SETS: tuple[tuple[str | dict[str, object], ...], ...] = (
    ("nelson1",),
    ("western1", "western2"),
    ("western1", "western3"),
    ("western1", "western4"),
    ("western1", "western2", "western3", "western4"),
    ("nelson2",),
    ("nelson5",),
    ("nelson6",),
    ("nelson7",),
    ("nelson1", "nelson2", "nelson5", "nelson6"),
    ("nelson1", "nelson2", "nelson5", "nelson6", "nelson7", "nelson8"),
    ({"nelson8": {"window": 4, "sigmas": 0.7}},),
    ({"nelson5": {"points": 3, "window": 7, "sigmas": 1.5}}, {"nelson7": {"window": 6}}),
)


@pytest.mark.parametrize("filling", ["first", "full"])
@pytest.mark.parametrize("rules", EXACT_SETS, ids=str)
def test_the_chain_agrees_with_simulation(rules: tuple[object, ...], filling: Any) -> None:
    read = read_rules(list(rules))
    for shift, apart in ((0.0, 0.0), (0.8, 0.01)):
        exact = run_length(read, shift=shift, filling=filling, apart=apart)
        seen = simulate(read, shift=shift, filling=filling, apart=apart, runs=5_000, most_points=1_000_000)
        assert abs(seen.value - exact) <= 3 * seen.standard_error


def simulated(step: Callable[..., tuple[Any, npt.NDArray[np.bool_]]], state: Any) -> tuple[float, float]:
    """Mean and its standard error of the points until `step(state, values, number)` says that a chart signals."""
    generator = np.random.default_rng(11)
    lengths, alive, number = np.zeros(6_000), np.arange(6_000), 0
    while alive.size:
        number += 1
        state, signals = step(state, generator.standard_normal(alive.size), number)
        lengths[alive[signals]] = number
        alive, state = alive[~signals], state[..., ~signals]
    return float(lengths.mean()), float(lengths.std(ddof=1)) / math.sqrt(lengths.size)


@pytest.mark.parametrize(
    ("lam", "width", "shift", "start", "exact"),
    [
        (0.2, 2.4, 0.0, 0.0, False),
        (0.2, 2.4, 0.0, 0.0, True),
        (0.05, 2.0, 0.0, 0.0, True),
        (0.05, 2.0, 0.5, -0.1, False),
        (0.4, 2.7, 1.0, 0.5, True),
    ],
)
def test_ewma_agrees_with_simulation(lam: float, width: float, shift: float, start: float, exact: bool) -> None:
    def step(z: Any, values: Any, number: int) -> tuple[Any, Any]:
        z = (1 - lam) * z + lam * (values + shift)
        share = 1 - (1 - lam) ** (2 * number) if exact else 1.0
        return z, np.abs(z) > width * math.sqrt(lam / (2 - lam) * share)

    mean, error = simulated(step, np.full(6_000, start))
    assert abs(ewma(lam, width, shift=shift, start=start, exact=exact).value - mean) <= 3 * error


@pytest.mark.parametrize(
    ("k", "h", "shift", "start", "sides"),
    [
        (0.5, 3.0, 0.0, 0.0, 1),
        (0.5, 3.0, 0.5, 1.5, 1),
        (0.5, 4.0, 0.0, 2.0, 2),
        (0.25, 4.0, 0.6, 2.2, 2),
        (0.0, 3.0, 0.0, 1.5, 2),
    ],
)
def test_cusum_agrees_with_simulation(k: float, h: float, shift: float, start: float, sides: int) -> None:
    def step(sums: Any, values: Any, _: int) -> tuple[Any, Any]:
        moved = np.stack([values + shift, -values - shift][:sides]) - k
        sums = np.maximum(0, sums + moved)
        return sums, (sums > h).any(axis=0)

    mean, error = simulated(step, np.full((sides, 6_000), start))
    exact = (cusum_one_sided if sides == 1 else cusum_two_sided)(k, h, shift=shift, start=start)
    assert abs(exact.value - mean) <= 3 * error


def test_sets_with_trends_or_alternation_are_simulated_with_their_error() -> None:
    every = rules_arl(tuple(CATALOGUE[f"nelson{n}"] for n in range(1, 9)), most_points=2_000_000)
    assert every.method == "simulation"
    assert every.standard_error is not None
    assert abs(every.value - 72.8) <= 3 * math.hypot(every.standard_error, 0.4)
    trend = rules_arl((CATALOGUE["nelson3"],), most_points=2_000_000)
    assert trend.standard_error is not None
    assert abs(trend.value - 417.3) <= 3 * math.hypot(trend.standard_error, 2.1)
    assert arl({"f": "shewhart", "rules": [1, 3]}) == arl({"f": "shewhart", "rules": ["nelson1", "nelson3"]})


def test_what_the_simulation_takes_for_a_signal() -> None:
    def points(name: str, values: list[float], filling: Any = "full") -> list[int]:
        return (np.flatnonzero(fires(CATALOGUE[name], np.array([values]), filling)[0]) + 1).tolist()

    assert points("nelson1", [3.0, 3.1, -3.2, 0]) == [2, 3]
    assert points("nelson5", [2.1, 2.2, 0, 2.3, -2.1, -2.2]) == [4, 6]
    assert points("nelson5", [2.1, 2.2, 0, 2.3], "first") == [2, 4]
    assert points("nelson2", [1.0] * 4 + [0.0] + [1.0] * 10) == [14, 15]
    assert points("nelson3", [1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2]) == [6, 7, 13]
    assert points("nelson4", [0.1, -0.1] * 7 + [0.1]) == [14, 15]
    assert points("nelson4", [0.1, -0.1, 0.1, 0.1] * 7) == []
    assert points("nelson7", [0.5] * 16) == [15, 16]
    assert points("nelson8", [1.5] * 8 + [-1.5, 1.5]) == [9, 10]


def test_simulated_charts_signal_where_ours_do() -> None:
    generator = np.random.default_rng(2)
    values = np.concatenate(
        [generator.normal(shift, spread, 400) for shift, spread in ((0, 1), (0.7, 0.6), (0, 2))]
    )
    for rule in CATALOGUE.values():
        ours = [signal.index for signal in evaluate([rule], values, centre=0.0, lower=-3.0, upper=3.0, sigma=1.0)]
        assert np.flatnonzero(fires(rule, values[None, :], "full")[0]).tolist() == ours
        assert ours, rule.name


# -- what is refused, and what is not loaded ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({}, "f is shewhart or ewma"),
        ({"f": "cusum"}, "not 'cusum'"),
        ({"f": "ewma", "lam": 0.2}, "L is missing"),
        ({"f": "ewma", "lam": 0, "L": 3}, "0 < lam <= 1"),
        ({"f": "ewma", "lam": 0.2, "L": float("nan")}, "L is a number"),
        ({"f": "ewma", "lam": 0.2, "L": 3, "z0": 5}, "beyond its limit"),
        ({"f": "ewma", "lam": 0.2, "L": 3, "h": 5}, "ewma does not know h"),
        ({"f": "ewma", "lam": 0.2, "L": 3, "limits": "wide"}, "fixed or exact"),
        ({"f": "ewma", "lam": 0.001, "L": 3, "limits": "exact"}, "too many points to settle"),
        ({"f": "ewma", "lam": 0.2, "L": 9}, "as good as never signals"),
        ({"f": "cusum1", "k": 0.5, "h": True}, "h is a number"),
        ({"f": "cusum1", "k": -1, "h": 3}, "k >= 0"),
        ({"f": "cusum1", "k": 0.5, "h": 3, "z0": 4}, "a start from 0 to h"),
        ({"f": "cusum2", "k": 0.5, "h": 3, "hs": 2.5}, r"above h/2 \+ k"),
        ({"f": "cusum2", "k": 0.5, "h": 80}, "as good as never signals"),
        ({"f": "shewhart", "rules": []}, "rules are nelson, western or a list"),
        ({"f": "shewhart", "rules": ["nelson9"]}, "no rule 'nelson9'"),
        ({"f": "shewhart", "rules": [1], "set": "juran"}, "set is nelson or western"),
        ({"f": "shewhart", "rules": [2], "L": 3}, "rule 1, which is not among the rules"),
        ({"f": "shewhart", "rules": ["nelson7"], "mu": 6}, "as good as never signals"),
        ({"f": "shewhart", "n": 0}, "n is the number"),
        ({"f": "shewhart", "n": 2.5}, "n is the number"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(request_: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        arl(request_)


def test_long_windows_are_simulated_and_hopeless_rules_refused() -> None:
    wide = Rule("nelson5", "beyond", 12, 30, 0.5)
    with pytest.raises(TooManyStates):
        run_length((wide,))
    found = rules_arl((wide,), most_points=200_000)
    assert isinstance(found, ArlResult)
    assert found.method == "simulation"
    with pytest.raises(NeverSignals):
        simulate((Rule("nelson5", "beyond", 5, 5, 4.0),), runs=10, most_points=1_000)


def test_usual_run_lengths_load_no_scipy() -> None:
    code = (
        "import sys; from spc.arl import arl; arl({'f': 'shewhart', 'rules': [1, 2, 5, 6, 7, 8]});"
        "arl({'f': 'ewma', 'lam': 0.2, 'L': 3, 'limits': 'exact'}); sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("rules", "shift", "apart"),
    [([1, 2, 5, 6], 0.3, 0.0), ([1, 2, 5, 6], 0.0, 0.01), ([7], 0.0, 0.0), ([2], 4.0, 0.0), ([8], 0.5, 0.0)],
)
def test_large_chains_are_walked_to_the_same_answer(
    monkeypatch: pytest.MonkeyPatch, rules: list[int], shift: float, apart: float
) -> None:
    read = read_rules(rules)
    solved = run_length(read, shift=shift, apart=apart)
    monkeypatch.setattr("spc.arl_shewhart._SOLVED_STATES", 10)
    assert run_length(read, shift=shift, apart=apart) == pytest.approx(solved, rel=1e-9)


def test_a_sum_that_cannot_rise_is_none_of_the_two_that_signal() -> None:
    """Far from its reference value the lower sum never leaves 0: its part of the equation has no solution."""
    assert arl({"f": "cusum2", "k": 0.5, "h": 5, "mu": 50}).value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="as good as never signals"):
        arl({"f": "cusum1", "k": 0.5, "h": 5, "mu": -50})
