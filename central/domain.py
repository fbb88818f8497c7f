"""The words of the review: findings, pieces, certificates, requirements and the device history record.

All of these are values computed from facts by the pure modules beside this one (``exceptions``, ``genealogy``,
``reconcile``, ``certificate``, ``requirements``, ``dhr``) and shown by the web and the command line. They hold
codes and parameters, never sentences. Times are UTC microseconds (``_us``), quantities are ``Decimal`` here and
decimal strings where they are signed. What is signed never depends on the order in which facts arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from pydantic import JsonValue

from central.judgement import (
    BLOCKERS,
    VANISHED,
    Blocker,
    Certificate,
    ChainEvidence,
    ChainPart,
    Closing,
    CyclePart,
    EpochEvidence,
    FactLike,
    FactRef,
    Fate,
    Finding,
    FindingKind,
    FindingState,
    Gap,
    Grade,
    Link,
    LinkTo,
    LotUse,
    MaterialLine,
    OperationQuantities,
    Piece,
    Quantities,
    RequirementStatus,
    Run,
    opaque_id,
)
from records.clock import iso_z
from spc.rules import Signal

__all__ = [
    "BLOCKERS",
    "DECIDED",
    "VANISHED",
    "Blocker",
    "Certificate",
    "ChainEvidence",
    "ChainPart",
    "Closing",
    "ConfigurationLine",
    "CyclePart",
    "DeviceHistoryRecord",
    "DhrState",
    "DhrSummary",
    "EpochEvidence",
    "EquipmentLine",
    "Evidence",
    "FactLike",
    "FactRef",
    "Fate",
    "Finding",
    "FindingKind",
    "FindingState",
    "Gap",
    "GivenUp",
    "Grade",
    "Link",
    "LinkTo",
    "LotUse",
    "MaterialLine",
    "OperationQuantities",
    "OrderLine",
    "PersonLine",
    "Piece",
    "Quantities",
    "RecordLine",
    "RequirementStatus",
    "Run",
    "SignatureLine",
    "SpcLimits",
    "SpcPoint",
    "SpcSeries",
    "opaque_id",
]

# -- evidence ----------------------------------------------------------------------------------------------


DECIDED = "already-decided"
"""The blocker of a further signature on a decided record; nothing keeps a released lot from being released."""


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One fact in the evidence table. ``code``: the event's, or the decision's act; None for operation records."""

    ref: FactRef
    kind: str
    at_us: int
    station: str | None
    equipment: str | None
    operation: str | None
    order: str | None
    code: str | None
    cycle: int | None
    purpose: str | None
    attempt: int | None
    outcome: str | None
    began_us: int | None
    ended_us: int | None
    subjects: tuple[tuple[str, str, str], ...]
    """(kind, id, result) each; the result is empty for facts that judge nothing."""
    people: tuple[str, ...]
    configuration: str | None
    bad_readings: int = 0
    late: bool = False
    """Arrived after the last signature on this record."""


@dataclass(frozen=True, slots=True)
class PersonLine:
    id: str
    role: str
    operations: tuple[str, ...]
    records: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class EquipmentLine:
    equipment: str
    station: str
    operation: str
    agent: str
    tools: tuple[str, ...]
    records: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class ConfigurationLine:
    """A configuration that records name as theirs. More than one for a station: it was changed during the lot."""

    hash: str
    agent: str
    software: tuple[str, ...]
    stations: tuple[str, ...]
    records: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class SpcPoint:
    """One point of a chart: an individual value, or a closed subgroup's statistic. ``value`` None is a gap.

    ``ref`` is the fact that told it: the record of its last reading, or the event that closed it. ``segment``
    counts the stretches that no run crosses, None where the record is older than segments. ``range_rules`` None:
    such a record does not say which of the two charts met ``rules``.
    """

    ref: FactRef
    at_us: int
    subgroup: int
    value: float | None
    range_value: float | None
    subjects: tuple[str, ...]
    rules: tuple[str, ...]
    limit_version: str | None
    state: str
    range_rules: tuple[str, ...] | None = None
    segment: int | None = None
    sample: float | None = None


@dataclass(frozen=True, slots=True)
class SpcLimits:
    """Limits in force from point ``start`` (0-based) up to, not including, ``stop`` (None: to the end)."""

    version: str
    centre: float
    lower: float
    upper: float
    provisional: bool
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class SpcSeries:
    """One characteristic at one station over the record, ready to be drawn.

    ``signals`` and ``range_signals`` index ``points`` from 0. ``readings`` counts captured values, of which a
    subgroup takes ``size``; ``lower``, ``upper`` and ``target`` are the last specification used, None where there
    is none. ``stream`` is the query string of what tells the chart from others of its characteristic.
    ``range_limits`` are those that the records hold, empty for records that hold none.
    """

    characteristic: str
    station: str
    operation: str
    chart: str
    size: int
    unit: str | None
    points: tuple[SpcPoint, ...]
    limits: tuple[SpcLimits, ...]
    signals: tuple[Signal, ...]
    gaps: int
    readings: int
    lower: float | None
    upper: float | None
    target: float | None
    agent: str = ""
    stream: str = ""
    range_limits: tuple[SpcLimits, ...] = ()
    range_signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """A signature on the record. ``current``: what it covers is still what the record says."""

    meaning: str
    """reviewed, released or rejected."""
    user: str
    name: str
    role: str | None
    signed_us: int
    covers: str
    reason: str
    hash: str
    """Chain hash of the decision, hexadecimal."""
    current: bool


