"""SQL of what is to be reported to the ERP: one message per order, the steps done, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    Table,
    insert,
    select,
    update,
)

from central.links.base import Confirmation, ErpDifference, PostingState, StepOutcome
from central.store.schema import metadata
from central.store.types import Text

erp_message = Table(
    "erp_message",
    metadata,
    Column("key", Text, primary_key=True),
    Column("work_order", Text, nullable=False, unique=True),  # one report per order, for ever
    Column("body", Text, nullable=False),  # the Confirmation as JSON
    Column("state", Text, nullable=False),  # pending, posting, posted, refused
    Column("attempts", Integer, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("step", Text, nullable=True),  # where it was refused
    Column("error", Text, nullable=True),
    Column("differences", Text, nullable=True),  # JSON; null until the ERP was read back
)

erp_step = Table(
    "erp_step",
    metadata,
    Column("key", Text, ForeignKey("erp_message.key"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("outcome", Text, nullable=False),  # written, found
    Column("at_us", BigInteger, nullable=False),
)

_BODY = TypeAdapter(Confirmation)
_DIFFERENCES = TypeAdapter(tuple[ErpDifference, ...])


@dataclass(frozen=True, slots=True)
class DoneStep:
    step: str
    outcome: StepOutcome
    at_us: int


@dataclass(frozen=True, slots=True)
class Message:
    """One report to the ERP. ``differences`` is None until the ERP was read back after posting."""

    confirmation: Confirmation
    state: PostingState
    attempts: int
    next_us: int
    created_us: int
    changed_us: int
    step: str | None
    error: str | None
    differences: tuple[ErpDifference, ...] | None

    @property
    def key(self) -> str:
        return self.confirmation.key

    @property
    def order(self) -> str:
        return self.confirmation.order


def add(connection: Connection, confirmation: Confirmation, now_us: int) -> None:
    """A new message, ready to be posted.

    Raises:
        IntegrityError: this order or key has one already.
    """
    connection.execute(
        insert(erp_message).values(
            key=confirmation.key,
            work_order=confirmation.order,
            body=_BODY.dump_json(confirmation).decode(),
            state="pending",
            attempts=0,
            next_us=0,
            created_us=now_us,
            changed_us=now_us,
        )
    )


def message(connection: Connection, order: str) -> Message | None:
    row = connection.execute(select(erp_message).where(erp_message.c.work_order == order)).first()
    return None if row is None else _message(row)


def messages(connection: Connection) -> list[Message]:
    """All, the oldest first."""
    return [_message(row) for row in connection.execute(select(erp_message).order_by(erp_message.c.created_us))]


def begin(connection: Connection, key: str, now_us: int) -> None:
    """Committed before the first request: whoever finds it later knows that the ERP may have changed."""
    _change(connection, key, state="posting", attempts=erp_message.c.attempts + 1, changed_us=now_us)


def postpone(connection: Connection, key: str, next_us: int, now_us: int, error: str) -> None:
    _change(connection, key, next_us=next_us, changed_us=now_us, error=error)


def refuse(connection: Connection, key: str, step: str, error: str, now_us: int) -> None:
    _change(connection, key, state="refused", changed_us=now_us, step=step, error=error)


def finish(connection: Connection, key: str, differences: tuple[ErpDifference, ...], now_us: int) -> None:
    body = _DIFFERENCES.dump_json(differences).decode()
    _change(connection, key, state="posted", changed_us=now_us, step=None, error=None, differences=body)


def renew(connection: Connection, confirmation: Confirmation, now_us: int) -> None:
    """A refused message gets another chance, with what is to be reported now."""
    body = _BODY.dump_json(confirmation).decode()
    _change(connection, confirmation.key, state="pending", next_us=0, changed_us=now_us, body=body)


def steps(connection: Connection, key: str) -> list[DoneStep]:
    rows = connection.execute(select(erp_step).where(erp_step.c.key == key).order_by(erp_step.c.at_us))
    return [DoneStep(row.step, row.outcome, row.at_us) for row in rows]


def add_step(connection: Connection, key: str, step: str, outcome: StepOutcome, now_us: int) -> bool:
    """Remember a step's first outcome; False when it is known already."""
    known = select(erp_step.c.step).where(erp_step.c.key == key, erp_step.c.step == step)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(insert(erp_step).values(key=key, step=step, outcome=outcome, at_us=now_us))
    return True


def _change(connection: Connection, key: str, **values: object) -> None:
    connection.execute(update(erp_message).where(erp_message.c.key == key).values(**values))


def _message(row: Row[tuple[object, ...]]) -> Message:
    return Message(
        _BODY.validate_json(row.body),
        row.state,
        row.attempts,
        row.next_us,
        row.created_us,
        row.changed_us,
        row.step,
        row.error,
        None if row.differences is None else _DIFFERENCES.validate_json(row.differences),
    )
