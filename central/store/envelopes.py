"""SQL of records: envelopes, the frames that brought them, and the index that finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, and_, exists, func, or_, select

from central.store.schema import envelope, fact_index, fact_subject, frame
from central.stored import StoredFact
from records.errors import Invalid, StorageFailed
from records.model import Data, Decision, Fact, OperationRecord, OperationsEvent, Subject, decode
from records.wire import CENTRAL, Envelope, Frame, Tombstone

READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of ``facts``; None: any."""

    order: str | None = None
    lot: str | None = None
    product: str | None = None
    kinds: Sequence[str] | None = None
    codes: Sequence[str] | None = None
    stations: Sequence[str] | None = None
    subject: str | None = None
    run_id: str | None = None
    agent: str | None = None
    stream: str = "records"
    after: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a record is about, for the index: order, product, lot where its body does not say it itself."""

    order: str | None = None
    product: str | None = None
    lot: str | None = None


def add(
    connection: Connection, item: Envelope, fact: Fact | None, received_us: int, about: About | None = None
) -> int:
    """Store one envelope and its index row; the cursor. ``fact`` None: a tombstone or a body nobody can read."""
    tombstone = item.tombstone
    result = connection.execute(
        envelope.insert().values(
            agent=item.agent,
            epoch=item.epoch,
            stream=item.stream,
            seq=item.seq,
            schema=item.schema,
            kind=item.kind,
            digest=item.digest,
            hash=item.hash,
            body=item.body,
            tombstone_reason=None if tombstone is None else tombstone.reason,
            tombstone_by=None if tombstone is None else tombstone.by,
            received_us=received_us,
        )
    )
    cursor = inserted_id(result)
    row: dict[str, object] = {"agent": item.agent, "stream": item.stream, "kind": item.kind}
    if fact is not None:
        row |= _index(fact, about or About())
    connection.execute(fact_index.insert().values(envelope_id=cursor, readable=fact is not None, **row))
    subjects = [] if fact is None else list(_subjects(fact.data))
    if subjects:
        connection.execute(
            fact_subject.insert(),
            [
                {
                    "envelope_id": cursor,
                    "position": position,
                    "kind": subject.kind.value,
                    "product": subject.product,
                    "scheme": subject.scheme,
                    "id": subject.id,
                }
                for position, subject in enumerate(subjects)
            ],
        )
    return cursor


def inserted_id(result: CursorResult[Any]) -> int:
    """The number that the database gave to the row that was just inserted."""
    key = result.inserted_primary_key
    if key is None:
        raise StorageFailed("the database gave no row number")
    return int(key[0])


def add_frame(connection: Connection, item: Frame, received_us: int) -> None:
    """Keep who vouched for these records."""
    connection.execute(
        frame.insert().values(
            agent=item.agent,
            epoch=item.epoch,
            stream=item.stream,
            first=item.first,
            last=item.last,
            previous=item.previous,
            head=item.head,
            key=item.key,
            signature=item.signature,
            received_us=received_us,
        )
    )


def hashes(connection: Connection, agent: str, epoch: str, stream: str, first: int, last: int) -> dict[int, bytes]:
    """Seq -> chain hash of what is held."""
    rows = connection.execute(
        select(envelope.c.seq, envelope.c.hash).where(
            envelope.c.agent == agent,
            envelope.c.epoch == epoch,
            envelope.c.stream == stream,
            envelope.c.seq.between(first, last),
        )
    )
    return {row.seq: row.hash for row in rows}


def facts(connection: Connection, wanted: Wanted) -> list[StoredFact]:
    """Readable records in the order of their commit."""
    conditions = [fact_index.c.readable.is_(True), fact_index.c.stream == wanted.stream]
    equal = {
        fact_index.c.work_order: wanted.order,
        fact_index.c.lot: wanted.lot,
        fact_index.c.product: wanted.product,
        fact_index.c.run_id: wanted.run_id,
        fact_index.c.agent: wanted.agent,
    }
    conditions += [column == value for column, value in equal.items() if value is not None]
    among = {
        fact_index.c.kind: wanted.kinds,
        fact_index.c.code: wanted.codes,
        fact_index.c.station: wanted.stations,
    }
    conditions += [column.in_(list(values)) for column, values in among.items() if values is not None]
    if wanted.subject is not None:
        conditions.append(
            exists().where(
                and_(fact_subject.c.envelope_id == fact_index.c.envelope_id, fact_subject.c.id == wanted.subject)
            )
        )
    if wanted.after is not None:
        conditions.append(fact_index.c.envelope_id > wanted.after)
    query = (
        select(envelope)
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(*conditions)
        .order_by(envelope.c.id)
        .limit(wanted.limit)
    )
    return [_stored(row) for row in connection.execute(query)]


def by_hash(connection: Connection, chain_hash: str) -> StoredFact | None:
    """The readable record with this chain hash (hexadecimal)."""
    try:
        raw = bytes.fromhex(chain_hash)
    except ValueError:
        return None
    row = connection.execute(
        select(envelope)
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(envelope.c.hash == raw, fact_index.c.readable.is_(True))
    ).one_or_none()
    return None if row is None else _stored(row)


def acts(
    connection: Connection, *, code: str | None = None, before: int | None = None, limit: int
) -> list[StoredFact]:
    """What people did: central's audit stream and its decisions, newest first."""
    decided = and_(fact_index.c.kind == "decision", fact_index.c.stream == "records")
    query = (
        select(envelope)
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(
            fact_index.c.agent == CENTRAL,
            fact_index.c.readable.is_(True),
            or_(fact_index.c.stream == "audit", decided),
        )
        .order_by(envelope.c.id.desc())
        .limit(limit)
    )
    if code is not None:
        query = query.where(fact_index.c.code == code)
    if before is not None:
        query = query.where(envelope.c.id < before)
    return [_stored(row) for row in connection.execute(query)]


