"""What central asks of an ERP, in the plant's words; one connector per kind of ERP speaks it.

Two promises every ``ErpLink`` keeps:

- **Reading never changes anything** in the ERP.
- **Posting is effective once.** ``post`` reads the order first, compares, and writes only the difference, step by
  step. It may be called again with the same confirmation after any error, kill or lost answer, from any process.

States are those of ``WorkOrder.state``: released, running, held, closed, cancelled. Names follow ISA-95 (a
``WorkOrder`` is its Work Request, a ``Confirmation`` its Work Response); ``docs/reference/erp-rest-contract.md``
maps them to the wire.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from records.errors import LotkeeperError, Unreachable

OrderState = Literal["released", "running", "held", "closed", "cancelled"]
LotStatus = Literal["available", "blocked"]
PostingState = Literal["pending", "posting", "posted", "refused"]
StepOutcome = Literal["written", "found"]

MESSAGE_LIMIT = 300
"""Most characters kept of an ERP's own error text (Tryton sends up to 90 kB)."""


@dataclass(frozen=True, slots=True)
class OrderOperation:
    """One operation of a routing; ``operation`` is the station's name of it, e.g. ``OP10``."""

    operation: str
    sequence: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class BomItem:
    """What the whole order needs of one item; ``gtin`` is known from central's item settings."""

    item: str
    quantity: Decimal
    gtin: str | None = None
    unit: str = "u"


@dataclass(frozen=True, slots=True)
class ErpOrder:
    """A production order as the ERP has it now. ``quantity`` counts products, ``bom`` the whole order's need."""

    erp_id: str
    reference: str
    number: str | None
    product: str
    quantity: Decimal
    unit: str
    state: OrderState
    operations: tuple[OrderOperation, ...]
    bom: tuple[BomItem, ...]
    lot: str | None = None
    revision: str | None = None
    expiry: str | None = None  # YYYY-MM-DD


@dataclass(frozen=True, slots=True)
class ErpLot:
    """A component lot in stock. ``expiry`` is YYYY-MM-DD, None for items that do not expire."""

    item: str
    number: str
    expiry: str | None
    quantity: Decimal
    status: LotStatus


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A production order as central holds it: the ERP's, completed by item settings, and how far its report is.

    ``reference`` is what is scanned and what our records name; ``lot`` is our manufacturing lot (label AI 10).
    ``posting`` is None until a confirmation exists. ``version`` is that of the document the stations have.
    """

    erp_id: str
    reference: str
    number: str | None
    product: str
    product_gtin: str | None
    revision: str | None
    lot: str
    quantity: Decimal
    unit: str
    state: OrderState
    operations: tuple[OrderOperation, ...]
    bom: tuple[BomItem, ...]
    expiry: str | None
    version: int
    seen_us: int
    posting: PostingState | None = None

    @property
    def open(self) -> bool:
        return self.state in ("released", "running", "held")


# -- the report back ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consumption:
    """How much of one component lot the order used, scrapped pieces included."""

    item: str
    lot: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class OperationTotal:
    """One operation of the order: how long machines worked on it, and on how many pieces."""

    operation: str
    began_us: int
    ended_us: int
    duration_s: float
    quantity: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """Final test values of one good unit, by characteristic (numbers, or True/False for attributes)."""

    serial: str
    values: tuple[tuple[str, float | bool], ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What central reports of one finished order. ``key`` is unique for ever and the same at every repetition."""

    order: str  # the order's reference
    erp_id: str
    key: str
    product: str
    good: tuple[str, ...]  # serials, AI 21
    scrap: int
    consumed: tuple[Consumption, ...]
    operations: tuple[OperationTotal, ...]
    inspections: tuple[Inspection, ...] = ()


@dataclass(frozen=True, slots=True)
class ErpOperation:
    operation: str
    finished: bool
    duration_s: float
    cycles: int


@dataclass(frozen=True, slots=True)
class ErpResult:
    """What the ERP says of an order when it is asked afterwards, with everything that is there twice left twice.

    ``consumed`` and ``good`` hold only what the ERP has booked for good (moves done). ``inspections`` holds
    ``(reference, state)`` with state passed, failed or pending.
    """

    reference: str
    state: OrderState
    good: tuple[str, ...]
    scrap: Decimal
    consumed: tuple[Consumption, ...]
    operations: tuple[ErpOperation, ...]
    inspections: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ErpDifference:
    """One point in which the ERP, read back, is not what was confirmed; codes and numbers, no sentences.

    ``what`` is state (of the order), good (how often this serial), scrap, consumed (of "item lot"), operation
    (finished, open or missing), cycles (how often time was booked on it) or inspection (its states).
    """

    what: str
    subject: str
    ours: str
    erp: str


