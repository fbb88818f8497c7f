"""Values as people read them, the same in every language."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import JsonValue

_SEPARATOR = re.compile(r"<GS>|\\x1d", re.IGNORECASE)
_LONGEST = 48
MOST_TAGS = 250
"""So many tags of a device are on the page."""
KINDS = {
    "operation_record": "Run",
    "operations_event": "Event",
    "decision": "Decision",
    "epoch_opened": "Epoch opened",
    "configuration": "Configuration",
    "telemetry": "Telemetry",
}
"""What a record's kind is called."""


def with_separators(text: str) -> str:
    """A typed barcode with its group separators, which no keyboard has."""
    return _SEPARATOR.sub("\x1d", text)


def value(found: JsonValue) -> str:
    """A reading's value; a curve by its beginning and its length."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, list):
        begin = ", ".join(value(each) for each in found[:3])
        return f"[{begin}{', …' if len(found) > 3 else ''}] {len(found)}"
    text = str(found)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def age(seconds: float | None) -> str:
    """How old something is, in the largest unit that says enough."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def since(at: str | None, now: str) -> str:
    """The age of an ISO moment."""
    if at is None:
        return "–"
    return age(max((_moment(now) - _moment(at)).total_seconds(), 0.0))


def moment(at: str | None, now: str, zone: str) -> str:
    """The same, without the date when it is today's."""
    full, today = clock(at, zone), clock(now, zone)
    return full[11:] if full[:10] == today[:10] else full


def clock(at: str | None, zone: str) -> str:
    """An ISO moment in the line's own time."""
    return "–" if at is None else f"{_moment(at).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def count(number: int | str) -> str:
    """A count with thin spaces between thousands."""
    return f"{int(number):,}".replace(",", "\u2009")


def size(number: int) -> str:
    """Bytes."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {unit}"
    return f"{number} B"


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at)
