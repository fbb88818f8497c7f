"""The words of the review: findings, pieces, certificates, requirements and the device history record.

All of these are values computed from facts by the pure modules beside this one (``exceptions``, ``genealogy``,
``reconcile``, ``certificate``, ``requirements``, ``dhr``) and shown by the web and the command line. They hold
codes and parameters, never sentences. Times are UTC microseconds (``_us``), quantities are ``Decimal`` here and
decimal strings where they are signed. What is signed never depends on the order in which facts arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import JsonValue

from records.model import Fact, Requirement, Subject
from records.quantity import quantity_text
from records.wire import canonical_json
from spc.rules import Signal


class FactLike(Protocol):
    """What the pure modules need of a stored fact; the store's own ``StoredFact`` is one."""

    @property
    def agent(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def fact(self) -> Fact: ...
    @property
    def received_us(self) -> int: ...


@dataclass(frozen=True, slots=True, order=True)
class FactRef:
    """Where a fact stands in its chain; ``hash`` (hexadecimal) opens its page."""

    agent: str
    epoch: str
    seq: int
    hash: str

    @classmethod
    def of(cls, fact: FactLike) -> FactRef:
        return cls(fact.agent, fact.epoch, fact.seq, fact.hash)


def opaque_id(*parts: str | None) -> str:
    """24 hexadecimal digits that are always the same for the same parts."""
    return hashlib.sha256(canonical_json(list(parts))).hexdigest()[:24]


# -- findings ----------------------------------------------------------------------------------------------

FindingKind = Literal["exception", "discrepancy"]
FindingState = Literal["open", "closed"]

VANISHED = "cause-vanished"
"""The reason code with which central itself closes a finding whose cause late data has removed."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Who closed a finding, how and why. ``system``: central did, because the cause is no longer there."""

    act: str
    user: str
    reason: str
    at_us: int
    hash: str
    """Chain hash of the decision, hexadecimal."""
    system: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person must look at: an exception on the line, or a disagreement between two sources.

    ``id`` is a hash of code and target, the same whenever the same cause is found again. ``at_us`` is when it
    happened on the line (None where it is no moment), ``opened_us`` when central stated it. ``subjects`` are the
    pieces, lots or orders it is about, ``records`` the facts that show it.
    """

    id: str
    kind: FindingKind
    code: str
    params: Mapping[str, JsonValue]
    order: str
    product: str | None
    lot: str | None
    operation: str | None = None
    station: str | None = None
    agent: str | None = None
    at_us: int | None = None
    subjects: tuple[Subject, ...] = ()
    records: tuple[FactRef, ...] = ()
    opened_us: int | None = None
    state: FindingState = "open"
    closing: Closing | None = None

    @property
    def open(self) -> bool:
        return self.state == "open"

    @property
    def settled(self) -> bool:
        """Closed by a person: what it says is accepted as it stands."""
        return self.closing is not None and not self.closing.system

    def content(self) -> JsonValue:
        """What of it is signed: the cause and the decision, nothing that depends on when data arrived."""
        closing = self.closing
        return {
            "id": self.id,
            "code": self.code,
            "params": dict(self.params),
            "subjects": [_subject_content(subject) for subject in self.subjects],
            "records": [*sorted(ref.hash for ref in self.records)],
            "closing": None
            if closing is None
            else {"act": closing.act, "by": closing.user, "reason": closing.reason, "hash": closing.hash},
        }


def _subject_content(subject: Subject) -> JsonValue:
    return [subject.kind.value, subject.product, subject.scheme, subject.id]


# -- pieces and genealogy ----------------------------------------------------------------------------------


class Fate(StrEnum):
    IN_PROCESS = "in_process"
    GOOD = "good"
    PENDING = "pending"  # passed its last operation, but something about it is open
    SCRAP = "scrap"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one operation as one subject of it saw it; a load of n units is n runs with one ``ref``."""

    ref: FactRef
    run_id: str
    station: str
    equipment: str
    operation: str
    cycle: int | None
    purpose: str
    attempt: int
    began_us: int
    ended_us: int
    result: str
    """pass, fail, scrap, aborted or not_judged."""
    counts: bool
    """False for setup, challenge, sample and maintenance: listed, never counted."""
    position: str | None = None


@dataclass(frozen=True, slots=True)
class LotUse:
    """A component lot that went into something."""

    item: str
    lot: str
    quantity: Decimal
    unit: str
    run_id: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One physical piece of an order, known by its carrier, then by its serial too.

    ``key`` is stable within the order: ``carrier:<id>``, or ``unit:<serial>`` for a unit that no carrier became.
    """

    key: str
    order: str
    carrier: str | None
    serial: str | None
    product: str | None
    runs: tuple[Run, ...]
    used: tuple[LotUse, ...]
    containers: tuple[str, ...]
    fate: Fate = Fate.IN_PROCESS
    findings: tuple[str, ...] = ()
    """Ids of the findings about it, closed ones included."""

    @property
    def name(self) -> str:
        """What people call it: the serial, else the carrier."""
        return self.serial or self.carrier or self.key

    def last_run(self, operation: str) -> Run | None:
        """Its last finished run there that counts."""
        done = [r for r in self.runs if r.operation == operation and r.counts and r.result != "aborted"]
        return done[-1] if done else None


@dataclass(frozen=True, slots=True)
class MaterialLine:
    """All use of one component lot in the record; ``pieces`` are the names of the pieces it went into."""

    item: str
    lot: str
    quantity: Decimal
    unit: str
    expiry: str | None
    known_to_erp: bool | None
    """None: the ERP has told nothing about lots of this item."""
    status: str | None
    first_us: int
    last_us: int
    pieces: tuple[str, ...]


# -- reconciliation ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperationQuantities:
    """Pieces of one operation. passed, failed and scrapped are by each piece's last run that counts."""

    operation: str
    sequence: int
    name: str
    stations: tuple[str, ...]
    equipment: tuple[str, ...]
    started: int
    passed: int
    failed: int
    scrapped: int
    reworked: int
    retested: int
    aborted_runs: int
    runs: int
    not_counted_runs: int
    began_us: int | None
    ended_us: int | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class Quantities:
    """Of the whole record. ordered = good + pending + scrap + in_process + not_started when nothing is lost."""

    ordered: Decimal
    started: int
    good: int
    pending: int
    scrap: int
    in_process: int
    identified: int


# -- certificate -------------------------------------------------------------------------------------------


class Grade(StrEnum):
    """How far the gap certificate reaches, best first."""

    COMPLETE = "complete"
    CYCLES_NOT_PROVABLE = "cycles-not-provable"
    TAIL_UNKNOWN = "tail-unknown"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """What the store knows about one chain (agent and epoch, stream ``records``) around an order's facts.

    ``first``..``last`` are the order's first and last fact there. ``stored`` counts rows in that range,
    ``tombstones`` those without a body, ``through`` is the last seq stored without a gap. A head is the agent's
    own signed word for its last record; None where none has come.
    """

    agent: str
    epoch: str
    first: int
    last: int
    stored: int
    tombstones: int
    through: int
    through_us: int
    head_last: int | None = None
    head_us: int | None = None
    next_epoch_joined: bool | None = None
    """Whether the order's next epoch of this agent names this one's last record; None: no next epoch."""


@dataclass(frozen=True, slots=True)
class ChainPart:
    """The certificate's word on one chain: records first..last, gaps in between, and whether the tail is known."""

    agent: str
    epoch: str
    first: int
    last: int
    records: int
    tombstones: int
    missing: int
    head_last: int | None
    grade: Grade


@dataclass(frozen=True, slots=True)
class CyclePart:
    """The certificate's word on one station's machine cycles within one counter period.

    ``missed`` are cycles that the agent itself declared missed, ``unaccounted`` those that nothing explains,
    ``doubled`` those recorded twice. first and last are None where the station has no cycle counter.
    """

    agent: str
    station: str
    period: int
    first: int | None
    last: int | None
    recorded: int
    missed: tuple[int, ...]
    unaccounted: tuple[int, ...]
    doubled: tuple[int, ...]
    grade: Grade


@dataclass(frozen=True, slots=True)
class Certificate:
    grade: Grade
    chains: tuple[ChainPart, ...]
    cycles: tuple[CyclePart, ...]


# -- requirements and blockers -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequirementStatus:
    """One requirement, evaluated: ``have`` of ``need``. ``link`` opens the place that shows or mends it."""

    requirement: Requirement
    have: Decimal
    need: Decimal
    met: bool
    link: Link

    def content(self) -> JsonValue:
        r = self.requirement
        return [r.gate, r.kind, r.per, r.needs, quantity_text(self.have), quantity_text(self.need), self.met]


LinkTo = Literal["finding", "findings", "operation", "materials", "units", "certificate", "erp", "sign", "order"]


@dataclass(frozen=True, slots=True)
class Link:
    """Where a person goes from here: a part of the record and, where it has one, an id."""

    to: LinkTo
    id: str | None = None


BLOCKERS: dict[str, tuple[str, ...]] = {
    "operation-incomplete": ("operation", "have", "need"),
    "material-incomplete": ("item", "have", "need"),
    "identification-incomplete": ("have", "need"),
    "quantity-open": ("have", "need"),
    "certificate-open": ("grade",),
    "exceptions-open": ("open", "total"),
    "discrepancies-open": ("open", "total"),
    "erp-not-confirmed": ("order", "state"),
    "signature-missing": ("meaning",),
    "signature-outdated": ("meaning", "user"),
    "order-unknown": ("lot", "product"),
    "already-decided": ("state",),
}
"""Why something can't be done yet: code -> names of its parameters."""


@dataclass(frozen=True, slots=True)
class Blocker:
    code: str
    params: Mapping[str, JsonValue]
    link: Link


# -- evidence ----------------------------------------------------------------------------------------------


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
    """One point of a chart: an individual value, or a closed subgroup's mean. ``value`` None is a gap."""

    ref: FactRef
    at_us: int
    subgroup: int
    value: float | None
    range_value: float | None
    subjects: tuple[str, ...]
    rules: tuple[str, ...]
    limit_version: str | None
    state: str


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

    ``signals`` index ``points`` from 0. ``readings`` counts captured values, of which a subgroup takes ``size``;
    ``lower``, ``upper`` and ``target`` are the last specification used, None where there is none.
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
class DhrSummary:
    """A row of the queue."""

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
            blockers=len(self.blockers),
            began_us=self.began_us,
            ended_us=self.ended_us,
            signature_outdated=self.signature_outdated,
            content_hash=self.content_hash,
        )
