"""SQL of approved configurations: what was decided about each, and which agents need it.

``configuration_decision`` is a projection of the decisions in central's chain, written in their transactions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Table, select

from central.store import documents
from central.store.schema import ADDED_LATER, metadata
from central.store.types import Serial, Text
from records.wire import AGENT_MODE, CONFIGURATION, Document

OPEN = "open"
"""The mode of an agent that needs no approval."""

decision = Table(
    "configuration_decision",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False, index=True),
    Column("configuration", Text, nullable=False),
    Column("act", Text, nullable=False),  # approve, withdraw
    Column("user", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),  # the decision in central's chain
    info=ADDED_LATER,
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision about a configuration of an agent; ``hash`` is its own in central's chain."""

    agent: str
    configuration: str
    act: str
    user: str
    reason: str
    at_us: int
    hash: str


def add(connection: Connection, decided: Decided) -> None:
    connection.execute(
        decision.insert().values(
            agent=decided.agent,
            configuration=decided.configuration,
            act=decided.act,
            user=decided.user,
            reason=decided.reason,
            at_us=decided.at_us,
            hash=decided.hash,
        )
    )


def decisions(connection: Connection, agent: str | None = None) -> list[Decided]:
    """Of one agent or of all, oldest first."""
    query = select(decision).order_by(decision.c.id)
    if agent is not None:
        query = query.where(decision.c.agent == agent)
    return [
        Decided(row.agent, row.configuration, row.act, row.user, row.reason, row.at_us, row.hash)
        for row in connection.execute(query)
    ]


def bound(connection: Connection) -> frozenset[str]:
    """The agents that may work by approved configurations only."""
    return frozenset(d.id for d in documents.of_kind(connection, AGENT_MODE) if mode_of(d) not in (None, OPEN))


def mode_of(document: Document | None) -> str | None:
    """What a document of kind ``agent-mode`` says; None: nothing."""
    content = None if document is None else document.content
    return str(content.get("mode")) if isinstance(content, dict) else None


def approved(connection: Connection, agent: str) -> list[str]:
    """The hashes that the agent's newest document names."""
    found = documents.newest(connection, CONFIGURATION, agent)
    content = None if found is None else found.content
    named = content.get("approved") if isinstance(content, dict) else None
    return [str(hash_) for hash_ in named] if isinstance(named, list) else []


def unapproved(connection: Connection, used: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of these (agent, hash) that needed an approval and never had one."""
    agents = bound(connection) & {agent for agent, _ in used}
    if not agents:
        return frozenset()
    had = {(d.agent, d.configuration) for d in decisions(connection) if d.act == "approve"}
    return frozenset(one for one in used if one[0] in agents and one not in had)
