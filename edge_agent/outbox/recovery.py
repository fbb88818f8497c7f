"""Every start is a recovery: what is wrong with the file that is found, and what can be saved from it.

A file that is damaged, or that belongs to another agent, is set aside (never deleted) as
``records.db.<reason>-<time>`` and a new one begins with a new epoch; ``aside`` tells of it from then on. From a
damaged file every record that central has not acknowledged and that still proves itself is stored again, with the
station's state. A file that ends before the row noted beside it is an older copy that was put back: it stays,
under a new epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.outbox import again, aside, ledger, lost, note, schema
from edge_agent.outbox.types import Gap, Place
from edge_agent.outbox.verify import BODY_DAMAGED, check, fault, link_of, state_digest, waiting
from edge_agent.outbox.watermark import roll_over
from records import chain
from records.durable import is_damage, open_reader, open_writer, transaction
from records.errors import ConfigurationError, Damaged, StorageFailed
from records.jobs import primary_code
from records.model import Header
from records.wire import Envelope

TAIL = 1000
"""Rows at the end of the chain that every start proves, beside all that central does not have yet: nothing that
waits can stand behind a row that can't be sent.
"""

DOUBTFUL = 200
"""Of rows in a row that only a later one could prove, no more are kept in mind."""

_SAVING = "saving"
"""Name of the file that was set aside, and how many of the rows that wait in it were gone through, while it is
being saved from. It does not change, so they are the same rows in the same order at every start.
"""
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, Damaged)
"""What reading a damaged file may raise."""

_COPIED = {
    "runs": ("order_reference", "station", "subject"),
    "identities": ("product", "scheme", "id", "carrier"),
    "documents": ("kind", "id", "version", "payload", "received_us"),
}


class _Foreign(Exception):
    """The file belongs to another agent, or to another program."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a start found: ``why`` a new epoch is needed (None: go on), and the file that was set aside.

    ``damaged``: rows (seq of the current epoch) at the end of the file whose bodies are lost.
    """

    why: str | None
    predecessor: Place | None
    aside: Path | None = None
    damaged: tuple[int, ...] = ()


def examine(path: Path, agent: str, stream: str, now_us: int) -> Finding:
    """Judge the file at ``path`` and set it aside when it cannot be used.

    Raises:
        StorageFailed: the disk refuses. ConfigurationError: a newer version of the software made the file.
    """
    noted = note.read(note.path_of(path), agent, stream)
    kept = aside.begun(path)
    anew = Finding("created" if noted is None else "lost", noted)
    if kept is not None:  # a start set it aside and ended before the new file knew of it
        anew = Finding(aside.why(kept), noted, kept)
    if not path.exists():
        return anew
    try:
        with closing(open_writer(path)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                return anew  # killed before its first commit
            damaged = _examine(connection, path, agent, stream)
            older = noted is not None and _is_older(connection, noted)
            return Finding("restored" if older else None, noted, damaged=damaged)
    except _Foreign:
        return Finding(aside.FOREIGN, noted, aside.put(path, aside.FOREIGN, now_us))
    except Damaged:
        return Finding(aside.DAMAGED, noted, aside.put(path, aside.DAMAGED, now_us))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not is_damage(error) and primary_code(error) != sqlite3.SQLITE_ERROR:  # no such table or column
            raise StorageFailed(f"cannot read {path}: {error}", hint="check the disk") from error
        return Finding(aside.DAMAGED, noted, aside.put(path, aside.DAMAGED, now_us))


def _examine(connection: sqlite3.Connection, path: Path, agent: str, stream: str) -> tuple[int, ...]:
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise _Foreign
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > schema.FORMAT:
        raise ConfigurationError(
            f"{path} has format {version}, this software knows {schema.FORMAT}",
            hint="install the newer version again, or give the agent another buffer path",
        )
    problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise Damaged(f"{path}: {problem}")
    if (schema.control(connection, "agent"), schema.control(connection, "stream")) != (agent, stream):
        raise _Foreign
    schema.assert_whole(connection)
    ledger.to_do(connection)
    last = ledger.current(connection)
    confirmed = ledger.acknowledged(connection) - last.first_position + 1
    first = max(last.pruned, min(confirmed, last.last - TAIL))
    damaged = []
    for seq, reason in check(connection, last, first, last.last):
        if reason == BODY_DAMAGED:
            damaged.append(seq)
        elif reason is not None:
            raise Damaged(f"{path}: row {last.epoch}/{seq}: {reason}")
    return tuple(damaged)


def _is_older(connection: sqlite3.Connection, noted: Place) -> bool:
    """Whether the note tells of a row that this file should hold and does not."""
    epoch = ledger.epoch_named(connection, noted.epoch)
    if epoch is None:
        return not ledger.is_stranger_known(connection, noted.epoch)
    if epoch.settled is not None or noted.seq < epoch.pruned:
        return False  # the note was not written any more after that epoch ended, or the row was pruned
    return ledger.hash_at(connection, epoch, noted.seq) != noted.hash


def prepare(
    connection: sqlite3.Connection, agent: str, stream: str, finding: Finding, context: Callable[[], Header]
) -> None:
    """Bring the file to where it can be written to: tables, epoch, and what was saved.

    A crash on the way costs nothing: what is still to be done is noted in the file, and done at the next start.
    """
    with transaction(connection):
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not empty:
            schema.migrate(connection)
        for seq in finding.damaged:
            ledger.bury_damaged(connection, ledger.current(connection), seq, context())
        if empty:
            schema.create(connection, agent, stream)
            ledger.open_epoch(connection, context(), finding.why or "created", finding.predecessor)
            if finding.aside is not None and finding.why == aside.DAMAGED:
                schema.note_control(connection, _SAVING, f"{finding.aside.name}/0")
                aside.note_saved(connection, finding.aside.name, 0)
        elif finding.why is not None and finding.predecessor is not None:
            roll_over(connection, context, finding.why, finding.predecessor)
    schema.assert_whole(connection)
    saving = schema.noted_control(connection, _SAVING)
    if saving is not None:
        name, _, through = saving.rpartition("/")
        folder = Path(connection.execute("PRAGMA database_list").fetchone()[2]).parent
        _save(connection, folder / name, int(through), context())


def _save(connection: sqlite3.Connection, kept: Path, behind: int, header: Header) -> None:
    """Store again what a damaged file still proves behind so many rows, a piece at a time, then the rest of it."""
    try:
        with closing(open_reader(kept)) as old:
            former = _former(old)
            with transaction(connection):
                lost.remember(connection, former)
            _save_rows(connection, old, kept.name, behind, header)
            with transaction(connection):
                _save_tables(connection, old)
                schema.note_control(connection, _SAVING, None)
    except StorageFailed:  # it cannot be opened: it stays aside, the gap is named by the epoch's predecessor
        with transaction(connection):
            schema.note_control(connection, _SAVING, None)


def _former(old: sqlite3.Connection) -> list[Place]:
    """What a damaged file knew of; nothing when that cannot be read."""
    try:
        return [place for _, place in lost.known(old)]
    except (sqlite3.DatabaseError, ValueError, Damaged):
        return []


def _save_rows(
    connection: sqlite3.Connection, old: sqlite3.Connection, name: str, behind: int, header: Header
) -> None:
    def save(piece: list[Envelope | Gap], reached: int) -> None:
        with transaction(connection):  # with how far it went: else a crash behind it would store the piece twice
            ledger.store_again(connection, piece, header)
            held = [each for each in piece if isinstance(each, Envelope) and each.body is not None]
            aside.note_saved(connection, name, len(held))
            schema.note_control(connection, _SAVING, f"{name}/{reached}")

    piece: list[Envelope | Gap] = []
    size, reached = 0, behind
    for reached, each in _all_provable(old, behind):
        piece.append(each)
        size += len(each.body or b"") if isinstance(each, Envelope) else 0
        if len(piece) >= again.ROWS or size >= again.BYTES:
            save(piece, reached)
            piece, size = [], 0
    save(piece, reached)


def _all_provable(old: sqlite3.Connection, behind: int) -> Iterator[tuple[int, Envelope | Gap]]:
    """What holds of the rows that wait, behind so many of them, until nothing more can be read, and what does not
    between them; each with how many were gone through.
    """
    before = 0
    try:
        for epoch, first, last in waiting(_epochs(old), ledger.acknowledged(old), _to_do(old)):
            following = first + max(behind - before, 0)
            for envelope in _provable(old, epoch, following, last):
                if following < envelope.seq:
                    yield before + envelope.seq - first, Gap(epoch.epoch, following, envelope.seq - 1)
                yield before + envelope.seq - first + 1, envelope
                following = envelope.seq + 1
            if following <= last:
                yield before + last - first + 1, Gap(epoch.epoch, following, last)
            before += last - first + 1
    except _UNREADABLE:
        return


def _epochs(old: sqlite3.Connection) -> list[ledger.Epoch]:
    """The epochs of a damaged file, the current one with what stands behind the row noted as its last."""
    known = ledger.epochs(old)
    with suppress(*_UNREADABLE):
        if known and known[-1].settled is None and ledger.goes_on(old, known[-1]):
            last, count = known[-1], "SELECT count(*) FROM records WHERE position > ?"
            more = old.execute(count, (last.position(last.last),)).fetchone()[0]
            known[-1] = replace(last, last=last.last + more)
    return known


def _to_do(old: sqlite3.Connection) -> list[ledger.Span]:
    """What was still to be stored again in a damaged file; nothing when that cannot be read."""
    try:
        return ledger.to_do(old)
    except _UNREADABLE:
        return []


def _save_tables(connection: sqlite3.Connection, old: sqlite3.Connection) -> None:
    """The station's state, as far as it has its digests, and the other tables."""
    for key, value, digest in _readable(old, "state", ("key", "value", "digest")):
        if state_digest(str(key), str(value)) == digest:
            connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (key, value, digest))
    for table, columns in _COPIED.items():
        marks = ", ".join("?" * len(columns))
        for row in _readable(old, table, columns):
            connection.execute(
                f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608
                row,
            )


