"""How fast a backlog leaves the agent: a real outbox through the real uplink to Mosquitto, beside bare paho.

    python -m benchmarks.edge_drain [--json] [--records 20000] [--rounds 3] [--memory 100]

Bare paho publishes the very frames that the uplink makes, encoded before its clock starts, with QoS 1 and 100 of
them unanswered; the uplink reads, checks, chains, packs and signs them first, and waits for central's watermarks.
Both send to the same broker, where the same process listens and answers, and both have a process of their own.
The last figures are the agent's peak memory over a backlog and over one many times longer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.rig.meter import peak_mb
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Uplink, UplinkSettings
from edge_agent.uplink.frames import MOST_RECORDS
from records.clock import SystemClock, new_id
from records.keys import Identity, SigningKey
from records.model import Fact, OperationsEvent
from records.wire import TOPIC_ROOT, Watermark, ack_topic, encode_frame, frame_end, sign, up_topic
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, header, make_identity, open_outbox

IN_FLIGHT = 100
COMMIT_TOGETHER = 500
ANSWER_EVERY_S = 0.01
CLOCK = SystemClock()


def settings(url: str) -> UplinkSettings:
    return UplinkSettings(url, settle_s=0.0)


def a_run(number: int) -> Fact:
    """About what one run of a station with twelve readings takes."""
    readings = [
        {
            "tag": f"press.force_{n}",
            "value": round((number * 7919 + n * 104_729) % 1_000_003 / 997, 3),
            "unit": "N",
        }
        for n in range(12)
    ]
    params = {"order": f"WO-{number}", "serial": new_id(12), "readings": list(readings)}
    return Fact(header(CLOCK), OperationsEvent("order-started", params))  # type: ignore[arg-type]


def fill(folder: Path, records: int) -> int:
    """A backlog; how many bytes of bodies."""
    outbox = open_outbox(folder, CLOCK)
    for first in range(0, records, COMMIT_TOGETHER):
        facts = tuple(a_run(number) for number in range(first, min(first + COMMIT_TOGETHER, records)))
        outbox.commit(Batch(facts)).result()
    size = sum(len(row.body or b"") for row, _ in rows_of(outbox))
    outbox.close()
    return size


def rows_of(outbox: Outbox) -> list[tuple]:  # type: ignore[type-arg]
    found, position = [], 0
    while (run := outbox.next_run(position, MOST_RECORDS, 1 << 20)) is not None:
        found += [(row, run.previous) for row in run.envelopes]
        position = run.position
    return found


# -- the processes ---------------------------------------------------------------------------------------------


def client(port: int, name: str) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    made.max_inflight_messages_set(IN_FLIGHT)
    made.connect("127.0.0.1", port)
    return made


def listen(port: int, folder: Path, ready: Connection) -> None:
    """The least of a central: says how far the frames reach, a hundred times a second."""
    key, made = SigningKey.load(folder / "central.key"), client(port, "sink")
    newest: list[Watermark] = []
    made.on_subscribe = lambda *_: ready.send(None)

    def take(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if "/state/" in message.topic:
            return
        epoch, last, link = frame_end(bytes(message.payload))
        newest[:] = [Watermark(AGENT, epoch, "records", last, link, 1)]

    def answer() -> None:
        said = None
        while True:
            time.sleep(ANSWER_EVERY_S)
            if newest and newest[0] is not said:
                said = newest[0]
                made.publish(ack_topic(AGENT, "records"), sign(said, key), qos=1)

    made.on_message = take
    made.subscribe([(f"{TOPIC_ROOT}/up/#", 1), (f"{TOPIC_ROOT}/state/#", 1)])
    threading.Thread(target=answer, daemon=True).start()
    made.loop_forever()


def drain(folder: Path, url: str, done: Connection) -> None:
    """The agent's part: seconds from the first frame until central has everything, and the peak memory in MB."""
    outbox = open_outbox(folder, CLOCK)
    began: list[float] = []

    def failpoint(name: str) -> None:
        if name == "uplink.before_publish" and not began:
            began.append(time.perf_counter())

    uplink = Uplink(outbox, Identity.open(folder.parent / "identity"), settings(url), CLOCK, failpoint=failpoint)
    uplink.start()
    last = outbox.head().last
    while outbox.acknowledged()[1].seq < last:
        time.sleep(0.005)
    took_s = time.perf_counter() - began[0]
    done.send((took_s, peak_mb(os.getpid())))
    uplink.stop()
    outbox.close()


