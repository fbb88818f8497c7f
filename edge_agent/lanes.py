"""Readings of one device that wait to become one chunk: columns are gathered as they come and encoded at once.

Nothing here is done per value: blocks stay numpy arrays from the driver to the chunk's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.base import OBJECTS, ReadingBlock
from drivers.status import BAD_SEVERITY, BAD_TYPE_MISMATCH
from drivers.tags import TagSettings
from edge_agent.thinning import Kept
from records.telemetry import DTYPES, Column, SeriesTag, encode_chunk

Describe = Callable[[tuple[Column, ...]], bytes]
"""The beginning of a chunk with these columns, by the configuration in force."""

SLOW_S = 0.5
LONGEST_PATIENCE_S = 0.25
ENTRY_BYTES = 16
"""About what one reading that says whose it is takes besides its value."""


def patience_s(interval_s: float | None) -> float:
    """How long readings may wait for those of other devices, to be committed with them: of slow polls, a part of
    their interval, since nobody who reads once a second needs a value within milliseconds.
    """
    return 0.0 if interval_s is None or interval_s < SLOW_S else min(interval_s / 4, LONGEST_PATIENCE_S)


LONG_ITEM_BYTES = 16
"""About what one element of an array or a structure takes."""


def _text_bytes(values: NDArray[Any]) -> int:
    """About what texts, arrays and structures take beyond their place in a column."""
    found = 0
    for value in values.tolist():
        if isinstance(value, str):
            found += len(value)
        elif isinstance(value, list | dict):
            found += LONG_ITEM_BYTES * len(value)
    return found


def series_tag(tag: TagSettings) -> SeriesTag:
    return SeriesTag(tag.name, tag.unit, tag.deadband, tag.on_change, tag.heartbeat, tag.average)


_PLAIN: dict[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int, bool}),
    "u": frozenset({int, bool}),
    "f": frozenset({float, int, bool}),
}
"""By the kind of a column: the types whose values it holds as they are, or refuses with an error."""


def typed(
    values: NDArray[Any], status: NDArray[np.uint32], data_type: str
) -> tuple[NDArray[Any] | list[Any], NDArray[np.uint32]]:
    """Values of one data type as a chunk's column, and their statuses: what is not of it is bad, not cut."""
    bad = status >= BAD_SEVERITY
    dtype = DTYPES.get(data_type)
    if dtype is None:
        plain = values.tolist()
        if bad.any():
            plain = [None if gone else value for gone, value in zip(bad.tolist(), plain, strict=True)]
        return plain, status
    if bad.any():
        values = np.where(bad, dtype.type(0).item(), values)
    if _is_plain(values, dtype):
        with suppress(TypeError, ValueError, ArithmeticError), np.errstate(over="raise"):
            return values.astype(dtype, copy=False), status
    return _fitting(values, status, dtype)


