"""Which Modbus requests read a set of tags: few, and never one that cuts a value in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.tags import ModbusTag

MAX_BITS = 2000


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tag's value lies in a request's answer: ``offset`` and ``count`` in registers or bits."""

    position: int  # of the tag in the sequence that was planned
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """One read: ``count`` registers (or bits) of a table from the PDU address ``start`` on."""

    table: str
    start: int
    count: int
    spans: tuple[Span, ...]


def plan(tags: Sequence[ModbusTag], *, address_base: int, max_registers: int, max_gap: int) -> tuple[Request, ...]:
    """The fewest requests in the order of addresses; holes of up to ``max_gap`` are read along."""
    by_table: dict[str, list[tuple[int, int, int]]] = {}
    for position, tag in enumerate(tags):
        by_table.setdefault(tag.table, []).append((tag.address - address_base, tag.count, position))
    requests: list[Request] = []
    for table, places in by_table.items():
        limit = MAX_BITS if table in ("coil", "discrete") else max_registers
        run: list[tuple[int, int, int]] = []
        end = 0
        for start, count, position in sorted(places):
            if run and (start - end > max_gap or max(end, start + count) - run[0][0] > limit):
                requests.append(_request(table, run))
                run = []
            run.append((start, count, position))
            end = max(end, start + count) if len(run) > 1 else start + count
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


def _request(table: str, places: Sequence[tuple[int, int, int]]) -> Request:
    first = min(start for start, _, _ in places)
    end = max(start + count for start, count, _ in places)
    spans = tuple(Span(position, start - first, count) for start, count, position in places)
    return Request(table, first, end - first, spans)
