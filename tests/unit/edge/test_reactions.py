"""What follows a signal: in its own commit, at the machine before the answer, standing until a person ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.events import (
    Answer,
    Commit,
    Committed,
    DeviceBack,
    Effect,
    Event,
    Lift,
    Observed,
    Prompt,
    Reply,
    RestartChart,
    Tick,
    Write,
    WriteDone,
    WriteFailed,
)
from edge_agent.holds import STANDING_MAX, STATION_HOLDS_MAX, UNITS_MAX, Cause, Hold
from edge_agent.papers import Papers
from edge_agent.reactions import ReactionRules, signals
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Phase, State, as_json, commit, read_kept
from records.model import Act, Decision, OperationRecord, OperationsEvent, Purpose, Subject, SubjectKind
from records.wire import Document
from tests.unit.edge.stations import ASSEMBLE, LABEL, NOW_US, VS, captured, gs1, papers, plain
from tests.unit.edge.test_station import Bench

BOTH = ASSEMBLE | {
    "hold": {"tag": "plc.hold"},
    "materials": [],
    "permit": {"tag": "plc.permit", "needs": ["order"]},
}
HELD, FREE = Write("plc.hold", True), Write("plc.hold", False)
STOP, GO = Write("plc.permit", False), Write("plc.permit", True)
ACKNOWLEDGE = Write("plc.ack", True)
OUTSIDE = 2.4
"""A torque beyond the chart's limits and within the specification."""


def torque(**reactions: object) -> CharacteristicSettings:
    return CharacteristicSettings.model_validate(
        {
            "tag": "plc.torque",
            "chart": "imr",
            "rules": ["nelson1", "nelson2"],
            "limits": {"fixed": {"centre": 2.2, "lower": 2.05, "upper": 2.35, "version": "t1"}},
            "specification": {"lsl": 1.8, "usl": 2.6},
            "reactions": reactions,
        }
    )


def made(settings: dict[str, Any], **reactions: object) -> Station:
    return Station("s", StationSettings.model_validate(settings), {"torque": torque(**reactions)})


def bench(settings: dict[str, Any] = BOTH, **reactions: object) -> Bench:
    """A station at work with an order, free to run."""
    found = Bench(made(settings, **reactions))
    found.see(done=False, running=False)
    found.feed(plain("WO-1"))
    return found


def events(found: Bench, code: str) -> list[OperationsEvent]:
    return [fact for fact in found.facts if isinstance(fact, OperationsEvent) and fact.code == code]


def signal(found: Bench, cycle: int = 1, **shown: object) -> list[Effect]:
    """One run whose torque is outside the limits; what it made the station do, up to the answer."""
    found.see(done=True)
    effects = found.feed(captured(cycle, torque=OUTSIDE, **shown))  # type: ignore[arg-type]
    found.see(done=False)
    return effects


# -- which action follows which signal ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reactions", "actions"),
    [
        ({}, ["note"]),
        ({"default": ["alarm"]}, ["alarm"]),
        (
            {"nelson1": ["hold_unit", {"escalate": "process-engineer"}], "default": ["alarm"]},
            ["hold_unit", "escalate"],
        ),
        ({"nelson2": ["alarm"]}, ["note"]),
        ({"range": ["alarm"]}, ["note"]),
    ],
)
def test_the_rule_s_own_entry_comes_before_default_and_a_note_is_the_least(
    reactions: dict[str, Any], actions: list[str]
) -> None:
    found = bench(**reactions)
    signal(found, carrier="C-9")
    told = events(found, "reaction")
    assert [event.params["action"] for event in told] == actions
    for event in told:
        assert [subject.id for subject in event.subjects] == ["C-9"]
        assert event.order == "WO-1"
        assert (event.params["characteristic"], event.params["rule"], event.params["subgroup"]) == (
            "torque",
            "nelson1",
            1,
        )
    assert [event.params["to"] for event in told if event.params["action"] == "escalate"] == (
        ["process-engineer"] if "escalate" in actions else []
    )


