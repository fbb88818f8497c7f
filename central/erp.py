"""The one way from central to its ERP: one request at a time, one alarm per trouble, no hammering.

An ERP that refuses us (password, rights) is left alone until a person says ``try_again`` or central is started
again: more attempts would lock the account. An ERP that does not answer is polled less and less often, up to
``LONGEST_PAUSE_S``. Each change of state is a fact in central's chain, once, also over restarts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from central.facts import Facts
from central.links.base import MESSAGE_LIMIT, ErpLink
from central.store import orders as rows
from central.store.engine import Connection, Store
from records.clock import Clock
from records.errors import LotkeeperError, NotStored, Refused
from records.model import OperationsEvent

T = TypeVar("T")

LinkState = Literal["unknown", "ok", "failing", "refused"]
LONGEST_PAUSE_S = 600.0


@dataclass(frozen=True, slots=True)
class ErpStatus:
    """How the ERP answers. ``since_us`` is when this state began; ``error`` tells why it is not ok."""

    address: str
    state: LinkState
    since_us: int | None
    error: str | None


class Erp:
    """A link with its manners; safe to use from several threads."""

    def __init__(self, link: ErpLink, store: Store, facts: Facts, clock: Clock, poll_interval_s: float) -> None:
        self._link = link
        self._store = store
        self._facts = facts
        self._clock = clock
        self._poll_interval_s = poll_interval_s
        self._lock = threading.Lock()
        self._refused: Refused | None = None
        self._failures = 0
        self._not_before_s = 0.0

    def status(self) -> ErpStatus:
        with self._store.read() as connection:
            row = rows.link(connection, self._link.address)
        if row is None:
            return ErpStatus(self._link.address, "unknown", None, None)
        state: LinkState = "ok" if row.state == "ok" else "refused" if row.state == "refused" else "failing"
        return ErpStatus(self._link.address, state, row.since_us, row.error)

    @property
    def polling_due(self) -> bool:
        """False while refused, or while an ERP that does not answer is given a pause."""
        return self._refused is None and self._clock.monotonic_s() >= self._not_before_s

    def try_again(self) -> None:
        """A person has corrected the password or the rights, or wants to know now."""
        self._refused = None
        self._not_before_s = 0.0

    def poll(self, use: Callable[[ErpLink], T]) -> T:
        """Read from the ERP; how it answers becomes its state.

        Raises:
            LotkeeperError: what the link raised, after it was noted.
        """
        try:
            result = self.ask(use)
        except Refused:
            raise
        except LotkeeperError as error:
            pause_s = self._poll_interval_s * float(2 ** min(self._failures, 16))
            self._failures += 1
            self._not_before_s = self._clock.monotonic_s() + min(pause_s, LONGEST_PAUSE_S)
            self._note("failing", error)
            raise
        self._failures = 0
        self._note("ok", None)
        return result

    def ask(self, use: Callable[[ErpLink], T]) -> T:
        """Use the link.

        Raises:
            Refused: the ERP does not let us in, now or earlier. LotkeeperError: what the link or ``use`` raised.
        """
        with self._lock:
            if self._refused is not None:
                raise Refused(self._refused.message, hint=self._refused.hint)
            try:
                return use(self._link)
            except NotStored:  # our own database's, which took no note of a step
                raise
            except Refused as error:
                self._refused = error
                self._note("refused", error)
                raise

    def close(self) -> None:
        with self._lock:
            self._link.close()

    def _note(self, state: LinkState, error: LotkeeperError | None) -> None:
        """Remember a change of state and state it as a fact; nothing when it is the same as before."""
        text = None if error is None else str(error)[:MESSAGE_LIMIT]
        address = self._link.address

        def job(connection: Connection) -> None:
            known = rows.link(connection, address)
            if known is not None and known.state == state:
                return
            rows.put_link(connection, address, rows.LinkRow(state, self._clock.now_us(), text))
            if state == "failing":
                event = OperationsEvent("erp-unreachable", {"link": address, "error": text})
                self._facts.state(connection, event)
            elif state == "refused":
                event = OperationsEvent("erp-refused", {"step": "sign-in", "error": text})
                self._facts.state(connection, event)

        self._store.write(job)
