"""SQL of what device history records under retention read of older records: no act of retention gives it up.

An order is judged by more than its own records: by the stretch of each chain that it lies in, which must be
whole, by the record of each machine before its first, by verdicts of charts in later orders, and by what opened
each epoch and told of gaps. All this is asked of ``central.store.dossiers``, which judges by it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from central.store import dossiers
from central.store.chains import Span
from central.store.gaps import TELL
from central.store.schema import envelope, fact_index
from central.store.tombstones import EXPLAIN
from records.wire import CENTRAL

RECORDS = "records"
ALWAYS = ("epoch-opened", "configuration", *TELL, *EXPLAIN)
"""Codes of what is needed for ever: how epochs join, by what stations worked, what an agent says that is lost,
or that it has no body of."""

_Chain = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Needed:
    """``stretches``: (agent, epoch) -> first and last seqs of what must be whole, apart from each other and in
    order; ``rows``: single records outside of them.
    """

    stretches: dict[_Chain, list[tuple[int, int]]]
    rows: frozenset[int]

    def has(self, row: int, agent: str, epoch: str, seq: int) -> bool:
        if row in self.rows:
            return True
        stretches = self.stretches.get((agent, epoch), [])
        place = bisect_right(stretches, seq, key=lambda stretch: stretch[0])
        return place > 0 and seq <= stretches[place - 1][1]


def needed_of(connection: Connection, going: Collection[str], cut: int) -> Needed:
    """What all orders but those that are ``going`` read before ``cut``, a place in the order of commits.

    An order with no record before it reads there nothing but the last record of each of its machines. That is kept
    of every machine, since the next order's counts begin with it.
    """
    rows = _last_of_machines(connection, cut)
    where: list[Span] = []
    for reference in _orders_before(connection, cut) - set(going):
        spans, around = dossiers.read_by(connection, reference)
        where += spans
        rows |= around
    return Needed(_joined(where), frozenset(rows))


def _last_of_machines(connection: Connection, cut: int) -> set[int]:
    """The last record of each station in each epoch, of those that have a body."""
    about = fact_index.c
    query = (
        select(func.max(about.envelope_id))
        .join(envelope, envelope.c.id == about.envelope_id)
        .where(about.kind == "operation_record", about.readable.is_(True), about.envelope_id < cut)
        .group_by(about.agent, envelope.c.epoch, about.station)
    )
    return set(connection.execute(query).scalars())


def _orders_before(connection: Connection, cut: int) -> set[str]:
    """The orders of which a line's record came before."""
    about = fact_index.c
    query = select(about.work_order).where(
        about.envelope_id < cut,
        about.work_order.is_not(None),
        about.agent != CENTRAL,
        about.stream == RECORDS,
    )
    return set(connection.execute(query.distinct()).scalars())


def _joined(spans: Iterable[Span]) -> dict[_Chain, list[tuple[int, int]]]:
    found: dict[_Chain, list[tuple[int, int]]] = {}
    for span in sorted(spans, key=lambda each: each.first):
        stretches = found.setdefault((span.agent, span.epoch), [])
        if stretches and span.first <= stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], span.last))
        else:
            stretches.append((span.first, span.last))
    return found
