"""Loaded into a warm parent whose clock is libfaketime's: under it every ``time.sleep`` of Python 3.11 and later
fails with "Invalid argument", since that library cannot wait for a moment of the monotonic clock. A wait for
nothing takes as long.
"""

from __future__ import annotations

import threading
import time

_NEVER = threading.Event()


def sleep(seconds: float) -> None:
    """As ``time.sleep``."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _NEVER.wait(seconds)


time.sleep = sleep  # type: ignore[assignment]