def test_a_chart_of_spread_has_an_entry_of_its_own() -> None:
    for reactions, actions in (
        ({"range": ["alarm"], "nelson1": ["hold_unit"]}, {"location": "hold_unit", "range": "alarm"}),
        ({"nelson1": ["hold_unit"]}, {"location": "hold_unit", "range": "hold_unit"}),
    ):
        found = bench(**reactions)
        found.cycle(1, torque=2.1)
        found.cycle(2, torque=2.59)  # beyond the limit, and too far from the one before
        told = {event.params["part"]: event.params["action"] for event in events(found, "reaction")}
        assert told == actions


def test_what_is_no_rule_reacts_only_by_an_entry_of_its_own() -> None:
    found = bench(default=["hold_station"])
    found.cycle(1, torque=2.2)
    found.cycle(2, torque=1.0)  # also beyond the chart's limits: that is a rule's
    assert {e.params["rule"] for e in events(found, "reaction")} == {"nelson1"}
    found = bench(**{"out-of-specification": ["hold_unit"]})
    found.see(done=True)
    found.feed(captured(1, torque=1.0, carrier="C-3"))
    (held,) = events(found, "unit-held")
    assert (held.params["rule"], held.params["subgroup"], held.subjects[0].id) == (
        "out-of-specification",
        None,
        "C-3",
    )


def test_a_chart_without_limits_is_a_signal_too() -> None:
    fact = OperationsEvent("chart-no-limits", {"characteristic": "torque", "stream": "product=A"}, order="WO-1")
    (found,) = signals([fact])
    assert (found.cause, found.order) == (Cause("torque", "product=A", "chart-no-limits"), "WO-1")


def test_setup_runs_and_aborted_ones_react_to_nothing() -> None:
    found = bench(**{"nelson1": ["hold_station"], "out-of-specification": ["hold_station"]})
    found.cycle(1, torque=1.0, mode=4)
    found.cycle(2, torque=1.0, result=4)
    assert not events(found, "reaction")


# -- the station held --------------------------------------------------------------------------------------


def test_the_hold_is_in_the_signal_s_commit_and_at_the_machine_before_the_answer() -> None:
    found = bench(nelson1=["hold_station"])
    assert FREE in found.effects
    assert found.effects[-1] == GO
    effects = signal(found)
    (commit_,) = [effect for effect in effects if isinstance(effect, Commit)]
    codes = [fact.code for fact in commit_.facts if isinstance(fact, OperationsEvent)]
    assert codes == ["spc-signal", "reaction", "station-held"]
    told = commit_.facts[-1]
    assert isinstance(told, OperationsEvent)
    (hold,) = found.state.kept.holds
    assert told.params == {
        "hold": hold.id,
        "characteristic": "torque",
        "stream": hold.cause.stream,
        "subgroup": 1,
        "rule": "nelson1",
        "tag": "plc.hold",
    }
    assert read_kept("s", commit_.kept).holds == (hold,)
    assert (hold.kind, hold.since_us, hold.order) == ("hold_station", NOW_US, "WO-1")
    after = effects[effects.index(commit_) + 1 :]
    assert [effect for effect in after if isinstance(effect, Write)] == [HELD, STOP, ACKNOWLEDGE]
    assert [effect.code for effect in after if isinstance(effect, Prompt)] == ["station-held"]
    assert [need.kind for need in found.core.missing(found.state, papers())] == ["hold"]


def no_answer(effects: list[Effect] | tuple[Effect, ...]) -> bool:
    return ACKNOWLEDGE not in effects


def at_the_commit(settings: dict[str, Any]) -> tuple[Station, State, tuple[Effect, ...]]:
    """A station whose holding commit is on disk, and what it wants done then; nothing of it is done yet."""
    found = bench(settings, nelson1=["hold_station"])
    found.see(done=True)
    state, _ = found.core.step(found.state, captured(1, torque=OUTSIDE), papers())
    state, effects = found.core.step(state, Committed(), papers())
    return found.core, state, effects


