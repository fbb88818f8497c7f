"""A central with a story in it: real store, ingest, access, audit, orders, review; no broker, no ERP process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import chart_story as press_story
import story

from central import limit_sets, recipes
from central.access import Access, Actor, Limits
from central.audit import Audit
from central.charts import Charts
from central.configurations import Configurations
from central.erp import Erp
from central.facts import Facts, Origin
from central.holds import Holds
from central.ingest import Ingest
from central.limit_sets import LimitSets
from central.links.base import (
    BomItem,
    Confirmation,
    ErpLot,
    ErpOperation,
    ErpOrder,
    ErpResult,
    OrderOperation,
    StepLog,
)
from central.links.settings import ItemSettings
from central.orders import Orders
from central.proposals import Issue, Kind, Proposals
from central.reviews import Reviews
from central.settings import CentralSettings
from central.store import agents
from central.store.engine import Store
from records.clock import FakeClock
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import CENTRAL, Document
from tests.rigs import stores

PASSWORD = "correct horse battery"
OPERATIONS = (("OP10", "Assemble"), ("OP20", "Weld"), ("OP30", "Leak test"), ("OP40", "Wash"))
ITEMS = {
    "VS-100": ItemSettings(gtin="04012345000016", revision="B"),
    "VB-10": ItemSettings(gtin="04012345000030"),
    "SR-20": ItemSettings(gtin="04012345000023"),
}


class StoryErp:
    """An ERP that holds its orders in memory and takes every confirmation at its word."""

    address = "story erp"

    def __init__(self, orders: list[ErpOrder]) -> None:
        self.held = {order.erp_id: order for order in orders}
        self.results: dict[str, ErpResult] = {}

    def orders(self, held: Collection[str], named: Collection[str] = ()) -> list[ErpOrder]:
        return list(self.held.values())

    def lots(self, items: Collection[str]) -> list[ErpLot]:
        every = [
            ErpLot("VB-10", "VB-2026-031", None, Decimal(400), "available"),
            ErpLot("SR-20", "SR-2026-007", "2027-06-30", Decimal(900), "available"),
            ErpLot("SR-20", "SR-2025-114", "2026-05-30", Decimal(40), "available"),
        ]
        return [lot for lot in every if lot.item in items]

    def post(self, confirmation: Confirmation, progress: StepLog) -> None:
        for step in ("consume", "operations", "produce", "close"):
            progress.begin(step)
            progress.done(step, "written")
        self.held[confirmation.erp_id] = replace(self.held[confirmation.erp_id], state="closed")
        self.results[confirmation.erp_id] = ErpResult(
            confirmation.order,
            "closed",
            confirmation.good,
            Decimal(confirmation.scrap),
            confirmation.consumed,
            tuple(ErpOperation(o.operation, True, o.duration_s, 1) for o in confirmation.operations),
        )

    def read_back(self, erp_id: str) -> ErpResult:
        return self.results[erp_id]

    def close(self) -> None:
        pass


class Silent:
    def publish_document(self, agent: str, document: Document) -> None:
        pass


def erp_order(number: int, quantity: int) -> ErpOrder:
    return ErpOrder(
        erp_id=str(number),
        reference=f"WO-{1000 + number}",
        number=str(70 + number),
        product="VS-100",
        quantity=Decimal(quantity),
        unit="u",
        state="running",
        operations=tuple(OrderOperation(op, 10 * (i + 1), name) for i, (op, name) in enumerate(OPERATIONS)),
        bom=(BomItem("VB-10", Decimal(quantity)), BomItem("SR-20", Decimal(2 * quantity))),
        expiry="2029-11-18",
    )


Tell = Callable[[story.Plant], list[ErpOrder]]
"""Tells a plant what happens in it, and gives the orders that its ERP has."""


@dataclass
class FixtureCentral:
    """The parts that the pages use, under their names in the running central."""

    settings: CentralSettings
    store: Store
    clock: FakeClock
    origin: Origin
    facts: Facts
    ingest: Ingest
    access: Access
    audit: Audit
    orders: Orders
    reviews: Reviews
    configurations: Configurations
    holds: Holds
    charts: Charts
    limit_sets: LimitSets
    recipes: Proposals
    plant: story.Plant

    def deliver(self) -> None:
        """Everything that the agents have written since the last time, and their heads."""
        self.clock.advance((self.plant.now_us - self.clock.now_us()) / 1e6 + 2)
        for agent in self.plant.agents.values():
            for frame in agent.frames():
                taken = self.ingest.take(agent.topic, frame)
                assert taken.result == "committed", taken
            assert self.ingest.take(agent.state_topic, agent.head(self.clock.now_us())).result == "head"

    def settle(self) -> None:
        """What the scheduler does all the time: look for findings, report what is ready."""
        self.reviews.sweep([order.reference for order in self.orders.list()])
        self.orders.post_ready(self.reviews.confirmation_for)
        self.orders.sync()
        self.reviews.sweep([order.reference for order in self.orders.list()])


@contextmanager
def central(folder: Path, tell: Tell) -> Iterator[FixtureCentral]:
    """A central in which ``tell`` has happened; it gives the orders that the ERP has."""
    plant = story.Plant()
    erp_orders = tell(plant)
    clock = FakeClock(story.START_US)
    key = SigningKey.generate()
    store = stores.opened(folder)
    origin = Origin("suzhou", "Asia/Shanghai", "lotkeeper-central/0.1.0", None)
    facts = Facts(key, KeyRing([PublicKey(CENTRAL, key.public.hex())]), clock, origin, folder / "anchors.jsonl")
    store.write(facts.open)
    access = Access(store, facts, clock, Limits())
    erp = Erp(StoryErp(erp_orders), store, facts, clock, 5.0)
    orders = Orders(store, facts, clock, erp, ITEMS, Silent())
    holds = Holds(store, facts, clock, lambda _agent, _document: None)
    reviews = Reviews(store, facts, clock, orders, holds=holds.on_lot)
    configurations = Configurations(store, facts, clock, lambda _agent, _document: None)
    charts = Charts(store, facts, clock)

    def proposals(kind: Kind, issue: Issue) -> Proposals:
        return Proposals(kind, store, facts, clock, lambda _agent, _document: None, issue)

    settings = CentralSettings(site="suzhou", time_zone="Asia/Shanghai", folder=folder)
    made = FixtureCentral(
        settings,
        store,
        clock,
        origin,
        facts,
        Ingest(store, facts, clock),
        access,
        Audit(store),
        orders,
        reviews,
        configurations,
        holds,
        charts,
        LimitSets(proposals("limit-set", limit_sets.issue), charts, configurations.resolved, store.fact),
        proposals("recipe", recipes.issue),
        plant,
    )
    for agent in plant.agents.values():
        public = agent.key.public.hex()
        store.write(
            lambda c, agent=agent, public=public: agents.enrol(c, agent.name, "p0", public, clock.now_us())
        )
    by = Actor("console", "command line")
    for user, role, name in (
        ("chen.li", "qa", "Chen Li"),
        ("mueller", "qa_manager", "Anna Müller"),
        ("op", "operator", "Wang Wei"),
        ("jansen", "engineer", "Piet Jansen"),
        ("audit", "auditor", "Ines Roth"),
    ):
        access.add_user(user, role, PASSWORD, by=by, name=name)
    orders.sync()
    made.deliver()
    made.settle()
    try:
        yield made
    finally:
        store.close()


def whole_story(units: int = 50) -> Tell:
    """One clean order, one troubled, one on the line, one not begun."""

    def tell(plant: story.Plant) -> list[ErpOrder]:
        story.clean(plant, "WO-1001", units)
        story.troubled(plant, "WO-1002", units, units + 1)
        story.running(plant, "WO-1003", 12, 2 * units + 1)
        for upper in ("0.18", "0.20"):
            story.line_file(plant, "testing-1", story.LINE_FILE % upper)
        return [erp_order(1, units), erp_order(2, units), erp_order(3, units), erp_order(4, 80)]

    return tell


def chart_story(units: int = 8) -> Tell:
    """The whole story in small, and a press whose charts are in every state."""

    def tell(plant: story.Plant) -> list[ErpOrder]:
        orders = whole_story(units)(plant)
        press_story.tell(plant)
        press_story.closings(plant, "WO-1002", range(units + 2, units + 6))
        return orders

    return tell
