"""The record of a lot whose records were given up as past their retention: what was judged of it last. Pure.

What is left of such a lot is not judged again: the gaps that its own retention left are no findings.
"""

from __future__ import annotations

from collections.abc import Iterable

from central.dhr import signatures_of
from central.domain import (
    DECIDED,
    Blocker,
    Certificate,
    DeviceHistoryRecord,
    DhrSummary,
    Evidence,
    Finding,
    Link,
    OrderLine,
    Quantities,
)
from central.dossier import Stated
from records.model import Decision


def last_judged(
    row: DhrSummary, orders: Iterable[OrderLine], found: Iterable[Finding], decisions: Iterable[Stated[Decision]]
) -> DeviceHistoryRecord:
    """``row``: of the queue, ``found``: every finding of its orders, ``decisions``: those that central holds."""
    decided = (Blocker(DECIDED, {"state": row.state.value}, Link("sign")),)
    return DeviceHistoryRecord(
        id=row.id,
        lot=row.lot,
        product=row.product,
        revision=row.revision,
        udi_di=row.udi_di,
        expiry=None,
        orders=tuple(orders),
        state=row.state,
        quantities=Quantities(
            ordered=row.ordered,
            started=row.started,
            good=row.good,
            pending=row.pending,
            scrap=row.scrap,
            in_process=row.started - row.good - row.pending - row.scrap,
            identified=row.good,
        ),
        operations=(),
        completeness=(),
        findings=tuple(found),
        certificate=Certificate(row.certificate, (), ()),
        evidence=Evidence(),
        signatures=signatures_of(row.id, decisions, row.content_hash),
        blockers=decided,
        review_blockers=decided,
        began_us=row.began_us,
        ended_us=row.ended_us,
        content=None,
        content_hash=row.content_hash,
        given_up=row.given_up,
    )
