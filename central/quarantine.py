"""Where that goes which cannot be taken as a record: kept with its bytes, bounded, and stated as a fact.

The same payload sent again is kept and stated once. When quarantine is full, for one agent or as a whole, later
payloads are counted, and one fact says so: a broken agent hides nothing of the others. For conflicts, which are
kept beside what is held, the same limits hold on their own: what came first stays.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Literal

from central.facts import Facts
from central.store import envelopes, intake
from central.store.engine import Connection, Store
from central.store.intake import Conflict, Quarantined
from central.stored import StoredFact
from records.clock import Clock
from records.model import OperationsEvent
from records.trouble import Trouble
from records.wire import Envelope

Reason = Literal[
    "not-a-frame",  # garbage, cut short, too large
    "unknown-agent",  # nobody of that name is enrolled
    "signature",  # chain or signature does not verify
    "topic",  # sent under another agent's or stream's topic
    "body",  # committed, but its body is no record that this central knows
    "head",  # a state message that is no signed head
    "request",  # a request that nobody here answers, or one that was played again
    "quarantine-full",  # from here on only counted
    "conflicts-full",  # from here on conflicts are only counted
]

LIMIT = 10_000
"""Most payloads that are kept, and most conflicts."""

LIMIT_EACH = 1_000
"""Most of either from one agent, and payloads from all that nobody enrolled together."""

LIMIT_OF_RECORD = 10
"""Most conflicts about one record: one that comes with ever other contents leaves room for all others."""

Detail = str | Trouble
"""What was wrong: in English only, or for any language."""

KEPT_BYTES = 64 * 1024
"""How much of one payload is kept."""

KEPT_DETAIL = 1000
"""Characters of a detail that are kept; a longer one in English only."""

KEPT_TOPIC = 1000
"""Bytes of a topic that are kept: an index has to hold them."""


class Quarantine:
    """Keeps what was refused. ``dropped`` counts the payloads that came after it was full, ``conflicts_dropped``
    the conflicts that came after so many were kept.
    """

    def __init__(
        self, store: Store, facts: Facts, clock: Clock, *, limit: int = LIMIT, limit_each: int = LIMIT_EACH
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._limit = limit
        self._limit_each = limit_each
        self._full: dict[str | None, StoredFact] = {}  # whose share, since this start, and where that was stated
        self._conflicts_full: dict[str | None, StoredFact] = {}  # agents; the same
        self.dropped = 0
        self.conflicts_dropped = 0

    def refuse(
        self,
        topic: str,
        agent: str | None,
        reason: Reason,
        detail: Detail,
        payload: bytes,
    ) -> tuple[StoredFact, ...]:
        """Keep a payload of which nothing is taken; the fact that says so, unless it was said before."""

        def job(connection: Connection) -> tuple[StoredFact, ...]:
            row = self._row(topic, agent, reason, detail, payload, None)
            if intake.quarantine_known(connection, row.topic, row.digest, row.reason):
                return ()
            return self._keep(connection, row)

        return self._store.write(job)

    def poison(
        self,
        connection: Connection,
        topic: str,
        item: Envelope,
        body: bytes,
        detail: Detail,
        cursor: int,
    ) -> tuple[StoredFact, ...]:
        """Keep a committed record's body that nobody can read, within the job that commits it."""
        place = f"{topic}#{item.epoch}/{item.seq}"
        row = self._row(place, item.agent, "body", detail, body, cursor)
        return self._keep(connection, row, item.epoch, item.seq)

    def _keep(
        self, connection: Connection, row: Quarantined, epoch: str | None = None, seq: int | None = None
    ) -> tuple[StoredFact, ...]:
        """Keep it where there is room; the fact to be told."""
        stranger = row.reason == "unknown-agent"
        source = None if stranger else row.agent
        if _is_stated(connection, self._full.get(source)):
            self.dropped += 1
            return ()
        share = intake.quarantine_share(connection, source, strangers=stranger)
        if share < self._limit_each and intake.quarantine_rows(connection) < self._limit:
            intake.add_quarantined(connection, row)
            return (self._state(connection, row, epoch, seq),)
        self.dropped += 1
        self._full[source] = self._state(connection, replace(row, reason="quarantine-full"), epoch, seq)
        return (self._full[source],)

    def conflict(self, connection: Connection, found: Conflict, body: bytes | None) -> tuple[StoredFact, ...]:
        """Keep what was offered beside what is held, within a job; the fact, unless it was said before."""
        if intake.conflict_known(connection, found):
            return ()
        full = _is_stated(connection, self._conflicts_full.get(found.agent))
        if full or intake.conflicts_of_record(connection, found) >= LIMIT_OF_RECORD:
            self.conflicts_dropped += 1
            return ()
        share, rows = intake.conflict_rows(connection, found.agent)
        if share >= self._limit_each or rows >= self._limit:
            self.conflicts_dropped += 1
            offered = b"" if body is None else body
            row = self._row("", found.agent, "conflicts-full", "", offered, None)
            self._conflicts_full[found.agent] = self._state(connection, row, found.epoch, found.seq)
            return (self._conflicts_full[found.agent],)
        intake.add_conflict(connection, found, body)
        event = OperationsEvent(
            "conflict",
            {
                "agent": found.agent,
                "epoch": found.epoch,
                "stream": found.stream,
                "seq": str(found.seq),
                "held": found.held,
                "offered": found.offered,
            },
        )
        return (self._facts.state(connection, event),)

    def _state(
        self, connection: Connection, row: Quarantined, epoch: str | None = None, seq: int | None = None
    ) -> StoredFact:
        event = OperationsEvent(
            "quarantined",
            {
                "agent": row.agent,
                "reason": row.reason,
                "bytes": row.size,
                "digest": row.digest,
                "epoch": epoch,
                "seq": None if seq is None else str(seq),
            },
        )
        return self._facts.state(connection, event)

    def _row(
        self,
        topic: str,
        agent: str | None,
        reason: Reason,
        detail: Detail,
        payload: bytes,
        cursor: int | None,
    ) -> Quarantined:
        text = str(detail)
        return Quarantined(
            0,
            topic.encode(errors="ignore")[:KEPT_TOPIC].decode(errors="ignore"),
            None if agent is None else agent[:100],
            reason,
            text[:KEPT_DETAIL],
            hashlib.sha256(payload).hexdigest(),
            len(payload),
            payload[:KEPT_BYTES],
            cursor,
            self._clock.now_us(),
            detail.to_json() if isinstance(detail, Trouble) and len(text) <= KEPT_DETAIL else None,
        )


def _is_stated(connection: Connection, told: StoredFact | None) -> bool:
    """Whether it stands in the chain: the transaction that stated it may have been taken back."""
    if told is None:
        return False
    held = envelopes.hashes(connection, told.agent, told.epoch, told.stream, told.seq, told.seq)
    return held.get(told.seq) == bytes.fromhex(told.hash)
