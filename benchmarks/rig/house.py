"""Central as a process of its own behind a real Mosquitto, and agents with a backlog that send at full speed."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.rig.frames import Line
from benchmarks.rig.meter import cpu_s, peak_mb
from central.store import agents
from central.store.engine import Store
from edge_agent.uplink.window import Limits, Window
from records.keys import SigningKey
from records.wire import TOPIC_ROOT, frame_compressor
from tests.process.central_rig import CentralProcess
from tests.rigs.mosquitto import Mosquitto

PER_FRAME = 100
"""As many records of a backlog as the uplink packs into a frame."""
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class House:
    """``lotkeeper-central serve`` over a new folder, with a broker that keeps nothing over a restart."""

    folder: Path
    broker: Mosquitto
    central: CentralProcess

    @property
    def database(self) -> Path:
        return self.folder / "data" / "central.db"

    def start(self, keys: dict[str, SigningKey]) -> None:
        """Enrol agents, then start central."""
        store = Store(self.database)
        for name, key in keys.items():
            store.write(partial(agents.enrol, name=name, partition="p0", public=key.public.hex(), now_us=0))
        store.close()
        self.central.start()

    @property
    def pid(self) -> int:
        assert self.central.process is not None
        return self.central.process.pid


@contextmanager
def house() -> Iterator[House]:
    with TemporaryDirectory(prefix="lotkeeper-bench-") as folder, ExitStack() as undo:
        place = Path(folder)
        broker = undo.enter_context(Mosquitto(place / "broker"))
        central = CentralProcess(place, broker.url)
        undo.callback(central.kill)
        yield House(place, broker, central)


def through_of(watermark: bytes | bytearray) -> int:
    """How far a signed watermark reaches; who measures takes central's word as it is."""
    return int(json.loads(json.loads(watermark)["body"])["committed_through"])


def client(port: int, name: str) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    made.max_inflight_messages_set(0)
    made.max_queued_messages_set(0)
    made.connect("127.0.0.1", port)
    return made


# -- agents that drain -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Backlog:
    topic: str
    frames: deque[tuple[int, bytes]] = field(default_factory=deque)
    window: Window = field(default_factory=lambda: Window(Limits(), 0, 0.0))


class Backlogs:
    """Agents with a backlog each, in a process of their own: frames are made before anything is measured.

    Begin it before there are threads: the process is a fork.
    """

    def __init__(self, names: Sequence[str], records: int) -> None:
        self._lines = [Line(name) for name in names]
        self.keys = {line.name: line.key for line in self._lines}
        self.records = records * len(names)
        context: Any = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_drain, args=(theirs, self._lines, records), daemon=True)
        self._child.start()

    def ready(self) -> None:
        """Wait until the frames are made."""
        self._pipe.recv()

    def send(self, port: int) -> None:
        self._pipe.send(port)

    def wait(self) -> None:
        """Until they are drained."""
        self._pipe.poll(None)

    def took_s(self) -> float:
        """Seconds from the first frame until central has confirmed the last one; waits for it."""
        took_s = float(self._pipe.recv())
        self._child.join()
        return took_s


def _drain(pipe: Connection, lines: Sequence[Line], records: int) -> None:
    compressor = frame_compressor()
    backlogs = {line.name: _Backlog(line.topic) for line in lines}
    for line in lines:
        while line.last < records:
            payload = line.frame(min(PER_FRAME, records - line.last), compressor)
            backlogs[line.name].frames.append((line.last, payload))
    pipe.send("ready")
    pipe.send(_Drain(client(pipe.recv(), "bench-backlogs"), backlogs).run())


class _Drain:
    """All of them over one connection, each with the window that an agent has."""

    def __init__(self, connection: paho.Client, backlogs: dict[str, _Backlog]) -> None:
        self._client, self._backlogs = connection, backlogs
        self._left = len(backlogs)
        self._done = threading.Event()
        connection.on_message = self._heard
        connection.on_subscribe = lambda *_: self._begin()
        self._began = 0.0

    def run(self) -> float:
        self._client.subscribe(f"{TOPIC_ROOT}/ack/+/records", 1)
        self._client.loop_start()
        assert self._done.wait(PATIENCE_S), "the backlog was not drained"
        took_s = time.perf_counter() - self._began
        self._client.disconnect()
        self._client.loop_stop()
        return took_s

    def _begin(self) -> None:
        self._began = time.perf_counter()
        for backlog in self._backlogs.values():
            self._send(backlog)

    def _send(self, backlog: _Backlog) -> None:
        while backlog.frames and backlog.window.room():
            last, payload = backlog.frames.popleft()
            backlog.window.sent(last, len(payload), time.perf_counter())
            self._client.publish(backlog.topic, payload, qos=1)

    def _heard(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        backlog = self._backlogs.get(message.topic.split("/")[3])
        if backlog is None or not backlog.window.on_their_way:
            return
        through = through_of(message.payload)
        if through <= backlog.window.acknowledged:
            return
        backlog.window.moved(through, time.perf_counter())
        self._send(backlog)
        if not backlog.window.on_their_way:
            self._left -= 1
            if not self._left:
                self._done.set()


@dataclass(frozen=True, slots=True)
class Throughput:
    """Agents that drain at once. CPU and memory are those of central's process, from the network to the disk."""

    agents: int
    records: int
    records_per_s: float
    cpu_s_per_million: float
    peak_mb: float


def drained(agents_at_once: int, records_each: int) -> Throughput:
    """Backlogs of so many agents, against a central that was just started."""
    backlogs = Backlogs([f"line-{number}" for number in range(agents_at_once)], records_each)
    backlogs.ready()
    with house() as place:
        place.start(backlogs.keys)
        before = cpu_s(place.pid)
        backlogs.send(place.broker.port)
        took_s, total = backlogs.took_s(), backlogs.records
        cpu = cpu_s(place.pid) - before
        return Throughput(agents_at_once, total, total / took_s, cpu * 1e6 / total, peak_mb(place.pid))
