"""The control charts of a record: the verdicts that the edge committed, as series ready to be drawn.

Pure; nothing is judged again here. A point is what the record of a subgroup's last reading says of it, or, where
a subgroup was closed by time, lot or restart, what its closing event says. Records of older agents hold neither
range limits nor segments; their series say so by leaving them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from central.chart_inputs import readings_of
from central.closings import CLOSING, closing_state, count, text
from central.domain import FactRef, SpcLimits, SpcPoint, SpcSeries
from central.dossier import Dossier, Stated
from central.signal_members import members
from records.model import OperationRecord, OperationsEvent, TestResult
from records.verdict import SpcState
from spc.rules import CATALOGUE, Rule, Signal

SIGNALLED = "spc-signal"

_Place = tuple[str, int, int]
"""Epoch, segment and subgroup: which point of a chart. An agent that lost its memory counts from 1 again."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A point's verdict and where it stands."""

    ref: FactRef
    at_us: int
    state: SpcState
    subjects: tuple[str, ...]


@dataclass
class _Chart:
    """One stream of a characteristic at one station while its points are gathered."""

    operation: str = ""
    records: list[tuple[Stated[OperationRecord], SpcState]] = field(default_factory=list)
    closed: dict[_Place, _Verdict] = field(default_factory=dict)
    rules: dict[tuple[_Place, str], Rule] = field(default_factory=dict)


def charts(dossiers: Sequence[Dossier]) -> tuple[SpcSeries, ...]:
    """Every chart in routing order, its points in the order in which they were closed."""
    held: dict[tuple[str, str, str, str], _Chart] = {}
    for dossier in dossiers:
        for record in dossier.records:
            for state in record.data.spc:
                key = (record.fact.agent, record.data.station, state.characteristic, state.stream or "")
                chart = held.setdefault(key, _Chart())
                chart.operation = record.data.operation
                chart.records.append((record, state))
    for dossier in dossiers:
        for event in (*dossier.events, *dossier.surroundings):
            _told(held, event)
    series = [_series(*key, chart) for key, chart in held.items()]
    return tuple(sorted(series, key=lambda s: (s.operation, s.station, s.characteristic, s.stream)))


def _told(held: Mapping[tuple[str, str, str, str], _Chart], event: Stated[OperationsEvent]) -> None:
    """What an event adds to the chart that it names: a closed subgroup, or what a rule means."""
    params, fact = event.data.params, event.fact
    if event.data.code not in (CLOSING, SIGNALLED):
        return
    name, stream = text(params, "characteristic"), text(params, "stream")
    chart = held.get((fact.agent, fact.fact.header.station or "", name, stream))
    if chart is None:
        return
    place = (fact.epoch, count(params, "segment"), count(params, "subgroup"))
    if event.data.code == SIGNALLED:
        rule = _rule(str(params.get("rule")), params)
        if rule is not None:
            chart.rules[place, rule.name] = rule
        return
    subjects = tuple(subject.id for subject in event.data.subjects)
    chart.closed[place] = _Verdict(event.ref, fact.fact.header.at_us, closing_state(params), subjects)


def _verdicts(chart: _Chart) -> list[_Verdict]:
    """One a point: of records whose reading closed it, and of events for what no record closed."""
    found: list[_Verdict] = []
    at: dict[_Place, int] = {}
    for record, state in chart.records:
        if state.position == state.size:
            subjects = tuple(result.subject.id for result in record.data.subjects)
            at[record.fact.epoch, state.segment or 0, state.subgroup] = len(found)
            found.append(_Verdict(record.ref, record.data.ended_us, state, subjects))
    for place, closed in chart.closed.items():
        if place not in at:
            found.append(closed)
        elif closed.subjects:  # the record's verdict stands; the event names every piece of the subgroup
            found[at[place]] = replace(found[at[place]], subjects=closed.subjects)
    return sorted(found, key=lambda v: (v.at_us, v.state.segment or 0, v.state.subgroup))


