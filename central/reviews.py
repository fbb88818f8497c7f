"""The review: keeps findings and the queue true to the facts, puts records together, takes signatures.

``sweep`` is called after facts were committed and by the scheduler. It may be called at any time, from any thread,
and be killed at any moment: it works from a cursor that moves only when everything before it is done.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from pydantic import JsonValue

from central import reasons, signature
from central.access import User
from central.assessment import Assessment, Limits
from central.confirmation import confirmation
from central.dhr import DHR_TARGET, MEANINGS, assemble, changes, dhr_id, order_line
from central.domain import DECIDED, Blocker, DeviceHistoryRecord, DhrSummary, Finding, Link, SignatureLine
from central.dossier import Stated, stated, timeline
from central.dossiers import FACTS_KEPT, Dossiers, OrderBook, has_agents_facts
from central.facts import Facts
from central.findings import Findings
from central.given_up import last_judged
from central.holds import Hold
from central.line_status import LineStatus
from central.links.base import Confirmation
from central.signature import Rules, SignatureRefused
from central.store import envelopes, intake, proven_head
from central.store import findings as sql
from central.store.engine import Connection, Store, unless_away
from records.clock import Clock
from records.errors import Invalid, StorageFailed, Unknown
from records.model import Decision
from records.reasons import Told
from records.wire import CENTRAL

CURSOR = "reviews"
RECORDS_KEPT = 16
"""Assembled records that are kept in memory while nothing about them changes, as many as ``FACTS_KEPT`` allows."""
REST_FROM_S = 0.02
"""A sweep that has worked for so long without a rest lets others work as long, at most ``REST_MOST_S`` at once."""
REST_MOST_S = 1.0
SHOWN_KEPT = 64
"""Contents that were shown lately, so that a signer can be told what has changed since."""

HoldsOn = Callable[[str | None, str, Sequence[str], Sequence[str], Connection | None], Sequence[Hold]]
"""What stands against a product's lot, its orders or its serials (``Holds.on_lot``)."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A record with what it was made from."""

    parts: tuple[Assessment, ...]
    decisions: tuple[str, ...]
    record: DeviceHistoryRecord

    @property
    def facts(self) -> int:
        return sum(len(part.dossier.facts) for part in self.parts)

    def still(self, parts: Sequence[Assessment], decisions: Sequence[str]) -> bool:
        same = len(parts) == len(self.parts) and all(a is b for a, b in zip(parts, self.parts, strict=True))
        return same and tuple(decisions) == self.decisions


class _Left(Exception):
    """Central ends: what was not judged is judged after the next start."""


