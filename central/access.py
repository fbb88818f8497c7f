"""Who may do what: accounts, sign-in, sessions, API tokens, and the password that stands behind a signature.

Accounts are never deleted and their ids never given again. Passwords are kept as argon2id hashes; cookies and
tokens only as SHA-256. Wrong passwords in a row lock an account for a while. Every act, also a refused one, is an
entry of the audit stream, written in the transaction of the act: what, by whom, when, from where.

A session or token alone never signs: a signature asks ``verify_password`` each time.
"""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import JsonValue

from central.facts import Facts
from central.store import access as sql
from central.store.engine import Connection, Store, unless_away
from records.clock import MICROSECONDS, Clock, iso_z, new_secret
from records.errors import ConfigurationError, Invalid, Refused, Unknown
from records.model import OperationsEvent

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
SEEN_STEP_S = 60.0
"""A session's last use is stored no more often than this."""
SEEN_WAIT_S = 1.0
"""So long is waited for that at most; what could not be stored by then comes later, or with the next use."""

_USER_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Role(StrEnum):
    OPERATOR = "operator"
    ENGINEER = "engineer"
    PLANNER = "planner"
    QA = "qa"
    QA_MANAGER = "qa_manager"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Capability(StrEnum):
    VIEW = "view"
    CLOSE_FINDING = "close_finding"  # close exceptions and discrepancies with a reason
    REVIEW = "review"  # sign a DHR as reviewed
    RELEASE = "release"  # sign a DHR as released or rejected
    APPROVE = "approve"  # approve the line files that production agents work by
    HOLD = "hold"  # keep units, lots, orders and machines from being worked on
    CHART = "chart"  # note causes on control charts, leave points out, propose limits and recipes
    PLAN = "plan"  # ask the ERP again, post again
    VIEW_AUDIT = "view_audit"
    ADMINISTER = "administer"  # accounts, tokens, agents


CAPABILITIES: dict[Role, frozenset[Capability]] = {
    Role.OPERATOR: frozenset({Capability.VIEW}),
    Role.ENGINEER: frozenset({Capability.VIEW, Capability.CHART, Capability.HOLD}),
    Role.PLANNER: frozenset({Capability.VIEW, Capability.PLAN}),
    Role.QA: frozenset(
        {
            Capability.VIEW,
            Capability.CLOSE_FINDING,
            Capability.REVIEW,
            Capability.APPROVE,
            Capability.HOLD,
            Capability.CHART,
            Capability.VIEW_AUDIT,
        }
    ),
    Role.QA_MANAGER: frozenset(
        {
            Capability.VIEW,
            Capability.CLOSE_FINDING,
            Capability.REVIEW,
            Capability.RELEASE,
            Capability.APPROVE,
            Capability.HOLD,
            Capability.CHART,
            Capability.VIEW_AUDIT,
        }
    ),
    Role.AUDITOR: frozenset({Capability.VIEW, Capability.VIEW_AUDIT}),
    Role.ADMIN: frozenset({Capability.VIEW, Capability.VIEW_AUDIT, Capability.ADMINISTER, Capability.PLAN}),
}


