"""YAML text to a tree of items that know where they stand and how they were written.

YAML 1.2: ``NO`` is a text and ``012`` is twelve. Dates stay texts. Keys are texts as written. Anchors, aliases and
merge keys (``<<``) work; tags of applications (``!something``) do not. Everything is bounded, so that a file made
of aliases of aliases cannot fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from records.errors import Problem
from records.trouble import Trouble

MAX_BYTES = 4 * 1024 * 1024
MAX_ITEMS = 200_000
MAX_DEPTH = 60
ROOT = "(file)"

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What may not stand in a YAML file as it is (YAML 1.2.2, 5.1)."""
_UNKEPT = re.compile("[\0\ud800-\udfff]")
"""What cannot be told on: no database takes a NUL, and half a surrogate pair is no character."""
_RETYPE = "type this place anew; what cannot be seen may have come in by a copy"
_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = {"str", "timestamp", "value", "binary"}

Path = tuple[str | int, ...]


def shown(path: Path) -> str:
    """A path as people read it: ``devices.sealer.tags.0.node_id``."""
    return ".".join(map(str, path)) or ROOT


@dataclass(slots=True)
class Item:
    """One YAML value: a scalar, or children by key or in a row. ``text`` is a scalar as it was written.

    ``file``, ``line``, ``col`` and ``path`` say where it was written: an item that came into a tree from another
    file, or from the defaults of a group, keeps its own place. A key of ``keys`` stands in the file of its value.
    """

    line: int
    col: int
    scalar: str | int | float | bool | None = None
    text: str | None = None
    plain: bool = False
    keys: dict[str, tuple[Item, int, int]] | None = None
    rows: list[Item] | None = None
    file: str = ""
    path: Path = ()

    @property
    def is_null(self) -> bool:
        return self.keys is None and self.rows is None and self.scalar is None

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """A problem at this value."""
        return Problem(self.file, self.line, self.col, shown(self.path), message, hint)

    def key_problem(self, key: str, message: str, hint: str | None = None) -> Problem:
        """A problem at a key of this mapping."""
        item, line, col = (self.keys or {})[key]
        return Problem(item.file, line, col, shown(item.path), message, hint)

    def child(self, part: str | int) -> Item | None:
        if self.keys is not None and isinstance(part, str) and part in self.keys:
            return self.keys[part][0]
        if self.rows is not None and isinstance(part, int) and 0 <= part < len(self.rows):
            return self.rows[part]
        return None

    def data(self) -> object:
        """Plain dicts, lists and scalars."""
        if self.keys is not None:
            return {key: item.data() for key, (item, _, _) in self.keys.items()}
        if self.rows is not None:
            return [item.data() for item in self.rows]
        return self.scalar


