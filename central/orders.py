"""Work orders: read from the ERP, sent down to the lines as signed documents, reported back once.

``sync`` looks at the ERP (``central.order_intake``) and publishes what changed; ``post_ready`` is the way back
(``central.postings``). Both are called by the scheduler; only one of them is at the ERP at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from central.erp import Erp, ErpStatus
from central.facts import Facts
from central.links.base import Confirmation, ErpLot, ErpResult, WorkOrder
from central.links.settings import ItemSettings
from central.order_intake import Intake, Synced, read, wanted
from central.postings import Posting, Postings
from central.store import orders as rows
from central.store.engine import Connection, Store
from records.clock import MICROSECONDS, Clock
from records.errors import Invalid
from records.wire import Document

EVERY_AGENT = "*"
KEPT_CLOSED_S = 3 * 86_400.0
"""How long lines still know an order that is closed: a run that comes late has its product and lot from there."""


class Publisher(Protocol):
    """Sends documents down to the agents; a document that cannot be sent now is sent on the next connection."""

    def publish_document(self, agent: str, document: Document) -> None: ...


class Orders:
    """Central's work orders. ``erp`` None: there is no ERP, the list stays empty."""

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        erp: Erp | None,
        items: Mapping[str, ItemSettings],
        publisher: Publisher,
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._erp = erp
        self._intake = Intake(facts, clock, dict(items))
        self._publisher = publisher
        self._postings = Postings(store, facts, clock)

    # -- reading -------------------------------------------------------------------------------------------

    def list(self) -> Sequence[WorkOrder]:
        """All orders ever seen, by reference."""
        with self._store.read() as connection:
            return tuple(self._intake.work_order(held) for held in rows.orders(connection))

    def get(self, reference: str, connection: Connection | None = None) -> WorkOrder | None:
        """The order now, or as the connection sees it."""
        with self._moment(connection) as moment:
            held = rows.orders(moment, reference)
        return self._intake.work_order(held[0]) if held else None

    def _moment(self, connection: Connection | None) -> AbstractContextManager[Connection]:
        return self._store.read() if connection is None else nullcontext(connection)

    def lots(self) -> dict[str, dict[str, ErpLot]]:
        """Every lot that the ERP ever told us of, by item and number; quantity 0: not in stock now."""
        with self._store.read() as connection:
            found: dict[str, dict[str, ErpLot]] = {}
            for lot in rows.lots(connection):
                found.setdefault(lot.item, {})[lot.number] = lot
            return found

    def lots_of(self, used: Collection[tuple[str, str]], connection: Connection) -> dict[str, dict[str, ErpLot]]:
        """Of these lots (item and number) those that the ERP ever told us of, by item and number; an item of which
        it never told anything is missing.
        """
        told: dict[str, dict[str, ErpLot]] = {item: {} for item in rows.told_of(connection, {i for i, _ in used})}
        for lot in rows.lots(connection, used):
            told[lot.item][lot.number] = lot
        return told

    def status(self) -> ErpStatus | None:
        """How the ERP answers; None when there is none."""
        return None if self._erp is None else self._erp.status()

    def posting(self, reference: str, connection: Connection | None = None) -> Posting | None:
        """How far the report of this order is, step by step; None while there is nothing to report."""
        with self._moment(connection) as moment:
            return self._postings.get(reference, moment)

    def postings(self) -> Sequence[Posting]:
        """All reports, the oldest first."""
        return self._postings.list()

    def read_back(self, reference: str) -> ErpResult | None:
        """What the ERP itself holds of this order now; None: no ERP, or an order that it never told us of.

        Raises:
            LotkeeperError: as ``ErpLink``.
        """
        order = self.get(reference)
        if self._erp is None or order is None:
            return None
        erp_id = order.erp_id
        return self._erp.ask(lambda link: link.read_back(erp_id))

    # -- from the ERP --------------------------------------------------------------------------------------

    def sync(self) -> Synced:
        """Read orders and lots once; nothing while the ERP refuses us or is given a pause.

        Raises:
            LotkeeperError: the ERP did not answer or refused; noted and stated already.
        """
        erp = self._erp
        if erp is None or not erp.polling_due:
            return Synced()
        with self._store.read() as connection:
            asked = wanted(connection)
        reading = erp.poll(lambda link: read(link, asked))
        synced, issued = self._store.write(lambda connection: self._intake.take(connection, reading))
        for document in issued:
            self._publisher.publish_document(EVERY_AGENT, document)
        return synced

    def withdraw_closed(self) -> Sequence[str]:
        """Withdraw from the lines what has been closed or cancelled for ``KEPT_CLOSED_S``; those references."""
        before_us = self._clock.now_us() - int(KEPT_CLOSED_S * MICROSECONDS)

        def job(connection: Connection) -> list[Document]:
            over = rows.told_closed(connection, before_us)
            return [self._facts.issue(connection, rows.ORDER_DOCUMENT, o, None, order=o) for o in over]

        with self._store.read() as connection:
            due = rows.told_closed(connection, before_us)
        withdrawn = self._store.write(job) if due else []
        for document in withdrawn:
            self._publisher.publish_document(EVERY_AGENT, document)
        return [document.id for document in withdrawn]

    @property
    def polling_due(self) -> bool:
        """Whether ``sync`` would ask now: there is an ERP, it lets us in, and it is not being given a pause."""
        return self._erp is not None and self._erp.polling_due

    # -- to the ERP ----------------------------------------------------------------------------------------

    def post_ready(self, confirmation_for: Callable[[str], Confirmation | None]) -> Sequence[Posting]:
        """Report every order that is ready, and go on with reports that were cut; each is effective once.

        ``confirmation_for`` gives what is to be reported of an order, None while anything stands against it. It
        is asked until there is a report, which then stays as it is. Returns the reports that were worked on.
        """
        if self._erp is None or self._erp.status().state != "ok":
            return ()
        with self._store.read() as connection:
            ready = rows.unreported_orders(connection)
        for reference in ready:
            confirmation = confirmation_for(reference)
            if confirmation is not None:
                self._postings.add(confirmation)
        return self._postings.work(self._erp)

    def try_again(self, reference: str | None = None, confirmation: Confirmation | None = None) -> None:
        """A person says that the cause is mended: ask the ERP again, and post a refused report again.

        ``confirmation`` replaces what was to be reported; its key must stay.

        Raises:
            Invalid: there is no refused report of this order, or the key is another.
        """
        if self._erp is None:
            raise Invalid("central has no ERP", hint="set erp in central.yaml")
        self._erp.try_again()
        if reference is not None:
            self._postings.renew(reference, confirmation)

    def close(self) -> None:
        """Let go of the ERP; safe to call twice."""
        if self._erp is not None:
            self._erp.close()
