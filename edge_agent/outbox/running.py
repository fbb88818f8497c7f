"""How long a buffer was in use, over all starts: the age of acknowledged records.

Counted on the monotonic clock and kept in the file, so that no wall clock that is set wrong can age a record,
and a crash can only make it younger.
"""

from __future__ import annotations

import math
import sqlite3

from edge_agent.outbox.schema import control, set_control
from records.clock import Clock

BUCKETS = 1000
"""Acknowledgements are noted this many times in ``keep_acknowledged_s``, so that their list stays short."""


class RunningTime:
    """Seconds of use; made when the file is opened."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._clock = clock
        self._before_s = float(control(connection, "running_s")) - clock.monotonic_s()

    def keep(self, connection: sqlite3.Connection) -> float:
        """Write the seconds down, inside the caller's transaction, and tell them."""
        running_s = self._before_s + self._clock.monotonic_s()
        set_control(connection, "running_s", repr(running_s))
        return running_s


def bucket_end(running_s: float, keep_s: float) -> float:
    """The end of the bucket that a moment falls into: what is acknowledged in it counts from there."""
    size = keep_s / BUCKETS
    return running_s if size == 0 else (math.floor(running_s / size) + 1) * size
