"""Loaded into an agent it breaks two rules: what is noted beside a file is not asked, nor a watermark's hash."""

from __future__ import annotations

from edge_agent.outbox import recovery
from tests.rigs.mutants import watermark_by_number

broken = watermark_by_number.broken
recovery._is_older = lambda connection, noted: False
