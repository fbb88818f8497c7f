"""Every kind of chart: what is said point by point equals the functions over the whole series, to the bit.

A script of readings, closings, restarts and interruptions (state written, process gone, state read back) is run
through the stream; beside it the same readings are laid out as the series that the batch functions take. A
subgroup that a restart dropped is a gap there, so that the number of a subgroup less 1 is its index.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.attributes import counts
from spc.charts import ChartResult
from spc.given import rates, vectors, weighted
from spc.limits import ATTRIBUTES, CHARTS, NELSON_T_POWER, VECTORS, Chart, Design, LimitSet
from spc.multivariate import mewma, t2_individuals, t2_subgroup
from spc.plan import RUN_RULES
from spc.rules import Rule, check_rules
from spc.statistics import to_normal
from spc.stream import ChartPlan, ChartState, Nominal, Sample, Verdict, close, judge, restart
from spc.variables import deviations, imr, means, t
from spc.weighted import cusum, ewma
from tests.rigs.examples import examples

RULES = check_rules(
    [*(f"nelson{number}" for number in range(1, 9)), {"western4": {"window": 3}}, {"western2": {"sigmas": 1.5}}]
)
MATRIX = ((1.0, 0.3), (0.3, 2.0))
EWMA = Design(lam=0.3, width=2.0, start=0.5)
CUSUM = Design(k=0.25, h=2.0, headstart=1.0)


def times() -> LimitSet:
    """Limits of times between events around 1."""
    centre, sigma = to_normal(1.0), 0.25
    upper = (centre + 3 * sigma) ** (1 / NELSON_T_POWER)
    return LimitSet("t", "v", 1, 1.0, 0.0, upper, None, None, None, sigma, sigma, "exact", False, mean=(centre,))


LIMITS: dict[Chart, Callable[[int], LimitSet]] = {
    "imr": lambda n: LimitSet.fixed("imr", 0, -3, 3, "v"),
    "xbar_r": lambda n: LimitSet.fixed("xbar_r", 0, -1, 1.5, "v", n),
    "xbar_s": lambda n: LimitSet.fixed("xbar_s", 0, -1, 1, "v", n),
    "p": lambda n: rates("p", 0.2, 10, "v"),
    "np": lambda n: rates("np", 2, 10, "v"),
    "c": lambda n: rates("c", 2, 1, "v"),
    "u": lambda n: rates("u", 0.2, 10, "v"),
    "laney_p": lambda n: rates("laney_p", 0.2, 10, "v", sigma_z=0.7),
    "laney_u": lambda n: rates("laney_u", 0.2, 10, "v", sigma_z=0.7),
    "t": lambda n: times(),
    "ewma": lambda n: weighted("ewma", 0, 1, EWMA, "v", n),
    "cusum": lambda n: weighted("cusum", 0, 1, CUSUM, "v", n),
    "t2_subgroup": lambda n: vectors("t2_subgroup", [0, 0], MATRIX, 5.0, "v", n),
    "t2_individuals": lambda n: vectors("t2_individuals", [0, 0], MATRIX, 5.0, "v"),
    "mewma": lambda n: vectors("mewma", [0, 0], MATRIX, 5.0, "v", 1, Design(lam=0.2, h4=5.0)),
}
SIZES: dict[Chart, tuple[int, ...]] = {
    **dict.fromkeys(CHARTS, (1,)),
    **dict.fromkeys(("xbar_r", "xbar_s", "t2_subgroup"), (2, 3)),
    **dict.fromkeys(("ewma", "cusum", *ATTRIBUTES), (1, 3)),
}

# -- scripts -------------------------------------------------------------------------------------------------

Act = Sample | Literal["close", "restart", "killed"]

LEVELS = st.sampled_from([-3.0, -1.5, -1.0, -0.5, 0.0, 0.1, 0.2, 0.5, 1.0, 1.0, 1.5, 2.2, 3.0, 3.5])
NOTHING = st.sampled_from([None, math.nan, math.inf, 1e301])
VALUES = st.one_of(LEVELS, LEVELS, LEVELS, st.floats(-10, 10), st.floats(-1e6, 1e6), NOTHING)
TIMES = st.one_of(st.sampled_from([0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 9.0]), st.floats(0, 50), st.none())
COUNTS = st.one_of(st.integers(0, 6), st.integers(0, 6), st.none())


@st.composite
def samples(draw: st.DrawFn, chart: Chart, uncertain: bool) -> Sample:
    certain = not uncertain or draw(st.integers(0, 4)) > 0
    if chart in VECTORS:
        return Sample((draw(VALUES), draw(VALUES)), certain=certain)
    if chart in ATTRIBUTES:
        size = 10.0 if chart in ("np", "c") else float(draw(st.integers(6, 12)))
        return Sample((draw(COUNTS),), size, certain)
    return Sample((draw(TIMES if chart == "t" else VALUES),), certain=certain)


@st.composite
def scripts(draw: st.DrawFn, chart: Chart, cuts: bool = True, uncertain: bool = False) -> list[Act]:
    acts: list[Act] = []
    for _ in range(draw(st.integers(1, 3))):
        acts += draw(st.lists(samples(chart, uncertain), min_size=1, max_size=18))
        ends: list[Act] = ["killed"]
        if cuts:
            ends += ["restart"] if chart == "t2_subgroup" else ["restart", "close"]
        acts.append(draw(st.sampled_from(ends)))
    return acts


@dataclass
class Laid:
    """The points that a script closed, as the batch functions take them; `cuts` are those after a restart."""

    points: list[list[Sample]]
    cuts: list[int]

    @classmethod
    def out(cls, acts: Sequence[Act], subgroup: int) -> "Laid":
        points: list[list[Sample]] = []
        cuts: list[int] = []
        held: list[Sample] = []
        for act in acts:
            if isinstance(act, Sample):
                held.append(act)
            if held and (len(held) == subgroup or act == "close"):
                points.append(held)
                held = []
            if act == "restart":
                if held:
                    points.append([])
                    held = []
                cuts.append(len(points))
        return cls(points, [cut for cut in cuts if cut < len(points)])


def run(
    plan: ChartPlan, acts: Sequence[Act], *, killed: bool, state: ChartState | None = None
) -> tuple[ChartState, list[Verdict]]:
    state = state or ChartState.start(plan)
    verdicts: list[Verdict] = []
    for number, act in enumerate(acts):
        before = state
        verdict: Verdict | None = None
        if isinstance(act, Sample):
            state, verdict = judge(plan, state, act, f"r{number}")
            assert judge(plan, before, act, f"r{number}") == (state, verdict)
        elif act == "close":
            state, verdict = close(plan, state)
        elif act == "restart":
            state = restart(state)
        if killed:
            state = ChartState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))
        if verdict is not None:
            verdicts.append(verdict)
    return state, verdicts


# -- the same as a series ------------------------------------------------------------------------------------


def singles(laid: Laid) -> list[float]:
    found = [sample.values[0] if (sample := next(iter(point), None)) else None for point in laid.points]
    return [math.nan if value is None else value for value in found]


def rows(samples_: Sequence[Sample]) -> list[list[float]]:
    return [[math.nan if value is None else value for value in sample.values] for sample in samples_]


def groups(laid: Laid, least: int) -> list[list[float]]:
    """Subgroups of readings; one too small, or dropped, holds gaps."""
    found = [[row[0] for row in rows(point)] for point in laid.points]
    return [group if len(group) >= least else [math.nan] * least for group in found]


def sums(chart: Chart, laid: Laid, subgroup: int) -> tuple[list[float], list[float]]:
    """Counts and sizes of the samples of each point that were read; np and c need all of them."""
    events, sizes = [], []
    for point in laid.points:
        there = [(float(s.values[0]), s.size) for s in point if s.values[0] is not None]
        if not there or (chart in ("np", "c") and len(there) < subgroup):
            events.append(math.nan)
            sizes.append(10.0 * subgroup if chart == "np" else 1.0)
            continue
        possible = math.fsum(count for count, _ in there)
        events.append(possible)
        sizes.append(1.0 if chart == "c" else math.fsum(size for _, size in there))
    return events, sizes


def series(
    chart: Chart,
    laid: Laid,
    subgroup: int,
    *,
    limits: LimitSet | None = None,
    restarts: Sequence[int] = (),
    exclude: Sequence[int] = (),
    phase1: int | None = None,
    design: Design | None = None,
    rules: tuple[Rule, ...] = RULES,
) -> ChartResult:
    given_ = {"limits": limits, "phase1": phase1, "exclude": exclude, "rules": rules}
    cut = given_ | {"restarts": restarts}
    if chart in ATTRIBUTES:
        return counts(chart, *sums(chart, laid, subgroup), **cut)  # type: ignore[arg-type]
    if chart == "t2_subgroup":
        table = [rows(point) if len(point) == subgroup else [[math.nan] * 2] * subgroup for point in laid.points]
        return t2_subgroup(np.array(table).transpose(2, 0, 1), **given_)  # type: ignore[arg-type]
    if chart in ("t2_individuals", "mewma"):
        table2 = [rows(point)[0] if point else [math.nan] * 2 for point in laid.points]
        if chart == "mewma":
            return mewma(table2, **cut, design=None if limits else design)  # type: ignore[arg-type]
        return t2_individuals(table2, **given_)  # type: ignore[arg-type]
    if chart in ("ewma", "cusum"):
        weighing = ewma if chart == "ewma" else cusum
        data = singles(laid) if subgroup == 1 else groups(laid, 1)
        return weighing(data, **cut, design=None if limits else design)  # type: ignore[arg-type]
    if chart in ("imr", "t"):
        return (imr if chart == "imr" else t)(singles(laid), **cut)  # type: ignore[arg-type]
    return means("xbar_r" if chart == "xbar_r" else "xbar_s", groups(laid, 2), **cut)  # type: ignore[arg-type]


def same(value: float | None, plotted: float) -> bool:
    return math.isnan(plotted) if value is None else value == plotted


def assert_agrees(verdicts: Sequence[Verdict], batch: ChartResult, start: int = 0) -> None:
    """What was said of points from `start` on is what the series says, to the bit."""
    chart = batch.limits.chart
    found: dict[str, set[tuple[str, tuple[int, ...]]]] = {"location": set(), "range": set()}
    closed = {verdict.subgroup_id - 1: verdict for verdict in verdicts if verdict.members}
    for index in range(start, len(batch.location.points)):
        verdict = closed.get(index)
        if verdict is None or verdict.state == "gap":
            assert math.isnan(batch.location.points[index])
            continue
        upper, lower = batch.location, batch.spread
        assert same(verdict.statistic, upper.points[index])
        assert (verdict.lower, verdict.centre, verdict.upper) == (
            upper.lower[index],
            upper.centre[index],
            upper.upper[index],
        )
        if lower is None:
            assert verdict.range_statistic is None
        else:
            assert same(verdict.range_statistic, lower.points[index])
            assert (verdict.range_lower, verdict.range_upper) == (lower.lower[index], lower.upper[index])
        for fired in verdict.fired:
            found[fired.part].add((fired.rule.name, tuple(point - 1 for point in fired.points)))
    spread_signals = () if batch.spread is None else batch.spread.signals
    pair = chart == "imr"
    assert found["location"] == {(s.rule, s.members) for s in batch.location.signals if s.index >= start}
    assert found["range"] == {
        (s.rule, (s.index - 1, s.index) if pair else s.members) for s in spread_signals if s.index >= start
    }


# -- the tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chart", CHARTS)
@given(data=st.data())
@settings(max_examples=examples(40), deadline=None)
def test_the_stream_equals_the_series_under_any_chopping(chart: Chart, data: st.DataObject) -> None:
    subgroup = data.draw(st.sampled_from(SIZES[chart]))
    limits = LIMITS[chart](subgroup)
    if chart == "np":
        limits = rates("np", 2, 10.0 * subgroup, "v")
    plan = ChartPlan("c", chart, subgroup, RULES, limits)
    acts = data.draw(scripts(chart))
    state, verdicts = run(plan, acts, killed=False)
    assert run(plan, acts, killed=True) == (state, verdicts)
    laid = Laid.out(acts, subgroup)
    if laid.points:
        assert_agrees(verdicts, series(chart, laid, subgroup, limits=limits, restarts=laid.cuts))
    assert state.segment == 1 + acts.count("restart")


DESIGNS: dict[str, Design] = {"ewma": EWMA, "cusum": CUSUM, "mewma": Design(lam=0.2, h4=5.0)}


@pytest.mark.parametrize("chart", CHARTS)
@given(data=st.data())
@settings(max_examples=examples(25), deadline=None)
def test_phase_one_freezes_what_the_series_gives_and_judges_from_there(chart: Chart, data: st.DataObject) -> None:
    subgroup = SIZES[chart][-1] if chart not in ATTRIBUTES else 1
    design = DESIGNS.get(chart)
    asked = data.draw(st.integers(4 if chart in VECTORS else 2, 8))  # fewer rows determine no covariance
    plan = ChartPlan("c", chart, subgroup, RULES, None, asked, "exact", design)
    acts = data.draw(scripts(chart, cuts=False, uncertain=True))
    state, verdicts = run(plan, acts, killed=False)
    assert run(plan, acts, killed=True) == (state, verdicts)
    if state.limits is None:
        assert not any(verdict.fired for verdict in verdicts)
        return
    laid = Laid.out(acts, subgroup)
    start = next((v.subgroup_id - 1 for v in verdicts if v.limit_version), len(laid.points))
    closed = [v for v in verdicts if v.members and v.subgroup_id <= start]
    uncertain = [n for n, point in enumerate(laid.points[:start]) if not all(s.certain for s in point)]
    usable = sum(verdict.state != "gap" for verdict in closed)
    batch = series(chart, laid, subgroup, phase1=usable, exclude=uncertain, design=design)
    assert state.limits == replace(batch.limits, version=state.limits.version)
    assert state.phase1 == ()
    windows = chart in RUN_RULES
    judged = series(
        chart,
        laid,
        subgroup,
        limits=state.limits,
        exclude=range(start) if windows else (),
        restarts=() if windows or start >= len(laid.points) else (start,),
    )
    assert_agrees([v for v in verdicts if v.subgroup_id > start], judged, start)


@given(
    values=st.lists(st.tuples(VALUES, st.sampled_from([10.0, 12.5, -3.0])), min_size=1, max_size=30),
    z=st.booleans(),
)
@settings(max_examples=examples(60), deadline=None)
def test_short_runs_chart_the_deviation_from_each_parts_nominal(
    values: list[tuple[float | None, float]], z: bool
) -> None:
    sigma = 0.5 if z else None
    plan = ChartPlan("c", "imr", 1, RULES, LIMITS["imr"](1))
    state, verdicts = ChartState.start(plan), []
    for number, (value, target) in enumerate(values):
        of_part = replace(plan, nominal=Nominal(target, sigma))
        state, verdict = judge(of_part, state, None if value is None else value + target, f"r{number}")
        verdicts.append(verdict)
    measured = [math.nan if value is None else value + target for value, target in values]
    apart = deviations(measured, [target for _, target in values], sigma)
    assert_agrees(verdicts, imr(apart, limits=plan.limits, rules=RULES))


@pytest.mark.parametrize("chart", ["imr", "xbar_r", "xbar_s", "ewma", "cusum"])
@given(data=st.data(), factor=st.sampled_from([0.25, 8.0, -1.0, -2.0]), origin=st.sampled_from([0.0, 512.0]))
@settings(max_examples=examples(25), deadline=None)
def test_verdicts_do_not_depend_on_unit_and_origin_and_mirror(
    chart: Chart, data: st.DataObject, factor: float, origin: float
) -> None:
    """On values that shift and scale without rounding (in binary fractions)."""
    subgroup = SIZES[chart][-1]
    grid = [n / 8 for n in data.draw(st.lists(st.integers(-32, 32), min_size=4, max_size=40))]

    def signals(scale: float, shift: float) -> list[tuple[str, ...]]:
        if chart in ("ewma", "cusum"):
            design = Design(lam=0.25, width=2.0) if chart == "ewma" else Design(k=0.25, h=2.0)
            limits = weighted(chart, shift, abs(scale), design, "v", subgroup)
        else:
            ends = sorted((shift - 1.5 * scale, shift + 1.5 * scale))
            limits = LimitSet.fixed(chart, shift, ends[0], ends[1], "v", subgroup)
        plan = ChartPlan("c", chart, subgroup, RULES, limits)
        _, verdicts = run(plan, [Sample((scale * value + shift,)) for value in grid], killed=False)
        return [tuple(sorted(verdict.rules)) for verdict in verdicts]

    assert signals(factor, origin) == signals(1.0, 0.0)
