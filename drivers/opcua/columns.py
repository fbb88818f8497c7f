"""DataValues as they came to columns: the hot path of every OPC UA read and notification.

A PLC's answer to the same request is nearly always laid out like the one before: the same types at the same
places. So an answer is walked value by value once, which learns its ``Layout``; as long as the bytes that decide
about the layout (encoding masks, types, lengths) are the same, the next answers are a few numpy gathers, whatever
mixture of types they hold. An answer that is laid out otherwise is walked again: a status that turns bad, a string
that grew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from drivers import status as statuses
from drivers.base import DTYPES, OBJECTS
from drivers.opcua import binary
from drivers.opcua.values import Take, Taken, take

_TAILS = tuple(binary.data_value_end(bytes([mask & 0xFE]).ljust(64, b"\0"), 0) - 1 for mask in range(64))
"""Bytes of a DataValue after its Variant, by its encoding mask."""
_SCALARS: Mapping[int, int] = MappingProxyType({kind: 1 + size for kind, size in binary.FIXED.items()})
"""Bytes of a Variant by its first byte, where that byte decides."""
_NUMBERS: Mapping[int, np.dtype[Any]] = MappingProxyType(
    {kind: DTYPES[binary.NAMES[kind]].newbyteorder("<") for kind in binary.NUMBERS}
)
_LAYOUTS = 4
_OCTET = np.dtype(np.uint8)
_VALUE, _STATUS, _SOURCE, _SERVER, _PICO = 0x01, 0x02, 0x04, 0x08, 0x10

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """n values: columns as in ``ReadingBlock``, raw pieces as places in ``data``."""

    values: NDArray[Any]
    status: NDArray[np.uint32]
    source_us: Ints
    server_us: Ints
    types: tuple[str, ...]
    data: bytes
    begin: Ints
    end: Ints


Places = tuple[list[int], list[int], int]
"""Where each DataValue begins, where its Variant ends, and where the last DataValue ends."""


def walk(data: bytes, count: int, prefix: int = 0) -> Places:
    """Where so many DataValues are; ``prefix`` bytes stand before each.

    Raises:
        Malformed: these bytes are no such values.
    """
    at, size = 0, len(data)
    begins: list[int] = []
    ends: list[int] = []
    for _ in range(count):
        at += prefix
        if at >= size:
            raise binary.Malformed(f"{len(begins)} values of {count} are there")
        mask = data[at]
        end = at + 1
        if mask & _VALUE:
            scalar = _SCALARS.get(data[end]) if end < size else None
            end = end + scalar if scalar is not None else binary.variant_end(data, end)
        begins.append(at)
        ends.append(end)
        at = end + _TAILS[mask & 0x3F]
    if at > size:
        raise binary.Malformed(f"the last value ends at {at}, {size} bytes are there")
    return begins, ends, at


@dataclass(frozen=True, slots=True)
class _Gather:
    """One column's places: ``at`` in the column, ``index`` the bytes of each, shape (k, size).

    With a ``stride``, the places are so many bytes apart and are looked at where they lie.
    """

    at: Ints | slice
    index: Ints
    dtype: np.dtype[Any]
    stride: int

    def of(self, data: bytes) -> NDArray[Any]:
        dtype = _OCTET if self.dtype.kind == "b" else self.dtype  # a Boolean is any octet but 0
        if self.stride:
            return np.ndarray(len(self.index), dtype, data, int(self.index[0, 0]), (self.stride,))
        found: NDArray[Any] = np.frombuffer(data, np.uint8)[self.index].view(dtype)[:, 0]
        return found


def _gather(at: Ints, begin: Ints, dtype: np.dtype[Any], count: int) -> _Gather:
    """The places of ``count`` tags, or of those of them that are at ``at``."""
    steps = np.unique(np.diff(begin))
    stride = int(steps[0]) if len(steps) == 1 else 0
    where = slice(None) if len(at) == count else at
    return _Gather(where, begin[:, None] + np.arange(dtype.itemsize), dtype, stride)


class Layout:
    """How DataValues of some tags lie in an answer, and how each tag takes its value (n = len(takes)).

    Raises:
        Malformed: the answer that it is learned from does not hold so many values.
    """

    def __init__(
        self, data: bytes, takes: Sequence[Take], dtype: np.dtype[Any], places: Places | None = None
    ) -> None:
        begins, ends, self.size = places or walk(data, len(takes))
        octets = np.frombuffer(data, np.uint8)
        begin, end = np.array(begins, np.int64), np.array(ends, np.int64)
        masks = octets[begin]
        has = (masks & _VALUE) != 0
        checks = np.concatenate((begin, begin[has] + 1))
        self._checks, self._expected = checks, octets[checks]
        heads = np.zeros(len(takes), np.uint8)
        heads[has] = octets[begin[has] + 1]
        self._takes = takes
        self._begin, self._end = begin, end
        self._sort(has, heads)
        self._dtype = self._column_type(dtype)
        self.raw_begin = np.where(has & (heads < 0x80), begin + 1, -1)
        self._set_tails(masks, end)

    def fits(self, data: bytes) -> bool:
        """Whether this answer is laid out in the same way."""
        if len(data) < self.size:
            return False
        octets = np.frombuffer(data, np.uint8)
        if not np.array_equal(octets[self._checks], self._expected):
            return False
        known = self._known
        try:
            return all(
                (at in known and known[at][0] == data[begin:end]) or binary.variant_end(data, begin) == end
                for at, begin, end in self._lengths
            )
        except binary.Malformed:
            return False

    def columns(self, data: bytes) -> Columns:
        """The values of an answer that fits."""
        n = len(self._takes)
        status = np.zeros(n, np.uint32)
        status[self._status.at] = self._status.of(data)
        fine = status < statuses.BAD_SEVERITY
        values = self._values(data, status, fine)
        status[fine & self._mismatched] = statuses.BAD_TYPE_MISMATCH
        status[fine & self._absent] = statuses.BAD_NO_DATA
        types, begin, end = self._types, self.raw_begin, self._end
        if self._singles:
            types, begin, end, data = self._take_singles(data, values, status, fine)
        source, server = _times(self._source, data, n), _times(self._server, data, n)
        return Columns(values, status, source, server, types, data, begin, end)

    # -- inside ----------------------------------------------------------------------------------------------

    def _sort(self, has: NDArray[np.bool_], heads: NDArray[np.uint8]) -> None:
        """Which tags are numbers of a column, which are taken one by one, which have no value or a wrong one."""
        n = len(self._takes)
        by_kind: dict[int, list[int]] = {}
        singles: list[int] = []
        self._mismatched, self._absent = np.zeros(n, np.bool_), ~has
        types: list[str] = []
        for at, (how, kind) in enumerate(zip(self._takes, heads.tolist(), strict=True)):
            name = binary.NAMES.get(kind, "")
            types.append(name or how.result)
            if not has[at]:
                continue
            if not how.plain or kind not in _NUMBERS:
                singles.append(at)
            elif how.type_name in ("", name):
                by_kind.setdefault(kind, []).append(at)
            else:
                self._mismatched[at] = True
        self._types = tuple(types)
        self._singles = singles
        self._numbers = []
        for kind, places in by_kind.items():
            at_column = np.array(places, np.int64)
            self._numbers.append(_gather(at_column, self._begin[at_column] + 2, _NUMBERS[kind], n))
        fixed = np.isin(heads, list(_SCALARS))
        self._lengths = [
            (at, int(self._begin[at]) + 1, int(self._end[at])) for at in np.flatnonzero(has & ~fixed).tolist()
        ]
        self._known: dict[int, tuple[bytes, Taken]] = {}

    def _column_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype == OBJECTS and not self._singles and len(self._numbers) == 1:
            return self._numbers[0].dtype.newbyteorder("=")
        return dtype

    def _set_tails(self, masks: NDArray[np.uint8], end: Ints) -> None:
        source = end + 4 * ((masks & _STATUS) != 0)
        server = source + 8 * ((masks & _SOURCE) != 0) + 2 * ((masks & _PICO) != 0)
        for name, bit, begin, form in (
            ("_status", _STATUS, end, "<u4"),
            ("_source", _SOURCE, source, "<i8"),
            ("_server", _SERVER, server, "<i8"),
        ):
            at = np.flatnonzero(masks & bit)
            setattr(self, name, _gather(at, begin[at], np.dtype(form), len(masks)))

    _status: _Gather
    _source: _Gather
    _server: _Gather

    def _values(self, data: bytes, status: NDArray[np.uint32], fine: NDArray[np.bool_]) -> NDArray[Any]:
        values = (
            np.full(len(self._takes), None) if self._dtype == OBJECTS else np.zeros(len(self._takes), self._dtype)
        )
        for gather in self._numbers:
            found = gather.of(data)
            values[gather.at] = found != 0 if gather.dtype.kind == "b" else found
            if gather.dtype.kind == "f" and not (finite := np.isfinite(found)).all():
                wrong = np.zeros(len(values), np.bool_)
                wrong[gather.at] = ~finite
                status[fine & wrong] = statuses.BAD_NOT_FINITE
        if self._dtype == OBJECTS:
            values[status >= statuses.BAD_SEVERITY] = None
        return values

    def _take_singles(
        self, data: bytes, values: NDArray[Any], status: NDArray[np.uint32], fine: NDArray[np.bool_]
    ) -> tuple[tuple[str, ...], Ints, Ints, bytes]:
        types, begin, end = list(self._types), self.raw_begin.copy(), self._end.copy()
        pieces, size = [data], len(data)
        for at in self._singles:
            taken = self._taken(at, data)
            types[at] = taken.data_type
            if taken.raw is not None:
                begin[at], size = size, size + len(taken.raw)
                end[at] = size
                pieces.append(taken.raw)
            if not fine[at]:
                continue
            if taken.problem:
                status[at] = taken.problem
            elif taken.value is not None:
                _put(values, at, taken.value)
            else:
                status[at] = statuses.BAD_NO_DATA
        return tuple(types), begin, end, data if len(pieces) == 1 else b"".join(pieces)

    def _taken(self, at: int, data: bytes) -> Taken:
        """What the tag takes; a Variant of the same bytes as in the last answer (a text, mostly) is taken once."""
        variant = data[int(self._begin[at]) + 1 : int(self._end[at])]
        known = self._known.get(at)
        if known is None or known[0] != variant:
            known = self._known[at] = (variant, take(self._takes[at], variant, 0))
        return known[1]


def _put(values: NDArray[Any], at: int, value: JsonValue) -> None:
    values[at] = value


def _times(gather: _Gather, data: bytes, n: int) -> Ints:
    """UTC microseconds; 0 for no time, which OPC UA also writes as 1601-01-01."""
    found = np.zeros(n, np.int64)
    found[gather.at] = np.maximum((gather.of(data) - binary.TICKS_1970) // 10, 0)
    return found


class Decoder:
    """Answers to one request, whose layouts it learns: the last few, for a value that is bad now and then.

    ``learned`` counts how often.
    """

    def __init__(self, takes: Sequence[Take], dtype: np.dtype[Any]) -> None:
        self.learned = 0
        self._takes = tuple(takes)
        self._dtype = dtype
        self._layouts: list[Layout] = []

    def columns(self, data: bytes) -> tuple[Columns, int]:
        """The values at the beginning of these bytes, and where they end.

        Raises:
            Malformed: these bytes hold no such values.
        """
        layout = next((known for known in self._layouts if known.fits(data)), None)
        if layout is None:
            layout = Layout(data, self._takes, self._dtype)
            self.learned += 1
        if not self._layouts or layout is not self._layouts[0]:
            others = [known for known in self._layouts if known is not layout]
            self._layouts = [layout, *others[: _LAYOUTS - 1]]
        return layout.columns(data), layout.size
