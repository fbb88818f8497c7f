"""What a browsed server becomes: a line file to begin with, written tag by tag as they are found."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from drivers.tags import OPCUA_TYPES

_NAME_AT_MOST = 63
_UNWRITTEN = "# no tag map can name this: "


class Variable(Protocol):
    """What ``drivers.opcua.browse`` finds."""

    @property
    def path(self) -> tuple[str, ...]: ...
    @property
    def namespace_uri(self) -> str | None: ...
    @property
    def namespace(self) -> int: ...
    @property
    def identifier(self) -> str: ...
    @property
    def node_id(self) -> str: ...
    @property
    def data_type(self) -> str: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def writable(self) -> bool: ...


class Progress(Protocol):
    """How far the walk came."""

    nodes: int
    tags: int
    unread: int
    stopped: bool


@dataclass(slots=True)
class Names:
    """Names of tags from names of nodes: valid, and no name twice."""

    _taken: set[str] = field(default_factory=set)

    def of(self, path: tuple[str, ...]) -> str:
        """The node's own name; with its folders before it, then with a number, when that is taken."""
        for depth in range(1, len(path) + 1):
            name = _valid("_".join(path[-depth:]))
            if self._take(name):
                return name
        number = 2
        while not self._take(f"{name[: _NAME_AT_MOST - 8]}_{number}"):
            number += 1
        return f"{name[: _NAME_AT_MOST - 8]}_{number}"

    def _take(self, name: str) -> bool:
        """Names that differ only in case are one to people."""
        if name.lower() in self._taken:
            return False
        self._taken.add(name.lower())
        return True


def _valid(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
    if not name[:1].isalpha():
        name = f"tag_{name}" if name else "tag"
    return name[:_NAME_AT_MOST]


def head(endpoint: str, security: str) -> str:
    """The file's beginning, up to its tags."""
    return f"""\
# What {endpoint} offers, as a line file to begin with. Keep the tags that you need, give each its role,
# and set agent, site and line. Every tag is read only; access: write is yours to give.
agent: agent-1
site: site
line: line
devices:
  machine:
    driver: opcua
    endpoint: {_quoted(endpoint)}
    security: {security}
    tags:
"""


def flow(settings: Mapping[str, JsonValue]) -> str:
    """Settings on one line of YAML."""
    return "{" + ", ".join(f"{key}: {_flow_value(value)}" for key, value in settings.items()) + "}"


def _flow_value(value: JsonValue) -> str:
    if isinstance(value, dict):
        return flow(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) else _quoted(text)


def is_written(found: Variable) -> bool:
    """Whether a tag map can name this variable; else it stands in a comment."""
    return found.data_type in OPCUA_TYPES and found.identifier.isprintable()


def entry(names: Names, found: Variable) -> str:
    """The tag's line in the file."""
    keys = [f"name: {names.of(found.path)}"]
    if found.namespace_uri is not None:
        keys += [f"namespace_uri: {_quoted(found.namespace_uri)}", f"identifier: {_quoted(found.identifier)}"]
    else:
        keys.append(f"node_id: {_quoted(found.node_id)}")
    if found.data_type:
        keys.append(f"data_type: {_flow_value(found.data_type)}")
    if found.data_type == "structure":
        keys.append("role: record")
    if found.unit is not None:
        keys.append(f"unit: {_quoted(found.unit)}")
    about = _printable("/".join(found.path)) + ("; the server lets it be written" if found.writable else "")
    return f"      {'' if is_written(found) else _UNWRITTEN}- {{{', '.join(keys)}}}  # {about}\n"


def foot(progress: Progress, *, written: int, whole: bool) -> str:
    """The file's end: a list without an entry, and what was not seen."""
    text = "" if written else "      []\n"
    text += f"# {progress.nodes} nodes looked at, {progress.tags} variables\n"
    if progress.unread:
        text += f"# {progress.unread} nodes did not tell what they hold\n"
    if progress.stopped:
        text += f"# STOPPED at {progress.nodes} nodes: there is more; see --max-nodes, --root, --depth\n"
    if not whole:
        text += "# INTERRUPTED before the end\n"
    return text


def as_json(names: Names, found: Variable) -> JsonValue:
    """The tag as ``--json`` tells it."""
    return {
        "name": names.of(found.path),
        "path": "/".join(found.path),
        "node_id": found.node_id,
        "namespace_uri": found.namespace_uri,
        "identifier": found.identifier,
        "data_type": found.data_type or None,
        "unit": found.unit,
        "writable": found.writable,
    }


def _quoted(text: str) -> str:
    """A YAML text in double quotes (JSON's escapes are YAML's); what cannot be printed is escaped."""
    whole = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in whole)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
