"""The only door to YAML: a file becomes a frozen pydantic model, or every error of it at once, with its place.

``load`` reads a file, ``parse`` its bytes. Both give a ``Loaded``: the value, the very bytes and their SHA-256
(the configuration hash that every record names), warnings (an alias of another tool was used) and, for checks that
go across the file later, the place of every value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from records.errors import ConfigurationError, Problem
from records.yaml.messages import did_you_mean, problems_of, shown
from records.yaml.models import known_keys, models_for, types_below
from records.yaml.tree import ROOT, Item, Path, Tree
from records.yaml.tree import parse as parse_tree
from records.yaml.types import Duration, Secret, Settings, Size, fault

__all__ = [
    "Duration",
    "Loaded",
    "Path",
    "Secret",
    "Settings",
    "Size",
    "did_you_mean",
    "fault",
    "load",
    "parse",
    "refuse",
]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A file that was read without an error."""

    value: M
    hash: str
    sources: tuple[tuple[str, bytes], ...] = field(repr=False)
    """The files it was read from, the file itself first: name (relative to the file's folder) and very bytes."""
    warnings: tuple[Problem, ...]
    _tree: Tree = field(repr=False)

    @property
    def file(self) -> str:
        return self._tree.file

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of the value at this path, such as ``("devices", "plc", "tags", 0)``."""
        return self._tree.value_at(path)

    def problem(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A problem that a later check found at this path; ``key`` points at its key instead of its value."""
        line, col = self._tree.key_at(path) if key else self._tree.value_at(path)
        return Problem(self._tree.file, line, col, shown(path), message, hint)


def load(
    path: FilePath,
    model: type[M],
    *,
    aliases: Mapping[str, str] | None = None,
    check: Callable[[Loaded[M]], Iterable[Problem]] | None = None,
) -> Loaded[M]:
    """The model that a YAML file describes.

    Args:
        path: the file.
        model: what it must be; relative secrets are sought beside the file.
        aliases: words of other tools and ours for them; used only where ours is a key and theirs is none,
            each use is a warning.
        check: finds what a model alone cannot see (references across the file); its problems are errors too.

    Raises:
        ConfigurationError: with every problem, in the order of lines.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = Problem(
            str(path), 1, 1, ROOT, f"cannot be read: {error.strerror}", "check the path and its rights"
        )
        raise ConfigurationError(str(problem), (problem,)) from None
    return parse(content, model, file=str(path), folder=path.parent, aliases=aliases, check=check)


def parse(
    content: bytes,
    model: type[M],
    *,
    file: str = "(text)",
    folder: FilePath | None = None,
    aliases: Mapping[str, str] | None = None,
    check: Callable[[Loaded[M]], Iterable[Problem]] | None = None,
) -> Loaded[M]:
    """As ``load``, for bytes that are already here."""
    tree = parse_tree(content, file)
    problems = list(tree.problems)
    if tree.root.keys is None:
        refuse(problems)
    warnings: list[Problem] = []
    _rename(tree, tree.root, [model], (), dict(aliases or {}), warnings, problems)
    try:
        value = model.model_validate(tree.root.data(), context={"folder": folder})
    except ValidationError as error:
        problems += problems_of(error.errors(include_url=False), tree, model)
    except RecursionError:
        problems.append(Problem(file, 1, 1, ROOT, "nested too deep"))
    if problems:
        refuse(problems)
    digest = hashlib.sha256(content).hexdigest()
    name = FilePath(file).name
    loaded = Loaded(value, f"sha256:{digest}", ((name, content),), tuple(sorted(warnings, key=_place)), tree)
    if check is not None:
        found = tuple(check(loaded))
        if found:
            refuse(found)
    return loaded


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise ConfigurationError with these problems in the order of lines, each once."""
    ordered = tuple(sorted(dict.fromkeys(problems), key=_place))
    raise ConfigurationError("\n".join(map(str, ordered)), ordered)


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.file, problem.line, problem.col, problem.path


def _rename(
    tree: Tree,
    item: Item,
    annotations: list[Any],
    path: Path,
    aliases: dict[str, str],
    warnings: list[Problem],
    problems: list[Problem],
) -> None:
    """Give keys that another tool uses for ours our name, wherever ours is known and theirs is not."""
    if item.keys is not None:
        known = {key for model in models_for(annotations, item) for key in known_keys(model)}
        for key in [key for key in item.keys if key not in known and aliases.get(key) in known]:
            ours = aliases[key]
            _, line, col = item.keys[key]
            place = (tree.file, line, col, shown((*path, key)))
            if ours in item.keys:
                problems.append(Problem(*place, f"`{key}` means `{ours}`, which stands here too", "keep one"))
                del item.keys[key]
                continue
            warnings.append(Problem(*place, f"`{key}` is taken as `{ours}`", f"write `{ours}`"))
            item.keys = {ours if name == key else name: entry for name, entry in item.keys.items()}
    parts: list[str | int] = list(item.keys) if item.keys is not None else list(range(len(item.rows or ())))
    for part in parts:
        child = item.child(part)
        if child is not None:
            below = types_below(annotations, item, part)
            _rename(tree, child, below, (*path, part), aliases, warnings, problems)
