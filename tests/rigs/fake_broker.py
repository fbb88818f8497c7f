"""A broker that behaves as told: what no real one can be made to do. One connection at a time, no routing."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


@dataclass(frozen=True)
class Published:
    """What a client published; ``connection`` counts them from 1."""

    connection: int
    topic: str
    payload: bytes


Answer = Callable[[Published], int | None]
"""The reason of the PUBACK; None: there is none. Raising ``Cut`` ends the connection."""


class Cut(Exception):
    """End the connection. ``code``: said in a DISCONNECT first (MQTT 5)."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(out)


def packet(kind: int, flags: int, body: bytes) -> bytes:
    return bytes((kind << 4 | flags,)) + _length(len(body)) + body


class FakeBroker:
    """``published``: everything in order of arrival. ``answer`` may be replaced at any time."""

    def __init__(self, answer: Answer = lambda _: 0) -> None:
        self.answer = answer
        self.published: list[Published] = []
        self.connections = 0
        self.changed = threading.Condition()
        self._five = True
        self._client: socket.socket | None = None
        self._sending = threading.Lock()
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self._thread = threading.Thread(target=self._run, name="fake-broker")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._server.close()

    def wait(self, until: Callable[[], object], timeout_s: float = 60.0) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: bool(until()), timeout_s), "what was waited for did not come"

    def payloads(self, level: str) -> list[bytes]:
        """What was published on topics that end so."""
        return [each.payload for each in self.published if each.topic.endswith(f"/{level}")]

    def tell(self, topic: str, payload: bytes) -> None:
        """Publish to the client (QoS 0)."""
        self.send(packet(PUBLISH, 0, _string(topic) + (b"\0" if self._five else b"") + payload))

    def send(self, raw: bytes) -> None:
        """Any bytes."""
        with self._sending, contextlib.suppress(OSError):
            if self._client is not None:
                self._client.sendall(raw)

    # -- inside --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            client.settimeout(0.1)
            self.connections += 1
            with self._sending:
                self._client = client
            with client:
                try:
                    self._serve(client)
                except Cut as cut:
                    if cut.code is not None:
                        self.send(packet(DISCONNECT, 0, bytes((cut.code, 0))))
                except OSError:
                    pass
            with self._sending:
                self._client = None

    def _serve(self, client: socket.socket) -> None:
        while (head := self._read(client, 1)) is not None:
            size, shift = 0, 0
            while True:
                digit = (self._read(client, 1) or b"\0")[0]
                size |= (digit & 0x7F) << shift
                shift += 7
                if not digit & 0x80:
                    break
            self._take(head[0] >> 4, head[0] & 0x0F, self._read(client, size) or b"")

    def _read(self, client: socket.socket, size: int) -> bytes | None:
        """None: the connection or the broker has ended."""
        data = b""
        while len(data) < size:
            if self._closing.is_set():
                return None
            with contextlib.suppress(TimeoutError):
                more = client.recv(size - len(data))
                if not more:
                    return None
                data += more
        return data

    def _take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == CONNECT:
            self._five = body[6] == 5
            self.send(packet(2, 0, b"\0\0\0" if self._five else b"\0\0"))
        elif kind == SUBSCRIBE:
            self.send(packet(9, 0, body[:2] + (b"\0" if self._five else b"") + b"\x01" * body.count(b"lotkeeper")))
        elif kind == PINGREQ:
            self.send(packet(13, 0, b""))
        elif kind == PUBLISH:
            self._publish(flags, body)

    def _publish(self, flags: int, body: bytes) -> None:
        (size,) = struct.unpack_from("!H", body)
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        mid = b""
        if flags & 0x06:
            mid, rest = rest[:2], rest[2:]
        if self._five:
            rest = rest[1:]  # no properties are used
        seen = Published(self.connections, topic, rest)
        with self.changed:
            self.published.append(seen)
            self.changed.notify_all()
        code = self.answer(seen)
        if mid and code is not None:
            self.send(packet(4, 0, mid + bytes((code, 0)) if self._five else mid))
