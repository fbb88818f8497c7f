"""SQL that gathers what surrounds one order's facts: its chains, its machines' other records, loose events."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from central.counters import COUNTING
from central.domain import ChainEvidence, EpochEvidence, Gap
from central.store import envelopes, intake, proven_head
from central.store.gaps import Gaps
from central.store.rows import parts, stored, with_body
from central.store.schema import envelope, fact_index, fact_subject, tombstone, watermark
from central.stored import StoredFact
from records.model import EpochOpened
from records.wire import CENTRAL, Head

RECORDS = "records"
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


@dataclass(frozen=True, slots=True)
class Span:
    """First and last seq of an order's facts in one chain; ``station`` None: of all stations."""

    agent: str
    epoch: str
    station: str | None
    first: int
    last: int


def spans(connection: Connection, reference: str) -> list[Span]:
    """Where the order's facts lie, per chain."""
    query = (
        select(envelope.c.agent, envelope.c.epoch, func.min(envelope.c.seq), func.max(envelope.c.seq))
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(fact_index.c.work_order == reference, envelope.c.stream == RECORDS, envelope.c.agent != CENTRAL)
        .group_by(envelope.c.agent, envelope.c.epoch)
    )
    return [Span(agent, epoch, None, first, last) for agent, epoch, first, last in connection.execute(query)]


def machine_spans(connection: Connection, reference: str) -> list[Span]:
    """Where the order's operation records lie, per chain and station."""
    query = (
        select(
            envelope.c.agent,
            envelope.c.epoch,
            fact_index.c.station,
            func.min(envelope.c.seq),
            func.max(envelope.c.seq),
        )
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(
            fact_index.c.work_order == reference,
            fact_index.c.kind == "operation_record",
            envelope.c.stream == RECORDS,
        )
        .group_by(envelope.c.agent, envelope.c.epoch, fact_index.c.station)
    )
    return [Span(*row) for row in connection.execute(query)]


def loose_events(connection: Connection, where: Iterable[Span]) -> list[StoredFact]:
    """Events without an order between the order's first and last fact of each chain."""
    found: list[StoredFact] = []
    for span in where:
        query = _coded(span, LOOSE).where(fact_index.c.work_order.is_(None))
        found += [stored(row) for row in connection.execute(query)]
    return found


def shared_events(connection: Connection, reference: str, where: Iterable[Span]) -> list[StoredFact]:
    """Verdicts of charts that name this order's pieces and were made in a run of another order.

    Orders of one product go on with one chart: a subgroup or a run of points may begin in this order and end in a
    later one. An event is about this order's run where that was the subject's last one before it at its station (a
    carrier serves many orders). ``where``: the spans of machines.
    """
    found: dict[int, StoredFact] = {}
    for span in where:
        for ids in parts(_naming(connection, reference, span)):
            query = with_body().where(envelope.c.id.in_(ids))
            found |= {row.id: stored(row) for row in connection.execute(query)}
    return list(found.values())


def _naming(connection: Connection, reference: str, span: Span) -> list[int]:
    """Ids of other orders' events at a station of which a subject was last worked on there for this order.

    Both sides are read by their place in the chain: a lot or carrier is named by any number of other records, too.
    """
    others = and_(
        fact_index.c.code.in_(SHARED),
        fact_index.c.work_order.is_not(None),
        fact_index.c.work_order != reference,
        fact_index.c.readable.is_(True),
    )
    events = connection.execute(_subjects(span, others)).all()
    if not events:
        return []
    runs = deque(connection.execute(_subjects(span, fact_index.c.kind == "operation_record")))
    last: dict[tuple[str, str, str], str | None] = {}
    found: dict[int, None] = {}  # in their order, each once
    for event in events:
        while runs and runs[0].seq < event.seq:
            run = runs.popleft()
            last[run.kind, run.scheme, run.id] = run.work_order
        if last.get((event.kind, event.scheme, event.id)) == reference:
            found[event.envelope_id] = None
    return list(found)


