"""False alarms: each chart's rate against closed forms, published tails and brute simulation."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from spc.arl_shewhart import run_length
from spc.arl_simulation import fires
from spc.constants import c4, d2, d3
from spc.false_alarms import alarm_rate, false_alarms, individuals_run_length, spread_tail
from spc.limits import Chart, Design
from spc.rules import CATALOGUE, Rule

ONE = (CATALOGUE["nelson1"],)
WESTERN = tuple(CATALOGUE[f"western{n}"] for n in range(1, 5))
EVERY = tuple(CATALOGUE[f"nelson{n}"] for n in range(1, 9))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 25])
def test_the_tails_of_spread_charts(n: int) -> None:
    upper, lower = d2(n) + 3 * d3(n), max(0.0, d2(n) - 3 * d3(n))
    ranges = stats.studentized_range(n, np.inf)  # with known sigma it is the range itself
    assert spread_tail("xbar_r", n) == pytest.approx(ranges.sf(upper) + ranges.cdf(lower), rel=1e-4)
    reach = 3 * math.sqrt(1 - c4(n) ** 2)
    squares = stats.chi2(n - 1)
    expected = squares.sf((n - 1) * (c4(n) + reach) ** 2) + squares.cdf((n - 1) * max(0.0, c4(n) - reach) ** 2)
    assert spread_tail("xbar_s", n) == pytest.approx(expected, rel=1e-9)


def test_a_range_chart_beside_a_chart_of_means_signals_on_its_own() -> None:
    tail = 2 * stats.norm.sf(3)
    both = 1 - (1 - tail) * (1 - spread_tail("xbar_r", 5))
    assert alarm_rate(ONE, "xbar_r", None, 5) == pytest.approx(both, rel=1e-9)
    runs = (CATALOGUE["nelson2"],)  # without rule 1, nobody looks at the ranges
    assert alarm_rate(runs, "xbar_r", None, 5) == pytest.approx(1 / 511, rel=1e-9)


def simulated_individuals(rules: tuple[Rule, ...], runs: int) -> tuple[float, float]:
    generator, reach = np.random.default_rng(5), d2(2) + 3 * d3(2)
    history = max(2, *(rule.window for rule in rules)) - 1
    values, lengths, alive, begun = np.full((runs, history), np.nan), np.zeros(runs), np.arange(runs), 0
    while alive.size:
        values = np.concatenate([values, generator.standard_normal((alive.size, 64))], axis=1)
        fired = np.abs(np.diff(values, axis=1, prepend=np.nan)) > reach
        for rule in rules:
            fired |= fires(rule, values, "full")
        fired = fired[:, history:]
        ended = fired.any(axis=1)
        lengths[alive[ended]] = begun + 1 + fired[ended].argmax(axis=1)
        alive, values, begun = alive[~ended], values[~ended][:, -history:], begun + 64
    return float(lengths.mean()), float(lengths.std(ddof=1)) / math.sqrt(runs)


def test_individuals_with_moving_ranges() -> None:
    mean, error = simulated_individuals(ONE, 20_000)
    assert abs(individuals_run_length() - mean) <= 3 * error
    assert alarm_rate(ONE, "imr", None, 1) == pytest.approx(1 / individuals_run_length(), rel=1e-9)
    for rules in (WESTERN, (*ONE, CATALOGUE["nelson2"])):
        mean, error = simulated_individuals(rules, 10_000)
        assert 1 / mean * (1 - 3 * error / mean) <= alarm_rate(rules, "imr", None, 1) <= 1.05 / mean
    tight = (Rule("nelson1", "beyond", 1, 1, 2.0),)
    mean, error = simulated_individuals(tight, 20_000)
    assert abs(individuals_run_length(2.0) - mean) <= 3 * error


@pytest.mark.parametrize(
    ("chart", "design", "run_length_"),
    [
        ("ewma", Design(lam=0.2, width=2.962, exact=False), 499.735),
        ("ewma", Design(lam=0.2, width=2.962), 494.386),
        ("cusum", Design(), 465.444),
        ("cusum", Design(headstart=2.5), 465.444),
        ("cusum", Design(headstart=2.5, resets=True), 430.391),
        ("mewma", None, 200),
        ("ewma", Design(lam=0.001, width=2.0), 4736.32),
        ("t2_subgroup", None, 1 / 0.0027),
        ("p", None, 370.398),
    ],
)
def test_other_charts_by_their_run_length(chart: Chart, design: Design | None, run_length_: float) -> None:
    assert 1 / alarm_rate(ONE, chart, design, 1) == pytest.approx(run_length_, rel=1e-5)


def test_charts_that_weigh_their_past_know_rule_one_alone() -> None:
    for chart in ("ewma", "cusum", "t2_individuals"):
        assert alarm_rate((CATALOGUE["nelson2"],), chart, None, 1) == 0
        assert alarm_rate(EVERY, chart, None, 1) == alarm_rate(ONE, chart, None, 1)
    four = alarm_rate(ONE, "mewma", Design(lam=0.1, h4=12.73), 1, variables=4)
    assert 1 / four == pytest.approx(200, rel=0.01)  # Lowry et al. 1992
    assert alarm_rate(ONE, "t2_individuals", None, 1, variables=3) == pytest.approx(1 - (1 - 0.0027) ** 3)


def test_alarms_a_day() -> None:
    assert false_alarms(WESTERN, "c", None, 1, 1440) == pytest.approx(1440 / run_length(WESTERN, filling="full"))
    # fifty charts, a point every ten minutes, all eight rules: nearly a hundred a day
    assert false_alarms(EVERY, "c", None, 1, 50 * 144) == pytest.approx(99, rel=0.05)
    never = (Rule("nelson1", "beyond", 1, 1, 9.0),)
    assert false_alarms(never, "c", None, 1, 1e6) == pytest.approx(0, abs=1e-9)
    assert false_alarms((Rule("nelson7", "within", 30, 30, 0.1),), "c", None, 1, 1e6) == 0


def test_no_scipy_is_loaded() -> None:
    code = (
        "import sys; from spc.false_alarms import *; from spc.rules import CATALOGUE as C;"
        "r = tuple(C.values()); [alarm_rate(r, c, None, 5) for c in ('imr', 'xbar_r', 'xbar_s', 'ewma', 'p')];"
        "sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
