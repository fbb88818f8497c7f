"""Telemetry whose room runs low: of the oldest chunks that wait for central the extremes stay, before any goes.

A window of chunks is thinned at a time, inside the writer's transaction: each series becomes one chunk or a few,
new records at the end of the chain which name what they stand for, and tombstones take the places of those: all of
it or nothing. How far it has come stands in the file. What was thinned once is not thinned again: when all is
thinned and the room still ends, the oldest chunks give way whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from edge_agent.outbox import ledger, rows
from edge_agent.outbox.extremes import extremes, merged, pieces
from edge_agent.outbox.schema import note_control, noted_control
from edge_agent.outbox.verify import holding, pending
from records.clock import MICROSECONDS
from records.errors import Invalid, Refused
from records.telemetry import KIND, SCHEMA, Chunk, Thinned, decode_chunk, encode_chunk
from records.wire import Envelope

FROM_SHARE = 0.8
"""Thinning begins when what waits for central takes this share of the cap."""
WINDOW_SHARE, WINDOW_MOST = 50, 4 * 1024 * 1024
WINDOW_LEAST = 256 * 1024
"""Bytes of chunks that are thinned at once: a part of the cap, and an eighth of a small one."""
ROWS = 5000
"""Most chunks of a window, and that give way whole at once."""
GIVEN_SHARE, GIVEN_BYTES = 100, 1024 * 1024
"""This part of the cap gives way whole at once (one hundredth); of a small buffer so many bytes, or a quarter of
it: each time makes a record.
"""
PRUNED = 500
"""Rows that central has and that go at once, so that none of what waits is thinned for them."""
SPAN_US = 20 * 60 * MICROSECONDS
"""No thinned chunk lasts longer; central looks for readings an hour back."""
GATHERED, HELD = 50_000, 200_000
"""Readings of a series that are gathered before they are thinned, and that are held at most."""
BODY_BYTES = 48 * 1024
"""About the most bytes of a thinned chunk: some brokers take no message above 128 KiB."""
WORTH = 0.75
"""Chunks stay as they are where thinning leaves more than this share of their bytes."""
ROW_BYTES, GRAVE_BYTES = 400, 150
"""What a record takes beside its body, and what a tombstone adds to one."""
_LOOKED = "thinned"
"""Epoch and seq through which all was thinned that can be."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Chunks that are about to give way, between ``first`` and ``last`` (seq); ``began_us`` and ``ended_us``: from
    when to when their readings are.

    ``bucket_s``: their extremes are kept, of each span of so many seconds; None: nothing of them is.
    """

    epoch: str
    first: int
    last: int
    chunks: int
    readings: int | None = None
    bucket_s: float | None = None
    began_us: int | None = None
    ended_us: int | None = None


@dataclass(frozen=True, slots=True)
class _Stand:
    """Chunks (by seq) and the bodies that stand for them from now on."""

    rows: tuple[Envelope, ...]
    bodies: tuple[bytes, ...]
    readings: int
    began_us: int
    ended_us: int


def once(tell: Callable[[GivenUp], None]) -> Callable[[GivenUp], None]:
    """Says the same but once: what a full disk took back is tried again, with what was said for it."""
    said: GivenUp | None = None

    def tell_once(given: GivenUp) -> None:
        nonlocal said
        if given != said:
            tell(given)
            said = given

    return tell_once


def give_way(connection: sqlite3.Connection, cap: int, agent: str, tell: Callable[[GivenUp], None]) -> bool:
    """Have the oldest chunks give way whole. False when that does not help, since their tombstones fill the
    buffer: then nothing is said, and the caller takes the transaction back.
    """
    epoch = ledger.current(connection)  # what waits for central is of the current epoch alone
    size = max(cap // GIVEN_SHARE, min(cap // 4, GIVEN_BYTES))
    first = last = chunks = 0
    while rows.used_bytes(connection) >= cap:
        bodies = ledger.oldest_bodies(connection, epoch, KIND, size, ROWS)
        oldest = [seq for seq, _ in bodies]
        if not oldest:
            return False
        first, last = first or oldest[0], oldest[-1]
        chunks += len(oldest)
        for row in ledger.envelopes(connection, epoch, oldest[0], last):
            if row.body is not None and row.kind == KIND:
                ledger.thin(connection, epoch, row, agent)
    tell(GivenUp(epoch.epoch, first, last, chunks))
    return True


class Thinning:
    """``cap``: bytes of the buffer. ``tell`` says in a record what is about to happen; what it refuses, stays."""

    def __init__(self, agent: str, cap: int, bucket_s: float, tell: Callable[[GivenUp], None]) -> None:
        self._agent, self._tell = agent, tell
        self._bucket_s, self._bucket_us = bucket_s, max(round(bucket_s * MICROSECONDS), 1)
        self._begins = int(cap * FROM_SHARE)
        self._window = min(max(cap // WINDOW_SHARE, min(cap // 8, WINDOW_LEAST)), WINDOW_MOST)

    def before(self, connection: sqlite3.Connection, at_us: int) -> None:
        """Where little room is left: a piece of what central has goes, else one window is thinned."""
        used = rows.used_bytes(connection)
        if used < self._begins:
            return
        waiting = pending(connection).records
        held = sum(epoch.last - epoch.pruned for epoch in ledger.epochs(connection))
        if used * waiting < self._begins * held:
            return  # about: what central has is the most of it, and goes at the cap
        if not ledger.prune(connection, ledger.acknowledged(connection), PRUNED):
            self.step(connection, at_us)

    def look_after(self, used: int) -> int:
        """After how many bytes more ``before`` is worth its look."""
        return (self._begins - used) // 2 if used < self._begins else self._window // 2

    def step(self, connection: sqlite3.Connection, at_us: int) -> bool:
        """Thin the oldest window that was not looked at; False where there is none, or nothing can be said now."""
        epoch = ledger.current(connection)  # what waits for central is of the current epoch alone
        seqs = self._next(connection, epoch)
        if not seqs:
            return False
        stands = list(self._stands(epoch, holding(connection, epoch, seqs[0], seqs[-1])))
        if stands:
            try:
                self._tell(self._given_up(epoch, stands))
            except Refused:
                return False
        for stand in stands:
            for row in stand.rows:
                ledger.thin(connection, epoch, row, self._agent)
            ledger.append(connection, [(SCHEMA, KIND, body) for body in stand.bodies], at_us)
        note_control(connection, _LOOKED, f"{epoch.number}/{seqs[-1]}")
        return True

    def _next(self, connection: sqlite3.Connection, epoch: ledger.Epoch) -> list[int]:
        """The chunks (seq) of the next window; none while they would not fill it."""
        number, _, seq = (noted_control(connection, _LOOKED) or "0/0").partition("/")
        looked = epoch.position(int(seq)) if int(number) == epoch.number else 0
        found = ledger.oldest_bodies(connection, epoch, KIND, self._window, ROWS, behind=looked)
        full = len(found) == ROWS or sum(size for _, size in found) >= self._window
        return [seq for seq, _ in found] if full else []

    def _stands(self, epoch: ledger.Epoch, rows: Iterable[Envelope]) -> Iterator[_Stand]:
        for pile in _piles(rows, self._bucket_us):
            kept = pile.kept()
            readings = _readings(kept)
            chunks = _runs([row.seq for row in pile.rows])
            bodies = []
            for piece in pieces(kept, BODY_BYTES):
                thinned = Thinned(self._bucket_s, epoch.epoch, chunks, _readings(piece))
                bodies.append(_body(pile.beginning, piece, thinned))
            after = sum(len(body) + ROW_BYTES for body in bodies) + GRAVE_BYTES * len(pile.rows)
            if after <= WORTH * pile.bytes:
                yield _Stand(tuple(pile.rows), tuple(bodies), readings, pile.began_us, pile.ended_us)

    def _given_up(self, epoch: ledger.Epoch, stands: list[_Stand]) -> GivenUp:
        return GivenUp(
            epoch.epoch,
            min(stand.rows[0].seq for stand in stands),
            max(stand.rows[-1].seq for stand in stands),
            sum(len(stand.rows) for stand in stands),
            sum(stand.readings for stand in stands),
            self._bucket_s,
            min(stand.began_us for stand in stands),
            max(stand.ended_us for stand in stands),
        )


class _Pile:
    """Chunks of one series, one after the other, as little of them in memory as may be."""

    def __init__(self, beginning: bytes, bucket_us: int) -> None:
        self.beginning, self._bucket_us = beginning, bucket_us
        self.rows: list[Envelope] = []
        self.bytes = 0
        self.began_us = self.ended_us = 0
        self._gathered: list[Chunk] = []
        self._readings = 0

    def takes(self, chunk: Chunk) -> bool:
        """Whether a chunk goes on where this pile ends."""
        if not self.rows:
            return True
        began_us, ended_us = int(chunk.edge_us.min()), int(chunk.edge_us.max())
        within = began_us >= self.ended_us and ended_us - self.began_us <= SPAN_US
        return within and self._readings <= HELD

    def add(self, row: Envelope, chunk: Chunk) -> None:
        self.bytes += len(row.body or b"")
        began_us = int(chunk.edge_us.min())
        self.began_us = min(self.began_us, began_us) if self.rows else began_us
        self.ended_us = max(self.ended_us, int(chunk.edge_us.max()))
        self.rows.append(replace(row, body=None))
        self._gathered.append(chunk)
        self._readings += len(chunk.status)
        if sum(len(one.status) for one in self._gathered[1:]) > GATHERED:
            self.kept()

    def kept(self) -> Chunk:
        """The extremes of all that was added."""
        chunk = extremes(merged(self._gathered), self._bucket_us)
        self._gathered, self._readings = [chunk], len(chunk.status)
        return chunk


def _piles(rows: Iterable[Envelope], bucket_us: int) -> Iterator[_Pile]:
    """Chunks as they can be thinned together; what is no chunk, or was thinned, is in none."""
    growing: dict[bytes, _Pile] = {}
    for row in rows:
        if row.body is None or row.kind != KIND:
            continue
        try:
            chunk = decode_chunk(row.body)
        except Invalid:
            continue
        if chunk.thinned is not None:
            continue
        beginning = row.body[: 8 + int.from_bytes(row.body[4:8], "little")]
        pile = growing.get(beginning)
        if pile is None or not pile.takes(chunk):
            if pile is not None:
                yield pile
            pile = growing[beginning] = _Pile(beginning, bucket_us)
        pile.add(row, chunk)
    yield from growing.values()


def _readings(chunk: Chunk) -> int:
    """How many it stands for."""
    return len(chunk.status) + (0 if chunk.left_out is None else int(chunk.left_out.sum()))


def _runs(seqs: Iterable[int]) -> tuple[tuple[int, int, int], ...]:
    """Rising numbers as (first, step, count)."""
    runs: list[tuple[int, int, int]] = []
    for seq in seqs:
        first, step, count = runs[-1] if runs else (seq, 1, 0)
        if count == 1:
            runs[-1] = first, seq - first, 2
        elif count and seq == first + step * count:
            runs[-1] = first, step, count + 1
        else:
            runs.append((seq, 1, 1))
    return tuple(runs)


def _body(beginning: bytes, chunk: Chunk, thinned: Thinned) -> bytes:
    return encode_chunk(
        beginning,
        chunk.edge_us,
        chunk.source_us,
        chunk.status,
        chunk.values,
        counts=chunk.counts,
        tags=chunk.tags,
        thinned=thinned,
        left_out=chunk.left_out,
    )
