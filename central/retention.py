"""Bodies past their retention are given up: a tombstone each, under an act that says who and why.

- Telemetry that came, and ends by its agent's clock, longer ago than ``retention.telemetry``. Trends
  are no part of a device history record; what a record needs of them is in the record itself.
- Records that came longer ago than ``retention.records``, and stand in no device history record that is younger,
  that was neither released nor rejected, or that quality holds (its lot, an order, a unit or a component's lot of
  it); nor does the judgement of one read them (``central.store.needed``).
  The records of an order go together.
- Never what central itself stated: decisions, releases, the audit trail.

Keys, digests and hashes stay, so every chain still holds and ``verify`` counts the tombstones. The act is a fact
in central's audit stream, in the same transaction as its tombstones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from pydantic import JsonValue

from central.access import Actor
from central.domain import GivenUp
from central.facts import Facts
from central.holds import known_in
from central.settings import RetentionSettings
from central.store import retention as sql
from central.store.engine import Connection, Store
from central.store.partitions import InUse, Part
from central.store.retention import Limits, Past
from central.stored import StoredFact
from records.clock import MICROSECONDS, Clock, iso_z
from records.errors import ConfigurationError
from records.model import OperationsEvent

AT_ONCE = 5000
"""Bodies that one transaction gives up."""
APPLIED = "retention-applied"


@dataclass(frozen=True, slots=True)
class Retained:
    """``held_by``: the device history record (its id) that keeps older records from being given up."""

    applied: bool
    records: int
    telemetry: int
    parts: int
    records_until_us: int
    telemetry_until_us: int
    held_by: str | None

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "applied": self.applied,
            "records": self.records,
            "telemetry": self.telemetry,
            "parts": self.parts,
            "records_until": iso_z(self.records_until_us),
            "telemetry_until": iso_z(self.telemetry_until_us),
            "held_by": self.held_by,
        }


class Retention:
    """Says what is past its retention, and gives it up when told to."""

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        settings: RetentionSettings,
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._settings = settings
        self._one = threading.Lock()

    def look(self) -> Retained:
        """What may be given up now; changes nothing."""
        limits = self._limits()
        with self._store.read() as connection:
            found = sql.past(connection, limits, _held(connection))
            records = sum(1 for _ in sql.to_give_up(connection, found))
            telemetry = sql.telemetry_before(connection, limits)
            parts = len([*sql.whole_parts(connection, limits)])
        now = found.standing
        return Retained(False, records, telemetry, parts, now.records_us, limits.telemetry_us, now.held_by)

    def apply(self, *, by: Actor, reason: str) -> Retained:
        """Give it up, some thousand bodies in a transaction.

        Raises:
            ConfigurationError: no reason was given.
        """
        why = reason.strip()
        if not why:
            raise ConfigurationError(
                "giving up records needs a reason", hint="it is kept for ever: --reason 'why'"
            )
        limits = self._limits()

        def act(
            connection: Connection,
            records: int,
            telemetry: int,
            part: Part | None,
            until_us: int,
            orders: Sequence[str] = (),
        ) -> StoredFact:
            params: dict[str, JsonValue] = {
                "records": records,
                "telemetry": telemetry,
                "table_part": None if part is None else part.name,
                "until": str(until_us),
                "orders": [*orders],
                "by": by.user,
                "origin": by.origin,
                "reason": why,
            }
            return self._facts.state(connection, OperationsEvent(APPLIED, params), stream="audit")

        def part_of(connection: Connection) -> int | None:
            """The next whole part; how many chunks it had."""
            part = next(sql.whole_parts(connection, limits), None)
            if part is None:
                return None
            count = sql.count_in(connection, part)
            stated = act(connection, 0, count, part, limits.telemetry_us)
            sql.bury_part(connection, part, by.user, stated.hash)
            return count

        def chunks(connection: Connection) -> int | None:
            rows = sql.next_telemetry(connection, limits, AT_ONCE)
            if rows:
                sql.bury(connection, rows, by.user, act(connection, 0, len(rows), None, limits.telemetry_us).hash)
            return len(rows) or None

        def bury(found: Past, rows: list[int], connection: Connection) -> bool:
            orders = sql.orders_in(connection, rows)
            if not sql.still(connection, limits, _held(connection), found, orders):
                return False
            stated = act(connection, len(rows), 0, None, found.standing.records_us, orders)
            sql.bury(connection, rows, by.user, stated.hash)
            sql.mark(connection, orders, GivenUp(stated.hash, by.user, stated.fact.header.at_us))
            return True

        with self._one:  # what is found in one transaction is given up in the next
            whole, parts = self._all(part_of)
            few, _ = self._all(chunks)
            gone = self._records(limits, bury)
        left = self.look()
        return Retained(True, gone, whole + few, parts, left.records_until_us, limits.telemetry_us, left.held_by)

    def _records(self, limits: Limits, bury: Callable[[Past, list[int], Connection], bool]) -> int:
        """Give up records, found while others write; how many. ``bury``: whether what was found still holds."""
        gone = after = 0
        found: Past | None = None
        while True:
            with self._store.read() as connection:
                found = found or sql.past(connection, limits, _held(connection))
                rows = list(islice(sql.to_give_up(connection, found, after), AT_ONCE))
            if not rows:
                return gone
            if self._store.write(partial(bury, found, rows)):
                gone, after = gone + len(rows), rows[-1]
            else:
                found, after = None, 0

    def _all(self, job: Callable[[Connection], int | None]) -> tuple[int, int]:
        """Run a job until it finds nothing more; how much it did, in how many runs."""
        done = runs = 0
        with suppress(InUse):  # a part that is being read is given up row by row, and goes with the next act
            while (count := self._store.write(job)) is not None:
                done, runs = done + count, runs + 1
        return done, runs

    def _limits(self) -> Limits:
        now_us = self._clock.now_us()
        return Limits(
            now_us,
            now_us - round(self._settings.telemetry * MICROSECONDS),
            now_us - round(self._settings.records * MICROSECONDS),
        )


def _held(connection: Connection) -> list[sql.Held]:
    """What quality holds, as this very connection sees it: a job also what another of its transaction stated."""
    return [(one.held.kind, one.held.id, one.held.product) for one in known_in(connection) if one.stands]
