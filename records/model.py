"""What a record is: the six concepts, and how they become bytes.

``Subject``, ``OperationRecord``, ``MaterialActual``, ``OperationsEvent``, ``Decision`` and ``Requirement`` carry
everything that Lotkeeper knows. Chained bytes can never be migrated, so these shapes only ever gain optional
fields, and a reader ignores fields that it does not know.

On the wire a fact is UTF-8 JSON ``{"header": {...}, "data": {...}}``, written once and never encoded again.
Times (``_us``: UTC microseconds), cycles, counters and other 64-bit integers are strings there, quantities are
decimal strings, and everything that a person reads is a code with parameters, never a sentence. Which class
``data`` holds is told by the envelope's ``kind``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

from records.configuration import ConfigurationRecord
from records.errors import Invalid
from records.fields import Int64, Later, Word
from records.trouble import Trouble
from records.verdict import SpcState

SCHEMA = 1

LONGEST_ID = 200
"""Most characters of what names an order, a lot, a piece, a run or a device: every store has room for three of
them in one key. No station takes a longer one; a record that names one lies in quarantine at central.
"""


class SubjectKind(Word):
    UNIT = "unit"
    LOT = "lot"
    CARRIER = "carrier"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fact is about.

    ``id`` is unique only with ``product`` (item number, None for carriers and containers) and ``scheme`` (who
    issued the id: ``gs1`` for a serial or lot on a UDI label, ``plant``, ``supplier``, ``hibc``, ...).
    """

    kind: SubjectKind
    id: str
    product: str | None = None
    scheme: str = "plant"
    quantity: str = "1"
    unit: str = "u"

    @property
    def key(self) -> tuple[str, str | None, str, str]:
        """Identity without quantity: two subjects with one key are the same thing."""
        return (self.kind.value, self.product, self.scheme, self.id)


class Purpose(Word):
    PRODUCTION = "production"
    REWORK = "rework"
    RETEST = "retest"
    SETUP = "setup"
    CHALLENGE = "challenge"
    SAMPLE = "sample"
    MAINTENANCE = "maintenance"

    @property
    def counts(self) -> bool:
        """Whether runs of this purpose count for the order."""
        return self in (Purpose.PRODUCTION, Purpose.REWORK, Purpose.RETEST)


class Quality(Word):
    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class Result(Word):
    PASS = "pass"  # noqa: S105  the field's word
    FAIL = "fail"
    SCRAP = "scrap"
    ABORTED = "aborted"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    role: str = "operator"


