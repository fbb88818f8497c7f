"""Reads of groups: one request for a group, one block for its answer, and slow nodes kept apart.

A node that is bad for a reason that polling does not mend (unknown, not readable, denied) leaves the group's
request and is asked for again every ``RETRY_S`` in a small request of its own, its name and types looked up anew;
its readings say why until then. So a tag map with a dead node is as fast as one without.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers import status as statuses
from drivers.base import OBJECTS, Group, RawColumn, ReadingBlock
from drivers.ending import end_tasks
from drivers.opcua import binary, codec
from drivers.opcua.asking import Ask
from drivers.opcua.columns import Columns, Decoder
from drivers.opcua.limits import parts
from drivers.opcua.nodes import BAD_NO_MATCH, BAD_TOO_MANY_MATCHES, Nodes, Point
from drivers.opcua.session import Session
from drivers.opcua.values import BAD_DATA_TYPE_ID_UNKNOWN, BAD_DECODING_ERROR, status_text
from drivers.tags import OpcUaTag
from records.clock import Clock
from records.errors import Invalid, Unreachable
from records.trouble import Trouble

RETRY_S = 10.0
"""How often a node is asked for again that cannot be read."""

SLOW = np.array(
    [
        0x80330000,  # BadNodeIdInvalid
        0x80340000,  # BadNodeIdUnknown
        0x80350000,  # BadAttributeIdInvalid
        0x803A0000,  # BadNotReadable
        0x801F0000,  # BadUserAccessDenied
        BAD_DECODING_ERROR,
        BAD_DATA_TYPE_ID_UNKNOWN,
        BAD_NO_MATCH,
        BAD_TOO_MANY_MATCHES,
        statuses.BAD_NAMESPACE_UNKNOWN,
    ],
    np.uint32,
)
"""Statuses that the next poll would find again."""

EARLIEST_US = 1_577_836_800_000_000
"""2020-01-01: no value that this software reads was measured before; a clock that says so was never set."""
_DAY_US = 86_400_000_000
_EU_EXCEEDED = 0x40940000
_PLANS = 256


@dataclass(frozen=True, slots=True)
class _Part:
    """One request of a group; ``at`` are its tags' places in the group."""

    at: NDArray[np.int64]
    names: tuple[str, ...]
    request: codec.Request
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a group is read as long as the slow nodes are the same (``version``).

    ``slow``: the places of those that it does not ask, each with the status that keeps it slow.
    """

    version: int
    group: Group
    parts: tuple[_Part, ...]
    slow: tuple[tuple[int, int], ...]
    ranges: Ranges


def judge_clock(status: NDArray[np.uint32], source_us: NDArray[np.int64], now_us: int) -> None:
    """Make good values uncertain whose source time cannot be; changes the statuses in place."""
    wrong = ((source_us != 0) & (source_us < EARLIEST_US)) | (source_us > now_us + _DAY_US)
    if wrong.any():
        status[wrong & (status >> np.uint32(30) == statuses.GOOD)] = statuses.UNCERTAIN_CLOCK


class Ranges:
    """The plausible ranges of some of a group's tags."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._at = np.array([at for at, point in enumerate(points) if point.limits is not None], np.int64)
        limits = [point.limits for point in points if point.limits is not None]
        self._low = np.array([low for low, _ in limits], np.float64)
        self._high = np.array([high for _, high in limits], np.float64)

    def judge(self, values: NDArray[Any], status: NDArray[np.uint32]) -> None:
        """Make good values outside their range uncertain; changes the statuses in place."""
        if not len(self._at):
            return
        good = status[self._at] >> np.uint32(30) == statuses.GOOD
        at = self._at[good]
        found = np.array([v if isinstance(v, int | float) else math.nan for v in values[at].tolist()], np.float64)
        status[at[(found < self._low[good]) | (found > self._high[good])]] = _EU_EXCEEDED