@pytest.mark.parametrize("failing", ["plc.hold", "plc.permit"])
def test_a_machine_that_could_not_be_told_is_not_answered_until_it_was(failing: str) -> None:
    core, state, effects = at_the_commit(BOTH)
    assert [e for e in effects if isinstance(e, Write)] == [HELD, STOP]
    done: dict[str, Event] = {tag: WriteDone(tag) for tag in ("plc.hold", "plc.permit")}
    for event in (done | {failing: WriteFailed(failing, "gone")}).values():
        state, effects = core.step(state, event, papers())
        assert no_answer(effects)
    if effects and isinstance(effects[0], Write):  # another event came meanwhile: it was tried again at once
        state, effects = core.step(state, WriteFailed(failing, "gone"), papers())
    for turn in range(2):
        state, effects = core.step(state, Tick(NOW_US, float(turn)), papers())
        assert [e for e in effects if isinstance(e, Write)] == [Write(failing, failing == "plc.hold")]
        state, effects = core.step(state, WriteFailed(failing, "gone"), papers())
        assert no_answer(effects)
    state, effects = core.step(state, Tick(NOW_US, 9.0), papers())
    assert no_answer(effects)
    state, effects = core.step(state, WriteDone(failing), papers())
    assert effects == (ACKNOWLEDGE,)
    state, effects = core.step(state, WriteDone("plc.ack"), papers())
    assert state.phase is Phase.WAITING


def test_without_a_hold_a_failing_permit_holds_up_no_answer() -> None:
    found = bench(LABEL | {"materials": []})
    found.feed(plain("B123456"))
    found.feed(gs1("C-1", None, a01=VS, a10="WO-1", a21="S1"))
    found.see(done=True)
    state, _ = found.core.step(found.state, captured(1), papers())
    _, effects = found.core.step(state, Committed(), papers())
    assert [e for e in effects if isinstance(e, Write)] == [STOP, ACKNOWLEDGE]


@pytest.mark.parametrize("settings", [BOTH, {k: v for k, v in BOTH.items() if k != "permit"}])
def test_after_a_restart_the_hold_stands_and_the_machine_is_told_again(settings: dict[str, Any]) -> None:
    found = bench(settings, nelson1=["hold_station"])
    signal(found)
    again = Bench(made(settings))  # nothing of the plan is left in the configuration
    again.state = again.core.open(as_json(found.state.kept))
    assert again.state.kept.holds == found.state.kept.holds
    effects = again.see(done=False)
    assert HELD in effects
    assert STOP in effects or "permit" not in settings
    assert [need.kind for need in again.core.missing(again.state, papers())] == ["hold"]
    back = again.feed(DeviceBack("plc"))
    assert HELD in back


def test_the_same_cycle_captured_after_a_kill_is_answered_only_once_the_machine_is_locked() -> None:
    found = bench(nelson1=["hold_station"])
    found.see(done=True)
    state, _ = found.core.step(found.state, captured(1, torque=OUTSIDE), papers())
    assert state.after is not None
    state = found.core.open(as_json(state.after.state.kept))  # killed between the commit and the first write
    state, effects = found.core.step(state, Observed({"plc.done": True}, NOW_US, "id"), papers())
    assert [e for e in effects if isinstance(e, Write)] == [HELD, STOP]
    for event in (WriteDone("plc.hold"), WriteFailed("plc.permit", "gone"), captured(1, torque=OUTSIDE)):
        state, effects = found.core.step(state, event, papers())
        assert no_answer(effects)
    assert state.phase is Phase.ANSWERING
    assert STOP in effects
    _, effects = found.core.step(state, WriteDone("plc.permit"), papers())
    assert effects == (ACKNOWLEDGE,)


def test_the_same_reason_again_is_no_second_hold() -> None:
    found = bench(nelson1=["hold_station"])
    signal(found, 1)
    signal(found, 2)
    (hold,) = found.state.kept.holds
    assert hold.times == 2
    assert len(events(found, "station-held")) == 1
    assert [e.params["hold"] for e in events(found, "reaction")] == [hold.id, hold.id]


