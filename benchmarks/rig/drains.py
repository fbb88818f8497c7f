"""A backlog on its way out: a real outbox through the real uplink to Mosquitto, beside bare paho; and its memory.

Everybody sends to the same broker, where one process listens and answers as the least of a central does, and
everybody has a process of their own.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.rig import line
from benchmarks.rig.meter import peak_mb
from benchmarks.rig.runs import endless, header
from edge_agent.outbox import Batch, Outbox, verify
from edge_agent.uplink import Uplink, UplinkSettings
from edge_agent.uplink.frames import Frames
from records.clock import SystemClock
from records.keys import Identity, SigningKey
from records.wire import TOPIC_ROOT, Watermark, ack_topic, sign, unverified, up_topic
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, make_identity

IN_FLIGHT = 100
COMMIT_TOGETHER = 500
ANSWER_EVERY_S = 0.01
WAIT_S = 240.0
CLOCK = SystemClock()
SAME_FRAMES, UNPACKED, ONE_EACH = "the same frames", "unpacked, of the same size", "one record a message"


@dataclass(frozen=True, slots=True)
class Bare:
    """Bare paho with the same records: how, in how many messages, how fast, and our rate in parts of its."""

    how: str
    messages: int
    bytes: int
    records_per_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Drain:
    """``packed``: the frames' bytes in parts of the bodies'. ``cpu_us``: of one record, the agent's process.
    ``line_mbit_s``: of the line to the broker; None: as much as this machine carries.
    """

    records: int
    body_bytes: int
    packed: float
    records_per_s: float
    cpu_us: float
    bare: tuple[Bare, ...]
    line_mbit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory of an agent that opens, drains and verifies a backlog of so many records; seconds until it
    was open, which includes the proof of all that central does not have.
    """

    records: int
    peak_mb: float
    opened_s: float


def settings(url: str) -> UplinkSettings:
    return UplinkSettings(url, settle_s=0.0)


def opened(folder: Path) -> Outbox:
    return Outbox(folder, AGENT, CLOCK, context=header)


def fill(folder: Path, records: int) -> int:
    """A backlog; how many bytes of bodies."""
    outbox, source, size = opened(folder), endless(), 0
    for first in range(0, records, COMMIT_TOGETHER):
        facts = tuple(islice(source, min(COMMIT_TOGETHER, records - first)))
        outbox.commit(Batch(facts)).result()
    position = 0
    while (run := outbox.next_run(position, 1000, 1 << 20)) is not None:
        size += sum(len(row.body or b"") for row in run.envelopes)
        position = run.position
    outbox.close()
    return size


# -- the processes ---------------------------------------------------------------------------------------------


def client(port: int, name: str) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    made.max_inflight_messages_set(IN_FLIGHT)
    made.connect("127.0.0.1", port)
    return made


