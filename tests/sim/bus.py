"""A broker in memory that loses, doubles, delays and reorders: what QoS 1 allows, and what brokers do besides.

Packets stand in one queue for each direction of each client, and move only when they are told to. An agent's
session is clean; central's is kept, and what central has not acknowledged is given to it again. ``wipe`` is a
broker that was killed with all it held, however often it had said that it has a message.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import zstandard

from records.wire import CENTRAL, MAGIC, PLAIN, TOPIC_ROOT, ZSTD


@dataclass(frozen=True, slots=True)
class Publish:
    """A message on its way; ``mid`` is the sender's number for it."""

    topic: str
    payload: bytes
    retain: bool
    mid: int


@dataclass(frozen=True, slots=True)
class Puback:
    mid: int


@dataclass(frozen=True, slots=True)
class Given:
    """A message to a subscriber; ``retained``: it was held from before."""

    topic: str
    payload: bytes
    retained: bool


@dataclass
class Bus:
    """``up`` is on the way to the broker, ``down`` from it, by client."""

    up: dict[str, deque[Publish]] = field(default_factory=dict)
    down: dict[str, deque[Puback | Given]] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    kept: deque[Given] = field(default_factory=deque)
    session: bool = False
    subscribed: dict[str, list[str]] = field(default_factory=dict)
    tampered: int = 0

    def connect(self, client: str) -> None:
        self.up[client], self.down[client] = deque(), deque()

    def connected(self, client: str) -> bool:
        return client in self.up

    def subscribe(self, client: str, topics: list[str]) -> None:
        """What is retained there comes first."""
        self.subscribed[client] = topics
        if client == CENTRAL:
            self.session = True
        for topic, payload in sorted(self.retained.items()):
            if any(_fits(topic, wanted) for wanted in topics):
                self._give(client, Given(topic, payload, retained=True))

    def disconnect(self, client: str) -> None:
        """The connection breaks: what was on it is gone, in both directions."""
        for held in (self.up, self.down, self.subscribed):
            held.pop(client, None)

    def wipe(self) -> None:
        """The broker is killed, and with it all that it held."""
        for client in tuple(self.up):
            self.disconnect(client)
        self.retained.clear()
        self.kept.clear()
        self.session = False

    def publish(self, client: str, packet: Publish) -> None:
        if self.connected(client):
            self.up[client].append(packet)

    def arrive(self, client: str, *, position: int = 0, again: bool = False) -> None:
        """The packet at this position of the client's queue reaches the broker; ``again``: it stays there, too."""
        queue = self.up[client]
        packet = queue[position]
        if not again:
            del queue[position]
        if packet.retain:
            self.retained[packet.topic] = packet.payload
        given = Given(packet.topic, packet.payload, retained=False)
        if self.session and _fits(packet.topic, f"{TOPIC_ROOT}/up/+/+/+", f"{TOPIC_ROOT}/state/+"):
            self.kept.append(given)
        for other, topics in self.subscribed.items():
            if other != CENTRAL and _fits(packet.topic, *topics):
                self._give(other, given)
        self.down[client].append(Puback(packet.mid))

    def for_central(self, *, position: int = 0) -> Given:
        """What central is given next; it stays until ``settled``."""
        return self.kept[position]

    def tamper(self, client: str) -> None:
        """Somebody on the way changes one figure in a frame's bodies, and leaves its header as it is."""
        queue = self.up[client]
        for at, packet in enumerate(queue):
            changed = _changed(packet.payload)
            if changed is not None:
                queue[at] = replace(packet, payload=changed)
                self.tampered += 1
                return

    def settled(self, given: Given) -> None:
        """Central has acknowledged it."""
        self.kept.remove(given)

    def _give(self, client: str, given: Given) -> None:
        if client == CENTRAL:
            self.kept.append(given)
        else:
            self.down[client].append(given)


def _changed(payload: bytes) -> bytes | None:
    if payload[:4] != MAGIC:
        return None
    packed = payload[4] == ZSTD
    rest = zstandard.decompress(payload[5:]) if packed else payload[5:]
    at = rest.rfind(b"torque ")
    if at < 0:
        return None
    digit = at + len(b"torque ")
    return MAGIC + bytes((PLAIN,)) + rest[:digit] + b"9" + rest[digit + 1 :]


def _fits(topic: str, *patterns: str) -> bool:
    levels = topic.split("/")
    return any(
        len(levels) == len(wanted) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))
        for wanted in (pattern.split("/") for pattern in patterns)
    )