def test_a_machine_that_runs_all_the_same_is_recorded_and_told() -> None:
    found = bench(nelson1=["hold_station"])
    signal(found, 1)
    assert not events(found, "ran-while-held")
    assert found.cycle(2, carrier="C-7", torque=2.3) is not None
    (told,) = events(found, "ran-while-held")
    (hold,) = found.state.kept.holds
    assert told.params == {"holds": [hold.id], "what": "station", "run_id": "new-id", "cycle": "2"}
    assert [subject.id for subject in told.subjects] == ["C-7"]
    found.cycle(3, torque=2.3, mode=4)  # a set-up piece is how the repair is tried
    assert len(events(found, "ran-while-held")) == 1


def test_a_run_that_had_begun_before_the_hold_is_no_breach() -> None:
    hold = Hold("h-1", "hold_station", Cause("torque", None, "nelson1"), 1, NOW_US + 1)
    found = bench()
    found.state = replace(found.state, kept=replace(found.state.kept, holds=(hold,)))
    found.cycle(1)
    assert not events(found, "ran-while-held")


# -- units held --------------------------------------------------------------------------------------------


def test_a_held_unit_is_named_once_and_stays_until_it_is_released() -> None:
    found = bench(nelson1=["hold_unit"])
    signal(found, 1, carrier="C-1")
    signal(found, 2, carrier="C-2")
    signal(found, 3, carrier="C-2")
    (hold,) = found.state.kept.holds
    assert (hold.times, hold.units) == (3, ("carrier||plant|C-1", "carrier||plant|C-2"))
    assert [[s.id for s in e.subjects] for e in events(found, "unit-held")] == [["C-1"], ["C-2"]]
    assert {e.params["hold"] for e in events(found, "unit-held")} == {hold.id}
    (told,) = events(found, "ran-while-held")  # C-2 once more
    assert (told.params["what"], told.params["cycle"]) == ("unit", "3")
    assert found.core.missing(found.state, papers()) == ()


@pytest.mark.parametrize("mode", [2, 3])
def test_rework_and_retest_of_a_held_unit_are_no_breach(mode: int) -> None:
    found = bench(nelson1=["hold_unit"])
    signal(found, 1, carrier="C-1")
    found.cycle(2, carrier="C-1", mode=mode)
    assert not events(found, "ran-while-held")


def test_what_nobody_identified_cannot_be_held_by_name() -> None:
    found = bench(nelson1=["hold_unit"])
    signal(found, 1, carrier="")
    assert found.state.kept.holds[0].units == ()
    assert len(events(found, "unit-held")) == 1


def label(**more: Any) -> Any:
    return replace(gs1("C-1", None, a01=VS, a10="WO-1", a21="S1"), **more)


UNIT_S1 = "unit|VS-100|gs1|S1"


@pytest.mark.parametrize("ref", [UNIT_S1, "carrier||plant|C-1"])
def test_a_scan_of_a_held_unit_or_of_the_piece_on_a_held_carrier_is_refused(ref: str) -> None:
    found = bench(LABEL)
    hold = Hold("h-1", "hold_unit", Cause("torque", None, "nelson1"), 1, NOW_US, "WO-1", (ref,))
    found.state = replace(found.state, kept=replace(found.state.kept, holds=(hold,)))
    effects = found.feed(label())
    assert Answer("scanner", False) in effects
    refused = events(found, "scan-refused")[-1]
    assert (refused.params["reason"], refused.params["found"]) == ("unit-on-hold", "h-1")
    for purpose in (Purpose.REWORK, Purpose.RETEST):
        assert Answer("scanner", True) in Bench.feed(bench_with(hold), label(purpose=purpose))
    assert Answer("scanner", False) in Bench.feed(bench_with(hold), label(purpose=Purpose.PRODUCTION))


def bench_with(*held: Hold) -> Bench:
    found = bench(LABEL)
    found.state = replace(found.state, kept=replace(found.state.kept, holds=held))
    return found


