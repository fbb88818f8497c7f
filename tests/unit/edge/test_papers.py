"""What central told the line: damaged content, which order makes a lot, and the last day of a lot."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pydantic import JsonValue

from edge_agent.papers import LotStatus, Papers, WorkOrder
from records.clock import to_us
from records.model import DocumentUse
from records.wire import Document
from tests.unit.edge.stations import SR, VB, VS

ORDER: dict[str, JsonValue] = {
    "reference": "WO-1",
    "product": "VS-100",
    "product_gtin": VS,
    "lot": "WO-1",
    "quantity": "8",
    "state": "released",
    "bom": [{"item": "VB-10", "quantity": "8"}],
}
LOTS: dict[str, JsonValue] = {"item": "SR-20", "lots": [{"lot": "SR-1", "expiry": "2030-01-31"}]}


def document(kind: str, name: str, content: JsonValue, version: int = 1) -> Document:
    return Document(kind, name, version, 0, content)


def order(reference: str, lot: str, gtin: str | None = VS, state: str = "released") -> WorkOrder:
    content = {**ORDER, "reference": reference, "lot": lot, "product_gtin": gtin, "state": state}
    return WorkOrder.model_validate(content)


def orders(*made: WorkOrder) -> Papers:
    return Papers({one.reference: one for one in made})


def test_documents_become_orders_and_lots() -> None:
    papers = Papers.of([document("work-order", "WO-1", ORDER), document("lots", "SR-20", LOTS)])
    found = papers.order("WO-1")
    assert found is not None
    assert (found.product, found.open, found.bom[0].item) == ("VS-100", True, "VB-10")
    status = papers.lot("SR-20", "SR-1")
    assert status is not None
    assert status.expiry == date(2030, 1, 31)
    assert papers.order(None) is None
    assert papers.order("WO-2") is None
    assert papers.lot("SR-20", "SR-2") is None
    assert papers.lot("VB-10", "SR-1") is None
    assert papers.problems == ()


@pytest.mark.parametrize(
    "content",
    [
        "text",
        [],
        {},
        {**ORDER, "state": "finished"},
        {**ORDER, "lot": 5},
        {**ORDER, "bom": [{"item": "VB-10"}]},
        {**ORDER, "quantity": None},
    ],
)
def test_a_damaged_order_is_absent_and_told_and_hurts_no_other(content: JsonValue) -> None:
    documents = [document("work-order", "WO-9", content, 7), document("work-order", "WO-1", ORDER)]
    papers = Papers.of(documents)
    assert papers.order("WO-9") is None
    assert papers.order("WO-1") is not None
    (problem,) = papers.problems
    assert problem.startswith("work-order WO-9 version 7: ")
    assert papers.used([("work-order", "WO-9")]) == ()


def test_a_date_that_is_none_is_damage_too() -> None:
    content: JsonValue = {"item": "SR-20", "lots": [{"lot": "SR-1", "expiry": "2030-02-30"}]}
    papers = Papers.of([document("lots", "SR-20", content)])
    assert papers.lot("SR-20", "SR-1") is None
    assert len(papers.problems) == 1


def test_withdrawn_documents_and_other_kinds_are_nothing() -> None:
    papers = Papers.of([document("work-order", "WO-1", None), document("calendar", "R-1", {"any": "thing"})])
    assert (papers.orders, papers.documents, papers.problems) == ({}, {}, ())


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Papers.of([document("work-order", "WO-1", {**ORDER, "recipe": {"id": 1}})]).order("WO-1") is not None


# -- the last day of a lot ---------------------------------------------------------------------------------


def at(day: str, hour: int, minute: int = 0) -> int:
    return to_us(datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=UTC))


@pytest.mark.parametrize(
    ("moment_us", "offset_min", "expired"),
    [
        (at("2030-01-31", 0), 0, False),
        (at("2030-01-31", 23, 59), 0, False),
        (at("2030-02-01", 0), 0, True),
        (at("2030-01-31", 15, 59), 480, False),  # 23:59 in Shanghai
        (at("2030-01-31", 16), 480, True),  # midnight in Shanghai: the day is over there
        (at("2030-02-01", 4, 59), -300, False),  # 23:59 in New York
        (at("2030-02-01", 5), -300, True),
    ],
)
def test_a_lot_may_be_used_on_its_last_day_at_the_plant(moment_us: int, offset_min: int, expired: bool) -> None:
    assert LotStatus(lot="SR-1", expiry=date(2030, 1, 31)).expired(moment_us, offset_min) is expired


def test_a_lot_without_expiry_never_expires() -> None:
    assert not LotStatus(lot="VB-1").expired(at("2999-01-01", 0))


def test_the_day_is_told_apart_to_the_microsecond() -> None:
    lot, midnight_us = LotStatus(lot="SR-1", expiry=date(2030, 1, 31)), at("2030-02-01", 0)
    assert not lot.expired(midnight_us - 1)
    assert lot.expired(midnight_us)


# -- which order makes a lot -------------------------------------------------------------------------------


def test_a_lot_that_nobody_makes_has_no_order() -> None:
    assert orders(order("WO-1", "L1")).order_of_lot("L2", VS) is None


def test_of_two_orders_of_one_lot_the_open_one_is_meant() -> None:
    papers = orders(order("WO-1", "L1", state="closed"), order("WO-2", "L1"), order("WO-3", "L1", state="held"))
    found = papers.order_of_lot("L1", VS)
    assert found is not None
    assert found.reference == "WO-2"


def test_a_lot_is_unique_per_product_only() -> None:
    papers = orders(order("WO-1", "L1", VB), order("WO-2", "L1", VS, "closed"), order("WO-3", "L1", None))
    assert [getattr(papers.order_of_lot("L1", gtin), "reference", None) for gtin in (VB, VS, SR)] == [
        "WO-1",
        "WO-2",  # closed, but of this product: that is what there is to say about the label
        "WO-3",
    ]


def test_documents_that_a_run_used_are_named_with_version_and_age() -> None:
    documents = [document("work-order", "WO-1", ORDER, 3), document("lots", "SR-20", LOTS, 12)]
    ages = {("work-order", "WO-1"): 12.34567}
    papers = Papers.of(documents, lambda kind, name: ages.get((kind, name)))
    used = papers.used([("work-order", "WO-1"), ("lots", "SR-20"), ("lots", "VB-10")])
    assert used == (DocumentUse("work-order", "WO-1", 3, 12.346), DocumentUse("lots", "SR-20", 12, 0.0))
