"""Built-in types in OPC UA's binary encoding (OPC 10000-6, 5.2.2): where each ends and what it says.

Pure: no library, no sockets. Everything that is read here came from outside, so every length is held against the
bytes that are there: what does not fit raises ``Malformed``, never a value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from pydantic import JsonValue

NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "bool",
        2: "int8",
        3: "uint8",
        4: "int16",
        5: "uint16",
        6: "int32",
        7: "uint32",
        8: "int64",
        9: "uint64",
        10: "float32",
        11: "float64",
        12: "string",
        13: "datetime",
        14: "guid",
        15: "bytestring",
        16: "xmlelement",
        17: "node_id",
        18: "expanded_node_id",
        19: "status_code",
        20: "qualified_name",
        21: "localized_text",
        22: "structure",
        23: "data_value",
        24: "variant",
        25: "diagnostic_info",
    }
)
"""The built-in types by their number (OPC 10000-6, table 1), as a tag map names them."""
KINDS: Mapping[str, int] = MappingProxyType({name: kind for kind, name in NAMES.items()})

NUMBERS = range(1, 12)
"""Kinds whose values fill a column of numbers: Boolean to Double."""
STRUCTURE = KINDS["structure"]
DATETIME = KINDS["datetime"]
_DIMENSIONS, _ARRAY, _KIND = 0x40, 0x80, 0x3F

FIXED: Mapping[int, int] = MappingProxyType(
    {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
)
"""Bytes of a value, by kind, where all values of the kind have the same."""

_FORMATS = {
    1: struct.Struct("<?"),
    2: struct.Struct("<b"),
    3: struct.Struct("<B"),
    4: struct.Struct("<h"),
    5: struct.Struct("<H"),
    6: struct.Struct("<i"),
    7: struct.Struct("<I"),
    8: struct.Struct("<q"),
    9: struct.Struct("<Q"),
    10: struct.Struct("<f"),
    11: struct.Struct("<d"),
}
_I32, _U32, _I64, _U16 = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<q"), struct.Struct("<H")

TICKS_1970 = 116_444_736_000_000_000
"""100 ns steps from 1601-01-01, where OPC UA's times begin, to 1970-01-01."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_799_999_999
_DEEPEST = 32


class Malformed(ValueError):
    """Bytes that are no such value."""


class NotText(ValueError):
    """A string whose bytes are no UTF-8."""


def _need(data: bytes, end: int) -> int:
    if end > len(data):
        raise Malformed(f"ends at {end}, {len(data)} bytes are there")
    return end


def int32(data: bytes, at: int) -> int:
    """The Int32 at this place, the form of every length."""
    _need(data, at + 4)
    return int(_I32.unpack_from(data, at)[0])


def counted_end(data: bytes, at: int) -> int:
    """The end of a length with so many bytes after it (-1: null, none)."""
    return _need(data, at + 4 + max(0, int32(data, at)))


def node_id_end(data: bytes, at: int) -> int:
    """The end of a NodeId or ExpandedNodeId."""
    _need(data, at + 1)
    flags = data[at]
    match flags & _KIND:
        case 0:
            end = at + 2
        case 1:
            end = at + 4
        case 2:
            end = at + 7
        case 3 | 5:
            end = counted_end(data, at + 3)
        case 4:
            end = at + 19
        case other:
            raise Malformed(f"{other} is no form of a node id")
    if flags & 0x80:
        end = counted_end(data, end)
    if flags & 0x40:
        end += 4
    return _need(data, end)


def _localized_text_end(data: bytes, at: int) -> int:
    mask, end = data[_need(data, at + 1) - 1], at + 1
    for bit in (1, 2):
        if mask & bit:
            end = counted_end(data, end)
    return end


