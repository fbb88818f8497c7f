"""What a tag takes of a Variant, values to Variants, and the words of statuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from uuid import UUID

from asyncua import ua
from asyncua.ua.status_codes import get_name_and_doc
from asyncua.ua.ua_binary import variant_to_binary
from asyncua.ua.uaerrors import UaError
from pydantic import JsonValue

from drivers import status as statuses
from drivers.opcua import binary
from drivers.opcua.structures import Structures
from records.errors import Invalid

_VARIANT_TYPES = MappingProxyType(
    {
        "bool": ua.VariantType.Boolean,
        "int8": ua.VariantType.SByte,
        "uint8": ua.VariantType.Byte,
        "int16": ua.VariantType.Int16,
        "uint16": ua.VariantType.UInt16,
        "int32": ua.VariantType.Int32,
        "uint32": ua.VariantType.UInt32,
        "int64": ua.VariantType.Int64,
        "uint64": ua.VariantType.UInt64,
        "float32": ua.VariantType.Float,
        "float64": ua.VariantType.Double,
        "string": ua.VariantType.String,
        "datetime": ua.VariantType.DateTime,
        "guid": ua.VariantType.Guid,
        "bytestring": ua.VariantType.ByteString,
    }
)
_ENUMERABLE = frozenset(range(2, 10))
"""Kinds whose values may stand for a word: the integers."""

BAD_DECODING_ERROR = 0x80070000
BAD_DATA_TYPE_ID_UNKNOWN = 0x80110000
BAD_INDEX_RANGE_NO_DATA = 0x80370000

_DATA_VALUE_BITS = 0x0400
_OVERFLOW = 0x0080


@lru_cache(maxsize=512)
def status_text(code: int) -> str:
    """A status as a word whose first letters tell the quality, by its severity bits."""
    if code in statuses.WORDS:
        return statuses.WORDS[code]
    severity = ("Good", "Uncertain", "Bad", "Bad")[code >> 30 & 3]
    name = get_name_and_doc(code & 0xFFFF0000)[0]
    if name in ("Good", "Uncertain", "Bad") and code & 0xFFFF0000 & 0x3FFFFFFF:
        name = f"{severity}0x{code:08X}"
    if not name.startswith(severity):
        name = severity + name
    overflow = code & _DATA_VALUE_BITS and code & _OVERFLOW
    return f"{name}+Overflow" if overflow else name


@dataclass(frozen=True, slots=True)
class Take:
    """How one tag takes its value of what its node holds.

    ``type_name`` is what that must be, empty for whatever it is. ``index`` picks an element of an array, ``field``
    a value inside a structure, ``words`` turns an integer into its text.
    """

    type_name: str = ""
    index: int | None = None
    field: tuple[str, ...] = ()
    words: Mapping[int, str] | None = None
    structures: Structures | None = None

    @property
    def plain(self) -> bool:
        """Whether a number is taken as it is."""
        return self.index is None and not self.field and self.words is None

    @property
    def result(self) -> str:
        """The data type of the value that is taken, empty when the node decides."""
        return self.type_name if self.words is None else "string"


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken: the value, or the status that says why there is none; ``raw`` where the value is only a
    piece of what the node holds.
    """

    value: JsonValue
    data_type: str
    problem: int = 0
    raw: bytes | None = None


def take(how: Take, data: bytes, begin: int) -> Taken:
    """The tag's value out of a Variant."""
    kind, is_array = binary.head(data, begin)
    if kind == 0:
        return Taken(None, how.result)
    actual = binary.NAMES.get(kind, f"type {kind}")
    try:
        if how.field or how.type_name == "structure":
            return _structure(how, data, begin, kind, is_array)
        if how.index is not None:
            return _element(how, data, begin, kind, is_array)
        name = actual + ("[]" if is_array else "")
        if kind not in binary.READABLE or not _same_type(how, kind, is_array):
            return Taken(None, name, statuses.BAD_TYPE_MISMATCH)
        value: JsonValue = binary.values(kind, is_array, data, begin + 1)
        return _judged(how, value, name)
    except binary.NotText:
        return Taken(None, actual, statuses.BAD_NOT_TEXT)
    except binary.Malformed:
        return Taken(None, actual, BAD_DECODING_ERROR)


