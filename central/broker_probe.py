"""Asks the broker what it lets central do and what not, over a connection of its own; nothing is left behind."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from central.broker_connection import stop_loop
from central.doctor_told import State, Told
from central.ingest import PROBES
from central.settings import BrokerSettings
from central.worker_states import worker_topic
from records.clock import new_id
from records.wire import MAX_FRAME, TOPIC_ROOT, ack_topic, down_topic, state_topic, up_topic

ANSWER_S = 10.0
PACKET_ROOM = 4096
NOT_AUTHORIZED = 0x87


class _Probe:
    """One connection, MQTT 5 (whose answers have reasons)."""

    def __init__(self, settings: BrokerSettings, *, certificate: bool = True) -> None:
        self.name = f"{PROBES}{new_id(4)}"
        self.packet_maximum: int | None = None
        self.refused: str | None = None
        self._answered = threading.Event()
        self._codes: dict[int, ReasonCode] = {}
        self._condition = threading.Condition()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.name,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        if settings.user is not None and certificate:
            password = None if settings.password is None else settings.password.reveal()
            self.client.username_pw_set(settings.user, password)
        if settings.tls:
            files = (settings.certificate, settings.key) if certificate else (None, None)
            own, key = (None if file is None else str(file) for file in files)
            self.client.tls_set(str(settings.ca), own, key)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._ended
        self.client.on_publish = lambda _c, _d, mid, code, _p: self._told(mid, code)
        self.client.on_subscribe = lambda _c, _d, mid, codes, _p: self._told(mid, codes[0])
        _shake_hands(settings, certificate=certificate)
        self.client.connect(*settings.address, 20)
        self.client.loop_start()
        if not self._answered.wait(ANSWER_S):
            self.refused = "no answer"

    def _connected(
        self, _c: paho.Client, _d: object, _f: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        self.refused = str(code) if code.is_failure else None
        self.packet_maximum = getattr(properties, "MaximumPacketSize", None)
        self._answered.set()

    def _ended(self, _c: paho.Client, _d: object, _f: object, code: ReasonCode, _p: object) -> None:
        if not self._answered.is_set():
            self.refused = str(code)
        self._answered.set()
        with self._condition:
            self._condition.notify_all()

    def _told(self, mid: int, code: ReasonCode) -> None:
        with self._condition:
            self._codes[mid] = code
            self._condition.notify_all()

    def _code(self, mid: int | None) -> int | None:
        """The reason of an answer; None when none came."""
        with self._condition:
            self._condition.wait_for(lambda: mid in self._codes or not self.client.is_connected(), ANSWER_S)
            return None if mid not in self._codes else int(self._codes[mid].value)

    def publish(self, topic: str, payload: bytes = b"") -> int | None:
        return self._code(self.client.publish(topic, payload, qos=1).mid)

    def subscribe(self, topic: str) -> int | None:
        return self._code(self.client.subscribe(topic, 1)[1])

    def close(self) -> None:
        self.client.disconnect()
        stop_loop(self.client)


def _shake_hands(settings: BrokerSettings, *, certificate: bool) -> None:
    """A handshake of its own first: paho leaves the socket of one that fails open.

    Raises:
        OSError: the broker is not reached, or not believed.
    """
    with socket.create_connection(settings.address, ANSWER_S) as plain:
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.ca)
            if certificate and settings.certificate is not None and settings.key is not None:
                context.load_cert_chain(settings.certificate, settings.key)
            with context.wrap_socket(plain, server_hostname=settings.address[0]):
                pass


def probe(settings: BrokerSettings) -> Iterator[Told]:
    """What can be told of the broker from where central is."""
    host, port = settings.address
    where = f"{host}:{port}"
    try:
        one = _Probe(settings)
    except ssl.SSLCertVerificationError as error:
        do = "look at the broker's certificate: its names, its end, and broker: ca in central.yaml"
        yield _told("bad", f"the broker at {where} is not the one it should be: {error.verify_message}", do)
        return
    except OSError as error:
        do = "is it running, and is its port open? see broker: url in central.yaml"
        yield _told("unreachable", f"the broker at {where} does not answer: {error}", do)
        return
    try:
        if one.refused is not None:
            do = "is central's certificate of the broker's authority, not revoked, and is its clock right?"
            yield _told("bad", f"the broker at {where} does not let central in: {one.refused}", do)
            return
        yield _told("fine", f"central is let in at {where}{' by its certificate' if settings.tls else ''}")
        yield from _rights(one)
        yield from _size(one)
    finally:
        one.close()
    if settings.tls:
        yield _stranger(settings)


def _rights(one: _Probe) -> Iterator[Told]:
    """Publish where central must and where it must not; nobody listens under the name of the probe."""
    must = (ack_topic(one.name, "records"), down_topic(one.name, "probe", "x"), worker_topic(one.name))
    refused = [topic for topic in must if (code := one.publish(topic)) is None or code >= 0x80]
    unheard = [
        topic
        for topic in (f"{TOPIC_ROOT}/up/+/+/+", f"{TOPIC_ROOT}/state/+")
        if (code := one.subscribe(topic)) is None or code >= 0x80
    ]
    if refused or unheard:
        do = (
            "the broker must use the access.acl that central writes, and read it again: systemctl reload mosquitto"
        )
        yield _told("bad", f"central may not use {', '.join((*refused, *unheard))}", do)
    else:
        yield _told("fine", "central may publish and hear what it must")
    open_topics = [
        topic
        for topic in (up_topic("p0", one.name, "records"), state_topic(one.name))
        if one.publish(topic) != NOT_AUTHORIZED
    ]
    if open_topics:
        do = "set acl_file as in config/mosquitto.conf: as it is, one agent could speak for another"
        yield _told("bad", f"the broker let central publish in an agent's place: {', '.join(open_topics)}", do)
    else:
        yield _told("fine", "the access list is in force: nobody may publish in an agent's place")


def _size(one: _Probe) -> Iterator[Told]:
    """The largest message that central or an agent may send."""
    do = "message_size_limit and max_packet_size in mosquitto.conf as in config/mosquitto.conf"
    if one.packet_maximum is not None and one.packet_maximum < MAX_FRAME:
        yield _told(
            "bad", f"the broker takes packets of {one.packet_maximum} bytes at most, {MAX_FRAME} are needed", do
        )
        return
    code = one.publish(ack_topic(one.name, "records"), bytes(MAX_FRAME - PACKET_ROOM))
    if code is None or code >= 0x80:
        yield _told("bad", f"the broker did not take a message of {MAX_FRAME - PACKET_ROOM} bytes", do)
    else:
        yield _told("fine", f"the broker takes messages of {MAX_FRAME - PACKET_ROOM} bytes")


def _stranger(settings: BrokerSettings) -> Told:
    """Whether somebody without a certificate is let in."""
    try:
        one = _Probe(settings, certificate=False)
    except (TimeoutError, OSError, ssl.SSLError):
        return _told("fine", "nobody is let in without a certificate")
    let_in = one.refused is None
    one.close()
    if let_in:
        return _told(
            "bad", "the broker lets in who has no certificate", "set require_certificate true in mosquitto.conf"
        )
    return _told("fine", "nobody is let in without a certificate")


def _told(state: State, says: str, do: str | None = None) -> Told:
    return Told("broker", state, says, do)
