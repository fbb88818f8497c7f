"""One connection to the broker, over paho: what happens on it becomes events in the uplink's inbox.

A connection is used once. When it is lost the object is thrown away with everything paho still had in memory, so
nothing is sent from there behind the outbox's back.

What paho 2.2 does not do, and is done here: it keeps neither the broker's Receive Maximum nor its Maximum Packet
Size; when its queue is full ``publish`` only returns a code, so never more is handed to it than it sends at once;
its callbacks for a PUBACK hold a lock that ``publish`` needs, so they never wait; its thread may end without a
word (a callback that raised, a file descriptor that ``select`` cannot take), so the end of its loop ends the
connection.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from drivers.system_trouble import of_system
from edge_agent.uplink.broker import Address, UplinkSettings
from records.certificates import AUTHORITY, CERTIFICATE, KEY, look_at_files
from records.errors import Invalid, Unreachable
from records.keys import Identity
from records.process import NO_FILES, NO_MEMORY, NO_THREADS, lacks, look_for_room_for_a_thread
from records.trouble import Trouble
from records.wire import state_topic

OFFLINE = b"offline"
"""The will on the agent's state topic."""
NO_SUBSCRIBER = 0x10
NOT_AUTHORIZED = 0x87
TAKEN_OVER = 0x8E
TOO_LARGE = 0x95
QUOTA_EXCEEDED = 0x97
UNKNOWN_USER = 0x86
RECEIVE_MAXIMUM = 65_535  # what MQTT 5 means when a broker says nothing
CLOSE_S = 2.0
CONNECT_S = 5.0
"""How long a TCP connection may take to be made."""
_WANTS = {NO_MEMORY: "no-memory", NO_FILES: "no-files", NO_THREADS: "no-threads"}
ROOM_FOR_OTHERS = 10
"""How many messages beside frames (heads, requests) may be unanswered."""


@dataclass(frozen=True, slots=True)
class Connected:
    link: Link


@dataclass(frozen=True, slots=True)
class Subscribed:
    """``refused``: why a subscription was refused, or None."""

    link: Link
    refused: Trouble | None


@dataclass(frozen=True, slots=True)
class Message:
    link: Link
    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A message handed to the connection: ``what`` is a stream's name for a frame.

    Of a frame: its first row, how many, and its last one's position in the outbox.
    """

    what: str
    size: int
    epoch: str = ""
    seq: int = 0
    records: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker answered a publish; ``code`` of 0x80 or more: it did not take it."""

    mid: int
    sent: Sent
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended or was refused; ``code`` is the broker's own, or 0."""

    reason: Trouble
    code: int = 0


@dataclass(frozen=True, slots=True)
class Wake:
    """Look again: something was committed, asked for, or is to stop."""


Event = Connected | Subscribed | Message | Wake


