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

import structlog
from pydantic import JsonValue

from drivers.tags import AnyDevice
from edge_agent.counters import Counters
from edge_agent.feed import Feed
from edge_agent.lanes import Describe, Grid, Listed
from edge_agent.outbox import MAX_BODY, Outbox, Place
from records.clock import Clock
from records.errors import LotkeeperError, StorageFailed
from records.telemetry import Column, Series, encode_series

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
SERIES = 256
"""Most beginnings of chunks of a lane that are kept at hand."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """What every chunk names besides its device."""

    agent: str
    site: str
    line: str
    software: str
    configuration: str


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
        self._storing: Future[Place] | None = None
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

        def stored(done: Future[Place]) -> None:
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