def _is_plain(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether numpy neither cuts a value (2.7 to 2), nor wraps one, nor reads a number out of a text."""
    if values.dtype == OBJECTS:
        return _PLAIN[dtype.kind].issuperset(map(type, values.tolist()))
    return dtype.kind == "f" == values.dtype.kind or np.can_cast(values.dtype, dtype)


def _fitting(
    values: NDArray[Any], status: NDArray[np.uint32], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    found, status = np.zeros(len(values), dtype), status.copy()
    for at, value in enumerate(values):
        try:
            with np.errstate(over="raise"):
                found[at] = value
            fits = not isinstance(value, str | bytes) and (dtype.kind == "f" or found[at] == value)
        except (TypeError, ValueError, ArithmeticError):
            fits = False
        if not fits:
            found[at], status[at] = 0, BAD_TYPE_MISMATCH
    return found, status


class Grid:
    """Polls of the same tags: every row has them all."""

    def __init__(
        self, tags: Sequence[TagSettings], types: Sequence[str], describe: Describe, patience_s: float = 0.0
    ) -> None:
        self.patience_s = patience_s
        by_type: dict[str, list[int]] = {}
        for at, data_type in enumerate(types):
            by_type.setdefault(data_type, []).append(at)
        self._at = {data_type: np.array(places, np.intp) for data_type, places in by_type.items()}
        order = np.array([at for places in by_type.values() for at in places], np.intp)
        self._order = None if (order == np.arange(len(order))).all() else order
        self._columns = tuple(
            Column(data_type, tuple(series_tag(tags[at]) for at in places))
            for data_type, places in by_type.items()
        )
        long = [at for data_type, places in by_type.items() if data_type not in DTYPES for at in places]
        self._long = np.array(long, np.intp) if long else None
        self._describe = describe
        self._rows: list[ReadingBlock] = []
        self.values = 0

    def add(self, block: ReadingBlock) -> int:
        """Take one poll; about how many bytes it makes."""
        self._rows.append(block)
        self.values += len(block.status)
        size: int = block.values.nbytes + ENTRY_BYTES
        return size if self._long is None else size + _text_bytes(block.values[self._long])

    def drain(self) -> bytes:
        """The chunk of what was taken since the last one."""
        rows, self._rows, self.values = self._rows, [], 0
        status = np.concatenate([row.status for row in rows]).reshape(len(rows), -1)
        values = np.concatenate([row.values for row in rows]).reshape(len(rows), -1)
        source = np.concatenate([row.source_us for row in rows]).reshape(len(rows), -1)
        columns = []
        if len(self._at) == 1:
            (data_type,) = self._at
            column, flat = typed(values.ravel(), status.ravel(), data_type)
            columns.append(column)
        else:
            flat = self._split(values, status, columns)
            source = source if self._order is None else source[:, self._order]
        return encode_chunk(
            self._describe(self._columns),
            np.array([row.edge_us for row in rows], np.int64),
            source.ravel(),
            flat,
            columns,
        )

    def _split(
        self, values: NDArray[Any], status: NDArray[np.uint32], columns: list[NDArray[Any] | list[Any]]
    ) -> NDArray[np.uint32]:
        """Fill one column for each data type; all statuses in the order of the columns' tags."""
        told = []
        for data_type, at in self._at.items():
            column, own = typed(values[:, at].ravel(), status[:, at].ravel(), data_type)
            columns.append(column)
            told.append(own.reshape(len(values), -1))
        return np.concatenate(told, axis=1).ravel()


class Listed:
    """Readings that come one by one, or of which some are left out: every row says which tags it has."""

    def __init__(self, tags: Sequence[TagSettings], describe: Describe, patience_s: float = 0.0) -> None:
        self.patience_s = patience_s
        self._tags, self._describe = list(tags), describe
        self._types = [tag.type_name if tag.average is None else "float64" for tag in tags]
        self.learned = 0
        """How often a tag was found to have another data type."""
        self._rows: list[tuple[int, NDArray[np.intp], Kept]] = []
        self.values = 0

    def fits(self, numbers: NDArray[np.intp], types: Sequence[str]) -> bool:
        """Whether tags still have the data types that they had in what waits; remembers types that are new."""
        fitting = True
        for number, data_type in zip(numbers.tolist(), types, strict=True):
            known = self._types[number]
            if self._tags[number].average is None and data_type and known != data_type:
                fitting &= not known
        return fitting

    def learn(self, numbers: NDArray[np.intp], types: Sequence[str]) -> None:
        """From now on tags have these data types."""
        for number, data_type in zip(numbers.tolist(), types, strict=True):
            if self._tags[number].average is None and data_type and self._types[number] != data_type:
                self._types[number] = data_type
                self.learned += 1

    def know(self, numbers: NDArray[np.intp], tags: Sequence[TagSettings]) -> None:
        """What was learned of these tags since, such as a unit that their server told."""
        for number, tag in zip(numbers.tolist(), tags, strict=True):
            if tag.unit is not None:
                self._tags[number] = tag

    def add(self, edge_us: int, numbers: NDArray[np.intp], kept: Kept) -> int:
        """Take what is kept of one block, whose tags have these numbers; about how many bytes it makes."""
        at = kept[0]
        if not len(at):
            return 0
        self._rows.append((edge_us, numbers[at], kept))
        self.values += len(at)
        return len(at) * (8 + ENTRY_BYTES) + (_text_bytes(kept[1]) if kept[1].dtype == OBJECTS else 0)

    def drain(self) -> bytes:
        """The chunk of what was taken since the last one."""
        rows, self._rows, self.values = self._rows, [], 0
        numbers = np.concatenate([number for _, number, _ in rows])
        values = np.concatenate([kept[1] for _, _, kept in rows])
        status = np.concatenate([kept[2] for _, _, kept in rows])
        by_type: dict[str, list[int]] = {}
        for number in np.unique(numbers).tolist():
            by_type.setdefault(self._types[number], []).append(number)
        place = np.zeros(len(self._tags), np.int64)
        columns: list[NDArray[Any] | list[Any]] = []
        first = 0
        for data_type, members in by_type.items():
            place[members] = np.arange(first, first + len(members))
            inside = np.isin(numbers, members)
            column, status[inside] = typed(values[inside], status[inside], data_type)
            columns.append(column)
            first += len(members)
        described = tuple(
            Column(data_type, tuple(series_tag(self._tags[number]) for number in members))
            for data_type, members in by_type.items()
        )
        return encode_chunk(
            self._describe(described),
            np.array([edge_us for edge_us, _, _ in rows], np.int64),
            np.concatenate([kept[3] for _, _, kept in rows]),
            status,
            columns,
            counts=np.array([len(number) for _, number, _ in rows], np.int64),
            tags=place[numbers],
        )
