"""The uplink: sends what the outboxes hold, records before telemetry, and acts on what central says.

Promise: it publishes from the outboxes only, never lets go of anything itself, and whatever the broker or the
network does, it goes on from central's last signed watermark. A PUBACK frees nothing.

One thread of its own decides and talks to the outboxes; paho's thread only puts events into a bounded inbox.
Garbage that arrives is counted, logged and reported as an event, and changes nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from pydantic import JsonValue

from edge_agent.documents import Documents
from edge_agent.outbox import Outbox, Outcome, Run
from edge_agent.uplink.broker import UplinkSettings, address
from edge_agent.uplink.fence import FENCED, Fence
from edge_agent.uplink.incoming import Incoming, OnEvent
from edge_agent.uplink.lane import NOT_TAKEN, REFUSED_FROM, Lane, refusal
from edge_agent.uplink.link import (
    NO_SUBSCRIBER,
    OFFLINE,
    TAKEN_OVER,
    Connected,
    Delivered,
    Event,
    Link,
    Lost,
    Message,
    Sent,
    Subscribed,
    Wake,
)
from edge_agent.uplink.packets import PacketSize
from edge_agent.uplink.requests import Requests
from edge_agent.uplink.status import UplinkStatus
from edge_agent.uplink.window import OnTheirWay
from records.clock import Clock, by_chance
from records.errors import Refused, StorageFailed, Unreachable, trouble_of
from records.keys import Identity
from records.trouble import Trouble
from records.wire import (
    CENTRAL,
    CENTRAL_KEYS,
    HELLO,
    TOPIC_ROOT,
    down_topic,
    sign,
    state_topic,
    up_topic,
)

INBOX = 1000
"""Most events that wait for the uplink's thread; then the connection is not read."""
FIRST_RETRY_S = 0.5
CONNECT_S = 10.0
"""How long a broker may take to accept a connection and its subscriptions."""
FAREWELL_S = 2.0
"""How long a stop waits until the broker has the last head."""
NOT_SUBSCRIBED = Trouble.of("central-not-subscribed")
UNCONFIRMED = Trouble.of("central-confirms-nothing")
NOT_NOTED = "word-not-noted"
"""With the reason, while the disk has no room or more writes wait than may."""
RECORDS_APPLY_S = 0.1
"""While a backlog drains, watermarks of records are acted on at most so often: each costs a commit."""
TELEMETRY_APPLY_S = 3.0
"""Watermarks of telemetry are acted on at most so often: each costs a commit, and nobody waits for it."""
TELEMETRY_SHARE = 0.5
"""Of the window, so that records always find room."""
TAKEN_OVER_MAX_S = 60.0
"""With half of it on top it is less than the silence that central takes for an agent's end, two minutes: of two
that take turns each is heard within it, so that central knows them for two."""
CALM_S = 300.0
"""A session that lasted so long was taken over anew, not again."""
DOUBLED = Trouble.of("session-taken-over")
UNANSWERED_S = 60.0
"""A broker that answers nothing for so long, though it answers pings, is left."""
KEEPALIVE_TIMEOUT = 0x8D
CLOSED = 0x80
"""How paho calls it when the other side ended the connection without a word."""
HEAD, REQUEST = "head", "request"


