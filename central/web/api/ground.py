"""Who may work where, which machines are fit to, and the reasons to choose from."""

from __future__ import annotations

from datetime import date
from typing import Literal

from fastapi import APIRouter

from central.ground_view import Fitness, MachineLine, PersonLine
from central.web.api.calls import Caller, Items, Paged, cut
from central.web.api.problems import RESPONSES
from central.web.api.records import Item

router = APIRouter(responses=RESPONSES, tags=["people and machines"])


class QualificationItem(Item):
    operation: str
    until: str | None
    state: Fitness


class PersonItem(Item):
    """A person at the lines, today. ``lacks``: operations of the lines that the person may not do."""

    badge: str
    name: str
    until: str | None
    state: Fitness
    qualifications: list[QualificationItem]
    lacks: list[str]
    version: int | None

    @classmethod
    def of(cls, one: PersonLine, version: int | None) -> PersonItem:
        held = [
            QualificationItem(operation=q.operation, until=_day(q.until), state=q.state)
            for q in one.qualifications
        ]
        return cls(
            badge=one.badge,
            name=one.name,
            until=_day(one.until),
            state=one.state,
            qualifications=held,
            lacks=list(one.lacks),
            version=version,
        )


class MachineItem(Item):
    """A machine, today. ``unlisted``: a line has it, the list does not. ``stations``: AGENT/STATION."""

    equipment: str
    state: Fitness
    calibrated_until: str | None
    overdue: Literal["warn", "refuse"] | None
    blocked: str | None
    stations: list[str]
    version: int | None

    @classmethod
    def of(cls, one: MachineLine, version: int | None) -> MachineItem:
        return cls(
            equipment=one.equipment,
            state=one.state,
            calibrated_until=_day(one.calibrated_until),
            overdue=one.overdue,  # type: ignore[arg-type]  # what the list's own model allows
            blocked=one.blocked,
            stations=list(one.stations),
            version=version,
        )


class ReasonItem(Item):
    """A reason of a group, with its text in each language."""

    group: str
    code: str
    texts: dict[str, str]
    version: int


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


@router.get("/people")
def people(call: Caller, page: Paged, state: Fitness | None = None) -> Items[PersonItem]:
    """Who may sign on, by badge; ``version`` is that of the list that lines hold."""
    ground = call.desk.ground()
    wanted = sorted((p for p in ground.people if state in (None, p.state)), key=lambda one: one.badge)
    shown, after = cut(wanted, lambda one: one.badge, page)
    return Items(items=[PersonItem.of(one, ground.people_version) for one in shown], next=after)


@router.get("/equipment")
def equipment(call: Caller, page: Paged, state: Fitness | None = None) -> Items[MachineItem]:
    """Machines of the list and of the lines, by name."""
    ground = call.desk.ground()
    shown, after = cut([m for m in ground.equipment if state in (None, m.state)], lambda one: one.equipment, page)
    return Items(items=[MachineItem.of(one, ground.equipment_version) for one in shown], next=after)


@router.get("/reasons")
def reasons(call: Caller, page: Paged, group: str | None = None) -> Items[ReasonItem]:
    """The plant's reasons by group and code."""
    catalogue = call.desk.reasons()
    listed = [
        ReasonItem(group=name, code=code, texts=texts, version=catalogue.version)
        for name, codes in sorted(catalogue.groups.items())
        for code, texts in sorted(codes.items())
        if group in (None, name)
    ]
    shown, after = cut(listed, lambda one: f"{one.group}/{one.code}", page)
    return Items(items=shown, next=after)
