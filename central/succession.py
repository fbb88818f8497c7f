"""Where an epoch that came as a file belongs among the others of its agent.

What comes over the network is what its agent lives in now, so a new epoch is the newest. A file may be that of a
PC which died long ago, while its successor works: taken for the newest, the successor would be told of an epoch
that it never had, and lots that were complete would end in it. So an epoch of a file goes behind the one that its
first record names, else before the one that names it, else before all. Only behind the newest is it the newest.
"""

from __future__ import annotations

from dataclasses import replace

from central.store import envelopes, standing
from central.store.engine import Connection
from central.store.standing import Standing
from records.errors import Invalid
from records.model import EpochOpened, decode
from records.wire import Envelope


def placed(connection: Connection, begun: Standing, first: Envelope) -> Standing:
    """A chain that is about to begin, where it belongs; ``first``: its first record. Room is made for it."""
    others = standing.order(connection, begun.agent, begun.stream)
    place = _place(connection, begun, _before(first), [epoch for epoch, _ in others])
    if place == len(others):
        return begun
    opened = others[place][1]
    standing.make_room(connection, begun.agent, begun.stream, opened)
    return replace(begun, opened=opened)


def _place(connection: Connection, begun: Standing, before: str | None, others: list[str]) -> int:
    if before in others:
        return others.index(before) + 1
    for place, epoch in enumerate(others):
        first = next(envelopes.walk(connection, begun.agent, epoch, begun.stream), None)
        if first is not None and _before(first) == begun.epoch:
            return place
    return 0


def _before(first: Envelope) -> str | None:
    """The epoch that a first record says came before its own."""
    try:
        data = None if first.body is None else decode(first.kind, first.body).data
    except Invalid:
        return None
    return data.predecessor if isinstance(data, EpochOpened) else None
