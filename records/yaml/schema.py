"""The JSON Schema of a kind of YAML file, for editors: completion, texts on hover, errors while typing.

It says what the models say of single values. What goes across the file, and what a validator decides, only the
loader knows: a file that the schema takes may still be wrong, one that it refuses is never right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from records.yaml.aliases import Alias
from records.yaml.extend import KEY as EXTENDS
from records.yaml.models import known_keys

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CHANGE = "Change"
_ABOUT = ("description", "deprecated", "deprecationMessage", "doNotSuggest")


def json_schema(model: type[BaseModel], *, title: str, aliases: Mapping[str, str | Alias] | None = None) -> Schema:
    """The schema of files that ``load`` reads with this model and these aliases."""
    schema: Schema = model.model_json_schema(mode="validation")
    parts: Schema = schema.pop("$defs", {})
    for part in (schema, *parts.values()):
        _clean(part)
        _add_aliases(part, aliases or {})
    head: Schema = {"$schema": _DIALECT, "title": title, "description": schema.pop("description", "")}
    if EXTENDS not in known_keys(model):
        return {**head, **schema, "$defs": parts}
    changes = {name + _CHANGE: _change(part, parts) for name, part in parts.items() if _is_object(part)}
    change = _change(schema, parts)
    change["properties"][EXTENDS] = schema["properties"][EXTENDS]
    return {
        **head,
        "if": {"required": [EXTENDS]},
        "then": change,
        "else": schema,
        "$defs": {**parts, **changes},
    }


def _is_object(part: Schema) -> bool:
    return "properties" in part


def _clean(value: Any) -> None:
    """Take out what says nothing to an editor: titles made of names, OpenAPI's discriminators."""
    if isinstance(value, dict):
        value.pop("discriminator", None)
        if isinstance(value.get("title"), str):
            del value["title"]
        if isinstance(value.get("description"), str):
            value["description"] = " ".join(value["description"].split()).replace("``", "`")
        for each in value.values():
            _clean(each)
    elif isinstance(value, list):
        for each in value:
            _clean(each)


def _add_aliases(part: Schema, aliases: Mapping[str, str | Alias]) -> None:
    """Words of other tools, marked deprecated; where ours is required, theirs will do."""
    properties = part.get("properties", {})
    required: list[str] = part.get("required", [])
    ours_known = set(properties)
    others: dict[str, list[str]] = {}
    for key, found in aliases.items():
        alias = Alias((found,)) if isinstance(found, str) else found
        tops = [ours.partition(".")[0] for ours in alias.ours]
        if key in ours_known or ours_known.isdisjoint(tops):
            continue
        text = "Write " + " and ".join(f"`{ours}`" for ours in alias.ours) + "."
        same = alias.convert is None and alias.ours[0] in properties
        told = {"deprecated": True, "deprecationMessage": text, "doNotSuggest": True, "description": text}
        properties[key] = {**(properties[alias.ours[0]] if same else {}), **told}
        properties[key].pop("default", None)
        for ours in alias.ours:
            others.setdefault(ours, []).append(key)
    for ours in [key for key in required if key in others]:
        required.remove(ours)
        either = [{"required": [key]} for key in (ours, *others[ours])]
        part.setdefault("allOf", []).append({"anyOf": either})


def _change(value: Any, parts: Schema) -> Any:
    """The same in a file that extends another: nothing is required, null removes, entries may be removed."""
    if isinstance(value, list):
        return [_change(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = str(value["$ref"]).rpartition("/")[2]
        return {**value, "$ref": f"#/$defs/{name}{_CHANGE}"} if _is_object(parts[name]) else value
    if not _is_object(value):
        found = {key: _change(each, parts) for key, each in value.items() if key != "minProperties"}
        if "oneOf" in found:  # without the key that tells them apart, several may fit
            found["anyOf"] = found.pop("oneOf")
        if isinstance(found.get("additionalProperties"), dict):
            found["additionalProperties"] = _or_null(found["additionalProperties"])
        return found
    properties = {key: _or_null(_change(each, parts)) for key, each in value["properties"].items()}
    changed = {key: each for key, each in value.items() if key not in ("required", "allOf", "properties")}
    if "name" in properties:
        properties["remove"] = {"const": True, "description": "Takes the entry of this name out."}
        changed["required"] = ["name"]
    return {**changed, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    options = schema.get("anyOf")
    if schema.get("type") == "null" or (isinstance(options, list) and {"type": "null"} in options):
        return schema
    told = {key: schema[key] for key in _ABOUT if key in schema}
    rest = {key: each for key, each in schema.items() if key not in (*told, "default")}
    return {**told, "anyOf": [rest, {"type": "null"}]} if rest else schema
