"""Central's intake without a broker: decoded frames are handed to the commit function, by one worker."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from benchmarks.rig.frames import Line
from benchmarks.rig.meter import cpu_s
from central.believed import Believed, Keys
from central.committing import Checked, Committing
from central.facts import Facts, Origin
from central.ingest import _read
from central.quarantine import Quarantine
from central.store import agents
from central.store.database import Database
from central.store.engine import Store
from central.store.schema import envelope, metadata
from records.clock import Clock, SystemClock
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import CENTRAL, decode_frame

Row = tuple[Any, ...]

LINES = 4
PER_FRAME = 25
"""Records in a frame of an agent that has a backlog: 64 KiB of these."""
TOGETHER = 16
"""Frames that are committed together, as many as central's broker connection has under way."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A table, and what the intake left in it, by transaction."""

    table: Table
    parts: list[list[Row]]


@dataclass(frozen=True, slots=True)
class Took:
    """Wall and CPU seconds; the CPU of this process, and of the session of a database server if there is one."""

    wall_s: float
    cpu_s: float


class Stopwatch:
    """``session``: the process of the database server that works for this one."""

    def __init__(self, session: int | None) -> None:
        self._session = session
        self._wall, self._cpu = time.perf_counter(), self._now()

    def _now(self) -> float:
        return time.process_time() + (cpu_s(self._session) if self._session is not None else 0.0)

    def stop(self) -> Took:
        return Took(time.perf_counter() - self._wall, self._now() - self._cpu)


def new_central(store: Store, folder: Path) -> tuple[Facts, Clock]:
    """What states facts in a new database, opened, and its clock; anchors lie in ``folder``."""
    clock, key = SystemClock(), SigningKey.generate()
    ring = KeyRing([PublicKey(CENTRAL, key.public.hex())])
    facts = Facts(key, ring, clock, Origin("suzhou", "Asia/Shanghai", "bench", None), folder / "anchors.jsonl")
    store.write(facts.open)
    return facts, clock


class Intake:
    """Central's store, facts and ingest over a new database."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.store = Store(database)
        facts, clock = new_central(self.store, folder)
        self._committing = Committing(clock, Quarantine(self.store, facts, clock))
        self._lines = [Line(f"line-{number}") for number in range(LINES)]
        for line in self._lines:
            self.store.write(
                partial(agents.enrol, name=line.name, partition="p0", public=line.key.public.hex(), now_us=0)
            )
        self._before = {table: {key for key, _ in rows} for table, rows in self._rows()}
        self._ends: list[int] = []

    def run(self, transactions: int, session: int | None) -> Took:
        """Commit so many times ``TOGETHER`` frames of ``PER_FRAME`` records."""
        keys = Believed(self.store).now()
        work = [[self._checked(keys, number) for number in range(TOGETHER)] for _ in range(transactions)]
        gc.collect()
        gc.freeze()  # central never has so many records in memory at once: these are not walked again
        watch = Stopwatch(session)
        for frames in work:
            found = self.store.write(partial(self._committing.commit, frames=frames))
            assert {outcome and outcome.result for outcome in found} == {"committed"}
        took = watch.stop()
        gc.unfreeze()
        return took

    def _checked(self, keys: Keys, number: int) -> Checked:
        line = self._lines[number % LINES]
        frame = decode_frame(line.frame(PER_FRAME), keys.ring)
        return Checked(line.topic, frame, [_read(envelope) for envelope in frame.envelopes], keys.stamp)

    def left(self, transactions: int) -> list[Filled]:
        """The rows that were not there before, as the bare inserts are to make them. The store is closed."""
        found = {}
        for table, rows in self._rows():
            new = [row for key, row in rows if key not in self._before[table]]
            if new:
                found[table] = new
        self.store.close()
        cursors = [row[0] for row in found[envelope]]
        return [Filled(table, _parts(table, rows, cursors, transactions)) for table, rows in found.items()]

    def _rows(self) -> Iterator[tuple[Table, list[tuple[Row, Row]]]]:
        with self.store.read() as connection:
            for table in metadata.sorted_tables:
                yield table, _keyed(connection, table)


def _keyed(connection: Connection, table: Table) -> list[tuple[Row, Row]]:
    """(primary key, row), by primary key."""
    places = [table.columns.keys().index(column.name) for column in table.primary_key]
    rows = connection.execute(select(table).order_by(*table.primary_key))
    return [(tuple(row[place] for place in places), tuple(row)) for row in rows]


def _parts(table: Table, rows: list[Row], cursors: list[int], transactions: int) -> list[list[Row]]:
    """Rows of a record go with it, others by their own numbers; those without a number come first."""
    parts: list[list[Row]] = [[] for _ in range(transactions)]
    names = table.columns.keys()
    place = names.index("envelope_id") if "envelope_id" in names else 0
    if not isinstance(rows[0][place], int):
        parts[0] = rows
        return parts
    of_records = "envelope_id" in names
    first, last = (cursors[0], cursors[-1]) if of_records else (rows[0][place], rows[-1][place])
    for row in rows:
        parts[(row[place] - first) * transactions // (last - first + 1)].append(row)
    return parts
