"""Do machine counters, records and ERP agree? Each point in which they do not is a discrepancy.

Pure. Quantities are judged only where they can no longer become right by themselves: an order that is still being
made has not made all its pieces yet, which is no disagreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from pydantic import JsonValue

from central.causes import discrepancy
from central.consumption import consumed, of_consumption, of_lots
from central.counters import of_counters, of_cycles
from central.domain import Fate, Finding, OperationQuantities, Piece, Quantities, Run
from central.dossier import Dossier
from central.genealogy import Marriages, lacking
from records.model import OperationRecord, Outcome, Purpose, Result, Subject, SubjectKind
from records.quantity import quantity_text

ENDED = ("closed", "cancelled")
"""States of an order in the ERP after which nothing more is made."""


# -- quantities --------------------------------------------------------------------------------------------


def quantities(dossier: Dossier, pieces: Sequence[Piece]) -> Quantities:
    """What became of the order's pieces."""
    fates = [piece.fate for piece in pieces]
    return Quantities(
        ordered=dossier.order.quantity if dossier.order is not None else Decimal(0),
        started=len(pieces),
        good=fates.count(Fate.GOOD),
        pending=fates.count(Fate.PENDING),
        scrap=fates.count(Fate.SCRAP),
        in_process=fates.count(Fate.IN_PROCESS),
        identified=sum(piece.serial is not None for piece in pieces),
    )


def added(parts: Iterable[Quantities]) -> Quantities:
    """The sum over some orders."""
    total = Quantities(Decimal(0), 0, 0, 0, 0, 0, 0)
    for part in parts:
        total = Quantities(
            total.ordered + part.ordered,
            total.started + part.started,
            total.good + part.good,
            total.pending + part.pending,
            total.scrap + part.scrap,
            total.in_process + part.in_process,
            total.identified + part.identified,
        )
    return total


def ended(dossier: Dossier, pieces: Sequence[Piece], findings: Iterable[Finding]) -> bool:
    """Whether the order is over: every ordered piece has its fate and its records are here, or the ERP says so."""
    if dossier.order is None:
        return False
    if dossier.order.state in ENDED:
        return True
    fated = [piece for piece in pieces if piece.fate is not Fate.IN_PROCESS]
    if not fated or len(fated) < dossier.order.quantity:
        return False
    by_id = {finding.id: finding for finding in findings}
    for piece in fated:
        about = [by_id[id_] for id_ in piece.findings if id_ in by_id]
        lacks = [o for o in dossier.routing if piece.fate is not Fate.SCRAP and piece.last_run(o) is None]
        if any(not lacking(about, operation) for operation in lacks):
            return False  # those records are still on their way
    return True


def operations(dossiers: Sequence[Dossier], pieces: Sequence[Piece]) -> tuple[OperationQuantities, ...]:
    """Per operation of the routing (and any other that was seen): how many pieces, with what result."""
    names: dict[str, tuple[int, str]] = {}
    for dossier in dossiers:
        for planned in dossier.order.operations if dossier.order is not None else ():
            names.setdefault(planned.operation, (planned.sequence, planned.name))
    records = [s.data for d in dossiers for s in d.records]
    after = max((sequence for sequence, _ in names.values()), default=0)
    for operation in sorted({data.operation for data in records}):
        names.setdefault(operation, (after + 1, ""))
    runs: dict[str, list[OperationRecord]] = {operation: [] for operation in names}
    for data in records:
        runs[data.operation].append(data)
    return tuple(
        _operation(operation, sequence, name, runs[operation], pieces)
        for operation, (sequence, name) in sorted(names.items(), key=lambda entry: (entry[1][0], entry[0]))
    )


def _operation(
    operation: str, sequence: int, name: str, runs: Sequence[OperationRecord], pieces: Sequence[Piece]
) -> OperationQuantities:
    counted = [run for run in runs if run.purpose.counts]
    lasts = [last for last in (piece.last_run(operation) for piece in pieces) if last is not None]
    results = [last.result for last in lasts]

    def pieces_with(purpose: Purpose) -> int:
        return sum(any(_is(run, operation, purpose) for run in piece.runs) for piece in pieces)

    return OperationQuantities(
        operation=operation,
        sequence=sequence,
        name=name,
        stations=tuple(sorted({run.station for run in counted})),
        equipment=tuple(sorted({run.equipment for run in counted})),
        started=len(lasts),
        passed=sum(result in (Result.PASS.value, Result.NOT_JUDGED.value) for result in results),
        failed=results.count(Result.FAIL.value),
        scrapped=results.count(Result.SCRAP.value),
        reworked=pieces_with(Purpose.REWORK),
        retested=pieces_with(Purpose.RETEST),
        aborted_runs=sum(run.outcome is Outcome.ABORTED for run in counted),
        runs=len(counted),
        not_counted_runs=len(runs) - len(counted),
        began_us=min((run.began_us for run in counted), default=None),
        ended_us=max((run.ended_us for run in counted), default=None),
        duration_s=sum(run.ended_us - run.began_us for run in counted) / 1e6,
    )


def _is(run: Run, operation: str, purpose: Purpose) -> bool:
    return run.counts and run.operation == operation and run.purpose == purpose.value


def of_quantities(dossier: Dossier, pieces: Sequence[Piece]) -> list[Finding]:
    """More pieces than ordered, or an order that is over with pieces unaccounted for."""
    order = dossier.order
    if order is None:
        return []
    have = quantities(dossier, pieces)
    fated = have.good + have.pending + have.scrap
    found = []
    if have.started > order.quantity:
        found.append(_quantity(dossier, "started", have.started))
    if order.state in ENDED and fated != order.quantity and order.state != "cancelled":
        found.append(_quantity(dossier, "finished", fated))
    return found


