"""What central told the line, as a station needs it: work orders, lots, recipes, limits, with version and age.

Everything here is a value made from signed documents; nothing is fetched. A document whose content does not fit
is treated as absent and reported by ``Papers.problems``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError

from edge_agent.route_status import NO_ROUTES, Routes
from records.clock import from_us
from records.errors import Invalid
from records.fields import Int64
from records.kinds import LOT_QUANTITIES, REASONS
from records.model import DocumentUse
from records.reasons import NO_REASONS, Catalogue
from records.wire import EQUIPMENT, HOLDS, PEOPLE, Document

WORK_ORDER = "work-order"
LOTS = "lots"
RECIPE = "recipe"
LIMIT_SETS = "limit-sets"
KINDS = (WORK_ORDER, LOTS, RECIPE, LIMIT_SETS, HOLDS, PEOPLE, EQUIPMENT, LOT_QUANTITIES, REASONS)
"""The kinds of documents that stations use, beside those of routes."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BomLine(_Content):
    item: str
    gtin: str | None = None
    quantity: str


class Step(_Content):
    """One step of an order's routing."""

    operation: str
    sequence: int = 0


class WorkOrder(_Content):
    """A work order as central sends it down (its content of kind ``work-order``)."""

    reference: str
    product: str
    product_gtin: str | None = None
    revision: str | None = None
    lot: str
    quantity: str
    unit: str = "u"
    state: Literal["released", "running", "held", "closed", "cancelled"]
    operations: tuple[Step, ...] = ()
    bom: tuple[BomLine, ...] = ()

    @property
    def open(self) -> bool:
        """Whether work on it may begin or go on."""
        return self.state in ("released", "running")

    def before(self, operation: str) -> tuple[str, ...]:
        """The operations of its routing before this one; none where it does not have this one."""
        routing = [step.operation for step in sorted(self.operations, key=lambda step: step.sequence)]
        return tuple(routing[: routing.index(operation)]) if operation in routing else ()

    def leads_to(self, operation: str) -> bool:
        """Whether its routing has this operation, and work on it may go on."""
        return self.open and any(step.operation == operation for step in self.operations)


class LotStatus(_Content):
    lot: str
    status: Literal["available", "blocked"] = "available"
    expiry: date | None = None
    quantity: str | None = None

    def expired(self, at_us: int, utc_offset_min: int = 0) -> bool:
        """Whether its expiry date lies before the plant's day at ``at_us``; it may be used on the day itself."""
        today = (from_us(at_us) + timedelta(minutes=utc_offset_min)).date()
        return self.expiry is not None and self.expiry < today


class ItemLots(_Content):
    """The lots of one component item (content of kind ``lots``)."""

    item: str
    gtin: str | None = None
    lots: tuple[LotStatus, ...] = ()


class Specified(_Content):
    lsl: FiniteFloat | None = None
    usl: FiniteFloat | None = None
    target: FiniteFloat | None = None


class RecipeEntry(_Content):
    """What a recipe says of a characteristic, for one tool or position or for all."""

    tool: str | None = None
    position: str | None = None
    specification: Specified | None = None
    sigma: Annotated[FiniteFloat, Field(gt=0)] | None = None


class Recipe(_Content):
    """What a product's revision specifies (content of kind ``recipe``)."""

    product: str
    revision: str
    characteristics: dict[str, tuple[RecipeEntry, ...]]


class LimitKey(_Content):
    product: str | None = None
    revision: str | None = None
    tool: str | None = None
    position: str | None = None


class ApprovedLimits(_Content):
    """One version of a limit set, in effect from ``effective_us`` on; ``line`` None: on every line."""

    id: str
    version: int | str
    line: str | None = None
    key: LimitKey
    limits: dict[str, JsonValue]
    effective_us: Int64


class LimitSets(_Content):
    """All approved limits of a characteristic (content of kind ``limit-sets``)."""

    characteristic: str
    sets: tuple[JsonValue, ...]


class QualityHold(_Content):
    """What quality holds: a unit, a lot of ours, a component's lot, an order, or a machine by its plant name."""

    hold: str
    kind: Literal["unit", "lot", "component", "order", "equipment"]
    id: str
    product: str | None = None
    reason: str = ""

    def on(self, kind: str, id_: str | None, product: str | None = None) -> bool:
        """Whether it is about this; what has no known product may be the one that is held."""
        return (self.kind, self.id) == (kind, id_) and (product is None or self.product in (None, product))


