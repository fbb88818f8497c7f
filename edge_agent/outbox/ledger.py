"""What is done with the rows of the outbox inside one transaction of its writer: append, open an epoch, locate.

Every function takes the connection that holds the transaction; nothing here is remembered between calls, so
that a job that is taken back leaves nothing behind.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter

from edge_agent.outbox.schema import control, note_control, noted_control, set_control
from edge_agent.outbox.types import Gap, Place
from records import chain, telemetry
from records.clock import new_id
from records.errors import Damaged
from records.jobs import primary_code
from records.model import SCHEMA, EpochOpened, Fact, Header, OperationsEvent, StoredAs, encode, kind_of
from records.wire import DAMAGED, Envelope, Tombstone

Span = tuple[int, int, int]
"""Number of an epoch, first and last seq in it."""
_TO_DO = "again"
_SPANS = TypeAdapter(list[Span])
_TOMBSTONE = TypeAdapter(Tombstone)
_TURNS = TypeAdapter(dict[str, int])
_STRANGERS = "strangers"
"""Stranger -> the number of the epoch before which it was made."""
_EPOCH = "number, epoch, first_position, last, head, settled, pruned, pruned_hash"
_RECORD = "position, seq, schema, kind, digest, hash, body, tombstone"

_TAIL = (
    f"SELECT {_EPOCH}, (SELECT value FROM control WHERE name = 'agent'),"  # noqa: S608
    " (SELECT value FROM control WHERE name = 'stream') FROM epochs ORDER BY number DESC LIMIT 1"
)
"""The current epoch and whose file it is, in one look."""

_WELL_TYPED = ((int, int, str, bytes, bytes, bytes), (int, int, str, bytes, bytes, type(None)))
"""Of seq to body: with a body, and without."""

Body = tuple[int, str, bytes]
"""Schema, kind and bytes of one record that is to be appended."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of ``epochs``."""

    number: int
    epoch: str
    first_position: int
    last: int
    head: bytes
    settled: int | None
    pruned: int
    pruned_hash: bytes

    @property
    def standing(self) -> int:
        """The last seq that stands under this epoch's identity."""
        return self.last if self.settled is None else self.settled

    def position(self, seq: int) -> int:
        return self.first_position + seq - 1

    @property
    def place(self) -> Place:
        return Place(self.epoch, self.last, self.head)


@dataclass(frozen=True, slots=True)
class Appended:
    """What was appended behind ``before``, by the hashes of its rows."""

    before: Place
    links: list[bytes]

    def through(self, count: int) -> Place:
        """The place of the last of the first ``count`` rows."""
        if count == 0:
            return self.before
        return Place(self.before.epoch, self.before.seq + count, self.links[count - 1])


@dataclass(frozen=True, slots=True)
class Stranger:
    """A row of which this file knows only that it was made before its epoch ``number``; 0: before the file."""

    number: int
    place: Place


_TYPES = (int, str, int, int, bytes)


def _epoch(row: tuple[object, ...]) -> Epoch:
    """STRICT tables hold what they were declared to hold, unless the disk changed it."""
    settled, pruned, pruned_hash = row[5:]
    kinds = tuple(map(type, row[:5])) == _TYPES and type(pruned) is int and type(pruned_hash) is bytes
    if not kinds or (settled is not None and type(settled) is not int):
        raise Damaged("an epoch of the outbox holds values of the wrong type")
    return Epoch(*row)  # type: ignore[arg-type]


def epochs(connection: sqlite3.Connection) -> list[Epoch]:
    """All epochs of the file, oldest first."""
    return [_epoch(row) for row in connection.execute(f"SELECT {_EPOCH} FROM epochs ORDER BY number")]  # noqa: S608


def current(connection: sqlite3.Connection) -> Epoch:
    """The epoch that is written to."""
    row = connection.execute(f"SELECT {_EPOCH} FROM epochs ORDER BY number DESC LIMIT 1").fetchone()  # noqa: S608
    if row is None:
        raise Damaged("the outbox has no epoch")
    return _epoch(row)


