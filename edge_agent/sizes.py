"""Sizes and times as people say them."""

from __future__ import annotations

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def size(count: int) -> str:
    """Bytes."""
    for unit, one in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count} B"


def hours_text(hours: float) -> str:
    """Hours, in the unit that says enough."""
    if hours >= 48:
        return f"{min(hours / 24, 9999):.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
