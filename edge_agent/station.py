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
from dataclasses import replace

from pydantic import JsonValue

from edge_agent import recording
from edge_agent.acts import ActRules
from edge_agent.barriers import Barrier, BarrierRules, changed
from edge_agent.chart_facts import subject_ref
from edge_agent.chart_memory import ChartMemory, read_memory
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.charting import Resumed
from edge_agent.document_ages import DocumentAges
from edge_agent.events import (
    Capture,
    Captured,
    CaptureFailed,
    Committed,
    DeviceBack,
    DocumentChanged,
    Event,
    Lift,
    Observed,
    Prompt,
    Ran,
    RestartChart,
    Scanned,
    Tick,
    Until,
    Write,
    WriteDone,
    WriteFailed,
)
from edge_agent.holds import station_is_held
from edge_agent.interlock import Interlock
from edge_agent.papers import NO_PAPERS, Papers
from edge_agent.reactions import ReactionRules
from edge_agent.requirements import missing, start_requirements
from edge_agent.route_status import PieceHere, Runs
from edge_agent.run_record import RunRecorder
from edge_agent.station_scans import ScanRules
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, OpenRun, Phase, State, Step, commit, grown, read_kept
from records.model import Data, OperationsEvent, Outcome, Reading, Requirement, Subject, SubjectKind

NEAR = 64
"""So near to its end before and to its beginning after, a counter of known width has wrapped and was not reset."""


