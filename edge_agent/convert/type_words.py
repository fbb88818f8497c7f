"""What tag lists call data types, and what they hang on addresses.

The words are those of IEC 61131-3 (elementary types), OPC UA part 6 (built-in types), C, and of the exports of OPC
servers (``word``, ``dword``, ``lbcd``, ``400020.16H``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_WORDS = {
    "bool": "bool boolean bit",
    "int8": "sint sbyte char i8 s8",
    "uint8": "usint byte uchar u8",
    "int16": "int short i16 s16",
    "uint16": "uint word ushort u16",
    "int32": "dint long i32 s32",
    "uint32": "udint dword ulong u32",
    "int64": "lint llong i64 s64",
    "uint64": "ulint qword lword u64",
    "float16": "half f16",
    "float32": "real float single f32",
    "float64": "lreal double f64",
    "bcd16": "bcd",
    "bcd32": "lbcd",
    "string": "wstring text ascii",
}
_TYPES = {word: ours for ours, words in _WORDS.items() for word in words.split()}
_UNSURE = ("int", "uint", "long", "ulong")


def our_type(word: str) -> tuple[str, str | None]:
    """Our data type for a word, and what is to be told of it; a word that nobody knows stays as it is."""
    plain = re.sub(r"[\s_]+", "", word).lower()
    found = _TYPES.get(plain)
    if found is None:
        return (plain if re.fullmatch(r"[a-z]+[0-9]*(\[\])?", plain) else word), None
    told = f"{word!r} is {found} here"
    return found, f"{told}, as IEC 61131 and OPC servers have it: some makers mean another length" if (
        plain in _UNSURE
    ) else told


_BIT = re.compile(r"([0-9]+)\.(1[0-5]|0?[0-9])")
_TEXT = re.compile(r"([0-9]+)\.([0-9]{1,3})([HL])")


def our_address(text: str) -> tuple[dict[str, str | int], str | None]:
    """The keys that an address of an OPC server says: the register, and the bit or the text in it."""
    if bit := _BIT.fullmatch(text):
        return {"address": _plain(bit[1]), "bit": int(bit[2])}, f"{text!r} is bit {int(bit[2])} of {bit[1]} here"
    if held := _TEXT.fullmatch(text):
        order = "ABCD" if held[3] == "H" else "BADC"
        keys: dict[str, str | int] = {"address": _plain(held[1]), "data_type": "string", "byte_order": order}
        keys["length"] = -(-int(held[2]) // 2)
        return keys, f"{text!r} is a string of {held[2]} characters here, byte order {order}"
    return {"address": _plain(text)}, None


def _plain(text: str) -> str | int:
    """A number where nothing of the text is lost by it: 000001 is a coil, 1 is not."""
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,8}", text) else text


@dataclass(frozen=True, slots=True)
class Range:
    """A row's way from raw to scaled, as two points of a straight line."""

    raw_low: str
    raw_high: str
    scaled_low: str
    scaled_high: str

    def line(self) -> tuple[float, float] | None:
        """Scale and offset, None where the points make none."""
        try:
            low, high, bottom, top = map(Decimal, (self.raw_low, self.raw_high, self.scaled_low, self.scaled_high))
            scale = (top - bottom) / (high - low)
        except (InvalidOperation, ZeroDivisionError):
            return None
        offset = bottom - low * scale
        found = float(scale), float(offset)
        return found if all(number == number and abs(number) < 1e15 for number in found) else None
