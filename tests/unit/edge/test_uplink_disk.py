"""A disk that is full or slow keeps nothing from being sent: sending needs no room."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_agent.documents import Documents
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Uplink, lane, service
from records import durable
from records.clock import SystemClock
from records.errors import Busy
from records.keys import Identity, SigningKey
from records.wire import Document, down_topic, sign
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, fact, fill, make_identity, number_of, open_outbox
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import quick, ring_of, until

pytestmark = pytest.mark.mosquitto

CENTRAL = SigningKey.generate()
CLOCK = SystemClock()


@dataclass
class Disk:
    """``full``: every commit finds no room, as SQLite says it of a full volume. ``answers``: not set while it
    hangs; ``hangs``: a commit waits for it. ``prunes``: how often the uplink was about to prune, which waits for
    ``prune``.
    """

    full: bool = False
    answers: threading.Event = field(default_factory=threading.Event)
    hangs: threading.Event = field(default_factory=threading.Event)
    prune: threading.Event = field(default_factory=threading.Event)
    prunes: int = 0

    def __call__(self, failpoint: str) -> None:
        if failpoint == "uplink.before_prune":
            self.prunes += 1
            self.prune.wait(60)
        if failpoint == "outbox.before_commit":
            if not self.answers.is_set():
                self.hangs.set()
                self.answers.wait(60)
            if self.full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error


@dataclass
class Bench:
    disk: Disk
    broker: Mosquitto
    identity: Identity
    outbox: Outbox
    documents: Documents
    uplinks: list[Uplink] = field(default_factory=list)

    def uplink(self, telemetry: Outbox | None = None) -> Uplink:
        settings = quick(self.broker.url, max_frame_bytes=1500)
        made = Uplink(
            self.outbox,
            self.identity,
            settings,
            CLOCK,
            documents=self.documents,
            telemetry=telemetry,
            failpoint=self.disk,
        )
        made.start()
        self.uplinks.append(made)
        until(lambda: made.status().connected)
        return made

    def central(self, stream: str = "records") -> TinyCentral:
        return TinyCentral(self.broker.port, CENTRAL, ring_of(self.identity), AGENT, stream=stream)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    disk = Disk()
    disk.answers.set()
    disk.prune.set()
    outbox = open_outbox(tmp_path / "buffer", CLOCK, keep_acknowledged_s=0.0, failpoint=disk)
    identity = make_identity(tmp_path / "identity", CENTRAL)
    with Mosquitto(tmp_path / "broker") as broker:
        made = Bench(disk, broker, identity, outbox, Documents(outbox, identity.central, CLOCK))
        yield made
        disk.answers.set()
        for uplink in made.uplinks:
            uplink.stop()
    outbox.close()


def holds(central: TinyCentral, last: int) -> Callable[[], bool]:
    return lambda: {number_of(body) for body in central.bodies()} >= set(range(1, last + 1))


def test_a_full_disk_keeps_nothing_that_is_on_it_from_central(bench: Bench) -> None:
    """Bug: a new document of central, or central's own word, ended each connection before anything was sent."""
    fill(bench.outbox, 1, 900)  # more than may be on its way without central's word
    order = Document("work-order", "WO-1", 1, CLOCK.now_us(), {"lot": "A"})
    with bench.central() as central:
        central.publish(down_topic(AGENT, order.kind, order.id), sign(order, CENTRAL), retain=True)
        bench.disk.full = True
        uplink = bench.uplink()
        central.wait(holds(central, 900))
        until(lambda: "what central has confirmed cannot be noted here" in (uplink.status().last_error or ""))
        assert bench.documents.get("work-order", "WO-1") == order
        assert uplink.status().pending == 901, "nothing of it is noted"
        bench.disk.full = False
        until(lambda: uplink.status().pending == 0)
        bench.documents.keep()
        until(lambda: uplink.status().last_error is None)
        assert max(central.received.values()) == 1, "and nothing was sent twice"


def test_what_keeps_the_word_on_records_from_being_noted_is_said_beside_telemetry_that_goes_well(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: central's word on telemetry took the reason away, until the other was tried again."""
    monkeypatch.setattr(lane, "NO_ROOM_S", 3600.0)
    monkeypatch.setattr(service, "TELEMETRY_APPLY_S", 0.05)
    telemetry = Outbox(tmp_path / "trend", AGENT, CLOCK, context=lambda: fact(1).header, stream="telemetry")
    with bench.central():
        bench.disk.full = True
        uplink = bench.uplink(telemetry)
        until(lambda: (way := uplink.status().trouble) is not None and way.code == service.NOT_NOTED)
        with bench.central("telemetry"):
            until(lambda: telemetry.pending().records == 0)
            telemetry.keep([b"a chunk"]).result()
            until(lambda: telemetry.pending().records == 0)  # so what came of the first is known
        assert (way := uplink.status().trouble) is not None
        assert way.code == service.NOT_NOTED
        bench.disk.full = False
        uplink.stop()
    telemetry.close()


def test_more_writes_than_may_wait_do_not_end_the_way_to_central(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the uplink took a busy disk for a dead one and ended; nothing was sent any more until a restart."""
    monkeypatch.setattr(durable, "WAITING_LIMIT", 20)
    with bench.central() as central:
        uplink = bench.uplink()
        fill(bench.outbox, 1, 3)
        until(lambda: uplink.status().pending == 0)
        bench.disk.prune.clear()
        seen = bench.disk.prunes
        until(lambda: bench.disk.prunes > seen)
        bench.disk.answers.clear()
        stored = [bench.outbox.commit(Batch((fact(4),)))]
        bench.disk.hangs.wait(60)
        while not stored[-1].done():
            stored.append(bench.outbox.commit(Batch((fact(4 + len(stored)),))))
        assert isinstance(stored.pop().exception(), Busy)
        bench.disk.prune.set()
        until(lambda: bench.disk.prunes > seen + 2)
        bench.disk.answers.set()
        central.wait(holds(central, 3 + len(stored)))
        until(lambda: uplink.status().pending == 0)