class _Client(paho.Client):
    """Says when its loop has ended, whatever ended it."""

    on_end: Callable[[Trouble], None] = staticmethod(lambda _: None)

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        reason = Trouble.of("way-ended")
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:
            reason = Trouble.of("way-mistaken", said=repr(error))
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        finally:
            self.on_end(reason)

    def loop_stop(self) -> MQTTErrorCode:
        """Of paho itself this fails where its thread ends while it is looked at."""
        with suppress(AttributeError):
            return super().loop_stop()
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Link:
    """A connection that is being made when the constructor returns. ``lost`` is set once it has ended.

    ``packet_maximum`` is what the broker told; None: nothing. ``listening``: a name beside the agent's own, under
    which it only listens, so that it does not end the session of another agent with its identity.

    Raises:
        Unreachable: the broker did not answer, or was not asked: for want of a file of the identity, say.
    """

    def __init__(
        self,
        identity: Identity,
        address: Address,
        settings: UplinkSettings,
        inbox: queue.Queue[Event],
        *,
        listening: str | None = None,
    ) -> None:
        self.listening = listening
        self.packet_maximum: int | None = None
        self.lost: Lost | None = None
        self._limits = settings.limits
        self._receive_maximum = RECEIVE_MAXIMUM
        self._unanswered: dict[int, Sent] = {}
        self._unanswered_bytes = 0
        self._answers: deque[tuple[int, int, str]] = deque()
        self._inbox = inbox
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._answered = not address.tls
        self._five = settings.protocol == 5
        self._client = self._make_client(identity, address, settings)
        try:
            if self._five:
                self._client.connect(address.host, address.port, round(settings.keepalive_s), clean_start=True)
            else:
                self._client.connect(address.host, address.port, round(settings.keepalive_s))
            look_for_room_for_a_thread()
            self._client.loop_start()
        except (OSError, ValueError, RuntimeError) as error:
            _drop(self._client.socket())
            raise _unreachable(address, error) from error

    def _make_client(self, identity: Identity, address: Address, settings: UplinkSettings) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.file.agent + ("" if self.listening is None else f":{self.listening}"),
            clean_session=None if self._five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        most = settings.limits.messages + ROOM_FOR_OTHERS
        client.max_inflight_messages_set(most)
        client.max_queued_messages_set(most)  # paho counts those in flight, too: it never queues
        client.connect_timeout = CONNECT_S
        client.on_end = self._on_end
        try:
            _identify(client, identity, tls=address.tls)
        except (Invalid, OSError) as error:  # what TLS itself cannot use is an OSError, too
            want = _want(error)
            why = want or getattr(error, "trouble", None) or Trouble.of("as-said", said=str(error))
            told = Trouble.of("broker-not-asked", where=str(address), why=why)
            raise Unreachable.of(told.hinted(None if want else Trouble.of("put-back"))) from error
        if self.listening is None:
            client.will_set(state_topic(identity.file.agent), OFFLINE, qos=1, retain=True)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def subscribe(self, topics: list[str]) -> None:
        """Ask for topics with QoS 1; answered by one ``Subscribed``."""
        self._client.subscribe([(topic, 1) for topic in topics])

    # -- what may be unanswered by the broker, of both streams together ------------------------------------

    @property
    def room(self) -> bool:
        """Whether another frame may go: bounded by messages, bytes, and what the broker takes at once."""
        most = max(min(self._limits.messages, self._receive_maximum - 2), 1)
        return not self._unanswered or (
            len(self._unanswered) < most and self._unanswered_bytes < self._limits.bytes
        )

    @property
    def room_for_others(self) -> bool:
        """Whether a small message that is no frame may go."""
        return len(self._unanswered) < min(self._limits.messages + ROOM_FOR_OTHERS, self._receive_maximum)

    def waits_for(self, stream: str) -> bool:
        """Whether the broker owes an answer to a frame of a stream."""
        return any(sent.what == stream for sent in self._unanswered.values())

    @property
    def oldest(self) -> Sent | None:
        """The first message that the broker has not answered."""
        return next(iter(self._unanswered.values()), None)

    def publish(self, topic: str, payload: bytes, sent: Sent, *, retain: bool = False) -> int | None:
        """Send with QoS 1; the id that ``delivered`` will name, None when the connection does not take it."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        self._unanswered[info.mid] = sent
        self._unanswered_bytes += sent.size
        return info.mid

    def delivered(self) -> list[Delivered]:
        """What the broker has answered since this was last asked."""
        told: list[Delivered] = []
        while self._answers:
            mid, code, reason = self._answers.popleft()
            sent = self._unanswered.pop(mid, None)
            if sent is not None:
                self._unanswered_bytes -= sent.size
                told.append(Delivered(mid, sent, code, reason))
        return told

    def close(self) -> None:
        """End the connection, politely when the broker listens. Safe to call twice."""
        self._closing.set()
        with suppress(OSError, ValueError):
            self._client.disconnect()
        if not self._ended.wait(CLOSE_S):
            sock = self._client.socket()
            if isinstance(sock, socket.socket):  # a broker that hangs: end it from our side
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    # -- callbacks, in paho's thread -----------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        """Hand over; while the inbox is full the connection is not read, so the broker holds back."""
        while not self._closing.is_set():
            with suppress(queue.Full):
                self._inbox.put(event, timeout=0.2)
                return

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._answered = True
        if code.is_failure:
            who = "-who" if code.value in (UNKNOWN_USER, NOT_AUTHORIZED) else ""
            self._end(Trouble.of(f"broker-refuses{who}", said=str(code)), code.value)
            return
        self._receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
        self.packet_maximum = getattr(properties, "MaximumPacketSize", None)
        self._tell(Connected(self))

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        refused = next((Trouble.of("subscription-refused", said=str(c)) for c in codes if c.is_failure), None)
        self._tell(Subscribed(self, refused))

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        self._answers.append((mid, code.value, str(code)))
        self._wake()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a broker must not let it through; paho's thread must not die of it
            topic = "?"
        self._tell(Message(self, topic, bytes(message.payload), message.retain))

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        self._ended.set()
        ended = "way-ended-by" if self._answered else "broker-ended-early"
        self._end(Trouble.of(ended, said=str(code)), code.value)

    def _on_end(self, reason: Trouble) -> None:
        self._ended.set()
        self._end(reason, 0)

    def _end(self, reason: Trouble, code: int) -> None:
        if self.lost is None:
            self.lost = Lost(reason, code)
        self._wake()

    def _wake(self) -> None:
        with suppress(queue.Full):  # then it is awake
            self._inbox.put_nowait(Wake())


def _identify(client: _Client, identity: Identity, *, tls: bool) -> None:
    """Who this agent is for the broker, by the files as they are now: a person may be changing them."""
    if identity.file.broker_user is not None:
        client.username_pw_set(identity.file.broker_user, identity.broker_password)
    if tls:
        look_at_files(identity.folder)  # names what is wrong, which TLS does not
        ca, certificate, key = (str(identity.folder / name) for name in (AUTHORITY, CERTIFICATE, KEY))
        client.tls_set(ca, certificate, key)


def _unreachable(address: Address, error: Exception) -> Unreachable:
    """What keeps a connection from being made; it may be the want of files or threads on this PC."""
    want = _want(error)
    if want is not None:
        return Unreachable.of(Trouble.of("broker-not-asked", where=str(address), why=want))
    why, hint = of_system(error), "check-broker"
    if isinstance(error, ssl.SSLCertVerificationError):
        why, hint = Trouble.of("broker-certificate", said=error.verify_message), "check-whose-broker"
    elif isinstance(error, ssl.SSLError):
        why, hint = Trouble.of("as-said", said=error.strerror or str(error)), "check-agent-certificate"
    elif isinstance(error, socket.gaierror):
        why = Trouble.of("name-unknown", said=error.strerror or str(error))
    told = Trouble.of("broker-away", where=str(address), why=why)
    return Unreachable.of(told.hinted(Trouble.of(hint)))


def _want(error: Exception) -> Trouble | None:
    """What this process may have no more of."""
    want = lacks(error)
    return None if want is None else Trouble.of(_WANTS[want])


def _drop(sock: object) -> None:
    """Of a connection that nobody will read."""
    if isinstance(sock, socket.socket):
        with suppress(OSError):
            sock.close()


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    """Small packets do not wait until the broker's machine has acknowledged the one before, up to 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