class ErpRefused(LotkeeperError):
    """The ERP understood and said no: one of its business rules. A person must look; repeating does not help.

    ``step`` is the step of the posting. The text is the ERP's own, cut to ``MESSAGE_LIMIT`` characters.
    """

    def __init__(self, message: str, *, step: str = "", hint: str | None = None) -> None:
        text = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
        super().__init__(text, hint=hint)
        self.step = step


class ErpChanged(Unreachable):
    """Somebody changed the order in the ERP between our reading and our writing: read again, try again."""


class StepLog(Protocol):
    """Told around each step of a posting; whatever it raises stops the posting there."""

    def begin(self, step: str) -> None:
        """The step's writing comes next."""

    def done(self, step: str, outcome: StepOutcome) -> None:
        """The ERP holds the step's effect: ``written`` by this call, or ``found`` there already."""


class ErpLink(Protocol):
    """One ERP. Every method may raise:

    Unreachable: no answer, or none in time (also ErpChanged); try again later.
    Refused: the ERP does not let us in (password, key, rights, too many tries): never repeat by oneself.
    ErpRefused: a business rule forbids the step.
    Invalid: the ERP answered something that cannot be understood.
    """

    @property
    def address(self) -> str:
        """For messages: kind and place, without any secret."""

    def orders(self, held: Collection[str], named: Collection[str] = ()) -> list[ErpOrder]:
        """All open orders, and whatever their state those whose ``erp_id`` is in ``held`` or whose reference is in
        ``named``; an ERP that cannot find by reference leaves the latter out.
        """

    def lots(self, items: Collection[str]) -> list[ErpLot]:
        """Lots of these items that are in stock, expired ones too."""

    def post(self, confirmation: Confirmation, progress: StepLog) -> None:
        """Bring the ERP to what the confirmation says; returns when the ERP, read again, has closed the order."""

    def read_back(self, erp_id: str) -> ErpResult:
        """What the ERP holds of this order now."""

    def close(self) -> None:
        """Free connections; the link can't be used any more."""


def differences(confirmation: Confirmation, result: ErpResult) -> list[ErpDifference]:
    """Compare what was confirmed with what the ERP, read back, holds; empty when they agree."""
    found: list[ErpDifference] = []

    def expect(what: str, subject: str, ours: object, erp: object) -> None:
        if ours != erp:
            found.append(ErpDifference(what, subject, str(ours), str(erp)))

    expect("state", confirmation.order, "closed", result.state)
    for serial in sorted({*confirmation.good, *result.good}):
        expect("good", serial, confirmation.good.count(serial), result.good.count(serial))
    expect("scrap", confirmation.order, Decimal(confirmation.scrap), result.scrap)
    ours, erp = _per_lot(confirmation.consumed), _per_lot(result.consumed)
    for lot in sorted({*ours, *erp}):
        expect("consumed", " ".join(lot), ours.get(lot, Decimal(0)), erp.get(lot, Decimal(0)))
    for total in confirmation.operations:
        done = [operation for operation in result.operations if operation.operation == total.operation]
        expect("operation", total.operation, "finished", _state_of(done))
        expect("cycles", total.operation, len(done), sum(operation.cycles for operation in done))
    for reference, states in _per_reference(result.inspections).items():
        expect("inspection", reference, "passed", ",".join(states))
    return found


def _per_lot(consumed: tuple[Consumption, ...]) -> dict[tuple[str, str], Decimal]:
    totals: dict[tuple[str, str], Decimal] = {}
    for use in consumed:
        totals[use.item, use.lot] = totals.get((use.item, use.lot), Decimal(0)) + use.quantity
    return totals


def _state_of(operations: list[ErpOperation]) -> str:
    if not operations:
        return "missing"
    return "finished" if all(operation.finished for operation in operations) else "open"


def _per_reference(inspections: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for reference, state in inspections:
        states.setdefault(reference, []).append(state)
    return states