def _quantity(dossier: Dossier, what: str, found: int) -> Finding:
    ordered = dossier.order.quantity if dossier.order is not None else Decimal(0)
    params: dict[str, JsonValue] = {"what": what, "ordered": quantity_text(ordered), "found": found}
    return discrepancy(dossier, "quantity-disagrees", (what,), params, at_us=dossier.ended_us)


# -- serials --------------------------------------------------------------------------------------


def of_serials(dossier: Dossier, pieces: Sequence[Piece]) -> list[Finding]:
    """One serial on two pieces of the order, or in another order too."""
    found = []
    for serial, carriers in sorted(Marriages.of(dossier.records).all_of.items()):
        if len(carriers) > 1:
            found.append(_doubled(dossier, pieces, serial, sorted(carriers)))
    for serial, order in sorted(dossier.elsewhere.items()):
        if any(piece.serial == serial for piece in pieces):
            found.append(_doubled(dossier, pieces, serial, [dossier.reference, order]))
    return found


def _doubled(dossier: Dossier, pieces: Sequence[Piece], serial: str, places: list[str]) -> Finding:
    scheme = next((piece.scheme for piece in pieces if piece.serial == serial), "plant")
    subject = Subject(SubjectKind.UNIT, serial, dossier.product, scheme)
    carriers = [Subject(SubjectKind.CARRIER, p.carrier) for p in pieces if p.carrier in places and p.carrier]
    params: dict[str, JsonValue] = {"serial": serial, "pieces": [*places]}
    target = (serial, *places)
    return discrepancy(dossier, "serial-doubled", target, params, subjects=(subject, *carriers))


# -- what central was told ---------------------------------------------------------------------------------

READ_BACK = "read-back"
"""The step of a report with which the ERP has all of it: what it refused on the way is overcome."""


def of_erp(dossier: Dossier) -> list[Finding]:
    """Refusals of the ERP that nothing later has overcome, and where it holds other than what was reported."""
    posted = [s.data.params for s in dossier.statements if s.data.code == "erp-posted"]
    overcome = {(p.get("message"), p.get("step")) for p in posted}
    found = []
    for statement in dossier.statements:
        params = statement.data.params
        message, step = params.get("message"), params.get("step")
        if statement.data.code != "erp-refused" or overcome & {(message, step), (message, READ_BACK)}:
            continue
        told: dict[str, JsonValue] = {"step": step, "error": params.get("error")}
        at_us = statement.fact.fact.header.at_us
        target = (str(message), str(step))
        found.append(discrepancy(dossier, "erp-refused", target, told, at_us=at_us, by=statement))
    for difference in dossier.differences:
        told = {
            "what": difference.what,
            "subject": difference.subject,
            "ours": difference.ours,
            "erp": difference.erp,
        }
        target = (difference.what, difference.subject)
        found.append(discrepancy(dossier, "erp-disagrees", target, told))
    return list({finding.id: finding for finding in found}.values())


def of_report(dossier: Dossier, pieces: Sequence[Piece]) -> list[Finding]:
    """Where the record has come to say something else than the ERP was told: a decision or data after the report.

    ``ours`` is what would be reported now, ``erp`` what was. While a piece is undecided nothing is compared.
    """
    told = dossier.reported
    if told is None or any(piece.fate is Fate.PENDING for piece in pieces):
        return []
    good = [piece.serial for piece in pieces if piece.fate is Fate.GOOD and piece.serial is not None]
    scrap = sum(piece.fate is Fate.SCRAP for piece in pieces)
    points = [("good", serial, good.count(serial), told.good.count(serial)) for serial in {*good, *told.good}]
    points.append(("scrap", dossier.reference, scrap, told.scrap))
    now = {(use.item, use.lot): use.quantity for use in consumed(dossier)}
    then = {(use.item, use.lot): use.quantity for use in told.consumed}
    compared = [(what, subject, Decimal(ours), Decimal(erp)) for what, subject, ours, erp in points]
    for lot in {*now, *then}:
        compared.append(("consumed", " ".join(lot), now.get(lot, Decimal(0)), then.get(lot, Decimal(0))))
    found = []
    for what, subject, ours, erp in sorted(compared):
        if ours != erp:
            params: dict[str, JsonValue] = {
                "what": what,
                "subject": subject,
                "ours": quantity_text(ours),
                "erp": quantity_text(erp),
            }
            found.append(discrepancy(dossier, "erp-disagrees", ("report", what, subject), params))
    return found


def of_intake(dossier: Dossier) -> list[Finding]:
    """Conflicts and quarantined data of the order's chains."""
    names = {
        "conflict": ("record-conflict", ("agent", "seq", "held", "offered")),
        "quarantined": ("record-quarantined", ("agent", "reason", "bytes")),
    }
    found = []
    for statement in dossier.surroundings:
        if statement.data.code in names:
            code, wanted = names[statement.data.code]
            told = {name: statement.data.params.get(name) for name in wanted}
            at_us = statement.fact.fact.header.at_us
            found.append(discrepancy(dossier, code, (statement.fact.hash,), told, at_us=at_us, by=statement))
    return found


def of_order(dossier: Dossier, pieces: Sequence[Piece], *, over: bool) -> list[Finding]:
    """Every disagreement about the order except the certificate's; ``pieces`` have their fates.

    ``over``: nothing more will be made.
    """
    return [
        *of_quantities(dossier, pieces),
        *of_counters(dossier),
        *of_cycles(dossier),
        *of_serials(dossier, pieces),
        *of_lots(dossier),
        *of_consumption(dossier, pieces, over=over),
        *of_erp(dossier),
        *of_report(dossier, pieces),
        *of_intake(dossier),
    ]
