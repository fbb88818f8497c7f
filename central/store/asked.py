"""SQL of what agents last asked for: an old request is not taken for a new one, and who is refused is known, as is
how often others asked in an agent's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, delete, inspect, select, update

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

request_refused = Table(
    "request_refused",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),  # central's clock
    Column("last_us", BigInteger, nullable=False),  # central's clock
    Column("detail", Text, nullable=False),
)

request_unproven = Table(
    "request_unproven",
    metadata,
    Column("agent", Text, primary_key=True),  # in whose name they came
    Column("reason", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),  # central's clock
)


@dataclass(frozen=True, slots=True)
class RefusedRequests:
    """Requests of one kind that were refused for their time since the agent's last one that was taken.

    ``since_us``, ``last_us``: the first and the newest of them, central's clock; ``detail``: why, of the newest.
    """

    agent: str
    kind: str
    times: int
    since_us: int
    last_us: int
    detail: str


def last(connection: Connection, agent: str, kind: str) -> tuple[int, bytes] | None:
    """When the agent last asked for this, by its own clock (microseconds), and the digest of that payload."""
    query = select(agent_request).where(agent_request.c.agent == agent, agent_request.c.kind == kind)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.at_us, row.digest)


def keep(connection: Connection, agent: str, kind: str, at_us: int, digest: bytes) -> None:
    """Remember a request as the agent's last one of its kind; those that were refused before are over."""
    connection.execute(
        delete(request_refused).where(request_refused.c.agent == agent, request_refused.c.kind == kind)
    )
    moved = connection.execute(
        update(agent_request)
        .where(agent_request.c.agent == agent, agent_request.c.kind == kind)
        .values(at_us=at_us, digest=digest)
    )
    if not moved.rowcount:
        connection.execute(agent_request.insert().values(agent=agent, kind=kind, at_us=at_us, digest=digest))


def refuse(connection: Connection, agent: str, kind: str, now_us: int, detail: str) -> int:
    """Remember that a request of the agent was refused for its time; how many were, since one was taken."""
    of = (request_refused.c.agent == agent, request_refused.c.kind == kind)
    counted = {"times": request_refused.c.times + 1, "last_us": now_us, "detail": detail}
    if not connection.execute(update(request_refused).where(*of).values(counted)).rowcount:
        first = {"agent": agent, "kind": kind, "times": 1, "since_us": now_us, "last_us": now_us}
        connection.execute(request_refused.insert().values({**first, "detail": detail}))
    return int(connection.execute(select(request_refused.c.times).where(*of)).scalar_one())


def count_unproven(connection: Connection, agent: str, reason: str, now_us: int, rest_us: int) -> int:
    """Count a request in an agent's name that it has not made, or not so; how many were refused for this reason.
    After ``rest_us`` without any they are counted anew.
    """
    of = (request_unproven.c.agent == agent, request_unproven.c.reason == reason)
    row = connection.execute(select(request_unproven).where(*of)).one_or_none()
    if row is None:
        first = {"agent": agent, "reason": reason, "times": 1, "last_us": now_us}
        connection.execute(request_unproven.insert().values(first))
        return 1
    times = int(row.times) + 1 if abs(now_us - row.last_us) < rest_us else 1
    connection.execute(update(request_unproven).where(*of).values(times=times, last_us=now_us))
    return times


def refusals(connection: Connection) -> list[RefusedRequests]:
    """What agents asked for and were refused, by agent and kind; nothing in a database of a central of before."""
    if not inspect(connection).has_table(request_refused.name):
        return []
    rows = connection.execute(select(request_refused).order_by(request_refused.c.agent, request_refused.c.kind))
    return [RefusedRequests(r.agent, r.kind, r.times, r.since_us, r.last_us, r.detail) for r in rows]
