"""One operation record as programs get it: subjects with results and tests, readings, material, chart state.

Times are ISO 8601 with Z, quantities decimal strings, identifiers strings, numbers of records and cycles JSON
numbers.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from central.stored import StoredFact
from records.clock import iso_z
from records.model import OperationRecord, Reading, Subject, TestResult


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)


class SubjectItem(Item):
    kind: str
    id: str
    product: str | None
    scheme: str
    quantity: str
    unit: str
    result: str | None = None
    attempt: int | None = None
    position: str | None = None
    reason: str | None = None
    tests: list[dict[str, JsonValue]] = []


class ReadingItem(Item):
    tag: str
    characteristic: str | None
    value: JsonValue
    unit: str | None
    data_type: str
    quality: str
    status: str
    source_time: str | None
    server_time: str | None
    edge_time: str | None
    raw: str | None


class MaterialItem(Item):
    kind: str
    source: SubjectItem | None
    target: SubjectItem | None
    quantity: str
    unit: str
    reason: str | None


class StoredAsItem(Item):
    """Where a record stood before its epoch was given up: it may be here under that identity, too."""

    epoch: str
    seq: int
    hash: str | None


class OperationRecordItem(Item):
    """A run is one ``run_id``: one that was stored again after a disk was put back may be listed twice."""

    agent: str
    epoch: str
    seq: int
    hash: str
    run_id: str
    station: str
    equipment: str
    operation: str
    cycle: int | None
    order: str | None
    lot: str | None
    product: str | None
    product_revision: str | None
    purpose: str
    attempt: int
    outcome: str
    began_at: str | None
    ended_at: str | None
    received_at: str | None
    configuration: str | None
    people: list[dict[str, str]]
    subjects: list[SubjectItem]
    readings: list[ReadingItem]
    materials: list[MaterialItem]
    spc: list[dict[str, Any]]
    counters: dict[str, int]
    stored_as: StoredAsItem | None

    @classmethod
    def of(cls, fact: StoredFact, data: OperationRecord) -> OperationRecordItem:
        former = fact.fact.header.stored_as
        return cls(
            agent=fact.agent,
            epoch=fact.epoch,
            seq=fact.seq,
            hash=fact.hash,
            run_id=data.run_id,
            station=data.station,
            equipment=data.equipment,
            operation=data.operation,
            cycle=data.cycle,
            order=data.order,
            lot=data.lot,
            product=data.product,
            product_revision=data.product_revision,
            purpose=data.purpose.value,
            attempt=data.attempt,
            outcome=data.outcome.value,
            began_at=iso_z(data.began_us),
            ended_at=iso_z(data.ended_us),
            received_at=iso_z(fact.received_us),
            configuration=fact.fact.header.configuration,
            people=[{"id": p.id, "role": p.role} for p in data.people],
            subjects=[
                subject(s.subject).model_copy(
                    update={
                        "result": s.result.value,
                        "attempt": s.attempt,
                        "position": s.position,
                        "reason": s.reason,
                        "tests": [_test(t) for t in s.tests],
                    }
                )
                for s in data.subjects
            ],
            readings=[reading(r) for r in data.readings],
            materials=[
                MaterialItem(
                    kind=m.kind.value,
                    source=None if m.source is None else subject(m.source),
                    target=None if m.target is None else subject(m.target),
                    quantity=m.quantity,
                    unit=m.unit,
                    reason=m.reason,
                )
                for m in data.materials
            ],
            spc=[{name: getattr(s, name) for name in _SPC} for s in data.spc],
            counters={c.name: c.value for c in data.counters},
            stored_as=None
            if former is None
            else StoredAsItem(epoch=former.epoch, seq=former.seq, hash=former.hash),
        )


_SPC = (
    "characteristic",
    "chart",
    "subgroup",
    "position",
    "size",
    "state",
    "rules",
    "statistic",
    "range_statistic",
    "centre",
    "lower",
    "upper",
    "limit_version",
    "provisional",
)
_TEST = ("characteristic", "value", "unit", "lower", "upper", "target", "specification")


def _test(test: TestResult) -> dict[str, JsonValue]:
    return {name: getattr(test, name) for name in _TEST} | {"result": test.result.value}


def subject(found: Subject) -> SubjectItem:
    return SubjectItem(
        kind=found.kind.value,
        id=found.id,
        product=found.product,
        scheme=found.scheme,
        quantity=found.quantity,
        unit=found.unit,
    )


def reading(found: Reading) -> ReadingItem:
    return ReadingItem(
        tag=found.tag,
        characteristic=found.characteristic,
        value=found.value,
        unit=found.unit,
        data_type=found.data_type,
        quality=found.quality.value,
        status=found.status,
        source_time=iso_z(found.source_us),
        server_time=iso_z(found.server_us),
        edge_time=iso_z(found.edge_us),
        raw=found.raw,
    )
