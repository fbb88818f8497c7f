"""SQL of heads that prove something: per chain, the highest that its agent signed and whose records are all here.

What was proven once stays proven while the agent goes on with other work. A head counts until the time by its
agent's clock, but no longer than until it came by central's: neither clock proves anything by being ahead.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, select, update

from central.store import envelopes, intake
from central.store.schema import metadata
from central.store.types import Text
from records.wire import Head

RECORDS = "records"

proven_head = Table(
    "proven_head",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("at_us", BigInteger, nullable=False),  # until when it counts
)


def proven(connection: Connection, agent: str, epoch: str) -> Head | None:
    """The highest signed head of a chain whose records are all here; ``at_us`` is until when it counts."""
    row = connection.execute(
        select(proven_head).where(proven_head.c.agent == agent, proven_head.c.epoch == epoch)
    ).one_or_none()
    return None if row is None else Head(agent, epoch, RECORDS, row.last, row.hash.hex(), row.at_us)


def provable(connection: Connection) -> list[Head]:
    """Heads that have come since, whose records are all here with the very hash, and that say more; each with the
    time until which it counts.
    """
    found = []
    for stated, received_us, _ in intake.heads(connection):
        head = replace(stated, at_us=intake.stated_us(stated.at_us, received_us))
        mark = intake.watermark_of(connection, head.agent, head.epoch, head.stream)
        if head.stream != RECORDS or mark is None or mark.committed_through < head.last:
            continue
        known = proven(connection, head.agent, head.epoch)
        if known is not None and (known.last, known.at_us) >= (head.last, head.at_us):
            continue
        held = envelopes.hashes(connection, head.agent, head.epoch, RECORDS, head.last, head.last)
        if head.last == 0 or held.get(head.last) == bytes.fromhex(head.hash):
            found.append(head)
    return found


def prove(connection: Connection, head: Head) -> None:
    """Keep a head that ``provable`` gave."""
    values = {"last": head.last, "hash": bytes.fromhex(head.hash), "at_us": head.at_us}
    same = (proven_head.c.agent == head.agent) & (proven_head.c.epoch == head.epoch)
    if not connection.execute(update(proven_head).where(same).values(**values)).rowcount:
        connection.execute(proven_head.insert().values(agent=head.agent, epoch=head.epoch, **values))


def ahead(connection: Connection, now_us: int) -> bool:
    """Whether a head came, or counts until, later than now: central's clock was ahead then."""
    query = select(proven_head.c.agent).where(proven_head.c.at_us > now_us).limit(1)
    return intake.heads_ahead(connection, now_us) or connection.execute(query).first() is not None


def put_right(connection: Connection, now_us: int) -> None:
    """Such heads prove nothing of what comes from now on."""
    intake.heads_came_by(connection, now_us)
    connection.execute(update(proven_head).where(proven_head.c.at_us > now_us).values(at_us=now_us))