# -- the record --------------------------------------------------------------------------------------------


class DhrState(StrEnum):
    COLLECTING = "collecting"
    COMPLETE = "complete"  # all pieces have a fate; nobody has looked yet
    IN_REVIEW = "in_review"  # people have closed findings, or a signature no longer covers the record
    REVIEWED = "reviewed"
    RELEASED = "released"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One work order of the record and how far its report to the ERP is."""

    reference: str
    number: str | None
    erp_id: str
    quantity: Decimal
    state: str
    posting: str | None
    known: bool = True
    """False: the line worked on an order that the ERP never told us of."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The lot's records were past their retention: ``act`` is the hash of central's fact by which they went."""

    act: str
    by: str
    at_us: int

    def to_json(self) -> dict[str, JsonValue]:
        return {"act": self.act, "by": self.by, "at": iso_z(self.at_us)}


@dataclass(frozen=True, slots=True)
class DhrSummary:
    """A row of the queue. Of a lot whose records were given up: as it was judged last."""

    id: str
    lot: str
    product: str
    revision: str | None
    udi_di: str | None
    orders: tuple[str, ...]
    state: DhrState
    ordered: Decimal
    started: int
    good: int
    pending: int
    scrap: int
    requirements_met: int
    requirements: int
    exceptions_open: int
    exceptions: int
    discrepancies_open: int
    discrepancies: int
    certificate: Grade
    blockers: int
    began_us: int | None
    ended_us: int | None
    signature_outdated: bool
    content_hash: str
    given_up: GivenUp | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    units: tuple[Piece, ...] = ()
    records: tuple[RecordLine, ...] = ()
    materials: tuple[MaterialLine, ...] = ()
    people: tuple[PersonLine, ...] = ()
    equipment: tuple[EquipmentLine, ...] = ()
    configurations: tuple[ConfigurationLine, ...] = ()
    spc: tuple[SpcSeries, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceHistoryRecord:
    """Everything about one lot of one product, and what stands between it and its release.

    ``content`` is what a signature covers, ``content_hash`` the SHA-256 (hexadecimal) of its canonical JSON.
    ``blockers`` say what keeps it from being released, ``review_blockers`` what keeps it from being reviewed.
    """

    id: str
    lot: str
    product: str
    revision: str | None
    udi_di: str | None
    expiry: str | None
    orders: tuple[OrderLine, ...]
    state: DhrState
    quantities: Quantities
    operations: tuple[OperationQuantities, ...]
    completeness: tuple[RequirementStatus, ...]
    findings: tuple[Finding, ...]
    certificate: Certificate
    evidence: Evidence
    signatures: tuple[SignatureLine, ...]
    blockers: tuple[Blocker, ...]
    review_blockers: tuple[Blocker, ...]
    began_us: int | None
    ended_us: int | None
    content: JsonValue = field(repr=False)
    content_hash: str
    given_up: GivenUp | None = None

    def finding(self, finding_id: str) -> Finding | None:
        return next((f for f in self.findings if f.id == finding_id), None)

    def unit(self, name: str) -> Piece | None:
        """A piece by serial, carrier or key."""
        return next((p for p in self.evidence.units if name in (p.serial, p.carrier, p.key)), None)

    @property
    def signature_outdated(self) -> bool:
        """Something arrived or changed after somebody signed."""
        return bool(self.signatures) and not self.signatures[-1].current

    def summary(self) -> DhrSummary:
        q = self.quantities
        exceptions = [f for f in self.findings if f.kind == "exception"]
        discrepancies = [f for f in self.findings if f.kind == "discrepancy"]
        return DhrSummary(
            id=self.id,
            lot=self.lot,
            product=self.product,
            revision=self.revision,
            udi_di=self.udi_di,
            orders=tuple(order.reference for order in self.orders),
            state=self.state,
            ordered=q.ordered,
            started=q.started,
            good=q.good,
            pending=q.pending,
            scrap=q.scrap,
            requirements_met=sum(status.met for status in self.completeness),
            requirements=len(self.completeness),
            exceptions_open=sum(f.open for f in exceptions),
            exceptions=len(exceptions),
            discrepancies_open=sum(f.open for f in discrepancies),
            discrepancies=len(discrepancies),
            certificate=self.certificate.grade,
            blockers=sum(blocker.code != DECIDED for blocker in self.blockers),
            began_us=self.began_us,
            ended_us=self.ended_us,
            signature_outdated=self.signature_outdated,
            content_hash=self.content_hash,
            given_up=self.given_up,
        )
