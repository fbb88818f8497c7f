"""How findings are made: the same cause always gives the same id, and one cause told twice is one finding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central.domain import FactRef, Finding, FindingKind, Piece, opaque_id
from central.dossier import Dossier, Stated
from records.model import OperationRecord, OperationsEvent, Subject, SubjectKind

UNKNOWN = "unknown"
"""Id that the edge gives to a subject or lot that nobody read."""


@dataclass(frozen=True, slots=True)
class About:
    """Which order, product and lot findings belong to."""

    order: str
    product: str | None
    lot: str | None

    @classmethod
    def of(cls, dossier: Dossier) -> About:
        return cls(dossier.reference, dossier.product, dossier.lot)


def make(
    about: About,
    kind: FindingKind,
    code: str,
    target: Sequence[str | None],
    params: Mapping[str, JsonValue],
    *,
    records: Iterable[FactRef] = (),
    subjects: Iterable[Subject] = (),
    operation: str | None = None,
    station: str | None = None,
    agent: str | None = None,
    at_us: int | None = None,
) -> Finding:
    """A finding whose id is told by order, code and ``target`` alone."""
    return Finding(
        opaque_id(about.order, code, *target),
        kind,
        code,
        {name: _finite(value) for name, value in params.items()},
        about.order,
        about.product,
        about.lot,
        operation,
        station,
        agent,
        at_us,
        tuple(subjects),
        tuple(records),
    )


def _finite(value: JsonValue) -> JsonValue:
    """JSON proper has no NaN and no infinity: they are told as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value


def discrepancy(
    dossier: Dossier,
    code: str,
    target: Sequence[str],
    params: dict[str, JsonValue],
    *,
    subjects: Iterable[Subject] = (),
    at_us: int | None = None,
    by: Stated[OperationRecord] | Stated[OperationsEvent] | None = None,
) -> Finding:
    """A disagreement about the order, shown ``by`` a record or event where there is one."""
    record = by.data if by is not None and isinstance(by.data, OperationRecord) else None
    return make(
        About.of(dossier),
        "discrepancy",
        code,
        target,
        params,
        records=() if by is None else (by.ref,),
        subjects=subjects,
        operation=None if record is None else record.operation,
        station=None if record is None else record.station,
        agent=None if by is None else by.fact.agent,
        at_us=at_us,
    )


def piece_subject(piece: Piece) -> Subject:
    """The piece as a subject: its unit where it has a serial, else its carrier."""
    if piece.serial is not None:
        return Subject(SubjectKind.UNIT, piece.serial, piece.product, piece.scheme)
    return Subject(SubjectKind.CARRIER, piece.carrier or UNKNOWN)


def merged(found: Iterable[Finding]) -> list[Finding]:
    """One finding per id: record and event of one cause are joined, what the event adds is kept."""
    kept: dict[str, Finding] = {}
    for finding in found:
        held = kept.get(finding.id)
        kept[finding.id] = finding if held is None else _join(held, finding)
    return sorted(kept.values(), key=lambda f: (f.at_us or 0, f.code, f.id))


def _join(held: Finding, other: Finding) -> Finding:
    params = dict(held.params)
    for name, value in other.params.items():
        mine = params.get(name)
        if mine is None:
            params[name] = value
        elif isinstance(mine, list) and isinstance(value, list):
            params[name] = [*mine, *(item for item in value if item not in mine)]
    first, second = (held, other) if held.operation is not None else (other, held)
    subjects = max((held.subjects, other.subjects), key=len)
    return Finding(
        held.id,
        held.kind,
        held.code,
        params,
        held.order,
        held.product,
        held.lot,
        first.operation,
        first.station,
        first.agent,
        first.at_us,
        subjects,
        tuple(sorted({*first.records, *second.records})),
    )
