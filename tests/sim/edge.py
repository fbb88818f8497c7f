"""An agent without threads and without a network: the real outbox on a real file, the real uplink's decisions.

Its machine shows one cycle after the other and waits for each answer; ``Ledger`` is that machine's own memory.
A crash is a copy of the folder as it was at that moment: whatever was in memory is gone.
"""

from __future__ import annotations

import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from paho.mqtt.enums import MQTTErrorCode

from edge_agent.outbox import Batch, Outbox, export, verify
from edge_agent.uplink import Limits, Uplink, UplinkSettings
from edge_agent.uplink.link import Connected, Link, Message, Subscribed
from records.clock import FakeClock
from records.errors import StorageFailed
from records.keys import Identity
from records.model import Fact
from tests.rigs.outboxes import fact, header, number_of, numbers
from tests.sim.bus import Bus, Given, Puback, Publish

KEEP_S = 400.0
"""Acknowledged records are pruned after so many seconds, so that a run prunes, too."""
SETTINGS = UplinkSettings(
    "mqtt://127.0.0.1:1",
    head_interval_s=20.0,
    max_frame_bytes=1500,
    limits=Limits(messages=4, bytes=6000, resend_after_s=5.0, resend_max_s=20.0),
    prune_interval_s=15.0,
    settle_s=1.0,
)


def cycle_fact(cycle: int, clock: FakeClock) -> Fact:
    """What the agent records of a cycle."""
    return fact(cycle, clock, f"torque {cycle % 7}.5")


@dataclass
class Ledger:
    """What the machine was answered for: every cycle that the agent has committed.

    ``off_disk`` went with a disk whose older image was put back; ``lost``: and central did not hold it either.
    ``numbers``: every epoch and seq under which the record of a cycle has stood.
    """

    answered: list[int] = field(default_factory=list)
    off_disk: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    numbers: dict[int, set[tuple[str, int]]] = field(default_factory=dict)


class Wire:
    """What stands in for paho's client in a link: its packets go into the bus."""

    def __init__(self, bus: Bus, client: str) -> None:
        self._bus, self._name = bus, client
        self._mid = 0

    def subscribe(self, topics: list[tuple[str, int]]) -> None:
        self._bus.subscribe(self._name, [topic for topic, _ in topics])

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> SimpleNamespace:
        self._mid += 1
        self._bus.publish(self._name, Publish(topic, payload, retain, self._mid))
        return SimpleNamespace(mid=self._mid, rc=MQTTErrorCode.MQTT_ERR_SUCCESS)


class SimLink(Link):
    """The uplink's own connection, with what it keeps count of, over a wire without a socket."""

    def __init__(self, bus: Bus, client: str) -> None:
        self.bus, self.client = bus, client
        self.packet_maximum, self.lost, self.listening = None, None, None
        self._limits, self._receive_maximum = SETTINGS.limits, 20
        self._unanswered, self._unanswered_bytes = {}, 0
        self._answers = deque()
        self._client = Wire(bus, client)  # type: ignore[assignment]

    def answered(self, mid: int) -> None:
        self._answers.append((mid, 0, "Success"))

    def close(self) -> None:
        self.bus.disconnect(self.client)


