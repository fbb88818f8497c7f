"""Who may work where, which machines are fit to, and why people decide: people, equipment, reasons.

The lists come as YAML or JSON, whole, and a quality role signs them::

    people:
      - {badge: B000001, name: Wang Wei, until: 2027-12-31, operations: {OP10: 2027-03-31, OP30: }}
    equipment:
      - {equipment: ASM-01, calibrated_until: 2027-01-31, overdue: refuse}
      - {equipment: WELD-02, blocked: electrode holder cracked}
    reasons:
      hold: {complaint: {en: Customer complaint, zh-CN: 客户投诉}}

A list that a file has replaces the one before. Each goes to every line as a document of its name.
What is not in the people's list may not sign on; a plant that has no list checks none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from central.access import Capability, User
from central.facts import Facts
from central.signature import REASON_MAX, SignatureRefused
from central.store import documents
from central.store.engine import Connection, Store
from records.clock import Clock
from records.errors import ConfigurationError, Invalid
from records.kinds import REASONS
from records.model import Act, Decision, Person, Signature, Target
from records.reasons import Group
from records.wire import EQUIPMENT, PEOPLE, PLANT, Document, canonical_json
from records.yaml import Settings, load

TARGET = "ground"
"""Kind of a decision's target; its id is the list's."""
EVERY_AGENT = "*"
MOST_BYTES = 512 * 1024
LISTS = (PEOPLE, EQUIPMENT, REASONS)

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Codes = Annotated[dict[Code, Annotated[dict[Language, Text], Field(min_length=1)]], Field(max_length=200)]
"""Code -> its text in each language."""


class PersonSettings(Settings):
    """One person at the lines."""

    badge: Name
    """What is scanned to sign on."""
    name: Annotated[str, StringConstraints(max_length=100)] = ""
    """For people who look at it; records hold the badge."""
    until: date | None = None
    """The last day on which the badge is good."""
    operations: Annotated[dict[Name, date | None], Field(max_length=500)]
    """What the person is qualified for, and the last day of that; empty: no end."""


class EquipmentSettings(Settings):
    """One machine or instrument, by its plant name."""

    equipment: Name
    """As line files call it."""
    calibrated_until: date | None = None
    """The last day on which its calibration is good."""
    overdue: Literal["warn", "refuse"] = "warn"
    """What its stations do after that day."""
    blocked: Annotated[str, StringConstraints(max_length=500)] | None = None
    """Why it may not be worked with at all."""


class GroundSettings(Settings):
    """All lists, or some of them."""

    people: Annotated[list[PersonSettings], Field(max_length=5000)] | None = None
    equipment: Annotated[list[EquipmentSettings], Field(max_length=5000)] | None = None
    reasons: dict[Group, Codes] | None = None

    @model_validator(mode="after")
    def _said_once(self) -> GroundSettings:
        if self.people is None and self.equipment is None and self.reasons is None:
            raise ValueError("give people, equipment, reasons, or several of them")
        _once("badge", (one.badge for one in self.people or ()))
        _once("equipment", (one.equipment for one in self.equipment or ()))
        return self

    @property
    def content(self) -> dict[str, JsonValue]:
        """As decisions and documents hold it."""
        return self.model_dump(mode="json", exclude_none=False)


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the {what} {name} stands here twice")
        seen.add(name)


def read_ground(path: Path) -> GroundSettings:
    """The lists of a YAML or JSON file.

    Raises:
        ConfigurationError: every error of the file at once, each with its place.
    """
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {MOST_BYTES} bytes", hint="one list in a file")
    return load(path, GroundSettings).value


class Ground:
    """The lists as they stand. ``tell(agent, document)`` brings the lines what changed (``*``: all of them)."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, tell: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._tell = store, facts, clock, tell

    def shown(self) -> dict[str, JsonValue]:
        """Every list as the lines have it, with its version; without those that there never were."""
        with self._store.read() as connection:
            return _shown(connection, LISTS)

    def load(self, content: JsonValue, user: User, reason: str) -> dict[str, JsonValue]:
        """Replace the lists that ``content`` has; the caller has just verified the person's password.

        A list that says what stands already gets no new version. Gives the version of each list.

        Raises:
            Invalid: no such lists, no reason. SignatureRefused: no right.
        """
        try:
            ground = GroundSettings.model_validate(content)
        except ValueError as error:
            raise Invalid(f"no lists: {error}") from None
        if not reason.strip() or len(reason) > REASON_MAX:
            raise Invalid(f"a reason is needed, of at most {REASON_MAX} characters")
        if not user.may(Capability.APPROVE):
            self._store.write(lambda c: self._facts.refused(c, user.id, TARGET, "not-allowed"))
            raise SignatureRefused(f"{user.id} ({user.role.value}) may not sign these lists", "not-allowed")
        told: dict[str, JsonValue] = {
            kind: entries for kind in LISTS if (entries := ground.content[kind]) is not None
        }

        def job(connection: Connection) -> tuple[list[Document], dict[str, JsonValue]]:
            """With the lists as of the commit: nothing is asked of the database after that."""
            return self._decide(connection, told, user, reason.strip()), _shown(connection, told)

        issued, shown = self._store.write(job)
        for document in issued:
            self._tell(EVERY_AGENT, document)
        return shown

    def _decide(
        self, connection: Connection, told: dict[str, JsonValue], user: User, reason: str
    ) -> list[Document]:
        issued = []
        for kind, entries in told.items():
            content: JsonValue = {kind: entries}
            newest = documents.newest(connection, kind, PLANT)
            if newest is not None and newest.content == content:
                continue
            covers = hashlib.sha256(canonical_json(content)).hexdigest()
            now_us = self._clock.now_us()
            signature = Signature(user.id, user.name, Act.APPROVE.value, now_us, covers, role=user.role.value)
            person = Person(user.id, user.role.value)
            decision = Decision(Act.APPROVE, Target(TARGET, kind), person, reason, None, content, signature)
            self._facts.state(connection, decision)
            issued.append(self._facts.issue(connection, kind, PLANT, content))
        return issued


def _shown(connection: Connection, kinds: Iterable[str]) -> dict[str, JsonValue]:
    newest = [documents.newest(connection, kind, PLANT) for kind in kinds]
    return {one.kind: {"version": one.version, "entries": _entries(one)} for one in newest if one is not None}


def _entries(document: Document) -> JsonValue:
    content = document.content
    return content.get(document.kind) if isinstance(content, dict) else None
