"""The only door to wall clock, monotonic time and randomness.

Times are integers: UTC microseconds since 1970 (names end in ``_us``). Durations and timeouts come from the
monotonic clock only. Both enter every part by constructor, so that tests and simulations own them.
"""

from __future__ import annotations

import secrets  # noqa: TID251  the door itself
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

MICROSECONDS = 1_000_000
MOST_AHEAD_US = 600 * MICROSECONDS
"""How far an agent's clock may be ahead of central's when it asks for something: more is a wrong clock."""


class Clock(Protocol):
    def now_us(self) -> int:
        """Wall clock, UTC microseconds since 1970."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""

    def since_boot(self) -> tuple[str, float]:
        """The name of this run of the computer, and seconds that go on in it over processes, asleep too.

        Where the system has no such name, it is that of this process: the seconds of another one mean nothing.
        """


class SystemClock:
    def now_us(self) -> int:
        return time.time_ns() // 1000  # noqa: TID251

    def monotonic_s(self) -> float:
        return time.monotonic()

    def since_boot(self) -> tuple[str, float]:
        if sys.platform == "linux" and _LINUX_BOOT is not None:
            return _LINUX_BOOT, time.clock_gettime(time.CLOCK_BOOTTIME)
        return _PROCESS, time.monotonic()


class FakeClock:
    """A clock that moves only when told; for tests and simulations."""

    def __init__(self, now_us: int = 1_795_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_s = 0.0
        self._boots = 1

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def since_boot(self) -> tuple[str, float]:
        return f"boot {self._boots}", self._monotonic_s

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * MICROSECONDS)
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as a person or NTP would."""
        self._now_us += round(seconds * MICROSECONDS)

    def boot(self) -> None:
        """The computer was off: its seconds begin anew, under another name."""
        self._boots, self._monotonic_s = self._boots + 1, 0.0


def by_chance(seconds: float) -> float:
    """From half of a time to one and a half of it: many that wait for the same do not come in one moment."""
    return seconds * (0.5 + int(new_id(2), 16) / 65_536)


def new_id(nbytes: int = 12) -> str:
    """An unguessable lower-case hexadecimal id (epochs, runs, documents)."""
    return secrets.token_hex(nbytes)


def new_secret(nbytes: int = 24) -> str:
    """A URL-safe secret (tokens, generated passwords)."""
    return secrets.token_urlsafe(nbytes)


def _linux_boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


_LINUX_BOOT = _linux_boot()
_PROCESS = new_id()


def utc_offset_min(zone: str, at_us: int) -> int:
    """Minutes that local time in the IANA ``zone`` was ahead of UTC at ``at_us``."""
    offset = from_us(at_us).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


def from_us(at_us: int) -> datetime:
    """An aware UTC datetime, exact to the microsecond."""
    seconds, micros = divmod(at_us, MICROSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def to_us(moment: datetime) -> int:
    """UTC microseconds of an aware datetime."""
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * MICROSECONDS + delta.microseconds


def iso_z(at_us: int | None) -> str | None:
    """ISO 8601 with Z and microseconds, or None."""
    if at_us is None:
        return None
    return from_us(at_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
