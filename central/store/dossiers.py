"""SQL that gathers what surrounds one order's facts: its chains, its machines' other records, loose events."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select

from central.counters import COUNTING
from central.domain import ChainEvidence, EpochEvidence
from central.store import chains
from central.store.chains import CHAIN, ORDER, RECORDS, STATION, WITHIN, Opened, Span
from central.store.rows import parts, stored, with_body
from central.store.schema import envelope, fact_index, fact_subject
from central.stored import StoredFact
from records.model import OperationRecord
from records.wire import CENTRAL

_NO_END = 2**63 - 1
LOOSE = (
    "agent-started",
    "device-lost",
    "device-connected",
    "device-changed",
    "clock-jump",
    "cycles-missed",
    "counter-period",
    "counter-wrapped",
    "reading-bad",
    "scan-refused",
    "run-aborted",
    "run-resumed",
    "spc-signal",
    "spc-subgroup",
    "chart-no-limits",
)
"""Events that concern an order though they may not name it."""
SHARED = ("spc-signal", "spc-subgroup", "reaction", "unit-held", "unit-released-at-station")
"""Events that concern every order whose pieces they name."""
SHARED_WITHIN = 5000
"""So many facts after an order's last one at a station, no chart names its pieces any more."""
MOST_BEFORE = 100
"""So many runs before an order's first are looked at for such that name no order."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds an order's facts, as ``central.dossier`` names it."""

    around: tuple[StoredFact, ...]
    neighbours: tuple[StoredFact, ...]
    counting: tuple[StoredFact, ...]
    chains: tuple[ChainEvidence, ...]
    epochs: tuple[EpochEvidence, ...]


# -- statements, built once: a judgement takes dozens of them -------------------------------------------------

_INDEXED = with_body().join(fact_index, fact_index.c.envelope_id == envelope.c.id)
_READABLE = _INDEXED.where(fact_index.c.readable.is_(True))
_RUNS_THERE = _READABLE.where(fact_index.c.kind == "operation_record", STATION)
_BOUNDS = (func.min(envelope.c.seq), func.max(envelope.c.seq))

_SPANS = (
    select(envelope.c.agent, envelope.c.epoch, *_BOUNDS)
    .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
    .where(fact_index.c.work_order == ORDER, envelope.c.stream == RECORDS, envelope.c.agent != CENTRAL)
    .group_by(envelope.c.agent, envelope.c.epoch)
)
_MACHINE_SPANS = (
    select(envelope.c.agent, envelope.c.epoch, fact_index.c.station, *_BOUNDS)
    .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
    .where(
        fact_index.c.work_order == ORDER,
        fact_index.c.kind == "operation_record",
        envelope.c.stream == RECORDS,
    )
    .group_by(envelope.c.agent, envelope.c.epoch, fact_index.c.station)
)
_LOOSE = _READABLE.where(*WITHIN, fact_index.c.code.in_(LOOSE), fact_index.c.work_order.is_(None))
_COUNTING = _READABLE.where(*WITHIN, fact_index.c.code.in_(COUNTING))
_OF_CENTRAL = _READABLE.where(
    fact_index.c.agent == CENTRAL,
    fact_index.c.stream == RECORDS,
    or_(
        fact_index.c.code == "conflict",
        and_(
            fact_index.c.code == "quarantined",
            fact_index.c.at_us.between(bindparam("began_us"), bindparam("ended_us")),
        ),
    ),
)
_OTHERS = _RUNS_THERE.where(*WITHIN, or_(fact_index.c.work_order.is_(None), fact_index.c.work_order != ORDER))
_BEFORE = _RUNS_THERE.where(*CHAIN, envelope.c.seq < bindparam("first")).order_by(envelope.c.seq.desc())
_LAST_BEFORE, _LATELY_BEFORE = _BEFORE.limit(1), _BEFORE.limit(MOST_BEFORE)


def _subjects(which: ColumnElement[bool]) -> Select[Any]:
    """What such records of a chain name, each with its station and order."""
    columns = (fact_subject.c.envelope_id, fact_subject.c.kind, fact_subject.c.scheme, fact_subject.c.id)
    return (
        select(*columns, envelope.c.seq, fact_index.c.station, fact_index.c.work_order)
        .join(envelope, envelope.c.id == fact_subject.c.envelope_id)
        .join(fact_index, fact_index.c.envelope_id == fact_subject.c.envelope_id)
        .where(*WITHIN, which)
        .order_by(envelope.c.seq)
    )