class Scope(StrEnum):
    """What a program with a token may do. ``sign`` may bring signatures, each with its person's password."""

    READ = "read"
    WRITE = "write"
    SIGN = "sign"

    def allows(self, needed: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where (an address, or ``command line``)."""

    user: str
    origin: str


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. ``locked_until_us`` is in the past or 0 when the account is not locked."""

    id: str
    name: str
    role: Role
    disabled: bool
    locked_until_us: int
    created_us: int

    def may(self, capability: Capability) -> bool:
        return not self.disabled and capability in CAPABILITIES[self.role]


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. ``ends_us``: when it ends if nothing is asked until then."""

    user: User
    began_us: int
    ends_us: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The cookie is told once and not stored."""

    cookie: str
    session: Session


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    scope: Scope
    created_us: int
    revoked: bool


class SignInRefused(Refused):
    """``reason``: ``wrong`` (user, password or account) or ``locked``."""

    def __init__(self, message: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and wrong passwords in a row."""

    idle_s: float = 1800.0
    longest_s: float = 43_200.0
    attempts: int = 5
    locked_s: float = 900.0


class Access:
    """Accounts, sessions and tokens. Its methods block (a hash takes a while): call them from a thread."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._limits = limits
        self._hasher = PasswordHasher()  # argon2id with the costs of RFC 9106, section 4, second option
        self._hashing = threading.BoundedSemaphore(2)  # each hash takes 64 MiB
        self._nobody: str | None = None

    # -- accounts --------------------------------------------------------------------------------------

    def add_user(self, user: str, role: str, password: str, *, by: Actor, name: str | None = None) -> User:
        """Open an account.

        Raises:
            ConfigurationError: no such role, an id that cannot be one, or a password that is too short.
            Refused: the id is or was somebody's.
        """
        if not _USER_ID.fullmatch(user):
            raise ConfigurationError(
                f"{user!r} cannot be a user id", hint="lower-case letters, digits, dot, dash, underscore"
            )
        if role not in list(Role):
            raise ConfigurationError(f"no role {role!r}", hint=f"roles: {', '.join(Role)}")
        password_hash = self._hash(password)

        def job(connection: Connection) -> User:
            if sql.account_of(connection, user) is not None:
                raise Refused(f"the user id {user} is or was somebody's", hint="ids are never used again")
            sql.add_account(connection, user, name or user, role, password_hash, self._clock.now_us())
            self._audit(connection, "user-added", by.origin, user=user, role=role, by=by.user)
            return _user(_existing(connection, user))

        return self._store.write(job)

    def disable_user(self, user: str, *, by: Actor) -> User:
        """Close an account for good; its sessions end at once.

        Raises:
            Unknown: no such user.
        """

        def job(connection: Connection) -> User:
            if _existing(connection, user).disabled_us is None:
                sql.disable_account(connection, user, self._clock.now_us())
                self._audit(connection, "user-disabled", by.origin, user=user, by=by.user)
            return _user(_existing(connection, user))

        return self._store.write(job)

    def change_password(self, user: str, password: str, *, by: Actor) -> User:
        """Give an account a new password and unlock it; its sessions end.

        Raises:
            Unknown: no such user. ConfigurationError: the password is too short.
        """
        password_hash = self._hash(password)

        def job(connection: Connection) -> User:
            _existing(connection, user)
            sql.set_password(connection, user, password_hash)
            self._audit(connection, "password-changed", by.origin, user=user, by=by.user)
            return _user(_existing(connection, user))

        return self._store.write(job)

    def user(self, user: str) -> User:
        """One account.

        Raises:
            Unknown: no such user. Invalid: the account was closed.
        """
        with self._store.read() as connection:
            found = _user(_existing(connection, user))
        if found.disabled:
            raise Invalid(f"the account {user} was closed")
        return found

    def users(self) -> list[User]:
        """Every account that ever was, by id."""
        with self._store.read() as connection:
            return [_user(account) for account in sql.accounts(connection)]

    # -- passwords and sessions ------------------------------------------------------------------------

    def verify_password(self, user: str, password: str, *, origin: str, target: str) -> User:
        """The person behind a signature on ``target`` (what is signed), after the password was right.

        Raises:
            SignInRefused: wrong, locked or closed; the try is in the audit stream.
        """
        return self._prove(user, password, "signature-refused", origin, {"target": target})

    def sign_in(self, user: str, password: str, *, origin: str) -> SignedIn:
        """Begin a session.

        Raises:
            SignInRefused: wrong, locked or closed; the try is in the audit stream.
        """
        person = self._prove(user, password, "sign-in-refused", origin, {})
        cookie = new_secret()
        now_us = self._clock.now_us()
        oldest_us = now_us - round(self._limits.longest_s * MICROSECONDS)

        def job(connection: Connection) -> None:
            sql.add_session(connection, _digest(cookie), person.id, now_us, oldest_us)
            self._audit(connection, "signed-in", origin, user=person.id)

        self._store.write(job)
        return SignedIn(cookie, Session(person, now_us, self._ends_us(now_us, now_us)))

    def session(self, cookie: str) -> Session | None:
        """The session of a cookie; None when there is none, it has ended, or the account was closed."""
        digest, now_us = _digest(cookie), self._clock.now_us()
        with self._store.read() as connection:
            row = sql.session_of(connection, digest)
        if (
            row is None
            or row.account.disabled_us is not None
            or now_us >= self._ends_us(row.began_us, row.seen_us)
        ):
            return None
        seen_us = row.seen_us
        if now_us - seen_us > SEEN_STEP_S * MICROSECONDS:
            seen_us = now_us
            self._note_seen(digest, now_us)
        return Session(_user(row.account), row.began_us, self._ends_us(row.began_us, seen_us))

    def _note_seen(self, digest: bytes, now_us: int) -> None:
        """Who only reads a page does not wait for what holds up all writes, nor adds to what waits there, and is
        let in while nothing can be stored.
        """
        if self._store.under_way_s > SEEN_WAIT_S:
            return
        noted = self._store.submit(lambda connection: sql.touch_session(connection, digest, now_us))
        with unless_away(), suppress(TimeoutError):
            noted.result(SEEN_WAIT_S)

    def sign_out(self, cookie: str, *, origin: str) -> None:
        """End the session of a cookie; nothing happens when there is none."""

        def job(connection: Connection) -> None:
            user = sql.end_session(connection, _digest(cookie))
            if user is not None:
                self._audit(connection, "signed-out", origin, user=user)

        self._store.write(job)

    # -- tokens ----------------------------------------------------------------------------------------

    def create_token(self, name: str, scope: str, *, by: Actor) -> str:
        """A new token for a program, told once.

        Raises:
            ConfigurationError: no such scope. Refused: the name is or was a token's.
        """
        if scope not in list(Scope):
            raise ConfigurationError(f"no scope {scope!r}", hint=f"scopes: {', '.join(Scope)}")
        token = f"lk_{new_secret()}"

        def job(connection: Connection) -> None:
            if any(row.name == name for row in sql.tokens(connection)):
                raise Refused(f"a token {name} exists or existed", hint="take another name")
            sql.add_token(connection, name, _digest(token), scope, self._clock.now_us())
            self._audit(connection, "token-created", by.origin, name=name, scope=scope, by=by.user)

        self._store.write(job)
        return token

    def revoke_token(self, name: str, *, by: Actor) -> None:
        """Make a token useless for good.

        Raises:
            Unknown: no such token.
        """

        def job(connection: Connection) -> None:
            found = next((row for row in sql.tokens(connection) if row.name == name), None)
            if found is None:
                raise Unknown(f"there is no token {name}", hint="lotkeeper-central token list shows them")
            if found.revoked_us is None:
                sql.revoke_token(connection, name, self._clock.now_us())
                self._audit(connection, "token-revoked", by.origin, name=name, by=by.user)

        self._store.write(job)

    def tokens(self) -> list[Token]:
        """Every token that ever was, by name."""
        with self._store.read() as connection:
            rows = sql.tokens(connection)
        return [Token(r.name, Scope(r.scope), r.created_us, r.revoked_us is not None) for r in rows]

    def token(self, secret: str) -> Token | None:
        """The token behind an ``Authorization: Bearer``; None when it is unknown or revoked."""
        with self._store.read() as connection:
            row = sql.token_of(connection, _digest(secret))
        if row is None or row.revoked_us is not None:
            return None
        return Token(row.name, Scope(row.scope), row.created_us, False)

    # -- within ----------------------------------------------------------------------------------------

    def _ends_us(self, began_us: int, seen_us: int) -> int:
        idle_us = round(self._limits.idle_s * MICROSECONDS)
        longest_us = round(self._limits.longest_s * MICROSECONDS)
        return min(seen_us + idle_us, began_us + longest_us)

    def _hash(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise ConfigurationError(
                f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters", hint="take a longer one"
            )
        with self._hashing:
            return self._hasher.hash(password)

    def _matches(self, password_hash: str | None, password: str) -> bool:
        """Unknown users cost the same time as known ones."""
        if password_hash is None and self._nobody is None:
            self._nobody = self._hash(new_secret())
        try:
            with self._hashing:
                self._hasher.verify(password_hash or self._nobody or "", password[:LONGEST_PASSWORD])
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def _prove(self, user: str, password: str, code: str, origin: str, params: dict[str, JsonValue]) -> User:
        with self._store.read() as connection:
            before = sql.account_of(connection, user)
        right = self._matches(None if before is None else before.password_hash, password)
        outcome = self._store.write(lambda c: self._judge(c, user, right, code, origin, params))
        if isinstance(outcome, SignInRefused):
            raise outcome
        return outcome

    def _judge(
        self,
        connection: Connection,
        user: str,
        right: bool,
        code: str,
        origin: str,
        params: dict[str, JsonValue],
    ) -> User | SignInRefused:
        """Count the try. A refusal is returned, not raised: raising would take its audit entry back."""
        now_us = self._clock.now_us()
        account = sql.account_of(connection, user)
        wrong = SignInRefused("user or password is wrong", "wrong", hint="type both again")
        if account is None or account.disabled_us is not None:
            reason = "user-unknown" if account is None else "user-disabled"
            self._audit(connection, code, origin, user=user[:64], reason=reason, **params)
            return wrong
        if now_us < account.locked_until_us:
            self._audit(connection, code, origin, user=user, reason="locked", **params)
            return _locked(user, account.locked_until_us)
        if right:
            if account.failures:
                sql.set_failures(connection, user, 0, 0)
            return _user(account)
        self._audit(connection, code, origin, user=user, reason="wrong-password", **params)
        failures = account.failures + 1
        if failures < self._limits.attempts:
            sql.set_failures(connection, user, failures, 0)
            return wrong
        until_us = now_us + round(self._limits.locked_s * MICROSECONDS)
        sql.set_failures(connection, user, 0, until_us)
        self._audit(connection, "account-locked", origin, user=user, attempts=failures)
        return _locked(user, until_us)

    def _audit(self, connection: Connection, code: str, origin: str, **params: JsonValue) -> None:
        event = OperationsEvent(code, {**params, "origin": origin})
        self._facts.state(connection, event, stream="audit")


def _locked(user: str, until_us: int) -> SignInRefused:
    return SignInRefused(
        f"the account {user} is locked until {iso_z(until_us)} after wrong passwords",
        "locked",
        hint="wait, or have an administrator set a new password",
    )


def _existing(connection: Connection, user: str) -> sql.Account:
    account = sql.account_of(connection, user)
    if account is None:
        raise Unknown(f"there is no user {user}", hint="lotkeeper-central user list shows them")
    return account


def _user(account: sql.Account) -> User:
    return User(
        account.id,
        account.name,
        Role(account.role),
        account.disabled_us is not None,
        account.locked_until_us,
        account.created_us,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
