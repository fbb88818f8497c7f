"""Central at the broker: takes what agents send, answers with signed watermarks, publishes documents.

The broker is never trusted to keep anything. A message is acknowledged to it only after central's commit, and
everything central says is retained and published again whenever the connection was lost: the newest watermark of
every stream and the newest version of every document. Of two payloads for one topic the later one wins, also when
the connection breaks between them.

paho's thread only puts messages into a queue; one worker thread takes, commits, acknowledges and publishes. What
waits there is bounded by the receive maximum (MQTT 5) or the broker's own in-flight limit (3.1.1), since nothing
is acknowledged before it is done. Garbage ends in quarantine; a failed disk ends the process.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from central.ingest import Ingest
from central.settings import BrokerSettings
from central.store import agents, documents, intake
from central.store.engine import Store
from records.clock import MICROSECONDS, Clock
from records.errors import LotkeeperError, StorageFailed
from records.keys import SigningKey
from records.wire import CENTRAL, TOPIC_ROOT, Document, Watermark, ack_topic, down_topic, sign

EVERYBODY = "*"
RECEIVE_MAXIMUM = 50
SESSION_EXPIRY_S = 7 * 86_400
KEEPALIVE_S = 30
WITHDRAWN_KEPT_S = 30 * 86_400.0
"""How long the broker keeps that a document is withdrawn; whoever was away for longer hears it by a sync."""
SAME_WATERMARK_S = 1.0
"""A watermark that has not moved is said again to an agent no more often than this."""


@dataclass(frozen=True, slots=True)
class BrokerState:
    """``error``: why there is no connection, as the broker or the network said; ``since_us``: wall clock."""

    connected: bool
    since_us: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    connection: int
    topic: str
    payload: bytes
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class _Say:
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    mid: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class _Resync:
    """Say everything again, to all agents or to one."""

    agent: str = EVERYBODY


class Mqtt:
    """The one connection to the broker. Starts while the broker is away and lives through its restarts."""

    def __init__(
        self,
        settings: BrokerSettings,
        ingest: Ingest,
        store: Store,
        key: SigningKey,
        clock: Clock,
        log: FilteringBoundLogger,
        on_failure: Callable[[StorageFailed], None],
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._ingest = ingest
        self._store = store
        self._key = key
        self._clock = clock
        self._log = log
        self._on_failure = on_failure
        self._failpoint = failpoint
        self._work: queue.Queue[_Message | _Say | _Acknowledged | _Resync | None] = queue.Queue()
        self._worker = threading.Thread(target=self._run, name="central broker", daemon=True)
        self._client = self._make_client()
        self._connection = 0
        self._state = BrokerState(False, clock.now_us(), "not started")
        self._wanted: dict[str, bytes] = {}  # topic -> what is to be retained there, until the broker has it
        self._on_the_way: dict[int, _Say] = {}  # at most one per topic, so that the later one wins
        self._busy: set[str] = set()  # the topics of those
        self._said: dict[str, tuple[Watermark, float]] = {}

    @property
    def state(self) -> BrokerState:
        return self._state

    def start(self) -> None:
        """Begin to connect, and keep at it; returns at once."""
        host, port = self._settings.address
        self._worker.start()
        properties = None
        if self._settings.protocol == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            self._client.connect_async(host, port, KEEPALIVE_S, clean_start=False, properties=properties)
        else:
            self._client.connect_async(host, port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect. What was not acknowledged comes again."""
        self._client.disconnect()
        self._client.loop_stop()
        if self._worker.ident is not None:
            self._work.put(None)
            self._worker.join()

    def publish_document(self, agent: str, document: Document) -> None:
        """Sign a document and retain it for an agent, or for every enrolled one (``*``)."""
        for name in self._agents() if agent == EVERYBODY else [agent]:
            self._work.put(_Say(down_topic(name, document.kind, document.id), sign(document, self._key)))

    def resync(self, agent: str = EVERYBODY) -> None:
        """Publish every newest watermark and document again, to all agents or to one that is new."""
        self._work.put(_Resync(agent))

    # -- paho's thread ---------------------------------------------------------------------------------

    def _make_client(self) -> paho.Client:
        five = self._settings.protocol == 5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        if self._settings.user is not None:
            password = None if self._settings.password is None else self._settings.password.reveal()
            client.username_pw_set(self._settings.user, password)
        if self._settings.tls:
            files = (self._settings.ca, self._settings.certificate, self._settings.key)
            ca, certificate, key = (None if file is None else str(file) for file in files)
            client.tls_set(ca, certificate, key)
        client.reconnect_delay_set(1, 30)
        client.max_inflight_messages_set(100)
        client.on_socket_open = _send_at_once
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_publish = self._published
        return client

    def _connected(
        self, client: paho.Client, _data: object, flags: paho.ConnectFlags, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            self._change(False, f"the broker refuses: {code}")
            return
        self._connection += 1
        client.subscribe([(f"{TOPIC_ROOT}/up/+/+/+", 1), (f"{TOPIC_ROOT}/state/+", 1)])
        self._change(True, None)
        self._work.put(_Resync())

    def _not_connected(self, _client: paho.Client, _data: object) -> None:
        self._change(False, "the broker does not answer")

    def _disconnected(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if self._state.connected:
            self._change(False, f"the connection ended: {code}")

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = repr(message._topic)  # noqa: SLF001  paho has no other door to a topic that is no text
        self._work.put(_Message(self._connection, topic, bytes(message.payload), message.mid, message.qos))

    def _published(self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _p: object) -> None:
        # paho holds its own lock here: never publish from this place
        self._work.put(_Acknowledged(mid, str(code) if code.is_failure else None))

    def _change(self, connected: bool, error: str | None) -> None:
        if (self._state.connected, self._state.error) != (connected, error):
            self._state = BrokerState(connected, self._clock.now_us(), error)
            host, port = self._settings.address
            if connected:
                self._log.info("broker-connected", address=f"{host}:{port}")
            else:
                self._log.warning("broker-lost", address=f"{host}:{port}", error=error)

    # -- the worker's thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            try:
                self._do(item)
            except StorageFailed as error:
                self._on_failure(error)
                return
            except LotkeeperError as error:
                self._log.error("ingest-failed", error=str(error))
            except Exception as error:  # one payload must not end the intake of all agents
                self._log.error("ingest-failed", error=repr(error), exc_info=True)

    def _do(self, item: _Message | _Say | _Acknowledged | _Resync) -> None:
        match item:
            case _Message():
                self._take(item)
            case _Say():
                self._say(item)
            case _Acknowledged():
                self._settle(item)
            case _Resync():
                self._say_everything(item.agent)

    def _take(self, message: _Message) -> None:
        self._failpoint("ingest.before_commit")
        try:
            outcome = self._ingest.take(message.topic, message.payload)
        except StorageFailed:
            raise
        except Exception:
            self._acknowledge(message)  # the watermark did not move: the agent sends it again
            raise
        self._failpoint("ingest.after_commit")
        self._acknowledge(message)
        self._failpoint("ingest.after_ack")
        if outcome.result in ("hole", "conflict", "quarantined"):
            self._log.warning(f"ingest-{outcome.result}", agent=outcome.agent, detail=outcome.detail)
        if outcome.watermark is not None:
            self._say_watermark(outcome.watermark)

    def _acknowledge(self, message: _Message) -> None:
        if message.connection == self._connection:  # on another connection the number means another message
            self._client.ack(message.mid, message.qos)

    def _say_watermark(self, watermark: Watermark) -> None:
        topic = ack_topic(watermark.agent, watermark.stream)
        now_s = self._clock.monotonic_s()
        said = self._said.get(topic)
        if said is not None and said[0] == watermark and now_s - said[1] < SAME_WATERMARK_S:
            return
        self._said[topic] = (watermark, now_s)
        self._say(_Say(topic, sign(watermark, self._key)))

    def _say(self, say: _Say) -> None:
        self._wanted[say.topic] = say.payload
        if say.topic in self._busy:
            return
        info = self._client.publish(say.topic, say.payload, qos=1, retain=True)
        if info.rc != paho.MQTT_ERR_QUEUE_SIZE:
            self._on_the_way[info.mid] = say
            self._busy.add(say.topic)

    def _settle(self, acknowledged: _Acknowledged) -> None:
        say = self._on_the_way.pop(acknowledged.mid, None)
        if say is None:
            return
        self._busy.discard(say.topic)
        if acknowledged.refused is not None:
            self._log.error("publish-refused", topic=say.topic, error=acknowledged.refused)
        wanted = self._wanted.get(say.topic)
        if wanted is None or wanted == say.payload:
            self._wanted.pop(say.topic, None)
        else:
            self._say(_Say(say.topic, wanted))

    def _say_everything(self, agent: str) -> None:
        names = self._agents() if agent == EVERYBODY else [agent]
        with self._store.read() as connection:
            newest = {(w.agent, w.stream): w for w in intake.watermarks(connection) if w.agent != CENTRAL}
            current = documents.current(connection)
        self._said.clear()
        for watermark in newest.values():
            if watermark.agent in names:
                self._say_watermark(watermark)
        over_us = self._clock.now_us() - int(WITHDRAWN_KEPT_S * MICROSECONDS)
        for document in current:
            gone = document.content is None and document.issued_us < over_us
            payload = b"" if gone else sign(document, self._key)  # none: the broker may forget it
            for name in names:
                if documents.is_for(name, document):
                    self._say(_Say(down_topic(name, document.kind, document.id), payload))

    def _agents(self) -> list[str]:
        with self._store.read() as connection:
            return [agent.id for agent in agents.all_agents(connection) if agent.revoked_us is None]


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    """A watermark does not wait until the broker's machine has acknowledged the packet before, up to 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
