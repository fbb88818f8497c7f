"""What another tool's configuration says of machines, as a line file.

A Telegraf configuration (``inputs.modbus``, ``inputs.opcua``, ``inputs.opcua_listener``) or a CSV tag list becomes
YAML that ``check`` takes. Nothing is lost silently: every setting that was dropped or changed is a note with its
place in the source, and stands in the YAML as a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.convert.draft import Draft, Note, Notes
from edge_agent.convert.tag_list import read_tag_list
from edge_agent.convert.telegraf import read_telegraf
from edge_agent.convert.write import line_file
from records.errors import ConfigurationError, Problem

MAX_BYTES = 16 * 1024 * 1024

Check = Callable[[bytes], tuple[Problem, ...]]
"""The problems of a line file with these bytes; none when it is fine."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The YAML; what was dropped or changed; what ``check`` would still say of it."""

    yaml: str
    devices: int
    tags: int
    notes: tuple[Note, ...]
    problems: tuple[Problem, ...]


def convert(path: Path, check: Check) -> Converted:
    """The line file that says what this file says.

    Raises:
        ConfigurationError: the file cannot be read, is neither of the two kinds, or says nothing of machines.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="check the path") from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{path} has more than {MAX_BYTES} bytes", hint="is it a configuration?")
    notes = Notes(str(path))
    draft = _read(content, path, notes)
    if not any(device.tags for device in draft.devices):
        told = "".join(f"\n{note}" for note in notes.all)
        raise ConfigurationError(
            f"{path} says nothing that can be read from a machine{told}",
            hint="a Telegraf file with inputs.modbus or inputs.opcua, or a table with a head row is needed",
        )
    left_out = _leave_out_refused(draft, path.name, notes, check)
    ordered = tuple(sorted(notes.all, key=lambda note: note.line))
    text = line_file(draft, path.name, ordered, left_out)
    tags = sum(len(device.tags) for device in draft.devices)
    return Converted(text, len(draft.devices), tags, ordered, check(text.encode()))


def _read(content: bytes, path: Path, notes: Notes) -> Draft:
    suffix = path.suffix.lower()
    looks_like_toml = re.search(rb"(?m)^\s*\[\[?\s*[A-Za-z_]", content) is not None
    if suffix in (".csv", ".tsv", ".txt") or (suffix not in (".toml", ".conf") and not looks_like_toml):
        return read_tag_list(content, str(path), notes)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no UTF-8 text", hint="save it as UTF-8") from None
    return read_telegraf(text, str(path), notes)


def _leave_out_refused(draft: Draft, source: str, notes: Notes, check: Check) -> list[str]:
    """Take out tags that the models refuse, each with its reason; what else is wrong stays for the person."""
    told: list[str] = []
    for _ in range(3):
        problems = check(line_file(draft, source, (), ()).encode())
        wrong: dict[tuple[str, int], str] = {}
        for problem in problems:
            found = re.match(r"devices\.([^.]+)\.tags\.([0-9]+)(?:\.|$)", problem.path)
            if found is not None:
                wrong.setdefault((found[1], int(found[2])), problem.message)
        if not wrong:
            break
        for device in draft.devices:
            for row in sorted((row for name, row in wrong if name == device.name), reverse=True):
                tag = device.tags.pop(row)
                why = wrong[(device.name, row)]
                notes.add(tag.line, tag.setting, f"{why}: the tag is left out of {device.name}")
                told.append(f"{device.name}.{tag.keys['name']} (line {tag.line}): {why}")
    return told
