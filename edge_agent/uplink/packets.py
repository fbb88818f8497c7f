"""How large a message the broker takes: what it told, and what was learnt from how it behaves.

MQTT 5 brokers tell a Maximum Packet Size. MQTT 3.1.1 cannot, and a broker may have a limit of its own besides (as
mosquitto's ``message_size_limit``): then a message that is too large is refused, or ends the connection each time.
"""

from __future__ import annotations

from records.wire import MAX_FRAME

SMALLEST = 1024
RELAX_S = 60.0
"""What was learnt is believed less with time: the limit doubles this often, so that a broker whose limit was
raised is found out."""


class PacketSize:
    """The largest frame that is worth sending."""

    def __init__(self) -> None:
        self._limit: int | None = None
        self._learnt_s = 0.0

    def too_large(self, size: int, now_s: float) -> None:
        """A frame of this size did not pass."""
        self._limit = max(min(size, self.limit(now_s) or size) // 2, SMALLEST)
        self._learnt_s = now_s

    def limit(self, now_s: float) -> int | None:
        """Bytes that a frame should have at most; None: nothing was learnt."""
        if self._limit is None:
            return None
        doubled = min(int((now_s - self._learnt_s) // RELAX_S), 20)
        limit = self._limit << doubled
        return limit if limit < MAX_FRAME else None
