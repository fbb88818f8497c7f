"""One order in which everything fell that a line did: pieces whose carriers come back, each run a finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from benchmarks.rig.frames import Line, run
from benchmarks.rig.intake import new_central
from central.dossiers import Report
from central.ingest import Ingest
from central.links.base import ErpLot, WorkOrder
from central.reviews import Reviews
from central.store import agents
from central.store.database import Database
from central.store.engine import Store
from records.model import OperationRecord, Subject, SubjectKind

T = TypeVar("T")

CARRIERS = 200
PER_FRAME = 25
ORDER = "WO-1"


@dataclass(frozen=True, slots=True)
class Judged:
    """One sweep. ``longest_ms``: of its transactions, each of which keeps all others that write waiting."""

    database: str
    findings: int
    what: str
    stated: int
    ms: float
    commits: int
    longest_ms: float


class _Timed(Store):
    """Notes how long each job was at work."""

    def __init__(self, database: Database) -> None:
        self.took_s: list[float] = []
        super().__init__(database)

    def submit(self, job: Callable[[Connection], T], weight: int = 0) -> Future[T]:
        def timed(connection: Connection) -> T:
            began_s = time.perf_counter()
            try:
                return job(connection)
            finally:
                self.took_s.append(time.perf_counter() - began_s)

        return super().submit(timed, weight)


class _NoErp:
    def get(self, _reference: str, _connection: Connection | None = None) -> WorkOrder | None:
        return None

    def posting(self, _reference: str, _connection: Connection | None = None) -> Report | None:
        return None

    def lots_of(
        self, _used: Collection[tuple[str, str]], _connection: Connection
    ) -> Mapping[str, Mapping[str, ErpLot]]:
        return {}


def _again(agent: str, station: str, number: int, at_us: int) -> OperationRecord:
    data = run(agent, station, number, at_us)
    carrier = Subject(SubjectKind.CARRIER, f"C{number % CARRIERS:03}")
    subjects = (replace(data.subjects[0], subject=carrier),)
    return replace(data, order=ORDER, lot="L-1", subjects=subjects, materials=())


def judged(name: str, folder: Path, database: Database, findings: int) -> list[Judged]:
    """The first sweep of all, one when nothing has come, one when a run has."""
    store = _Timed(database)
    facts, clock = new_central(store, folder)
    ingest = Ingest(store, facts, clock)
    line = Line("line-1", make=_again)
    enrol = partial(agents.enrol, name=line.name, partition="p0", public=line.key.public.hex(), now_us=0)
    store.write(enrol)
    for _ in range((findings + CARRIERS) // PER_FRAME):
        ingest.take(line.topic, line.frame(PER_FRAME))
    reviews = Reviews(store, facts, clock, _NoErp(), rest=lambda _: None)
    found = []
    for what in ("all new", "nothing new", "one run more"):
        if what == "one run more":
            ingest.take(line.topic, line.frame(1))
        store.took_s = []
        began_s = time.perf_counter()
        stated = reviews.sweep([ORDER])
        ms = (time.perf_counter() - began_s) * 1000
        longest_ms = max(store.took_s, default=0.0) * 1000
        found.append(Judged(name, findings, what, stated, ms, len(store.took_s), longest_ms))
    store.close()
    return found
