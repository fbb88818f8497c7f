"""Files of a buffer that a start sets aside, damaged or of another agent, and what of each central has not got.

They lie beside the files in use as ``records.db.<reason>-<time>`` and are never touched again. The folder alone
says which there are, so that one is told of until a person has moved it away, whichever agent uses it by then.
From before a file is moved until the new one knows of it the note ``records.aside`` names it: a start that ends
in between is taken up by the next.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from edge_agent.outbox import ledger, schema
from edge_agent.outbox.verify import pending, reading
from records.clock import from_us
from records.errors import Damaged, StorageFailed
from records.files import replace_file, sync_folder

DAMAGED, FOREIGN = "damaged", "foreign"
"""Why a file was set aside."""
KEPT = 50
"""Of so many damaged files it is noted how much was saved from each; the newest."""
_NAME = re.compile(r"(records|telemetry)\.db\.(damaged|foreign)-\d{8}T\d{12}Z")
_BESIDE = ("", "-wal", "-shm")
"""The file and what SQLite has beside it. It finds the log by the file's name: that goes along, or it is lost."""
_SAVED = "saved"
_COUNTS = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class SetAside:
    """One such file. ``agent``: whose it is, None where that cannot be read.

    ``waiting``: its rows with content that central had not acknowledged, None where that cannot be read. ``left``:
    those of them that are here alone, since the start that set the file aside has not stored them again.
    """

    path: Path
    why: str
    stream: str
    agent: str | None
    waiting: int | None
    left: int | None

    @property
    def concerns(self) -> bool:
        """Whether a person must do something about it."""
        return self.left != 0


@dataclass(frozen=True, slots=True)
class _Content:
    """Of one file; ``saved``: how many rows of which damaged files were stored again in it."""

    agent: str | None = None
    waiting: int | None = None
    saved: tuple[tuple[str, int], ...] = ()


def put(path: Path, reason: str, now_us: int) -> Path:
    """Set the file in use aside; where it lies then. ``done`` must follow once the new file knows of it.

    Raises:
        StorageFailed: the disk refuses; the next start goes on from there.
    """
    kept = path
    while kept.exists():  # a clock that was set back must not take another one's name
        moment = from_us(now_us).strftime("%Y%m%dT%H%M%S%fZ")
        kept, now_us = path.with_name(f"{path.name}.{reason}-{moment}"), now_us + 1
    try:
        replace_file(_note_of(path), kept.name.encode())
        _move(path, kept)
    except OSError as error:
        raise StorageFailed(f"cannot set {path} aside: {error}", hint="check rights and free space") from error
    return kept


def begun(path: Path) -> Path | None:
    """The file that an earlier start set aside without coming to ``done``, moved whole by now; None: none was.

    Raises:
        StorageFailed: the disk refuses.
    """
    try:
        name = _note_of(path).read_text()
        kept = path.with_name(name)
        if _NAME.fullmatch(name) is None or not kept.exists():
            return None  # it stands where it stood
        if not path.exists():  # else a new one was made, after all of this one was moved
            _move(path, kept)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageFailed(f"cannot set {path} aside: {error}", hint="check rights and the disk") from error
    return kept


def done(path: Path) -> None:
    """The new file in use knows what was set aside before it."""
    _note_of(path).unlink(missing_ok=True)


def why(kept: Path) -> str:
    """For what a file was set aside."""
    named = _NAME.fullmatch(kept.name)
    return DAMAGED if named is None else named[2]


def _note_of(path: Path) -> Path:
    return path.with_suffix(".aside")


def _move(path: Path, kept: Path) -> None:
    for suffix in _BESIDE:
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + suffix))
    sync_folder(path.parent)


def set_aside(folder: Path) -> tuple[SetAside, ...]:
    """What was set aside in a buffer's folder, oldest first. Nothing is changed."""
    try:
        names = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return ()
    return tuple(found for path in names if (found := look(path)) is not None)


def look(path: Path) -> SetAside | None:
    """What is in a file; None where its name is none of one that was set aside."""
    named = _NAME.fullmatch(path.name)
    if named is None:
        return None
    stream, why = named[1], named[2]
    held = _content_of(path)
    left = held.waiting
    if why == DAMAGED and left is not None:
        saved = _saved(path)
        left = None if saved is None else max(left - saved, 0)
    return SetAside(path, why, stream, held.agent, held.waiting, left)


def note_saved(connection: sqlite3.Connection, name: str, rows: int) -> None:
    """Note in the file in use that so many further rows of a damaged one are in it, inside a transaction."""
    counts = _noted(connection)
    counts[name] = counts.get(name, 0) + rows
    newest = dict(sorted(counts.items(), key=lambda one: one[0].rpartition("-")[2])[-KEPT:])
    schema.note_control(connection, _SAVED, _COUNTS.dump_json(newest).decode())


def _noted(connection: sqlite3.Connection) -> dict[str, int]:
    noted = schema.noted_control(connection, _SAVED)
    return {} if noted is None else _COUNTS.validate_json(noted)


def _saved(path: Path) -> int | None:
    """Rows of a damaged file that were stored again; None where no file tells. The one that took its place may
    have been set aside since, too.
    """
    in_use = path.with_name(f"{path.name.partition('.')[0]}.db")
    counts: dict[str, int] = {}
    for other in path.parent.glob(f"{in_use.name}.*"):
        if _NAME.fullmatch(other.name):
            counts |= _content_of(other).saved
    with suppress(Damaged, StorageFailed, ValueError), reading(in_use) as connection:
        counts |= _noted(connection)
    return counts.get(path.name)


def _content_of(path: Path) -> _Content:
    """It never changes, so it is read once: a page is looked at every second."""
    try:
        known = path.stat()
        return _read(path, known.st_ino, known.st_size, known.st_mtime_ns)
    except (OSError, StorageFailed):  # that may pass, so it is asked again
        return _Content()


@lru_cache(maxsize=64)
def _read(path: Path, *_known: int) -> _Content:
    agent: str | None = None
    saved: tuple[tuple[str, int], ...] = ()
    try:
        with reading(path) as connection:
            agent = schema.control(connection, "agent")
            saved = tuple(_noted(connection).items())
            return _Content(agent, pending(connection).records - _graves(connection), saved)
    except (Damaged, ValueError, TypeError):
        return _Content(agent, None, saved)


def _graves(connection: sqlite3.Connection) -> int:
    """Rows that wait and have no content any more."""
    row = connection.execute(
        "SELECT count(*) FROM records WHERE position > ? AND body IS NULL AND tombstone IS NOT NULL",
        (ledger.acknowledged(connection),),
    ).fetchone()
    return int(row[0])
