"""What the lines are told of the pieces of an open order: which operations each has behind it.

Pure. Pieces stand in the order in which their first record came, some in each document: those that are worked on
at one time stand together, so that a run changes one small document.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from central.assessment import Assessment
from central.domain import Fate, Finding, Piece
from central.genealogy import Marriages, lacking, open_matter
from records.model import OperationRecord, Result

UNITS_A_DOCUMENT = 100
MOST_DOCUMENTS = 200
"""Most documents of one order; pieces beyond are not told, so a station knows nothing of them."""
PASSED, FAILED, NOTHING, SCRAP = "p", "f", "-", "s"


def documents_of(part: Assessment) -> dict[str, JsonValue]:
    """Id and content of each document of the order; none while nothing has run, or once it is over."""
    order, reference = part.dossier.order, part.dossier.reference
    if order is None or not order.open:
        return {}
    routing = list(part.dossier.routing)
    findings = {finding.id: finding for finding in part.findings}
    units = [_unit(piece, routing, findings) for piece in _as_they_came(part)]
    told = range(0, min(len(units), UNITS_A_DOCUMENT * MOST_DOCUMENTS), UNITS_A_DOCUMENT)
    return {
        f"{reference}#{number}": {
            "order": reference,
            "operations": [*routing],
            "units": units[first : first + UNITS_A_DOCUMENT],
        }
        for number, first in enumerate(told, 1)
    }


def _as_they_came(part: Assessment) -> list[Piece]:
    """In the order in which their first records were committed here, which no later fact changes."""
    marriages = Marriages.of(part.dossier.records)
    pieces = {piece.key: piece for piece in part.pieces}
    found: dict[str, Piece] = {}
    for fact in part.dossier.facts:
        data = fact.fact.data
        if isinstance(data, OperationRecord) and data.purpose.counts:
            for result in data.subjects:
                key = marriages.key(result.subject)
                if key in pieces:
                    found.setdefault(key, pieces[key])
    return list(found.values())


def _unit(piece: Piece, routing: list[str], findings: Mapping[str, Finding]) -> JsonValue:
    about = [findings[id_] for id_ in piece.findings if id_ in findings]
    letters = SCRAP if piece.fate is Fate.SCRAP else "".join(_letter(piece, o, about) for o in routing)
    return [piece.carrier, piece.serial, letters]


def _letter(piece: Piece, operation: str, about: list[Finding]) -> str:
    """As completeness counts it: what people have accepted is behind the piece, too."""
    last = piece.last_run(operation)
    if last is None:
        return PASSED if any(finding.settled for finding in lacking(about, operation)) else NOTHING
    if last.result in (Result.PASS.value, Result.NOT_JUDGED.value):
        return PASSED
    return FAILED if any(f.operation == operation and open_matter(piece, f) for f in about) else PASSED
