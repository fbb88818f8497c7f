"""What a scan changes at a station: accepted or refused, committed before the operator sees the answer."""

from __future__ import annotations

from dataclasses import replace

from pydantic import JsonValue

from edge_agent import scans
from edge_agent.barriers import BarrierRules
from edge_agent.chart_facts import subject_ref
from edge_agent.events import Answer, Married, Prompt, Scanned, Until
from edge_agent.holds import holding
from edge_agent.papers import Papers, WorkOrder
from edge_agent.recording import MountedLot, fits_a_record
from edge_agent.route_status import PieceHere
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, Loaded, State, Step, commit
from records.model import Data, OperationsEvent, Purpose, Subject, SubjectKind


class ScanRules:
    """Pure, as the station is. While a run goes on, what names the next order or piece has to wait."""

    def __init__(self, settings: StationSettings, barriers: BarrierRules, tests: int) -> None:
        """``tests``: how many each unit of a run has at most."""
        self.settings, self._barriers, self._tests = settings, barriers, tests

    def take(self, state: State, event: Scanned, papers: Papers) -> Step:
        """Recognise a scan by its content and commit what it changes, or why it is refused."""
        field_name = scans.recognise(self.settings, event)
        if field_name is None:
            return self._refuse(state, event, scans.not_recognised(event.barcode))
        said = self._meaning(event, field_name, papers, state.kept.order)
        if isinstance(said, scans.Unit) and (hold := _held(state.kept, event, said.subject)):
            return self._refuse(state, event, scans.Refusal("unit-on-hold", found=hold))
        if isinstance(said, scans.Unit) and any(
            held.subject.key == said.subject.key for held in state.kept.loaded
        ):
            return self._accept(state, event, field_name, state.kept, ())  # the operator missed the answer
        if isinstance(said, scans.Order) and said.order.reference == state.kept.order:
            return self._accept(state, event, field_name, state.kept, ())
        if isinstance(said, scans.Order | scans.Unit | scans.Container) and state.busy:
            said = scans.Refusal("not-now", expected="end of the run")
        match said:
            case scans.Refusal():
                return self._refuse(state, event, said)
            case scans.Operator(badge=badge):
                signed_on = OperationsEvent("operator-signed-on", {"badge": badge})
                return self._accept(state, event, field_name, replace(state.kept, operator=badge), (signed_on,))
            case scans.Order(order=order):
                kept, facts = self._start_order(state.kept, order)
                return self._accept(state, event, field_name, kept, facts)
            case scans.Mounted(lot=lot):
                return self._mount(state, event, lot)
            case scans.Container(id=id_):
                return self._accept(state, event, field_name, replace(state.kept, container=id_), ())
            case scans.Unit():
                return self._load(state, event, said)

    def too_late(self, state: State, event: Scanned) -> Step:
        """Commit that its operator was told no, in the place of what the scan would have changed."""
        return self._refuse(replace(state, after=None), event, scans.Refusal("not-answered-in-time"))

    def _meaning(
        self, event: Scanned, field_name: scans.FieldName, papers: Papers, order: str | None
    ) -> scans.Meaning:
        """What the scan says, or why it is refused."""
        said = scans.meaning(self.settings, event, field_name, papers, order)
        if isinstance(said, scans.Refusal):
            return said
        piece = None
        if isinstance(said, scans.Unit):
            piece = PieceHere(event.carrier, said.subject.id, event.at_us, event.ran)
        return self._barriers.against(said, papers, piece) or said

    def _refuse(self, state: State, event: Scanned, why: scans.Refusal) -> Step:
        params: dict[str, JsonValue] = {
            "scanner": event.scanner,
            "reason": why.reason,
            "text": event.text,
            "raw": event.raw.hex(),
            "expected": why.expected,
            "found": why.found,
        }
        if why.relied_on is not None:
            kind, name, version = why.relied_on
            params |= {"document": f"{kind}/{name}", "version": str(version)}
        fact = OperationsEvent("scan-refused", params, order=state.kept.order, device=event.scanner)
        prompt = Prompt(why.reason, {"expected": why.expected, "found": why.found}, Until.ACCEPTED)
        return commit(state, (fact,), state, (Answer(event.scanner, False, event.number), prompt))

    def _accept(
        self,
        state: State,
        event: Scanned,
        field_name: str,
        kept: Kept,
        facts: tuple[Data, ...],
        subjects: tuple[Subject, ...] = (),
        married: tuple[Married, ...] = (),
    ) -> Step:
        """Commit the scan; a scan that changes nothing (read twice) is answered without another record."""
        answer = Answer(event.scanner, True, event.number)
        if kept == state.kept:
            return state, (answer,)
        scan = OperationsEvent(
            "scan-accepted",
            {"scanner": event.scanner, "field": field_name, "text": event.text, "raw": event.raw.hex()},
            subjects,
            kept.order,
            event.scanner,
        )
        return commit(state, (scan, *facts), replace(state, kept=kept), (answer,), married=married)

    def _start_order(self, kept: Kept, order: WorkOrder) -> tuple[Kept, tuple[Data, ...]]:
        """A changeover, unless the order is already the station's."""
        if kept.order == order.reference:
            return kept, ()
        fact = OperationsEvent(
            "order-started", {"order": order.reference, "previous": kept.order}, order=order.reference
        )
        items = {line.item for line in order.bom}
        after = replace(
            kept,
            order=order.reference,
            lots=tuple(lot for lot in kept.lots if lot.item in items),
            loaded=(),
            container=None,
        )
        return after, (fact,)

    def _mount(self, state: State, event: Scanned, lot: MountedLot) -> Step:
        others = tuple(held for held in state.kept.lots if held.item != lot.item)
        kept = replace(state.kept, lots=tuple(sorted((*others, lot), key=lambda held: held.item)))
        subject = Subject(SubjectKind.LOT, lot.lot, lot.item, "supplier")
        fact = OperationsEvent(
            "lot-mounted",
            {"item": lot.item, "lot": lot.lot, "expiry": lot.expiry},
            (subject,),
            state.kept.order,
        )
        return self._accept(state, event, "lot", kept, (fact,), (subject,))

    def _loaded(self, event: Scanned, unit: scans.Unit, position: str | None = None) -> Loaded:
        if self.settings.earlier is None:
            return Loaded(unit.subject, position)
        return Loaded(unit.subject, position, event.carrier, event.at_us, event.ran)

    def _load(self, state: State, event: Scanned, unit: scans.Unit) -> Step:
        kept, facts = self._start_order(state.kept, unit.order)
        if self.settings.subject.collect is None:
            kept = replace(kept, loaded=(self._loaded(event, unit),))
        else:
            if state.kept.container is None:
                return self._refuse(state, event, scans.Refusal("not-now", expected="container"))
            container = state.kept.container
            slot = 1 + sum(
                1 for held in kept.loaded if held.position and held.position.startswith(container + "/")
            )
            loaded = (*kept.loaded, self._loaded(event, unit, f"{container}/{slot}"))
            if not fits_a_record([(held.subject, held.position) for held in loaded], self._tests):
                full = scans.Refusal("load-full", expected="run of the load", found=str(len(kept.loaded)))
                return self._refuse(state, event, full)
            kept = replace(kept, container=container, loaded=loaded)
        married: tuple[Married, ...] = ()
        if event.carrier is not None:
            married = (Married(unit.subject, unit.order.reference, event.carrier),)
        return self._accept(state, event, "subject", kept, facts, (unit.subject,), married)


def _held(kept: Kept, event: Scanned, unit: Subject) -> str | None:
    """The hold, here or at another station, that keeps the unit from being worked on; rework and retest may."""
    if event.purpose in (Purpose.REWORK, Purpose.RETEST):
        return None
    carrier = () if event.carrier is None else (Subject(SubjectKind.CARRIER, event.carrier),)
    here = holding(kept.holds, [subject_ref(subject) for subject in (unit, *carrier)])
    return event.held if here is None else here.id
