"""Work orders without any HTTP: what is issued to the lines, and that a report survives kills at every step."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from central.erp import Erp
from central.links.base import (
    BomItem,
    Confirmation,
    Consumption,
    ErpDifference,
    ErpLot,
    ErpOperation,
    ErpOrder,
    ErpResult,
    OperationTotal,
    OrderOperation,
    StepLog,
    differences,
)
from central.links.settings import ItemSettings
from central.orders import KEPT_CLOSED_S, Orders
from records.errors import Invalid
from records.wire import Document
from tests.unit.central import core_rig

pytestmark = pytest.mark.both_stores

ORDER = ErpOrder(
    erp_id="7",
    reference="WO-1000",
    number="1",
    product="VS-100",
    quantity=Decimal(2),
    unit="u",
    state="released",
    operations=(OrderOperation("OP10", 10, "OP10 Assemble"),),
    bom=(BomItem("VB-10", Decimal(2)),),
)
LOT = ErpLot("VB-10", "VB-1", None, Decimal(10), "available")
CONFIRMATION = Confirmation(
    order="WO-1000",
    erp_id="7",
    key="WO-1000/1",
    product="VS-100",
    good=("A1", "A2"),
    scrap=0,
    consumed=(Consumption("VB-10", "VB-1", Decimal(2)),),
    operations=(OperationTotal("OP10", 0, 1, 3.5, 2),),
)
RESULT = ErpResult(
    "WO-1000",
    "closed",
    ("A2", "A1"),
    Decimal(0),
    (Consumption("VB-10", "VB-1", Decimal("2.0")),),
    (ErpOperation("OP10", True, 3.5, 1),),
)
STEPS = ("one", "two", "three")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class FakeErp:
    """An ERP in three steps that counts how often each became effective."""

    held: list[ErpOrder] = field(default_factory=lambda: [ORDER])
    stock: list[ErpLot] = field(default_factory=lambda: [LOT])
    effective: list[str] = field(default_factory=list)
    result: ErpResult = RESULT
    kill: str | None = None
    address = "fake"

    def orders(self, held: Collection[str], named: Collection[str] = ()) -> list[ErpOrder]:
        return [o for o in self.held if o.state in ("released", "running", "held") or o.erp_id in held]

    def lots(self, items: Collection[str]) -> list[ErpLot]:
        return [lot for lot in self.stock if lot.item in items]

    def post(self, confirmation: Confirmation, progress: StepLog) -> None:
        for step in STEPS:
            progress.begin(step)
            self._die(f"before {step}")
            found = step in self.effective
            if not found:
                self.effective.append(step)
            self._die(f"after {step}")
            progress.done(step, "found" if found else "written")
            self._die(f"noted {step}")

    def read_back(self, erp_id: str) -> ErpResult:
        self._die("read back")
        return self.result

    def close(self) -> None:
        """Nothing is open."""

    def _die(self, moment: str) -> None:
        if self.kill == moment:
            self.kill = None
            raise Killed(moment)


@dataclass
class Board:
    published: list[Document] = field(default_factory=list)

    def publish_document(self, agent: str, document: Document) -> None:
        assert agent == "*"
        self.published.append(document)


@dataclass
class Central:
    rig: core_rig.Rig
    erp: FakeErp = field(default_factory=FakeErp)
    board: Board = field(default_factory=Board)

    def orders(self) -> Orders:
        """Central's part after a start: everything but the database is new."""
        door = Erp(self.erp, self.rig.store, self.rig.facts, self.rig.clock, poll_interval_s=30)
        items = {"VS-100": ItemSettings(gtin="04012345000016", revision="B"), "VB-10": ItemSettings()}
        return Orders(self.rig.store, self.rig.facts, self.rig.clock, door, items, self.board)

    def stated(self, code: str) -> list[str]:
        facts = self.rig.store.facts(codes=[code])
        return [str(fact.fact.data.params.get("step")) for fact in facts]  # type: ignore[union-attr]


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Central]:
    with core_rig.rig(tmp_path) as rig:
        yield Central(rig)


def confirm(reference: str) -> Confirmation | None:
    return CONFIRMATION if reference == CONFIRMATION.order else None


def test_the_document_of_an_order_says_what_a_station_needs(central: Central) -> None:
    central.orders().sync()
    document = next(d for d in central.board.published if d.kind == "work-order")
    assert (document.id, document.version) == ("WO-1000", 1)
    assert document.content == {
        "reference": "WO-1000",
        "number": "1",
        "product": "VS-100",
        "product_gtin": "04012345000016",
        "revision": "B",
        "lot": "WO-1000",
        "quantity": "2",
        "unit": "u",
        "state": "released",
        "operations": [{"operation": "OP10", "sequence": 10}],
        "bom": [{"item": "VB-10", "gtin": None, "quantity": "2"}],
        "expiry": None,
    }


