"""Stock moves of an order as they should be, and the shortest way there in Tryton's own commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from central.links.tryton_rows import MoveRow

Likeness = tuple[int, int | None, Decimal, int]
"""Product, lot, quantity, place: moves that agree in these are the same to us."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A move as it should be; ``values`` is what Tryton gets when it is not there."""

    product: int
    lot: int
    quantity: Decimal
    to_location: int
    values: dict[str, object]

    @property
    def likeness(self) -> Likeness:
        return (self.product, self.lot, self.quantity, self.to_location)


def changes(moves: Sequence[MoveRow], wanted: Sequence[Wanted]) -> list[object]:
    """The shortest list of Tryton's x2many commands that turns ``moves`` into ``wanted``; [] when they are it.

    A move that is too much is turned into one that lacks, where the product is the same; a done one never is.
    """
    left: defaultdict[Likeness, list[MoveRow]] = defaultdict(list)
    for move in moves:
        if move.state != "cancelled":
            left[move.product, move.lot, move.quantity, move.to_location].append(move)
    missing = [want for want in wanted if not _taken(left, want.likeness)]
    extra = [move for same in left.values() for move in same]
    spare: defaultdict[int, list[MoveRow]] = defaultdict(list)
    for move in extra:
        if move.state != "done":
            spare[move.product].append(move)
    commands: list[object] = []
    new: list[dict[str, object]] = []
    reused: set[int] = set()
    for want in missing:
        if spare[want.product]:
            move = spare[want.product].pop(0)
            reused.add(move.id)
            commands.append(["write", [move.id], want.values])
        else:
            new.append(want.values)
    if new:
        commands.append(["create", new])
    too_much = [move.id for move in extra if move.id not in reused]
    if too_much:
        commands.append(["delete", too_much])
    return commands


def _taken(left: dict[Likeness, list[MoveRow]], likeness: Likeness) -> bool:
    """Take one such move out of what is left, if there is one."""
    same = left.get(likeness)
    if not same:
        return False
    same.pop()
    return True
