"""One connection to the broker, over paho: what happens on it becomes events in the uplink's inbox.

A connection is used once. When it is lost the object is thrown away with everything paho still had in memory, so
nothing is sent from there behind the outbox's back. The broker's own limits (Receive Maximum, Maximum Packet Size)
are told to the uplink, since paho does not keep the first.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.uplink.broker import Address, UplinkSettings
from records.errors import ConfigurationError, Unreachable
from records.keys import Identity
from records.wire import state_topic

OFFLINE = b"offline"
"""The will on the agent's state topic."""
NO_SUBSCRIBER = 0x10
RECEIVE_MAXIMUM = 65_535  # what MQTT 5 means when a broker says nothing
CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Connected:
    link: Link


@dataclass(frozen=True, slots=True)
class Subscribed:
    """``refused``: why a subscription was refused, or None."""

    link: Link
    refused: str | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker answered a publish; ``code`` of 0x80 or more: it did not take it."""

    link: Link
    mid: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    link: Link
    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended or was refused."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Look again: something was committed, asked for, or is to stop."""


Event = Connected | Subscribed | Delivered | Message | Lost | Wake


class Link:
    """A connection that is being made when the constructor returns.

    Raises:
        Unreachable: the broker did not answer. ConfigurationError: a TLS file cannot be used.
    """

    def __init__(
        self, identity: Identity, address: Address, settings: UplinkSettings, inbox: queue.Queue[Event]
    ) -> None:
        self.receive_maximum = RECEIVE_MAXIMUM
        self.packet_maximum: int | None = None
        self.in_flight = 0
        self._inbox = inbox
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._five = settings.protocol == 5
        self._client = self._make_client(identity, address, settings)
        try:
            if self._five:
                self._client.connect(address.host, address.port, round(settings.keepalive_s), clean_start=True)
            else:
                self._client.connect(address.host, address.port, round(settings.keepalive_s))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise Unreachable(
                f"broker {address}: {reason}", hint="is it running, and is the address right?"
            ) from error
        self._client.loop_start()

    def _make_client(self, identity: Identity, address: Address, settings: UplinkSettings) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.file.agent,
            clean_session=None if self._five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(settings.limits.messages + 10)
        client.max_queued_messages_set(settings.limits.messages + 10)
        if identity.file.broker_user is not None:
            client.username_pw_set(identity.file.broker_user, identity.broker_password)
        if address.tls is not None:
            try:
                client.tls_set(str(address.tls.ca), str(address.tls.certificate), str(address.tls.key))
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(
                    f"the TLS files in {identity.folder} cannot be used: {error}", hint="enrol the agent again"
                ) from error
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

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send with QoS 1; the id that ``Delivered`` will name."""
        self.in_flight += 1
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

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
        if code.is_failure:
            self._tell(Lost(self, f"the broker refused the connection: {code}"))
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
        self.packet_maximum = getattr(properties, "MaximumPacketSize", None)
        self._tell(Connected(self))

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        refused = next((f"the broker refused a subscription: {code}" for code in codes if code.is_failure), None)
        self._tell(Subscribed(self, refused))

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        self._tell(Delivered(self, mid, code.value, str(code)))

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
        self._tell(Lost(self, f"the connection ended: {code}"))


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    """Small packets do not wait until the broker's machine has acknowledged the one before, up to 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