def _subjects(span: Span, which: ColumnElement[bool]) -> Select[Any]:
    """What records of a station name, from an order's first one on until no chart names its pieces any more."""
    columns = (fact_subject.c.envelope_id, fact_subject.c.kind, fact_subject.c.scheme, fact_subject.c.id)
    return (
        select(*columns, envelope.c.seq, fact_index.c.work_order)
        .join(envelope, envelope.c.id == fact_subject.c.envelope_id)
        .join(fact_index, fact_index.c.envelope_id == fact_subject.c.envelope_id)
        .where(
            *_chain(span),
            envelope.c.seq.between(span.first, span.last + SHARED_WITHIN),
            fact_index.c.station == span.station,
            which,
        )
        .order_by(envelope.c.seq)
    )


def read_by(connection: Connection, reference: str) -> tuple[list[Span], set[int]]:
    """What the judgement of an order stands on in the lines' chains: stretches that must be whole, and cursors of
    records outside of them. With ``epochs``, and with the order's own facts, that is all that it reads there.
    """
    where, machines = spans(connection, reference), machine_spans(connection, reference)
    beside = neighbours(connection, reference, machines)
    around = [*shared_events(connection, reference, machines), *beside]
    around += counting_events(connection, machines, beside)
    return where, {fact.cursor for fact in around}


def central_events(connection: Connection, began_us: int, ended_us: int) -> list[StoredFact]:
    """What central stated about chains: every conflict, and what was quarantined in this time."""
    query = (
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(
            fact_index.c.agent == CENTRAL,
            fact_index.c.stream == RECORDS,
            or_(
                fact_index.c.code == "conflict",
                and_(fact_index.c.code == "quarantined", fact_index.c.at_us.between(began_us, ended_us)),
            ),
            fact_index.c.readable.is_(True),
        )
    )
    return [stored(row) for row in connection.execute(query)]


def neighbours(connection: Connection, reference: str, where: Iterable[Span]) -> list[StoredFact]:
    """Other orders' records of the same machines in the order's time, and each machine's last one before it.

    An order may lie in several epochs of an agent, and a machine's record before it in an earlier one.
    """
    machines: dict[tuple[str, str | None], dict[str, Span]] = {}
    for span in where:
        machines.setdefault((span.agent, span.station), {})[span.epoch] = span
    opened = _opened(connection, {agent for agent, _ in machines})
    found: list[StoredFact] = []
    for (agent, station), spans_of in machines.items():
        order_of = [epoch for epoch in opened[agent] if epoch in spans_of]
        begin, end = opened[agent].index(order_of[0]), opened[agent].index(order_of[-1])
        first, last = spans_of[order_of[0]], spans_of[order_of[-1]]
        for epoch in opened[agent][begin : end + 1]:
            low = first.first if epoch == first.epoch else 1
            high = last.last if epoch == last.epoch else _NO_END
            found += _others(connection, reference, Span(agent, epoch, station, low, high))
        for epoch in reversed(opened[agent][: begin + 1]):
            below = first.first if epoch == first.epoch else _NO_END
            before = _last_before(connection, Span(agent, epoch, station, below, below))
            if before is not None:
                found.append(before)
                break
    return found


def counting_events(
    connection: Connection, where: Sequence[Span], beside: Sequence[StoredFact]
) -> list[StoredFact]:
    """What agents say about the counts of their machines, from the records before the order's until its last.

    ``where``: the spans of machines, ``beside``: their ``neighbours``.
    """
    opened = _opened(connection, {span.agent for span in where})
    places: dict[str, list[tuple[int, int]]] = {}
    for agent, epoch, seq in (
        *((span.agent, span.epoch, seq) for span in where for seq in (span.first, span.last)),
        *((fact.agent, fact.epoch, fact.seq) for fact in beside),
    ):
        places.setdefault(agent, []).append((opened[agent].index(epoch), seq))
    found: list[StoredFact] = []
    for agent, theirs in places.items():
        (begin, first), (end, last) = min(theirs), max(theirs)
        for place in range(begin, end + 1):
            low, high = first if place == begin else 1, last if place == end else _NO_END
            query = _coded(Span(agent, opened[agent][place], None, low, high), COUNTING)
            found += [stored(row) for row in connection.execute(query)]
    return found


def _coded(span: Span, codes: Sequence[str]) -> Select[tuple[object, ...]]:
    return (
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(*_within(span), fact_index.c.code.in_(codes), fact_index.c.readable.is_(True))
    )


