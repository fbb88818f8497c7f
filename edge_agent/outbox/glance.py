"""A look into an outbox file that costs nothing, however large the file is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox import ledger, lost, rows
from edge_agent.outbox.fill import Fill, fill
from edge_agent.outbox.types import Pending, Place, Restored
from edge_agent.outbox.verify import pending, reading
from records.wire import Envelope


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
