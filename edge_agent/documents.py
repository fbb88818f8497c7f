"""What central told this agent: the newest signed document of each kind and id, believed only with its signature.

Documents are kept in the outbox file as they came, so that a line goes on with them while central is away, and are
verified again each time they are loaded, by the keys that were valid when they came. A higher version replaces a
lower one; a withdrawn document stays as a withdrawn one, so that an old version that arrives late can't come back.
One version with two contents is refused: central was set back, and a sync settles it.

How old a document is counts from when it was last known to be the newest, which only a living central can say:
from when it sent the document, or was last heard at all while this agent was subscribed, whichever is later. What
the broker kept and repeats makes nothing young: central may be dead meanwhile. If it is news, issued while this
agent was off, it was the newest when it was issued: it counts from then, by central's clock as it compared with
this one when notes were last compared.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from edge_agent.outbox import KeptDocument, Outbox
from records.clock import MICROSECONDS, Clock
from records.errors import Damaged, Invalid
from records.keys import KeyRing
from records.wire import CENTRAL, OF_ONE_AGENT, PLANT, SYNC, Document, down_topic, unsign

MOST_DOCUMENTS = 10_000
"""Most documents that are kept; withdrawn ones and those confirmed longest ago give way, never the agent's own
or those of the whole plant, such as what quality holds."""
LARGEST = 4 * 1024 * 1024
"""Most bytes of a document."""
LONGEST_KIND, LONGEST_ID = 63, 500
CONFIRM_EVERY_S = 60.0
"""How often the time that central was last heard is written to disk; a restart adds that much."""


@dataclass(frozen=True, slots=True)
class _Known:
    document: Document
    payload: bytes
    received_us: int
    newest_us: int
    """Until when, by this PC's clock, it is known of this one alone that it was the newest."""


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
        self._written_s: float | None = None
        self._ahead_us = 0
        self.refused = self.outdated = 0
        self._confirmed_us = outbox.documents.confirmed_us()
        for kept in sorted(outbox.documents.all(), key=lambda kept: kept.kind != SYNC):  # it tells of the clocks
            try:
                document = unsign(Document, kept.payload, ring, CENTRAL, at_us=kept.received_us)
            except (Invalid, Damaged):
                self.refused += 1
                continue
            self._compare_clocks(document, kept.received_us)
            newest_us = self._issued_us(document, kept.received_us)
            self._known[document.kind, document.id] = _Known(document, kept.payload, kept.received_us, newest_us)

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
        last_us = max(known.newest_us, self._confirmed_us)
        age = max((self._clock.now_us() - last_us) / MICROSECONDS, 0.0)
        return age if heard_s is None else min(age, self._clock.monotonic_s() - heard_s)

    def take(self, topic: str, agent: str, payload: bytes, *, retained: bool = False) -> bool:
        """Take a payload from a down topic; whether it is news. It is on disk when this returns.

        ``retained``: the broker repeats what it kept. Such an answer to a comparison of notes answers nothing that
        this connection asked, and is left.

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
        if retained and document.kind == SYNC:
            return False
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
        if news or signed_anew:
            self._outbox.documents.put(kept).result()
        if not retained:
            self._compare_clocks(document, now_us)
        newest_us = self._newest_us(document, None if news else known, now_us, retained=retained)
        with self._lock:
            self._known[key] = _Known(document, payload, now_us, newest_us)
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
        if self._written_s is None or now_s - self._written_s >= CONFIRM_EVERY_S:
            self._written_s = now_s
            now_us = self._clock.now_us()
            self._outbox.documents.confirm(now_us).result()
            self._confirmed_us = now_us

    def _newest_us(self, document: Document, known: _Known | None, now_us: int, *, retained: bool) -> int:
        """Until when a document that came now is known to have been the newest; ``known``: the same one before."""
        if not retained:
            return now_us
        return self._issued_us(document, now_us) if known is None else known.newest_us

    def _issued_us(self, document: Document, received_us: int) -> int:
        """When it was issued, by this PC's clock; no later than it came."""
        return min(received_us, document.issued_us + self._ahead_us)

    def _compare_clocks(self, document: Document, received_us: int) -> None:
        """An answer to a comparison of notes bears central's time, and is on its way for seconds at most."""
        if document.kind == SYNC:
            self._ahead_us = received_us - document.issued_us

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
