"""The machine side of the agent: devices kept connected, watched tags turned into events, scans handed out.

One supervisor a device reconnects for ever; whatever order PLC, agent and broker start in, each station goes on
as soon as its own devices answer. A device that comes or goes is a record.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from drivers import udi
from drivers.base import ReadingBlock, ScanFrame
from drivers.supervise import ScannerSupervisor, Supervisor
from edge_agent.chart_facts import subject_ref
from edge_agent.events import Answer, Scanned
from edge_agent.holds import all_holding
from edge_agent.outbox import Outbox
from edge_agent.own_runs import OwnRuns
from edge_agent.papers import Papers
from edge_agent.recording import identifier, purpose_of
from edge_agent.runner import StationRunner
from edge_agent.scans import order_of, recognise, unit_of
from edge_agent.settings import LineSettings
from edge_agent.ticket import Ticket
from records.clock import utc_offset_min
from records.errors import LotkeeperError, Unreachable
from records.model import Purpose, Quality, Reading, Subject, SubjectKind

ANSWER_LIMIT_S = 10.0
"""How long a scan may wait for its stations before the scanner is told no and the scan counts nowhere any more."""

log = structlog.get_logger()


def by_device(tags: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """``DEVICE.TAG`` names grouped by device, without the device."""
    grouped: dict[str, list[str]] = {}
    for name in tags:
        device, _, tag = name.partition(".")
        grouped.setdefault(device, []).append(tag)
    return {device: tuple(names) for device, names in grouped.items()}


class Machines:
    """Reads and writes ``DEVICE.TAG`` names over the supervised devices."""

    def __init__(self, supervisors: Mapping[str, Supervisor], line: LineSettings) -> None:
        self._supervisors = supervisors
        self._line = line

    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        """One reading per tag, all devices at once, in the order of ``tags``; Unreachable when one is away."""
        groups = by_device(tags)
        blocks = await asyncio.gather(*(self._supervisors[d].read(names) for d, names in groups.items()))
        found = {reading.tag: reading for block in blocks for reading in block.readings()}
        return {tag: found[tag] for tag in tags}

    async def write(self, tag: str, value: bool) -> None:
        """Write a yes or no; a register without booleans takes 1 or 0."""
        device, _, name = tag.partition(".")
        settings = self._line.tag(tag)
        boolean = settings is None or settings.type_name in ("bool", "")
        await self._supervisors[device].write(name, value if boolean else int(value))

    def may_free(self, tag: str) -> bool:
        """Whether the tag is there to be written, and no station locks or answers by it now."""
        settings = self._line.tag(tag)
        if settings is None or settings.access != "write" or tag.partition(".")[0] not in self._supervisors:
            return False
        stations = self._line.stations.values()
        return all(tag not in station.written() for station in stations)


class Watching:
    """Watched tags of one device, as events for the stations that watch them."""

    def __init__(self, runners: Sequence[StationRunner], device: str) -> None:
        self.told = [
            (runner, {tag for tag in runner.station.settings.watched() if tag.startswith(device + ".")})
            for runner in runners
        ]
        self._over = False
        self.tags = tuple(dict.fromkeys(tag.partition(".")[2] for _, tags in self.told for tag in sorted(tags)))

    def changed(self, block: ReadingBlock) -> None:
        """Called for every change; a value of bad quality is passed on as None."""
        if self._over:
            return
        seen = {f"{block.device}.{tag}": value for tag, value in zip(block.tags, block.listed(), strict=True)}
        for runner, tags in self.told:
            values = {tag: value for tag, value in seen.items() if tag in tags}
            if values:
                runner.see(values)

    def end(self) -> None:
        """Tell nobody any more."""
        self._over = True

    def same_as(self, other: Watching | None) -> bool:
        """Whether it tells the same stations the same tags."""
        return other is not None and self.told == other.told

    def concerns(self, stations: Collection[str]) -> bool:
        """Whether it tells one of these stations something."""
        return any(tags and runner.name in stations for runner, tags in self.told)


@dataclass(slots=True)
class _Waiting:
    """A scan that its stations have not all answered yet."""

    number: int
    outstanding: int
    accepted: bool
    done: asyncio.Event


class ScanDesk:
    """Hands each scan of one scanner to the stations that it concerns and answers the operator once.

    ``runners`` may change meanwhile. ``between_scans`` is held while a scan is worked on.
    """

    def __init__(
        self,
        name: str,
        scanner: ScannerSupervisor,
        runners: Sequence[StationRunner],
        outbox: Outbox,
        papers: Callable[[], Papers],
        time_zone: str = "UTC",
        schemes: Mapping[str, re.Pattern[str]] = udi.NO_SCHEMES,
        own: OwnRuns | None = None,
    ) -> None:
        self._own = own or OwnRuns({})
        self._name = name
        self._scanner = scanner
        self._everyone = runners
        self.between_scans = asyncio.Lock()
        self._outbox = outbox
        self._papers = papers
        self._time_zone = time_zone
        self._schemes = schemes
        self._number = 0
        self._waiting: _Waiting | None = None

    async def run(self) -> None:
        """Take frames for ever, one at a time."""
        async for frame in self._scanner.frames():
            async with self.between_scans:
                try:
                    await self._scanner.answer(await self._take(frame))
                except Unreachable as error:
                    # the scan is on disk; the operator saw no answer and scans again, which changes nothing
                    log.warning("scan-not-answered", scanner=self._name, error=str(error))

    def follow(self, former: ScanDesk) -> None:
        """Count on where another desk ended, so that an answer which comes late to it is none here."""
        self._number = former._number

    def answered(self, answer: Answer) -> None:
        """One station has committed its part of a scan; of an earlier one than the present it says nothing."""
        if self._waiting is None or answer.number != self._waiting.number:
            return
        self._waiting.outstanding -= 1
        self._waiting.accepted &= answer.accepted
        if self._waiting.outstanding <= 0:
            self._waiting.done.set()

    async def _take(self, frame: ScanFrame) -> bool:
        runners = [r for r in self._everyone if self._name in r.station.settings.scanners()]
        if not runners:
            log.warning("scan-without-station", scanner=self._name, text=frame.text)
            return False
        barcode = udi.parse(frame.text, schemes=self._schemes)
        if frame.error is not None:
            barcode = replace(barcode, error=frame.error)  # half a frame: why it is no scan goes into the record
        self._number += 1
        offset_min = utc_offset_min(self._time_zone, frame.at_us)
        scan = Scanned(
            self._name,
            frame.text,
            frame.raw,
            barcode,
            frame.at_us,
            number=self._number,
            utc_offset_min=offset_min,
        )
        concerned = [r for r in runners if recognise(r.station.settings, scan)] or runners[:1]
        self._waiting = waiting = _Waiting(self._number, len(concerned), True, asyncio.Event())
        tickets = []
        try:
            for runner in concerned:
                tickets.append(Ticket())
                await runner.post(await self._with_identity(runner, scan), tickets[-1])
            return await self._decided(waiting, tickets)
        finally:
            self._waiting = None

    async def _decided(self, waiting: _Waiting, tickets: Sequence[Ticket]) -> bool:
        """What the stations say. Those that do not say it in time refuse the scan when they get to it."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await waiting.done.wait()
        except TimeoutError:
            if any([await ticket.withdraw() for ticket in tickets]):
                return False
            await waiting.done.wait()  # all have decided meanwhile, and say so next
        return waiting.accepted

    async def _with_identity(self, runner: StationRunner, scan: Scanned) -> Scanned:
        """Add what the station must know to marry a unit to a carrier, and whether another station holds it."""
        subject = runner.station.settings.subject
        serial = unit_of(subject, scan.barcode) if scan.barcode.issuer == subject.scheme else None
        if serial is None:
            return scan
        order = order_of(subject, scan.barcode, self._papers())
        product = order.product if order else None
        pieces = [Subject(SubjectKind.UNIT, serial, product, subject.scheme)]
        carrier = await self._read(runner, subject.carrier)
        if carrier is not None and carrier.quality is not Quality.BAD:
            name = identifier(carrier.value)
            scan = replace(scan, carrier=name, known_as=self._outbox.identity(product, subject.scheme, serial))
            pieces += [] if name is None else [Subject(SubjectKind.CARRIER, name)]
        refs = [subject_ref(piece) for piece in pieces]
        scan = replace(scan, ran=self._own.of(order.reference if order else None, refs))
        held = next((hold for each in self._everyone for hold in all_holding(each.holds, refs)), None)
        return scan if held is None else replace(scan, held=held, purpose=await self._purpose(runner))

    async def _purpose(self, runner: StationRunner) -> Purpose | None:
        """What the machine is set to run for, None where it does not say."""
        settings = runner.station.settings
        reading = await self._read(runner, settings.purpose.tag if settings.purpose else None)
        return None if reading is None else purpose_of(settings, {reading.tag: reading})

    async def _read(self, runner: StationRunner, tag: str | None) -> Reading | None:
        """One tag of the station's machines; None where there is none, or it cannot be read."""
        if tag is None:
            return None
        try:
            return (await runner.read((tag,)))[tag]
        except LotkeeperError as error:
            log.warning("not-read-for-a-scan", station=runner.station.name, tag=tag, error=str(error))
            return None
