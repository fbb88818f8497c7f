"""Registers to values: published examples, and for every order there and back without loss."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.convert import RegisterFormat, decode, encode, reorder
from drivers.status import BAD_NOT_BCD, BAD_NOT_FINITE, BAD_NOT_LISTED, BAD_NOT_TEXT, BAD_SENTINEL, GOOD_STATUS
from records.errors import Invalid

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
INTEGERS = {"int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64}
orders = st.sampled_from(ORDERS)


def raw(*registers: int) -> bytes:
    return struct.pack(f">{len(registers)}H", *registers)


@pytest.mark.parametrize(
    ("order", "registers"),
    # 123.456 as float32 is 0x42F6E979; orders as Telegraf and Neuron name them
    [
        ("ABCD", (0x42F6, 0xE979)),
        ("CDAB", (0xE979, 0x42F6)),
        ("BADC", (0xF642, 0x79E9)),
        ("DCBA", (0x79E9, 0xF642)),
    ],
)
def test_the_published_example(order: str, registers: tuple[int, ...]) -> None:
    form = RegisterFormat("float32", order, 2)
    value, status = decode(raw(*registers), form)
    assert (value, status) == (pytest.approx(123.456, rel=1e-7), GOOD_STATUS)
    assert encode(123.456, form) == raw(*registers)


def test_64_bits_follow_the_same_rule_over_four_registers() -> None:
    value = 0x0102030405060708
    for order, registers in {
        "ABCD": (0x0102, 0x0304, 0x0506, 0x0708),
        "CDAB": (0x0708, 0x0506, 0x0304, 0x0102),
        "BADC": (0x0201, 0x0403, 0x0605, 0x0807),
        "DCBA": (0x0807, 0x0605, 0x0403, 0x0201),
    }.items():
        assert decode(raw(*registers), RegisterFormat("uint64", order, 4)) == (value, GOOD_STATUS)


def test_16_bits_and_strings_follow_only_the_bytes_part() -> None:
    for order, word in {"ABCD": 0x1234, "CDAB": 0x1234, "BADC": 0x3412, "DCBA": 0x3412}.items():
        assert decode(raw(word), RegisterFormat("uint16", order)) == (0x1234, GOOD_STATUS)
        swapped = order in ("BADC", "DCBA")
        text = b"-C10\0\0" if swapped else b"C-01\0\0"
        assert decode(text, RegisterFormat("string", order, 3)) == ("C-01", GOOD_STATUS)


@given(orders, st.sampled_from(sorted(INTEGERS)), st.data())
def test_integers_there_and_back(order: str, data_type: str, data: st.DataObject) -> None:
    bits = INTEGERS[data_type]
    low, high = (0, 2**bits - 1) if data_type.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    value = data.draw(st.integers(low, high))
    form = RegisterFormat(data_type, order, bits // 16)
    assert decode(encode(value, form), form) == (value, GOOD_STATUS)
    for beyond in (low - 1, high + 1):
        with pytest.raises(Invalid, match="does not fit"):
            encode(beyond, form)


@given(orders, st.floats(allow_nan=False, allow_infinity=False))
def test_floats_there_and_back(order: str, value: float) -> None:
    form = RegisterFormat("float64", order, 4)
    assert decode(encode(value, form), form) == (value, GOOD_STATUS)


@given(orders, st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_short_floats_there_and_back(order: str, value: float) -> None:
    form = RegisterFormat("float32", order, 2)
    assert decode(encode(value, form), form) == (value, GOOD_STATUS)


@given(orders, st.binary(min_size=8, max_size=8))
def test_an_order_is_its_own_inverse_and_nothing_raises(order: str, bits: bytes) -> None:
    assert reorder(reorder(bits, order), order) == bits
    for data_type, count in (("float64", 4), ("float32", 2), ("int64", 4), ("string", 4), ("bool", 1)):
        value, status = decode(bits[: 2 * count], RegisterFormat(data_type, order, count))
        assert (value is None) == (status != GOOD_STATUS)
        assert not isinstance(value, float) or math.isfinite(value)


@given(orders, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=16))
def test_strings_there_and_back(order: str, text: str) -> None:
    form = RegisterFormat("string", order, 8)
    assert decode(encode(text, form), form) == (text, GOOD_STATUS)


def test_a_string_ends_at_its_first_nul_without_trailing_spaces() -> None:
    form = RegisterFormat("string", "ABCD", 4)
    assert decode(b"AB \0CD\0\0", form) == ("AB", GOOD_STATUS)
    assert decode(b"\0" * 8, form) == ("", GOOD_STATUS)
    assert decode(b"\xff\xfe\0\0\0\0\0\0", form) == (None, BAD_NOT_TEXT)
    assert decode(b"A\x07\0\0\0\0\0\0", form) == (None, BAD_NOT_TEXT)


def test_bits_scale_and_offset() -> None:
    assert [decode(raw(0b1000), RegisterFormat("uint16", bit=bit))[0] for bit in (2, 3)] == [False, True]
    assert decode(raw(123), RegisterFormat("uint16", scale=0.1)) == (pytest.approx(12.3), GOOD_STATUS)
    assert decode(raw(0xFFFF), RegisterFormat("int16", scale=2.0, offset=5.0)) == (3.0, GOOD_STATUS)
    assert encode(12.3, RegisterFormat("uint16", scale=0.1)) == raw(123)
    assert decode(raw(2), RegisterFormat("bool")) == (True, GOOD_STATUS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_has_no_value(value: float) -> None:
    assert decode(struct.pack(">f", value), RegisterFormat("float32", "ABCD", 2)) == (None, BAD_NOT_FINITE)
    with pytest.raises(Invalid):
        encode(value, RegisterFormat("float32", "ABCD", 2))


@pytest.mark.parametrize(
    ("value", "data_type"), [("x", "int16"), (1.5, "int16"), (7, "bool"), (1, "string"), ("x" * 3, "string")]
)
def test_what_does_not_fit_is_refused(value: object, data_type: str) -> None:
    with pytest.raises(Invalid):
        encode(value, RegisterFormat(data_type))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ORDERS)
def test_the_halves_of_a_register_follow_the_byte_order(order: str) -> None:
    swapped = order in ("BADC", "DCBA")
    travelled = bytes([0x7F, 0xFE]) if not swapped else bytes([0xFE, 0x7F])
    high, low = (RegisterFormat("int8", order, byte=byte) for byte in ("high", "low"))
    assert (decode(travelled, high)[0], decode(travelled, low)[0]) == (127, -2)
    assert decode(travelled, RegisterFormat("uint8", order, byte="low"))[0] == 254
    assert encode(-3, low, travelled) == reorder(b"\x7f\xfd", order)
    assert encode(-3, high, travelled) == reorder(b"\xfd\xfe", order)
    with pytest.raises(Invalid, match="does not fit into int8"):
        encode(128, low, travelled)


@given(orders, st.floats(width=16, allow_nan=False, allow_infinity=False))
def test_half_precision_there_and_back(order: str, value: float) -> None:
    form = RegisterFormat("float16", order)
    assert decode(encode(value, form), form) == (value, GOOD_STATUS)


def test_half_precision_has_no_number_above_65504() -> None:
    form = RegisterFormat("float16")
    assert decode(raw(0x3C00), form) == (1.0, GOOD_STATUS)  # IEEE 754-2008: sign 0, exponent 15, fraction 0
    assert decode(raw(0x7C00), form) == (None, BAD_NOT_FINITE)
    with pytest.raises(Invalid, match="does not fit into float16"):
        encode(65_520.0, form)


@given(orders, st.sampled_from([("bcd16", 4), ("bcd32", 8), ("bcd64", 16)]), st.data())
def test_bcd_there_and_back(order: str, kind: tuple[str, int], data: st.DataObject) -> None:
    data_type, digits = kind
    form = RegisterFormat(data_type, order, digits // 4)
    value = data.draw(st.integers(0, 10**digits - 1))
    assert decode(encode(value, form), form) == (value, GOOD_STATUS)
    assert reorder(encode(value, form), order).hex() == str(value).zfill(digits)
    with pytest.raises(Invalid, match="does not fit"):
        encode(10**digits, form)


@given(st.binary(min_size=4, max_size=4))
def test_a_bcd_digit_above_nine_is_no_number(bits: bytes) -> None:
    value, status = decode(bits, RegisterFormat("bcd32", "ABCD", 2))
    wrong = any(byte >> 4 > 9 or byte & 15 > 9 for byte in bits)
    assert (value is None, status) == (wrong, BAD_NOT_BCD if wrong else GOOD_STATUS)


def test_a_field_of_bits_and_its_names() -> None:
    form = RegisterFormat("uint16", bits=(4, 3), enumeration={0: "idle", 1: "run", 5: "fault"})
    assert decode(raw(0xF01F), form) == ("run", GOOD_STATUS)
    assert decode(raw(0x0050), form) == ("fault", GOOD_STATUS)
    assert decode(raw(0x0020), form) == (None, BAD_NOT_LISTED)
    assert decode(raw(0x0020), RegisterFormat("uint16", bits=(4, 3))) == (2, GOOD_STATUS)
    assert encode("fault", form, raw(0xF01F)) == raw(0xF05F)
    with pytest.raises(Invalid, match="'off' is none of idle, run, fault"):
        encode("off", form, raw(0))
    with pytest.raises(Invalid, match="8 does not fit into 3 bits"):
        encode(8, RegisterFormat("uint16", bits=(4, 3)), raw(0))


@given(orders, st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(1, 32), st.data())
def test_a_written_field_leaves_the_other_bits_alone(
    order: str, held: int, start: int, count: int, data: st.DataObject
) -> None:
    count = min(count, 32 - start)
    value = data.draw(st.integers(0, 2**count - 1))
    form = RegisterFormat("uint32", order, 2, bits=(start, count))
    now = reorder(held.to_bytes(4, "big"), order)
    written = encode(value, form, now)
    assert decode(written, form) == (value, GOOD_STATUS)
    mask = (1 << count) - 1 << start
    assert int.from_bytes(reorder(written, order), "big") & ~mask == held & ~mask


def test_one_bit_is_written_into_what_the_register_holds() -> None:
    form = RegisterFormat("uint16", bit=3)
    assert encode(True, form, raw(0xF000)) == raw(0xF008)
    assert encode(False, form, raw(0xFFFF)) == raw(0xFFF7)
    with pytest.raises(Invalid, match="needs what the register holds now"):
        encode(True, form)


@pytest.mark.parametrize("order", ORDERS)
def test_sentinels_are_raw_values_before_scaling(order: str) -> None:
    form = RegisterFormat("int16", order, scale=0.1, invalid=(0x8000, -1))
    for pattern in (0x8000, 0xFFFF):
        assert decode(reorder(raw(pattern), order), form) == (None, BAD_SENTINEL)
    assert decode(reorder(raw(0x7FFF), order), form) == (3276.7, GOOD_STATUS)
    for value in (-3276.8, -0.1):
        with pytest.raises(Invalid, match="no value"):
            encode(value, form)
    wide = RegisterFormat("float32", order, 2, invalid=(-9999.0, 0.1))
    for bad in (-9999.0, 0.1):
        assert decode(reorder(struct.pack(">f", bad), order), wide) == (None, BAD_SENTINEL)
    assert decode(raw(0xFFFF), RegisterFormat("uint16", bit=0, invalid=(0xFFFF,))) == (None, BAD_SENTINEL)
    assert decode(raw(0xFFFF), RegisterFormat("bcd16", invalid=(0xFFFF,))) == (None, BAD_SENTINEL)


@given(
    st.integers(-(2**31), 2**31 - 1),
    st.decimals("-9.999", "9.999", places=3).filter(bool),
    st.decimals("-999.99", "999.99", places=2),
)
def test_scaling_is_the_nearest_float_to_what_people_wrote(number: int, scale: Decimal, offset: Decimal) -> None:
    form = RegisterFormat("int32", "ABCD", 2, scale=float(scale), offset=float(offset))
    value, status = decode(struct.pack(">i", number), form)
    assert (value, status) == (float(number * scale + offset), GOOD_STATUS)


def test_three_tenths_are_written_as_such() -> None:
    assert decode(raw(3), RegisterFormat("uint16", scale=0.1)) == (0.3, GOOD_STATUS)
    assert decode(raw(123), RegisterFormat("uint16", scale=0.001, offset=-40.0)) == (-39.877, GOOD_STATUS)
    # beyond 53 bits it is what float64 arithmetic gives
    big = RegisterFormat("uint64", "ABCD", 4, scale=0.1)
    assert decode((2**63 + 1).to_bytes(8, "big"), big) == ((2**63 + 1) * 0.1, GOOD_STATUS)