def _provable(old: sqlite3.Connection, epoch: ledger.Epoch, first: int, last: int) -> Iterator[Envelope]:
    """Rows ``first`` to ``last`` (seq), as far as the chain vouches for them.

    A row holds when its body gives the hash stored for it. Rows whose own hashes were damaged hold when a row
    behind them gives its hash only with the links that their bodies make.
    """
    link: bytes | None = None
    doubtful: list[Envelope] = []
    for seq in range(first, last + 1):
        row, stored = _row(old, epoch, seq)
        if row is None or len(doubtful) >= DOUBTFUL:
            link, doubtful = None, []
        if row is None:
            continue
        if link is not None and fault(row, link) is None:
            yield from (*doubtful, row)
            link, doubtful = row.hash, []
        elif stored is not None and fault(row, stored) is None:
            yield row
            link, doubtful = row.hash, []
        elif (link := link or stored) is not None:
            link = link_of(row, link)
            doubtful.append(row)


def _row(old: sqlite3.Connection, epoch: ledger.Epoch, seq: int) -> tuple[Envelope | None, bytes | None]:
    """A row with the digest that its body really has, and the hash stored for the row before it."""
    try:
        row = next(ledger.envelopes(old, epoch, seq, seq), None)
        if row is None or (row.body is None and row.tombstone is None):
            return None, None
        if row.body is not None:
            row = replace(row, digest=chain.digest(row.body))
        return row, ledger.hash_at(old, epoch, seq - 1)
    except _UNREADABLE:
        return None, None


def _readable(old: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    try:
        yield from old.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return
