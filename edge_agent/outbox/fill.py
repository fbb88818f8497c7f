"""How full the buffer of records is, and for how long it lasts without central."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge_agent.outbox import ledger, rows
from edge_agent.outbox.verify import pending

SPANS_US = (3_600_000_000, 86_400_000_000)
"""The rate is that of the last hour; where hardly anything was recorded in it, of the last day."""
ENOUGH = 60
"""So many records tell a rate."""
BARE_PAGES = 20
"""About what a file takes that holds nothing."""


@dataclass(frozen=True, slots=True)
class Fill:
    """``used``: bytes of the file's contents; ``waiting``: of those that do not give way to records, about.

    ``room``: bytes that may still be taken, by the cap and by the volume; what central has gives way. ``rate``:
    bytes an hour of late. ``hours`` is ``room`` at that rate; None without a cap, and where nothing was recorded.
    """

    cap: int | None
    used: int
    waiting: int
    pending: int
    room: int | None
    rate: float
    hours: float | None


def fill(connection: sqlite3.Connection, cap: int | None, free: int, now_us: int) -> Fill:
    """How full it is now. ``free``: bytes free on the volume. Costs a few look-ups, however large the file is."""
    held = sum(epoch.last - epoch.pruned for epoch in ledger.epochs(connection))
    used, waits = rows.used_bytes(connection), pending(connection).records
    documents = connection.execute("SELECT coalesce(sum(length(payload)), 0) FROM documents").fetchone()[0]
    bare = BARE_PAGES * rows.page_bytes(connection)
    per_row = max(used - bare - documents, 0) / held if held else 0.0
    waiting = max(used - round(per_row * max(held - waits, 0)), 0)
    rate = per_row * _rows_an_hour(connection, now_us)
    if cap is None:
        return Fill(None, used, waiting, waits, None, rate, None)
    room = max(min(cap - waiting, free + used - waiting), 0)
    return Fill(cap, used, waiting, waits, room, rate, room / rate if rate > 0 else None)


def _rows_an_hour(connection: sqlite3.Connection, now_us: int) -> float:
    ends = connection.execute("SELECT min(position), max(position) FROM records").fetchone()
    if ends[0] is None:
        return 0.0
    first, last = int(ends[0]), int(ends[1])
    for span_us in SPANS_US:
        since = _first_since(connection, first, last, now_us - span_us)
        if last - since + 1 >= ENOUGH or span_us == SPANS_US[-1]:
            began_us = max(_stored_us(connection, since) or now_us, now_us - span_us)
            whole = since > first  # else the file is younger than the span
            took_us = span_us if whole else max(now_us - began_us, 60_000_000)
            return (last - since + 1) * 3_600_000_000 / took_us
    return 0.0


def _first_since(connection: sqlite3.Connection, first: int, last: int, since_us: int) -> int:
    """The first position that was stored at or after a moment (one behind the last: none was)."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        at_us = _stored_us(connection, middle)
        if at_us is not None and at_us >= since_us:
            high = middle
        else:
            low = middle + 1
    return low


def _stored_us(connection: sqlite3.Connection, position: int) -> int | None:
    row = connection.execute("SELECT stored_us FROM records WHERE position = ?", (position,)).fetchone()
    return None if row is None else int(row[0])