def _machine(span: Span) -> Select[tuple[object, ...]]:
    return (
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(
            fact_index.c.kind == "operation_record",
            fact_index.c.station == span.station,
            fact_index.c.readable.is_(True),
        )
    )


def _others(connection: Connection, reference: str, span: Span) -> list[StoredFact]:
    query = _machine(span).where(
        *_within(span), or_(fact_index.c.work_order.is_(None), fact_index.c.work_order != reference)
    )
    return [stored(row) for row in connection.execute(query)]


def _last_before(connection: Connection, span: Span) -> StoredFact | None:
    query = _machine(span).where(*_chain(span), envelope.c.seq < span.first)
    row = connection.execute(query.order_by(envelope.c.seq.desc()).limit(1)).first()
    return None if row is None else stored(row)


def _opened(connection: Connection, agents: Collection[str]) -> dict[str, list[str]]:
    """Agent -> its epochs in the order in which they were opened."""
    query = (
        select(watermark.c.agent, watermark.c.epoch)
        .where(watermark.c.stream == RECORDS, watermark.c.agent.in_(sorted(agents)))
        .order_by(watermark.c.agent, watermark.c.opened)
    )
    found: dict[str, list[str]] = {}
    for agent, epoch in connection.execute(query):
        found.setdefault(agent, []).append(epoch)
    return found


def _chain(span: Span) -> tuple[ColumnElement[bool], ...]:
    return (envelope.c.agent == span.agent, envelope.c.epoch == span.epoch, envelope.c.stream == RECORDS)


def _within(span: Span) -> tuple[ColumnElement[bool], ...]:
    return (*_chain(span), envelope.c.seq.between(span.first, span.last))


def elsewhere(connection: Connection, reference: str, serials: Collection[str], product: str) -> dict[str, str]:
    """Serials of this product that another order's operation records name too -> that order."""
    found: dict[str, str] = {}
    for part in parts(sorted(serials)):
        query = (
            select(fact_subject.c.id, func.min(fact_index.c.work_order))
            .join(fact_index, fact_index.c.envelope_id == fact_subject.c.envelope_id)
            .where(
                fact_subject.c.id.in_(part),
                fact_subject.c.kind == "unit",
                fact_subject.c.product == product,
                fact_index.c.kind == "operation_record",
                fact_index.c.work_order != reference,
            )
            .group_by(fact_subject.c.id)
        )
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


# -- chains ------------------------------------------------------------------------------------------------


def chains(
    connection: Connection, reference: str, where: Iterable[Span], told: Sequence[EpochEvidence]
) -> tuple[ChainEvidence, ...]:
    """What is known about the chains of an order's spans, in the order in which their epochs were opened.

    ``told``: the epochs of the agents concerned.
    """
    rows = connection.execute(select(watermark).where(watermark.c.stream == RECORDS)).all()
    opened = {(row.agent, row.epoch): row.opened for row in rows}
    through = {(row.agent, row.epoch): row.committed_through for row in rows}
    found = []
    for span in sorted(where, key=lambda s: (s.agent, opened.get((s.agent, s.epoch), 0), s.epoch)):
        key = (span.agent, span.epoch)
        last = through.get(key, 0)
        head = proven_head.proven(connection, *key)
        behind = _behind(told, *key)
        cut_off = bool(behind) and not _left_behind(connection, reference, span)
        count, tombstones = connection.execute(
            select(func.count(), func.count(tombstone.c.envelope_id))
            .select_from(envelope.outerjoin(tombstone, tombstone.c.envelope_id == envelope.c.id))
            .where(*_within(span))
        ).one()
        found.append(
            ChainEvidence(
                agent=span.agent,
                epoch=span.epoch,
                first=span.first,
                last=span.last,
                stored=count,
                tombstones=tombstones,
                through=last,
                through_us=_time_of(connection, span, last),
                head_last=None if head is None else head.last,
                head_us=None if head is None else head.at_us,
                lost_after=behind if cut_off else (),
            )
        )
    return tuple(found)


