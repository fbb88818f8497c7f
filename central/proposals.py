"""Recipes and limit sets: versioned, proposed by one person, approved by another, issued to the lines.

Both are nothing but decisions in central's chain. ``propose`` holds the whole content; ``approve`` and
``withdraw`` are signed and name the content by hash. Nothing is overwritten: a later version of a key stands
beside the earlier one, from the time on that its approval names. What lines get is a document made of the approved
ones, issued in the transaction of the decision, so that a restart issues nothing twice.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from central.access import Capability, User
from central.facts import Facts
from central.judgement import opaque_id
from central.signature import REASON_MAX, SignatureRefused
from central.store import documents
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.clock import Clock, iso_z
from records.errors import Invalid, Refused, Unknown
from records.model import Act, Decision, Person, Signature, Target
from records.wire import CENTRAL, Document, canonical_json

Kind = Literal["recipe", "limit-set"]
State = Literal["proposed", "approved", "superseded", "withdrawn"]

EVERY_AGENT = "*"
ACTS = {"approve": Act.APPROVE, "withdraw": Act.WITHDRAW}


@dataclass(frozen=True, slots=True)
class Proposed:
    """One version of a recipe or limit set.

    ``key`` is what it is for, the same for all of its versions. ``state`` superseded: approved, and a later
    version is in effect. ``effective_us``: from when on it holds, once approved. ``hash`` is the proposal's in
    central's chain, ``decided_hash`` that of the newest decision about it.
    """

    kind: Kind
    key: str
    version: int
    content: dict[str, JsonValue]
    author: str
    proposed_us: int
    reason: str
    hash: str
    state: State = "proposed"
    effective_us: int | None = None
    approver: str | None = None
    decided_by: str | None = None
    decided_us: int | None = None
    decided_reason: str | None = None
    decided_hash: str | None = None

    @property
    def id(self) -> str:
        """For addresses: 24 hexadecimal digits."""
        return opaque_id(self.kind, self.key, str(self.version))

    @property
    def name(self) -> str:
        """As decisions name it."""
        return f"{self.key}:{self.version}"

    @property
    def standing(self) -> str:
        """The state as it was decided, whatever came into effect since."""
        return "approved" if self.state == "superseded" else self.state

    @property
    def signed(self) -> JsonValue:
        """What a signature covers."""
        return {
            "kind": self.kind,
            "key": self.key,
            "version": self.version,
            "proposal": self.hash,
            "content": self.content,
            "state": self.standing,
        }

    @property
    def content_hash(self) -> str:
        """SHA-256 (hexadecimal) of what a signature covers."""
        return hashlib.sha256(canonical_json(self.signed)).hexdigest()

    def to_json(self) -> dict[str, JsonValue]:
        """What the interface and the command line show of it."""
        return {
            "id": self.id,
            "key": self.key,
            "version": self.version,
            "state": self.state,
            "author": self.author,
            "proposed_at": iso_z(self.proposed_us),
            "proposal_reason": self.reason,
            "effective_from": iso_z(self.effective_us),
            "approved_by": self.approver,
            "decided_by": self.decided_by,
            "decided_at": iso_z(self.decided_us),
            "decision_reason": self.decided_reason,
            "content_hash": self.content_hash,
            "record": self.hash,
            "content": self.content,
        }


Issue = Callable[[Proposed, Sequence[Proposed]], tuple[str, str, JsonValue]]
"""From what was decided about, and everything approved that is in effect or will be, the document's kind, id and
content (None withdraws it)."""


class Proposals:
    """All versions of one kind. ``tell(agent, document)`` brings the lines what is approved (``*``: all of them).

    ``four_eyes``: whoever proposed a version may not approve it.
    """

    def __init__(
        self,
        kind: Kind,
        store: Store,
        facts: Facts,
        clock: Clock,
        tell: Callable[[str, Document], None],
        issue: Issue,
        *,
        four_eyes: bool = True,
    ) -> None:
        self._kind, self._store, self._facts, self._clock = kind, store, facts, clock
        self._tell, self._issue, self._four_eyes = tell, issue, four_eyes
        self._known: dict[str, Proposed] = {}
        self._read_through = 0
        self._reading = threading.Lock()
        self._deciding = threading.Lock()

    # -- reading -------------------------------------------------------------------------------------------

    def listed(self) -> list[Proposed]:
        """Every version, by key, the newest first."""
        with self._reading:
            self._read_on()
            return self._told()

    def _told(self) -> list[Proposed]:
        known = self._known.values()
        current = {id(one) for one in standing(known, self._clock.now_us())}
        told = [
            one if one.state != "approved" or id(one) in current else replace(one, state="superseded")
            for one in known
        ]
        return sorted(told, key=lambda one: (one.key, -one.version))

    def get(self, id_: str) -> Proposed | None:
        """The version with this id, or with this name (``KEY:VERSION``)."""
        return next((one for one in self.listed() if id_ in (one.id, one.name)), None)

    def _read_on(self) -> None:
        """Take in what was decided since the last time."""
        codes = [act.value for act in (Act.PROPOSE, Act.APPROVE, Act.WITHDRAW)]
        for fact in self._store.facts(agent=CENTRAL, codes=codes, after=self._read_through):
            self._read_through = max(self._read_through, fact.cursor)
            self._take(fact)

    def _take(self, fact: StoredFact) -> None:
        decision = fact.fact.data
        if not isinstance(decision, Decision) or decision.target.kind != self._kind:
            return
        told = decision.new if isinstance(decision.new, dict) else {}
        at_us, name = fact.fact.header.at_us, decision.target.id
        if decision.act is Act.PROPOSE:
            content = told.get("content")
            key, _, version = name.rpartition(":")
            self._known[name] = Proposed(
                self._kind,
                key,
                int(version),
                content if isinstance(content, dict) else {},
                decision.by.id,
                at_us,
                decision.reason,
                fact.hash,
            )
            return
        one = self._known[name]
        one = replace(
            one,
            decided_by=decision.by.id,
            decided_us=at_us,
            decided_reason=decision.reason,
            decided_hash=fact.hash,
        )
        if decision.act is Act.WITHDRAW:
            self._known[name] = replace(one, state="withdrawn")
        else:
            effective_us = int(str(told.get("effective_us", at_us)))
            self._known[name] = replace(one, state="approved", approver=decision.by.id, effective_us=effective_us)

    # -- deciding ------------------------------------------------------------------------------------------

    def propose(self, key: str, make: Callable[[int], dict[str, JsonValue]], user: User, reason: str) -> Proposed:
        """Add the next version of a key; ``make`` gives its content, told the version's number.

        The same proposal of the same person, sent again while it waits, is the one that waits.

        Raises:
            Refused: no right. Invalid: no reason; or what ``make`` raises.
        """
        if not user.may(Capability.CHART):
            raise Refused(f"{user.id} ({user.role.value}) may not propose a {self._kind}")
        _check_reason(reason)
        with self._deciding:
            newest = next((one for one in self.listed() if one.key == key), None)
            if newest is not None and _sent_again(newest, make, user, reason.strip()):
                return newest
            version = 1 if newest is None else newest.version + 1
            decision = Decision(
                Act.PROPOSE,
                Target(self._kind, f"{key}:{version}"),
                Person(user.id, user.role.value),
                reason.strip(),
                new={"state": "proposed", "content": make(version)},
            )
            stated = self._store.write(lambda connection: self._facts.state(connection, decision))
            return self._as_of(stated, f"{key}:{version}")

    def decide(
        self,
        id_: str,
        act: str,
        user: User,
        reason: str,
        content_hash: str,
        effective_us: int | None = None,
    ) -> Proposed:
        """Approve a version or withdraw it; the caller has just verified the person's password.

        ``effective_us``: from when on an approved version holds; None: from now.

        Raises:
            Unknown: no such version. Invalid: no such act, no reason. SignatureRefused: no right, the author's
            own, not as it was shown.
        """
        with self._deciding:
            one = self._found(id_)
            if act not in ACTS:
                raise Invalid(f"{act!r} is no act on a {self._kind}", hint=f"acts: {', '.join(ACTS)}")
            _check_reason(reason)
            if effective_us is not None and (act, self._kind) != ("approve", "limit-set"):
                raise Invalid("only the approval of a limit set may say from when on it holds")
            try:
                self._check(one, act, user, content_hash)
            except SignatureRefused as error:
                self._note_refusal(one, user, error.code)
                raise
            stated, document = self._store.write(
                lambda connection: self._decide(connection, one, act, user, reason.strip(), effective_us)
            )
            if document is not None:
                self._tell(EVERY_AGENT, document)
            return self._as_of(stated, one.name)

    def _as_of(self, stated: StoredFact, name: str) -> Proposed:
        """The version as of the commit of what was just stated of it: nothing is asked of the database after that.
        Called while nobody else decides.
        """
        with self._reading:
            self._take(stated)  # and once more when it is read on
            return next(one for one in self._told() if one.name == name)

    def _found(self, id_: str) -> Proposed:
        one = self.get(id_)
        if one is None:
            raise Unknown(f"there is no {self._kind} {id_}")
        return one

    def _check(self, one: Proposed, act: str, user: User, content_hash: str) -> None:
        if not user.may(Capability.APPROVE):
            raise SignatureRefused(f"{user.id} ({user.role.value}) may not approve a {self._kind}", "not-allowed")
        if content_hash != one.content_hash:
            raise SignatureRefused(f"{one.name} is not as it was shown", "content-changed")
        if one.state == "withdrawn" or (act == "approve" and one.state != "proposed"):
            raise SignatureRefused(
                f"{one.name} is {one.state}", "content-changed", hint="propose a further version"
            )
        if act == "approve" and self._four_eyes and user.id == one.author:
            raise SignatureRefused(
                f"{user.id} proposed {one.name} and may not approve it", "same-person", hint="ask another person"
            )

    def _decide(
        self,
        connection: Connection,
        one: Proposed,
        act: str,
        user: User,
        reason: str,
        effective_us: int | None,
    ) -> tuple[StoredFact, Document | None]:
        now_us = self._clock.now_us()
        begins_us = now_us if effective_us is None else effective_us
        signature = Signature(user.id, user.name, act, now_us, one.content_hash, role=user.role.value)
        after = "approved" if act == "approve" else "withdrawn"
        new: dict[str, JsonValue] = {"state": after, "content": one.signed}
        if act == "approve":
            new["effective_us"] = str(begins_us)
        decision = Decision(
            ACTS[act],
            Target(self._kind, one.name, one.hash),
            Person(user.id, user.role.value),
            reason,
            old=one.standing,
            new=new,
            signature=signature,
        )
        stated = self._facts.state(connection, decision)
        if one.state == "proposed" and act == "withdraw":
            return stated, None  # no line ever heard of it
        with self._reading:
            others = [other for other in self._known.values() if other.name != one.name]
        if act == "approve":
            others.append(replace(one, state="approved", effective_us=begins_us, approver=user.id))
        return stated, self._document(connection, one, standing(others, now_us))

    def _document(self, connection: Connection, one: Proposed, valid: Sequence[Proposed]) -> Document | None:
        kind, name, content = self._issue(one, valid)
        newest = documents.newest(connection, kind, name)
        if newest is None if content is None else (newest is not None and newest.content == content):
            return None
        return self._facts.issue(connection, kind, name, content)

    def _note_refusal(self, one: Proposed, user: User, code: str) -> None:
        target = f"{self._kind} {one.name}"
        self._store.write(lambda connection: self._facts.refused(connection, user.id, target, code))


def standing(known: Iterable[Proposed], now_us: int) -> list[Proposed]:
    """The approved versions that hold now or will: of each key the one in effect, and those to come."""
    by_key: dict[str, list[Proposed]] = {}
    for one in known:
        if one.state == "approved":
            by_key.setdefault(one.key, []).append(one)
    found = []
    for versions in by_key.values():
        ordered = sorted(versions, key=lambda one: (one.effective_us or 0, one.version))
        in_effect = [one for one in ordered if (one.effective_us or 0) <= now_us][-1:]
        found += in_effect + [one for one in ordered if (one.effective_us or 0) > now_us]
    return sorted(found, key=lambda one: (one.key, one.effective_us or 0, one.version))


def _sent_again(newest: Proposed, make: Callable[[int], dict[str, JsonValue]], user: User, reason: str) -> bool:
    """Whether this proposal is the newest one, which waits: a button that was pressed twice."""
    same = (newest.state, newest.author, newest.reason) == ("proposed", user.id, reason)
    return same and newest.content == make(newest.version)


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Invalid(f"a reason is needed, of at most {REASON_MAX} characters")
