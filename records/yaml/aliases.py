"""Words of other tools for ours: the key becomes ours, its value too where the other tool counts differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from records.errors import Problem
from records.yaml.models import known_keys, models_for, types_below
from records.yaml.tree import Item

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Alias:
    """What another tool's key means here.

    ``ours``: our keys, a nested one as ``security.policy``. ``convert`` gives the values of some of them (none:
    the key says what is so anyway), or None when the value cannot be said in our words. Without ``convert`` there
    is one key, and it takes the value as it is.
    """

    ours: tuple[str, ...]
    convert: Callable[[Scalar], Mapping[str, Scalar] | None] | None = None


@dataclass(slots=True)
class Renaming:
    """One walk over a tree; ``known`` words of ours are never touched."""

    aliases: Mapping[str, str | Alias]
    warnings: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def root(self, item: Item, model: type[BaseModel]) -> None:
        self._walk(item, [model])

    def _walk(self, item: Item, annotations: list[Any]) -> None:
        if item.keys is not None:
            known = {key for model in models_for(annotations, item) for key in known_keys(model)}
            for key in [key for key in item.keys if key not in known and key in self.aliases]:
                found = self.aliases[key]
                alias = Alias((found,)) if isinstance(found, str) else found
                if any(ours.partition(".")[0] in known for ours in alias.ours):
                    self._take(item, key, alias)
        parts: list[str | int] = list(item.keys) if item.keys is not None else list(range(len(item.rows or ())))
        for part in parts:
            child = item.child(part)
            if child is not None:
                self._walk(child, types_below(annotations, item, part))

    def _take(self, item: Item, key: str, alias: Alias) -> None:
        keys = item.keys or {}
        values = self._values(keys[key][0], key, alias)
        again = next((ours for ours in values or {} if _present(item, ours)), None)
        if again is not None:
            message = f"`{key}` means `{again}`, which stands here too"
            self.problems.append(item.key_problem(key, message, "keep one"))
        elif values is not None:
            self.warnings.append(item.key_problem(key, *_told(key, keys[key][0], values)))
        entry = keys.pop(key)
        if values is not None and again is None:
            for ours, value in values.items():
                _put(item, ours, value, entry)

    def _values(self, item: Item, key: str, alias: Alias) -> Mapping[str, Item] | None:
        if alias.convert is None:
            return {alias.ours[0]: item}
        values = None
        if item.keys is None and item.rows is None and item.scalar is not None:
            values = alias.convert(item.scalar)
        if values is None:
            names = " and ".join(f"`{ours}`" for ours in alias.ours)
            self.problems.append(item.problem(f"this `{key}` cannot be said as {names}", f"write {names}"))
            return None
        return {
            ours: Item(
                item.line, item.col, scalar=value, text=_yaml(value), plain=True, file=item.file, path=item.path
            )
            for ours, value in values.items()
        }


def _told(key: str, item: Item, values: Mapping[str, Item]) -> tuple[str, str]:
    """Message and hint of the warning."""
    if not values:
        return f"`{key}` with this value says nothing new", "leave it out"
    names = " and ".join(f"`{ours}`" for ours in values)
    written = ", ".join(
        _written(ours, None if value.text == item.text else value) for ours, value in values.items()
    )
    return f"`{key}` is taken as {names}", f"write `{written}`"


def _written(ours: str, value: Item | None) -> str:
    """Our key as it stands in a file, with its value where that has changed."""
    *above, last = ours.split(".")
    text = last if value is None else f"{last}: {value.text}"
    for part in reversed(above):
        text = f"{part}: {{{text}}}"
    return text


def _yaml(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _present(item: Item, ours: str) -> bool:
    found: Item | None = item
    for part in ours.split("."):
        found = None if found is None else found.child(part)
    return found is not None


def _put(item: Item, ours: str, value: Item, entry: tuple[Item, int, int]) -> None:
    *above, last = ours.split(".")
    at, line, col = entry
    for part in above:
        below = item.child(part)
        if below is None:
            below = Item(line, col, keys={}, file=at.file, path=at.path)
            (item.keys or {})[part] = (below, line, col)
        item = below
    if item.keys is not None:
        item.keys[last] = (value, line, col)