class QualityHolds(_Content):
    """Everything that quality holds in the plant (content of kind ``holds``)."""

    holds: tuple[JsonValue, ...] = ()


class Worker(_Content):
    """A person at the lines: until when the badge is good, and each qualification."""

    badge: str
    until: date | None = None
    operations: dict[str, date | None] = {}

    def unfit(self, operation: str, today: date) -> str | None:
        """Why this person may not do this operation today, in a few words of a record; None: may."""
        if self.until is not None and self.until < today:
            return f"badge good until {self.until}"
        if operation not in self.operations:
            return f"not qualified for {operation}"
        end = self.operations[operation]
        return None if end is None or end >= today else f"qualified for {operation} until {end}"


class Workers(_Content):
    """Everybody who may sign on (content of kind ``people``)."""

    people: tuple[Worker, ...]


class Machine(_Content):
    """A machine: blocked for a reason, or calibrated until a day, and what its stations do after that."""

    equipment: str
    calibrated_until: date | None = None
    overdue: Literal["warn", "refuse"] = "warn"
    blocked: str | None = None


class Equipment(_Content):
    """Machines of which something is to be heeded (content of kind ``equipment``)."""

    equipment: tuple[Machine, ...]


class LotQuantities(_Content):
    """What is left of an item's lots as far as central knows (content of kind ``lot-quantities``)."""

    item: str
    left: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Papers:
    """Everything that central told, known at one moment, newest versions.

    ``recipes`` by product and revision, ``limits`` by characteristic, both as ``spc.selection`` takes them.
    """

    orders: Mapping[str, WorkOrder] = field(default_factory=dict)
    lots: Mapping[str, ItemLots] = field(default_factory=dict)
    recipes: Mapping[tuple[str, str], Mapping[str, JsonValue]] = field(default_factory=dict)
    limits: Mapping[str, tuple[Mapping[str, JsonValue], ...]] = field(default_factory=dict)
    holds: tuple[QualityHold, ...] = ()
    people: Mapping[str, Worker] | None = None  # None: nobody is checked
    equipment: Mapping[str, Machine] = field(default_factory=dict)
    documents: Mapping[tuple[str, str], Document] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    age_s: Callable[[str, str], float | None] = lambda _kind, _id: None
    today: Callable[[], date] = lambda: date.min
    left: Mapping[str, LotQuantities] = field(default_factory=dict)
    routes: Routes = NO_ROUTES
    now_us: Callable[[], int] = lambda: 0
    reasons: Catalogue = NO_REASONS

    @classmethod
    def of(
        cls,
        documents: Iterable[Document],
        age_s: Callable[[str, str], float | None] = lambda _kind, _id: None,
        today: Callable[[], date] = lambda: date.min,
        routes: Routes = NO_ROUTES,
        now_us: Callable[[], int] = lambda: 0,
    ) -> Papers:
        """Read every document of a kind that stations use.

        ``age_s(kind, id)`` tells its age when asked, ``today()`` the plant's day, ``now_us()`` central's time.
        """
        read = _Reading()
        for document in documents:
            if document.content is not None:
                read.take(document)
        return cls(
            *(read.orders, read.lots, read.recipes, read.limits, read.holds, read.people, read.equipment),
            *(read.kept, tuple(read.problems), age_s, today),
            left=read.left,
            routes=routes,
            now_us=now_us,
            reasons=read.reasons,
        )

    def order(self, reference: str | None) -> WorkOrder | None:
        return None if reference is None else self.orders.get(reference)

    def order_of_lot(self, lot: str, gtin: str | None) -> WorkOrder | None:
        """The order that makes this manufacturing lot, or None.

        A lot is unique per product only, and several orders may make one: that of the product with this GTIN
        comes first, then one that is open.
        """
        made = [order for order in self.orders.values() if order.lot == lot]
        return max(made, key=lambda o: (o.product_gtin == gtin, o.product_gtin is None, o.open), default=None)

    def held(self, kind: str, id_: str | None, product: str | None = None) -> QualityHold | None:
        """What holds this; ``product`` of a unit or lot, the item of a component's lot."""
        return next((hold for hold in self.holds if hold.on(kind, id_, product)), None)

    def version(self, kind: str, document: str) -> int | None:
        """The version that is held of a document."""
        found = self.documents.get((kind, document))
        return None if found is None else found.version

    def lot(self, item: str, lot: str) -> LotStatus | None:
        known = self.lots.get(item)
        if known is None:
            return None
        return next((status for status in known.lots if status.lot == lot), None)

    def left_of(self, item: str, lot: str) -> Decimal | None:
        """How much central knows to be left of a component's lot; None: nothing is told of it."""
        known = self.left.get(item)
        return None if known is None else known.left.get(lot)

    def used(self, keys: Iterable[tuple[str, str]]) -> tuple[DocumentUse, ...]:
        """Which documents a run relies on now, with their age (seconds since last known to be the newest)."""
        found = (self.documents.get(key) for key in keys)
        return tuple(
            DocumentUse(d.kind, d.id, d.version, round(self.age_s(d.kind, d.id) or 0.0, 3))
            for d in found
            if d is not None
        )


