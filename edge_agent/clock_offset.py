"""How far this agent's clock is from central's: measured at every comparison of notes, told when it is too far.

The agent asks, central signs its own time into the answer; the truth is within half of the time that this took.
What was measured moves along when the agent's clock is set, so that it is right until it is measured again. It
does so too when the computer slept, which stops the monotonic clock alone, and is wrong then until it is measured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from records.clock import MICROSECONDS, Clock

LIMIT_S = 5.0
"""A clock that is farther off is told; certificates, orders of events and expiry dates suffer from it."""
MOST_S = 10.0
"""An answer that took longer measures nothing."""
OLDEST_S = 1800.0
"""What was measured longer ago is told of no record."""

Tell = Callable[[str, dict[str, JsonValue]], None]


@dataclass(frozen=True, slots=True)
class Offset:
    """The agent's clock less central's in seconds, right within ``within_s``, as it was found ``age_s`` ago."""

    seconds: float
    within_s: float
    age_s: float

    @property
    def too_far(self) -> bool:
        """Whether it is, even where the answer took all of its time one way."""
        return abs(self.seconds) - self.within_s > LIMIT_S


@dataclass(frozen=True, slots=True)
class _Measured:
    offset_s: float
    within_s: float
    at_s: float
    wall_less_monotonic_s: float


class ClockOffset:
    """From any thread. ``tell`` records an event."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock, self._tell = clock, tell
        self._lock = threading.Lock()
        self._asked_s: float | None = None
        self._measured: _Measured | None = None
        self._told = False

    def asked(self) -> None:
        """Central is asked now."""
        self._asked_s = self._clock.monotonic_s()

    def answered(self, central_us: int) -> None:
        """Central has answered what was asked last, by its clock at ``central_us``."""
        asked_s, now_s, now_us = self._asked_s, self._clock.monotonic_s(), self._clock.now_us()
        self._asked_s = None
        if asked_s is None or now_s - asked_s > MOST_S:
            return
        half_s = (now_s - asked_s) / 2
        offset_s = (now_us - central_us) / MICROSECONDS - half_s
        self._measured = _Measured(offset_s, half_s, now_s, now_us / MICROSECONDS - now_s)
        self.look()

    def now(self) -> Offset | None:
        """What holds now; None before the first answer."""
        measured = self._measured
        if measured is None:
            return None
        now_s = self._clock.monotonic_s()
        set_s = self._clock.now_us() / MICROSECONDS - now_s - measured.wall_less_monotonic_s
        return Offset(measured.offset_s + set_s, measured.within_s, now_s - measured.at_s)

    def milliseconds(self) -> int | None:
        """What a record made now says; None where it was not measured of late."""
        offset = self.now()
        return None if offset is None or offset.age_s > OLDEST_S else round(offset.seconds * 1000)

    def look(self) -> None:
        """Tell when the clock is too far off, and when it agrees again."""
        offset = self.now()
        if offset is None:
            return
        with self._lock:
            over = offset.too_far
            if over == self._told or (self._told and abs(offset.seconds) > LIMIT_S / 2):
                return
            self._told = over
        params: dict[str, JsonValue] = {
            "seconds": round(offset.seconds, 3),
            "within_s": round(offset.within_s, 3),
            "limit_s": LIMIT_S,
        }
        self._tell("clock-offset" if over else "clock-agrees", params)
