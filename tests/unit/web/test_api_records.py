"""An operation record as programs get it."""

from __future__ import annotations

from dataclasses import replace

from central.stored import StoredFact
from central.web.api.records import OperationRecordItem, StoredAsItem
from records.model import Fact, Header, OperationRecord, Outcome, Purpose, StoredAs

HEADER = Header(1_795_000_000_000_000, 480, "suzhou", "valve-1", "press", "lotkeeper-edge", None)
RUN = OperationRecord(
    "run-1",
    "press",
    "PRS-01",
    "OP10",
    "WO-1",
    "VS-100",
    "L-1",
    Purpose.PRODUCTION,
    1,
    7,
    1,
    2,
    Outcome.COMPLETED,
    (),
)


def test_a_run_that_was_stored_again_names_where_it_stood_before() -> None:
    first = StoredFact("press-1", "e1", "records", 5, "aa" * 32, "operation_record", Fact(HEADER, RUN), 3, 1)
    again = replace(
        first, epoch="e2", seq=2, fact=Fact(replace(HEADER, stored_as=StoredAs("e1", 5, "aa" * 32)), RUN)
    )
    items = [OperationRecordItem.of(each, RUN) for each in (first, again)]
    assert [item.run_id for item in items] == ["run-1", "run-1"]
    assert [item.stored_as for item in items] == [None, StoredAsItem(epoch="e1", seq=5, hash="aa" * 32)]
    assert items[1].stored_as == StoredAsItem(epoch=items[0].epoch, seq=items[0].seq, hash=items[0].hash)