_SHARED = _subjects(
    and_(
        fact_index.c.code.in_(SHARED),
        fact_index.c.work_order.is_not(None),
        fact_index.c.work_order != ORDER,
        fact_index.c.readable.is_(True),
    )
)
_RUNS = _subjects(fact_index.c.kind == "operation_record")
_ELSEWHERE = (
    select(fact_subject.c.id, func.min(fact_index.c.work_order))
    .join(fact_index, fact_index.c.envelope_id == fact_subject.c.envelope_id)
    .where(
        fact_subject.c.id.in_(bindparam("serials", expanding=True)),
        fact_subject.c.kind == "unit",
        fact_subject.c.product == bindparam("product"),
        fact_index.c.kind == "operation_record",
        fact_index.c.work_order != ORDER,
    )
    .group_by(fact_subject.c.id)
)


# -- an order's records and those beside them -----------------------------------------------------------------


def surroundings(
    connection: Connection, reference: str, began_us: int | None, ended_us: int | None
) -> Surroundings:
    """What surrounds the facts of an order whose records say that it began and ended then."""
    where, machines = spans(connection, reference), machine_spans(connection, reference)
    opened = chains.opened(connection, {span.agent for span in (*where, *machines)})
    around = _loose(connection, where)
    if began_us is not None and ended_us is not None:
        around += _facts(connection, _OF_CENTRAL, {"began_us": began_us, "ended_us": ended_us})
    around += shared_events(connection, reference, machines)
    beside = _neighbours(connection, reference, machines, opened)
    counting = _counting(connection, machines, beside, opened)
    told = chains.epochs_of(connection, {agent: opened[agent] for agent in sorted({s.agent for s in where})})
    found = chains.evidence(connection, reference, where, told, opened)
    return Surroundings(tuple(around), tuple(beside), tuple(counting), found, told)


def spans(connection: Connection, reference: str) -> list[Span]:
    """Where the order's facts lie, per chain."""
    rows = connection.execute(_SPANS, {"order": reference})
    return [Span(agent, epoch, None, first, last) for agent, epoch, first, last in rows]


def machine_spans(connection: Connection, reference: str) -> list[Span]:
    """Where the order's operation records lie, per chain and station."""
    return [Span(*row) for row in connection.execute(_MACHINE_SPANS, {"order": reference})]


def _facts(connection: Connection, query: Select[Any], values: Mapping[str, object]) -> list[StoredFact]:
    return [stored(row) for row in connection.execute(query, values)]


def _loose(connection: Connection, where: Iterable[Span]) -> list[StoredFact]:
    """Events without an order between the order's first and last fact of each chain."""
    return [fact for span in where for fact in _facts(connection, _LOOSE, span.named())]


def shared_events(connection: Connection, reference: str, where: Iterable[Span]) -> list[StoredFact]:
    """Verdicts of charts that name this order's pieces and were made in a run of another order.

    Orders of one product go on with one chart: a subgroup or a run of points may begin in this order and end in a
    later one. An event is about this order's run where that was the subject's last one before it at its station (a
    carrier serves many orders). ``where``: the spans of machines.
    """
    machines_of: dict[tuple[str, str], list[Span]] = {}
    for span in where:
        machines_of.setdefault((span.agent, span.epoch), []).append(span)
    found: dict[int, StoredFact] = {}
    for machines in machines_of.values():
        for ids in parts(_naming(connection, reference, machines)):
            query = with_body().where(envelope.c.id.in_(ids))
            found |= {row.id: stored(row) for row in connection.execute(query)}
    return list(found.values())


def _naming(connection: Connection, reference: str, machines: Sequence[Span]) -> list[int]:
    """Ids of other orders' events at stations of one chain of which a subject was last worked on there for this
    order. They count from an order's first record there on until no chart names its pieces any more.

    Both sides are read by their place in the chain: a lot or carrier is named by any number of other records, too.
    """
    first, last = min(span.first for span in machines), max(span.last for span in machines) + SHARED_WITHIN
    place = machines[0].named(order=reference, first=first, last=last)
    until = {span.station: (span.first, span.last + SHARED_WITHIN) for span in machines}

    def there(row: Row[Any]) -> bool:
        low, high = until.get(row.station, (1, 0))
        return bool(low <= row.seq <= high)

    events = [*filter(there, connection.execute(_SHARED, place))]
    if not events:
        return []
    runs = deque(filter(there, connection.execute(_RUNS, place)))
    latest: dict[tuple[str, str, str, str], str | None] = {}
    found: dict[int, None] = {}  # in their order, each once
    for event in events:
        while runs and runs[0].seq < event.seq:
            run = runs.popleft()
            latest[run.station, run.kind, run.scheme, run.id] = run.work_order
        if latest.get((event.station, event.kind, event.scheme, event.id)) == reference:
            found[event.envelope_id] = None
    return list(found)


