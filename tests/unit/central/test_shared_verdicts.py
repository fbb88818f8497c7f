"""A subgroup or a run of points that a later order closed is shown on the pieces of the order that it began in."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from central.store import dossiers as sql
from records.model import (
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
)
from tests.unit.central.core_rig import Agent, rig


def unit(serial: str) -> Subject:
    return Subject(SubjectKind.UNIT, serial, "VS-100", "gs1")


C1, C2 = Subject(SubjectKind.CARRIER, "C-1"), Subject(SubjectKind.CARRIER, "C-2")


def closed(order: str, *subjects: Subject, code: str = "spc-subgroup") -> OperationsEvent:
    return OperationsEvent(code, {"characteristic": "torque", "subgroup": 1}, subjects, order)


def run(order: str, *subjects: Subject) -> OperationRecord:
    results = tuple(SubjectResult(subject, Result.PASS) for subject in subjects)
    run_id, purpose, done = f"{order}-{subjects[0].id}", Purpose.PRODUCTION, Outcome.COMPLETED
    return OperationRecord(
        run_id, "weld", "WELD-01", "OP20", order, "VS-100", order, purpose, 1, None, 0, 1, done, results
    )


@pytest.mark.parametrize(
    ("event", "shared"),
    [
        (closed("WO-2", unit("S1"), unit("S3")), True),
        (closed("WO-2", unit("S1"), unit("S3"), code="spc-signal"), True),
        (closed("WO-2", unit("S1"), unit("S3"), code="unit-held"), True),
        (closed("WO-2", unit("S1"), unit("S3"), code="reaction"), True),
        (closed("WO-2", unit("S1"), code="unit-released-at-station"), True),
        (closed("WO-2", unit("S3")), False),
        (closed("WO-2", C1), True),
        (closed("WO-2", C2), False),  # the carrier has another order's piece by now
        (closed("WO-2", unit("S1"), code="lot-mounted"), False),
    ],
)
def test_what_a_later_order_closes(tmp_path: Path, event: OperationsEvent, *, shared: bool) -> None:
    with rig(tmp_path) as central:
        agent = central.enrol(Agent())
        agent.write(run("WO-1", unit("S1"), C1), run("WO-1", unit("S2"), C2), run("WO-2", unit("S3"), C2), event)
        central.ingest.take(agent.topic, agent.frame())
        with central.store.read() as connection:
            spans = sql.machine_spans(connection, "WO-1")
            found = sql.shared_events(connection, "WO-1", spans)
    assert [fact.seq for fact in found] == ([5] if shared else [])


def steps(folder: Path, runs: int) -> int:
    """What the database does, in thousands of its instructions, for an order whose carrier many runs name."""
    with rig(folder) as central:
        agent = central.enrol(Agent())
        for number in range(runs):
            agent.write(run("WO-1", unit(f"S{number}"), C1), run("WO-2", unit(f"T{number}"), C2))
        agent.write(closed("WO-2", C2), run("WO-1", unit("last")))
        central.ingest.take(agent.topic, agent.frame())
        done: list[None] = []
        with central.store.read() as connection:
            spans = sql.machine_spans(connection, "WO-1")
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.set_progress_handler(lambda: done.append(None), 1000)
            assert sql.shared_events(connection, "WO-1", spans) == []
        return len(done)


def test_what_many_records_name_makes_judging_no_dearer_than_their_number(tmp_path: Path) -> None:
    """It took 25 s for an order of 500 runs whose lot 4,000 records named, and the intake waited behind it."""
    few, many = steps(tmp_path / "few", 50), steps(tmp_path / "many", 500)
    assert few > 0
    assert many < 20 * few, "ten times as many records"


def test_an_order_may_have_more_pieces_than_a_statement_may_name(tmp_path: Path) -> None:
    """As SQLite is usually built it takes 32,766 values: there an order of 40,000 pieces could never be judged."""
    with rig(tmp_path) as central:
        agent = central.enrol(Agent())
        agent.write(run("WO-1", unit("S39999")), run("WO-2", unit("S39999")))
        central.ingest.take(agent.topic, agent.frame())
        with central.store.read() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
            found = sql.elsewhere(connection, "WO-1", {f"S{number}" for number in range(40_000)}, "VS-100")
    assert found == {"S39999": "WO-2"}
