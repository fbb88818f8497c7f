"""The subscriber: takes frames from the broker as central does, signs watermarks, and keeps when each arrived."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from records.clock import SystemClock
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import TOPIC_ROOT, Envelope, Watermark, ack_topic, decode_frame, sign

TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record of the telemetry stream and when its frame was here."""

    at_us: int
    envelope: Envelope


class Sink:
    """``central``: the key that watermarks are signed with; ``agent_key``: the key of the agent that sends."""

    def __init__(self, port: int, agent: str, central: SigningKey, agent_key: SigningKey) -> None:
        self._agent, self._central = agent, central
        self._ring = KeyRing([PublicKey(agent, agent_key.public.hex())])
        self._through: dict[tuple[str, str], int] = {}
        self._clock = SystemClock()
        self._changed = threading.Condition()
        self.arrivals: list[Arrival] = []
        self.bytes = self.frames = self.again = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="bench-central", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC_ROOT}/up/#", 1)
        self._client.on_message = self._message
        self._client.on_socket_open = _send_at_once
        self._client.connect_async("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, arrivals: int, timeout_s: float) -> bool:
        """Wait for so many telemetry records; False when they did not come in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while len(self.arrivals) < arrivals:
                if not self._changed.wait(max(deadline - time.monotonic(), 0.0)):
                    return False
        return True

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        at_us = self._clock.now_us()
        frame = decode_frame(bytes(message.payload), self._ring)
        key = (frame.stream, frame.epoch)
        through = self._through.get(key, 0)
        if frame.first > through + 1:
            return
        fresh = [envelope for envelope in frame.envelopes if envelope.seq > through]
        with self._changed:
            self.again += len(frame.envelopes) - len(fresh)
            if frame.stream == TELEMETRY:
                self.frames += 1
                self.bytes += len(message.payload)
                self.arrivals += [Arrival(at_us, envelope) for envelope in fresh]
                self._changed.notify_all()
        if fresh:
            self._through[key] = frame.last
            mark = Watermark(self._agent, frame.epoch, frame.stream, frame.last, frame.head.hex(), 1)
            self._client.publish(
                ack_topic(self._agent, frame.stream), sign(mark, self._central), qos=1, retain=True
            )


def _send_at_once(_client: paho.Client, _data: object, sock: object) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
