"""A station: the pure core that turns what happens at one machine into records.

``Station.step(state, event, papers) -> (state, effects)`` does no I/O, reads no clock and makes no random id; a
runner performs the effects in order and feeds their outcome back as events, one at a time.

Promise: with a trigger that has acknowledge and cycle, each cycle of the machine gives exactly one record,
whatever moment the agent, the PLC or the network fails at.

The handshake is by level, in four phases::

    machine: done=1 ->  agent: capture, COMMIT, ack=1  -> machine: done=0 -> agent: ack=0
    START      nothing known yet (after every start of the agent, after a capture that failed)
    IDLE       done=0 and ack=0, a run may be going on
    CAPTURING  done=1 was seen, a read of all captured tags is under way
    ANSWERING  the cycle is committed, ack=1 is to be written
    WAITING    ack=1 stands, done has not fallen yet
    RELEASING  done has fallen, ack=0 is to be written

The last committed cycle is part of what a commit keeps. So when the agent starts and finds done=1, the same
cycle is only acknowledged, another one is captured; when it finds done=0 it takes a forgotten ack back.

A commit carries facts, the state to keep and the indexes; the state inside it is installed only when the
``Committed`` event comes. ``kept`` survives the process, everything else is found out anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_agent import recording, scans
from edge_agent.events import (
    Answer,
    Capture,
    Captured,
    CaptureFailed,
    Commit,
    Committed,
    DeviceBack,
    DocumentChanged,
    Effect,
    Event,
    Married,
    Observed,
    Prompt,
    Ran,
    Scanned,
    Tick,
    Write,
    WriteDone,
    WriteFailed,
)
from edge_agent.papers import LOTS, WORK_ORDER, Papers, WorkOrder
from edge_agent.recording import MountedLot
from edge_agent.requirements import missing, start_requirements
from edge_agent.station_settings import CharacteristicSettings, StationSettings
from records.errors import Damaged
from records.model import (
    Data,
    Int64,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Person,
    Purpose,
    Reading,
    Requirement,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
)
from spc.state import Verdict


class Phase(StrEnum):
    START = "start"
    IDLE = "idle"
    CAPTURING = "capturing"
    ANSWERING = "answering"
    WAITING = "waiting"
    RELEASING = "releasing"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose start is committed and whose end is not."""

    run_id: str
    began_us: Int64


