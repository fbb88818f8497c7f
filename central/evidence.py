"""The evidence of a record: its facts as lines, and who and what worked on it. Pure; its charts: ``charted``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from central.domain import (
    ConfigurationLine,
    EquipmentLine,
    FactLike,
    FactRef,
    PersonLine,
    RecordLine,
)
from central.dossier import Dossier, Stated
from records.model import Decision, OperationRecord, OperationsEvent, Quality
from records.wire import CENTRAL

K = TypeVar("K")


def record_lines(facts: Iterable[FactLike], signed_us: int | None) -> tuple[RecordLine, ...]:
    """One line a fact; ``signed_us`` is the time of the last signature: what came after it is late."""
    return tuple(_line(fact, signed_us) for fact in facts)


def _line(fact: FactLike, signed_us: int | None) -> RecordLine:
    header, data = fact.fact.header, fact.fact.data
    late = signed_us is not None and fact.agent != CENTRAL and fact.received_us > signed_us
    if isinstance(data, OperationRecord):
        return RecordLine(
            ref=FactRef.of(fact),
            kind=fact.kind,
            at_us=header.at_us,
            station=data.station,
            equipment=data.equipment,
            operation=data.operation,
            order=data.order,
            code=None,
            cycle=data.cycle,
            purpose=data.purpose.value,
            attempt=data.attempt,
            outcome=data.outcome.value,
            began_us=data.began_us,
            ended_us=data.ended_us,
            subjects=tuple((r.subject.kind.value, r.subject.id, r.result.value) for r in data.subjects),
            people=tuple(person.id for person in data.people),
            configuration=header.configuration,
            bad_readings=sum(reading.quality is Quality.BAD for reading in data.readings),
            late=late,
        )
    event = data if isinstance(data, OperationsEvent) else None
    decision = data if isinstance(data, Decision) else None
    return RecordLine(
        ref=FactRef.of(fact),
        kind=fact.kind,
        at_us=header.at_us,
        station=header.station,
        equipment=None,
        operation=None,
        order=event.order if event is not None else decision.order if decision is not None else None,
        code=event.code if event is not None else decision.act.value if decision is not None else None,
        cycle=None,
        purpose=None,
        attempt=None,
        outcome=None,
        began_us=None,
        ended_us=None,
        subjects=() if event is None else tuple((s.kind.value, s.id, "") for s in event.subjects),
        people=() if decision is None else (decision.by.id,),
        configuration=header.configuration,
        late=late,
    )


# -- people, equipment, configurations ---------------------------------------------------------------------


@dataclass
class _Seen:
    """What was seen together under one key."""

    first_us: int
    last_us: int
    records: int = 0
    words: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    def add(self, at_us: int, word: str | None, other: str | None = None) -> None:
        self.first_us, self.last_us = min(self.first_us, at_us), max(self.last_us, at_us)
        self.records += 1
        self.words |= {word} - {None}  # type: ignore[arg-type]
        self.others |= {other} - {None}  # type: ignore[arg-type]


def _seen(held: dict[K, _Seen], key: K, at_us: int) -> _Seen:
    return held.setdefault(key, _Seen(at_us, at_us))


def _records(dossiers: Iterable[Dossier]) -> list[Stated[OperationRecord]]:
    return [record for dossier in dossiers for record in dossier.records]


def people(dossiers: Iterable[Dossier]) -> tuple[PersonLine, ...]:
    """Who worked on it, and at which operations."""
    held: dict[tuple[str, str], _Seen] = {}
    for record in _records(dossiers):
        for person in record.data.people:
            _seen(held, (person.id, person.role), record.data.ended_us).add(
                record.data.ended_us, record.data.operation
            )
    return tuple(
        PersonLine(id_, role, tuple(sorted(seen.words)), seen.records, seen.first_us, seen.last_us)
        for (id_, role), seen in sorted(held.items())
    )


def equipment(dossiers: Iterable[Dossier]) -> tuple[EquipmentLine, ...]:
    """On which machines, with which tools."""
    held: dict[tuple[str, str, str, str], _Seen] = {}
    for record in _records(dossiers):
        data = record.data
        key = (data.equipment, data.station, data.operation, record.fact.agent)
        _seen(held, key, data.ended_us).add(data.ended_us, data.tool)
    return tuple(
        EquipmentLine(*key, tuple(sorted(seen.words)), seen.records, seen.first_us, seen.last_us)
        for key, seen in sorted(held.items(), key=lambda entry: (entry[0][2], entry[0]))
    )


def configurations(dossiers: Iterable[Dossier]) -> tuple[ConfigurationLine, ...]:
    """Which tag maps and limits were in force, by the hash that each record names."""
    held: dict[tuple[str, str], _Seen] = {}
    for record in _records(dossiers):
        header = record.fact.fact.header
        key = (record.fact.agent, header.configuration or "")
        _seen(held, key, record.data.ended_us).add(record.data.ended_us, record.data.station, header.software)
    return tuple(
        ConfigurationLine(
            hash_, agent, tuple(sorted(s.others)), tuple(sorted(s.words)), s.records, s.first_us, s.last_us
        )
        for (agent, hash_), s in sorted(held.items())
    )
