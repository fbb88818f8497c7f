"""What the lines are told of pieces and lots: as the review judges them, kept and not stated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import JsonValue

from central import route_status
from central.document_sync import DocumentSync
from central.holds import Holds
from central.line_status import LineStatus
from central.links.base import ErpLot, ErpOrder, OrderOperation
from central.reviews import Reviews
from central.store import orders as order_rows
from edge_agent.papers import Papers
from edge_agent.route_status import PieceHere, RouteReader, Routes
from records.configuration import ConfigurationRecord
from records.model import Data, OperationsEvent, Result
from records.wire import Document, Request, sign
from tests.unit.central.factories import OPERATIONS, Line, S, order
from tests.unit.central.test_domain_reviews import Plant as ReviewedPlant


class Plant(ReviewedPlant):
    """A plant whose lines are told of their pieces."""

    told: list[Document]

    def make(self) -> Reviews:
        self.told = []
        rig = self.rig
        self.lines = LineStatus(rig.store, rig.facts, rig.clock, lambda _, document: self.told.append(document))
        return Reviews(rig.store, rig.facts, rig.clock, self.book, lines=self.lines)

    def erp(self, state: str = "running", lots: int = 20) -> None:
        """What central last read of the ERP."""
        operations = tuple(OrderOperation(name, i * 10) for i, name in enumerate(OPERATIONS, start=1))
        told = ErpOrder("erp-WO-1000", "WO-1000", "1000", "VS-100", Decimal(4), "u", state, operations, ())  # type: ignore[arg-type]
        stock = ErpLot("VB-10", "VB-1", None, Decimal(lots), "available")
        self.rig.store.write(lambda c: order_rows.put_order(c, told, 0))
        self.rig.store.write(lambda c: order_rows.put_lots(c, ["VB-10"], [stock]))

    def held(self) -> dict[tuple[str, str], Document]:
        """What a line that heard everything holds."""
        newest = {(each.kind, each.id): each for each in self.told}
        return {key: each for key, each in newest.items() if each.content is not None}

    def routes(self) -> Routes:
        return RouteReader().read(each for each in self.held().values() if each.kind == "route-status")

    def lacks(self, index: int, before: int = 3, since_us: int = 0) -> list[tuple[str, str, bool]]:
        piece = PieceHere(f"C{index:03}", None, since_us)
        found = self.routes().lacks("WO-1000", OPERATIONS[:before], piece)
        return [(lack.operation, lack.why, lack.sure) for lack in found]


def configured(line: Line, agent: str, earlier: str | None, *operations: str) -> None:
    stations: dict[str, JsonValue] = {name: {"operation": name, "earlier": earlier} for name in operations}
    record = ConfigurationRecord(f"hash-{agent}-{earlier}", (), {"stations": stations}, "lotkeeper 1")
    loaded: Data = OperationsEvent("configuration-loaded", {"file": "line.yaml", "hash": record.hash})
    for data in (record, loaded):
        line.tapes[agent].add(data, line.now_us, None)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    made.erp()
    yield made
    made.rig.store.close()


@pytest.fixture
def line() -> Line:
    made = Line()
    configured(made, "assembly-1", None, "OP10", "OP20")
    configured(made, "testing-1", "refuse", "OP30", "OP40")
    return made


def kinds(plant: Plant) -> list[str]:
    return sorted(f"{kind}/{name}" for kind, name in plant.held())


def test_the_lines_know_where_pieces_stand_and_up_to_when(plant: Plant, line: Line) -> None:
    line.piece(1)
    line.assemble(2)
    line.weld(2, result=Result.FAIL)
    line.assemble(3)
    came_us = line.now_us
    line.now_us += 10 * S
    plant.all_here(line)
    assert kinds(plant) == ["lot-quantities/VB-10", "route-status/WO-1000#1", "route-status/plant"]
    assert plant.lacks(1) == []
    assert plant.lacks(2) == [("OP20", "failed", True), ("OP30", "missing", True)]
    assert plant.lacks(3, 2, since_us=came_us) == [("OP20", "missing", True)]
    assert plant.lacks(3, 2, since_us=line.now_us) == [("OP20", "missing", False)], "it may be on its way"
    assert plant.routes().told("WO-1000", PieceHere(None, "WO-1000-001", 0)) is not None
    plant.close_all()
    plant.reviews.sweep(everything=True)
    assert plant.lacks(2, 2) == [], "people have accepted it"


def test_an_agent_that_is_behind_keeps_its_operations_from_being_called_missing(plant: Plant, line: Line) -> None:
    line.assemble(1)
    line.assemble(2)
    plant.all_here(line)
    first_us = line.now_us
    line.now_us += 60 * S
    line.leak(9)
    line.now_us += 60 * S
    plant.rig.clock.advance(10)
    plant.send(line, "testing-1")
    plant.reviews.sweep()
    assert plant.lacks(2, 2, since_us=first_us + 30 * S) == [("OP20", "missing", False)]
    assert plant.routes().horizon is not None
    plant.heads(line.now_us)  # the first one has nothing more
    plant.rig.clock.advance(10)
    plant.reviews.sweep()
    assert plant.lacks(2, 2, since_us=first_us + 30 * S) == [("OP20", "missing", True)]


def test_nothing_is_told_of_pieces_that_no_station_asks_for(plant: Plant) -> None:
    quiet = Line()
    configured(quiet, "assembly-1", None, "OP10", "OP20")
    quiet.piece(1)
    plant.all_here(quiet)
    assert kinds(plant) == ["lot-quantities/VB-10"]


def test_only_what_changed_is_told_and_what_is_over_is_withdrawn(plant: Plant, line: Line) -> None:
    line.piece(1)
    plant.all_here(line)
    count = len(plant.told)
    plant.reviews.sweep(everything=True)
    assert len(plant.told) == count
    line.weld(1)
    plant.all_here(line)
    again = [each for each in plant.told[count:] if each.id == "WO-1000#1"]
    assert again == [], "another run of what has passed says nothing new"
    plant.erp("closed")
    plant.book.orders["WO-1000"] = replace(order(), state="closed")
    plant.reviews.sweep(everything=True)
    assert "route-status/WO-1000#1" not in kinds(plant)
    assert plant.told[-1].content is None or plant.told[-1].id == "plant"


def test_pieces_stand_in_documents_of_bounded_size_that_older_ones_do_not_leave(
    plant: Plant, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_status, "UNITS_A_DOCUMENT", 2)
    for index in (5, 1, 3):
        line.assemble(index)
    plant.all_here(line)
    assert kinds(plant)[1:3] == ["route-status/WO-1000#1", "route-status/WO-1000#2"]
    first = plant.held()["route-status", "WO-1000#1"]
    line.weld(3)
    line.assemble(2)
    plant.all_here(line)
    assert plant.held()["route-status", "WO-1000#1"] == first, "what stands in it has not changed"
    assert plant.lacks(3, 2) == []


def test_what_is_left_of_a_lot_is_the_erps_stock_less_what_it_was_not_told_of(plant: Plant, line: Line) -> None:
    for index in (1, 2, 3):
        line.assemble(index)
    plant.all_here(line)
    papers = Papers.of(plant.held().values())
    assert papers.left_of("VB-10", "VB-1") == Decimal(17)
    assert papers.left_of("VB-10", "VB-9") is None
    line.assemble(4)
    plant.all_here(line)
    plant.rig.clock.advance(10)
    plant.erp(lots=20)
    plant.reviews.sweep(everything=True)
    assert Papers.of(plant.held().values()).left_of("VB-10", "VB-1") == Decimal(16)


def test_what_changes_right_after_a_look_at_lots_waits_and_is_told_by_the_next(plant: Plant, line: Line) -> None:
    line.assemble(1)
    plant.all_here(line)
    assert Papers.of(plant.held().values()).left_of("VB-10", "VB-1") == Decimal(19)
    line.assemble(2)
    plant.all_here(line)
    assert plant.lines.waits
    assert Papers.of(plant.held().values()).left_of("VB-10", "VB-1") == Decimal(19)
    plant.rig.clock.advance(10)
    plant.reviews.sweep()
    assert not plant.lines.waits
    assert Papers.of(plant.held().values()).left_of("VB-10", "VB-1") == Decimal(18)


def test_it_is_kept_over_a_restart_never_stated_and_a_comparison_of_notes_heals(plant: Plant, line: Line) -> None:
    line.piece(1)
    plant.all_here(line)
    before = plant.held()
    stated = [fact.fact.data for fact in plant.rig.store.facts(codes=["document-issued"])]
    assert not [data for data in stated if isinstance(data, OperationsEvent) and data.params["kind"] != "holds"]
    plant.reviews = plant.make()
    plant.rig.clock.advance(10)
    plant.reviews.sweep(everything=True)
    assert [each for each in plant.told if each.kind != "route-status" or each.id != "plant"] == []
    sent: list[Document] = []
    rig = plant.rig
    parts = (rig.store, rig.facts, rig.clock, lambda _, document: sent.append(document))
    sync = DocumentSync(*parts, Holds(*parts), rig.ring)
    known: JsonValue = {"round": "1", "known": {"route-status": {"WO-1000#1": ["7", "0" * 16]}}}
    sync.answer(Request("testing-1", "sync", 0, known))
    lost = sign(Document("route-status", "WO-1000#1", 7, 1, "lost"), rig.key).decode()
    sync.shown(Request("testing-1", "show", 0, {"kind": "route-status", "id": "WO-1000#1", "signed": lost}))
    healed = {(each.kind, each.id): each for each in sent}
    assert healed["route-status", "WO-1000#1"].version == 8, (
        "above what a line holds of a central that was set back"
    )
    assert healed["route-status", "WO-1000#1"].content == before["route-status", "WO-1000#1"].content
    assert healed["lot-quantities", "VB-10"] == before["lot-quantities", "VB-10"]
