"""A chart begins a new segment when what judges it is another, and only then; its numbers go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import JsonValue

from edge_agent.chart_memory import ChartMemory, Stream, changes, read_memory
from spc.limits import LimitSet
from spc.renewal import described, judged_anew
from spc.rules import check_rules
from spc.state import ChartPlan, ChartState
from spc.stream import judge

FIXED = LimitSet.fixed("imr", 10.0, 7.0, 13.0, "v1", subgroup=1)
WIDER = LimitSet.fixed("imr", 10.0, 6.0, 14.0, "v1", subgroup=1)  # somebody forgot to name it anew


def imr(
    limits: LimitSet | None = FIXED, rules: tuple[str, ...] = ("nelson2",), phase1: int | None = None
) -> ChartPlan:
    return ChartPlan("force", "imr", 1, check_rules(rules), limits, phase1)


def after(plan: ChartPlan, *values: float) -> ChartState:
    state = ChartState.start(plan)
    for n, value in enumerate(values):
        state, _ = judge(plan, state, value, f"r{n}")
    return state


def on(old: ChartPlan, new: ChartPlan, *values: float, tag: str = "plc.force") -> ChartState:
    return judged_anew(after(old, *values), new, described(old, ["plc.force"]), described(new, [tag]))


@pytest.mark.parametrize("new", [imr(WIDER), imr(rules=("nelson1", "nelson2"))])
def test_no_run_crosses_other_limits_or_rules(new: ChartPlan) -> None:
    state = on(imr(), new, *[11.0] * 8)
    assert (state.memory, state.segment) == (None, 2)
    _, verdict = judge(new, state, 11.0, "ninth")
    assert verdict.fired == ()  # the ninth on one side of the centre, but the first of its segment
    assert verdict.subgroup_id == 9


def test_no_open_subgroup_crosses_and_its_number_is_not_given_again() -> None:
    old = ChartPlan("force", "xbar_r", 3, check_rules(("nelson1",)), None, 4)
    new = ChartPlan("force", "xbar_r", 3, check_rules(("nelson1", "nelson2")), None, 4)
    state = on(old, new, 1, 2, 3, 4)
    assert (state.open_readings, state.subgroup_id) == ((), 3)


def test_limits_of_phase_one_stay_where_only_rules_changed() -> None:
    old, values = imr(None, ("nelson1",), 3), (1.0, 2.0, 3.0, 2.0)
    assert on(old, imr(None, ("nelson1", "nelson2"), 3), *values).limits is not None
    longer = on(old, imr(None, ("nelson1",), 5), *values)
    assert longer.limits is None
    assert longer.subgroup_id == 5


def test_another_chart_or_another_measured_tag_begins_at_nothing_but_counts_on() -> None:
    bars = ChartPlan("force", "xbar_r", 2, check_rules(("nelson1",)), None, 3)
    state = on(imr(None, ("nelson1",), 3), bars, 1, 2, 3, 4)
    assert (state.chart, state.limits, state.subgroup_id) == ("xbar_r", None, 5)
    assert on(imr(None, ("nelson1",), 3), imr(None, ("nelson1",), 3), 1, 2, 3, 4, tag="plc.other").limits is None


# -- what is stored ----------------------------------------------------------------------------------------

JUDGED_BY = described(imr(), ["plc.force"])
STREAM = Stream("force", "product=A%26B", after(imr(), 11, 12), JUDGED_BY, 5, "WO-1", "L-1", None, 7, True)


def test_what_was_kept_is_read_again() -> None:
    memory = ChartMemory({STREAM.name: STREAM}, {"force": "product=A%26B"}, 3)
    assert read_memory(changes(ChartMemory(), memory)) == memory


def test_only_streams_that_changed_are_written() -> None:
    other = replace(STREAM, key="product=B")
    before = ChartMemory({STREAM.name: STREAM, other.name: other})
    moved = replace(other, used_us=8)
    assert list(changes(before, replace(before, streams=before.streams | {other.name: moved}))) == [other.name]
    assert changes(before, replace(before, streams={STREAM.name: STREAM})) == {other.name: None}
    assert changes(before, before) == {}


@pytest.mark.parametrize("held", [17, "chart", {}, {"state": {"state_version": 99, "segment": 4}}, [], None])
def test_a_stream_that_cannot_be_read_begins_anew_and_stops_nothing(held: JsonValue) -> None:
    good = changes(ChartMemory(), ChartMemory({STREAM.name: STREAM}))
    memory = read_memory(good | {"force?product=C": held, "": "damaged"})
    assert list(memory.streams) == [STREAM.name]
    assert memory.forgotten == (4 if isinstance(held, dict) and held else 1)