class Reader:
    """Reads one device's tags in whatever session it has; ``begin`` after each connect, ``end`` before each
    close.
    """

    def __init__(self, session: Session, tags: Sequence[OpcUaTag], clock: Clock, timeout_s: float) -> None:
        self.points: dict[str, Point] = {}
        self.nodes = Nodes(Ask(session))
        self.healed: list[Callable[[str], None]] = []
        """Told the name of each tag whose node can be read again."""
        self._session = session
        self._tags = {tag.name: tag for tag in tags}
        self._clock, self._timeout_s = clock, timeout_s
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._version = 0
        self._slow: dict[str, int] = {}
        self._retries: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look up every tag on the server.

        Raises:
            Unreachable: the session was lost again.
        """
        self._plans.clear()
        self._slow.clear()
        self.nodes = Nodes(Ask(self._session))
        self.points = await self.nodes.points(list(self._tags.values()))
        for name, point in self.points.items():
            if point.problem:
                self.set_slow(name, point.problem)

    async def end(self) -> None:
        """Nothing runs after it."""
        self._plans.clear()
        task, self._retries = self._retries, None
        if task is not None:
            await end_tasks([task])

    def slow_status(self, name: str) -> int:
        """Why this tag is read slowly, 0 when it is not."""
        return self._slow.get(name, 0)

    def set_slow(self, name: str, status: int) -> None:
        """The tag's node cannot be read: ask for it slowly from now on."""
        if self._slow.get(name) != status:
            self._slow[name] = status
            self._version += 1
        if self._retries is None or self._retries.done():
            self._retries = asyncio.ensure_future(self._retry_for_ever())

    async def read(self, names: tuple[str, ...]) -> ReadingBlock:
        """These tags now.

        Raises:
            Unreachable. Invalid: no such tag.
        """
        for _ in range(2):
            plan = self._plan(names)
            try:
                return await self._read(plan)
            except binary.Malformed as error:
                problem = error
                await self._find_undecodable(plan)
        raise Unreachable.of(Trouble.of("not-understood", where=self._session.where, said=str(problem)))

    def group(self, names: Sequence[str]) -> Group:
        """The group of these tags, with the units that the server told."""
        return Group.of(self._session.name, [self.points[name].tag for name in names], status_text)

    def note_statuses(self, names: Sequence[str], status: NDArray[np.uint32]) -> None:
        """Read slowly from now on what cannot be read."""
        if (status >= statuses.BAD_SEVERITY).any():
            for at in np.flatnonzero(np.isin(status, SLOW)).tolist():
                self.set_slow(names[at], int(status[at]))

    # -- inside ----------------------------------------------------------------------------------------------

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(names)
        if plan is None or plan.version != self._version:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._planned(names, plan.group if plan is not None else None)
        return plan

    def _planned(self, names: tuple[str, ...], group: Group | None = None) -> _Plan:
        for name in names:
            if name not in self._tags:
                raise Invalid(f"{self._session.name} has no tag {name!r}")
        tags_now = [self.points[name].tag for name in names]
        if group is None or any(a is not b for a, b in zip(group.settings, tags_now, strict=True)):
            group = self.group(names)
        slow = tuple((at, self._slow[name]) for at, name in enumerate(names) if name in self._slow)
        fast = [(at, self.points[name]) for at, name in enumerate(names) if name not in self._slow]
        made = []
        for part in parts(fast, self._session.limits.nodes_per_read) if fast else ():
            request = codec.read_request([point.node for _, point in part if point.node is not None])
            takes = [point.take for _, point in part]
            places = np.array([at for at, _ in part], np.int64)
            tags = tuple(point.tag.name for _, point in part)
            made.append(_Part(places, tags, request, Decoder(takes, group.dtype)))
        return _Plan(self._version, group, tuple(made), slow, Ranges([self.points[name] for name in names]))

    async def _read(self, plan: _Plan) -> ReadingBlock:
        asked = [codec.ask(self._session, p.request, self._clock.now_us(), self._timeout_s) for p in plan.parts]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        now = self._clock.now_us()
        columns = [
            decoded(part.decoder, len(part.names), data) for part, data in zip(plan.parts, answers, strict=True)
        ]
        if len(columns) == 1 and not plan.slow:
            block = block_of(plan.group, columns[0], now)
        else:
            block = block_of(plan.group, self._spread(plan, columns), now)
        judge_clock(block.status, block.source_us, now)
        plan.ranges.judge(block.values, block.status)
        told = block.status
        if plan.slow:  # what was not asked says nothing new: it may be back since this read began
            told = block.status.copy()
            told[[at for at, _ in plan.slow]] = 0
        self.note_statuses(plan.group.tags, told)
        return block

    def _spread(self, plan: _Plan, columns: Sequence[Columns]) -> Columns:
        """The parts of a group together, slow nodes between them."""
        n = len(plan.group.tags)
        dtypes = {part.values.dtype for part in columns}
        dtype = dtypes.pop() if len(dtypes) == 1 else plan.group.dtype
        values = np.full(n, None) if dtype == OBJECTS else np.zeros(n, dtype)
        status, types = np.zeros(n, np.uint32), list(plan.group.types)
        source, server = np.zeros(n, np.int64), np.zeros(n, np.int64)
        begin, end, offset = np.full(n, -1, np.int64), np.zeros(n, np.int64), 0
        for part, found in zip(plan.parts, columns, strict=True):
            values[part.at], status[part.at] = found.values, found.status
            source[part.at], server[part.at] = found.source_us, found.server_us
            begin[part.at] = np.where(found.begin < 0, -1, found.begin + offset)
            end[part.at] = found.end + offset
            offset += len(found.data)
            for at, name in zip(part.at.tolist(), found.types, strict=True):
                types[at] = name
        for at, why in plan.slow:
            status[at] = why
        data = b"".join(found.data for found in columns)
        return Columns(values, status, source, server, tuple(types), data, begin, end)

    async def _find_undecodable(self, plan: _Plan) -> None:
        """An answer that nobody understands: which of its nodes is it?"""
        for name in plan.group.tags:
            if name not in self._slow:
                try:
                    await self._read(self._planned((name,)))
                except binary.Malformed:
                    self.set_slow(name, BAD_DECODING_ERROR)

    async def _retry_for_ever(self) -> None:
        while self._slow:
            await asyncio.sleep(RETRY_S)
            with suppress(Unreachable):  # one late answer; a lost session is found by whoever reads, and closed
                await self.retry()

    async def retry(self) -> None:
        """Ask now for the nodes that could not be read.

        Raises:
            Unreachable.
        """
        points = await self.nodes.points([self._tags[name] for name in self._slow], refresh=True)
        asked = {name: point for name, point in points.items() if not point.problem}
        found = dict(zip(asked, await self._statuses(list(asked.values())), strict=True))
        for name, point in points.items():
            if status := point.problem or found[name]:
                self.set_slow(name, status)
                continue
            self.points[name] = point
            self._slow.pop(name, None)
            self._version += 1
            for told in tuple(self.healed):
                told(name)

    async def _statuses(self, points: Sequence[Point]) -> list[int]:
        """The status that keeps each of these slow, 0 when it can be read."""
        found: list[int] = []
        for part in parts(points, self._session.limits.nodes_per_read) if points else ():
            request = codec.read_request([point.node for point in part if point.node is not None])
            answer = await codec.ask(self._session, request, self._clock.now_us(), self._timeout_s)
            try:
                columns = decoded(Decoder([point.take for point in part], OBJECTS), len(part), answer)
                found += [int(status) if status in SLOW else 0 for status in columns.status]
            except binary.Malformed:
                if len(part) == 1:
                    found.append(BAD_DECODING_ERROR)
                    continue
                for point in part:
                    found += await self._statuses([point])
        return found


def decoded(decoder: Decoder, count: int, answer: bytes) -> Columns:
    """The DataValues of an answer whose number stands first.

    Raises:
        Malformed: it does not hold so many, or the library does not understand it either.
    """
    if binary.int32(answer, 0) != count:
        raise binary.Malformed(f"{binary.int32(answer, 0)} values for {count} nodes")
    try:
        return decoder.columns(answer[4:])[0]
    except binary.Malformed:
        return decoder.columns(codec.as_library(answer)[4:])[0]


def block_of(group: Group, found: Columns, edge_us: int) -> ReadingBlock:
    """Columns as a block."""
    types = found.types
    if "" in types:
        types = tuple(name or declared for name, declared in zip(types, group.types, strict=True))
    raw = RawColumn(found.data, found.begin, found.end)
    return ReadingBlock(group, found.values, found.status, found.source_us, found.server_us, edge_us, types, raw)
