"""Modbus over TCP, TLS and serial lines: coalesced block reads, values never cut, writes that are read back.

What has no answer is Unreachable: after ``retries`` more tries of a read, at once for a write, which is never sent
again without knowing what became of it. What the device refuses is a bad reading of the tags that it concerns:
a block that it does not take for an address that it does not have is asked in halves, until only the tags whose
own address is wrong are bad, and what was learned so is kept. Acknowledge and busy (exceptions 5 and 6) are asked
again a few times with growing pauses. A gateway that cannot reach the unit (10 and 11) is no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.base import OnBlock, OnNotice, ReadingBlock
from drivers.convert import RegisterFormat, decode
from drivers.modbus.bus import Bus, Paused
from drivers.modbus.frames import Ask, exception_of
from drivers.modbus.image import Image, Layout, Placed, Stage
from drivers.modbus.plan import Learned, Place, Request, plan, split
from drivers.modbus.wire import Lost, NoAnswer
from drivers.modbus.write import Writing
from drivers.poll import poll
from drivers.status import BAD_TORN, GOOD_STATUS, modbus_status, word
from drivers.tags import AnyModbusDevice, ModbusSerialDevice, ModbusTag, SequenceCheck
from drivers.written import told_as_written
from records.clock import Clock
from records.errors import Invalid, Refused, Unreachable
from records.trouble import Trouble

_ADDRESS_EXCEPTIONS = (2, 3, 4)
"""What devices answer to a block with a hole in it (4: some answer with their general failure)."""
_PERMANENT = (1, 2, 3)
_ACKNOWLEDGE, _BUSY = 5, 6
_PATIENCE_S = (0.05, 0.1, 0.2, 0.4)
"""Pauses before a device that is busy is asked again, and before values that changed meanwhile are read again."""
_LAYOUTS = 64


class Modbus:
    """A ``Device`` that speaks Modbus; those on one line share its ``bus``."""

    def __init__(self, name: str, settings: AnyModbusDevice, clock: Clock, tell: OnNotice, bus: Bus) -> None:
        self.name = name
        self.settings = settings
        self.seen_us = 0
        self._clock = clock
        self._tell = tell
        self._bus = bus
        self._tags = {tag.name: tag for tag in settings.tags}
        self._forms = {tag.name: RegisterFormat.of(tag, settings.byte_order) for tag in settings.tags}
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._learned = Learned()
        self._writing = asyncio.Lock()

    async def connect(self) -> None:
        await self.close()
        try:
            await self._bus.join(self, self.settings)
            await self._knock()
        except Lost as error:
            await self.close()
            hint = "check-port" if isinstance(self.settings, ModbusSerialDevice) else "check-device"
            raise self._unreachable(error.trouble, hint) from None
        except Paused as error:
            raise self._unreachable(error.trouble) from None
        except BaseException:
            await self.close()
            raise
        self._learned.ask_again()

    async def close(self) -> None:
        self._bus.leave(self)

    async def read(self, tags: Sequence[str], *, urgent: bool = False) -> ReadingBlock:
        layout = self._layout(tuple(tags))
        image = layout.image(urgent)
        for stage in layout.stages:
            await self._read_stage(stage, image)
        await self._read_holes(layout, image)
        self.seen_us = self._clock.now_us()
        return layout.block(image, self.seen_us)

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        settings = self._tag(tag)
        if settings.access != "write":
            raise Invalid(f"{self.name}.{tag} is not writable", hint="give the tag `access: write`")
        with told_as_written(self._tell, f"{self.name}.{tag}", value):
            async with self._writing:
                await self._write_and_read_back(settings, value)

    async def _write_and_read_back(self, settings: ModbusTag, value: bool | int | float | str) -> None:
        tag = settings.name
        try:
            now = await self._held(settings) if settings.partial else None
            writing = Writing.of(settings, self._forms[tag], value, self.settings, now)
        except Invalid as error:
            raise Invalid(f"{self.name}.{tag}: {error.message}") from None
        code = await self._write(writing.ask)
        if code not in (0, _ACKNOWLEDGE):
            status = word(modbus_status(code))
            raise Refused.of(Trouble.of("write-refused", where=self._where, tag=tag, status=status))
        for pause_s in (*(_PATIENCE_S if code else ()), 0.0):
            block = await self.read([tag], urgent=True)
            if writing.is_held(block.raw[0]):
                return
            await asyncio.sleep(pause_s)
        told = {"where": self._where, "value": repr(value), "tag": tag, "held": repr(block.at(0))}
        other = Trouble("other-value", {**told, "status": block.words()[0]})
        raise Refused.of(other.hinted(Trouble.of("machine-writes-too", place=Trouble.of("address"))))

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        await poll(lambda: self.read(tags), self.settings.poll_interval, on_block, every=every)

    # -- inside ----------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.settings.address_text})"

    def _unreachable(self, why: Trouble, hint: str | None = None) -> Unreachable:
        away = Trouble.of("away", where=self._where, why=why)
        return Unreachable.of(away.hinted(None if hint is None else Trouble.of(hint)))

    def _tag(self, name: str) -> ModbusTag:
        if name not in self._tags:
            raise Invalid(f"{self.name} has no tag {name!r}")
        return self._tags[name]

    def _place(self, tag: ModbusTag) -> Place:
        return Place.of(tag, self.settings.first_address)

    def _layout(self, key: tuple[str, ...]) -> Layout:
        layout = self._layouts.get(key)
        if layout is None or layout.made_of != self._learned.changed:
            tags = [self._tag(name) for name in key]
            layout = Layout(self.name, self.settings, tags, self._forms, self._learned)
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    async def _knock(self) -> None:
        """Ask for something: only a unit that answers is connected, whatever the socket says."""
        if self.settings.tags:
            (request,) = plan([self._place(self.settings.tags[0])])
            await self._answer(request.ask(self.settings.unit_id), patient=not self._bus.has_failed(self.settings))

    async def _answer(self, ask: Ask, *, patient: bool = True, urgent: bool = False) -> bytes:
        """The PDU of the answer to a read, which may be an exception.

        Raises:
            Unreachable: no answer.
        """
        left = self.settings.retries if patient else 0
        busy = iter(_PATIENCE_S)
        while True:
            try:
                pdu = await self._bus.ask(self, ask, urgent=urgent)
            except (NoAnswer, Lost) as error:
                if left and isinstance(error, NoAnswer):
                    left -= 1
                    continue
                raise await self._gone(error) from None
            if exception_of(pdu) in (_ACKNOWLEDGE, _BUSY) and (pause_s := next(busy, None)) is not None:
                await asyncio.sleep(pause_s)
                continue
            return pdu

    async def _gone(self, error: NoAnswer | Lost, *, writing: bool = False) -> Unreachable:
        hint = None
        if isinstance(error, NoAnswer):
            self._bus.failed(self.settings)
            hint = "check-line" if isinstance(self.settings, ModbusSerialDevice) else "check-unit"
        await self.close()
        why = Trouble.of("perhaps-written", why=error.trouble) if writing else error.trouble
        return self._unreachable(why, hint)

    async def _gather(self, requests: Sequence[Placed], image: Image) -> None:
        """Ask these, refused blocks in halves, into the image."""
        pending, blocks = list(reversed(requests)), list[Request]()
        while pending:
            placed = pending.pop()
            request = placed.request
            pdu = await self._answer(placed.ask, urgent=image.urgent)
            code = exception_of(pdu)
            if not code:
                image.take(placed, pdu[2:])
                self._learned.answered(request)
            elif code in _ADDRESS_EXCEPTIONS and len(request.spans) > 1:
                blocks.append(request)
                pending.extend(placed.part(half) for half in reversed(split(request)))
            else:
                image.refuse(placed, modbus_status(code))
                if code in _PERMANENT:
                    self._learned.refused(request, modbus_status(code), asyncio.get_running_loop().time())
        if blocks:
            self._learned.blocks_refused(blocks)

    async def _read_stage(self, stage: Stage, image: Image) -> None:
        """Read what belongs together, again while the guard says that it changed meanwhile."""
        guard = stage.guard
        one = self.settings.atomic_requests and len(stage.requests) <= 1
        if guard is None or not stage.requests or (one and not guard.odd_while_writing):
            await self._gather(stage.requests, image)
            return
        before, status = await self._guard(guard, image.urgent)
        for pause_s in (0.0, *_PATIENCE_S):
            await asyncio.sleep(pause_s)
            await self._gather(stage.requests, image)
            after, status = await self._guard(guard, image.urgent)
            if status != GOOD_STATUS:
                break
            if before == after and not (guard.odd_while_writing and after & 1):
                return
            before = after
        image.doubt(stage.positions, BAD_TORN if status == GOOD_STATUS else status)

    async def _guard(self, check: SequenceCheck, urgent: bool) -> tuple[int, int]:
        """The number that the machine counts on, and its status."""
        tag = self._tags[check.tag]
        (request,) = plan([self._place(tag)])
        pdu = await self._answer(request.ask(self.settings.unit_id), urgent=urgent)
        if code := exception_of(pdu):
            return 0, modbus_status(code)
        value, status = decode(pdu[2:], self._forms[check.tag])
        return int(value or 0), status

    async def _read_holes(self, layout: Layout, image: Image) -> None:
        """Ask for what the device did not have, where it is time to."""
        now = asyncio.get_running_loop().time()
        for placed in layout.holes:
            hole = self._learned.holes.get(placed.request.place(placed.request.spans[0]))
            if hole is None or hole.again_at <= now:
                await self._gather([placed], image)
            else:
                image.refuse(placed, hole.status)

    async def _held(self, tag: ModbusTag) -> bytes:
        """What the registers hold of which the tag is a part."""
        (request,) = plan([self._place(tag)])
        pdu = await self._answer(request.ask(self.settings.unit_id), urgent=True)
        if code := exception_of(pdu):
            status = word(modbus_status(code))
            raise Refused.of(Trouble.of("read-refused", where=self._where, tag=tag.name, status=status))
        return pdu[2:]

    async def _write(self, ask: Ask) -> int:
        """The exception that answers a write, 0 for none; it is sent again only when the device was too busy."""
        for pause_s in (*_PATIENCE_S, None):
            try:
                code = exception_of(await self._bus.ask(self, ask, urgent=True))
            except (NoAnswer, Lost) as error:
                raise await self._gone(error, writing=True) from None
            if code != _BUSY or pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return code
