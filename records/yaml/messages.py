"""pydantic's errors in the words of the person who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from records.errors import Problem
from records.trouble import Trouble
from records.yaml.models import known_keys, literals, models_for, types_below
from records.yaml.tree import Item, Path, Tree
from records.yaml.types import limit_like

_KIND = {
    "string_type": "a-text",
    "int_type": "a-whole-number",
    "int_parsing": "a-whole-number",
    "int_from_float": "a-whole-number",
    "float_type": "a-number",
    "float_parsing": "a-number",
    "finite_number": "a-finite-number",
    "bool_type": "true-or-false",
    "bool_parsing": "true-or-false",
    "list_type": "a-list",
    "tuple_type": "a-list",
    "dict_type": "a-mapping",
    "model_type": "a-mapping",
    "model_attributes_type": "a-mapping",
}
_FEW = 20
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
}


def did_you_mean(word: str, known: Iterable[object]) -> str | None:
    """The known word that is meant, or all of them when none is close and they are few."""
    told = _meant(word, known)
    return None if told is None else str(told)


def _meant(word: str, known: Iterable[object]) -> Trouble | None:
    words = [str(name) for name in known]
    longer = [name for name in words if len(word) > 2 and name.lower().startswith(word.lower())]
    if len(longer) == 1:
        return Trouble.of("did-you-mean", word=longer[0])
    near = get_close_matches(word, words, 1, 0.6) or get_close_matches(
        word.lower(), {name.lower(): name for name in words}, 1, 0.6
    )
    if near:
        exact = next(name for name in words if name.lower() == near[0].lower())
        return Trouble.of("did-you-mean", word=exact)
    return Trouble.of("known-here", words=", ".join(words)) if 0 < len(words) <= _FEW else None


def problems_of(errors: Iterable[ErrorDetails], tree: Tree, model: type[BaseModel]) -> list[tuple[Path, Problem]]:
    """One problem for each error with its path in the tree.

    What several members of a union say about one place becomes one problem; members that want another kind of
    value say nothing where one says more. What is wrong with a value that many tags inherit is told once, the
    other paths have the same problem.
    """
    placed = [(*_problem(error, tree, model), _is_of_another_kind(error)) for error in errors]
    said = {path[:depth] for path, _, _ in placed for depth in range(len(path))}
    said.update(path for path, _, another in placed if not another)
    found: dict[Path, Problem] = {}
    for path, problem, another in placed:
        if another and path in said:
            continue
        earlier = found.get(path)
        if earlier is not None and earlier.message != problem.message:
            message = f"{earlier.message}; or: {problem.message}"
            problem = replace(problem, message=message, hint=earlier.hint or problem.hint, trouble=None)
        found[path] = problem
    places: dict[tuple[str, int, int, str], Problem] = {}
    told = []
    for path, problem in found.items():
        place = (problem.file, problem.line, problem.col, problem.path)
        told.append((path, places.setdefault(place, problem)))
    return told


def _is_of_another_kind(error: ErrorDetails) -> bool:
    """Whether a text, a number, a list or a mapping stands where something else of these is wanted."""
    if error["type"] == "literal_error":
        return isinstance(error["input"], dict | list)
    return error["type"] in _KIND and error["type"] != "finite_number"


def _problem(error: ErrorDetails, tree: Tree, model: type[BaseModel]) -> tuple[Path, Problem]:
    """The problem, and the path in the tree that it is about."""
    kind, context = error["type"], error.get("ctx", {})
    path, item, annotations = _walk(error["loc"], tree.root, model)
    key, hint = False, None
    message: str | Trouble
    if kind == "missing":
        name = str(error["loc"][-1])
        path, message, key = (*path, name), Trouble.of("key-missing", key=name), True
    elif kind == "extra_forbidden":
        name = str(path[-1])
        _, parent, types = _walk(error["loc"][:-1], tree.root, model)
        known = {key: None for found in models_for(types, parent) for key in known_keys(found)}
        message, key = Trouble.of("key-unknown", key=name).hinted(_meant(name, known)), True
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        path, message, key = _discriminator(context, path, item, annotations)
    elif kind == "lotkeeper":
        last = error["loc"][-1] if error["loc"] else None
        if path[-1:] != (last,) and any(last in known_keys(found) for found in models_for(annotations, item)):
            path = (*path, str(last))  # a key that is not there, whose default is refused
        path, message, hint = (*path, *context["at"]), str(context["message"]), context["hint"]
    else:
        message, hint = _value_message(error, item)
        if kind == "too_short":
            words = [str(each) for below in types_below(annotations, item, 0) for each in literals(below)]
            hint = f"known here: {', '.join(words)}" if words else None
        key = "[key]" in error["loc"]
    return path, tree.problem(path, message, hint, key=key)


def _walk(loc: tuple[int | str, ...], root: Item, model: type[BaseModel]) -> tuple[Path, Item, list[Any]]:
    """Follow pydantic's location through the file; names of union members, which stand in no file, are skipped."""
    path: Path = ()
    item, annotations = root, [model]
    for part in loc:
        child = item.child(part)
        if child is not None:
            annotations = types_below(annotations, item, part)
            path, item = (*path, part), child
    return path, item, annotations


