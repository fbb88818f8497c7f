"""SQL of enrolled agents: every public key and TLS certificate that ever was theirs, and what was revoked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Table, Text, cast, func, select, update

from central.store.schema import ADDED_LATER, agent, agent_key, metadata
from records.certificates import Certificate
from records.keys import OVERLAP_US, PublicKey

OWN, PLANT = "own", "plant"
"""Who signed a certificate: central's own authority, or the plant's."""

key_revocation = Table(
    "key_revocation",
    metadata,
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    info=ADDED_LATER,
)

agent_certificate = Table(
    "agent_certificate",
    metadata,
    Column("fingerprint", Text, primary_key=True),  # SHA-256, hexadecimal
    Column("owner", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("serial", Text, nullable=False),  # hexadecimal
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    info=ADDED_LATER,
)

KEYS_STAMP = cast(
    select(func.count()).select_from(agent_key).scalar_subquery()
    + select(func.count()).select_from(key_revocation).scalar_subquery(),
    Text,
)
"""Another one whenever other keys are believed: rows are only ever added to what ``keys`` reads."""
_STAMP = select(KEYS_STAMP)


@dataclass(frozen=True, slots=True)
class Agent:
    """``revoked_us``: since when none of its keys is believed any more; None: it is believed."""

    id: str
    partition: str
    enrolled_us: int
    revoked_us: int | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that an agent was given."""

    owner: str
    authority: str
    serial: str
    fingerprint: str
    since_us: int
    until_us: int
    issued_us: int


def all_agents(connection: Connection) -> list[Agent]:
    """Enrolled agents by name, revoked ones too."""
    newest = {key.owner: key for key in keys(connection)}
    since_us = {each.key: each.at_us for each in revoked(connection)}
    rows = connection.execute(select(agent).order_by(agent.c.id))
    return [Agent(row.id, row.partition, row.enrolled_us, since_us.get(newest[row.id].id)) for row in rows]


def agent_of(connection: Connection, name: str) -> Agent | None:
    """One agent; None when nobody of that name was ever enrolled."""
    return next((each for each in all_agents(connection) if each.id == name), None)


def partitions(connection: Connection) -> list[str]:
    """Those that agents were enrolled in, by name."""
    return list(connection.execute(select(agent.c.partition).distinct().order_by(agent.c.partition)).scalars())


def enrol(connection: Connection, name: str, partition: str, public: str, now_us: int) -> PublicKey:
    """Believe this key of this agent from now on; a former key of it stays valid for 30 days."""
    moved = connection.execute(
        update(agent).where(agent.c.id == name).values(partition=partition, enrolled_us=now_us)
    )
    if not moved.rowcount:
        connection.execute(agent.insert().values(id=name, partition=partition, enrolled_us=now_us))
    return add_key(connection, name, public, now_us)


def place(connection: Connection, name: str, partition: str) -> None:
    """Let an enrolled agent send under this partition from now on."""
    connection.execute(update(agent).where(agent.c.id == name).values(partition=partition))


def add_key(connection: Connection, name: str, public: str, now_us: int) -> PublicKey:
    """Believe one more key of an enrolled agent, as ``enrol`` does.

    Its ``since_us`` is later than that of all its former ones, also where central's clock was ahead then: it tells
    which key is the newest.
    """
    newest = select(func.max(agent_key.c.since_us)).where(agent_key.c.owner == name)
    since_us = max(now_us, (connection.execute(newest).scalar() or 0) + 1)
    key = PublicKey(name, public, since_us)
    connection.execute(agent_key.insert().values(key=key.id, owner=name, public=public, since_us=since_us))
    return key


def keys(connection: Connection) -> list[PublicKey]:
    """Every key of every agent, each until 30 days after the next one of its owner; a revoked one ended long ago,
    whatever central's clock said when it was revoked.
    """
    rows = connection.execute(select(agent_key).order_by(agent_key.c.owner, agent_key.c.since_us)).all()
    ended = {each.key for each in revoked(connection)}
    found: list[PublicKey] = []
    for index, row in enumerate(rows):
        following = rows[index + 1] if index + 1 < len(rows) else None
        replaced = following is not None and following.owner == row.owner
        ends = [following.since_us + OVERLAP_US] if replaced and following is not None else []
        if row.key in ended:
            ends.append(0)
        found.append(PublicKey(row.owner, row.public, row.since_us, min(ends, default=None)))
    return found


def keys_stamp(connection: Connection) -> str:
    """What tells whether ``keys`` would answer otherwise than before."""
    return str(connection.execute(_STAMP).scalar_one())


def revoke(connection: Connection, name: str, reason: str, by: str, now_us: int) -> list[str]:
    """Believe none of an agent's keys any more; the ids of those that were not revoked before."""
    before = {each.key for each in revoked(connection)}
    found = [key.id for key in keys(connection) if key.owner == name and key.id not in before]
    for key in found:
        keep_revoked(connection, Revoked(key, name, now_us, reason, by))
    return found


@dataclass(frozen=True, slots=True)
class Revoked:
    """A key that is believed no more."""

    key: str
    owner: str
    at_us: int
    reason: str
    by: str


def revoked(connection: Connection) -> list[Revoked]:
    """Every key that was revoked, those revoked first come first."""
    rows = connection.execute(select(key_revocation).order_by(key_revocation.c.at_us, key_revocation.c.key))
    return [Revoked(row.key, row.owner, row.at_us, row.reason, row.by) for row in rows]


def keep_revoked(connection: Connection, each: Revoked) -> None:
    """State again that a key was revoked."""
    values = {"key": each.key, "owner": each.owner, "at_us": each.at_us, "reason": each.reason, "by": each.by}
    connection.execute(key_revocation.insert().values(values))


# -- certificates ------------------------------------------------------------------------------------------


def add_certificate(
    connection: Connection, owner: str, authority: str, certificate: Certificate, now_us: int
) -> bool:
    """Remember a certificate that the agent was given; False when it is known already."""
    known = select(agent_certificate.c.owner).where(agent_certificate.c.fingerprint == certificate.fingerprint)
    if connection.execute(known).first() is not None:
        return False
    values = {
        "fingerprint": certificate.fingerprint,
        "owner": owner,
        "authority": authority,
        "serial": certificate.serial,
        "since_us": certificate.since_us,
        "until_us": certificate.until_us,
        "issued_us": now_us,
    }
    connection.execute(agent_certificate.insert().values(values))
    return True


def certificates(connection: Connection) -> list[Issued]:
    """Every certificate of every agent, the oldest first."""
    rows = connection.execute(select(agent_certificate).order_by(agent_certificate.c.issued_us))
    return [
        Issued(row.owner, row.authority, row.serial, row.fingerprint, row.since_us, row.until_us, row.issued_us)
        for row in rows
    ]


def revoked_certificates(connection: Connection) -> list[tuple[Issued, int]]:
    """Own certificates that were given before their agent was revoked, each with the time of that."""
    last = select(key_revocation.c.owner, func.max(key_revocation.c.at_us)).group_by(key_revocation.c.owner)
    revoked = {row[0]: int(row[1]) for row in connection.execute(last)}
    return [
        (each, revoked[each.owner])
        for each in certificates(connection)
        if each.authority == OWN and each.issued_us <= revoked.get(each.owner, -1)
    ]
