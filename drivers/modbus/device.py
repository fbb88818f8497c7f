"""Modbus TCP over pymodbus: coalesced block reads, values that are never cut in two, writes that are read back.

One connection, one request at a time. A request that gets no answer in time closes the connection, so an answer
that comes late finds nobody and can never be taken for the next one (the transaction id is checked as well).
pymodbus' own reconnecting and retrying are off: the supervisor connects again, and a write is never sent twice.

A device that refuses a block because of an address that it does not have gets the block in halves from then on,
until only the tags whose own address is wrong are bad.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from drivers.base import BlockBuilder, Group, OnBlock, OnNotice, ReadingBlock
from drivers.convert import RegisterFormat, decode, encode
from drivers.modbus.plan import Request, plan, split
from drivers.poll import poll
from drivers.status import BAD_NO_DATA, GOOD_STATUS, modbus_status, word
from drivers.tags import ModbusTag, ModbusTcpDevice
from records.clock import Clock, new_id
from records.errors import Invalid, Refused, Unreachable

T = TypeVar("T")

_ADDRESS_EXCEPTIONS = (2, 3, 4)
"""What devices answer to a block with a hole in it (4: some answer with their general failure)."""

_PLANS = 64

logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # an application that logs gets them all the same


class ModbusTcp:
    """A ``Device`` that speaks Modbus TCP."""

    def __init__(self, name: str, settings: ModbusTcpDevice, clock: Clock, tell: OnNotice) -> None:
        self.name = name
        self.settings = settings
        self.seen_us = 0
        self._clock = clock
        self._tell = tell
        self._client: AsyncModbusTcpClient | None = None
        self._tags = {tag.name: tag for tag in settings.tags}
        self._forms = {tag.name: RegisterFormat.of(tag, settings.byte_order) for tag in settings.tags}
        self._plans: dict[tuple[str, ...], tuple[Group, tuple[Request, ...]]] = {}

    async def connect(self) -> None:
        await self.close()
        settings = self.settings
        client = AsyncModbusTcpClient(
            settings.host,
            port=settings.port,
            name=self.name,
            timeout=settings.timeout,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        self._client = client
        if not await client.connect():
            await self.close()
            raise self._unreachable("no connection", "check cable, address and port, and that the device runs")
        # pymodbus numbers from 1 on every connection; a gateway could hold an answer to the last one's number
        client.ctx.next_tid = int(new_id(2), 16) % 60_000

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._fail_waiting(client)
            client.close()

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        key = tuple(tags)
        group, requests = self._plan(key)
        found: list[tuple[bytes | bool | None, int]] = [(None, BAD_NO_DATA)] * len(key)
        pending, learned = list(reversed(requests)), list[Request]()
        while pending:
            request = pending.pop()
            answer = await self._ask(request)
            halves = split(request)
            if answer.isError() and self._code(answer) in _ADDRESS_EXCEPTIONS and len(halves) > 1:
                pending.extend(reversed(halves))
                continue
            learned.append(request)
            self._spread(request, answer, found)
        if len(learned) != len(requests):
            self._plans[key] = (group, tuple(learned))
        return self._block(group, found)

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        settings = self._tag(tag)
        if settings.access != "write":
            raise Invalid(f"{self.name}.{tag} is not writable", hint="give the tag `access: write`")
        form, start = self._forms[tag], settings.address - self.settings.address_base
        unit, client = self.settings.unit_id, self._connected()
        try:
            raw = encode(value, form)
        except Invalid as error:
            raise Invalid(f"{self.name}.{tag}: {error.message}") from None
        registers = list(struct.unpack(f">{len(raw) // 2}H", raw))
        if settings.table == "coil":
            answer = await self._call(lambda: client.write_coil(start, bool(value), device_id=unit))
        elif len(registers) == 1:
            answer = await self._call(lambda: client.write_register(start, registers[0], device_id=unit))
        else:
            answer = await self._call(lambda: client.write_registers(start, registers, device_id=unit))
        if answer.isError():
            raise Refused(f"{self._where} refused to write {tag}: {word(self._status(answer))}")
        block = await self.read([tag])
        wanted: bytes | bool = bool(value) if settings.table == "coil" else raw
        held = block.at(0) if settings.table == "coil" else block.raw[0]
        if block.status[0] != GOOD_STATUS or held != wanted:
            raise Refused(
                f"{self._where} took {value!r} for {tag}, but holds {block.at(0)!r} ({block.words()[0]})",
                hint="does the machine write this address too?",
            )

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        await poll(lambda: self.read(tags), self.settings.poll_interval, on_block, every=every)

    # -- inside ----------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.settings.address_text})"

    def _unreachable(self, what: str, hint: str | None = None) -> Unreachable:
        return Unreachable(f"{self._where}: {what}", hint=hint)

    def _tag(self, name: str) -> ModbusTag:
        if name not in self._tags:
            raise Invalid(f"{self.name} has no tag {name!r}")
        return self._tags[name]

    def _plan(self, key: tuple[str, ...]) -> tuple[Group, tuple[Request, ...]]:
        if key not in self._plans:
            tags = [self._tag(name) for name in key]
            requests = plan(
                tags,
                address_base=self.settings.address_base,
                max_registers=self.settings.max_registers_per_request,
                max_gap=self.settings.max_gap,
            )
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[key] = (Group.of(self.name, tags), requests)
        return self._plans[key]

    def _connected(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise self._unreachable("not connected")
        return self._client

    def _connection_changed(self, connected: bool) -> None:
        """Called by pymodbus; it would let a request wait for its full time-out on a connection that is gone."""
        if not connected and self._client is not None:
            self._fail_waiting(self._client)

    @staticmethod
    def _fail_waiting(client: AsyncModbusTcpClient) -> None:
        waiting = client.ctx.response_future
        if not waiting.done():
            waiting.set_exception(ConnectionError("the connection was closed"))
            waiting.exception()  # seen, should nobody wait for it

    async def _call(self, request: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """One request and its answer (which may be an exception answer)."""
        try:
            return await request()
        except (ModbusException, OSError) as error:
            await self.close()
            what = "the connection was lost" if isinstance(error, OSError) else "no answer"
            raise self._unreachable(f"{what} (time-out {self.settings.timeout:g} s)") from None

    async def _ask(self, request: Request) -> ModbusPDU:
        client, unit = self._connected(), self.settings.unit_id
        ask = {
            "holding": client.read_holding_registers,
            "input": client.read_input_registers,
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
        }[request.table]
        answer = await self._call(lambda: ask(request.start, count=request.count, device_id=unit))
        bits = request.table in ("coil", "discrete")
        if not answer.isError() and (
            len(answer.bits) < request.count if bits else len(answer.registers) != request.count
        ):
            await self.close()
            raise self._unreachable(f"the answer to {request.count} {request.table} values has another length")
        return answer

    @staticmethod
    def _code(answer: ModbusPDU) -> int:
        return int(answer.exception_code) if isinstance(answer, ExceptionResponse) else 0

    @classmethod
    def _status(cls, answer: ModbusPDU) -> int:
        return modbus_status(cls._code(answer))

    def _spread(self, request: Request, answer: ModbusPDU, found: list[tuple[bytes | bool | None, int]]) -> None:
        """Give each tag of a request its part of the answer."""
        if answer.isError():
            for span in request.spans:
                found[span.position] = (None, self._status(answer))
        elif request.table in ("coil", "discrete"):
            for span in request.spans:
                found[span.position] = (answer.bits[span.offset], GOOD_STATUS)
        else:
            raw = struct.pack(f">{request.count}H", *answer.registers)
            for span in request.spans:
                at = 2 * span.offset
                found[span.position] = (raw[at : at + 2 * span.count], GOOD_STATUS)

    def _block(self, group: Group, found: Sequence[tuple[bytes | bool | None, int]]) -> ReadingBlock:
        builder = BlockBuilder(group)
        for name, (part, status) in zip(group.tags, found, strict=True):
            if isinstance(part, bytes):
                value, status = decode(part, self._forms[name])
                builder.add(value, status, raw=part)
            else:
                builder.add(part, status, raw=None if part is None else bytes([part]))
        self.seen_us = self._clock.now_us()
        return builder.block(self.seen_us)
