"""The outbox: what the line did, kept until central has committed it and the backup horizon has passed.

Promise: when the future of ``commit`` is done, its records, the station's state and the indexes over them are on
disk, all of them or none; a record leaves the file only after a watermark signed by central named a row at or
behind it with that row's very hash, and ``keep_acknowledged_s`` of running time later.

One writer thread owns the file (records.durable); reads go through one query-only connection. Two processes never
share a folder. Is not: a queue that empties on delivery. What the broker confirms means nothing here.
"""

from __future__ import annotations

import errno
import json
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from edge_agent.outbox import again, aside, ledger, recovery, rows, watermark
from edge_agent.outbox.fill import Fill, fill
from edge_agent.outbox.kept import KeptDocuments
from edge_agent.outbox.note import Note
from edge_agent.outbox.running import RunningTime, bucket_end
from edge_agent.outbox.schema import THINNED
from edge_agent.outbox.thinning import GivenUp, Thinning, give_way, once
from edge_agent.outbox.types import Applied, Batch, Outcome, Pending, Place, Run
from edge_agent.outbox.verify import pending
from edge_agent.space import RESERVE
from records import chain, telemetry
from records.clock import Clock
from records.durable import PAGE_BYTES, Writer, open_reader
from records.errors import Damaged, Invalid, NoRoom, Refused, StorageFailed, Unreachable
from records.files import InstanceLock
from records.jobs import Again, primary_code
from records.model import Header
from records.wire import Head, Watermark

KEEP_ACKNOWLEDGED_S = 14 * 86_400.0
MAX_BODY = 4 * 1024 * 1024
"""Largest body of one record; a frame must be able to carry it."""
ROW_WEIGHT = 400
"""About what a row takes in the file beside its body, with the indexes over it."""
RECORDS_PAGE_BYTES = 8192
"""Of a new file of records. Runs of two to four thousand bytes leave a third of each page of 4096 empty; with
pages that are larger still, a commit of a single record writes too much again (``benchmarks.edge``). Telemetry,
any chunk of which may give way in place, takes no less room in them.
"""
PRUNE_CHUNK = 2000
"""Rows deleted in one transaction, so that commits never wait long behind pruning."""
OnThin = Callable[[GivenUp], None]
CANNOT_OPEN = "may this process open more files (LimitNOFILE=), and read those? then start again"
NOTE_SYNC_S = 5.0
"""The note beside the file follows every commit; it is forced to disk this often."""


class _Given(NamedTuple):
    """One commit, ready to be written."""

    bodies: Sequence[ledger.Body]
    states: Mapping[str, str | None]
    batch: Batch
    weight: int
    urgent: bool


def _weight(bodies: Sequence[ledger.Body], states: Mapping[str, str | None]) -> int:
    """About what they take in the file.

    Raises:
        Invalid: a body is too large.
    """
    weight = 0
    for _, kind, body in bodies:
        size = len(body)
        if size > MAX_BODY:
            raise Invalid(f"a {kind} of {size} bytes is over the limit of {MAX_BODY}", hint="capture less")
        weight += size + ROW_WEIGHT
    return weight + sum(len(value or "") for value in states.values())


