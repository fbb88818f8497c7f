"""SQL of what its agent stored again under a later number: whether a record or chunk that is not here stands so.

An agent stores what central has not confirmed again when it opens an epoch, in its order and before anything new
of the line: behind the first rows that are none of these, no more will come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection

from central.store import envelopes
from records.errors import Invalid
from records.telemetry import former_of

RECORDS, TELEMETRY = "records", "telemetry"
NONE_MORE = 50
"""So many records in a row that were not stored again end the search: events may stand between those that were."""


def stands(connection: Connection, agent: str, epochs: Iterable[str], record: tuple[str, int, str]) -> bool:
    """Whether one of these epochs of an agent holds a record that was this one (epoch, seq, hash as hexadecimal).

    Then it holds all that its disk had before it and central did not: an epoch has no holes.
    """
    return any(_holds(connection, agent, epoch, record) for epoch in epochs)


def chunk_stands(
    connection: Connection, agent: str, epochs: Iterable[str], chunk: tuple[str, int, str]
) -> bool | None:
    """The same of a telemetry chunk. None: what would tell is gone.

    Chunks may give way on the line PC, and here when their time is over; what has no body names nothing. Where one
    of the same epoch that came later stands again, this one may have given way before.
    """
    doubtful = False
    for epoch in epochs:
        others = 0
        for item in envelopes.walk(connection, agent, epoch, TELEMETRY):
            former = None if item.body is None else _former_chunk(item.body)
            if former == chunk:
                return True
            later = former is not None and former[0] == chunk[0] and former[1] > chunk[1]
            doubtful = doubtful or later or item.body is None
            others = 0 if former is not None else others + 1
            if others > NONE_MORE:
                break
    return None if doubtful else False


def _holds(connection: Connection, agent: str, epoch: str, record: tuple[str, int, str]) -> bool:
    others = 0
    for item in envelopes.walk(connection, agent, epoch, RECORDS):
        former = None if item.body is None else _former(item.body)
        if former == record:
            return True
        others = 0 if former is not None else others + 1
        if others > NONE_MORE:
            return False
    return False


def _former(body: bytes) -> tuple[str, int, str] | None:
    """The identity under which a record was first made; None where it is its own, or cannot be read."""
    try:
        named = json.loads(body)["header"]["stored_as"]
        return None if named is None else (str(named["epoch"]), int(named["seq"]), str(named["hash"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _former_chunk(body: bytes) -> tuple[str, int, str] | None:
    """The same of a telemetry chunk."""
    try:
        named = former_of(body)
    except Invalid:
        return None
    return None if named is None else (named.epoch, named.seq, str(named.hash))
