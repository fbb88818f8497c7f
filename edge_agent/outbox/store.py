"""The outbox: what the line did, kept until central has committed it and the backup horizon has passed.

Promise: when the future of ``commit`` is done, its records, the station's state and the indexes over them are on
disk, all of them or none; a record leaves the file only after a watermark signed by central named a row at or
behind it with that row's very hash, and ``keep_acknowledged_s`` of running time later.

One writer thread owns the file (records.durable); reads go through one query-only connection. Two processes never
share a folder. Is not: a queue that empties on delivery. What the broker confirms means nothing here.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from edge_agent.outbox import ledger, note, recovery, rows, watermark
from edge_agent.outbox.kept import KeptDocuments
from edge_agent.outbox.running import RunningTime, bucket_end
from edge_agent.outbox.types import Applied, Batch, Pending, Place, Run
from edge_agent.outbox.verify import pending
from records import telemetry
from records.clock import Clock
from records.durable import Writer, open_reader
from records.errors import Damaged, Invalid, Refused, StorageFailed
from records.files import InstanceLock
from records.model import Header
from records.wire import Envelope, Head, Watermark

KEEP_ACKNOWLEDGED_S = 14 * 86_400.0
MAX_BODY = 4 * 1024 * 1024
"""Largest body of one record; a frame must be able to carry it."""
PRUNE_CHUNK = 2000
"""Rows deleted in one transaction, so that commits never wait long behind pruning."""
INDEX_ROWS = 1_000_000
"""Most rows of each index; the oldest give way."""
THIN_SHARE = 100
"""When telemetry is at its cap, this part of the cap gives way at once (one hundredth)."""
THIN_BYTES = 1024 * 1024
"""Of a small buffer so much gives way at once, or a quarter of it: each time makes a record."""
THIN_ROWS = 5000
"""Most chunks that give way at once."""
OnThin = Callable[[str, int, int], None]
"""Epoch, first and last seq of the chunks that are about to give way."""
NOTE_SYNC_S = 5.0
"""The note beside the file follows every commit; it is forced to disk this often."""


class Outbox:
    """One agent's durable buffer of one stream, in ``folder``. Opening it is recovery.

    ``context`` makes the header of records that the outbox writes itself. The note beside the file follows at most
    every ``note_every_s``. ``max_bytes`` bounds what is stored:
    beyond it acknowledged records give way, oldest first, then ``commit`` is refused. With ``on_thin`` the oldest
    telemetry chunks give way instead, each to a tombstone; it is called before that, in the writer's thread, to
    say so in a record: what it raises keeps the chunks. ``on_failure`` is called once, in the writer's thread,
    when the disk failed; the process must then stop.
    """

    def __init__(
        self,
        folder: Path,
        agent: str,
        clock: Clock,
        *,
        context: Callable[[], Header],
        stream: str = "records",
        keep_acknowledged_s: float = KEEP_ACKNOWLEDGED_S,
        max_bytes: int | None = None,
        on_thin: OnThin | None = None,
        note_every_s: float = 0.0,
        on_failure: Callable[[StorageFailed], None] | None = None,
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.agent, self.stream = agent, stream
        self.path = folder / f"{stream}.db"
        self._clock, self._context, self._failpoint = clock, context, failpoint
        self._keep_s, self._max_bytes, self._on_thin = keep_acknowledged_s, max_bytes, on_thin
        self._no_room_at: int | None = None
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._latest: Place | None = None
        self._noted: Place | None = None
        self._synced_s = self._noted_s = -math.inf
        self._note_every_s = note_every_s
        self._lock = InstanceLock(folder / f"{stream}.lock")
        try:
            self.finding = recovery.examine(self.path, agent, stream, clock.now_us())
            self._writer = Writer(
                self.path,
                self._prepare,
                on_failure,
                before_commit=lambda: failpoint("outbox.before_commit"),
                after_commit=self._after_commit,
            )
            self._reader = open_reader(self.path)
        except BaseException:
            self._lock.release()
            raise
        self._reading = threading.Lock()
        self.documents = KeptDocuments(self._writer, self._read)
        with self._read() as connection:
            self._latest = ledger.current(connection).place
            self._running = RunningTime(connection, clock)
        self._write_note(sync=True)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        recovery.prepare(connection, self.agent, self.stream, self.finding, self._context)

    def close(self) -> None:
        """Finish what waits and close. Not needed for anything to be safe."""
        with self._reading:
            self._reader.close()  # first: the last connection that closes clears the log away
        self._writer.close()
        self._write_note(sync=True)
        self._lock.release()

    # -- writing -------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Future[list[Envelope]]:
        """Store a batch in one transaction; the future is done once it is on disk.

        Raises:
            Invalid: a record is too large, or holds text that is no Unicode.
            StorageFailed: the disk failed, or too many writes wait.
            The future raises Refused when the buffer is at its cap.
        """
        try:
            bodies = [ledger.fact_body(fact) for fact in batch.facts]
        except ValueError as error:
            raise Invalid(f"a record cannot be written as JSON: {error}") from error
        return self._append(bodies, batch)

    def keep(self, chunks: Sequence[bytes]) -> Future[list[Envelope]]:
        """Store telemetry chunks in one transaction; as ``commit``."""
        return self._append([(telemetry.SCHEMA, telemetry.KIND, chunk) for chunk in chunks], Batch())

    def _append(self, bodies: Sequence[ledger.Body], batch: Batch) -> Future[list[Envelope]]:
        for _, kind, body in bodies:
            if len(body) > MAX_BODY:
                raise Invalid(
                    f"a {kind} of {len(body)} bytes is over the limit of {MAX_BODY}", hint="capture less"
                )
        states = {key: None if value is None else json.dumps(value) for key, value in batch.state.items()}

        def job(connection: sqlite3.Connection) -> list[Envelope]:
            self._make_room(connection)
            sealed = ledger.append(connection, bodies, self._clock.now_us())
            for key, value in states.items():
                rows.set_state(connection, key, value)
            rows.index(connection, batch)
            if sealed:
                self._latest = Place(sealed[-1].epoch, sealed[-1].seq, sealed[-1].hash)
            return sealed

        return self._writer.submit(job)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        cap = self._max_bytes
        if cap is None:
            return
        acknowledged = ledger.acknowledged(connection)
        while rows.used_bytes(connection) >= cap:
            if ledger.prune(connection, acknowledged, PRUNE_CHUNK):
                continue
            tell = self._on_thin
            stops = "the line must stop" if tell is None else "telemetry is lost"
            if tell is None or acknowledged == self._no_room_at or not self._thin(connection, cap, tell):
                self._no_room_at = acknowledged  # thinning is not tried again until central has more
                raise Refused(
                    f"the buffer {self.path} holds {cap} bytes that central has not committed",
                    hint=f"{stops} until central can be reached, or give the buffer more space",
                )

    def _thin(self, connection: sqlite3.Connection, cap: int, tell: OnThin) -> bool:
        """Have the oldest chunks give way. False when that does not help, since their tombstones fill the buffer:
        then nothing gave way and nothing is said, for the transaction is rolled back.
        """
        epoch = ledger.current(connection)  # what waits for central is of the current epoch alone
        size = max(cap // THIN_SHARE, min(cap // 4, THIN_BYTES))
        first = last = 0
        while rows.used_bytes(connection) >= cap:
            oldest = ledger.oldest_bodies(connection, epoch, telemetry.KIND, size, THIN_ROWS)
            if not oldest:
                return False
            first, last = first or oldest[0], oldest[-1]
            for row in ledger.envelopes(connection, epoch, oldest[0], last):
                if row.body is not None and row.kind == telemetry.KIND:
                    ledger.thin(connection, epoch, row, self.agent)
        tell(epoch.epoch, first, last)
        return True

    def _after_commit(self) -> None:
        self._failpoint("outbox.after_commit")
        now_s = self._clock.monotonic_s()
        if self._latest != self._noted and now_s - self._noted_s >= self._note_every_s:
            self._noted_s = now_s
            self._write_note(sync=now_s - self._synced_s >= NOTE_SYNC_S)
        for listener in self._listeners:
            listener()

    def _write_note(self, *, sync: bool) -> None:
        if self._latest is not None:
            note.write(note.path_of(self.path), self.agent, self.stream, self._latest, sync=sync)
            self._noted = self._latest
            if sync:
                self._synced_s = self._clock.monotonic_s()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called in the writer's thread after every commit; it must only wake somebody."""
        self._listeners = (*self._listeners, listener)

    # -- what the station asks -----------------------------------------------------------------------------

    def state(self, key: str) -> JsonValue:
        """The state last committed under ``key``, or None."""
        with self._read() as connection:
            row = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        value: JsonValue = None if row is None else json.loads(row[0])
        return value

    def states(self, prefix: str) -> dict[str, JsonValue]:
        """Every state committed under a key that begins so, by the rest of its key."""
        with self._read() as connection:
            rows_ = connection.execute(
                "SELECT key, value FROM state WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
            ).fetchall()
        return {key[len(prefix) :]: json.loads(value) for key, value in rows_}

    def prior_runs(self, order: str | None, station: str, subject: str) -> int:
        """How many committed runs of ``station`` worked on this subject of this order."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT count(*) FROM runs WHERE order_reference = ? AND station = ? AND subject = ?",
                (order or "", station, subject),
            ).fetchone()
        return int(row[0])

    def identity(self, product: str | None, scheme: str, unit: str) -> str | None:
        """The carrier whose piece a unit is, or None when no committed record said so."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT carrier FROM identities WHERE product = ? AND scheme = ? AND id = ?",
                (product or "", scheme, unit),
            ).fetchone()
        return None if row is None else str(row[0])

    # -- what the uplink asks ------------------------------------------------------------------------------

    def head(self) -> Head:
        """The last committed record and its hash."""
        with self._read() as connection:
            last = ledger.current(connection)
        return Head(self.agent, last.epoch, self.stream, last.last, last.head.hex(), self._clock.now_us())

    def acknowledged(self) -> tuple[int, Place]:
        """Position and place of the last row that central has committed."""
        with self._read() as connection:
            position = ledger.acknowledged(connection)
            return position, ledger.place_at(connection, position)

    def pending(self) -> Pending:
        """What central has not committed yet."""
        with self._read() as connection:
            return pending(connection)

    def next_run(self, position: int, max_records: int, max_bytes: int) -> Run | None:
        """The rows that stand behind a position, of one epoch; None when there is none.

        Rows that were stored again under a later epoch are passed over. A body that lost its digest on disk is
        replaced by a tombstone, so that the rest can still be proved.

        Raises:
            Damaged: the chain is broken on disk.
        """
        try:
            with self._read() as connection:
                found = rows.first_standing(connection, position)
                return None if found is None else rows.run(connection, *found, max_records, max_bytes)
        except rows.BodyDamaged as damaged:
            where = damaged.epoch, damaged.seq

        def job(connection: sqlite3.Connection) -> None:
            ledger.bury_damaged(connection, *where, self._context())
            self._latest = ledger.current(connection).place

        self._writer.submit(job).result()
        return self.next_run(position, max_records, max_bytes)

    def apply(self, mark: Watermark) -> Applied:
        """Act on a watermark whose signature was verified. Nothing is pruned here.

        Raises:
            Damaged: it names no row. StorageFailed: the disk failed.
        """

        def job(connection: sqlite3.Connection) -> Applied:
            until_s = bucket_end(self._running.keep(connection), self._keep_s)
            applied = watermark.apply(connection, mark, self._context, until_s)
            self._latest = ledger.current(connection).place
            return applied

        return self._writer.submit(job).result()

    def prune(self) -> int:
        """Forget what is acknowledged and older than ``keep_acknowledged_s``; how many rows."""
        total = 0
        while True:
            count = self._writer.submit(self._prune).result()
            total += count
            if count < PRUNE_CHUNK:
                return total

    def _prune(self, connection: sqlite3.Connection) -> int:
        running = self._running.keep(connection)
        row = connection.execute(
            "SELECT max(position) FROM acks WHERE until_s + ? <= ?", (self._keep_s, running)
        ).fetchone()
        rows.trim_indexes(connection, INDEX_ROWS)
        if row[0] is None:
            return 0
        count = ledger.prune(connection, int(row[0]), PRUNE_CHUNK)
        if count < PRUNE_CHUNK:
            connection.execute("DELETE FROM acks WHERE until_s + ? <= ?", (self._keep_s, running))
        return count

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of what is committed."""
        with self._reading:
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                raise Damaged(f"{self.path} cannot be read: {error}", hint="start the agent again") from error
            finally:
                self._reader.execute("ROLLBACK")
