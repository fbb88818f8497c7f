"""An agent compares notes: central sends what is newer, withdraws what is gone, and says when that is all.

A document of which the agent holds more than central (a higher version, or another content under the same one) was
issued by a central that a backup has taken back since, or the agent errs. So central has it show that document: by
central's own signature, what central says now is issued once more above that version, or withdrawn where central
knows nothing of it. Of the document of holds central also asks for a lower version, if it was issued in a time of
which a restore has lost what was held (``central.lost_time``); what it holds and central lost stands again.

What an agent cannot show is never reached, and a fact says so: that line does not hear what central says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from central import lost_time
from central.facts import Facts
from central.holds import Holds
from central.store import documents
from central.store.engine import Connection, Store
from records.clock import Clock
from records.errors import Damaged, Invalid
from records.fields import Int64
from records.keys import KeyRing
from records.model import OperationsEvent
from records.wire import (
    CENTRAL,
    HOLDS,
    OF_ONE_AGENT,
    PLANT,
    SYNC,
    SYNC_REFUSED,
    SYNCED,
    Document,
    Request,
    content_digest,
    unsign,
)

EVERY_AGENT = "*"
MOST_SHOWN = 50
"""Most documents that central asks for at once."""
UNREACHED = "document-unreached"
"""Code of the fact that a line holds what central cannot go above."""

TOLD_EVERY_S = 43_200.0
ASKED = 3
"""When an agent is asked so often for one document, and never shows it, that is told: a request may be lost."""

REFUSED_S, MOST_REFUSED = 60.0, 5
"""An agent is told of so many comparisons that were refused in this time, and of each once: who asks in a loop, or
plays again what was recorded, is not answered in a loop."""

Place = tuple[str, str]
_Name = Annotated[str, Field(max_length=500)]
_HIGHEST = 2**63 - 1
LONGEST_ROUND = 64


class _Known(BaseModel):
    """What an agent holds between two documents, by kind and id: version, and digest of the content."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    round: Annotated[str, Field(max_length=LONGEST_ROUND)]
    after: tuple[_Name, _Name] | None = None
    through: tuple[_Name, _Name] | None = None
    known: dict[_Name, dict[_Name, tuple[Int64, _Name]]]

    def covers(self, place: Place) -> bool:
        after = self.after is None or place > self.after
        return after and (self.through is None or place <= self.through)


