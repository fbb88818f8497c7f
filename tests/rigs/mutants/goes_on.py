"""Loaded into an agent or central it breaks a rule: a disk that failed is passed over, and work goes on."""

from __future__ import annotations

from records.durable import Writer

Writer._fail = lambda self, failed: None  # type: ignore[method-assign]
