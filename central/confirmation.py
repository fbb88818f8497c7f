"""What the ERP is told of one finished order.

Pure. There is a confirmation only when everything that the gate ``order_close`` asks for is there; its key is the
same whenever and however often it is made.
"""

from __future__ import annotations

from central import reconcile
from central import requirements as needed
from central.assessment import Assessment
from central.consumption import consumed
from central.domain import Fate, Piece, opaque_id
from central.dossier import Dossier
from central.links.base import Confirmation, Inspection, OperationTotal
from central.requirements import Situation
from records.model import OperationRecord


def confirmation(part: Assessment) -> Confirmation | None:
    """The report of the order; None while anything stands against it, or the ERP does not know the order."""
    order = part.dossier.order
    if order is None:
        return None
    situation = Situation((), part.pieces, part.quantities, part.findings, part.certificate, ())
    if not needed.met(needed.evaluate(needed.requirements([order]), situation), "order_close"):
        return None
    good = sorted((p for p in part.pieces if p.fate is Fate.GOOD and p.serial is not None), key=lambda p: p.name)
    if len(good) != part.quantities.good:
        return None  # a good piece that nobody identified cannot be told by its serial
    return Confirmation(
        order=order.reference,
        erp_id=order.erp_id,
        key=opaque_id("confirmation", order.erp_id, order.reference),
        product=order.product,
        good=tuple(piece.name for piece in good),
        scrap=part.quantities.scrap,
        consumed=consumed(part.dossier),
        operations=_operations(part),
        inspections=_inspections(part.dossier, good),
    )


def _operations(part: Assessment) -> tuple[OperationTotal, ...]:
    return tuple(
        OperationTotal(o.operation, o.began_us, o.ended_us, o.duration_s, o.started)
        for o in reconcile.operations([part.dossier], part.pieces)
        if o.began_us is not None and o.ended_us is not None
    )


def _inspections(dossier: Dossier, good: list[Piece]) -> tuple[Inspection, ...]:
    """Per good unit the values of its last tests, by characteristic."""
    records = {record.data.run_id: record.data for record in dossier.records}
    return tuple(Inspection(piece.name, _values(piece, dossier.routing, records)) for piece in good)


def _values(
    piece: Piece, routing: tuple[str, ...], records: dict[str, OperationRecord]
) -> tuple[tuple[str, float | bool], ...]:
    values: dict[str, float | bool] = {}
    for operation in routing:
        last = piece.last_run(operation)
        data = None if last is None else records.get(last.run_id)
        if data is None:
            continue
        for result in data.subjects:
            if result.subject.id in (piece.serial, piece.carrier):
                values |= {test.characteristic: test.value for test in result.tests if test.value is not None}
    return tuple(sorted(values.items()))