def test_a_hold_of_another_station_refuses_the_scan_too() -> None:
    found = bench(LABEL)
    assert Answer("scanner", False) in found.feed(label(held="h-other"))
    assert events(found, "scan-refused")[-1].params["found"] == "h-other"
    assert Answer("scanner", True) in found.feed(label(held="h-other", purpose=Purpose.REWORK))


def test_an_alarm_stands_and_prompts_again() -> None:
    found = bench(nelson1=["alarm"])
    for cycle in (1, 2):
        assert [e.code for e in signal(found, cycle) if isinstance(e, Prompt)] == ["alarm"]
    (alarm,) = found.state.kept.holds
    assert (alarm.kind, alarm.times, alarm.units) == ("alarm", 2, ())
    assert not events(found, "station-held")
    assert found.core.missing(found.state, papers()) == ()


# -- limits of what stands ---------------------------------------------------------------------------------


def follow(rules: ReactionRules, state: State, *facts: OperationsEvent) -> State:
    step = rules.follow(commit(state, facts, state), NOW_US)
    assert step[0].after is not None
    return step[0].after.state


def spc(name: str, stream: int, *units: str) -> OperationsEvent:
    subjects = tuple(Subject(SubjectKind.UNIT, unit, "VS-100") for unit in units)
    params: Any = {"characteristic": name, "stream": f"position={stream}", "rule": "nelson1", "subgroup": 1}
    return OperationsEvent("spc-signal", params, subjects)


def test_the_oldest_alarm_gives_way_and_a_record_says_so() -> None:
    rules = ReactionRules("s", {"torque": {"default": ("alarm",)}}, None)
    state = State(read_kept("s", None))
    for stream in range(STANDING_MAX):
        state = follow(rules, state, spc("torque", stream))
    first = state.kept.holds[0]
    step = rules.follow(commit(state, (spc("torque", 999),), state), NOW_US)
    assert step[0].after is not None
    standing = step[0].after.state.kept.holds
    assert (len(standing), first in standing, standing[-1].cause.stream) == (STANDING_MAX, False, "position=999")
    (commit_,) = step[1]
    assert isinstance(commit_, Commit)
    dropped = commit_.facts[-1]
    assert isinstance(dropped, OperationsEvent)
    assert (dropped.code, dropped.params) == ("hold-dropped", {"hold": first.id, "action": "alarm", "units": 0})


def test_reasons_to_hold_the_station_end_and_none_gives_way() -> None:
    rules = ReactionRules("s", {"torque": {"default": ("hold_station", "alarm")}}, None)
    state = State(read_kept("s", None))
    for stream in range(STANDING_MAX + 5):
        state = follow(rules, state, spc("torque", stream))
    kinds = [hold.kind for hold in state.kept.holds]
    assert kinds.count("hold_station") == STATION_HOLDS_MAX
    assert len(kinds) == STANDING_MAX
    assert state.kept.holds[0].cause.stream == "position=0"


def test_more_units_than_the_list_takes_leave_the_newest() -> None:
    rules = ReactionRules("s", {"torque": {"default": ("hold_unit",)}}, None)
    state = State(read_kept("s", None))
    state = follow(rules, state, spc("torque", 1, "OLD"))
    state = follow(rules, state, spc("torque", 2, *(f"S{n}" for n in range(UNITS_MAX + 7))))
    (hold,) = state.kept.holds
    assert (len(hold.units), hold.units[-1]) == (UNITS_MAX, f"unit|VS-100|plant|S{UNITS_MAX + 6}")


# -- what a person does ------------------------------------------------------------------------------------


def lift(hold: str, by: str = "B123456", reason: str = "tool changed") -> Lift:
    return Lift(7, hold, by, reason)


