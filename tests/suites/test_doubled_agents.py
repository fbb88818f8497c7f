"""Two agents with one identity at one broker and one central: one of them sends, both keep, nothing is mixed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import structlog
from pydantic import JsonValue

from central import doctor
from central.fencing import Fencing
from central.mqtt import Mqtt
from central.settings import BrokerSettings
from central.store import agents
from edge_agent.documents import Documents
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Uplink
from records.clock import SystemClock
from records.keys import Identity
from records.model import Fact, OperationsEvent
from records.wire import HELLO
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, fact, make_identity, open_outbox
from tests.rigs.uplinks import quick, until
from tests.unit.central.core_rig import Rig

pytestmark = pytest.mark.mosquitto
CLOCK = SystemClock()


@dataclass
class Pc:
    """One agent on one PC; ``last`` numbers its records from its own first number on."""

    outbox: Outbox
    uplink: Uplink
    last: int
    events: list[tuple[str, dict[str, JsonValue]]] = field(default_factory=list)

    def commit(self, count: int) -> None:
        for _ in range(count):
            self.last += 1
            self.outbox.commit(Batch((fact(self.last),))).result()

    @property
    def doubled(self) -> int:
        """How often it recorded that there are two."""
        return [code for code, _ in self.events].count("agent-doubled")

    @property
    def fenced(self) -> bool:
        return "keeps to that one" in (self.uplink.status().last_error or "")


class Plant:
    """A broker and a central, and PCs that are switched on."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.folder, self.closing = folder, closing
        self.broker = Mosquitto(folder / "broker").start()
        closing.callback(self.broker.kill)
        self.rig = Rig(folder / "central", clock=CLOCK)  # type: ignore[arg-type]
        closing.callback(self.rig.store.close)
        self.identity = make_identity(folder / "identity", self.rig.key)
        self.enrol(self.identity)
        log = structlog.get_logger()
        settings = BrokerSettings(url=self.broker.url)
        self.mqtt = Mqtt(settings, self.rig.ingest, self.rig.store, self.rig.key, CLOCK, log, lambda _: None)
        fencing = Fencing(self.rig.store, self.rig.facts, CLOCK, self.mqtt.publish_document)
        self.rig.ingest.requests[HELLO] = fencing.hello
        self.mqtt.start()
        closing.callback(self.mqtt.stop)
        until(lambda: self.mqtt.state.connected)

    def enrol(self, identity: Identity) -> None:
        public = identity.signing.public.hex()
        self.rig.store.write(lambda c: agents.enrol(c, AGENT, "p0", public, CLOCK.now_us()))

    def pc(self, name: str, first: int, identity: Identity | None = None) -> Pc:
        """Switch one on, with the buffer in its folder."""
        identity = identity or self.identity
        outbox = open_outbox(self.folder / name, CLOCK)
        documents = Documents(outbox, identity.central, CLOCK)
        events: list[tuple[str, dict[str, JsonValue]]] = []
        uplink = Uplink(
            outbox,
            identity,
            quick(self.broker.url, taken_over_s=0.5),
            CLOCK,
            lambda code, params: events.append((code, params)),
            documents=documents,
        )
        uplink.start()
        made = Pc(outbox, uplink, first, events)
        self.closing.callback(outbox.close)
        self.closing.callback(uplink.stop)
        return made

    def held(self) -> list[int]:
        """The numbers of the records that central holds, each record counted once under its first identity."""
        found: dict[str, int] = {}
        for stored in self.rig.store.facts(agent=AGENT):
            told: Fact = stored.fact
            if isinstance(told.data, OperationsEvent) and "order" in told.data.params:
                old = told.header.stored_as
                found[str(old.hash if old else stored.hash)] = int(
                    str(told.data.params["order"]).removeprefix("WO-")
                )
        return sorted(found.values())


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with ExitStack() as closing:
        yield Plant(tmp_path, closing)


def settled(one: Pc, other: Pc) -> bool:
    return one.uplink.status().connected and one.uplink.status().pending == 0 and other.fenced


