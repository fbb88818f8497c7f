"""What a telemetry tag's own settings leave out before its values are kept: deadband, change, heartbeat, mean.

Vectors over all thinned tags of one poll group. Only telemetry is ever thinned; a status that changes is always
kept, whatever the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.status import BAD_SEVERITY, BAD_TYPE_MISMATCH
from drivers.tags import TagSettings
from records.clock import MICROSECONDS

UNCERTAIN_MEAN = 0x40000000
"""The status of a mean over values of which some were not good (OPC UA's plain Uncertain)."""
_NUMBERS = (int, float, np.number, np.bool_)
Kept = tuple[NDArray[np.intp], NDArray[Any], NDArray[np.uint32], NDArray[np.int64]]
"""Places, values (objects), statuses and source times of what is kept of one block."""


class Thinner:
    """Of n tags that are always read together; of one without such settings everything is kept."""

    def __init__(self, tags: Sequence[TagSettings]) -> None:
        count = len(tags)
        self._all = np.array([not tag.filters for tag in tags])
        self._mean = np.array([tag.average is not None for tag in tags])
        self._span_us = np.array([round((tag.average or 1.0) * MICROSECONDS) for tag in tags], np.int64)
        self._deadband = np.array([tag.deadband or 0.0 for tag in tags])
        self._within = np.array([tag.deadband is not None for tag in tags])
        hearts = [1 << 62 if tag.heartbeat is None else round(tag.heartbeat * MICROSECONDS) for tag in tags]
        self._heartbeat_us = np.array(hearts, np.int64)
        self._last = np.full(count, None, np.object_)
        self._last_number = np.full(count, np.nan)
        self._last_status = np.full(count, 0xFFFFFFFF, np.uint32)  # no status: the first value is kept
        self._last_us = np.zeros(count, np.int64)
        self._span = np.full(count, -1, np.int64)
        self._sum, self._count = np.zeros(count), np.zeros(count, np.int64)
        self._worst = np.zeros(count, np.uint32)

    def forget(self, at: Sequence[int]) -> None:
        """The next value at these places is kept, whatever it is: another reading of them was told meanwhile."""
        self._last_status[list(at)] = 0xFFFFFFFF

    def take(
        self,
        values: NDArray[Any],
        status: NDArray[np.uint32],
        source_us: NDArray[np.int64],
        edge_us: int,
    ) -> Kept:
        """What of one block is kept; columns of shape (n,)."""
        bad = status >= BAD_SEVERITY
        numbers = np.full(len(status), np.nan)
        numeric = (self._within | self._mean) & ~bad
        if numeric.any():
            if values.dtype == np.object_:
                status, bad, numeric = _numeric(values, status, bad, numeric)
            numbers[numeric] = values[numeric].astype(np.float64)
        kept = self._changed(values, numbers, status, bad, edge_us)
        out = values.astype(np.object_)
        status = status.copy()
        if self._mean.any():
            kept |= self._means(numbers, out, status, bad, edge_us)
        at = np.flatnonzero(kept)
        return at, out[at], status[at], source_us[at]

    def _changed(
        self,
        values: NDArray[Any],
        numbers: NDArray[np.float64],
        status: NDArray[np.uint32],
        bad: NDArray[np.bool_],
        edge_us: int,
    ) -> NDArray[np.bool_]:
        other = np.asarray(values != self._last, np.bool_)
        within = self._within & (np.abs(numbers - self._last_number) < self._deadband)
        kept: NDArray[np.bool_] = (other & ~within & ~bad) | (status != self._last_status)
        age_us = np.abs(edge_us - self._last_us)  # a clock that was set back stops no heart
        kept |= self._all | (age_us >= self._heartbeat_us)
        kept &= ~self._mean
        self._last[kept], self._last_number[kept] = values[kept], numbers[kept]
        self._last_status[kept], self._last_us[kept] = status[kept], edge_us
        return kept

    def _means(
        self,
        numbers: NDArray[np.float64],
        out: NDArray[Any],
        status: NDArray[np.uint32],
        bad: NDArray[np.bool_],
        edge_us: int,
    ) -> NDArray[np.bool_]:
        """The mean of a span is told with the first value behind it; a span without a good value is bad."""
        span = edge_us // self._span_us
        ended: NDArray[np.bool_] = self._mean & (span != self._span) & (self._span >= 0)
        arrived = status.copy()
        some = ended & (self._count > 0)
        out[some] = (self._sum[some] / self._count[some]).tolist()
        status[some] = np.where(self._worst[some] == 0, 0, UNCERTAIN_MEAN)
        none = ended & (self._count == 0)
        out[none], status[none] = None, self._worst[none]
        fresh = span != self._span
        self._sum[fresh], self._count[fresh], self._worst[fresh] = 0.0, 0, 0
        self._span = span
        good = self._mean & ~bad
        self._sum[good] += numbers[good]
        self._count[good] += 1
        np.maximum(self._worst, arrived, out=self._worst)
        return ended


def _numeric(
    values: NDArray[Any], status: NDArray[np.uint32], bad: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.uint32], NDArray[np.bool_], NDArray[np.bool_]]:
    """A server may tell a text where a number is wanted: that is a bad reading. Statuses, bad, numbers."""
    wrong = np.array([bool(w) and not isinstance(v, _NUMBERS) for w, v in zip(wanted, values, strict=True)])
    if not wrong.any():
        return status, bad, wanted
    return np.where(wrong, np.uint32(BAD_TYPE_MISMATCH), status), bad | wrong, wanted & ~wrong
