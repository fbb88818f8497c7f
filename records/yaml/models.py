"""Which pydantic model stands behind a place of a file: for the names of keys that are known there."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from records.yaml.tree import Item
from records.yaml.types import Settings


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a (nested, annotated) union; a plain type alone."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [found for part in get_args(annotation) for found in _alternatives(part)]
    return [annotation]


def known_keys(model: type[BaseModel]) -> dict[str, Any]:
    """The keys that a model takes, as they are written in the file, with the types of their values."""
    keys: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        keys[alias or name] = info.annotation
    if issubclass(model, Settings):
        keys.update(model.resolved_keys())
    return keys


def literals(annotation: Any) -> tuple[object, ...]:
    """The values that a ``Literal`` type allows; empty for another type."""
    found = [get_args(part) for part in _alternatives(annotation) if get_origin(part) is Literal]
    return tuple(value for values in found for value in values)


def models_for(annotations: list[Any], item: Item) -> list[type[BaseModel]]:
    """The models among these types that the item may be, by its discriminating keys."""
    models = [
        part
        for annotation in annotations
        for part in _alternatives(annotation)
        if isinstance(part, type) and issubclass(part, BaseModel)
    ]
    if len(models) < 2:
        return models
    keys = [known_keys(model) for model in models]
    told_by = [key for key in keys[0] if all(literals(each.get(key)) for each in keys)]
    return [model for model, each in zip(models, keys, strict=True) if _fits(each, item, told_by)]


def _fits(keys: dict[str, Any], item: Item, told_by: list[str]) -> bool:
    """Whether the item has no value under a key that tells the models apart, or one of this model's."""
    found = ((key, item.child(key)) for key in told_by)
    return all(value is None or value.scalar in literals(keys[key]) for key, value in found)


def types_below(annotations: list[Any], item: Item, part: str | int) -> list[Any]:
    """The types that the child ``part`` of this item may have."""
    below: list[Any] = []
    for model in models_for(annotations, item):
        keys = known_keys(model)
        if part in keys:
            below.append(keys[str(part)])
    for annotation in annotations:
        for alternative in _alternatives(annotation):
            origin, args = get_origin(alternative), get_args(alternative)
            if origin is dict and isinstance(part, str):
                below.append(args[1])
            elif origin in (list, tuple, set, frozenset) and isinstance(part, int):
                below.extend(args[:1])
    return below
