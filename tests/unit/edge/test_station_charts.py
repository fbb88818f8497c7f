"""Charts inside a station: what a commit holds of them, recipes and limits of central, closing without a run.

A station that is killed at any moment says the very verdicts that an uninterrupted one says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from edge_agent.chart_memory import ChartMemory
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.events import Captured, Commit, Committed, Tick
from edge_agent.papers import LIMIT_SETS, RECIPE, Papers
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import State
from records.model import OperationRecord, OperationsEvent, Quality, Result
from records.verdict import SpcState
from records.wire import Document
from spc.limits import LimitSet
from spc.state import ChartPlan
from spc.variables import imr, means
from spc.weighted import cusum, ewma
from tests.rigs.examples import examples
from tests.unit.edge.stations import ASSEMBLE, NOW_US, WASH, captured, gs1, papers, plain, reading
from tests.unit.edge.test_station import Bench

FIXED = {"centre": 2.2, "lower": 2.05, "upper": 2.35, "version": "t1"}


def characteristics(**told: dict[str, Any]) -> dict[str, CharacteristicSettings]:
    return {name: CharacteristicSettings.model_validate({"tag": "plc.torque"} | one) for name, one in told.items()}


def bench(known: Papers | None = None, station: dict[str, Any] = ASSEMBLE, **told: dict[str, Any]) -> Bench:
    core = Station("s", StationSettings.model_validate(station), characteristics(**told), line="valve-1")
    return Bench(core, known).ready() if station is ASSEMBLE else Bench(core, known)


def events(at: Bench, code: str) -> list[OperationsEvent]:
    return [fact for fact in at.facts if isinstance(fact, OperationsEvent) and fact.code == code]


# -- what is kept ------------------------------------------------------------------------------------------


def test_a_commit_writes_the_streams_that_changed_and_nothing_stands_before_it() -> None:
    at = bench(torque={"chart": "imr"}, angle={"tag": "plc.angle", "chart": "imr"})
    at.see(done=True)
    state, effects = at.core.step(at.state, captured(1), at.papers)
    (commit,) = [effect for effect in effects if isinstance(effect, Commit)]
    assert list(commit.charts) == ["torque?product=VS-100&revision=B", ""]
    assert state.charts == ChartMemory()  # nothing of it counts before it is on disk
    state, _ = at.core.step(state, Committed(), at.papers)
    assert list(state.charts.streams) == ["torque?product=VS-100&revision=B"]


@pytest.mark.parametrize("values", [{"mode": 4}, {"result": 4}])
def test_setup_and_aborted_runs_leave_no_trace(values: dict[str, object]) -> None:
    at = bench(torque={"chart": "imr"})
    at.cycle(1)
    before = at.state.charts
    at.cycle(2, torque=9.9, **values)
    assert len(at.records) == 2
    assert at.state.charts == before


def test_all_units_of_a_load_are_the_chart_s() -> None:
    at = bench(station=WASH | {"capture": ["plc.torque"]}, torque={"chart": "imr", "limits": {"fixed": FIXED}})
    at.see(done=False)
    for scan in (plain("B123456"), plain("TRAY-001")):
        at.feed(scan)
    for serial in ("S1", "S2", "S3"):
        at.feed(gs1(a01="04012345000016", a10="WO-1", a21=serial))
    at.see(done=True)
    at.feed(captured(1, torque=2.9))
    (signal,) = events(at, "spc-signal")
    assert [subject.id for subject in signal.subjects] == ["S1", "S2", "S3"]


# -- documents ---------------------------------------------------------------------------------------------


def test_a_verdict_names_the_readings_that_do_not_say_whose_they_are() -> None:
    ewma = {"chart": "ewma", "limits": {"fixed": {"target": 2.2, "sigma": 0.05, "version": "d1"}}}
    pair = {"tag": None, "tags": ["plc.total", "plc.torque"], "chart": "t2_individuals"}
    at = bench(torque={"chart": "imr"}, drift=ewma, pair=pair)
    record = at.cycle(1)
    assert record is not None
    assert {state.characteristic: state.tags for state in record.spc} == {
        "torque": None,  # its reading bears its name
        "drift": ("plc.torque",),
        "pair": ("plc.total", "plc.torque"),  # in the order of the chart, whatever the station captures first
    }


def of_central(*sets: dict[str, Any], recipe: dict[str, Any] | None = None, age_s: float = 7.0) -> Papers:
    documents = [Document(LIMIT_SETS, "torque", 4, 0, {"characteristic": "torque", "sets": list(sets)})]
    if recipe is not None:
        documents.append(Document(RECIPE, "VS-100/B", 9, 0, recipe))
    told = Papers.of(documents, lambda _kind, _id: age_s)
    return replace(papers(), limits=told.limits, recipes=told.recipes, documents=told.documents, age_s=told.age_s)


def approved(**changes: Any) -> dict[str, Any]:
    key = {"product": "VS-100", "revision": "B", "tool": None, "position": None}
    limits = LimitSet.fixed("imr", 2.2, 2.1, 2.3, "S:3").to_json()
    return {"id": "S", "version": 3, "key": key, "limits": limits, "effective_us": "0"} | changes


def test_a_run_is_judged_by_recipe_and_limits_of_central_and_names_them_with_their_age() -> None:
    recipe = {
        "product": "VS-100",
        "revision": "B",
        "characteristics": {"torque": [{"specification": {"lsl": 2.0, "usl": 2.25, "target": 2.2}}]},
    }
    at = bench(of_central(approved(), recipe=recipe), torque={"chart": "imr", "specification": {"usl": 9}})
    record = at.cycle(1, torque=2.31)
    assert record is not None
    (test,) = record.subjects[0].tests
    assert (test.upper, test.result, test.specification) == (2.25, Result.FAIL, "recipe:VS-100/B:9")
    assert (record.spc[0].limit_version, record.spc[0].state) == ("S:3", "signal")
    used = {(use.kind, use.id, use.version, use.age_s) for use in record.documents}
    assert {("recipe", "VS-100/B", 9, 7.0), ("limit-sets", "torque", 4, 7.0)} <= used


def test_a_set_for_another_chart_judges_nothing_and_is_named() -> None:
    other = LimitSet.fixed("xbar_r", 2.2, 2.1, 2.3, "S:3", 5).to_json()
    at = bench(of_central(approved(limits=other)), torque={"chart": "imr"})
    record = at.cycle(1, torque=2.31)
    assert record is not None
    assert (record.spc[0].limit_version, record.spc[0].state) == (None, "no_limits")
    (event,) = events(at, "chart-no-limits")
    assert event.params["unsuited"] == "limit-set:S:3"


def test_a_set_that_cannot_be_read_is_left_out_and_told_and_the_others_count() -> None:
    papers_ = Papers.of(
        [
            Document(LIMIT_SETS, "torque", 4, 0, {"characteristic": "torque", "sets": [{"id": 5}, approved()]}),
            Document(LIMIT_SETS, "angle", 1, 0, ["nothing"]),
            Document(RECIPE, "VS-100/B", 1, 0, {"product": "VS-100"}),
        ]
    )
    assert [one["id"] for one in papers_.limits["torque"]] == ["S"]
    assert papers_.recipes == {}
    told = sorted(problem.split(" version")[0] for problem in papers_.problems)
    assert told == ["limit-sets angle", "limit-sets torque", "recipe VS-100/B"]


def test_what_a_person_holds_by_reaction_follows_a_closing_without_a_run() -> None:
    plan = {"chart": "xbar_r", "subgroup": {"runs": 5, "after": "30min"}, "limits": {"fixed": FIXED}}
    at = bench(torque=plan | {"reactions": {"default": ["hold_unit"]}})
    at.cycle(1, torque=2.9, carrier="C-1")
    at.cycle(2, torque=2.9, carrier="C-2")
    at.feed(Tick(NOW_US + 1_800_000_000, 0.0))
    assert at.codes()[-4:] == ["spc-subgroup", "spc-signal", "reaction", "unit-held"]
    assert [subject.id for subject in events(at, "unit-held")[0].subjects] == ["C-1", "C-2"]
    commits = [effect for effect in at.effects if isinstance(effect, Commit)]
    assert len(commits[-1].facts) == 4  # all in one transaction
    facts = len(at.facts)
    at.feed(Tick(NOW_US + 1_900_000_000, 1.0))
    assert len(at.facts) == facts


def test_a_scan_of_the_next_order_closes_what_the_lot_left_open_in_its_own_commit() -> None:
    plan = {"chart": "xbar_r", "subgroup": {"runs": 5, "lot": True}, "limits": {"fixed": FIXED}}
    at = bench(torque=plan)
    at.cycle(1)
    at.cycle(2)
    at.feed(plain("WO-2"))
    commit = [effect for effect in at.effects if isinstance(effect, Commit)][-1]
    codes = [fact.code for fact in commit.facts if isinstance(fact, OperationsEvent)]
    assert codes == ["spc-subgroup", "scan-accepted", "order-started"]
    assert events(at, "spc-subgroup")[0].order == "WO-1"
    record = at.cycle(3)
    assert record is not None
    assert (record.spc[0].subgroup, record.spc[0].position) == (2, 1)


def test_a_tool_may_be_told_by_a_tag() -> None:
    at = bench(station=ASSEMBLE | {"tool": {"tag": "plc.tool"}}, torque={"chart": "imr"})
    at.see(done=False)
    at.see(done=True)
    one = captured(1)
    at.feed(replace(one, readings={**one.readings, "plc.tool": reading("plc.tool", "T 7")}))
    assert at.records[0].tool == "T 7"
    assert at.records[0].spc[0].stream == "tool=T%207"


def test_what_a_build_before_streams_kept_is_taken_over_and_its_charts_begin_anew() -> None:
    old: JsonValue = {"order": "WO-1", "charts": {"torque": {"state_version": 1}}, "plans": {"torque": "gone"}}
    state = bench(torque={"chart": "imr"}).core.open(old)
    assert (state.kept.order, state.charts) == ("WO-1", ChartMemory())


# -- killed at any moment ----------------------------------------------------------------------------------

CHARTS: dict[str, dict[str, Any]] = {
    "single": {"chart": "imr", "rules": ["nelson1", {"nelson2": {"window": 4}}], "limits": {"fixed": FIXED}},
    "learnt": {"chart": "imr", "limits": {"from": "phase1", "subgroups": 4}},
    "means": {
        "chart": "xbar_r",
        "subgroup": 3,
        "rules": ["nelson1", {"nelson2": {"window": 3}}],
        "limits": {"fixed": FIXED | {"lower": 2.12, "upper": 2.28}},
    },
    "slow": {"chart": "ewma", "limits": {"fixed": {"target": 2.2, "sigma": 0.05, "version": "e1"}}},
    "sums": {
        "chart": "cusum",
        "design": {"h": 4, "headstart": 2},
        "limits": {"fixed": {"target": 2.2, "sigma": 0.05, "version": "c1"}},
    },
}

Run = tuple[float | None, str]


def shown(number: int, run: Run) -> Captured:
    value, order = run
    one = captured(number, carrier=f"C-{number}")
    torque = reading("plc.torque", value, Quality.GOOD if value is not None else Quality.BAD)
    return replace(one, readings={**one.readings, "plc.torque": torque, "plc.order": reading("plc.order", order)})


class Line:
    """A station whose disk alone survives."""

    def __init__(self) -> None:
        self.core = Station(
            "s",
            StationSettings.model_validate(
                ASSEMBLE | {"order": {"tag": "plc.order"}, "permit": None, "materials": []}
            ),
            characteristics(**CHARTS),
        )
        self.kept: JsonValue = None
        self.charts: dict[str, JsonValue] = {}
        self.records: list[OperationRecord] = []
        self.state: State = self.core.open(None)

    def kill(self) -> None:
        self.state = self.core.open(self.kept, self.charts, papers())

    def run(self, number: int, run: Run, *, dies: str | None = None) -> None:
        state, effects = self.core.step(self.state, shown(number, run), papers())
        if dies == "before":
            return self.kill()
        for effect in effects:
            if isinstance(effect, Commit):
                self.kept = effect.kept
                for name, chart in effect.charts.items():
                    self.charts[name] = chart
                    if chart is None:
                        del self.charts[name]
                self.records += [fact for fact in effect.facts if isinstance(fact, OperationRecord)]
        if dies == "after":
            return self.kill()
        self.state, _ = self.core.step(state, Committed(), papers())
        return None

    def verdicts(self, name: str) -> list[SpcState]:
        return [one for record in self.records for one in record.spc if one.characteristic == name]


RUNS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(2.0, 2.4), st.just(2.25)), st.sampled_from(["WO-1", "WO-2", "WO-V2"])
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=examples(60), deadline=None)
@given(RUNS, st.data())
def test_killed_at_any_moment_a_station_says_what_it_would_have_said(runs: list[Run], data: st.DataObject) -> None:
    calm, hunted = Line(), Line()
    for number, run in enumerate(runs, 1):
        calm.run(number, run)
        for _ in range(data.draw(st.integers(0, 2))):
            hunted.run(number, run, dies="before")
        hunted.run(number, run, dies=data.draw(st.sampled_from([None, "after"])))
        if data.draw(st.booleans()):
            hunted.run(number, run)  # the machine still says done: the same cycle is no second reading
    assert [record.spc for record in hunted.records] == [record.spc for record in calm.records]
    assert hunted.charts == calm.charts


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.floats(2.0, 2.4), min_size=1, max_size=40), st.data())
def test_a_hunted_station_agrees_with_the_batch_charts(values: list[float], data: st.DataObject) -> None:
    line = Line()
    for number, value in enumerate(values, 1):
        line.run(number, (value, "WO-1"), dies=data.draw(st.sampled_from([None, "after"])))
    rules = ["nelson1", {"nelson2": {"window": 4}}]
    for name, result in (
        ("single", imr(values, limits=plan("single").limits, rules=rules)),
        ("slow", ewma(values, limits=plan("slow").limits)),
    ):
        told = line.verdicts(name)
        assert [one.statistic for one in told] == result.location.points.tolist()
        fired = {(signal.index, signal.rule) for signal in result.location.signals}
        assert {(n, rule) for n, one in enumerate(told) for rule in one.rules} == fired
    sums = cusum(values, limits=plan("sums").limits)
    assert [one.statistic for one in line.verdicts("sums")] == sums.location.points.tolist()
    groups = np.array(values[: len(values) // 3 * 3]).reshape(-1, 3)
    closed = [one for one in line.verdicts("means") if one.position == 3]
    if len(groups):
        judged = means(
            "xbar_r", groups, limits=plan("means").limits, rules=["nelson1", {"nelson2": {"window": 3}}]
        )
        assert [one.statistic for one in closed] == judged.location.points.tolist()
        fired = {(signal.index, signal.rule) for signal in judged.location.signals}
        assert {(n, rule) for n, one in enumerate(closed) for rule in one.rules} == fired


def plan(name: str) -> ChartPlan:
    found = characteristics(**CHARTS)[name].plan(name)
    assert found is not None
    return found