def epoch_named(connection: sqlite3.Connection, name: str) -> Epoch | None:
    row = connection.execute(f"SELECT {_EPOCH} FROM epochs WHERE epoch = ?", (name,)).fetchone()  # noqa: S608
    return None if row is None else _epoch(row)


def envelopes(connection: sqlite3.Connection, epoch: Epoch, first: int, last: int) -> Iterator[Envelope]:
    """The rows ``first`` to ``last`` (seq, both included) of an epoch, in order.

    Raises:
        Damaged: a row does not hold what its columns promise.
    """
    agent, stream = control(connection, "agent"), control(connection, "stream")
    rows = connection.execute(
        f"SELECT {_RECORD} FROM records WHERE position BETWEEN ? AND ? ORDER BY position",  # noqa: S608
        (epoch.position(first), epoch.position(last)),
    )
    name = epoch.epoch
    for row in rows:
        _, seq, schema, kind, digest, link, body, tombstone = row
        grave = None
        if tombstone is not None:
            try:
                grave = _TOMBSTONE.validate_json(tombstone)
            except ValueError:
                raise Damaged(f"row {name}/{seq} has a tombstone that cannot be read") from None
        if tuple(map(type, row[1:7])) not in _WELL_TYPED:
            raise Damaged(f"row {name}/{seq} holds values of the wrong type")
        yield Envelope(agent, name, stream, seq, schema, kind, digest, link, body, grave)


def readable(connection: sqlite3.Connection, epoch: Epoch, first: int, last: int) -> Iterator[Envelope]:
    """As ``envelopes``, passing over rows that cannot be read."""
    for seq in range(first, last + 1):
        try:
            row = next(envelopes(connection, epoch, seq, seq), None)
        except (Damaged, UnicodeDecodeError):
            continue
        except sqlite3.DatabaseError as error:
            if primary_code(error) is not None:
                raise
            continue  # text that is none
        if row is not None:
            yield row


def hash_at(connection: sqlite3.Connection, epoch: Epoch, seq: int) -> bytes | None:
    """The chain hash of one row, also of the last pruned one and of the place before the first; else None."""
    if seq == epoch.pruned:
        return epoch.pruned_hash
    if not epoch.pruned < seq <= epoch.last:  # however far ahead
        return None
    look = "SELECT CAST(hash AS BLOB) FROM records WHERE position = ?"  # whatever the disk made of it
    row = connection.execute(look, (epoch.position(seq),)).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


def beginning(connection: sqlite3.Connection, epoch: Epoch) -> Place:
    """The place before the first row of an epoch."""
    agent, stream = control(connection, "agent"), control(connection, "stream")
    return Place(epoch.epoch, 0, chain.first_hash(agent, epoch.epoch, stream))


def goes_on(connection: sqlite3.Connection, epoch: Epoch) -> bool:
    """Whether rows of an epoch stand behind the one that is noted as its last: in a damaged file only."""
    behind = (epoch.position(epoch.last + 1), epoch.number)
    return (
        connection.execute("SELECT 1 FROM records WHERE position = ? AND epoch = ?", behind).fetchone() is not None
    )


