"""From a device's blocks to the lanes that become its chunks: which readings go where, and which are thinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.base import Group, ReadingBlock
from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from edge_agent.lanes import Describe, Grid, Listed, patience_s, series_tag
from edge_agent.thinning import Thinner
from records.telemetry import SeriesTag

ROUTED = 256
"""Besides eight times its tags, a device has at most so many tags in the groups that are known of it."""
GRIDS = 256
"""Most grids of a device that are kept at hand."""


class Collector(Protocol):
    """What a feed needs of ``edge_agent.telemetry``."""

    def takes(self, count: int) -> bool:
        """Whether another block of so many readings can be kept; if not, they are lost and that is told."""

    def failed(self, count: int, error: Exception) -> None:
        """So many readings could not be kept by a mistake of ours."""

    def thinned(self, count: int) -> None:
        """So many readings were left out by their tags' own settings."""

    def added(self, lane: Grid | Listed, count: int, size: int) -> None:
        """A lane has taken so many readings of about so many bytes."""

    def drain(self, lane: Grid | Listed) -> None:
        """Close the chunk of a lane that cannot go on as it is."""

    def describe(self, device: str, interval_s: float | None) -> Describe:
        """Beginnings of the chunks of a device's lane."""


@dataclass(slots=True)
class _Route:
    """Where the tags of one group go: those that are told or thinned by number, all others on the grid."""

    group: Group
    plain: NDArray[np.intp] | None
    grid: tuple[tuple[str, ...], Grid] | None
    listed_at: NDArray[np.intp]
    places: NDArray[np.intp]
    numbers: NDArray[np.intp]
    listed: Listed | None
    thinner: Thinner | None
    types: tuple[str, ...] = ()
    learned: int = 0
    """What ``listed`` had learned of types when this was last compared with it."""


class Feed:
    """The telemetry tags of one device; give ``take`` every block of them."""

    def __init__(self, collector: Collector, device: str, settings: AnyDevice) -> None:
        own: list[TagSettings] = [tag for tag in settings.tags if tag.role == "telemetry"]
        self.tags = tuple(tag.name for tag in own)
        self._collector, self._device = collector, device
        self._settings = {tag.name: tag for tag in own}
        self._poll_interval_s = 0.0 if isinstance(settings, SerialScannerDevice) else settings.poll_interval
        self._grids: dict[tuple[tuple[SeriesTag, ...], tuple[str, ...]], Grid] = {}
        self._lists: dict[float | None, tuple[Listed, dict[str, int]]] = {}
        self._routes: dict[int, _Route] = {}
        self._alike: dict[tuple[tuple[str, str | None], ...], _Route] = {}
        self._routed = 0
        self._thinners: dict[str, list[tuple[Thinner, int]]] = {}

    def take(self, block: ReadingBlock) -> None:
        """Keep what is to be kept of one block. Never raises: no mistake in telemetry may stop a record."""
        if not self._collector.takes(len(block.status)):
            return
        try:
            self._take(block)
        except Exception as error:
            self._collector.failed(len(block.status), error)

    def _take(self, block: ReadingBlock) -> None:
        route = self._routes.get(id(block.group)) or self._route(block.group)
        same = route.types is block.types or route.types == block.types
        if not same or (route.listed is not None and route.learned != route.listed.learned):
            self._retype(route, block.types)
        if route.grid is not None:
            part = block if route.plain is None else _part(block, route.plain)
            self._collector.added(route.grid[1], len(part.status), route.grid[1].add(part))
        if route.listed is not None:
            at = route.listed_at
            columns = block.values[at], block.status[at], block.source_us[at]
            if route.thinner is None:
                kept = route.places, columns[0].astype(np.object_), columns[1], columns[2]
            else:
                kept = route.thinner.take(*columns, block.edge_us)
                self._collector.thinned(len(at) - len(kept[0]))
            size = route.listed.add(block.edge_us, route.numbers, kept)
            self._collector.added(route.listed, len(kept[0]), size)

    def _route(self, group: Group) -> _Route:
        """Drivers make their groups anew in each session: one like it goes the way of the one before."""
        alike = tuple((tag.name, tag.unit) for tag in group.settings)
        for name in group.tags:  # another reading of them comes between
            for thinner, place in self._thinners.get(name, ()):
                thinner.forget((place,))
        route = self._alike.get(alike)
        if route is not None:
            del self._routes[id(route.group)]
            route.group = group
        else:
            if self._routed + len(group.tags) > ROUTED + 8 * len(self.tags):
                for known in (self._routes, self._alike, self._thinners):
                    known.clear()
                self._routed = 0
            self._routed += len(group.tags)
            route = self._alike[alike] = self._new_route(group)
        self._routes[id(group)] = route  # it holds the group: the id stays its
        return route

    def _new_route(self, group: Group) -> _Route:
        listed = [n for n, tag in enumerate(group.settings) if tag.filters or tag.mode == "subscribe"]
        plain = [n for n in range(len(group.tags)) if n not in set(listed)]
        at = np.array(listed, np.intp)
        places = np.arange(len(listed))
        route = _Route(group, np.array(plain, np.intp) if listed else None, None, at, places, at, None, None)
        if listed:
            settings = [group.settings[n] for n in listed]
            route.listed, known = self._list(self._interval_s(settings[0]))
            route.numbers = np.array([known[tag.name] for tag in settings], np.intp)
            route.listed.know(route.numbers, settings)
            if any(tag.filters for tag in settings):
                route.thinner = Thinner(settings)
                for place, tag in enumerate(settings):
                    self._thinners.setdefault(tag.name, []).append((route.thinner, place))
        return route

    def _interval_s(self, tag: TagSettings) -> float | None:
        return None if tag.mode == "subscribe" else tag.poll_interval or self._poll_interval_s

    def _list(self, interval_s: float | None) -> tuple[Listed, dict[str, int]]:
        if interval_s not in self._lists:
            tags = [tag for tag in self._settings.values() if self._interval_s(tag) == interval_s]
            lane = Listed(tags, self._collector.describe(self._device, interval_s), patience_s(interval_s))
            self._lists[interval_s] = lane, {tag.name: n for n, tag in enumerate(tags)}
        return self._lists[interval_s]

    def _retype(self, route: _Route, types: tuple[str, ...]) -> None:
        """Data types as read: of tags whose type the server decides they are known only now, and may change."""
        route.types = types
        if route.listed is not None:
            told = [types[n] for n in route.listed_at]
            if not route.listed.fits(route.numbers, told):
                self._collector.drain(route.listed)
            route.listed.learn(route.numbers, told)
            route.learned = route.listed.learned
        places = range(len(types)) if route.plain is None else route.plain.tolist()
        if not places:
            return
        own = tuple(types[n] for n in places)
        settings = [route.group.settings[n] for n in places]
        key = tuple(series_tag(tag) for tag in settings), own
        grid = self._grids.get(key)
        if grid is None:
            if len(self._grids) >= GRIDS:
                for old in self._grids.values():
                    self._collector.drain(old)
                self._grids.clear()
            interval_s = self._interval_s(settings[0])
            describe = self._collector.describe(self._device, interval_s)
            grid = self._grids[key] = Grid(settings, own, describe, patience_s(interval_s))
        route.grid = own, grid


def _part(block: ReadingBlock, at: NDArray[np.intp]) -> ReadingBlock:
    return ReadingBlock(
        block.group,
        block.values[at],
        block.status[at],
        block.source_us[at],
        block.server_us[at],
        block.edge_us,
        block.types,
        block.raw,
    )
