"""SQL of what agents last asked for: so that an old request is not taken for a new one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, select, update

from central.store.schema import metadata
from central.store.types import Text

agent_request = Table(
    "agent_request",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),  # the agent's clock
    Column("digest", LargeBinary(32), nullable=False),  # of the payload as signed
)


def last(connection: Connection, agent: str, kind: str) -> tuple[int, bytes] | None:
    """When the agent last asked for this, by its own clock (microseconds), and the digest of that payload."""
    query = select(agent_request).where(agent_request.c.agent == agent, agent_request.c.kind == kind)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.at_us, row.digest)


def keep(connection: Connection, agent: str, kind: str, at_us: int, digest: bytes) -> None:
    """Remember a request as the agent's last one of its kind."""
    moved = connection.execute(
        update(agent_request)
        .where(agent_request.c.agent == agent, agent_request.c.kind == kind)
        .values(at_us=at_us, digest=digest)
    )
    if not moved.rowcount:
        connection.execute(agent_request.insert().values(agent=agent, kind=kind, at_us=at_us, digest=digest))
