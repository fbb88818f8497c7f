"""What a signal left standing at a station until a person ends it: the station held, units held, an alarm.

All are one list, kept with the station's state: they survive a restart, and another configuration. It is bounded;
what gives way is told to the caller, who records it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from records.fields import Int64

Kind = Literal["hold_station", "hold_unit", "alarm"]

STANDING_MAX = 50
"""Most that stands at one station at once; the oldest alarm or hold of units gives way."""
STATION_HOLDS_MAX = 20
"""Most reasons to hold a station; a further one changes nothing at the machine."""
UNITS_MAX = 2000
"""Most units held at one station at once."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The signal: what makes two of them the same reason. ``stream`` and ``part`` as in its event."""

    characteristic: str
    stream: str | None
    rule: str
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """``units`` are references of subjects (only where units are held). ``times``: how often it was signalled.

    ``points``, ``window``, ``sigmas``: what the rule asked for, as its signal told it.
    """

    id: str
    kind: Kind
    cause: Cause
    subgroup: int | None
    since_us: Int64
    order: str | None = None
    units: tuple[str, ...] = ()
    times: int = 1
    points: int | None = None
    window: int | None = None
    sigmas: float | None = None


def station_is_held(holds: Iterable[Hold]) -> bool:
    """Whether the machine may not run."""
    return any(hold.kind == "hold_station" for hold in holds)


def holding(holds: Iterable[Hold], units: Iterable[str]) -> Hold | None:
    """What holds one of these units."""
    asked = set(units)
    return next((hold for hold in holds if hold.kind == "hold_unit" and not asked.isdisjoint(hold.units)), None)


def all_holding(holds: Iterable[Hold], units: Iterable[str]) -> tuple[str, ...]:
    """The ids of everything that holds one of these units."""
    asked = set(units)
    return tuple(hold.id for hold in holds if hold.kind == "hold_unit" and not asked.isdisjoint(hold.units))


def find(holds: Iterable[Hold], id_: str) -> Hold | None:
    """The one with this id."""
    return next((hold for hold in holds if hold.id == id_), None)


def same(holds: Iterable[Hold], kind: Kind, cause: Cause) -> Hold | None:
    """What already stands for this reason."""
    return next((hold for hold in holds if (hold.kind, hold.cause) == (kind, cause)), None)


def new_hold(
    station: str,
    kind: Kind,
    cause: Cause,
    subgroup: int | None,
    at_us: int,
    order: str | None,
    units: tuple[str, ...] = (),
) -> Hold:
    """A hold with an id that is short enough to type and that no other of the plant has."""
    told = (station, kind, cause.characteristic, cause.stream, cause.rule, cause.part, subgroup, at_us)
    digest = hashlib.sha256("\x00".join(map(str, told)).encode()).hexdigest()
    return Hold(f"h-{digest[:8]}", kind, cause, subgroup, at_us, order, units)


def again(holds: Sequence[Hold], hold: Hold, units: Iterable[str]) -> tuple[Hold, ...]:
    """The list after the same reason was signalled again, by these units; it stands last now."""
    grown = replace(hold, times=hold.times + 1, units=tuple(dict.fromkeys((*hold.units, *units))))
    return (*(each for each in holds if each is not hold), grown)


def without(holds: Sequence[Hold], hold: Hold, units: Sequence[str]) -> tuple[int, tuple[Hold, ...]]:
    """How many of its units are still held, and the list after these were let go; with none left it is ended."""
    left = tuple(ref for ref in hold.units if ref not in set(units))
    standing = (
        (replace(each, units=left) if each is hold else each) for each in holds if left or each is not hold
    )
    return len(left), tuple(standing)


def bounded(holds: Sequence[Hold]) -> tuple[tuple[Hold, ...], tuple[Hold, ...]]:
    """What stays within the limits, and what gave way: oldest first, never a hold of the station."""
    kept = list(holds)
    gone: list[Hold] = []
    for oldest in holds:
        if len(kept) <= STANDING_MAX and sum(len(hold.units) for hold in kept) <= UNITS_MAX:
            break
        if oldest.kind != "hold_station" and oldest is not holds[-1]:
            kept.remove(oldest)
            gone.append(oldest)
    if kept and len(kept[-1].units) > UNITS_MAX:  # one load alone: the newest units are those on the line
        gone.append(replace(kept[-1], units=kept[-1].units[:-UNITS_MAX]))
        kept[-1] = replace(kept[-1], units=kept[-1].units[-UNITS_MAX:])
    return tuple(kept), tuple(gone)


def told(hold: Hold) -> dict[str, JsonValue]:
    """Why it stands, as an event's parameters."""
    cause = hold.cause
    return {
        "hold": hold.id,
        "characteristic": cause.characteristic,
        "stream": cause.stream,
        "subgroup": hold.subgroup,
        "rule": cause.rule,
    }
