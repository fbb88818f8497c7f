"""What a watermark of central means for this file (design: acknowledged only by that row with that very hash).

``judge`` reads, ``apply`` writes; both run in one transaction of the writer. The verdicts:

- the file holds the row with that hash: central has everything through it;
- the row was pruned, or its epoch is known by name only: an old watermark that came late, unless central was
  restored (a higher generation), then sending begins again from the oldest row that is left, and what is not
  left is named;
- another hash, a row ahead of the last one, an epoch that nobody knows: a disk was rolled back. Nothing is
  pruned; the rows that central has not acknowledged are stored again under a new epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.outbox import ledger
from edge_agent.outbox.schema import control, set_control
from edge_agent.outbox.types import Applied, Outcome, Place
from records.errors import Damaged
from records.model import Fact, Header, OperationsEvent
from records.wire import Watermark

CHUNK = 500
"""Rows read at once when an epoch is stored again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: ``position`` is where sending stands afterwards (None: where it stood)."""

    outcome: Outcome
    position: int | None = None
    reason: str | None = None
    lost: tuple[int, int] | None = None


def place_of(watermark: Watermark) -> Place:
    """The row that a watermark names.

    Raises:
        Damaged: its hash is none.
    """
    try:
        link = bytes.fromhex(watermark.hash)
    except ValueError:
        link = b""
    if len(link) != 32 or watermark.committed_through < 0:
        raise Damaged("the watermark names no row")
    return Place(watermark.epoch, watermark.committed_through, link)


def judge(connection: sqlite3.Connection, watermark: Watermark) -> Verdict:
    """Decide about one watermark, whose signature was verified."""
    if (watermark.agent, watermark.stream) != (control(connection, "agent"), control(connection, "stream")):
        return Verdict(Outcome.REFUSED, reason="of another agent or stream")
    generation = int(control(connection, "generation"))
    if watermark.generation < generation:
        return Verdict(Outcome.REFUSED, reason="of an older generation")
    restored = watermark.generation > generation
    place = place_of(watermark)
    epoch = ledger.epoch_named(connection, place.epoch)
    if epoch is None:
        return _stranger(connection, place, restored)
    return _ours(connection, epoch, place, restored)


def _stranger(connection: sqlite3.Connection, place: Place, restored: bool) -> Verdict:
    if restored:  # central went back to before this file: everything that is left goes again
        first = ledger.epochs(connection)[0]
        return Verdict(
            Outcome.REWOUND, first.position(first.pruned), lost=(1, first.pruned) if first.pruned else None
        )
    if ledger.is_stranger_known(connection, place.epoch):
        return Verdict(Outcome.UNCHANGED)
    return Verdict(Outcome.ROLLED_BACK)


def _ours(connection: sqlite3.Connection, epoch: ledger.Epoch, place: Place, restored: bool) -> Verdict:
    acknowledged = ledger.acknowledged(connection)
    position = epoch.position(place.seq)
    if place.seq > epoch.standing and epoch.settled is not None:  # that tail was stored again already
        if restored:
            return Verdict(Outcome.REWOUND, epoch.position(epoch.settled))
        return Verdict(Outcome.UNCHANGED)
    if place.seq < epoch.pruned:
        if restored:
            return Verdict(Outcome.REWOUND, epoch.position(epoch.pruned), lost=(place.seq + 1, epoch.pruned))
        return Verdict(Outcome.UNCHANGED)
    held = ledger.hash_at(connection, epoch, place.seq)
    if held == place.hash:
        if restored:
            return Verdict(Outcome.REWOUND if position < acknowledged else Outcome.ADVANCED, position)
        if position > acknowledged:
            return Verdict(Outcome.ADVANCED, position)
        return Verdict(Outcome.UNCHANGED)
    if position <= acknowledged and not restored:
        return Verdict(Outcome.REFUSED, reason="against what central acknowledged before")
    return Verdict(Outcome.ROLLED_BACK)


def apply(
    connection: sqlite3.Connection, watermark: Watermark, context: Callable[[], Header], until_s: float
) -> Applied:
    """Judge one watermark and do what follows; its rows count as acknowledged at the running time ``until_s``."""
    verdict = judge(connection, watermark)
    if verdict.outcome is not Outcome.REFUSED:
        set_control(connection, "generation", str(watermark.generation))
    stored_again = 0
    if verdict.position is not None:
        _move(connection, verdict.position, until_s)
    if verdict.outcome is Outcome.ROLLED_BACK:
        stored_again = roll_over(connection, context, "rolled_back", place_of(watermark))
    place = ledger.place_at(connection, ledger.acknowledged(connection))
    return Applied(verdict.outcome, place, verdict.reason, verdict.lost, stored_again)


def _move(connection: sqlite3.Connection, position: int, until_s: float) -> None:
    ledger.set_acknowledged(connection, position)
    connection.execute("DELETE FROM acks WHERE position > ?", (position,))
    connection.execute(
        "INSERT INTO acks (until_s, position) VALUES (?, ?) ON CONFLICT (until_s) DO UPDATE SET"
        " position = excluded.position",
        (until_s, position),
    )


def roll_over(connection: sqlite3.Connection, context: Callable[[], Header], why: str, known: Place) -> int:
    """Open a new epoch because rows existed that this file does not hold; how many rows were stored again.

    ``known`` is the furthest row that is known to have existed elsewhere: the new epoch names it as its
    predecessor, an ``epoch-rolled-back`` event says what was held instead.
    """
    old, settled = ledger.give_up_current(connection)
    header = context()
    ledger.open_epoch(connection, header, why, known)
    params = {"watermark": known.to_json(), "held": old.place.to_json()}
    event = Fact(header, OperationsEvent("epoch-rolled-back", dict(params)))
    ledger.append(connection, [ledger.fact_body(event)], header.at_us)
    count = 0
    for first in range(settled + 1, old.last + 1, CHUNK):
        rows = list(ledger.envelopes(connection, old, first, min(first + CHUNK - 1, old.last)))
        count += ledger.store_again(connection, rows, header.at_us)
    return count
