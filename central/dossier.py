"""All that central knows about one order at one moment, as values: what every pure module of the review reads.

A dossier never depends on the order in which facts arrived, nor on how often: facts are sorted by the time of
their making and their place in their chain, the same fact counts once, and a run that was stored again under a
new epoch (same run id) counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Generic, TypeVar

from pydantic import JsonValue

from central.domain import ChainEvidence, EpochEvidence, FactLike, FactRef
from central.links.base import Confirmation, ErpDifference, ErpLot, WorkOrder
from records.errors import Invalid
from records.model import Decision, OperationRecord, OperationsEvent
from records.quantity import quantity
from records.wire import CENTRAL

D = TypeVar("D", OperationRecord, OperationsEvent, Decision)


@dataclass(frozen=True, slots=True)
class Stated(Generic[D]):
    """A fact with its data in its own type."""

    fact: FactLike
    data: D

    @property
    def ref(self) -> FactRef:
        return FactRef.of(self.fact)


@dataclass(frozen=True)
class Dossier:
    """One order's facts and what surrounds them.

    ``facts`` name the order (agents' and central's own). ``around`` are facts that name no order but lie between
    the order's first and last fact of the same chain, and central's own about those chains. ``neighbours`` are the
    other records of the order's stations in that range, over all epochs, and the last one before it, with those of
    no order between them. ``counting`` are events of those agents that say something about their machines' counts,
    from those records on. ``chains`` come in the order in which their epochs were opened, ``epochs`` are all of
    those agents' in that order.
    ``lots`` is what the ERP told: item -> lot number -> lot; an item that is missing there was never told about.
    ``elsewhere`` maps serials that also occur in another order to that order. ``differences`` are the points in
    which the ERP, read back after the report, is not what was reported; ``reported`` is that report, once posted.
    ``unapproved``: agent and hash of configurations by which production agents worked and that nobody approved.
    ``cursor`` is that of the newest of ``facts`` in the store.
    """

    reference: str
    order: WorkOrder | None
    facts: tuple[FactLike, ...]
    around: tuple[FactLike, ...] = ()
    neighbours: tuple[FactLike, ...] = ()
    counting: tuple[FactLike, ...] = ()
    chains: tuple[ChainEvidence, ...] = ()
    epochs: tuple[EpochEvidence, ...] = ()
    lots: Mapping[str, Mapping[str, ErpLot]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[ErpDifference, ...] = ()
    reported: Confirmation | None = None
    unapproved: frozenset[tuple[str, str]] = frozenset()
    now_us: int = 0
    cursor: int = 0

    @cached_property
    def timeline(self) -> tuple[FactLike, ...]:
        """The order's facts, each once, by time of making."""
        return timeline(self.facts)

    @cached_property
    def records(self) -> tuple[Stated[OperationRecord], ...]:
        """The order's operation records; a run that is there twice is given once."""
        return once(stated(self.timeline, OperationRecord))

    @cached_property
    def events(self) -> tuple[Stated[OperationsEvent], ...]:
        """Agents' events of the order."""
        return tuple(s for s in stated(self.timeline, OperationsEvent) if s.fact.agent != CENTRAL)

    @cached_property
    def statements(self) -> tuple[Stated[OperationsEvent], ...]:
        """Central's own events about the order."""
        return tuple(s for s in stated(self.timeline, OperationsEvent) if s.fact.agent == CENTRAL)

    @cached_property
    def decisions(self) -> tuple[Stated[Decision], ...]:
        """Central's decisions about the order, in the order in which they were made."""
        return tuple(s for s in stated(self.timeline, Decision) if s.fact.agent == CENTRAL)

    @cached_property
    def surroundings(self) -> tuple[Stated[OperationsEvent], ...]:
        """Events that name no order but fall into its time at the same agent and station; central's about them.

        Also verdicts of charts that name its pieces and were made in a run of another order.
        """
        return tuple(s for s in stated(timeline(self.around), OperationsEvent) if self._concerns(s))

    @cached_property
    def neighbour_records(self) -> tuple[Stated[OperationRecord], ...]:
        """Other orders' records of the same machines."""
        return once(stated(timeline(self.neighbours), OperationRecord))

    @cached_property
    def counting_events(self) -> tuple[Stated[OperationsEvent], ...]:
        """What agents say about their machines' counts, in the order's time and just before it."""
        return stated(timeline(self.counting), OperationsEvent)

    @cached_property
    def product(self) -> str | None:
        if self.order is not None:
            return self.order.product
        return next((s.data.product for s in self.records if s.data.product), None)

    @cached_property
    def lot(self) -> str:
        """Our manufacturing lot: the ERP's word, else the records', else the order's reference."""
        if self.order is not None:
            return self.order.lot
        return next((s.data.lot for s in self.records if s.data.lot), self.reference)

    @cached_property
    def routing(self) -> tuple[str, ...]:
        """Operations by sequence; without an order those that were seen, by name."""
        if self.order is not None:
            return tuple(o.operation for o in sorted(self.order.operations, key=lambda o: o.sequence))
        return tuple(sorted({s.data.operation for s in self.records if s.data.purpose.counts}))

    @cached_property
    def spans(self) -> Mapping[tuple[str, str, str | None], tuple[int, int]]:
        """(agent, epoch, station) -> first and last seq of the order's facts; station None: of the whole chain."""
        found: dict[tuple[str, str, str | None], tuple[int, int]] = {}
        for fact in self.timeline:
            if fact.agent == CENTRAL:
                continue
            for station in {None, fact.fact.header.station}:
                key = (fact.agent, fact.epoch, station)
                first, last = found.get(key, (fact.seq, fact.seq))
                found[key] = (min(first, fact.seq), max(last, fact.seq))
        return found

    @cached_property
    def agents_of(self) -> Mapping[str, frozenset[str]]:
        """Operation -> the agents that recorded runs of it for the order."""
        found: dict[str, set[str]] = {}
        for record in self.records:
            found.setdefault(record.data.operation, set()).add(record.fact.agent)
        return {operation: frozenset(agents) for operation, agents in found.items()}

    @cached_property
    def began_us(self) -> int | None:
        return min((s.data.began_us for s in self.records), default=None)

    @cached_property
    def ended_us(self) -> int | None:
        return max((s.data.ended_us for s in self.records), default=None)

    @cached_property
    def place(self) -> Callable[[FactLike], tuple[int, int]]:
        """What puts facts of one agent in their order: epochs in the order of their opening, then by seq."""
        opened = [(e.agent, e.epoch) for e in self.epochs]
        opened += [(c.agent, c.epoch) for c in self.chains if (c.agent, c.epoch) not in opened]
        ranks = {chain: rank for rank, chain in enumerate(opened)}
        return lambda fact: (ranks.get((fact.agent, fact.epoch), 0), fact.seq)

    def known_us(self, agent: str) -> int:
        """The time up to which everything that the agent recorded is here, as far as that can be told."""
        told = [max(c.through_us, c.head_us or 0) for c in self.chains if c.agent == agent]
        return max(told, default=0)

    def _concerns(self, event: Stated[OperationsEvent]) -> bool:
        fact = event.fact
        if fact.agent == CENTRAL:
            return self._concerns_central(event)
        if event.data.order is not None:
            return True  # a chart's verdict on our pieces, made in a run of a later order
        span = self.spans.get((fact.agent, fact.epoch, fact.fact.header.station))
        return span is not None and span[0] <= fact.seq <= span[1]

    def _concerns_central(self, event: Stated[OperationsEvent]) -> bool:
        """Central's word about a chain concerns the order when it names a place or a moment of its time there."""
        params = event.data.params
        agent, epoch, seq = params.get("agent"), params.get("epoch"), params.get("seq")
        if seq is not None:
            span = self.spans.get((str(agent), str(epoch), None))
            number = whole(seq)
            return span is not None and number is not None and span[0] <= number <= span[1]
        ours = any(chain == agent for chain, _, _ in self.spans)
        at_us, began, ended = event.fact.fact.header.at_us, self.began_us, self.ended_us
        return ours and began is not None and ended is not None and began <= at_us <= ended


