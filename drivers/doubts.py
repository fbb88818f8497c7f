"""What is wrong with readings, told once: a tag that turns bad, a tag that turns stale, a clock that is off.

A machine that is read ten times a second says the same wrong thing ten times a second; people need it once. What
flaps is told at most once a minute a tag, and many tags at once make one notice with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from drivers.base import Notice, OnNotice, ReadingBlock
from drivers.poll import PollMeter
from drivers.status import BAD_SEVERITY
from records.clock import MICROSECONDS, Clock

AGAIN_S = 60.0
"""One tag makes at most one notice of a kind in this time."""
SEVERAL = 5
"""More tags than these at one moment are told as the first of them and a count."""
CLOCK_WINDOW_S = 300.0
"""How far a device's clock may be from ours."""
OLDEST_S = 366 * 86_400.0
"""A source time may be old, since a value that does not change keeps it; older than this the clock is wrong."""
_CLOCK_CHECK_S = 10.0
_MOST_GROUPS = 256


class Doubts:
    """Of one device. Readings stay as they are: source times are kept, order is by our own time and by seq."""

    def __init__(self, device: str, clock: Clock, tell: OnNotice) -> None:
        self._device, self._clock, self._tell = device, clock, tell
        self._bad: set[str] = set()
        self._told_s: dict[tuple[str, str], float] = {}
        self._off = False
        self._clock_due_s = 0.0
        self._server_us: dict[tuple[str, int], int] = {}

    def look(self, block: ReadingBlock) -> None:
        """Look at one block."""
        bad = block.status >= BAD_SEVERITY
        if self._bad or bad.any():
            self._turned(block, {block.tags[n] for n in np.flatnonzero(bad)})
        now_s = self._clock.monotonic_s()
        if now_s >= self._clock_due_s:
            self._clock_due_s = now_s + _CLOCK_CHECK_S
            self._clocks(block)

    def stale(self, tags: Sequence[str], age_s: float) -> None:
        """These tags were not refreshed for so long while the device answered."""
        self._several("reading-stale", tags, {name: round(age_s, 3) for name in tags}, "age_s")

    def _turned(self, block: ReadingBlock, bad: set[str]) -> None:
        healed = [name for name in self._bad if name in block.group.index and name not in bad]
        fresh = [name for name in block.tags if name in bad and name not in self._bad]
        self._bad.difference_update(healed)
        self._bad.update(fresh)
        if fresh:
            words = {name: block.group.word(int(block.status[block.group.index[name]])) for name in fresh}
            self._several("reading-bad", fresh, words, "status")

    def _several(self, code: str, tags: Sequence[str], told: Mapping[str, JsonValue], key: str) -> None:
        now_s = self._clock.monotonic_s()
        due = [name for name in tags if now_s - self._told_s.get((code, name), -AGAIN_S) >= AGAIN_S]
        self._told_s.update({(code, name): now_s for name in due})
        if len(due) > SEVERAL:
            first = due[0]
            self._tell(Notice(code, {"tag": f"{self._device}.{first}", key: told[first], "count": len(due)}))
            return
        for name in due:
            self._tell(Notice(code, {"tag": f"{self._device}.{name}", key: told[name]}))

    def _clocks(self, block: ReadingBlock) -> None:
        """A source time tells only when it lies ahead, or years back. So does a server time that did not move
        since the last look: many servers stamp a value when they got it, not when they tell it.
        """
        server_us = int(block.server_us.max())
        key = block.tags[0], len(block.tags)
        moved = self._server_us.get(key, server_us) != server_us
        if len(self._server_us) >= _MOST_GROUPS:
            self._server_us.clear()
        self._server_us[key] = server_us
        offset_s = (server_us - block.edge_us) / MICROSECONDS if server_us else 0.0
        if not moved and -OLDEST_S <= offset_s < -CLOCK_WINDOW_S:
            return
        source_us = int(block.source_us.max())
        ahead_s = (source_us - block.edge_us) / MICROSECONDS if source_us else 0.0
        if abs(offset_s) <= CLOCK_WINDOW_S and (ahead_s > CLOCK_WINDOW_S or ahead_s < -OLDEST_S):
            offset_s = ahead_s
        off = abs(offset_s) > CLOCK_WINDOW_S
        if off and not self._off:
            self._tell(Notice("clock-skew", {"device": self._device, "offset_s": round(offset_s)}))
        self._off = off


LATE_SPAN_S = 60.0
LATE_SHARE = 0.1
"""A device is late while more than this share of a span's grid points had a late poll or none."""


class Lateness:
    """Tells when the polls of a device cannot keep their rate, and when they can again."""

    def __init__(self, device: str, meter: PollMeter, tell: OnNotice) -> None:
        self._device, self._meter, self._tell = device, meter, tell
        self._began: tuple[float, PollMeter] | None = None
        self._late = False

    def look(self, now_s: float) -> None:
        """Judge the span that has ended, if one has."""
        if self._began is None:
            self._began = (now_s, replace(self._meter))
            return
        since_s, then = self._began
        if now_s - since_s < LATE_SPAN_S:
            return
        self._began = (now_s, replace(self._meter))
        polls = self._meter.polls - then.polls
        late, skipped = self._meter.late - then.late, self._meter.skipped - then.skipped
        due = polls + skipped
        is_late = due > 0 and (late + skipped) / due > LATE_SHARE
        if is_late != self._late:
            self._late = is_late
            params: dict[str, JsonValue] = {"device": self._device, "polls": polls, "late": late}
            params |= {"skipped": skipped, "span_s": round(now_s - since_s)}
            self._tell(Notice("polls-late" if is_late else "polls-on-time", params))