def _series(agent: str, station: str, name: str, stream: str, chart: _Chart) -> SpcSeries:
    verdicts = _verdicts(chart)
    points = tuple(_point(verdict) for verdict in verdicts)
    last = chart.records[-1][1]
    test = _tested(chart, name)
    return SpcSeries(
        characteristic=name,
        station=station,
        operation=chart.operation,
        chart=last.chart,
        size=last.size,
        unit=_unit(chart),
        points=points,
        limits=_spans([(v.state, v.state.centre, v.state.lower, v.state.upper) for v in verdicts]),
        signals=_signals(chart, verdicts, lambda state: state.rules),
        gaps=sum(point.value is None for point in points),
        readings=len(chart.records),
        lower=test.lower if test else None,
        upper=test.upper if test else None,
        target=test.target if test else None,
        agent=agent,
        stream=stream,
        range_limits=_spans(
            [(v.state, v.state.range_centre, v.state.range_lower, v.state.range_upper) for v in verdicts]
        ),
        range_signals=_signals(chart, verdicts, lambda state: state.range_rules or ()),
    )


def _unit(chart: _Chart) -> str | None:
    """Of the newest reading that says one."""
    read = (readings_of(record.data, state) for record, state in reversed(chart.records))
    return next((reading.unit for readings in read for reading in readings), None)


def _tested(chart: _Chart, name: str) -> TestResult | None:
    """The newest test of the characteristic."""
    records = (record.data for record, _ in reversed(chart.records))
    tests = (test for record in records for result in record.subjects for test in result.tests)
    return next((test for test in tests if test.characteristic == name), None)


def _point(verdict: _Verdict) -> SpcPoint:
    state = verdict.state
    return SpcPoint(
        ref=verdict.ref,
        at_us=verdict.at_us,
        subgroup=state.subgroup,
        value=None if state.state == "gap" else state.statistic,
        range_value=state.range_statistic,
        subjects=verdict.subjects,
        rules=state.rules,
        limit_version=state.limit_version,
        state=state.state,
        range_rules=state.range_rules,
        segment=state.segment,
        sample=state.sample,
    )


def _spans(
    held_by: Sequence[tuple[SpcState, float | None, float | None, float | None]],
) -> tuple[SpcLimits, ...]:
    """Stretches of points that were judged by the same lines: one a point where the size of samples varies."""
    spans: list[SpcLimits] = []
    for index, (state, centre, lower, upper) in enumerate(held_by):
        if centre is None or lower is None or upper is None:
            continue
        held = spans[-1] if spans else None
        now = (state.limit_version or "", centre, lower, upper)
        if held is not None and (held.version, held.centre, held.lower, held.upper) == now:
            continue
        if held is not None:
            spans[-1] = SpcLimits(
                held.version, held.centre, held.lower, held.upper, held.provisional, held.start, index
            )
        spans.append(SpcLimits(*now, state.provisional, index, None))
    return tuple(spans)


def _signals(
    chart: _Chart, verdicts: Sequence[_Verdict], rules: Callable[[SpcState], tuple[str, ...]]
) -> tuple[Signal, ...]:
    """Each rule that a point met, by the points that made it; the rule is as its event told it, else the usual."""
    judged = [verdict.state for verdict in verdicts]
    found = []
    for index, verdict in enumerate(verdicts):
        state = verdict.state
        if state.state == "gap" or state.statistic is None:
            continue
        place = (verdict.ref.epoch, state.segment or 0, state.subgroup)
        for name in rules(state):
            meant = chart.rules.get((place, name), CATALOGUE.get(name))
            found.append(Signal(name, index, members(state.chart, judged, index, meant), meant))
    return tuple(found)


def _rule(name: str, params: Mapping[str, JsonValue]) -> Rule | None:
    """The rule of a signal's event with the numbers that it told; None for one that is not known."""
    known = CATALOGUE.get(name)
    if known is None:
        return None
    parts = ("points", "window", "sigmas") if known.pattern == "beyond" else ("window", "sigmas")
    given = {part: params[part] for part in parts if params.get(part) is not None}
    try:
        return Rule.read({name: given})
    except ValueError:
        return known
