"""One line that many units share: a gateway's connection or a serial port.

Units take turns, one request at a time. A unit that does not answer costs the others only its own time-outs: where
it shares the line, it is asked again after growing pauses.

Answers that come late. Over TCP and TLS an answer names its request by the transaction id, so the connection
goes on. On serial lines nothing names it. After a request without an answer the line rests for
``late_answer_wait``, and what comes is thrown away; then the unit is asked something whose answer has another
length than any that it still owes, and only that length is taken. A unit answers in order, so with that answer
everything owed has come or never will, however late it was. A unit that answers this question with an exception
gives no such proof: then only the rest of the line stands between its late answer and the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from drivers.modbus.frames import READS, READS_BITS, Ask, Failure, exception_of, read_ask
from drivers.modbus.turns import Turns
from drivers.modbus.wire import Lost, NoAnswer, Wire
from drivers.tags import AnyModbusDevice, ModbusSerialDevice
from drivers.tags.modbus_devices import ModbusLineDevice
from records.trouble import Trouble

LONGEST_PAUSE_S = 30.0
"""A unit that does not answer is asked again after at most so long."""
_RENEW_AFTER = 3
_GATEWAY_SILENT = (0x0A, 0x0B)
"""A gateway says that it cannot reach the unit."""


class Paused(Failure):
    """The unit did not answer and is not asked again yet."""

    def __init__(self, rest_s: float) -> None:
        super().__init__(Trouble.of("asked-again", rest=f"{rest_s:.1f}"))


@dataclass(slots=True)
class _Unit:
    members: int = 0
    failures: int = 0
    paused_until: float = 0.0
    owed: set[tuple[int, int]] = field(default_factory=set)


class Bus:
    """Made once for each line; open while a device is on it."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._settings: dict[object, AnyModbusDevice] = {}
        self._joined: dict[object, int] = {}
        self._connection = 0
        self._units: dict[int, _Unit] = {}
        self._turns = Turns()
        self._not_before = 0.0
        self._dirty = False
        self._silent = 0
        self._pause_s = self._quiet_s = 0.0

    async def join(self, member: object, settings: AnyModbusDevice) -> None:
        """Take part in the line, which is opened for the first.

        Raises:
            Lost: it cannot be opened. Paused: the unit is not asked yet.
        """
        unit = self._unit(settings.unit_id)
        rest_s = unit.paused_until - asyncio.get_running_loop().time()
        if rest_s > 0:
            raise Paused(rest_s)
        if member not in self._settings:
            self._settings[member] = settings
            unit.members += 1
            self._members_changed()
        async with self._turns.of(settings.unit_id):
            if self._wire is None or not self._wire.is_open:
                await self._open(settings)
                self._connection += 1
            self._joined[member] = self._connection

    def leave(self, member: object) -> None:
        """Take part no longer; the last one closes the line."""
        self._joined.pop(member, None)
        settings = self._settings.pop(member, None)
        if settings is None:
            return
        self._unit(settings.unit_id).members -= 1
        self._members_changed()
        if not self._settings and self._wire is not None:
            wire, self._wire = self._wire, None
            wire.end(Trouble.of("connection-closed"))

    async def ask(self, member: object, ask: Ask, *, urgent: bool = False) -> bytes:
        """The PDU that answers this request.

        Raises:
            NoAnswer: none in time, or the gateway cannot reach the unit. Lost: the connection that the member
                joined is gone.
        """
        settings, unit = self._settings.get(member), self._unit(ask.unit)
        if settings is None:
            raise Lost(Trouble.of("not-connected"))
        async with self._turns.of(ask.unit, urgent=urgent):
            wire = await self._ready(member, settings)
            if unit.owed:
                await self._settle(wire, unit, settings, ask)
            pdu = await self._asked(wire, unit, settings, ask)
        if exception_of(pdu) in _GATEWAY_SILENT:
            raise NoAnswer(Trouble.of("gateway-silent", exception=exception_of(pdu)))
        unit.failures = 0
        unit.paused_until = 0.0
        return pdu

    def failed(self, settings: AnyModbusDevice) -> None:
        """A unit has not answered, again and again: where others share the line, it is paused."""
        unit = self._unit(settings.unit_id)
        pause_s = min(settings.timeout * 2**unit.failures, LONGEST_PAUSE_S)
        unit.failures = min(unit.failures + 1, 16)
        if any(other.members for number, other in self._units.items() if number != settings.unit_id):
            unit.paused_until = asyncio.get_running_loop().time() + pause_s

    def has_failed(self, settings: AnyModbusDevice) -> bool:
        """Whether the unit's last requests had no answer."""
        return self._unit(settings.unit_id).failures > 0

    # -- inside; whoever calls these holds the line ------------------------------------------------------------

    def _members_changed(self) -> None:
        """The line rests as long as the slowest of its devices needs."""
        members = self._settings.values()
        self._pause_s = max((each.pause_between_requests for each in members), default=0.0)
        self._quiet_s = max((_wait_of(each) for each in members), default=0.0)

    def _unit(self, number: int) -> _Unit:
        return self._units.setdefault(number, _Unit())

    async def _open(self, settings: AnyModbusDevice) -> Wire:
        wire = Wire(settings)
        self._wire = wire
        try:
            await wire.open(settings.timeout)
        except BaseException:
            self._wire = None
            raise
        self._silent = 0
        self._dirty = (
            not settings.has_transaction_ids
        )  # the line may still carry what an earlier program asked for
        pause_s = max((each.pause_after_connect for each in self._settings.values()), default=0.0)
        self._not_before = asyncio.get_running_loop().time() + pause_s
        return wire

    async def _ready(self, member: object, settings: AnyModbusDevice) -> Wire:
        wire = self._wire
        if wire is None or self._joined.get(member) != self._connection:
            raise Lost(Trouble.of("connection-lost" if member in self._joined else "not-connected"))
        if not wire.is_open:
            raise Lost(wire.lost or Trouble.of("connection-lost"))
        if self._silent >= _RENEW_AFTER and not isinstance(settings, ModbusSerialDevice):
            wire.end(Trouble.of("nobody-answered"))  # half open, perhaps: a new connection tells
            wire = await self._open(settings)
        if self._not_before and (rest_s := self._not_before - wire.loop.time()) > 0:
            await asyncio.sleep(rest_s)
        if self._dirty:
            await wire.quiet(self._quiet_s)
            self._dirty = False
        return wire

    async def _asked(self, wire: Wire, unit: _Unit, settings: AnyModbusDevice, ask: Ask) -> bytes:
        answered = False
        try:
            pdu = await wire.ask(ask, settings.timeout)
            answered = True
            self._silent = 0
            return pdu
        except NoAnswer:
            self._silent += 1
            raise
        finally:
            if self._pause_s:
                self._not_before = wire.loop.time() + self._pause_s
            if not answered and not settings.has_transaction_ids:  # cancelled ones too: their answer comes late
                self._dirty = True
                if ask.function in READS:
                    unit.owed.add(ask.shape)

    async def _settle(self, wire: Wire, unit: _Unit, settings: AnyModbusDevice, ask: Ask) -> None:
        """Ask what cannot be mixed up with what the unit owes; with its answer it owes nothing."""
        probe = next((each for each in _probes(ask) if each.shape not in unit.owed), None)
        if probe is not None:
            pdu = await self._asked(wire, unit, settings, probe)
            if not exception_of(pdu):
                unit.owed.clear()
                return
        await wire.quiet(self._quiet_s)
        unit.owed.clear()


def _wait_of(settings: AnyModbusDevice) -> float:
    return settings.late_answer_wait if isinstance(settings, ModbusLineDevice) else 0.0


def _probes(ask: Ask) -> Iterator[Ask]:
    """Reads beside a request, each with an answer of another length: parts of it first, then a little more."""
    function = ask.function if ask.function in READS else 3
    start = int.from_bytes(ask.pdu[1:3], "big")
    count = int.from_bytes(ask.pdu[3:5], "big") if ask.function in READS else 1
    step = 8 if function in READS_BITS else 1
    longer = [count + step * n for n in range(1, 4)]
    for wanted in [*range(1, count, step), *longer]:
        first = max(0, min(start, 65_536 - wanted))
        probe = read_ask(ask.unit, function, first, wanted)
        if probe.shape != ask.shape:
            yield probe
