"""One suite over the simulated ERP and the real Tryton: what is read, and that a report is effective once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from central.app import Central
from central.erp import Erp
from central.links.base import (
    Confirmation,
    ErpOrder,
    ErpRefused,
    StepOutcome,
    differences,
)
from central.orders import Orders
from central.postings import Posting
from records.errors import LotkeeperError, Refused, Unreachable
from records.model import OperationsEvent
from records.wire import Document
from tests.rigs.erps import ORDERS, UNITS, ErpRig, confirmation_of, make_rig
from tests.rigs.http_proxy import LosingProxy
from tests.unit.central.test_backup import Plant

ATTEMPTS_LIMIT = 60


@pytest.fixture(
    scope="module",
    params=["simulated", pytest.param("tryton", marks=[pytest.mark.tryton, pytest.mark.timeout(400)])],
)
def erp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErpRig]:
    folder = tmp_path_factory.mktemp("erp")
    try:
        rig = make_rig(request.param, folder)
    except LotkeeperError as error:
        pytest.skip(f"Tryton cannot be made here: {error}")
    yield rig
    rig.close()


@pytest.fixture
def order(erp: ErpRig) -> ErpOrder:
    """An open order that no test has used yet."""
    with closing(erp.link()) as link:
        return next(order for order in link.orders([]) if order.state == "released")


class Steps:
    """A step log that can be a crash: raises after each step once, when its effect is there but not noted."""

    def __init__(self, crashed: set[str] | None = None) -> None:
        self.crashed = crashed
        self.outcomes: dict[str, StepOutcome] = {}

    def begin(self, step: str) -> None:
        """What was noted of the step before is safe here."""

    def done(self, step: str, outcome: StepOutcome) -> None:
        if self.crashed is not None and step not in self.crashed:
            self.crashed.add(step)
            raise Crash(step)
        self.outcomes[step] = outcome


class Silent:
    """Takes the place of the broker."""

    def publish_document(self, agent: str, document: Document) -> None:
        """Nobody listens."""


class Crash(Exception):
    """Stands for a killed process: the link that raised it is thrown away."""


def assert_booked_once(erp: ErpRig, confirmation: Confirmation) -> None:
    with closing(erp.link()) as link:
        assert differences(confirmation, link.read_back(confirmation.erp_id)) == []
    assert erp.doubles(confirmation) == []


def post_until_done(confirmation: Confirmation, attempt: Callable[[], None], expected: type[Exception]) -> int:
    for number in range(ATTEMPTS_LIMIT):
        try:
            attempt()
        except expected:
            continue
        return number
    raise AssertionError(f"{confirmation.order} was not posted in {ATTEMPTS_LIMIT} attempts")


def test_open_orders_are_read_with_routing_and_bill(erp: ErpRig) -> None:
    with closing(erp.link()) as link:
        orders = {order.reference: order for order in link.orders([])}
    assert len(orders) == ORDERS
    first = orders["WO-1000"]
    assert (first.product, first.quantity, first.state) == ("VS-100", UNITS, "released")
    assert [o.operation for o in first.operations] == ["OP10", "OP20", "OP30", "OP40"]
    assert {need.item: need.quantity for need in first.bom} == {"VB-10": UNITS, "SR-20": 2 * UNITS}


def test_lots_are_read_with_expiry_and_stock(erp: ErpRig) -> None:
    with closing(erp.link()) as link:
        lots = {lot.number: lot for lot in link.lots(["VB-10", "SR-20"])}
    assert set(lots) == {"VB-2026-001", "VB-2026-002", "SR-2026-0A", "SR-2025-EX"}
    assert (lots["SR-2025-EX"].item, lots["SR-2025-EX"].expiry) == ("SR-20", "2025-11-30")
    assert lots["VB-2026-001"].expiry is None
    assert lots["VB-2026-001"].quantity >= ORDERS * UNITS


def test_a_confirmation_is_posted_and_read_back(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    steps = Steps()
    with closing(erp.link()) as link:
        before = {lot.number: lot.quantity for lot in link.lots(["SR-20"])}
        link.post(confirmation, steps)
        result = link.read_back(order.erp_id)
        after = {lot.number: lot.quantity for lot in link.lots(["SR-20"])}
    assert set(steps.outcomes.values()) == {"written"}
    assert (result.state, result.scrap, sorted(result.good)) == ("closed", 1, sorted(confirmation.good))
    assert before["SR-2026-0A"] - after["SR-2026-0A"] == 2 * UNITS
    assert_booked_once(erp, confirmation)


def test_central_and_an_independent_reader_see_the_same(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    with closing(erp.link()) as link:
        link.post(confirmation, Steps())
        result = link.read_back(order.erp_id)
    booked = erp.booked()
    assert len(booked) == ORDERS
    own = booked[order.reference]
    assert (own.state, sorted(own.good), own.scrap) == (result.state, sorted(result.good), result.scrap)
    used = {(use.item, use.lot, use.quantity) for use in own.consumed}
    assert used == {(use.item, use.lot, use.quantity) for use in result.consumed}


def test_posting_again_writes_nothing(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    with closing(erp.link()) as link:
        link.post(confirmation, Steps())
    again = Steps()
    with closing(erp.link()) as link:
        link.post(confirmation, again)
    assert set(again.outcomes.values()) == {"found"}
    assert_booked_once(erp, confirmation)


def test_a_posting_killed_between_any_two_steps_ends_in_one_effect(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    crashed: set[str] = set()

    def attempt() -> None:
        with closing(erp.link()) as link:
            link.post(confirmation, Steps(crashed))

    crashes = post_until_done(confirmation, attempt, Crash)
    assert crashes == len(crashed) >= 1
    assert_booked_once(erp, confirmation)


def test_a_lost_answer_to_any_write_ends_in_one_effect(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    with closing(LosingProxy(erp.url, erp.is_write)) as proxy, closing(erp.link(url=proxy.url)) as link:

        def attempt() -> None:
            link.post(confirmation, Steps())

        lost = post_until_done(confirmation, attempt, Unreachable)
        assert lost == proxy.lost >= 1
    assert_booked_once(erp, confirmation)


def test_an_erp_killed_during_a_posting_comes_back_to_one_effect(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)

    class Kill(Steps):
        def done(self, step: str, outcome: StepOutcome) -> None:
            super().done(step, outcome)
            erp.restart()

    with closing(erp.link()) as link:
        if erp.name == "simulated":
            link.post(confirmation, Kill())
        else:  # one of its eleven steps
            link.post(confirmation, _only_at("run", Kill()))
    assert_booked_once(erp, confirmation)


@pytest.mark.parametrize("known", [True, False], ids=["order in the backup", "order begun after it"])
def test_a_restore_to_before_the_report_posts_nothing_twice(
    erp: ErpRig, order: ErpOrder, tmp_path: Path, known: bool
) -> None:
    """A report had its effect, then central was set back to a backup that knows nothing of it."""
    plant = Plant(tmp_path)
    wanted = {order.reference: confirmation_of(order)}

    def orders(central: Central) -> Orders:
        door = Erp(erp.link(), central.store, central.facts, plant.clock, poll_interval_s=30)
        return Orders(central.store, central.facts, plant.clock, door, {}, Silent())

    def work(central: Central) -> Posting:
        assert central.ingest.take(plant.agent.topic, plant.agent.frame()).result == "committed"
        with closing(orders(central)) as made:
            made.sync()
            (posting,) = made.post_ready(wanted.get)
        return posting

    with closing(plant.open()) as central:
        if known:
            with closing(orders(central)) as made:
                made.sync()
        backup = plant.back_up(central)
        plant.agent.write(OperationsEvent("order-started", {"order": order.reference}, order=order.reference))
        first = work(central)
    assert {step.outcome for step in first.steps} == {"written"}
    plant.restore(backup, replace=True)
    with closing(plant.open()) as central:
        with closing(orders(central)) as made:
            assert made.posting(order.reference) is None, "the backup knows nothing of it"
        again = work(central)
    assert (again.state, again.differences, again.confirmation.key) == ("posted", (), first.confirmation.key)
    assert {step.outcome for step in again.steps} == {"found"}
    assert_booked_once(erp, confirmation_of(order))


def _only_at(step: str, inner: Steps) -> Steps:
    class Only(Steps):
        def done(self, done: str, outcome: StepOutcome) -> None:
            super().done(done, outcome)
            if done == step:
                inner.done(done, outcome)

    return Only()


def test_an_expired_lot_is_refused_in_words(erp: ErpRig, order: ErpOrder) -> None:
    with closing(erp.link()) as link:
        with pytest.raises(ErpRefused, match="SR-2025-EX"):
            link.post(confirmation_of(order, lot="SR-2025-EX"), Steps())
        assert link.read_back(order.erp_id).good == ()
        link.post(confirmation_of(order), Steps())  # corrected, it goes through
    assert_booked_once(erp, confirmation_of(order))


def test_a_lot_that_the_erp_does_not_know_is_refused(erp: ErpRig, order: ErpOrder) -> None:
    with closing(erp.link()) as link, pytest.raises(ErpRefused, match="NO-SUCH-LOT"):
        link.post(confirmation_of(order, lot="NO-SUCH-LOT"), Steps())


def test_more_than_the_stock_is_refused(erp: ErpRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    first, *rest = confirmation.consumed
    greedy = replace(confirmation, consumed=(replace(first, quantity=Decimal(100_000)), *rest))
    with closing(erp.link()) as link, pytest.raises(ErpRefused, match=first.lot):
        link.post(greedy, Steps())


def test_a_cancelled_order_is_seen_and_takes_no_report(erp: ErpRig, order: ErpOrder) -> None:
    erp.cancel(order.erp_id)
    with closing(erp.link()) as link:
        assert order.erp_id not in {o.erp_id for o in link.orders([])}
        assert {o.state for o in link.orders([order.erp_id]) if o.erp_id == order.erp_id} == {"cancelled"}
        with pytest.raises(ErpRefused, match="cancelled"):
            link.post(confirmation_of(order), Steps())
    assert erp.doubles(confirmation_of(order)) != []  # nothing of it is there


def test_an_erp_that_is_away_is_unreachable(erp: ErpRig) -> None:
    with closing(erp.link(url="http://127.0.0.1:9")) as link, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        link.orders([])


def test_a_wrong_password_is_refused_after_one_attempt(erp: ErpRig) -> None:
    attempts = []

    def count(method: str, body: bytes) -> bool:
        attempts.append(body)
        return False

    with (
        closing(LosingProxy(erp.url, count)) as proxy,
        closing(erp.link(url=proxy.url, right=False)) as link,
        pytest.raises(Refused, match="refuses") as caught,
    ):
        link.orders([])
    assert len(attempts) == 1
    assert caught.value.hint is not None
