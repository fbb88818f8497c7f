"""Who may work where and which machines are fit to, on one day: what quality signed, against the lines' stations.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from pydantic import JsonValue

from central.ground import EquipmentSettings, GroundSettings, PersonSettings
from records.wire import EQUIPMENT, PEOPLE, Document

SOON = timedelta(days=30)
"""So long before its end something is told to end soon."""

Fitness = Literal["fit", "soon", "ended", "blocked", "unlisted"]


@dataclass(frozen=True, slots=True)
class StationLine:
    """A station of a line file in force."""

    agent: str
    station: str
    equipment: str
    operation: str


@dataclass(frozen=True, slots=True)
class Qualification:
    operation: str
    until: date | None
    state: Fitness


@dataclass(frozen=True, slots=True)
class PersonLine:
    """``lacks``: operations of the lines that the person may not do today."""

    badge: str
    name: str
    until: date | None
    state: Fitness
    qualifications: tuple[Qualification, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineLine:
    """``unlisted``: a machine of a line of which the list says nothing."""

    equipment: str
    state: Fitness
    calibrated_until: date | None
    overdue: str | None
    blocked: str | None
    stations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationCover:
    """How many may do an operation of the lines today, and whose qualification ends soon."""

    operation: str
    qualified: tuple[str, ...]
    soon: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Both lists with their versions; None where there never was one: then nobody and nothing is checked."""

    people_version: int | None
    people: tuple[PersonLine, ...]
    equipment_version: int | None
    equipment: tuple[MachineLine, ...]
    operations: tuple[OperationCover, ...]


def look(told: Mapping[str, Document], stations: Iterable[StationLine], today: date) -> Ground:
    """The lists as documents tell them (kind -> newest), on a day."""
    lines = list(stations)
    operations = sorted({line.operation for line in lines})
    persons, machines = _listed(told.get(PEOPLE), told.get(EQUIPMENT))
    people = tuple(_person(one, operations, today) for one in persons)
    return Ground(
        None if PEOPLE not in told else told[PEOPLE].version,
        people,
        None if EQUIPMENT not in told else told[EQUIPMENT].version,
        _machines(machines, lines, today),
        tuple(_cover(operation, people) for operation in operations),
    )


def _listed(
    people: Document | None, equipment: Document | None
) -> tuple[list[PersonSettings], list[EquipmentSettings]]:
    content: dict[str, JsonValue] = {}
    for document in (people, equipment):
        if document is not None and isinstance(document.content, dict):
            content |= document.content
    if not content:
        return [], []
    read = GroundSettings.model_validate(content)
    return read.people or [], read.equipment or []


def _person(one: PersonSettings, operations: Iterable[str], today: date) -> PersonLine:
    state = _until(one.until, today)
    held = tuple(Qualification(name, end, _until(end, today)) for name, end in sorted(one.operations.items()))
    may = {each.operation for each in held if each.state != "ended"} if state != "ended" else set()
    return PersonLine(one.badge, one.name, one.until, state, held, tuple(o for o in operations if o not in may))


def _machines(
    listed: Iterable[EquipmentSettings], lines: Iterable[StationLine], today: date
) -> tuple[MachineLine, ...]:
    places: dict[str, list[str]] = {}
    for line in lines:
        places.setdefault(line.equipment, []).append(f"{line.agent}/{line.station}")
    found = {
        one.equipment: MachineLine(
            one.equipment,
            "blocked" if one.blocked is not None else _until(one.calibrated_until, today),
            one.calibrated_until,
            one.overdue,
            one.blocked,
            tuple(places.get(one.equipment, ())),
        )
        for one in listed
    }
    for name, where in places.items():
        found.setdefault(name, MachineLine(name, "unlisted", None, None, None, tuple(where)))
    return tuple(found[name] for name in sorted(found))


def _cover(operation: str, people: Iterable[PersonLine]) -> OperationCover:
    able = [one for one in people if operation not in one.lacks]
    ending = {
        one.badge
        for one in able
        for each in one.qualifications
        if each.operation == operation and "soon" in (each.state, one.state)
    }
    return OperationCover(
        operation, tuple(o.badge for o in able), tuple(o.badge for o in able if o.badge in ending)
    )


def _until(end: date | None, today: date) -> Fitness:
    """The last day counts."""
    if end is None or end >= today + SOON:
        return "fit"
    return "soon" if end >= today else "ended"
