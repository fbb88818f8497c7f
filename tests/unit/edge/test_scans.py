"""Scans are recognised by what they say, never by their order, and what is no text belongs to nobody."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from drivers import udi
from edge_agent import scans
from edge_agent.events import Scanned
from edge_agent.papers import ItemLots, LotStatus, Papers
from edge_agent.recording import MountedLot
from edge_agent.station_settings import StationSettings
from records.model import LONGEST_ID, SubjectKind
from tests.unit.edge.stations import ASSEMBLE, FOREIGN, LABEL, NOW_US, SR, VB, VS, WASH, papers

GS = "\x1d"


def scan(text: str, scanner: str = "scanner", **more: Any) -> Scanned:
    return Scanned(scanner, text, text.encode(), udi.parse(text), NOW_US, **more)


def station(base: Any, **changes: Any) -> StationSettings:
    return StationSettings.model_validate(base | changes)


ORDER, BADGE = "WO-1", "B000001"
LOT_VB, LOT_SR = f"]d201{VB}10VB-1", f"]d201{SR}1730010110SR-1"
UNIT = f"]d201{VS}1730010110WO-1{GS}210001"


@pytest.mark.parametrize("texts", list(itertools.permutations([ORDER, BADGE, LOT_VB, LOT_SR])))
def test_what_a_scan_is_does_not_depend_on_what_came_before(texts: tuple[str, ...]) -> None:
    fields = {ORDER: "order", BADGE: "operator", LOT_VB: "lot", LOT_SR: "lot"}
    assert [scans.recognise(station(ASSEMBLE), scan(text)) for text in texts] == [fields[t] for t in texts]


@pytest.mark.parametrize(
    ("base", "text", "field"),
    [
        (LABEL, UNIT, "subject"),
        (LABEL, LOT_VB, None),  # this station takes no components
        (LABEL, "TRAY-001", None),
        (WASH, "TRAY-001", "container"),
        (WASH, "TRAY-01", None),
        (WASH, "XTRAY-001", None),
        (ASSEMBLE, "B0000012", None),
        (ASSEMBLE, "wo-1", None),
        (ASSEMBLE, f"]d201{VB}", None),  # a component without a lot
        (ASSEMBLE, f"]d201{VB[:-1]}910VB-1", None),  # wrong check digit: no field is believed
    ],
)
def test_which_field_a_scan_belongs_to(base: Any, text: str, field: str | None) -> None:
    assert scans.recognise(station(base), scan(text)) == field


def test_a_scan_of_another_scanner_belongs_to_nothing_here() -> None:
    for text in (ORDER, BADGE, LOT_VB):
        assert scans.recognise(station(ASSEMBLE), scan(text, "another")) is None
    for text in (UNIT, "TRAY-001"):
        assert scans.recognise(station(WASH), scan(text, "another")) is None


@pytest.mark.parametrize("order", ["0112-7", f"01{VB}10A", "01", "02 A", "0112\u00e4"])
def test_a_pattern_is_stronger_than_the_looks_of_gs1(order: str) -> None:
    """An order number may begin like a GS1 code, right or wrong."""
    settings = station(ASSEMBLE, order={"scan": "scanner", "pattern": "0.*"})
    assert udi.parse(order).kind == "gs1"
    assert scans.recognise(settings, scan(order)) == "order"


@pytest.mark.parametrize("field", ["operator", "order"])
@pytest.mark.parametrize("text", ["", " ", "\x00\x07", "WO\x01-1", f"{GS}WO-1", "W" * 5000, "]d2", "01\x02"])
def test_noise_fits_no_pattern_however_wide(field: str, text: str) -> None:
    settings = station(LABEL | {"permit": None}, **{field: {"scan": "scanner", "pattern": "(.|\\s)*"}})
    assert scans.recognise(settings, scan(text)) is None


def test_half_a_frame_fits_no_pattern() -> None:
    settings = station(ASSEMBLE, operator={"scan": "scanner", "pattern": ".*"})
    half = scan("")
    assert scans.recognise(settings, replace(half, barcode=replace(half.barcode, error="incomplete"))) is None


# -- what it means -----------------------------------------------------------------------------------------


def meaning(base: Any, one: Scanned, known: Papers | None = None, order: str | None = "WO-1") -> scans.Meaning:
    settings = station(base)
    field = scans.recognise(settings, one)
    assert field is not None
    return scans.meaning(settings, one, field, known or papers(), order)


def test_a_lot_is_mounted_with_its_expiry() -> None:
    assert meaning(ASSEMBLE, scan(LOT_SR)) == scans.Mounted(MountedLot("SR-20", "SR-1", "2030-01-01"))
    assert meaning(ASSEMBLE, scan(LOT_VB)) == scans.Mounted(MountedLot("VB-10", "VB-1", None))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"]d201{FOREIGN}10VB-1", "item-not-in-bom"),
        (f"]d201{VB}10VB-2", "lot-unknown"),
        (f"]d201{VB}10VB-X", "lot-blocked"),
        (f"]d201{SR}10SR-OLD", "lot-expired"),
        (f"]d201{SR}10VB-1", "lot-unknown"),  # a lot number of another item says nothing
        ("WO-9", "order-unknown"),
    ],
)
def test_why_a_scan_is_refused(text: str, reason: str) -> None:
    refusal = meaning(ASSEMBLE, scan(text))
    assert isinstance(refusal, scans.Refusal)
    assert refusal.reason == reason
    assert refusal.found


def test_a_component_that_this_order_does_not_use_is_refused() -> None:
    known = papers()
    order = known.orders["WO-1"]
    bare = Papers({"WO-1": order.model_copy(update={"bom": order.bom[:1]})}, known.lots)
    refusal = meaning(ASSEMBLE, scan(LOT_SR), bare)
    assert isinstance(refusal, scans.Refusal)
    assert refusal.reason == "item-not-in-bom"


def test_a_lot_expires_by_the_day_of_the_plant() -> None:
    last = date(2026, 11, 18)  # NOW_US is that day in UTC, 11:06
    known = papers()
    lots = {"SR-20": ItemLots(item="SR-20", lots=(LotStatus(lot="SR-1", expiry=last),))}
    here = Papers(known.orders, lots)
    assert isinstance(meaning(ASSEMBLE, scan(LOT_SR), here), scans.Mounted)
    assert isinstance(meaning(ASSEMBLE, scan(LOT_SR, utc_offset_min=480), here), scans.Mounted)
    refusal = meaning(ASSEMBLE, scan(LOT_SR, utc_offset_min=17 * 60), here)
    assert refusal == scans.Refusal("lot-expired", "2026-11-18", "SR-1")


def test_a_unit_is_of_the_order_that_makes_its_lot() -> None:
    unit = meaning(LABEL, scan(UNIT, carrier="C-1"), order=None)
    assert isinstance(unit, scans.Unit)
    assert (unit.subject.kind, unit.subject.id, unit.subject.product, unit.subject.scheme) == (
        SubjectKind.UNIT,
        "0001",
        "VS-100",
        "gs1",
    )
    assert unit.order.reference == "WO-1"


def test_of_two_orders_of_one_lot_the_open_one_takes_the_unit() -> None:
    known = papers()
    closed = known.orders["WO-1"].model_copy(update={"state": "closed"})
    again = known.orders["WO-2"].model_copy(update={"lot": "WO-1"})
    unit = meaning(LABEL, scan(UNIT, carrier="C-1"), Papers({"WO-1": closed, "WO-2": again}))
    assert isinstance(unit, scans.Unit)
    assert unit.order.reference == "WO-2"


def test_another_product_with_the_same_lot_number_is_no_obstacle() -> None:
    known = papers()
    other = known.orders["WO-2"].model_copy(update={"lot": "WO-1", "product": "VB-10", "product_gtin": VB})
    both = Papers({"WO-2": other, "WO-1": known.orders["WO-1"]})
    unit = meaning(LABEL, scan(UNIT, carrier="C-1"), both)
    assert isinstance(unit, scans.Unit)
    assert unit.subject.product == "VS-100"


def test_a_label_without_a_lot_or_of_nobodys_lot_is_refused() -> None:
    for text in (f"]d201{VS}210001", f"]d201{VS}10WO-9{GS}210001"):
        refusal = meaning(LABEL, scan(text, carrier="C-1"))
        assert isinstance(refusal, scans.Refusal)
        assert refusal.reason == "label-wrong-lot"


def test_what_is_longer_than_an_identifier_is_refused_as_that() -> None:
    long, longest = "T" * (LONGEST_ID + 1), "T" * LONGEST_ID
    for base, source in (
        (ASSEMBLE, "operator"),
        (ASSEMBLE, "order"),
        (WASH, "container"),
        (PLANT_LABEL, "serial"),
    ):
        for text in (long, longest):
            settings, seen = _wide(base, source, text)
            field = scans.recognise(settings, seen)
            assert field is not None
            said = scans.meaning(settings, seen, field, papers(), "WO-1")
            too_long = scans.Refusal("identifier-too-long", str(LONGEST_ID), str(LONGEST_ID + 1))
            assert (said == too_long) == (text == long)


def _wide(base: Any, source: str, text: str) -> tuple[StationSettings, Scanned]:
    """A station that takes any such letters for what ``source`` names, and a scan of these."""
    if source == "serial":
        told = f"VS100-WO-1-{text}"
        wide = {"plant": re.compile(PLANT["plant"].pattern.replace("[0-9]{4}", "T+"))}
        return station(base), replace(scan(told), barcode=udi.parse(told, schemes=wide))
    if source == "container":
        subject = base["subject"] | {"collect": base["subject"]["collect"] | {"container": "T+"}}
        return station(base, subject=subject), scan(text)
    others = {"operator": {"scan": "scanner", "pattern": "B.*"}, "order": {"scan": "scanner", "pattern": "WO.*"}}
    return station(base, **(others | {source: {"scan": "scanner", "pattern": "T+"}})), scan(text)


# -- labels that are not GS1 ---------------------------------------------------------------------------------

HIBC_LABEL = LABEL | {
    "order": {"scan": "scanner", "field": "lot"},
    "subject": {
        "kind": "unit",
        "scan": "scanner",
        "scheme": "hibc",
        "field": "serial",
        "products": [{"item": "VS-100", "match": {"hibc": "A123BJC5D6E7"}}],
    },
}
PLANT = {"plant": re.compile("(?P<di>VS[0-9]{3})-(?P<lot>WO-[0-9]+)-(?P<serial>[0-9]{4})")}
PLANT_LABEL = HIBC_LABEL | {
    "subject": {
        "kind": "unit",
        "scan": "scanner",
        "scheme": "plant",
        "field": "serial",
        "products": [{"item": "VS-100", "match": {"di": "VS100"}}],
    }
}
HIBC_LOTS = ASSEMBLE | {"materials": [{"item": "SR-20", "per_unit": 2, "match": {"hibc": "A123SR20"}}]}


def hibc(body: str) -> str:
    return body + udi.check_character(body)


def test_a_unit_with_an_hibc_label() -> None:
    unit = meaning(HIBC_LABEL, scan(hibc("+A123BJC5D6E71/$$7WO-1/S0001")), order=None)
    assert isinstance(unit, scans.Unit)
    assert (unit.subject.id, unit.subject.product, unit.subject.scheme) == ("0001", "VS-100", "hibc")
    assert unit.order.reference == "WO-1"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("+A123BJC5D6E81/$$7WO-1/S0001", "label-wrong-product"),
        ("+A123BJC5D6E71/$$7WO-9/S0001", "label-wrong-lot"),
        ("+A123BJC5D6E71/S0001", "label-wrong-lot"),  # no lot
        ("+$$7WO-1/S0001L", "label-wrong-product"),  # a secondary alone names no product
    ],
)
def test_an_hibc_label_that_is_refused(body: str, reason: str) -> None:
    refusal = meaning(HIBC_LABEL, scan(hibc(body)))
    assert isinstance(refusal, scans.Refusal)
    assert refusal.reason == reason


def test_of_two_products_with_one_lot_the_labels_item_is_meant() -> None:
    known = papers()
    other = known.orders["WO-2"].model_copy(update={"lot": "WO-1", "product": "VX-200"})
    unit = meaning(
        HIBC_LABEL,
        scan(hibc("+A123BJC5D6E71/$$7WO-1/S0001")),
        Papers({"WO-2": other, "WO-1": known.orders["WO-1"]}),
    )
    assert isinstance(unit, scans.Unit)
    assert unit.subject.product == "VS-100"


def test_a_component_with_an_hibc_label_is_mounted() -> None:
    assert meaning(HIBC_LOTS, scan(hibc("+A123SR201/$$7SR-1"))) == scans.Mounted(
        MountedLot("SR-20", "SR-1", "2030-01-01")
    )
    for other in ("+A123SR211/$$7SR-1", "+$$7SR-1L"):
        assert scans.recognise(station(HIBC_LOTS), scan(hibc(other))) is None


def test_a_unit_known_by_a_pattern_of_the_line() -> None:
    text = "VS100-WO-1-0007"
    one = replace(scan(text), barcode=udi.parse(text, schemes=PLANT))
    unit = meaning(PLANT_LABEL, one)
    assert isinstance(unit, scans.Unit)
    assert (unit.subject.id, unit.subject.scheme) == ("0007", "plant")
    assert scans.recognise(station(PLANT_LABEL), scan(text)) is None  # the same text without the pattern
    assert scans.recognise(station(HIBC_LABEL), one) is None


@pytest.mark.parametrize("serial", ["07", "7"])
def test_a_serial_that_ate_a_label_of_ours_is_refused(serial: str) -> None:
    """Two GS1 labels glued: the second, of a component, names no lot and is short enough to fit."""
    glued = meaning(LABEL, scan(f"01{VS}10WO-1{GS}21{serial}01{SR}", carrier="C-1"), _knows(SR))
    assert glued == scans.Refusal("barcode-invalid", found="glued")


def _knows(gtin: str) -> Papers:
    known = papers()
    other = known.orders["WO-2"].model_copy(update={"product_gtin": gtin})
    return Papers({"WO-1": known.orders["WO-1"], "WO-2": other}, known.lots)