class Station:
    """The rules of one station; holds no state. By a configuration that is not ``approved`` all runs are setup."""

    def __init__(
        self,
        name: str,
        settings: StationSettings,
        characteristics: Mapping[str, CharacteristicSettings],
        approved: bool = True,
        line: str | None = None,
        ages: DocumentAges | None = None,
        counts: int | None = None,
    ) -> None:
        """``counts``: how many counts the machine's cycle counter has before it begins at 0; None: unknown."""
        self.name = name
        self._counts = counts
        self.settings = settings
        self.approved = approved
        self._barriers = BarrierRules(settings, characteristics, ages)
        self._recorder = RunRecorder(name, settings, characteristics, approved, line, self._barriers.ages)
        self._scans = ScanRules(settings, self._barriers, len(characteristics))
        self._requirements = start_requirements(settings)
        self._interlock = Interlock(settings)
        plans = {n: c.reactions for n, c in characteristics.items()}
        self._reactions = ReactionRules(name, plans, settings.hold.tag if settings.hold else None)
        self._acts = ActRules(name, settings)

    def open(
        self,
        kept: JsonValue | None,
        charts: Mapping[str, JsonValue] | None = None,
        papers: Papers = NO_PAPERS,
    ) -> State:
        """The state at start, from what the last commits kept of station and charts (None: never committed).

        Raises:
            Damaged: what was kept cannot be read; nothing was changed.
        """
        return self.take_over(read_kept(self.name, kept), read_memory(charts or {}), papers)[0]

    def take_over(self, kept: Kept, charts: ChartMemory, papers: Papers) -> tuple[State, Resumed]:
        """The state in which these rules begin after others (or the process) ended, all but what was kept unknown.

        Also which charts begin a new segment, and what has to be told of them.
        """
        resumed = self._recorder.charts.resume(charts, papers)
        return State(kept, resumed.memory, recovered=kept.run is not None), resumed

    def step(self, state: State, event: Event, papers: Papers) -> Step:
        """The next state and what is to be done, in order."""
        if isinstance(event, Committed):
            if state.after is None:
                return state, ()
            after = state.after
            state, effects = after.state, after.effects
        else:
            step = self._react(state, event, papers)
            state, effects = self._followed(step, event)
        if state.after is not None or isinstance(event, WriteFailed):
            return state, effects  # what failed is tried again at the next tick, not at once
        met = not self.missing(state, papers)
        return self._interlock.keep(state, effects, met=met, held=self._held(state))

    def _followed(self, step: Step, event: Event) -> Step:
        """With the reactions to what it commits, whatever way led there."""
        if not isinstance(event, Observed | Captured | Scanned | Tick):
            return step
        return self._reactions.follow(step, event.at_us, event.held if isinstance(event, Captured) else ())

    def subjects(self, state: State, readings: Mapping[str, Reading]) -> tuple[tuple[Subject, str | None], ...]:
        """Whom a run that is captured now is about, each with its position."""
        return self._recorder.subjects(state, readings)

    def order(self, state: State, readings: Mapping[str, Reading]) -> str | None:
        """The order that a run captured now belongs to."""
        return self._recorder.order(state, readings)

    @property
    def hold_tag(self) -> tuple[str, bool] | None:
        """Where the rules tell a hold, and by which value."""
        hold = self.settings.hold
        return None if hold is None else (hold.tag, hold.value)

    def stopping(self) -> tuple[Write, ...]:
        """What tells the machine to stop at once; ``told_anew`` lets it go on."""
        return self._interlock.stopping()

    def told_anew(self, state: State) -> State:
        """Nothing is known of what the machine was told about whether it may run."""
        return self._interlock.forget(state, tuple(state.told))

    def missing(self, state: State, papers: Papers) -> Sequence[Requirement]:
        """The requirements of the start gate that are not met."""
        return missing(self._requirements, state.kept, papers, self.barriers(state, papers), full=state.full)

    def barriers(self, state: State, papers: Papers) -> tuple[Barrier, ...]:
        """What central told, or how old that is, stands against a start or is to be warned of."""
        return self._barriers.standing(state.kept, papers, self._pieces(state))

    def _pieces(self, state: State) -> tuple[PieceHere, ...]:
        """The pieces that wait here, where a run of them would count."""
        if self.settings.earlier is None or not state.counts:
            return ()
        loaded = [PieceHere(u.carrier, u.subject.id, u.since_us, u.ran) for u in state.kept.loaded]
        return (*loaded, *((state.seen,) if state.seen is not None else ()))

    def _of_run(self, state: State, event: Captured) -> tuple[PieceHere, ...]:
        """What is known of the pieces of a run that was just captured."""
        if self.settings.earlier is None:
            return ()
        if state.kept.loaded:
            return tuple(PieceHere(u.carrier, u.subject.id, u.since_us, u.ran) for u in state.kept.loaded)
        here = [subject for subject, _ in self.subjects(state, event.readings) if subject.id != recording.UNKNOWN]
        since_us = state.seen.since_us if state.seen is not None else event.at_us
        return tuple(_piece(subject, since_us, event.ran.get(subject_ref(subject), {})) for subject in here)

    def _held(self, state: State) -> bool:
        """Whether the machine is to be held: after a signal, or where nothing but the hold's tag can stop it."""
        return station_is_held(state.kept.holds) or (state.full and self.settings.permit is None)

    # -- reactions -----------------------------------------------------------------------------------------

    def _react(self, state: State, event: Event, papers: Papers) -> Step:
        match event:
            case Observed():
                return self._observed(state, event)
            case Captured():
                return self._captured(state, event, papers)
            case CaptureFailed():
                return replace(state, phase=Phase.START), (
                    Prompt("capture-failed", {"error": event.error}, Until.READ),
                )
            case Scanned(late=True):
                return self._scans.too_late(state, event)
            case Scanned():
                return self._with_lot_ended(state, self._scans.take(state, event, papers), papers)
            case Tick():
                state = replace(state, full=event.full)
                return (
                    self._with_closed(state, event, papers)
                    or self._with_barriers(state, event, papers)
                    or self._tick(state, event)
                )
            case Lift() | RestartChart():
                return self._acts.take(state, event, papers.reasons)
            case WriteDone() | WriteFailed():
                return self._written(state, event)
            case DeviceBack():
                return self._device_back(state, event.device), ()
            case DocumentChanged() | Committed():
                return state, ()

    def _with_lot_ended(self, state: State, step: Step, papers: Papers) -> Step:
        """A scan that starts an order ends the lot before it: what closes by lot is closed in the same commit."""
        waiting, _ = step
        if waiting.after is None or waiting.after.state.kept.order == state.kept.order:
            return step
        reference = waiting.after.state.kept.order
        order = papers.order(reference)
        judged = self._recorder.charts.lot_ended(state.charts, order.lot if order else reference, papers)
        return grown(state, step, judged.before, judged.memory) if judged.before else step

    def _with_closed(self, state: State, event: Tick, papers: Papers) -> Step | None:
        """Close subgroups that have been open for long enough; None where none has."""
        judged = self._recorder.charts.due(state.charts, event.at_us, papers)
        return commit(state, judged.before, replace(state, charts=judged.memory)) if judged.before else None

    def _with_barriers(self, state: State, event: Tick, papers: Papers) -> Step | None:
        """Tell what stands against a start since the last time, and what does no more; None where nothing did."""
        kept, facts = changed(state.kept.barred, self.barriers(state, papers), event.at_us, state.kept.order)
        if not facts:
            return None
        then = replace(state, kept=replace(state.kept, barred=kept))
        prompts = tuple(Prompt(one.why, one.params, Until.LIFTED) for one in kept if one not in state.kept.barred)
        return commit(state, facts, then, prompts[-1:])

    def _device_back(self, state: State, device: str) -> State:
        """What it was told and what it said before counts for nothing: it may have restarted, with its memory or
        without. The handshake begins anew from what it shows now.
        """
        trigger = self.settings.trigger
        state = self._interlock.forget(state, [tag for tag in state.told if tag.startswith(device + ".")])
        if trigger.tag.startswith(device + "."):
            state = replace(state, phase=Phase.START, done=None, running=False)
        return state

    def _observed(self, state: State, event: Observed) -> Step:
        trigger = self.settings.trigger
        done, running = event.values.get(trigger.tag), event.values.get(trigger.running or "")
        state = replace(
            state,
            done=state.done if done is None else bool(done),
            running=state.running if running is None else bool(running),
        )
        if self.settings.earlier is not None:
            state = self._seen(state, event)
        return self._advance(state, event.at_us, event.new_id)

    def _seen(self, state: State, event: Observed) -> State:
        """With the piece that the reader sees, and whether a run of it would count."""
        reader, purpose = self.settings.subject.tag, self.settings.purpose
        if purpose is not None and purpose.tag in event.values:
            mode = event.values[purpose.tag]
            told = purpose.values.get(mode) if isinstance(mode, int) else None
            state = replace(state, counts=told is None or told.counts)
        if reader is None or reader not in event.values:
            return state
        name = recording.identifier(event.values[reader])
        if name is None:
            return replace(state, seen=None)
        return replace(state, seen=_piece(Subject(self.settings.subject.kind, name), event.at_us, event.ran))

    def _advance(self, state: State, at_us: int, new_id: str) -> Step:
        """Go on with the handshake from what is known about done and running."""
        if state.done is None:
            return state, ()
        if state.phase is Phase.WAITING and not state.done:
            return self._release(state)
        if state.phase not in (Phase.START, Phase.IDLE):
            return state, ()
        if state.done:
            return self._capture(state)
        if state.phase is Phase.START:
            return self._release(state)
        if state.running and state.kept.run is None:
            return self._run_started(state, at_us, new_id)
        return state, ()

    def _capture(self, state: State) -> Step:
        return replace(state, phase=Phase.CAPTURING, lost_since_s=None), (Capture(self.settings.captured()),)

    def _release(self, state: State) -> Step:
        acknowledge = self.settings.trigger.acknowledge
        if acknowledge is None:
            return replace(state, phase=Phase.IDLE), ()
        return replace(state, phase=Phase.RELEASING), (Write(acknowledge, False),)

    def _run_started(self, state: State, at_us: int, run_id: str) -> Step:
        kept = replace(state.kept, run=OpenRun(run_id, at_us, state.kept.lots))
        fact = OperationsEvent("run-started", {"run_id": run_id}, order=state.kept.order)
        return commit(state, (fact,), replace(state, kept=kept, recovered=False))

    def _tick(self, state: State, event: Tick) -> Step:
        """Try again what failed, and give up a run that the machine no longer knows."""
        acknowledge = self.settings.trigger.acknowledge
        if state.phase in (Phase.START, Phase.IDLE) and state.done:
            return self._capture(state)
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
        return commit(state, (fact,), replace(state, kept=kept, lost_since_s=None, recovered=False))

    def _written(self, state: State, event: WriteDone | WriteFailed) -> Step:
        trigger = self.settings.trigger
        if isinstance(event, WriteFailed):
            prompt = Prompt("write-failed", {"tag": event.tag, "error": event.error}, Until.WRITTEN)
            # a lock is written again at the next tick, an acknowledge stays in its phase until it succeeds
            return self._interlock.forget(state, (event.tag,)), (prompt,)
        if event.tag != trigger.acknowledge:
            return self._interlock.written(state, event.tag, held=self._held(state))
        if state.phase is Phase.ANSWERING:
            state = replace(state, phase=Phase.WAITING)
            return self._release(state) if state.done is False else (state, ())
        if state.phase is Phase.RELEASING:
            state = replace(state, phase=Phase.IDLE)
            return self._capture(state) if state.done else (state, ())  # the next cycle may be offered already
        return state, ()

    # -- the run -------------------------------------------------------------------------------------------

    def _captured(self, state: State, event: Captured, papers: Papers) -> Step:
        trigger = self.settings.trigger
        cycle = recording.integer_value(event.readings, trigger.cycle)
        if trigger.cycle is not None and cycle is None:
            # without the cycle nothing could tell this run from the last one: try again, never guess
            return replace(state, phase=Phase.START), (
                Prompt("cycle-not-read", {"tag": trigger.cycle}, Until.READ),
            )
        if cycle is not None and cycle == state.kept.last_cycle:
            return self._answer(state)
        pieces = self._of_run(state, event)
        record, judged = self._recorder.record(state, event, papers, cycle, pieces)
        facts: list[Data] = []
        if record.resumed:
            facts.append(OperationsEvent("run-resumed", {"run_id": record.run_id, "cycle": _text(cycle)}))
        facts += _cycle_events(state.kept.last_cycle, cycle, self._counts)
        facts += (
            *judged.before,
            record,
            *judged.after,
            *self._barriers.ran_held(record, papers, state.kept.barred, pieces),
        )
        kept = replace(
            state.kept,
            order=record.order if self.settings.order.tag else state.kept.order,
            loaded=(),
            container=None,
            last_cycle=cycle,
            run=None,
        )
        ran = None
        if record.order is not None and record.purpose.counts and record.outcome is Outcome.COMPLETED:
            ran = Ran(record.order, tuple(result.subject for result in record.subjects))
        then, effects = self._answer(replace(state, kept=kept, charts=judged.memory, recovered=False))
        return commit(state, tuple(facts), then, effects, ran)

    def _answer(self, state: State) -> Step:
        acknowledge = self.settings.trigger.acknowledge
        if acknowledge is None:
            return replace(state, phase=Phase.WAITING), ()
        return replace(state, phase=Phase.ANSWERING), (Write(acknowledge, True),)


