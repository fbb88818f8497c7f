"""What central told this agent: the newest signed document of each kind and id, believed only with its signature.

Documents are kept in the outbox file as they came, so that a line goes on with them while central is away, and are
verified again each time they are loaded, by the keys that were valid when they came. A higher version replaces a
lower one; a withdrawn document stays as a withdrawn one, so that an old version that arrives late can't come back.
One version with two contents is refused: central was set back, and a sync settles it.

How old a document is counts from when it was last known to be the newest: from its arrival, or from the last time
central was heard at all while this agent was subscribed, whichever is later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from edge_agent.outbox import KeptDocument, Outbox
from records.clock import MICROSECONDS, Clock
from records.errors import Damaged, Invalid
from records.keys import KeyRing
from records.wire import CENTRAL, OF_ONE_AGENT, PLANT, Document, down_topic, unsign

MOST_DOCUMENTS = 10_000
"""Most documents that are kept; withdrawn ones and those confirmed longest ago give way, never the agent's own
or those of the whole plant, such as what quality holds."""
LARGEST = 4 * 1024 * 1024
"""Most bytes of a document."""
LONGEST_KIND, LONGEST_ID = 63, 500
CONFIRM_EVERY_S = 60.0
"""How often the time that central was last heard is written to disk."""


@dataclass(frozen=True, slots=True)
class _Known:
    document: Document
    payload: bytes
    received_us: int


class Documents:
    """The documents of one agent. Safe to read from any thread.

    ``on_change(kind, id)`` is called after a new version is on disk, in the thread that brought it. A document
    that is ``in_use(kind, id)`` is not withdrawn yet: central says it again when notes are compared.
    ``refused`` counts stored payloads that were not believed when they were loaded, ``outdated`` those of older
    versions that came.
    """

    def __init__(
        self,
        outbox: Outbox,
        ring: KeyRing,
        clock: Clock,
        on_change: Callable[[str, str], None] = lambda _kind, _id: None,
        in_use: Callable[[str, str], bool] = lambda _kind, _id: False,
    ) -> None:
        self._outbox, self._ring, self._clock, self._on_change = outbox, ring, clock, on_change
        self._in_use = in_use
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Known] = {}
        self._heard_s: float | None = None
        self._written_s = clock.monotonic_s()
        self.refused = self.outdated = 0
        self._confirmed_us = outbox.documents.confirmed_us()
        for kept in outbox.documents.all():
            try:
                document = unsign(Document, kept.payload, ring, CENTRAL, at_us=kept.received_us)
            except (Invalid, Damaged):
                self.refused += 1
                continue
            self._known[document.kind, document.id] = _Known(document, kept.payload, kept.received_us)

    def get(self, kind: str, document: str) -> Document | None:
        """The newest version, or None when there is none or it was withdrawn."""
        with self._lock:
            known = self._known.get((kind, document))
        return None if known is None or known.document.content is None else known.document

    def all(self, kind: str) -> list[Document]:
        """The newest version of every document of a kind that was not withdrawn, by id."""
        with self._lock:
            found = [known.document for key, known in sorted(self._known.items()) if key[0] == kind]
        return [document for document in found if document.content is not None]

    def age_s(self, kind: str, document: str) -> float | None:
        """Seconds since it was last known to be the newest; None when it is not there."""
        with self._lock:
            known, heard_s = self._known.get((kind, document)), self._heard_s
        if known is None:
            return None
        last_us = max(known.received_us, self._confirmed_us)
        age = max((self._clock.now_us() - last_us) / MICROSECONDS, 0.0)
        return age if heard_s is None else min(age, self._clock.monotonic_s() - heard_s)

    def take(self, topic: str, agent: str, payload: bytes) -> bool:
        """Take a payload from a down topic; whether it is news. It is on disk when this returns.

        Raises:
            Invalid: no document, too large, on another document's topic, or its version has another content.
            Damaged: not signed by central.
        """
        if len(payload) > LARGEST:
            raise Invalid(f"a document of {len(payload)} bytes is over the limit of {LARGEST}")
        now_us = self._clock.now_us()
        document = unsign(Document, payload, self._ring, CENTRAL, at_us=now_us)
        if topic != down_topic(agent, document.kind, document.id):
            raise Invalid(f"the document {document.kind} {document.id} came on the topic {topic}")
        if len(document.kind) > LONGEST_KIND or len(document.id) > LONGEST_ID:
            raise Invalid(f"the document {document.kind[:LONGEST_KIND]} has too long a name")
        key = (document.kind, document.id)
        with self._lock:
            known = self._known.get(key)
        if known is not None and document.version < known.document.version:
            self.outdated += 1
            return False
        if known is not None and document.version == known.document.version and not same(document, known.document):
            raise Invalid(f"{document.kind} {document.id} version {document.version} has another content here")
        news = known is None or document.version > known.document.version
        if document.content is None and news and self.get(*key) is not None and self._in_use(*key):
            return False
        kept = KeptDocument(document.kind, document.id, document.version, payload, now_us)
        signed_anew = known is not None and known.payload != payload  # by another of central's keys
        if news or signed_anew or self._clock.monotonic_s() - self._written_s >= CONFIRM_EVERY_S:
            self._outbox.documents.put(kept).result()
        with self._lock:
            self._known[key] = _Known(document, payload, now_us)
        self._keep_bounded()
        if news:
            self._on_change(document.kind, document.id)
        return news

    def held(self, kinds: Collection[str]) -> list[Document]:
        """Every document of these kinds, withdrawn ones too, by kind and id."""
        with self._lock:
            return [known.document for key, known in sorted(self._known.items()) if key[0] in kinds]

    def heard(self) -> None:
        """Central was heard while this agent was subscribed: what is held is still the newest."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._heard_s = now_s
        if now_s - self._written_s >= CONFIRM_EVERY_S:
            self._written_s = now_s
            now_us = self._clock.now_us()
            self._outbox.documents.confirm(now_us).result()
            self._confirmed_us = now_us

    def _keep_bounded(self) -> None:
        with self._lock:
            if len(self._known) <= MOST_DOCUMENTS:
                return
            oldest = min(
                (key for key in self._known if key[0] not in OF_ONE_AGENT and key[1] != PLANT),
                key=lambda key: (self._known[key].document.content is not None, self._known[key].received_us),
            )
            del self._known[oldest]
        self._outbox.documents.drop(*oldest).result()


def same(one: Document, other: Document) -> bool:
    """Whether two documents say the same, whenever they were issued."""
    return one.content == other.content
