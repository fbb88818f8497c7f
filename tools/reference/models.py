"""The pages of the YAML files, from their pydantic models."""

from __future__ import annotations

import json

from pydantic import BaseModel, JsonValue

from central.settings import CentralSettings
from drivers.tags import ALIASES
from edge_agent.settings import LineSettings
from records.yaml import Alias
from tools.reference.markdown import cell, code, document, table
from tools.uv_program import ROOT

Schema = dict[str, JsonValue]

LINE_INTRODUCTION = """
What a line engineer writes: one agent with its devices, stations and characteristics. `lotkeeper-edge check
LINE.yaml` tells every error of a file at once. Unknown keys are errors; durations and sizes need a unit (`200ms`,
`14d`, `20GiB`); secrets are given by reference (`env:NAME`, `file:PATH`); relative paths start at the file's
folder.
"""

OTHER_WORDS = """
Telegraf's, ThingsBoard's, Neuron's, EdgeX's, Home Assistant's and benthos-umh's words are taken where ours is a
key, with a warning that says what to write. A value that cannot be said in our words is an error.
"""

CENTRAL_INTRODUCTION = """
What an administrator writes for `lotkeeper-central`. Unknown keys are errors; durations need a unit (`30s`,
`12h`); secrets are given by reference (`env:NAME`, `file:PATH`); relative paths start at the file's folder.
"""


def line_file() -> str:
    """``config/lines/*.yaml``."""
    return _page("Line file", LINE_INTRODUCTION, LineSettings, "config/lines/valve-testing.yaml", _other_words())


def central_file() -> str:
    """``central.yaml``."""
    return _page("Central's file", CENTRAL_INTRODUCTION, CentralSettings, "config/central.yaml")


def _other_words() -> str:
    """The words of other tools that a line file may use."""
    rows: dict[str, list[str]] = {}
    for word, found in ALIASES.items():
        alias = Alias((found,)) if isinstance(found, str) else found
        converted = "" if alias.convert is None else " (its value is converted)"
        rows.setdefault(" and ".join(code(ours) for ours in alias.ours), []).append(code(word) + converted)
    words = table(("ours", "theirs"), [(ours, ", ".join(theirs)) for ours, theirs in rows.items()])
    return f"## Words of other tools\n\n{OTHER_WORDS.strip()}\n\n{words}"


def _page(title: str, introduction: str, model: type[BaseModel], example: str, more: str = "") -> str:
    schema: Schema = model.model_json_schema(mode="validation")
    parts = mapping(schema.get("$defs"))
    sections = [introduction, "## The file", keys(schema, parts)]
    for name in in_order(schema, parts):
        part = mapping(parts[name])
        if "properties" in part:
            text = str(part.get("description") or "").replace("``", "`")
            sections += [f"## {name}", cell(text), keys(part, parts)]
    sections.append(more)
    text = (ROOT / example).read_text(encoding="utf-8")
    sections.append(f"## Example\n\n`{example}`:\n\n```yaml\n{text.strip()}\n```")
    return document(title, *sections)


def in_order(schema: JsonValue, parts: Schema) -> list[str]:
    """The parts' names as a reader meets them from the top of the file."""
    found: list[str] = []
    waiting = _references(schema)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = _references(parts[name]) + waiting
    return found


def _references(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        own = [str(value["$ref"]).rpartition("/")[2]] if "$ref" in value else []
        return own + [
            name
            for key, each in value.items()
            if key not in ("$defs", "discriminator")
            for name in _references(each)
        ]
    return [name for each in value for name in _references(each)] if isinstance(value, list) else []


def keys(schema: Schema, parts: Schema, *, nulls: bool = False) -> str:
    """The table of keys of one part; the last column is left out when no key has a text."""
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    rows = []
    for key, value in mapping(schema.get("properties")).items():
        part = mapping(value)
        default = "**required**" if key in needed else code(_default(part))
        rows.append(
            (
                code(key),
                type_text(part, parts, nulls=nulls),
                default,
                str(part.get("description") or "").replace("``", "`"),
            )
        )
    head = ("key", "type", "default", "what it is")
    width = 4 if any(row[3] for row in rows) else 3
    return table(head[:width], [row[:width] for row in rows])


def type_text(schema: Schema, parts: Schema, *, nulls: bool = False) -> str:
    """A key's type in words; other parts are linked. ``nulls``: say where null may stand."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        part = mapping(parts[name])
        return f"[{name}](#{name.lower()})" if "properties" in part else type_text(part, parts, nulls=nulls)
    if "const" in schema:
        return code(json.dumps(schema["const"], ensure_ascii=False))
    if isinstance(values := schema.get("enum"), list):
        return " or ".join(code(json.dumps(value, ensure_ascii=False)) for value in values)
    for key in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(key), list):
            return " or ".join(
                type_text(mapping(choice), parts, nulls=nulls)
                for choice in choices
                if nulls or choice != {"type": "null"}
            )
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {type_text(mapping(schema.get('items')), parts, nulls=nulls)}"
    if kind == "object" and "additionalProperties" in schema:
        return f"name: {type_text(mapping(schema.get('additionalProperties')), parts, nulls=nulls)}"
    if kind == "string" and isinstance(examples := schema.get("examples"), list):
        return "such as " + ", ".join(code(str(each)) for each in examples)
    words = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "null": "`null`"}.get(
        kind, kind
    )
    return words + _bounds(schema)


def _bounds(schema: Schema) -> str:
    """What a number or a text is held to, in words."""
    told = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "maxLength": "at most {} characters",
        "pattern": "`{}`",
    }
    found = [text.format(schema[key]) for key, text in told.items() if key in schema]
    return f", {', '.join(found)}" if found else ""


def _default(schema: Schema) -> str:
    """The default as it would be written in the file; empty when there is none or it is an empty part."""
    default = schema.get("default")
    if default is None or default in ({}, []) or isinstance(default, dict):
        return ""
    if isinstance(default, float) and schema.get("type") == "string":
        return _duration(default)
    return default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds * 1000:g}ms"


def mapping(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}