def publish(folder: Path, url: str, done: Connection) -> None:
    """Bare paho's part, with the same frames: seconds until the broker has all of them."""
    outbox, key = open_outbox(folder, CLOCK), Identity.open(folder.parent / "identity").signing
    frames, position = [], 0
    while (run := outbox.next_run(position, MOST_RECORDS, settings(url).max_frame_bytes - 700)) is not None:
        frames.append(encode_frame(run.envelopes, run.previous, key))
        position = run.position
    outbox.close()
    made = client(int(url.rpartition(":")[2]), "bare")
    room, left, all_ = threading.Semaphore(IN_FLIGHT), [len(frames)], threading.Event()
    connected = threading.Event()
    made.on_connect = lambda *_: connected.set()

    def answered(*_: object) -> None:
        left[0] -= 1
        room.release()
        if not left[0]:
            all_.set()

    made.on_publish = answered
    made.loop_start()
    connected.wait(20)
    topic = up_topic("p0", AGENT, "records")
    began = time.perf_counter()
    for frame in frames:
        room.acquire()
        made.publish(topic, frame, qos=1)
    all_.wait(300)
    done.send((time.perf_counter() - began, float(sum(map(len, frames)))))
    made.disconnect()
    made.loop_stop()


def apart(target: Callable[..., None], *args: object) -> tuple[float, float]:
    """Run in a process of its own; what it sends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs))
    process.start()
    if not ours.poll(600):
        process.kill()
        raise TimeoutError(f"{target.__name__} did not end")
    answer: tuple[float, float] = ours.recv()
    process.join(60)
    return answer


# -- the figures -----------------------------------------------------------------------------------------------


def measure(folder: Path, records: int, rounds: int, factor: int) -> dict[str, float]:
    key = SigningKey.generate()
    key.save(folder / "central.key")
    make_identity(folder / "identity", key)
    context = multiprocessing.get_context("spawn")
    with Mosquitto(folder / "broker", settings=("persistence false", "max_inflight_messages 100")) as broker:
        ready, theirs = context.Pipe()
        sink = context.Process(target=listen, args=(broker.port, folder, theirs), daemon=True)
        sink.start()
        ready.poll(30)
        try:
            ours, bare, packed, size = [], [], 0.0, 0
            for number in range(rounds):
                buffer = folder / f"buffer-{number}"
                size = fill(buffer, records)
                took_s, packed = apart(publish, buffer, broker.url)
                bare.append(took_s)
                ours.append(apart(drain, buffer, broker.url)[0])
            peaks = []
            for count in (records // 100, records // 100 * factor):
                fill(folder / f"memory-{count}", count)
                peaks.append(apart(drain, folder / f"memory-{count}", broker.url)[1])
        finally:
            sink.kill()
    return {
        "records": records,
        "bytes_a_record": round(size / records),
        "packed": round(packed / size, 3),
        "uplink_records_per_s": round(records / statistics.median(ours)),
        "paho_records_per_s": round(records / statistics.median(bare)),
        "ratio": round(statistics.median(b / o for b, o in zip(bare, ours, strict=True)), 3),
        "peak_mb": round(peaks[0], 1),
        f"peak_mb_{factor}_times": round(peaks[1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=100, help="how many times longer the long backlog is")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.records, asked.rounds, asked.memory)
    if asked.json:
        json.dump(found, sys.stdout, indent=1)
    else:
        for name, value in found.items():
            print(f"{name:<24}{value:>12,}")


if __name__ == "__main__":
    main()
