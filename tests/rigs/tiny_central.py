"""The least that can be called central: commits frames to memory, contiguous per epoch, and signs watermarks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from records import chain
from records.errors import Damaged, Invalid
from records.keys import KeyRing, SigningKey
from records.wire import (
    REQUESTS,
    TOPIC_ROOT,
    Envelope,
    Head,
    Request,
    Watermark,
    ack_topic,
    decode_frame,
    sign,
    unsign,
)
from tests.rigs.mosquitto import BrokerTls


class TinyCentral:
    """``records``: (epoch, seq) -> envelope of one stream. ``commits`` False: it receives and says nothing."""

    def __init__(
        self,
        port: int,
        key: SigningKey,
        ring: KeyRing,
        agent: str,
        *,
        stream: str = "records",
        tls: BrokerTls | None = None,
    ) -> None:
        self.key, self.ring, self.agent, self.stream = key, ring, agent, stream
        self.records: dict[tuple[str, int], Envelope] = {}
        self.received: Counter[tuple[str, int]] = Counter()
        self.heads: list[Head | None] = []
        self.epochs: list[str] = []
        self.refused: list[str] = []
        self.requests: list[tuple[str, Request]] = []
        self.generation = 1
        self.commits = True
        self._changed = threading.Condition()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"tiny-central-{stream}", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.max_queued_messages_set(10_000)
        if tls is not None:
            self._client.tls_set(str(tls.ca), str(tls.certificate), str(tls.key))
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"{TOPIC_ROOT}/up/#", 1), (f"{TOPIC_ROOT}/state/#", 1)]
        )
        self.subscribed = False
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._message
        self._client.connect_async("127.0.0.1", port, keepalive=10)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, until: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Wait until a condition over what was received holds."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not until():
                if not self._changed.wait(min(0.2, max(deadline - time.monotonic(), 0.0))):
                    assert time.monotonic() < deadline, "what was waited for did not come"

    def bodies(self) -> list[bytes]:
        """Bodies in the order of commitment."""
        return [envelope.body for envelope in self.records.values() if envelope.body is not None]

    def through(self, epoch: str) -> int:
        return max((seq for name, seq in self.records if name == epoch), default=0)

    def watermark(self, epoch: str) -> Watermark:
        last = self.through(epoch)
        link = self.records[epoch, last].hash if last else chain.first_hash(self.agent, epoch, self.stream)
        return Watermark(self.agent, epoch, self.stream, last, link.hex(), self.generation)

    def tell(self, mark: Watermark | bytes, *, retain: bool = True) -> None:
        """Publish a watermark (or garbage) as central does."""
        payload = mark if isinstance(mark, bytes) else sign(mark, self.key)
        self._client.publish(ack_topic(self.agent, self.stream), payload, qos=1, retain=retain)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> paho.MQTTMessageInfo:
        """The answer tells when the broker has it."""
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_subscribe(self, *_: object) -> None:
        with self._changed:
            self.subscribed = True
            self._changed.notify_all()

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            try:
                if "/state/" in message.topic:
                    offline = message.payload == b"offline"
                    self.heads.append(
                        None if offline else unsign(Head, bytes(message.payload), self.ring, self.agent)
                    )
                elif message.topic.endswith(f"/{REQUESTS}"):
                    request = unsign(Request, bytes(message.payload), self.ring, self.agent)
                    self.requests.append((message.topic, request))
                else:
                    self._frame(bytes(message.payload))
            except (Invalid, Damaged) as error:
                self.refused.append(str(error))
            self._changed.notify_all()

    def _frame(self, payload: bytes) -> None:
        frame = decode_frame(payload, self.ring)
        if frame.stream != self.stream:
            return
        for envelope in frame.envelopes:
            self.received[frame.epoch, envelope.seq] += 1
        if not self.commits:
            return
        if frame.epoch not in self.epochs:
            self.epochs.append(frame.epoch)
        if frame.first <= self.through(frame.epoch) + 1:
            for envelope in frame.envelopes:
                held = self.records.setdefault((frame.epoch, envelope.seq), envelope)
                assert held.hash == envelope.hash, "one key with two contents"
        self.tell(self.watermark(self.epochs[-1]))
