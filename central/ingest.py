"""What agents send becomes central's: each record exactly once, in order, or visibly refused.

Promise, for everything that ``Ingest.take`` returns from:

- **Idempotent.** A record that is held already, with the same hash, changes nothing. The same key with another
  hash is a conflict: kept beside the held one, stated as a fact, and never an overwrite.
- **Contiguous.** A chain only grows behind its last committed record. A frame behind a hole is not taken; the
  answer is the watermark as it is, so that the agent sends again from there.
- **Atomic.** Records, the frame that vouches for them, and the watermark are committed in one transaction. Only
  then is the broker answered.
- **Nothing disappears.** Garbage, strangers, wrong signatures go to quarantine with their bytes, and a fact says
  so. A record of a known agent whose body nobody can read is committed all the same, since the chain must go on,
  and lies in quarantine too.

Is not: a judge of what the records say. That is done by readers of the committed facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from central.agent_requests import AgentRequests, Handler, NotTaken
from central.ahead import Ahead
from central.believed import Believed, Keys
from central.committing import Checked, Committing, Item, Outcome
from central.facts import Facts
from central.gathering import Batch, Gathering
from central.quarantine import Detail, Quarantine, Reason
from central.store import index
from central.store.engine import Connection, Store
from central.telemetry import span_of
from central.worker_states import Heard
from records import chain
from records.clock import Clock
from records.errors import Damaged, Invalid
from records.model import LONGEST_ID, decode
from records.telemetry import KIND, decode_chunk
from records.trouble import Trouble
from records.wire import CENTRAL, REQUESTS, TOPIC_ROOT, Envelope, Frame, Head, decode_frame, unsign

STREAMS = ("records", "telemetry")

OFFLINE = b"offline"
"""What the broker says on an agent's state topic when the agent is gone (its will)."""

PROBES = "doctor-"
"""How the names begin under which the doctor asks the broker what it lets through, with empty messages."""

