"""Time as this PC has lived it: what the ages of documents count in. It never runs back.

While the PC runs it is counted by the clock that goes on from boot to boot, over starts of the agent, whatever the
wall clock says. Only over a time when the PC was off is the wall clock taken: from where it was noted last to
where it stands at the first start after it, and never less than nothing. Where it is set forward after that start,
the time off was longer than it seemed, for as long as it stands so and central is not heard: a PC without a
battery comes up in the past. A clock that is set back takes nothing away, for it may have been right before.

Times are microseconds that began as the wall clock did when they were first counted, and part with it when it is
set; only differences mean anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from records.clock import MICROSECONDS, Clock
from records.fields import Int64


@dataclass(frozen=True, slots=True)
class _Noted:
    """Where the count stood at the first start of a boot, and where the clocks stood when that was noted last.

    ``began_wall_us``: the wall clock at that start, as far as it was believed; None: nothing depends on it, since
    central was heard later.
    """

    boot: str
    began_s: float
    began_us: Int64
    began_wall_us: Int64 | None
    noted_s: float
    noted_wall_us: Int64

    def at(self, now_s: float) -> int:
        return self.began_us + round((now_s - self.began_s) * MICROSECONDS)

    def longer_us(self, now_s: float, wall_us: int) -> int:
        """How much longer than it seemed the PC was off, by a wall clock that was set forward since."""
        if self.began_wall_us is None:
            return 0
        return max(wall_us - self.began_wall_us - round((now_s - self.began_s) * MICROSECONDS), 0)


_NOTED = TypeAdapter(_Noted)


class CountedTime:
    """``noted``: what ``note`` gave before; None or garbage: counting begins with the wall clock.

    ``latest_us``: the latest moment that is known to have been counted.
    """

    def __init__(self, clock: Clock, noted: bytes | None, latest_us: int) -> None:
        self._clock = clock
        boot, now_s = clock.since_boot()
        wall_us = clock.now_us()
        before = _read(noted)
        if before is None:
            before = _Noted(boot, now_s, max(wall_us, latest_us), None, now_s, wall_us)
        elif before.boot != boot or now_s < before.noted_s:
            before = _after_off(before, boot, now_s, wall_us, latest_us)
        self._now = before

    def moment_us(self) -> int:
        """The count as it is kept of a moment: the time off is in it as it seemed at the start."""
        return self._now.at(self._clock.since_boot()[1])

    def now_us(self) -> int:
        """The count now, rather too far than not far enough: what a moment's age is measured with."""
        now_s = self._clock.since_boot()[1]
        return self._now.at(now_s) + self._now.longer_us(now_s, self._clock.now_us())

    def age_s(self, moment_us: int) -> float:
        """Seconds since a moment."""
        return max(self.now_us() - moment_us, 0) / MICROSECONDS

    def settle(self) -> None:
        """Central was heard: all that counts comes after the last time off, however long that was."""
        if self._now.began_wall_us is not None:
            self._now = replace(self._now, began_wall_us=None)

    def note(self) -> bytes:
        """What is to be on disk so that the next start can go on from here."""
        now_s = self._clock.since_boot()[1]
        return _NOTED.dump_json(replace(self._now, noted_s=now_s, noted_wall_us=self._clock.now_us()))


def _read(noted: bytes | None) -> _Noted | None:
    if noted is None:
        return None
    try:
        return _NOTED.validate_json(noted)
    except ValidationError:
        return None


def _after_off(before: _Noted, boot: str, now_s: float, wall_us: int, latest_us: int) -> _Noted:
    """The count goes on in another boot."""
    ended_us = before.at(before.noted_s) + before.longer_us(before.noted_s, before.noted_wall_us)
    off_us = max(wall_us - before.noted_wall_us, 0)
    began_us = max(ended_us + off_us, latest_us)
    return _Noted(boot, now_s, began_us, before.noted_wall_us + off_us, now_s, wall_us)
