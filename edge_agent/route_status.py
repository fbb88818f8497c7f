"""Which operations a piece has behind it, by what central told and by this agent's own runs. Pure.

Central tells where the pieces of open orders stand, and the horizon: up to when it has all that any agent
recorded of an operation. From that follows what may be said of a piece that is here now:

- What is told to have happened stands, however old the word is: passed, failed, scrapped.
- An own run that is younger than the horizon counts by itself; an older one is in what central told, and stands
  where that has nothing of the operation (of very large orders not every piece is told).
- That something did *not* happen is known only when the horizon has passed the moment at which the piece came
  here. Before that it may be on its way: the piece is waited for, not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from records.fields import Int64
from records.kinds import ROUTE
from records.wire import PLANT, Document

PASSED, FAILED, NOTHING, SCRAP = "p", "f", "-", "s"
MARGIN_US = 2_000_000
"""How far the clocks of two agents may be apart, and a record behind the piece that leaves."""

Letter = Annotated[str, Field(pattern="^[pfs-]$")]


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Pieces(_Content):
    """Some pieces of an order, as central tells them."""

    order: str
    operations: tuple[str, ...]
    units: tuple[tuple[str | None, str | None, str], ...]


class _Horizon(_Content):
    operations: dict[str, Int64]
    orders: dict[str, Int64]


class OwnRun(_Content):
    """The last run of an operation that this agent recorded of a piece."""

    letter: Letter
    at_us: Int64


Runs = Mapping[str, OwnRun]
"""Operation -> the last run of it by this agent."""


@dataclass(frozen=True, slots=True)
class PieceHere:
    """A piece at a station, since when, and what this agent itself ran on it."""

    carrier: str | None
    serial: str | None
    since_us: int
    ran: Runs = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.serial or self.carrier or "unknown"


@dataclass(frozen=True, slots=True)
class Lack:
    """An earlier operation that a piece has not behind it. ``sure`` False: it may be on its way here."""

    operation: str
    why: str
    """missing, failed or scrap."""
    sure: bool


@dataclass(frozen=True, slots=True)
class _Told:
    letters: str
    operations: tuple[str, ...]
    document: str


@dataclass(frozen=True, slots=True)
class Routes:
    """What central told of all open orders. ``versions``: sum of the versions held of an order's documents."""

    pieces: Mapping[str, Mapping[str, _Told]] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    horizon: _Horizon | None = None
    documents: Mapping[tuple[str, str], Document] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def told(self, order: str, piece: PieceHere) -> _Told | None:
        """What central told of the piece."""
        known = self.pieces.get(order, {})
        return known.get(f"unit:{piece.serial}") or known.get(f"carrier:{piece.carrier}")

    def reaches_us(self, order: str, operation: str) -> int | None:
        """Up to when everything of the operation is in what is held of the order; None: that is not known."""
        if self.horizon is None or self.versions.get(order, 0) < self.horizon.orders.get(order, 0):
            return None
        return self.horizon.operations.get(operation)

    def oldest_us(self, order: str, operations: Iterable[str]) -> int | None:
        """The horizon of all these operations together, but for those that no station records."""
        told = {} if self.horizon is None else self.horizon.operations
        reached = [self.reaches_us(order, operation) for operation in operations if operation in told]
        known = [at_us for at_us in reached if at_us is not None]
        return min(known) if known and len(known) == len(reached) else None

    def lacks(self, order: str, operations: Iterable[str], piece: PieceHere) -> tuple[Lack, ...]:
        """What the piece has not behind it of the operations before the one where it is."""
        told = self.told(order, piece)
        if told is not None and told.letters == SCRAP:
            return (Lack("", "scrap", sure=True),)
        found = []
        for operation in operations:
            reaches_us = self.reaches_us(order, operation)
            letter = _letter(told, operation)
            own = piece.ran.get(operation)
            if own is not None and (
                letter == NOTHING or reaches_us is None or own.at_us + MARGIN_US >= reaches_us
            ):
                letter = own.letter
            if letter == NOTHING:
                if self.horizon is not None and operation not in self.horizon.operations:
                    continue  # no station records it: nothing here can tell whether it was done
                sure = reaches_us is not None and piece.since_us + MARGIN_US < reaches_us
                found.append(Lack(operation, "missing", sure))
            elif letter != PASSED:
                found.append(Lack(operation, "scrap" if letter == SCRAP else "failed", sure=True))
        return tuple(found)


def _letter(told: _Told | None, operation: str) -> str:
    if told is None or operation not in told.operations:
        return NOTHING
    place = told.operations.index(operation)
    return told.letters[place] if place < len(told.letters) else NOTHING


class RouteReader:
    """Reads documents of kind ``route-status``; what did not change is read once."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, str, dict[str, _Told]]] = {}

    def read(self, documents: Iterable[Document]) -> Routes:
        """All that is held now."""
        pieces: dict[str, dict[str, _Told]] = {}
        versions: dict[str, int] = {}
        horizon: _Horizon | None = None
        problems: list[str] = []
        held: dict[tuple[str, str], Document] = {}
        kept: dict[str, tuple[int, str, dict[str, _Told]]] = {}
        for document in documents:
            try:
                if document.id == PLANT:
                    horizon = _Horizon.model_validate(document.content)
                else:
                    known = self._read.get(document.id)
                    if known is None or known[0] != document.version:
                        known = (document.version, *_pieces(document))
                    kept[document.id] = known
                    _, order, told = known
                    versions[order] = versions.get(order, 0) + document.version
                    pieces.setdefault(order, {}).update(told)
            except ValidationError as error:
                problems.append(f"{ROUTE} {document.id} version {document.version}: {error.errors()[0]}")
                continue
            held[document.kind, document.id] = document
        self._read = kept
        return Routes(pieces, versions, horizon, held, tuple(problems))


def _pieces(document: Document) -> tuple[str, dict[str, _Told]]:
    """The order, and its pieces by carrier and by serial."""
    read = _Pieces.model_validate(document.content)
    found: dict[str, _Told] = {}
    for carrier, serial, letters in read.units:
        entry = _Told(letters, read.operations, document.id)
        if carrier is not None:
            found[f"carrier:{carrier}"] = entry
        if serial is not None:
            found[f"unit:{serial}"] = entry
    return read.order, found


NO_ROUTES = Routes()
