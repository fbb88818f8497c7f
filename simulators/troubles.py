"""Scripted troubles: what goes wrong on the line, at which order and piece (YAML, see config/troubles/).

A trouble is placed by fraction or by number and so fits orders of any size. Troubles that decide a piece's fate
own their piece: two of them never meet on one. ``place`` is pure: the same script and size give the same places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from records.errors import ConfigurationError
from records.yaml import Settings, fault, load

DEFAULT_FILE = Path("troubles") / "default.yaml"


class Piece(Settings):
    """One piece of an order: its ``number`` (1 is the first, -1 the last) or the ``fraction`` [0, 1) before it."""

    number: int | None = None
    fraction: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Piece:
        if (self.number is None) == (self.fraction is None) or self.number == 0:
            raise fault("a piece is named by number (1 is the first, -1 the last) or by fraction")
        return self

    def index(self, units: int) -> int | None:
        """Index from 0 in an order of so many units; None when it has no such piece."""
        if self.fraction is not None:
            return math.floor(self.fraction * units)
        number = self.number or 0
        index = number - 1 if number > 0 else units + number
        return index if 0 <= index < units else None


class Trouble(Settings):
    """What all troubles share; ``orders`` keeps one to these orders of the run (counted from 1)."""

    orders: tuple[Annotated[int, Field(ge=1)], ...] | None = None


class ScanTrouble(Trouble):
    """A label that must be refused: of an item that is not in the bill of material, or of an expired lot."""

    code: Literal["wrong-lot-scanned", "expired-lot-scanned"]
    item: str


class SetupPiece(Trouble):
    code: Literal["setup-piece"]


class PieceTrouble(Trouble):
    """Something that one piece, or a row of pieces beginning there, meets."""

    piece: Piece


class Drift(PieceTrouble):
    """Torque climbs evenly by ``by`` N.m until the last piece but one."""

    code: Literal["drift"]
    by: float = 0.22


class MeanShift(PieceTrouble):
    """Weld energy is off by ``by`` J for so many pieces; it begins at a multiple of their number."""

    code: Literal["mean-shift"]
    pieces: Annotated[int, Field(ge=1)] = 4
    by: float = 6.0


class AbortedCycle(PieceTrouble):
    """OP10 stops half-way; the same carrier is assembled again."""

    code: Literal["aborted-cycle"]


class WeldTrouble(PieceTrouble):
    """A weld collapse (mm) that the machine passes although it is out of specification, or that it scraps."""

    code: Literal["out-of-specification", "scrap"]
    collapse: float


class LeakTrouble(PieceTrouble):
    """A leak rate (mL/min) that fails at OP30; then tested again at once, or welded again and tested."""

    code: Literal["fail-retest-pass", "rework-loop"]
    leak_rate: float


class CarrierMisread(PieceTrouble):
    """OP20 reads the next piece's carrier instead of this one's."""

    code: Literal["carrier-misread"]


class Restart(PieceTrouble):
    """The weld PLC restarts while this piece's cycle waits for its answer; or the demo restarts the broker."""

    code: Literal["plc-restart", "broker-restart"]


class CounterDisagrees(PieceTrouble):
    """The leak tester's total jumps by so many at this piece."""

    code: Literal["counter-disagrees"]
    extra: Annotated[int, Field(ge=1)] = 1


AnyTrouble = Annotated[
    ScanTrouble
    | SetupPiece
    | Drift
    | MeanShift
    | AbortedCycle
    | WeldTrouble
    | LeakTrouble
    | CarrierMisread
    | Restart
    | CounterDisagrees,
    Field(discriminator="code"),
]


class TroubleScript(Settings):
    """A YAML file of troubles."""

    troubles: tuple[AnyTrouble, ...] = ()


EXCLUSIVE = ("aborted-cycle", "out-of-specification", "scrap", "fail-retest-pass", "rework-loop", "plc-restart")


@dataclass(frozen=True, slots=True)
class Placed:
    """A trouble at its place, in indexes from 0.

    ``index`` is its piece (None: before the first), ``last`` the end of its row, ``other`` the piece whose
    carrier is read instead.
    """

    trouble: AnyTrouble
    index: int | None = None
    last: int | None = None
    other: int | None = None

    @property
    def code(self) -> str:
        return self.trouble.code


def load_script(path: Path) -> TroubleScript:
    """The script of a file.

    Raises:
        ConfigurationError: every error of the file, with its place.
    """
    return load(path, TroubleScript).value


def default_script() -> TroubleScript:
    """The script that ships with Lotkeeper (``config/troubles/default.yaml``)."""
    beside = Path(__file__).resolve().parent.parent / "config"
    return load_script(beside / DEFAULT_FILE)


def place(script: TroubleScript, units: int, order_number: int) -> tuple[Placed, ...]:
    """Every trouble of the script that this order meets, at its place.

    Args:
        script: the troubles.
        units: pieces of the order.
        order_number: which order of the run, from 1.

    Raises:
        ConfigurationError: a piece that the order does not have, two troubles named for one piece, or no free
            piece left.
    """
    mine = [t for t in script.troubles if t.orders is None or order_number in t.orders]
    owners: dict[int, str] = {}
    placed: list[Placed] = []
    named_first = sorted(mine, key=lambda t: isinstance(t, PieceTrouble) and t.piece.fraction is not None)
    for trouble in named_first:
        placed.append(_place_one(trouble, units, owners))
    order = {id(trouble): position for position, trouble in enumerate(mine)}
    return tuple(sorted(placed, key=lambda p: order[id(p.trouble)]))


def _place_one(trouble: AnyTrouble, units: int, owners: dict[int, str]) -> Placed:
    if not isinstance(trouble, PieceTrouble):
        return Placed(trouble)
    index = trouble.piece.index(units)
    if index is None:
        raise _unplaced(trouble.code, f"piece {trouble.piece.number} of an order of {units}")
    if isinstance(trouble, Drift):
        return Placed(trouble, min(index, max(0, units - 2)), max(0, units - 2))
    if isinstance(trouble, MeanShift):
        first = index // trouble.pieces * trouble.pieces
        return Placed(trouble, first, min(units, first + trouble.pieces) - 1)
    if isinstance(trouble, CarrierMisread):
        first = _own(trouble, index, units, owners, row=2)
        return Placed(trouble, first, other=first + 1)
    if trouble.code in EXCLUSIVE:
        return Placed(trouble, _own(trouble, index, units, owners))
    return Placed(trouble, index)


def _own(trouble: PieceTrouble, wanted: int, units: int, owners: dict[int, str], *, row: int = 1) -> int:
    code = str(getattr(trouble, "code", ""))
    for step in range(units):
        first = (wanted + step) % units
        pieces = range(first, first + row)
        if pieces[-1] < units and not any(piece in owners for piece in pieces):
            owners.update(dict.fromkeys(pieces, code))
            return first
        if trouble.piece.number is not None:
            break
    taken = owners.get(wanted)
    if trouble.piece.number is not None and taken is not None:
        raise _unplaced(code, f"piece {wanted + 1}, which {taken} has already")
    raise _unplaced(code, f"an order of {units}: no piece is free for it")


def _unplaced(code: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"the trouble {code} cannot be placed at {where}", hint="the default troubles need 8 units or more"
    )


def of_kind(placed: Sequence[Placed], *codes: str) -> tuple[Placed, ...]:
    """Those with one of these codes, in the order of the script."""
    return tuple(p for p in placed if p.code in codes)
