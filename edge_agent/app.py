"""The composition root of the agent: everything is built here, from one loaded line file, with plain arguments.

The agent is one asyncio loop (devices, scanners, stations), one writer thread (outbox) and the uplink's own
thread. Starting is recovery: the outbox verifies itself, stations go on from what they last committed, the uplink
sends again from central's last watermark. A disk that does not keep what it is told ends the process at once
with exit code 74; whatever supervises it starts it again.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import JsonValue

from drivers.base import Notice
from drivers.factory import build_device, build_scanner
from drivers.supervise import DeviceEvent, ScannerSupervisor, Supervisor
from drivers.tags import ModbusTcpDevice, OpcUaDevice, SerialScannerDevice
from edge_agent.acquire import Machines, ScanDesk, Watching
from edge_agent.configuration import Committed, record_of
from edge_agent.documents import Documents
from edge_agent.events import DeviceBack, DocumentChanged
from edge_agent.known_devices import KnownDevices
from edge_agent.outbox import Batch, Outbox
from edge_agent.papers import LOTS, WORK_ORDER, Papers
from edge_agent.runner import FULL_PAUSE_S, StationRunner
from edge_agent.settings import LineSettings
from edge_agent.station import Station
from edge_agent.uplink import Uplink, UplinkSettings
from records.clock import MICROSECONDS, Clock, SystemClock, utc_offset_min
from records.errors import ConfigurationError, Refused, StorageFailed
from records.failpoint import failpoint_from_environment
from records.keys import Identity
from records.model import Data, Fact, Header, OperationsEvent
from records.wire import Envelope
from records.yaml import Loaded

CLOCK_CHECK_S = 5.0
CLOCK_JUMP_S = 2.0
CANCEL_AGAIN_S = 0.5

log = structlog.get_logger()


def software() -> str:
    """Name and version, as every record names it."""
    return f"lotkeeper-edge/{importlib.metadata.version('lotkeeper')}"


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
        self._loaded, self._line, self._clock, self._failpoint = loaded, line, clock, failpoint
        self._configuration = record_of(loaded, software(), "not-required")
        self._in_force: str | None = None
        identity = Identity.open(line.uplink.identity)
        if identity.file.agent != line.agent:
            raise ConfigurationError(
                f"{line.uplink.identity} is the identity of {identity.file.agent}, the file is of {line.agent}",
                hint="enrol this agent, or correct uplink.identity",
            )
        self.outbox = Outbox(
            line.buffer.path,
            line.agent,
            clock,
            context=self.header,
            keep_acknowledged_s=line.buffer.keep_acknowledged,
            max_bytes=line.buffer.records_max,
            on_failure=on_failure,
            failpoint=failpoint,
        )
        self._known = KnownDevices(self.outbox)
        self._stale = threading.Event()
        self._stale.set()
        self._papers = Papers()
        self.documents = Documents(self.outbox, identity.central, clock, self._document_changed)
        self.uplink = Uplink(
            self.outbox,
            identity,
            UplinkSettings(
                line.uplink.broker,
                line.uplink.protocol,
                head_interval_s=line.uplink.head_interval,
                keepalive_s=line.uplink.keepalive,
            ),
            clock,
            self._tell,
            documents=self.documents,
            failpoint=failpoint,
        )
        self._supervisors = {
            name: self._supervisor(name, device)
            for name, device in line.devices.items()
            if not isinstance(device, SerialScannerDevice)
        }
        self._scanners = {
            name: ScannerSupervisor(build_scanner(name, device, clock), clock, self._device_event)
            for name, device in line.scanners.items()
        }
        self._machines = Machines(self._supervisors, line)
        self.runners = [self._runner(name) for name in line.stations]
        self._desks = {name: self._desk(name, scanner) for name, scanner in self._scanners.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    def _supervisor(self, name: str, device: OpcUaDevice | ModbusTcpDevice) -> Supervisor:
        built = build_device(name, device, self._clock, self._notice, agent=self._line.agent)
        return Supervisor(built, self._clock, self._device_event, self._notice)

    def _desk(self, name: str, scanner: ScannerSupervisor) -> ScanDesk:
        return ScanDesk(
            name,
            scanner,
            self.runners,
            self._machines,
            self.outbox,
            self.papers,
            self._line.time_zone,
            self._line.barcode_schemes,
        )

    def _runner(self, name: str) -> StationRunner:
        station = Station(name, self._line.stations[name], self._line.characteristics)
        return StationRunner(
            station,
            self._machines,
            self.outbox,
            self.papers,
            self.fact,
            lambda answer: self._desks[answer.scanner].answered(answer),
            self._clock,
            self._failpoint,
            self.uplink.request_head,
        )

    # -- what every record carries -------------------------------------------------------------------------

    def header(self, station: str | None = None) -> Header:
        """The header of a record made now; it names no configuration before one is committed."""
        now_us = self._clock.now_us()
        return Header(
            now_us,
            utc_offset_min(self._line.time_zone, now_us),
            self._line.site,
            self._line.line,
            station,
            software(),
            self._in_force,
        )

    def fact(self, data: Data, station: str | None) -> Fact:
        return Fact(self.header(station), data)

    def papers(self) -> Papers:
        """What central told, newest; read anew only after a change."""
        if self._stale.is_set():
            self._stale.clear()
            found = (*self.documents.all(WORK_ORDER), *self.documents.all(LOTS))
            self._papers = Papers.of(found, self.documents.age_s)
            for problem in self._papers.problems:
                log.error("document-not-understood", problem=problem)
        return self._papers

    def _document_changed(self, kind: str, document: str) -> None:
        self._stale.set()
        if kind == WORK_ORDER:
            self.uplink.request_head()  # an order that central closes wants this agent's last word on it
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._post_all, kind, document)

    def _post_all(self, kind: str, document: str) -> None:
        log.info("document", kind=kind, id=document)
        for runner in self.runners:
            self._spawn(runner.post(DocumentChanged()))

    # -- events of the agent itself ------------------------------------------------------------------------

    def record(
        self,
        code: str,
        params: dict[str, JsonValue],
        device: str | None = None,
        state: Mapping[str, JsonValue] = MappingProxyType({}),
    ) -> None:
        """Commit an event of the agent, and states with it; returns at once, the outbox keeps the order."""
        event = self.fact(OperationsEvent(code, params, device=device), None)
        stored = self.outbox.commit(Batch((event,), state))
        stored.add_done_callback(lambda done: _kept(code, done))

    def _tell(self, code: str, params: dict[str, JsonValue]) -> None:
        log.warning(code, **params)
        self.record(code, params)

    def _device_event(self, event: DeviceEvent) -> None:
        log.info(f"device-{event.state}", device=event.device, address=event.address, error=event.error)
        params: dict[str, JsonValue] = {"device": event.device, "address": event.address}
        if event.state == "lost":
            params["error"] = event.error
        self.record(f"device-{event.state}", params, event.device)
        if event.state == "connected":
            for runner in self.runners:
                self._spawn(runner.post(DeviceBack(event.device)))

    def _notice(self, notice: Notice) -> None:
        """A driver noticed something beside values."""
        device = notice.params.get("device") or str(notice.params.get("tag", "")).partition(".")[0]
        news, state = self._known.sift(notice)
        for told in news:
            log.warning(told.code, **told.params)
            self.record(told.code, dict(told.params), str(device) or None, state)

    # -- running -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until ``stop``.

        Raises:
            LotkeeperError: what any part raised; it ends all of them.
        """
        self._loop = asyncio.get_running_loop()
        for name, supervisor in self._supervisors.items():
            watching = Watching(self.runners, name)
            if watching.tags:
                supervisor.watch(watching.tags, watching.changed)
        self.uplink.start()
        reason = "failed"
        try:
            await self._begin()
            await _together(
                self._stopping.wait(),
                *(supervisor.run() for supervisor in self._supervisors.values()),
                *(desk.run() for desk in self._desks.values()),
                *(runner.run() for runner in self.runners),
                self._watch_clock(),
            )
            reason = "asked"
        finally:
            with suppress(StorageFailed):
                self.record("agent-stopped", {"reason": reason})
            self.uplink.stop()
            self.outbox.close()

    async def _begin(self) -> None:
        """Say what runs and by which configuration, before anything else. A full buffer keeps the line waiting."""
        file = os.path.basename(self._loaded.file)
        said: list[Data] = [
            OperationsEvent("agent-started", {"software": software(), "host": platform.node()}),
            OperationsEvent("configuration-loaded", {"file": file, "hash": self._loaded.hash}),
        ]
        committed = Committed(self.outbox, software())
        if not committed.holds(self._loaded.hash):
            said.insert(0, self._configuration)
        state = committed.with_(self._loaded.hash)
        while self._in_force is None:
            header = replace(self.header(), configuration=self._loaded.hash)
            try:
                stored = self.outbox.commit(Batch(tuple(Fact(header, data) for data in said), state))
                await asyncio.wrap_future(stored)
                self._in_force = self._loaded.hash
            except Refused as error:
                log.error("buffer-full", error=str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), FULL_PAUSE_S)
                    return

    def stop(self) -> None:
        """End ``run`` in good order; call it in the loop's thread."""
        self._stopping.set()

    def _spawn(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(part)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _watch_clock(self) -> None:
        """A wall clock that was set is a record: order stays by seq, but people must know."""
        before = self._clock.now_us() / MICROSECONDS - self._clock.monotonic_s()
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            now = self._clock.now_us() / MICROSECONDS - self._clock.monotonic_s()
            if abs(now - before) > CLOCK_JUMP_S:
                self.record("clock-jump", {"seconds": round(now - before, 3)})
            before = now


def _kept(code: str, stored: Future[list[Envelope]]) -> None:
    """Say when an event of the agent was not kept: a buffer at its cap takes none."""
    error = stored.exception()
    if error is not None:
        log.error("event-not-kept", code=code, error=str(error))


async def _together(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all parts until one ends, then end the others.

    Raises:
        what a part raised.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = set(tasks)
        while left:  # again and again: a library may swallow a cancellation, as wait_for of Python 3.11 does
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.result()


def run_agent(loaded: Loaded[LineSettings]) -> None:
    """Run one agent as a process until SIGTERM or Ctrl-C."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def failed(error: StorageFailed) -> None:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)

    async def main() -> None:
        agent = Agent(loaded, SystemClock(), failpoint=failpoint_from_environment(), on_failure=failed)
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(agent.stop))
            signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(agent.stop))
        else:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(name, agent.stop)
        await agent.run()

    asyncio.run(main())
