"""The telemetry of the agent: every reading of a telemetry tag becomes part of a chunk that central gets.

Promise: a chunk that was committed is sent until central has committed it; until then at most ``interval_s`` of
readings are in memory only. Chunks are cheap for their size, so what has gathered is committed at once when it is
worth a commit, which keeps latency low where much is read, and the disk quiet where little is. While central is
away nobody waits, and chunks are as long as they may be.

Is not: part of any record. What a run needs is captured into its record; telemetry may be thinned by its tags'
own settings, and gives way, oldest first and said in a record, when its buffer is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import JsonValue

from drivers.base import Group, ReadingBlock
from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from edge_agent.counters import Counters
from edge_agent.lanes import Describe, Grid, Listed, patience_s, series_tag
from edge_agent.outbox import MAX_BODY, Outbox
from edge_agent.thinning import Thinner
from records.clock import Clock
from records.errors import LotkeeperError, StorageFailed
from records.telemetry import Column, Series, SeriesTag, encode_series
from records.wire import Envelope

INTERVAL_S = 1.0
WORTH = 500
"""So many readings that have gathered are worth a commit of their own."""
LANE_WORTH = 100
"""So many readings of each chunk, on average, are worth its header."""
CHUNK_BYTES = 48 * 1024
"""So much is committed at once, whether central is there or not: some brokers take no message above 128 KiB."""
GAP_S = 0.01
"""Two commits are at least so far apart: what other devices tell meanwhile goes along."""
WAITING_BYTES = 16 * 1024 * 1024
"""So much may wait for a slow disk; beyond it readings are lost, counted and told."""
LOST_EVERY_S = 60.0
CLOSING_S = 0.002
ROUTED = 256
"""Besides eight times its tags, a device has at most so many tags in the groups that are known of it."""
SERIES = 256
"""Most beginnings of chunks, and grids, that are kept at hand."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """What every chunk names besides its device."""

    agent: str
    site: str
    line: str
    software: str
    configuration: str


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


class Feed:
    """The telemetry tags of one device; give ``take`` every block of them."""

    def __init__(self, telemetry: Telemetry, device: str, settings: AnyDevice) -> None:
        own: list[TagSettings] = [tag for tag in settings.tags if tag.role == "telemetry"]
        self.tags = tuple(tag.name for tag in own)
        self._telemetry, self._device = telemetry, device
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
        if not self._telemetry.takes(len(block.status)):
            return
        try:
            self._take(block)
        except Exception as error:
            self._telemetry.failed(len(block.status), error)

    def _take(self, block: ReadingBlock) -> None:
        route = self._routes.get(id(block.group)) or self._route(block.group)
        if route.types is not block.types and route.types != block.types:
            self._retype(route, block.types)
        if route.grid is not None:
            part = block if route.plain is None else _part(block, route.plain)
            self._telemetry.added(route.grid[1], len(part.status), route.grid[1].add(part))
        if route.listed is not None:
            at = route.listed_at
            columns = block.values[at], block.status[at], block.source_us[at]
            if route.thinner is None:
                kept = route.places, columns[0].astype(np.object_), columns[1], columns[2]
            else:
                kept = route.thinner.take(*columns, block.edge_us)
                self._telemetry.thinned(len(at) - len(kept[0]))
            size = route.listed.add(block.edge_us, route.numbers, kept)
            self._telemetry.added(route.listed, len(kept[0]), size)

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
            lane = Listed(tags, self._telemetry.describe(self._device, interval_s), patience_s(interval_s))
            self._lists[interval_s] = lane, {tag.name: n for n, tag in enumerate(tags)}
        return self._lists[interval_s]

    def _retype(self, route: _Route, types: tuple[str, ...]) -> None:
        """Data types as read: of tags whose type the server decides they are known only now, and may change."""
        route.types = types
        if route.listed is not None:
            told = [types[n] for n in route.listed_at]
            if not route.listed.fits(route.numbers, told):
                self._telemetry.drain(route.listed)
            route.listed.learn(route.numbers, told)
        places = range(len(types)) if route.plain is None else route.plain.tolist()
        if not places:
            return
        own = tuple(types[n] for n in places)
        settings = [route.group.settings[n] for n in places]
        key = tuple(series_tag(tag) for tag in settings), own
        grid = self._grids.get(key)
        if grid is None:
            if len(self._grids) >= SERIES:
                for old in self._grids.values():
                    self._telemetry.drain(old)
                self._grids.clear()
            interval_s = self._interval_s(settings[0])
            describe = self._telemetry.describe(self._device, interval_s)
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


class Telemetry:
    """Belongs to one event loop. ``live`` tells whether somebody waits: the uplink sends what is committed now.

    ``tell(code, params)`` is for what is to be recorded.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        counters: Counters,
        context: Callable[[], Context],
        tell: Callable[[str, dict[str, JsonValue]], None],
        *,
        live: Callable[[], bool] = lambda: True,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._outbox, self._clock, self._counters, self._context = outbox, clock, counters, context
        self._tell, self._live, self._interval_s = tell, live, interval_s
        self._open: dict[Grid | Listed, int] = {}
        self._ready: list[bytes] = []
        self._size = self._gathered = self._values = self._waiting = 0
        self._again = False
        self._stored_s = -GAP_S
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0
        self._storing: Future[list[Envelope]] | None = None
        self._lost, self._lost_why = 0, ""
        self._lost_told_s = -LOST_EVERY_S

    def feed(self, device: str, settings: AnyDevice) -> Feed:
        """Where the readings of this device's telemetry tags go."""
        return Feed(self, device, settings)

    async def close(self) -> None:
        """Commit what has gathered."""
        for last in (False, True):
            while self._storing is not None:
                await asyncio.sleep(CLOSING_S)
            if not last:
                self._store()
        self._tell_lost()

    # -- from feeds ----------------------------------------------------------------------------------------

    def describe(self, device: str, interval_s: float | None) -> Describe:
        """Beginnings of chunks, each made once for its columns and configuration."""
        made: dict[tuple[Context, tuple[Column, ...]], bytes] = {}
        last: tuple[Context | None, tuple[Column, ...], bytes] = (None, (), b"")

        def beginning(columns: tuple[Column, ...]) -> bytes:
            nonlocal last
            context = self._context()
            if last[0] == context and last[1] is columns:
                return last[2]
            key = context, columns
            if key not in made:
                if len(made) >= SERIES:
                    made.clear()
                names = context.agent, context.site, context.line
                series = Series(*names, device, interval_s, context.software, context.configuration, columns)
                made[key] = encode_series(series)
            last = context, columns, made[key]
            return made[key]

        return beginning

    def takes(self, count: int) -> bool:
        """Whether another block of so many readings can be kept; if not, they are lost and that is told."""
        self._counters.add(telemetry_values=count)
        if self._size + self._waiting < WAITING_BYTES:
            return True
        self._lose(count, "the disk is too slow")
        return False

    def failed(self, count: int, error: Exception) -> None:
        """So many readings could not be kept by a mistake of ours, which must cost nothing else."""
        if not self._lost:
            log.error("telemetry-mistake", exc_info=error)
        self._lose(count, f"a mistake of this software: {error!r}")

    def thinned(self, count: int) -> None:
        """So many readings were left out by their tags' own settings."""
        if count:
            self._counters.add(telemetry_thinned=count)

    def added(self, lane: Grid | Listed, count: int, size: int) -> None:
        """A lane has taken so many readings of about so many bytes."""
        if not count:
            return
        self._open[lane] = self._open.get(lane, 0) + size
        self._size += size
        if self._open[lane] >= CHUNK_BYTES:
            self.drain(lane)  # the disk may be slow: what waits becomes chunks of the usual size
        self._gathered += count
        worth = self._gathered >= max(WORTH, LANE_WORTH * len(self._open)) and self._live()
        if worth or self._size >= CHUNK_BYTES:
            gap_s = max(self._stored_s + GAP_S - self._clock.monotonic_s(), 0.0)
            self._soon(max(gap_s, lane.patience_s) if worth else gap_s)
        elif self._timer is None:
            self._soon(self._interval_s)

    def drain(self, lane: Grid | Listed) -> None:
        """Close the chunk of a lane that cannot go on as it is."""
        if self._open.pop(lane, None) is None:
            return
        values = lane.values
        try:
            chunk = lane.drain()
        except Exception as error:
            self.failed(values, error)
            return
        if len(chunk) > MAX_BODY:
            self._lose(values, f"a chunk of {len(chunk)} bytes, of which {MAX_BODY} can be kept")
            return
        self._values += values
        self._ready.append(chunk)

    # -- to the disk ---------------------------------------------------------------------------------------

    def _soon(self, wait_s: float) -> None:
        due_s = self._clock.monotonic_s() + wait_s
        if self._timer is not None:
            if self._timer_due_s <= due_s:
                return
            self._timer.cancel()
        self._timer_due_s = due_s
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._store)

    def _store(self) -> None:
        """Commit all that has gathered, in one transaction; while one is under way the next gathers."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._again = True
        if self._storing is not None or not (self._open or self._ready):
            return  # the end of the one under way comes back here
        self._again = False
        if self._clock.monotonic_s() - self._lost_told_s >= LOST_EVERY_S:
            self._tell_lost()
        for lane in tuple(self._open):
            self.drain(lane)
        if not self._ready:
            self._size = self._gathered = 0
            return
        chunks, self._ready = self._ready, []
        values, self._values = self._values, 0
        self._waiting, self._size, self._gathered = self._size, 0, 0
        self._stored_s = self._clock.monotonic_s()
        try:
            self._storing = self._outbox.keep(chunks)
        except StorageFailed:
            return  # the outbox has told whoever must stop the process
        except LotkeeperError as error:
            self._lose(values, str(error))
            return
        loop = asyncio.get_running_loop()
        size = sum(map(len, chunks))

        def stored(done: Future[list[Envelope]]) -> None:
            """In the writer's thread; the loop is woken only when it has something to do."""
            error = done.exception()
            if error is None:
                self._counters.add(telemetry_committed=values, chunks_committed=len(chunks), telemetry_bytes=size)
            self._storing, self._waiting = None, 0
            if not loop.is_closed() and (self._again or error is not None):
                loop.call_soon_threadsafe(self._went_on, values, error)

        self._storing.add_done_callback(stored)

    def _went_on(self, values: int, error: BaseException | None) -> None:
        """A commit has ended that somebody waits for, or that failed."""
        if error is not None and not isinstance(error, StorageFailed):
            self._lose(values, str(error))
        if self._again:
            self._store()

    def _lose(self, values: int, why: str) -> None:
        """Count readings that could not be kept; a record says so at most once a minute."""
        self._counters.add(telemetry_lost=values)
        self._lost += values
        self._lost_why = why
        if self._clock.monotonic_s() - self._lost_told_s >= LOST_EVERY_S:
            self._tell_lost()

    def _tell_lost(self) -> None:
        if self._lost:
            self._tell("telemetry-lost", {"values": self._lost, "why": self._lost_why})
            self._lost, self._lost_told_s = 0, self._clock.monotonic_s()
