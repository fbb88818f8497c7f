"""SQL of enrolled agents and of every public key that ever signed for one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Text, cast, func, select, update

from central.store.schema import agent, agent_key
from records.keys import PublicKey

KEY_OVERLAP_US = 30 * 86_400 * 1_000_000
"""How long a replaced key is still accepted (30 days)."""

KEYS_STAMP = cast(select(func.count()).select_from(agent_key).scalar_subquery(), Text)
"""Another one whenever other keys are believed: rows are only ever added to what ``keys`` reads."""
_STAMP = select(KEYS_STAMP)


@dataclass(frozen=True, slots=True)
class Agent:
    id: str
    partition: str
    enrolled_us: int


def all_agents(connection: Connection) -> list[Agent]:
    """Enrolled agents by name."""
    rows = connection.execute(select(agent).order_by(agent.c.id))
    return [Agent(row.id, row.partition, row.enrolled_us) for row in rows]


def enrol(connection: Connection, name: str, partition: str, public: str, now_us: int) -> PublicKey:
    """Believe this key of this agent from now on; a former key of it stays valid for 30 days."""
    moved = connection.execute(
        update(agent).where(agent.c.id == name).values(partition=partition, enrolled_us=now_us)
    )
    if not moved.rowcount:
        connection.execute(agent.insert().values(id=name, partition=partition, enrolled_us=now_us))
    key = PublicKey(name, public, now_us)
    connection.execute(agent_key.insert().values(key=key.id, owner=name, public=public, since_us=now_us))
    return key


def keys(connection: Connection) -> list[PublicKey]:
    """Every key of every agent; each is valid until 30 days after the next one of its owner."""
    rows = connection.execute(select(agent_key).order_by(agent_key.c.owner, agent_key.c.since_us)).all()
    found: list[PublicKey] = []
    for index, row in enumerate(rows):
        following = rows[index + 1] if index + 1 < len(rows) else None
        replaced = following is not None and following.owner == row.owner
        until_us = following.since_us + KEY_OVERLAP_US if replaced and following is not None else None
        found.append(PublicKey(row.owner, row.public, row.since_us, until_us))
    return found


def keys_stamp(connection: Connection) -> str:
    """What tells whether ``keys`` would answer otherwise than before."""
    return str(connection.execute(_STAMP).scalar_one())
