"""Cells of the CSV that people open in a spreadsheet."""

from __future__ import annotations

from pydantic import JsonValue


def cell(value: JsonValue) -> JsonValue:
    """A list joined, and no text that a spreadsheet would take for a formula."""
    if isinstance(value, list):
        value = " | ".join(str(item) for item in value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
