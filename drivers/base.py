"""One small protocol over every machine, and what a read of it gives.

A ``ReadingBlock`` is one read of a group of tags in numpy columns; a ``Reading`` object is made only for what is
captured. A bad reading has no value: never the last one, never 0, never a text in a number. What a driver notices
beside values (samples lost in a queue, another device at the address) is a ``Notice``, which the agent records.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from drivers import status as statuses
from drivers.status import BAD, GOOD, UNCERTAIN, quality_of
from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from records.model import Quality, Reading

QUALITIES = {GOOD: Quality.GOOD, UNCERTAIN: Quality.UNCERTAIN, BAD: Quality.BAD}

DTYPES: Mapping[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "int8": np.dtype(np.int8),
    "uint8": np.dtype(np.uint8),
    "int16": np.dtype(np.int16),
    "uint16": np.dtype(np.uint16),
    "int32": np.dtype(np.int32),
    "uint32": np.dtype(np.uint32),
    "int64": np.dtype(np.int64),
    "uint64": np.dtype(np.uint64),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
"""The data types whose values fill a column of numbers; all others are Python objects."""
OBJECTS = np.dtype(np.object_)


@dataclass(frozen=True, slots=True)
class Group:
    """What readings of some tags of one device have in common; made once, shared by every block.

    ``types`` are the data types that the tag map names (empty where it names none). ``dtype`` is the one that all
    of them share, else objects. ``word`` tells a status in words.
    """

    device: str
    tags: tuple[str, ...]
    settings: tuple[TagSettings, ...]
    index: Mapping[str, int]
    types: tuple[str, ...]
    dtype: np.dtype[Any]
    word: Callable[[int], str]

    @classmethod
    def of(cls, device: str, settings: Sequence[TagSettings], word: Callable[[int], str] = statuses.word) -> Group:
        names = tuple(tag.name for tag in settings)
        types = tuple(tag.type_name for tag in settings)
        dtype = DTYPES.get(types[0], OBJECTS) if len(set(types)) == 1 else OBJECTS
        return cls(device, names, tuple(settings), {n: at for at, n in enumerate(names)}, types, dtype, word)


@dataclass(frozen=True, slots=True)
class RawColumn:
    """What the protocol carried for each tag: a piece of ``data`` from ``begin[n]`` to ``end[n]``; none where
    ``begin`` is -1. Registers are in order of their addresses, an OPC UA scalar is a binary Variant, type first.
    """

    data: bytes
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    def __getitem__(self, at: int) -> bytes | None:
        begin = int(self.begin[at])
        return None if begin < 0 else self.data[begin : int(self.end[at])]

    def part(self, at: NDArray[np.intp]) -> RawColumn:
        """The column of these places alone, over the same bytes."""
        return RawColumn(self.data, self.begin[at], self.end[at])

    @classmethod
    def of(cls, parts: Sequence[bytes | None]) -> RawColumn:
        """A column from pieces that are apart."""
        sizes = np.array([0 if part is None else len(part) for part in parts], np.int64)
        end = np.cumsum(sizes)
        begin = end - sizes
        begin[[at for at, part in enumerate(parts) if part is None]] = -1
        return cls(b"".join(part for part in parts if part is not None), begin, end)


@dataclass(frozen=True, slots=True)
class ReadingBlock:
    """One read of a group of n tags: columns of shape (n,).

    ``values`` has the group's dtype, or objects where types are mixed; where the status is bad, the entry means
    nothing. ``status``: see drivers.status. ``source_us`` and ``server_us``: UTC microseconds by the device's own
    clock and by its server's, 0 where it told none. ``edge_us``: ours when the answer was here. ``types`` are the
    values' data types as read.
    """

    group: Group
    values: NDArray[Any]
    status: NDArray[np.uint32]
    source_us: NDArray[np.int64]
    server_us: NDArray[np.int64]
    edge_us: int
    types: tuple[str, ...]
    raw: RawColumn

    @property
    def device(self) -> str:
        return self.group.device

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags, without the device's."""
        return self.group.tags

    @property
    def quality(self) -> NDArray[np.uint8]:
        """0 good, 1 uncertain, 2 bad; shape (n,)."""
        return quality_of(self.status)

    def at(self, at: int) -> JsonValue:
        """The value at this place as a plain Python value, None when it is bad."""
        if statuses.is_bad(int(self.status[at])):
            return None
        value = self.values[at]
        return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]

    def value(self, tag: str) -> JsonValue:
        """The value of a tag of this block, None when it is bad."""
        return self.at(self.group.index[tag])

    def listed(self) -> tuple[JsonValue, ...]:
        """All values as plain Python values, None for the bad ones."""
        return tuple(self.at(n) for n in range(len(self.tags)))

    def words(self) -> tuple[str, ...]:
        """All statuses in words."""
        return tuple(self.group.word(int(status)) for status in self.status)

    def reading(self, tag: str) -> Reading:
        """One tag's reading, named ``device.tag``.

        Raises:
            KeyError: no such tag in this block.
        """
        at = self.group.index[tag]
        raw, status = self.raw[at], int(self.status[at])
        return Reading(
            tag=f"{self.device}.{tag}",
            value=self.at(at),
            unit=self.group.settings[at].unit,
            data_type=self.types[at],
            quality=QUALITIES[min(status >> 30, BAD)],
            status=self.group.word(status),
            source_us=int(self.source_us[at]) or None,
            server_us=int(self.server_us[at]) or None,
            edge_us=self.edge_us,
            raw=None if raw is None else raw.hex(),
        )

    def readings(self) -> tuple[Reading, ...]:
        """Every tag's reading, in the block's order."""
        return tuple(self.reading(tag) for tag in self.tags)

    def same_as(self, other: ReadingBlock | None) -> bool:
        """Whether values and statuses are those of the other block (times may differ)."""
        if other is None or self.tags != other.tags or not np.array_equal(self.status, other.status):
            return False
        same = self.values == other.values
        if self.values.dtype == OBJECTS:
            return bool(np.all(same))
        return bool(np.all(same | (self.status >= statuses.BAD_SEVERITY)))


