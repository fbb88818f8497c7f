"""Telemetry chunks: what machines said between records, many readings in columns, as one body of the stream.

The format is ``LKT1``, fixed for good; docs/reference/telemetry-chunk.md tells it to who reads it without this
software::

    b"LKT1"  4 bytes length of the header  header  sections
    section: 4 bytes name  4 bytes length  data

All integers and columns are little-endian. The header is JSON under zlib (RFC 1950): device, units, data types,
configuration. A chunk holds entries, one for each reading, row by row; a row is one answer of the device:

    EDGE  int64 a row: our own time, UTC microseconds
    NUMB  uint32 a row: how many entries it has; without it each row has every tag, in the order of the header
    TAGS  uint32 an entry: which tag (counted over the header's columns); present when NUMB is
    SRCR  int64 a row: source time of all its entries, 0 none    } at most one of the three,
    SRCD  int32 an entry: source time less EDGE, -2^31 none      } no source times without
    SRCT  int64 an entry: source time, 0 none                    }
    STAT  uint32 positions of the entries whose status is not Good (0), then as many uint32 statuses
    Vnnn  values of column nnn of the header, in the order of entries: an array of its type, or JSON
    WAS.  JSON: the identity that the chunk had in an epoch that was given up
    THIN  JSON: the chunk stands for others, which were thinned; see Thinned
    LEFT  uint32 an entry, beside THIN: readings of its tag that were left out since the entry of it before

A section that a reader does not know is passed over. Where a status is bad, the value means nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter, ValidationError

from records.errors import Invalid
from records.fields import Count, Int64
from records.model import StoredAs

KIND = "telemetry"
SCHEMA = 1
"""The envelope's kind and schema."""
MAGIC = b"LKT1"
MOST_HEADER = 16 * 1024 * 1024
MOST_ENTRIES = 4 * 1024 * 1024
_NO_SOURCE = -(2**31)
BAD, UNCERTAIN = 0x80000000, 0x40000000
"""Least status (as in OPC UA) that is bad, that is not good."""

DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype("u1"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "int16": np.dtype("<i2"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
    "uint32": np.dtype("<u4"),
    "int64": np.dtype("<i8"),
    "uint64": np.dtype("<u8"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}
"""How the values of these data types are written; all others are JSON."""


@dataclass(frozen=True, slots=True)
class SeriesTag:
    """One tag: its name without the device's, its unit, and what thinned its values before they were kept."""

    name: str
    unit: str | None = None
    deadband: float | None = None
    on_change: bool = False
    heartbeat_s: float | None = None
    average_s: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """Tags whose values have one data type."""

    type: str
    tags: tuple[SeriesTag, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """What all readings of a chunk have in common. ``interval_s``: the poll interval, None where there is none."""

    agent: str
    site: str
    line: str
    device: str
    interval_s: float | None
    software: str
    configuration: str
    columns: tuple[Column, ...]

    @property
    def tags(self) -> tuple[SeriesTag, ...]:
        """All tags by number."""
        return tuple(tag for column in self.columns for tag in column.tags)

    @property
    def width(self) -> int:
        """How many tags."""
        return sum(len(column.tags) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Thinned:
    """What a thinned chunk stands for: ``chunks`` of the same agent and stream in ``epoch``, as runs of (first
    seq, step, count), and how many of their readings it has or leaves out; several may stand for the same.

    Of each tag it has, in each span of ``bucket_s`` (counted from 1970), the first and the last reading, the
    lowest and the highest good one, and both sides of each change of the status and of each hole; of values
    without an order, each change.
    """

    bucket_s: float
    epoch: str
    chunks: tuple[tuple[Int64, Count, Count], ...]
    readings: Count


_SERIES = TypeAdapter(Series)
_FORMER = TypeAdapter(StoredAs)
_THINNED = TypeAdapter(Thinned)


@dataclass(frozen=True, slots=True)
class Track:
    """n readings of one tag. ``edge_us``, ``source_us`` (0 none), ``status``: (n,). ``values``: (n,), or a list.

    ``type``: the data type of the values. Where a status is bad, the value means nothing. ``left_out``: (n,), of a
    thinned chunk, how many readings there were since the one before.
    """

    tag: SeriesTag
    type: str
    edge_us: NDArray[np.int64]
    source_us: NDArray[np.int64]
    status: NDArray[np.uint32]
    values: NDArray[Any] | list[JsonValue]
    left_out: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Chunk:
    """Readings of one device. n entries over r rows; see the module for what stands where.

    ``edge_us``: (r,). ``counts`` and ``tags``: (r,) and (n,), or None when each row has every tag. ``source_us``
    (0 none), ``status``: (n,). ``values``: one array or list a column, in the order of entries. ``thinned`` and
    ``left_out``, (n,): of a chunk that stands for others.
    """

    series: Series
    edge_us: NDArray[np.int64]
    counts: NDArray[np.int64] | None
    tags: NDArray[np.int64] | None
    source_us: NDArray[np.int64]
    status: NDArray[np.uint32]
    values: tuple[NDArray[Any] | list[JsonValue], ...]
    former: StoredAs | None = None
    thinned: Thinned | None = None
    left_out: NDArray[np.int64] | None = None

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The tag's number of every entry, shape (n,)."""
        if self.tags is not None:
            return self.tags
        return np.tile(np.arange(self.series.width), len(self.edge_us))

    @cached_property
    def times_us(self) -> NDArray[np.int64]:
        """Our own time of every entry, shape (n,)."""
        each = self.counts if self.counts is not None else self.series.width
        return np.repeat(self.edge_us, each)

    def track(self, tag: str) -> Track | None:
        """All readings of a tag, in the order in which they came; None when it has none.

        One tag has one column, but for one whose data type changed within the chunk.
        """
        found: list[tuple[str, SeriesTag, NDArray[np.intp], NDArray[Any] | list[JsonValue]]] = []
        first = 0
        for column, values in zip(self.series.columns, self.values, strict=True):
            for n, described in enumerate(column.tags):
                if described.name != tag:
                    continue
                at, places = self._places(first, n, len(column.tags))
                own = values[places] if isinstance(values, np.ndarray) else [values[int(p)] for p in places]
                found.append((column.type, described, at, own))
            first += len(column.tags)
        if not found:
            return None
        data_type, described, at, own = found[0]
        for other_type, _, more, values in found[1:]:
            data_type = data_type if other_type == data_type else "json"
            at, own = np.concatenate((at, more)), [*_plain(own, data_type), *_plain(values, other_type)]
        left_out = None if self.left_out is None else self.left_out[at]
        return Track(described, data_type, self.times_us[at], self.source_us[at], self.status[at], own, left_out)

    def entries_of(self, first: int, last: int) -> int:
        """How many entries tags ``first`` to before ``last`` have."""
        if self.tags is None:
            return len(self.edge_us) * (last - first)
        return int(((self.tags >= first) & (self.tags < last)).sum())

    def _places(self, first: int, n: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Of tag ``n`` of a column of ``width`` tags that begins at tag ``first``: which entries are its own, and
        where their values stand in the column.
        """
        if self.tags is None:
            rows = np.arange(len(self.edge_us))
            return rows * self.series.width + first + n, rows * width + n
        at = np.flatnonzero(self.tags == first + n)
        inside = (self.tags >= first) & (self.tags < first + width)
        return at, np.cumsum(inside)[at] - 1

    def readings(self, tag: str) -> list[tuple[int, int | None, int, JsonValue]]:
        """(edge time, source time, status, value) of every reading of a tag; the value is None when it is bad."""
        track = self.track(tag)
        if track is None:
            return []
        columns = track.edge_us.tolist(), track.source_us.tolist(), track.status.tolist()
        rows = zip(*columns, _plain(track.values, track.type), strict=True)
        return [
            (at, source or None, status, None if status >= BAD else value) for at, source, status, value in rows
        ]

    def skipped(self, tag: str) -> list[int] | None:
        """Of a thinned chunk: before each of ``readings``, how many were left out; None: it is as it was read."""
        track = self.track(tag)
        return None if track is None or track.left_out is None else track.left_out.tolist()


def _plain(values: NDArray[Any] | list[JsonValue], data_type: str) -> list[JsonValue]:
    """As JSON has them."""
    if isinstance(values, list):
        return values
    told: list[JsonValue] = (values != 0).tolist() if data_type == "bool" else values.tolist()
    return told


# -- writing -----------------------------------------------------------------------------------------------


def encode_series(series: Series) -> bytes:
    """The beginning of every chunk of a series; made once, since it costs more than the readings."""
    header = zlib.compress(_SERIES.dump_json(series), 9)
    return MAGIC + len(header).to_bytes(4, "little") + header


def encode_chunk(
    beginning: bytes,
    edge_us: NDArray[np.int64],
    source_us: NDArray[np.int64],
    status: NDArray[np.uint32],
    values: Sequence[NDArray[Any] | list[JsonValue]],
    *,
    counts: NDArray[np.int64] | None = None,
    tags: NDArray[np.int64] | None = None,
    thinned: Thinned | None = None,
    left_out: NDArray[np.int64] | None = None,
) -> bytes:
    """One body. ``beginning``: of ``encode_series``; all else as in ``Chunk``, in the order of entries."""
    parts = [beginning]
    _section(parts, b"EDGE", edge_us.astype("<i8", copy=False).tobytes())
    if counts is not None and tags is not None:
        _section(parts, b"NUMB", counts.astype("<u4").tobytes())
        _section(parts, b"TAGS", tags.astype("<u4").tobytes())
    _sources(parts, edge_us, source_us, counts)
    if status.any():
        at = np.flatnonzero(status)
        _section(parts, b"STAT", at.astype("<u4").tobytes() + status[at].astype("<u4").tobytes())
    for n, column in enumerate(values):
        data = _json(column) if isinstance(column, list) else np.ascontiguousarray(column).tobytes()
        _section(parts, b"V%03d" % n, data)
    if thinned is not None and left_out is not None:
        _section(parts, b"THIN", _THINNED.dump_json(thinned))
        _section(parts, b"LEFT", left_out.astype("<u4").tobytes())
    return b"".join(parts)


def _section(parts: list[bytes], name: bytes, data: bytes) -> None:
    parts += (name, len(data).to_bytes(4, "little"), data)


def _sources(
    parts: list[bytes], edge_us: NDArray[np.int64], source_us: NDArray[np.int64], counts: NDArray[np.int64] | None
) -> None:
    """Source times in the shortest form that keeps each of them."""
    if not source_us.any():
        return
    width = len(source_us) // len(edge_us)
    if counts is None:
        rows = source_us.reshape(len(edge_us), width)
        if (rows == rows[:, :1]).all():
            _section(parts, b"SRCR", rows[:, 0].astype("<i8").tobytes())
            return
    delta = source_us - np.repeat(edge_us, width if counts is None else counts)
    delta[source_us == 0] = 0
    if np.abs(delta).max() < -_NO_SOURCE:
        delta[source_us == 0] = _NO_SOURCE
        _section(parts, b"SRCD", delta.astype("<i4").tobytes())
    else:
        _section(parts, b"SRCT", source_us.astype("<i8", copy=False).tobytes())


def _json(values: list[JsonValue]) -> bytes:
    try:
        return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(values), separators=(",", ":")).encode()


def _finite(value: JsonValue) -> JsonValue:
    """A number inside a value that JSON does not know is null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return value


def named_before(body: bytes, former: StoredAs) -> bytes:
    """The same chunk, naming the identity that it had; one that names an older one keeps that, and so does a body
    that is no chunk, whatever it is.
    """
    try:
        if any(name == b"WAS." for name, _ in _sections(body)[1]):
            return body
    except Invalid:
        return body
    parts = [body]
    _section(parts, b"WAS.", _FORMER.dump_json(former))
    return b"".join(parts)


# -- reading -----------------------------------------------------------------------------------------------


def decode_chunk(body: bytes) -> Chunk:
    """The readings that a body holds.

    Raises:
        Invalid: it is no chunk, or its parts do not fit each other.
    """
    try:
        header, sections = _sections(body)
        return _chunk(_series(header), dict(sections))
    except (ValueError, ValidationError, KeyError, IndexError, RecursionError, zlib.error) as error:
        raise Invalid(f"the body is no telemetry chunk: {error}") from None


def former_of(body: bytes) -> StoredAs | None:
    """The identity that a chunk had in an epoch that was given up, if it had one; its readings are not looked at.

    Raises:
        Invalid: it is no chunk.
    """
    try:
        told = dict(_sections(body)[1]).get(b"WAS.")
        return None if told is None else _FORMER.validate_json(told)
    except ValidationError as error:
        raise Invalid(f"the body is no telemetry chunk: {error}") from None


def series_of(body: bytes) -> Series:
    """What a body is a chunk of; its readings are not looked at.

    Raises:
        Invalid: it is no chunk.
    """
    try:
        return _series(_sections(body)[0])
    except (ValueError, ValidationError, RecursionError, zlib.error) as error:
        raise Invalid(f"the body is no telemetry chunk: {error}") from None


@lru_cache(maxsize=64)
def _series(header: bytes) -> Series:
    """Most chunks of an agent have the header of the one before."""
    return _SERIES.validate_json(zlib.decompressobj().decompress(header, MOST_HEADER))


def _sections(body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    if body[:4] != MAGIC or len(body) < 8:
        raise Invalid("the body is no telemetry chunk: it does not begin with LKT1")
    at = 8 + int.from_bytes(body[4:8], "little")
    if at > len(body):
        raise Invalid("the body is no telemetry chunk: its header is cut short")
    header = body[8:at]
    sections: list[tuple[bytes, bytes]] = []
    while at < len(body):
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        if at + 8 + size > len(body):
            raise Invalid("the body is no telemetry chunk: it is cut short")
        sections.append((body[at : at + 4], body[at + 8 : at + 8 + size]))
        at += 8 + size
    return header, sections


def _chunk(series: Series, sections: dict[bytes, bytes]) -> Chunk:
    edge_us = np.frombuffer(sections[b"EDGE"], "<i8")
    if not len(edge_us):
        raise Invalid("the chunk has no row")
    counts = tags = None
    total = len(edge_us) * series.width
    if b"NUMB" in sections:
        counts = np.frombuffer(sections[b"NUMB"], "<u4").astype(np.int64)
        tags = np.frombuffer(sections[b"TAGS"], "<u4").astype(np.int64)
        total = int(counts.sum())
        if len(counts) != len(edge_us) or len(tags) != total or (tags >= series.width).any():
            raise Invalid("the rows of the chunk do not have the entries that it tells")
    if total > MOST_ENTRIES:
        raise Invalid(f"the chunk holds {total} readings, more than {MOST_ENTRIES}")
    chunk = Chunk(series, edge_us, counts, tags, np.zeros(total, np.int64), _statuses(sections, total), ())
    former, thinned = sections.get(b"WAS."), sections.get(b"THIN")
    return replace(
        chunk,
        source_us=_source_times(sections, chunk),
        values=_values(sections, chunk),
        former=None if former is None else _FORMER.validate_json(former),
        thinned=None if thinned is None else _THINNED.validate_json(thinned),
        left_out=None if thinned is None else _left_out(sections, total),
    )


def _left_out(sections: dict[bytes, bytes], total: int) -> NDArray[np.int64]:
    left_out = np.frombuffer(sections[b"LEFT"], "<u4").astype(np.int64)
    if len(left_out) != total:
        raise Invalid("what the chunk left out is not told of as many readings as it has")
    return left_out


def _statuses(sections: dict[bytes, bytes], total: int) -> NDArray[np.uint32]:
    status = np.zeros(total, np.uint32)
    told = np.frombuffer(sections.get(b"STAT", b""), "<u4").reshape(2, -1)
    status[told[0]] = told[1]
    return status


def _source_times(sections: dict[bytes, bytes], chunk: Chunk) -> NDArray[np.int64]:
    if b"SRCR" in sections:
        each = chunk.counts if chunk.counts is not None else chunk.series.width
        times = np.repeat(np.frombuffer(sections[b"SRCR"], "<i8"), each)
    elif b"SRCD" in sections:
        delta = np.frombuffer(sections[b"SRCD"], "<i4").astype(np.int64)
        times = np.where(delta == _NO_SOURCE, 0, chunk.times_us + delta)
    elif b"SRCT" in sections:
        times = np.frombuffer(sections[b"SRCT"], "<i8")
    else:
        return chunk.source_us
    if len(times) != len(chunk.source_us):
        raise Invalid("the source times of the chunk are not as many as its readings")
    return times


def _values(sections: dict[bytes, bytes], chunk: Chunk) -> tuple[NDArray[Any] | list[JsonValue], ...]:
    found: list[NDArray[Any] | list[JsonValue]] = []
    first = 0
    for n, column in enumerate(chunk.series.columns):
        data = sections[b"V%03d" % n]
        dtype = DTYPES.get(column.type)
        values = json.loads(data) if dtype is None else np.frombuffer(data, dtype)
        if dtype is None and not isinstance(values, list):
            raise Invalid(f"the values of column {n} of the chunk are no list")
        last = first + len(column.tags)
        if len(values) != chunk.entries_of(first, last):
            raise Invalid(f"the values of column {n} of the chunk are not as many as its readings")
        found.append(values)
        first = last
    return tuple(found)
