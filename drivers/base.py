"""One small protocol over every machine, and what a read of it gives.

Status words: ``Good``; from OPC UA the server's own (``BadNodeIdUnknown``, ``UncertainSensorNotAccurate``, with
``+Overflow`` when its queue lost values); made here: ``BadNotFinite`` (NaN or infinity), ``BadNotText``,
``BadTypeMismatch``, ``BadNoData``, ``BadNamespaceUnknown``; from Modbus ``BadIllegalAddress`` and the other
exceptions. Quality is told by the status' first letters: Good, Uncertain, Bad. A bad reading has no value: never
the last one, never 0, never a text in a number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from records.model import Quality, Reading

GOOD, UNCERTAIN, BAD = 0, 1, 2
QUALITIES = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD)


@dataclass(frozen=True, slots=True)
class Group:
    """What readings of some tags of one device have in common; made once, shared by every block."""

    device: str
    tags: tuple[str, ...]
    settings: tuple[TagSettings, ...]
    index: Mapping[str, int]

    @classmethod
    def of(cls, device: str, settings: Sequence[TagSettings]) -> Group:
        names = tuple(tag.name for tag in settings)
        return cls(device, names, tuple(settings), {name: at for at, name in enumerate(names)})


@dataclass(frozen=True, slots=True)
class ReadingBlock:
    """One read of a group of tags, in columns of one length.

    ``quality`` is 0 good, 1 uncertain, 2 bad; ``source_us`` and ``server_us`` are 0 where the device told none.
    ``types`` are the values' data types as read. ``raw`` is what the protocol carried: registers in order of
    their addresses, for OPC UA a scalar as a binary Variant (its type first); None where there is none.
    """

    group: Group
    values: tuple[JsonValue, ...]
    quality: NDArray[np.uint8]
    status: tuple[str, ...]
    source_us: NDArray[np.int64]
    server_us: NDArray[np.int64]
    edge_us: int
    types: tuple[str, ...]
    raw: tuple[bytes | None, ...]

    @property
    def device(self) -> str:
        return self.group.device

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags, without the device's."""
        return self.group.tags

    def value(self, tag: str) -> JsonValue:
        """The value of a tag of this block, None when it is bad."""
        return self.values[self.group.index[tag]]

    def reading(self, tag: str) -> Reading:
        """One tag's reading, named ``device.tag``.

        Raises:
            KeyError: no such tag in this block.
        """
        at = self.group.index[tag]
        raw = self.raw[at]
        return Reading(
            tag=f"{self.device}.{tag}",
            value=self.values[at],
            unit=self.group.settings[at].unit,
            data_type=self.types[at],
            quality=QUALITIES[self.quality[at]],
            status=self.status[at],
            source_us=int(self.source_us[at]) or None,
            server_us=int(self.server_us[at]) or None,
            edge_us=self.edge_us,
            raw=None if raw is None else raw.hex(),
        )

    def readings(self) -> tuple[Reading, ...]:
        """Every tag's reading, in the block's order."""
        return tuple(self.reading(tag) for tag in self.tags)

    def same_as(self, other: ReadingBlock | None) -> bool:
        """Whether values, qualities and statuses are those of the other block (times may differ)."""
        return (
            other is not None
            and self.tags == other.tags
            and self.values == other.values
            and self.status == other.status
        )


@dataclass(slots=True)
class BlockBuilder:
    """Collects the columns of one block in the group's order."""

    group: Group
    values: list[JsonValue] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    source_us: list[int] = field(default_factory=list)
    server_us: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    raw: list[bytes | None] = field(default_factory=list)

    def add(
        self,
        value: JsonValue,
        status: str = "Good",
        *,
        data_type: str = "",
        source_us: int = 0,
        server_us: int = 0,
        raw: bytes | None = None,
    ) -> None:
        """The next tag's value; a status that begins with Bad takes the value away, never the raw bytes."""
        self.types.append(data_type or self.group.settings[len(self.values)].type_name)
        self.values.append(None if status.startswith("Bad") else value)
        self.status.append(status)
        self.source_us.append(source_us)
        self.server_us.append(server_us)
        self.raw.append(raw)

    def block(self, edge_us: int) -> ReadingBlock:
        quality = [_quality(status) for status in self.status]
        return ReadingBlock(
            self.group,
            tuple(self.values),
            np.array(quality, np.uint8),
            tuple(self.status),
            np.array(self.source_us, np.int64),
            np.array(self.server_us, np.int64),
            edge_us,
            tuple(self.types),
            tuple(self.raw),
        )


def _quality(status: str) -> int:
    if status.startswith("Good"):
        return GOOD
    return UNCERTAIN if status.startswith("Uncertain") else BAD


OnChange = Callable[[ReadingBlock], None]


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

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        """Read these tags now, together; one bad tag is a bad reading and leaves its neighbours alone.

        Raises:
            Unreachable: the device does not answer. Invalid: no such tag.
        """

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        """Write a tag of ``access: write`` and read it back.

        Raises:
            Unreachable: the device does not answer; the value may or may not have arrived.
            Refused: the device said no, or holds another value after it. Invalid: not this tag, not this value.
        """

    async def watch(self, tags: Sequence[str], on_change: OnChange) -> None:
        """Tell every change of these tags until cancelled, by each tag's mode.

        Polled tags come together in one block, first as they are, then whenever a value or status of one of
        them is another. Subscribed tags come as the server tells them, each value in a block of its own.

        Raises:
            Unreachable: the device was lost.
        """

    async def close(self) -> None:
        """End the session; never raises, may be called twice."""


@dataclass(frozen=True, slots=True)
class ScanFrame:
    """One scan. With an ``error`` (incomplete, too_long, prefix, encoding) the text is empty: it is no scan."""

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
