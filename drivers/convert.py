"""Registers to values and back: pure, exact, for all four byte orders.

``ABCD`` names the bytes of a 32-bit value as they travel, most significant first. ``CDAB`` has its words swapped,
``BADC`` the bytes inside each word, ``DCBA`` both. A 64-bit value follows the same rule over its four registers,
a 16-bit value only the bytes part, a string too (its words are never turned round).

What cannot be a value (NaN, infinity, bytes that are no text) gets a status from ``decode`` and no value.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TypeAlias

from drivers.status import BAD_NOT_FINITE, BAD_NOT_TEXT, GOOD_STATUS
from drivers.tags import ModbusTag
from records.errors import Invalid

Value: TypeAlias = bool | int | float | str

_STRUCTS = {
    "int16": struct.Struct(">h"),
    "uint16": struct.Struct(">H"),
    "int32": struct.Struct(">i"),
    "uint32": struct.Struct(">I"),
    "int64": struct.Struct(">q"),
    "uint64": struct.Struct(">Q"),
    "float32": struct.Struct(">f"),
    "float64": struct.Struct(">d"),
}


@dataclass(frozen=True, slots=True)
class RegisterFormat:
    """How a value lies in its registers; ``count`` registers long."""

    data_type: str
    byte_order: str = "ABCD"
    count: int = 1
    bit: int | None = None
    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, tag: ModbusTag, default_order: str) -> RegisterFormat:
        """The format of a tag of a device whose registers come in ``default_order``."""
        order = tag.byte_order or default_order
        return cls(tag.raw_type, order, tag.count, tag.bit, tag.scale, tag.offset)


def reorder(raw: bytes, byte_order: str, *, text: bool = False) -> bytes:
    """Bytes as they travel in this order, most significant first (its own inverse)."""
    if byte_order in ("BADC", "DCBA"):
        swapped = bytearray(len(raw))
        swapped[0::2], swapped[1::2] = raw[1::2], raw[0::2]
        raw = bytes(swapped)
    if byte_order in ("CDAB", "DCBA") and not text:
        raw = b"".join(raw[at : at + 2] for at in range(len(raw) - 2, -1, -2))
    return raw


def decode(raw: bytes, form: RegisterFormat) -> tuple[Value | None, int]:
    """The value of ``2 * form.count`` bytes as they travelled, and its status (None unless the status is Good)."""
    if form.data_type == "string":
        return _text(reorder(raw, form.byte_order, text=True))
    ordered = raw if form.byte_order == "ABCD" else reorder(raw, form.byte_order)
    if form.bit is not None:
        return bool(int.from_bytes(ordered, "big") >> form.bit & 1), GOOD_STATUS
    if form.data_type == "bool":
        return any(ordered), GOOD_STATUS
    value: int | float = _STRUCTS[form.data_type].unpack(ordered)[0]
    if form.scale != 1.0 or form.offset != 0.0:
        value = value * form.scale + form.offset
    if isinstance(value, float) and not math.isfinite(value):
        return None, BAD_NOT_FINITE
    return value, GOOD_STATUS


def _text(raw: bytes) -> tuple[str | None, int]:
    try:
        text = raw.split(b"\0", 1)[0].decode("utf-8").rstrip(" ")
    except UnicodeDecodeError:
        return None, BAD_NOT_TEXT
    return (text, GOOD_STATUS) if text.isprintable() else (None, BAD_NOT_TEXT)


def encode(value: Value, form: RegisterFormat) -> bytes:
    """The ``2 * form.count`` bytes that travel for a value.

    Raises:
        Invalid: the value does not fit the format.
    """
    if form.data_type == "string":
        return reorder(_padded(value, 2 * form.count), form.byte_order, text=True)
    if form.data_type == "bool":
        if not isinstance(value, bool) and value not in (0, 1):
            raise Invalid(f"{value!r} is no boolean")
        return reorder(int(value).to_bytes(2, "big"), form.byte_order)
    if isinstance(value, str) or not math.isfinite(value):
        raise Invalid(f"{value!r} is no number")
    number = float(value) if form.data_type.startswith("float") else value
    if form.scale != 1.0 or form.offset != 0.0:
        number = (number - form.offset) / form.scale
    if not form.data_type.startswith("float"):
        nearest = round(number)
        if abs(number - nearest) > 1e-6 * max(1.0, abs(number)):
            raise Invalid(f"{value!r} is no whole number, {form.data_type} needs one")
        number = nearest
    try:
        return reorder(_STRUCTS[form.data_type].pack(number), form.byte_order)
    except (struct.error, OverflowError):
        raise Invalid(f"{value!r} does not fit into {form.data_type}") from None


def _padded(value: Value, size: int) -> bytes:
    if not isinstance(value, str) or not value.isprintable():
        raise Invalid(f"{value!r} is no printable text")
    raw = value.encode("utf-8")
    if len(raw) > size:
        raise Invalid(f"{value!r} is longer than {size} bytes")
    return raw.ljust(size, b"\0")
