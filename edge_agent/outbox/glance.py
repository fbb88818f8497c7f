"""A look into an outbox file that costs nothing, however large the file is."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox import ledger, lost, note, rows
from edge_agent.outbox.exporting import owner
from edge_agent.outbox.fill import Fill, fill
from edge_agent.outbox.types import Pending, Place, Restored
from edge_agent.outbox.verify import pending, reading
from records.errors import ConfigurationError, Damaged, StorageFailed, Unreachable
from records.wire import Envelope


def records_of(folder: Path, agent: str) -> Path:
    """The file with the records of an agent; what is wrong inside it, who reads it meets.

    Raises:
        Unreachable: there is none. ConfigurationError: it is another agent's.
    """
    path = folder / "records.db"
    if not path.exists():
        noted = note.read(note.path_of(path), agent, "records")
        if noted is None:
            raise Unreachable(f"there is no buffer {path}", hint="has the agent run on this machine yet?")
        raise Unreachable(
            f"there is no buffer {path}, but its last record was noted: {noted.epoch} {noted.seq}",
            hint="put the file back if you have it; without it the agent begins a new epoch and tells central",
        )
    with suppress(Damaged, StorageFailed):
        whose = owner(path, 0).agent
        if whose != agent:
            raise ConfigurationError(
                f"{path} is the buffer of {whose}, the line file is of {agent}",
                hint=f"give {agent} its own folder back; a start sets this file aside and loses nothing of it",
            )
    return path


@dataclass(frozen=True, slots=True)
class Glance:
    """What can be told of a file without going through it, and its last records, oldest first.

    ``committed`` counts every record ever stored here, ``acknowledged_records`` those of them that central has;
    ``free``: bytes free on its volume; ``restores``: those of central that left gaps, oldest first.
    """

    head: Place
    acknowledged: Place
    pending: Pending
    committed: int
    acknowledged_records: int
    records: int
    bytes: int
    last: tuple[Envelope, ...]
    free: int
    fill: Fill
    restores: tuple[Restored, ...]


def glance(path: Path, last: int, cap: int | None = None, now_us: int = 0) -> Glance:
    """What the file holds now, told in a moment however large it is. ``cap``: bytes that it may hold.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox.
    """
    free = shutil.disk_usage(path.parent).free
    with reading(path) as connection:
        epochs = ledger.epochs(connection)
        now = ledger.current(connection)
        position = ledger.acknowledged(connection)
        waiting = pending(connection)
        first = max(now.pruned, now.last - last) + 1
        return Glance(
            now.place,
            ledger.place_at(connection, position),
            waiting,
            now.position(now.last),
            position,
            sum(epoch.last - epoch.pruned for epoch in epochs),
            rows.used_bytes(connection),
            tuple(ledger.envelopes(connection, now, first, now.last)),
            free,
            fill(connection, cap, free, now_us),
            tuple(lost.told(connection)),
        )
