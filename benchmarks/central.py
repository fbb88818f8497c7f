"""What taking records in costs central: commits against bare inserts of the same rows, and all of it over MQTT.

    python -m benchmarks.central [--json] [--part commit] [--rounds 5] [--hours 72]

commit    frames, decoded, are handed to the commit function of one worker; beside it, in the same run and turn by
          turn, the very rows that this left in all tables are inserted again by executemany (SQLite) or COPY
          (PostgreSQL) into tables with the same indexes, constraints and guards, as many records a transaction.
agents    a hundred agents with a backlog send at once to a central that is a process of its own, over Mosquitto.
live      ten agents, each with its real outbox and uplink, commit 500 records a second together: how long until
          central has them; alone, and while twenty others drain what ``--hours`` without central have left.
memory    the most memory that central's process takes for backlogs of which each is longer than the one before.
judge     one order of thousands of runs, each of them a finding, is judged: all at once, when nothing has come,
          and when one run has; how long that takes, and the longest of its transactions.

A record is a run of an assembly: four readings, one of them judged by a control chart, a unit, a consumed lot.
It becomes six rows. ``--hours 72`` is the full measurement.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from benchmarks.rig.bare import Backend, backends
from benchmarks.rig.house import drained
from benchmarks.rig.intake import PER_FRAME, TOGETHER, Intake, Took
from benchmarks.rig.judging import Judged, judged
from benchmarks.rig.live import DRAINING, live

PARTS = ("commit", "agents", "live", "memory", "judge")
AGENTS, EACH = 100, 200
"""Of `agents`, and their records."""
BACKLOGS = (50, 500, 5_000, 25_000)
"""Records that each of the twenty agents of `memory` has."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of twenty agents together, against a central that was just started."""

    backlog: int
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Commit:
    """One database; medians. ``rows``: of all tables together. Ratios: what the bare inserts took by what we took.

    CPU is that of this process and of the database server's session together.
    """

    database: str
    records: int
    rows: int
    records_per_s: float
    cpu_s_per_million: float
    bare_records_per_s: float
    bare_cpu_s_per_million: float
    ratio: float
    cpu_ratio: float


def commit(records: int, rounds: int) -> list[Commit]:
    """The commit function against the bare inserts, turn by turn."""
    transactions = max(records // (PER_FRAME * TOGETHER), 1)
    with backends() as found:
        return [_commit(backend, transactions, rounds) for backend in found]


def _commit(backend: Backend, transactions: int, rounds: int) -> Commit:
    ours: list[Took] = []
    bare: list[Took] = []
    rows = 0
    for _ in range(rounds):
        with TemporaryDirectory(prefix="lotkeeper-bench-") as folder, backend.place() as database:
            intake = Intake(Path(folder), database)
            ours.append(intake.run(transactions, backend.session(intake.store)))
            tables = intake.left(transactions)
        rows = sum(len(part) for each in tables for part in each.parts)
        with backend.place() as database:
            bare.append(backend.insert(database, tables))
    records = transactions * PER_FRAME * TOGETHER
    wall_s, cpu_s = _medians(ours)
    bare_wall_s, bare_cpu_s = _medians(bare)
    return Commit(
        backend.name,
        records,
        rows,
        records / wall_s,
        cpu_s * 1e6 / records,
        records / bare_wall_s,
        bare_cpu_s * 1e6 / records,
        bare_wall_s / wall_s,
        bare_cpu_s / cpu_s,
    )


def memory() -> list[Memory]:
    """Of each backlog."""
    found = [drained(DRAINING, each) for each in BACKLOGS]
    return [Memory(each.records, each.peak_mb) for each in found]


def judge(findings: int) -> list[Judged]:
    """Over each database."""
    found: list[Judged] = []
    with backends() as there:
        for backend in there:
            with TemporaryDirectory(prefix="lotkeeper-bench-") as folder, backend.place() as database:
                found += judged(backend.name, Path(folder), database, findings)
    return found


def _medians(took: Sequence[Took]) -> tuple[float, float]:
    return statistics.median(each.wall_s for each in took), statistics.median(each.cpu_s for each in took)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.central", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--records", type=int, default=10_000, help="of a round of `commit`")
    parser.add_argument("--rounds", type=int, default=5, help="of `commit`")
    parser.add_argument("--part", action="append", choices=PARTS, help="this one only; may be given again")
    parser.add_argument("--seconds", type=float, default=10.0, help="that `live` measures alone")
    parser.add_argument("--hours", type=float, default=8.0, help="of records that each of twenty agents drains")
    parser.add_argument("--findings", type=int, default=5_000, help="of the order of `judge`")
    wanted = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parts: dict[str, Callable[[], Sequence[Any]]] = {
        "commit": lambda: commit(wanted.records, wanted.rounds),
        "agents": lambda: [drained(AGENTS, EACH)],
        "live": lambda: [live(wanted.seconds, hours) for hours in (0.0, wanted.hours)],
        "memory": memory,
        "judge": lambda: judge(wanted.findings),
    }
    told: dict[str, list[dict[str, object]]] = {}
    for part in wanted.part or PARTS:
        told[part] = [asdict(each) for each in parts[part]()]
        for row in [] if wanted.json else told[part]:
            print(part, *(f"{name}={_shown(value)}" for name, value in row.items()), flush=True)
    if wanted.json:
        json.dump(told, sys.stdout)
        print()
    return 0


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(main())
