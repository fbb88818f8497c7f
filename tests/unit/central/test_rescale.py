"""A recorded reading's raw bytes come to its value again, or say why they do not."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary
from pydantic import JsonValue

from central.rescale import Again, TagMaps, same
from drivers.convert import RegisterFormat, encode
from drivers.tags import ModbusTag
from records.model import Quality, Reading


def reading(
    raw: bytes | None,
    value: JsonValue = None,
    *,
    tag: str = "plc.x",
    data_type: str = "float64",
    quality: Quality = Quality.GOOD,
) -> Reading:
    return Reading(tag, value, None, data_type, quality, "Good", None, None, 0, None if raw is None else raw.hex())


def maps(driver: str, **tag: Any) -> TagMaps:
    device: dict[str, JsonValue] = {"driver": driver, "byte_order": "CDAB", "tags": [{"name": "x", **tag}]}
    return TagMaps({"devices": {"plc": device}})


MODBUS: list[tuple[dict[str, Any], bool | int | float | str]] = [
    ({"data_type": "float32"}, 12.5),
    ({"data_type": "float64", "byte_order": "ABCD"}, 1 / 3),
    ({"data_type": "int16", "scale": 0.1, "offset": -40.0}, -12.3),
    ({"data_type": "uint32"}, 4_000_000_000),
    ({"data_type": "int64"}, -(2**62)),
    ({"data_type": "bcd32"}, 12345678),
    ({"data_type": "string", "length": 4}, "WO-1000"),
    ({"data_type": "uint16", "enumeration": {"1": "run", "2": "setup"}}, "setup"),
]


@pytest.mark.parametrize(("tag", "value"), MODBUS, ids=lambda value: str(value)[:30])
def test_registers_come_to_their_value(tag: dict[str, Any], value: bool | int | float | str) -> None:
    settings = {"register": "holding", "address": 7, **tag}
    form = RegisterFormat.of(ModbusTag.model_validate({"name": "x", **settings}), "CDAB")
    raw = encode(value, form)
    again = maps("modbus_tcp", **settings).again(reading(raw))
    assert again.why is None
    assert again.value == value
    told = str(value) if tag["data_type"] == "int64" else value
    assert same(reading(raw, told, data_type=tag["data_type"]), again.value)


def test_a_coil_is_a_boolean_and_a_sentinel_has_no_value() -> None:
    coil = maps("modbus_tcp", register="coil", address=0)
    assert coil.again(reading(b"\1")) == Again(True)
    assert coil.again(reading(b"\0")) == Again(False)
    none = maps("modbus_tcp", register="holding", address=0, data_type="int16", invalid=[-1])
    assert none.again(reading(b"\xff\xff", quality=Quality.BAD)) == Again(None)


OPCUA = [
    (ua.VariantType.Boolean, True),
    (ua.VariantType.SByte, -5),
    (ua.VariantType.Byte, 200),
    (ua.VariantType.Int16, -300),
    (ua.VariantType.UInt16, 40_000),
    (ua.VariantType.Int32, -70_000),
    (ua.VariantType.UInt32, 3_000_000_000),
    (ua.VariantType.Int64, -(2**60)),
    (ua.VariantType.UInt64, 2**63),
    (ua.VariantType.Float, struct.unpack("<f", struct.pack("<f", 2.2))[0]),
    (ua.VariantType.Double, 2.2),
    (ua.VariantType.String, "S0001 ü"),
]


@pytest.mark.parametrize(("kind", "value"), OPCUA, ids=lambda value: str(value)[:20])
def test_a_scalar_variant_comes_to_its_value(kind: ua.VariantType, value: bool | int | float | str) -> None:
    raw = variant_to_binary(ua.Variant(value, kind))
    again = maps("opcua", node_id="i=1").again(reading(raw))
    assert again == Again(value)
    assert type(again.value) is type(value)


def test_names_of_numbers_are_the_tag_maps() -> None:
    raw = variant_to_binary(ua.Variant(2, ua.VariantType.UInt16))
    named = maps("opcua", node_id="i=1", enumeration={"1": "run", "2": "setup"})
    assert named.again(reading(raw)) == Again("setup")


@pytest.mark.parametrize(
    ("found", "read", "why"),
    [
        (maps("opcua", node_id="i=1"), reading(None), "no-raw"),
        (maps("opcua", node_id="i=1"), reading(b"\x0b\0", tag="plc.y"), "tag-unknown"),
        (maps("opcua", node_id="i=1"), reading(b"\x0b\0", tag="other.x"), "tag-unknown"),
        (maps("opcua", node_id="i=1", field="a.b"), reading(b"\x0b" + bytes(8)), "not-a-scalar"),
        (maps("opcua", node_id="i=1"), reading(b"\x8b" + bytes(12)), "not-a-scalar"),
        (maps("opcua", node_id="i=1"), reading(b"\x0b" + bytes(8), quality=Quality.BAD), "bad-quality"),
        (maps("modbus_tcp", register="holding", address=0, data_type="float32"), reading(b"\0\0"), "no-raw"),
        (maps("serial_scanner"), reading(b"ab"), "not-a-scalar"),
    ],
    ids=["no raw", "tag", "device", "field", "array", "bad", "cut", "scanner"],
)
def test_what_cannot_be_done_again_says_why(found: TagMaps, read: Reading, why: str) -> None:
    assert found.again(read).why == why


def test_true_is_not_one() -> None:
    assert not same(reading(b"", 1), True)
    assert not same(reading(b"", True), 1)
    assert same(reading(b"", 3), 3.0)