def test_lifting_names_person_and_reason_and_frees_the_machine_after_the_commit() -> None:
    found = bench(nelson1=["hold_station"])
    signal(found)
    (hold,) = found.state.kept.holds
    effects = found.feed(lift(hold.id))
    assert isinstance(effects[0], Commit)
    assert [e for e in effects if isinstance(e, Write)] == [FREE, GO]
    assert effects.index(Reply(7, None, {"action": "hold_station"})) < effects.index(FREE)
    event, decision = effects[0].facts
    assert isinstance(event, OperationsEvent)
    assert (event.code, event.order) == ("station-hold-lifted", "WO-1")
    assert event.params == {"hold": hold.id, "by": "B123456", "reason": "tool changed"}
    assert isinstance(decision, Decision)
    assert (decision.act, decision.target.kind, decision.target.id) == (Act.OVERRIDE, "hold", f"s/{hold.id}")
    assert (decision.by.id, decision.reason) == ("B123456", "tool changed")
    assert (decision.order, decision.new) == ("WO-1", None)
    assert found.state.kept.holds == ()
    assert found.cycle(2) is not None
    assert not events(found, "ran-while-held")


def test_a_reason_of_the_plant_s_list_is_recorded_as_its_code_and_another_is_refused_with_the_list() -> None:
    found = bench(nelson1=["hold_station"])
    signal(found)
    texts = {"tool-changed": {"en": "Tool changed", "zh-CN": "已更换刀具"}, "false-alarm": {"en": "False alarm"}}
    content: JsonValue = {"reasons": {"override": {code: {**told} for code, told in texts.items()}}}
    known = Papers.of([Document("reasons", "plant", 4, 0, content)])
    assert known.problems == ()
    found.papers = replace(found.papers, reasons=known.reasons)
    (hold,) = found.state.kept.holds
    told = {"reason": "tool changed", "reasons": "tool-changed, false-alarm"}
    assert found.feed(lift(hold.id)) == [Reply(7, "reason-unknown", told)]
    found.feed(lift(hold.id, reason="tool-changed: insert 7"))
    (event,) = events(found, "station-hold-lifted")
    assert (event.params["reason"], event.params["reasons"]) == ("tool-changed: insert 7", "4")
    decision = next(fact for fact in found.facts if isinstance(fact, Decision))
    assert (decision.reason, decision.reasons) == ("tool-changed: insert 7", 4)
    assert known.reasons.says("override", "tool-changed: insert 7", "zh-CN") == "已更换刀具: insert 7"
    assert known.reasons.choices("override", "zh-CN")[1] == ("false-alarm", "False alarm")


def test_one_of_two_holds_lifted_leaves_the_station_held() -> None:
    found = bench(nelson1=["hold_station"], range=["hold_station"])
    found.cycle(1, torque=2.1)
    found.cycle(2, torque=2.59)
    first, second = found.state.kept.holds
    assert GO not in found.feed(lift(first.id))
    assert GO in found.feed(lift(second.id))


@pytest.mark.parametrize(
    ("action", "code", "decided"),
    [("hold_unit", "unit-released-at-station", True), ("alarm", "alarm-acknowledged", False)],
)
def test_units_are_released_and_alarms_acknowledged_by_the_same_act(action: str, code: str, decided: bool) -> None:
    found = bench(nelson1=[action])
    signal(found, carrier="C-5")
    (hold,) = found.state.kept.holds
    found.feed(lift(hold.id))
    (event,) = events(found, code)
    assert [s.id for s in event.subjects] == (["C-5"] if decided else [])
    assert any(isinstance(fact, Decision) for fact in found.facts) is decided
    assert found.state.kept.holds == ()


