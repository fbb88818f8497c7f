"""The whole way over HTTP with an ERP that misbehaves: orders down, reports up, alarms once, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from central.erp import Erp
from central.links.base import Confirmation, ErpOrder
from central.links.settings import ItemSettings
from central.orders import Orders
from records.errors import LotkeeperError, Refused, Unfit, Unreachable
from records.wire import Document
from simulators.erp import Mode
from tests.rigs import postgres
from tests.rigs.erps import SimulatedRig, confirmation_of
from tests.rigs.stores import on_postgres
from tests.rigs.uplinks import until
from tests.unit.central.core_rig import Rig


@dataclass
class Board:
    """Takes the place of the broker."""

    published: list[Document] = field(default_factory=list)

    def publish_document(self, agent: str, document: Document) -> None:
        self.published.append(document)


@dataclass
class Plant:
    """A central and its simulated ERP."""

    rig: Rig
    erp: SimulatedRig
    board: Board = field(default_factory=Board)
    orders: Orders = field(init=False)

    def __post_init__(self) -> None:
        self._open("30s", True)

    def start(self, timeout: str = "30s", right: bool = True) -> None:
        """A restart of central's part: everything but the database is new."""
        self.close()
        self._open(timeout, right)

    def _open(self, timeout: str, right: bool) -> None:
        link = self.erp.link(timeout=timeout, right=right)
        door = Erp(link, self.rig.store, self.rig.facts, self.rig.clock, poll_interval_s=30)
        items = {"VS-100": ItemSettings(gtin="04012345000016", revision="B")}
        self.orders = Orders(self.rig.store, self.rig.facts, self.rig.clock, door, items, self.board)

    def close(self) -> None:
        self.orders.close()

    def facts(self, code: str) -> list[dict[str, object]]:
        return [fact.fact.data.params for fact in self.rig.store.facts(codes=[code])]  # type: ignore[union-attr]

    def confirmation(self, reference: str) -> Confirmation | None:
        if reference != "WO-1000":
            return None
        with closing(self.erp.link()) as link:
            order: ErpOrder = next(o for o in link.orders(["1"]) if o.reference == reference)
        return confirmation_of(order)


@contextmanager
def opened(folder: Path) -> Iterator[Plant]:
    erp = SimulatedRig(folder)
    rig = Rig(folder / "central")
    plant = Plant(rig, erp)
    yield plant
    plant.close()
    erp.faults.release.set()
    rig.store.close()
    erp.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path) as made:
        yield made


def test_orders_and_lots_go_down_once_and_again_when_they_change(plant: Plant) -> None:
    first = plant.orders.sync()
    assert len(first.orders) == 12
    assert first.items == ("SR-20", "VB-10")
    assert plant.orders.sync().orders == ()
    plant.erp.cancel("3")
    assert plant.orders.sync().orders == ("WO-1002",)
    last = plant.board.published[-1]
    assert (last.kind, last.id, last.version) == ("work-order", "WO-1002", 2)
    assert len(plant.facts("document-issued")) == len(plant.board.published) == 15


def test_an_order_that_comes_twice_is_one_order(plant: Plant) -> None:
    plant.erp.faults.mode = "duplicate"
    assert len(plant.orders.sync().orders) == 12
    assert len(plant.orders.list()) == 12


def test_a_ready_order_is_reported_and_read_back(plant: Plant) -> None:
    plant.orders.sync()
    (posted,) = plant.orders.post_ready(plant.confirmation)
    assert (posted.state, posted.differences) == ("posted", ())
    assert plant.orders.post_ready(plant.confirmation) == ()
    assert plant.orders.sync().orders == ("WO-1000",)
    order = plant.orders.get("WO-1000")
    assert order is not None
    assert (order.state, order.posting) == ("closed", "posted")
    assert [fact["step"] for fact in plant.facts("erp-posted")] == ["confirmation", "read-back"]


@pytest.mark.parametrize(("mode", "timeout"), [("error", "30s"), ("slow", "300ms"), ("lose-answer", "30s")])
def test_an_erp_in_trouble_is_reported_to_exactly_once(plant: Plant, mode: Mode, timeout: str) -> None:
    plant.orders.sync()
    plant.start(timeout=timeout)
    plant.erp.faults.mode, plant.erp.faults.method, plant.erp.faults.left = mode, "POST", 1
    (first,) = plant.orders.post_ready(plant.confirmation)
    assert (first.state, first.attempts) == ("posting", 1)
    assert first.error is not None
    plant.erp.faults.release.set()
    assert plant.orders.post_ready(plant.confirmation) == ()  # not before its pause is over
    plant.rig.clock.advance(600)
    plant.start()
    (second,) = plant.orders.post_ready(plant.confirmation)
    assert (second.state, second.attempts, second.differences) == ("posted", 2, ())
    assert plant.erp.doubles(second.confirmation) == []


