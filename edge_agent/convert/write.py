"""A draft as the text of a line file: what is shared by all tags once, one line a tag, notes at the top."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from edge_agent.convert.draft import Device, Draft, Note, Row, Value

_SHARED = ("namespace_uri", "mode", "sampling_interval", "register", "data_type", "byte_order", "poll_interval")
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off")
_WIDTH = 115


def line_file(draft: Draft, source: str, notes: Sequence[Note], left_out: Sequence[str]) -> str:
    """The YAML text. ``left_out`` are tags that our models do not take, with the reason, as comments."""
    lines = [f"# Converted from {_comment(source)} by lotkeeper-edge convert."]
    lines += _remarks(
        "Dropped or changed:", [f"line {note.line}: {note.setting}: {note.message}" for note in notes]
    )
    lines += _remarks("Not taken, because it cannot be right here:", left_out)
    lines += [
        "agent: line-1    # FILL IN: unique in the plant; lower-case letters, digits, dashes",
        "site: my-plant   # FILL IN",
        "line: line-1     # FILL IN",
        "",
        "devices:",
    ]
    for device in draft.devices:
        lines += _device(device)
    lines += [
        "",
        "# Next: give tags their role (record, characteristic, trigger, counter), describe stations,",
        "# characteristics, uplink and buffer, and let lotkeeper-edge check read this file.",
    ]
    return "\n".join(lines) + "\n"


def _remarks(title: str, remarks: Sequence[str]) -> list[str]:
    if not remarks:
        return []
    return ["#", f"# {title}", *(f"# - {_comment(remark)}" for remark in remarks)]


def _comment(text: str) -> str:
    """On one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def _device(device: Device) -> list[str]:
    shared = _common(device)
    lines = [f"  {device.name}:"]
    lines += [f"    {key}: {_value(value)}" for key, value in device.keys.items()]
    if shared:
        lines.append(f"    defaults: {_flow(shared)}")
    if not device.tags:
        return lines
    lines.append("    tags:")
    for tag in device.tags:
        own = {key: value for key, value in tag.keys.items() if key not in shared}
        lines += _tag(own)
    return lines


def _common(device: Device) -> Row:
    """What every tag of the device says alike, where there are some."""
    if len(device.tags) < 2:
        return {}
    first = device.tags[0].keys
    return {
        key: first[key]
        for key in _SHARED
        if key in first and all(key in tag.keys and tag.keys[key] == first[key] for tag in device.tags)
    }


def _tag(keys: Row) -> list[str]:
    flow = f"      - {_flow(keys)}"
    if len(flow) <= _WIDTH:
        return [flow]
    pairs = [f"{key}: {_value(value)}" for key, value in keys.items()]
    return [f"      - {pairs[0]}", *(f"        {pair}" for pair in pairs[1:])]


def _flow(keys: Mapping[str, Value]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in keys.items()) + "}"


def _value(value: Value) -> str:
    if isinstance(value, Mapping):
        return _flow(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        span = re.fullmatch(r"[0-9]+(\.[0-9]+)?(us|ms|s|min|h|d)", value)
        return value if plain or span else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        return f"{value:.1f}"
    return json.dumps(value)
