"""The last row, noted outside the database: ``epoch.json`` beside ``records.db``.

When the database is lost, damaged or replaced by an older copy, this note tells the next epoch what came before.
It is written after each commit, so it is never ahead of a database that kept its promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from edge_agent.outbox.types import Place
from records.fields import Int64
from records.files import replace_file


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


def write(path: Path, agent: str, stream: str, place: Place, *, sync: bool) -> None:
    note = _Note(agent, stream, place.epoch, place.seq, place.hash.hex())
    replace_file(path, _NOTE.dump_json(note), sync=sync)
