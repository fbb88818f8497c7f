"""Telemetry from a device to central: over a broker that goes away and through kills, no chunk lost or doubled."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from central import telemetry as reader
from central.store import agents
from central.verify import verify as verify_central
from drivers.supervise import Supervisor
from edge_agent.counters import Counters
from edge_agent.outbox import GivenUp, Outbox, export, verify
from edge_agent.telemetry import Context, Telemetry
from edge_agent.uplink import Uplink
from records import chain
from records.clock import FakeClock, SystemClock
from records.keys import Identity, PublicKey, SigningKey
from records.model import OperationsEvent
from records.telemetry import KIND, Column, Series, SeriesTag, decode_chunk, encode_chunk, encode_series
from records.wire import encode_frame, seal, up_topic
from tests.rigs.fake_device import FakeDevice, opcua
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, header, make_identity, open_outbox
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import quick, ring_of, until
from tests.unit.central.core_rig import Agent, Rig
from tests.unit.edge import test_telemetry_thinning as thinning

CENTRAL = SigningKey.generate()
CLOCK = SystemClock()
CONTEXT = Context(AGENT, "suzhou", "valve-1", "lotkeeper-edge/test", "sha256:00")
TAGS = [{"name": f"t{n}"} for n in range(600)]  # enough that a poll is worth a commit


def telemetry_outbox(folder: Path, failpoint: Callable[[str], None] = lambda _: None) -> Outbox:
    return Outbox(
        folder,
        AGENT,
        CLOCK,
        context=lambda: header(CLOCK),
        stream="telemetry",
        failpoint=failpoint,
        keep_acknowledged_s=0.0,
    )


def ticks(central: TinyCentral) -> Counter[float]:
    """How often central holds each poll of the device, by the value that all its tags had then."""
    found: Counter[float] = Counter()
    for row in central.records.values():
        if row.kind == KIND and row.body is not None:
            chunk = decode_chunk(row.body)
            assert len(chunk.series.tags) == len(TAGS)
            polls = [value for _, _, _, value in chunk.readings("t0")]
            assert polls == [value for _, _, _, value in chunk.readings("t599")]
            found.update(polls)  # type: ignore[arg-type]
    return found


@dataclass
class Line:
    """One device whose polls count up, collected and sent."""

    device: FakeDevice
    counters: Counters
    outbox: Outbox
    uplink: Uplink

    async def run(self, done: Callable[[], object], told: Callable[[int], None] = lambda _: None) -> None:
        collector = Telemetry(
            self.outbox,
            CLOCK,
            self.counters,
            lambda: CONTEXT,
            lambda *_: None,
            live=lambda: self.uplink.live,
            interval_s=0.05,
        )
        supervisor = Supervisor(self.device, CLOCK, lambda _: None)
        feed = collector.feed("plc", self.device.settings)
        supervisor.watch(feed.tags, feed.take, every=True, name="telemetry")
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(60):
            while not done():
                told(self.counters.snapshot().telemetry_committed // len(TAGS))
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running])
        await collector.close()


def line(folder: Path, url: str, first: int = 0, failpoint: Callable[[str], None] = lambda _: None) -> Line:
    device = FakeDevice("plc", opcua(TAGS, poll_interval="10ms"), CLOCK)
    device.ticks = first
    outbox = telemetry_outbox(folder / "buffer", failpoint)
    identity = Identity.open(folder / "identity")
    records = open_outbox(folder / "buffer", CLOCK)
    uplink = Uplink(records, identity, quick(url), CLOCK, telemetry=outbox, failpoint=failpoint)
    uplink.start()
    return Line(device, Counters(), outbox, uplink)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker")
    yield made
    made.kill()


@pytest.mark.mosquitto
def test_a_broker_that_goes_and_loses_everything_costs_no_chunk(tmp_path: Path, broker: Mosquitto) -> None:
    identity = make_identity(tmp_path / "identity", CENTRAL)
    broker.start()
    made = line(tmp_path, broker.url)
    with TinyCentral(broker.port, CENTRAL, ring_of(identity), AGENT, stream="telemetry") as central:

        async def scene() -> None:
            for away in (False, True, False):
                polls = made.device.ticks + 20
                if away:
                    await asyncio.to_thread(broker.kill)
                await made.run(lambda polls=polls: made.device.ticks >= polls)  # type: ignore[misc]
                if away:
                    await asyncio.to_thread(broker.restart, kill=True, wipe=True)

        asyncio.run(scene())
        central.wait(lambda: len(ticks(central)) == made.device.ticks)
        assert ticks(central) == Counter(dict.fromkeys(map(float, range(1, made.device.ticks + 1)), 1))
        until(lambda: (status := made.uplink.status().telemetry) is not None and status.pending == 0)
        made.uplink.stop()
    counts = made.counters.snapshot()
    assert counts.telemetry_committed == counts.telemetry_values == made.device.ticks * len(TAGS)
    made.outbox.close()
    assert verify(tmp_path / "buffer" / "telemetry.db").ok


def collect_until_killed(
    folder: Path, url: str, failpoint: str, nth: int, first: int, promised: Connection
) -> None:
    """A process that polls, commits and sends until it is gone by SIGKILL; tells which polls were promised."""
    left = nth

    def die(name: str) -> None:
        nonlocal left
        if name == failpoint:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    made = line(folder, url, first, die)
    known = 0

    def told(committed: int) -> None:
        nonlocal known
        for n in range(known + 1, committed + 1):
            promised.send(first + n)
        known = max(known, committed)

    asyncio.run(made.run(lambda: False, told))


@pytest.mark.mosquitto
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_around_a_commit_lose_no_promised_chunk_and_double_none(tmp_path: Path, broker: Mosquitto) -> None:
    identity = make_identity(tmp_path / "identity", CENTRAL)
    broker.start()
    context = multiprocessing.get_context("spawn")
    promised: set[int] = set()
    with TinyCentral(broker.port, CENTRAL, ring_of(identity), AGENT, stream="telemetry") as central:
        for turn, point in enumerate(("outbox.before_commit", "outbox.after_commit", "uplink.before_publish")):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=collect_until_killed, args=(tmp_path, broker.url, point, 15, 1_000_000 * turn, theirs)
            )
            process.start()
            theirs.close()
            process.join(60)
            assert process.exitcode == -signal.SIGKILL
            while ours.poll():
                try:
                    promised.add(ours.recv())
                except EOFError:
                    break
        made = line(tmp_path, broker.url, 9_000_000)
        asyncio.run(made.run(lambda: made.device.ticks > 9_000_010))
        central.wait(lambda: promised <= {int(tick) for tick in ticks(central)})
        until(lambda: (status := made.uplink.status().telemetry) is not None and status.pending == 0)
        made.uplink.stop()
        held = ticks(central)
    assert len(promised) > 10
    assert set(held.values()) == {1}, "none twice"
    assert set(range(9_000_001, made.device.ticks + 1)) <= {int(tick) for tick in held}
    made.outbox.close()
    assert verify(tmp_path / "buffer" / "telemetry.db").ok


# -- central's side ----------------------------------------------------------------------------------------


def chunk(first_us: int, values: list[float], *, every_us: int = 100_000) -> bytes:
    tags = (SeriesTag("force", "N"), SeriesTag("idle"))
    series = Series(AGENT, "suzhou", "valve-1", "plc", 0.1, "test", "sha256:00", (Column("float64", tags),))
    rows = np.arange(len(values)) * every_us + first_us
    status = np.zeros(2 * len(values), np.uint32)
    status[1] = 0x8F060000
    both = np.repeat(np.array(values), 2)
    return encode_chunk(encode_series(series), rows, np.zeros(len(both), np.int64), status, [both])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "central").mkdir()
    made = Rig(tmp_path / "central", clock=FakeClock())
    yield made
    made.store.close()


def test_central_keeps_chunks_proves_them_and_reads_a_span_of_one_tag(tmp_path: Path, rig: Rig) -> None:
    key = SigningKey.generate()
    rig.store.write(lambda c: agents.enrol(c, AGENT, "p0", key.public.hex(), rig.clock.now_us()))
    start_us = 1_795_000_000_000_000
    bodies = [chunk(start_us + n * 1_000_000, [n + i / 10 for i in range(10)]) for n in range(50)]
    bodies += [b"garbage", bodies[3]]  # one that was stored again, and one that nobody can read
    link = previous = chain.first_hash(AGENT, "e1", "telemetry")
    rows = []
    for seq, body in enumerate(bodies, 1):
        rows.append(seal(AGENT, "e1", "telemetry", seq, 1, KIND, body, link))
        link = rows[-1].hash
    outcome = rig.ingest.take(up_topic("p0", AGENT, "telemetry"), encode_frame(rows, previous, key))
    assert outcome.result == "committed"
    assert outcome.watermark is not None
    assert (outcome.watermark.stream, outcome.watermark.committed_through) == ("telemetry", len(rows))
    with rig.store.read() as connection:
        whole = reader.read(connection, AGENT, "plc.force", start_us, start_us + 60_000_000, 10_000)
        assert [p.value for p in whole.points] == [n + i / 10 for n in range(50) for i in range(10)], "each once"
        assert whole.next_us is None
        assert {p.unit for p in whole.points} == {"N"}
        span = reader.read(connection, AGENT, "plc.force", start_us + 1_950_000, start_us + 3_050_000, 100)
        assert [p.value for p in span.points] == [2.0 + i / 10 for i in range(10)] + [3.0]
        paged: list[reader.Point] = []
        at_us: int | None = start_us
        while at_us is not None:
            page = reader.read(connection, AGENT, "plc.force", at_us, start_us + 60_000_000, 7)
            assert len(page.points) <= 7
            paged += page.points
            at_us = page.next_us
        assert tuple(paged) == whole.points
        idle = reader.read(connection, AGENT, "plc.idle", start_us, start_us + 1_000_000, 100)
        assert (idle.points[0].value, idle.points[0].status) == (None, 0x8F060000)
        for agent, tag in (("other", "plc.force"), (AGENT, "plc.none"), (AGENT, "none.force")):
            assert reader.read(connection, agent, tag, start_us, start_us + 60_000_000, 10).points == ()
    stated = [f.fact.data for f in rig.store.facts(agent="central", kinds=["operations_event"])]
    assert [data.code for data in stated if isinstance(data, OperationsEvent)] == ["quarantined"]
    anchors = rig.folder / "anchors.jsonl"
    proved = verify_central(rig.folder / "central.db", anchors, [PublicKey("central", rig.key.public.hex())])
    assert (proved.ok, proved.reason) == (True, None)


def test_thinned_telemetry_still_shows_each_spike_and_what_central_had_whole_stays_so(
    tmp_path: Path, rig: Rig
) -> None:
    """A chunk that was on its way when it was thinned comes as it was, and what is left of it comes too."""
    key = SigningKey.generate()
    rig.store.write(lambda c: agents.enrol(c, AGENT, "p0", key.public.hex(), rig.clock.now_us()))
    said: list[GivenUp] = []

    def send(outbox: Outbox, behind: int, count: int) -> int:
        run = outbox.next_run(behind, count, 1 << 20)
        assert run is not None
        frame = encode_frame(run.envelopes, run.previous, key)
        assert rig.ingest.take(up_topic("p0", AGENT, "telemetry"), frame).result == "committed"
        return run.position

    with thinning.buffer(tmp_path / "buffer", said) as outbox:
        made = thinning.fill(outbox, range(20))
        position = send(outbox, 0, 11)
        made += thinning.fill(outbox, range(20, 400), lambda: len(said) > 2)
        while position < outbox.head().last:
            position = send(outbox, position, 100)
    records = Agent(AGENT, key)
    for given in said:
        told = {"epoch": given.epoch, "first": str(given.first), "last": str(given.last), "chunks": given.chunks}
        records.write(OperationsEvent("telemetry-thinned", dict(told)))
    assert rig.ingest.take(records.topic, records.frame()).result == "committed"
    gone = sum(row.body is None for row in export(tmp_path / "buffer" / "telemetry.db"))
    keys = [PublicKey("central", rig.key.public.hex())]
    proved = verify_central(rig.folder / "central.db", rig.folder / "anchors.jsonl", keys)
    assert (proved.ok, proved.tombstones) == (True, gone - 10)
    was = [decode_chunk(body) for body in made]
    begin, end = thinning.START_US, thinning.START_US + 400 * 1_000_000
    for device in thinning.DEVICES:
        each = [reading for chunk in was if chunk.series.device == device for reading in chunk.readings("t3")]
        with rig.store.read() as connection:
            points = reader.read(connection, AGENT, f"{device}.t3", begin, end, 10_000).points
        whole = [point for point in points if point.left_out is None]
        assert [p.value for p in points if p.edge_us < begin + 5_000_000] == [v for *_, v in each[:50]]
        assert 50 < len(whole) < len(points) < len(each) / 1.5
        assert range_of(p.value for p in points) == range_of(value for *_, value in each)
        assert len(points) + sum(p.left_out or 0 for p in points) >= len(each)


def range_of(values: Iterable[Any]) -> tuple[Any, Any]:
    held = list(values)
    return min(held), max(held)
