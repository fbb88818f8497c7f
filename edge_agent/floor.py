"""What works by the configuration in force: machines, scanner desks and stations, and how another one takes over.

Only parts whose settings changed are touched. Every station goes over by itself, between two runs; until then it
works by what it began with, on the sessions that it began with. A device that was changed or is gone is closed
once no station works with it any more; the new session of a changed one begins when the old one has ended, or
beside it when a long run holds the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import JsonValue

from drivers.base import OnNotice
from drivers.factory import Lines, build_device, build_scanner
from drivers.supervise import DeviceEvent, ScannerSupervisor, Supervisor
from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from edge_agent.acquire import Machines, ScanDesk, Watching
from edge_agent.changeover import Changeover
from edge_agent.crew import Crew, Part
from edge_agent.events import Answer, DeviceBack, Event
from edge_agent.feed import Feed
from edge_agent.holds import all_holding
from edge_agent.outbox import Outbox
from edge_agent.own_runs import PREFIX, OwnRuns
from edge_agent.papers import Papers
from edge_agent.reload import Plan, characteristics_of, devices_of, machines, plan
from edge_agent.runner import StationRunner
from edge_agent.settings import LineSettings
from edge_agent.station import Station
from records.clock import Clock
from records.model import Data, Fact, Header
from records.yaml import Loaded

SIDE_BY_SIDE_AFTER_S = 2.0
"""How long a new session waits for those that end: many machines and every serial port take only one."""

TELEMETRY = "telemetry"
COUNTS = {"uint16": 2**16, "uint32": 2**32}
"""Data type of a tag -> how many counts it has before it begins at 0 again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tools:
    """What all parts share. ``header``: of a record made now under a configuration, for a station or the agent.
    ``captured``: hears how many values were read for a run.
    ``approved``: whether runs by the configuration with this hash may be production. ``full``: whether nothing may
    begin, since the buffer has no room for it.
    """

    clock: Clock
    outbox: Outbox
    papers: Callable[[], Papers]
    header: Callable[[Loaded[LineSettings], str | None], Header]
    record: Callable[[str, dict[str, JsonValue], str | None], None]
    notice: OnNotice
    order_ended: Callable[[], None]
    feed: Callable[[str, AnyDevice], Feed]
    captured: Callable[[int], None]
    failpoint: Callable[[str], None]
    approved: Callable[[str], bool]
    full: Callable[[], bool]


