"""Which build this is."""

from __future__ import annotations

import importlib.metadata
from functools import cache


@cache
def software() -> str:
    """Name and version, as every record names it."""
    return f"lotkeeper-edge/{importlib.metadata.version('lotkeeper')}"