def test_held_units_are_released_one_by_one_and_each_release_is_recorded() -> None:
    found = bench(nelson1=["hold_unit"])
    for cycle, carrier in enumerate(("C-1", "C-2", "C-3"), 1):
        signal(found, cycle, carrier=carrier)
    (hold,) = found.state.kept.holds
    refs = [f"carrier||plant|C-{n}" for n in (1, 2, 3)]
    for unit, ref, left in (("C-2", refs[1], 2), (refs[2], refs[2], 1), ("C-1", refs[0], 0)):
        name = ref.rpartition("|")[2]
        effects = found.feed(replace(lift(hold.id), unit=unit))
        assert Reply(7, None, {"action": "hold_unit", "unit": name, "left": left}) in effects
        event = events(found, "unit-released-at-station")[-1]
        assert [subject.id for subject in event.subjects] == [name]
        decision = [fact for fact in found.facts if isinstance(fact, Decision)][-1]
        assert (decision.act, decision.new) == (Act.OVERRIDE, {"units": [ref], "left": left})
    assert found.state.kept.holds == ()
    assert len(events(found, "unit-released-at-station")) == 3


def test_a_unit_released_by_itself_is_held_again_by_the_next_signal_and_no_other_is_touched() -> None:
    found = bench(nelson1=["hold_unit"])
    signal(found, 1, carrier="C-1")
    signal(found, 2, carrier="C-2")
    (hold,) = found.state.kept.holds
    found.feed(replace(lift(hold.id), unit="C-1"))
    assert [h.units for h in found.state.kept.holds] == [("carrier||plant|C-2",)]
    signal(found, 3, carrier="C-1")
    assert [s.id for s in events(found, "unit-held")[-1].subjects] == ["C-1"]
    assert found.state.kept.holds[0].units == ("carrier||plant|C-2", "carrier||plant|C-1")


def test_two_held_units_of_one_id_must_be_named_whole() -> None:
    refs = ("unit|VS-100|gs1|S1", "unit|VS-200|gs1|S1")
    found = bench_with(Hold("h-1", "hold_unit", Cause("torque", None, "nelson1"), 1, NOW_US, "WO-1", refs))
    (reply,) = found.feed(replace(lift("h-1"), unit="S1"))
    assert reply == Reply(7, "unit-several", {"unit": "S1", "units": ", ".join(refs)})
    found.feed(replace(lift("h-1"), unit=refs[1]))
    assert found.state.kept.holds[0].units == refs[:1]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lift("h-0"), "hold-unknown"),
        (replace(lift("HOLD"), unit="C-1"), "unit-not-held"),
        (lift("HOLD", by=" "), "person-missing"),
        (lift("HOLD", by="B1\x00"), "person-missing"),
        (lift("HOLD", by="Chen Wei"), "person-unknown"),
        (lift("HOLD", by="B" * 65), "text-too-long"),
        (lift("HOLD", reason="  ok "), "reason-missing"),
        (lift("HOLD", reason="x" * 501), "text-too-long"),
        (RestartChart(7, "torque", None, "B123456", "", "tool changed"), "cause-missing"),
        (RestartChart(7, "force", None, "B123456", "tool worn", "tool changed"), "chart-unknown"),
        (RestartChart(7, "torque", None, "", "tool worn", "tool changed"), "person-missing"),
        (RestartChart(7, "torque", None, "B123456", "tool worn", "x"), "reason-missing"),
    ],
)
def test_an_act_without_name_reason_or_object_changes_nothing(act: Lift | RestartChart, code: str) -> None:
    found = bench(nelson1=["hold_station"])
    signal(found)
    (hold,) = found.state.kept.holds
    before, told = found.state, len(found.facts)
    effects = found.feed(replace(act, hold=hold.id) if isinstance(act, Lift) and act.hold == "HOLD" else act)
    (reply,) = effects
    assert isinstance(reply, Reply)
    assert (reply.number, reply.refused) == (7, code)
    assert (found.state, len(found.facts)) == (before, told)


def test_a_station_without_operators_takes_any_name() -> None:
    found = bench({k: v for k, v in BOTH.items() if k != "operator"}, nelson1=["hold_station"])
    signal(found)
    found.feed(lift(found.state.kept.holds[0].id, by="Chen Wei"))
    assert found.state.kept.holds == ()


