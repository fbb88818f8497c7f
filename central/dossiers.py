"""Puts dossiers together from the store, and keeps the assessments that are still true.

Facts of an order are decoded once and read on from the last cursor. An assessment is used again as long as nothing
that it was made from has changed. Safe to use from many threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from central import certificate
from central.assessment import Assessment, Limits, assess, is_opening, restated
from central.causes import UNKNOWN
from central.dossier import Dossier
from central.links.base import Confirmation, ErpDifference, ErpLot, PostingState, WorkOrder
from central.store import configurations, search
from central.store import dossiers as sql
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.clock import Clock
from records.model import MaterialKind, SubjectKind
from records.wire import CENTRAL

ORDERS_KEPT = 32
FACTS_KEPT = 1000
"""Orders whose decoded facts are kept in memory, and how many facts together, the newest order apart; an order of
200 units takes some 10 MB."""


class Report(Protocol):
    """How a report to the ERP came out."""

    @property
    def confirmation(self) -> Confirmation: ...
    @property
    def state(self) -> PostingState: ...
    @property
    def differences(self) -> tuple[ErpDifference, ...] | None: ...


class OrderBook(Protocol):
    """What the review needs of ``central.orders``, now or as the connection sees it."""

    def get(self, reference: str, connection: Connection | None = None) -> WorkOrder | None: ...
    def posting(self, reference: str, connection: Connection | None = None) -> Report | None: ...
    def lots_of(
        self, used: Collection[tuple[str, str]], connection: Connection
    ) -> Mapping[str, Mapping[str, ErpLot]]: ...


@dataclass
class _Held:
    """One order's facts as far as they were read, and what was last made of them. ``grounds``: the cursor of the
    newest fact that it was judged by.
    """

    facts: list[StoredFact] = field(default_factory=list)
    cursor: int = 0
    grounds: int = 0
    stamp: tuple[object, ...] | None = None
    assessment: Assessment | None = None


class Dossiers:
    """Dossiers and assessments of orders, by reference."""

    def __init__(self, store: Store, clock: Clock, orders: OrderBook, limits: Limits) -> None:
        self._store = store
        self._clock = clock
        self._orders = orders
        self._limits = limits
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def assessment(self, reference: str) -> Assessment:
        """The order as it stands now."""
        with self._lock:
            held = self._held.setdefault(reference, _Held())
            self._held.move_to_end(reference)
            dossier = self._dossier(reference, held)
            self._forget()
            stamp = _stamp(dossier, held.grounds)
            last = held.assessment
            if last is None or held.stamp != stamp or self._turned(last, dossier):
                last = assess(dossier, self._limits)
            elif last.dossier.cursor != dossier.cursor:
                last = restated(last, dossier)
            held.assessment, held.stamp = last, stamp
            return last

    def _turned(self, last: Assessment, dossier: Dossier) -> bool:
        """Whether time alone changes it: an unknown tail becomes a discrepancy after a while."""
        grace_s = self._limits.tail_grace_s
        return certificate.by_time(dossier, last.dossier, last.certificate, over=last.over, grace_s=grace_s)

    def _forget(self) -> None:
        """What has not been asked for longest, beyond what is kept."""
        facts = sum(len(held.facts) for held in self._held.values())
        while len(self._held) > ORDERS_KEPT or (facts > FACTS_KEPT and len(self._held) > 1):
            _, gone = self._held.popitem(last=False)
            facts -= len(gone.facts)

    def _dossier(self, reference: str, held: _Held) -> Dossier:
        """The order at one moment of the database; its facts are read on."""
        with self._store.read() as connection:
            for fact in search.facts(connection, search.Wanted(order=reference, after=held.cursor)):
                held.facts.append(fact)
                held.cursor = fact.cursor
                if not is_opening(fact):
                    held.grounds = fact.cursor
            order = self._orders.get(reference, connection)
            report = self._orders.posting(reference, connection)
            bare = Dossier(reference, order, tuple(held.facts))
            beside = sql.surroundings(connection, reference, bare.began_us, bare.ended_us)
            return replace(
                bare,
                around=beside.around,
                neighbours=beside.neighbours,
                counting=beside.counting,
                chains=beside.chains,
                epochs=beside.epochs,
                lots=self._orders.lots_of(_lots_used(bare), connection),
                elsewhere=sql.elsewhere(connection, reference, _serials(bare), bare.product or UNKNOWN),
                differences=(report.differences or ()) if report is not None else (),
                reported=report.confirmation if report is not None and report.state == "posted" else None,
                unapproved=configurations.unapproved(connection, _worked_by(bare)),
                now_us=self._clock.now_us(),
                cursor=held.cursor,
            )


def _lots_used(dossier: Dossier) -> set[tuple[str, str]]:
    """Item and number of the component lots that went into the order."""
    return {
        (edge.source.product, edge.source.id)
        for record in dossier.records
        for edge in record.data.materials
        if edge.kind is MaterialKind.CONSUMED and edge.source is not None and edge.source.product is not None
    }


def _serials(dossier: Dossier) -> set[str]:
    return {
        result.subject.id
        for record in dossier.records
        for result in record.data.subjects
        if result.subject.kind is SubjectKind.UNIT and record.data.purpose.counts
    }


def _worked_by(dossier: Dossier) -> set[tuple[str, str]]:
    """Agents with the hashes of the configurations by which they made the order's runs."""
    named = ((record.fact.agent, record.fact.fact.header.configuration) for record in dossier.records)
    return {(agent, hash_) for agent, hash_ in named if hash_ is not None}


def _stamp(dossier: Dossier, grounds: int) -> tuple[object, ...]:
    """What must be equal for an assessment to be still true, the time apart."""
    loose: Sequence[str] = [fact.hash for fact in (*dossier.around, *dossier.neighbours, *dossier.counting)]
    lots = tuple(
        (item, number, lot.expiry, lot.status)
        for item, held in sorted(dossier.lots.items())
        for number, lot in sorted(held.items())
    )
    told = tuple(sorted(dossier.lots))
    return (
        grounds,
        None if dossier.order is None else replace(dossier.order, seen_us=0, version=0),
        tuple(loose),
        dossier.chains,
        dossier.epochs,
        lots,
        told,
        tuple(sorted(dossier.elsewhere.items())),
        dossier.differences,
        dossier.reported,
        dossier.unapproved,
    )


def has_agents_facts(assessment: Assessment) -> bool:
    """Whether a line has worked on the order at all."""
    return any(fact.agent != CENTRAL for fact in assessment.dossier.timeline)
