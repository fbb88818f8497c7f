"""SQL of heads that gave way to higher ones before what they name was here: it must come with that very hash.

An older copy of a disk that is put back goes on under the same numbers, and may sign a higher head before any of
its records is here. What the disk had signed would be forgotten with the head that it outdid.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, delete, exists, func, inspect, select

from central.store.schema import envelope, metadata
from central.store.types import Text
from records.wire import Head

RECORDS = "records"
MOST = 1000
"""So many are kept of one chain; those whose records came make room for others."""

awaited_head = Table(
    "awaited_head",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("last", BigInteger, primary_key=True),
    Column("hash", LargeBinary(32), primary_key=True),
)

_OF_IT = (
    (envelope.c.agent == awaited_head.c.agent)
    & (envelope.c.epoch == awaited_head.c.epoch)
    & (envelope.c.stream == RECORDS)
    & (envelope.c.seq == awaited_head.c.last)
)
_CAME = exists().where(_OF_IT, envelope.c.hash == awaited_head.c.hash)


def known(connection: Connection) -> bool:
    """Whether the database keeps them: one that only an older central was started on does not."""
    return inspect(connection).has_table(awaited_head.name)


def keep(connection: Connection, head: Head) -> None:
    """Remember a head of records that gives way to another; of too many that never came the first ones stay."""
    of = (awaited_head.c.agent == head.agent, awaited_head.c.epoch == head.epoch)
    same = (*of, awaited_head.c.last == head.last, awaited_head.c.hash == bytes.fromhex(head.hash))
    if connection.execute(select(awaited_head.c.last).where(*same)).first() is not None:
        return
    counted = select(func.count()).select_from(awaited_head).where(*of)
    if connection.execute(counted).scalar_one() >= MOST:
        connection.execute(delete(awaited_head).where(*of, _CAME))
    if connection.execute(counted).scalar_one() < MOST:
        values = {"agent": head.agent, "epoch": head.epoch, "last": head.last, "hash": bytes.fromhex(head.hash)}
        connection.execute(awaited_head.insert().values(values))


def contradicted(connection: Connection, agent: str, epoch: str) -> list[tuple[int, bytes]]:
    """Seq and signed hash of those of a chain under whose number another record is here, by seq."""
    query = (
        select(awaited_head.c.last, awaited_head.c.hash)
        .join(envelope, _OF_IT)
        .where(awaited_head.c.agent == agent, awaited_head.c.epoch == epoch)
        .where(envelope.c.hash != awaited_head.c.hash)
        .order_by(awaited_head.c.last)
    )
    return [(row.last, row.hash) for row in connection.execute(query)]
