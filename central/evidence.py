"""The evidence of a record: its facts as lines, who and what worked on it, and its control charts.

Pure. Charts are taken from the verdicts that the edge committed with each record; nothing is judged again here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from central.domain import (
    ConfigurationLine,
    EquipmentLine,
    FactLike,
    FactRef,
    PersonLine,
    RecordLine,
    SpcLimits,
    SpcPoint,
    SpcSeries,
)
from central.dossier import Dossier, Stated
from records.model import Decision, OperationRecord, OperationsEvent, Quality, Reading, TestResult
from records.verdict import SpcState
from records.wire import CENTRAL
from spc.rules import RUN_LENGTH, Signal

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
        order=None if event is None else event.order,
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


# -- control charts ----------------------------------------------------------------------------------------


@dataclass
class _Chart:
    """A characteristic at one station while its points are gathered."""

    operation: str
    states: list[tuple[Stated[OperationRecord], SpcState]] = field(default_factory=list)


def charts(dossiers: Iterable[Dossier]) -> tuple[SpcSeries, ...]:
    """Every charted characteristic in routing order, its points in the order of the station's records."""
    held: dict[tuple[str, str], _Chart] = {}
    for record in _records(dossiers):
        for state in record.data.spc:
            key = (record.data.station, state.characteristic)
            held.setdefault(key, _Chart(record.data.operation)).states.append((record, state))
    series = [_series(station, name, chart) for (station, name), chart in held.items()]
    return tuple(sorted(series, key=lambda s: (s.operation, s.station, s.characteristic)))


def _series(station: str, name: str, chart: _Chart) -> SpcSeries:
    closing = [(record, state) for record, state in chart.states if state.position == state.size]
    points = tuple(_point(record, state) for record, state in closing)
    last_state = chart.states[-1][1]
    reading = _last(chart.states, lambda record: record.readings, lambda r: r.characteristic == name)
    test = _last(chart.states, _tests, lambda t: t.characteristic == name)
    return SpcSeries(
        characteristic=name,
        station=station,
        operation=chart.operation,
        chart=last_state.chart,
        size=last_state.size,
        unit=reading.unit if isinstance(reading, Reading) else None,
        points=points,
        limits=_limits(closing),
        signals=tuple(_signal(rule, index) for index, point in enumerate(points) for rule in point.rules),
        gaps=sum(point.value is None for point in points),
        readings=len(chart.states),
        lower=test.lower if isinstance(test, TestResult) else None,
        upper=test.upper if isinstance(test, TestResult) else None,
        target=test.target if isinstance(test, TestResult) else None,
    )


T = TypeVar("T")


def _last(
    states: Sequence[tuple[Stated[OperationRecord], SpcState]],
    parts: Callable[[OperationRecord], Iterable[T]],
    wanted: Callable[[T], bool],
) -> T | None:
    """The last of some parts of the records that fits."""
    for record, _ in reversed(states):
        for part in parts(record.data):
            if wanted(part):
                return part
    return None


def _tests(record: OperationRecord) -> tuple[TestResult, ...]:
    return tuple(test for result in record.subjects for test in result.tests)


def _point(record: Stated[OperationRecord], state: SpcState) -> SpcPoint:
    return SpcPoint(
        ref=record.ref,
        at_us=record.data.ended_us,
        subgroup=state.subgroup,
        value=None if state.state == "gap" else state.statistic,
        range_value=state.range_statistic,
        subjects=tuple(result.subject.id for result in record.data.subjects),
        rules=state.rules,
        limit_version=state.limit_version,
        state=state.state,
    )


def _limits(closing: Sequence[tuple[Stated[OperationRecord], SpcState]]) -> tuple[SpcLimits, ...]:
    """Stretches of points that were judged by the same limits."""
    spans: list[SpcLimits] = []
    for index, (_, state) in enumerate(closing):
        if state.centre is None or state.lower is None or state.upper is None:
            continue
        held = spans[-1] if spans else None
        now = (state.limit_version or "", state.centre, state.lower, state.upper)
        if held is not None and (held.version, held.centre, held.lower, held.upper) == now:
            continue
        if held is not None:
            spans[-1] = SpcLimits(
                held.version, held.centre, held.lower, held.upper, held.provisional, held.start, index
            )
        spans.append(SpcLimits(*now, state.provisional, index, None))
    return tuple(spans)


def _signal(rule: str, index: int) -> Signal:
    first = index - RUN_LENGTH + 1 if rule == "nelson2" else index
    return Signal(rule, index, tuple(range(max(0, first), index + 1)))