def _discriminator(
    context: dict[str, Any], path: Path, item: Item, annotations: list[Any]
) -> tuple[Path, Trouble, bool]:
    name = str(context["discriminator"]).strip("'")
    known = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
    if item.child(name) is None:
        options = known or _tags(annotations, name)
        hint = Trouble.of("one-of", words=", ".join(options)) if options else None
        return (*path, name), Trouble.of("key-missing", key=name).hinted(hint), True
    tag = str(context.get("tag"))
    told = Trouble.of("no-known-kind", value=repr(tag), key=name)
    return (*path, name), told.hinted(_meant(tag, known)), False


def _tags(annotations: list[Any], name: str) -> list[str]:
    return [
        str(value)
        for model in models_for(annotations, Item(1, 1, keys={}))
        for value in literals(known_keys(model).get(name))
    ]


def _value_message(error: ErrorDetails, item: Item) -> tuple[str | Trouble, str | None]:
    kind, context = error["type"], error.get("ctx", {})
    written = _written(item)
    if kind in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        word = str(item.text if item.text is not None else item.data())
        told = Trouble.of("not-one-of", value=written, known=", ".join(known))
        return told.hinted(_meant(word, known)), None
    if kind == "string_type" and item.plain and item.text:
        return Trouble.of("text-needed", value=item.text).hinted(Trouble.of("quote-it", value=item.text)), None
    if kind in _KIND:
        return Trouble.of("kind-needed", kind=Trouble.of(_KIND[kind]), value=written), None
    if kind in _LIMITS:
        return _out_of_range(item, _LIMITS[kind], context)
    if kind == "too_short":
        return _too_short(context), None
    if kind == "string_too_short" and not item.text:
        return Trouble.of("text-empty"), None
    if kind == "string_pattern_mismatch":
        return Trouble.of("no-match", value=written, pattern=str(context["pattern"])), None
    message = str(error["msg"]).removeprefix("Value error, ")
    return message.replace("Input should", "it should"), None


def _out_of_range(item: Item, words: str, context: dict[str, Any]) -> tuple[str, str | None]:
    """What is allowed, with a unit where the value has one; the units that may be written."""
    (name, limit), *_ = context.items()
    amount = None if isinstance(limit, str) else limit_like(item.text, limit)
    told, hint = (limit, None) if amount is None else (amount[0], f"units: {amount[1]}")
    return f"{_written(item)} is out of range: it must be {words.format(**{name: told})}", hint


def _too_short(context: dict[str, Any]) -> str:
    least, found = context["min_length"], context["actual_length"] or "none"
    one, more = ("entry", "entries") if context["field_type"] == "Dictionary" else ("item", "items")
    return f"at least {least} {one if least == 1 else more} must stand here, found {found}"


def _written(item: Item) -> str:
    if item.keys is not None:
        return "a mapping"
    if item.rows is not None:
        return "a list"
    if item.scalar is None:
        return "nothing"
    return repr(item.text) if isinstance(item.scalar, str) else str(item.text)
