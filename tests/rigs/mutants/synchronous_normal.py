"""Loaded into an agent or central it breaks a rule: a commit is not on disk when it is answered."""

from __future__ import annotations

from records import durable

durable._PRAGMAS["synchronous"] = 1
