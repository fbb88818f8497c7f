"""SQL of which start of each agent speaks for it, and which one claims to."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Table, Text, select, update

from central.store.schema import metadata

agent_instance = Table(
    "agent_instance",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("content", Text, nullable=False),  # JSON, see central.fencing
)


def held(connection: Connection, agent: str) -> str | None:
    """What is known of an agent, as it was kept."""
    query = select(agent_instance.c.content).where(agent_instance.c.agent == agent)
    found: str | None = connection.execute(query).scalar()
    return found


def keep(connection: Connection, agent: str, content: str) -> None:
    """Replace what is known of an agent."""
    moved = connection.execute(
        update(agent_instance).where(agent_instance.c.agent == agent).values(content=content)
    )
    if not moved.rowcount:
        connection.execute(agent_instance.insert().values(agent=agent, content=content))
