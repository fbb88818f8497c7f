"""SQL of what arrives: watermarks, agents' heads, conflicts, quarantine; and how far readers of facts are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, update

from central.store.schema import conflict, cursor, head, meta, quarantine, quarantine_trouble, watermark
from records.wire import Head, Watermark


@dataclass(frozen=True, slots=True)
class Conflict:
    """One seq of one chain was offered with another hash than the one that is held (both hexadecimal)."""

    id: int
    agent: str
    epoch: str
    stream: str
    seq: int
    held: str
    offered: str
    received_us: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that could not be taken as a record. ``envelope``: its cursor when it was committed all the same.

    ``payload`` is the beginning of its ``size`` bytes, ``digest`` the SHA-256 (hexadecimal) over all of them.
    ``trouble``: ``detail`` for any language (``records.trouble``), where it has one.
    """

    id: int
    topic: str
    agent: str | None
    reason: str
    detail: str
    digest: str
    size: int
    payload: bytes
    envelope: int | None
    received_us: int
    trouble: JsonValue = None


# -- watermarks --------------------------------------------------------------------------------------------


def generation(connection: Connection) -> int:
    """1, and one more after every restore."""
    found = connection.execute(select(meta.c.value).where(meta.c.name == "generation")).scalar()
    return 1 if found is None else int(found)


def newest_watermark(connection: Connection, agent: str, stream: str) -> Watermark | None:
    """The watermark of the agent's newest epoch."""
    query = (
        select(watermark)
        .where(watermark.c.agent == agent, watermark.c.stream == stream)
        .order_by(watermark.c.opened.desc())
        .limit(1)
    )
    return _first_watermark(connection, query)


def watermark_of(connection: Connection, agent: str, epoch: str, stream: str) -> Watermark | None:
    """How far one chain has been committed."""
    query = select(watermark).where(
        watermark.c.agent == agent, watermark.c.epoch == epoch, watermark.c.stream == stream
    )
    return _first_watermark(connection, query)


def watermarks(connection: Connection) -> list[Watermark]:
    """The watermark of every chain, each agent's epochs in their order."""
    present = generation(connection)
    rows = connection.execute(
        select(watermark).order_by(watermark.c.agent, watermark.c.stream, watermark.c.opened)
    )
    return [_watermark(row, present) for row in rows]


def move_watermark(
    connection: Connection, agent: str, epoch: str, stream: str, seq: int, chain_hash: bytes, now_us: int
) -> None:
    """State that a chain is committed through ``seq``; a chain that is new becomes the agent's newest epoch."""
    moved = connection.execute(
        update(watermark)
        .where(watermark.c.agent == agent, watermark.c.stream == stream, watermark.c.epoch == epoch)
        .values(committed_through=seq, hash=chain_hash, moved_us=now_us)
    )
    if moved.rowcount:
        return
    opened = connection.execute(
        select(func.max(watermark.c.opened)).where(watermark.c.agent == agent, watermark.c.stream == stream)
    ).scalar()
    connection.execute(
        watermark.insert().values(
            agent=agent,
            stream=stream,
            epoch=epoch,
            opened=(opened or 0) + 1,
            committed_through=seq,
            hash=chain_hash,
            moved_us=now_us,
        )
    )


def _first_watermark(connection: Connection, query: Select[tuple[object, ...]]) -> Watermark | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _watermark(row, generation(connection))


def _watermark(row: Row[tuple[object, ...]], present: int) -> Watermark:
    return Watermark(row.agent, row.epoch, row.stream, row.committed_through, row.hash.hex(), present)


# -- heads -------------------------------------------------------------------------------------------------


def heads(connection: Connection) -> list[tuple[Head, int, bytes]]:
    """The highest head of every chain, when it arrived (microseconds), and the payload that the agent signed."""
    rows = connection.execute(select(head).order_by(head.c.agent, head.c.stream, head.c.received_us))
    return [
        (Head(r.agent, r.epoch, r.stream, r.last, r.hash.hex(), r.at_us), r.received_us, r.payload) for r in rows
    ]


def head_of(connection: Connection, agent: str, epoch: str, stream: str) -> Head | None:
    """The highest head that this chain's agent ever stated."""
    found = held_head(connection, agent, epoch, stream)
    return None if found is None else found[0]


