"""SQL of accounts, sessions, API tokens and the answers to requests that carried an idempotency key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    delete,
    select,
    update,
)

from central.store.schema import metadata
from central.store.types import Text

account = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True),  # never deleted, so never given to somebody else
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger, nullable=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until_us", BigInteger, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie
    Column("account", Text, ForeignKey("account.id"), nullable=False),
    Column("began_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Index(None, "account"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the token
    Column("scope", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger, nullable=True),
)

answer = Table(
    "answer",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", LargeBinary(32), nullable=False),  # SHA-256 over method, path and body
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "created_us"),
)


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    role: str
    password_hash: str
    created_us: int
    disabled_us: int | None
    failures: int
    locked_until_us: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    account: Account
    began_us: int
    seen_us: int


@dataclass(frozen=True, slots=True)
class TokenRow:
    name: str
    scope: str
    created_us: int
    revoked_us: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to the first request with this idempotency key."""

    request: bytes
    status: int
    body: bytes


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        row.id,
        row.name,
        row.role,
        row.password_hash,
        row.created_us,
        row.disabled_us,
        row.failures,
        row.locked_until_us,
    )


# -- accounts ----------------------------------------------------------------------------------------------


def account_of(connection: Connection, user: str) -> Account | None:
    row = connection.execute(select(account).where(account.c.id == user)).one_or_none()
    return None if row is None else _account(row)


def accounts(connection: Connection) -> list[Account]:
    """Every account that ever was, by id."""
    return [_account(row) for row in connection.execute(select(account).order_by(account.c.id))]


def add_account(connection: Connection, user: str, name: str, role: str, password_hash: str, now_us: int) -> None:
    connection.execute(
        account.insert().values(
            id=user,
            name=name,
            role=role,
            password_hash=password_hash,
            created_us=now_us,
            disabled_us=None,
            failures=0,
            locked_until_us=0,
        )
    )


def disable_account(connection: Connection, user: str, now_us: int) -> None:
    """Close an account for good and end its sessions."""
    connection.execute(update(account).where(account.c.id == user).values(disabled_us=now_us))
    connection.execute(delete(session).where(session.c.account == user))


def set_password(connection: Connection, user: str, password_hash: str) -> None:
    """A new password; the account is unlocked and its sessions end."""
    connection.execute(
        update(account)
        .where(account.c.id == user)
        .values(password_hash=password_hash, failures=0, locked_until_us=0)
    )
    connection.execute(delete(session).where(session.c.account == user))


def set_failures(connection: Connection, user: str, failures: int, locked_until_us: int) -> None:
    connection.execute(
        update(account).where(account.c.id == user).values(failures=failures, locked_until_us=locked_until_us)
    )


# -- sessions ----------------------------------------------------------------------------------------------


def add_session(connection: Connection, digest: bytes, user: str, now_us: int, oldest_us: int) -> None:
    """Begin a session, and forget those that began before ``oldest_us``."""
    connection.execute(delete(session).where(session.c.began_us < oldest_us))
    connection.execute(session.insert().values(digest=digest, account=user, began_us=now_us, seen_us=now_us))


def session_of(connection: Connection, digest: bytes) -> SessionRow | None:
    row = connection.execute(
        select(account, session.c.began_us, session.c.seen_us)
        .join(session, session.c.account == account.c.id)
        .where(session.c.digest == digest)
    ).one_or_none()
    return None if row is None else SessionRow(_account(row), row.began_us, row.seen_us)


def touch_session(connection: Connection, digest: bytes, now_us: int) -> None:
    connection.execute(update(session).where(session.c.digest == digest).values(seen_us=now_us))


def end_session(connection: Connection, digest: bytes) -> str | None:
    """The id of the account whose session ended; None when there was none."""
    user = connection.execute(select(session.c.account).where(session.c.digest == digest)).scalar()
    connection.execute(delete(session).where(session.c.digest == digest))
    return user


# -- tokens ------------------------------------------------------------------------------------------------


def add_token(connection: Connection, name: str, digest: bytes, scope: str, now_us: int) -> None:
    connection.execute(
        api_token.insert().values(name=name, digest=digest, scope=scope, created_us=now_us, revoked_us=None)
    )


def token_of(connection: Connection, digest: bytes) -> TokenRow | None:
    row = connection.execute(select(api_token).where(api_token.c.digest == digest)).one_or_none()
    return None if row is None else TokenRow(row.name, row.scope, row.created_us, row.revoked_us)


def tokens(connection: Connection) -> list[TokenRow]:
    rows = connection.execute(select(api_token).order_by(api_token.c.name))
    return [TokenRow(row.name, row.scope, row.created_us, row.revoked_us) for row in rows]


def revoke_token(connection: Connection, name: str, now_us: int) -> None:
    connection.execute(update(api_token).where(api_token.c.name == name).values(revoked_us=now_us))


# -- idempotency keys --------------------------------------------------------------------------------------


def answer_of(connection: Connection, principal: str, key: str) -> Answer | None:
    row = connection.execute(
        select(answer).where(answer.c.principal == principal, answer.c.key == key)
    ).one_or_none()
    return None if row is None else Answer(row.request, row.status, row.body)


def keep_answer(
    connection: Connection, principal: str, key: str, given: Answer, now_us: int, oldest_us: int
) -> None:
    """Remember an answer, and forget those given before ``oldest_us``."""
    connection.execute(delete(answer).where(answer.c.created_us < oldest_us))
    connection.execute(
        answer.insert().values(
            principal=principal,
            key=key,
            request=given.request,
            status=given.status,
            body=given.body,
            created_us=now_us,
        )
    )
