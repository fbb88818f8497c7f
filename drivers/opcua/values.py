"""OPC UA data values to columns of a block, and values to variants."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from asyncua import ua
from asyncua.ua.status_codes import get_name_and_doc
from asyncua.ua.ua_binary import variant_to_binary
from asyncua.ua.uaerrors import UaError
from pydantic import JsonValue

from drivers import status as statuses
from drivers.base import BlockBuilder
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
    }
)
_NAMES = {kind: name for name, kind in _VARIANT_TYPES.items()}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

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


def to_us(moment: datetime | None) -> int:
    """UTC microseconds; 0 for no time, which OPC UA also writes as 1601-01-01."""
    if moment is None:
        return 0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0, (aware - _EPOCH) // _MICROSECOND)


def add_value(builder: BlockBuilder, declared: str, found: ua.DataValue) -> None:
    """The next tag of the block from what the server told; ``declared`` is the tag's data type or empty.

    asyncua 2.1.0 looks for the server time before the source's picoseconds, on the wire it comes after them (OPC
    UA part 6, 5.2.2.17): with picoseconds, what it calls the server time is none.
    """
    status = statuses.GOOD_STATUS if found.StatusCode is None else found.StatusCode.value
    variant = found.Value
    value: JsonValue = None
    raw: bytes | None = None
    actual = ""
    if variant is not None and variant.Value is not None:
        actual = _NAMES.get(variant.VariantType, variant.VariantType.name) + ("[]" if variant.is_array else "")
        value, problem = _judged(variant, actual, declared)
        raw = variant_to_binary(variant) if variant.VariantType in _NAMES and not variant.is_array else None
        if problem and not statuses.is_bad(status):
            status = problem
    elif status >> 30 == statuses.GOOD:
        status = statuses.BAD_NO_DATA
    builder.add(
        value,
        status,
        data_type=actual or declared,
        source_us=to_us(found.SourceTimestamp),
        server_us=0 if found.SourcePicoseconds is not None else to_us(found.ServerTimestamp),
        raw=raw,
    )


def _judged(variant: ua.Variant, actual: str, declared: str) -> tuple[JsonValue, int]:
    """The value, and the status that it gets when it cannot be taken as one."""
    value = variant.Value
    if variant.VariantType not in _NAMES or (declared and actual != declared):
        return None, statuses.BAD_TYPE_MISMATCH
    if variant.VariantType in (ua.VariantType.Float, ua.VariantType.Double):
        numbers = ua.flatten(value) if variant.is_array else [value]
        if not all(math.isfinite(number) for number in numbers or ()):
            return None, statuses.BAD_NOT_FINITE
    return value, statuses.GOOD_STATUS


def variant_of(value: bool | int | float | str, data_type: str) -> ua.Variant:
    """What is written for a value.

    Raises:
        Invalid: the value does not fit the type.
    """
    if data_type not in _VARIANT_TYPES:
        raise Invalid(f"values of type {data_type or 'unknown'} cannot be written")
    fits = {
        "bool": isinstance(value, bool) or value in (0, 1),
        "string": isinstance(value, str),
        "float32": not isinstance(value, bool | str),
        "float64": not isinstance(value, bool | str),
    }.get(data_type, isinstance(value, int))
    if not fits:
        raise Invalid(f"{value!r} is no {data_type}")
    plain = bool(value) if data_type == "bool" else value
    if data_type.startswith("float"):
        plain = float(plain)
    elif data_type not in ("bool", "string"):
        plain = int(plain)
    variant = ua.Variant(plain, _VARIANT_TYPES[data_type])
    try:
        variant_to_binary(variant)
    except UaError:
        raise Invalid(f"{value!r} does not fit into {data_type}") from None
    return variant
