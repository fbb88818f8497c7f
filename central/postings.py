"""Reports to the ERP, each effective exactly once, whatever is killed or lost on the way.

A report is committed here before the ERP hears of it, and never changes once it is begun. The link reads before
it writes, so a report that was cut is simply begun again. Each step that the ERP holds is an ``erp-posted`` fact,
once. After the last step the ERP is read back and compared with what was reported; differences stay with the
report and become a discrepancy. A refusal by one of the ERP's rules stops the report until a person acts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from central.erp import LONGEST_PAUSE_S, Erp
from central.facts import Facts
from central.links.base import (
    MESSAGE_LIMIT,
    Confirmation,
    ErpDifference,
    ErpLink,
    ErpRefused,
    PostingState,
    StepOutcome,
    differences,
)
from central.store import erp_outbox
from central.store.engine import Connection, Store
from central.store.erp_outbox import DoneStep, Message
from records.clock import MICROSECONDS, Clock
from records.errors import Invalid, LotkeeperError, NotStored, Refused, StorageFailed
from records.model import OperationsEvent

FIRST_PAUSE_S = 5.0
READ_BACK = "read-back"


@dataclass(frozen=True, slots=True)
class Posting:
    """How far one report is. ``differences`` is None until the ERP was read back; () when it agrees."""

    confirmation: Confirmation
    state: PostingState
    attempts: int
    changed_us: int
    refused_step: str | None
    error: str | None
    steps: tuple[DoneStep, ...]
    differences: tuple[ErpDifference, ...] | None

    @property
    def order(self) -> str:
        return self.confirmation.order


class Postings:
    """The reports of all orders; one worker at a time goes on with them."""

    def __init__(self, store: Store, facts: Facts, clock: Clock) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock

    def get(self, order: str, connection: Connection) -> Posting | None:
        message = erp_outbox.message(connection, order)
        return None if message is None else _posting(connection, message)

    def list(self) -> Sequence[Posting]:
        """All, the oldest first."""
        with self._store.read() as connection:
            return tuple(_posting(connection, message) for message in erp_outbox.messages(connection))

    def add(self, confirmation: Confirmation) -> None:
        """A new report; nothing when the order has one already."""

        def job(connection: Connection) -> None:
            if erp_outbox.message(connection, confirmation.order) is None:
                erp_outbox.add(connection, confirmation, self._clock.now_us())

        self._store.write(job)

    def renew(self, order: str, confirmation: Confirmation | None) -> None:
        """Post a refused report again, or what replaces it under the same key.

        Raises:
            Invalid: there is no refused report of this order, or the key is another.
        """

        def job(connection: Connection) -> None:
            message = erp_outbox.message(connection, order)
            if message is None or message.state != "refused":
                raise Invalid(f"no report of order {order} was refused")
            renewed = confirmation or message.confirmation
            if renewed.key != message.key:
                raise Invalid(f"the report of order {order} has the key {message.key}, not {renewed.key}")
            erp_outbox.renew(connection, renewed, self._clock.now_us())

        self._store.write(job)

    def work(self, erp: Erp) -> Sequence[Posting]:
        """Go on with everything that is due; stops early when the ERP does not let us in."""
        with self._store.read() as connection:
            waiting = [m for m in erp_outbox.messages(connection) if m.state in ("pending", "posting")]
        worked: Sequence[Posting] = ()
        for message in waiting:
            if message.next_us > self._clock.now_us():
                continue
            let_in = self._post(erp, message)
            with self._store.read() as connection:
                posting = self.get(message.order, connection)
            if posting is not None:
                worked = (*worked, posting)
            if not let_in:
                break
        return worked

    def _post(self, erp: Erp, message: Message) -> bool:
        """One attempt; False when the ERP does not let us in."""
        confirmation = message.confirmation
        log = _Log(self, confirmation)
        self._write(lambda connection: erp_outbox.begin(connection, message.key, self._clock.now_us()))

        def use(link: ErpLink) -> tuple[ErpDifference, ...]:
            link.post(confirmation, log)
            return tuple(differences(confirmation, link.read_back(confirmation.erp_id)))

        try:
            found = erp.ask(use)
        except ErpRefused as error:
            self._refused(confirmation, error)
        except (NotStored, StorageFailed):  # our own database's
            raise
        except Refused as error:
            self._postpone(message, error)
            return False
        except LotkeeperError as error:
            self._postpone(message, error)
        else:
            self._posted(confirmation, found)
        return True

    def _postpone(self, message: Message, error: LotkeeperError) -> None:
        now_us = self._clock.now_us()
        pause_s = min(FIRST_PAUSE_S * float(2 ** min(message.attempts, 16)), LONGEST_PAUSE_S)
        next_us = now_us + round(pause_s * MICROSECONDS)
        text = str(error)[:MESSAGE_LIMIT]
        self._write(lambda connection: erp_outbox.postpone(connection, message.key, next_us, now_us, text))

    def _refused(self, confirmation: Confirmation, error: ErpRefused) -> None:
        def job(connection: Connection) -> None:
            erp_outbox.refuse(connection, confirmation.key, error.step, str(error), self._clock.now_us())
            self._state(connection, "erp-refused", confirmation, error.step, error=error.message)

        self._write(job)

    def _posted(self, confirmation: Confirmation, found: tuple[ErpDifference, ...]) -> None:
        def job(connection: Connection) -> None:
            erp_outbox.finish(connection, confirmation.key, found, self._clock.now_us())
            self._state(connection, "erp-posted", confirmation, READ_BACK)

        self._write(job)

    def step_done(self, confirmation: Confirmation, step: str, outcome: StepOutcome) -> None:
        """Remember a step that the ERP holds and state it, the first time."""

        def job(connection: Connection) -> None:
            if erp_outbox.add_step(connection, confirmation.key, step, outcome, self._clock.now_us()):
                self._state(connection, "erp-posted", confirmation, step)

        self._write(job)

    def _state(self, connection: Connection, code: str, about: Confirmation, step: str, **more: str) -> None:
        event = OperationsEvent(
            code, {"order": about.order, "message": about.key, "step": step, **more}, order=about.order
        )
        self._facts.state(connection, event, order=about.order, product=about.product)

    def _write(self, job: Callable[[Connection], None]) -> None:
        self._store.write(job)


class _Log:
    """The link's ``StepLog``: what is done is on disk before the next step begins."""

    def __init__(self, postings: Postings, confirmation: Confirmation) -> None:
        self._postings = postings
        self._confirmation = confirmation

    def begin(self, step: str) -> None:
        """Nothing to remember: the link reads the ERP to see where it is."""

    def done(self, step: str, outcome: StepOutcome) -> None:
        self._postings.step_done(self._confirmation, step, outcome)


def _posting(connection: Connection, message: Message) -> Posting:
    return Posting(
        message.confirmation,
        message.state,
        message.attempts,
        message.changed_us,
        message.step,
        message.error,
        tuple(erp_outbox.steps(connection, message.key)),
        message.differences,
    )
