"""Keeps devices and scanners connected for ever.

The first answer and every loss are told once each, with address and reason. After a loss the session is closed,
then opened again after a growing pause with jitter (so that a line of agents does not knock all at once), and
every watch starts anew from the values as they are then. Start order does not matter: a PLC may boot after the
agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from drivers.base import Device, OnBlock, ReadingBlock, ScanFrame, Scanner
from records.clock import Clock, new_id
from records.errors import LotkeeperError, Refused, Unreachable

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """A device was connected or lost; ``error`` says why it was lost."""

    device: str
    state: Literal["connected", "lost"]
    address: str
    error: str | None
    at_us: int


OnEvent = Callable[[DeviceEvent], None]


class _Link:
    """Whether something is connected, told once per change."""

    def __init__(self, name: str, address: str, clock: Clock, on_event: OnEvent, longest_pause_s: float) -> None:
        self.connected: bool | None = None
        self.error: str | None = None
        self._name, self._address = name, address
        self._clock, self._on_event = clock, on_event
        self._longest_pause_s = longest_pause_s
        self._pause_s = FIRST_PAUSE_S

    def up(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        self.error = None
        self._tell(True)

    def down(self, error: LotkeeperError) -> None:
        self.error = str(error)
        self._tell(False)

    def _tell(self, connected: bool) -> None:
        if self.connected is connected:
            return
        self.connected = connected
        state: Literal["connected", "lost"] = "connected" if connected else "lost"
        self._on_event(DeviceEvent(self._name, state, self._address, self.error, self._clock.now_us()))

    async def pause(self) -> None:
        """Longer each time, between 75 and 125 percent of it."""
        jitter = 0.75 + int(new_id(2), 16) / 0xFFFF / 2
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_pause_s)
        await asyncio.sleep(pause_s * jitter)


class Supervisor:
    """One device, kept connected while ``run`` runs; ``read`` and ``write`` raise Unreachable while it is away."""

    def __init__(
        self, device: Device, clock: Clock, on_event: OnEvent, *, longest_pause_s: float = LONGEST_PAUSE_S
    ) -> None:
        self.device = device
        self._link = _Link(device.name, device.settings.address_text, clock, on_event, longest_pause_s)
        self._watches: list[tuple[tuple[str, ...], OnBlock, bool]] = []
        self._failed = asyncio.Event()
        self._failure: LotkeeperError | None = None

    @property
    def connected(self) -> bool:
        return self._link.connected is True

    @property
    def error(self) -> str | None:
        """Why the device is away, None while it is there."""
        return self._link.error

    @property
    def seen_us(self) -> int:
        """Edge time of the device's last answer, 0 before the first."""
        return self.device.seen_us

    def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        """Tell these tags from the next connection on, and anew after each; call it before ``run``."""
        self._watches.append((tuple(tags), on_block, every))

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        """As the device's ``read``."""
        self._require()
        try:
            return await self.device.read(tags)
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
        try:
            while True:
                try:
                    self._failed.clear()
                    await self.device.connect()
                    _still_wanted()
                    self._link.up()
                    await self._watch_all()
                except (Unreachable, Refused) as error:
                    self._link.down(error)
                await self.device.close()
                await self._link.pause()
        finally:
            await self.device.close()

    def _require(self) -> None:
        if not self.connected:
            device = self.device
            reason = self.error or f"{device.name} ({device.settings.address_text}): not connected yet"
            raise Unreachable(reason)

    def _fail(self, error: LotkeeperError) -> None:
        self._failure = error
        self._failed.set()

    async def _watch_all(self) -> None:
        """Run every watch until one loses the device, or a read or write did."""
        watches = [self.device.watch(tags, told, every=every) for tags, told, every in self._watches]
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(job) for job in (*watches, self._failed.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if self._failure is not None:
                raise self._failure
        finally:
            self._failure = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


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
