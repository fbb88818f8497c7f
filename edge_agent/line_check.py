"""What the parts of a line file say wrong of each other, and of what a tag is used for.

A gateway does not know what a tag is for; an agent that keeps records does. A value that is kept with a run or
judged by a chart must be the machine's own: nothing may thin it, nothing may write it, and an identity must be a
text, because ``007`` and ``7`` are two serials.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.tags import ModbusTag, SerialScannerDevice, TagSettings
from edge_agent.age_check import doubtful_ages
from edge_agent.characteristic_check import check_characteristics, is_no_number
from edge_agent.chart_check import costly_charts
from edge_agent.device_check import check_devices, doubtful_devices
from edge_agent.line_view import LineView, Use
from edge_agent.reaction_check import check_holds
from edge_agent.scheme_check import check_schemes
from records.errors import Problem
from records.yaml import did_you_mean

_GS1_ID = 20
"""Characters of a GS1 serial (AI 21) or lot (AI 10)."""

_TEXTS = ("string", "guid", "bytestring", "node_id", "expanded_node_id", "qualified_name", "localized_text")
"""What can hold an identity as it is."""


def check_line(line: LineView) -> Iterator[Problem]:
    """Everything that is wrong."""
    for use in line.uses:
        tag = line.tag(use.tag)
        if tag is not None:
            yield from _check_use(line, use, tag)
        elif not line.is_left_out(use.tag):
            hint = did_you_mean(use.tag, line.tag_names) or "DEVICE.TAG"
            yield line.problem(use.path, f"no device has a tag {use.tag!r}", hint)
    yield from _written_twice(line)
    yield from _scanners(line)
    yield from check_schemes(line)
    yield from check_characteristics(line)
    yield from check_holds(line)
    yield from _filters(line)
    yield from check_devices(line)


def doubtful(line: LineView) -> Iterator[Problem]:
    """What is allowed and probably not meant."""
    for use in line.uses:
        tag = line.tag(use.tag)
        if tag is not None and use.kind in ("identity", "reference"):
            yield from _doubtful_id(line, use, tag)
    used = {use.tag for use in line.uses}
    for name in line.tag_names if line.stations else ():
        tag = line.tag(name)
        if tag is not None and name not in used and tag.role in ("record", "characteristic"):
            message = f"{name} has role {tag.role}, but no station captures it: it is in no record"
            yield line.problem(line.tag_place(name, "role"), message, "add it to capture: of its station")
    yield from doubtful_ages(line)
    yield from doubtful_devices(line)
    yield from costly_charts(line)


def _check_use(line: LineView, use: Use, tag: TagSettings) -> Iterator[Problem]:
    if use.kind == "write" and tag.access != "write":
        yield line.problem(use.path, f"{use.tag} is written here and is read only", "give the tag access: write")
    elif use.kind == "write" and is_no_number(tag) and tag.type_name != "bool":
        message = f"{use.tag} is {_a(tag.type_name)}: yes and no cannot be written to it"
        yield line.problem(use.path, message, "a bool, or a whole number of which 1 says yes and 0 no")
    elif use.kind == "count" and is_no_number(tag):
        yield line.problem(use.path, f"{use.tag} is no number", "a machine's count is needed")
    elif use.kind in ("identity", "reference"):
        kind = tag.type_name
        whole = kind.startswith(("int", "uint")) and not kind.endswith("[]")
        if not whole and kind not in ("", *_TEXTS):
            message = f"{use.tag} is {_a(kind)}, which cannot hold an identity without loss"
            yield line.problem(use.path, message, "the machine must give it as a string")
        elif whole and use.kind == "identity":
            message = f"{use.tag} is {_a(kind)}: leading zeros are lost, and 007 and 7 would be one piece"
            yield line.problem(use.path, message, "the machine must give a serial or a lot as a string")


def _written_twice(line: LineView) -> Iterator[Problem]:
    """With two writers a tag says what the last of them wanted: a run is answered by the wrong station."""
    first: dict[str, Use] = {}
    for use in line.uses:
        if use.kind != "write":
            continue
        other = first.setdefault(use.tag, use)
        if other is not use:
            message = f"{use.tag} is written for {'.'.join(map(str, other.path))} too"
            yield line.problem(use.path, message, "give each purpose of each station a tag of its own")


def _doubtful_id(line: LineView, use: Use, tag: TagSettings) -> Iterator[Problem]:
    kind = tag.type_name
    if kind.startswith(("int", "uint")) and use.kind == "reference":
        message = f"{use.tag} is {_a(kind)}: leading zeros are lost"
        yield line.problem(use.path, message, "let the machine give it as a string where it can have some")
    elif not kind:
        message = f"{use.tag} has no data_type: if the server changes it, it is another identity"
        yield line.problem(use.path, message, "give the tag data_type: string")
    elif use.kind == "identity" and isinstance(tag, ModbusTag) and kind == "string":
        room = 2 * tag.count
        if room < _GS1_ID:
            message = f"{use.tag} holds {room} characters, a GS1 serial or lot has up to {_GS1_ID}"
            yield line.problem(use.path, message, "a longer one would be cut: check the machine's longest")


def _scanners(line: LineView) -> Iterator[Problem]:
    scanners = [name for name, device in line.devices.items() if isinstance(device, SerialScannerDevice)]
    for where, scanner in line.scanner_uses():
        if scanner not in scanners and not line.is_left_out(scanner):
            hint = did_you_mean(scanner, scanners) or "a device with driver: serial_scanner"
            yield line.problem(where, f"{scanner!r} is no scanner", hint)


def _filters(line: LineView) -> Iterator[Problem]:
    """A tag with ``role: record`` and the like is refused by its own model; here counts what it is used for."""
    told: set[str] = set()
    for use in line.uses:
        tag = line.tag(use.tag)
        if tag is None or use.tag in told or tag.role != "telemetry":
            continue
        told.add(use.tag)
        of_chart = use.path[0] == "characteristics"
        what = "used for a characteristic" if of_chart else "used by a station"
        for key in tag.filters:
            message = f"`{key}` thins telemetry, but {use.tag} is {what} ({'.'.join(map(str, use.path))})"
            yield line.problem(line.tag_place(use.tag, key), message, "take it out; a record needs every value")


def _a(kind: str) -> str:
    return f"an {kind}" if kind.startswith("i") else f"a {kind}"
