"""Central's connection to the broker, made and kept up by paho as its settings say; what is retained over it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.typing import FilteringBoundLogger

from central.settings import BrokerSettings
from records.keys import SigningKey
from records.wire import Watermark, sign

RECEIVE_MAXIMUM = 20_000
"""The windows of two hundred agents: what waits in the broker waits in the broker's order, and not in ours."""
SESSION_EXPIRY_S = 7 * 86_400
KEEPALIVE_S = 30
AFTER_MISTAKE_S = 1.0


class BrokerConnection(paho.Client):
    """A client whose loop goes on after a mistake: a packet that paho cannot read, or a descriptor that ``select``
    cannot take, ends paho's own thread without a word, and central would hear nothing for ever.

    Messages are acknowledged by hand. ``closing``: it is to end; ``on_mistake`` hears of each one.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        closing: threading.Event,
        on_mistake: Callable[[Exception], None],
    ) -> None:
        five = settings.protocol == 5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self._settings, self.closing, self.on_mistake = settings, closing, on_mistake
        if settings.user is not None:
            password = None if settings.password is None else settings.password.reveal()
            self.username_pw_set(settings.user, password)
        if settings.tls:
            files = (settings.ca, settings.certificate, settings.key)
            ca, certificate, key = (None if file is None else str(file) for file in files)
            self.tls_set(ca, certificate, key)
        self.reconnect_delay_set(1, 30)
        self.max_inflight_messages_set(100)
        self.on_socket_open = _send_at_once

    def begin(self) -> None:
        """Connect, and keep at it in a thread of its own; returns at once."""
        host, port = self._settings.address
        if self._settings.protocol == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            self.connect_async(host, port, KEEPALIVE_S, clean_start=False, properties=properties)
        else:
            self.connect_async(host, port, KEEPALIVE_S)
        self.loop_start()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:
                self.on_mistake(error)
            if self.closing.wait(AFTER_MISTAKE_S):
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            with suppress(OSError, ValueError):  # then its loop finds no connection, and tries again
                self.reconnect()


@dataclass(frozen=True, slots=True)
class _Say:
    """A watermark is signed only when it is published: under load a later one takes its place before."""

    topic: str
    what: bytes | Watermark


class Retained:
    """What is to be retained at the broker: of two payloads for one topic the later one wins, also when the
    connection breaks between them. For one thread. ``key`` signs from when it is set.
    """

    def __init__(self, client: paho.Client, key: SigningKey, log: FilteringBoundLogger) -> None:
        self._client, self.key, self._log = client, key, log
        self._wanted: dict[str, _Say] = {}  # topic -> what is to be retained there, until the broker has it
        self._on_the_way: dict[int, _Say] = {}  # at most one per topic, so that the later one wins
        self._busy: set[str] = set()  # the topics of those

    def say(self, topic: str, what: bytes | Watermark) -> None:
        say = _Say(topic, what)
        self._wanted[topic] = say
        if topic in self._busy:
            return
        payload = sign(what, self.key) if isinstance(what, Watermark) else what
        info = self._client.publish(topic, payload, qos=1, retain=True)
        if info.rc != paho.MQTT_ERR_QUEUE_SIZE:
            self._on_the_way[info.mid] = say
            self._busy.add(topic)

    def settle(self, mid: int, refused: str | None) -> None:
        """The broker has answered; ``refused``: why it did not take it."""
        say = self._on_the_way.pop(mid, None)
        if say is None:
            return
        self._busy.discard(say.topic)
        if refused is not None:
            self._log.error("publish-refused", topic=say.topic, error=refused)
        wanted = self._wanted.get(say.topic)
        if wanted is None or wanted == say:
            self._wanted.pop(say.topic, None)
        else:
            self.say(wanted.topic, wanted.what)


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    """A watermark does not wait until the broker's machine has acknowledged the packet before, up to 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stop_loop(client: paho.Client) -> None:
    """Wait until its thread has ended. Of paho itself this fails where it ends while it is looked at."""
    with suppress(AttributeError):
        client.loop_stop()
