"""The line files by which agents work: what came, what differs, and which of them quality has approved.

An agent sends each configuration as a record (``records.configuration``) before the first record that names it.
A person with the right approves the very bytes of one, or withdraws that, with password and reason; both are
decisions in central's chain. The agent hears of it by a signed document with all hashes that are approved.
"""

from __future__ import annotations

import difflib
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from central.access import Capability, User
from central.facts import Facts
from central.signature import REASON_MAX, SignatureRefused
from central.store import configurations as sql
from central.store.configurations import Decided
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.clock import Clock, iso_z
from records.configuration import ConfigurationRecord
from records.errors import Invalid, Unknown
from records.model import Act, Decision, OperationsEvent, Person, Signature, Target
from records.wire import CONFIGURATION, Document, canonical_json
from records.yaml import configuration_hash

TARGET = "configuration"
"""Kind of a decision's target; its id is ``AGENT/HASH``."""
ACTS = {"approve": Act.APPROVE, "withdraw": Act.WITHDRAW}
AFTER = {"approve": "approved", "withdraw": "withdrawn"}

State = Literal["proposed", "approved", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration of one agent. ``fact``: the record that first brought it.

    ``needed``: the agent may work by approved ones only. ``in_use``: it is the newest that the agent has loaded.
    ``sound``: the record's bytes have its hash. ``decided``: the newest decision about it.
    """

    agent: str
    record: ConfigurationRecord
    fact: StoredFact
    state: State
    needed: bool
    in_use: bool
    sound: bool
    decided: Decided | None

    @property
    def hash(self) -> str:
        return self.record.hash

    @property
    def content(self) -> JsonValue:
        """What a signature covers."""
        return {
            "agent": self.agent,
            "configuration": self.record.hash,
            "files": [{"name": file.name, "digest": file.digest} for file in self.record.files],
            "state": self.state,
        }

    def to_json(self) -> dict[str, JsonValue]:
        """What the interface and the command line show of it in a list."""
        decided = self.decided
        return {
            "agent": self.agent,
            "hash": self.hash,
            "state": self.state,
            "needed": self.needed,
            "in_use": self.in_use,
            "sound": self.sound,
            "software": self.record.software,
            "files": [{"name": file.name, "digest": file.digest} for file in self.record.files],
            "received_at": iso_z(self.fact.received_us),
            "record": self.fact.hash,
            "content_hash": self.content_hash,
            "decided_by": None if decided is None else decided.user,
            "decided_at": None if decided is None else iso_z(decided.at_us),
            "reason": None if decided is None else decided.reason,
        }

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(canonical_json(self.content)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Known:
    record: ConfigurationRecord
    fact: StoredFact
    sound: bool


class Configurations:
    """All configurations. ``tell(agent, document)`` brings an agent what is approved."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, tell: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._tell = store, facts, clock, tell
        self._known: dict[tuple[str, str], _Known] = {}
        self._in_use: dict[str, str] = {}
        self._read_through = 0
        self._lock = threading.Lock()
        self._deciding = threading.Lock()

    # -- reading -------------------------------------------------------------------------------------------

    def listed(self) -> list[Configuration]:
        """By agent, the one in use first, then the newest."""
        with self._lock:
            self._read_on()
            known, in_use = dict(self._known), dict(self._in_use)
        with self._store.read() as connection:
            bound = sql.bound(connection)
            decided = {(d.agent, d.configuration): d for d in sql.decisions(connection)}
        found = [
            Configuration(
                agent,
                one.record,
                one.fact,
                _state(decided.get((agent, hash_))),
                agent in bound,
                in_use.get(agent) == hash_,
                one.sound,
                decided.get((agent, hash_)),
            )
            for (agent, hash_), one in known.items()
        ]
        return sorted(found, key=lambda one: (one.agent, not one.in_use, -one.fact.cursor))

    def get(self, agent: str, hash_: str) -> Configuration | None:
        return next((one for one in self.listed() if (one.agent, one.hash) == (agent, hash_)), None)

    def record(self, agent: str, hash_: str) -> ConfigurationRecord | None:
        """The bytes and their meaning as the agent sent them; None for a hash of which nothing came."""
        with self._lock:
            self._read_on()
            known = self._known.get((agent, hash_))
        return None if known is None else known.record

    def resolved(self, agent: str, hash_: str) -> dict[str, JsonValue] | None:
        """What the agent made of a line file; None where that is not known."""
        record = self.record(agent, hash_)
        return record.resolved if record is not None and isinstance(record.resolved, dict) else None

    def before(self, one: Configuration) -> Configuration | None:
        """What it is to be compared with: the agent's approved one that was decided last, else the one before."""
        others = [other for other in self.listed() if other.agent == one.agent and other.hash != one.hash]
        approved = [other for other in others if other.state == "approved" and other.decided is not None]
        if approved:
            return max(approved, key=lambda other: other.decided.at_us if other.decided else 0)
        earlier = [other for other in others if other.fact.cursor < one.fact.cursor]
        return max(earlier, key=lambda other: other.fact.cursor, default=None)

    def _read_on(self) -> None:
        """Take in what agents have sent since the last time."""
        for fact in self._store.facts(kinds=["configuration"], after=self._read_through):
            self._read_through = max(self._read_through, fact.cursor)
            record = fact.fact.data
            if isinstance(record, ConfigurationRecord):
                self._known.setdefault((fact.agent, record.hash), _Known(record, fact, _sound(record)))
        for agent in {agent for agent, _ in self._known}:
            loaded = self._store.facts(agent=agent, codes=["configuration-loaded"])
            if loaded and isinstance(loaded[-1].fact.data, OperationsEvent):
                self._in_use[agent] = str(loaded[-1].fact.data.params.get("hash"))

    # -- deciding ------------------------------------------------------------------------------------------

    def decide(
        self, agent: str, hash_: str, act: str, user: User, reason: str, content_hash: str
    ) -> Configuration:
        """Approve a configuration or withdraw that; the caller has just verified the person's password.

        Raises:
            Unknown: no such configuration. Invalid: no such act, no reason. SignatureRefused: no right, not as
            it was shown, or its bytes do not have its hash.
        """
        with self._deciding:
            one = self.get(agent, hash_)
            if one is None:
                raise Unknown(f"{agent} has sent no configuration {hash_}")
            try:
                _check(one, act, user, reason, content_hash)
            except SignatureRefused as error:
                self._note_refusal(one, user, error.code)
                raise
            decided, document = self._store.write(lambda c: self._decide(c, one, act, user, reason.strip()))
            self._tell(agent, document)
        return replace(one, state=_state(decided), decided=decided)

    def _decide(
        self, connection: Connection, one: Configuration, act: str, user: User, reason: str
    ) -> tuple[Decided, Document]:
        now_us = self._clock.now_us()
        signature = Signature(user.id, user.name, act, now_us, one.content_hash, role=user.role.value)
        decision = Decision(
            ACTS[act],
            Target(TARGET, f"{one.agent}/{one.hash}", one.fact.hash),
            Person(user.id, user.role.value),
            reason,
            old=one.state,
            new={"state": AFTER[act], "content": one.content},
            signature=signature,
        )
        stated = self._facts.state(connection, decision)
        decided = Decided(one.agent, one.hash, act, user.id, reason, now_us, stated.hash)
        sql.add(connection, decided)
        kept = [hash_ for hash_ in sql.approved(connection, one.agent) if hash_ != one.hash]
        named: list[JsonValue] = [*kept, *([one.hash] if act == "approve" else [])]
        return decided, self._facts.issue(connection, CONFIGURATION, one.agent, {"approved": named})

    def _note_refusal(self, one: Configuration, user: User, code: str) -> None:
        target = f"{TARGET} {one.agent}/{one.hash}"
        self._store.write(lambda connection: self._facts.refused(connection, user.id, target, code))


def difference(old: ConfigurationRecord | None, new: ConfigurationRecord) -> list[str]:
    """A unified diff of the files' text, file by file; without ``old`` every line is new."""
    before = {} if old is None else {file.name: file.text for file in old.files}
    after = {file.name: file.text for file in new.files}
    lines: list[str] = []
    for name in dict.fromkeys((*after, *before)):
        lines += difflib.unified_diff(
            before.get(name, "").splitlines(),
            after.get(name, "").splitlines(),
            name if name in before else "-",
            name if name in after else "-",
            lineterm="",
        )
    return lines


def _state(decided: Decided | None) -> State:
    if decided is None:
        return "proposed"
    return "approved" if decided.act == "approve" else "withdrawn"


def _sound(record: ConfigurationRecord) -> bool:
    contents = [file.text.encode() for file in record.files]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return (
        bool(contents)
        and configuration_hash(contents) == record.hash
        and digests == [file.digest for file in record.files]
    )


def _check(one: Configuration, act: str, user: User, reason: str, content_hash: str) -> None:
    if act not in ACTS:
        raise Invalid(f"{act!r} is no act on a configuration", hint=f"acts: {', '.join(ACTS)}")
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Invalid(f"a reason is needed, of at most {REASON_MAX} characters")
    if not user.may(Capability.APPROVE):
        raise SignatureRefused(f"{user.id} ({user.role.value}) may not approve configurations", "not-allowed")
    if content_hash != one.content_hash:
        raise SignatureRefused(
            f"the configuration {one.hash} of {one.agent} is not as it was shown", "content-changed"
        )
    if not one.sound:
        raise SignatureRefused(f"the bytes of {one.hash} of {one.agent} do not have this hash", "unsound")
    if (one.state == "approved") is (act == "approve"):
        raise SignatureRefused(f"{one.hash} of {one.agent} is {one.state}", "content-changed")