def test_the_document_of_an_item_lists_its_lots_in_stock(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.stock = [ErpLot("VB-10", "VB-2", "2030-01-31", Decimal("1.50"), "blocked")]
    assert orders.sync().items == ("VB-10",)
    assert central.board.published[-1].content == {
        "item": "VB-10",
        "gtin": None,
        "lots": [{"lot": "VB-2", "status": "blocked", "expiry": "2030-01-31", "quantity": "1.5"}],
    }
    held = orders.lots()["VB-10"]
    assert (held["VB-1"].quantity, held["VB-2"].quantity) == (0, Decimal("1.5"))  # a lot once seen stays known
    with central.rig.store.read() as connection:
        used = orders.lots_of({("VB-10", "VB-2"), ("VB-10", "VB-3"), ("XX-1", "VB-1")}, connection)
    assert used == {"VB-10": {"VB-2": held["VB-2"]}}, "of XX-1 the ERP never told anything"


def test_an_order_that_vanishes_is_cancelled(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.held = []
    assert orders.sync().orders == ("WO-1000",)
    order = orders.get("WO-1000")
    assert order is not None
    assert (order.state, order.version, order.open) == ("cancelled", 2, False)


def test_a_closed_order_is_withdrawn_from_the_lines_in_its_time(central: Central) -> None:
    central.orders().sync()
    central.erp.held = [replace(ORDER, state="closed"), replace(ORDER, erp_id="8", reference="WO-1001")]
    orders = central.orders()
    orders.sync()
    central.rig.clock.advance(KEPT_CLOSED_S - 60)
    assert orders.withdraw_closed() == [], "a run that comes late still has its product and lot from there"
    central.rig.clock.advance(120)
    assert orders.withdraw_closed() == ["WO-1000"], "an open order stays, however long ago it was told"
    told = central.board.published[-1]
    assert (told.kind, told.id, told.version, told.content) == ("work-order", "WO-1000", 3, None)
    assert orders.withdraw_closed() == []
    central.erp.held = [replace(ORDER, state="cancelled")]
    assert "WO-1000" not in orders.sync().orders, "what is over and withdrawn is not told again"
    central.erp.held = [ORDER]
    assert "WO-1000" in orders.sync().orders, "the ERP has opened it again"


def test_an_order_that_was_renamed_is_withdrawn_under_its_old_name(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.held = [replace(ORDER, reference="WO-2000")]
    orders.sync()
    central.rig.clock.advance(KEPT_CLOSED_S + 60)
    assert orders.withdraw_closed() == ["WO-1000"]


def test_an_order_with_another_reference_is_cancelled_under_the_old_one(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.held = [replace(ORDER, reference="WO-2000")]
    orders.sync()
    states = {d.id: d.content["state"] for d in central.board.published if d.kind == "work-order"}  # type: ignore[index, call-overload]
    assert states == {"WO-1000": "cancelled", "WO-2000": "released"}


def test_of_two_orders_with_one_reference_the_first_stays_while_open(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    twin = replace(ORDER, erp_id="8", quantity=Decimal(99))
    central.erp.held = [twin, ORDER]
    assert orders.sync().ignored == ("8",)
    assert [(o.erp_id, o.quantity) for o in orders.list()] == [("7", 2)]
    central.erp.held = [twin, replace(ORDER, state="closed")]
    orders.sync()
    orders.sync()
    assert [(o.erp_id, o.quantity) for o in orders.list()] == [("8", 99)]


@pytest.mark.parametrize(
    "moment", [f"{when} {step}" for step in STEPS for when in ("before", "after", "noted")] + ["read back"]
)
def test_a_report_killed_at_any_moment_is_effective_once(central: Central, moment: str) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.kill = moment
    with pytest.raises(Killed):
        orders.post_ready(confirm)
    interrupted = central.orders().posting("WO-1000")
    assert interrupted is not None
    assert interrupted.state == "posting"
    (posted,) = central.orders().post_ready(confirm)
    assert (posted.state, posted.attempts, posted.differences) == ("posted", 2, ())
    assert central.erp.effective == list(STEPS)
    assert central.stated("erp-posted") == [*STEPS, "read-back"]


def test_a_report_is_frozen_once_it_exists(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    central.erp.kill = "before one"
    with pytest.raises(Killed):
        orders.post_ready(confirm)

    def other(reference: str) -> Confirmation:
        raise AssertionError(f"asked again for {reference}")

    assert central.orders().post_ready(other)[0].confirmation == CONFIRMATION


def test_nothing_is_posted_while_something_stands_against_it(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    assert orders.post_ready(lambda reference: None) == ()
    assert central.erp.effective == []


def test_what_the_erp_holds_otherwise_stays_with_the_report(central: Central) -> None:
    central.erp.result = replace(RESULT, good=("A1", "A1"), scrap=Decimal(1))
    orders = central.orders()
    orders.sync()
    (posted,) = orders.post_ready(confirm)
    assert posted.differences == (
        ErpDifference("good", "A1", "1", "2"),
        ErpDifference("good", "A2", "1", "0"),
        ErpDifference("scrap", "WO-1000", "0", "1"),
    )
    assert orders.posting("WO-1000") == posted


def test_a_report_under_another_key_is_not_taken(central: Central) -> None:
    orders = central.orders()
    orders.sync()
    orders.post_ready(confirm)
    with pytest.raises(Invalid):
        orders.try_again("WO-1000", replace(CONFIRMATION, key="other"))


def test_without_an_erp_there_are_no_orders(central: Central) -> None:
    orders = Orders(central.rig.store, central.rig.facts, central.rig.clock, None, {}, central.board)
    assert orders.sync().orders == ()
    assert orders.post_ready(confirm) == ()
    assert orders.status() is None
    assert orders.read_back("WO-1000") is None


def test_agreement_does_not_depend_on_order_or_notation() -> None:
    assert differences(CONFIRMATION, RESULT) == []


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (replace(RESULT, state="running"), "state"),
        (replace(RESULT, good=("A1",)), "good"),
        (replace(RESULT, consumed=(*RESULT.consumed, *RESULT.consumed)), "consumed"),
        (replace(RESULT, operations=()), "operation"),
        (replace(RESULT, operations=(ErpOperation("OP10", True, 3.5, 2),)), "cycles"),
        (replace(RESULT, inspections=(("WO-1000/1", "failed"),)), "inspection"),
        (replace(RESULT, inspections=(("WO-1000/1", "passed"), ("WO-1000/1", "passed"))), "inspection"),
    ],
)
def test_each_kind_of_disagreement_is_found(result: ErpResult, what: str) -> None:
    assert [found.what for found in differences(CONFIRMATION, result)] == [what]