@dataclass(slots=True)
class _Reading:
    """Papers while they are put together."""

    orders: dict[str, WorkOrder] = field(default_factory=dict)
    lots: dict[str, ItemLots] = field(default_factory=dict)
    recipes: dict[tuple[str, str], Mapping[str, JsonValue]] = field(default_factory=dict)
    limits: dict[str, tuple[Mapping[str, JsonValue], ...]] = field(default_factory=dict)
    holds: tuple[QualityHold, ...] = ()
    people: Mapping[str, Worker] | None = None
    equipment: Mapping[str, Machine] = field(default_factory=dict)
    left: dict[str, LotQuantities] = field(default_factory=dict)
    reasons: Catalogue = NO_REASONS
    kept: dict[tuple[str, str], Document] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, document: Document) -> None:
        """Read a document of a kind that stations use; what does not fit is a problem, and not there."""
        name = f"{document.kind} {document.id} version {document.version}"
        try:
            if self._read(document, name):
                self.kept[document.kind, document.id] = document
        except ValidationError as error:
            self.problems.append(f"{name}: {error.errors()[0]}")
        except Invalid as error:
            self.problems.append(str(error))

    def _read(self, document: Document, name: str) -> bool:
        """Whether it is of a kind that stations use. Raises ValidationError, Invalid: it does not fit."""
        content = document.content
        wrong: list[str] = []
        match document.kind:
            case "work-order":
                self.orders[document.id] = WorkOrder.model_validate(content)
            case "lots":
                self.lots[document.id] = ItemLots.model_validate(content)
            case "recipe":
                recipe = Recipe.model_validate(content)
                self.recipes[recipe.product, recipe.revision] = recipe.model_dump(mode="json")
            case "limit-sets":
                characteristic, found, wrong = _limit_sets(content)
                self.limits[characteristic] = found
            case "holds":
                self.holds, wrong = _holds(content)
            case "people":
                self.people = {one.badge: one for one in Workers.model_validate(content).people}
            case "equipment":
                self.equipment = {one.equipment: one for one in Equipment.model_validate(content).equipment}
            case "lot-quantities":
                self.left[document.id] = LotQuantities.model_validate(content)
            case "reasons":
                self.reasons = Catalogue.of(document)
            case "configuration":
                pass  # edge_agent.approval acts on it; here it has an age
            case _:
                return False
        self.problems += [f"{name}: {what}" for what in wrong]
        return True


NO_PAPERS = Papers()


def _limit_sets(content: JsonValue) -> tuple[str, tuple[Mapping[str, JsonValue], ...], list[str]]:
    """The characteristic, its sets that can be used, and what is wrong with the others."""
    from spc.fields import Fields  # numpy is loaded only where there are limits
    from spc.limits import LimitSet

    told = LimitSets.model_validate(content)
    usable: list[Mapping[str, JsonValue]] = []
    wrong = []
    for number, one in enumerate(told.sets, 1):
        try:
            approved = ApprovedLimits.model_validate(one)
            LimitSet.from_json(Fields(approved.limits, f"sets[{number}].limits"))
        except ValueError as error:
            wrong.append(f"set {number} of {told.characteristic} is left out: {error}")
            continue
        usable.append(approved.model_dump(mode="json"))
    return told.characteristic, tuple(usable), wrong


def _holds(content: JsonValue) -> tuple[tuple[QualityHold, ...], list[str]]:
    """What is held, and what is wrong with other entries: one that nobody understands frees none of the rest."""
    found: list[QualityHold] = []
    wrong = []
    for number, one in enumerate(QualityHolds.model_validate(content).holds, 1):
        try:
            found.append(QualityHold.model_validate(one))
        except ValidationError as error:
            wrong.append(f"hold {number} is left out: {error.errors()[0]}")
    return tuple(found), wrong