_EPOCH = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Presence:
    """What an agent's state topic last said. ``seen_us``: central's clock then."""

    online: bool
    seen_us: int


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A frame's place among those that are committed with it; ``again`` when other keys are believed by now than
    those that it was checked by.
    """

    batch: Batch
    place: int
    records: int
    again: Callable[[], Outcome]


class Taking:
    """A payload that is being taken. ``done``: whether ``result`` answers without waiting for a commit."""

    def __init__(self, ingest: Ingest, what: Outcome | _UnderWay) -> None:
        self._ingest = ingest
        self._what = what

    @property
    def done(self) -> bool:
        return isinstance(self._what, Outcome) or self._what.batch.done

    @property
    def records(self) -> int:
        """How many of it are to be taken; 1 for what is no frame."""
        return 1 if isinstance(self._what, Outcome) else self._what.records

    def outcome(self) -> Outcome:
        if isinstance(self._what, Outcome):
            return self._what
        return self._what.batch.outcome(self._what.place) or self._what.again()

    def result(self) -> Outcome:
        """What became of it; raises as ``Ingest.take`` does. Ask once."""
        outcome = self.outcome()
        self._ingest.ahead.heard(outcome)
        return self._ingest.done(outcome)


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: Reason
    detail: Detail


class Ingest:
    """Takes payloads one after the other, from one thread. ``on_committed`` is called after what was committed,
    ``on_done`` from any thread when a transaction of what was begun has ended.

    ``fence`` is asked in each transaction that commits records, and raises where another process is to do so.
    ``requests``: who answers what agents ask for, by kind, ``untimely``: who tells them that their clock is
    wrong; who answers registers itself before the start. ``workers``: what central's other processes say of
    themselves.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        on_committed: Callable[[], None] = lambda: None,
        fence: Callable[[Connection], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.on_committed = on_committed
        self._presence: dict[str, Presence] = {}
        self._believed = Believed(store)
        self.requests: dict[str, Handler] = {}
        self.untimely: dict[str, Handler] = {}
        self._asked = AgentRequests(store, facts, clock, self.requests, self.untimely)
        self.workers = Heard(facts.ring)
        self.quarantine = Quarantine(store, facts, clock)
        self.ahead = Ahead(store, facts, clock)
        self._committing = Committing(clock, self.quarantine, fence)
        self.on_done: Callable[[], None] = lambda: None
        self._gathering = Gathering(store, self._committing, lambda: self.on_done())

    def presence(self) -> dict[str, Presence]:
        """Which agents the broker last called online or offline, since this process started."""
        return dict(self._presence)

    def take(self, topic: str, payload: bytes) -> Outcome:
        """Commit what is new in one payload, or say why not.

        Raises:
            StorageFailed: nothing was committed and the process must stop; the broker must not be answered.
        """
        return self.begin(topic, payload).result()

    def begin(self, topic: str, payload: bytes) -> Taking:
        """The same, without waiting for the commit: several may be under way and are committed together.

        Their results must be asked for in the order in which they were begun.
        """
        levels = topic.removeprefix(f"{TOPIC_ROOT}/").split("/")
        if levels[0] != "up" or levels[-1] not in STREAMS:
            self._gathering.send()  # what was begun before comes first
        match levels:
            case ["up", _, agent, _] | ["state", agent] if agent.startswith(PROBES) and not payload:
                outcome = Outcome("ignored", detail="the doctor asks what the broker lets through")
            case ["up", _, agent, stream] if stream in STREAMS:
                return Taking(self, self._take_frame(topic, agent, stream, payload))
            case ["up", partition, agent, stream] if stream == REQUESTS:
                outcome = self._take_request(topic, partition, agent, payload)
            case ["state", agent]:
                outcome = self._take_state(topic, agent, payload)
            case ["state", name, _] if name == CENTRAL:
                outcome = self._take_worker(topic, payload)
            case ["ack" | "down", *_]:
                outcome = Outcome("ignored", detail="central's own word, which some brokers send back")
            case _:
                outcome = self._refused(topic, None, _Refusal("topic", Trouble.of("no-such-topic")), payload)
        return Taking(self, outcome)

    def send(self) -> None:
        """What was begun and waits for more goes to the disk now."""
        self._gathering.send()

    def bring(self, agent: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        """Commit what is new in a frame that came as a file; the same in every respect as one over the network,
        but that an epoch begun so is its agent's newest only where it follows the newest (``central.succession``).

        ``by_any_key``: also one signed by a key that was revoked or replaced; somebody has decided so.

        Raises:
            StorageFailed: nothing was committed and the process must stop.
        """
        what = self._take_frame(f"import/{agent}", agent, None, payload, by_any_key=by_any_key, imported=True)
        return self.done(Taking(self, what).outcome())

    def bring_head(self, agent: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        """Keep a signed head that came as a file; it says nothing of whether the agent is there. It may prove what
        no record of that file is needed for any more.
        """
        outcome = self.done(self._take_head(f"import/{agent}", agent, payload, by_any_key=by_any_key))
        if outcome.result == "head":
            self.on_committed()
        return outcome

    def done(self, outcome: Outcome) -> Outcome:
        """Tell who wants to know that something was committed."""
        if outcome.new or outcome.facts:
            self.on_committed()
        return outcome

    # -- frames ----------------------------------------------------------------------------------------

    def _refused(self, topic: str, agent: str | None, why: _Refusal, payload: bytes) -> Outcome:
        facts = self.quarantine.refuse(topic, agent, why.reason, why.detail, payload)
        return Outcome("quarantined", agent, None, facts, f"{why.reason}: {why.detail}")

    def _take_frame(
        self,
        topic: str,
        agent: str,
        stream: str | None,
        payload: bytes,
        *,
        by_any_key: bool = False,
        imported: bool = False,
        again: bool = False,
    ) -> Outcome | _UnderWay:
        keys = self._believed.last()
        while True:
            frame = self._checked(keys, agent, stream, payload, by_any_key=by_any_key)
            if isinstance(frame, Frame):
                items = [_read(envelope) for envelope in frame.envelopes]
                checked = Checked(topic, frame, items, keys.stamp, imported)
                alone = imported or again
                place = self._gathering.alone(checked) if alone else self._gathering.add(checked)
                once_more = partial(self._take_again, topic, agent, stream, payload, by_any_key, imported)
                return _UnderWay(*place, len(frame.envelopes), once_more)
            now = self._believed.now()
            if now is keys:
                return self._refused(topic, agent, frame, payload)
            keys = now

    def _take_again(
        self, topic: str, agent: str, stream: str | None, payload: bytes, by_any_key: bool, imported: bool
    ) -> Outcome:
        """By the keys that are believed by now."""
        self._believed.now()
        how = {"by_any_key": by_any_key, "imported": imported, "again": True}
        what = self._take_frame(topic, agent, stream, payload, **how)
        return Taking(self, what).outcome()

    def _checked(
        self, keys: Keys, agent: str, stream: str | None, payload: bytes, *, by_any_key: bool
    ) -> Frame | _Refusal:
        """``stream`` None: of whatever stream."""
        if agent not in keys.owners:
            return _Refusal("unknown-agent", Trouble.of("agent-not-enrolled", agent=agent))
        try:
            frame = decode_frame(payload, keys.ring, at_us=None if by_any_key else self._clock.now_us())
        except Damaged as error:
            return _Refusal("signature", error.trouble or error.message)
        except Invalid as error:
            return _Refusal("not-a-frame", error.trouble or str(error))
        except (ValueError, OverflowError) as error:  # numbers that no chain field can hold
            return _Refusal("not-a-frame", str(error))
        if frame.agent != agent or frame.stream not in ((stream,) if stream else STREAMS):
            named = Trouble.of("frame-of-another", agent=frame.agent, stream=frame.stream)
            return _Refusal("topic", named)
        start = chain.first_hash(frame.agent, frame.epoch, frame.stream)
        if not _EPOCH.fullmatch(frame.epoch) or (frame.first == 1 and frame.previous != start):
            return _Refusal("not-a-frame", Trouble.of("epoch-begins-otherwise"))
        return frame

    # -- requests --------------------------------------------------------------------------------------

    def _take_request(self, topic: str, partition: str, agent: str, payload: bytes) -> Outcome:
        try:
            new = self._asked.take(partition, agent, payload)
        except NotTaken as refused:
            if refused.known:
                return Outcome("ignored", agent, detail=str(refused.detail))
            return self._refused(topic, agent, _Refusal(refused.reason, refused.detail), payload)
        return Outcome("request", agent) if new else Outcome("ignored", agent, detail="asked already")

    # -- state topics ----------------------------------------------------------------------------------

    def _take_state(self, topic: str, agent: str, payload: bytes) -> Outcome:
        if not payload:
            return Outcome("ignored", agent)
        if payload == OFFLINE and agent in self._believed.now().owners:
            self._presence[agent] = Presence(False, self._clock.now_us())
            return Outcome("ignored", agent, detail="offline")
        outcome = self._take_head(topic, agent, payload)
        if outcome.result != "quarantined":
            self._presence[agent] = Presence(True, self._clock.now_us())
        return outcome

    def _take_worker(self, topic: str, payload: bytes) -> Outcome:
        try:
            self.workers.take(topic, payload)
        except (Invalid, Damaged) as error:
            return self._refused(topic, None, _Refusal("topic", error.trouble or error.message), payload)
        return Outcome("ignored", detail="how a worker does")

    def _take_head(self, topic: str, agent: str, payload: bytes, *, by_any_key: bool = False) -> Outcome:
        keys = self._believed.now()
        now_us = self._clock.now_us()
        if agent not in keys.owners:
            stranger = Trouble.of("agent-not-enrolled", agent=agent)
            return self._refused(topic, agent, _Refusal("unknown-agent", stranger), payload)
        try:
            head = unsign(Head, payload, keys.ring, agent, at_us=None if by_any_key else now_us)
        except (Invalid, Damaged) as error:
            return self._refused(topic, agent, _Refusal("head", error.trouble or error.message), payload)
        if head.agent != agent or head.stream not in STREAMS or not _plausible(head):
            named = Trouble.of("head-of-another", agent=head.agent, stream=head.stream)
            return self._refused(topic, agent, _Refusal("head", named), payload)
        return self._store.write(lambda c: self._committing.keep_head(c, head, payload, now_us))


def _plausible(head: Head) -> bool:
    return (
        _EPOCH.fullmatch(head.epoch) is not None
        and re.fullmatch(r"[0-9a-f]{64}", head.hash) is not None
        and 1 <= head.last < 2**63
        and 0 <= head.at_us < 2**63
    )


def _read(envelope: Envelope) -> Item:
    """Telemetry is columns, not facts: of a chunk only where it belongs is noted, it is read by who asks."""
    if envelope.body is None or (envelope.stream != "records" and envelope.kind != KIND):
        return Item(envelope, None)
    try:
        if envelope.stream == "records":
            fact = decode(envelope.kind, envelope.body)
            wrong = index.too_long(fact)
            return Item(envelope, fact) if wrong is None else Item(envelope, None, wrong)
        span = span_of(decode_chunk(envelope.body))
        if len(span.device) > LONGEST_ID:
            return Item(envelope, None, f"device: {len(span.device)} characters, more than {LONGEST_ID}")
        return Item(envelope, None, span=span)
    except Invalid as error:
        return Item(envelope, None, error.trouble or error.message)
