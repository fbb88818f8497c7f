"""SQL that finds records: by what they are about, by hash, and what people did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, exists, or_

from central.store.rows import parts, stored, with_body
from central.store.schema import envelope, fact_index, fact_subject
from central.stored import StoredFact
from records.wire import CENTRAL


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
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(*conditions)
        .order_by(envelope.c.id)
        .limit(wanted.limit)
    )
    return [stored(row) for row in connection.execute(query)]


def by_hash(connection: Connection, chain_hash: str) -> StoredFact | None:
    """The readable record with this chain hash (hexadecimal)."""
    try:
        raw = bytes.fromhex(chain_hash)
    except ValueError:
        return None
    row = connection.execute(
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(envelope.c.hash == raw, fact_index.c.readable.is_(True))
    ).one_or_none()
    return None if row is None else stored(row)


def by_hashes(connection: Connection, hashes: Iterable[str]) -> dict[str, StoredFact]:
    """The readable records of these chain hashes (hexadecimal), by hash."""
    found: dict[str, StoredFact] = {}
    for part in parts(map(bytes.fromhex, hashes)):
        query = (
            with_body()
            .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
            .where(envelope.c.hash.in_(part), fact_index.c.readable.is_(True))
        )
        found |= {fact.hash: fact for fact in map(stored, connection.execute(query))}
    return found


def acts(
    connection: Connection, *, code: str | None = None, before: int | None = None, limit: int
) -> list[StoredFact]:
    """What people did, newest first: central's audit stream and enrolments, and decisions, those of a line too."""
    decided = fact_index.c.kind == "decision"
    stated = or_(fact_index.c.stream == "audit", decided, fact_index.c.code == "agent-enrolled")
    query = (
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(
            fact_index.c.readable.is_(True),
            or_(and_(fact_index.c.agent == CENTRAL, stated), and_(fact_index.c.stream == "records", decided)),
        )
        .order_by(envelope.c.id.desc())
        .limit(limit)
    )
    if code is not None:
        query = query.where(fact_index.c.code == code)
    if before is not None:
        query = query.where(envelope.c.id < before)
    return [stored(row) for row in connection.execute(query)]
