"""The judge of every end-to-end run can itself go red: each kind of lie about a cycle or a unit is found."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from pydantic import JsonValue

from simulators.check import (
    Comparison,
    ErpBooked,
    HeldRecord,
    Truth,
    compare,
    erp_disagreements,
    held_once,
    read_ledger,
    same_value,
)

CYCLE: dict[str, JsonValue] = {
    "type": "cycle",
    "station": "assemble",
    "equipment": "ASM-01",
    "operation": "OP10",
    "cycle": 7,
    "order": "WO-1",
    "purpose": "production",
    "result": "pass",
    "carrier": "C-1",
    "operator": "B000001",
    "values": {"assembler.torque": 2.1875, "welder.force_profile": [1.0, 2.0]},
    "subjects": [],
    "materials": [
        {"item": "VB-10", "lot": "VB-1", "quantity": 1},
        {"item": "SR-20", "lot": "SR-1", "quantity": 2},
    ],
    "at_us": 1,
}
RECORD: dict[str, Any] = {
    "agent": "assembly-1",
    "epoch": "e",
    "seq": 9,
    "station": "assemble",
    "cycle": 7,
    "order": "WO-1",
    "operation": "OP10",
    "purpose": "production",
    "subjects": [{"kind": "carrier", "id": "C-1", "result": "pass"}],
    "readings": [
        {"tag": "assembler.cycle_result", "value": 1, "data_type": "uint16"},
        {"tag": "assembler.carrier", "value": "C-1", "data_type": "string"},
        {"tag": "assembler.torque", "value": 2.1875, "data_type": "float64"},
        {"tag": "welder.force_profile", "value": [1.0, 2.0], "data_type": "float64[]"},
    ],
    "materials": [
        {"kind": "consumed", "source": {"kind": "lot", "id": "VB-1", "product": "VB-10"}, "quantity": "1"},
        {"kind": "consumed", "source": {"kind": "lot", "id": "SR-1", "product": "SR-20"}, "quantity": "2"},
    ],
    "people": [{"id": "B000001"}],
}


def truth(*lines: dict[str, JsonValue]) -> Truth:
    return read_ledger(lines or (CYCLE,))


def record(**changes: Any) -> HeldRecord:
    return HeldRecord.model_validate(RECORD | changes)


def reading(tag: str, value: JsonValue, **more: Any) -> list[dict[str, Any]]:
    """The record's readings with one of them changed."""
    return [r | {"value": value} | more if r["tag"] == tag else r for r in RECORD["readings"]]


def test_what_agrees_agrees() -> None:
    assert compare(truth(), [record()]) == Comparison((), (), (), ())
    assert compare(truth(), [record()]).agrees


def test_a_missing_cycle() -> None:
    found = compare(truth(CYCLE, CYCLE | {"cycle": 8}), [record()])
    assert (found.missing, found.extra, found.doubled, found.altered) == (("assemble 8",), (), (), ())
    assert not found.agrees


def test_an_extra_cycle() -> None:
    found = compare(truth(), [record(), record(cycle=8)])
    assert (found.missing, found.extra, found.doubled) == ((), ("assemble 8",), ())
    assert not found.agrees


def test_a_record_without_a_cycle_is_extra() -> None:
    assert compare(truth(), [record(), record(cycle=None)]).extra == ("assemble None",)


def test_a_doubled_cycle_even_when_both_are_right() -> None:
    found = compare(truth(), [record(), record(seq=10)])
    assert (found.missing, found.extra, found.doubled, found.altered) == ((), (), ("assemble 7",), ())
    assert not found.agrees


def test_the_same_cycle_of_two_stations_is_two_cycles() -> None:
    found = compare(truth(), [record(station="weld")])
    assert (found.missing, found.extra) == (("assemble 7",), ("weld 7",))