def extension_object(data: bytes, at: int) -> tuple[bytes, int, int, int]:
    """An ExtensionObject: the bytes of its type's node id, begin and end of its body, its own end.

    The body is empty (begin equals end) when there is none or when it is XML.
    """
    body = _need(data, node_id_end(data, at) + 1)
    type_id, form = data[at : body - 1], data[body - 1]
    if form == 0:
        return type_id, body, body, body
    end = counted_end(data, body)
    if form == 1:
        return type_id, body + 4, end, end
    return type_id, end, end, end


def _diagnostic_info_end(data: bytes, at: int, depth: int) -> int:
    if depth > _DEEPEST:
        raise Malformed("nested too deep")
    mask, end = data[_need(data, at + 1) - 1], at + 1
    end += 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        end = counted_end(data, end)
    if mask & 0x20:
        end += 4
    if mask & 0x40:
        end = _diagnostic_info_end(data, end, depth + 1)
    return _need(data, end)


def data_value_end(data: bytes, at: int, depth: int = 0) -> int:
    """The end of a DataValue."""
    mask, end = data[_need(data, at + 1) - 1], at + 1
    if mask & 0x01:
        end = variant_end(data, end, depth)
    return _need(data, end + _tail(mask))


def _tail(mask: int) -> int:
    """Bytes of a DataValue after its Variant."""
    return (
        4 * (mask >> 1 & 1) + 8 * (mask >> 2 & 1) + 2 * (mask >> 4 & 1) + 8 * (mask >> 3 & 1) + 2 * (mask >> 5 & 1)
    )


def element_end(kind: int, data: bytes, at: int, depth: int = 0) -> int:
    """The end of one value of this kind."""
    size = FIXED.get(kind)
    if size is not None:
        return _need(data, at + size)
    if kind in (12, 15, 16) or kind > 25:
        return counted_end(data, at)
    match kind:
        case 0:
            return at
        case 17 | 18:
            return node_id_end(data, at)
        case 20:
            return counted_end(data, at + 2)
        case 21:
            return _localized_text_end(data, at)
        case 22:
            return extension_object(data, at)[3]
        case 23:
            return data_value_end(data, at, depth + 1)
        case 24:
            return variant_end(data, at, depth + 1)
        case _:
            return _diagnostic_info_end(data, at, 0)


def variant_end(data: bytes, at: int, depth: int = 0) -> int:
    """The end of a Variant."""
    if depth > _DEEPEST:
        raise Malformed("nested too deep")
    head = data[_need(data, at + 1) - 1]
    kind, end = head & _KIND, at + 1
    if not head & _ARRAY:
        return element_end(kind, data, end, depth)
    count = max(0, int32(data, end))
    end += 4
    size = FIXED.get(kind)
    if size is not None:
        end = _need(data, end + size * count)
    else:
        _need(data, end + (count if kind else 0))  # every value has a byte at least: no endless count
        for _ in range(count if kind else 0):
            end = element_end(kind, data, end, depth)
    if head & _DIMENSIONS:
        end = _need(data, end + 4 + 4 * max(0, int32(data, end)))
    return end


# -- values -------------------------------------------------------------------------------------------------------