class Tree:
    """The root item of a file and what was wrong with the YAML itself."""

    def __init__(self, file: str, root: Item, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.root = root
        self.problems = problems

    def problem(
        self, path: Path, message: str | Trouble, hint: str | None = None, *, key: bool = False
    ) -> Problem:
        """A problem at the value at ``path`` (``key``: at its key), or at the nearest parent that exists.

        A trouble has a hint of its own.
        """
        item, at, place = self.root, 0, (self.root.line, self.root.col)
        for part in path:
            found = item.child(part)
            if found is None:
                break
            place = (found.line, found.col)
            if key and item.keys is not None and isinstance(part, str):
                place = item.keys[part][1:]
            item, at = found, at + 1
        where = (item.file or self.file, *place, shown((*item.path, *path[at:])))
        if isinstance(message, str):
            return Problem(*where, message, hint)
        return Problem(*where, str(message), None if message.hint is None else str(message.hint), message)


def parse(content: bytes, file: str) -> Tree:
    """The tree of a file's bytes; what is wrong with the YAML is in ``problems``, with an empty root."""
    try:
        if len(content) > MAX_BYTES:
            raise _Wrong(1, 1, f"the file has {len(content)} bytes, more than {MAX_BYTES} are not read")
        return _build(_compose(_decode(content)), file)
    except _Wrong as error:
        problem = Problem(file, error.line, error.col, ROOT, error.message, error.hint)
        return Tree(file, Item(1, 1, file=file), (problem,))


class _Wrong(Exception):
    def __init__(self, line: int, col: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.line, self.col, self.message, self.hint = line, col, message, hint


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        col = error.start - (before.rfind(b"\n") + 1) + 1
        raise _Wrong(
            before.count(b"\n") + 1, col, "the file is no UTF-8 text", "save it as UTF-8 in your editor"
        ) from None


def _compose(text: str) -> Node:
    reader = YAML(typ="safe", pure=True)
    try:
        documents = list(_take(reader.compose_all(text), 2))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _Wrong(line, col, f"this is no valid YAML: {what}", _syntax_hint(what)) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise _broken(text) from error
    if not documents or documents[0] is None:
        raise _Wrong(1, 1, "the file is empty")
    if len(documents) > 1:
        mark = documents[1].start_mark
        raise _Wrong(mark.line + 1, mark.column + 1, "a second document begins here", "one file, one document")
    return documents[0]


def _broken(text: str) -> _Wrong:
    """What is wrong with a text that could not be composed and for which no place was told."""
    if found := _UNPRINTABLE.search(text):
        before = text[: found.start()]
        line, col = before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1
        return _Wrong(line, col, f"the character U+{ord(found[0]):04X} cannot stand in a file", _RETYPE)
    line, col, depth = 1, 1, 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line, col = event.end_mark.line + 1, event.end_mark.column + 1
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                return _Wrong(line, col, f"nested deeper than {MAX_DEPTH} levels")
    except (YAMLError, ValueError):
        pass  # behind the last event
    return _Wrong(line, col, "this is no valid YAML: what stands behind this place cannot be read", _RETYPE)


def _take(documents: Iterator[Any], count: int) -> Iterator[Node]:
    for _, document in zip(range(count), documents, strict=False):
        yield document


def _syntax_hint(what: str) -> str | None:
    if "\\t" in what or "\t" in what:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in what:
        return "a text that holds ': ' needs quotes, and keys of one level the same indentation"
    if "alias" in what:
        return "name the anchor (&name) before its alias (*name); a text that begins with * needs quotes"
    if "found character" in what:
        return "a text that begins with @ ` % * & ! | > needs quotes"
    if "block" in what:
        return "check the indentation of this line and of the one before"
    if "flow" in what:
        return "a bracket or a comma is missing"
    return None


@dataclass(slots=True)
class _Builder:
    file: str
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    open_nodes: list[int] = field(default_factory=list)

    def wrong(self, mark: Any, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, shown(path), message, hint))

    def item(self, node: Node, path: Path) -> Item:
        line, col = node.start_mark.line + 1, node.start_mark.column + 1
        self.count += 1
        if self.count > MAX_ITEMS:
            raise _Wrong(line, col, f"more than {MAX_ITEMS} values (aliases counted)")
        if len(self.open_nodes) > MAX_DEPTH:
            raise _Wrong(line, col, f"nested deeper than {MAX_DEPTH} levels")
        if id(node) in self.open_nodes:
            raise _Wrong(line, col, "this anchor contains itself")
        self.open_nodes.append(id(node))
        try:
            if isinstance(node, MappingNode):
                item = Item(line, col, keys={}, file=self.file, path=path)
                self.mapping(node, path, item)
                return item
            if isinstance(node, SequenceNode):
                rows = [self.item(row, (*path, n)) for n, row in enumerate(node.value)]
                return Item(line, col, rows=rows, file=self.file, path=path)
            if isinstance(node, ScalarNode):
                return self.scalar(node, path, line, col)
            raise _Wrong(line, col, f"a {type(node).__name__} cannot stand here")
        finally:
            self.open_nodes.pop()

    def mapping(self, node: MappingNode, path: Path, item: Item) -> None:
        keys = item.keys if item.keys is not None else {}
        merged: list[Item] = []
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            if not isinstance(key_node, ScalarNode):
                self.wrong(mark, path, "a key must be one word or number")
                continue
            if str(key_node.tag) == f"{_CORE}merge":
                found = self.item(value_node, (*path, "<<"))
                merged.extend(found.rows if found.rows is not None else [found])
                continue
            key = str(key_node.value)
            if not self.can_be_kept(key_node, path):
                continue
            if key in keys:
                first = keys[key][1]
                self.wrong(mark, (*path, key), f"`{key}` stands here twice", f"the first is in line {first}")
                continue
            keys[key] = (self.item(value_node, (*path, key)), mark.line + 1, mark.column + 1)
        for other in merged:
            if other.keys is None:
                self.wrong(node.start_mark, (*path, "<<"), "only a mapping can be merged")
                continue
            for key, entry in other.keys.items():
                keys.setdefault(key, entry)

    def can_be_kept(self, node: ScalarNode, path: Path) -> bool:
        if found := _UNKEPT.search(str(node.value)):
            what = f"the character U+{ord(found[0]):04X} cannot be kept in a text"
            self.wrong(node.start_mark, path, what, _RETYPE)
        return found is None

    def scalar(self, node: ScalarNode, path: Path, line: int, col: int) -> Item:
        text, tag = str(node.value), str(node.tag)
        name = tag.removeprefix(_CORE)
        plain = node.style is None
        item = Item(line, col, scalar=text, text=text, plain=plain, file=self.file, path=path)
        self.can_be_kept(node, path)
        if not tag.startswith(_CORE):
            self.wrong(node.start_mark, path, f"the tag {tag} is not known here", "write the value without a tag")
        elif name == "null":
            item.scalar = None
        elif name == "bool":
            item.scalar = text.lower() == "true"
        elif name in ("int", "float"):
            item.scalar = _number(text)
        elif name not in _TEXT_TAGS:
            self.wrong(node.start_mark, path, f"the tag {name} is not known here")
        return item


_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


def _number(text: str) -> int | float | str:
    bare = text.replace("_", "").lower()
    if bare in _SPECIAL:
        return _SPECIAL[bare]
    try:
        if re.fullmatch(r"[-+]?0[xob][0-9a-f]{1,400}", bare):
            return int(bare, 0)
        if re.fullmatch(r"[-+]?[0-9]{1,400}", bare):
            return int(bare)
        return float(bare)
    except ValueError:
        return text


def _build(node: Node, file: str) -> Tree:
    builder = _Builder(file)
    root = builder.item(node, ())
    if root.keys is None and not builder.problems:
        builder.wrong(node.start_mark, (), "the file must be a mapping", "begin with lines of `key: value`")
    return Tree(file, root, tuple(builder.problems))
