"""What is brought over: devices and tags in our words, and what was lost or changed on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

Value = str | int | float | bool | None | Mapping[str, "Value"]
Row = dict[str, Value]

_NAME = 63


@dataclass(frozen=True, slots=True)
class Note:
    """What of the source was dropped or changed; line counts from 1."""

    file: str
    line: int
    setting: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.setting}: {self.message}"

    def to_json(self) -> dict[str, JsonValue]:
        return {"file": self.file, "line": self.line, "setting": self.setting, "message": self.message}


@dataclass(slots=True)
class Notes:
    """Collects notes of one source, each once."""

    file: str
    all: list[Note] = field(default_factory=list)

    def add(self, line: int, setting: str, message: str) -> None:
        note = Note(self.file, line, setting, message)
        if note not in self.all:
            self.all.append(note)


@dataclass(slots=True)
class Tag:
    """A tag's keys, and where it stood."""

    keys: Row
    line: int
    setting: str


@dataclass(slots=True)
class Device:
    """A device's keys but for its tags, and where it stood."""

    name: str
    keys: Row
    line: int
    setting: str
    tags: list[Tag] = field(default_factory=list)

    def add(self, name: str, keys: Row, line: int, setting: str, notes: Notes) -> None:
        """A tag under a name that is allowed and free; where it must change, ``name`` is kept as description."""
        free = unique(plain_name(name, "tag"), {str(tag.keys["name"]) for tag in self.tags})
        if free != name:
            notes.add(line, setting, f"the name {name!r} is {free} here")
            keys.setdefault("description", name)
        self.tags.append(Tag({"name": free, **keys}, line, setting))


@dataclass(slots=True)
class Draft:
    """Everything that was found."""

    devices: list[Device] = field(default_factory=list)

    def device(self, name: str, keys: Row, line: int, setting: str) -> Device:
        """A new device under a name that is allowed and free."""
        free = unique(plain_name(name, "device"), {device.name for device in self.devices})
        self.devices.append(Device(free, keys, line, setting))
        return self.devices[-1]


def plain_name(name: str, otherwise: str) -> str:
    """The name with what ours may not have replaced by ``_``."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:_NAME]
    if not plain:
        return otherwise
    return plain if plain[0].isalpha() else f"{otherwise[0]}_{plain}"[:_NAME]


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    free, n = name, 1
    while free in taken:
        n += 1
        free = f"{name[: _NAME - 5]}_{n}"
    return free


class Table:
    """A table of the source that knows which of its settings were used, and where each stands."""

    def __init__(self, values: Mapping[str, Any], path: tuple[str | int, ...], lines: Mapping[Any, int]) -> None:
        self.path = path
        self._values = values
        self._lines = lines
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def setting(self) -> str:
        """The table's name, as people read it."""
        return ".".join(str(part) for part in self.path if isinstance(part, str))

    def line(self, key: str | None = None) -> int:
        """The line of a key, or of the table."""
        return self.at(self.path if key is None else (*self.path, key))

    def at(self, path: tuple[str | int, ...]) -> int:
        """The line of any place of the source, or of the nearest that has one."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def take(self, key: str, default: Any = None) -> Any:
        """A setting's value; it then counts as used."""
        self._taken.add(key)
        return self._values.get(key, default)

    def text(self, key: str, default: str = "") -> str:
        """A setting as text, empty when it is missing."""
        value = self.take(key)
        return default if value is None else str(value)

    def tables(self, key: str) -> list[Table]:
        """The tables of an array of them."""
        rows = self.take(key, [])
        rows = rows if isinstance(rows, list) else [rows]
        return [
            Table(row, (*self.path, key, n), self._lines) for n, row in enumerate(rows) if isinstance(row, dict)
        ]

    def table(self, key: str) -> Table:
        """One table; empty when it is missing."""
        found = self.take(key, {})
        return Table(found if isinstance(found, dict) else {}, (*self.path, key), self._lines)

    def rest(self) -> Iterator[str]:
        """The settings that nobody used."""
        yield from (key for key in self._values if key not in self._taken)

    def drop_rest(self, notes: Notes, reasons: Mapping[str, str]) -> None:
        """Note every setting that was not used."""
        for key in self.rest():
            notes.add(
                self.line(key),
                f"{self.setting}.{key}".lstrip("."),
                reasons.get(key, "has no counterpart here: left out"),
            )
