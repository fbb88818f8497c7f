"""Which Modbus requests read a set of tags: few, and never one that cuts a value in two.

What a device refused is learned: a hole is a value that it does not have, a cut a place that no request may go
across. Both outlive a connection; holes are asked again now and then, for a PLC's program may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.modbus.frames import READS_BITS, Ask, read_ask
from drivers.tags import ModbusTag, Register

MAX_BITS = 2000
HOLE_AGAIN_S = 600.0
"""A value that the device does not have is asked for again after so long."""
FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tag's value is: ``count`` registers or bits of a table from the PDU address ``start`` on."""

    table: Register
    start: int
    count: int

    @classmethod
    def of(cls, tag: ModbusTag, first_address: int) -> Place:
        return cls(tag.table, tag.address - first_address, tag.count)

    @property
    def end(self) -> int:
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tag's value lies in a request's answer: ``offset`` and ``count`` in registers or bits."""

    position: int  # of the tag in the sequence that was planned
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """One read: ``count`` registers (or bits) of a table from the PDU address ``start`` on."""

    table: Register
    start: int
    count: int
    spans: tuple[Span, ...]

    def ask(self, unit: int) -> Ask:
        return read_ask(unit, FUNCTIONS[self.table], self.start, self.count)

    @property
    def bits(self) -> bool:
        return FUNCTIONS[self.table] in READS_BITS

    @property
    def width(self) -> int:
        """Bytes of a register, or of a bit, in an image of answers."""
        return 1 if self.bits else 2

    def place(self, span: Span) -> Place:
        return Place(self.table, self.start + span.offset, span.count)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device can take in one request."""

    max_registers: int = 125
    max_gap: int = 16
    one_per_tag: bool = False


@dataclass(slots=True)
class Hole:
    """A value that the device refused: with which status, and when it is asked again."""

    status: int
    again_at: float


@dataclass(slots=True)
class Learned:
    """What a device has refused so far; ``changed`` counts, so that plans can be made anew."""

    holes: dict[Place, Hole] = field(default_factory=dict)
    cuts: set[tuple[str, int]] = field(default_factory=set)
    changed: int = 0

    def refused(self, request: Request, status: int, now: float) -> None:
        """The device does not have these values."""
        for span in request.spans:
            place = request.place(span)
            if place not in self.holes:
                self.changed += 1
            self.holes[place] = Hole(status, now + HOLE_AGAIN_S)

    def answered(self, request: Request) -> None:
        """The device has these values, after all perhaps."""
        if self.holes:
            for span in request.spans:
                if self.holes.pop(request.place(span), None) is not None:
                    self.changed += 1

    def blocks_refused(self, requests: Sequence[Request]) -> None:
        """These were refused whole and read in parts. Where no hole explains it, the parts stay apart."""
        for request in requests:
            second = split(request)[1]
            if not self._hole_in(request.table, request.start, request.start + request.count):
                self.cuts.add((request.table, second.start))
                self.changed += 1

    def ask_again(self) -> None:
        """Holes are asked for again at once: the device is connected anew."""
        for hole in self.holes.values():
            hole.again_at = 0.0

    def apart(self, table: str, start: int, end: int) -> bool:
        """Whether a request from ``start`` to ``end`` is known to be refused."""
        return any(cut[0] == table and start < cut[1] < end for cut in self.cuts) or self._hole_in(
            table, start, end
        )

    def _hole_in(self, table: str, start: int, end: int) -> bool:
        return any(hole.table == table and hole.start < end and start < hole.end for hole in self.holes)


def plan(
    places: Sequence[Place], limits: Limits = Limits(), learned: Learned | None = None
) -> tuple[Request, ...]:
    """The fewest requests in the order of addresses; gaps of up to ``max_gap`` are read along."""
    known = learned or Learned()
    by_table: dict[Register, list[tuple[int, int, int]]] = {}
    for position, place in enumerate(places):
        by_table.setdefault(place.table, []).append((place.start, place.count, position))
    requests: list[Request] = []
    for table, found in by_table.items():
        limit = MAX_BITS if FUNCTIONS[table] in READS_BITS else limits.max_registers
        run: list[tuple[int, int, int]] = []
        end = 0
        for start, count, position in sorted(found):
            longer = max(end, start + count)
            if run and (
                limits.one_per_tag
                or start - end > limits.max_gap
                or longer - run[0][0] > limit
                or known.apart(table, run[0][0], longer)
            ):
                requests.append(_request(table, run))
                run = []
            end = longer if run else start + count
            run.append((start, count, position))
        requests.append(_request(table, run))
    return tuple(requests)


def split(request: Request) -> tuple[Request, ...]:
    """Two requests for the halves of its tags; the same one alone when it has a single tag.

    Called when a device refused the whole for an address that it does not have.
    """
    if len(request.spans) < 2:
        return (request,)
    middle = len(request.spans) // 2
    places = [(request.start + span.offset, span.count, span.position) for span in request.spans]
    return _request(request.table, places[:middle]), _request(request.table, places[middle:])


def _request(table: Register, places: Sequence[tuple[int, int, int]]) -> Request:
    first = min(start for start, _, _ in places)
    end = max(start + count for start, count, _ in places)
    spans = tuple(Span(position, start - first, count) for start, count, position in places)
    return Request(table, first, end - first, spans)
