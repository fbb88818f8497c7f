"""What an order is judged by: findings, pieces, quantities, certificate, requirements and blockers, as values.

Part of the words of ``central.domain``, which is where they are taken from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import JsonValue

from central.finding_codes import GROWING
from records.model import Fact, Requirement, Subject
from records.quantity import quantity_text
from records.wire import canonical_json


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
    substance: str | None = None
    """What the finding said then, see ``Finding.substance``; None where that was not kept."""


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

    @property
    def substance(self) -> str | None:
        """SHA-256 (hexadecimal) of what it says, for those that may come to say more after a person decided."""
        if self.code not in GROWING:
            return None
        return hashlib.sha256(canonical_json(dict(self.params))).hexdigest()

    @property
    def content_hash(self) -> str:
        """SHA-256 (hexadecimal) of what it says: who decides about it sends what was shown."""
        return hashlib.sha256(canonical_json(self._said())).hexdigest()

    def content(self) -> JsonValue:
        """What of it is signed: the cause and the decision, nothing that depends on when data arrived."""
        closing = self.closing
        return self._said() | {
            "closing": None
            if closing is None
            else {"act": closing.act, "by": closing.user, "reason": closing.reason, "hash": closing.hash},
        }

    def _said(self) -> dict[str, JsonValue]:
        return {
            "id": self.id,
            "code": self.code,
            "params": dict(self.params),
            "subjects": [_subject_content(subject) for subject in self.subjects],
            "records": [*sorted(ref.hash for ref in self.records)],
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
    scheme: str = "plant"
    """Who issues its serial: gs1, hibc, or a name of the plant's own."""

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
class Gap:
    """Records ``first``..``last`` of an epoch: its agent says that it made them, and they are not here.

    ``signed``: by that epoch's own signed head, so that the disk of then may have them; else by what the agent
    said later of what it no longer had. Those may stand here under other numbers, each with the one it had before.
    """

    epoch: str
    first: int
    last: int
    signed: bool = False

    @property
    def count(self) -> int:
        """How many records."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """What the store knows about one chain (agent and epoch, stream ``records``) around an order's facts.

    ``first``..``last`` are the order's first and last fact there. ``stored`` counts rows in that range,
    ``tombstones`` those without a body, ``through`` is the last seq stored without a gap. A head is the agent's
    own signed word for its last record; None where none has come. ``lost_after``: gaps behind
    the chain's last row, of whichever epochs, where any of their records may be the order's; ``lost_within``: the
    same of what its agent could not store again in this chain. ``otherwise``: seqs of which its agent signed
    another record that is not here, under any number: a disk went on in two ways.
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
    lost_after: tuple[Gap, ...] = ()
    lost_within: tuple[Gap, ...] = ()
    otherwise: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochEvidence:
    """One of an agent's epochs, whether or not an order has facts there.

    ``opened_us`` is the agent's time of opening it, None when its first record is not here. ``joined``: everything
    of the epoch before it is here, as it says, which names the last record there by what its own disk held, or as
    that epoch's own head says, stated after this one began; ``gaps``: what is not, of whichever epochs before it,
    as far as it says, or the head of the one before; ``torn``: those of them that its agent could not store again
    here, each with the seq in whose place it would stand. A head is as in ``ChainEvidence``.
    """

    agent: str
    epoch: str
    opened_us: int | None
    joined: bool
    head_last: int | None = None
    head_us: int | None = None
    gaps: tuple[Gap, ...] = ()
    torn: tuple[tuple[int, Gap], ...] = ()


@dataclass(frozen=True, slots=True)
class ChainPart:
    """The certificate's word on one chain: records first..last, gaps in between, and whether the tail is known.

    ``missing`` counts what is not here between them and what its agent made behind them. ``lost``: what it made
    around them and is not here, each stretch of each epoch; any record in it may be the order's. ``otherwise``: as
    in ``ChainEvidence``.
    """

    agent: str
    epoch: str
    first: int
    last: int
    records: int
    tombstones: int
    missing: int
    head_last: int | None
    grade: Grade
    lost: tuple[Gap, ...] = ()
    otherwise: tuple[int, ...] = ()

    @property
    def unproven(self) -> bool:
        """Whether nothing known is missing, but its agent began anew and nobody knows what it had made before."""
        known = self.missing or self.tombstones or self.lost or self.otherwise
        return self.grade is Grade.INCOMPLETE and not known


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


LinkTo = Literal[
    "finding", "findings", "operation", "materials", "units", "certificate", "erp", "sign", "order", "hold"
]


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
    "held-by-quality": ("hold", "kind", "id", "reason"),
}
"""Why something can't be done yet: code -> names of its parameters."""


@dataclass(frozen=True, slots=True)
class Blocker:
    code: str
    params: Mapping[str, JsonValue]
    link: Link