def _same_type(how: Take, kind: int, is_array: bool) -> bool:
    if how.words is not None and (is_array or kind not in _ENUMERABLE):
        return False
    return how.type_name in ("", binary.NAMES[kind] + ("[]" if is_array else ""))


def _element(how: Take, data: bytes, begin: int, kind: int, is_array: bool) -> Taken:
    name = binary.NAMES.get(kind, "")
    if not is_array or kind not in binary.READABLE or not _same_type(how, kind, False):
        return Taken(None, name + ("[]" if is_array else ""), statuses.BAD_TYPE_MISMATCH)
    found, places = binary.elements(kind, data, begin + 1)
    at = how.index or 0
    if found is None or at >= len(found):
        return Taken(None, name, BAD_INDEX_RANGE_NO_DATA)
    raw = bytes([kind]) + data[places[at] : places[at + 1]]
    return replace(_judged(how, found[at], name), raw=raw)


def _structure(how: Take, data: bytes, begin: int, kind: int, is_array: bool) -> Taken:
    """A structure as an object, or one value inside it."""
    if kind != binary.STRUCTURE or is_array or how.structures is None:
        return Taken(None, binary.NAMES.get(kind, "") + ("[]" if is_array else ""), statuses.BAD_TYPE_MISMATCH)
    type_id, body, body_end, _ = binary.extension_object(data, begin + 1)
    plan = how.structures.plan_of(type_id)
    if plan is None:
        return Taken(None, "structure", BAD_DATA_TYPE_ID_UNKNOWN)
    value: JsonValue = how.structures.decode(plan, data, body, body_end)
    if not how.field:
        return _judged(how, value, "structure")
    name = how.structures.type_of(plan, how.field)
    for step in how.field:
        value = value.get(step) if isinstance(value, dict) else None
    if not name or how.type_name not in ("", name):
        return Taken(None, name or "structure", statuses.BAD_TYPE_MISMATCH)
    return _judged(how, value, name)


def _judged(how: Take, value: JsonValue, name: str) -> Taken:
    if not _finite(value):
        return Taken(None, name, statuses.BAD_NOT_FINITE)
    if how.words is None or value is None:
        return Taken(value, name)
    word = how.words.get(value) if isinstance(value, int) else None
    return Taken(word, "string") if word is not None else Taken(None, "string", statuses.BAD_NOT_LISTED)


def _finite(value: JsonValue) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    return True


def value_of(variant: ua.Variant) -> JsonValue:
    """What a Variant holds as a plain value, None for what has none."""
    if variant.Value is None:
        return None
    taken = take(Take(), variant_to_binary(variant), 0)
    return taken.value


def variant_of(value: bool | int | float | str, data_type: str) -> ua.Variant:
    """What is written for a value; times as ISO 8601, bytes as hexadecimal.

    Raises:
        Invalid: the value does not fit the type.
    """
    if data_type not in _VARIANT_TYPES:
        raise Invalid(f"values of type {data_type or 'unknown'} cannot be written")
    try:
        plain = _plain(value, data_type)
        variant = ua.Variant(plain, _VARIANT_TYPES[data_type])
        variant_to_binary(variant)
    except (UaError, OverflowError):
        raise Invalid(f"{value!r} does not fit into {data_type}") from None
    except ValueError:
        raise Invalid(f"{value!r} is no {data_type}") from None
    return variant


def _plain(value: bool | int | float | str, data_type: str) -> object:
    """The value as the library takes it, else ValueError."""
    if data_type == "bool" and (isinstance(value, bool) or value in (0, 1)):
        return bool(value)
    if isinstance(value, str):
        if data_type == "datetime":
            return datetime.fromisoformat(value)
        if data_type == "guid":
            return UUID(value)
        if data_type == "bytestring":
            return bytes.fromhex(value)
        if data_type == "string":
            return value
    elif data_type.startswith("float") and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, int) and "int" in data_type:
        return int(value)
    raise ValueError(data_type)
