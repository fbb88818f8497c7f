"""Kinds of documents that central keeps for the lines, beside those that ``records.wire`` names."""

from __future__ import annotations

ROUTE = "route-status"
"""Which operations the pieces of open orders have behind them.

One document for some pieces of an order, its id the order's reference, ``#`` and a number:
``{"order": ..., "operations": [...], "units": [[carrier, serial, letters], ...]}`` with one letter for each of the
operations: ``p`` passed, ``f`` failed, ``-`` nothing that counts; the single letter ``s``: the piece is scrap.

One for the plant (id ``plant``), the horizon: ``{"operations": {OPERATION: at_us}, "orders": {REFERENCE: sum}}``.
All that any agent recorded of an operation up to that time (its own clock) is in documents of the order whose
versions have at least this sum.
"""
LOT_QUANTITIES = "lot-quantities"
"""What is left of a component's lots, id is the item: ``{"item": ..., "left": {LOT: quantity}}``."""
REASONS = "reasons"
"""Why people scrap, hold, lift holds or restart charts, id is ``plant``: codes with their texts."""
DERIVED = (ROUTE, LOT_QUANTITIES)
"""Kinds that follow from what central holds; it keeps the newest version and states none in its chain."""
PAPERS = ("work-order", "lots", "recipe", "limit-sets", ROUTE, LOT_QUANTITIES, REASONS)
"""Kinds that stations work by."""
