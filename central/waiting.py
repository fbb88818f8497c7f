"""What waits to be taken in, and whose turn it is: an agent that has little to say does not wait for one that has
much.

Start-time fair queueing: each message has a start, the later of now and the end of its agent's last one, and an
end, its cost later; the smallest start is next. So of agents that always have more each gets the same share, and
who was quiet is heard at once. One agent's messages keep their order.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING_BYTES = 64 * 1024 * 1024
"""Beyond it no more is taken from the network until less waits."""


class FairQueue(Generic[T]):
    """Items by whom they come from and what they cost. Pure, for one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._ends: dict[str, float] = {}
        self._now = 0.0
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, who: str, cost: float, item: T) -> None:
        start = max(self._now, self._ends.get(who, 0.0))
        self._ends[who] = start + cost
        heapq.heappush(self._heap, (start, next(self._numbers), item))

    def get(self) -> T:
        """The next item.

        Raises:
            IndexError: there is none.
        """
        self._now, _, item = heapq.heappop(self._heap)
        if not self._heap:
            self._ends.clear()
            self._now = 0.0
        return item


class Waiting(Generic[T]):
    """A fair queue between threads. What is ``urgent`` goes before everything else, in its order."""

    def __init__(self, most_bytes: int = WAITING_BYTES) -> None:
        self._most_bytes = most_bytes
        self._urgent: deque[T] = deque()
        self._fair: FairQueue[tuple[int, T]] = FairQueue()
        self._bytes = 0
        self._changed = threading.Condition()

    def urgent(self, item: T) -> None:
        with self._changed:
            self._urgent.append(item)
            self._changed.notify_all()

    def put(self, who: str, size: int, overhead: int, item: T) -> None:
        """Waits while too many bytes do; an item larger than all of that is let in alone."""
        with self._changed:
            while self._bytes and self._bytes + size > self._most_bytes:
                self._changed.wait()
            self._bytes += size
            self._fair.put(who, size + overhead, (size, item))
            self._changed.notify_all()

    def get(self, *, wait: bool = True) -> T | None:
        """The next one; None when there is none and ``wait`` is False."""
        with self._changed:
            while True:
                if self._urgent:
                    return self._urgent.popleft()
                if self._fair:
                    size, item = self._fair.get()
                    self._bytes -= size
                    self._changed.notify_all()
                    return item
                if not wait:
                    return None
                self._changed.wait()