def append(connection: sqlite3.Connection, bodies: Iterable[Body], at_us: int) -> Appended:
    """Chain bodies behind the last row of the current epoch.

    A row that is refused has written nothing yet. OR FAIL says so to SQLite, which else copies the page of each
    row, lest it must be taken back.
    """
    found = connection.execute(_TAIL).fetchone()
    if found is None:
        raise Damaged("the outbox has no epoch")
    epoch, agent, stream = _epoch(found[:-2]), str(found[-2]), str(found[-1])
    number, name, last, link = epoch.number, epoch.epoch, epoch.last, epoch.head
    before = epoch.first_position - 1
    rows: list[tuple[object, ...]] = []
    links: list[bytes] = []
    for schema, kind, body in bodies:
        last += 1
        digest = chain.digest(body)
        link = chain.next_hash(agent, name, stream, last, schema, kind, link, digest)
        rows.append((before + last, number, last, schema, kind, digest, link, body, at_us))
        links.append(link)
    if rows:
        connection.executemany(
            "INSERT OR FAIL INTO records (position, epoch, seq, schema, kind, digest, hash, body, stored_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.execute("UPDATE epochs SET last = ?, head = ? WHERE number = ?", (last, link, number))
    return Appended(epoch.place, links)


def fact_body(fact: Fact) -> Body:
    return (SCHEMA, kind_of(fact.data), encode(fact))


def open_epoch(connection: sqlite3.Connection, header: Header, why: str, predecessor: Place | None) -> None:
    """Begin a new epoch with its ``epoch-opened`` record; earlier rows keep the epoch they have."""
    agent, stream = control(connection, "agent"), control(connection, "stream")
    name = new_id()
    before = epochs(connection)
    number, position = (before[-1].number + 1, before[-1].position(before[-1].last + 1)) if before else (1, 1)
    root = chain.first_hash(agent, name, stream)
    if predecessor is not None and not _is_held(connection, predecessor):
        remember_stranger(connection, predecessor, number)
    connection.execute(
        f"INSERT INTO epochs ({_EPOCH}) VALUES (?, ?, ?, 0, ?, NULL, 0, ?)",  # noqa: S608
        (number, name, position, root, root),
    )
    opened = EpochOpened(
        why,
        predecessor.epoch if predecessor else None,
        predecessor.seq if predecessor else None,
        predecessor.hash.hex() if predecessor else None,
    )
    append(connection, [fact_body(Fact(header, opened))], header.at_us)


def _is_held(connection: sqlite3.Connection, place: Place) -> bool:
    epoch = epoch_named(connection, place.epoch)
    return epoch is not None and hash_at(connection, epoch, place.seq) == place.hash


def remember_stranger(connection: sqlite3.Connection, place: Place, number: int) -> None:
    """Note an epoch of which this file does not hold that row, so that it is not taken for news again.

    It was made before the epoch ``number`` of this file was opened; 0: before there was this file.
    """
    connection.execute(
        "INSERT INTO strangers (epoch, last, hash) VALUES (?, ?, ?) ON CONFLICT (epoch) DO UPDATE SET"
        " last = excluded.last, hash = excluded.hash",
        (place.epoch, place.seq, place.hash.hex()),
    )
    turns = _turns(connection) | {place.epoch: number}
    note_control(connection, _STRANGERS, _TURNS.dump_json(turns).decode())


def strangers(connection: sqlite3.Connection) -> list[Stranger]:
    """What ``remember_stranger`` noted, in the order in which it was made."""
    turns = _turns(connection)
    rows = connection.execute("SELECT epoch, last, hash FROM strangers ORDER BY rowid").fetchall()
    found = (Stranger(turns.get(name, 0), Place(name, last, bytes.fromhex(link))) for name, last, link in rows)
    return sorted(found, key=lambda each: each.number)


def _turns(connection: sqlite3.Connection) -> dict[str, int]:
    noted = noted_control(connection, _STRANGERS)
    return {} if noted is None else _TURNS.validate_json(noted)


def is_stranger_known(connection: sqlite3.Connection, epoch: str) -> bool:
    row = connection.execute("SELECT 1 FROM strangers WHERE epoch = ?", (epoch,)).fetchone()
    return row is not None


def give_up_pending(connection: sqlite3.Connection) -> None:
    """End every epoch at its last acknowledged row, and note the rows that stood behind it as still to do.

    Those must be stored again under the epoch that is opened next, so that rows which wait for central are
    always of the current epoch alone; before what was still to do, since that came later.
    """
    through = acknowledged(connection)
    given_up: list[Span] = []
    for epoch in epochs(connection):
        settled = min(max(through - epoch.first_position + 1, 0), epoch.standing)
        if settled < epoch.standing or epoch.settled is None:
            connection.execute("UPDATE epochs SET settled = ? WHERE number = ?", (settled, epoch.number))
            given_up.append((epoch.number, max(settled, epoch.pruned) + 1, epoch.standing))
    note_to_do(connection, [*given_up, *to_do(connection)])


def to_do(connection: sqlite3.Connection) -> list[Span]:
    """What was given up and is still to be stored again, in the order in which it will be.

    Raises:
        Damaged: the note of it cannot be read.
    """
    noted = noted_control(connection, _TO_DO)
    if noted is None:
        return []
    try:
        spans = _SPANS.validate_json(noted)
    except ValueError:
        raise Damaged("what is still to be stored again cannot be read") from None
    ends = {epoch.number: epoch.last for epoch in epochs(connection)}
    for number, first, last in spans:
        if not 0 < first <= last <= ends.get(number, 0):
            raise Damaged(f"rows {first} to {last} of epoch {number} are to be stored again, and there are none")
    return spans


def whole_until_us(connection: sqlite3.Connection, now_us: int) -> int:
    """Until when all that was made stands: now, or when the first record was that is still to be stored again."""
    for number, first, _ in to_do(connection):
        epoch = next(one for one in epochs(connection) if one.number == number)
        look = "SELECT stored_us FROM records WHERE position = ?"
        row = connection.execute(look, (epoch.position(first),)).fetchone()
        return 0 if row is None else min(int(row[0]), now_us)
    return now_us


def note_to_do(connection: sqlite3.Connection, spans: Iterable[Span]) -> None:
    """Note what is still to be stored again from here on."""
    left = [span for span in spans if span[1] <= span[2]]
    note_control(connection, _TO_DO, _SPANS.dump_json(left).decode() if left else None)


def store_again(connection: sqlite3.Connection, old: Iterable[Envelope | Gap], header: Header) -> int:
    """Append rows of an epoch that was given up, each naming its old identity; how many.

    A row that was stored again before keeps the identity it named then. What said only that an epoch was opened
    and what was thinned stays behind. What the disk altered does, too: an event of this header names it where it
    would have stood, so that what is around it can be told from what is not.
    """
    bodies = [*_again(old, header)]
    append(connection, (body for body, _ in bodies), header.at_us)
    return sum(taken for _, taken in bodies)


def _again(old: Iterable[Envelope | Gap], header: Header) -> Iterator[tuple[Body, bool]]:
    """Each with whether it is a row that was taken over."""
    for envelope in old:
        if isinstance(envelope, Gap):
            yield _left(envelope, header), False
            continue
        if envelope.tombstone is not None and envelope.tombstone.reason == DAMAGED:
            yield _left(Gap(envelope.epoch, envelope.seq, envelope.seq), header), False
        if envelope.body is None or envelope.kind == kind_of(EpochOpened("")):
            continue
        former = StoredAs(envelope.epoch, envelope.seq, envelope.hash.hex())
        if envelope.kind == telemetry.KIND:
            body = telemetry.named_before(envelope.body, former)
        else:
            body = _named_before(envelope.body, former)
        yield (envelope.schema, envelope.kind, body), True


def _left(gap: Gap, header: Header) -> Body:
    return fact_body(Fact(header, OperationsEvent("backlog-damaged", {"lost": [gap.to_json()]})))


def _named_before(body: bytes, former: StoredAs) -> bytes:
    content = json.loads(body)
    if content["header"].get("stored_as") is None:
        content["header"]["stored_as"] = {"epoch": former.epoch, "seq": str(former.seq), "hash": former.hash}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def acknowledged(connection: sqlite3.Connection) -> int:
    """The position through which central has committed."""
    return int(control(connection, "acknowledged"))


def set_acknowledged(connection: sqlite3.Connection, position: int) -> None:
    set_control(connection, "acknowledged", str(position))


def place_at(connection: sqlite3.Connection, position: int) -> Place:
    """The place that stands at a position of the file (0: before the first row)."""
    known = epochs(connection)
    epoch = max((e for e in known if e.first_position <= position), key=lambda e: e.number, default=known[0])
    seq = max(position - epoch.first_position + 1, 0)
    link = hash_at(connection, epoch, seq)
    if link is None:
        raise Damaged(f"the outbox holds no row {epoch.epoch}/{seq}, which central acknowledged")
    return Place(epoch.epoch, seq, link)


def bury(connection: sqlite3.Connection, epoch: Epoch, row: Envelope, reason: str, by: str) -> None:
    """Put a tombstone in the place of one body; digest and hash stay."""
    position = epoch.position(row.seq)
    tombstone = Tombstone(row.digest.hex(), reason, by)
    connection.execute("INSERT INTO permits (act, position) VALUES ('tombstone', ?)", (position,))
    connection.execute(
        "UPDATE records SET body = NULL, tombstone = ? WHERE position = ?",
        (_TOMBSTONE.dump_json(tombstone).decode(), position),
    )
    connection.execute("DELETE FROM permits")


def thin(connection: sqlite3.Connection, epoch: Epoch, row: Envelope, by: str) -> None:
    """As ``bury``, and the file has the space of the body again."""
    position = epoch.position(row.seq)
    tombstone = _TOMBSTONE.dump_json(Tombstone(row.digest.hex(), "thinned", by)).decode()
    columns = "position, epoch, seq, schema, kind, digest, hash, stored_us"
    found = connection.execute(f"SELECT {columns} FROM records WHERE position = ?", (position,)).fetchone()  # noqa: S608
    connection.executemany(
        "INSERT INTO permits (act, position) VALUES (?, ?)", [("thin", position), ("prune", position)]
    )
    connection.execute("DELETE FROM records WHERE position = ?", (position,))
    connection.execute(
        f"INSERT INTO records ({columns}, body, tombstone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",  # noqa: S608
        (*found, tombstone),
    )
    connection.execute("DELETE FROM permits")


def bury_damaged(connection: sqlite3.Connection, epoch: Epoch, seq: int, header: Header) -> None:
    """Bury a body that does not have its digest any more, and say so in a record."""
    row = next(envelopes(connection, epoch, seq, seq))
    bury(connection, epoch, row, DAMAGED, row.agent)
    params: dict[str, JsonValue] = {"epoch": epoch.epoch, "seq": str(seq), "digest": row.digest.hex()}
    append(connection, [fact_body(Fact(header, OperationsEvent("record-damaged", params)))], header.at_us)


def oldest_bodies(
    connection: sqlite3.Connection, epoch: Epoch, kind: str, size: int, limit: int, *, behind: int = 0
) -> list[tuple[int, int]]:
    """Which rows (seq, bytes of the body) of a kind are the oldest behind a position that wait for central and
    have a body: at most ``limit``, and no more than it takes to hold ``size`` bytes together.
    """
    found: list[tuple[int, int]] = []
    rows = connection.execute(
        "SELECT seq, length(body) FROM records WHERE position > ? AND epoch = ? AND kind = ? AND body IS NOT NULL"
        " ORDER BY position LIMIT ?",
        (max(acknowledged(connection), epoch.first_position - 1, behind), epoch.number, kind, limit),
    )
    for seq, length in rows:
        found.append((int(seq), int(length)))
        size -= length
        if size <= 0:
            break
    return found


def prune(connection: sqlite3.Connection, through: int, limit: int) -> int:
    """Delete rows up to a position, oldest first, at most ``limit``; how many.

    Never beyond what is acknowledged, nor beyond a row that is still to be stored again.
    """
    starts = {epoch.number: epoch.first_position for epoch in epochs(connection)}
    kept = [starts[number] + first - 1 for number, first, _ in to_do(connection)]
    through = min([through, acknowledged(connection), *(position - 1 for position in kept)])
    row = connection.execute("SELECT min(position) FROM records").fetchone()
    if row is None or row[0] is None or row[0] > through:
        return 0
    first = int(row[0])
    through = min(through, first + limit - 1)
    for epoch in epochs(connection):
        seq = min(through - epoch.first_position + 1, epoch.last)
        if seq > epoch.pruned:
            link = hash_at(connection, epoch, seq)
            connection.execute(
                "UPDATE epochs SET pruned = ?, pruned_hash = ? WHERE number = ?", (seq, link, epoch.number)
            )
    connection.execute("INSERT INTO permits (act, position) VALUES ('prune', ?)", (through,))
    connection.execute("DELETE FROM records WHERE position <= ?", (through,))
    connection.execute("DELETE FROM permits")
    return through - first + 1
