"""What keeps a station from starting beside what is missing: what central told, and how old it is. Pure.

A barrier that ``refuses`` takes the permit away; another one only warns. Each is told once by an event when it
comes and once when it is gone; a machine that runs all the same is recorded, and ``ran-while-barred`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from edge_agent import scans
from edge_agent.document_ages import DocumentAges, TooOld, in_words, too_old
from edge_agent.earlier import EarlierOperations
from edge_agent.papers import LIMIT_SETS, LOTS, RECIPE, WORK_ORDER, Papers, QualityHold, WorkOrder
from edge_agent.recording import MountedLot
from edge_agent.route_status import PieceHere
from edge_agent.station_settings import Material, StationSettings
from records.fields import Int64
from records.kinds import LOT_QUANTITIES, REASONS
from records.model import Data, OperationRecord, OperationsEvent, Subject
from records.wire import CONFIGURATION, EQUIPMENT, HOLDS, PEOPLE, PLANT

TOO_OLD, FRESH = "document-too-old", "document-fresh"
HELD = "held-by-quality"
NOT_QUALIFIED, BLOCKED, OVERDUE = "operator-not-qualified", "equipment-blocked", "calibration-overdue"
SKIPPED, NOT_KNOWN = "operation-skipped", "operation-not-known"
EXPIRED, USED_UP = "lot-expired", "lot-used-up"
UNHEARD = "holds-not-known"

WHYS = (TOO_OLD, HELD, NOT_QUALIFIED, BLOCKED, OVERDUE, SKIPPED, NOT_KNOWN, EXPIRED, USED_UP, UNHEARD)
"""Every reason that a barrier may have."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """``why`` is a code, ``about`` what it concerns. ``params`` are what its event tells beside them.

    One that only waits for word that is on its way is not ``told``.
    """

    why: str
    about: str
    refuses: bool
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    told: bool = True

    @property
    def key(self) -> str:
        return f"{self.why} {self.about}"


@dataclass(frozen=True, slots=True)
class Barred:
    """A barrier that was told and stands."""

    why: str
    about: str
    refuses: bool
    since_us: Int64
    params: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.why} {self.about}"


class Unit(Protocol):
    """A piece that waits for the next run."""

    @property
    def subject(self) -> Subject: ...


class Here(Protocol):
    """What a station has right now."""

    @property
    def order(self) -> str | None: ...
    @property
    def operator(self) -> str | None: ...
    @property
    def lots(self) -> Sequence[MountedLot]: ...
    @property
    def loaded(self) -> Sequence[Unit]: ...


class BarrierRules:
    """Of one station. ``characteristics`` are the names of what its runs measure."""

    def __init__(
        self, settings: StationSettings, characteristics: Iterable[str] = (), ages: DocumentAges | None = None
    ) -> None:
        self._settings, self._characteristics = settings, tuple(characteristics)
        self.ages = ages or DocumentAges()
        self.earlier = EarlierOperations(settings, self.ages)

    def standing(self, here: Here, papers: Papers, pieces: Sequence[PieceHere] = ()) -> tuple[Barrier, ...]:
        """What stands now for a station that has this, and these pieces of its order."""
        old = too_old(self.ages, papers, self._relies_on(here.order, papers))
        order = papers.order(here.order)
        stale = self.earlier.too_old(order, papers)
        found = [_of_age(one) for one in (*old, *((stale,) if stale else ())) if one.beyond != "go_on"]
        found += self._unheard(papers)
        held = {hold.hold: hold for hold in self._holds(here, papers)}
        found += [_of_hold(hold, papers) for hold in held.values()]
        found += self._of_lots(here.lots, papers)
        if self.earlier.policy != "go_on":
            found += self._of_pieces(order, pieces, papers, waits=stale is None)
        return (*found, *_of_machine(self._settings.equipment, papers), *self._of_person(here.operator, papers))

    def _unheard(self, papers: Papers) -> tuple[Barrier, ...]:
        """Central tells each agent what quality holds, be it nothing. A line that must not rely on an old word of
        that, and has none, as on a new PC, waits for it.
        """
        if self.ages.of(HOLDS)[1] != "refuse" or (HOLDS, PLANT) in papers.documents:
            return ()
        return (Barrier(UNHEARD, f"{HOLDS}/{PLANT}", True, told=False),)

    def _of_pieces(
        self, order: WorkOrder | None, pieces: Iterable[PieceHere], papers: Papers, *, waits: bool
    ) -> Iterator[Barrier]:
        """Earlier operations that a piece has not behind it; ``waits``: for word that may be on its way."""
        refuses = self.earlier.policy == "refuse"
        for piece, lack in self.earlier.lacks(order, pieces, papers):
            about = f"{piece.name}, {lack.operation} {lack.why}".replace("  ", " ")
            if lack.sure:
                kind, name, version = self.earlier.said_by(order, piece, papers)
                params: dict[str, JsonValue] = {"detail": lack.why, "document": f"{kind}/{name}"}
                yield Barrier(SKIPPED, about, refuses, {**params, "version": str(version)})
            elif refuses and waits:
                yield Barrier(NOT_KNOWN, about, True, told=False)

    def _of_lots(self, lots: Iterable[MountedLot], papers: Papers) -> Iterator[Barrier]:
        """Mounted lots that are past their date, or of which too little is left."""
        mounted = {lot.item: lot.lot for lot in lots}
        for material in self._settings.materials:
            lot = mounted.get(material.item)
            if lot is not None:
                yield from _of_expiry(material, lot, papers)
                yield from _of_quantity(material, lot, papers)

    def _of_person(self, badge: str | None, papers: Papers) -> tuple[Barrier, ...]:
        refusal = None if badge is None else self._unfit(badge, papers)
        if badge is None or refusal is None:
            return ()
        return (Barrier(NOT_QUALIFIED, badge, True, _by(papers, PEOPLE, refusal.found)),)

    def _unfit(self, badge: str, papers: Papers) -> scans.Refusal | None:
        """Why this person may not work here today."""
        if papers.people is None:
            return None
        told = (PEOPLE, PLANT, papers.version(PEOPLE, PLANT) or 0)
        person = papers.people.get(badge)
        if person is None:
            return scans.Refusal("operator-unknown", None, badge, told)
        why = person.unfit(self._settings.operation, papers.today())
        return None if why is None else scans.Refusal(NOT_QUALIFIED, self._settings.operation, why, told)

    def _holds(self, here: Here, papers: Papers) -> Iterator[QualityHold]:
        """What quality holds of the machine, the order, its lot, and what is mounted or loaded."""
        if not papers.holds:
            return
        order = papers.order(here.order)
        asked: list[tuple[str, str | None, str | None]] = [("equipment", self._settings.equipment, None)]
        asked.append(("order", here.order, None))
        if order is not None:
            asked.append(("lot", order.lot, order.product))
        asked += [("component", lot.lot, lot.item) for lot in here.lots]
        asked += [("unit", unit.subject.id, unit.subject.product) for unit in here.loaded]
        for kind, id_, product in asked:
            hold = papers.held(kind, id_, product)
            if hold is not None:
                yield hold

    def ran_held(
        self, record: OperationRecord, papers: Papers, told: Sequence[Barred], pieces: Sequence[PieceHere] = ()
    ) -> tuple[Data, ...]:
        """What says that a piece was worked on that quality holds, or too early; a run is never refused."""
        holds = [
            papers.held("unit", member.subject.id, member.subject.product or record.product)
            for member in record.subjects
        ]
        stands = {one.key for one in told}
        barriers = {hold.hold: _of_hold(hold, papers) for hold in holds if hold is not None}
        barriers |= {b.about: b for person in record.people for b in self._of_person(person.id, papers)}
        if self.earlier.policy == "refuse":
            skipped = self._of_pieces(papers.order(record.order), pieces, papers, waits=False)
            barriers |= {barrier.key: barrier for barrier in skipped}
        news = [Barred(b.why, b.about, True, record.began_us) for b in barriers.values() if b.key not in stands]
        return ran_while_barred(record, [*told, *news])

    def against(self, said: scans.Meaning, papers: Papers, piece: PieceHere | None = None) -> scans.Refusal | None:
        """Why what was scanned does not count although it is right, or None. ``piece``: the unit that it names."""
        hold = _held(said, papers)
        if hold is not None:
            told = papers.version(HOLDS, PLANT) or 0
            return scans.Refusal(HELD, None, f"{hold.hold}: {hold.reason}", (HOLDS, PLANT, told))
        if isinstance(said, scans.Operator) and (unfit := self._unfit(said.badge, papers)) is not None:
            return unfit
        if isinstance(said, scans.Unit) and piece is not None and self.earlier.policy == "refuse":
            for _, lack in self.earlier.lacks(said.order, (piece,), papers):
                if lack.sure:
                    by = self.earlier.said_by(said.order, piece, papers)
                    return scans.Refusal(SKIPPED, lack.operation or None, lack.why, by)
        for one in too_old(self.ages, papers, _of_scan(said)):
            if one.beyond == "refuse":
                return scans.Refusal(
                    "document-stale",
                    in_words(one.max_age_s),
                    f"{one.key}, {in_words(one.age_s)}",
                    (one.kind, one.id, one.version),
                )
        return None

    def _relies_on(self, order: str | None, papers: Papers) -> Iterator[tuple[str, str]]:
        """The documents (kind, id) that a run which began now would rely on."""
        known = papers.order(order)
        if order is not None:
            yield WORK_ORDER, order
        for material in self._settings.materials:
            yield LOTS, material.item
            yield LOT_QUANTITIES, material.item
        if known is not None and self._characteristics:
            yield RECIPE, f"{known.product}/{known.revision}"
        for name in self._characteristics:
            yield LIMIT_SETS, name
        yield from plant_documents(self._settings, papers)
        yield REASONS, PLANT


def plant_documents(settings: StationSettings, papers: Papers) -> tuple[tuple[str, str], ...]:
    """The documents (kind, id) of the plant and of its agent that every run at a station relies on."""
    people = ((PEOPLE, PLANT),) if settings.operator is not None else ()
    approval = (key for key in papers.documents if key[0] == CONFIGURATION)
    return ((HOLDS, PLANT), *people, (EQUIPMENT, PLANT), *approval)


def _of_scan(said: scans.Meaning) -> Iterator[tuple[str, str]]:
    """The documents that say that a scan is right."""
    match said:
        case scans.Order(order=order) | scans.Unit(order=order):
            yield WORK_ORDER, order.reference
        case scans.Mounted(lot=lot):
            yield LOTS, lot.item
        case scans.Operator():
            yield PEOPLE, PLANT
            return
        case _:
            return
    yield HOLDS, PLANT


def _held(said: scans.Meaning, papers: Papers) -> QualityHold | None:
    """What quality holds of what was scanned."""
    match said:
        case scans.Unit(subject=unit, order=order):
            mine = papers.held("unit", unit.id, order.product)
            return mine or _held(scans.Order(order), papers)
        case scans.Order(order=order):
            return papers.held("order", order.reference) or papers.held("lot", order.lot, order.product)
        case scans.Mounted(lot=lot):
            return papers.held("component", lot.lot, lot.item)
        case _:
            return None


def _of_hold(hold: QualityHold, papers: Papers) -> Barrier:
    what = f"{hold.kind} {hold.id}" if hold.product is None else f"{hold.kind} {hold.product} {hold.id}"
    return Barrier(HELD, f"{hold.hold}, {what}", True, {"hold": hold.hold, **_by(papers, HOLDS, hold.reason)})


def _of_machine(equipment: str, papers: Papers) -> tuple[Barrier, ...]:
    machine = papers.equipment.get(equipment)
    if machine is None:
        return ()
    if machine.blocked is not None:
        return (Barrier(BLOCKED, equipment, True, _by(papers, EQUIPMENT, machine.blocked)),)
    until = machine.calibrated_until
    if until is None or until >= papers.today():
        return ()
    refuses = machine.overdue == "refuse"
    return (Barrier(OVERDUE, equipment, refuses, _by(papers, EQUIPMENT, f"calibrated until {until}")),)


def _of_expiry(material: Material, lot: str, papers: Papers) -> Iterator[Barrier]:
    status = papers.lot(material.item, lot)
    over = status is not None and status.expiry is not None and status.expiry < papers.today()
    if status is not None and over and material.expired != "go_on":
        by = _by(papers, LOTS, f"expiry {status.expiry}", material.item)
        yield Barrier(EXPIRED, f"{material.item} {lot}", material.expired == "refuse", by)


def _of_quantity(material: Material, lot: str, papers: Papers) -> Iterator[Barrier]:
    left = papers.left_of(material.item, lot)
    if left is not None and left < material.per_unit and material.used_up != "go_on":
        by = _by(papers, LOT_QUANTITIES, f"{left:f} left", material.item)
        yield Barrier(USED_UP, f"{material.item} {lot}", material.used_up == "refuse", by)


def _by(papers: Papers, kind: str, detail: str | None, name: str = PLANT) -> dict[str, JsonValue]:
    """What a barrier rests on."""
    version = str(papers.version(kind, name) or 0)
    return {"detail": detail, "document": f"{kind}/{name}", "version": version}


def _of_age(one: TooOld) -> Barrier:
    params: dict[str, JsonValue] = {
        "kind": one.kind,
        "id": one.id,
        "version": str(one.version),
        "age_s": round(one.age_s),
        "max_age_s": round(one.max_age_s),
        "beyond": one.beyond,
    }
    return Barrier(TOO_OLD, one.key, one.beyond == "refuse", params)


def changed(
    told: Sequence[Barred], now: Sequence[Barrier], at_us: int, order: str | None
) -> tuple[tuple[Barred, ...], tuple[Data, ...]]:
    """What is told from now on, and the events that tell the difference."""
    known = {one.key: one for one in told}
    here = {one.key: one for one in now if one.told}
    over = [one for one in told if one.key not in here]
    facts: list[Data] = [OperationsEvent(_gone(one), _params(one), order=order) for one in over]
    kept = []
    for one in here.values():
        before = known.get(one.key)
        if before is None or before.refuses is not one.refuses:
            before = Barred(one.why, one.about, one.refuses, at_us, one.params)
            facts.append(OperationsEvent(_came(one), _params(one), order=order))
        kept.append(before)
    return tuple(kept), tuple(facts)


def _came(one: Barrier) -> str:
    return TOO_OLD if one.why == TOO_OLD else "start-barred"


def _gone(one: Barred) -> str:
    return FRESH if one.why == TOO_OLD else "start-free"


def _params(one: Barrier | Barred) -> dict[str, JsonValue]:
    if one.why == TOO_OLD:
        return {**one.params}
    return {"why": one.why, "about": one.about, "refuses": one.refuses, **one.params}


def ran_while_barred(record: OperationRecord, told: Sequence[Barred]) -> tuple[Data, ...]:
    """What says that a machine ran although it was not permitted to: a run is never refused.

    A run that had begun before is none.
    """
    stood = [one for one in told if one.refuses and one.since_us <= record.began_us]
    if not stood or not record.purpose.counts:
        return ()
    params: dict[str, JsonValue] = {
        "why": [one.key for one in stood],
        "run_id": record.run_id,
        "cycle": None if record.cycle is None else str(record.cycle),
    }
    subjects = tuple(member.subject for member in record.subjects)
    return (OperationsEvent("ran-while-barred", params, subjects, record.order),)
