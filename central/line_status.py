"""Keeps the lines told of what central concludes: where the pieces of open orders stand, what is left of lots.

Both follow from facts, so they are kept as the newest version and not stated in the chain. The review tells what
it has judged; what differs from what the lines were told is issued when it is through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from central import route_status
from central.assessment import Assessment
from central.consumption import consumed
from central.facts import Facts
from central.store import documents, lot_uses, reached
from central.store import orders as order_rows
from central.store.engine import Connection, Store
from records.clock import Clock
from records.configuration import ConfigurationRecord
from records.kinds import LOT_QUANTITIES, ROUTE
from records.model import OperationsEvent
from records.quantity import quantity_text
from records.wire import PLANT, Document

EVERY_AGENT = "*"
LEAST_S = 5.0
"""The least time between two versions of the horizon, and between two looks at what is left of lots."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Operation -> the time up to which all that any agent with a station for it recorded is here."""

    operations: Mapping[str, int]


class Stations:
    """What agents' line files in force say of their stations, read on from where it was read to.

    ``asked``: whether any station looks at the earlier operations of its pieces.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], tuple[frozenset[str], bool]] = {}
        self._in_force: dict[str, str] = {}
        self.asked = False
        self._files_through = self._loaded_through = 0

    def read_on(self) -> None:
        """Take in what has come since the last time."""
        for fact in self._store.facts(kinds=["configuration"], after=self._files_through):
            data = fact.fact.data
            if isinstance(data, ConfigurationRecord):
                self._known[fact.agent, data.hash] = _stations(data.resolved)
            self._files_through = max(self._files_through, fact.cursor)
        for fact in self._store.facts(codes=["configuration-loaded"], after=self._loaded_through):
            event = fact.fact.data
            if isinstance(event, OperationsEvent):
                self._in_force[fact.agent] = str(event.params.get("hash"))
            self._loaded_through = max(self._loaded_through, fact.cursor)
        self.asked = any(self._known.get(key, (None, False))[1] for key in self._in_force.items())

    def agents_of(self) -> dict[str, list[str]]:
        """Operation -> the agents that have a station for it."""
        found: dict[str, list[str]] = {}
        for key in self._in_force.items():
            for operation in self._known.get(key, (frozenset[str](), False))[0]:
                found.setdefault(operation, []).append(key[0])
        return found


def _stations(resolved: JsonValue) -> tuple[frozenset[str], bool]:
    """Operations of the stations of a line file, and whether one of them looks at earlier operations."""
    told = resolved.get("stations") if isinstance(resolved, dict) else None
    stations = [each for each in told.values() if isinstance(each, dict)] if isinstance(told, dict) else []
    operations = frozenset(str(each["operation"]) for each in stations if each.get("operation"))
    return operations, any(each.get("earlier") is not None for each in stations)


class LineStatus:
    """Told by the review in one thread at a time. ``tell(agent, document)`` brings the lines what is new.

    ``waits``: what is left of lots was not looked at by the last sweep, since the look before is too near.
    """

    def __init__(self, store: Store, facts: Facts, clock: Clock, tell: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._tell = store, facts, clock, tell
        self._stations = Stations(store)
        self._routes: dict[str, dict[str, JsonValue]] = {}  # judged since the last time: order -> its documents
        self._told: dict[tuple[str, str], Document] | None = None
        self._horizon_s: float | None = None  # when it was issued last
        self._lots_s: float | None = None  # when lots were looked at last
        self.waits = False

    @property
    def asked(self) -> bool:
        """Whether any station looks at what its pieces have behind them; else that is not told."""
        return self._stations.asked

    def reached(self, connection: Connection) -> Reached:
        """How far central knows each operation now; call it before what is to be judged is read."""
        self._stations.read_on()
        if not self.asked:
            return Reached({})
        through, asked = reached.through_us(connection, self._clock.now_us()), self._stations.agents_of()
        listed = {o: [through[a] for a in agents if a in through] for o, agents in asked.items()}
        return Reached({operation: min(times) for operation, times in listed.items() if times})

    def judged(self, part: Assessment) -> None:
        """An order was judged: remember where its pieces stand, and what it has taken of lots."""
        reference = part.dossier.reference
        if self.asked:
            self._routes[reference] = route_status.documents_of(part)
        uses = lot_uses.as_rows(consumed(part.dossier))
        with self._store.read() as connection:
            known = lot_uses.of_order(connection, reference)
        if uses != known:
            self._store.write(lambda connection: lot_uses.put(connection, reference, uses))

    def swept(self, now: Reached | None) -> None:
        """All that had to be judged is: issue what the lines do not know. ``now``: how far that reaches."""
        told = self._newest()
        news = self._of_routes(told)
        self.waits = not self._due(self._lots_s)
        if not self.waits:
            news += self._of_lots(told)
            self._lots_s = self._clock.monotonic_s()
        if news:
            self._issue(told, news)
        if now is not None and now.operations and self._due(self._horizon_s):
            horizon = _horizon(now, told)
            known = told.get((ROUTE, PLANT))
            if known is None or known.content != horizon:
                self._issue(told, [(ROUTE, PLANT, horizon)])
                self._horizon_s = self._clock.monotonic_s()

    def _newest(self) -> dict[tuple[str, str], Document]:
        if self._told is None:
            with self._store.read() as connection:
                kept = [d for kind in (ROUTE, LOT_QUANTITIES) for d in documents.of_kind(connection, kind)]
            self._told = {(each.kind, each.id): each for each in kept}
        return self._told

    def _of_routes(self, told: Mapping[tuple[str, str], Document]) -> list[tuple[str, str, JsonValue]]:
        """Documents of pieces that changed, and those of orders that are over."""
        judged, self._routes = self._routes, {}
        with self._store.read() as connection:
            open_ = {order.reference for order in order_rows.open_orders(connection)}
        news: list[tuple[str, str, JsonValue]] = []
        for contents in judged.values():
            for name, content in contents.items():
                known = told.get((ROUTE, name))
                if known is None or known.content != content:
                    news.append((ROUTE, name, content))
        for (kind, name), known in told.items():
            reference = _order_of(known)
            if kind != ROUTE or reference is None:
                continue
            fewer = reference in judged and name not in judged[reference]
            if fewer or reference not in open_ or not self.asked:
                news.append((ROUTE, name, None))
        return news

    def _of_lots(self, told: Mapping[tuple[str, str], Document]) -> list[tuple[str, str, JsonValue]]:
        with self._store.read() as connection:
            left = lot_uses.left(connection)
        news: list[tuple[str, str, JsonValue]] = []
        for item, lots in sorted(left.items()):
            content: JsonValue = {"item": item, "left": {lot: quantity_text(q) for lot, q in sorted(lots.items())}}
            known = told.get((LOT_QUANTITIES, item))
            if known is None or known.content != content:
                news.append((LOT_QUANTITIES, item, content))
        return news

    def _due(self, last_s: float | None) -> bool:
        return last_s is None or self._clock.monotonic_s() - last_s >= LEAST_S

    def _issue(self, told: dict[tuple[str, str], Document], news: list[tuple[str, str, JsonValue]]) -> None:
        issued = self._store.write(lambda c: [self._facts.issue(c, *place) for place in news])
        for document in issued:
            told[document.kind, document.id] = document
            self._tell(EVERY_AGENT, document)


def _order_of(document: Document) -> str | None:
    content = document.content
    return str(content["order"]) if isinstance(content, dict) and "order" in content else None


def _horizon(now: Reached, told: Mapping[tuple[str, str], Document]) -> JsonValue:
    """The plant's document: up to when each operation is known, by documents of which versions."""
    sums: dict[str, int] = {}
    for document in told.values():
        reference = _order_of(document)
        if document.kind == ROUTE and reference is not None:
            sums[reference] = sums.get(reference, 0) + document.version
    return {
        "operations": {operation: str(at_us) for operation, at_us in sorted(now.operations.items())},
        "orders": {reference: str(total) for reference, total in sorted(sums.items())},
    }