class Outbox:
    """One agent's durable buffer of one stream, in ``folder``. Opening it is recovery.

    ``context`` makes the header of records that the outbox writes itself. The note beside the file follows at most
    every ``note_every_s``. ``max_bytes`` bounds what is stored: beyond it acknowledged records give way, oldest
    first, then ``commit`` is refused; SQLite's own cap stands a reserve behind it. ``on_full`` is called in the
    writer's thread when the volume is full, and tells whether it has freed something for a second try.

    With ``on_thin`` telemetry is thinned before the cap to the extremes of each ``bucket_s``, and at it the oldest
    chunks give way whole; it is called before that, in the writer's thread, to say so in a record: what it raises
    keeps the chunks. ``on_failure`` is called once, in the writer's thread, when the disk failed; the process must
    then stop.
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
        on_full: Callable[[], bool] = lambda: False,
        on_thin: OnThin | None = None,
        bucket_s: float | None = None,
        note_every_s: float = 0.0,
        on_failure: Callable[[StorageFailed], None] | None = None,
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.agent, self.stream = agent, stream
        self.path = folder / f"{stream}.db"
        self._clock, self._context, self._failpoint = clock, context, failpoint
        self._keep_s, self._max_bytes = keep_acknowledged_s, max_bytes
        self._on_thin = None if on_thin is None else once(on_thin)
        self._thinning: Thinning | None = None
        if max_bytes is not None and self._on_thin is not None and bucket_s is not None:
            self._thinning = Thinning(agent, max_bytes, bucket_s, self._on_thin)
        self._index_rows = rows.index_rows(max_bytes)
        self._unfinished = False
        """Whether what is on disk has a backlog that is still to be stored again."""
        self._going: Future[None] | None = None
        self._no_room_at: int | None = None
        self._room_left = 0
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._latest: Place | None = None
        self._coming: tuple[Place | None, bool] = None, False  # _latest and _unfinished of this commit
        self._noted: Place | None = None
        self._note = Note(self.path, agent, stream)
        self._synced_s = self._noted_s = -math.inf
        self._note_every_s = note_every_s
        self._lock = InstanceLock(folder / f"{stream}.lock")
        try:
            self.finding = recovery.examine(self.path, agent, stream, clock.now_us())
            self._writer = Writer(
                self.path,
                self._prepare,
                on_failure,
                before_commit=self._before_commit,
                after_commit=self._after_commit,
                max_bytes=None if max_bytes is None else max_bytes + RESERVE,
                page_bytes=PAGE_BYTES if stream == THINNED else RECORDS_PAGE_BYTES,
                on_full=on_full,
            )
            self._reader = open_reader(self.path)
            self._reading = threading.Lock()
            self.documents = KeptDocuments(self._writer, self._read)
            aside.done(self.path)
            with self._read() as connection:
                self._latest = ledger.current(connection).place
                self._running = RunningTime(connection, clock)
                self._unfinished = again.waits(connection)
            self._write_note(sync=True)
            self._take_up_again()
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise StorageFailed(
                f"cannot bring {self.path} to where it can be written: {error}",
                hint="free space, then start again",
            ) from error
        except BaseException:
            self._lock.release()
            raise

    def _take_up_again(self) -> None:
        """Go on storing again what the last start did not finish; without room for it, later."""
        if self._unfinished:
            with suppress(NoRoom):
                self._writer.submit_steps(self._finish).result()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        recovery.prepare(connection, self.agent, self.stream, self.finding, self._context)

    def close(self) -> None:
        """Finish what waits and close. Not needed for anything to be safe."""
        with self._reading:
            self._reader.close()  # first: the last connection that closes clears the log away
        self._writer.close()
        self._write_note(sync=True)
        self._note.close()
        self._lock.release()

    # -- writing -------------------------------------------------------------------------------------------

    def commit(self, batch: Batch, *, urgent: bool = False) -> Future[Place]:
        """Store a batch in one transaction; the future is done once it is on disk, and tells where its last record
        stands.

        ``urgent``: the reserve behind the cap is for it. For the few events that tell of a full buffer.

        Raises:
            Invalid: a record is too large, or holds text that is no Unicode.
            StorageFailed: the disk failed.
            The future raises Refused when the buffer is at its cap, the volume is full or too many writes wait:
            nothing was stored.
        """
        try:
            bodies = [ledger.fact_body(fact) for fact in batch.facts]
            states = {key: None if value is None else json.dumps(value) for key, value in batch.state.items()}
        except ValueError as error:
            raise Invalid(f"a record cannot be written as JSON: {error}") from error
        given = _Given(bodies, states, batch, _weight(bodies, states), urgent)
        self._go_on()
        return self._writer.submit_alike(self._store, given, given.weight)

    def keep(self, chunks: Sequence[bytes]) -> Future[Place]:
        """Store telemetry chunks in one transaction; as ``commit``."""
        bodies = [(telemetry.SCHEMA, telemetry.KIND, chunk) for chunk in chunks]
        given = _Given(bodies, {}, Batch(), _weight(bodies, {}), urgent=False)
        self._go_on()
        return self._writer.submit(lambda connection: self._store(connection, (given,))[0], given.weight)

    def _store(self, connection: sqlite3.Connection, many: Sequence[_Given]) -> list[Place]:
        """What some commits that wait together were given, as one."""
        weight = sum(given.weight for given in many if not given.urgent)
        if not all(given.urgent for given in many):
            self._make_room(connection, weight)
        bodies = [body for given in many for body in given.bodies]
        appended = ledger.append(connection, bodies, self._clock.now_us())
        states: dict[str, str | None] = {}
        for given in many:
            states.update(given.states)
        rows.set_states(connection, states)
        rows.index(connection, [given.batch for given in many])
        counts = accumulate(len(given.bodies) for given in many)
        return [appended.through(count) for count in counts]

    def _make_room(self, connection: sqlite3.Connection, weight: int) -> None:
        """What is used is counted anew only when what was left the last time may be used up."""
        if self._unfinished:
            raise Refused(
                f"{self.path} has no room to store again what central lacks, which goes before anything new",
                hint="free space on the volume",
            )
        cap = self._max_bytes
        self._room_left -= weight
        if cap is None or self._room_left > 0:
            return
        acknowledged = ledger.acknowledged(connection)
        if self._thinning is not None:
            self._thinning.before(connection, self._clock.now_us())
        while (used := rows.used_bytes(connection)) >= cap:
            if ledger.prune(connection, acknowledged, PRUNE_CHUNK):
                continue
            if rows.trim_indexes(connection, self._index_rows):
                continue
            if self._thinning is not None and self._thinning.step(connection, self._clock.now_us()):
                continue
            tell = self._on_thin
            stops = "the line must stop" if tell is None else "telemetry is lost"
            if tell is None or acknowledged == self._no_room_at or not give_way(connection, cap, self.agent, tell):
                self._no_room_at = acknowledged  # thinning is not tried again until central has more
                raise Refused(
                    f"the buffer {self.path} holds {cap} bytes that central has not committed",
                    hint=f"{stops} until central can be reached, or give the buffer more space",
                )
        self._room_left = (cap - used) // 2  # pages hold more than the bodies in them
        if self._thinning is not None:
            self._room_left = min(self._room_left, self._thinning.look_after(used))

    def _before_commit(self, connection: sqlite3.Connection) -> None:
        self._coming = ledger.current(connection).place, again.waits(connection)  # needs no lock of its own here
        self._failpoint("outbox.before_commit")

    def _after_commit(self) -> None:
        self._failpoint("outbox.after_commit")
        self._latest, self._unfinished = self._coming
        now_s = self._clock.monotonic_s()
        if self._latest != self._noted and now_s - self._noted_s >= self._note_every_s:
            self._noted_s = now_s
            self._write_note(sync=now_s - self._synced_s >= NOTE_SYNC_S)
        for listener in self._listeners:
            listener()

    def _write_note(self, *, sync: bool) -> None:
        """Follow what is on disk. A full volume takes no note: the one before is right too, only older."""
        if self._latest is None:
            return
        try:
            self._note.write(self._latest, sync=sync)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return
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
        """The last committed record; it counts until now, or until what is left of a backlog was made."""
        with self._read() as connection:
            last, at_us = ledger.current(connection), ledger.whole_until_us(connection, self._clock.now_us())
        return Head(self.agent, last.epoch, self.stream, last.last, last.head.hex(), at_us)

    def acknowledged(self) -> tuple[int, Place]:
        """Position and place of the last row that central has committed."""
        with self._read() as connection:
            position = ledger.acknowledged(connection)
            return position, ledger.place_at(connection, position)

    def pending(self) -> Pending:
        """What central has not committed yet."""
        with self._read() as connection:
            return pending(connection)

    def fill(self, free: int) -> Fill:
        """How full it is; ``free``: bytes free on the volume."""
        with self._read() as connection:
            return fill(connection, self._max_bytes, free, self._clock.now_us())

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
            where = damaged.epoch.epoch, damaged.seq
        self.bury_damaged(*where)
        return self.next_run(position, max_records, max_bytes)

    def bury_damaged(self, name: str, seq: int) -> None:
        """Put a tombstone in the place of a body of this epoch that lost its digest, and say so in a record."""

        def job(connection: sqlite3.Connection) -> None:
            epoch = ledger.epoch_named(connection, name)
            row = None if epoch is None else next(ledger.envelopes(connection, epoch, seq, seq), None)
            if epoch is None or row is None or row.body is None:
                return  # it was pruned or buried meanwhile
            if chain.digest(row.body) != row.digest:
                ledger.bury_damaged(connection, epoch, seq, self._context())

        self._writer.submit(job).result()

    def apply(self, mark: Watermark) -> Applied:
        """Act on a watermark whose signature was verified.

        Raises:
            Damaged: it names no row. StorageFailed: the disk failed. Refused: no room; what of a backlog was not
            stored again yet stays noted, and is stored before anything new.
        """

        def job(connection: sqlite3.Connection) -> Applied | None:
            if watermark.is_long(watermark.judge(connection, mark)):
                return None  # not with other jobs in one transaction
            return self._apply(connection, mark)

        self._go_on()
        applied = self._writer.submit(job).result()
        return applied or self._writer.submit_steps(lambda c, so_far: self._step(c, so_far, mark)).result()

    def reached(self, mark: Watermark) -> int | None:
        """The position through which a watermark acknowledges; None: it says anything else. Nothing is written.

        Raises:
            Damaged: it names no row.
        """
        with self._read() as connection:
            verdict = watermark.judge(connection, mark)
        return verdict.position if verdict.outcome is Outcome.ADVANCED else None

    def _apply(self, connection: sqlite3.Connection, mark: Watermark) -> Applied:
        until_s = bucket_end(self._running.keep(connection), self._keep_s)
        return watermark.apply(connection, mark, self._context, until_s)

    def _step(
        self, connection: sqlite3.Connection, so_far: Applied | None, mark: Watermark
    ) -> Applied | Again[Applied | None]:
        """A watermark that has a backlog stored again: all of it before anything else is stored, and behind what
        an earlier one has left to do.
        """
        stored = 0
        if so_far is None and not again.waits(connection):
            so_far = self._apply(connection, mark)
        else:
            stored = self._piece(connection)
        if so_far is None:
            return Again(None)
        so_far = replace(so_far, stored_again=so_far.stored_again + stored)
        return Again(so_far) if again.waits(connection) else so_far

    def _finish(self, connection: sqlite3.Connection, _: None) -> Again[None] | None:
        """Store again what is left to do, as one step after the other."""
        if again.waits(connection):
            self._piece(connection)
        return Again(None) if again.waits(connection) else None

    def _piece(self, connection: sqlite3.Connection) -> int:
        if self._max_bytes is not None and rows.used_bytes(connection) >= self._max_bytes:
            ledger.prune(connection, ledger.acknowledged(connection), PRUNE_CHUNK)
        return again.go_on(connection, self._context())

    def _go_on(self) -> None:
        """Where the disk was full while a backlog was stored again: go on, before what is asked for next. A try
        that waits in the queue is before it, too.
        """
        if self._unfinished and (self._going is None or self._going.done()):
            self._going = self._writer.submit_steps(self._finish)

    def prune(self) -> int:
        """Forget what is acknowledged and older than ``keep_acknowledged_s``; how many rows.

        Raises:
            Refused: no room to note that. StorageFailed: the disk failed.
        """
        self._go_on()
        total = 0
        while True:
            count = self._writer.submit(self._prune).result()
            total += count
            if count < PRUNE_CHUNK:
                break
        while self._writer.submit(lambda c: rows.trim_indexes(c, self._index_rows)).result() >= rows.TRIMMED:
            pass
        return total

    def _prune(self, connection: sqlite3.Connection) -> int:
        running = self._running.keep(connection)
        row = connection.execute(
            "SELECT max(position) FROM acks WHERE until_s + ? <= ?", (self._keep_s, running)
        ).fetchone()
        if row[0] is None:
            return 0
        count = ledger.prune(connection, int(row[0]), PRUNE_CHUNK)
        if count < PRUNE_CHUNK:
            gone = "position < coalesce((SELECT min(position) FROM records), position + 1)"
            connection.execute(f"DELETE FROM acks WHERE until_s + ? <= ? AND {gone}", (self._keep_s, running))  # noqa: S608
        return count

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of what is committed."""
        with self._reading:
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if primary_code(error) == sqlite3.SQLITE_CANTOPEN:  # a file beside it: not what is in it
                    raise Unreachable(f"{self.path} cannot be read: {error}", hint=CANNOT_OPEN) from error
                raise Damaged(f"{self.path} cannot be read: {error}", hint="start the agent again") from error
            finally:
                self._reader.execute("ROLLBACK")