def iso_time(ticks: int) -> str | None:
    """A DateTime as ISO 8601 with microseconds and Z; None for 1601, which stands for no time."""
    if ticks <= 0:
        return None
    moment = _EPOCH + timedelta(microseconds=min((ticks - TICKS_1970) // 10, _LAST_US))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def text(data: bytes, at: int) -> str | None:
    """The String at this place.

    Raises:
        NotText: its bytes are no UTF-8.
    """
    size = int32(data, at)
    if size < 0:
        return None
    try:
        return data[at + 4 : _need(data, at + 4 + size)].decode()
    except UnicodeDecodeError as error:
        raise NotText(str(error)) from None


def _hex(data: bytes, at: int) -> str | None:
    size = int32(data, at)
    return None if size < 0 else data[at + 4 : _need(data, at + 4 + size)].hex()


def _guid(data: bytes, at: int) -> str:
    return str(UUID(bytes_le=data[at : _need(data, at + 16)]))


def node_id_text(data: bytes, at: int) -> str:
    """A node id as people write it: ``ns=2;s=Cycle.Done``."""
    flags = data[at]
    match flags & _KIND:
        case 0:
            space, identifier = 0, f"i={data[at + 1]}"
        case 1:
            space, identifier = data[at + 1], f"i={_U16.unpack_from(data, at + 2)[0]}"
        case form:
            space = int(_U16.unpack_from(data, at + 1)[0])
            identifier = {
                2: lambda: f"i={_U32.unpack_from(data, at + 3)[0]}",
                3: lambda: f"s={text(data, at + 3) or ''}",
                4: lambda: f"g={_guid(data, at + 3)}",
                5: lambda: f"b={_hex(data, at + 3) or ''}",
            }[form]()
    if flags & 0x80:
        end = node_id_end(data, at) - (4 if flags & 0x40 else 0)
        begin = node_id_end(bytes([flags & _KIND]) + data[at + 1 :], 0) + at
        return f"nsu={text(data[:end], begin) or ''};{identifier}"
    return f"ns={space};{identifier}" if space else identifier


def _localized_text(data: bytes, at: int) -> str | None:
    mask, begin = data[at], at + 1
    if mask & 1:
        begin = counted_end(data, begin)
    return text(data, begin) if mask & 2 else None


def _qualified_name(data: bytes, at: int) -> str:
    space, name = _U16.unpack_from(data, at)[0], text(data, at + 2) or ""
    return f"{space}:{name}" if space else name


_READERS: Mapping[int, Callable[[bytes, int], JsonValue]] = {
    12: text,
    13: lambda data, at: iso_time(_I64.unpack_from(data, at)[0]),
    14: _guid,
    15: _hex,
    16: text,
    17: node_id_text,
    18: node_id_text,
    19: lambda data, at: int(_U32.unpack_from(data, at)[0]),
    20: _qualified_name,
    21: _localized_text,
}
READABLE = frozenset((*NUMBERS, *_READERS))
"""Kinds that have a value by themselves; a structure has one by its definition, the others have none."""


def element(kind: int, data: bytes, at: int) -> JsonValue:
    """One value of a readable kind as a plain Python value: times as ISO 8601, bytes as hexadecimal, a node id as
    text, a status as its number, None for a null.

    Raises:
        Malformed, NotText.
    """
    plain = _FORMATS.get(kind)
    if plain is not None:
        _need(data, at + plain.size)
        return plain.unpack_from(data, at)[0]  # type: ignore[no-any-return]
    element_end(kind, data, at)
    return _READERS[kind](data, at)


def elements(kind: int, data: bytes, at: int) -> tuple[list[JsonValue] | None, list[int]]:
    """The values of an array of a readable kind, whose length is at this place; and where each begins, then the
    end of the last. None for a null array.
    """
    count = int32(data, at)
    begin = at + 4
    if count < 0:
        return None, [begin]
    size = FIXED.get(kind)
    if size is None:
        places = [begin]
        _need(data, begin + count)
        for _ in range(count):
            places.append(element_end(kind, data, places[-1]))
        return [element(kind, data, place) for place in places[:-1]], places
    _need(data, begin + size * count)
    places = list(range(begin, begin + size * count + 1, size))
    plain = _FORMATS.get(kind)
    if plain is None:
        return [element(kind, data, place) for place in places[:-1]], places
    return list(struct.unpack_from(f"<{count}{plain.format[1:]}", data, begin)), places


def values(kind: int, is_array: bool, data: bytes, at: int) -> JsonValue:
    """What a Variant of a readable kind holds, a matrix row after row."""
    return elements(kind, data, at)[0] if is_array else element(kind, data, at)


def head(data: bytes, at: int) -> tuple[int, bool]:
    """The kind of a Variant, and whether it is an array."""
    return data[at] & _KIND, bool(data[at] & _ARRAY)
