"""How often a chart signals though nothing is wrong: what its rules cost the people on the line.

The rate is one over the mean run length in control, from one signal to the next after a fresh start, with limits
that are known. Limits estimated from 20 or 30 subgroups signal more often still. How each chart is taken:

- xbar_r, xbar_s: exactly, with the range or standard deviation beside them, which for normal values does not
  depend on the mean. imr: the moving ranges do depend on the values. What they add is taken as what they add to
  rule 1 alone, by the integral equation of the pair (Crowder, *Journal of Quality Technology* 19, 1987); run rules
  catch a few of the same points first, so the rate is up to 4 % too high.
- ewma, cusum, mewma: by their integral equations, an ewma with `exact` limits from its start.
- p, np, c, u, laney_p, laney_u, t: as if what is plotted were normal, which few and rare counts are not.
- t2_*: one minus its confidence, 1 - (1 - 0.0027)^variables.

Rules that compare points with each other (trend, alternating) are simulated, with an error of 1 or 2 %.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.arl import rules_arl
from spc.arl_weighted import SLOWEST_EXACT, cusum_two_sided, ewma
from spc.constants import factors
from spc.limits import Chart, Design
from spc.mewma_arl import USUAL_ARL, mewma_arl
from spc.rules import Rule, limit_rule
from spc.run_length import NeverSignals, below, density

__all__ = ["alarm_rate", "false_alarms", "individuals_run_length", "spread_tail"]

SIMULATED_POINTS: Final = 500_000
T2_TAIL: Final = 0.0027

_Array = npt.NDArray[np.float64]


def false_alarms(
    rules: Sequence[Rule],
    chart: Chart,
    design: Design | None,
    n: int,
    points_a_day: float,
    *,
    variables: int = 1,
) -> float:
    """Signals a day of a chart whose process is in control; arguments as of `alarm_rate`."""
    return points_a_day * alarm_rate(tuple(rules), chart, design, n, variables=variables)


@lru_cache(maxsize=256)
def alarm_rate(
    rules: tuple[Rule, ...], chart: Chart, design: Design | None, n: int, *, variables: int = 1
) -> float:
    """False alarms a point. `n` readings make a point, `variables` are on a chart of several.

    0 where the chart as good as never signals. Raises ValueError where its run length cannot be told.
    """
    limits = limit_rule(rules)  # the one that spread charts, and charts that weigh their past, know
    try:
        match chart:
            case "ewma" | "cusum" | "mewma" | "t2_subgroup" | "t2_individuals":
                return 0.0 if limits is None else _weighing(chart, design or Design(), variables)
            case "xbar_r" | "xbar_s":
                apart = 0.0 if limits is None else spread_tail(chart, n)
                return 1 / rules_arl(rules, filling="full", apart=apart, most_points=SIMULATED_POINTS).value
            case "imr":
                return _location(rules) + (0.0 if limits is None else _moving_range(limits.sigmas or 3.0))
            case _:
                return _location(rules)
    except NeverSignals:
        return 0.0


def _weighing(chart: Chart, design: Design, variables: int) -> float:
    match chart:
        case "ewma":
            # Of a very small lam the exact limits change little: they differ at the chart's start only.
            exact = design.exact and design.lam >= SLOWEST_EXACT
            return 1 / ewma(design.lam, design.width, exact=exact).value
        case "cusum":
            # A head start counts only where every signal brings it back, and higher ones are not computed.
            start = min(design.headstart, design.h / 2 + design.k) if design.resets else 0.0
            return 1 / cusum_two_sided(design.k, design.h, start=start).value
        case "mewma":
            h4 = design.h4
            return 1 / (USUAL_ARL if h4 is None else mewma_arl(variables, design.lam, h4))
        case _:
            return 1 - (1 - T2_TAIL) ** variables


def _location(rules: Sequence[Rule]) -> float:
    try:
        return 1 / rules_arl(rules, filling="full", most_points=SIMULATED_POINTS).value
    except NeverSignals:
        return 0.0


# -- spread charts -----------------------------------------------------------------------------------------


def spread_tail(chart: Chart, n: int) -> float:
    """The probability that the range (of xbar_s the standard deviation) of `n` values is beyond its own limits."""
    table = factors(n)
    if chart == "xbar_s":
        reach = 3 * math.sqrt(1 - table.c4**2)
        lower, upper = max(0.0, table.c4 - reach), table.c4 + reach
        return _chi_squared_tail(n - 1, (n - 1) * upper**2) + 1 - _chi_squared_tail(n - 1, (n - 1) * lower**2)
    reach = 3 * table.d3
    lower, upper = max(0.0, table.d2 - reach), table.d2 + reach
    return 1 - _range_below(n, upper) + _range_below(n, lower)


def _chi_squared_tail(freedom: int, value: float) -> float:
    """P(chi-squared > value): Q(a + 1, x) = Q(a, x) + x^a exp(-x) / Gamma(a + 1), from Q(1/2) or Q(1) on."""
    x = value / 2
    if x == 0:
        return 1.0
    a, total = (0.5, math.erfc(math.sqrt(x))) if freedom % 2 else (1.0, math.exp(-x))
    while a < freedom / 2:
        total += math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        a += 1
    return total


def _range_below(n: int, width: float) -> float:
    """P(range of n standard normal values <= width): n * integral of phi(x) (Phi(x + w) - Phi(x))^(n-1) dx."""
    at = np.linspace(-10.0, 10.0, 401)
    inside = np.array([below(x + width) - below(x) for x in at.tolist()])
    return float(n * (at[1] - at[0]) * (density(at) @ inside ** (n - 1)))


def _moving_range(width: float) -> float:
    """What the moving ranges add to limits at `width`, in alarms a point."""
    alone = 2 * below(-width)
    return 1 / individuals_run_length(width) - alone


@lru_cache(maxsize=16)
def individuals_run_length(width: float = 3.0) -> float:
    """Mean run length of single values within `width` sigmas and their moving ranges within D4 d2 together.

    L(x) = 1 + integral of L(y) phi(y) over the y within the limits and no further than the range limit from x.
    L has kinks where that range limit reaches the limits of the values, and where it reaches those kinks. Between
    them it is smooth and stands as a polynomial through Gauss nodes.
    """
    table = factors(2)
    reach = table.d2 + 3 * table.d3
    kinks = {
        round(side * (width - j * reach), 12) for side in (1, -1) for j in range(math.ceil(2 * width / reach))
    }
    edges = sorted(kink for kink in kinks if abs(kink) <= width)
    panels = list(pairwise(edges))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    through = np.linalg.inv(np.polynomial.legendre.legvander(nodes, nodes.size - 1))
    at = np.concatenate([(a + b) / 2 + (b - a) / 2 * nodes for a, b in panels])

    def row(low: float, high: float) -> _Array:
        """Weights of L at the nodes in its integral from `low` to `high`."""
        weighed = np.zeros(at.size)
        for place, (a, b) in enumerate(panels):
            begin, end = max(a, low), min(b, high)
            if begin < end:
                y = (begin + end) / 2 + (end - begin) / 2 * nodes
                powers = np.polynomial.legendre.legvander((2 * y - a - b) / (b - a), nodes.size - 1)
                share = (end - begin) / 2 * weights * density(y) @ powers @ through
                weighed[place * nodes.size : (place + 1) * nodes.size] = share
        return weighed

    matrix = np.array([row(x - reach, x + reach) for x in at.tolist()])
    lengths = np.linalg.solve(np.eye(at.size) - matrix, np.ones(at.size))
    return float(1 + row(-width, width) @ lengths)