class _Shown(BaseModel):
    """A document as it is signed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: _Name
    id: _Name
    signed: str


class DocumentSync:
    """Answers requests of kind ``sync`` and ``show``. ``publish(agent, document)`` sends a document, ``*`` to
    every agent. ``ring``: central's own keys.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        publish: Callable[[str, Document], None],
        holds: Holds,
        ring: KeyRing,
    ) -> None:
        self._store, self._facts, self._clock, self._publish = store, facts, clock, publish
        self._holds, self._ring = holds, ring
        self._asked: dict[tuple[str, Place], tuple[int, int]] = {}
        """Version and how often, of what was not shown yet."""
        self._told_s: dict[tuple[str, Place, str], float] = {}
        self._seen: dict[str, tuple[int, str]] = {}
        self._refused: dict[str, dict[str, float]] = {}
        """By agent the rounds that it was told to be refused of late, and when."""

    def answer(self, request: Request) -> None:
        """Send what the agent lacks of what its piece covers, or ask for what it holds more of; after the last
        piece, that it lacks nothing, said at central's time, by which the agent knows how far its clock is off.

        Raises:
            Invalid: the request's content is none.
        """
        try:
            told = _Known.model_validate(request.content)
        except ValidationError as error:
            first = error.errors()[0]
            raise Invalid(f"no list of documents: {first['loc']}: {first['msg']}") from error
        held = {
            (kind, name): entry
            for kind, of_kind in told.known.items()
            for name, entry in of_kind.items()
            if kind in SYNCED and told.covers((kind, name)) and _concerns(request.agent, kind, name)
        }
        lacking, ahead = self._compare(request.agent, told, held)
        for document in lacking:
            self._publish(request.agent, document)
        if ahead:
            show: JsonValue = [[*place] for place in ahead[:MOST_SHOWN]]
            self._say(request, {"round": told.round, "show": show})
            self._note_asked(request.agent, {place: held[place][0] for place in ahead[:MOST_SHOWN]})
        elif told.through is None:
            self._say(request, {"round": told.round})

    def refused(self, request: Request) -> None:
        """Tell an agent by central's clock that its request was not taken for its time: its clock is wrong, or it
        has asked for something else since, and knows so by the round.
        """
        told = request.content.get("round") if isinstance(request.content, dict) else None
        if isinstance(told, str) and len(told) <= LONGEST_ROUND and self._is_news(request.agent, told):
            now_us = self._clock.now_us()
            self._publish(request.agent, Document(SYNC_REFUSED, request.agent, now_us, now_us, {"round": told}))

    def _is_news(self, agent: str, told: str) -> bool:
        now_s = self._clock.monotonic_s()
        lately = {each: at_s for each, at_s in self._refused.get(agent, {}).items() if now_s - at_s < REFUSED_S}
        news = told not in lately and len(lately) < MOST_REFUSED
        self._refused[agent] = lately | ({told: now_s} if news else {})
        return news

    def _note_asked(self, agent: str, ahead: dict[Place, int]) -> None:
        """What an agent is asked for again and again, and does not show, is not reached."""
        for place, version in ahead.items():
            before, times = self._asked.get((agent, place), (version, 0))
            times = times + 1 if before == version else 1
            self._asked[agent, place] = version, times
            if times >= ASKED:
                self._unreached(agent, place, f"it does not show its version {version}")

    def _say(self, request: Request, content: JsonValue) -> None:
        now_us = self._clock.now_us()
        self._publish(request.agent, Document(SYNC, request.agent, request.at_us, now_us, content))

    def _compare(
        self, agent: str, told: _Known, held: dict[Place, tuple[int, str]]
    ) -> tuple[list[Document], list[Place]]:
        """What the agent lacks, and where it holds more than central."""
        with self._store.read() as connection:
            current = {
                (d.kind, d.id): d
                for d in documents.current(connection)
                if d.kind in SYNCED and documents.is_for(agent, d) and told.covers((d.kind, d.id))
            }
            lost = lost_time.unknown(connection) if (HOLDS, PLANT) in held else []
        newer, ahead = [], []
        for place in sorted({*current, *held}):
            document, (version, digest) = current.get(place), held.get(place, (0, ""))
            if document is not None and document.version > version:
                if version or document.content is not None:
                    newer.append(document)
                seen = self._seen.get(agent) == (version, digest)
                if place == (HOLDS, PLANT) and not seen and any(version in each for each in lost):
                    ahead.append(place)
            elif _is_more(document, version, digest):
                ahead.append(place)
        return newer, ahead

    def shown(self, request: Request) -> None:
        """Go above what an agent shows, so that what is so reaches the lines; what is held there, and was lost
        here, stands again.

        Raises:
            Invalid: it shows nothing that central has signed. That it holds it all the same is stated.
        """
        try:
            told = _Shown.model_validate(request.content)
        except ValidationError as error:
            raise Invalid(f"no document: {error.errors()[0]['loc']}") from error
        self._asked.pop((request.agent, (told.kind, told.id)), None)
        try:
            document = self._proven(request.agent, told)
        except (Invalid, Damaged) as error:
            self._unreached(request.agent, (told.kind, told.id), error.message)
            raise Invalid(f"{told.kind} {told.id}: {error.message}") from error
        if (document.kind, document.id) == (HOLDS, PLANT):
            self._holds.carry_over(document, f"version {document.version}, which {request.agent} held")
            self._seen[request.agent] = (document.version, content_digest(document.content))
            return
        issued = self._store.write(lambda connection: self._issue_above(connection, document))
        if issued is not None:
            self._publish(issued.id if issued.kind in OF_ONE_AGENT else EVERY_AGENT, issued)

    def _proven(self, agent: str, told: _Shown) -> Document:
        document = unsign(Document, told.signed.encode(), self._ring, CENTRAL)
        place = (document.kind, document.id)
        if place != (told.kind, told.id) or told.kind not in SYNCED or not _concerns(agent, *place):
            raise Invalid(f"what the agent shows is {document.kind} {document.id}")
        if document.version >= _HIGHEST:
            raise Invalid(f"there is no version above {document.version}")
        return document

    def _issue_above(self, connection: Connection, shown: Document) -> Document | None:
        """Say again what is so, as it is in this very transaction, above a version that was lost."""
        held = documents.newest(connection, shown.kind, shown.id)
        if not _is_more(held, shown.version, content_digest(shown.content)):
            return None
        content = None if held is None else held.content
        return self._facts.issue(connection, shown.kind, shown.id, content, version=shown.version + 1)

    def _unreached(self, agent: str, place: Place, why: str) -> None:
        """State it; the same twice a day, since who does not hear must not be forgotten."""
        now_s = self._clock.monotonic_s()
        self._told_s = {one: at_s for one, at_s in self._told_s.items() if now_s - at_s < TOLD_EVERY_S}
        if (agent, place, why) in self._told_s:
            return
        event = OperationsEvent(UNREACHED, {"agent": agent, "kind": place[0], "id": place[1], "why": why})
        self._store.write(lambda connection: self._facts.state(connection, event, stream="audit"))
        self._told_s[agent, place, why] = now_s


def _is_more(document: Document | None, version: int, digest: str) -> bool:
    """Whether who holds this version with this content holds more than central."""
    if document is None or document.version < version:
        return True
    return document.version == version and content_digest(document.content) != digest


def _concerns(agent: str, kind: str, name: str) -> bool:
    return kind not in OF_ONE_AGENT or name == agent