@dataclass(slots=True)
class BlockBuilder:
    """Collects the columns of one block one tag after the other, in the group's order."""

    group: Group
    values: list[JsonValue] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    source_us: list[int] = field(default_factory=list)
    server_us: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    raw: list[bytes | None] = field(default_factory=list)

    def add(
        self,
        value: JsonValue,
        status: int = statuses.GOOD_STATUS,
        *,
        data_type: str = "",
        source_us: int = 0,
        server_us: int = 0,
        raw: bytes | None = None,
    ) -> None:
        """The next tag's value; a bad status takes the value away, never the raw bytes."""
        self.types.append(data_type or self.group.types[len(self.values)])
        self.values.append(None if statuses.is_bad(status) else value)
        self.status.append(status)
        self.source_us.append(source_us)
        self.server_us.append(server_us)
        self.raw.append(raw)

    def block(self, edge_us: int) -> ReadingBlock:
        dtype = self.group.dtype
        values = np.zeros(len(self.values), dtype)
        for at, value in enumerate(self.values):
            if value is not None or dtype == OBJECTS:
                values[at] = value
        return ReadingBlock(
            self.group,
            values,
            np.array(self.status, np.uint32),
            np.array(self.source_us, np.int64),
            np.array(self.server_us, np.int64),
            edge_us,
            tuple(self.types),
            RawColumn.of(self.raw),
        )


OnBlock = Callable[[ReadingBlock], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a driver noticed; ``code`` and ``params`` as in records.codes.EVENTS."""

    code: str
    params: Mapping[str, JsonValue]


OnNotice = Callable[[Notice], None]


class Device(Protocol):
    """A machine with tags. One session at a time; after Unreachable: ``close``, then ``connect`` again."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> AnyDevice: ...

    @property
    def seen_us(self) -> int:
        """Edge time of the last answer to a read, 0 before the first: how fresh a watched value is."""

    async def connect(self) -> None:
        """Open the session.

        Raises:
            Unreachable: nothing answers. Refused: it answers and says no.
        """

    async def read(self, tags: Sequence[str], *, urgent: bool = False) -> ReadingBlock:
        """Read these tags now, together; one bad tag is a bad reading and leaves its neighbours alone.

        Where many devices share a line, ``urgent`` requests (of a run that waits) go before those of polls.

        Raises:
            Unreachable: the device does not answer. Invalid: no such tag.
        """

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        """Write a tag of ``access: write`` and read it back.

        Raises:
            Unreachable: the device does not answer; the value may or may not have arrived.
            Refused: the device said no, or holds another value after it. Invalid: not this tag, not this value.
        """

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        """Tell these tags until cancelled, by each tag's mode.

        Polled tags come together in one block, first as they are, then whenever a value or status of one of
        them is another; with ``every``, after each poll. Subscribed tags come as the server tells them, in blocks
        of their own.

        Raises:
            Unreachable: the device was lost.
        """

    async def close(self) -> None:
        """End the session; never raises, may be called twice."""


@dataclass(frozen=True, slots=True)
class ScanFrame:
    """One scan. With an ``error`` the text is empty: it is no scan.

    Errors: incomplete (its beginning or end is missing), glued (two without an end between), noise (a control
    character), prefix, symbology (its identifier is missing), length, too_long, encoding.
    """

    raw: bytes
    text: str
    at_us: int
    error: str | None = None


class Scanner(Protocol):
    """A barcode scanner that sends text frames and may wait for an answer to each."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> SerialScannerDevice: ...

    async def open(self) -> None:
        """Raises Unreachable: no such port, or it is held by another process."""

    def frames(self) -> AsyncIterator[ScanFrame]:
        """Scans in their order until the scanner is closed; raises Unreachable when it was unplugged."""

    async def answer(self, accepted: bool) -> None:
        """ACK or NAK, where the scanner waits for one; raises Unreachable when it is gone."""

    async def close(self) -> None:
        """Never raises, may be called twice."""