def _piece(subject: Subject, since_us: int, ran: Runs) -> PieceHere:
    if subject.kind is SubjectKind.CARRIER:
        return PieceHere(subject.id, None, since_us, ran)
    return PieceHere(None, subject.id, since_us, ran)


def _text(cycle: int | None) -> str | None:
    return None if cycle is None else str(cycle)


def _cycle_events(last: int | None, cycle: int | None, counts: int | None) -> tuple[Data, ...]:
    """A step of more than one is a hole; a step back opens a new period of the counter, without one at its end."""
    if last is None or cycle is None or cycle == last + 1:
        return ()
    if cycle > last:
        return (_missed(last + 1, cycle - 1),)
    if counts is None or not (counts - NEAR <= last < counts and 0 <= cycle <= NEAR):
        return (OperationsEvent("counter-period", {"was": str(last), "now": str(cycle), "why": "step-back"}),)
    told = OperationsEvent("counter-wrapped", {"was": str(last), "now": str(cycle), "size": str(counts)})
    before = (_missed(last + 1, counts - 1),) if last < counts - 1 else ()
    after = (_missed(0, cycle - 1),) if cycle > 1 else ()  # some counters have no 0
    return (*before, told, *after)


def _missed(first: int, last: int) -> OperationsEvent:
    return OperationsEvent("cycles-missed", {"first": str(first), "last": str(last)})