@dataclass(slots=True, eq=False)
class _Machine:
    name: str
    supervisor: Supervisor
    task: Part | None = None
    watching: Watching | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class _Desk:
    scanner: ScannerSupervisor
    desk: ScanDesk
    task: Part | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration whose parts are all built and of which nothing runs yet."""

    loaded: Loaded[LineSettings]
    plan: Plan
    machines: dict[str, _Machine]
    desks: dict[str, _Desk]
    entering: tuple[StationRunner, ...]


class Floor:
    """The parts of one agent. Everything but the building belongs to one event loop."""

    def __init__(self, loaded: Loaded[LineSettings], tools: Tools) -> None:
        self._tools, self._loaded = tools, loaded
        self._lines = Lines()
        self._crew = Crew()
        self._leaving: list[_Machine] = []
        self._used: dict[str, frozenset[_Machine]] = {}
        self._tasks: dict[str, Part] = {}
        self._pending: dict[str, Changeover] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.runners: list[StationRunner] = []
        line = loaded.value
        self.own = OwnRuns(tools.outbox.states(PREFIX))
        self._keep_own(line)
        self._machines = {name: self._machine(name, device) for name, device in _machines(line).items()}
        self._desks = {name: self._desk(name, scanner, line) for name, scanner in line.scanners.items()}
        for name in line.stations:
            self.runners.append(self._runner(name, loaded, self._machines))
            self._used[name] = self._uses(line, name, self._machines)

    # -- building ------------------------------------------------------------------------------------------

    def _machine(self, name: str, settings: AnyDevice) -> _Machine:
        agent, tools = self._loaded.value.agent, self._tools
        device = build_device(name, settings, tools.clock, tools.notice, agent=agent, lines=self._lines)  # type: ignore[arg-type]

        def told(event: DeviceEvent) -> None:
            self._device_event(machine, event)

        machine = _Machine(name, Supervisor(device, self._tools.clock, told, self._tools.notice))
        feed = self._tools.feed(name, settings)
        machine.supervisor.watch(feed.tags, feed.take, every=True, name=TELEMETRY)
        return machine

    def _desk(self, name: str, settings: SerialScannerDevice, line: LineSettings) -> _Desk:
        scanner = ScannerSupervisor(
            build_scanner(name, settings, self._tools.clock), self._tools.clock, self._scanner_event
        )
        tools, zone, schemes = self._tools, line.time_zone, line.barcode_schemes
        desk = ScanDesk(name, scanner, self.runners, tools.outbox, tools.papers, zone, schemes, self.own)
        return _Desk(scanner, desk)

    def _runner(self, name: str, loaded: Loaded[LineSettings], by_name: dict[str, _Machine]) -> StationRunner:
        return StationRunner(
            self._station(loaded, name),
            _plant(loaded.value, by_name),
            self._tools.outbox,
            self._tools.papers,
            self._fact(loaded),
            self._answered,
            self._tools.clock,
            self._tools.failpoint,
            self._tools.order_ended,
            loaded.hash,
            self._tools.captured,
            lambda units: self._held_elsewhere(name, units),
            self._tools.full,
            self.own,
        )

    def _keep_own(self, line: LineSettings) -> None:
        """Whether it is kept what this agent runs: a station looks at earlier operations."""
        self.own.wanted = any(station.earlier is not None for station in line.stations.values())

    def _held_elsewhere(self, station: str, units: Collection[str]) -> tuple[str, ...]:
        """What holds these units at the other stations."""
        others = (runner for runner in self.runners if runner.name != station)
        return tuple(hold for runner in others for hold in all_holding(runner.holds, units))

    def _station(self, loaded: Loaded[LineSettings], name: str) -> Station:
        settings = loaded.value.stations[name]
        approved = self._tools.approved(loaded.hash)
        line = loaded.value
        characteristics = characteristics_of(line, settings)
        cycle = settings.trigger.cycle
        counts = None if cycle is None else counts_of(line.tag(cycle))
        return Station(name, settings, characteristics, approved, line.line, line.documents, counts)

    def _fact(self, loaded: Loaded[LineSettings]) -> Callable[[Data, str | None], Fact]:
        return lambda data, station: Fact(self._tools.header(loaded, station), data)

    def _uses(self, line: LineSettings, station: str, by_name: dict[str, _Machine]) -> frozenset[_Machine]:
        return frozenset(by_name[device] for device in devices_of(line.stations[station]))

    # -- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with every part."""
        self._rewire(())
        for machine in self._machines.values():
            machine.task = self._crew.start(machine.supervisor.run())
        for desk in self._desks.values():
            desk.task = self._crew.start(desk.desk.run())
        for runner in self.runners:
            self._tasks[runner.name] = self._crew.start(runner.run())

    async def run(self, *others: Coroutine[Any, Any, object]) -> None:
        """Until one part, or one of the others, ends; then all have ended.

        Raises:
            what a part raised.
        """
        for other in others:
            self._crew.start(other)
        await self._crew.run()

    def post(self, event: Event) -> None:
        """Tell every station."""
        for runner in self.runners:
            self._spawn(runner.post(event))

    @property
    def waiting(self) -> tuple[str, ...]:
        """The stations that a run keeps from working by the newest configuration."""
        return tuple(runner.name for runner in self.runners if runner.waits_to_change)

    @property
    def supervisors(self) -> dict[str, Supervisor]:
        return {name: machine.supervisor for name, machine in self._machines.items()}

    @property
    def scanners(self) -> dict[str, ScannerSupervisor]:
        return {name: desk.scanner for name, desk in self._desks.items()}

    def _spawn(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(part)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _answered(self, answer: Answer) -> None:
        desk = self._desks.get(answer.scanner)
        if desk is not None:
            desk.desk.answered(answer)

    def _device_event(self, machine: _Machine, event: DeviceEvent) -> None:
        self._tell(event)
        if event.state == "connected":
            for runner in self._users(machine):
                self._spawn(runner.post(DeviceBack(event.device)))

    def _scanner_event(self, event: DeviceEvent) -> None:
        self._tell(event)

    def _tell(self, event: DeviceEvent) -> None:
        log.info(f"device-{event.state}", device=event.device, address=event.address, error=event.error)
        params: dict[str, JsonValue] = {"device": event.device, "address": event.address}
        if event.state == "lost":
            params["error"] = event.error
            if event.trouble is not None:
                params["trouble"] = event.trouble.to_json()
        self._tools.record(f"device-{event.state}", params, event.device)

    # -- another configuration -----------------------------------------------------------------------------

    def prepare(self, loaded: Loaded[LineSettings]) -> Prepared:
        """Build what is new or changed; nothing that runs is touched.

        Raises:
            LotkeeperError: a part cannot be built (a secret that is missing, a kept state that is damaged).
        """
        line, change = loaded.value, plan(self._loaded.value, loaded.value)
        by_name = {
            name: self._machines[name] if name in change.devices.same else self._machine(name, device)
            for name, device in _machines(line).items()
        }
        desks = {
            name: self._desks[name] if name in change.scanners.same else self._desk(name, scanner, line)
            for name, scanner in line.scanners.items()
        }
        known = {runner.name for runner in self.runners}
        entering = tuple(self._runner(name, loaded, by_name) for name in line.stations if name not in known)
        return Prepared(loaded, change, by_name, desks, entering)

    async def take(self, prepared: Prepared) -> None:
        """Go over to what was prepared. Stations in a run follow when it has ended."""
        line = prepared.loaded.value
        old, self._machines = self._machines, prepared.machines
        left = [machine for name, machine in old.items() if prepared.machines.get(name) is not machine]
        for machine in left:  # what takes its place tells from now on
            machine.supervisor.watch((), lambda _: None, name=TELEMETRY)
        self._leaving += left
        self._loaded = prepared.loaded
        self._keep_own(line)
        await self._swap_desks(prepared.desks)
        for runner in self.runners:
            self._offer(runner, prepared)
        there = {runner.name for runner in (*self.runners, *prepared.entering)}
        back = [self._runner(name, prepared.loaded, self._machines) for name in line.stations if name not in there]
        for runner in (*prepared.entering, *back):  # back: it was still leaving when the others were built
            self.runners.append(runner)
            self._used[runner.name] = self._uses(line, runner.name, self._machines)
            self._tasks[runner.name] = self._crew.start(runner.run())
        leaving = tuple(self._leaving)
        for machine in self._machines.values():
            if machine.task is None:
                machine.task = self._crew.start(self._bring_up(machine, leaving))
        self._rewire({runner.name for runner in (*prepared.entering, *back)})
        self._close_unused()

    def approve(self) -> None:
        """What is approved may have changed: stations go over to it as to another configuration, between runs."""
        nothing = plan(self._loaded.value, self._loaded.value)
        present = Prepared(self._loaded, nothing, self._machines, self._desks, ())
        for runner in self.runners:
            if runner.waits_to_change or runner.station.approved != self._tools.approved(self._loaded.hash):
                self._offer(runner, present)

    async def _swap_desks(self, desks: dict[str, _Desk]) -> None:
        """Between two scans; a port is free before somebody else opens it."""
        old, self._desks = self._desks, desks
        for name, desk in old.items():
            if desks.get(name) is not desk and desk.task is not None:
                async with desk.desk.between_scans:
                    await self._crew.dismiss(desk.task)
        for name, desk in desks.items():
            if desk.task is None:
                if name in old:
                    desk.desk.follow(old[name].desk)
                desk.task = self._crew.start(desk.desk.run())

    def _offer(self, runner: StationRunner, prepared: Prepared) -> None:
        """Have a station go over. What a change that still waits wanted anew is still wanted so."""
        name, line = runner.name, prepared.loaded.value
        stays = name in line.stations
        uses = self._uses(line, name, self._machines) if stays else frozenset()
        waiting = self._pending.get(name)
        anew = name in prepared.plan.stations.changed or (waiting is not None and waiting.anew)
        change = Changeover(
            self._station(prepared.loaded, name) if stays else None,
            _plant(line, self._machines),
            self._fact(prepared.loaded),
            prepared.loaded.hash,
            anew,
            tuple(machine.name for machine in self._used[name] - uses),
            lambda: self._is_lost(runner),
            lambda: self._gone_over(runner, change, uses),
        )
        self._pending[name] = change
        runner.change(change)

    def _is_lost(self, runner: StationRunner) -> bool:
        """Whether the machine that would tell the end of the run was replaced and does not answer."""
        device = runner.station.settings.trigger.tag.partition(".")[0]
        left = [m for m in self._used[runner.name] if m.name == device and m in self._leaving]
        return any(not machine.supervisor.connected for machine in left)

    def _gone_over(self, runner: StationRunner, change: Changeover, uses: frozenset[_Machine]) -> None:
        """A station works by something else now, or has left."""
        if self._pending.get(runner.name) is change:  # a newer one may have come while this one was made
            del self._pending[runner.name]
        if change.station is None:
            self.runners.remove(runner)
            self._crew.release(self._tasks.pop(runner.name))
            self._used.pop(runner.name)
        else:
            self._used[runner.name] = uses
        self._rewire({runner.name} if change.anew else ())
        self._close_unused()

    def _users(self, machine: _Machine) -> list[StationRunner]:
        return [runner for runner in self.runners if machine in self._used[runner.name]]

    def _rewire(self, renewed: Collection[str]) -> None:
        """Have every machine tell the stations that work with it; those in ``renewed`` are told all anew."""
        for machine in (*self._machines.values(), *self._leaving):
            watching = Watching(self._users(machine), machine.name)
            if watching.same_as(machine.watching) and not watching.concerns(renewed):
                continue
            if machine.watching is not None:
                machine.watching.end()
            machine.watching = watching
            machine.supervisor.watch(watching.tags, watching.changed, name="stations")

    def _close_unused(self) -> None:
        for machine in [m for m in self._leaving if not self._users(m)]:
            self._leaving.remove(machine)
            self._spawn(self._close(machine))

    async def _close(self, machine: _Machine) -> None:
        if machine.task is not None:
            await self._crew.dismiss(machine.task)
        machine.closed.set()

    async def _bring_up(self, machine: _Machine, leaving: Collection[_Machine]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SIDE_BY_SIDE_AFTER_S):
                for other in leaving:
                    await other.closed.wait()
        await machine.supervisor.run()


def _machines(line: LineSettings) -> dict[str, AnyDevice]:
    return {name: line.devices[name] for name in machines(line)}


def _plant(line: LineSettings, by_name: dict[str, _Machine]) -> Machines:
    return Machines({name: machine.supervisor for name, machine in by_name.items()}, line)


def counts_of(tag: TagSettings | None) -> int | None:
    """How many counts a counter has; None where its tag does not tell them as they are."""
    if (getattr(tag, "scale", 1.0), getattr(tag, "offset", 0.0)) != (1.0, 0.0):
        return None
    return COUNTS.get(getattr(tag, "data_type", None) or "")
