"""A chart begins a new segment when what judges it is another, and only then; its numbers go on."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from edge_agent.segments import GONE, described, held, segmented
from spc.limits import LimitSet
from spc.state import ChartPlan, ChartState
from spc.stream import judge

TAGS = {"force": "plc.force"}
FIXED = LimitSet.fixed("imr", 10.0, 7.0, 13.0, "v1", subgroup=1)
WIDER = LimitSet.fixed("imr", 10.0, 6.0, 14.0, "v1", subgroup=1)  # somebody forgot to name it anew


def imr(
    limits: LimitSet | None = FIXED, rules: tuple[str, ...] = ("nelson2",), phase1: int | None = None
) -> ChartPlan:
    return ChartPlan("force", "imr", 1, rules, limits, phase1)


def after(plan: ChartPlan, *values: float) -> dict[str, JsonValue]:
    state = ChartState.start(plan)
    for n, value in enumerate(values):
        state, _ = judge(plan, state, value, f"r{n}")
    return {"force": state.to_json()}  # type: ignore[dict-item]


def on(
    old: ChartPlan, new: ChartPlan, *values: float, tag: str = "plc.force"
) -> tuple[ChartState, tuple[str, ...]]:
    found = segmented({"force": new}, {"force": tag}, after(old, *values), {"force": described(old, "plc.force")})
    state = held(found.states["force"])
    assert state is not None
    assert found.plans == {"force": described(new, tag)}
    return state, found.cut


def test_the_same_plan_goes_on() -> None:
    state, cut = on(imr(), imr(), 11, 11, 11)
    assert cut == ()
    assert state.run is not None
    assert len(state.run.refs) == 3


@pytest.mark.parametrize("new", [imr(WIDER), imr(rules=("nelson1", "nelson2"))])
def test_no_run_crosses_other_limits_or_rules(new: ChartPlan) -> None:
    state, cut = on(imr(), new, *[11.0] * 8)
    assert cut == ("force",)
    assert state.run is None
    _, verdict = judge(new, state, 11.0, "ninth")
    assert verdict.fired == ()  # the ninth on one side of the centre, but the first of its segment
    assert verdict.subgroup_id == 9


def test_no_open_subgroup_crosses_and_its_number_is_not_given_again() -> None:
    old = ChartPlan("force", "xbar_r", 3, ("nelson1",), None, 4)
    new = ChartPlan("force", "xbar_r", 3, ("nelson1", "nelson2"), None, 4)
    state, _ = on(old, new, 1, 2, 3, 4)
    assert (state.open_values, state.subgroup_id) == ((), 3)


def test_limits_of_phase_one_stay_where_only_rules_changed() -> None:
    old, values = imr(None, ("nelson1",), 3), (1.0, 2.0, 3.0, 2.0)
    same, _ = on(old, imr(None, ("nelson1", "nelson2"), 3), *values)
    assert same.limits is not None
    longer, _ = on(old, imr(None, ("nelson1",), 5), *values)
    assert longer.limits is None
    assert longer.subgroup_id == 5


def test_another_chart_or_another_measured_tag_begins_at_nothing_but_counts_on() -> None:
    bars = ChartPlan("force", "xbar_r", 2, ("nelson1",), None, 3)
    state, cut = on(imr(None, ("nelson1",), 3), bars, 1, 2, 3, 4)
    assert (state.chart, state.limits, state.subgroup_id, cut) == ("xbar_r", None, 5, ("force",))
    state, cut = on(imr(None, ("nelson1",), 3), imr(None, ("nelson1",), 3), 1, 2, 3, 4, tag="plc.other")
    assert (state.limits, cut) == (None, ("force",))


def test_a_chart_that_was_away_begins_anew() -> None:
    plan = imr()
    kept = segmented({}, {}, after(plan, 11, 11), {"force": described(plan, "plc.force")})
    assert (kept.cut, kept.plans) == ((), {"force": GONE})
    back = segmented({"force": plan}, TAGS, kept.states, kept.plans)
    assert back.cut == ("force",)


def test_a_state_of_an_older_version_goes_on_where_it_fits() -> None:
    plan = imr()
    found = segmented({"force": plan}, TAGS, after(plan, 11, 11), {})
    assert found.cut == ()
    assert found.plans == {"force": described(plan, "plc.force")}
    other = ChartPlan("force", "xbar_r", 2, ("nelson1",))
    assert segmented({"force": other}, TAGS, after(plan, 11, 11), {}).cut == ("force",)


def test_what_cannot_be_read_is_left_for_the_first_reading() -> None:
    found = segmented({"force": imr()}, TAGS, {"force": {"state_version": 99}}, {})
    assert found.cut == ()
    assert found.states == {"force": {"state_version": 99}}
