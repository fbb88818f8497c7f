"""Trace: from a serial, lot or order to everything about it; one unit; one record."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response
from markupsafe import Markup

from central.access import Capability
from central.domain import DeviceHistoryRecord, Piece
from central.stored import StoredFact
from central.web import charts, decided, params, texts, verdicts
from central.web.show import unit_text
from central.web.visit import Enter, NotThere, Visit
from records.model import Decision, OperationRecord, OperationsEvent, Reading

router = APIRouter(include_in_schema=False)

MOST_SUBJECTS = 20
"""Subjects of one run whose later verdicts are looked for; of one subgroup, all say the same."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece that was found, and the record that it belongs to."""

    dhr: DeviceHistoryRecord
    piece: Piece


@router.get("/trace")
def trace(visit: Enter, q: str = "") -> Response:
    """One search for serials, carriers, lots (ours and components) and orders; a single hit opens at once."""
    wanted = q.strip()[:200]
    if not wanted:
        return visit.page("trace.html", search="", hits=[], dhrs=[], orders=[], used=[])
    hits = find_pieces(visit, wanted)
    dhrs = [d for d in visit.desk.queue() if wanted in (d.lot, d.udi_di) or wanted in d.orders]
    orders = [o for o in visit.desk.orders() if wanted in (o.reference, o.number)]
    used = lot_uses(visit, wanted)
    if len(hits) == 1 and not dhrs and not used:
        return visit.go(f"/units/{hits[0].dhr.id}/{hits[0].piece.name}")
    given_up = sum(d.given_up is not None for d in visit.desk.queue())
    return visit.page(
        "trace.html", search=wanted, hits=hits, dhrs=dhrs, orders=orders, used=used, given_up=given_up
    )


def find_pieces(visit: Visit, name: str) -> list[Hit]:
    """Every piece that carries this serial or carrier id, in any record."""
    lots = {_lot_of(fact) for fact in visit.desk.about(name)} - {None}
    found: list[Hit] = []
    for summary in visit.desk.queue():
        if summary.lot in lots and (dhr := visit.desk.dhr(summary.id)) is not None:
            found += [Hit(dhr, p) for p in dhr.evidence.units if name in (p.serial, p.carrier)]
    return found


def _lot_of(fact: StoredFact) -> str | None:
    data = fact.fact.data
    return (data.lot or data.order) if isinstance(data, OperationRecord) else None


def lot_uses(visit: Visit, lot: str) -> list[tuple[DeviceHistoryRecord, object]]:
    """Where a component lot went: (record, its line of materials) each."""
    lots = {_lot_of(fact) for fact in visit.desk.about(lot)} - {None}
    found: list[tuple[DeviceHistoryRecord, object]] = []
    for summary in visit.desk.queue():
        if summary.lot in lots and (dhr := visit.desk.dhr(summary.id)) is not None:
            found += [(dhr, line) for line in dhr.evidence.materials if line.lot == lot]
    return found


@router.get("/units/{dhr_id}/{name:path}")
def unit(visit: Enter, dhr_id: str, name: str) -> Response:
    """One piece: its walk, its values, what went into it, what was found about it."""
    dhr = visit.desk.dhr(dhr_id)
    piece = None if dhr is None else dhr.unit(name)
    if dhr is not None and piece is None and dhr.given_up is not None:
        return visit.go(f"/dhrs/{dhr.id}")  # it tells who gave its pieces up, and when
    if dhr is None or piece is None:
        raise NotThere
    facts = [visit.desk.fact(run.ref.hash) for run in piece.runs]
    records = {f.hash: f.fact.data for f in facts if f is not None and isinstance(f.fact.data, OperationRecord)}
    return visit.page(
        "unit.html",
        dhr=dhr,
        piece=piece,
        held=[h for h in visit.desk.holds_on(dhr) if h.held.kind != "unit" or h.held.id == piece.serial],
        may_hold=visit.user.may(Capability.HOLD),
        records=records,
        values=[(run, _values(records.get(run.ref.hash), piece)) for run in piece.runs],
        findings=[f for f in dhr.findings if f.id in piece.findings],
        verdicts=_verdicts(visit, dhr, piece),
        brief=params.brief,
    )


def _verdicts(visit: Visit, dhr: DeviceHistoryRecord, piece: Piece) -> list[verdicts.Verdict]:
    """What charts said of a piece later, and who ended its holds."""
    names = [name for name in (piece.serial, piece.carrier) if name]
    facts = [f for name in names for f in visit.desk.verdicts(name) if _concerns(f, piece)]
    lines = [line for line in dhr.evidence.records if line.code in verdicts.ENDS]
    ends = [fact for fact in (visit.desk.fact(line.ref.hash) for line in lines) if fact is not None]
    return verdicts.verdicts(visit.words, [*facts, *verdicts.of_hold(facts, ends, names)])


