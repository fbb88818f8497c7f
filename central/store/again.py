"""SQL of what its agent stored again under a later number: whether a record or chunk that is not here stands so.

An agent stores what central has not confirmed again when it opens an epoch, in its order and before anything new
of the line: behind the first rows that are none of these, no more will come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from central.store import envelopes
from records.errors import Invalid
from records.telemetry import former_of
from records.wire import Envelope

RECORDS = "records"
NONE_MORE = 50
"""So many in a row that were not stored again end the search: others may stand between those that were."""

Identity = tuple[str, int, str]
"""Epoch, seq and hash (hexadecimal)."""


def stands(connection: Connection, agent: str, epochs: Iterable[str], record: Identity) -> bool:
    """Whether one of these epochs of an agent holds a record that was this one.

    Then it holds all that its disk had before it and central did not: an epoch has no holes.
    """
    return any(former == record for _, former in first_made_as(connection, agent, epochs, RECORDS))


def chunk_stands(connection: Connection, agent: str, epochs: Iterable[str], chunk: Identity) -> bool | None:
    """The same of a telemetry chunk. None: what would tell is gone.

    Chunks may give way on the line PC, and here when their time is over; what has no body names nothing. Where one
    of the same epoch that came later stands again, this one may have given way before.
    """
    doubtful = False
    for item, former in first_made_as(connection, agent, epochs, envelopes.TELEMETRY):
        if former == chunk:
            return True
        later = former is not None and former[0] == chunk[0] and former[1] > chunk[1]
        doubtful = doubtful or later or item.body is None
    return None if doubtful else False


def first_made_as(
    connection: Connection, agent: str, epochs: Iterable[str], stream: str
) -> Iterator[tuple[Envelope, Identity | None]]:
    """The beginning of each epoch, as far as it may have been stored again: with the identity under which each was
    first made; None where that is its own, or cannot be read.
    """
    read = _of_record if stream == RECORDS else _of_chunk
    for epoch in epochs:
        others = 0
        for item in envelopes.walk(connection, agent, epoch, stream):
            former = None if item.body is None else read(item.body)
            yield item, former
            others = 0 if former is not None else others + 1
            if others > NONE_MORE:
                break


def _of_record(body: bytes) -> Identity | None:
    try:
        named = json.loads(body)["header"]["stored_as"]
        return None if named is None else (str(named["epoch"]), int(named["seq"]), str(named["hash"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _of_chunk(body: bytes) -> Identity | None:
    try:
        named = former_of(body)
    except Invalid:
        return None
    return None if named is None else (named.epoch, named.seq, str(named.hash))
