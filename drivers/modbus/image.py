"""What one read of a set of tags asks for, and how its answers become a block; made once, used for every poll.

The answers of one read lie one behind the other in one image: registers as they travelled, bits of coil tables one
byte each. A tag's raw value is a piece of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.base import Group, RawColumn, ReadingBlock
from drivers.convert import RegisterFormat
from drivers.modbus.columns import Columns
from drivers.modbus.frames import Ask
from drivers.modbus.plan import Learned, Limits, Place, Request, plan
from drivers.status import BAD_NO_DATA, GOOD_STATUS
from drivers.tags import ModbusDevice, ModbusTag, SequenceCheck


@dataclass(frozen=True, slots=True)
class Placed:
    """A request and where its answer goes in the image."""

    request: Request
    at: int
    ask: Ask
    positions: NDArray[np.intp]

    @classmethod
    def of(cls, request: Request, at: int, unit: int) -> Placed:
        positions = np.array([span.position for span in request.spans], np.intp)
        return cls(request, at, request.ask(unit), positions)

    def part(self, request: Request) -> Placed:
        """A request for a part of the same answer."""
        at = self.at + request.width * (request.start - self.request.start)
        return Placed.of(request, at, self.ask.unit)


@dataclass(frozen=True, slots=True)
class Stage:
    """Requests that belong together: with a guard, none of their values is taken if it changed meanwhile."""

    guard: SequenceCheck | None
    requests: tuple[Placed, ...]
    positions: NDArray[np.intp]


class Layout:
    """The plan of a read of these tags of a device: its stages, and the columns of its blocks."""

    def __init__(
        self,
        device: str,
        settings: ModbusDevice,
        tags: Sequence[ModbusTag],
        forms: Mapping[str, RegisterFormat],
        learned: Learned,
    ) -> None:
        self.group = Group.of(device, tags)
        self.made_of = learned.changed
        self.places = tuple(Place.of(tag, settings.first_address) for tag in tags)
        self.holes: list[Placed] = []
        self.stages: list[Stage] = []
        self._size, self._unit = 0, settings.unit_id
        self._begin = np.full(len(tags), -1, np.int64)
        self._end = np.zeros(len(tags), np.int64)
        limits = Limits(settings.max_registers_per_request, settings.max_gap, settings.one_request_per_tag)
        for guard, members in _by_guard(settings, tags).items():
            there = [at for at in members if self.places[at] not in learned.holes]
            found = self._put(there, plan([self.places[at] for at in there], limits, learned))
            self.stages.append(Stage(guard, found, np.array(there, np.intp)))
            for at in members:
                if self.places[at] in learned.holes:
                    self.holes += self._put([at], plan([self.places[at]], limits))
        self._columns = Columns(
            [None if tag.is_bit else forms[tag.name] for tag in tags], self._begin.tolist(), self.group.dtype
        )

    def _put(self, members: Sequence[int], requests: Sequence[Request]) -> tuple[Placed, ...]:
        """Give the answers of these requests their part of the image, and their tags theirs."""
        placed = []
        for request in requests:
            spans = tuple(replace(span, position=members[span.position]) for span in request.spans)
            for span in spans:
                self._begin[span.position] = self._size + request.width * span.offset
                self._end[span.position] = self._size + request.width * (span.offset + span.count)
            placed.append(Placed.of(replace(request, spans=spans), self._size, self._unit))
            self._size += request.width * request.count
        return tuple(placed)

    def image(self, urgent: bool) -> Image:
        """An image without any answer yet."""
        return Image(bytearray(self._size), np.full(len(self.group.tags), BAD_NO_DATA, np.uint32), urgent)

    def block(self, image: Image, edge_us: int) -> ReadingBlock:
        """The block of an image; what was not answered has no raw value."""
        data, status = bytes(image.data), image.status
        begin = self._begin
        if image.missing:
            begin = begin.copy()
            begin[list(image.missing)] = -1
        values = self._columns.decode(data, status)
        zeros = np.zeros(len(status), np.int64)
        raw = RawColumn(data, begin, self._end)
        return ReadingBlock(self.group, values, status, zeros, zeros, edge_us, self.group.types, raw)


@dataclass(slots=True)
class Image:
    """The answers of one read, and each tag's status: good once its answer is here."""

    data: bytearray
    status: NDArray[np.uint32]
    urgent: bool
    missing: set[int] = field(default_factory=set)

    def take(self, placed: Placed, content: bytes) -> None:
        """The answer to a request: registers, or bits lowest first."""
        request = placed.request
        if request.bits:
            packed = np.frombuffer(content, np.uint8)
            content = np.unpackbits(packed, count=request.count, bitorder="little").tobytes()
        self.data[placed.at : placed.at + len(content)] = content
        self.status[placed.positions] = GOOD_STATUS
        if self.missing:
            self.missing.difference_update(placed.positions.tolist())

    def refuse(self, placed: Placed, status: int) -> None:
        """The device has no value for the tags of a request."""
        self.missing.update(placed.positions.tolist())
        self.status[placed.positions] = status

    def doubt(self, positions: NDArray[np.intp], status: int) -> None:
        """What is good so far among these is not."""
        good = positions[self.status[positions] == GOOD_STATUS]
        self.status[good] = status


def _by_guard(settings: ModbusDevice, tags: Sequence[ModbusTag]) -> Mapping[SequenceCheck | None, list[int]]:
    found: dict[SequenceCheck | None, list[int]] = {}
    for at, tag in enumerate(tags):
        found.setdefault(settings.sequence_of(tag), []).append(at)
    return found
