"""The pure core of a station: handshake, scans, interlock, and one record a cycle whatever fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import recording
from edge_agent.events import (
    Answer,
    Capture,
    CaptureFailed,
    Commit,
    Committed,
    DeviceBack,
    DocumentChanged,
    Effect,
    Event,
    Observed,
    Prompt,
    Scanned,
    Tick,
    Until,
    Write,
    WriteDone,
    WriteFailed,
)
from edge_agent.outbox.store import MAX_BODY
from edge_agent.papers import LotStatus, Papers
from edge_agent.papers import Step as RouteStep
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, Loaded, Phase, State
from records.model import (
    LONGEST_ID,
    Fact,
    Header,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Quality,
    Result,
    Subject,
    SubjectKind,
    encode,
)
from tests.unit.edge.stations import (
    ASSEMBLE,
    FOREIGN,
    LABEL,
    NOW_US,
    SR,
    TORQUE,
    VB,
    VS,
    WASH,
    captured,
    gs1,
    papers,
    plain,
    reading,
    station,
)


class Bench:
    """Runs a station as its runner does: every effect succeeds at once and is written down."""

    def __init__(self, core: Station, known: Papers | None = None) -> None:
        self.core = core
        self.papers = known or papers()
        self.state = core.open(None)
        self.facts: list[object] = []
        self.effects: list[Effect] = []

    def feed(self, event: Event) -> list[Effect]:
        before = len(self.effects)
        self._step(event)
        return self.effects[before:]

    def _step(self, event: Event) -> None:
        self.state, effects = self.core.step(self.state, event, self.papers)
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, Commit):
                self.facts += effect.facts
                self._step(Committed())
            elif isinstance(effect, Write):
                self._step(WriteDone(effect.tag))

    def see(self, **values: bool) -> list[Effect]:
        return self.feed(Observed({f"plc.{k}": v for k, v in values.items()}, NOW_US, "run"))

    def cycle(self, number: int, **values: object) -> OperationRecord | None:
        """One whole handshake; gives the record, if one was made."""
        before = len(self.records)
        assert Capture(self.core.settings.captured()) in self.see(done=True)
        self.feed(captured(number, **values))
        self.see(done=False)
        return self.records[-1] if len(self.records) > before else None

    def ready(self) -> Bench:
        self.see(done=False, running=False)
        for scan in (plain("B123456"), plain("WO-1"), gs1(a01=VB, a10="VB-1"), gs1(a01=SR, a10="SR-1")):
            self.feed(scan)
        return self

    @property
    def records(self) -> list[OperationRecord]:
        return [fact for fact in self.facts if isinstance(fact, OperationRecord)]

    def codes(self) -> list[str]:
        return [fact.code for fact in self.facts if isinstance(fact, OperationsEvent)]


def refusal(bench: Bench, scan: Scanned) -> object:
    """Why a scan was refused; fails when it was accepted."""
    effects = bench.feed(scan)
    assert Answer("scanner", False) in effects
    fact = bench.facts[-1]
    assert isinstance(fact, OperationsEvent)
    assert fact.code == "scan-refused"
    assert fact.params["raw"] == scan.raw.hex()
    return fact.params["reason"]


def test_a_cycle_gives_one_record_and_is_answered_only_after_the_commit() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    effects = [*bench.see(done=True), *bench.feed(captured(7))]
    commit = next(i for i, e in enumerate(effects) if isinstance(e, Commit))
    answer = effects.index(Write("plc.ack", True))
    assert commit < answer
    assert bench.state.phase is Phase.WAITING
    assert Write("plc.ack", False) in bench.see(done=False)
    assert bench.state.phase is Phase.IDLE
    (record,) = bench.records
    assert (record.cycle, record.order, record.lot, record.product) == (7, "WO-1", "WO-1", "VS-100")
    assert (record.purpose, record.outcome, record.attempt) == (Purpose.PRODUCTION, Outcome.COMPLETED, 1)
    assert [p.id for p in record.people] == ["B123456"]
    assert [(m.kind, m.source and m.source.id, m.quantity) for m in record.materials] == [
        (MaterialKind.CONSUMED, "VB-1", "1"),
        (MaterialKind.CONSUMED, "SR-1", "2"),
    ]


def test_the_same_cycle_offered_again_is_only_acknowledged() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    assert bench.cycle(7) is not None
    reopened = bench.core.open(next(e.kept for e in reversed(bench.effects) if isinstance(e, Commit)))
    bench.state = reopened
    assert bench.cycle(7) is None
    assert bench.cycle(8) is not None
    assert [r.cycle for r in bench.records] == [7, 8]


def test_an_acknowledge_left_standing_by_a_crash_is_taken_back() -> None:
    bench = Bench(station(ASSEMBLE))
    assert Write("plc.ack", False) in bench.see(done=False)


def test_missed_cycles_and_a_counter_that_went_back_are_events() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    for number in (7, 10, 2):
        bench.cycle(number)
    events = [f for f in bench.facts if isinstance(f, OperationsEvent)]
    missed = next(e for e in events if e.code == "cycles-missed")
    assert (missed.params["first"], missed.params["last"]) == ("8", "9")
    assert next(e for e in events if e.code == "counter-period").params == {
        "was": "10",
        "now": "2",
        "why": "step-back",
    }


@pytest.mark.parametrize(
    ("counts", "last", "now", "told"),
    [
        (2**16, 65535, 0, ["counter-wrapped"]),
        (2**16, 65535, 1, ["counter-wrapped"]),  # some counters have no 0
        (2**32, 2**32 - 1, 0, ["counter-wrapped"]),
        (2**16, 65533, 2, ["65534-65535", "counter-wrapped", "0-1"]),
        (2**16, 65000, 2, ["counter-period"]),
        (2**16, 65535, 900, ["counter-period"]),
        (2**16, 2**32 - 1, 0, ["counter-period"]),
        (None, 65535, 0, ["counter-period"]),
    ],
)
def test_a_counter_of_known_width_wraps_and_says_what_it_left_out(
    counts: int | None, last: int, now: int, told: list[str]
) -> None:
    bench = Bench(Station("s", StationSettings.model_validate(ASSEMBLE), {}, counts=counts)).ready()
    bench.cycle(last)
    bench.cycle(now)
    events = [f for f in bench.facts if isinstance(f, OperationsEvent)]
    found = [e for e in events if e.code in ("cycles-missed", "counter-period", "counter-wrapped")]
    assert [
        e.code if "first" not in e.params else f"{e.params['first']}-{e.params['last']}" for e in found
    ] == told


def test_a_cycle_count_that_cannot_be_read_is_tried_again_and_never_guessed() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    bench.see(done=True)
    assert Prompt("cycle-not-read", {"tag": "plc.cycle"}, Until.READ) in bench.feed(captured(None))
    assert bench.records == []
    assert Capture(bench.core.settings.captured()) in bench.feed(Tick(NOW_US, 1.0))
    bench.feed(captured(7))
    assert [r.cycle for r in bench.records] == [7]


def test_a_failed_capture_and_a_failed_acknowledge_are_tried_again() -> None:
    core = station(ASSEMBLE)
    state = replace(core.open(None), done=True, phase=Phase.CAPTURING)
    state, _ = core.step(state, CaptureFailed("gone"), papers())
    state, effects = core.step(state, Tick(NOW_US, 1.0), papers())
    assert Capture(core.settings.captured()) in effects
    state = replace(state, phase=Phase.ANSWERING)
    state, effects = core.step(state, WriteFailed("plc.ack", "gone"), papers())
    assert state.phase is Phase.ANSWERING
    _, effects = core.step(state, Tick(NOW_US, 2.0), papers())
    assert Write("plc.ack", True) in effects
    state, effects = core.step(
        replace(state, phase=Phase.WAITING), Observed({"plc.done": False}, NOW_US, "r"), papers()
    )
    state, _ = core.step(state, WriteFailed("plc.ack", "gone"), papers())
    _, effects = core.step(state, Tick(NOW_US, 3.0), papers())
    assert Write("plc.ack", False) in effects


def test_the_permit_follows_the_requirements() -> None:
    bench = Bench(station(ASSEMBLE))
    bench.see(done=False, running=False)
    for scan in (plain("B123456"), plain("WO-1"), gs1(a01=VB, a10="VB-1")):
        assert Write("plc.permit", True) not in bench.feed(scan)
    assert bench.feed(gs1(a01=SR, a10="SR-1"))[-1] == Write("plc.permit", True)
    assert Write("plc.permit", True) in bench.feed(DeviceBack("plc"))


def test_an_order_put_on_hold_takes_the_permit_away_at_once() -> None:
    known = papers()
    routed = {
        name: o.model_copy(update={"operations": (RouteStep(operation="OP10"),)})
        for name, o in known.orders.items()
    }
    bench = Bench(
        station(ASSEMBLE | {"permit": {"tag": "plc.permit", "needs": ["order", "route"]}}), Papers(routed)
    )
    bench.see(done=False, running=False)
    assert bench.feed(plain("WO-1"))[-1] == Write("plc.permit", True)
    bench.papers = Papers({name: o.model_copy(update={"state": "held"}) for name, o in routed.items()})
    assert bench.feed(DocumentChanged()) == [Write("plc.permit", False)]


def test_a_permit_that_was_not_written_is_written_again() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    assert Write("plc.permit", True) not in bench.feed(WriteFailed("plc.permit", "gone"))
    assert Write("plc.permit", True) in bench.feed(Tick(NOW_US, 1.0))


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (plain("WO-9"), "order-unknown"),
        (plain("hello"), "scan-not-understood"),
        (gs1(a01=FOREIGN, a10="X"), "item-not-in-bom"),
        (gs1(a01=VB, a10="VB-9"), "lot-unknown"),
        (gs1(a01=VB, a10="VB-X"), "lot-blocked"),
        (gs1(a01=SR, a10="SR-OLD"), "lot-expired"),
    ],
)
def test_a_wrong_scan_at_assembly_is_refused_with_its_reason(scan: Scanned, reason: str) -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    held = bench.state.kept
    assert refusal(bench, scan) == reason
    assert bench.state.kept == held


def test_a_lot_before_any_order_has_to_wait() -> None:
    bench = Bench(station(ASSEMBLE))
    assert refusal(bench, gs1(a01=VB, a10="VB-1")) == "not-now"


def test_a_closed_order_is_refused() -> None:
    bench = Bench(station(ASSEMBLE), papers(state="closed"))
    assert refusal(bench, plain("WO-1")) == "order-unknown"


def papers_with_another_lot() -> Papers:
    known = papers()
    bodies = known.lots["VB-10"]
    more = bodies.model_copy(update={"lots": (*bodies.lots, LotStatus(lot="VB-2"))})
    return replace(known, lots={**known.lots, "VB-10": more})


def label(carrier: str | None = "C-1", known_as: str | None = None, **changes: str) -> Scanned:
    ais = {"a01": VS, "a10": "WO-1", "a21": "S1"} | changes
    return gs1(carrier, known_as, **ais)


def test_a_label_marries_carrier_and_unit_and_names_the_order() -> None:
    bench = Bench(station(LABEL))
    bench.see(done=False)
    bench.feed(plain("B123456"))
    effects = bench.feed(label())
    assert next(e for e in effects if isinstance(e, Commit)).married[0].carrier == "C-1"
    assert effects[-1] == Write("plc.permit", True)
    record = bench.cycle(1)
    assert record is not None
    assert (record.subjects[0].subject.id, record.order) == ("S1", "WO-1")
    (marriage,) = record.materials
    assert marriage.kind is MaterialKind.IDENTIFIED_AS
    assert marriage.source is not None
    assert (marriage.source.id, marriage.target and marriage.target.id) == ("C-1", "S1")
    assert bench.state.told == {"plc.permit": False}


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (label(a01=FOREIGN), "label-wrong-product"),
        (label(a10="WO-9"), "label-wrong-lot"),
        (label(carrier=None), "nothing-to-identify"),
        (label(known_as="WO-1/C-2"), "serial-used"),
    ],
)
def test_a_wrong_label_is_refused_with_its_reason(scan: Scanned, reason: str) -> None:
    bench = Bench(station(LABEL))
    bench.see(done=False)
    assert refusal(bench, scan) == reason


def test_a_label_is_not_taken_during_the_run_of_another_piece() -> None:
    bench = Bench(station(LABEL))
    bench.see(done=False)
    bench.feed(label())
    bench.see(done=True)
    assert refusal(bench, label(a21="S2")) == "not-now"


def test_a_load_of_many_units_is_one_record_with_positions() -> None:
    bench = Bench(station(WASH))
    bench.see(done=False)
    for scan in (plain("B123456"), plain("TRAY-001"), label(a21="S1"), label(a21="S2"), plain("TRAY-002")):
        assert Answer("scanner", True) in bench.feed(scan)
    facts = len(bench.facts)
    bench.feed(label(a21="S3"))
    bench.feed(label(a21="S3"))  # the operator's beep was lost: same label again
    assert len([f for f in bench.facts[facts:] if isinstance(f, OperationsEvent)]) == 1
    record = bench.cycle(1)
    assert record is not None
    assert [(s.subject.id, s.position) for s in record.subjects] == [
        ("S1", "TRAY-001/1"),
        ("S2", "TRAY-001/2"),
        ("S3", "TRAY-002/1"),
    ]
    assert bench.state.kept.loaded == ()


@pytest.mark.parametrize(
    ("tests", "product"), [(0, "VS-100"), (1, "VS-100"), (10, "VS-100"), (10, "件" * LONGEST_ID)]
)
def test_a_load_takes_no_more_units_than_a_record_can_hold(tests: int, product: str) -> None:
    """Bug: the record of such a load fitted into no buffer, which ended the agent at each start."""
    names = {f"torque of the screw number {n}": TORQUE for n in range(tests)}
    bench = Bench(Station("s", StationSettings.model_validate(WASH | {"capture": ["plc.torque"]}), names))
    bench.see(done=False)
    bench.feed(plain("TRAY-001"))
    units = [Subject(SubjectKind.UNIT, f"{n:06d}", product, "gs1") for n in range(5000)]
    places = [(unit, f"TRAY-001/{n}") for n, unit in enumerate(units)]
    taken = next(n for n in range(len(places)) if not recording.fits_a_record(places[: n + 1], tests))
    loaded = tuple(Loaded(unit, place) for unit, place in places[: taken - 1])
    bench.state = replace(bench.state, kept=replace(bench.state.kept, order="WO-1", loaded=loaded))
    further = next(n for n in range(10) if Answer("scanner", False) in bench.feed(label(a21=f"S{n}")))
    assert refusal(bench, label(a21="S9")) == "load-full"
    record = bench.cycle(1, result=2, torque=2.123456789012345)
    assert record is not None
    assert further > 0
    assert len(record.subjects) == len(loaded) + further > 100
    scrap = replace(record, subjects=tuple(replace(one, result=Result.SCRAP) for one in record.subjects))
    gone = tuple(MaterialActual(MaterialKind.SCRAPPED, one.subject, None, "1") for one in scrap.subjects)
    body = encode(Fact(Header(0, 0, "suzhou", "valve-1", "s", "test", None), replace(scrap, materials=gone)))
    assert len(body) + recording.READINGS_TOGETHER < MAX_BODY


def test_a_unit_outside_a_container_has_to_wait() -> None:
    bench = Bench(station(WASH))
    bench.see(done=False)
    assert refusal(bench, label()) == "not-now"


def test_out_of_specification_fails_the_unit_though_the_machine_passed_it() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    record = bench.cycle(1, torque=2.7)
    assert record is not None
    (result,) = record.subjects
    assert (result.result, result.reason) == (Result.FAIL, "out-of-specification")
    assert result.tests[0].result is Result.FAIL


def test_scrap_leaves_and_an_aborted_run_consumes_nothing_and_is_not_charted() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    scrapped = bench.cycle(1, result=3)
    assert scrapped is not None
    assert scrapped.materials[-1].kind is MaterialKind.SCRAPPED
    aborted = bench.cycle(2, result=4)
    assert aborted is not None
    assert (aborted.outcome, aborted.materials, aborted.spc) == (Outcome.ABORTED, (), ())


def test_setup_is_recorded_but_neither_counted_nor_charted() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    record = bench.cycle(1, mode=4, torque=9.9)
    assert record is not None
    assert (record.purpose, record.spc) == (Purpose.SETUP, ())
    assert all(e.ran is None for e in bench.effects if isinstance(e, Commit))


def test_a_signal_is_in_the_record_and_an_event_that_names_its_subjects() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    record = bench.cycle(1, torque=2.4, carrier="C-9")
    assert record is not None
    assert (record.spc[0].state, record.spc[0].rules) == ("signal", ("nelson1",))
    signal, reaction = bench.facts[-2:]
    assert isinstance(signal, OperationsEvent)
    assert (signal.code, signal.subjects[0].id) == ("spc-signal", "C-9")
    assert isinstance(reaction, OperationsEvent)
    assert (reaction.code, reaction.params["action"]) == ("reaction", "note")


def test_no_run_rule_crosses_a_changeover() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    for number in range(1, 9):
        bench.cycle(number, torque=2.25)
    bench.feed(plain("WO-V2"))
    bench.cycle(9, torque=2.25)
    assert "spc-signal" not in bench.codes()
    bench.feed(plain("WO-1"))
    for number in range(10, 19):
        bench.cycle(number, torque=2.25)
    assert bench.codes().count("spc-signal") == 1


def test_another_order_of_the_same_product_is_no_changeover() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    for number in range(1, 9):
        bench.cycle(number, torque=2.25)
    bench.feed(plain("WO-2"))
    bench.cycle(9, torque=2.25)
    assert bench.codes().count("spc-signal") == 1


def test_a_bad_reading_stays_in_the_record_as_a_gap() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    bench.see(done=True)
    shown = captured(1)
    bad = replace(shown, readings={**shown.readings, "plc.torque": reading("plc.torque", None, Quality.BAD)})
    bench.feed(bad)
    (record,) = bench.records
    assert record.spc[0].state == "gap"
    assert record.subjects[0].tests[0].result is Result.NOT_JUDGED


def test_a_started_run_ends_in_a_record_or_in_an_abort() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    bench.see(running=True)
    assert bench.codes()[-1] == "run-started"
    kept = next(e.kept for e in reversed(bench.effects) if isinstance(e, Commit))
    bench.state = bench.core.open(kept)  # killed and started again
    record = bench.cycle(1)
    assert record is not None
    assert (record.run_id, record.resumed) == ("run", True)
    bench.see(running=True)
    bench.see(running=False)
    bench.feed(Tick(NOW_US, 10.0))
    bench.feed(Tick(NOW_US, 12.5))
    assert bench.codes()[-1] == "run-aborted"
    assert bench.state.kept.run is None


def test_what_was_kept_is_read_back_equal() -> None:
    bench = Bench(station(WASH))
    bench.see(done=False)
    for scan in (plain("B123456"), plain("TRAY-001"), label()):
        bench.feed(scan)
    kept = next(e.kept for e in reversed(bench.effects) if isinstance(e, Commit))
    assert bench.core.open(kept).kept == bench.state.kept
    assert bench.state.kept != Kept()


# -- whatever fails, one record a cycle --------------------------------------------------------------------


class Machine:
    """A PLC with the four-phase handshake; its outputs survive whatever happens to the agent."""

    def __init__(self) -> None:
        self.done = self.ack = False
        self.cycle = 0

    def turn(self) -> None:
        if self.done and self.ack:
            self.done = False
        elif not self.done and not self.ack:
            self.cycle += 1
            self.done = True


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_failure_at_any_moment_leaves_one_record_a_cycle(  # noqa: C901  one story
    data: st.DataObject,
) -> None:
    core, machine, known = station(ASSEMBLE), Machine(), papers()
    disk: list[tuple[object, ...]] = []
    kept = None
    state: State = core.open(None)

    def observe() -> Observed:
        return Observed({"plc.done": machine.done, "plc.running": False}, NOW_US, "run")

    faults = True

    def works() -> bool:
        return not faults or data.draw(st.booleans())

    def perform(effect: Effect) -> Event | None:
        nonlocal kept
        if isinstance(effect, Commit):
            kept = effect.kept
            disk.append(effect.facts)
            return Committed()
        if isinstance(effect, Capture):
            return captured(machine.cycle) if machine.done and works() else CaptureFailed("lost")
        if isinstance(effect, Write):
            arrives = works()
            if effect.tag == "plc.ack" and (arrives or data.draw(st.booleans())):
                machine.ack = effect.value  # perhaps it arrived, though it is reported as failed
            return WriteDone(effect.tag) if arrives else WriteFailed(effect.tag, "lost")
        return None

    def react(event: Event) -> None:
        """One event and all that it leads to; the process may die before any effect."""
        nonlocal state
        events = [event]
        while events:
            state, effects = core.step(state, events.pop(0), known)
            for effect in effects:
                if faults and data.draw(st.integers(0, 9)) == 0:
                    state = core.open(kept)
                    return
                answer = perform(effect)
                if answer is not None:
                    events.append(answer)

    for _ in range(data.draw(st.integers(5, 60))):
        choice = data.draw(st.sampled_from(["turn", "see", "see", "tick", "tick", "kill", "restart"]))
        if choice == "turn":
            machine.turn()
            continue
        if choice == "kill":
            state = core.open(kept)
            continue
        if choice == "restart":
            machine.ack = False  # its outputs are retained, what was written to it is not
            react(DeviceBack("plc"))
            continue
        react(observe() if choice == "see" else Tick(NOW_US, 0.0))
    faults = False
    before = machine.cycle
    for _ in range(12):  # whatever happened, a line without faults goes on
        machine.turn()
        react(observe())
        react(Tick(NOW_US, 0.0))
    assert machine.cycle > before + 1
    cycles = [f.cycle for facts in disk for f in facts if isinstance(f, OperationRecord)]
    answered = machine.cycle if not machine.done else machine.cycle - 1
    assert len(cycles) == len(set(cycles))
    assert set(range(1, answered + 1)) <= set(cycles)


def test_the_next_order_waits_for_the_end_of_the_run() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    bench.see(running=True)
    assert refusal(bench, plain("WO-2")) == "not-now"
    bench.see(running=False)
    record = bench.cycle(1)
    assert record is not None
    assert record.order == "WO-1"
    assert Answer("scanner", True) in bench.feed(plain("WO-2"))


def test_a_lot_mounted_during_a_run_is_for_the_next_one() -> None:
    bench = Bench(station(ASSEMBLE), papers_with_another_lot()).ready()
    bench.see(running=True)
    assert Answer("scanner", True) in bench.feed(gs1(a01=VB, a10="VB-2"))
    bench.see(running=False)
    first, second = bench.cycle(1), bench.cycle(2)
    assert first is not None
    assert second is not None
    assert [m.source and m.source.id for m in (first.materials[0], second.materials[0])] == ["VB-1", "VB-2"]


def test_a_label_read_again_because_the_answer_was_missed_is_accepted_during_its_run() -> None:
    bench = Bench(station(LABEL))
    bench.see(done=False)
    bench.feed(label())
    bench.see(done=True)
    facts = len(bench.facts)
    assert Answer("scanner", True) in bench.feed(label())
    assert len(bench.facts) == facts


def test_64_bit_values_are_text_in_a_record() -> None:
    bench = Bench(station(ASSEMBLE)).ready()
    shown = captured(1, torque=2.2)
    big = replace(shown.readings["plc.total"], value=2**62 + 1, data_type="uint64")
    bench.see(done=True)
    bench.feed(replace(shown, readings={**shown.readings, "plc.total": big}))
    (record,) = bench.records
    assert next(r.value for r in record.readings if r.tag == "plc.total") == str(2**62 + 1)
    assert record.counters[0].value == 2**62 + 1


def test_a_cycle_offered_while_the_acknowledge_still_falls_is_taken() -> None:
    """The write of the fall was reported as failed, yet it arrived: the machine offers its next cycle already."""
    bench = Bench(station(ASSEMBLE)).ready()
    core, known = bench.core, papers()
    state = replace(bench.state, phase=Phase.RELEASING, done=False)
    state, _ = core.step(state, WriteFailed("plc.ack", "no answer"), known)
    state, _ = core.step(state, Observed({"plc.done": True}, NOW_US, "run"), known)
    state, effects = core.step(state, WriteDone("plc.ack"), known)
    assert Capture(core.settings.captured()) in effects
    assert state.phase is Phase.CAPTURING
