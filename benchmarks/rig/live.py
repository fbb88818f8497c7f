"""Agents without a backlog, each with its real outbox and uplink: how long until central has what they commit."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from sqlalchemy import select

from benchmarks.rig.frames import run
from benchmarks.rig.house import Backlogs, House, client, house, through_of
from benchmarks.rig.meter import cpu_s
from central.keys import public_keys
from central.store.engine import reading
from central.store.schema import envelope
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Uplink, UplinkSettings
from records.clock import SystemClock
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.model import Fact, Header
from records.process import keep_pauses_short
from records.wire import TOPIC_ROOT

AGENTS, PER_S = 10, 500
"""Agents, and what they commit together."""
DRAINING, PER_HOUR = 20, 3 * 60
"""Agents with a backlog: three stations with a record a minute each."""
WARM_S = 2.0
GO, STOP, END = "go", "stop", "end"
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an agent's commit on, all clocks being one machine's.

    ``taken``: until central's transaction began to write the record. ``word``: until a subscriber of the broker
    has central's signed watermark, which is said only after the commit. Central's commit lies between the two.
    ``cores``: processors that central's process took meanwhile.
    """

    beside: str
    records: int
    taken_p50_ms: float
    taken_p99_ms: float
    word_p50_ms: float
    word_p99_ms: float
    word_most_ms: float
    cores: float
    drained_per_s: float | None = None


# -- an agent's process -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seat:
    """What an agent needs to begin."""

    folder: Path
    name: str
    key: SigningKey
    central: tuple[PublicKey, ...]
    url: str


def _agent(pipe: Connection, seat: _Seat) -> None:
    """Tells its last record's number; then between two words commits at its share of the rate, and tells when each
    record was on its disk: (wall clock in us, monotonic clock in s).
    """
    clock = SystemClock()

    def header() -> Header:
        return Header(clock.now_us(), 480, "suzhou", "valve-1", "station-1", "bench", None)

    Identity.write(seat.folder / "identity", IdentityFile(seat.name, "p0", seat.central), seat.key, None)
    identity = Identity.open(seat.folder / "identity")
    outbox = Outbox(seat.folder / "buffer", seat.name, clock, context=header, note_every_s=1.0)
    uplink = Uplink(outbox, identity, UplinkSettings(seat.url), clock)
    uplink.start()
    keep_pauses_short()
    pipe.send(outbox.head().last)
    number = 0
    while pipe.recv() == GO:
        committed: list[tuple[int, float]] = []
        due = time.perf_counter()
        while not pipe.poll():
            number += 1
            record = run(seat.name, "station-1", number, clock.now_us())
            outbox.commit(Batch((Fact(header(), record),))).result()
            committed.append((clock.now_us(), time.perf_counter()))
            due = max(due + AGENTS / PER_S, time.perf_counter() - 1.0)
            time.sleep(max(due - time.perf_counter(), 0.0))
        pipe.recv()
        pipe.send(committed)
    uplink.stop()
    outbox.close()


@dataclass(slots=True)
class LiveAgent:
    """An agent in a process of its own. ``last``: its newest record; ``heard``: watermarks and when they came."""

    seat: _Seat
    pipe: Connection = field(init=False)
    process: Any = field(init=False)
    last: int = 0
    first: int = 0
    committed: list[tuple[int, float]] = field(default_factory=list)
    heard: list[tuple[int, float]] = field(default_factory=list)

    def begin(self) -> None:
        """Before there are threads here: it is a fork."""
        context: Any = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_agent, args=(theirs, self.seat), daemon=True)
        self.process.start()
        self.last = self.pipe.recv()

    def stop(self) -> None:
        """No more is committed; what was is in ``committed``, from number ``first`` on."""
        self.pipe.send(STOP)
        self.committed = self.pipe.recv()
        self.first = self.last + 1
        self.last += len(self.committed)

    @property
    def settled(self) -> bool:
        return bool(self.heard) and self.heard[-1][0] >= self.last

    def word_ms(self) -> Iterator[float]:
        """Of each record that was committed last, until the first watermark that covers it was heard."""
        words = iter(self.heard)
        through, at_s = next(words)
        for number, (_, committed_s) in enumerate(self.committed, self.first):
            while through < number:
                through, at_s = next(words)
            yield (at_s - committed_s) * 1e3

    def end(self) -> None:
        self.pipe.send(END)
        self.process.join()


