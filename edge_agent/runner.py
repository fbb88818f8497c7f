"""The rim around a pure station: takes events one at a time, performs its effects, feeds their outcome back.

An effect is finished before the next begins, so a commit is on disk before anything is answered, and a scan
never overtakes a run. What is slow (a PLC that does not answer) delays only its own station.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from pydantic import JsonValue

from edge_agent.barriers import Barrier
from edge_agent.changeover import Changeover, Plant
from edge_agent.chart_facts import subject_ref
from edge_agent.chart_memory import changes, read_memory
from edge_agent.charting import Resumed
from edge_agent.events import (
    Answer,
    Capture,
    Captured,
    CaptureFailed,
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
    Scanned,
    Tick,
    Until,
    Write,
    WriteDone,
    WriteFailed,
)
from edge_agent.holds import Hold, station_is_held
from edge_agent.leaving import last_words, told_unlocked
from edge_agent.outbox import Batch, IdentityIndex, Outbox, RunIndex
from edge_agent.own_runs import OwnRuns
from edge_agent.papers import Papers
from edge_agent.prompting import Prompting
from edge_agent.recording import good_value, storable
from edge_agent.run_record import NOT_APPROVED
from edge_agent.station import Station
from edge_agent.station_state import STATIONS, Phase, State, as_json, charts_key, read_kept, stored
from edge_agent.ticket import Ticket
from records.clock import Clock, new_id
from records.errors import Invalid, LotkeeperError, Refused
from records.model import Data, Fact, OperationRecord, OperationsEvent, Reading

TICK_S = 0.25
WAITING_LIMIT = 1000
"""Most events that may wait for one station; beyond it whoever posts has to wait."""

FULL_PAUSE_S = 1.0
"""How long a station waits before it tries a full buffer again."""
BUFFER_FULL = "buffer-full"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StationStatus:
    """What the status page tells about a station."""

    phase: str
    order: str | None
    operator: str | None
    last_cycle: int | None
    missing: tuple[str, ...]
    prompt: str | None
    approved: bool = True
    holds: tuple[Hold, ...] = ()
    charts: tuple[tuple[str, str], ...] = ()  # characteristic and stream
    barriers: tuple[Barrier, ...] = ()


class StationRunner:
    """Runs one station until it leaves."""

    def __init__(
        self,
        station: Station,
        plant: Plant,
        outbox: Outbox,
        papers: Callable[[], Papers],
        fact: Callable[[Data, str | None], Fact],
        answer: Callable[[Answer], None],
        clock: Clock,
        failpoint: Callable[[str], None],
        order_ended: Callable[[], None] = lambda: None,
        configuration: str | None = None,
        captured: Callable[[int], None] = lambda _: None,
        held: Callable[[Collection[str]], tuple[str, ...]] = lambda _: (),
        full: Callable[[], bool] = lambda: False,
        own: OwnRuns | None = None,
    ) -> None:
        self.station = station
        self.configuration = configuration
        self._plant = plant
        self._outbox = outbox
        self._papers = papers
        self._fact = fact
        self._answer = answer
        self._clock = clock
        self._failpoint = failpoint
        self._order_ended = order_ended
        self._captured = captured
        self._held, self._full = held, full
        self._own = own or OwnRuns({})
        self._stopped = False
        self._acts: dict[int, asyncio.Future[Reply]] = {}
        self._act_number = 0
        self.name = station.name
        kept, charts = outbox.state(STATIONS + self.name), outbox.states(charts_key(self.name))
        self._before = State(read_kept(station.name, kept), read_memory(charts))
        self._state, self._resumed = station.take_over(self._before.kept, self._before.charts, papers())
        self._events: asyncio.Queue[tuple[Event, Ticket]] = asyncio.Queue(WAITING_LIMIT)
        self._ticket = Ticket()
        self._seen: dict[str, object] = {}
        self._wake = asyncio.Event()
        self._prompting = Prompting(station.name)
        self._change: Changeover | None = None

    async def post(self, event: Event, ticket: Ticket | None = None) -> None:
        """Hand over an event; waits when too many wait already. ``ticket``: of a scan that may be withdrawn."""
        if isinstance(event, DeviceBack):  # what was seen of it before it went is no longer so
            self._seen = {tag: seen for tag, seen in self._seen.items() if not tag.startswith(event.device + ".")}
        await self._events.put((event, ticket or Ticket()))
        self._wake.set()

    async def act(self, made: Callable[[int], Lift | RestartChart]) -> Reply:
        """What became of a person's act: committed, or refused. ``made`` gives it the number that it gets."""
        self._act_number += 1
        number = self._act_number
        self._acts[number] = asyncio.get_running_loop().create_future()
        try:
            await self.post(made(number))
            return await self._acts[number]
        finally:
            del self._acts[number]

    @property
    def order(self) -> str | None:
        """What the station works on."""
        return self._state.kept.order

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What stands at the station."""
        return self._state.kept.holds

    def see(self, values: Mapping[str, object]) -> None:
        """Hand over watched values; by level, so values that wait are replaced by newer ones."""
        self._seen.update(values)
        self._wake.set()

    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        """Read tags of the machines that the station works with now; Unreachable when one is away."""
        return await self._plant.read(tags)

    def change(self, change: Changeover) -> None:
        """Work by something else as soon as no run is going on; the newest change counts."""
        self._change = change
        self._wake.set()

    @property
    def waits_to_change(self) -> bool:
        """Whether a run keeps it from working by the newest configuration."""
        return self._change is not None

    @property
    def status(self) -> StationStatus:
        kept = self._state.kept
        unmet = self.station.missing(self._state, self._papers())
        barriers = self.station.barriers(self._state, self._papers())
        missing = tuple(r.needs if r.kind in ("material", "barrier") and r.needs else r.kind for r in unmet)
        return StationStatus(
            self._state.phase.value,
            kept.order,
            kept.operator,
            kept.last_cycle,
            missing,
            self._prompting.standing([barrier.why for barrier in barriers]),
            self.station.approved,
            kept.holds,
            tuple(sorted((stream.characteristic, stream.key) for stream in self._state.charts.streams.values())),
            barriers,
        )

    async def run(self) -> None:
        """Take events until cancelled, or until it has left. A damaged store or disk ends it with the error."""
        next_tick_s = 0.0
        await self._say_change(self._before, self._resumed)
        while not await self._changed_over():
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):  # wait_for may lose a cancellation
                    await self._wake.wait()
            self._wake.clear()
            while not self._events.empty():
                event, self._ticket = self._events.get_nowait()
                await self._take(event)
            self._ticket = Ticket()  # of what nobody withdraws
            if self._seen:
                seen, self._seen = self._seen, {}
                ran = self._own.of_seen(self._state.kept.order, self.station.settings.subject, seen)
                await self._take(Observed(seen, self._clock.now_us(), new_id(), ran))
            if self._clock.monotonic_s() >= next_tick_s:
                next_tick_s = self._clock.monotonic_s() + TICK_S
                await self._take(Tick(self._clock.now_us(), self._clock.monotonic_s(), self._full()))
                await self._free_left_tag()

    async def _take(self, event: Event) -> None:
        if isinstance(event, Scanned) and self._ticket.withdrawn:
            event, self._ticket = replace(event, late=True), Ticket()
        waiting, order = self._state.phase is Phase.WAITING, self._state.kept.order
        self._state, effects = self.station.step(self._state, event, self._papers())
        if waiting and isinstance(event, Observed) and self._state.phase is Phase.RELEASING:
            self._failpoint("station.after_done_falls")
        if order is not None and self._state.kept.order != order:
            self._order_ended()
        if self._state.phase not in (Phase.START, Phase.CAPTURING):
            self._prompting.over(Until.READ)
        for effect in effects:
            outcome = await self._perform(effect, event)
            if outcome is not None:
                await self._take(outcome)
        if self._stopped:
            self._stopped, self._state = False, self.station.told_anew(self._state)

    # -- another configuration ----------------------------------------------------------------------------

    async def _changed_over(self) -> bool:
        """Make a change that waits, if no run is going on; whether the station has left."""
        change = self._change
        if change is None or not (self._state.free or change.lost()):
            return False
        self._change = None
        await self._withdraw_permit(change)
        await self._leave_hold_tag(change)
        if change.station is not None:
            state = self._state
            resumed = Resumed(state.charts)
            if change.anew:
                state, resumed = change.station.take_over(state.kept, state.charts, self._papers())
                self._seen.clear()
            before, self._state = self._state, state
            self.station, self._plant, self._fact = change.station, change.plant, change.fact
            self.configuration = change.configuration
            await self._say_change(before, resumed)
        elif (words := last_words(self.name, self._state.kept, self._state.charts)) is not None:
            await self._store(Batch(tuple(self._fact(data, self.name) for data in words.facts), words.states))
        change.done()
        return change.station is None

    async def _say_change(self, then: State, resumed: Resumed) -> None:
        """Commit by what the station works now: charts that begin a new segment, and whether it is approved."""
        approved = self.station.approved
        self._prompting.over(Until.APPROVED)
        if not approved:
            self._prompting.say(Prompt(NOT_APPROVED, {}, Until.APPROVED))
        before, tag = then.kept, self.station.hold_tag
        kept = replace(self._state.kept, configuration=self.configuration, approved=approved)
        if tag is None or kept.hold_tag is None or tag[0] == kept.hold_tag[0]:
            kept = replace(kept, hold_tag=kept.hold_tag if tag is None else tag)
        settings = self.station.settings
        kept, unlocked = told_unlocked(
            self.name, kept, locks=settings.hold is not None or settings.permit is not None
        )
        charts = changes(then.charts, self._state.charts)
        if kept == before and not charts:
            return
        told: list[Data] = [*resumed.told]
        if before.configuration not in (None, self.configuration):
            params: dict[str, JsonValue] = {
                "was": before.configuration,
                "now": self.configuration,
                "charts": [*resumed.cut],
            }
            told.append(OperationsEvent("station-configured", params))
        if approved != before.approved:
            code = "configuration-approved" if approved else NOT_APPROVED
            told.append(OperationsEvent(code, {"configuration": self.configuration}, order=kept.order))
        told += unlocked
        stored_ = self._stored(as_json(kept), charts)
        await self._store(Batch(tuple(self._fact(data, self.name) for data in told), stored_))
        self._state = replace(self._state, kept=kept)

    async def _withdraw_permit(self, change: Changeover) -> None:
        """A machine that this station no longer keeps locked or free must not go on by its last word."""
        permit = self.station.settings.permit
        after = None if change.station is None else change.station.settings.permit
        if permit is None or not self._state.told.get(permit.tag):
            return
        if after is not None and after.tag == permit.tag and permit.tag.partition(".")[0] not in change.replaced:
            return
        try:
            await self._plant.write(permit.tag, False)
        except LotkeeperError as error:
            log.error("permit-not-withdrawn", station=self.name, tag=permit.tag, error=str(error))

    async def _leave_hold_tag(self, change: Changeover) -> None:
        """What only these devices can take back is taken back now; the new lock comes first where it can.

        Otherwise ``_free_left_tag`` does it by the new rules, once their locks stand.
        """
        left, after = self._state.kept.hold_tag, change.station
        tag = None if after is None else after.hold_tag
        if left is None or (tag is not None and tag[0] == left[0]):
            return
        if after is not None and change.plant.may_free(left[0]):
            return
        held = station_is_held(self._state.kept.holds)
        if held and tag is not None:
            with suppress(LotkeeperError):  # it is written by level too, as soon as its device is there
                await change.plant.write(*tag)
        told = None
        try:
            await self._plant.write(left[0], not left[1])
        except LotkeeperError as error:
            told = str(error)
        await self._left(left, tag, told)

    async def _free_left_tag(self) -> None:
        """Another line file names another tag for the hold, or none: the old one must not stay set for ever."""
        left, tag = self._state.kept.hold_tag, self.station.hold_tag
        if left is None or (tag is not None and tag[0] == left[0]) or self._state.after is not None:
            return
        if not self._plant.may_free(left[0]):
            await self._left(left, tag, "the line file has no such tag to write any more, or another use for it")
            return
        permit = self.station.settings.permit
        locks = {lock for lock in (tag and tag[0], permit and permit.tag) if lock}
        if station_is_held(self._state.kept.holds) and not locks <= self._state.sure:
            return
        try:
            await self._plant.write(left[0], not left[1])
        except LotkeeperError:
            return  # its device is away: at the next tick
        await self._left(left, tag, None)

    async def _left(self, left: tuple[str, bool], tag: tuple[str, bool] | None, error: str | None) -> None:
        """Commit that the tag is the hold's no more: taken back, or as it was, which somebody has to see to."""
        kept = replace(self._state.kept, hold_tag=tag)
        params: dict[str, JsonValue] = {"tag": left[0], "now": tag and tag[0], "left_set": error is not None}
        params["error"] = error
        held = station_is_held(kept.holds)
        if error is not None and held:
            log.error("hold-tag-left", station=self.name, tag=left[0], error=error)
        told = [OperationsEvent("hold-tag-left", params, order=kept.order)] if held or error is None else []
        await self._store(
            Batch(tuple(self._fact(data, self.name) for data in told), self._stored(as_json(kept), {}))
        )
        self._state = replace(self._state, kept=kept)

    # -- effects -------------------------------------------------------------------------------------------

    async def _perform(self, effect: Effect, cause: Event) -> Event | None:
        match effect:
            case Commit():
                return await self._commit(effect, cause)
            case Capture():
                return await self._capture(effect)
            case Write():
                return await self._write(effect)
            case Answer():
                self._ticket.decide()  # also without a commit
                self._answer(effect)
                if effect.accepted:
                    self._prompting.over(Until.ACCEPTED)
            case Reply():
                waiting = self._acts.get(effect.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(effect)
            case Prompt():
                self._prompting.say(effect)
        return None

    async def _commit(self, effect: Commit, cause: Event) -> Event:
        """Committed; or the scan that it decides on, where that was withdrawn before there was room."""
        runs: tuple[RunIndex, ...] = ()
        if effect.ran is not None:
            runs = tuple(
                RunIndex(effect.ran.order, self.station.name, subject_ref(s)) for s in effect.ran.subjects
            )
        identities = tuple(
            IdentityIndex(m.unit.product, m.unit.scheme, m.unit.id, f"{m.order}/{m.carrier}")
            for m in effect.married
        )
        facts = tuple(self._fact(data, self.station.name) for data in effect.facts)
        states = self._stored(effect.kept, effect.charts) | self._own.taken(effect.facts)
        batch = Batch(facts, states, runs, identities)
        try:
            on_disk = await self._store(batch)
        except Invalid as error:
            log.error("record-not-storable", station=self.station.name, error=str(error))
            on_disk = await self._store(replace(batch, facts=self._storable(effect.facts)))
        if not on_disk:
            return cause
        if any(isinstance(data, OperationRecord) for data in effect.facts):
            self._failpoint("station.after_commit")
        return Committed()

    def _stored(self, kept: JsonValue, charts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        return stored(self.name, kept, charts)

    def _storable(self, facts: tuple[Data, ...]) -> tuple[Fact, ...]:
        """The facts without what no buffer can hold; an event names each reading that was given up."""
        kept: list[Data] = []
        for data in facts:
            fitting, given_up = storable(data)
            kept.append(fitting)
            kept += [OperationsEvent("reading-bad", {"tag": tag, "status": "BadNotStorable"}) for tag in given_up]
        return tuple(self._fact(data, self.station.name) for data in kept)

    async def _store(self, batch: Batch) -> bool:
        """Until it is on disk. A buffer at its cap stops the line: nothing is answered while it takes nothing.

        False: the scan that this decides on was withdrawn, and nothing was stored.
        """
        while True:
            try:
                async with self._ticket.deciding() as may:
                    if may:
                        await asyncio.wrap_future(self._outbox.commit(batch))
                        self._prompting.over(Until.STORED)
                    return may
            except Refused as error:
                if self._prompting.say(Prompt(BUFFER_FULL, {}, Until.STORED)):
                    log.error(BUFFER_FULL, station=self.station.name, error=str(error))
                await self._stop_machine()
                await asyncio.sleep(FULL_PAUSE_S)

    async def _stop_machine(self) -> None:
        """While this waits for room no step tells the machine to stop, and one without a handshake runs on."""
        for write in () if self._stopped else self.station.stopping():
            with suppress(LotkeeperError):
                await self._plant.write(write.tag, write.value)
                self._stopped = True

    async def _capture(self, effect: Capture) -> Event:
        self._failpoint("station.before_capture")
        try:
            readings = await self._plant.read(effect.tags)
            await self._look_again(readings)
        except LotkeeperError as error:
            return CaptureFailed(str(error))
        self._captured(len(readings))
        self._failpoint("station.after_capture")
        order = self.station.order(self._state, readings)
        subjects = [subject for subject, _ in self.station.subjects(self._state, readings)]
        attempts = {
            subject.key: self._outbox.prior_runs(order, self.station.name, subject_ref(subject))
            for subject in subjects
            if order is not None
        }
        held = self._held([subject_ref(subject) for subject in subjects])
        ran = self._own.of_each(order, subjects)
        return Captured(readings, self._clock.now_us(), new_id(), attempts, held, ran)

    async def _look_again(self, readings: Mapping[str, Reading]) -> None:
        """The values came in several requests, perhaps from several devices: they are of one cycle only if the
        machine still says done, of the same cycle, after the last of them.

        Raises:
            Invalid: it does not. Unreachable: it cannot be asked.
        """
        trigger = self.station.settings.trigger
        tags = (trigger.tag,) if trigger.cycle is None else (trigger.tag, trigger.cycle)
        now = await self._plant.read(tags)
        if not good_value(now, trigger.tag):
            raise Invalid(f"{trigger.tag} no longer says done", hint="the machine is asked again")
        if trigger.cycle is not None and good_value(now, trigger.cycle) != good_value(readings, trigger.cycle):
            raise Invalid(f"{trigger.cycle} moved on while it was read", hint="the machine is asked again")

    async def _write(self, effect: Write) -> Event:
        acknowledge = effect.tag == self.station.settings.trigger.acknowledge
        if acknowledge and not effect.value:
            self._failpoint("station.before_ack_falls")
        try:
            await self._plant.write(effect.tag, effect.value)
        except LotkeeperError as error:
            return WriteFailed(effect.tag, str(error))
        self._prompting.over(Until.WRITTEN, effect.tag)
        if acknowledge and effect.value:
            self._failpoint("station.after_ack")
        return WriteDone(effect.tag)
