"""The last row, noted outside the database: ``epoch.json`` beside ``records.db``.

When the database is lost, damaged or replaced by an older copy, this note tells the next epoch what came before.
It is written after each commit, so it is never ahead of a database that kept its promise.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from edge_agent.outbox.types import Place
from records.fields import Int64
from records.files import replace_file

SECTOR = 512


@dataclass(frozen=True, slots=True)
class _Note:
    agent: str
    stream: str
    epoch: str
    last: Int64
    head: str


_NOTE = TypeAdapter(_Note)


def path_of(database: Path) -> Path:
    """``epoch.json`` for ``records.db``, ``epoch.<stream>.json`` for another stream's file."""
    return database.with_name("epoch.json" if database.stem == "records" else f"epoch.{database.stem}.json")


def read(path: Path, agent: str, stream: str) -> Place | None:
    """What was noted for this agent and stream; None when nothing usable is there."""
    try:
        note = _NOTE.validate_json(path.read_bytes())
        head = bytes.fromhex(note.head)
    except (OSError, ValueError):
        return None
    return Place(note.epoch, note.last, head) if (note.agent, note.stream) == (agent, stream) else None


class Note:
    """The note while its buffer is open: forced to disk as a new file, else written over in place.

    It is shorter than a sector of a disk, which is written whole or not at all, and in place it costs a tenth of a
    new file.
    """

    def __init__(self, database: Path, agent: str, stream: str) -> None:
        self._path, self._agent, self._stream = path_of(database), agent, stream
        self._file: IO[bytes] | None = None

    def write(self, place: Place, *, sync: bool) -> None:
        """Note a row that is on disk.

        Raises:
            OSError: the volume does not take it; what was noted before stands.
        """
        note = _Note(self._agent, self._stream, place.epoch, place.seq, place.hash.hex())
        content = _NOTE.dump_json(note).ljust(SECTOR)
        if self._file is not None and not sync:
            self._file.seek(0)
            self._file.write(content)
            return
        self.close()  # Windows replaces no file that is open
        try:
            replace_file(self._path, content)
        finally:
            with suppress(OSError):
                self._file = self._path.open("r+b", buffering=0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
