"""Evidence of a record as tables: one row a run, one column a captured value, units in the column's head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.domain import OperationQuantities
from central.stored import StoredFact
from central.web.i18n import N_
from central.web.show import decimals_for
from records.model import OperationRecord, Reading, Result

TABS = {
    "units": N_("Units"),
    "records": N_("Records"),
    "charts": N_("Control charts"),
    "events": N_("Events"),
    "materials": N_("Material"),
    "people": N_("People"),
    "equipment": N_("Equipment"),
    "configurations": N_("Configuration"),
    "certificate": N_("Gap certificate"),
    "audit": N_("Decisions"),
}
"""Name in the address -> title."""


@dataclass(frozen=True, slots=True)
class Column:
    """One captured tag: its short name, unit, and decimals for all of its values."""

    tag: str
    title: str
    unit: str | None
    decimals: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A captured value; ``judged`` is the test's result where the value was tested."""

    value: object
    quality: str
    judged: str | None


@dataclass(frozen=True, slots=True)
class Line:
    fact: StoredFact
    record: OperationRecord
    subjects: tuple[str, ...]
    result: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    operation: OperationQuantities
    station: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def matrix(operation: OperationQuantities, station: str, facts: Sequence[StoredFact]) -> Matrix:
    """All runs of one station, oldest first; a reading that a run lacks is an empty cell."""
    records = [(f, f.fact.data) for f in facts if isinstance(f.fact.data, OperationRecord)]
    tags: dict[str, list[Reading]] = {}
    for _, record in records:
        for reading in record.readings:
            tags.setdefault(reading.tag, []).append(reading)
    columns = tuple(_column(tag, readings) for tag, readings in tags.items())
    return Matrix(operation, station, columns, tuple(_line(f, r, columns) for f, r in records))


def _column(tag: str, readings: Sequence[Reading]) -> Column:
    first = readings[0]
    return Column(
        tag, first.characteristic or tag.rpartition(".")[2], first.unit, decimals_for(r.value for r in readings)
    )


def _line(fact: StoredFact, record: OperationRecord, columns: Sequence[Column]) -> Line:
    by_tag = {reading.tag: reading for reading in record.readings}
    judged = {test.characteristic: test.result.value for s in record.subjects for test in s.tests}
    cells: list[Cell | None] = []
    for column in columns:
        reading = by_tag.get(column.tag)
        if reading is None:
            cells.append(None)
        else:
            cells.append(Cell(reading.value, reading.quality.value, judged.get(reading.characteristic or "")))
    return Line(fact, record, tuple(s.subject.id for s in record.subjects), worst(record), tuple(cells))


def worst(record: OperationRecord) -> str:
    """The worst result among a record's subjects; aborted when it did not finish."""
    if record.outcome.value == "aborted":
        return Result.ABORTED.value
    order = (Result.SCRAP, Result.FAIL, Result.ABORTED, Result.NOT_JUDGED, Result.PASS)
    found = {s.result for s in record.subjects}
    return next((r.value for r in order if r in found), Result.NOT_JUDGED.value)