def test_an_empty_ledger_makes_everything_extra_and_an_empty_central_everything_missing() -> None:
    assert compare(read_ledger(()), [record()]).extra == ("assemble 7",)
    assert compare(truth(), []).missing == ("assemble 7",)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("order", {"order": "WO-2"}),
        ("order", {"order": None}),
        ("operation", {"operation": "OP20"}),
        ("purpose", {"purpose": "setup"}),
        ("result", {"readings": reading("assembler.cycle_result", 2)}),
        ("result", {"readings": reading("assembler.cycle_result", None)}),
        ("carrier", {"readings": reading("assembler.carrier", "C-2")}),
        ("operator", {"people": [{"id": "B000002"}]}),
        ("operator", {"people": []}),
        ("subjects", {"subjects": [{"kind": "unit", "id": "1", "result": "pass"}]}),
        ("materials", {"materials": RECORD["materials"][:1]}),
        ("materials", {"materials": RECORD["materials"] + RECORD["materials"][:1]}),
        ("materials", {"materials": []}),
        ("assembler.torque", {"readings": reading("assembler.torque", 2.1876)}),
        ("assembler.torque", {"readings": reading("assembler.torque", math.nextafter(2.1875, 3))}),
        ("assembler.torque", {"readings": reading("assembler.torque", None)}),
        ("assembler.torque", {"readings": reading("assembler.torque", "2.1875")}),
        ("assembler.torque", {"readings": RECORD["readings"][:2] + RECORD["readings"][3:]}),
        ("welder.force_profile", {"readings": reading("welder.force_profile", [1.0])}),
        ("welder.force_profile", {"readings": reading("welder.force_profile", [2.0, 1.0])}),
    ],
)
def test_each_altered_thing_is_named(what: str, changes: dict[str, Any]) -> None:
    found = compare(truth(), [record(**changes)])
    assert [(d.station, d.cycle, d.what) for d in found.altered] == [("assemble", 7, what)]
    assert (found.missing, found.extra, found.doubled) == ((), (), ())
    assert not found.agrees


def test_both_of_a_doubled_cycle_are_compared() -> None:
    found = compare(truth(), [record(), record(order="WO-2")])
    assert found.doubled == ("assemble 7",)
    assert [d.what for d in found.altered] == ["order"]


def test_units_of_a_load_are_compared_in_any_order() -> None:
    wash = CYCLE | {"station": "wash", "subjects": ["2", "1"], "carrier": None, "materials": [], "values": {}}
    units = [{"kind": "unit", "id": name, "result": "pass"} for name in ("1", "2")]
    held = record(station="wash", subjects=units, materials=[])
    assert compare(truth(wash), [held]).agrees
    for wrong in (units[:1], [*units, units[0]], [units[0], units[1] | {"id": "02"}]):
        other = compare(truth(wash), [record(station="wash", subjects=wrong, materials=[])])
        assert [d.what for d in other.altered] == ["subjects"]


# -- values ------------------------------------------------------------------------------------------------


def single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def test_a_float32_cannot_carry_more() -> None:
    value = 0.1234567890123
    assert single(value) != value
    assert same_value(value, single(value))
    assert same_value([value, 1], [single(value), 1])
    assert not same_value(value, math.nextafter(single(value), 1))
    assert not same_value(single(value), value)  # more digits than the machine had


def test_a_float64_that_lost_its_half_is_altered() -> None:
    value = 0.1234567890123
    line = truth(CYCLE | {"values": {"assembler.torque": value}})
    for data_type, altered in (("float64", True), ("float32", False), (None, False)):
        readings = reading("assembler.torque", single(value), data_type=data_type)
        assert bool(compare(line, [record(readings=readings)]).altered) is altered


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, True, True),
        (True, 1, False),
        (0, False, False),
        (None, None, True),
        (None, 0, False),
        (0, None, False),
        ("0001", "1", False),
        ("A", "a", False),
        (1e300, math.inf, True),
        (1e300, 1e301, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (10**400, 10**400, True),
        ([], [], True),
        ([], None, False),
        ([1], 1, False),
        (1, [1], False),
    ],
)
def test_what_is_the_same(one: JsonValue, other: JsonValue, same: bool) -> None:
    assert same_value(one, other) is same


# -- the ERP -----------------------------------------------------------------------------------------------

