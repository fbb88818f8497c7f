"""Times that people and programs send: which ones are sensible, and what they mean in the plant's zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

EARLIEST, LATEST = 1900, 9000
"""Years that a time may have."""


def sensible(at: datetime) -> bool:
    """Whether it is no nonsense: what is reckoned from years at the ends of the calendar has no date any more."""
    return EARLIEST <= at.year <= LATEST


def local_us(text: str, zone: str) -> int | None:
    """A time of a form or an address: ISO, without an offset in the plant's zone; None: none, or nonsense."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if not sensible(at):
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1e6)
