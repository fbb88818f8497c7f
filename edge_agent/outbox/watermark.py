"""What a watermark of central means for this file (acknowledged only by that row with that very hash).

``judge`` reads, ``apply`` writes; both run in one transaction of the writer. The verdicts:

- the file holds the row with that hash: central has everything through it;
- another hash, a row ahead of the last one, an epoch that nobody knows: a disk was rolled back. Nothing is
  pruned; the rows that central has not acknowledged are stored again under a new epoch;
- a higher generation: central was restored, a lower watermark is legal and sending begins again from there. When
  rows that central lacks are not here any more, or stand in an earlier epoch, what is left is stored again under a
  new epoch whose predecessor is the last row before it, since central takes a new epoch from its first row on; and
  an event names every stretch that is missing, of each epoch (``lost``);
- everything else is an old watermark that came late.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from edge_agent.outbox import ledger, lost
from edge_agent.outbox.schema import NO_GENERATION, control, set_control
from edge_agent.outbox.types import Applied, Gap, Outcome, Place, Restored
from records.errors import Damaged
from records.model import Fact, Header, OperationsEvent
from records.wire import Watermark


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: ``position`` is where sending stands afterwards (None: where it stood)."""

    outcome: Outcome
    position: int | None = None
    reason: str | None = None
    lost: tuple[Gap, ...] = ()


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
    restored = watermark.generation > generation != NO_GENERATION
    place = place_of(watermark)
    epoch = ledger.epoch_named(connection, place.epoch)
    if epoch is None:
        return _stranger(connection, place, restored)
    return _ours(connection, epoch, place, restored)


def _stranger(connection: sqlite3.Connection, place: Place, restored: bool) -> Verdict:
    if restored:
        return _rewound(connection, place, 0)
    if ledger.is_stranger_known(connection, place.epoch):
        return Verdict(Outcome.UNCHANGED)
    return Verdict(Outcome.ROLLED_BACK)


def _rewound(connection: sqlite3.Connection, place: Place | None, position: int) -> Verdict:
    """Central, restored, stands at a place, which is at a position of this file or before all of it (0).

    None: at the beginning of an epoch, which central says only where it has nothing of this agent.
    """
    return Verdict(
        Outcome.REWOUND, max(position, lost.freed_through(connection)), lost=lost.behind(connection, place)
    )


def _ours(connection: sqlite3.Connection, epoch: ledger.Epoch, place: Place, restored: bool) -> Verdict:
    acknowledged = ledger.acknowledged(connection)
    position = epoch.position(place.seq)
    if place.seq == 0:
        return _rewound(connection, None, 0) if restored else Verdict(Outcome.UNCHANGED)
    stored_again = epoch.settled is not None and place.seq > epoch.settled
    if stored_again or place.seq < epoch.pruned:  # no row to compare with
        if restored:
            return _rewound(connection, place, epoch.position(min(place.seq, epoch.standing)))
        return Verdict(Outcome.UNCHANGED)
    held = ledger.hash_at(connection, epoch, place.seq)
    if held == place.hash:
        if restored and position < acknowledged:
            return _rewound(connection, place, position)
        if restored or position > acknowledged:
            return Verdict(Outcome.ADVANCED, position)
        return Verdict(Outcome.UNCHANGED)
    if position <= acknowledged and not restored:
        return Verdict(Outcome.REFUSED, reason="against what central acknowledged before")
    return Verdict(Outcome.ROLLED_BACK)


def is_long(verdict: Verdict) -> bool:
    """Whether acting on it may store a backlog again."""
    return verdict.outcome in (Outcome.ROLLED_BACK, Outcome.REWOUND)


def apply(
    connection: sqlite3.Connection, watermark: Watermark, context: Callable[[], Header], until_s: float
) -> Applied:
    """Judge one watermark and do what follows; its rows count as acknowledged at the running time ``until_s``.

    What a new epoch takes over is only noted: ``again.go_on`` stores it.
    """
    verdict = judge(connection, watermark)
    if verdict.outcome is not Outcome.REFUSED:
        set_control(connection, "generation", str(watermark.generation))
    if verdict.position is not None:
        _move(connection, verdict.position, until_s)
    if verdict.outcome is Outcome.ROLLED_BACK:
        roll_over(connection, context, "rolled_back", place_of(watermark))
    elif verdict.outcome is Outcome.REWOUND:
        _rewind(connection, watermark, verdict, context)
    place = ledger.place_at(connection, ledger.acknowledged(connection))
    return Applied(verdict.outcome, place, verdict.reason, verdict.lost)


def _rewind(
    connection: sqlite3.Connection, watermark: Watermark, verdict: Verdict, context: Callable[[], Header]
) -> None:
    known = lost.predecessor(connection, ledger.acknowledged(connection))
    first = verdict.lost[0].to_json() if verdict.lost else {}
    params: dict[str, JsonValue] = {
        "generation": watermark.generation,
        "watermark": place_of(watermark).to_json(),
        "lost_first": first.get("first"),
        "lost_last": first.get("last"),
        "lost": [gap.to_json() for gap in verdict.lost],
    }
    event = OperationsEvent("central-restored", params)
    header = context()
    if verdict.lost:
        lost.tell(connection, Restored(header.at_us, watermark.generation, verdict.lost))
    if not verdict.lost and known.epoch == ledger.current(connection).epoch:
        ledger.append(connection, [ledger.fact_body(Fact(header, event))], header.at_us)
    else:
        roll_over(connection, context, "restored", known, event)


def _move(connection: sqlite3.Connection, position: int, until_s: float) -> None:
    ledger.set_acknowledged(connection, position)
    connection.execute("DELETE FROM acks WHERE position > ?", (position,))
    connection.execute(
        "INSERT INTO acks (until_s, position) VALUES (?, ?) ON CONFLICT (until_s) DO UPDATE SET"
        " position = excluded.position",
        (until_s, position),
    )


def roll_over(
    connection: sqlite3.Connection,
    context: Callable[[], Header],
    why: str,
    known: Place,
    event: OperationsEvent | None = None,
) -> None:
    """Open a new epoch, and note that what central has not acknowledged is to be stored again under it.

    ``known`` is the furthest row that is known to have existed elsewhere: the new epoch names it as its
    predecessor. ``event`` says why; without it an ``epoch-rolled-back`` event says what was held instead.
    """
    held = ledger.current(connection).place
    ledger.give_up_pending(connection)
    header = context()
    ledger.open_epoch(connection, header, why, known)
    if event is None:
        event = OperationsEvent("epoch-rolled-back", {"watermark": known.to_json(), "held": held.to_json()})
    ledger.append(connection, [ledger.fact_body(Fact(header, event))], header.at_us)