def read_by(connection: Connection, reference: str) -> tuple[list[Span], set[int]]:
    """What the judgement of an order stands on in the lines' chains: stretches that must be whole, and cursors of
    records outside of them. With ``epochs``, and with the order's own facts, that is all that it reads there.
    """
    where, machines = spans(connection, reference), machine_spans(connection, reference)
    opened = chains.opened(connection, {span.agent for span in machines})
    beside = _neighbours(connection, reference, machines, opened)
    around = [*shared_events(connection, reference, machines), *beside]
    around += _counting(connection, machines, beside, opened)
    return where, {fact.cursor for fact in around}


def _neighbours(connection: Connection, reference: str, where: Iterable[Span], opened: Opened) -> list[StoredFact]:
    """Other orders' records of the same machines in the order's time, and each machine's last one before it, with
    those of no order between them.

    An order may lie in several epochs of an agent, and a machine's record before it in an earlier one.
    """
    machines: dict[tuple[str, str | None], dict[str, Span]] = {}
    for span in where:
        machines.setdefault((span.agent, span.station), {})[span.epoch] = span
    found: list[StoredFact] = []
    for (agent, station), spans_of in machines.items():
        epochs_of = [*opened[agent]]
        order_of = [epoch for epoch in epochs_of if epoch in spans_of]
        begin, end = epochs_of.index(order_of[0]), epochs_of.index(order_of[-1])
        first, last = spans_of[order_of[0]], spans_of[order_of[-1]]
        for epoch in epochs_of[begin : end + 1]:
            low = first.first if epoch == first.epoch else 1
            high = last.last if epoch == last.epoch else _NO_END
            place = Span(agent, epoch, station, low, high)
            found += _facts(connection, _OTHERS, place.named(order=reference))
        for epoch in reversed(epochs_of[: begin + 1]):
            below = first.first if epoch == first.epoch else _NO_END
            place = Span(agent, epoch, station, below, below)
            before = _facts(connection, _LAST_BEFORE, place.named())
            if before and _orderless(before[0]):
                lately = _facts(connection, _LATELY_BEFORE, place.named())
                before = lately[: len([*takewhile(_orderless, lately)]) + 1]
            if before:
                found += before
                break
    return found


def _orderless(fact: StoredFact) -> bool:
    return isinstance(fact.fact.data, OperationRecord) and fact.fact.data.order is None


def _counting(
    connection: Connection, where: Sequence[Span], beside: Sequence[StoredFact], opened: Opened
) -> list[StoredFact]:
    """What agents say about the counts of their machines, from the records before the order's until its last.

    ``where``: the spans of machines, ``beside``: their ``_neighbours``.
    """
    epochs_of = {agent: [*theirs] for agent, theirs in opened.items()}
    places: dict[str, list[tuple[int, int]]] = {}
    for agent, epoch, seq in (
        *((span.agent, span.epoch, seq) for span in where for seq in (span.first, span.last)),
        *((fact.agent, fact.epoch, fact.seq) for fact in beside),
    ):
        places.setdefault(agent, []).append((epochs_of[agent].index(epoch), seq))
    found: list[StoredFact] = []
    for agent, theirs in places.items():
        (begin, first), (end, last) = min(theirs), max(theirs)
        for place in range(begin, end + 1):
            low, high = first if place == begin else 1, last if place == end else _NO_END
            found += _facts(connection, _COUNTING, Span(agent, epochs_of[agent][place], None, low, high).named())
    return found


def elsewhere(connection: Connection, reference: str, serials: Collection[str], product: str) -> dict[str, str]:
    """Serials of this product that another order's operation records name too -> that order."""
    found: dict[str, str] = {}
    for part in parts(sorted(serials)):
        rows = connection.execute(_ELSEWHERE, {"serials": part, "product": product, "order": reference})
        found |= {row[0]: row[1] for row in rows}
    return found
