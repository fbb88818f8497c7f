"""What a row of the table of envelopes says."""

from __future__ import annotations

from sqlalchemy import Row

from central.stored import StoredFact
from records.model import decode


def stored(row: Row[tuple[object, ...]]) -> StoredFact:
    """A whole row of ``envelope`` as the fact that it holds; the caller has asked for readable ones only."""
    fact = decode(row.kind, row.body)
    return StoredFact(
        row.agent, row.epoch, row.stream, row.seq, row.hash.hex(), row.kind, fact, row.received_us, row.id
    )