def held_head(connection: Connection, agent: str, epoch: str, stream: str) -> tuple[Head, int] | None:
    """The same, with when it arrived."""
    row = connection.execute(
        select(head).where(head.c.agent == agent, head.c.epoch == epoch, head.c.stream == stream)
    ).one_or_none()
    if row is None:
        return None
    return Head(row.agent, row.epoch, row.stream, row.last, row.hash.hex(), row.at_us), row.received_us


def heads_of(connection: Connection, agent: str, stream: str) -> dict[str, Head]:
    """Epoch -> the highest head that an agent ever stated of it."""
    rows = connection.execute(select(head).where(head.c.agent == agent, head.c.stream == stream))
    return {r.epoch: Head(r.agent, r.epoch, r.stream, r.last, r.hash.hex(), r.at_us) for r in rows}


def stated_us(at_us: int, received_us: int) -> int:
    """Until when something of an agent counts that says when it was made: a clock that was ahead proves nothing of
    the time after it arrived.
    """
    return min(at_us, received_us)


def heads_ahead(connection: Connection, now_us: int) -> bool:
    """Whether any came at a time that is still ahead: by a clock of central's that was."""
    return connection.execute(select(head.c.agent).where(head.c.received_us > now_us).limit(1)).first() is not None


def heads_came_by(connection: Connection, now_us: int) -> None:
    """Those came no later than now."""
    connection.execute(update(head).where(head.c.received_us > now_us).values(received_us=now_us))


def keep_head(connection: Connection, stated: Head, payload: bytes, received_us: int) -> None:
    """Store a head that is not lower than the one already known; the caller has compared them."""
    values = {
        "last": stated.last,
        "hash": bytes.fromhex(stated.hash),
        "at_us": stated.at_us,
        "received_us": received_us,
        "payload": payload,
    }
    moved = connection.execute(
        update(head)
        .where(head.c.agent == stated.agent, head.c.stream == stated.stream, head.c.epoch == stated.epoch)
        .values(**values)
    )
    if not moved.rowcount:
        connection.execute(
            head.insert().values(agent=stated.agent, stream=stated.stream, epoch=stated.epoch, **values)
        )


def drop_head(connection: Connection, stated: Head) -> None:
    """Forget a head that the records of its chain contradict; it stays as a conflict."""
    connection.execute(
        head.delete().where(
            head.c.agent == stated.agent, head.c.stream == stated.stream, head.c.epoch == stated.epoch
        )
    )


# -- conflicts ---------------------------------------------------------------------------------------------


def conflict_known(connection: Connection, found: Conflict) -> bool:
    """Whether this very one is kept."""
    query = select(conflict.c.id).where(*_same_record(found), conflict.c.offered == bytes.fromhex(found.offered))
    return connection.execute(query).one_or_none() is not None


def conflicts_of_record(connection: Connection, found: Conflict) -> int:
    """How many are kept about the same record."""
    return connection.execute(select(func.count()).select_from(conflict).where(*_same_record(found))).scalar_one()


def _same_record(found: Conflict) -> tuple[ColumnElement[bool], ...]:
    return (
        conflict.c.agent == found.agent,
        conflict.c.epoch == found.epoch,
        conflict.c.stream == found.stream,
        conflict.c.seq == found.seq,
    )


def conflict_rows(connection: Connection, agent: str) -> tuple[int, int]:
    """How many conflicts are kept of one agent, and of all."""
    of_all = select(func.count()).select_from(conflict)
    theirs = connection.execute(of_all.where(conflict.c.agent == agent)).scalar_one()
    return theirs, connection.execute(of_all).scalar_one()


def add_conflict(connection: Connection, found: Conflict, body: bytes | None) -> None:
    """Keep a conflict (its ``id`` is given here) and the offered body."""
    connection.execute(
        conflict.insert().values(
            agent=found.agent,
            epoch=found.epoch,
            stream=found.stream,
            seq=found.seq,
            held=bytes.fromhex(found.held),
            offered=bytes.fromhex(found.offered),
            body=body,
            received_us=found.received_us,
        )
    )


def conflicts(connection: Connection) -> list[Conflict]:
    """Every conflict, oldest first."""
    rows = connection.execute(select(conflict).order_by(conflict.c.id))
    return [
        Conflict(r.id, r.agent, r.epoch, r.stream, r.seq, r.held.hex(), r.offered.hex(), r.received_us)
        for r in rows
    ]