@pytest.mark.parametrize("copied", [False, True], ids=["its own buffer", "a copy of the disk"])
def test_the_second_pc_is_fenced_and_keeps_its_records(plant: Plant, copied: bool) -> None:
    first = plant.pc("first", 0)
    first.commit(20)
    until(lambda: first.uplink.status().pending == 0)
    if copied:
        first.uplink.stop()
        first.outbox.close()
        shutil.copytree(plant.folder / "first", plant.folder / "second")
        first = plant.pc("first", 20)
        until(lambda: first.uplink.status().connected)
    second = plant.pc("second", 1000)
    second.commit(5)
    first.commit(5)
    until(lambda: settled(first, second))
    second.commit(5)
    first.commit(5)
    until(lambda: first.uplink.status().pending == 0)
    assert second.fenced
    assert second.uplink.status().pending > 0, "recorded, not sent"
    assert [pc.doubled for pc in (first, second)] == [1, 1], "both say so"
    held = plant.held()
    assert [number for number in held if number < 1000] == list(range(1, 31)), "all of the first, each once"
    assert len(held) == len(set(held))
    codes = [getattr(stored.fact.data, "code", "") for stored in plant.rig.store.facts(agent="central")]
    assert codes.count("agent-doubled") == 1

    # a restart of either changes nothing
    for pc, name, number in ((first, "first", 30), (second, "second", 1010)):
        pc.uplink.stop()
        pc.outbox.close()
        restarted = plant.pc(name, number)
        first, second = (restarted, second) if pc is first else (first, restarted)
    first.commit(5)
    until(lambda: settled(first, second))

    # the second one is the right one after all: it is enrolled again
    again = make_identity(plant.folder / "again", plant.rig.key)
    plant.enrol(again)
    second.uplink.stop()
    second.outbox.close()
    second = plant.pc("second", 1010, again)
    until(lambda: settled(second, first))
    assert plant.held() == [*range(1, 36), *range(1001, 1011)], "nothing lost, nothing twice"


def test_a_copy_of_a_running_pc_that_is_enrolled_again_takes_its_place(plant: Plant) -> None:
    """Bug: the fence of the one that it was copied from was its own fence too, and neither sent any more."""
    first = plant.pc("first", 0)
    first.commit(5)
    until(lambda: first.uplink.status().pending == 0)
    copy_of_running(plant.folder / "first", plant.folder / "second")
    second = plant.pc("second", 1000)
    second.commit(5)
    first.commit(5)
    until(lambda: settled(first, second))

    again = make_identity(plant.folder / "again", plant.rig.key)
    plant.enrol(again)
    for number in (1005, 1010):  # started again, too
        second.uplink.stop()
        second.outbox.close()
        second = plant.pc("second", number, again)
        second.commit(5)
        first.commit(5)
        until(partial(settled, second, first))
    held = plant.held()
    assert [number for number in held if number > 1000] == [*range(1001, 1016)]
    assert held[:10] == [*range(1, 11)], "and what the other one sent before it heard of it"
    assert len(held) == len(set(held))


def copy_of_running(folder: Path, to: Path) -> None:
    """An image of the disk."""
    to.mkdir()
    with closing(sqlite3.connect(folder / "records.db")) as source:
        source.execute("VACUUM INTO ?", (str(to / "records.db"),))


@pytest.mark.parametrize("copied", [False, True], ids=["its own buffer", "a copy of the disk"])
def test_of_two_that_take_a_dead_pc_s_place_one_is_fenced(plant: Plant, copied: bool) -> None:
    """Bug: each took the claim over from the other, so that neither was fenced, and both sent again and again."""
    dead = plant.pc("dead", 0)
    dead.commit(3)
    until(lambda: dead.uplink.status().pending == 0)
    dead.uplink.stop()
    pcs = [plant.pc("one", 100)]
    pcs[0].commit(5)
    until(lambda: pcs[0].uplink.status().pending == 0)
    if copied:
        pcs[0].uplink.stop()
        pcs[0].outbox.close()
        shutil.copytree(plant.folder / "one", plant.folder / "two")
        pcs[0] = plant.pc("one", 105)
        until(lambda: pcs[0].uplink.status().connected)
    pcs.append(plant.pc("two", 1000))
    until(lambda: any(pc.fenced for pc in pcs))
    kept, fenced = sorted(pcs, key=lambda pc: pc.fenced)
    for pc in pcs:
        pc.commit(5)
    until(lambda: settled(kept, fenced) and kept.doubled)
    assert [pc.doubled for pc in pcs] == [1, 1]
    assert (kept.fenced, fenced.fenced, fenced.uplink.status().pending > 0) == (False, True, True)
    with plant.rig.store.read() as connection:
        (told,) = doctor.doubled(connection, CLOCK, {AGENT})
        assert told.state == "warning"
        assert f"two agents ran as {AGENT}" in told.says
        assert [each.state for each in doctor.doubled(connection, CLOCK, set())] == ["fine"]
