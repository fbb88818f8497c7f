"""How much is sent, and when it is sent again: pure decisions over positions, bytes and seconds.

What counts as on its way is what was sent and is not yet covered by central's watermark; the broker's answer does
not count. At most ``messages`` frames and ``bytes`` of both streams together are on their way, so a central that
is away fills neither the broker nor memory. Within that a window opens by a frame for each that is answered soon,
and halves when an answer is late: of many agents that drain at once each has little on its way, and no record of
another stands behind all of theirs in the broker. While central is slow to answer, short frames wait for each
other: what is committed meanwhile goes in one frame after its next answer, so that it has fewer to take. When
nothing has moved for a while, or the broker refuses a frame, only the first frame is sent again, ever more seldom,
until central answers; then the window opens again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The window and the times after which frames are sent again.

    ``first``: frames that go before anything was answered. ``soon_s``: an answer within it opens the window.
    ``short_messages``: behind so many frames another one waits while the last was short: of at most
    ``short_records`` and smaller than ``short_bytes``.
    """

    messages: int = 100
    bytes: int = 1024 * 1024
    first: int = 4
    soon_s: float = 1.0
    short_messages: int = 2
    short_bytes: int = 8 * 1024
    short_records: int = 20
    resend_after_s: float = 5.0
    resend_max_s: float = 60.0
    refused_after_s: float = 1.0


@dataclass(slots=True)
class OnTheirWay:
    """Frames and bytes of all streams together."""

    frames: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Frame:
    position: int
    size: int
    short: bool
    sent_s: float


class Window:
    """What is on its way of one stream. Positions are those of the outbox; ``cursor`` is the last one sent.

    ``together`` is shared by the streams; this one may have only ``share`` of what ``limits`` allow.
    """

    def __init__(
        self,
        limits: Limits,
        acknowledged: int,
        now_s: float,
        together: OnTheirWay | None = None,
        share: float = 1.0,
    ) -> None:
        self._limits = limits
        self._together = together or OnTheirWay()
        self._most, self._most_bytes = max(int(limits.messages * share), 1), int(limits.bytes * share)
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._open = min(limits.first, self._most)
        self._full = False
        self._halved = -1
        self._probing = False
        self._wait_s = limits.resend_after_s
        self._refused_s = limits.refused_after_s
        self._moved_s = now_s
        self.acknowledged = self.cursor = acknowledged

    @property
    def on_their_way(self) -> int:
        """Frames sent that no watermark covers yet."""
        return len(self._frames)

    @property
    def probing(self) -> bool:
        """Whether only one frame is sent again and again, until central answers."""
        return self._probing

    def room(self) -> bool:
        """Whether another frame may be sent now."""
        if not self._frames:
            return True
        limits, all_ = self._limits, self._together
        if len(self._frames) >= limits.short_messages and self._frames[-1].short:
            return False
        return (
            not self._probing
            and len(self._frames) < self._open
            and self._bytes < self._most_bytes
            and all_.frames < limits.messages
            and all_.bytes < limits.bytes
        )

    def sent(self, position: int, size: int, now_s: float) -> None:
        """A frame of ``size`` bytes that ends at ``position`` was handed to the broker's connection."""
        if not self._frames:
            self._moved_s = now_s
        limits = self._limits
        short = size < limits.short_bytes and position - self.cursor <= limits.short_records
        self._frames.append(_Frame(position, size, short, now_s))
        self._full = len(self._frames) >= self._open
        self._bytes += size
        self._together.frames += 1
        self._together.bytes += size
        self.cursor = position

    def moved(self, acknowledged: int, now_s: float, heard_s: float | None = None) -> None:
        """Central's watermark now stands at ``acknowledged``; it may also have gone back.

        ``heard_s``: when it was heard, where that is not now.
        """
        forward = acknowledged > self.acknowledged
        self.acknowledged = acknowledged
        answered = [self._forget() for frame in tuple(self._frames) if frame.position <= acknowledged]
        if forward:
            limits = self._limits
            self._probing, self._moved_s = False, now_s
            self._wait_s, self._refused_s = limits.resend_after_s, limits.refused_after_s
            if answered:
                waited_s = (now_s if heard_s is None else heard_s) - answered[-1].sent_s
                self._wait_s = min(max(self._wait_s, 2 * waited_s), limits.resend_max_s)
                self._pace(waited_s, len(answered))
            self.cursor = max(self.cursor, acknowledged)
        else:
            self._again(now_s)

    def _pace(self, waited_s: float, answered: int) -> None:
        if waited_s <= self._limits.soon_s:
            if self._full:  # else it is not the window that holds frames back
                self._open = min(self._open + answered, self._most)
        elif self.acknowledged > self._halved:
            self._open = max(self._open // 2, 1)
            self._halved = self.cursor  # what is on its way was sent before

    def taken(self, now_s: float) -> None:
        """The broker has frames only from now on: central could not answer before."""
        self._moved_s = now_s

    def stalled(self, now_s: float) -> bool:
        """Whether nothing moved for too long; if so, everything behind the watermark is to be sent again."""
        if not self._frames or now_s - self._moved_s < self._wait_s:
            return False
        self._again(now_s)
        self._probing = True
        self._open = min(self._limits.first, self._open)
        self._wait_s = min(self._wait_s * 2, self._limits.resend_max_s)
        return True

    def refused(self, now_s: float) -> float:
        """The broker did not take a frame: begin again with one frame, after so many seconds."""
        self._again(now_s)
        self._probing = True
        wait_s, self._refused_s = self._refused_s, min(self._refused_s * 2, self._limits.resend_max_s)
        return wait_s

    def restart(self, acknowledged: int, now_s: float, *, probing: bool) -> None:
        """There is a new connection: everything behind the watermark goes again."""
        self.acknowledged = acknowledged
        self._again(now_s)
        self._probing = probing
        self._wait_s = self._limits.resend_after_s

    def until_stalled_s(self, now_s: float) -> float | None:
        """Seconds until ``stalled`` can be true; None while nothing is on its way."""
        return max(self._wait_s - (now_s - self._moved_s), 0.0) if self._frames else None

    def _again(self, now_s: float) -> None:
        while self._frames:
            self._forget()
        self._moved_s = now_s
        self.cursor = self.acknowledged
        self._halved = min(self._halved, self.acknowledged)  # nothing is on its way from before

    def _forget(self) -> _Frame:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        self._together.frames -= 1
        self._together.bytes -= frame.size
        return frame