UNITS: tuple[dict[str, JsonValue], ...] = (
    {"type": "unit", "order": "WO-1", "carrier": "C-1", "serial": "0001", "disposition": "good"},
    {"type": "unit", "order": "WO-1", "carrier": "C-2", "serial": "0002", "disposition": "good"},
    {"type": "unit", "order": "WO-1", "carrier": "C-3", "serial": None, "disposition": "scrap"},
)
BOOKED: dict[str, Any] = {
    "state": "closed",
    "good": ["0002", "0001"],
    "scrap": "1",
    "consumed": [
        {"item": "SR-20", "lot": "SR-1", "quantity": "2"},
        {"item": "VB-10", "lot": "VB-1", "quantity": "1"},
    ],
}
SETUP = CYCLE | {"cycle": 6, "purpose": "setup"}


def erp(**changes: Any) -> tuple[str, ...]:
    booked = {"WO-1": ErpBooked.model_validate(BOOKED | changes)}
    return erp_disagreements(truth(SETUP, CYCLE, *UNITS), booked)


def test_an_erp_that_agrees_agrees() -> None:
    assert erp() == ()


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("state", {"state": "running"}),
        ("good serials", {"good": ["0001"]}),
        ("good serials", {"good": ["0001", "0002", "0003"]}),
        ("good serials", {"good": ["0001", "2"]}),
        ("good serials", {"good": ["0001", "0002", "0002"]}),
        ("scrap", {"scrap": "0"}),
        ("scrap", {"scrap": "1.5"}),
        ("consumed", {"consumed": BOOKED["consumed"][:1]}),
        ("consumed", {"consumed": [*BOOKED["consumed"], {"item": "SR-20", "lot": "SR-2", "quantity": "1"}]}),
        (
            "consumed",
            {"consumed": [BOOKED["consumed"][0], {"item": "VB-10", "lot": "VB-1", "quantity": "1.25"}]},
        ),
    ],
)
def test_each_disagreement_of_the_erp_is_named(what: str, changes: dict[str, Any]) -> None:
    (found,) = erp(**changes)
    assert found.startswith(f"WO-1: {what}: ledger ")


def test_quantities_agree_whatever_their_notation_and_parts() -> None:
    halves = {"item": "SR-20", "lot": "SR-1", "quantity": Decimal("1.0")}
    assert erp(consumed=[halves, halves, BOOKED["consumed"][1]]) == ()


def test_an_order_that_the_erp_does_not_have() -> None:
    assert erp_disagreements(truth(CYCLE, *UNITS), {}) == ("WO-1: not in the ERP",)


# -- the ledger --------------------------------------------------------------------------------------------


def test_a_ledger_without_its_end_is_not_finished() -> None:
    assert not truth().finished
    assert truth(CYCLE, {"type": "end"}).finished


def test_lines_are_sorted_by_what_they_are() -> None:
    scan: dict[str, JsonValue] = {
        "type": "scan",
        "station": "assemble",
        "text": "x",
        "expect": "refuse",
        "answer": "nak",
    }
    found = truth(CYCLE, scan, {"type": "trouble", "code": "drift"}, *UNITS, {"type": "something new"})
    assert [len(part) for part in (found.cycles, found.scans, found.troubles, found.units)] == [1, 1, 1, 3]


def test_a_run_that_was_stored_again_counts_once_and_one_that_does_not_say_so_is_doubled() -> None:
    def item(epoch: str, former: JsonValue = None, order: str = "WO-1") -> dict[str, JsonValue]:
        where: dict[str, JsonValue] = {
            "epoch": epoch,
            "seq": 26,
            "hash": epoch * 2,
            "received_at": f"at {epoch}",
            "stored_as": former,
        }
        what: dict[str, JsonValue] = {
            "agent": "a-1",
            "station": "s",
            "cycle": 7,
            "operation": "OP10",
            "purpose": "production",
        }
        return {"run_id": "r", "order": order, "subjects": [], **where, **what}

    def counted(*items: dict[str, JsonValue]) -> list[str]:
        return [held.epoch for held in held_once(items)]

    was: JsonValue = {"epoch": "a", "seq": 26, "hash": "aa"}
    first, copies = item("a"), (item("b", was), item("c", was))
    assert counted(first, *copies) == counted(*copies, first) == ["a"]
    assert counted(*copies) == ["b"]
    assert counted(first, item("b", was, order="WO-2")) == ["a", "b"]
    assert counted(first, item("b")) == ["a", "b"]
