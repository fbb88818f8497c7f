"""Registers to values: published examples, and for every order there and back without loss."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.convert import RegisterFormat, decode, encode, reorder
from drivers.status import BAD_NOT_FINITE, BAD_NOT_TEXT, GOOD_STATUS
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