def _behind(told: Sequence[EpochEvidence], agent: str, epoch: str) -> tuple[Gap, ...]:
    """What is lost behind a chain: named by the epoch after it, or together with a gap of its own."""
    theirs = [each for each in told if each.agent == agent]
    index = next((index for index, each in enumerate(theirs) if each.epoch == epoch), len(theirs))
    return tuple(
        gap
        for place, each in enumerate(theirs[index + 1 :])
        if place == 0 or any(gap.epoch == epoch for gap in each.gaps)
        for gap in each.gaps
    )


def _left_behind(connection: Connection, reference: str, span: Span) -> bool:
    """Whether every station that worked on the order in this chain went on to another order there."""
    at_stations = select(fact_index.c.station, envelope.c.seq).join(
        envelope, fact_index.c.envelope_id == envelope.c.id
    )
    worked = at_stations.where(
        *_within(span), fact_index.c.work_order == reference, fact_index.c.station.is_not(None)
    )
    stations = {
        station for (station,) in connection.execute(worked.with_only_columns(fact_index.c.station).distinct())
    }
    later = at_stations.where(
        *_chain(span),
        envelope.c.seq > span.last,
        fact_index.c.work_order.is_not(None),
        fact_index.c.work_order != reference,
    )
    went_on = (
        connection.execute(later.where(fact_index.c.station == station).order_by(envelope.c.seq).limit(1)).first()
        for station in stations
    )
    return bool(stations) and all(row is not None for row in went_on)


def _time_of(connection: Connection, span: Span, seq: int) -> int:
    query = (
        select(fact_index.c.at_us, envelope.c.received_us)
        .join(envelope, fact_index.c.envelope_id == envelope.c.id)
        .where(*_chain(span), envelope.c.seq == seq)
    )
    row = connection.execute(query).one_or_none()
    return 0 if row is None else intake.stated_us(row.at_us or 0, row.received_us)


def epochs(connection: Connection, agents: Collection[str]) -> tuple[EpochEvidence, ...]:
    """Every epoch of some agents, each agent's in the order in which they were opened."""
    found = []
    for agent, opened in _opened(connection, agents).items():
        before: str | None = None
        last: Head | None = None
        named = Gaps(connection, agent)
        for epoch in opened:
            first = _first(connection, agent, epoch)
            head = proven_head.proven(connection, agent, epoch)
            gaps = named.named_in(epoch, first)
            follows = False
            if before is not None and first is not None:
                follows = _joined(connection, first, before) or _after(first, last)
            found.append(
                EpochEvidence(
                    agent=agent,
                    epoch=epoch,
                    opened_us=None
                    if first is None
                    else intake.stated_us(first.fact.header.at_us, first.received_us),
                    joined=follows and not gaps,
                    head_last=None if head is None else head.last,
                    head_us=None if head is None else head.at_us,
                    gaps=gaps,
                )
            )
            before, last = epoch, head
    return tuple(found)


def _first(connection: Connection, agent: str, epoch: str) -> StoredFact | None:
    query = with_body().where(
        envelope.c.agent == agent,
        envelope.c.epoch == epoch,
        envelope.c.stream == RECORDS,
        envelope.c.seq == 1,
        envelope.c.kind == "epoch_opened",
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else stored(row)


def _joined(connection: Connection, first: StoredFact, before: str) -> bool:
    """Whether an epoch's first record names the epoch before it and a last record that is here, with its hash."""
    data = first.fact.data
    if not isinstance(data, EpochOpened) or data.predecessor != before:
        return False
    last = data.predecessor_last
    mark = intake.watermark_of(connection, first.agent, before, RECORDS)
    if last is None or mark is None or mark.committed_through < last:
        return False
    held = envelopes.hashes(connection, first.agent, before, RECORDS, last, last).get(last)
    return last == 0 or (held is not None and held.hex() == data.predecessor_head)


def _after(first: StoredFact, last: Head | None) -> bool:
    """Whether an epoch that names none before it began when all of the one before was here, as its head says: a PC
    that died was replaced, and its file was imported. It began when it says, but no later than it came: where the
    new PC's clock is wrong, only a head from after it came will do.
    """
    data = first.fact.data
    alone = isinstance(data, EpochOpened) and data.predecessor is None
    began_us = max(first.fact.header.at_us, first.received_us)
    return alone and last is not None and last.at_us >= began_us
