"""Kinds of OPC UA servers that need care which the server itself does not tell.

Only what is published stands here, with who says so; a server that tells its own limits needs no profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Profile:
    """``nodes_per_request``: at most so many in one request, whatever the server says; ``source``: who says so."""

    nodes_per_request: int
    source: str


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "siemens-s7-1500": Profile(
            100,
            "reported to take 1,000 nodes in all requests together that it has not answered yet"
            " (epics-modules/opcua on GitHub, issues 177 and 201)",
        ),
    }
)