class Reviews:
    """The review of all lots."""

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        orders: OrderBook,
        *,
        limits: Limits | None = None,
        rules: Rules | None = None,
        holds: HoldsOn = lambda *_: (),
        lines: LineStatus | None = None,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._orders = orders
        self._rules = rules or Rules()
        self._holds, self._lines = holds, lines
        self._rest, self._rested_s = rest, 0.0
        self._dossiers = Dossiers(store, clock, orders, limits or Limits())
        self._findings = Findings(store, facts)
        self._sweeping = threading.Lock()
        self._signing = threading.Lock()
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._shown: OrderedDict[str, Mapping[str, JsonValue]] = OrderedDict()
        self._keeping = threading.Lock()
        self._leaving = threading.Event()
        self._proven = False
        """Whether heads have proven more than all orders were judged by."""

    # -- keeping up ----------------------------------------------------------------------------------------

    def sweep(self, references: Iterable[str] | None = None, *, everything: bool = False) -> int:
        """Judge orders again and state what has changed; how many findings were opened or closed.

        Without ``references``: those that facts since the last sweep are about. When agents' heads have proven
        more since, or ``everything`` is asked for (time alone, and the ERP's lots and orders, change things too),
        all orders whose record is not decided yet. A sweep that ``leave`` ended is as if it had not begun.
        """
        with self._sweeping, suppress(_Left):
            self._rested_s = self._clock.monotonic_s()
            self.prove_heads()
            if references is not None:
                changed = self._judge(references)
                if self._lines is not None:
                    self._lines.swept(None)
                return changed
            proven, self._proven = self._proven, False
            with self._store.read() as connection:
                reached = None if self._lines is None else self._lines.reached(connection)
                done, last = intake.cursor_of(connection, CURSOR), envelopes.last_cursor(connection)
                wanted = set(sql.touched(connection, done, last))
                if proven or everything:
                    wanted |= set(sql.unsettled_orders(connection))
            changed = self._judge(sorted(wanted))
            if last > done:
                self._store.write(lambda connection: intake.move_cursor(connection, CURSOR, last))
            if self._lines is not None:
                self._lines.swept(reached)
            return changed
        return 0

    def begin(self) -> None:
        """Sweep again after ``leave``."""
        self._leaving.clear()

    def leave(self) -> None:
        """Let a sweep end before its next order, since a stop waits for it."""
        self._leaving.set()

    def _give_way(self) -> None:
        """Judging many orders takes a processor for long, and records that come meanwhile need it too."""
        if self._leaving.is_set():
            raise _Left
        worked_s = self._clock.monotonic_s() - self._rested_s
        if worked_s > REST_FROM_S:
            self._rest(min(worked_s, REST_MOST_S))
            self._rested_s = self._clock.monotonic_s()

    def prove_heads(self) -> None:
        """Take what agents' heads prove by now, for who asks for a certificate before the next sweep."""
        now_us = self._clock.now_us()
        with self._store.read() as connection:
            ahead, heads = proven_head.ahead(connection, now_us), proven_head.provable(connection)
        if ahead:
            self._store.write(lambda connection: proven_head.put_right(connection, now_us))
            with self._store.read() as connection:
                heads = proven_head.provable(connection)
        if not heads:
            return

        def job(connection: Connection) -> None:
            for head in heads:
                proven_head.prove(connection, head)

        self._store.write(job)
        self._proven = True

    def _judge(self, references: Iterable[str]) -> int:
        """Judge orders, those of one record together, and bring its row up to date while what was judged is here.

        What cannot be judged keeps nothing else from being judged; its error comes at the end.
        """
        changed = 0
        broken: list[Exception] = []
        for orders in self._by_record(references):
            judged: dict[str, Assessment] = {}
            ids: set[str] = set()
            for reference in orders:
                self._give_way()
                with _noted(broken):
                    before, gone = self._place(reference)
                    if gone is not None and reference in gone.orders:
                        continue
                    part = self._dossiers.assessment(reference)
                    if self._lines is not None:
                        self._lines.judged(part)
                    if has_agents_facts(part):
                        stated = self._findings.settle(part)
                        ids |= self._assign(reference, part, before, fresh=gone is not None)
                        changed += stated
                        if not stated:  # else the record tells of what was stated, too
                            judged[reference] = part
            for id_ in sorted(ids):
                self._give_way()
                with _noted(broken):
                    self._refresh(id_, judged)
        if broken:
            raise broken[0]
        return changed

    def _by_record(self, references: Iterable[str]) -> Iterable[list[str]]:
        """Orders of one record together, each that belongs to none by itself."""
        wanted = list(dict.fromkeys(references))
        with self._store.read() as connection:
            ids = sql.records_of(connection, wanted)
        found: dict[tuple[str | None, str | None], list[str]] = {}
        for reference in wanted:
            found.setdefault((ids.get(reference), None if reference in ids else reference), []).append(reference)
        return found.values()

    def _assign(self, reference: str, part: Assessment, before: str | None, *, fresh: bool) -> set[str]:
        """The records that the order belongs to: its present one, and the one that it has left.

        A lot whose records were given up is judged no more: an order that came after has a record of its own.
        ``fresh``: the one that it has belonged to is such a lot's.
        """
        now = dhr_id(part.dossier.product, part.dossier.lot)
        if before != now or fresh:
            with self._store.read() as connection:
                now = _record_of(connection, part)
        if before != now:
            self._store.write(lambda connection: sql.assign(connection, reference, now))
        return {now} if before is None else {now, before}

    def _refresh(self, id_: str, judged: Mapping[str, Assessment]) -> None:
        """Bring the record's row in the queue up to date. ``judged``: orders that this sweep has just judged."""
        made = self._make(id_, judged)
        if made is None:
            return
        summary = made.record.summary()
        with self._store.read() as connection:
            if summary in sql.summaries(connection, id_):
                return

        def job(connection: Connection) -> None:
            if sql.given_up(connection, id_) is None:  # since it was put together
                sql.put_summary(connection, summary)

        self._store.write(job)

    # -- reading -------------------------------------------------------------------------------------------

    def queue(self) -> list[DhrSummary]:
        """One row per lot on which a line has worked, as of the last sweep."""
        with self._store.read() as connection:
            return sql.summaries(connection)

    def find(self, lot: str, product: str | None = None) -> list[str]:
        """The ids of the records of a lot number (unique only with its product)."""
        with self._store.read() as connection:
            return sql.ids_of_lot(connection, lot, product)

    def get(self, id_: str) -> DeviceHistoryRecord | None:
        """The record as it stands now; as it was judged last where its records were given up."""
        gone = self._given_up(id_)
        if gone is not None:
            return gone
        made = self._make(id_)
        if made is None:
            return None
        record = made.record
        if isinstance(record.content, dict):
            with self._keeping:
                _keep(self._shown, record.content_hash, record.content, SHOWN_KEPT)
        return record

    def _given_up(self, id_: str) -> DeviceHistoryRecord | None:
        with self._store.read() as connection:
            row = next(iter(sql.summaries(connection, id_)), None)
            if row is None or row.given_up is None:
                return None
            held = [each.finding for order in row.orders for each in sql.of_order(connection, order).values()]
        orders = [order_line(self._orders.get(each), each, row.ordered) for each in row.orders]
        return last_judged(row, orders, held, self._decisions(id_, row.lot))

    def _place(self, reference: str) -> tuple[str | None, DhrSummary | None]:
        """The record that an order belongs to so far, and its row if its records were given up."""
        with self._store.read() as connection:
            id_, row = sql.place_of(connection, reference)
        return id_, None if row is None or row.given_up is None else row

    def _make(self, id_: str, judged: Mapping[str, Assessment] = MappingProxyType({})) -> _Made | None:
        with self._store.read() as connection:
            references = sql.orders_of(connection, id_)
        if not references:
            return None
        parts = tuple(judged.get(each) or self._dossiers.assessment(each) for each in references)
        decisions = self._decisions(id_, parts[0].dossier.lot)
        hashes = tuple(decision.fact.hash for decision in decisions)
        with self._keeping:
            held = self._made.get(id_)
        if held is not None and held.still(parts, hashes):
            return self._with_holds(held)
        made = _Made(parts, hashes, assemble(parts, decisions, id_=id_))
        with self._keeping:
            _keep(self._made, id_, made, RECORDS_KEPT)
            while len(self._made) > 1 and sum(each.facts for each in self._made.values()) > FACTS_KEPT:
                self._made.popitem(last=False)
        return self._with_holds(made)

    def _decisions(self, id_: str, lot: str) -> tuple[Stated[Decision], ...]:
        found = self._store.facts(lot=lot, agent=CENTRAL, kinds=["decision"], codes=[*MEANINGS])
        mine = stated(timeline(found), Decision)
        return tuple(d for d in mine if d.data.target.kind == DHR_TARGET and d.data.target.id == id_)

    def findings(self) -> list[Finding]:
        """Every finding of every order, the newest first."""
        return self._findings.listed()

    def finding(self, finding_id: str) -> Finding | None:
        return self._findings.get(finding_id)

    # -- deciding ------------------------------------------------------------------------------------------

    def close(self, finding_id: str, content_hash: str, user: User, act: str, reason: str) -> Finding:
        """A person closes a finding that was shown with this content hash; as it stands then. Raises as
        ``Findings.close``.
        """
        (closed,) = self.close_all({finding_id: content_hash}, user, act, reason)
        return closed

    def close_all(self, shown: Mapping[str, str], user: User, act: str, reason: str) -> list[Finding]:
        """A person closes findings with one reason, all or none. Raises as ``Findings.close``."""
        closed = self._findings.close(shown, user, act, reason)
        self._sweep_after({finding.order for finding in closed})
        return closed

    def sign(self, id_: str, meaning: str, user: User, reason: str, content_hash: str) -> SignatureLine:
        """Sign what has this content hash; the caller has just verified the person's password.

        Raises:
            Unknown: no such record. Invalid: no such meaning, a reason that is missing.
            SignatureRefused: changed since it was shown, not allowed, or something must be done first.
        """
        gone = self._given_up(id_)
        if gone is not None:
            signature.check(gone, meaning, user, reason, self._rules)
        with self._signing:  # two of one form at the same moment: the second sees the first
            made = self._make(id_)
            if made is None:
                raise Unknown(f"there is no device history record {id_}")
            record = made.record
            try:
                self._unchanged(record, content_hash)
                signature.check(record, meaning, user, reason, self._rules)
                why = Told(reason.strip())
                if meaning == "rejected":
                    why = reasons.told(self._store, "rejection", reason)
                signed = self._sign(made, meaning, user, why, reason)
            except SignatureRefused as error:
                self._note_refusal(record, user, error.code)
                raise
            self._sweep_after([order.reference for order in record.orders])
            return signed

    def _sweep_after(self, references: Iterable[str]) -> None:
        """After what a person decided is stored: who decided hears that, though the database is away by now. What
        the sweep leaves out the next one does.
        """
        with unless_away():
            self.sweep(references)

    def holds(self, record: DeviceHistoryRecord, connection: Connection | None = None) -> Sequence[Hold]:
        """What quality holds of this lot, its orders and its pieces. ``connection``: of the job that asks."""
        serials = [piece.serial for piece in record.evidence.units if piece.serial is not None]
        orders = [order.reference for order in record.orders]
        return self._holds(record.product, record.lot, orders, serials, connection)

    def _with_holds(self, made: _Made, connection: Connection | None = None) -> _Made:
        """What quality holds now keeps the lot from being released; a decided one takes no signature anyway."""
        record = made.record
        standing = () if any(b.code == DECIDED for b in record.blockers) else self.holds(record, connection)
        if not standing:
            return made
        return replace(made, record=replace(record, blockers=(*map(_blocker, standing), *record.blockers)))

    def _unchanged(self, record: DeviceHistoryRecord, content_hash: str) -> None:
        if content_hash == record.content_hash:
            return
        with self._keeping:
            shown = self._shown.get(content_hash)
        changed: list[str] = []
        if shown is not None and isinstance(record.content, dict):
            changed = changes(shown, record.content)
        raise SignatureRefused(
            f"lot {record.lot} has changed since it was shown: {', '.join(changed) or 'read it again'}",
            "content-changed",
            hint="look at it again, then sign",
            changed=changed,
        )

    def _sign(self, made: _Made, meaning: str, user: User, why: Told, reason: str) -> SignatureLine:
        record = made.record
        references = [order.reference for order in record.orders]
        seen = max(part.dossier.cursor for part in made.parts)
        decision = signature.decision(record, meaning, user, why, self._clock.now_us())

        def job(connection: Connection) -> str:
            if sql.last_of_orders(connection, references) != seen:
                raise SignatureRefused(
                    f"something about lot {record.lot} arrived at this very moment", "content-changed"
                )
            held = self._with_holds(made, connection).record  # one set since then, too: it names no order perhaps
            signature.check(held, meaning, user, reason, self._rules)
            return self._facts.state(connection, decision, product=record.product, lot=record.lot).hash

        chain_hash = self._store.write(job)
        signed = decision.signature
        if signed is None:
            raise Invalid("a decision without signature cannot sign")
        return SignatureLine(
            meaning=meaning,
            user=signed.user,
            name=signed.name,
            role=signed.role,
            signed_us=signed.signed_us,
            covers=signed.covers,
            reason=decision.reason,
            hash=chain_hash,
            current=True,
        )

    def _note_refusal(self, record: DeviceHistoryRecord, user: User, code: str) -> None:
        self._store.write(
            lambda connection: self._facts.refused(connection, user.id, f"dhr {record.id}", code, lot=record.lot)
        )

    # -- to the ERP ----------------------------------------------------------------------------------------

    def confirmation_for(self, reference: str) -> Confirmation | None:
        """What the ERP is to be told of an order; None while anything stands against it."""
        _, gone = self._place(reference)
        if gone is not None and reference in gone.orders:
            return None
        return confirmation(self._dossiers.assessment(reference))


@contextmanager
def _noted(broken: list[Exception]) -> Iterator[None]:
    """What breaks within is told later, a storage that failed at once. Of many the first: an error holds on to all
    that it was about.
    """
    try:
        yield
    except StorageFailed:
        raise
    except Exception as error:
        if not broken:
            broken.append(error)


def _record_of(connection: Connection, part: Assessment) -> str:
    product, lot = part.dossier.product, part.dossier.lot
    id_ = dhr_id(product, lot)
    while (gone := sql.given_up(connection, id_)) is not None:
        id_ = dhr_id(product, lot, after=gone.act)
    return id_


def _blocker(hold: Hold) -> Blocker:
    held = hold.held
    params: dict[str, JsonValue] = {"hold": hold.id, "kind": held.kind, "id": held.id, "reason": hold.reason}
    return Blocker("held-by-quality", params, Link("hold", hold.id))


T = TypeVar("T")


def _keep(held: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    """Put it in as the newest, let go of the oldest beyond ``most``."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > most:
        held.popitem(last=False)
