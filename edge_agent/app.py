"""The composition root of the agent: everything is built here, from one loaded line file, with plain arguments.

The agent is one asyncio loop (devices, scanners, stations), one writer thread (outbox) and the uplink's own
thread. Starting is recovery: the outbox verifies itself, stations go on from what they last committed, the uplink
sends again from central's last watermark. A disk that does not keep what it is told ends the process at once
with exit code 74; whatever supervises it starts it again.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import JsonValue

from drivers.base import Notice
from edge_agent.anchors import ANCHOR, KEPT, to_keep
from edge_agent.anchors import KEY as ANCHOR_KEY
from edge_agent.approval import Approvals
from edge_agent.aside_told import tell_set_aside
from edge_agent.buffer_watch import BufferWatch
from edge_agent.clock_offset import ClockOffset
from edge_agent.configuration import Committed, record_of
from edge_agent.documents import Documents
from edge_agent.events import DocumentChanged
from edge_agent.floor import Floor, Tools
from edge_agent.held_papers import HeldPapers
from edge_agent.known_devices import KnownDevices
from edge_agent.leaving import departed
from edge_agent.line_watch import LineWatch, Refusal
from edge_agent.outbox import Batch, Outbox, Place
from edge_agent.papers import WORK_ORDER, Papers
from edge_agent.proving import Proving
from edge_agent.reload import plan
from edge_agent.renewal import Renewal
from edge_agent.report import Parts
from edge_agent.runner import FULL_PAUSE_S, StationRunner
from edge_agent.settings import Buffer, LineSettings, load_line
from edge_agent.settings import Uplink as UplinkOfLine
from edge_agent.software import software
from edge_agent.space import LOW_ROOM, Space
from edge_agent.space import plan as plan_space
from edge_agent.sync import Sync
from edge_agent.telemetry import Context
from edge_agent.trend import Trend
from edge_agent.uplink import Uplink, UplinkSettings
from records.clock import MICROSECONDS, Clock, utc_offset_min
from records.configuration import ConfigurationRecord
from records.errors import ConfigurationError, Damaged, Refused, StorageFailed
from records.keys import Identity
from records.kinds import DERIVED
from records.model import Data, Fact, Header, OperationsEvent
from records.process import keep_pauses_short
from records.wire import CENTRAL, CERTIFICATE, OF_ONE_AGENT, SIGNING_KEY, SYNC, SYNC_REFUSED
from records.yaml import Loaded, refuse

CLOCK_CHECK_S = 5.0
CLOCK_JUMP_S = 2.0
SYNC_LOOK_S = 1.0
PROBLEMS_TOLD = 5
"""How many problems of a refused configuration its event names."""

log = structlog.get_logger()


class Agent:
    """One agent, built and not yet running. ``run`` goes on until ``stop`` is called."""

    def __init__(
        self,
        loaded: Loaded[LineSettings],
        clock: Clock,
        *,
        failpoint: Callable[[str], None] = lambda _: None,
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        line = loaded.value
        if line.buffer is None or line.uplink is None:
            raise ConfigurationError(
                f"{loaded.file} has no {'buffer' if line.buffer is None else 'uplink'}",
                hint="an agent that runs needs buffer: and uplink:",
            )
        self._loaded, self._clock, self._failpoint = loaded, clock, failpoint
        self._in_force: str | None = None
        self.offset = ClockOffset(clock, self._tell)
        identity = _identity(line.agent, line.uplink.identity)
        caps = plan_space(
            line.buffer.path, line.buffer.records_max, line.buffer.telemetry_max, line.buffer.ballast
        )
        self.space = Space(line.buffer.path, caps.ballast)
        self.outbox = self._records(line.agent, line.buffer, caps.records, on_failure)
        self._known = KnownDevices(self.outbox)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.documents = Documents(self.outbox, identity.central, clock, self._document_changed, self._needed)
        self._papers = HeldPapers(self.documents, clock, lambda: self._loaded.value.time_zone)
        self.approvals = Approvals(self.documents, line.agent)
        try:
            self.approvals.enrolled(identity)
            self._configuration = record_of(loaded, software(), self.approvals.of(loaded.hash))
        except ConfigurationError:
            self.outbox.close()
            raise
        self.trend = Trend(
            line.buffer,
            caps.telemetry,
            self.outbox,
            clock,
            self.header,
            self._chunk_context,
            self._tell,
            live=lambda: self.uplink.live,
            failpoint=failpoint,
            on_failure=on_failure,
        )
        self.uplink = Uplink(
            self.outbox,
            identity,
            _uplink_settings(line.uplink),
            clock,
            self._tell,
            documents=self.documents,
            telemetry=self.trend.outbox,
            on_acknowledged=self.trend.acknowledged,
            on_connected=lambda: self.sync.connected(),
            on_restored=lambda: self.sync.begin(),
            on_central_keys=lambda payload: self.renewal.central_keys(payload),
            failpoint=failpoint,
        )
        self.sync = Sync(line.agent, self.documents, self.uplink.request, clock, self.offset)
        self.room = BufferWatch(
            self.outbox, self.space, clock, line.buffer.warn_below / 3600.0, partial(self.record, urgent=True)
        )
        self.room.look()
        self.proving = Proving((self.outbox, self.trend.outbox), clock, self._tell_urgent)
        self.renewal = Renewal(identity, self.documents, clock, self._tell, self.uplink)
        self.floor = Floor(loaded, self._tools())
        self.watch = LineWatch(loaded, load_line, self.reload, self._refused)
        self._stopping = asyncio.Event()

    def _records(
        self, agent: str, buffer: Buffer, cap: int, on_failure: Callable[[StorageFailed], None] | None
    ) -> Outbox:
        if self.space.free() < LOW_ROOM:
            self.space.release()  # opening is recovery, which needs room
        return Outbox(
            buffer.path,
            agent,
            self._clock,
            context=self.header,
            keep_acknowledged_s=buffer.keep_acknowledged,
            max_bytes=cap,
            on_full=self.space.release,
            on_failure=on_failure,
            failpoint=self._failpoint,
        )

    def _tools(self) -> Tools:
        """What all parts on the floor share."""
        return Tools(
            self._clock,
            self.outbox,
            self.papers,
            self._header,
            self.record,
            self._notice,
            self.uplink.request_head,
            self.trend.collector.feed,
            lambda values: self.trend.counters.add(values_captured=values),
            self._failpoint,
            lambda hash_: self.approvals.of(hash_) != "missing",
            lambda: self.room.standing.stopped,
        )

    # -- what every record carries -------------------------------------------------------------------------

    def header(self, station: str | None = None) -> Header:
        """The header of a record made now; it names no configuration before one is committed."""
        return replace(self._header(self._loaded, station), configuration=self._in_force)

    def _header(self, loaded: Loaded[LineSettings], station: str | None) -> Header:
        now_us, line = self._clock.now_us(), loaded.value
        offset_min = utc_offset_min(line.time_zone, now_us)
        off_ms = self.offset.milliseconds()
        return Header(
            now_us, offset_min, line.site, line.line, station, software(), loaded.hash, clock_offset_ms=off_ms
        )

    def _chunk_context(self) -> Context:
        """What a telemetry chunk made now names."""
        line = self._loaded.value
        return Context(line.agent, line.site, line.line, software(), self._in_force or self._loaded.hash)

    def fact(self, data: Data, station: str | None) -> Fact:
        return Fact(self.header(station), data)

    def papers(self) -> Papers:
        """What central told, newest."""
        return self._papers.now()

    def _document_changed(self, kind: str, document: str) -> None:
        if kind == SYNC:
            self.sync.answered()
            return
        if kind == SYNC_REFUSED:
            self.sync.refused()
            return
        if kind == ANCHOR:
            self._keep_anchor()
            return
        self._papers.changed(kind)
        if kind in (CERTIFICATE, SIGNING_KEY):
            self.renewal.told(kind)
        if kind == WORK_ORDER:
            self.uplink.request_head()  # an order that central closes wants this agent's last word on it
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._post_all, kind, document)

    def _needed(self, kind: str, document: str) -> bool:
        """Whether a station works on it: a run that is still recorded there has a product and a lot."""
        return kind == WORK_ORDER and any(runner.order == document for runner in self.runners)

    def _forget_over(self) -> None:
        """What was run on the pieces of orders that are over is needed no more."""
        orders = self.papers().orders
        over = [name for name in self.floor.own.orders if name not in orders or not orders[name].open]
        states = self.floor.own.forgotten(over)
        if states:
            self.outbox.commit(Batch(state=states))

    def _keep_anchor(self) -> None:
        """Have central's word on its own chains in this agent's chain, too."""
        keep = to_keep(self.documents.get(ANCHOR, CENTRAL), self.outbox.state(ANCHOR_KEY), self._clock.now_us())
        if keep is not None:
            self.record(KEPT, keep[0], state=keep[1])

    def _post_all(self, kind: str, document: str) -> None:
        if kind not in DERIVED:
            log.info("document", kind=kind, id=document)
        if kind == WORK_ORDER:
            self._forget_over()
        self.floor.post(DocumentChanged())
        if kind in OF_ONE_AGENT:
            self.floor.approve()

    @property
    def runners(self) -> list[StationRunner]:
        """The stations at work."""
        return self.floor.runners

    # -- events of the agent itself ------------------------------------------------------------------------

    def record(
        self,
        code: str,
        params: dict[str, JsonValue],
        device: str | None = None,
        state: Mapping[str, JsonValue] = MappingProxyType({}),
        *,
        urgent: bool = False,
    ) -> None:
        """Commit an event of the agent, and states with it; returns at once, the outbox keeps the order."""
        event = self.fact(OperationsEvent(code, params, device=device), None)
        stored = self.outbox.commit(Batch((event,), state), urgent=urgent)
        stored.add_done_callback(lambda done: _kept(code, done))

    def _tell(self, code: str, params: dict[str, JsonValue]) -> None:
        log.warning(code, **params)
        self.record(code, params)

    def _tell_urgent(self, code: str, params: dict[str, JsonValue]) -> None:
        log.error(code, **params)
        self.record(code, params, urgent=True)

    def _notice(self, notice: Notice) -> None:
        """A driver noticed something beside values."""
        device = notice.params.get("device") or str(notice.params.get("tag", "")).partition(".")[0]
        news, state = self._known.sift(notice)
        for told in news:
            fine = told.code == "plc-write" and "error" not in told.params
            (log.debug if fine else log.warning)(told.code, **told.params)
            self.record(told.code, dict(told.params), str(device) or None, state)

    # -- running -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until ``stop``.

        Raises:
            LotkeeperError: what any part raised; it ends all of them.
        """
        self._loop = asyncio.get_running_loop()
        self.uplink.start()
        reason = "failed"
        try:
            await self._begin()
            self.floor.start()
            keep_pauses_short()
            jobs = (
                self._watch_clock(),
                self._compare(),
                self.watch.run(),
                self.room.run(),
                self.documents.run(),
                self.proving.run(),
                self.renewal.run(),
                *self._page(),
            )
            await self.floor.run(self._stopping.wait(), *jobs)
            reason = "asked"
        finally:
            with suppress(StorageFailed):
                self.record("agent-stopped", {"reason": reason})
            await self.trend.close()
            self.uplink.stop()
            self.trend.outbox.close()
            self.outbox.close()

    async def _begin(self) -> None:
        """Say what runs and by which configuration, before anything else. A full buffer keeps the line waiting."""
        started = OperationsEvent("agent-started", {"software": software(), "host": platform.node()})
        await self._commit_configuration(self._loaded, self._configuration, started)
        tell_set_aside(self.outbox, self.record)
        for station, words in departed(self.outbox, self._loaded.value.stations):
            facts = tuple(self.fact(data, station) for data in words.facts)
            await self._commit(partial(Batch, facts, words.states), urgent=True)  # a machine may stand unlocked

    async def _commit(self, batch: Callable[[], Batch], *, urgent: bool) -> bool:
        """Try until it is on disk, each time what ``batch`` makes; False: the agent was told to stop before."""
        while True:
            try:
                await asyncio.wrap_future(self.outbox.commit(batch(), urgent=urgent))
                return True
            except Refused as error:
                log.error("buffer-full", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), FULL_PAUSE_S)
                return False

    # -- the configuration ---------------------------------------------------------------------------------

    async def _commit_configuration(
        self, loaded: Loaded[LineSettings], record: ConfigurationRecord, *others: Data
    ) -> None:
        """Put it on disk, and that it is in force from now on; only then does any record name it.

        A full buffer is tried again until it takes it, or until the agent is told to stop. What it has already is
        named again without any room for it: a line that starts over a full buffer must be told to stop.
        """
        params: dict[str, JsonValue] = {"file": os.path.basename(loaded.file), "hash": loaded.hash}
        committed = Committed(self.outbox, software())
        news: tuple[Data, ...] = () if committed.holds(loaded.hash) else (record,)
        said = (*news, *others, OperationsEvent("configuration-loaded", params))

        def batch() -> Batch:
            header = self._header(loaded, None)
            return Batch(tuple(Fact(header, data) for data in said), committed.with_(loaded.hash))

        if await self._commit(batch, urgent=not news):
            self._loaded, self._in_force = loaded, loaded.hash

    async def reload(self, loaded: Loaded[LineSettings]) -> None:
        """Go over to another configuration: all of it is built and on disk before anything that runs is touched.

        Raises:
            ConfigurationError: it is refused, and nothing has changed.
        """
        needs_restart = plan(self._loaded.value, loaded.value).restart
        if needs_restart:
            refuse(
                loaded.problem(
                    (key,), f"`{key}` cannot be changed while the agent runs", "restart the agent", key=True
                )
                for key in needs_restart
            )
        try:
            prepared = self.floor.prepare(loaded)
            record = record_of(loaded, software(), self.approvals.of(loaded.hash))
        except Damaged as error:
            raise ConfigurationError(error.message, hint=error.hint) from error
        self._failpoint("reload.before_commit")
        await self._commit_configuration(loaded, record)
        if self._in_force != loaded.hash:
            return  # the agent stops
        self._failpoint("reload.after_commit")
        log.info("configuration-loaded", file=loaded.file, hash=loaded.hash)
        await self.floor.take(prepared)

    def _refused(self, refusal: Refusal) -> None:
        """What was read is not taken; what runs goes on."""
        first = [str(problem) for problem in refusal.problems[:PROBLEMS_TOLD]]
        log.error("configuration-refused", hash=refusal.hash, problems=first)
        file = os.path.basename(self._loaded.file)
        told: dict[str, JsonValue] = {"file": file, "hash": refusal.hash, "problems": [*first]}
        troubles: list[JsonValue] = [each.told.to_json() for each in refusal.problems[:PROBLEMS_TOLD]]
        self.record("configuration-refused", told | {"troubles": troubles})

    def _page(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The status page, where the line file asks for one."""
        page = self._loaded.value.status
        if page is None:
            return ()
        from edge_agent.web.serve import serve_page  # FastAPI is loaded only here

        parts = Parts(
            lambda: self._loaded,
            software(),
            self._clock.now_us(),
            lambda: self.floor.supervisors,
            lambda: self.floor.scanners,
            lambda: self.runners,
            self.papers,
            lambda: self.trend.counters.snapshot().to_json(),
            self.outbox,
            self.uplink,
            self._clock,
            lambda: self.watch.refusal,
            lambda: self.room.standing,
            lambda: self.renewal.problems,
            self.offset.now,
            self.sync.unanswered_s,
        )
        return (serve_page(parts, page.port),)

    def stop(self) -> None:
        """End ``run`` in good order; call it in the loop's thread."""
        self._stopping.set()

    async def _compare(self) -> None:
        """Compare notes with central every now and then, so that a quiet line hears of it too."""
        while True:
            await asyncio.sleep(SYNC_LOOK_S)
            if self.uplink.reached:
                self.sync.look()

    def _compare_now(self) -> None:
        if self.uplink.status().connected:
            self.sync.begin()

    async def _watch_clock(self) -> None:
        """A wall clock that was set is a record: order stays by seq, but people must know. A computer that slept
        looks the same, so how far the clock is from central's is measured anew at once.
        """
        before = self._clock.now_us() / MICROSECONDS - self._clock.monotonic_s()
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            now = self._clock.now_us() / MICROSECONDS - self._clock.monotonic_s()
            if abs(now - before) > CLOCK_JUMP_S:
                self.record("clock-jump", {"seconds": round(now - before, 3)})
                self.offset.look()
                self._compare_now()
            before = now


def _identity(agent: str, folder: Path) -> Identity:
    """The identity of this agent, and of no other."""
    identity = Identity.open(folder)
    if identity.file.agent != agent:
        raise ConfigurationError(
            f"{folder} is the identity of {identity.file.agent}, the file is of {agent}",
            hint="enrol this agent, or correct uplink.identity",
        )
    return identity


def _uplink_settings(uplink: UplinkOfLine) -> UplinkSettings:
    return UplinkSettings(
        uplink.broker, uplink.protocol, head_interval_s=uplink.head_interval, keepalive_s=uplink.keepalive
    )


def _kept(code: str, stored: Future[Place]) -> None:
    """Say when an event of the agent was not kept: a buffer at its cap takes none."""
    error = stored.exception()
    if error is not None:
        log.error("event-not-kept", code=code, error=str(error))
