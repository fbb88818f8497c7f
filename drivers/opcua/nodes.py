"""Where each tag is on this server, and what the server says about it: looked up after every connect.

A tag whose node cannot be named (no such namespace, a browse path that leads nowhere or to several nodes), or
whose structure or enumeration has no definition, has a problem instead of a value; the others are read all the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.asking import Ask
from drivers.opcua.definitions import key_of, learn, learn_encoding
from drivers.opcua.structures import Structures
from drivers.opcua.units import unit_text
from drivers.opcua.values import BAD_DATA_TYPE_ID_UNKNOWN, Take
from drivers.status import BAD_NAMESPACE_UNKNOWN
from drivers.tags import OpcUaTag
from drivers.tags.opcua import browse_steps

BAD_NO_MATCH = 0x806F0000
BAD_TOO_MANY_MATCHES = 0x806D0000


@dataclass(frozen=True, slots=True)
class Point:
    """A tag on this server: its node, or the status that says why it has none.

    ``tag`` has the server's unit where the map has none. ``limits`` are its plausible range, if it is to be held.
    """

    tag: OpcUaTag
    node: ua.NodeId | None
    problem: int
    take: Take
    limits: tuple[float, float] | None = None


class Nodes:
    """Looks up tags; what it learned about data types is kept as long as the session."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._structures = Structures()

    async def points(self, tags: Sequence[OpcUaTag], *, refresh: bool = False) -> dict[str, Point]:
        """Every tag's point by its name; with ``refresh``, by the namespaces that the server has now.

        Raises:
            Unreachable: the session is lost.
        """
        if refresh:
            await self._ask.refresh()
        found = {tag.name: self._named(tag) for tag in tags}
        await self._follow(found)
        await self._ask_units(found)
        await self._ask_words(found)
        await self._ask_structures(found)
        return found

    def node_id(self, text: str, namespace_uri: str | None) -> ua.NodeId | None:
        """A node by its id, or by an identifier in a namespace; None when there is no such namespace."""
        if namespace_uri is None:
            return ua.NodeId.from_string(text)
        index = self._index_of(namespace_uri)
        return None if index is None else ua.NodeId.from_string(f"ns={index};{text}")

    # -- inside ----------------------------------------------------------------------------------------------

    def _index_of(self, uri: str) -> int | None:
        namespaces = self._ask.namespaces
        return namespaces.index(uri) if uri in namespaces else None

    def _named(self, tag: OpcUaTag) -> Point:
        how = Take(
            "" if tag.data_type in (None, "enum") else tag.data_type,
            tag.array_index,
            tuple(tag.field.split(".")) if tag.field else (),
            tag.enumeration,
            self._structures,
        )
        limits = tag.range if isinstance(tag.range, tuple) else None
        if tag.browse_path is not None:
            return Point(tag, None, 0, how, limits)
        node = self.node_id(tag.node_id or tag.identifier or "", tag.namespace_uri)
        return Point(tag, node, BAD_NAMESPACE_UNKNOWN if node is None else 0, how, limits)

    async def _follow(self, found: dict[str, Point]) -> None:
        names: list[str] = []
        paths: list[ua.BrowsePath] = []
        for name, point in found.items():
            if point.tag.browse_path is None:
                continue
            steps = []
            for step in browse_steps(point.tag.browse_path, point.tag.namespace_uri):
                index = step.index if step.uri is None else self._index_of(step.uri)
                steps.append(None if index is None else ua.QualifiedName(step.name, ua.UInt16(index)))
            if None in steps:
                found[name] = replace(point, problem=BAD_NAMESPACE_UNKNOWN)
                continue
            names.append(name)
            paths.append(browse_path(ua.NodeId(ua.Int32(ObjectIds.RootFolder)), steps))
        for name, nodes in zip(names, await self._ask.followed(paths) if paths else (), strict=True):
            if len(nodes) == 1:
                found[name] = replace(found[name], node=nodes[0])
            else:
                found[name] = replace(found[name], problem=BAD_TOO_MANY_MATCHES if nodes else BAD_NO_MATCH)

    async def _ask_units(self, found: dict[str, Point]) -> None:
        units = [n for n, p in found.items() if p.node is not None and p.tag.unit is None and _measured(p.tag)]
        ranges = [n for n, p in found.items() if p.node is not None and p.tag.range == "server"]
        for name, unit in zip(units, await self._properties(found, units, "EngineeringUnits"), strict=True):
            if isinstance(unit, ua.EUInformation) and (text := unit_text(unit)):
                tag = found[name].tag.model_copy(update={"unit": text})
                found[name] = replace(found[name], tag=tag)
        for name, limits in zip(ranges, await self._properties(found, ranges, "EURange"), strict=True):
            if isinstance(limits, ua.Range) and limits.Low < limits.High:
                found[name] = replace(found[name], limits=(float(limits.Low), float(limits.High)))

    async def _properties(self, found: dict[str, Point], names: Sequence[str], name: str) -> list[object]:
        """The property's value of each tag's node, None where there is none."""
        return await self._of_nodes([node for n in names if (node := found[n].node) is not None], name)

    async def _of_nodes(self, nodes: Sequence[ua.NodeId], name: str) -> list[object]:
        if not nodes:
            return []
        wanted = ua.QualifiedName(name, ua.UInt16(0))
        followed = await self._ask.followed([browse_path(node, [wanted]) for node in nodes])
        there = [targets[0] for targets in followed if targets]
        values = iter(await self._ask.attributes(there, AttributeIds.Value) if there else ())
        return [next(values) if targets else None for targets in followed]

    async def _ask_words(self, found: dict[str, Point]) -> None:
        """The names of enumerations' numbers, by the variable itself, else by its data type."""
        names = [n for n, p in found.items() if p.tag.data_type == "enum" and p.tag.enumeration is None]
        nodes = {n: node for n in names if (node := found[n].node) is not None}
        told = await self._words_at(list(nodes.values()))
        types = await self._ask.attributes(list(nodes.values()), AttributeIds.DataType) if nodes else []
        of_types: dict[str, dict[int, str] | None] = {}
        for name, words, data_type in zip(nodes, told, types, strict=True):
            if not words and isinstance(data_type, ua.NodeId):
                key = key_of(data_type)
                if key not in of_types:
                    of_types[key] = await self._words_of_type(data_type)
                words = of_types[key]
            point = found[name]
            if words:
                found[name] = replace(point, take=replace(point.take, words=words))
            else:
                found[name] = replace(point, problem=BAD_DATA_TYPE_ID_UNKNOWN)

    async def _words_of_type(self, data_type: ua.NodeId) -> dict[int, str] | None:
        (words,) = await self._words_at([data_type])
        if words:
            return words
        await learn(self._structures, data_type, self._ask)
        return self._structures.words.get(key_of(data_type))

    async def _words_at(self, nodes: Sequence[ua.NodeId]) -> list[dict[int, str] | None]:
        """What the properties EnumStrings and EnumValues of these nodes say."""
        found: list[dict[int, str] | None] = []
        strings, values = await self._of_nodes(nodes, "EnumStrings"), await self._of_nodes(nodes, "EnumValues")
        for texts, pairs in zip(strings, values, strict=True):
            if isinstance(texts, list):
                found.append(_by_number(enumerate(texts)))
            elif isinstance(pairs, list):
                named = [item for item in pairs if isinstance(item, ua.EnumValueType)]
                found.append(_by_number((int(item.Value), item.DisplayName) for item in named))
            else:
                found.append(None)
        return found

    async def _ask_structures(self, found: dict[str, Point]) -> None:
        """The definitions of structures, before their values can be told."""
        wanted = [p for p in found.values() if p.tag.field is not None or p.tag.data_type == "structure"]
        nodes = [point.node for point in wanted if point.node is not None]
        types = await self._ask.attributes(nodes, AttributeIds.DataType) if nodes else []
        for node, data_type in zip(nodes, types, strict=True):
            if isinstance(data_type, ua.NodeId):
                await learn(self._structures, data_type, self._ask)
                if self._structures.plans.get(key_of(data_type)) is not None:
                    continue
            # declared as any structure, or as none: what it is now tells
            if (encoding := await self._ask.structure_type(node)) is not None:
                await learn_encoding(self._structures, encoding, self._ask)


def _measured(tag: OpcUaTag) -> bool:
    """Whether a unit can be meant."""
    return tag.type_name.removesuffix("[]") in ("", "float32", "float64") or tag.type_name.startswith(
        ("int", "uint")
    )


def _by_number(told: Iterable[tuple[int, Any]]) -> dict[int, str]:
    words = {int(number): str(getattr(item, "Text", None) or item) for number, item in told}
    return words if len(set(words.values())) == len(words) else {n: f"{word} ({n})" for n, word in words.items()}


def browse_path(start: ua.NodeId, names: Sequence[ua.QualifiedName | None]) -> ua.BrowsePath:
    """A path along these names from a node, by any hierarchical reference."""
    return ua.BrowsePath(
        start,
        ua.RelativePath(
            [
                ua.RelativePathElement(
                    ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
                    IsInverse=False,  # type: ignore[arg-type]
                    IncludeSubtypes=True,  # type: ignore[arg-type]
                    TargetName=name or ua.QualifiedName(),
                )
                for name in names
            ]
        ),
    )
