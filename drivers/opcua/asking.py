"""Single questions about a server's nodes, beside the readings: attributes, references, browse paths."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import nodeid_from_binary

from drivers.opcua import binary, codec
from drivers.opcua.limits import parts
from drivers.opcua.session import Session
from records.errors import LotkeeperError

T = TypeVar("T")


class Ask:
    """Asks one session's server. What is not there is None or empty; a lost session is Unreachable."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.namespaces = session.namespaces

    async def refresh(self) -> None:
        """Ask for the namespaces again: a server may add some while it runs."""
        found = await self.attribute(ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray)), AttributeIds.Value)
        if isinstance(found, list):
            self.namespaces = tuple(str(uri) for uri in found)

    async def attribute(self, node: ua.NodeId, attribute: AttributeIds) -> object:
        """One attribute of a node, None when it has none."""
        return (await self.attributes([node], attribute))[0]

    async def attributes(self, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> list[object]:
        """One attribute of each node, None where there is none."""
        found: list[object] = []
        for part in parts(nodes, self._session.limits.nodes_per_read):
            wanted = ua.ReadParameters(NodesToRead=[ua.ReadValueId(node, attribute) for node in part])
            answers = await self._tolerant(self._session.client.uaclient.session.read(wanted))
            if answers is None:
                found += [None] * len(part)
                continue
            good = [a.StatusCode is None or a.StatusCode.is_good() for a in answers]
            found += [
                a.Value.Value if ok and a.Value is not None else None for a, ok in zip(answers, good, strict=True)
            ]
        return found

    async def structure_type(self, node: ua.NodeId) -> ua.NodeId | None:
        """By which id a node's value says what structure it is; None for what is none."""
        wanted = ua.ReadParameters(NodesToRead=[ua.ReadValueId(node, AttributeIds.Value)])
        request = ua.ReadRequest()
        request.Parameters = wanted
        data = await self._tolerant(codec.plain(self._session, request))
        at = 4 + 1  # how many, and the DataValue's mask
        if (
            data is None
            or len(data) <= at
            or not data[4] & 1
            or binary.head(data, at) != (binary.STRUCTURE, False)
        ):
            return None
        try:
            type_id = binary.extension_object(data, at + 1)[0]
        except binary.Malformed:
            return None
        found: ua.NodeId = nodeid_from_binary(Buffer(type_id))
        return found if not found.is_null() else None

    async def linked(self, node: ua.NodeId, reference: int, *, inverse: bool = False) -> list[ua.NodeId]:
        """The nodes at the other ends of a node's references of this type or a subtype of it."""
        wanted = ua.BrowseDescription(
            NodeId=node,
            BrowseDirection=ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.Int32(reference)),
            IncludeSubtypes=True,
            NodeClassMask=ua.UInt32(0),
            ResultMask=ua.UInt32(0),
        )
        parameters = ua.BrowseParameters(NodesToBrowse=[wanted])
        found = await self._tolerant(self._session.client.uaclient.session.browse(parameters))
        return [
            ua.NodeId(r.NodeId.Identifier, r.NodeId.NamespaceIndex, r.NodeId.NodeIdType)
            for answer in found or []
            for r in answer.References or []
        ]

    async def followed(self, paths: Sequence[ua.BrowsePath]) -> list[list[ua.NodeId]]:
        """Where these browse paths lead: no node, one, or several."""
        found: list[list[ua.NodeId]] = []
        for part in parts(paths, self._session.limits.nodes_per_translate):
            session = self._session.client.uaclient.session
            answers = await self._tolerant(session.translate_browsepaths_to_nodeids(list(part)))
            for answer in answers if answers is not None else [ua.BrowsePathResult()] * len(part):
                targets = answer.Targets or [] if answer.StatusCode.is_good() else []
                whole = [t.TargetId for t in targets if t.RemainingPathIndex in (0xFFFFFFFF, -1)]
                found.append([ua.NodeId(t.Identifier, t.NamespaceIndex, t.NodeIdType) for t in whole])
        return found

    async def _tolerant(self, request: Awaitable[T]) -> T | None:
        """The answer, None where there is none to understand: what is asked here is never worth the session."""

        async def asked() -> T | None:
            try:
                return await request
            except (OSError, TimeoutError, LotkeeperError):
                raise
            except Exception:  # a service that it does not have, or an answer that the library stumbles over
                return None

        return await self._session.call(asked())
