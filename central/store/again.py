"""SQL of records that their agent stored again under a later number: whether one that is not here stands so.

An agent stores what central has not confirmed again when it opens an epoch, in its order and before anything new
of the line: behind the first rows that are none of these, no more will come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection

from central.store import envelopes

RECORDS = "records"
NONE_MORE = 50
"""So many records in a row that were not stored again end the search: events may stand between those that were."""


def stands(connection: Connection, agent: str, epochs: Iterable[str], record: tuple[str, int, str]) -> bool:
    """Whether one of these epochs of an agent holds a record that was this one (epoch, seq, hash as hexadecimal).

    Then it holds all that its disk had before it and central did not: an epoch has no holes.
    """
    return any(_holds(connection, agent, epoch, record) for epoch in epochs)


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
