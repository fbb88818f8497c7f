"""The uplink: sends what the outbox holds, and acts on what central says.

Promise: it publishes from the outbox only, never lets go of anything itself, and whatever the broker or the
network does, it goes on from central's last signed watermark. A PUBACK frees nothing.

One thread of its own decides and talks to the outbox; paho's thread only puts events into a bounded inbox. Garbage
that arrives is counted, logged and reported as an event, and changes nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

from edge_agent.documents import Documents
from edge_agent.outbox import Applied, Outbox, Outcome, Run
from edge_agent.uplink.broker import UplinkSettings, address
from edge_agent.uplink.frames import Frames
from edge_agent.uplink.incoming import Incoming, OnEvent
from edge_agent.uplink.link import (
    NO_SUBSCRIBER,
    OFFLINE,
    Connected,
    Delivered,
    Event,
    Link,
    Lost,
    Message,
    Subscribed,
    Wake,
)
from edge_agent.uplink.status import UplinkStatus
from edge_agent.uplink.window import Window
from records.clock import MICROSECONDS, Clock, new_id
from records.errors import Damaged, StorageFailed, Unreachable
from records.keys import Identity
from records.wire import (
    TOPIC_ROOT,
    ack_topic,
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
NOT_SUBSCRIBED = "central is not subscribed at the broker"
BLOCKED_S = 10.0
"""How long sending rests after a row that cannot be sent."""


class Uplink:
    """``on_event(code, params)`` is called in the uplink's thread for what is to be recorded."""

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        settings: UplinkSettings,
        clock: Clock,
        on_event: OnEvent = lambda _code, _params: None,
        *,
        documents: Documents | None = None,
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises ConfigurationError when the broker's address or the identity cannot be used."""
        self._outbox, self._identity, self._settings, self._clock = outbox, identity, settings, clock
        self._documents, self._failpoint = documents, failpoint
        self._address = address(settings.broker, identity)
        self._agent, self._stream = identity.file.agent, outbox.stream
        self._frames = Frames(outbox, identity.signing, settings.max_frame_bytes, on_event)
        self._incoming = Incoming(outbox, identity, clock, documents, on_event)
        self._log = structlog.get_logger().bind(agent=self._agent, broker=str(self._address))
        self._inbox: queue.Queue[Event] = queue.Queue(INBOX)
        self._stopping = threading.Event()
        self._head_asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._error: str | None = None
        self._blocked: str | None = None
        self._sent = self._sent_again = 0
        self._window = Window(settings.limits, outbox.acknowledged()[0], clock.monotonic_s())
        self._highest = 0
        self._send_from_s = self._head_due_s = self._prune_due_s = clock.monotonic_s()
        outbox.listen(self._wake)

    # -- from any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; the broker may still be away."""
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

    def status(self) -> UplinkStatus:
        """How it is now."""
        pending = self._outbox.pending()
        age = None if pending.oldest_us is None else (self._clock.now_us() - pending.oldest_us) / MICROSECONDS
        return UplinkStatus(
            self._connected,
            str(self._address),
            pending.records,
            None if age is None else max(age, 0.0),
            self._outbox.acknowledged()[1],
            self._blocked or self._error,
            self._sent,
            self._sent_again,
            self._incoming.refused,
        )

    def _wake(self) -> None:
        try:
            self._inbox.put_nowait(Wake())
        except queue.Full:
            return  # it is awake

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            try:
                link = Link(self._identity, self._address, self._settings, self._inbox)
            except Unreachable as error:
                self._fault(str(error))
            else:
                try:
                    if self._serve(link):
                        retry_s = FIRST_RETRY_S
                except StorageFailed as error:
                    self._fault(str(error))
                    return  # the outbox has told whoever must stop the process
                except Exception as error:
                    # A mistake of ours must not end the way to central: nothing is lost by beginning again.
                    self._log.exception("uplink-mistake")
                    self._fault(f"the uplink made a mistake and begins again: {error!r}")
                finally:
                    self._connected = False
                    link.close()
            jitter = 0.5 + int(new_id(2), 16) / 65_536
            self._stopping.wait(retry_s * jitter)
            retry_s = min(retry_s * 2, self._settings.reconnect_max_s)

    def _serve(self, link: Link) -> bool:
        """Use one connection until it is lost or the uplink stops; whether it ever came to be used."""
        began_s = self._clock.monotonic_s()
        while not self._stopping.is_set():
            now_s = self._clock.monotonic_s()
            if not self._connected and now_s - began_s > CONNECT_S:
                self._fault(f"the broker did not accept the connection within {CONNECT_S:.0f} s")
                return False
            event = self._next_event(now_s)
            if event is not None and not isinstance(event, Wake) and event.link is link:
                if isinstance(event, Lost):
                    self._fault(event.reason)
                    return self._connected
                self._handle(event)
            if self._connected:
                self._work(link)
        if self._connected:
            self._farewell(link)
        return True

    def _next_event(self, now_s: float) -> Event | None:
        if not self._connected:
            wait_s = 1.0
        else:
            due = [self._head_due_s - now_s, self._prune_due_s - now_s]
            stalled_s = self._window.until_stalled_s(now_s)
            if stalled_s is not None:
                due.append(stalled_s)
            if self._send_from_s > now_s:
                due.append(self._send_from_s - now_s)
            wait_s = max(min(due), 0.0)
        try:
            return self._inbox.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _handle(self, event: Connected | Subscribed | Delivered | Message) -> None:
        match event:
            case Connected(link):
                topics = [ack_topic(self._agent, self._stream)]
                if self._documents is not None:
                    topics.append(f"{TOPIC_ROOT}/down/{self._agent}/+/+")
                link.subscribe(topics)
            case Subscribed(_, refused):
                now_s = self._clock.monotonic_s()
                self._connected, self._error = True, refused
                self._window = Window(self._settings.limits, self._outbox.acknowledged()[0], now_s)
                self._send_from_s = now_s + self._settings.settle_s
                self._head_due_s = now_s
                self._log.info("uplink-connected")
            case Delivered():
                self._delivered(event)
            case Message(_, topic, payload, retained):
                applied = self._incoming.take(topic, payload, retained)
                if applied is not None:
                    self._watermark(applied)

    def _delivered(self, event: Delivered) -> None:
        """The broker has it, which is no proof of anything; only a refusal tells something."""
        self._failpoint("uplink.after_puback")
        event.link.in_flight -= 1
        if event.code >= 0x80:
            self._fault(f"the broker did not take a message: {event.reason}")
        elif event.code == NO_SUBSCRIBER:
            self._fault(NOT_SUBSCRIBED)
        elif self._error == NOT_SUBSCRIBED:
            self._error = None

    def _watermark(self, applied: Applied) -> None:
        """What the outbox made of central's watermark, for what is sent next."""
        now_s = self._clock.monotonic_s()
        self._send_from_s = min(self._send_from_s, now_s)
        if applied.outcome is not Outcome.UNCHANGED:
            self._error = None
            self._window.moved(self._outbox.acknowledged()[0], now_s)
        if applied.outcome in (Outcome.ROLLED_BACK, Outcome.REWOUND):
            self._log.error(f"watermark-{applied.outcome}", stored_again=applied.stored_again, lost=applied.lost)

    # -- what goes out -------------------------------------------------------------------------------------

    def _work(self, link: Link) -> None:
        now_s = self._clock.monotonic_s()
        if self._window.stalled(now_s):
            self._fault("central has confirmed nothing for a while; sending again")
        if now_s >= self._send_from_s:
            try:
                self._send(link, now_s)
                self._blocked = None
            except Damaged as error:
                if self._blocked is None:
                    self._log.error("uplink-blocked", reason=str(error))
                self._blocked = str(error)
                self._send_from_s = now_s + BLOCKED_S
        if (now_s >= self._head_due_s or self._head_asked.is_set()) and link.in_flight < link.receive_maximum:
            self._head_asked.clear()
            self._head_due_s = now_s + self._settings.head_interval_s
            self._state_head(link)
        if now_s >= self._prune_due_s:
            self._prune_due_s = now_s + self._settings.prune_interval_s
            self._failpoint("uplink.before_prune")
            self._outbox.prune()

    def _send(self, link: Link, now_s: float) -> None:
        while self._window.room() and link.in_flight < link.receive_maximum:
            made = self._frames.next(self._window.cursor, link.packet_maximum)
            if made is None:
                return
            run, frame = made
            self._failpoint("uplink.before_publish")
            self._publish(link, run, frame)
            self._sent += 1
            self._sent_again += run.position <= self._highest
            self._highest = max(self._highest, run.position)
            self._window.sent(run.position, len(frame), now_s)

    def _publish(self, link: Link, run: Run, frame: bytes) -> None:
        link.publish(up_topic(self._identity.file.partition, self._agent, self._stream), frame)

    def _state_head(self, link: Link) -> int:
        return link.publish(
            state_topic(self._agent), sign(self._outbox.head(), self._identity.signing), retain=True
        )

    def _farewell(self, link: Link) -> None:
        """State the head, then offline, and wait a little until the broker has both."""
        waiting = {self._state_head(link), link.publish(state_topic(self._agent), OFFLINE, retain=True)}
        deadline_s = self._clock.monotonic_s() + FAREWELL_S
        while waiting and (left_s := deadline_s - self._clock.monotonic_s()) > 0:
            try:
                event = self._inbox.get(timeout=left_s)
            except queue.Empty:
                return
            if isinstance(event, Lost):
                return
            if isinstance(event, Delivered):
                waiting.discard(event.mid)

    def _fault(self, reason: str) -> None:
        """Remember what stands in the way; said once, however often it is tried."""
        if reason != self._error:
            self._log.warning("uplink-fault", reason=reason)
        self._error = reason