def timeline(facts: Iterable[FactLike]) -> tuple[FactLike, ...]:
    """Each fact once, by time of making; facts of one chain keep its order even where its clock stepped back.

    A fact that was stored again under a new epoch is left out where it is here under its first identity.
    """
    chains: dict[tuple[str, str, str], dict[int, FactLike]] = {}
    told = tuple(facts)
    held_as = {(f.agent, f.epoch, f.stream, f.seq, f.hash) for f in told}
    for fact in told:
        first = fact.fact.header.stored_as
        if first is not None and (fact.agent, first.epoch, fact.stream, first.seq, first.hash) in held_as:
            continue
        chains.setdefault((fact.agent, fact.epoch, fact.stream), {})[fact.seq] = fact
    placed: list[tuple[int, tuple[str, str, str], int, FactLike]] = []
    for chain, held in chains.items():
        latest_us = 0
        for seq in sorted(held):
            latest_us = max(latest_us, held[seq].fact.header.at_us)
            placed.append((latest_us, chain, seq, held[seq]))
    placed.sort(key=lambda entry: entry[:3])
    return tuple(entry[3] for entry in placed)


def stated(facts: Iterable[FactLike], kind: type[D]) -> tuple[Stated[D], ...]:
    """Those facts whose data is of this class."""
    found: list[Stated[D]] = []
    for fact in facts:
        data = fact.fact.data
        if isinstance(data, kind):
            found.append(Stated(fact, data))
    return tuple(found)


def once(records: Iterable[Stated[OperationRecord]]) -> tuple[Stated[OperationRecord], ...]:
    """Each run once: of copies stored again under a new epoch, the first."""
    kept: dict[str, Stated[OperationRecord]] = {}
    for record in records:
        held = kept.get(record.data.run_id)
        if held is None or (held.fact.fact.header.stored_as and not record.fact.fact.header.stored_as):
            kept[record.data.run_id] = record
    return tuple(kept.values())


def whole(value: JsonValue) -> int | None:
    """A whole number of 64 bits out of an event's parameters, which any agent may have written; else None."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        told = int(value)
    except ValueError:
        return None
    return told if -(2**63) <= told < 2**63 else None


def amount(text: str) -> Decimal:
    """A record's quantity; 0 for what is none: then the bill of material disagrees, and somebody looks."""
    try:
        return quantity(text)
    except Invalid:
        return Decimal(0)
