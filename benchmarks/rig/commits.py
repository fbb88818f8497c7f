"""Records committed durably: by the outbox, and by a bare writer that does the same work on the same disk."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rig.runs import events, header, runs
from edge_agent.outbox import Batch, Outbox
from edge_agent.outbox.store import RECORDS_PAGE_BYTES as PAGE_BYTES
from records import chain
from records.clock import SystemClock
from records.durable import CHECKPOINT_BYTES
from records.model import SCHEMA, Fact, encode, kind_of
from records.process import keep_pauses_short

GROUP = 100
AGENT, EPOCH, STREAM = "press-1", "e" * 32, "records"
CAP = 1 << 40
"""Never reached; with one the outbox looks after its room as an agent's does."""
CLOCK = SystemClock()
Take = Callable[[Sequence[Fact]], None]
"""Stores a group: on disk when it returns."""


@dataclass(frozen=True, slots=True)
class Commits:
    """Of one way to commit. ``cpu_us``: of one record, all threads, user and system."""

    case: str
    records_per_s: float
    bare_per_s: float
    ratio: float
    cpu_us: float
    bare_cpu_us: float
    cpu_ratio: float
    body_bytes: int


@contextmanager
def bare(folder: Path) -> Iterator[Take]:
    """The same bytes, digests and links, committed as durably into pages of the same size; nothing else."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        pages = CHECKPOINT_BYTES // PAGE_BYTES
        for pragma in (
            f"page_size={PAGE_BYTES}", "journal_mode=wal", "synchronous=full", f"wal_autocheckpoint={pages}"
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute(
            "CREATE TABLE records (seq INTEGER PRIMARY KEY, schema INTEGER, kind TEXT, digest BLOB, hash BLOB,"
            " body BLOB, stored_us INTEGER) STRICT"
        )
        link, seq = chain.first_hash(AGENT, EPOCH, STREAM), 0

        def take(facts: Sequence[Fact]) -> None:
            nonlocal link, seq
            rows, at_us = [], CLOCK.now_us()
            for fact in facts:
                seq += 1
                body, kind = encode(fact), kind_of(fact.data)
                digest = chain.digest(body)
                link = chain.next_hash(AGENT, EPOCH, STREAM, seq, SCHEMA, kind, link, digest)
                rows.append((seq, SCHEMA, kind, digest, link, body, at_us))
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

        yield take


@contextmanager
def one_commit(folder: Path) -> Iterator[Take]:
    """A group is one commit of all its records."""
    with closing(Outbox(folder, AGENT, CLOCK, context=header, max_bytes=CAP)) as outbox:

        def take(facts: Sequence[Fact]) -> None:
            outbox.commit(Batch(tuple(facts))).result()

        yield take


@contextmanager
def grouped(folder: Path) -> Iterator[Take]:
    """A group is a commit of each record; they wait together, as those of many stations do."""
    with closing(Outbox(folder, AGENT, CLOCK, context=header, max_bytes=CAP)) as outbox:

        def take(facts: Sequence[Fact]) -> None:
            for stored in [outbox.commit(Batch((fact,))) for fact in facts]:
                stored.result()

        yield take


CASES: dict[str, tuple[Callable[[Path], AbstractContextManager[Take]], Callable[[int], list[Fact]]]] = {
    "100 runs in a commit": (one_commit, runs),
    "100 commits of a run": (grouped, runs),
    "100 events in a commit": (one_commit, events),
}
"""How they are committed, and what."""


def _timed(take: Take, facts: Sequence[Fact]) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for first in range(0, len(facts), GROUP):
        take(facts[first : first + GROUP])
    return time.perf_counter() - began_s, time.process_time() - cpu_s


def commits(case: str, records: int, rounds: int) -> Commits:
    """Ours and the bare one by turns, on the same disk, each in files of its own; the first round warms up.

    All records stand in memory before; as in an agent, what was made at the start is out of later collections.
    """
    committed, make = CASES[case]
    facts = make(records)
    keep_pauses_short()
    with TemporaryDirectory(prefix="bench-edge-") as name:
        folder = Path(name)
        with committed(folder / "ours") as ours, bare(folder / "bare") as theirs:
            found: list[tuple[float, float, float, float]] = []
            for turn in range(rounds + 1):
                if turn % 2:
                    mine, other = _timed(ours, facts), _timed(theirs, facts)
                else:
                    other, mine = _timed(theirs, facts), _timed(ours, facts)
                if turn:
                    found.append((*mine, *other))
    walls, cpus, bare_walls, bare_cpus = zip(*found, strict=True)
    median = statistics.median
    return Commits(
        case,
        records / median(walls),
        records / median(bare_walls),
        median(b / o for o, b in zip(walls, bare_walls, strict=True)),
        median(cpus) / records * 1e6,
        median(bare_cpus) / records * 1e6,
        median(b / o for o, b in zip(cpus, bare_cpus, strict=True)),
        round(statistics.mean(len(encode(fact)) for fact in facts[:1000])),
    )
