"""How much is sent, and when it is sent again: pure decisions over positions, bytes and seconds.

What counts as on its way is what was sent and is not yet covered by central's watermark; the broker's answer does
not count. At most ``messages`` frames and ``bytes`` are on their way, so a central that is away fills neither the
broker nor memory. When nothing has moved for a while, only the first frame is sent again, ever more seldom, until
central answers; then the window opens again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The window and the times after which frames are sent again."""

    messages: int = 100
    bytes: int = 1024 * 1024
    resend_after_s: float = 5.0
    resend_max_s: float = 60.0


class Window:
    """What is on its way. Positions are those of the outbox; ``cursor`` is the last one that was sent."""

    def __init__(self, limits: Limits, acknowledged: int, now_s: float) -> None:
        self._limits = limits
        self._frames: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._probing = False
        self._wait_s = limits.resend_after_s
        self._moved_s = now_s
        self.acknowledged = self.cursor = acknowledged

    @property
    def on_their_way(self) -> int:
        """Frames sent that no watermark covers yet."""
        return len(self._frames)

    @property
    def probing(self) -> bool:
        """Whether central has been silent for so long that only one frame is sent again and again."""
        return self._probing

    def room(self) -> bool:
        """Whether another frame may be sent now."""
        if not self._frames:
            return True
        return not self._probing and len(self._frames) < self._limits.messages and self._bytes < self._limits.bytes

    def sent(self, position: int, size: int, now_s: float) -> None:
        """A frame of ``size`` bytes that ends at ``position`` was handed to the broker's connection."""
        if not self._frames:
            self._moved_s = now_s
        self._frames.append((position, size))
        self._bytes += size
        self.cursor = position

    def moved(self, acknowledged: int, now_s: float) -> None:
        """Central's watermark now stands at ``acknowledged``; it may also have gone back."""
        forward = acknowledged > self.acknowledged
        self.acknowledged = acknowledged
        while self._frames and self._frames[0][0] <= acknowledged:
            self._bytes -= self._frames.popleft()[1]
        if forward:
            self._probing, self._wait_s, self._moved_s = False, self._limits.resend_after_s, now_s
            self.cursor = max(self.cursor, acknowledged)
        else:
            self._again(now_s)

    def stalled(self, now_s: float) -> bool:
        """Whether nothing moved for too long; if so, everything behind the watermark is to be sent again."""
        if not self._frames or now_s - self._moved_s < self._wait_s:
            return False
        self._again(now_s)
        self._probing = True
        self._wait_s = min(self._wait_s * 2, self._limits.resend_max_s)
        return True

    def until_stalled_s(self, now_s: float) -> float | None:
        """Seconds until ``stalled`` can be true; None while nothing is on its way."""
        return max(self._wait_s - (now_s - self._moved_s), 0.0) if self._frames else None

    def _again(self, now_s: float) -> None:
        self._frames.clear()
        self._bytes = 0
        self._moved_s = now_s
        self.cursor = self.acknowledged
