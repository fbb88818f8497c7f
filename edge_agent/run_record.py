"""One run becomes one ``OperationRecord``: put together from what was captured and what the station knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from edge_agent import recording
from edge_agent.barriers import plant_documents
from edge_agent.chart_parts import FromTag
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.charting import Judged, Occasion, StationCharts
from edge_agent.choosing import recipe_id
from edge_agent.document_ages import DocumentAges, too_old
from edge_agent.earlier import EarlierOperations
from edge_agent.events import Captured
from edge_agent.papers import LOTS, RECIPE, WORK_ORDER, Papers, Specified
from edge_agent.recording import UNKNOWN, MountedLot
from edge_agent.route_status import PieceHere
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, OpenRun, State
from records.kinds import LOT_QUANTITIES
from records.model import (
    DocumentUse,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    Outcome,
    Person,
    Purpose,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
)
from records.verdict import SpcState
from spc.selection import Chosen

NOT_APPROVED = "configuration-not-approved"


class RunRecorder:
    """Pure; holds what the line file says about the station and its characteristics.

    By a configuration that is not ``approved`` every run is setup, whatever the machine says.
    """

    def __init__(
        self,
        name: str,
        settings: StationSettings,
        characteristics: Mapping[str, CharacteristicSettings],
        approved: bool = True,
        line: str | None = None,
        ages: DocumentAges | None = None,
    ) -> None:
        self._name = name
        self.settings = settings
        self.approved = approved
        self._ages = ages or DocumentAges()
        self._earlier = EarlierOperations(settings, self._ages)
        captured = set(settings.captured())
        self._characteristics = {n: c for n, c in characteristics.items() if captured.issuperset(c.read())}
        self._sources = recording.sources_to_tell(self._characteristics)
        self.charts = StationCharts(self._characteristics, line)

    def _told(self, verdict: SpcState) -> SpcState:
        """A verdict with the tags that its chart took."""
        name = verdict.characteristic
        return replace(verdict, tags=self._sources.get(name), size_tag=self._characteristics[name].size)

    def subjects(self, state: State, readings: Mapping[str, Reading]) -> tuple[tuple[Subject, str | None], ...]:
        """Whom a run that is captured now is about, each with its position."""
        source = self.settings.subject
        if source.scan is not None and state.kept.loaded:
            return tuple((unit.subject, unit.position) for unit in state.kept.loaded)
        tag = source.tag or source.carrier
        found = recording.text_value(readings, tag) or recording.UNKNOWN
        kind = source.kind if source.tag is not None else SubjectKind.CARRIER
        return ((Subject(kind, found), None),)

    def order(self, state: State, readings: Mapping[str, Reading]) -> str | None:
        """The order that a run captured now belongs to."""
        tag = self.settings.order.tag
        return recording.text_value(readings, tag) if tag is not None else state.kept.order

    def record(
        self, state: State, event: Captured, papers: Papers, cycle: int | None, pieces: Sequence[PieceHere] = ()
    ) -> tuple[OperationRecord, Judged]:
        """The record of a run, and what the charts said of it. ``pieces``: what is known of its subjects."""
        settings, kept, readings = self.settings, state.kept, event.readings
        told = recording.purpose_of(settings, readings)
        purpose = told if self.approved else Purpose.SETUP
        machine = recording.machine_result(settings.result, readings)
        aborted = machine is Result.ABORTED
        reference = self.order(state, readings)
        order = papers.order(reference)
        subjects = self.subjects(state, readings)
        occasion = Occasion(
            event.at_us,
            readings,
            tuple(dict.fromkeys(subject for subject, _ in subjects)),
            reference,
            order.lot if order else reference,
            order.product if order else None,
            order.revision if order else None,
            self._tool(readings),
        )
        choices = self.charts.chooser.of_run(occasion, papers)
        tests = () if aborted else recording.tests_of(self._specified(choices, occasion, papers), readings)
        attempts = event.attempts if purpose.counts else {}
        results = recording.subject_results(subjects, attempts, machine, tests)
        judged = Judged(state.charts)
        if purpose.counts and not aborted:
            judged = self.charts.judge(state.charts, occasion, choices, papers)
        run = kept.run or OpenRun(event.new_id, event.at_us, kept.lots)
        record = OperationRecord(
            run_id=run.run_id,
            station=self._name,
            equipment=settings.equipment,
            operation=settings.operation,
            order=reference,
            product=order.product if order else None,
            lot=order.lot if order else None,
            purpose=purpose,
            attempt=max(result.attempt for result in results),
            cycle=cycle,
            began_us=run.began_us,
            ended_us=event.at_us,
            outcome=Outcome.ABORTED if aborted else Outcome.COMPLETED,
            subjects=results,
            people=self._people(kept, readings),
            readings=recording.named(readings, self._characteristics),
            materials=self._materials(run.lots, readings, results, purpose, aborted),
            spc=tuple(map(self._told, judged.states)),
            counters=recording.counters_of(settings, readings),
            documents=(
                *self._used(
                    papers,
                    (
                        *self._documents(reference, papers),
                        *self.charts.chooser.documents(occasion, choices, papers),
                    ),
                ),
                *self._earlier.uses(order, pieces, papers),
            ),
            product_revision=order.revision if order else None,
            tool=occasion.tool,
            resumed=state.recovered,
            repeat_possible=settings.trigger.cycle is None,
            purpose_told=None if self.approved else told,
            purpose_reason=None if self.approved else NOT_APPROVED,
        )
        return record, judged

    def _tool(self, readings: Mapping[str, Reading]) -> str | None:
        """The tool in the machine; one that cannot be read is a tool of its own, ``unknown``."""
        tool = self.settings.tool
        return recording.text_value(readings, tool.tag) or UNKNOWN if isinstance(tool, FromTag) else tool

    def _specified(
        self, choices: Mapping[str, Chosen], occasion: Occasion, papers: Papers
    ) -> Iterator[tuple[str, str, Specified, str]]:
        """Name, tag, specification and its source, of every characteristic that has one."""
        for name, chosen in choices.items():
            tag, told = self._characteristics[name].tag, chosen.specification
            if tag is None or told is None:
                continue
            source = "line"
            if chosen.specification_source == "recipe":
                recipe = recipe_id(occasion)
                source = f"recipe:{recipe}:{papers.version(RECIPE, recipe)}"
            yield name, tag, Specified.model_validate(told), source

    def _people(self, kept: Kept, readings: Mapping[str, Reading]) -> tuple[Person, ...]:
        source = self.settings.operator
        if source is None:
            return ()
        badge = recording.text_value(readings, source.tag) if source.tag else kept.operator
        return () if badge is None else (Person(badge),)

    def _used(self, papers: Papers, keys: tuple[tuple[str, str], ...]) -> tuple[DocumentUse, ...]:
        """What the run relied on, each with its age, and with the line's policy where it was too old."""
        beyond = {(one.kind, one.id): one.beyond for one in too_old(self._ages, papers, keys)}
        return tuple(replace(use, beyond=beyond.get((use.kind, use.id))) for use in papers.used(keys))

    def _documents(self, reference: str | None, papers: Papers) -> tuple[tuple[str, str], ...]:
        orders = () if reference is None else ((WORK_ORDER, reference),)
        return (
            *orders,
            *((LOTS, material.item) for material in self.settings.materials),
            *((LOT_QUANTITIES, material.item) for material in self.settings.materials),
            *plant_documents(self.settings, papers),
        )

    def _materials(
        self,
        lots: tuple[MountedLot, ...],
        readings: Mapping[str, Reading],
        results: tuple[SubjectResult, ...],
        purpose: Purpose,
        aborted: bool,
    ) -> tuple[MaterialActual, ...]:
        """Consumed components, the marriage of carrier and unit, and what left as scrap."""
        first = results[0].subject
        edges: list[MaterialActual] = []
        if not aborted:
            edges += recording.consumed(self.settings.materials, lots, first, purpose)
        carrier = recording.text_value(readings, self.settings.subject.carrier)
        if carrier is not None and first.kind is SubjectKind.UNIT:
            edges.append(
                MaterialActual(
                    MaterialKind.IDENTIFIED_AS, Subject(SubjectKind.CARRIER, carrier), first, first.quantity
                )
            )
        edges += [
            MaterialActual(MaterialKind.SCRAPPED, r.subject, None, r.subject.quantity, reason="machine-result")
            for r in results
            if r.result is Result.SCRAP
        ]
        return tuple(edges)