def offered_otherwise(connection: Connection, agent: str, epoch: str, stream: str) -> list[tuple[int, bytes]]:
    """Seq and offered hash of every conflict of one chain, by seq."""
    of_chain = (conflict.c.agent == agent, conflict.c.epoch == epoch, conflict.c.stream == stream)
    query = select(conflict.c.seq, conflict.c.offered).where(*of_chain).order_by(conflict.c.seq, conflict.c.id)
    return [(row.seq, row.offered) for row in connection.execute(query)]


# -- quarantine --------------------------------------------------------------------------------------------


def quarantine_known(connection: Connection, topic: str, digest: str, reason: str) -> bool:
    """Whether this very payload (its SHA-256, hexadecimal) already lies in quarantine for this reason."""
    query = select(quarantine.c.id).where(
        quarantine.c.topic == topic, quarantine.c.digest == bytes.fromhex(digest), quarantine.c.reason == reason
    )
    return connection.execute(query).one_or_none() is not None


def quarantine_rows(connection: Connection) -> int:
    """How many rows lie in quarantine."""
    return connection.execute(select(func.count()).select_from(quarantine)).scalar_one()


def quarantine_share(connection: Connection, agent: str | None, *, strangers: bool) -> int:
    """How many of them are of one agent, or of all that nobody enrolled."""
    theirs = quarantine.c.reason == "unknown-agent" if strangers else quarantine.c.agent == agent
    return connection.execute(select(func.count()).select_from(quarantine).where(theirs)).scalar_one()


def add_quarantined(connection: Connection, item: Quarantined) -> None:
    """Keep what could not be taken (its ``id`` is given here)."""
    row = connection.execute(
        quarantine.insert()
        .values(
            topic=item.topic,
            agent=item.agent,
            reason=item.reason,
            detail=item.detail,
            digest=bytes.fromhex(item.digest),
            size=item.size,
            payload=item.payload,
            envelope_id=item.envelope,
            received_us=item.received_us,
        )
        .returning(quarantine.c.id)
    ).scalar_one()
    if item.trouble is not None:
        connection.execute(quarantine_trouble.insert().values(quarantine_id=row, trouble=json.dumps(item.trouble)))


def quarantined(connection: Connection, limit: int = 1000) -> list[Quarantined]:
    """What lies in quarantine, oldest first."""
    return _quarantined(connection, select(quarantine).order_by(quarantine.c.id).limit(limit))


def troubles(connection: Connection, items: Sequence[Quarantined]) -> list[Quarantined]:
    """The same, each with its trouble."""
    query = select(quarantine_trouble)
    if items:
        query = query.where(quarantine_trouble.c.quarantine_id.between(items[0].id, items[-1].id))
    held = {row.quarantine_id: json.loads(row.trouble) for row in connection.execute(query)}
    return [replace(item, trouble=held.get(item.id)) for item in items]


def refused_last(connection: Connection) -> list[Quarantined]:
    """The last that each agent sent over the network and of which nothing was taken."""
    each = select(func.max(quarantine.c.id)).where(
        quarantine.c.agent.is_not(None), quarantine.c.envelope_id.is_(None), ~quarantine.c.topic.like("import/%")
    )
    return _quarantined(
        connection, select(quarantine).where(quarantine.c.id.in_(each.group_by(quarantine.c.agent)))
    )


def _quarantined(connection: Connection, query: Select[Any]) -> list[Quarantined]:
    return [
        Quarantined(
            r.id,
            r.topic,
            r.agent,
            r.reason,
            r.detail,
            r.digest.hex(),
            r.size,
            r.payload,
            r.envelope_id,
            r.received_us,
        )
        for r in connection.execute(query)
    ]


# -- cursors -----------------------------------------------------------------------------------------------


def cursor_of(connection: Connection, name: str) -> int:
    """How far the reader ``name`` has worked through the facts; 0 at first."""
    found = connection.execute(select(cursor.c.envelope_id).where(cursor.c.name == name)).scalar()
    return found or 0


def move_cursor(connection: Connection, name: str, position: int) -> None:
    """State that the reader ``name`` has done everything through this fact."""
    moved = connection.execute(update(cursor).where(cursor.c.name == name).values(envelope_id=position))
    if not moved.rowcount:
        connection.execute(cursor.insert().values(name=name, envelope_id=position))
