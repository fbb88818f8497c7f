"""SQL of a database as a whole: copying it while it is used, and what a restore or the anchors must know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, func, inspect, select

from central.store import envelopes, intake, moving
from central.store.database import Database
from central.store.rows import whole
from central.store.schema import envelope, fact_index, meta, watermark
from records import durable
from records.wire import Envelope, Head

NAME = "central.db"

GENERATION = "generation"
ANCHORED = "anchored"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a database is. ``committed_us``: central's clock when it last committed a record; 0: never."""

    records: int
    generation: int
    committed_us: int


def copy(source: Database, target: Path) -> None:
    """One moment of a database as a file, on disk when this returns; whoever writes to it goes on.

    Raises:
        StorageFailed: the source cannot be read or the copy cannot be written. Unreachable: its server.
    """
    if isinstance(source, Path):
        durable.snapshot(source, target)
    else:
        moving.into_file(source, target)


def damage(connection: Connection) -> str | None:
    """What SQLite finds wrong with its file, such as a row that its index names otherwise; None on a server."""
    if connection.dialect.name != "sqlite":
        return None
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
    return None if found == "ok" else found


def standing(connection: Connection) -> Standing:
    """How far the database is that this connection sees."""
    committed_us = connection.execute(select(func.max(watermark.c.moved_us))).scalar() or 0
    return Standing(envelopes.last_cursor(connection), intake.generation(connection), committed_us)


def set_generation(connection: Connection, generation: int) -> None:
    """From here on watermarks are of this generation: agents accept that they are lower than before."""
    connection.execute(meta.delete().where(meta.c.name == GENERATION))
    connection.execute(meta.insert().values(name=GENERATION, value=str(generation)))


def note_anchored(connection: Connection, at_us: int) -> None:
    """Note the moment of the newest anchor, once it is on disk; inside a write job."""
    connection.execute(meta.delete().where(meta.c.name == ANCHORED))
    connection.execute(meta.insert().values(name=ANCHORED, value=str(at_us)))


def anchored_us(connection: Connection) -> int | None:
    """The moment of the newest anchor that this database knows of; None: of none, at any version of central."""
    if not inspect(connection).has_table(meta.name):
        return None
    value = connection.execute(select(meta.c.value).where(meta.c.name == ANCHORED)).scalar()
    return int(value) if value is not None and value.isdigit() else None


def kept_us(connection: Connection, code: str) -> int | None:
    """When the newest fact of this code was stated, of whichever agent; None: never, at any version of central."""
    if not inspect(connection).has_table(fact_index.name):
        return None
    return connection.execute(select(func.max(fact_index.c.at_us)).where(fact_index.c.code == code)).scalar()


def has_any(connection: Connection) -> bool:
    """Whether there is any record, at any version of central."""
    there = inspect(connection).has_table(envelope.name)
    return there and connection.execute(select(envelope.c.id).limit(1)).first() is not None


def held_through(connection: Connection, head: Head) -> int | None:
    """None: the record that a head names is here, at any version of central. Else through where its chain is."""
    if not inspect(connection).has_table(envelope.name):
        return 0
    held = envelopes.hashes(connection, head.agent, head.epoch, head.stream, head.last, head.last)
    if held.get(head.last) == bytes.fromhex(head.hash):
        return None
    of_chain = select(func.max(envelope.c.seq)).where(
        envelope.c.agent == head.agent, envelope.c.epoch == head.epoch, envelope.c.stream == head.stream
    )
    return connection.execute(of_chain).scalar() or 0


def last_at_us(connection: Connection, agent: str, code: str) -> int | None:
    """When the newest fact of this code was stated, by the clock of who stated it."""
    newest = select(func.max(fact_index.c.envelope_id)).where(
        fact_index.c.code == code, fact_index.c.agent == agent
    )
    query = select(fact_index.c.at_us).where(fact_index.c.envelope_id == newest.scalar_subquery())
    return connection.execute(query).scalar()


def newest_coded(connection: Connection, agent: str, code: str, stream: str) -> Envelope | None:
    """An agent's newest record that the index files under a code."""
    row = connection.execute(
        whole()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(fact_index.c.code == code, fact_index.c.stream == stream, fact_index.c.agent == agent)
        .order_by(envelope.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else envelopes.of_row(row)


def newest_params(connection: Connection, agent: str, code: str, stream: str) -> dict[str, JsonValue]:
    """The parameters of an agent's newest event of a code; none, where none can be read."""
    found = newest_coded(connection, agent, code, stream)
    said = None if found is None else said_by(found)
    return {} if said is None else said.params


@dataclass(frozen=True, slots=True)
class Said:
    """An event, read without its schema; ``at_us``: by the clock of who stated it."""

    code: str
    at_us: int
    params: dict[str, Any]


def said_by(item: Envelope) -> Said | None:
    """What an event says, of any schema, in a database that nobody may have verified; None: it cannot be read."""
    try:
        fact = json.loads(item.body or b"")
        return Said(str(fact["data"]["code"]), int(fact["header"]["at_us"]), dict(fact["data"]["params"]))
    except (KeyError, TypeError, ValueError):
        return None


def coded(connection: Connection, code: str, stream: str) -> Iterator[Envelope]:
    """The records that the index files under a code, in the order of their commit, read in portions."""
    after = 0
    while True:
        rows = connection.execute(
            whole()
            .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
            .where(fact_index.c.code == code, fact_index.c.stream == stream, envelope.c.id > after)
            .order_by(envelope.c.id)
            .limit(envelopes.READ_AT_ONCE)
        ).all()
        if not rows:
            return
        yield from (envelopes.of_row(row) for row in rows)
        after = rows[-1].id
