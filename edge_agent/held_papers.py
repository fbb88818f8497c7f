"""What central told, as stations need it: made anew from the documents that are held, only after a change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import structlog

from edge_agent.documents import Documents
from edge_agent.papers import KINDS, Papers
from edge_agent.route_status import RouteReader
from records.clock import Clock, from_us
from records.kinds import ROUTE

log = structlog.get_logger()


class HeldPapers:
    """The papers of one agent. ``changed`` may be called in any thread, ``now`` in one at a time."""

    def __init__(self, documents: Documents, clock: Clock, time_zone: Callable[[], str]) -> None:
        self._documents, self._clock, self._time_zone = documents, clock, time_zone
        self._stale, self._rerouted = threading.Event(), threading.Event()
        self._stale.set()
        self._rerouted.set()
        self._routes = RouteReader()
        self._papers = Papers()

    def changed(self, kind: str) -> None:
        """A document of this kind is newer than it was."""
        (self._rerouted if kind == ROUTE else self._stale).set()

    def now(self) -> Papers:
        """The newest."""
        problems: tuple[str, ...] = ()
        if self._stale.is_set():
            self._stale.clear()
            found = [document for kind in KINDS for document in self._documents.all(kind)]
            routes, now_us = self._papers.routes, self._documents.central_us
            self._papers = Papers.of(found, self._documents.age_s, self._today, routes, now_us)
            problems = self._papers.problems
        if self._rerouted.is_set():  # every few seconds: the others are not read anew for it
            self._rerouted.clear()
            routes, before = self._routes.read(self._documents.all(ROUTE)), self._papers.routes
            self._papers = replace(self._papers, routes=routes)
            problems += tuple(problem for problem in routes.problems if problem not in before.problems)
        for problem in problems:
            log.error("document-not-understood", problem=problem)
        return self._papers

    def _today(self) -> date:
        """The plant's day."""
        return from_us(self._clock.now_us()).astimezone(ZoneInfo(self._time_zone())).date()
