"""Central's connection to the broker, as its settings say, made and kept up by paho."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from central.settings import BrokerSettings

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


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    """A watermark does not wait until the broker's machine has acknowledged the packet before, up to 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stop_loop(client: paho.Client) -> None:
    """Wait until its thread has ended. Of paho itself this fails where it ends while it is looked at."""
    with suppress(AttributeError):
        client.loop_stop()