def last_cursor(connection: Connection) -> int:
    """The cursor of the newest record; 0 when there is none."""
    return connection.execute(select(func.max(envelope.c.id))).scalar() or 0


def chains(connection: Connection) -> list[tuple[str, str, str]]:
    """Every (agent, epoch, stream) that is held, by the arrival of its first record."""
    rows = connection.execute(
        select(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .group_by(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .order_by(func.min(envelope.c.id))
    )
    return [(agent, epoch, stream) for agent, epoch, stream in rows]


def walk(connection: Connection, agent: str, epoch: str, stream: str) -> Iterator[Envelope]:
    """The envelopes of one chain by seq, read in portions."""
    after = -1
    while True:
        rows = connection.execute(
            select(envelope)
            .where(
                envelope.c.agent == agent,
                envelope.c.epoch == epoch,
                envelope.c.stream == stream,
                envelope.c.seq > after,
            )
            .order_by(envelope.c.seq)
            .limit(READ_AT_ONCE)
        ).all()
        if not rows:
            return
        yield from (_envelope(row) for row in rows)
        after = rows[-1].seq


def frames(connection: Connection, agent: str, epoch: str, stream: str) -> list[Frame]:
    """What vouches for one chain, without the records themselves."""
    rows = connection.execute(
        select(frame)
        .where(frame.c.agent == agent, frame.c.epoch == epoch, frame.c.stream == stream)
        .order_by(frame.c.first, frame.c.id)
    )
    return [
        Frame(r.agent, r.epoch, r.stream, r.first, r.last, r.previous, r.head, r.key, r.signature, ())
        for r in rows
    ]


def _envelope(row: Row[tuple[object, ...]]) -> Envelope:
    tombstone = None
    if row.tombstone_reason is not None:
        tombstone = Tombstone(row.digest.hex(), row.tombstone_reason, row.tombstone_by or "")
    return Envelope(
        row.agent,
        row.epoch,
        row.stream,
        row.seq,
        row.schema,
        row.kind,
        row.digest,
        row.hash,
        row.body,
        tombstone,
    )


def _stored(row: Row[tuple[object, ...]]) -> StoredFact:
    if row.body is None:
        raise Invalid(f"record {row.agent} {row.stream} {row.seq} has no body")
    fact = decode(row.kind, row.body)
    return StoredFact(
        row.agent, row.epoch, row.stream, row.seq, row.hash.hex(), row.kind, fact, row.received_us, row.id
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _bounded(value: int | None) -> int | None:
    """A number that no 64-bit column can hold stays in the body only."""
    return value if value is not None and -(2**63) <= value < 2**63 else None


def _index(fact: Fact, about: About) -> dict[str, object]:
    data = fact.data
    row: dict[str, object] = {"at_us": _bounded(fact.header.at_us), "station": fact.header.station}
    order, product, lot = about.order, about.product, about.lot
    match data:
        case OperationRecord():
            order, product, lot = order or data.order, product or data.product, lot or data.lot
            row |= {"station": data.station, "operation": data.operation, "cycle": _bounded(data.cycle)}
            row |= {"run_id": data.run_id, "purpose": data.purpose.value}
        case OperationsEvent(params=params):
            order = order or data.order or _text(params.get("order"))
            product = product or _text(params.get("product")) or _text(params.get("item"))
            lot = lot or _text(params.get("lot"))
            row |= {"code": data.code, "run_id": _text(params.get("run_id"))}
        case Decision(target=target):
            row["code"] = data.act.value
            order = order or (target.id if target.kind == "order" else None)
        case _:
            row["code"] = "epoch-opened"
    return row | {"work_order": order, "product": product, "lot": lot}


def _subjects(data: Data) -> Iterable[Subject]:
    found: list[Subject | None] = []
    match data:
        case OperationRecord():
            found += [result.subject for result in data.subjects]
            found += [subject for material in data.materials for subject in (material.source, material.target)]
        case OperationsEvent():
            found += data.subjects
        case _:
            pass
    return list({subject.key: subject for subject in found if subject is not None}.values())
