"""What waits to be taken in, and whose turn it is: an agent that has little to say does not wait for one that has
much.

Fair queueing by virtual finish: a message's turn begins at the later of now and the end of its agent's last turn,
and ends its cost later; the turn that ends first is next. So of agents that always have more each gets the same
share of the work, and who was quiet is heard at once, also when all others begin their turns at one moment. One
agent's messages keep their order.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING_BYTES = 64 * 1024 * 1024
"""Beyond it no more is taken from the network until less waits."""


MOST_KNOWN = 10_000
"""Of how many it is remembered at most what a byte of theirs has cost."""
TINY = 256
"""Of an item of fewer bytes nearly all of the cost is no byte's: it tells nothing of a large one's."""
STILL_THOUGHT = 0.99
"""With each item the dearest counts for so much of what it did: half after 69. One that was dear beyond all others
would else let every agent that is heard for the first time wait, as long as central runs."""


class FairQueue(Generic[T]):
    """Items by whom they come from and how large they are. Pure, for one thread.

    What an item costs is known once it was served, and is charged then. Before that it is thought to cost as much
    a byte as the last one of the same agent; one that is unknown as much as the dearest of late, so that a short
    message does not wait for a large one of which nobody knows yet how much is packed in it.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[tuple[int, T]]] = {}
        self._heap: list[tuple[float, int, float, str]] = []  # one turn of each who has a line: end, number, begin
        self._ends: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._dearest = 1.0
        self._served = ("", 0, 0.0)
        self._now = 0.0
        self._numbers = count()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def put(self, who: str, size: int, item: T) -> None:
        line = self._lines.setdefault(who, deque())
        line.append((size, item))
        if len(line) == 1:
            self._take_turn(who)

    def get(self, most: float = math.inf) -> T | None:
        """The next item, among those that are thought to cost at most so much; None when there is none."""
        passed = []
        while self._heap:
            turn = heapq.heappop(self._heap)
            _, _, begin, who = turn
            if self._ends.get(who, 0.0) > begin:  # it was charged since it took its turn
                self._take_turn(who)
            elif self._thought(who) > most:
                passed.append(turn)
            else:
                break
        else:
            self._heap = passed
            heapq.heapify(passed)
            return None
        for turn in passed:
            heapq.heappush(self._heap, turn)
        self._now = max(self._now, begin)
        size, item = self._lines[who].popleft()
        self._served = who, size, begin
        if self._lines[who]:
            self._take_turn(who)
            return item
        del self._lines[who]
        if not self._lines:  # nobody waits: all begin anew, who is charged for this item too
            self._ends.clear()
            self._now = 0.0
            self._served = who, size, self._now
        return item

    def charge(self, cost: float) -> None:
        """What the item that was got last has cost; before the next is got."""
        who, size, begin = self._served
        if len(self._rates) >= MOST_KNOWN:
            self._rates.clear()
        self._rates[who] = cost / max(size, TINY)
        self._dearest = max(self._dearest * STILL_THOUGHT, self._rates[who])
        if self._lines:
            self._ends[who] = begin + cost

    def _take_turn(self, who: str) -> None:
        begin = max(self._now, self._ends.get(who, 0.0))
        heapq.heappush(self._heap, (begin + self._thought(who), next(self._numbers), begin, who))

    def _thought(self, who: str) -> float:
        """What the next item of an agent is thought to cost."""
        return self._lines[who][0][0] * self._rates.get(who, self._dearest)


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

    def put(self, who: str, size: int, item: T) -> None:
        """Waits while too many bytes do; an item larger than all of that is let in alone."""
        with self._changed:
            while self._bytes and self._bytes + size > self._most_bytes:
                self._changed.wait()
            self._bytes += size
            self._fair.put(who, size, (size, item))
            self._changed.notify_all()

    def charge(self, cost: float) -> None:
        """What the last item that was got, and not urgent, has cost; before the next is got."""
        with self._changed:
            self._fair.charge(cost)

    def get(self, most: float = math.inf) -> T:
        """The next one, thought to cost at most so much where it is not urgent; waits for it."""
        with self._changed:
            while True:
                if self._urgent:
                    return self._urgent.popleft()
                found = self._fair.get(most)
                if found is not None:
                    size, item = found
                    self._bytes -= size
                    self._changed.notify_all()
                    return item
                self._changed.wait()
