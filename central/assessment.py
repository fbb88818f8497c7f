"""One order judged: its pieces with their fates, everything to be looked at, and its certificate.

Pure, and the heart of the review: the sweep that opens findings, the record that is signed and the confirmation
that the ERP gets are all made from this one assessment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from central import certificate, exceptions, genealogy, reconcile
from central.causes import merged
from central.domain import Certificate, Closing, FactLike, Finding, FindingKind, Piece, Quantities
from central.dossier import Dossier, Stated
from records.model import Decision, OperationsEvent
from records.wire import CENTRAL

SYSTEM = "system"
"""Role of central itself in the decisions with which it closes findings whose cause is gone."""

_OPENED = {"exception-opened": "exception", "discrepancy-opened": "discrepancy"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plant may set: how old documents may be, how long an agent's head may stay away (seconds)."""

    document_age_max_s: float = exceptions.DOCUMENT_AGE_MAX_S
    tail_grace_s: float = certificate.TAIL_GRACE_S


@dataclass(frozen=True)
class Assessment:
    """``findings`` are the present ones; ``past`` were stated once and have lost their cause since."""

    dossier: Dossier
    pieces: tuple[Piece, ...]
    findings: tuple[Finding, ...]
    past: tuple[Finding, ...]
    certificate: Certificate
    quantities: Quantities
    over: bool


def assess(dossier: Dossier, limits: Limits) -> Assessment:
    """Judge one order as far as it is known."""
    closings = closed(dossier.decisions)
    found = genealogy.pieces(dossier)
    early = [
        *exceptions.of_order(dossier, found, limits.document_age_max_s),
        *reconcile.of_serials(dossier, found),
    ]
    standing = _stand(early, closings)
    pieces = genealogy.judged(dossier, found, standing)
    over = reconcile.ended(dossier, pieces, standing)
    proof = certificate.certify(dossier, over=over)
    findings = _stand(
        merged(
            [
                *early,
                *reconcile.of_order(dossier, pieces, over=over),
                *certificate.of_certificate(dossier, proof, over=over, grace_s=limits.tail_grace_s),
            ]
        ),
        closings,
    )
    pieces = genealogy.judged(dossier, found, findings)
    quantities = reconcile.quantities(dossier, pieces)
    return restated(Assessment(dossier, pieces, findings, (), proof, quantities, over), dossier)


def restated(judged: Assessment, dossier: Dossier) -> Assessment:
    """The same judgement where only ``is_opening`` facts have come to the dossier: they tell since when each
    finding is stated, and which ones were stated once.
    """
    opened, closings = _opened(dossier), closed(dossier.decisions)
    present = {finding.id for finding in judged.findings}
    findings = [replace(f, opened_us=opened[f.id].opened_us if f.id in opened else None) for f in judged.findings]
    past = [
        replace(finding, state="closed", closing=closings[finding.id])
        for finding in opened.values()
        if finding.id not in present and finding.id in closings
    ]
    return replace(judged, dossier=dossier, findings=tuple(findings), past=tuple(past))


def is_opening(fact: FactLike) -> bool:
    """Whether central says in this fact that it opened a finding, which is no ground to judge anything by."""
    data = fact.fact.data
    return fact.agent == CENTRAL and isinstance(data, OperationsEvent) and data.code in _OPENED


def closed(decisions: Iterable[Stated[Decision]]) -> dict[str, Closing]:
    """Finding id -> the last decision about it."""
    found = {}
    for decision in decisions:
        data = decision.data
        if data.target.kind in ("exception", "discrepancy"):
            at_us, system = decision.fact.fact.header.at_us, data.by.role == SYSTEM
            told = data.new.get("substance") if isinstance(data.new, dict) else None
            found[data.target.id] = Closing(
                data.act.value,
                data.by.id,
                data.reason,
                at_us,
                decision.fact.hash,
                system,
                told if isinstance(told, str) else None,
            )
    return found


def _stand(found: Iterable[Finding], closings: Mapping[str, Closing]) -> tuple[Finding, ...]:
    """The findings as they stand: closed where a person closed them.

    Central's own closing does not hold while the cause is there, a person's not for what has come since.
    """
    standing = []
    for finding in found:
        closing = closings.get(finding.id)
        if closing is None or closing.system or closing.substance not in (None, finding.substance):
            standing.append(finding)
        else:
            standing.append(replace(finding, state="closed", closing=closing))
    return tuple(standing)


def _opened(dossier: Dossier) -> dict[str, Finding]:
    """Finding id -> what central stated when it opened it (last time, if it came back)."""
    found: dict[str, Finding] = {}
    for statement in dossier.statements:
        kind = _OPENED.get(statement.data.code)
        if kind is not None:
            finding = _restored(dossier, statement, "exception" if kind == "exception" else "discrepancy")
            found[finding.id] = finding
    return found


def _restored(dossier: Dossier, statement: Stated[OperationsEvent], kind: FindingKind) -> Finding:
    params = statement.data.params
    told = params.get("params")
    values: dict[str, JsonValue] = dict(told) if isinstance(told, dict) else {}
    at_us = statement.fact.fact.header.at_us
    return Finding(
        id=str(params.get(kind)),
        kind=kind,
        code=str(params.get("code")),
        params=values,
        order=dossier.reference,
        product=dossier.product,
        lot=dossier.lot,
        station=statement.fact.fact.header.station,
        subjects=statement.data.subjects,
        opened_us=at_us,
    )
