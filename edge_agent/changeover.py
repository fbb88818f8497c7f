"""The machine side of a station as it sees it, and how a station goes over to another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge_agent.station import Station
from records.model import Data, Fact, Reading


class Plant(Protocol):
    """The machine side, as a station sees it."""

    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        """One reading per tag, read now; Unreachable when a device does not answer."""

    async def write(self, tag: str, value: bool) -> None:
        """Write and verify; raises LotkeeperError when the value does not stand afterwards."""

    def may_free(self, tag: str) -> bool:
        """Whether the tag is there to be written, and no station locks or answers by it now."""


@dataclass(frozen=True, slots=True)
class Changeover:
    """What a station is to work by from the end of its run on. ``station`` None: it leaves.

    ``anew``: its rules or devices are others, so that what it saw and wrote counts for nothing; otherwise only the
    ``configuration`` has another name. ``replaced``: devices that it leaves. ``lost()`` tells whether its machine
    was replaced and does not answer: then no end of a run can come. ``done()`` is called when it has happened.
    """

    station: Station | None
    plant: Plant
    fact: Callable[[Data, str | None], Fact]
    configuration: str
    anew: bool
    replaced: tuple[str, ...] = ()
    lost: Callable[[], bool] = lambda: False
    done: Callable[[], None] = lambda: None
