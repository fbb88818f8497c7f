"""What the devices of a line say wrong of each other: shared lines and sessions, intervals, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drivers.tags import (
    AnyDevice,
    DeviceSettings,
    ModbusTag,
    OpcUaDevice,
    OpcUaTag,
    SerialScannerDevice,
    TagSettings,
)
from drivers.tags.modbus_devices import ModbusDevice
from edge_agent.line_view import LineView
from records.errors import Problem

_LINE_KEYS = ("driver", "baudrate", "bytesize", "parity", "stopbits", "local_echo", "tls")
"""What devices on one line must agree on."""


def check_devices(line: LineView) -> Iterator[Problem]:
    """Devices that cannot work beside each other, and intervals that contradict each other."""
    yield from _shared(line)
    for name, device in line.devices.items():
        for row, tag in enumerate(device.tags):
            if isinstance(device, DeviceSettings):
                yield from _intervals(line, name, device, row, tag)


def doubtful_devices(line: LineView) -> Iterator[Problem]:
    """Two tags at one place of a machine that read it as different things."""
    for name, device in line.devices.items():
        if isinstance(device, ModbusDevice):
            yield from _overlaps(line, name, device)
        elif isinstance(device, OpcUaDevice):
            yield from _nodes(line, name, device)


def _shared(line: LineView) -> Iterator[Problem]:
    """One line belongs to one scanner or one set of Modbus units, one endpoint to one session."""
    first: dict[str, str] = {}
    for name, device in line.devices.items():
        key, place = _line_of(device)
        other = first.setdefault(place, name)
        if other == name:
            continue
        at = ("devices", name, key)
        earlier = line.devices[other]
        if isinstance(device, OpcUaDevice):
            hint = f"one session serves an endpoint: put the tags of both into {other}"
            yield line.problem(at, f"{other} is at this endpoint already", hint)
        elif isinstance(device, SerialScannerDevice) or isinstance(earlier, SerialScannerDevice):
            yield line.problem(at, f"{other} is on this port already", "each scanner has a port of its own")
        else:
            for differs in _LINE_KEYS:
                mine, theirs = getattr(device, differs, None), getattr(earlier, differs, None)
                if mine != theirs:
                    message = f"{other} is on the same line with {differs} {theirs}, this one with {mine}"
                    yield line.problem((*at[:2], differs), message, "one line has one setting")


def _line_of(device: AnyDevice) -> tuple[str, str]:
    """The key that names the line or session of a device, and the line's name in one spelling."""
    if isinstance(device, OpcUaDevice):
        host, _, path = device.endpoint.removeprefix("opc.tcp://").partition("/")
        port = "" if re.search(r":[0-9]+$", host) else ":4840"
        return "endpoint", f"opcua {host.lower()}{port}/{path}".rstrip("/")
    if isinstance(device, ModbusDevice) and hasattr(device, "host"):
        return "host", f"tcp {device.bus.lower()}"
    port = str(getattr(device, "port", ""))
    return "port", f"serial {port.lower() if port.lower().startswith('com') else port}"


def _intervals(line: LineView, name: str, device: DeviceSettings, row: int, tag: TagSettings) -> Iterator[Problem]:
    if tag.mode != "poll":
        return
    interval = device.poll_interval if tag.poll_interval is None else tag.poll_interval
    for key in ("stale_after", "average", "heartbeat"):
        span = getattr(tag, key)
        if span is not None and span <= interval:
            message = f"`{key}` of {span:g} s is not longer than the poll interval of {interval:g} s"
            hint = {
                "stale_after": "a value would be stale before the next comes: at least twice the interval",
                "average": "a mean needs several values",
                "heartbeat": "every value would be kept",
            }[key]
            yield line.problem(("devices", name, "tags", row, key), message, hint)


def _overlaps(line: LineView, name: str, device: ModbusDevice) -> Iterator[Problem]:
    ordered = sorted(enumerate(device.tags), key=lambda each: (each[1].table, each[1].address, each[0]))
    before: ModbusTag | None = None
    for row, tag in ordered:
        if before is not None and _clash(device, before, tag):
            message = f"{tag.name} and {before.name} read the same {tag.table} {tag.address} as different things"
            hint = f"{_told(device, tag)}, {_told(device, before)}"
            yield line.problem(("devices", name, "tags", row, "address"), message, hint)
        if before is None or before.table != tag.table or _end(tag) > _end(before):
            before = tag


def _end(tag: ModbusTag) -> int:
    return tag.address + tag.count


def _clash(device: ModbusDevice, before: ModbusTag, tag: ModbusTag) -> bool:
    """Whether two whole values share registers and are not the same."""
    if before.table != tag.table or tag.address >= _end(before) or tag.partial or before.partial:
        return False
    return _form(device, tag) != _form(device, before)


def _form(device: ModbusDevice, tag: ModbusTag) -> tuple[object, ...]:
    return tag.address, tag.raw_type, tag.count, tag.byte_order or device.byte_order


def _told(device: ModbusDevice, tag: ModbusTag) -> str:
    return f"{tag.name}: {tag.raw_type} {tag.byte_order or device.byte_order} at {tag.address}"


def _nodes(line: LineView, name: str, device: OpcUaDevice) -> Iterator[Problem]:
    first: dict[tuple[object, ...], OpcUaTag] = {}
    for row, tag in enumerate(device.tags):
        place = tag.browse_path or tag.identifier or tag.node_id
        address = (place, tag.namespace_uri, tag.array_index, tag.field)
        other = first.setdefault(address, tag)
        if other is not tag and other.data_type != tag.data_type:
            key = next(key for key in ("browse_path", "identifier", "node_id") if getattr(tag, key) is not None)
            message = f"{tag.name} and {other.name} read the same node as different things"
            hint = f"{tag.name}: {tag.data_type}, {other.name}: {other.data_type}"
            yield line.problem(("devices", name, "tags", row, key), message, hint)
