"""Agents without a backlog, each with its real outbox and uplink: how long until central has what they commit."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from sqlalchemy import select

from benchmarks.rig.frames import run
from benchmarks.rig.house import Backlogs, House, client, house, through_of
from central.keys import public_keys
from central.store.engine import reading
from central.store.schema import envelope
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Uplink, UplinkSettings
from records.clock import SystemClock
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.model import Fact, Header
from records.wire import TOPIC_ROOT

AGENTS, PER_S = 10, 500
"""Agents, and what they commit together."""
DRAINING, PER_HOUR = 20, 3 * 60
"""Agents with a backlog: three stations with a record a minute each."""
WARM_S = 2.0
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an agent's commit on, all clocks being one machine's.

    ``taken``: until central's transaction began to write the record. ``word``: until a subscriber of the broker
    has central's signed watermark, which is said only after the commit. Central's commit lies between the two.
    """

    beside: str
    records: int
    taken_p50_ms: float
    taken_p99_ms: float
    word_p50_ms: float
    word_p99_ms: float
    word_most_ms: float
    drained_per_s: float | None = None


class LiveAgent:
    """``committed``: when each of its records was on its disk: (wall clock in us, monotonic clock in s)."""

    def __init__(self, folder: Path, name: str, key: SigningKey, central: Sequence[PublicKey], url: str) -> None:
        self.name = name
        self.committed: list[tuple[int, float]] = []
        self.word_s: list[float] = []
        self._clock = SystemClock()
        Identity.write(folder / "identity", IdentityFile(name, "p0", tuple(central)), key, None)
        identity = Identity.open(folder / "identity")
        self.outbox = Outbox(folder / "buffer", name, self._clock, context=self._header, note_every_s=1.0)
        self.before = self.outbox.head().last
        self._uplink = Uplink(self.outbox, identity, UplinkSettings(url), self._clock)
        self._uplink.start()

    def _header(self) -> Header:
        return Header(self._clock.now_us(), 480, "suzhou", "valve-1", "station-1", "bench", None)

    def commit(self) -> None:
        number = len(self.committed) + 1
        record = run(self.name, "station-1", number, self._clock.now_us())
        self.outbox.commit(Batch((Fact(self._header(), record),))).result()
        self.committed.append((self._clock.now_us(), time.perf_counter()))

    def beat(self, going_on: Callable[[], bool]) -> None:
        """Commit at its share of the rate."""
        every_s = AGENTS / PER_S
        due = time.perf_counter()
        while going_on():
            self.commit()
            due = max(due + every_s, time.perf_counter() - 1.0)
            time.sleep(max(due - time.perf_counter(), 0.0))

    def heard(self, through: int, now_s: float) -> None:
        """Called in one thread. A word that overtakes the note of the commit is short by that much."""
        for number in range(len(self.word_s), min(through - self.before, len(self.committed))):
            self.word_s.append(now_s - self.committed[number][1])

    def close(self) -> None:
        self._uplink.stop()
        self.outbox.close()


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
        agents = {
            name: LiveAgent(place.folder / name, name, key, central, place.broker.url)
            for name, key in keys.items()
        }
        for agent in agents.values():
            undo.callback(agent.close)
        undo.callback(_listen(place, agents))
        _beat(agents.values(), _for(WARM_S))
        _settle(agents.values())
        warm = {name: len(agent.committed) for name, agent in agents.items()}
        if backlogs is None:
            _beat(agents.values(), _for(seconds))
        else:
            backlogs.send(place.broker.port)
            _beat(agents.values(), lambda: not backlogs.done)
        _settle(agents.values())
        rate = None if backlogs is None else backlogs.records / backlogs.took_s()
        beside = "nobody" if backlogs is None else f"{DRAINING} agents draining {hours:g} h"
        return _latency(beside, place, agents, warm, rate)


def _for(seconds: float) -> Callable[[], bool]:
    end_s = time.perf_counter() + seconds
    return lambda: time.perf_counter() < end_s


def _beat(agents: Collection[LiveAgent], going_on: Callable[[], bool]) -> None:
    threads = [threading.Thread(target=agent.beat, args=(going_on,)) for agent in agents]
    for number, thread in enumerate(threads):
        thread.start()
        time.sleep(1 / PER_S if number else 0)  # not all at the same moment
    for thread in threads:
        thread.join()


def _settle(agents: Collection[LiveAgent]) -> None:
    """Wait until central has said its word on everything."""
    end_s = time.perf_counter() + PATIENCE_S
    while any(len(agent.word_s) < len(agent.committed) for agent in agents):
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
            agent.heard(through_of(message.payload), now_s)

    def end() -> None:
        ear.disconnect()
        ear.loop_stop()

    ear.on_message = heard
    ear.on_subscribe = lambda *_: subscribed.set()
    ear.subscribe(f"{TOPIC_ROOT}/ack/+/records", 1)
    ear.loop_start()
    assert subscribed.wait(PATIENCE_S)
    return end


def _latency(
    beside: str, place: House, agents: dict[str, LiveAgent], warm: dict[str, int], rate: float | None
) -> Latency:
    e = envelope.c
    taken: list[float] = []
    word: list[float] = []
    for name, agent in agents.items():
        place_of = {agent.before + number: at_us for number, (at_us, _) in enumerate(agent.committed, 1)}
        first = agent.before + warm[name]
        query = select(e.seq, e.received_us).where(e.agent == name, e.stream == "records", e.seq > first)
        with reading(place.database) as connection:
            taken += [(row.received_us - place_of[row.seq]) / 1e3 for row in connection.execute(query)]
        word += [seconds * 1e3 for seconds in agent.word_s[warm[name] :]]
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
        rate,
    )