def listen(port: int, folder: Path, ready: Connection) -> None:
    """The least of a central: says how far the frames reach, a hundred times a second."""
    key, made = SigningKey.load(folder / "central.key"), client(port, "sink")
    newest: list[bytes] = []
    made.on_subscribe = lambda *_: ready.send(None)

    def take(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/records"):
            newest[:] = [bytes(message.payload)]

    def answer() -> None:
        said = None
        while True:
            time.sleep(ANSWER_EVERY_S)
            if newest and newest[0] is not said:
                said = newest[0]
                end = unverified(said)
                mark = Watermark(AGENT, end.epoch, "records", end.last, end.head, 1)
                made.publish(ack_topic(AGENT, "records"), sign(mark, key), qos=1)

    made.on_message = take
    made.subscribe([(f"{TOPIC_ROOT}/up/#", 1), (f"{TOPIC_ROOT}/state/#", 1)])
    threading.Thread(target=answer, daemon=True).start()
    made.loop_forever()


def drain(folder: Path, url: str, done: Connection) -> None:
    """The agent's part: seconds and CPU seconds from the first frame until central has everything; peak memory."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    outbox = opened(folder)
    began: list[tuple[float, float]] = []

    def failpoint(name: str) -> None:
        if name == "uplink.before_publish" and not began:
            began.append((time.perf_counter(), time.process_time()))

    uplink = Uplink(outbox, Identity.open(folder.parent / "identity"), settings(url), CLOCK, failpoint=failpoint)
    last = outbox.head().last
    moved = threading.Event()
    outbox.listen(moved.set)
    uplink.start()
    while outbox.acknowledged()[1].seq < last:
        moved.wait()
        moved.clear()
    took_s, cpu_s = time.perf_counter() - began[0][0], time.process_time() - began[0][1]
    uplink.stop()
    outbox.close()
    proven = verify(outbox.path)
    if not proven.ok:
        raise AssertionError(proven)
    done.send((took_s, cpu_s, peak_mb(os.getpid())))


def payloads(folder: Path, url: str, how: str) -> list[bytes]:
    """What bare paho publishes, made before its clock starts."""
    outbox, most = opened(folder), settings(url).max_frame_bytes
    frames = Frames(outbox, Identity.open(folder.parent / "identity"), most, lambda _code, _params: None)
    made: list[bytes] = []
    position = 0
    while (found := frames.next(position, None)) is not None:
        run, frame = found
        position = run.position
        bodies = [row.body or b"" for row in run.envelopes]
        made += [frame] if how == SAME_FRAMES else bodies
    outbox.close()
    return list(joined(made, most)) if how == UNPACKED else made


def joined(bodies: list[bytes], most: int) -> Iterator[bytes]:
    """Bodies one behind the other, in messages of at most so many bytes."""
    taken: list[bytes] = []
    size = 0
    for body in bodies:
        if size + len(body) > most:
            yield b"".join(taken)
            taken, size = [], 0
        taken.append(body)
        size += len(body)
    yield b"".join(taken)


def publish(folder: Path, url: str, how: str, done: Connection) -> None:
    """Bare paho's part: seconds until the broker has answered all, messages and bytes."""
    messages = payloads(folder, url, how)
    made = client(int(url.rpartition(":")[2]), "bare")
    room, left, all_ = threading.Semaphore(IN_FLIGHT), [len(messages)], threading.Event()
    connected = threading.Event()
    made.on_connect = lambda *_: connected.set()

    def answered(*_: object) -> None:
        left[0] -= 1
        room.release()
        if not left[0]:
            all_.set()

    made.on_publish = answered
    made.loop_start()
    if not connected.wait(20):
        raise TimeoutError("the broker did not take the connection")
    topic = up_topic("p0", AGENT, "records" if how == SAME_FRAMES else "bare")
    began = time.perf_counter()
    for message in messages:
        room.acquire()
        made.publish(topic, message, qos=1)
    if not all_.wait(WAIT_S):
        raise TimeoutError("the broker did not answer")
    done.send((time.perf_counter() - began, float(len(messages)), float(sum(map(len, messages)))))
    made.disconnect()
    made.loop_stop()


def apart(target: Callable[..., None], *args: object) -> tuple[float, float, float]:
    """Run in a process of its own; what it sends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs))
    process.start()
    theirs.close()  # a process that dies is heard at once
    if not ours.poll(WAIT_S):
        process.kill()
        raise TimeoutError(f"{target.__name__} did not end")
    answer: tuple[float, float, float] = ours.recv()
    process.join(60)
    return answer


# -- the figures -----------------------------------------------------------------------------------------------


@contextmanager
def place(line_mbit_s: float | None = None) -> Iterator[tuple[Path, str]]:
    """A folder with an identity, and the address of a broker behind which somebody listens, at the other end of a
    line of so many Mbit/s.
    """
    with TemporaryDirectory(prefix="bench-edge-") as name:
        folder = Path(name)
        key = SigningKey.generate()
        key.save(folder / "central.key")
        make_identity(folder / "identity", key)
        context = multiprocessing.get_context("spawn")
        with Mosquitto(folder / "broker", settings=("persistence false", "max_inflight_messages 100")) as broker:
            ready, theirs = context.Pipe()
            helpers = [context.Process(target=listen, args=(broker.port, folder, theirs), daemon=True)]
            if line_mbit_s is not None:
                port, told = context.Pipe()
                helpers.append(
                    context.Process(target=line.serve, args=(broker.port, line_mbit_s, told), daemon=True)
                )
            for helper in helpers:
                helper.start()
            try:
                if not ready.poll(30):
                    raise TimeoutError("nobody listens behind the broker")
                yield folder, broker.url if line_mbit_s is None else f"mqtt://127.0.0.1:{port.recv()}"
            finally:
                for helper in helpers:
                    helper.kill()


def drains(records: int, rounds: int, line_mbit_s: float | None = None) -> Drain:
    """All of them by turns; medians, and medians of the rounds' ratios."""
    ways = (SAME_FRAMES, UNPACKED, ONE_EACH)
    ours: list[tuple[float, float, float]] = []
    bare: dict[str, list[tuple[float, float, float]]] = {how: [] for how in ways}
    with place(line_mbit_s) as (folder, url):
        for number in range(rounds):
            buffer = folder / f"buffer-{number}"
            size = fill(buffer, records)
            for how in ways:
                bare[how].append(apart(publish, buffer, url, how))
            ours.append(apart(drain, buffer, url))
    median = statistics.median
    return Drain(
        records,
        round(size / records),
        bare[SAME_FRAMES][0][2] / size,
        records / median(took_s for took_s, _, _ in ours),
        median(cpu_s for _, cpu_s, _ in ours) / records * 1e6,
        tuple(
            Bare(
                how,
                round(bare[how][0][1]),
                round(bare[how][0][2]),
                records / median(took_s for took_s, _, _ in bare[how]),
                median(b[0] / o[0] for b, o in zip(bare[how], ours, strict=True)),
            )
            for how in ways
        ),
        line_mbit_s,
    )


def peaks(records: int, times: int) -> tuple[Peak, ...]:
    """Of a short backlog and of one so many times longer."""
    found = []
    with place() as (folder, url):
        for count in (records // times, records):
            buffer = folder / f"memory-{count}"
            fill(buffer, count)
            began = time.perf_counter()
            opened(buffer).close()
            opened_s = time.perf_counter() - began
            found.append(Peak(count, apart(drain, buffer, url)[2], opened_s))
    return tuple(found)
