"""An agent compares notes: central sends what is newer, withdraws what is gone, and says when that is all.

A document of which the agent holds more than central (a higher version, or another content under the same one) was
issued by a central that a backup has taken back since. It is issued once more above that version, so that what
central says now stands, or withdrawn where central knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from central.facts import Facts
from central.store import documents
from central.store.engine import Store
from records.clock import Clock
from records.errors import Invalid
from records.fields import Int64
from records.wire import OF_ONE_AGENT, SYNC, SYNCED, Document, Request, content_digest

EVERY_AGENT = "*"
MOST_AHEAD = 10_000
"""How many versions an agent may be ahead of a central that was set back; more was never issued."""

Place = tuple[str, str]
_Name = Annotated[str, Field(max_length=500)]


class _Known(BaseModel):
    """What an agent holds between two documents, by kind and id: version, and digest of the content."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    round: Annotated[str, Field(max_length=64)]
    after: tuple[_Name, _Name] | None = None
    through: tuple[_Name, _Name] | None = None
    known: dict[_Name, dict[_Name, tuple[Int64, _Name]]]

    def covers(self, place: Place) -> bool:
        after = self.after is None or place > self.after
        return after and (self.through is None or place <= self.through)


class DocumentSync:
    """Answers requests of kind ``sync``. ``publish(agent, document)`` sends a document, ``*`` to every agent."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, publish: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._publish = store, facts, clock, publish

    def answer(self, request: Request) -> None:
        """Send what the agent lacks of what its piece covers; after the last piece, that it lacks nothing,
        said at central's time, by which the agent knows how far its own clock is off.

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
        for document in self._lacking(request.agent, told, held):
            self._publish(request.agent, document)
        if told.through is None:
            content: JsonValue = {"round": told.round}
            now_us = self._clock.now_us()
            self._publish(request.agent, Document(SYNC, request.agent, request.at_us, now_us, content))

    def _lacking(self, agent: str, told: _Known, held: dict[Place, tuple[int, str]]) -> list[Document]:
        with self._store.read() as connection:
            current = {
                (d.kind, d.id): d
                for d in documents.current(connection)
                if d.kind in SYNCED and documents.is_for(agent, d) and told.covers((d.kind, d.id))
            }
        newer = []
        for place in sorted({*current, *held}):
            document, (version, digest) = current.get(place), held.get(place, (0, ""))
            if document is not None and document.version > version:
                if version or document.content is not None:
                    newer.append(document)
            elif document is None or document.version < version or content_digest(document.content) != digest:
                self._issue_above(place, version, document)
        return newer

    def _issue_above(self, place: Place, version: int, document: Document | None) -> None:
        """Say again what is so, above the version that was lost."""
        ahead = version - (0 if document is None else document.version)
        if ahead > MOST_AHEAD:
            raise Invalid(f"{place[0]} {place[1]}: version {version} was never issued")
        content = None if document is None else document.content
        issued = self._store.write(lambda c: self._facts.issue(c, *place, content, version=version + 1))
        self._publish(issued.id if issued.kind in OF_ONE_AGENT else EVERY_AGENT, issued)


def _concerns(agent: str, kind: str, name: str) -> bool:
    return kind not in OF_ONE_AGENT or name == agent
