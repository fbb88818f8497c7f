"""A run that names no work order is brought to the reviewer of the order in whose time its station made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from central.domain import Finding
from records.model import OperationRecord, Purpose
from tests.unit.central.factories import AGENTS, Line
from tests.unit.central.test_domain_reviews import QA, Plant

CODE = "run-without-order"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


def orderless(line: Line, number: int, *, purpose: Purpose = Purpose.PRODUCTION) -> OperationRecord:
    """The welder runs while nobody has named an order there."""
    line.weld(number, purpose=purpose)
    entries = line.tapes[AGENTS["OP20"]].entries
    header, data = entries[-1]
    assert isinstance(data, OperationRecord)
    entries[-1] = header, replace(data, order=None, product=None, lot=None)
    return data


def another_order(line: Line, reference: str, *numbers: int) -> None:
    mine, line.reference = line.reference, reference
    for number in numbers:
        line.assemble(number)
        line.weld(number)
    line.reference = mine


def told(plant: Plant) -> list[Finding]:
    return [one for one in plant.reviews.findings() if one.code == CODE]


def test_a_run_in_the_order_s_time_is_an_exception_that_points_to_its_record(plant: Plant) -> None:
    """Bug: it stood in no order's review; at best a piece missed an operation."""
    line = Line()
    line.piece(1)
    line.assemble(2)
    run = orderless(line, 2)
    line.leak(2)
    line.piece(3)
    line.piece(4)
    plant.all_here(line)
    (found,) = told(plant)
    assert (found.kind, found.order, found.station, found.operation) == ("exception", "WO-1000", "weld", "OP20")
    assert found.params == {"operation": "OP20", "run": run.run_id, "cycle": run.cycle}
    (record,) = plant.rig.store.facts(run_id=run.run_id, kinds=["operation_record"])
    assert [ref.hash for ref in found.records] == [record.hash]
    codes = {one.code for one in plant.reviews.findings()}
    assert "operation-missing" in codes, "the piece says so, too"
    assert not plant.reviews.close(found.id, found.content_hash, QA, "close", "it was piece 2").open
    plant.reviews.sweep(["WO-1000"])
    assert [one.open for one in told(plant)] == [False]


def test_runs_before_the_order_s_first_are_the_next_order_s_and_those_of_the_one_before_are_not(
    plant: Plant,
) -> None:
    line = Line()
    another_order(line, "WO-0900", 1)
    inside = orderless(line, 2)
    another_order(line, "WO-0900", 3)
    before = [orderless(line, number) for number in (4, 5, 6)]
    line.clean()
    plant.all_here(line)
    runs = {
        one.order: {str(each.params["run"]) for each in told(plant) if each.order == one.order}
        for one in told(plant)
    }
    assert runs == {"WO-0900": {inside.run_id}, "WO-1000": {run.run_id for run in before}}


def test_a_setup_run_needs_no_order(plant: Plant) -> None:
    line = Line()
    line.piece(1)
    orderless(line, 9, purpose=Purpose.SETUP)
    line.piece(2)
    plant.all_here(line)
    assert told(plant) == []