class Uplink:
    """``on_event(code, params)`` is called in the uplink's thread for what is to be recorded, ``on_connected()``
    whenever a connection stands and what central says is heard, ``on_restored()`` when central says that it was
    put back since it was heard last.
    """

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        settings: UplinkSettings,
        clock: Clock,
        on_event: OnEvent = lambda _code, _params: None,
        *,
        documents: Documents | None = None,
        telemetry: Outbox | None = None,
        on_acknowledged: Callable[[int], None] = lambda _: None,
        on_connected: Callable[[], None] = lambda: None,
        on_restored: Callable[[], None] = lambda: None,
        on_central_keys: Callable[[bytes], None] = lambda _: None,
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises ConfigurationError when the broker's address cannot be used."""
        self._outbox, self._identity, self._settings, self._clock = outbox, identity, settings, clock
        self._documents, self._failpoint, self._on_connected = documents, failpoint, on_connected
        self._on_restored = on_restored
        self._generation: int | None = None
        self._address = address(settings.broker)
        self._agent = identity.file.agent
        self._incoming = Incoming(identity, clock, documents, on_event, on_central_keys)
        together, sizes = OnTheirWay(), PacketSize()
        self._records = Lane(
            outbox,
            identity,
            settings,
            clock,
            on_event,
            self._publish,
            together,
            sizes,
            apply_every_s=RECORDS_APPLY_S,
            eager=True,
        )
        self._telemetry: Lane | None = None
        if telemetry is not None:
            self._telemetry = Lane(
                telemetry,
                identity,
                settings,
                clock,
                on_event,
                self._publish,
                together,
                sizes,
                share=TELEMETRY_SHARE,
                one_at_a_time=True,
                apply_every_s=TELEMETRY_APPLY_S,
                on_acknowledged=on_acknowledged,
            )
        self._requests = Requests(identity, clock)
        self._fence = Fence(outbox, identity, clock, documents, on_event)
        self._lanes = [lane for lane in (self._records, self._telemetry) if lane is not None]
        self._log = structlog.get_logger().bind(agent=self._agent, broker=str(self._address))
        self._inbox: queue.Queue[Event] = queue.Queue(INBOX)
        self._stopping = threading.Event()
        self._head_asked = threading.Event()
        self._anew = threading.Event()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._error: Trouble | None = None
        self._silent: Lane | None = None
        self._answered_s = clock.monotonic_s()
        self._head_due_s = self._prune_due_s = clock.monotonic_s()
        for lane in self._lanes:
            lane.outbox.listen(partial(self._committed, lane))

    # -- from any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; the broker may still be away."""
        self._fence.begin()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """State the head and go offline. Safe to call twice; what was not sent stays in the outbox."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join()

    def request_head(self) -> None:
        """State the signed head soon (at the end of an order, say)."""
        self._head_asked.set()
        self._wake()

    def request(self, kind: str, content: JsonValue) -> None:
        """Ask central for something, signed, once a connection stands. It may be lost: who asked asks again."""
        self._requests.ask(kind, content)
        self._wake()

    def reconnect(self) -> None:
        """Connect anew soon, with the certificate that is in the identity folder then."""
        self._anew.set()
        self._wake()

    @property
    def tls(self) -> bool:
        """Whether the broker asks for a certificate."""
        return self._address.tls

    @property
    def reached(self) -> bool:
        """Whether it is subscribed at the broker now."""
        return self._connected

    @property
    def fenced(self) -> bool:
        """Whether central keeps to another agent of this identity."""
        return self._fence.closed

    @property
    def live(self) -> bool:
        """Whether what is committed as telemetry now goes to central at once."""
        lane = self._telemetry
        return self._connected and lane is not None and not lane.waiting and not self.fenced

    def status(self) -> UplinkStatus:
        """How it is now."""
        records = self._records.status()
        telemetry = None if self._telemetry is None else self._telemetry.status()
        return UplinkStatus(
            self._connected,
            str(self._address),
            records.pending,
            records.oldest_pending_age_s,
            records.watermark,
            self._in_the_way(records.blocked, None if telemetry is None else telemetry.blocked),
            records.frames_sent,
            records.frames_sent_again,
            self._incoming.refused,
            telemetry,
        )

    def _in_the_way(self, records: Trouble | None, telemetry: Trouble | None) -> Trouble | None:
        """What keeps records from central now, and only when nothing does what keeps telemetry."""
        if self._fence.closed:
            return FENCED
        not_kept = None if self._documents is None else self._documents.not_kept
        no_room = next((lane.no_room for lane in self._lanes if lane.no_room is not None), None)
        waits = None if telemetry is None else Trouble.of("telemetry-waits", why=telemetry)
        return records or self._error or no_room or not_kept or waits

    def _committed(self, lane: Lane) -> None:
        lane.wake()
        self._wake()

    def _wake(self) -> None:
        try:
            self._inbox.put_nowait(Wake())
        except queue.Full:
            return  # it is awake

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        retry_s, taken_s = FIRST_RETRY_S, self._settings.taken_over_s
        while not self._stopping.is_set():
            began_s, wait_s = self._clock.monotonic_s(), retry_s
            try:
                listening = self._fence.instance if self._fence.closed else None
                link = Link(self._identity, self._address, self._settings, self._inbox, listening=listening)
            except Unreachable as error:
                self._fault(trouble_of(error))
            else:
                try:
                    if self._serve(link):
                        retry_s = wait_s = FIRST_RETRY_S
                except StorageFailed as error:
                    self._fault(trouble_of(error))
                    return  # the outbox has told whoever must stop the process
                except Exception as error:
                    # A mistake of ours must not end the way to central: nothing is lost by beginning again.
                    self._log.exception("uplink-mistake")
                    self._fault(Trouble.of("uplink-mistaken", said=repr(error)))
                finally:
                    self._connected = False
                    link.close()
                if link.lost is not None and link.lost.code == TAKEN_OVER:
                    self._fault(DOUBLED)
                    if self._clock.monotonic_s() - began_s > CALM_S:
                        taken_s = self._settings.taken_over_s
                    wait_s, taken_s = taken_s, min(taken_s * 2, TAKEN_OVER_MAX_S)
            self._stopping.wait(by_chance(wait_s))
            retry_s = min(retry_s * 2, self._settings.reconnect_max_s)

    def _serve(self, link: Link) -> bool:
        """Use one connection until it is lost or the uplink stops; whether it ever came to be used."""
        began_s = self._clock.monotonic_s()
        while not self._stopping.is_set():
            now_s = self._clock.monotonic_s()
            if not self._connected and now_s - began_s > CONNECT_S:
                self._fault(Trouble.of("broker-not-accepting", limit=f"{CONNECT_S:.0f}"))
                return False
            event = self._next_event(link, now_s)
            if event is not None and not isinstance(event, Wake) and event.link is link:
                self._handle(event)
            for answer in link.delivered():
                self._delivered(answer)
            if link.lost is not None:
                self._ended(link, link.lost)
                return self._connected
            self._apply_marks()
            if self._fence.closed != (link.listening is not None):
                return True  # central has changed its mind: begin again in the other way
            if self._connected:
                if self._anew.is_set() or self._unanswered(link):
                    self._anew.clear()
                    return True
                self._work(link)
        if self._connected and link.listening is None:
            self._farewell(link)
        return True

    def _unanswered(self, link: Link) -> bool:
        """Whether the broker has answered nothing for so long that the connection is worth nothing."""
        now_s = self._clock.monotonic_s()
        if link.oldest is None:
            self._answered_s = now_s
        if now_s - self._answered_s < UNANSWERED_S:
            return False
        self._fault(Trouble.of("broker-takes-nothing", limit=f"{UNANSWERED_S:.0f}"))
        return True

    def _ended(self, link: Link, lost: Lost) -> None:
        self._fault(lost.reason)
        oldest = link.oldest
        if oldest is not None and lost.code >= CLOSED and lost.code != KEEPALIVE_TIMEOUT:
            for lane in self._lanes:
                if lane.outbox.stream == oldest.what:
                    lane.ended(oldest, lost.code, self._clock.monotonic_s())

    def _next_event(self, link: Link, now_s: float) -> Event | None:
        """Wait for what happens next. Nothing falls due for who is not connected yet, or only listens."""
        wait_s = 1.0
        if self._connected and link.listening is None:
            due = [self._prune_due_s - now_s]
            if link.room_for_others:  # else the broker's next answer wakes
                due.append(self._head_due_s - now_s)
            due += [in_s for lane in self._lanes if (in_s := lane.due_in_s(now_s)) is not None]
            wait_s = max(min(due), 0.0)
        try:
            return self._inbox.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _handle(self, event: Connected | Subscribed | Message) -> None:
        match event:
            case Connected(link):
                topics = [] if link.listening else [lane.ack_topic for lane in self._lanes]
                if self._documents is not None:
                    topics.insert(0, down_topic(self._agent, CENTRAL_KEYS, CENTRAL))  # others may need that key
                    topics.append(f"{TOPIC_ROOT}/down/{self._agent}/+/+")
                link.subscribe(topics)
            case Subscribed(_, refused):
                now_s = self._clock.monotonic_s()
                self._connected, self._error = True, refused
                for lane in self._lanes:
                    lane.restart(now_s)
                self._head_due_s = now_s
                if self._documents is not None:
                    self._requests.ask(HELLO, self._fence.hello)
                self._log.info("uplink-connected")
                self._on_connected()
            case Message(_, topic, payload, retained):
                concerned = next((lane for lane in self._lanes if lane.ack_topic == topic), None)
                if concerned is None:
                    self._incoming.take(topic, payload, retained=retained)
                elif (said := self._incoming.watermark(concerned.outbox.stream, payload)) is not None:
                    concerned.heard(said, retained=retained)

    def _delivered(self, answer: Delivered) -> None:
        """The broker has it, which is no proof of anything; only a refusal tells something."""
        self._failpoint("uplink.after_puback")
        now_s = self._answered_s = self._clock.monotonic_s()
        for lane in self._lanes:
            if lane.outbox.stream == answer.sent.what:
                lane.delivered(answer, now_s)
                break
        else:
            if answer.code >= REFUSED_FROM:
                self._fault(refusal(answer.reason, answer.code))
            elif self._error is not None and self._error.code in NOT_TAKEN:
                self._error = None
        if answer.code == NO_SUBSCRIBER:
            self._fault(NOT_SUBSCRIBED)
        elif self._error == NOT_SUBSCRIBED and answer.code < REFUSED_FROM:
            self._error = None

    def _apply_marks(self) -> None:
        now_s = self._clock.monotonic_s()
        for lane in self._lanes:
            mark = lane.due_mark(now_s)
            if mark is None:
                continue
            try:
                applied = self._incoming.apply(lane.outbox, mark.said, retained=mark.retained)
            except Refused as error:
                moved = lane.put_off(mark, Trouble.of(NOT_NOTED, why=trouble_of(error)), now_s)
            else:
                moved = applied is not None and applied.outcome is not Outcome.UNCHANGED
                lane.no_room = None
                if applied is not None:
                    self._heard(mark.said.generation)
                    lane.applied(mark, applied, now_s)
            if moved and lane in (self._records, self._silent):
                self._error = self._silent = None

    def _heard(self, generation: int) -> None:
        """Of either stream: what is said of the other may be older."""
        known = self._generation
        if known is not None and generation > known:
            self._on_restored()
        self._generation = generation if known is None else max(known, generation)

    # -- what goes out -------------------------------------------------------------------------------------

    def _work(self, link: Link) -> None:
        now_s = self._clock.monotonic_s()
        if link.listening is not None:
            self._ask(link)
            return
        for lane in self._lanes:
            if lane.stalled(link, now_s):
                self._silent = lane
                self._fault(UNCONFIRMED)
        self._records.send(link, now_s, self._failpoint)
        self._ask(link)
        if self._telemetry is not None and not self._records.hungry(link, now_s):
            self._telemetry.send(link, now_s, self._failpoint)
        if (now_s >= self._head_due_s or self._head_asked.is_set()) and link.room_for_others:
            self._head_asked.clear()
            self._head_due_s = now_s + self._settings.head_interval_s
            self._state_heads(link)
        if now_s >= self._prune_due_s:
            self._prune_due_s = now_s + self._settings.prune_interval_s
            self._failpoint("uplink.before_prune")
            for lane in self._lanes:
                with suppress(Refused):  # no room for it: another time
                    lane.outbox.prune()

    def _ask(self, link: Link) -> None:
        while link.room_for_others and (request := self._requests.next()) is not None:
            link.publish(self._requests.topic, request, Sent(REQUEST, len(request)))

    def _publish(self, link: Link, run: Run, frame: bytes) -> bool:
        first = run.envelopes[0]
        sent = Sent(first.stream, len(frame), first.epoch, first.seq, len(run.envelopes), run.position)
        return (
            link.publish(up_topic(self._identity.file.partition, self._agent, first.stream), frame, sent)
            is not None
        )

    def _state_heads(self, link: Link) -> set[int | None]:
        """Say where each stream ends. The broker keeps that of the records for who comes later."""
        heads = [(lane is self._records, sign(lane.outbox.head(), self._identity.signing)) for lane in self._lanes]
        topic = state_topic(self._agent)
        return {link.publish(topic, head, Sent(HEAD, len(head)), retain=keep) for keep, head in heads}

    def _farewell(self, link: Link) -> None:
        """State the heads, then offline, and wait a little until the broker has all."""
        waiting = self._state_heads(link)
        waiting.add(link.publish(state_topic(self._agent), OFFLINE, Sent(HEAD, len(OFFLINE)), retain=True))
        waiting.discard(None)
        deadline_s = self._clock.monotonic_s() + FAREWELL_S
        while waiting and link.lost is None and (left_s := deadline_s - self._clock.monotonic_s()) > 0:
            with suppress(queue.Empty):
                self._inbox.get(timeout=left_s)
            waiting -= {answer.mid for answer in link.delivered()}

    def _fault(self, reason: Trouble) -> None:
        """Remember what stands in the way; said once, however often it is tried."""
        if reason != self._error:
            self._log.warning("uplink-fault", reason=reason.whole)
        self._error = reason
