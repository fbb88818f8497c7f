"""SQL of telemetry chunks: which of them hold readings of a device in a span of time; derived at their commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Index, Table, func, select, tuple_

from central.store.bulk import Insert
from central.store.packed import unpack
from central.store.rows import OF_TELEMETRY
from central.store.schema import envelope, metadata, telemetry_body
from central.store.types import Serial, Text

READ_AT_ONCE = 100

telemetry_chunk = Table(
    "telemetry_chunk",
    metadata,
    Column("envelope_id", Serial, ForeignKey("envelope.id"), primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),  # by the agent's clock
    Column("last_us", BigInteger, nullable=False),
    Index(None, "agent", "device", "first_us"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Of which device a chunk is, and the agent's clock at its first and last row."""

    device: str
    first_us: int
    last_us: int


_ADD = Insert(telemetry_chunk, "envelope_id", "agent", "device", "first_us", "last_us")


def add(connection: Connection, spans: Sequence[tuple[int, str, Span]]) -> None:
    """Index stored chunks: cursor, agent and span of each."""
    _ADD(connection, [(cursor, agent, s.device, s.first_us, s.last_us) for cursor, agent, s in spans])


def chunks(
    connection: Connection, agent: str, device: str, from_us: int, to_us: int, longest_us: int
) -> Iterator[tuple[int, bytes | None]]:
    """(first time, body) of chunks that may hold readings from ``from_us`` to before ``to_us``, in that order.

    The body is None where a tombstone stands in its place. No chunk lasts longer than ``longest_us``, so the index
    need not be read further back.
    """
    table, after = telemetry_chunk.c, (from_us - longest_us, 0)
    query = (
        select(table.envelope_id, table.first_us, telemetry_body.c.body)
        .join(envelope, envelope.c.id == table.envelope_id)
        .outerjoin(telemetry_body, OF_TELEMETRY)
        .where(table.agent == agent, table.device == device, table.first_us < to_us, table.last_us >= from_us)
        .order_by(table.first_us, table.envelope_id)
        .limit(READ_AT_ONCE)
    )
    while True:
        rows = connection.execute(query.where(tuple_(table.first_us, table.envelope_id) > after)).all()
        yield from ((row.first_us, None if row.body is None else unpack(row.body)) for row in rows)
        if len(rows) < READ_AT_ONCE:
            return
        after = rows[-1].first_us, rows[-1].envelope_id


def sources(connection: Connection) -> list[tuple[str, str, int]]:
    """Every (agent, device) with chunks, in this order, and when its last began; by steps through the index."""
    table, found = telemetry_chunk.c, list[tuple[str, str, int]]()
    after = ("", "")
    while True:
        row = connection.execute(
            select(table.agent, table.device)
            .where(tuple_(table.agent, table.device) > after)
            .order_by(table.agent, table.device)
            .limit(1)
        ).one_or_none()
        if row is None:
            return found
        after = row.agent, row.device
        newest = select(func.max(table.first_us)).where(table.agent == row.agent, table.device == row.device)
        found.append((row.agent, row.device, connection.execute(newest).scalar_one()))


def newest(
    connection: Connection, agent: str, device: str, since_us: int, limit: int
) -> Iterator[tuple[int, bytes]]:
    """(first time, body) of the newest chunks of a device that began since ``since_us``, the newest first."""
    table = telemetry_chunk.c
    rows = connection.execute(
        select(table.first_us, telemetry_body.c.body)
        .select_from(telemetry_chunk)
        .join(envelope, envelope.c.id == table.envelope_id)
        .join(telemetry_body, OF_TELEMETRY)
        .where(table.agent == agent, table.device == device, table.first_us >= since_us)
        .order_by(table.first_us.desc())
        .limit(limit)
    )
    return ((row.first_us, unpack(row.body)) for row in rows)
