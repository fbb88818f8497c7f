"""Pieces of an order and what went into them: carrier to serial, component lots to units and back, containers.

Pure. A carrier carries one piece of an order; ``identified_as`` joins the carrier's runs with those of the unit
that it became. Of two serials read for one carrier the first names the piece, the other is a piece of its own
that comes out of nowhere; of two carriers that became one serial each keeps its own runs, and the unit's later
runs go to the first (``serial-doubled`` tells).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from central.causes import UNKNOWN
from central.domain import Fate, Finding, LotUse, MaterialLine, Piece, Run
from central.dossier import Dossier, Stated, amount
from central.finding_codes import CURABLE, MATTERS
from central.links.base import ErpLot
from records.model import (
    Act,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    Outcome,
    Purpose,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
)


@dataclass
class _Draft:
    """A piece while it is put together."""

    key: str
    carrier: str | None
    serial: str | None
    product: str | None
    scheme: str = "plant"
    runs: list[Run] = field(default_factory=list)
    used: list[LotUse] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Marriages:
    """Which carrier became which serial, by first word; ``all_of``: every carrier that a serial was read on."""

    serial_of: Mapping[str, str]
    carrier_of: Mapping[str, str]
    all_of: Mapping[str, tuple[str, ...]]
    scheme_of: Mapping[str, str]

    @classmethod
    def of(cls, records: Iterable[Stated[OperationRecord]]) -> Marriages:
        serial_of: dict[str, str] = {}
        carrier_of: dict[str, str] = {}
        all_of: dict[str, tuple[str, ...]] = {}
        scheme_of: dict[str, str] = {}
        for record in records:
            for edge in record.data.materials if record.data.purpose.counts else ():
                pair = _marriage(edge)
                if pair is None:
                    continue
                carrier, serial = pair
                if carrier not in all_of.get(serial, ()):
                    all_of[serial] = (*all_of.get(serial, ()), carrier)
                serial_of.setdefault(carrier, serial)
                if serial_of[carrier] == serial:
                    carrier_of.setdefault(serial, carrier)
                if edge.target is not None:
                    scheme_of.setdefault(serial, edge.target.scheme)
        return cls(serial_of, carrier_of, all_of, scheme_of)

    def key(self, subject: Subject) -> str | None:
        """The key of the piece that a subject is; None for what is no piece (lots, containers, nobody knows)."""
        if subject.id == UNKNOWN:
            return None
        if subject.kind is SubjectKind.CARRIER:
            return f"carrier:{subject.id}"
        if subject.kind is SubjectKind.UNIT:
            carrier = self.carrier_of.get(subject.id)
            return f"unit:{subject.id}" if carrier is None else f"carrier:{carrier}"
        return None


def _marriage(edge: MaterialActual) -> tuple[str, str] | None:
    source, target = edge.source, edge.target
    if edge.kind is not MaterialKind.IDENTIFIED_AS or source is None or target is None:
        return None
    if source.kind is not SubjectKind.CARRIER or target.kind is not SubjectKind.UNIT:
        return None
    return None if UNKNOWN in (source.id, target.id) else (source.id, target.id)


def pieces(dossier: Dossier) -> tuple[Piece, ...]:
    """Every piece that had at least one run that counts, by key; fates are not judged yet."""
    marriages = Marriages.of(dossier.records)
    drafts: dict[str, _Draft] = {}
    for record in dossier.records:
        stood_on = _stood_on(record)
        for result in record.data.subjects:
            subject = stood_on.get(result.subject.id, result.subject)
            draft = _draft(drafts, marriages, subject, dossier.product)
            if draft is not None:
                draft.runs.append(_run(record, result))
        for edge in record.data.materials if record.data.purpose.counts else ():
            _add_edge(drafts, marriages, record, edge)
    counted = (d for d in drafts.values() if any(run.counts for run in d.runs))
    return tuple(_piece(dossier.reference, draft) for draft in sorted(counted, key=lambda d: d.key))


def _stood_on(record: Stated[OperationRecord]) -> dict[str, Subject]:
    """Serial -> the carrier that stood under it in this very run: the piece is what stands there."""
    pairs = (_marriage(edge) for edge in record.data.materials)
    return {pair[1]: Subject(SubjectKind.CARRIER, pair[0]) for pair in pairs if pair is not None}


def _draft(
    drafts: dict[str, _Draft], marriages: Marriages, subject: Subject, product: str | None
) -> _Draft | None:
    key = marriages.key(subject)
    if key is None:
        return None
    if key not in drafts:
        kind, _, name = key.partition(":")
        carrier = name if kind == "carrier" else None
        serial = name if kind == "unit" else marriages.serial_of.get(name)
        own = subject.scheme if subject.kind is SubjectKind.UNIT else "plant"
        scheme = own if serial is None else marriages.scheme_of.get(serial, own)
        drafts[key] = _Draft(key, carrier, serial, subject.product or product, scheme)
    return drafts[key]


def _run(record: Stated[OperationRecord], result: SubjectResult) -> Run:
    data = record.data
    aborted = data.outcome is Outcome.ABORTED
    return Run(
        ref=record.ref,
        run_id=data.run_id,
        station=data.station,
        equipment=data.equipment,
        operation=data.operation,
        cycle=data.cycle,
        purpose=data.purpose.value,
        attempt=result.attempt,
        began_us=data.began_us,
        ended_us=data.ended_us,
        result=Result.ABORTED.value if aborted else result.result.value,
        counts=data.purpose.counts,
        position=result.position,
    )


def _add_edge(
    drafts: dict[str, _Draft], marriages: Marriages, record: Stated[OperationRecord], edge: MaterialActual
) -> None:
    source, target = edge.source, edge.target
    if source is None or target is None:
        return
    if edge.kind is MaterialKind.CONSUMED and source.kind is SubjectKind.LOT:
        draft = drafts.get(marriages.key(target) or "")
        if draft is not None:
            draft.used.append(_use(record, edge, source))
    if edge.kind is MaterialKind.PACKED and target.kind is SubjectKind.CONTAINER:
        draft = drafts.get(marriages.key(source) or "")
        if draft is not None and target.id not in draft.containers:
            draft.containers.append(target.id)


def _use(record: Stated[OperationRecord], edge: MaterialActual, lot: Subject) -> LotUse:
    data = record.data
    return LotUse(lot.product or UNKNOWN, lot.id, amount(edge.quantity), edge.unit, data.run_id, data.ended_us)


def _piece(order: str, draft: _Draft) -> Piece:
    slots = [run.position for run in draft.runs if run.position]
    return Piece(
        draft.key,
        order,
        draft.carrier,
        draft.serial,
        draft.product,
        tuple(draft.runs),
        tuple(draft.used),
        tuple(dict.fromkeys((*draft.containers, *slots))),
        scheme=draft.scheme,
    )


# -- fates -------------------------------------------------------------------------------------------------


def judged(dossier: Dossier, found: Iterable[Piece], findings: Iterable[Finding]) -> tuple[Piece, ...]:
    """The pieces with their fates and the findings about them.

    A piece is good when it passed its last operation, was not scrapped, lacks no operation, and every matter about
    it is closed by a person or cured by a later passing retest or rework.
    """
    marriages = Marriages.of(dossier.records)
    about: dict[str, list[Finding]] = {}
    for finding in findings:
        for key in {marriages.key(subject) for subject in finding.subjects}:
            if key is not None:
                about.setdefault(key, []).append(finding)
    return tuple(
        replace(
            piece,
            fate=_fate(piece, dossier, about.get(piece.key, [])),
            findings=tuple(sorted(finding.id for finding in about.get(piece.key, []))),
        )
        for piece in found
    )


def _fate(piece: Piece, dossier: Dossier, about: Sequence[Finding]) -> Fate:
    by_decision = any(f.closing is not None and f.closing.act == Act.SCRAP.value for f in about)
    if by_decision or any(r.counts and r.result == Result.SCRAP.value for r in piece.runs):
        return Fate.SCRAP
    if dossier.order is None or not dossier.routing or piece.last_run(dossier.routing[-1]) is None:
        return Fate.IN_PROCESS
    lacks = [o for o in dossier.routing if piece.last_run(o) is None]
    if any(not any(finding.settled for finding in lacking(about, operation)) for operation in lacks):
        return Fate.PENDING
    return Fate.PENDING if any(open_matter(piece, f) for f in about) else Fate.GOOD


def lacking(about: Iterable[Finding], operation: str) -> list[Finding]:
    """The findings of a piece that tell that it lacks the operation."""
    return [
        f
        for f in about
        if f.code == "identity-unknown"
        or (f.code == "operation-missing" and f.params.get("operation") == operation)
    ]


def open_matter(piece: Piece, finding: Finding) -> bool:
    """Whether this finding keeps the piece from being good: open, and not cured by a later passing run."""
    return finding.open and finding.code in MATTERS and not cured(piece, finding)


def cured(piece: Piece, finding: Finding) -> bool:
    """Whether the piece passed a retest or rework of the same operation after what the finding tells."""
    again = (Purpose.RETEST.value, Purpose.REWORK.value)
    told = {ref.hash for ref in finding.records}
    if finding.code not in CURABLE:
        return False
    runs = [run for run in piece.runs if run.counts and run.operation == finding.operation]
    places = [index for index, run in enumerate(runs) if run.ref.hash in told]
    if not places:
        return False
    return any(run.purpose in again and run.result == Result.PASS.value for run in runs[max(places) + 1 :])


# -- both directions ---------------------------------------------------------------------------------------


def materials(dossiers: Iterable[Dossier], found: Iterable[Piece]) -> tuple[MaterialLine, ...]:
    """Component lots of some orders with what they went into: lot -> pieces. Piece -> lots is ``Piece.used``."""
    lots: dict[str, dict[str, ErpLot]] = {}
    for dossier in dossiers:
        for item, told in dossier.lots.items():
            lots.setdefault(item, {}).update(told)
    uses: dict[tuple[str, str], list[tuple[LotUse, str]]] = {}
    for piece in found:
        for use in piece.used:
            uses.setdefault((use.item, use.lot), []).append((use, piece.name))
    lines = []
    for (item, lot), entries in sorted(uses.items()):
        erp = lots.get(item, {}).get(lot)
        times = [use.at_us for use, _ in entries]
        lines.append(
            MaterialLine(
                item=item,
                lot=lot,
                quantity=sum((use.quantity for use, _ in entries), Decimal(0)),
                unit=entries[0][0].unit,
                expiry=None if erp is None else erp.expiry,
                known_to_erp=(erp is not None) if item in lots else None,
                status=None if erp is None else erp.status,
                first_us=min(times),
                last_us=max(times),
                pieces=tuple(sorted({name for _, name in entries})),
            )
        )
    return tuple(lines)
