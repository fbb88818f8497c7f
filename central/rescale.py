"""From the raw registers of a recorded reading back to its value, by the tag map that the record names. Pure.

Modbus: every tag. OPC UA: values of the built-in scalar types, and one element of an array. What cannot be done
again says why: ``no-raw``, ``configuration-unknown``, ``tag-unknown``, ``not-a-scalar`` (arrays, structures, names
that the server gave), ``bad-quality`` (a reading that was bad for another reason than its bytes).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from drivers.convert import RegisterFormat, decode
from drivers.tags import ModbusTag
from records.model import Quality, Reading

_FIXED: Mapping[int, struct.Struct] = {
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
"""Built-in types of OPC UA by the first byte of a Variant (OPC 10000-6, 5.2.2)."""
_STRING = 12
_WIDE = ("int64", "uint64")


@dataclass(frozen=True, slots=True)
class Again:
    """What a reading comes to again, or ``why`` it does not."""

    value: JsonValue = None
    why: str | None = None


class TagMaps:
    """The devices of one resolved line file."""

    def __init__(self, resolved: Mapping[str, JsonValue]) -> None:
        devices = resolved.get("devices")
        self._devices = devices if isinstance(devices, dict) else {}
        self._formats: dict[str, RegisterFormat | None] = {}

    def again(self, reading: Reading) -> Again:
        """The value of a reading, from its raw bytes."""
        device, tag = self._find(reading.tag)
        if device is None or tag is None:
            return Again(why="tag-unknown")
        if reading.raw is None:
            return Again(why="no-raw")
        try:
            raw = bytes.fromhex(reading.raw)
        except ValueError:
            return Again(why="no-raw")
        driver = str(device.get("driver"))
        if driver.startswith("modbus"):
            found = self._modbus(reading.tag, device, tag, raw)
        elif driver == "opcua":
            found = _opcua(tag, raw)
        else:
            return Again(why="not-a-scalar")
        if found.why is None and found.value is not None and reading.quality is Quality.BAD:
            return Again(why="bad-quality")
        return found

    def _find(self, name: str) -> tuple[dict[str, JsonValue] | None, dict[str, JsonValue] | None]:
        device_name, _, tag_name = name.partition(".")
        device = self._devices.get(device_name)
        if not isinstance(device, dict):
            return None, None
        tags = device.get("tags")
        for tag in tags if isinstance(tags, list) else []:
            if isinstance(tag, dict) and tag.get("name") == tag_name:
                return device, tag
        return device, None

    def _modbus(self, name: str, device: dict[str, JsonValue], tag: dict[str, JsonValue], raw: bytes) -> Again:
        if name not in self._formats:
            self._formats[name] = _format(device, tag)
        form = self._formats[name]
        if form is None:
            return Again(why="tag-unknown")
        if tag.get("register") in ("coil", "discrete"):
            return Again(any(raw))
        if len(raw) != 2 * form.count:
            return Again(why="no-raw")
        value, _ = decode(raw, form)
        return Again(value)


def _format(device: dict[str, JsonValue], tag: dict[str, JsonValue]) -> RegisterFormat | None:
    try:
        return RegisterFormat.of(ModbusTag.model_validate(tag), str(device.get("byte_order") or "ABCD"))
    except ValidationError:  # of a version whose tags meant something else
        return None


def _opcua(tag: dict[str, JsonValue], raw: bytes) -> Again:
    """A Variant of one scalar: its type's byte, then the value, least significant byte first."""
    if tag.get("field") is not None or tag.get("data_type") == "enum":
        return Again(why="not-a-scalar")
    kind, body = (raw[0], raw[1:]) if raw else (0, b"")
    if kind == _STRING:
        return _text(body)
    shape = _FIXED.get(kind)
    if shape is None or len(body) != shape.size:
        return Again(why="not-a-scalar")
    if kind == 1:
        return Again(body != b"\0")
    value = shape.unpack(body)[0]
    if isinstance(value, float) and not math.isfinite(value):
        return Again(None)
    names = tag.get("enumeration")
    if isinstance(names, dict):
        return Again(names.get(str(value)))
    return Again(value)


def _text(body: bytes) -> Again:
    size = int.from_bytes(body[:4], "little", signed=True) if len(body) >= 4 else -1
    if size < 0 or len(body) != 4 + size:
        return Again(why="not-a-scalar")
    try:
        return Again(body[4:].decode("utf-8"))
    except UnicodeDecodeError:
        return Again(why="not-a-scalar")


def same(recorded: Reading, value: JsonValue) -> bool:
    """Whether the recorded value is this one, to the last bit."""
    if recorded.data_type in _WIDE and isinstance(value, int) and not isinstance(value, bool):
        return str(value) == str(recorded.value)
    if isinstance(value, bool) or isinstance(recorded.value, bool):
        return value is recorded.value
    return value == recorded.value