def test_an_erp_that_is_down_is_one_alarm_and_asked_less_and_less(plant: Plant) -> None:
    plant.orders.sync()
    plant.erp.faults.mode = "error"
    with pytest.raises(Unreachable):
        plant.orders.sync()
    before = plant.erp.faults.seen
    plant.orders.sync()
    assert plant.erp.faults.seen == before  # a pause
    for _ in range(6):
        plant.rig.clock.advance(600)
        with pytest.raises(Unreachable):
            plant.orders.sync()
    status = plant.orders.status()
    assert status is not None
    assert status.state == "failing"
    assert len(plant.facts("erp-unreachable")) == 1
    plant.erp.faults.mode = "none"
    plant.rig.clock.advance(600)
    plant.orders.sync()
    status = plant.orders.status()
    assert status is not None
    assert status.state == "ok"


@pytest.mark.parametrize("mode", ["no-entry", "too-many"])
def test_a_refused_password_is_one_alarm_and_no_further_attempt(plant: Plant, mode: Mode) -> None:
    plant.orders.sync()
    plant.erp.faults.mode = mode
    with pytest.raises(Refused):
        plant.orders.sync()
    before = plant.erp.faults.seen
    for _ in range(3):
        plant.rig.clock.advance(3600)
        plant.orders.sync()
        plant.orders.post_ready(plant.confirmation)
        with pytest.raises(Refused):
            plant.orders.read_back("WO-1000")
    assert plant.erp.faults.seen == before
    plant.start()  # a restart tries once more, and states nothing new
    with pytest.raises(Refused):
        plant.orders.sync()
    assert [fact["step"] for fact in plant.facts("erp-refused")] == ["sign-in"]
    plant.erp.faults.mode = "none"
    plant.orders.try_again()
    plant.orders.sync()
    assert len(plant.orders.post_ready(plant.confirmation)) == 1


def test_a_refused_report_waits_for_a_person_and_is_then_posted(plant: Plant) -> None:
    plant.orders.sync()
    plant.erp.cancel("1")
    (refused,) = plant.orders.post_ready(plant.confirmation)
    assert refused.state == "refused"
    assert refused.error is not None
    assert "cancelled" in refused.error
    plant.rig.clock.advance(3600)
    assert plant.orders.post_ready(plant.confirmation) == ()
    assert [(f["order"], f["step"]) for f in plant.facts("erp-refused")] == [("WO-1000", "confirmation")]
    plant.erp.book.change("WO-1000", "released")
    plant.orders.try_again("WO-1000")
    (posted,) = plant.orders.post_ready(plant.confirmation)
    assert posted.state == "posted"
    with pytest.raises(LotkeeperError, match="refused"):
        plant.orders.try_again("WO-1000")


def test_a_wrong_token_names_the_setting(plant: Plant) -> None:
    plant.start(right=False)
    with pytest.raises(Refused, match=r"erp\.token"):
        plant.orders.sync()


def stored(plant: Plant) -> bool:
    """Whether the database stores again."""
    try:
        return plant.rig.store.write(lambda _: True)
    except Unfit:
        return False


@pytest.mark.postgres
def test_a_database_that_keeps_nothing_is_no_refusal_of_the_erp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: what it refused to note of a step was taken for the ERP's word, and nothing was reported to it or read
    from it any more until central was started again.
    """
    with on_postgres(), opened(tmp_path) as plant, postgres.shared().admin() as admin:
        plant.orders.sync()
        book = plant.erp.book.book

        def booked(*what: Any) -> bool:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda: admin.execute("SHOW fsync").fetchone() == ("off",))
            return book(*what)

        monkeypatch.setattr(plant.erp.book, "book", booked)
        try:
            with pytest.raises(Unfit):
                plant.orders.post_ready(plant.confirmation)
        finally:
            admin.execute("ALTER SYSTEM RESET fsync")
            admin.execute("SELECT pg_reload_conf()")
        until(lambda: admin.execute("SHOW fsync").fetchone() == ("on",))
        until(lambda: stored(plant))
        (posted,) = plant.orders.post_ready(plant.confirmation)
        assert (posted.state, posted.differences) == ("posted", ())
        assert plant.erp.doubles(posted.confirmation) == []
        assert plant.facts("erp-refused") == []
