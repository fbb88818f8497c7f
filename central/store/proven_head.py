"""SQL of heads that prove something: per chain, the highest that its agent signed and whose records are all here.

What was proven once stays proven while the agent goes on with other work. A head counts until the time by its
agent's clock, but no longer than until it came by central's: neither clock proves anything by being ahead.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, and_, bindparam, select, update

from central.store import envelopes, intake
from central.store.schema import head as stated
from central.store.schema import metadata, watermark
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

_OF_AGENTS = select(proven_head).where(proven_head.c.agent.in_(bindparam("agents", expanding=True)))
_HERE = (
    select(
        *(stated.c.agent, stated.c.epoch, stated.c.last, stated.c.hash, stated.c.at_us, stated.c.received_us),
        proven_head.c.last.label("known_last"),
        proven_head.c.at_us.label("known_us"),
    )
    .join(
        watermark,
        and_(
            watermark.c.agent == stated.c.agent,
            watermark.c.stream == stated.c.stream,
            watermark.c.epoch == stated.c.epoch,
            watermark.c.committed_through >= stated.c.last,
        ),
    )
    .outerjoin(proven_head, and_(proven_head.c.agent == stated.c.agent, proven_head.c.epoch == stated.c.epoch))
    .where(stated.c.stream == RECORDS)
    .order_by(stated.c.agent, stated.c.received_us)
)
"""Heads of which all records are here, each with what is proven of its chain."""


def of_agents(connection: Connection, agents: Collection[str]) -> dict[tuple[str, str], Head]:
    """Agent and epoch -> the highest signed head of the chain whose records are all here, of some agents' chains;
    ``at_us`` is until when it counts.
    """
    rows = connection.execute(_OF_AGENTS, {"agents": sorted(agents)})
    return {(r.agent, r.epoch): Head(r.agent, r.epoch, RECORDS, r.last, r.hash.hex(), r.at_us) for r in rows}


def provable(connection: Connection) -> list[Head]:
    """Heads that have come since, whose records are all here with the very hash, and that say more; each with the
    time until which it counts.
    """
    found = []
    for row in connection.execute(_HERE):
        at_us = intake.stated_us(row.at_us, row.received_us)
        if row.known_last is not None and (row.known_last, row.known_us) >= (row.last, at_us):
            continue
        held = envelopes.hashes(connection, row.agent, row.epoch, RECORDS, row.last, row.last)
        if row.last == 0 or held.get(row.last) == row.hash:
            found.append(Head(row.agent, row.epoch, RECORDS, row.last, row.hash.hex(), at_us))
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
