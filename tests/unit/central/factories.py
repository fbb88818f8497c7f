"""A line that never was: facts of two agents for orders of VS-100, with every trouble at will.

``Line`` writes what stations would commit. ``dossier`` gives it to the pure modules, ``frames`` to a real store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from central.domain import ChainEvidence
from central.dossier import Dossier
from central.links.base import BomItem, ErpLot, OrderOperation, OrderState, PostingState, WorkOrder
from central.stored import StoredFact
from records import chain
from records.model import (
    Act,
    Counter,
    Data,
    Decision,
    DocumentUse,
    EpochOpened,
    Fact,
    Header,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Person,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    Target,
    TestResult,
    encode,
    kind_of,
)
from records.verdict import SpcState
from records.wire import CENTRAL, Envelope, seal

START_US = 1_795_000_000_000_000
S = 1_000_000
OPERATIONS = ("OP10", "OP20", "OP30", "OP40")
STATIONS = {"OP10": "assemble", "OP20": "weld", "OP30": "leak_test", "OP40": "wash"}
EQUIPMENT = {"OP10": "ASM-01", "OP20": "WELD-01", "OP30": "LEAK-01", "OP40": "WASH-01"}
AGENTS = {"OP10": "assembly-1", "OP20": "assembly-1", "OP30": "testing-1", "OP40": "testing-1"}
SPECIFICATIONS = {
    "OP10": ("torque", "N.m", 2.2, 1.8, 2.6),
    "OP20": ("collapse", "mm", 0.4, 0.3, 0.5),
    "OP30": ("leak_rate", "mL/min", 0.12, None, 0.5),
    "OP40": ("wash_temperature", "degC", 81.0, 78.0, 84.0),
}
LOTS = {
    "VB-10": {"VB-1": ErpLot("VB-10", "VB-1", None, Decimal(1000), "available")},
    "SR-20": {"SR-1": ErpLot("SR-20", "SR-1", "2027-12-31", Decimal(1000), "available")},
}


def order(
    reference: str = "WO-1000",
    units: int = 4,
    *,
    state: OrderState = "running",
    posting: PostingState | None = None,
    lot: str | None = None,
) -> WorkOrder:
    return WorkOrder(
        erp_id=f"erp-{reference}",
        reference=reference,
        number=reference.replace("WO-", ""),
        product="VS-100",
        product_gtin="04012345000016",
        revision="B",
        lot=lot or reference,
        quantity=Decimal(units),
        unit="u",
        state=state,
        operations=tuple(OrderOperation(name, i * 10) for i, name in enumerate(OPERATIONS, start=1)),
        bom=(BomItem("VB-10", Decimal(units)), BomItem("SR-20", Decimal(2 * units))),
        expiry="2029-12-31",
        version=1,
        seen_us=START_US,
        posting=posting,
    )


@dataclass
class Tape:
    """One agent's chain while it is written."""

    agent: str
    epoch: str = ""
    entries: list[tuple[Header, Data]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.epoch = self.epoch or f"epoch-of-{self.agent}"

    def add(self, data: Data, at_us: int, station: str | None) -> None:
        header = Header(at_us, 480, "suzhou", "valve-1", station, "lotkeeper 1", f"sha256:{self.agent}")
        self.entries.append((header, data))

    def envelopes(self) -> list[Envelope]:
        link = chain.first_hash(self.agent, self.epoch, "records")
        sealed = []
        for seq, (header, data) in enumerate(self.entries, start=1):
            body = encode(Fact(header, data))
            sealed.append(seal(self.agent, self.epoch, "records", seq, 1, kind_of(data), body, link))
            link = sealed[-1].hash
        return sealed

    def facts(self, first_cursor: int = 1) -> list[StoredFact]:
        return [
            StoredFact(
                e.agent, e.epoch, e.stream, e.seq, e.hash.hex(), e.kind, Fact(*entry), entry[0].at_us, cursor
            )
            for cursor, (e, entry) in enumerate(
                zip(self.envelopes(), self.entries, strict=True), start=first_cursor
            )
        ]


class Line:
    """Writes what the stations of one order would commit; every ``_us`` grows by a second per run."""

    def __init__(self, reference: str = "WO-1000", *, now_us: int = START_US) -> None:
        self.reference = reference
        self.now_us = now_us
        self.tapes = {name: Tape(name) for name in ("assembly-1", "testing-1", CENTRAL)}
        for tape in self.tapes.values():
            tape.add(EpochOpened("created"), now_us, None)
        self.cycles = dict.fromkeys(OPERATIONS, 0)
        self.totals = dict.fromkeys(OPERATIONS, 5000)
        self.attempts: dict[tuple[str, str], int] = {}
        self.run = 0

    # -- facts -----------------------------------------------------------------------------------------

    def event(
        self,
        code: str,
        station: str | None = None,
        /,
        *,
        agent: str = "assembly-1",
        ordered: bool = True,
        subjects: Sequence[Subject] = (),
        **params: object,
    ) -> None:
        self.now_us += S // 100
        order_ = self.reference if ordered else None
        data = OperationsEvent(code, dict(params), tuple(subjects), order_)  # type: ignore[arg-type]
        self.tapes[agent].add(data, self.now_us, station)

    def decide(self, target: Target, act: Act = Act.CLOSE, by: str = "qa", role: str = "qa") -> None:
        self.now_us += S
        self.tapes[CENTRAL].add(Decision(act, target, Person(by, role), "looked at"), self.now_us, None)

    def record(
        self,
        operation: str,
        subjects: Sequence[Subject],
        *,
        result: Result = Result.PASS,
        reason: str | None = None,
        purpose: Purpose = Purpose.PRODUCTION,
        value: float | None = None,
        materials: Sequence[MaterialActual] = (),
        positions: Sequence[str] = (),
        signal: tuple[str, ...] = (),
        bad: str | None = None,
        count: int = 1,
        cycle: int | None = None,
        resumed: bool = False,
        document_age_s: float = 10.0,
    ) -> OperationRecord:
        """Commit one run; ``count`` is by how much the machine's own total grows, ``bad`` a tag read badly."""
        self.run += 1
        began_us, self.now_us = self.now_us, self.now_us + S
        self.cycles[operation] = self.cycles[operation] + 1 if cycle is None else cycle
        self.totals[operation] += count
        data = OperationRecord(
            run_id=f"{self.reference}-run-{self.run}",
            station=STATIONS[operation],
            equipment=EQUIPMENT[operation],
            operation=operation,
            order=self.reference,
            product="VS-100",
            lot=self.reference,
            purpose=purpose,
            attempt=1,
            cycle=self.cycles[operation],
            began_us=began_us,
            ended_us=self.now_us,
            outcome=Outcome.ABORTED if result is Result.ABORTED else Outcome.COMPLETED,
            subjects=self._results(operation, subjects, result, reason, purpose, value, positions),
            people=(Person("B000001"),),
            readings=self._readings(operation, value, bad),
            materials=tuple(materials),
            spc=self._spc(operation, signal) if purpose.counts and result is not Result.ABORTED else (),
            counters=(Counter("total", self.totals[operation]),),
            documents=(DocumentUse("work-order", self.reference, 1, document_age_s),),
            product_revision="B",
            resumed=resumed,
        )
        attempt = max(r.attempt for r in data.subjects)
        data = replace(data, attempt=attempt)
        self.tapes[AGENTS[operation]].add(data, self.now_us, data.station)
        return data

    def _results(
        self,
        operation: str,
        subjects: Sequence[Subject],
        result: Result,
        reason: str | None,
        purpose: Purpose,
        value: float | None,
        positions: Sequence[str],
    ) -> tuple[SubjectResult, ...]:
        name, unit, target, lower, upper = SPECIFICATIONS[operation]
        measured = target if value is None else value
        inside = (lower is None or measured >= lower) and (upper is None or measured <= upper)
        test = TestResult(
            name, measured, unit, lower, upper, target, Result.PASS if inside else Result.FAIL, "line"
        )
        tests = () if result is Result.ABORTED else (test,)
        made = []
        for index, subject in enumerate(subjects):
            key = (operation, subject.id)
            if purpose.counts and result is not Result.ABORTED:
                self.attempts[key] = self.attempts.get(key, 0) + 1
            position = positions[index] if positions else None
            made.append(SubjectResult(subject, result, self.attempts.get(key, 1), position, reason, tests))
        return tuple(made)

    def _readings(self, operation: str, value: float | None, bad: str | None) -> tuple[Reading, ...]:
        name, unit, target, _, _ = SPECIFICATIONS[operation]
        good = Reading(
            f"plc.{name}",
            target if value is None else value,
            unit,
            "float64",
            Quality.GOOD,
            "Good",
            self.now_us,
            None,
            self.now_us,
            None,
            name,
        )
        if bad is None:
            return (good,)
        failed = Reading(bad, None, unit, "float64", Quality.BAD, "BadTimeout", None, None, self.now_us)
        return (good, failed)

    def _spc(self, operation: str, signal: tuple[str, ...]) -> tuple[SpcState, ...]:
        name, _, target, lower, upper = SPECIFICATIONS[operation]
        state = "signal" if signal else "in_control"
        number = self.cycles[operation]
        return (
            SpcState(
                name, "imr", number, 1, 1, state, signal, target, 0.0, target, lower or 0.0, upper, f"{name}-1"
            ),
        )

    # -- steps of a piece ------------------------------------------------------------------------------

    def carrier(self, index: int) -> Subject:
        return Subject(SubjectKind.CARRIER, f"C{index:03}")

    def unit(self, index: int) -> Subject:
        return Subject(SubjectKind.UNIT, f"{self.reference}-{index:03}", "VS-100", "gs1")

    def components(self, target: Subject, body: str = "VB-1", ring: str = "SR-1") -> list[MaterialActual]:
        def used(item: str, lot: str, quantity: str) -> MaterialActual:
            source = Subject(SubjectKind.LOT, lot, item, "supplier", quantity)
            return MaterialActual(MaterialKind.CONSUMED, source, target, quantity)

        return [used("VB-10", body, "1"), used("SR-20", ring, "2")]

    def assemble(self, index: int, *, body: str = "VB-1", ring: str = "SR-1", **how: object) -> OperationRecord:
        carrier = self.carrier(index)
        aborted = how.get("result") is Result.ABORTED
        parts = [] if aborted else self.components(carrier, body, ring)
        return self.record("OP10", [carrier], materials=parts, **how)  # type: ignore[arg-type]

    def weld(self, index: int, **how: object) -> OperationRecord:
        return self.record("OP20", [self.carrier(index)], **how)  # type: ignore[arg-type]

    def leak(self, index: int, *, carrier: int | None = None, **how: object) -> OperationRecord:
        unit = self.unit(index)
        stands_on = self.carrier(index if carrier is None else carrier)
        married = MaterialActual(MaterialKind.IDENTIFIED_AS, stands_on, unit, "1")
        return self.record("OP30", [unit], materials=[married], **how)  # type: ignore[arg-type]

    def wash(self, indexes: Iterable[int], **how: object) -> OperationRecord:
        units = [self.unit(index) for index in indexes]
        places = [f"TRAY-001/{slot}" for slot in range(1, len(units) + 1)]
        return self.record("OP40", units, positions=places, **how)  # type: ignore[arg-type]

    def piece(self, index: int) -> None:
        self.assemble(index)
        self.weld(index)
        self.leak(index)

    def clean(self, units: int = 4) -> Line:
        for index in range(1, units + 1):
            self.piece(index)
        self.wash(range(1, units + 1))
        return self

    # -- what the pure modules read --------------------------------------------------------------------

    def facts(self) -> list[StoredFact]:
        found: list[StoredFact] = []
        for tape in self.tapes.values():
            found += tape.facts(len(found) + 1)
        return found

    def dossier(
        self,
        work_order: WorkOrder | None = None,
        *,
        facts: Sequence[StoredFact] | None = None,
        heads: bool = True,
        lots: dict[str, dict[str, ErpLot]] | None = None,
        waited_s: float = 0.0,
    ) -> Dossier:
        """Split the facts as the store would; ``facts`` to give them in another order or more than once."""
        told = self.facts() if facts is None else facts
        ours = [f for f in told if _order_of(f) == self.reference]
        around = [f for f in told if _order_of(f) is None]
        return Dossier(
            reference=self.reference,
            order=work_order,
            facts=tuple(ours),
            around=tuple(around),
            neighbours=(),
            counting=tuple(f for f in told if f.kind == "operations_event" and f.agent != CENTRAL),
            chains=tuple(self.chain(name, ours, heads) for name in ("assembly-1", "testing-1")),
            lots=LOTS if lots is None else lots,
            now_us=self.now_us + round(waited_s * S),
        )

    def chain(self, agent: str, ours: Sequence[StoredFact], heads: bool) -> ChainEvidence:
        tape = self.tapes[agent]
        seqs = [f.seq for f in ours if f.agent == agent] or [1]
        first, last, through = min(seqs), max(seqs), len(tape.entries)
        stored = last - first + 1
        head = (through, self.now_us) if heads else (None, None)
        through_us = tape.entries[-1][0].at_us
        return ChainEvidence(agent, tape.epoch, first, last, stored, 0, through, through_us, *head)


def _order_of(fact: StoredFact) -> str | None:
    """As the store's index fills it; decisions of these tests are about the one order."""
    data = fact.fact.data
    if isinstance(data, Decision):
        return "WO-1000"
    return None if isinstance(data, EpochOpened) else data.order
