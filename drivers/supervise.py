"""Keeps devices and scanners connected for ever.

The first answer and every loss are told once each, with address and reason. After a loss the session is closed,
then opened again after a growing pause with jitter (so that a line of agents does not knock all at once), and
every watch starts anew from the values as they are then. Start order does not matter: a PLC may boot after the
agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from drivers.base import Device, Group, OnBlock, OnNotice, ReadingBlock, ScanFrame, Scanner
from drivers.doubts import Doubts, Lateness
from drivers.ending import end_tasks
from drivers.poll import PollMeter, poll
from drivers.shares import Share
from drivers.stale import Freshness, Overdue, WatchPlan, stale_block, stale_group
from records.clock import Clock, new_id
from records.errors import Invalid, LotkeeperError, Refused, Unreachable
from records.model import Reading
from records.trouble import Trouble

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
LONGEST_PHASE_S = 0.25
"""Devices with one poll interval begin apart, by less than this and less than the interval."""
SHORTEST_LOOK_S, LONGEST_LOOK_S = 0.05, 1.0
"""How often it is looked for values that are not refreshed."""
SUSPECT_S = 2.0
"""How long a server may take to tell a value that a read has already shown."""
STALE_GROUPS = 64
"""Most sets of tags that went stale together whose group is kept at hand."""
LATEST = 4096
"""Most groups of tags whose newest block is remembered."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """A device was connected or lost; ``error`` says why it was lost, ``trouble`` for any language."""

    device: str
    state: Literal["connected", "lost"]
    address: str
    error: str | None
    at_us: int
    trouble: Trouble | None = None


OnEvent = Callable[[DeviceEvent], None]


class _Link:
    """Whether something is connected, told once per change."""

    def __init__(self, name: str, address: str, clock: Clock, on_event: OnEvent, longest_pause_s: float) -> None:
        self.connected: bool | None = None
        self.error: str | None = None
        self.trouble: Trouble | None = None
        self._name, self._address = name, address
        self._clock, self._on_event = clock, on_event
        self._longest_pause_s = longest_pause_s
        self._pause_s = FIRST_PAUSE_S

    def up(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        self.error = self.trouble = None
        self._tell(True)

    def down(self, error: LotkeeperError) -> None:
        self.error, self.trouble = str(error), error.trouble
        self._tell(False)

    def _tell(self, connected: bool) -> None:
        if self.connected is connected:
            return
        self.connected = connected
        state: Literal["connected", "lost"] = "connected" if connected else "lost"
        now_us = self._clock.now_us()
        self._on_event(DeviceEvent(self._name, state, self._address, self.error, now_us, self.trouble))

    async def pause(self) -> None:
        """Longer each time, between 75 and 125 percent of it."""
        jitter = 0.75 + int(new_id(2), 16) / 0xFFFF / 2
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_pause_s)
        await asyncio.sleep(pause_s * jitter)


class Supervisor:
    """One device, kept connected while ``run`` runs; ``read`` and ``write`` raise Unreachable while it is away.

    Whoever wants tags calls ``watch``. Every tag is read or subscribed once however many want it: polled tags in
    groups by their interval, each on its own grid, subscribed ones through the device's ``watch``. ``tell`` hears
    what is wrong with readings.
    """

    def __init__(
        self,
        device: Device,
        clock: Clock,
        on_event: OnEvent,
        tell: OnNotice = lambda _: None,
        *,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        self.device = device
        self.meter = PollMeter()
        self._clock = clock
        self._link = _Link(device.name, device.settings.address_text, clock, on_event, longest_pause_s)
        self._shares: dict[str, Share] = {}
        self._latest: dict[int, ReadingBlock] = {}
        self._doubts = Doubts(device.name, clock, tell)
        self._lateness = Lateness(device.name, self.meter, tell)
        self._freshness = Freshness()
        self._suspects: dict[str, float] = {}
        self._stale_groups: dict[tuple[str, ...], Group] = {}
        self._phase = int(new_id(2), 16) / 0x10000
        self._reading = 0
        self._failed = asyncio.Event()
        self._again = asyncio.Event()
        self._renew = asyncio.Event()
        self._failure: LotkeeperError | None = None

    @property
    def connected(self) -> bool:
        return self._link.connected is True

    @property
    def error(self) -> str | None:
        """Why the device is away, None while it is there."""
        return self._link.error

    @property
    def trouble(self) -> Trouble | None:
        """The same for any language, where its driver told it so."""
        return self._link.trouble

    @property
    def seen_us(self) -> int:
        """Edge time of the device's last answer, 0 before the first."""
        return self.device.seen_us

    def latest(self) -> dict[str, Reading]:
        """The newest reading of every watched tag that has one, by the tag's name without the device's."""
        newest = {tag: block for block in self._latest.values() for tag in block.tags}
        return {tag: block.reading(tag) for tag, block in newest.items()}

    def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False, name: str = "") -> None:
        """Tell these tags from now on, and anew after each connection.

        ``on_block`` gets blocks of these tags only: first as they are, then whenever a value or status is another;
        with ``every``, after each poll. A tag that is not refreshed in time is told as BadStale. A watch takes the
        place of the one with the same name; one without tags only ends it.
        """
        self._shares.pop(name, None)
        if tags:
            self._shares[name] = Share(tuple(tags), on_block, every)
        self._again.set()

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        """As the device's ``read``."""
        self._require()
        try:
            return await self.device.read(tags, urgent=True)
        except Unreachable as error:
            self._fail(error)
            raise

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        """As the device's ``write``."""
        self._require()
        try:
            await self.device.write(tag, value)
        except Unreachable as error:
            self._fail(error)
            raise

    async def run(self) -> None:
        """Connect, watch, and connect again for ever; until cancelled, which closes the device."""
        watchdog = asyncio.ensure_future(self._watchdog())
        try:
            while True:
                try:
                    self._failed.clear()
                    self._failure = None  # of the session before
                    await self.device.connect()
                    _still_wanted()
                    self._link.up()
                    self._latest.clear()  # its groups are of the session before
                    for share in tuple(self._shares.values()):
                        share.forget()
                    await self._watch_all(watchdog)
                except (Unreachable, Refused) as error:
                    self._link.down(error)
                await self.device.close()
                await self._link.pause()
        finally:
            watchdog.cancel()
            await self.device.close()
            await end_tasks([watchdog])

    # -- inside ----------------------------------------------------------------------------------------------

    def _require(self) -> None:
        if not self.connected:
            device = self.device
            where = f"{device.name} ({device.settings.address_text})"
            away = Unreachable.of(Trouble.of("away", where=where, why=Trouble.of("not-connected-yet")))
            if self.error is not None:
                away = Unreachable(self.error)
                away.trouble = self.trouble
            raise away

    def _fail(self, error: LotkeeperError) -> None:
        self._failure = error
        self._failed.set()

    async def _watch_all(self, watchdog: asyncio.Future[None]) -> None:
        """Watch what is wanted until the device is lost; anew when something else is wanted."""
        while True:
            self._again.clear()
            jobs = self._jobs()
            tasks: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(job) for job in (*jobs, self._failed.wait(), self._again.wait())
            ]
            try:
                done, _ = await asyncio.wait([*tasks, watchdog], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if self._failure is None:
                    await self._between_reads()
                if self._failure is not None:  # perhaps only since then
                    raise self._failure
            finally:
                await end_tasks(tasks)

    async def _between_reads(self) -> None:
        """A request that is cut off may cost the session: wait for its end, within reason."""
        deadline_s = self._clock.monotonic_s() + SUSPECT_S
        while self._reading and self._clock.monotonic_s() < deadline_s:
            await asyncio.sleep(0.001)

    async def _read_group(self, tags: tuple[str, ...]) -> ReadingBlock:
        self._reading += 1
        try:
            return await self.device.read(tags)
        finally:
            self._reading -= 1

    def _jobs(self) -> list[Coroutine[Any, Any, None]]:
        """One poll for each interval, one watch for all that is subscribed."""
        plan = WatchPlan.of(self.device.settings, [tag for share in self._shares.values() for tag in share.tags])
        plan.expect(self._freshness, self._clock.monotonic_s())
        self._suspects.clear()
        jobs = [
            poll(
                partial(self._read_group, group.tags),
                group.interval_s,
                partial(self._take, group.heads),
                every=True,
                phase_s=self._phase * min(group.interval_s, LONGEST_PHASE_S),
                meter=self.meter,
            )
            for group in plan.polled
        ]
        if plan.subscribed:
            jobs.append(self._subscribed(tuple(tag.name for tag in plan.subscribed)))
        return jobs

    async def _subscribed(self, tags: tuple[str, ...]) -> None:
        """The device's own watch, begun anew when it seems to have fallen silent."""
        while True:
            self._renew.clear()
            tasks: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(self.device.watch(tags, self._take_told, every=True)),
                asyncio.ensure_future(self._renew.wait()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if tasks[0].done():
                    tasks[0].result()
                    return
            finally:
                await end_tasks(tasks)

    def _take(self, heads: tuple[str, ...], block: ReadingBlock) -> None:
        now_s = self._clock.monotonic_s()
        for tag in heads:
            self._freshness.refreshed(tag, now_s)
        self._tell(block)

    def _take_told(self, block: ReadingBlock) -> None:
        now_s = self._clock.monotonic_s()
        for tag in block.tags:
            self._freshness.refreshed(tag, now_s)
            self._suspects.pop(tag, None)
        self._tell(block)

    def _tell(self, block: ReadingBlock) -> None:
        self._remember(block)
        self._doubts.look(block)
        for share in tuple(self._shares.values()):
            share.take(block)

    def _remember(self, block: ReadingBlock) -> None:
        """As the last: by arrival, since a clock may be set back."""
        self._latest.pop(id(block.group), None)
        self._latest[id(block.group)] = block  # the block holds its group, so the id stays its
        if len(self._latest) > LATEST:
            self._latest.pop(next(iter(self._latest)))

    async def _watchdog(self) -> None:
        """Make readings of what is not refreshed, for as long as the device is supervised."""
        while True:
            await asyncio.sleep(min(max(self._freshness.shortest_s / 4, SHORTEST_LOOK_S), LONGEST_LOOK_S))
            now_s = self._clock.monotonic_s()
            self._lateness.look(now_s)
            for overdue in self._freshness.overdue(now_s, connected=self.connected):
                tags = await self._silent(overdue.tags) if overdue.told and self.connected else overdue.tags
                if tags:
                    self._gone_stale(tags, overdue)

    def _gone_stale(self, tags: tuple[str, ...], overdue: Overdue) -> None:
        group = self._stale_groups.get(tags)
        if group is None:
            if len(self._stale_groups) >= STALE_GROUPS:
                self._stale_groups.clear()
            group = self._stale_groups[tags] = stale_group(self.device, tags)
        stale = stale_block(group, self._clock.now_us())
        self._remember(stale)
        for share in tuple(self._shares.values()):
            share.retell(tags)  # what is told after it is news, though it is what it was before
            share.take(stale)
        if self.connected:  # of a device that is lost everybody has been told
            self._doubts.stale(tags, overdue.age_s)
            if overdue.told:
                self._renew.set()

    async def _silent(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Which subscribed tags their server has stopped telling; the others did not change.

        That is found by reading: the server holds another value than it told last, and has not told that one a
        moment later either.
        """
        try:
            block = await self.read(tags)
        except (Unreachable, Invalid):
            return tags
        known, now_s = self.latest(), self._clock.monotonic_s()
        silent = []
        for tag in tags:
            found, told = block.reading(tag), known.get(tag)
            if told is not None and (told.value, told.status) == (found.value, found.status):
                self._freshness.refreshed(tag, now_s)
                self._suspects.pop(tag, None)
            elif now_s - self._suspects.setdefault(tag, now_s) < SUSPECT_S:
                self._freshness.doubtful(tag)
            else:
                silent.append(tag)
        return tuple(silent)


def _still_wanted() -> None:
    """Raise CancelledError when the running task was cancelled and a library swallowed it (pymodbus does)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class ScannerSupervisor:
    """One scanner, opened again whenever it was unplugged."""

    def __init__(
        self, scanner: Scanner, clock: Clock, on_event: OnEvent, *, longest_pause_s: float = LONGEST_PAUSE_S
    ) -> None:
        self.scanner = scanner
        self._link = _Link(scanner.name, scanner.settings.address_text, clock, on_event, longest_pause_s)

    @property
    def connected(self) -> bool:
        return self._link.connected is True

    @property
    def error(self) -> str | None:
        """Why the scanner is away, None while it is there."""
        return self._link.error

    @property
    def trouble(self) -> Trouble | None:
        """The same for any language, where its driver told it so."""
        return self._link.trouble

    async def frames(self) -> AsyncIterator[ScanFrame]:
        """Every scan, across reopenings, for ever; close the iterator (or cancel) to close the scanner."""
        try:
            while True:
                try:
                    await self.scanner.open()
                    self._link.up()
                    async for frame in self.scanner.frames():
                        yield frame
                except Unreachable as error:
                    self._link.down(error)
                await self.scanner.close()
                await self._link.pause()
        finally:
            await self.scanner.close()

    async def answer(self, accepted: bool) -> None:
        """ACK or NAK for the scan that came last.

        Raises:
            Unreachable: the scanner is gone, its operator will scan again.
        """
        await self.scanner.answer(accepted)
