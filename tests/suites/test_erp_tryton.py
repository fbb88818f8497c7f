"""What only a real Tryton can show: stale records, warnings, and that a doubled effect would be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from central.links.base import Confirmation, ErpChanged, ErpOrder, ErpRefused, StepOutcome, differences
from central.links.tryton_post import TrytonPosting
from central.links.tryton_rpc import TrytonWarning
from records.errors import LotkeeperError, Unreachable
from tests.rigs.erps import TrytonRig, confirmation_of
from tests.rigs.http_proxy import LosingProxy

pytestmark = [pytest.mark.tryton, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def tryton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonRig]:
    try:
        rig = TrytonRig(tmp_path_factory.mktemp("erp"))
    except LotkeeperError as error:
        pytest.skip(f"Tryton cannot be made here: {error}")
    yield rig
    rig.close()


@pytest.fixture
def order(tryton: TrytonRig) -> ErpOrder:
    with closing(tryton.link()) as link:
        return next(order for order in link.orders([]) if order.state == "released")


class Quiet:
    def begin(self, step: str) -> None:
        """No crash here."""

    def done(self, step: str, outcome: StepOutcome) -> None:
        """No crash here."""


def test_an_order_changed_between_reading_and_writing_is_noticed(
    tryton: TrytonRig, order: ErpOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = TrytonPosting._write_moves

    def late(self: TrytonPosting, read: object, field: str, changes: list[object]) -> None:
        with tryton.signed_in() as rpc:
            rpc.call("production.write", [int(order.erp_id)], {"reference": order.reference})
        write(self, read, field, changes)  # type: ignore[arg-type]

    confirmation = confirmation_of(order)
    with monkeypatch.context() as patch, closing(tryton.link()) as link:
        patch.setattr(TrytonPosting, "_write_moves", late)
        with pytest.raises(ErpChanged):
            link.post(confirmation, Quiet())
    with closing(tryton.link()) as link:
        link.post(confirmation, Quiet())
    assert tryton.doubles(confirmation) == []


def test_a_quantity_beyond_tolerance_is_confirmed_only_where_the_settings_say_so(
    tryton: TrytonRig, order: ErpOrder
) -> None:
    confirmation = confirmation_of(order)
    first, *rest = confirmation.consumed
    more = replace(confirmation, consumed=(replace(first, quantity=first.quantity * 2), *rest))
    with closing(tryton.link(confirm_warnings=False)) as link, pytest.raises(TrytonWarning) as caught:
        link.post(more, Quiet())
    assert caught.value.step == "run"
    with closing(tryton.link()) as link:
        link.post(more, Quiet())
        assert differences(more, link.read_back(order.erp_id)) == []


def test_an_inspection_out_of_tolerance_stops_the_report(tryton: TrytonRig, order: ErpOrder) -> None:
    confirmation = confirmation_of(order)
    bad = replace(confirmation.inspections[0], values=(("leak_rate", 0.75),))
    leaking = replace(confirmation, inspections=(bad, *confirmation.inspections[1:]))
    with closing(tryton.link()) as link:
        with pytest.raises(ErpRefused, match="failed"):
            link.post(leaking, Quiet())
        assert ("inspection", confirmation.key) in _differing(link.read_back(order.erp_id), leaking)


def _differing(result: object, confirmation: Confirmation) -> set[tuple[str, str]]:
    return {(found.what, found.subject) for found in differences(confirmation, result)}  # type: ignore[arg-type]


def test_a_serial_that_another_order_made_is_refused(tryton: TrytonRig, order: ErpOrder) -> None:
    with closing(tryton.link()) as link:
        first = confirmation_of(order)
        link.post(first, Quiet())
        other = next(o for o in link.orders([]) if o.state == "released")
        again = replace(confirmation_of(other), good=first.good)
        with pytest.raises(ErpRefused, match="another order"):
            link.post(again, Quiet())
    assert tryton.doubles(first) == []


def test_the_bill_stays_the_bill_after_the_inputs_were_written(tryton: TrytonRig, order: ErpOrder) -> None:
    class Stop(Quiet):
        def done(self, step: str, outcome: StepOutcome) -> None:
            raise KeyboardInterrupt

    uneven = confirmation_of(order)
    uneven = replace(uneven, consumed=tuple(replace(use, quantity=Decimal(3)) for use in uneven.consumed))
    with closing(tryton.link()) as link:
        with pytest.raises(KeyboardInterrupt):
            link.post(uneven, Stop())
        again = next(o for o in link.orders([]) if o.erp_id == order.erp_id)
    assert again.bom == order.bom


def test_the_suite_sees_a_link_that_repeats_blindly(
    tryton: TrytonRig, order: ErpOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Break the rule on purpose: serials are created without looking. Then a lost answer doubles them."""

    def blind(self: TrytonPosting) -> StepOutcome:
        own = self._order()
        rows = [{"number": number, "product": own.product.id} for number in self._confirmation.good]
        self._rpc.call("stock.lot.create", rows)
        return "written"

    monkeypatch.setattr(TrytonPosting, "_serials", blind)
    confirmation = confirmation_of(order, scrap=0)
    creates = lambda method, body: b"stock.lot.create" in body  # noqa: E731
    with closing(LosingProxy(tryton.url, creates)) as proxy:
        for _ in range(2):
            with closing(tryton.link(url=proxy.url)) as link:
                try:
                    link.post(confirmation, Quiet())
                except Unreachable:
                    continue
    assert "8 serials, not 4" in tryton.doubles(confirmation)
