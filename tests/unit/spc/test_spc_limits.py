"""Limits as what is stored, approved and judged by: for every kind of chart."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spc.attributes import counts
from spc.charts import ChartResult
from spc.estimate import NoLimitsError, PhaseOnePoint, estimate
from spc.fields import Fields
from spc.given import rates, vectors, weighted
from spc.limits import Chart, Design, LimitSet
from spc.mewma_arl import mewma_arl, mewma_interval
from spc.multivariate import mewma, t2_individuals, t2_subgroup
from spc.statistics import covariance
from spc.variables import imr, means, t
from spc.weighted import cusum, ewma

VALUES = [10.0, 11.5, 9.0, 10.5, 12.0, 9.5, 10.0, 11.0, 14.5, 10.5]
GROUPS = np.array(VALUES + VALUES[::-1]).reshape(5, 4)
ROWS = np.column_stack([VALUES, VALUES[3:] + VALUES[:3]])
EVENTS, SIZES = [3, 5, 2, 6, 4, 1, 9, 4, 3, 5], [50, 60, 40, 55, 50, 45, 60, 50, 50, 40]
SUM = Design(k=0.5, h=4, headstart=2)

Judge = Callable[..., ChartResult]

CHARTED: dict[Chart, Judge] = {
    "imr": lambda **by: imr(VALUES, **by),
    "xbar_r": lambda **by: means("xbar_r", GROUPS, **by),
    "xbar_s": lambda **by: means("xbar_s", GROUPS, **by),
    "p": lambda **by: counts("p", EVENTS, SIZES, **by),
    "np": lambda **by: counts("np", EVENTS, 50, **by),
    "c": lambda **by: counts("c", EVENTS, **by),
    "u": lambda **by: counts("u", EVENTS, SIZES, **by),
    "laney_p": lambda **by: counts("laney_p", EVENTS, SIZES, **by),
    "laney_u": lambda **by: counts("laney_u", EVENTS, SIZES, **by),
    "t": lambda **by: t(VALUES, **by),
    "ewma": lambda **by: ewma(VALUES, **by),
    "cusum": lambda **by: cusum(VALUES, **({} if "limits" in by else {"design": SUM}), **by),
    "t2_individuals": lambda **by: t2_individuals(ROWS, **by),
    "t2_subgroup": lambda **by: t2_subgroup(np.stack([GROUPS, GROUPS[::-1, ::-1] ** 1.5]), **by),
    "mewma": lambda **by: mewma(ROWS, **by),
}


@pytest.mark.parametrize("chart", list(CHARTED))
def test_limits_that_were_stored_judge_as_before(chart: Chart) -> None:
    first = CHARTED[chart]()
    stored = json.loads(json.dumps(first.limits.to_json()))
    limits = LimitSet.from_json(Fields(stored, "limits"))
    assert limits == first.limits
    again = CHARTED[chart](limits=limits)
    assert again.location.points.tolist() == first.location.points.tolist()
    assert not again.used.any()
    if not chart.startswith("t2"):  # the points that made the estimates had the limit of phase I
        assert again.location.upper.tolist() == first.location.upper.tolist()
        assert again.location.signals == first.location.signals
    if first.spread is not None and again.spread is not None:
        assert again.spread.upper.tolist() == first.spread.upper.tolist()
    with pytest.raises(ValueError, match="phase1 would have no effect"):
        CHARTED[chart](limits=limits, phase1=5)
    with pytest.raises(ValueError, match="are for"):
        CHARTED["imr" if chart != "imr" else "p"](limits=limits)


def test_a_restart_begins_every_sum_anew() -> None:
    cut = cusum(VALUES, design=SUM, target=10.5, sigma=1.0, restarts=[5])
    tail = cusum(VALUES[5:], design=SUM, target=10.5, sigma=1.0)
    assert cut.location.points[5:].tolist() == tail.location.points.tolist()
    assert cut.extras["cumulative"][5:].tolist() == tail.extras["cumulative"].tolist()
    design = Design(lam=0.2, h4=9.0)
    turned = mewma(ROWS, design=design, mean=[10.0, 10.0], matrix=[[2.0, 0.0], [0.0, 2.0]], restarts=[5])
    end = mewma(ROWS[5:], design=design, mean=[10.0, 10.0], matrix=[[2.0, 0.0], [0.0, 2.0]])
    assert turned.location.points[5:].tolist() == end.location.points.tolist()


def test_subgroups_of_one_are_single_values() -> None:
    singles, ones = ewma(VALUES), ewma([[value] for value in VALUES])
    assert ones.limits == singles.limits
    assert ones.location.points.tolist() == singles.location.points.tolist()


GOOD = LimitSet.fixed("imr", 0.0, -3.0, 3.0, "v")
PAIR = vectors("t2_individuals", (0.0, 0.0), ((1.0, 0.1), (0.1, 1.0)), 9.0, "v")
DRIFT = weighted("ewma", 0.0, 1.0, Design(), "v")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Design(lam=0.0), "lam must be above 0"),
        (lambda: Design(lam=1e-320), "nothing is left of the limits"),
        (lambda: Design(h=4, headstart=4), "headstart < h"),
        (lambda: Design(h4=0.0), "h4 must be above 0"),
        (lambda: replace(GOOD, design=Design()), "a design belongs to"),
        (lambda: replace(GOOD, sbar=0.0), "sample_size and sbar must be above 0"),
        (lambda: replace(GOOD, range_upper=None), "only a part of their range limits"),
        (lambda: replace(GOOD, range_lower=5.0), "range limits 'v' are out of order"),
        (lambda: replace(GOOD, chart="t2_individuals"), "needs a mean and a covariance"),
        (lambda: replace(PAIR, covariance=((1.0, 0.1), (0.1,))), "needs a mean and a covariance of one size"),
        (lambda: replace(DRIFT, sigma_within=0.0), "ewma needs a sigma above 0"),
        (lambda: replace(GOOD, sigma=math.nan), "not finite"),
        (lambda: GOOD.at(0), "size 0 cannot be judged"),
        (lambda: GOOD.transformed(), "not those of times"),
        (lambda: GOOD.settled(1), "not of an EWMA"),
        (lambda: weighted("ewma", 0.0, math.nan, Design(), "v"), "sigma must be above 0"),
        (lambda: rates("u", 1.0, math.inf, "v"), "a sample of size inf"),
        (lambda: vectors("mewma", (0.0, 0.0), ((1.0, 1.0), (1.0, 1.0)), 9.0, "v"), "singular: variable 2"),
        (lambda: covariance([[1.0, 2.0]]), "at least two rows"),
        (lambda: mewma_arl(2, 0.1, math.inf), "h4 must be finite"),
        (lambda: mewma_arl(0, 0.1, 9.0), "1 to 50 variables"),
        (lambda: mewma_arl(2, 1.5, 9.0), "lam must be above 0"),
        (lambda: mewma_interval(2, 0.1, 1.0), "run length must be above 1"),
        (lambda: estimate("xbar_r", [PhaseOnePoint(1.0, -1.0, 3)] * 2, subgroup=3), "negative spread"),
        (lambda: estimate("t2_subgroup", [PhaseOnePoint(0.0, None, 3, (1.0,))] * 2, subgroup=3), "no covariance"),
    ],
)
def test_limits_that_cannot_be(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_laney_needs_two_neighbours() -> None:
    points = [PhaseOnePoint(3.0, None, 50, joined=False), PhaseOnePoint(5.0, None, 50, joined=False)]
    with pytest.raises(NoLimitsError, match="no two neighbours"):
        estimate("laney_p", points, subgroup=1)
