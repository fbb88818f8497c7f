"""What many tags of a device share, written once: ``defaults:`` of the device, ``groups:`` with defaults too.

```yaml
devices:
  press:
    driver: modbus_tcp
    defaults: {poll_interval: 1s}
    groups:
      - {name: zone 1, register: input, scale: 0.1, unit: degC, tags: [{name: t1, address: 0}]}
```

Everything is resolved in the tree of the file, before the models see it: a tag's own key comes first, then its
group's, then the device's. An inherited value keeps its place, so an error points to where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from records.errors import Problem
from records.yaml import Item, Tree, did_you_mean, known_keys, models_for, types_below

Keys = dict[str, tuple[Item, int, int]]
_GROUP_KEYS = ("name", "description", "tags")


def expand(tree: Tree, device_type: Any) -> Iterator[Problem]:
    """Resolve defaults and groups of every device; what cannot be resolved is told and left out."""
    devices = tree.root.child("devices")
    for device, _, _ in (devices.keys or {}).values() if devices is not None else ():
        models = models_for([device_type], device)
        if device.keys is not None and (not models or any("groups" in known_keys(model) for model in models)):
            yield from _expand(device, device.keys, device_type)


def _expand(device: Item, keys: Keys, device_type: Any) -> Iterator[Problem]:
    defaults, groups, own = (keys[key][0] if key in keys else None for key in ("defaults", "groups", "tags"))
    if defaults is None and groups is None:
        return
    keys.pop("defaults", None)
    keys.pop("groups", None)
    tag_types = types_below(types_below([device_type], device, "tags"), Item(1, 1, rows=[]), 0)
    known = {key for model in models_for(tag_types, device) for key in known_keys(model)} - {"name", "description"}
    given: Keys = {}
    if defaults is not None:
        yield from _keys_of(defaults, known, (), given)
    if own is not None and own.rows is None:
        return  # the model tells
    rows = [_with(row, given) for row in own.rows or ()] if own is not None else []
    for group in _rows(groups):
        shared: Keys = {}
        yield from _keys_of(group, known, _GROUP_KEYS, shared)
        tags = group.child("tags")
        if tags is None or tags.rows is None:
            yield (tags or group).problem("a group has a list of tags", "tags: [{name: ...}]")
        else:
            rows += [_with(row, {**given, **shared}) for row in tags.rows]
    if groups is not None and groups.rows is None:
        yield groups.problem("groups are a list", "- {name: ..., tags: [...]}")
    place = own or groups
    if rows and place is not None:
        tags = Item(place.line, place.col, rows=rows, file=place.file, path=place.path)
        keys["tags"] = (tags, place.line, place.col)


def _rows(item: Item | None) -> list[Item]:
    return item.rows or [] if item is not None else []


def _keys_of(item: Item, known: set[str], besides: tuple[str, ...], into: Keys) -> Iterator[Problem]:
    """Put the tag keys of a mapping into ``into``; other keys are problems."""
    if item.keys is None:
        yield item.problem("a mapping (lines of `key: value`) is needed here")
        return
    for key, entry in item.keys.items():
        if key in known or not known:  # nothing is known of a device whose driver is wrong
            into[key] = entry
        elif key not in besides:
            hint = did_you_mean(key, sorted(known)) if key != "name" else "each tag has its own name"
            yield item.key_problem(key, f"unknown key `{key}`", hint)


def _with(tag: Item, given: Keys) -> Item:
    """The tag with what it does not say itself."""
    if tag.keys is None:
        return tag
    return Item(tag.line, tag.col, keys={**given, **tag.keys}, file=tag.file, path=tag.path)
