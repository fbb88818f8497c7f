"""Walks a server's address space and tells its variables as they are found.

A server may hold hundreds of thousands of nodes, refer in circles, and stop answering when it is asked for
everything at once. So the walk goes depth first with bounded requests, looks at each node once, follows a
continuation to its end before it goes deeper, holds no tree (only the ids that it has seen and those that wait),
and stops at ``max_nodes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from asyncua import ua
from asyncua.ua import uaerrors
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from drivers.opcua.asking import Ask
from drivers.opcua.binary import NAMES
from drivers.opcua.failures import TOO_LARGE
from drivers.opcua.limits import parts
from drivers.opcua.nodes import browse_path
from drivers.opcua.session import Session
from drivers.opcua.units import unit_text
from drivers.opcua.values import status_text
from records.errors import ConfigurationError, Refused

OBJECTS = "i=85"
_AT_ONCE = 100
_REFERENCES_AT_ONCE = 1000
_OPEN_RANKS = (-3, -2, 0)  # scalar or array, anything, an array of any dimensions
_SUPERTYPES_AT_MOST = 8
_WRITE_BIT = 2
_STRUCTURE = 22
_TYPES = {number: name for number, name in NAMES.items() if number <= _STRUCTURE} | {29: "enum"}
"""Data types of namespace 0 by their number, in the tag map's words (OPC 10000-6, 5.1.2)."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What of an address space is wanted. ``match`` is a glob over ``Folder/Name`` paths below the root."""

    root: str = OBJECTS
    depth: int = 10
    max_nodes: int = 20_000
    match: str | None = None
    namespace: str | None = None
    writable: bool = False
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One variable. ``data_type`` is empty where the tag map has no word for it."""

    path: tuple[str, ...]
    namespace_uri: str | None
    namespace: int
    identifier: str
    data_type: str
    unit: str | None
    writable: bool

    @property
    def node_id(self) -> str:
        return f"ns={self.namespace};{self.identifier}" if self.namespace else self.identifier


@dataclass(slots=True)
class Progress:
    """How far a walk is. ``stopped``: at its limit, with more to see. ``unread``: nodes that did not answer."""

    nodes: int = 0
    tags: int = 0
    unread: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    node: ua.NodeId
    path: tuple[str, ...]


@dataclass(slots=True)
class Walk:
    """One walk over a connected session; ``progress`` may be looked at meanwhile."""

    session: Session
    filters: Filters
    progress: Progress = field(default_factory=Progress)
    _seen: set[str] = field(default_factory=set)
    _bases: dict[str, str] = field(default_factory=dict)
    _at_once: int = _AT_ONCE

    async def variables(self) -> AsyncIterator[Found]:
        """The variables that the filters want, as they come.

        Raises:
            Unreachable: the server was lost. Refused: there is no such root. ConfigurationError: it is no node id.
        """
        root = _root(self.filters.root)
        self._seen.add(root.to_string())
        stack = [_Waiting(root, ())]
        self._at_once = min(_AT_ONCE, self.session.limits.nodes_per_browse)
        while stack and not self._over():
            batch = [stack.pop() for _ in range(min(self._at_once, len(stack)))]
            deeper: list[_Waiting] = []
            async for parent, references in self._references(batch):
                fresh = list(self._fresh(parent, references))
                for found in await self._described(parent, fresh):
                    self.progress.tags += 1
                    yield found
                if len(parent.path) + 1 < self.filters.depth:
                    deeper += [_Waiting(_plain(r.NodeId), (*parent.path, _name(r))) for r in fresh]
                if self._over():
                    break
            stack += reversed(deeper)

    def _over(self) -> bool:
        return self.progress.stopped

    # -- references ----------------------------------------------------------------------------------------

    async def _references(
        self, batch: Sequence[_Waiting]
    ) -> AsyncIterator[tuple[_Waiting, Sequence[ua.ReferenceDescription]]]:
        """What these nodes refer to, a page at a time; one that gets no continuation is asked again by itself."""
        alone: list[_Waiting] = []
        for part, results in await self._browsed(batch):
            for parent, result in zip(part, results, strict=False):
                if result.StatusCode.value == uaerrors.BadNoContinuationPoints.code and len(part) > 1:
                    alone.append(parent)
                elif not result.StatusCode.is_good():
                    self._not_there(parent, result.StatusCode)
                else:
                    async for page in self._pages(result):
                        yield parent, page
        for parent in alone:
            async for found in self._references([parent]):
                yield found

    def _not_there(self, parent: _Waiting, status: ua.StatusCode) -> None:
        if not parent.path:
            why = status_text(status.value)
            raise Refused(f"{self.session.where} has no node {self.filters.root} to begin at ({why})")
        self.progress.unread += 1

    async def _pages(self, first: ua.BrowseResult) -> AsyncIterator[Sequence[ua.ReferenceDescription]]:
        yield first.References or ()
        point = first.ContinuationPoint
        while point and not self._over():
            following = await self._next(point, release=False)
            yield following.References or ()
            point = following.ContinuationPoint
        if point:
            await self._next(point, release=True)

    async def _browsed(
        self, batch: Sequence[_Waiting]
    ) -> list[tuple[Sequence[_Waiting], Sequence[ua.BrowseResult]]]:
        """The first page of each node; a server that finds that too much is asked for less."""
        while True:
            found: list[tuple[Sequence[_Waiting], Sequence[ua.BrowseResult]]] = []
            try:
                for part in parts(batch, self._at_once):
                    wanted = ua.BrowseParameters(
                        RequestedMaxReferencesPerNode=ua.UInt32(_REFERENCES_AT_ONCE),
                        NodesToBrowse=[_description(each.node) for each in part],
                    )
                    found.append((part, await self.session.client.uaclient.session.browse(wanted)))
            except (*TOO_LARGE, uaerrors.BadNoContinuationPoints) as error:
                if self._at_once == 1:
                    await self.session.call(_raise(error))
                self._at_once = max(1, self._at_once // 4)
            except Exception as error:
                await self.session.call(_raise(error))
            else:
                return found

    async def _next(self, point: bytes, *, release: bool) -> ua.BrowseResult:
        wanted = ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=[point])
        found = await self.session.call(self.session.client.uaclient.session.browse_next(wanted))
        return found[0] if found else ua.BrowseResult()

    def _fresh(
        self, parent: _Waiting, references: Sequence[ua.ReferenceDescription]
    ) -> Iterator[ua.ReferenceDescription]:
        """Those that were not seen yet and are worth a look, up to the limit."""
        from_objects = self.filters.root == OBJECTS
        for reference in references:
            target = reference.NodeId
            if reference.NodeClass not in (ua.NodeClass.Object, ua.NodeClass.Variable) or _elsewhere(target):
                continue
            if _is_property(reference) or (from_objects and target.NamespaceIndex == 0):
                continue  # the server's own objects
            key = _plain(target).to_string()
            if key in self._seen:
                continue
            if self.progress.nodes >= self.filters.max_nodes:
                self.progress.stopped = True
                return
            self._seen.add(key)
            self.progress.nodes += 1
            yield reference

    # -- variables -----------------------------------------------------------------------------------------

    async def _described(self, parent: _Waiting, fresh: Sequence[ua.ReferenceDescription]) -> list[Found]:
        variables = [
            (_plain(r.NodeId), (*parent.path, _name(r)))
            for r in fresh
            if r.NodeClass == ua.NodeClass.Variable and self._wanted(r, parent)
        ]
        if not variables:
            return []
        nodes = [node for node, _ in variables]
        ask = Ask(self.session)
        types = await ask.attributes(nodes, AttributeIds.DataType)
        ranks = await self._ranks(ask, nodes)
        levels = await ask.attributes(nodes, AttributeIds.UserAccessLevel)
        units = await self._units(ask, nodes)
        found: list[Found] = []
        for (node, path), data_type, rank, level, unit in zip(variables, types, ranks, levels, units, strict=True):
            word = await self._type_word(ask, data_type, rank)
            writable = isinstance(level, int) and bool(level & _WRITE_BIT)
            if (self.filters.types and word not in self.filters.types) or (self.filters.writable and not writable):
                continue
            index = int(node.NamespaceIndex)
            uri = self.session.namespaces[index] if index < len(self.session.namespaces) else None
            identifier = node.to_string().rpartition(f"ns={index};")[2] if index else node.to_string()
            found.append(Found(path, uri, index, identifier, word, unit, writable))
        return found

    def _wanted(self, reference: ua.ReferenceDescription, parent: _Waiting) -> bool:
        filters, index = self.filters, int(reference.NodeId.NamespaceIndex)
        if filters.namespace is not None and (
            index >= len(self.session.namespaces) or self.session.namespaces[index] != filters.namespace
        ):
            return False
        path = "/".join((*parent.path, _name(reference)))
        return filters.match is None or fnmatchcase(path.lower(), filters.match.lower())

    async def _ranks(self, ask: Ask, nodes: Sequence[ua.NodeId]) -> list[object]:
        """Each node's ValueRank; where it leaves open what there is, that of the value which is there now."""
        ranks = await ask.attributes(nodes, AttributeIds.ValueRank)
        open_ = [n for n, rank in enumerate(ranks) if rank in _OPEN_RANKS]
        values = await ask.attributes([nodes[n] for n in open_], AttributeIds.Value)
        for n, value in zip(open_, values, strict=True):
            if isinstance(value, list) and not any(isinstance(each, list) for each in value):
                ranks[n] = 1
            elif value is not None and not isinstance(value, list):
                ranks[n] = -1
        return ranks

    async def _units(self, ask: Ask, nodes: Sequence[ua.NodeId]) -> list[str | None]:
        wanted = ua.QualifiedName("EngineeringUnits", ua.UInt16(0))
        paths = [browse_path(node, [wanted]) for node in nodes]
        ends = [found[0] if found else None for found in await ask.followed(paths)]
        told = iter(await ask.attributes([node for node in ends if node is not None], AttributeIds.Value))
        values = [None if node is None else next(told) for node in ends]
        return [unit_text(value) if isinstance(value, ua.EUInformation) else None for value in values]

    async def _type_word(self, ask: Ask, data_type: object, rank: object) -> str:
        if not isinstance(data_type, ua.NodeId):
            return ""
        word = await self._base(ask, data_type)
        if not isinstance(rank, int) or rank == -1 or not word:
            return word
        return f"{word}[]" if rank == 1 and word not in ("structure", "enum") else ""

    async def _base(self, ask: Ask, data_type: ua.NodeId) -> str:
        """The word of a data type, or of the known one that it is made from."""
        key = data_type.to_string()
        if key not in self._bases:
            node, word = data_type, ""
            for _ in range(_SUPERTYPES_AT_MOST):
                if node.NamespaceIndex == 0 and node.Identifier in _TYPES:
                    word = _TYPES[int(node.Identifier)]
                    break
                above = await ask.linked(node, ObjectIds.HasSubtype, inverse=True)
                if not above:
                    break
                node = above[0]
            self._bases[key] = word
        return self._bases[key]


def _root(text: str) -> ua.NodeId:
    try:
        return ua.NodeId.from_string(text)
    except (UaError, ValueError):
        raise ConfigurationError(f"{text!r} is no node id", hint="for example i=85 or ns=2;s=Line") from None


async def _raise(error: Exception) -> None:
    raise error


def _description(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(ua.NodeClass.Object | ua.NodeClass.Variable),
        ResultMask=ua.UInt32(ua.BrowseResultMask.All),
    )


def _elsewhere(node: ua.NodeId) -> bool:
    """Whether the node is on another server."""
    return isinstance(node, ua.ExpandedNodeId) and bool(node.ServerIndex)


def _plain(node: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def _name(reference: ua.ReferenceDescription) -> str:
    return reference.BrowseName.Name or reference.DisplayName.Text or "?"


def _is_property(reference: ua.ReferenceDescription) -> bool:
    kind = reference.ReferenceTypeId
    return bool(kind.NamespaceIndex == 0 and kind.Identifier == ObjectIds.HasProperty)
