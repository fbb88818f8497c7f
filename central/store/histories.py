"""SQL of a station's history as charts see it: its operation records and what happened to its charts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, or_, select

from central.store.rows import stored, with_body
from central.store.schema import body, envelope, fact_index
from central.stored import StoredFact
from records.model import OperationsEvent, decode
from records.wire import CENTRAL

CODES = ("spc-subgroup", "chart-restarted", "chart-dropped", "station-configured")
READ_AT_ONCE = 500


def of_station(connection: Connection, agent: str, station: str) -> Iterator[StoredFact]:
    """Readable operation records and charting events of a station in the order of their commit."""
    after = 0
    while True:
        query = (
            with_body()
            .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
            .where(fact_index.c.agent == agent, fact_index.c.station == station, envelope.c.stream == "records")
            .where(or_(fact_index.c.kind == "operation_record", fact_index.c.code.in_(CODES)))
            .where(fact_index.c.readable.is_(True), envelope.c.id > after)
            .order_by(envelope.c.id)
            .limit(READ_AT_ONCE)
        )
        rows = connection.execute(query).all()
        yield from map(stored, rows)
        if len(rows) < READ_AT_ONCE:
            return
        after = rows[-1].id


def unreadable(connection: Connection, agent: str) -> int:
    """How many operation records of an agent have no body any more, or one that nobody can read."""
    query = select(func.count()).where(
        fact_index.c.agent == agent,
        fact_index.c.kind == "operation_record",
        fact_index.c.stream == "records",
        fact_index.c.readable.is_(False),
    )
    return connection.execute(query).scalar() or 0


def known_hash(connection: Connection, chain_hash: str) -> bool:
    """Whether a record with this chain hash (hexadecimal) is held; never one that is no hash."""
    raw = bytes_of(chain_hash)
    return raw is not None and (
        connection.execute(select(envelope.c.id).where(envelope.c.hash == raw)).first() is not None
    )


def bytes_of(chain_hash: str) -> bytes | None:
    """A chain hash as it is stored; None for what a record calls one and is none."""
    try:
        return bytes.fromhex(chain_hash)
    except ValueError:
        return None


def issued(connection: Connection, kinds: tuple[str, ...]) -> dict[tuple[str, str, int], object]:
    """Content of every document of some kinds that central ever issued, by kind, id and version."""
    query = (
        with_body(envelope.c.kind, body.c.body)
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(fact_index.c.agent == CENTRAL, fact_index.c.code == "document-issued")
        .where(fact_index.c.readable.is_(True))
        .order_by(envelope.c.id)
    )
    found: dict[tuple[str, str, int], object] = {}
    for row in connection.execute(query):
        if not any(b'"%s"' % kind.encode() in row.body for kind in kinds):  # most are work orders: not read
            continue
        event = decode(row.kind, row.body).data
        if isinstance(event, OperationsEvent) and event.params.get("kind") in kinds:
            params = event.params
            key = (str(params["kind"]), str(params["id"]), int(str(params["version"])))
            found[key] = params.get("content")
    return found
