"""What one request to a server may hold, and splitting by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from asyncua.ua.object_ids import ObjectIds

from drivers.tags import OpcUaDevice
from drivers.tags.opcua_profiles import PROFILES

T = TypeVar("T")

NO_LIMIT = 1_000_000
"""Stands for a limit that a server does not have; one request never holds so much."""
_FIRST_GUESS, _SMALLEST = 1000, 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request to this server may hold at most (OPC 10000-5, 6.3.11 OperationLimitsType).

    ``array_length`` is that of one value, 0 where the server tells none.
    """

    nodes_per_read: int = NO_LIMIT
    nodes_per_write: int = NO_LIMIT
    nodes_per_browse: int = NO_LIMIT
    nodes_per_call: int = NO_LIMIT
    nodes_per_translate: int = NO_LIMIT
    monitored_items_per_call: int = NO_LIMIT
    array_length: int = 0

    def at_most(self, nodes: int) -> Limits:
        """These limits, none of them above so many nodes."""
        capped = {f.name: min(getattr(self, f.name), nodes) for f in fields(self) if f.name != "array_length"}
        return Limits(**capped, array_length=self.array_length)


_LIMITS = "Server_ServerCapabilities_OperationLimits_"
NODES: Mapping[str, int] = MappingProxyType(
    {
        "nodes_per_read": getattr(ObjectIds, f"{_LIMITS}MaxNodesPerRead"),
        "nodes_per_write": getattr(ObjectIds, f"{_LIMITS}MaxNodesPerWrite"),
        "nodes_per_browse": getattr(ObjectIds, f"{_LIMITS}MaxNodesPerBrowse"),
        "nodes_per_call": getattr(ObjectIds, f"{_LIMITS}MaxNodesPerMethodCall"),
        "nodes_per_translate": getattr(ObjectIds, f"{_LIMITS}MaxNodesPerTranslateBrowsePathsToNodeIds"),
        "monitored_items_per_call": getattr(ObjectIds, f"{_LIMITS}MaxMonitoredItemsPerCall"),
        "array_length": ObjectIds.Server_ServerCapabilities_MaxArrayLength,
    }
)
"""Where a server tells each limit."""


def told(values: Mapping[str, object]) -> Limits:
    """The limits that a server told; what it left out or gave as 0 is no limit."""
    return Limits(**{key: n for key, n in values.items() if isinstance(n, int) and n > 0})


@dataclass(slots=True)
class Cap:
    """The most nodes of one request that the tag map, the profile or a server's complaint leave."""

    nodes: int

    @classmethod
    def of(cls, settings: OpcUaDevice) -> Cap:
        known = PROFILES[settings.profile].nodes_per_request if settings.profile is not None else NO_LIMIT
        return cls(min(known, settings.max_nodes_per_request or NO_LIMIT))

    def halve(self) -> None:
        """A server said that a request or its answer was too large."""
        self.nodes = max(_SMALLEST, min(2 * _FIRST_GUESS, self.nodes) // 2)


def parts(items: Sequence[T], at_most: int) -> Iterator[Sequence[T]]:
    """These items in order, so many at a time."""
    if len(items) <= at_most:
        yield items
        return
    left = iter(items)
    while part := list(islice(left, at_most)):
        yield part