def test_a_restarted_chart_has_no_run_across_the_restart() -> None:
    found = bench(nelson2=["alarm"])
    for cycle in range(1, 9):
        found.cycle(cycle, torque=2.25)
    effects = found.feed(RestartChart(3, "torque", None, "B123456", "tool worn", "tool 7 changed"))
    assert isinstance(effects[0], Commit)
    assert effects[1:] == [Reply(3, None, {"stream": "product=VS-100&revision=B", "segment": 2})]
    (event,) = events(found, "chart-restarted")
    assert {k: event.params[k] for k in ("characteristic", "by", "cause", "reason")} == {
        "characteristic": "torque",
        "by": "B123456",
        "cause": "tool worn",
        "reason": "tool 7 changed",
    }
    found.cycle(9, torque=2.25)
    assert not events(found, "reaction")
    records = [fact for fact in found.facts if isinstance(fact, OperationRecord)]
    assert records[-1].spc[0].state == "in_control"


def test_a_unit_that_another_station_holds_and_that_is_run_all_the_same_is_told() -> None:
    found = bench()
    found.see(done=True)
    found.feed(replace(captured(1), held=("h-other",)))
    (told,) = events(found, "ran-while-held")
    assert (told.params["holds"], told.params["what"]) == (["h-other"], "unit")


# -- signals that no run made ------------------------------------------------------------------------------


def means(closes: dict[str, Any], **limits: object) -> Station:
    """A station that charts means of subgroups which something else than a number of runs may close."""
    told = {
        "tag": "plc.torque",
        "chart": "xbar_r",
        "subgroup": {"runs": 5} | closes,
        "rules": ["nelson1"],
        "reactions": {"nelson1": ["hold_station", "hold_unit"], "chart-no-limits": ["alarm"]},
    } | (limits or {"limits": {"fixed": {"centre": 2.2, "lower": 2.1, "upper": 2.3, "version": "t1"}}})
    settings = CharacteristicSettings.model_validate(told)
    return Station("s", StationSettings.model_validate(BOTH), {"torque": settings})


def test_a_subgroup_that_time_closes_holds_the_station_in_the_commit_of_its_closing() -> None:
    found = Bench(means({"after": "1min"}))
    found.see(done=False, running=False)
    found.feed(plain("WO-1"))
    found.cycle(1, torque=2.5, carrier="C-1")
    found.cycle(2, torque=2.5, carrier="C-2")
    assert not events(found, "reaction")
    effects = found.feed(Tick(NOW_US + 61_000_000, 61.0))
    (commit_,) = [effect for effect in effects if isinstance(effect, Commit)]
    codes = [fact.code for fact in commit_.facts if isinstance(fact, OperationsEvent)]
    assert codes[-4:] == ["reaction", "station-held", "reaction", "unit-held"]
    assert [subject.id for subject in events(found, "unit-held")[0].subjects] == ["C-1", "C-2"]
    assert [effect for effect in effects if isinstance(effect, Write)] == [HELD, STOP]


def test_a_subgroup_that_the_end_of_its_lot_closes_holds_the_station_too() -> None:
    found = Bench(means({"lot": True}))
    found.see(done=False, running=False)
    found.feed(plain("WO-1"))
    found.cycle(1, torque=2.5, carrier="C-1")
    found.cycle(2, torque=2.5, carrier="C-2")
    effects = found.feed(plain("WO-2"))
    assert HELD in effects
    (held,) = events(found, "station-held")
    assert held.order == "WO-1"
    assert found.state.kept.order == "WO-2"
    assert Answer("scanner", True) in effects


def test_a_chart_without_limits_for_what_is_made_alarms() -> None:
    entry = {"product": "OTHER", "limits": {"fixed": {"centre": 2.2, "lower": 2.1, "upper": 2.3, "version": "o"}}}
    found = Bench(means({}, **{"for": [entry]}))
    found.see(done=False, running=False)
    found.feed(plain("WO-1"))
    for cycle in range(1, 7):
        found.cycle(cycle)
    assert len(events(found, "chart-no-limits")) == 1
    (alarm,) = found.state.kept.holds
    assert (alarm.kind, alarm.cause.rule) == ("alarm", "chart-no-limits")
