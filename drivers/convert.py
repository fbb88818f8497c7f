"""Registers to values and back: pure, exact, for all four byte orders.

``ABCD`` names the bytes of a 32-bit value as they travel, most significant first. ``CDAB`` has its words swapped,
``BADC`` the bytes inside each word, ``DCBA`` both. A 64-bit value follows the same rule over its four registers,
a 16-bit value only the bytes part, a string too (its words are never turned round).

From registers to a value in this order: byte order, half of a register, sentinel, BCD, bits, names, scale and
offset. A scaled value is the float64 nearest to ``raw x scale + offset``, scale and offset being the decimals that
people wrote (raw 3 with scale 0.1 is 0.3), as long as the integers behind them have 53 bits; beyond, and for
floats, it is what float64 arithmetic gives.

What cannot be a value (NaN, infinity, a sentinel, a BCD digit above 9, a number without a name, bytes that are no
text) gets a status from ``decode`` and no value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from drivers.status import BAD_NOT_BCD, BAD_NOT_FINITE, BAD_NOT_LISTED, BAD_NOT_TEXT, BAD_SENTINEL, GOOD_STATUS
from drivers.tags import INTEGERS, ModbusTag
from records.errors import Invalid

Value: TypeAlias = bool | int | float | str

_FLOATS = MappingProxyType(
    {"float16": struct.Struct(">e"), "float32": struct.Struct(">f"), "float64": struct.Struct(">d")}
)
_EXACT = 1 << 53


@dataclass(frozen=True, slots=True)
class RegisterFormat:
    """How a value lies in its registers; ``count`` registers long.

    ``byte``: which half of the register an int8 or uint8 is. ``bits``: start and count of a field of bits.
    ``enumeration``: names of numbers. ``invalid``: raw values that mean that there is no value.
    """

    data_type: str
    byte_order: str = "ABCD"
    count: int = 1
    bit: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    byte: str = "low"
    bits: tuple[int, int] | None = None
    enumeration: Mapping[int, str] | None = None
    invalid: tuple[int | float, ...] = ()

    @classmethod
    def of(cls, tag: ModbusTag, default_order: str) -> RegisterFormat:
        """The format of a tag of a device whose registers come in ``default_order``."""
        return cls(
            tag.raw_type,
            tag.byte_order or default_order,
            tag.count,
            tag.bit,
            tag.scale,
            tag.offset,
            tag.byte or "low",
            None if tag.bits is None else (tag.bits.start, tag.bits.count),
            tag.enumeration,
            tag.invalid,
        )

    @property
    def scaled(self) -> bool:
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def width(self) -> int:
        """How many bits a whole number has in its registers."""
        return INTEGERS[self.data_type]

    @property
    def is_float(self) -> bool:
        return self.data_type in _FLOATS

    @property
    def sentinels(self) -> frozenset[int | float]:
        """``invalid`` as the registers show it: bit patterns of whole numbers, floats rounded to their type."""
        if not self.is_float:
            return frozenset(int(item) % (1 << self.width) for item in self.invalid)
        shape = _FLOATS[self.data_type]
        return frozenset(shape.unpack(shape.pack(item))[0] for item in self.invalid if _fits(shape, item))

    @property
    def ratio(self) -> tuple[int, int, int] | None:
        """Whole numbers m, a, d so that the value is ``(raw x m + a) / d``, None where float64 could not hold
        ``raw x m + a`` exactly for every raw value.
        """
        if self.is_float:
            return None
        scale, offset = Decimal(repr(self.scale)), Decimal(repr(self.offset))
        top, bottom = scale.as_integer_ratio()
        added, under = offset.as_integer_ratio()
        common = math.lcm(bottom, under)
        factor, summand = top * (common // bottom), added * (common // under)
        limit = 10 ** (self.width // 4) if self.data_type.startswith("bcd") else 1 << self.width
        if limit * abs(factor) + abs(summand) >= _EXACT or common >= _EXACT:
            return None
        return factor, summand, common


def _fits(shape: struct.Struct, item: float) -> bool:
    try:
        shape.pack(item)
    except OverflowError:
        return False
    return True


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
        return _bit(ordered, form)
    if form.data_type == "bool":
        return any(ordered), GOOD_STATUS
    if form.is_float:
        number: float = _FLOATS[form.data_type].unpack(ordered)[0]
        if form.invalid and number in form.sentinels:
            return None, BAD_SENTINEL
        return _finite(number * form.scale + form.offset if form.scaled else number)
    value, status = _whole(ordered, form)
    if value is None or status != GOOD_STATUS:
        return None, status
    if form.enumeration is not None:
        name = form.enumeration.get(value)
        return (None, BAD_NOT_LISTED) if name is None else (name, GOOD_STATUS)
    return _finite(scaled(value, form)) if form.scaled else (value, GOOD_STATUS)


def scaled(raw: int, form: RegisterFormat) -> float:
    """The value of a raw whole number."""
    ratio = form.ratio
    if ratio is None:
        return raw * form.scale + form.offset
    factor, summand, under = ratio
    return (raw * factor + summand) / under


def _bit(ordered: bytes, form: RegisterFormat) -> tuple[bool | None, int]:
    pattern = int.from_bytes(ordered, "big")
    if form.invalid and form.data_type != "bool" and pattern in form.sentinels:
        return None, BAD_SENTINEL
    return bool(pattern >> (form.bit or 0) & 1), GOOD_STATUS


def _finite(value: float) -> tuple[float | None, int]:
    return (value, GOOD_STATUS) if math.isfinite(value) else (None, BAD_NOT_FINITE)


def _whole(ordered: bytes, form: RegisterFormat) -> tuple[int | None, int]:
    if form.width == 8:
        ordered = ordered[:1] if form.byte == "high" else ordered[1:]
    pattern = int.from_bytes(ordered, "big")
    if form.invalid and pattern in form.sentinels:
        return None, BAD_SENTINEL
    if form.data_type.startswith("bcd"):
        digits = ordered.hex()
        return (int(digits), GOOD_STATUS) if digits.isdigit() else (None, BAD_NOT_BCD)
    if form.bits is not None:
        start, count = form.bits
        return pattern >> start & ((1 << count) - 1), GOOD_STATUS
    if form.data_type.startswith("int"):
        return int.from_bytes(ordered, "big", signed=True), GOOD_STATUS
    return pattern, GOOD_STATUS


def _text(raw: bytes) -> tuple[str | None, int]:
    try:
        text = raw.split(b"\0", 1)[0].decode("utf-8").rstrip(" ")
    except UnicodeDecodeError:
        return None, BAD_NOT_TEXT
    return (text, GOOD_STATUS) if text.isprintable() else (None, BAD_NOT_TEXT)


def encode(value: Value, form: RegisterFormat, now: bytes | None = None) -> bytes:
    """The ``2 * form.count`` bytes that travel for a value.

    Args:
        value: what the tag shall be.
        form: of the tag.
        now: what the registers hold, for a value that is only a part of them (bit, bits, half of a register).

    Raises:
        Invalid: the value does not fit the format.
    """
    if form.data_type == "string":
        return reorder(_padded(value, 2 * form.count), form.byte_order, text=True)
    if form.data_type == "bool" or form.bit is not None:
        if not isinstance(value, bool) and value not in (0, 1):
            raise Invalid(f"{value!r} is no boolean")
        if form.bit is None:
            return reorder(int(value).to_bytes(2, "big"), form.byte_order)
        return _merged(int(value), form.bit, 1, form, now)
    if form.enumeration is not None:
        numbers = [number for number, name in form.enumeration.items() if name == value]
        if not numbers:
            known = ", ".join(form.enumeration.values())
            raise Invalid(f"{value!r} is none of {known}")
        return _whole_bytes(numbers[0], form, now)
    if isinstance(value, str) or not math.isfinite(value):
        raise Invalid(f"{value!r} is no number")
    if form.is_float:
        return _float_bytes(float(value), form)
    number = (value - form.offset) / form.scale if form.scaled else value
    nearest = round(number)
    if abs(number - nearest) > 1e-6 * max(1.0, abs(number)):
        raise Invalid(f"{value!r} is no whole number, {form.data_type} needs one")
    return _whole_bytes(nearest, form, now, shown=value)


def _float_bytes(value: float, form: RegisterFormat) -> bytes:
    number = (value - form.offset) / form.scale if form.scaled else value
    try:
        raw = _FLOATS[form.data_type].pack(number)
    except (struct.error, OverflowError):
        raise Invalid(f"{value!r} does not fit into {form.data_type}") from None
    if form.invalid and _FLOATS[form.data_type].unpack(raw)[0] in form.sentinels:
        raise Invalid(f"{value!r} means that there is no value (`invalid`)")
    return reorder(raw, form.byte_order)


def _whole_bytes(number: int, form: RegisterFormat, now: bytes | None, *, shown: Value | None = None) -> bytes:
    value = number if shown is None else shown
    kind, width = form.data_type, form.width
    unfit = Invalid(f"{value!r} does not fit into {kind}")
    if form.bits is not None:
        start, count = form.bits
        if not 0 <= number < 1 << count:
            raise Invalid(f"{value!r} does not fit into {count} bits")
        return _merged(number, start, count, form, now)
    if kind.startswith("bcd"):
        if not 0 <= number < 10 ** (width // 4):
            raise unfit
        number = int(str(number), 16)
    low, high = (-(1 << width - 1), 1 << width - 1) if kind.startswith("int") else (0, 1 << width)
    if not low <= number < high:
        raise unfit
    pattern = number % (1 << width)
    if form.invalid and pattern in form.sentinels:
        raise Invalid(f"{value!r} means that there is no value (`invalid`)")
    if width == 8:
        return _merged(pattern, 8 if form.byte == "high" else 0, 8, form, now)
    return reorder(pattern.to_bytes(width // 8, "big"), form.byte_order)


def _merged(number: int, start: int, count: int, form: RegisterFormat, now: bytes | None) -> bytes:
    if now is None:
        raise Invalid("a part of a register needs what the register holds now")
    pattern = int.from_bytes(reorder(now, form.byte_order), "big")
    mask = (1 << count) - 1 << start
    merged = pattern & ~mask | number << start
    return reorder(merged.to_bytes(len(now), "big"), form.byte_order)


def _padded(value: Value, size: int) -> bytes:
    if not isinstance(value, str) or not value.isprintable():
        raise Invalid(f"{value!r} is no printable text")
    raw = value.encode("utf-8")
    if len(raw) > size:
        raise Invalid(f"{value!r} is longer than {size} bytes")
    return raw.ljust(size, b"\0")
