"""A line's end of the wire without a line: sends frames with plain paho, keeps what central says."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from central.cli import main
from central.keys import public_keys
from records.keys import KeyRing
from records.wire import CENTRAL, Document, Watermark, ack_topic, unsign
from tests.rigs.started import Started
from tests.rigs.uplinks import until
from tests.unit.central.core_rig import Agent

WAIT_S = 60.0
RESEND_S = 1.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until(condition, WAIT_S, f"{what} did not come")


def run_command(
    entry: Callable[[], None], name: str, words: Sequence[str], *, password: str = "", code: int = 0
) -> str:
    """Run one command in this process; what it said, errors too when another code than 0 is expected."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv = [name, *words]
    sys.stdin = io.StringIO(f"{password}\n")
    ended: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            entry()
    except SystemExit as end:
        ended = end.code or 0
    finally:
        sys.argv, sys.stdin = before
    assert ended == code, f"{words}: {ended}\n{out.getvalue()}{err.getvalue()}"
    return out.getvalue() if code == 0 else out.getvalue() + err.getvalue()


class Wire:
    """``said``: the last payload on each topic that central speaks on."""

    def __init__(
        self, port: int, agent: Agent, *, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    ) -> None:
        self.agent = agent
        self.said: dict[str, bytes] = {}
        self._connected = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"line-{agent.name}", protocol=protocol)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._begin
        self._client.on_message = self._hear
        self._client.connect_async("127.0.0.1", port, keepalive=20)

    def _begin(self, client: paho.Client, *_: object) -> None:
        client.subscribe([("lotkeeper/v1/ack/#", 1), ("lotkeeper/v1/down/#", 1)])
        self._connected.set()

    def _hear(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.said[message.topic] = bytes(message.payload)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._connected.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, payload: bytes, topic: str | None = None, *, retain: bool = False) -> None:
        self._client.publish(topic or self.agent.topic, payload, qos=1, retain=retain)

    def deliver(self, ring: KeyRing, through: int, *payloads: bytes) -> None:
        """Send until the watermark has come there."""
        self.send_until(lambda: self.through(ring) == through, *payloads)

    def send_until(self, condition: Callable[[], bool], *payloads: bytes) -> None:
        """Send, and as an agent does, send again until something has happened."""
        deadline, again = time.monotonic() + WAIT_S, 0.0
        while not condition():
            assert time.monotonic() < deadline, "what it was sent for did not happen"
            if time.monotonic() >= again:
                again = time.monotonic() + RESEND_S
                for payload in payloads:
                    self.send(payload)
            time.sleep(0.02)

    def watermark(self, ring: KeyRing) -> Watermark | None:
        payload = self.said.get(ack_topic(self.agent.name, "records"))
        return None if payload is None else unsign(Watermark, payload, ring, CENTRAL)

    def through(self, ring: KeyRing) -> int:
        mark = self.watermark(ring)
        return mark.committed_through if mark is not None and mark.epoch == self.agent.epoch else 0

    def documents(self, ring: KeyRing) -> dict[tuple[str, str], Document]:
        found = {}
        for topic, payload in dict(self.said).items():
            if topic.startswith(f"lotkeeper/v1/down/{self.agent.name}/"):
                document = unsign(Document, payload, ring, CENTRAL)
                found[document.kind, document.id] = document
        return found


class CentralProcess:
    """``lotkeeper-central`` with a folder of its own."""

    def __init__(self, folder: Path, broker_url: str, more: str = "") -> None:
        self.folder = folder
        self.config = folder / "central.yaml"
        self.config.write_text(
            "site: suzhou\ntime_zone: Asia/Shanghai\nfolder: data\n"
            f"http: {{port: 0}}\nbroker: {{url: '{broker_url}'}}\nanchor_interval: 1s\n{more}"
        )
        self.process: Started | None = None
        self.command("init", "--password-stdin", password="a long password")

    def command(self, *words: str, password: str = "", code: int = 0) -> str:
        """Run one command in this process (a new one takes seconds to start); what it said."""
        words = (*words, "--config", str(self.config))
        return run_command(main, "lotkeeper-central", words, password=password, code=code)

    @property
    def ring(self) -> KeyRing:
        return KeyRing(public_keys(self.folder / "data" / "keys"))

    @property
    def log(self) -> Path:
        return self.folder / "central.log"

    def start(self, **environment: str) -> Self:
        self.log.write_bytes(b"")
        self.process = Started("lotkeeper-central", ["serve", "--config", str(self.config)], self.log, environment)
        wait_until(lambda: b"serves" in self.log.read_bytes() or self.ended, "central")
        assert environment or not self.ended, self.log.read_text()
        return self

    @property
    def url(self) -> str:
        """Where its pages are."""
        found = re.search(r"serves \S+ at (\S+)", self.log.read_text())
        assert found is not None
        return found[1]

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=WAIT_S)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=WAIT_S)
