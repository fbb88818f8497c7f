"""Loaded into an agent it breaks a rule: a watermark is compared by its number, and not by its hash."""

from __future__ import annotations

from tests.sim.mutations import watermark_is_a_number

broken = watermark_is_a_number()
broken.__enter__()  # for as long as the process lives
