"""What the agent asks central for, outside of its records: signed when it is sent, gone with the connection."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog
from pydantic import JsonValue

from records.clock import MOST_AHEAD_US, Clock
from records.keys import Identity
from records.wire import Request, request_topic, sign

Content = JsonValue | Callable[[str], JsonValue]
"""What is asked, or what makes it of the id of the key that signs it."""
MOST_WAITING = 100
"""Most requests that wait for a connection; the oldest gives way, since whoever asked asks again."""


class Requests:
    """The requests that wait to be sent. Safe from any thread."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self.topic = request_topic(identity.file.partition, identity.file.agent)
        self._identity, self._clock = identity, clock
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, Content]] = deque()
        self._last_us = 0
        self._log = structlog.get_logger().bind(agent=identity.file.agent)

    def ask(self, kind: str, content: Content) -> None:
        """Let it wait for its turn. What names the key that signs it is made when it is signed."""
        with self._lock:
            if len(self._waiting) == MOST_WAITING:
                given_up, _ = self._waiting.popleft()
                self._log.warning("request-given-up", kind=given_up, most=MOST_WAITING)
            self._waiting.append((kind, content))

    def next(self) -> bytes | None:
        """The signed payload that goes next; its time is later than that of all before it, but for those of a
        clock that was far ahead and has been set right.
        """
        with self._lock:
            if not self._waiting:
                return None
            kind, content = self._waiting.popleft()
            now_us = self._clock.now_us()
            self._last_us = now_us if self._last_us > now_us + MOST_AHEAD_US else max(now_us, self._last_us + 1)
            at_us, key = self._last_us, self._identity.signing
        told = content(key.id) if callable(content) else content
        return sign(Request(self._identity.file.agent, kind, at_us, told), key)