def _concerns(fact: StoredFact, piece: Piece) -> bool:
    """Carriers come again in other orders, serials in other products; a later order may close a subgroup."""
    data = fact.fact.data
    if not isinstance(data, OperationsEvent) or data.order == piece.order:
        return True
    return any((s.id, s.product) == (piece.serial, piece.product) for s in data.subjects)


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value of a run with what was asked of it. Limits are None where there is no specification."""

    name: str
    reading: Reading
    lower: float | None
    upper: float | None
    target: float | None
    result: str | None


def _values(record: OperationRecord | None, piece: Piece | None) -> list[ValueRow]:
    """The readings of a record, with the test results of this piece (or of its first subject)."""
    if record is None:
        return []
    results = [s for s in record.subjects if piece is None or s.subject.id in (piece.serial, piece.carrier)]
    tests = {t.characteristic: t for s in results[:1] for t in s.tests}
    rows: list[ValueRow] = []
    for reading in record.readings:
        test = tests.get(reading.characteristic or "")
        rows.append(
            ValueRow(
                reading.characteristic or reading.tag,
                reading,
                test.lower if test else None,
                test.upper if test else None,
                test.target if test else None,
                test.result.value if test else None,
            )
        )
    return rows


@router.get("/records/{chain_hash}")
def record(visit: Enter, chain_hash: str) -> Response:
    """One record of the chain, whatever its kind, exactly as it is held."""
    fact = visit.desk.fact(chain_hash)
    if fact is None:
        raise NotThere
    data = fact.fact.data
    if not isinstance(data, OperationRecord):
        return _other(visit, fact)
    queue = visit.desk.queue()
    of_order = (d for d in queue if data.order in d.orders)
    summary = next(of_order, next((d for d in queue if data.lot == d.lot), None))
    return visit.page(
        "record.html",
        fact=fact,
        header=fact.fact.header,
        record=data,
        rows=_values(data, None),
        curves=curves(data),
        dhr=summary,
        chart_of=lambda state: verdicts.of_state(fact.agent, data.station, state),
        verdicts=_later(visit, fact, data),
        trended=fact.agent in visit.desk.telemetry_agents(),
    )


def _later(visit: Visit, fact: StoredFact, data: OperationRecord) -> list[verdicts.Verdict]:
    """Verdicts about the subgroups that this record is part of, which came after it."""
    mine = {verdicts.of_state(fact.agent, data.station, state) for state in data.spc}
    if not mine:
        return []
    facts = [f for result in data.subjects[:MOST_SUBJECTS] for f in visit.desk.verdicts(result.subject.id)]
    return [v for v in verdicts.verdicts(visit.words, facts, data.order) if v.href in mine]


def curves(data: OperationRecord) -> list[tuple[str, Markup]]:
    """Every captured profile of a record as a drawing."""
    found: list[tuple[str, Markup]] = []
    for reading in data.readings:
        if isinstance(reading.value, list):
            numbers = [float(v) for v in reading.value if isinstance(v, int | float)]
            found.append((reading.tag, charts.curve(numbers, reading.tag, unit_text(reading.unit))))
    return found


def _other(visit: Visit, fact: StoredFact) -> Response:
    """The page of an event, a decision, or the beginning of a record series."""
    data = fact.fact.data
    event = data if isinstance(data, OperationsEvent) else None
    text = texts.event_text(event.code) if event else None
    return visit.page(
        "fact.html",
        fact=fact,
        header=fact.fact.header,
        title=visit.words(text.title) if text else "",
        meaning=visit.words(text.meaning) if text else "",
        event=event,
        decision=data if isinstance(data, Decision) else None,
        decided=_decided(visit, fact, data) if isinstance(data, Decision) else None,
        overridden=[(_title(visit, f), f.hash) for f in visit.desk.overridden(fact)],
        params=params.labelled(visit.words, event.params) if event else [],
        chart=verdicts.href(fact) if event else "",
    )


@dataclass(frozen=True, slots=True)
class DecidedText:
    """A decision in words. ``before``, ``after``: empty where nothing is told."""

    about: str
    href: str | None
    reason: str
    before: str
    after: str


def _decided(visit: Visit, fact: StoredFact, data: Decision) -> DecidedText:
    kind, words = data.target.kind, visit.words
    before, after = ("" if told is None else decided.state(words, kind, told) for told in (data.old, data.new))
    return DecidedText(
        decided.about(words, kind, data.target.id),
        decided.href(kind, data.target.id, fact.agent),
        decided.reason(words, visit.desk.reasons(), data.act.value, kind, data.reason),
        before,
        after,
    )


def _title(visit: Visit, fact: StoredFact) -> str:
    data = fact.fact.data
    return visit.words(texts.event_text(data.code).title) if isinstance(data, OperationsEvent) else ""
