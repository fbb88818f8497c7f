"""What was made on this line and nobody can send again: the words for a central that was restored from a backup.

A file knows its own epochs for good, also those whose rows were all freed, and by name those of which it holds no
row: of a file before it, of a disk that was rolled back. What stands behind central's place in the order in which
they were made, and is freed or never was here, is lost for central. A row that was stored again under a later
epoch stands there.

What this file never heard of has no name here: what stood in a file that was lost together with the note beside
it, or in one before a file that was lost. Of those only central's anchors know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic import TypeAdapter

from edge_agent.outbox import ledger
from edge_agent.outbox.schema import note_control, noted_control
from edge_agent.outbox.types import Gap, Place, Restored

KEPT = 20
"""Restores that left gaps and are still told of here; of older ones records and central tell."""
_TOLD = "gaps"
_RESTORES = TypeAdapter(list[Restored])


def behind(connection: sqlite3.Connection, place: Place | None) -> tuple[Gap, ...]:
    """What is lost behind central's place, in the order in which it was made.

    None: it has nothing of this file.
    """
    made = [gap for gap, _ in known(connection)]
    if place is not None:
        begin = next((index for index, each in enumerate(made) if each.epoch == place.epoch), 0)
        made = [_after(each, place) for each in made[begin:]]
    found: list[Gap] = []
    for each in made:
        if each.first > each.last:
            continue
        if found and (found[-1].epoch, found[-1].last + 1) == (each.epoch, each.first):
            found[-1] = replace(found[-1], last=each.last)
        else:
            found.append(each)
    return tuple(found)


def _after(gap: Gap, place: Place) -> Gap:
    return replace(gap, first=max(gap.first, place.seq + 1)) if gap.epoch == place.epoch else gap


def freed_through(connection: sqlite3.Connection) -> int:
    """The position of the last row that was freed; 0 when none was."""
    return max((each.position(each.pruned) for each in ledger.epochs(connection) if each.pruned), default=0)


def predecessor(connection: sqlite3.Connection, position: int) -> Place:
    """The row at a position; where that was stored again, the beginning of the epoch that took it over."""
    place = ledger.place_at(connection, position)
    epochs = iter(ledger.epochs(connection))
    epoch = next(each for each in epochs if each.epoch == place.epoch)
    if place.seq <= epoch.standing:
        return place
    return ledger.beginning(connection, next(epochs))


def known(connection: sqlite3.Connection) -> Iterator[tuple[Gap, Place]]:
    """Every epoch that this file knows of, in the order in which they were made: what of it is not here, and the
    last row of it that stands, as far as that is known.

    Of an epoch of this file that went on elsewhere, on a disk that was rolled back, it comes twice.
    """
    epochs = ledger.epochs(connection)
    standing = {each.epoch: each.standing for each in epochs}
    strangers = ledger.strangers(connection)
    for epoch in epochs:
        for stranger in strangers:
            if stranger.number == epoch.number or (stranger.number == 0 and epoch is epochs[0]):
                place = stranger.place
                yield Gap(place.epoch, standing.get(place.epoch, 0) + 1, place.seq), place
        through = epoch.standing
        link = epoch.head if through == epoch.last else b""  # no row is read: a damaged file may not have it
        yield Gap(epoch.epoch, 1, min(epoch.pruned, through)), Place(epoch.epoch, through, link)


def remember(connection: sqlite3.Connection, former: Iterable[Place]) -> None:
    """Note in a new file what the one before it knew of."""
    furthest: dict[str, Place] = {}
    for place in former:
        if place.seq >= furthest.get(place.epoch, place).seq:
            furthest[place.epoch] = place
    for place in furthest.values():
        if not ledger.is_stranger_known(connection, place.epoch):
            ledger.remember_stranger(connection, place, 0)


def tell(connection: sqlite3.Connection, restored: Restored) -> None:
    """Keep in the file that a restore of central left gaps, for who asks how the agent is."""
    all_told = [*told(connection), restored][-KEPT:]
    note_control(connection, _TOLD, _RESTORES.dump_json(all_told).decode())


def told(connection: sqlite3.Connection) -> list[Restored]:
    """The restores of central that left gaps, oldest first."""
    noted = noted_control(connection, _TOLD)
    return [] if noted is None else _RESTORES.validate_json(noted)
