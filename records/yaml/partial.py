"""A model of the sound parts of a file: what goes across the file is checked although some part is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from records.errors import Problem
from records.yaml.tree import Item, Path, Tree

M = TypeVar("M", bound=BaseModel)

ROUNDS = 5
DROP = object()
"""In ``Parts``: what is wrong is left out."""

Parts = Mapping[Path, object]
"""Which parts of a file may be left out when they are wrong (``*``: any key or row), or what stands in."""

Told = Callable[[ValidationError, Tree], list[tuple[Path, Problem]]]


class Sound:
    """What is left of a file without its wrong parts, and what these were."""

    def __init__(self, tree: Tree, parts: Parts) -> None:
        self.tree = tree
        self.problems: list[Problem] = []
        self.left_out: list[tuple[Path, Item]] = []
        self._parts = parts

    def model(self, model: type[M], context: dict[str, Any], told: Told) -> M | None:
        """The model, None when too much is wrong; every problem met on the way is kept."""
        for _ in range(ROUNDS):
            try:
                return model.model_validate(self.tree.root.data(), context=context)
            except ValidationError as error:
                found = told(error, self.tree)
            self.problems += [problem for path, problem in found if not self._emptied(path)]
            if not self._leave_out([path for path, _ in found]):
                return None
        return None

    def _emptied(self, path: Path) -> bool:
        """Whether nothing is left there because all of it was left out: that was told already."""
        item: Item | None = self.tree.root
        for part in path:
            item = None if item is None else item.child(part)
        nothing = item is not None and (item.keys == {} or item.rows == [])
        return nothing and any(left[: len(path)] == path for left, _ in self.left_out)

    def _leave_out(self, paths: list[Path]) -> bool:
        wrong: dict[Path, object] = {}
        for path in paths:
            fitting = [part for part in self._parts if _fits(part, path)]
            if not fitting:
                return False
            part = max(fitting, key=len)
            wrong[path[: len(part)]] = self._parts[part]
        self.tree = Tree(self.tree.file, self._without(self.tree.root, (), wrong), ())
        return True

    def _without(self, item: Item, path: Path, wrong: dict[Path, object]) -> Item:
        parts: list[str | int] = list(item.keys) if item.keys is not None else list(range(len(item.rows or ())))
        kept: dict[str | int, Item] = {}
        for part in parts:
            child = item.child(part)
            if child is not None and (*path, part) in wrong:
                self.left_out.append(((*path, part), child))
            elif child is not None:
                kept[part] = self._without(child, (*path, part), wrong)
        copy = Item(item.line, item.col, item.scalar, item.text, item.plain, file=item.file, path=item.path)
        if item.rows is not None:
            copy.rows = list(kept.values())
        if item.keys is not None:
            copy.keys = {str(key): (child, *item.keys[str(key)][1:]) for key, child in kept.items()}
            for at, value in wrong.items():
                if at[:-1] == path and value is not DROP:
                    stand_in = Item(item.line, item.col, scalar=str(value), file=item.file, path=at)
                    copy.keys[str(at[-1])] = (stand_in, item.line, item.col)
        return copy


def _fits(part: Path, path: Path) -> bool:
    return len(part) <= len(path) and all(a in ("*", b) for a, b in zip(part, path, strict=False))
