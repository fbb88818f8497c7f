"""Records as they are read: their envelopes together with their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Row, Select, and_, func, select

from central.store.schema import body, envelope, telemetry_body, tombstone
from central.stored import StoredFact
from records.model import decode

T = TypeVar("T")
PART = 1000
"""Of a list that a statement names, one part; SQLite takes 32,766 values and PostgreSQL 65,535."""

# with the time of its part, so that PostgreSQL looks into one part only
_OF_RECORD = and_(body.c.envelope_id == envelope.c.id, body.c.received_us == envelope.c.received_us)
OF_TELEMETRY = and_(
    telemetry_body.c.envelope_id == envelope.c.id, telemetry_body.c.received_us == envelope.c.received_us
)
_READ = envelope.join(body, _OF_RECORD)
_WHOLE = (
    envelope.outerjoin(body, _OF_RECORD)
    .outerjoin(telemetry_body, OF_TELEMETRY)
    .outerjoin(tombstone, tombstone.c.envelope_id == envelope.c.id)
)


def with_body(*columns: Any) -> Select[Any]:
    """Records that have a body and are no telemetry; all of an envelope, or these columns of it and its body."""
    return select(*(columns or (envelope, body.c.body))).select_from(_READ)


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """A list of any length as the statements that name its values take it: one part each."""
    left = iter(values)
    while part := list(islice(left, PART)):
        yield part


def whole() -> Select[Any]:
    """All records, each with its body or its tombstone."""
    content = func.coalesce(body.c.body, telemetry_body.c.body).label("body")
    gone = tombstone.c.reason.label("tombstone_reason"), tombstone.c.by.label("tombstone_by")
    return select(envelope, content, *gone).select_from(_WHOLE)


def stored(row: Row[Any]) -> StoredFact:
    """A row of ``with_body`` as the fact that it holds; the caller has asked for readable ones only."""
    fact = decode(row.kind, row.body)
    return StoredFact(
        row.agent, row.epoch, row.stream, row.seq, row.hash.hex(), row.kind, fact, row.received_us, row.id
    )
