"""Loaded into central it breaks a rule: a record that comes twice is stored twice."""

from __future__ import annotations

from tests.sim.mutations import key_is_not_unique

broken = key_is_not_unique()
broken.__enter__()  # for as long as the process lives
