"""Comparing notes with central: it hears what this agent holds, sends what is newer and withdraws what is gone.

After each connect and every ten minutes, and again soon where no answer comes, ever more seldom: what is asked
before central is at the broker is lost. When central speaks that was silent, it is asked again soon. In pieces:
each names all that is held between two documents (``after``, ``through``; by kind and id), so that central sees
from any piece alone what is missing there. A piece that is lost is made good by the next round. Central's answer
to the last piece says that all that is held is the newest.

A central that was restored from a backup may have lost what this agent holds. It then asks to be shown that, as it
is signed; the agent shows each once and begins anew. Of what quality holds it shows what it held when it asked,
even if a newer document has come since: in that, a hold may be missing that only the lines still know of.

An agent whose clock is wrong is not answered, but told by central's clock that it is refused. From that it knows
how far its own is off; nothing of what it holds is the newer for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import JsonValue

from edge_agent.clock_offset import ClockOffset
from edge_agent.documents import Documents
from records.clock import Clock, by_chance, new_id
from records.wire import HOLDS, PLANT, SHOW, SYNC, SYNC_REFUSED, SYNCED, Document, content_digest

EVERY_S = 600.0
"""How often notes are compared while the connection stands: a quiet line hears of central at least so often."""
AGAIN_S = 10.0
"""How soon it asks again what is not answered, about; then after twice as long each time, up to ``EVERY_S``."""
AWAY_S = 60.0
"""Who has said nothing for so long since it was asked, and then speaks, had been away. One that works up a backlog
speaks meanwhile."""
ANSWER_S = 1.5 * EVERY_S
"""Central answers within seconds, or late when it works up a backlog. Who has asked again and waits still is not
answered: central is down, or refuses what is asked, for a wrong clock say."""
PIECE = 1000
"""Most documents that one piece tells."""
PIECE_BYTES = 100_000
"""About the most bytes of a piece."""
_ENTRY_BYTES = 48


class Sync:
    """The rounds of one agent. Safe from any thread."""

    def __init__(
        self,
        agent: str,
        documents: Documents,
        ask: Callable[[str, JsonValue], None],
        clock: Clock,
        offset: ClockOffset | None = None,
    ) -> None:
        self._agent, self._documents, self._ask, self._offset = agent, documents, ask, offset
        self._clock = clock
        self._round: str | None = None
        self._holds: bytes | None = None
        self._shown: set[bytes] = set()
        self._waits_from_s: float | None = None
        self._asked_s = 0.0
        self._pause_s = AGAIN_S
        self._due_s: float | None = None
        self._silent = False
        """Whether central has said nothing at all since it was asked."""

    def unanswered_s(self) -> float | None:
        """For how long central has not answered although it is asked again and again; None while it does."""
        from_s = self._waits_from_s
        waited_s = 0.0 if from_s is None else self._clock.monotonic_s() - from_s
        return waited_s if waited_s > ANSWER_S else None

    def connected(self) -> None:
        """Ask first of all; who was not there could not answer."""
        self._waits_from_s = None
        self.begin()

    def begin(self) -> None:
        """Ask anew; an answer to a round before is none any more."""
        self._pause_s = AGAIN_S
        self._shown.clear()
        self._ask_anew()

    def look(self) -> None:
        """Ask again where it is time. Call it every second or so while central can be reached."""
        now_s = self._clock.monotonic_s()
        if self._due_s is None:
            return
        if self._has_come(now_s):
            self._pause_s = AGAIN_S
            self._due_s = min(self._due_s, now_s + by_chance(AGAIN_S))
        if now_s >= self._due_s:
            self._pause_s = AGAIN_S if self._round is None else min(2 * self._pause_s, EVERY_S)
            self._shown.clear()
            self._ask_anew()

    def _has_come(self, now_s: float) -> bool:
        """Whether central, that had not been there when it was asked, is heard for the first time since."""
        heard_s = self._documents.heard_s
        if not self._silent or heard_s is None or heard_s <= self._asked_s:
            return False
        self._silent = False
        return self._round is not None and heard_s - self._asked_s > AWAY_S

    def _ask_anew(self) -> None:
        self._asked_s, self._silent = self._clock.monotonic_s(), True
        self._due_s = self._asked_s + by_chance(self._pause_s)
        if self._waits_from_s is None:
            self._waits_from_s = self._asked_s
        self._round = new_id()
        self._holds = self._documents.signed(HOLDS, PLANT)
        if self._offset is not None:
            self._offset.asked()
        for piece in pieces(self._documents.held(SYNCED)):
            self._ask(SYNC, {"round": self._round, **piece})

    def answered(self) -> bool:
        """Take central's newest answer; whether it confirms all that is held now. Show what it asks for."""
        answer = self._documents.get(SYNC, self._agent)
        content = None if answer is None else answer.content
        if not isinstance(content, dict) or self._round is None or content.get("round") != self._round:
            return False
        if "show" in content:
            self._show(content["show"])
            return False
        self._round = self._waits_from_s = None
        self._due_s = self._clock.monotonic_s() + EVERY_S
        if self._offset is not None and answer is not None:
            self._offset.answered(answer.issued_us)
        self._documents.heard()
        return True

    def refused(self) -> None:
        """Take central's word that what was asked now came at a wrong time: how far this clock is off."""
        told = self._documents.get(SYNC_REFUSED, self._agent)
        content = None if told is None else told.content
        mine = isinstance(content, dict) and self._round is not None and content.get("round") == self._round
        if mine and told is not None:
            self._silent = False
            self._due_s = self._clock.monotonic_s() + EVERY_S  # asked sooner, it says the same
            if self._offset is not None:
                self._offset.answered(told.issued_us)

    def _show(self, asked: JsonValue) -> None:
        """What was shown and is asked for again is left: central does not believe it, and says so there."""
        new = False
        for place in asked if isinstance(asked, list) else ():
            kind, name = (str(part) for part in place) if isinstance(place, list) and len(place) == 2 else ("", "")
            signed = self._holds if (kind, name) == (HOLDS, PLANT) else self._documents.signed(kind, name)
            if signed is not None and signed not in self._shown:
                new = True
                self._shown.add(signed)
                self._ask(SHOW, {"kind": kind, "id": name, "signed": signed.decode()})
        if new:
            self._ask_anew()


def pieces(held: Sequence[Document]) -> Iterator[dict[str, JsonValue]]:
    """Documents that are ordered by kind and id, as pieces of bounded size that leave nothing out between them."""
    after: JsonValue = None
    rest = list(held)
    while True:
        taken, size = 0, 0
        for document in rest[:PIECE]:
            size += _ENTRY_BYTES + len(document.id.encode())
            if taken and size > PIECE_BYTES:
                break
            taken += 1
        told, rest = rest[:taken], rest[taken:]
        known: dict[str, JsonValue] = {}
        for document in told:
            entry: JsonValue = [str(document.version), content_digest(document.content)]
            of_kind = known.setdefault(document.kind, {})
            if isinstance(of_kind, dict):
                of_kind[document.id] = entry
        through: JsonValue = [told[-1].kind, told[-1].id] if rest else None
        yield {"after": after, "through": through, "known": known}
        if not rest:
            return
        after = through