@dataclass(frozen=True, slots=True)
class Reading:
    """One captured value of one tag.

    ``value`` is None when quality is bad; a profile (curve) is a list of numbers. ``raw`` is what the protocol
    carried, in hexadecimal (Modbus registers in order, an OPC UA scalar in its binary encoding, a scan's bytes).
    ``source_us`` is the device's own time, ``server_us`` the server's, ``edge_us`` ours.
    """

    tag: str
    value: JsonValue
    unit: str | None
    data_type: str
    quality: Quality
    status: str
    source_us: Int64 | None
    server_us: Int64 | None
    edge_us: Int64
    raw: str | None = None
    characteristic: str | None = None


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of one subject: the value met its specification or did not."""

    __test__ = False  # not a pytest class

    characteristic: str
    value: float | None
    unit: str | None
    lower: float | None
    upper: float | None
    target: float | None
    result: Result
    specification: str  # where the specification came from: "line" (YAML) or "recipe:<id>:<version>"


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """What one run did to one subject."""

    subject: Subject
    result: Result
    attempt: int = 1
    position: str | None = None  # nest, cavity, tray slot
    reason: str | None = None  # a code
    tests: tuple[TestResult, ...] = ()


class MaterialKind(Word):
    CONSUMED = "consumed"
    PRODUCED = "produced"
    SCRAPPED = "scrapped"
    BY_PRODUCT = "by_product"
    SAMPLED = "sampled"
    PACKED = "packed"
    UNPACKED = "unpacked"
    SPLIT = "split"
    MERGED = "merged"
    IDENTIFIED_AS = "identified_as"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class MaterialActual:
    """An edge of the genealogy: ``source`` went into, became, or is now called ``target``.

    consumed: a component lot into a unit or carrier; identified_as: a carrier's piece is now this unit;
    packed: a unit into a container; scrapped: ``source`` left, no target; produced: no source.
    """

    kind: MaterialKind
    source: Subject | None
    target: Subject | None
    quantity: str
    unit: str = "u"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentUse:
    """A document of central that a run relied on, and how old it was then (seconds).

    ``beyond``: what the line's policy says of it where it was older than it may be (warn, refuse, go_on).
    """

    kind: str
    id: str
    version: Int64
    age_s: float
    beyond: Later[str] = None


class Outcome(Word):
    COMPLETED = "completed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One run of one operation on one piece of equipment, with 1..n subjects.

    ``cycle`` is the machine's own cycle count (None where it has none), ``counters`` its other counters at
    that moment. ``order`` is what was scanned or dispatched. ``attempt`` is the highest of its subjects'.
    ``purpose_told`` is what the machine said where ``purpose`` is another, by ``purpose_reason`` (a code).
    """

    run_id: str
    station: str
    equipment: str
    operation: str
    order: str | None
    product: str | None
    lot: str | None
    purpose: Purpose
    attempt: int
    cycle: Int64 | None
    began_us: Int64
    ended_us: Int64
    outcome: Outcome
    subjects: tuple[SubjectResult, ...]
    people: tuple[Person, ...] = ()
    readings: tuple[Reading, ...] = ()
    materials: tuple[MaterialActual, ...] = ()
    spc: tuple[SpcState, ...] = ()
    counters: tuple[Counter, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    documents: tuple[DocumentUse, ...] = ()
    product_revision: str | None = None
    tool: str | None = None
    resumed: bool = False
    repeat_possible: bool = False
    purpose_told: Later[Purpose] = None
    purpose_reason: Later[str] = None


@dataclass(frozen=True, slots=True)
class Counter:
    name: str
    value: Int64


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    value: str | float | bool | None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class OperationsEvent:
    """Something that happened: a code of ``records.codes`` and its parameters."""

    code: str
    params: dict[str, JsonValue]
    subjects: tuple[Subject, ...] = ()
    order: str | None = None
    device: str | None = None


class Act(Word):
    CORRECT = "correct"
    VOID = "void"
    LATE_ENTRY = "late_entry"
    HOLD = "hold"
    RELEASE = "release"
    REWORK = "rework"
    SCRAP = "scrap"
    CONCESSION = "concession"
    OVERRIDE = "override"
    BYPASS = "bypass"
    CLOSE = "close"
    REVIEW = "review"
    REJECT = "reject"
    APPROVE = "approve"
    WITHDRAW = "withdraw"
    COMMENT = "comment"
    EXCLUDE = "exclude"
    INCLUDE = "include"
    PROPOSE = "propose"


@dataclass(frozen=True, slots=True)
class Signature:
    """An electronic signature (21 CFR 11.50, 11.70): who, when, what it means, and exactly what it covers.

    ``covers`` is the SHA-256 (hexadecimal) of the canonical content that was shown to the signer.
    """

    user: str
    name: str
    meaning: str
    signed_us: Int64
    covers: str
    method: str = "password"
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a decision is about: a fact by its chain hash, or a thing by kind and id."""

    kind: str  # record, discrepancy, exception, dhr, subject, order
    id: str
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's act on an earlier fact or subject; it never alters its target. ``order``: of its record.

    ``reasons``: the version of the catalogue that has the code with which ``reason`` begins.
    """

    act: Act
    target: Target
    by: Person
    reason: str
    old: JsonValue = None
    new: JsonValue = None
    signature: Signature | None = None
    order: Later[str] = None
    reasons: Later[Int64] = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must exist before a gate may be passed.

    gate: start, next, order_close, release. kind: hold, barrier, order, operator, material, subject, route,
    operation, bom, record, certificate, discrepancy, exception, erp, signature, clearance. ``per``: unit, load,
    order, run. ``needs`` names the exact thing (an operation, an item, a meaning), ``quantity`` how much of it.
    """

    gate: str
    kind: str
    per: str = "run"
    needs: str | None = None
    quantity: str = "1"


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """The first record of every epoch: why it began and what came before, if that is known."""

    why: str  # created, restored, rolled_back, foreign, damaged, lost
    predecessor: str | None = None
    predecessor_last: Int64 | None = None
    predecessor_head: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAs:
    """The identity a record had in an epoch that was given up.

    ``hash`` is its chain hash (hexadecimal) there: after a disk was rolled back, two records can have had one
    epoch and seq.
    """

    epoch: str
    seq: Int64
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What every record carries whatever its kind.

    ``at_us``: edge (or central) wall clock when the fact was made; order is by seq, never by this.
    ``clock_offset_ms``: that clock less central's, where it was measured within the last half hour.
    """

    at_us: Int64
    utc_offset_min: int
    site: str
    line: str | None
    station: str | None
    software: str
    configuration: str | None
    stored_as: StoredAs | None = None
    clock_offset_ms: Later[int] = None


Data = OperationRecord | OperationsEvent | Decision | EpochOpened | ConfigurationRecord


@dataclass(frozen=True, slots=True)
class Fact:
    """A header and its data: what one chained record says."""

    header: Header
    data: Data


Kind = Literal["operation_record", "operations_event", "decision", "epoch_opened", "configuration"]


@dataclass(frozen=True, slots=True)
class _OperationRecordFact:
    header: Header
    data: OperationRecord


@dataclass(frozen=True, slots=True)
class _OperationsEventFact:
    header: Header
    data: OperationsEvent


@dataclass(frozen=True, slots=True)
class _DecisionFact:
    header: Header
    data: Decision


@dataclass(frozen=True, slots=True)
class _EpochOpenedFact:
    header: Header
    data: EpochOpened


@dataclass(frozen=True, slots=True)
class _ConfigurationFact:
    header: Header
    data: ConfigurationRecord


_CODECS: dict[str, tuple[type, TypeAdapter[object]]] = {
    "operation_record": (OperationRecord, TypeAdapter(_OperationRecordFact)),
    "operations_event": (OperationsEvent, TypeAdapter(_OperationsEventFact)),
    "decision": (Decision, TypeAdapter(_DecisionFact)),
    "epoch_opened": (EpochOpened, TypeAdapter(_EpochOpenedFact)),
    "configuration": (ConfigurationRecord, TypeAdapter(_ConfigurationFact)),
}
_KINDS: dict[type, str] = {data: kind for kind, (data, _) in _CODECS.items()}


def kind_of(data: Data) -> str:
    """The envelope's kind for this data."""
    return _KINDS[type(data)]


def encode(fact: Fact) -> bytes:
    """The body: compact UTF-8 JSON, fields in the order of the classes. Call it once per fact.

    Raises:
        Invalid: something in it is no text that UTF-8 can hold.
    """
    kind = kind_of(fact.data)
    try:
        return _CODECS[kind][1].serializer.to_json(fact)
    except ValueError as error:  # a lone surrogate, which some device took for text
        raise Invalid(f"the {kind} cannot be written: {error}") from error


def decode(kind: str, body: bytes) -> Fact:
    """The fact that a body holds.

    Raises:
        Invalid: unknown kind, or a body that is not this kind; names every field that is wrong.
    """
    if kind not in _CODECS:
        unknown = Trouble.of("record-kind-unknown", kind=repr(kind))
        raise Invalid.of(unknown.hinted(Trouble.of("known-kinds", known=", ".join(_CODECS))))
    try:
        fact = _CODECS[kind][1].validator.validate_json(body)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        raise Invalid.of(Trouble.of("body-of-no-kind", kind=kind, said=places)) from error
    return Fact(fact.header, fact.data)
