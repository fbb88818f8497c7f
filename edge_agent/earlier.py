"""Whether pieces at a station have the operations before it behind them (``earlier`` of the line file). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edge_agent.document_ages import DocumentAges, TooOld
from edge_agent.papers import Papers, WorkOrder
from edge_agent.route_status import Lack, PieceHere
from edge_agent.station_settings import StationSettings
from records.clock import MICROSECONDS
from records.kinds import ROUTE
from records.model import DocumentUse
from records.wire import PLANT


class EarlierOperations:
    """Of one station."""

    def __init__(self, settings: StationSettings, ages: DocumentAges) -> None:
        self.policy = settings.earlier
        self._operation, self._ages = settings.operation, ages

    def lacks(
        self, order: WorkOrder | None, pieces: Iterable[PieceHere], papers: Papers
    ) -> Iterator[tuple[PieceHere, Lack]]:
        """What the pieces have not behind them, the sure ones and those that may be on their way."""
        before = self._before(order)
        if order is None or not before:
            return
        for piece in pieces:
            for lack in papers.routes.lacks(order.reference, before, piece):
                yield piece, lack

    def too_old(self, order: WorkOrder | None, papers: Papers) -> TooOld | None:
        """The horizon, where what it says of the earlier operations is older than it may be."""
        before, told = self._before(order), papers.routes.documents.get((ROUTE, PLANT))
        if order is None or not before or told is None:
            return None
        age_s, (max_age_s, beyond) = self._age_s(order, before, papers), self._ages.of(ROUTE)
        if age_s is None or age_s <= max_age_s:
            return None
        return TooOld(ROUTE, PLANT, told.version, age_s, max_age_s, beyond)

    def said_by(self, order: WorkOrder | None, piece: PieceHere, papers: Papers) -> tuple[str, str, int]:
        """The document that tells of a piece: its own where it is told there, else the horizon."""
        told = None if order is None else papers.routes.told(order.reference, piece)
        name = PLANT if told is None else told.document
        document = papers.routes.documents.get((ROUTE, name))
        return ROUTE, name, 0 if document is None else document.version

    def uses(
        self, order: WorkOrder | None, pieces: Sequence[PieceHere], papers: Papers
    ) -> tuple[DocumentUse, ...]:
        """The documents that a run relies on, the horizon with the age of what is known of earlier operations."""
        before, horizon = self._before(order), papers.routes.documents.get((ROUTE, PLANT))
        if order is None or not before or horizon is None:
            return ()
        old = self.too_old(order, papers)
        age_s = self._age_s(order, before, papers) or 0.0
        found = [DocumentUse(ROUTE, PLANT, horizon.version, round(age_s, 3), old.beyond if old else None)]
        named = dict.fromkeys(self.said_by(order, piece, papers) for piece in pieces)
        found += [
            DocumentUse(ROUTE, name, version, round(papers.age_s(ROUTE, name) or 0.0, 3))
            for _, name, version in named
            if name != PLANT
        ]
        return tuple(found)

    def _before(self, order: WorkOrder | None) -> tuple[str, ...]:
        return () if order is None or self.policy is None else order.before(self._operation)

    def _age_s(self, order: WorkOrder, before: Sequence[str], papers: Papers) -> float | None:
        """How long ago central last knew all of these operations that there was to know."""
        reaches_us = papers.routes.oldest_us(order.reference, before)
        if reaches_us is None:
            return papers.age_s(ROUTE, PLANT)
        return max((papers.now_us() - reaches_us) / MICROSECONDS, 0.0)