@dataclass(frozen=True, slots=True)
class Loaded:
    """A unit that waits for the next run; ``position`` is its container and place."""

    subject: Subject
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a station remembers over a restart; committed with the facts that changed it."""

    order: str | None = None
    operator: str | None = None
    lots: tuple[MountedLot, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    container: str | None = None
    last_cycle: Int64 | None = None
    run: OpenRun | None = None
    charts: dict[str, JsonValue] = field(default_factory=dict)


_KEPT = TypeAdapter(Kept)


@dataclass(frozen=True, slots=True)
class State:
    """Everything between two events. ``after`` is what to install and do once the pending commit is on disk."""

    kept: Kept
    phase: Phase = Phase.START
    done: bool | None = None
    running: bool = False
    permit: bool | None = None  # as last written and verified
    recovered: bool = False  # the open run began before this start of the agent
    lost_since_s: float | None = None  # an open run's machine neither runs nor says done since then
    after: After | None = None


@dataclass(frozen=True, slots=True)
class After:
    state: State
    effects: tuple[Effect, ...]


Step = tuple[State, tuple[Effect, ...]]


class Station:
    """The rules of one station; holds no state."""

    def __init__(
        self, name: str, settings: StationSettings, characteristics: Mapping[str, CharacteristicSettings]
    ) -> None:
        self.name = name
        self.settings = settings
        captured = set(settings.captured())
        self._characteristics = {n: c for n, c in characteristics.items() if c.tag in captured}
        plans = ((n, c.plan(n)) for n, c in self._characteristics.items())
        self._plans = {n: plan for n, plan in plans if plan is not None}
        self._requirements = start_requirements(settings)

    def open(self, kept: JsonValue | None) -> State:
        """The state at start, from what the last commit kept (None: never committed).

        Raises:
            Damaged: what was kept cannot be read; nothing was changed.
        """
        if kept is None:
            return State(Kept())
        try:
            known = _KEPT.validate_python(kept)
        except ValidationError as error:
            raise Damaged(
                f"station {self.name}: its kept state cannot be read: {error.errors()[0]['msg']}",
                hint="was the buffer written by a newer version?",
            ) from error
        return State(known, recovered=known.run is not None)

    def step(self, state: State, event: Event, papers: Papers) -> Step:
        """The next state and what is to be done, in order."""
        if isinstance(event, Committed):
            if state.after is None:
                return state, ()
            after = state.after
            state, effects = after.state, after.effects
        else:
            state, effects = self._react(state, event, papers)
        if state.after is not None or isinstance(event, WriteFailed):
            return state, effects  # what failed is tried again at the next tick, not at once
        return self._with_permit(state, effects)

    def subjects(self, state: State, readings: Mapping[str, Reading]) -> tuple[tuple[Subject, str | None], ...]:
        """Whom a run that is captured now is about, each with its position."""
        source = self.settings.subject
        if source.scan is not None and state.kept.loaded:
            return tuple((unit.subject, unit.position) for unit in state.kept.loaded)
        tag = source.tag or source.carrier
        found = recording.text_value(readings, tag) or recording.UNKNOWN
        kind = source.kind if source.tag is not None else SubjectKind.CARRIER
        return ((Subject(kind, found), None),)

    def order(self, state: State, readings: Mapping[str, Reading]) -> str | None:
        """The order that a run captured now belongs to."""
        tag = self.settings.order.tag
        return recording.text_value(readings, tag) if tag is not None else state.kept.order

    def missing(self, state: State) -> Sequence[Requirement]:
        """The requirements of the start gate that are not met."""
        return missing(self._requirements, state.kept)

    # -- reactions -----------------------------------------------------------------------------------------

    def _react(self, state: State, event: Event, papers: Papers) -> Step:
        match event:
            case Observed():
                return self._observed(state, event)
            case Captured():
                return self._captured(state, event, papers)
            case CaptureFailed():
                return replace(state, phase=Phase.START), (Prompt("capture-failed", {"error": event.error}),)
            case Scanned():
                return self._scanned(state, event, papers)
            case Tick():
                return self._tick(state, event)
            case WriteDone() | WriteFailed():
                return self._written(state, event)
            case DeviceBack():
                permit = self.settings.permit
                ours = permit is not None and permit.tag.startswith(event.device + ".")
                return (replace(state, permit=None) if ours else state), ()
            case DocumentChanged() | Committed():
                return state, ()

    def _with_permit(self, state: State, effects: tuple[Effect, ...]) -> Step:
        """Keep the interlock true to the requirements. It is taken away before anything is answered."""
        permit = self.settings.permit
        if permit is None:
            return state, effects
        wanted = not self.missing(state)
        if state.permit is wanted:
            return state, effects
        write = Write(permit.tag, wanted)
        return replace(state, permit=wanted), ((*effects, write) if wanted else (write, *effects))

    def _observed(self, state: State, event: Observed) -> Step:
        trigger = self.settings.trigger
        done, running = event.values.get(trigger.tag), event.values.get(trigger.running or "")
        state = replace(
            state,
            done=state.done if done is None else bool(done),
            running=state.running if running is None else bool(running),
        )
        return self._advance(state, event.at_us, event.new_id)

    def _advance(self, state: State, at_us: int, new_id: str) -> Step:
        """Go on with the handshake from what is known about done and running."""
        if state.done is None:
            return state, ()
        if state.phase is Phase.WAITING and not state.done:
            return self._release(state)
        if state.phase not in (Phase.START, Phase.IDLE):
            return state, ()
        if state.done:
            return replace(state, phase=Phase.CAPTURING, lost_since_s=None), (Capture(self.settings.captured()),)
        if state.phase is Phase.START:
            return self._release(state)
        if state.running and state.kept.run is None:
            return self._run_started(state, at_us, new_id)
        return state, ()

    def _release(self, state: State) -> Step:
        acknowledge = self.settings.trigger.acknowledge
        if acknowledge is None:
            return replace(state, phase=Phase.IDLE), ()
        return replace(state, phase=Phase.RELEASING), (Write(acknowledge, False),)

    def _run_started(self, state: State, at_us: int, run_id: str) -> Step:
        kept = replace(state.kept, run=OpenRun(run_id, at_us))
        fact = OperationsEvent("run-started", {"run_id": run_id}, order=state.kept.order)
        return self._commit(state, (fact,), replace(state, kept=kept, recovered=False))

    def _tick(self, state: State, event: Tick) -> Step:
        """Try again what failed, and give up a run that the machine no longer knows."""
        acknowledge = self.settings.trigger.acknowledge
        if state.phase is Phase.START and state.done:
            return replace(state, phase=Phase.CAPTURING), (Capture(self.settings.captured()),)
        if acknowledge is not None and state.phase is Phase.ANSWERING:
            return state, (Write(acknowledge, True),)
        if acknowledge is not None and state.phase is Phase.RELEASING:
            return state, (Write(acknowledge, False),)
        lost = state.phase is Phase.IDLE and state.kept.run is not None and not state.running and not state.done
        if not lost or state.kept.run is None:
            return replace(state, lost_since_s=None), ()
        if state.lost_since_s is None:
            return replace(state, lost_since_s=event.monotonic_s), ()
        if event.monotonic_s - state.lost_since_s < self.settings.trigger.timeout:
            return state, ()
        run = state.kept.run
        fact = OperationsEvent(
            "run-aborted", {"run_id": run.run_id, "reason": "no-end-from-machine"}, order=state.kept.order
        )
        kept = replace(state.kept, run=None)
        return self._commit(state, (fact,), replace(state, kept=kept, lost_since_s=None, recovered=False))

    def _written(self, state: State, event: WriteDone | WriteFailed) -> Step:
        trigger, permit = self.settings.trigger, self.settings.permit
        if isinstance(event, WriteFailed):
            prompt = Prompt("write-failed", {"tag": event.tag, "error": event.error})
            unsure = permit is not None and event.tag == permit.tag
            # a permit is written again at the next tick, an acknowledge stays in its phase until it succeeds
            return (replace(state, permit=None) if unsure else state), (prompt,)
        if event.tag != trigger.acknowledge:
            return state, ()
        if state.phase is Phase.ANSWERING:
            state = replace(state, phase=Phase.WAITING)
            return self._release(state) if state.done is False else (state, ())
        if state.phase is Phase.RELEASING:
            return replace(state, phase=Phase.IDLE), ()
        return state, ()

    def _commit(
        self,
        state: State,
        facts: tuple[Data, ...],
        then: State,
        effects: tuple[Effect, ...] = (),
        ran: Ran | None = None,
        married: tuple[Married, ...] = (),
    ) -> Step:
        kept: JsonValue = _KEPT.dump_python(then.kept, mode="json")
        return replace(state, after=After(replace(then, after=None), effects)), (
            Commit(facts, kept, ran, married),
        )

    # -- scans ---------------------------------------------------------------------------------------------

    def _scanned(self, state: State, event: Scanned, papers: Papers) -> Step:
        field_name = scans.recognise(self.settings, event)
        if field_name is None:
            reason = "barcode-invalid" if event.barcode.error else "scan-not-understood"
            if event.barcode.kind == "gs1" and not event.barcode.error:
                reason = "item-not-in-bom"
            return self._refuse(state, event, scans.Refusal(reason, found=event.barcode.error))
        said = scans.meaning(self.settings, event, field_name, papers, state.kept.order)
        if isinstance(said, scans.Unit | scans.Container) and state.phase not in (Phase.IDLE, Phase.START):
            said = scans.Refusal("not-now", expected="end of the run")
        match said:
            case scans.Refusal():
                return self._refuse(state, event, said)
            case scans.Operator(badge=badge):
                signed_on = OperationsEvent("operator-signed-on", {"badge": badge})
                return self._accept(state, event, field_name, replace(state.kept, operator=badge), (signed_on,))
            case scans.Order(order=order):
                kept, facts = self._start_order(state.kept, order)
                return self._accept(state, event, field_name, kept, facts)
            case scans.Mounted(lot=lot):
                return self._mount(state, event, lot)
            case scans.Container(id=id_):
                return self._accept(state, event, field_name, replace(state.kept, container=id_), ())
            case scans.Unit():
                return self._load(state, event, said)

    def _refuse(self, state: State, event: Scanned, why: scans.Refusal) -> Step:
        fact = OperationsEvent(
            "scan-refused",
            {
                "scanner": event.scanner,
                "reason": why.reason,
                "text": event.text,
                "raw": event.raw.hex(),
                "expected": why.expected,
                "found": why.found,
            },
            order=state.kept.order,
            device=event.scanner,
        )
        prompt = Prompt(why.reason, {"expected": why.expected, "found": why.found})
        return self._commit(state, (fact,), state, (Answer(event.scanner, False, event.number), prompt))

    def _accept(
        self,
        state: State,
        event: Scanned,
        field_name: str,
        kept: Kept,
        facts: tuple[Data, ...],
        subjects: tuple[Subject, ...] = (),
        married: tuple[Married, ...] = (),
    ) -> Step:
        """Commit the scan; a scan that changes nothing (read twice) is answered without another record."""
        answer = Answer(event.scanner, True, event.number)
        if kept == state.kept:
            return state, (answer,)
        scan = OperationsEvent(
            "scan-accepted",
            {"scanner": event.scanner, "field": field_name, "text": event.text, "raw": event.raw.hex()},
            subjects,
            kept.order,
            event.scanner,
        )
        return self._commit(state, (scan, *facts), replace(state, kept=kept), (answer,), married=married)

    def _start_order(self, kept: Kept, order: WorkOrder) -> tuple[Kept, tuple[Data, ...]]:
        """A changeover, unless the order is already the station's."""
        if kept.order == order.reference:
            return kept, ()
        fact = OperationsEvent(
            "order-started", {"order": order.reference, "previous": kept.order}, order=order.reference
        )
        items = {line.item for line in order.bom}
        after = replace(
            kept,
            order=order.reference,
            lots=tuple(lot for lot in kept.lots if lot.item in items),
            loaded=(),
            container=None,
            charts=recording.changeover(kept.charts),
        )
        return after, (fact,)

    def _mount(self, state: State, event: Scanned, lot: MountedLot) -> Step:
        others = tuple(held for held in state.kept.lots if held.item != lot.item)
        kept = replace(state.kept, lots=tuple(sorted((*others, lot), key=lambda held: held.item)))
        subject = Subject(SubjectKind.LOT, lot.lot, lot.item, "supplier")
        fact = OperationsEvent(
            "lot-mounted",
            {"item": lot.item, "lot": lot.lot, "expiry": lot.expiry},
            (subject,),
            state.kept.order,
        )
        return self._accept(state, event, "lot", kept, (fact,), (subject,))

    def _load(self, state: State, event: Scanned, unit: scans.Unit) -> Step:
        kept, facts = self._start_order(state.kept, unit.order)
        if self.settings.subject.collect is None:
            kept = replace(kept, loaded=(Loaded(unit.subject),))
        else:
            if state.kept.container is None:
                return self._refuse(state, event, scans.Refusal("not-now", expected="container"))
            if any(held.subject.key == unit.subject.key for held in kept.loaded):
                return self._accept(state, event, "subject", state.kept, ())
            container = state.kept.container
            slot = 1 + sum(
                1 for held in kept.loaded if held.position and held.position.startswith(container + "/")
            )
            kept = replace(
                kept,
                container=container,
                loaded=(*kept.loaded, Loaded(unit.subject, f"{container}/{slot}")),
            )
        married: tuple[Married, ...] = ()
        if event.carrier is not None:
            married = (Married(unit.subject, unit.order.reference, event.carrier),)
        return self._accept(state, event, "subject", kept, facts, (unit.subject,), married)

    # -- the run -------------------------------------------------------------------------------------------

    def _captured(self, state: State, event: Captured, papers: Papers) -> Step:
        trigger = self.settings.trigger
        cycle = recording.integer_value(event.readings, trigger.cycle)
        if trigger.cycle is not None and cycle is None:
            # without the cycle nothing could tell this run from the last one: try again, never guess
            return replace(state, phase=Phase.START), (Prompt("cycle-not-read", {"tag": trigger.cycle}),)
        if cycle is not None and cycle == state.kept.last_cycle:
            return self._answer(state)
        record, charts, verdicts = self._record(state, event, papers, cycle)
        facts: list[Data] = []
        if record.resumed:
            facts.append(OperationsEvent("run-resumed", {"run_id": record.run_id, "cycle": _text(cycle)}))
        facts += _cycle_events(state.kept.last_cycle, cycle)
        facts.append(record)
        facts += recording.spc_signals(verdicts, record.order)
        kept = replace(
            state.kept,
            order=record.order if self.settings.order.tag else state.kept.order,
            loaded=(),
            container=None,
            last_cycle=cycle,
            run=None,
            charts=charts,
        )
        ran = None
        if record.order is not None and record.purpose.counts and record.outcome is Outcome.COMPLETED:
            ran = Ran(record.order, tuple(result.subject for result in record.subjects))
        then, effects = self._answer(replace(state, kept=kept, recovered=False))
        return self._commit(state, tuple(facts), then, effects, ran)

    def _answer(self, state: State) -> Step:
        acknowledge = self.settings.trigger.acknowledge
        if acknowledge is None:
            return replace(state, phase=Phase.WAITING), ()
        return replace(state, phase=Phase.ANSWERING), (Write(acknowledge, True),)

    def _record(
        self, state: State, event: Captured, papers: Papers, cycle: int | None
    ) -> tuple[OperationRecord, dict[str, JsonValue], tuple[Verdict, ...]]:
        settings, kept, readings = self.settings, state.kept, event.readings
        purpose = recording.purpose_of(settings, readings)
        machine = recording.machine_result(settings.result, readings)
        aborted = machine is Result.ABORTED
        reference = self.order(state, readings)
        order = papers.order(reference)
        tests = () if aborted else recording.tests_of(self._characteristics, readings)
        attempts = event.attempts if purpose.counts else {}
        results = recording.subject_results(self.subjects(state, readings), attempts, machine, tests)
        charts: dict[str, JsonValue] = dict(kept.charts)
        verdicts: tuple[Verdict, ...] = ()
        if reference != kept.order:
            charts = recording.changeover(charts)
        if purpose.counts and not aborted:
            charts, verdicts = recording.chart_verdicts(
                self._plans, self._characteristics, charts, readings, results[0].subject
            )
        run = kept.run or OpenRun(event.new_id, event.at_us)
        record = OperationRecord(
            run_id=run.run_id,
            station=self.name,
            equipment=settings.equipment,
            operation=settings.operation,
            order=reference,
            product=order.product if order else None,
            lot=order.lot if order else None,
            purpose=purpose,
            attempt=max(result.attempt for result in results),
            cycle=cycle,
            began_us=run.began_us,
            ended_us=event.at_us,
            outcome=Outcome.ABORTED if aborted else Outcome.COMPLETED,
            subjects=results,
            people=self._people(kept, readings),
            readings=recording.named(readings, self._characteristics),
            materials=self._materials(kept, readings, results, purpose, aborted),
            spc=tuple(recording.spc_state(verdict) for verdict in verdicts),
            counters=recording.counters_of(settings, readings),
            documents=papers.used(self._documents(reference)),
            product_revision=order.revision if order else None,
            tool=settings.tool,
            resumed=state.recovered,
            repeat_possible=settings.trigger.cycle is None,
        )
        return record, charts, verdicts

    def _people(self, kept: Kept, readings: Mapping[str, Reading]) -> tuple[Person, ...]:
        source = self.settings.operator
        if source is None:
            return ()
        badge = recording.text_value(readings, source.tag) if source.tag else kept.operator
        return () if badge is None else (Person(badge),)

    def _documents(self, reference: str | None) -> tuple[tuple[str, str], ...]:
        orders = () if reference is None else ((WORK_ORDER, reference),)
        return (*orders, *((LOTS, material.item) for material in self.settings.materials))

    def _materials(
        self,
        kept: Kept,
        readings: Mapping[str, Reading],
        results: tuple[SubjectResult, ...],
        purpose: Purpose,
        aborted: bool,
    ) -> tuple[MaterialActual, ...]:
        """Consumed components, the marriage of carrier and unit, and what left as scrap."""
        first = results[0].subject
        edges: list[MaterialActual] = []
        if not aborted:
            edges += recording.consumed(self.settings.materials, kept.lots, first, purpose)
        carrier = recording.text_value(readings, self.settings.subject.carrier)
        if carrier is not None and first.kind is SubjectKind.UNIT:
            edges.append(
                MaterialActual(
                    MaterialKind.IDENTIFIED_AS, Subject(SubjectKind.CARRIER, carrier), first, first.quantity
                )
            )
        edges += [
            MaterialActual(MaterialKind.SCRAPPED, r.subject, None, r.subject.quantity, reason="machine-result")
            for r in results
            if r.result is Result.SCRAP
        ]
        return tuple(edges)


def _text(cycle: int | None) -> str | None:
    return None if cycle is None else str(cycle)


def _cycle_events(last: int | None, cycle: int | None) -> tuple[Data, ...]:
    """A step of more than one is a hole; a step back opens a new period of the counter."""
    if last is None or cycle is None or cycle == last + 1:
        return ()
    if cycle < last:
        return (OperationsEvent("counter-period", {"was": str(last), "now": str(cycle), "why": "step-back"}),)
    return (OperationsEvent("cycles-missed", {"first": str(last + 1), "last": str(cycle - 1)}),)