# -- all of them --------------------------------------------------------------------------------------------


def live(seconds: float, hours: float) -> Latency:
    """Ten agents alone for so long (``hours`` 0), or until twenty others have drained so many hours."""
    names = [f"line-{number}" for number in range(DRAINING)]
    backlogs = Backlogs(names, int(hours * PER_HOUR)) if hours else None
    if backlogs is not None:
        backlogs.ready()
    with house() as place, ExitStack() as undo:
        keys = {f"live-{number}": SigningKey.generate() for number in range(AGENTS)}
        place.start(keys | (backlogs.keys if backlogs is not None else {}))
        central = public_keys(place.folder / "data" / "keys")
        seats = (_Seat(place.folder / name, name, key, central, place.broker.url) for name, key in keys.items())
        agents = {seat.name: LiveAgent(seat) for seat in seats}
        for agent in agents.values():
            agent.begin()
            undo.callback(agent.end)
        undo.callback(_listen(place, agents))
        _beat(agents.values(), lambda: time.sleep(WARM_S))
        began_s, before_s = time.perf_counter(), cpu_s(place.pid)
        rate = None
        if backlogs is None:
            _beat(agents.values(), lambda: time.sleep(seconds))
        else:
            backlogs.send(place.broker.port)
            _beat(agents.values(), backlogs.wait)
            rate = backlogs.records / backlogs.took_s()
        beside = "nobody" if backlogs is None else f"{DRAINING} agents draining {hours:g} h"
        cores = (cpu_s(place.pid) - before_s) / (time.perf_counter() - began_s)
        return _latency(beside, place, agents, cores, rate)


def _beat(agents: Collection[LiveAgent], meanwhile: Callable[[], object]) -> None:
    """All commit meanwhile, until central has said its word on everything."""
    for number, agent in enumerate(agents):
        time.sleep(1 / PER_S if number else 0)  # not all at the same moment
        agent.pipe.send(GO)
    meanwhile()
    for agent in agents:
        agent.stop()
    end_s = time.perf_counter() + PATIENCE_S
    while not all(agent.settled for agent in agents):
        assert time.perf_counter() < end_s, "central did not confirm everything"
        time.sleep(0.05)


def _listen(place: House, agents: dict[str, LiveAgent]) -> Callable[[], None]:
    """Hear central's watermarks as a client of the broker of its own; what ends that."""
    subscribed = threading.Event()
    ear = client(place.broker.port, "bench-ear")

    def heard(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now_s = time.perf_counter()
        agent = agents.get(message.topic.split("/")[3])
        if agent is not None:
            agent.heard.append((through_of(message.payload), now_s))

    def end() -> None:
        ear.disconnect()
        ear.loop_stop()

    ear.on_message = heard
    ear.on_subscribe = lambda *_: subscribed.set()
    ear.subscribe(f"{TOPIC_ROOT}/ack/+/records", 1)
    ear.loop_start()
    assert subscribed.wait(PATIENCE_S)
    return end


def _latency(beside: str, place: House, agents: dict[str, LiveAgent], cores: float, rate: float | None) -> Latency:
    e = envelope.c
    taken: list[float] = []
    word: list[float] = []
    for name, agent in agents.items():
        on_disk_us = {number: at_us for number, (at_us, _) in enumerate(agent.committed, agent.first)}
        query = select(e.seq, e.received_us).where(
            e.agent == name, e.stream == "records", e.seq.between(agent.first, agent.last)
        )
        with reading(place.database) as connection:
            taken += [(row.received_us - on_disk_us[row.seq]) / 1e3 for row in connection.execute(query)]
        word += agent.word_ms()
    taken.sort()
    word.sort()
    ninety_ninth = int(len(word) * 0.99)
    return Latency(
        beside,
        len(word),
        statistics.median(taken),
        taken[ninety_ninth],
        statistics.median(word),
        word[ninety_ninth],
        word[-1],
        cores,
        rate,
    )
