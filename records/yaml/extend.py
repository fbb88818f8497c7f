"""``extends: FILE``: a file that says only in what it differs from another one.

Mappings merge by key, lists in which every entry has a ``name`` merge by name, every other value replaces. In
the extending file ``null`` removes a key of the base, and ``{name: X, remove: true}`` an entry of its list. Every
value keeps the place where it was written, so an error points into the base where it stands there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from records.errors import Problem
from records.yaml.messages import did_you_mean
from records.yaml.tree import MAX_BYTES, Item, Tree, parse

KEY = "extends"
MAX_FILES = 8


@dataclass(slots=True)
class Chain:
    """A file and what it extends, the file itself first."""

    trees: list[Tree]
    sources: list[tuple[str, bytes]]
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False
    """Whether a file of it could not be read: what it holds is then not known."""

    def merged(self) -> Tree:
        """One tree of them all; what the files say wrong of each other is added to ``problems``."""
        root = self.trees[-1].root
        for tree in reversed(self.trees[:-1]):
            root = self._merge(root, tree.root)
        return Tree(self.trees[0].file, root, tuple(self.problems))

    def _merge(self, base: Item, own: Item) -> Item:
        if base.keys is not None and own.keys is not None:
            return Item(own.line, own.col, keys=self._keys(base.keys, own), file=own.file, path=own.path)
        if base.rows and own.rows and _named(base.rows) and _named(own.rows):
            return Item(own.line, own.col, rows=self._rows(base.rows, own.rows), file=own.file, path=own.path)
        return own

    def _keys(self, base: dict[str, tuple[Item, int, int]], own: Item) -> dict[str, tuple[Item, int, int]]:
        keys = dict(base)
        for key, entry in (own.keys or {}).items():
            item, line, col = entry
            if not item.is_null:
                keys[key] = (self._merge(base[key][0], item), line, col) if key in base else entry
            elif key in base:
                del keys[key]
            else:
                message = f"what this file extends has no `{key}` that could be removed"
                self.problems.append(own.key_problem(key, message, did_you_mean(key, base)))
        return keys

    def _rows(self, base: list[Item], own: list[Item]) -> list[Item]:
        rows = list(base)
        names = [_name(row) for row in base]
        done: set[object] = set()
        for row in own:
            name = _name(row)
            if name in done or name not in names:  # told twice in one file: left for the model to refuse
                if _removes(row):
                    message = f"what this file extends has no {name} that could be removed"
                    self.problems.append(row.problem(message, did_you_mean(str(name), names)))
                else:
                    rows.append(row)
                continue
            done.add(name)
            place = names.index(name)
            if _removes(row):
                del rows[place], names[place]
            else:
                rows[place] = self._merge(rows[place], row)
        return rows


def read_chain(content: bytes, file: str, folder: FilePath | None, *, follow: bool) -> Chain:
    """The file with these bytes and all that it extends, as far as they can be read.

    ``follow``: ``extends`` is a key of this kind of file; else it is left for the model to refuse.
    """
    chain = Chain([parse(content, file)], [(FilePath(file).name, content)])
    seen = [(folder / FilePath(file).name).resolve()] if folder is not None else []
    at = folder
    while follow and (item := _extends(chain.trees[-1].root)) is not None:
        path, message = _next(item, at, seen)
        if path is not None and message is None:
            found = _read(path)
            message = found if isinstance(found, str) else None
            if isinstance(found, bytes):
                chain.trees.append(parse(found, str(path)))
                chain.sources.append((_relative(path, folder), found))
                seen.append(path.resolve())
                at = path.parent
        if message is not None:
            chain.problems.append(item.problem(message))
            chain.broken = True
            break
    chain.problems += [problem for tree in chain.trees for problem in tree.problems]
    chain.broken |= any(tree.root.keys is None for tree in chain.trees)
    return chain


def _extends(root: Item) -> Item | None:
    """What the file says under ``extends``; the key is taken out."""
    if root.keys is None or KEY not in root.keys:
        return None
    return root.keys.pop(KEY)[0]


def _next(item: Item, folder: FilePath | None, seen: list[FilePath]) -> tuple[FilePath | None, str | None]:
    if not isinstance(item.scalar, str) or not item.scalar or "\0" in item.scalar:
        return None, "the name of a file is needed, relative to the folder of this one"
    if folder is None:
        return None, "only a file can extend another one"
    path = folder / item.scalar
    if path.resolve() in seen:
        circle = " extends ".join(found.name for found in (*seen, path))
        return None, f"the files extend each other in a circle: {circle}"
    if len(seen) >= MAX_FILES:
        return None, f"more than {MAX_FILES} files extend each other"
    return path, None


def _read(path: FilePath) -> bytes | str:
    try:
        if path.exists() and not path.is_file():
            return f"{path} is no file"
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _relative(path: FilePath, folder: FilePath | None) -> str:
    try:
        return FilePath(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.name


def _named(rows: list[Item]) -> bool:
    return all(isinstance(_name(row), str) for row in rows)


def _name(row: Item) -> object:
    name = row.child("name")
    return None if name is None else name.scalar


def _removes(row: Item) -> bool:
    """Whether the row is ``{name: X, remove: true}`` and nothing else."""
    remove = row.child("remove")
    return remove is not None and remove.scalar is True and set(row.keys or ()) == {"name", "remove"}
