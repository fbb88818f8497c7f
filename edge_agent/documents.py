"""What central told this agent: the newest signed document of each kind and id, believed only with its signature.

Documents are kept in the outbox file as they came, so that a line goes on with them while central is away, and are
verified again each time they are loaded, by any key of central's that is known: whether it was still valid was
asked when they came, and what was believed then stays so. A higher version replaces a lower one; a withdrawn
document stays as a withdrawn one, so that an old version that arrives late can't come back. One version with two
contents is refused: central was set back, and a sync settles it. What comes while the disk has no room is held in
memory and stored once there is some.

How old a document is counts from when it was last known to be the newest, which only a living central can say:
from when it sent the document, or was last heard at all while this agent was subscribed, whichever is later. What
the broker kept and repeats makes nothing young: central may be dead meanwhile. If it is news, issued while this
agent was off, it was the newest when it was issued: it counts from then, by central's clock as it compared with
the time counted here when notes were last compared. All of that is counted time, which no clock that is set
changes (``edge_agent.counted_time``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from edge_agent.counted_time import CountedTime
from edge_agent.outbox import KeptDocument, Outbox
from records.clock import MOST_AHEAD_US, Clock
from records.errors import Damaged, Invalid, Refused
from records.keys import KeyRing
from records.trouble import Trouble
from records.wire import CENTRAL, OF_ONE_AGENT, PLANT, SYNC, SYNC_REFUSED, Document, down_topic, unsign

MOST_DOCUMENTS = 10_000
"""Most documents that are kept; withdrawn ones and those confirmed longest ago give way, never the agent's own
or those of the whole plant, such as what quality holds."""
LARGEST = 4 * 1024 * 1024
"""Most bytes of a document."""
LONGEST_KIND, LONGEST_NAME = 63, 500
KEEP_EVERY_S = 60.0
"""How often it is written to disk when central was last heard, and the time that is counted. A start adds that
much to ages; a PC that lost its power and comes up in the past takes that much away."""


@dataclass(frozen=True, slots=True)
class _Known:
    """``newest_us``: until when, in counted time, it is known of this one alone that it was the newest."""

    document: Document
    payload: bytes
    newest_us: int


class Documents:
    """The documents of one agent. Safe to read from any thread.

    ``on_change(kind, id)`` is called once a new version stands, in the thread that brought it. A document
    that is ``in_use(kind, id)`` is not withdrawn yet: central says it again when notes are compared.
    ``refused`` counts stored payloads that were not believed when they were loaded, ``outdated`` those of older
    versions that came. ``heard_s``: when central itself was heard last, by the monotonic clock; not what the
    broker repeats of it.
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
        self._waiting: dict[tuple[str, str], KeptDocument] = {}
        self._no_room: str | None = None
        self._kept_s: float | None = None
        self.refused = self.outdated = 0
        self.heard_s: float | None = None
        self._time = CountedTime(clock, *outbox.documents.time())
        self._confirmed_us = outbox.documents.confirmed_us()
        self._ahead_us = self._time.moment_us() - clock.now_us()  # this PC's clock, until notes are compared
        for kept in outbox.documents.all():
            try:
                document = unsign(Document, kept.payload, ring, CENTRAL)
            except (Invalid, Damaged):
                self.refused += 1
                continue
            self._compare_clocks(document, kept.newest_us)
            self._known[document.kind, document.id] = _Known(document, kept.payload, kept.newest_us)

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
            known, confirmed_us = self._known.get((kind, document)), self._confirmed_us
        return None if known is None else self._time.age_s(max(known.newest_us, confirmed_us))

    def central_us(self) -> int:
        """What central's clock says now, as it was when notes were last compared; rather too late."""
        return self._time.now_us() - self._ahead_us

    @property
    def not_kept(self) -> Trouble | None:
        """Why documents are held in memory alone; None: all are on disk."""
        with self._lock:
            count, why = len(self._waiting), self._no_room
        if not count:
            return None
        return Trouble.of("documents-not-kept", count=count, why=Trouble.of("as-said", said=str(why)))

    def take(self, topic: str, agent: str, payload: bytes, *, retained: bool = False) -> bool:
        """Take a payload from a down topic; whether it is news. It is on disk when this returns, or ``not_kept``.

        ``retained``: the broker repeats what it kept. Such an answer to a comparison of notes answers nothing that
        this connection asked, and is left.

        Raises:
            Invalid: no document, too large, on another document's topic, or its version has another content.
            Damaged: not signed by central.
        """
        document = self._believed(topic, agent, payload)
        if retained and document.kind in (SYNC, SYNC_REFUSED):
            return False
        if not retained:
            self.heard_s = self._clock.monotonic_s()
        key = (document.kind, document.id)
        if document.kind == SYNC_REFUSED:  # of this moment only: who asked looks at it now
            with self._lock:
                self._known[key] = _Known(document, payload, 0)
            self._on_change(*key)
            return True
        with self._lock:
            known = self._known.get(key)
        if document.kind == SYNC and known is not None and self._is_of_wrong_clock(known.document):
            known = None
            self._forget(key)
        if known is not None and document.version < known.document.version:
            self.outdated += 1
            return False
        if known is not None and document.version == known.document.version and not same(document, known.document):
            raise Invalid(f"{document.kind} {document.id} version {document.version} has another content here")
        news = known is None or document.version > known.document.version
        if document.content is None and news and self.get(*key) is not None and self._in_use(*key):
            return False
        now_us = self._time.moment_us()
        if not retained:
            self._compare_clocks(document, now_us)
        newest_us = self._newest_us(document, None if news else known, now_us, retained=retained)
        signed_anew = known is not None and known.payload != payload  # by another of central's keys
        if news or signed_anew:
            self._put(KeptDocument(document.kind, document.id, document.version, payload, newest_us))
        with self._lock:
            self._known[key] = _Known(document, payload, newest_us)
        self._keep_bounded()
        if news:
            self._on_change(document.kind, document.id)
        return news

    def _believed(self, topic: str, agent: str, payload: bytes) -> Document:
        if len(payload) > LARGEST:
            raise Invalid(f"a document of {len(payload)} bytes is over the limit of {LARGEST}")
        document = unsign(Document, payload, self._ring, CENTRAL, at_us=self._clock.now_us())
        if topic != down_topic(agent, document.kind, document.id):
            raise Invalid(f"the document {document.kind} {document.id} came on the topic {topic}")
        if len(document.kind) > LONGEST_KIND or len(document.id) > LONGEST_NAME:
            raise Invalid(f"the document {document.kind[:LONGEST_KIND]} has too long a name")
        return document

    def signed(self, kind: str, document: str) -> bytes | None:
        """The newest version as central signed it, also of a withdrawn one; None when there is none."""
        with self._lock:
            known = self._known.get((kind, document))
        return None if known is None else known.payload

    def held(self, kinds: Collection[str]) -> list[Document]:
        """Every document of these kinds, withdrawn ones too, by kind and id."""
        with self._lock:
            return [known.document for key, known in sorted(self._known.items()) if key[0] in kinds]

    def heard(self) -> None:
        """Central was heard while this agent was subscribed: what is held is still the newest."""
        with self._lock:
            self._confirmed_us = self._time.moment_us()
            self._time.settle()
        now_s = self.heard_s = self._clock.monotonic_s()
        if self._kept_s is None or now_s - self._kept_s >= KEEP_EVERY_S:
            self.keep()

    async def run(self) -> None:
        """Write down every now and then what a start needs, for ever."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await asyncio.to_thread(self.keep)

    def keep(self) -> None:
        """Write down what had no room before, when central was heard, and the time that is counted."""
        self._kept_s = self._clock.monotonic_s()
        with self._lock:
            confirmed_us, waiting = self._confirmed_us, list(self._waiting.values())
        kept = [self._put(each) for each in waiting]
        with suppress(Refused):  # another time: it all stands in memory
            if all(kept):  # else an older version on disk would seem to be the newest
                self._outbox.documents.confirm(confirmed_us, self._time.note()).result()
            else:
                self._outbox.documents.put(time=self._time.note()).result()

    def _put(self, kept: KeptDocument) -> bool:
        """Store a document; whether there was room for it."""
        key, why = (kept.kind, kept.id), None
        try:
            self._outbox.documents.put(kept, time=self._time.note()).result()
        except Refused as error:
            why = str(error)
        with self._lock:
            newer = key in self._waiting and self._waiting[key].version > kept.version
            if why is not None:
                self._no_room = why
                if not newer:
                    self._waiting[key] = kept
            elif not newer:
                self._waiting.pop(key, None)
        return why is None

    def _newest_us(self, document: Document, known: _Known | None, now_us: int, *, retained: bool) -> int:
        """Until when a document that came now is known to have been the newest; ``known``: the same one before."""
        if not retained:
            return now_us
        if known is not None:
            return known.newest_us
        return max(min(now_us, document.issued_us + self._ahead_us), 0)  # of an age at most, whatever is said

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
                key=lambda key: (self._known[key].document.content is not None, self._known[key].newest_us),
            )
        self._forget(oldest)

    def _forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._known.pop(key, None)
            self._waiting.pop(key, None)
        with suppress(Refused):  # no room for that: another time
            self._outbox.documents.drop(*key).result()

    def _is_of_wrong_clock(self, answer: Document) -> bool:
        """An answer to a comparison of notes has for its version when that was asked for, by this PC's clock. One
        of a clock that was far ahead, as central's was that answered, must not stand before all later ones.
        """
        return answer.version > self._clock.now_us() + MOST_AHEAD_US


def same(one: Document, other: Document) -> bool:
    """Whether two documents say the same, whenever they were issued."""
    return one.content == other.content
