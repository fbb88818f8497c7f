"""SQL of leases: which process takes in a partition, by the database's own clock.

A lease has a token that grows whenever it changes hands. Who writes under a lease compares the token inside
that very transaction (``assert_held``), so that a process that was paused and has lost its lease without
knowing cannot commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Table, bindparam, select, text, update

from central.store.schema import metadata
from central.store.types import Text
from records.clock import MICROSECONDS
from records.errors import LotkeeperError

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)

_NOW = {
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"),
    "postgresql": text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"),
}
_MOMENT = _NOW | {
    "postgresql": text("SELECT CAST(extract(epoch FROM transaction_timestamp()) * 1000000 AS bigint)")
}
_TOKEN = select(lease.c.token).where(lease.c.name == bindparam("of_name"))


@dataclass(frozen=True, slots=True)
class Lease:
    """Who had it last, and until when by the database's clock; 0: it was given back."""

    holder: str
    token: int
    until_us: int


class Fenced(LotkeeperError):
    """Another process holds the lease by now: nothing may be committed under it."""


def take(connection: Connection, name: str, holder: str, seconds: float) -> int | None:
    """The token of the lease, when nobody else holds it; it ends ``seconds`` from now unless it is renewed."""
    at_us = now_us(connection)
    row = connection.execute(select(lease).where(lease.c.name == name)).one_or_none()
    if row is not None and row.holder != holder and row.until_us > at_us:
        return None
    values = {"holder": holder, "until_us": at_us + round(seconds * MICROSECONDS)}
    if row is None:
        connection.execute(lease.insert().values(name=name, token=1, **values))
        return 1
    token = int(row.token) + 1
    connection.execute(update(lease).where(lease.c.name == name).values(token=token, **values))
    return token


def renew(connection: Connection, name: str, token: int, seconds: float) -> bool:
    """Hold it for ``seconds`` from now, also when it has ended and nobody took it; False: somebody did."""
    until_us = now_us(connection) + round(seconds * MICROSECONDS)
    moved = connection.execute(
        update(lease).where(lease.c.name == name, lease.c.token == token).values(until_us=until_us)
    )
    return moved.rowcount == 1


def release(connection: Connection, name: str, token: int) -> None:
    """Let anybody have it at once."""
    connection.execute(update(lease).where(lease.c.name == name, lease.c.token == token).values(until_us=0))


def assert_held(connection: Connection, name: str, token: int) -> None:
    """Within the transaction that writes under the lease.

    Raises:
        Fenced: it is another's by now.
    """
    if connection.execute(_TOKEN, {"of_name": name}).scalar() != token:
        raise Fenced(f"the lease of {name} has gone to another process")


def known(connection: Connection) -> dict[str, Lease]:
    """Every lease that there ever was, by name."""
    rows = connection.execute(select(lease).order_by(lease.c.name))
    return {row.name: Lease(row.holder, row.token, row.until_us) for row in rows}


def held(connection: Connection) -> dict[str, str]:
    """Lease -> holder, of those that somebody holds now."""
    at_us = now_us(connection)
    return {name: each.holder for name, each in known(connection).items() if each.until_us > at_us}


def now_us(connection: Connection) -> int:
    """The database's clock."""
    return int(connection.execute(_NOW[connection.dialect.name]).scalar_one())


def moment_us(connection: Connection) -> int:
    """The database's clock when what this transaction reads was so: later, every lease in it has ended."""
    return int(connection.execute(_MOMENT[connection.dialect.name]).scalar_one())