class Edge:
    """One agent and the machine that it serves."""

    def __init__(self, root: Path, identity: Identity, bus: Bus) -> None:
        self.root, self.identity, self.bus = root, identity, bus
        self.name = identity.file.agent
        self.clock = FakeClock()
        self.ledger = Ledger()
        self.lives = 0
        self.cycle = 0
        self.crash_at: str | None = None
        self.image: Path | None = None
        self.link: SimLink | None = None
        self._open(root / f"{self.name}-0")

    # -- the machine -------------------------------------------------------------------------------------------

    def run_cycle(self) -> None:
        """The machine shows its next cycle until the agent has it on disk, whatever happens on the way."""
        self.cycle += 1
        while self.outbox.state("cycle") != self.cycle:
            future = self.outbox.commit(Batch((cycle_fact(self.cycle, self.clock),), {"cycle": self.cycle}))
            try:
                place = future.result()
                self.ledger.numbers.setdefault(self.cycle, set()).add((place.epoch, place.seq))
            except StorageFailed:
                if self.image is None:
                    raise
            if self.image is not None:
                self._open(self.image)
        self.ledger.answered.append(self.cycle)

    def _failpoint(self, name: str) -> None:
        if name == self.crash_at:
            self.crash_at, self.image = None, self._copy()

    # -- what happens to it ------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Killed while nothing is being written."""
        self._open(self._copy())

    def power_cut(self) -> None:
        """What was not synced is gone: nothing that was promised with synchronous=FULL, else the log.

        Without FULL, SQLite promises no more than what the last checkpoint brought into the database.
        """
        level = self.outbox._writer.submit(lambda c: c.execute("PRAGMA synchronous").fetchone()[0]).result()
        image = self._copy()
        if level < 2:
            (image / "records.db-wal").unlink(missing_ok=True)
        self._open(image)

    def snapshot(self) -> Path:
        """An image of the disk, to be put back later."""
        return self._copy()

    def put_back(self, image: Path, held: set[int]) -> None:
        """An older image takes the place of the disk; what central does not hold by now is lost with it."""
        before = shutil.copytree(image, self._place())
        self._open(before)
        kept = self.outbox.state("cycle")
        through = kept if isinstance(kept, int) else 0
        self.ledger.off_disk |= {cycle for cycle in self.ledger.answered if cycle > through}
        self.ledger.lost |= self.ledger.off_disk - held

    def _place(self) -> Path:
        self.lives += 1
        return self.root / f"{self.name}-{self.lives}"

    def _copy(self) -> Path:
        return shutil.copytree(self.outbox.path.parent, self._place(), ignore=shutil.ignore_patterns("*.lock"))

    def _open(self, folder: Path) -> None:
        if self.link is not None:
            self.link.close()
        former = getattr(self, "outbox", None)
        self.link, self.image = None, None
        self.outbox = Outbox(
            folder,
            self.name,
            self.clock,
            context=lambda: header(self.clock),
            keep_acknowledged_s=KEEP_S,
            failpoint=self._failpoint,
        )
        if former is not None:
            former.close()
            shutil.rmtree(former.path.parent)
        self.uplink = Uplink(self.outbox, self.identity, SETTINGS, self.clock)
        self._number()

    def _number(self) -> None:
        """Note the numbers of all that is there: after a start, and when an epoch was opened."""
        self._epoch = self.outbox.head().epoch
        for row in export(self.outbox.path):
            cycle = number_of(row.body or b"{}")
            if cycle is not None:
                self.ledger.numbers.setdefault(cycle, set()).add((row.epoch, row.seq))

    # -- the way to central ------------------------------------------------------------------------------------

    def connect(self) -> None:
        self.bus.connect(self.name)
        self.link = SimLink(self.bus, self.name)
        self.uplink._handle(Connected(self.link))
        self.uplink._handle(Subscribed(self.link, None))

    def disconnect(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None
            self.uplink._connected = False

    def receive(self, packet: Puback | Given) -> None:
        assert self.link is not None
        if isinstance(packet, Puback):
            self.link.answered(packet.mid)
        else:
            self.uplink._handle(Message(self.link, packet.topic, packet.payload, packet.retained))

    def turn(self) -> None:
        """What the uplink's thread does when it wakes."""
        link = self.link
        if link is not None:
            for answer in link.delivered():
                self.uplink._delivered(answer)
        self.uplink._apply_marks()
        if self.outbox.head().epoch != self._epoch:
            self._number()
        if link is None:
            return
        if self.uplink._unanswered(link):
            self.disconnect()
        else:
            self.uplink._work(link)

    def holds(self) -> set[int]:
        """The cycles whose records are still in the outbox."""
        return set(numbers(self.outbox))

    @property
    def drained(self) -> bool:
        return self.outbox.pending().records == 0

    def close(self) -> list[str]:
        """What is wrong with the file at the end."""
        self.outbox.close()
        found = verify(self.outbox.path)
        return [] if found.ok else [f"{self.name}: the outbox does not prove itself: {found.reason}"]
