"""Central without threads and without a network: the real ingest over the real store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from central.facts import Facts, Origin
from central.ingest import Ingest
from central.store import agents, chains, intake
from central.store.engine import Store
from central.store.schema import meta
from central.verify import verify
from records.clock import FakeClock
from records.keys import Identity, KeyRing, PublicKey, SigningKey
from records.model import OperationsEvent
from records.wire import CENTRAL, ack_topic, sign
from tests.sim.bus import Bus, Given, Publish
from tests.sim.edge import cycle_fact

ORIGIN = Origin("suzhou", "Asia/Shanghai", "test", "sha256:1")


@cache
def empty() -> bytes:
    """The file of a store that nobody has used yet: made once, for it takes longer than a short story does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "central.db"
        Store(path).close()
        return path.read_bytes()


class Centre:
    """``held``: cycle -> the bodies of the records that tell of it, one for each identity."""

    def __init__(self, root: Path, key: SigningKey, identities: list[Identity], bus: Bus) -> None:
        self.root, self.key, self.bus = root, key, bus
        self.clock = FakeClock()
        self.copies = 0
        self.generation = 1
        self.connected = False
        self._mid = 0
        self.folder = root / "central-0"
        self.folder.mkdir()
        (self.folder / "central.db").write_bytes(empty())
        self._open()
        now_us = self.clock.now_us()

        def enrol(connection: Connection) -> None:
            for identity in identities:
                agents.enrol(connection, identity.file.agent, "p0", identity.signing.public.hex(), now_us)

        self.store.write(enrol)
        self.clock.advance(1)

    def _open(self) -> None:
        self.ring = KeyRing([PublicKey(CENTRAL, self.key.public.hex())])
        self.store = Store(self.folder / "central.db")
        self.facts = Facts(self.key, self.ring, self.clock, ORIGIN, self.folder / "anchors.jsonl")
        self.store.write(self.facts.open)
        self.ingest = Ingest(self.store, self.facts, self.clock)

    # -- what happens to it ------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Killed: what was committed is there, the rest is not."""
        self._move(self.folder)

    def backup(self) -> Path:
        """A copy of everything at one moment."""
        return shutil.copytree(self.folder, self._place())

    def restore(self, backup: Path) -> None:
        """The backup takes the place of the store, as a new generation: a lower watermark is meant."""
        self._move(shutil.copytree(backup, self._place()))
        self.generation += 1

        def job(connection: Connection) -> None:
            connection.execute(meta.delete().where(meta.c.name == "generation"))
            connection.execute(meta.insert().values(name="generation", value=str(self.generation)))

        self.store.write(job)

    def _place(self) -> Path:
        self.copies += 1
        return self.root / f"central-{self.copies}"

    def _move(self, folder: Path) -> None:
        former = self.folder
        self.disconnect()
        self.store.close()
        self.folder = folder
        self._open()
        if folder != former:
            shutil.rmtree(former)

    # -- the way to the agents ---------------------------------------------------------------------------------

    def connect(self) -> None:
        """Subscribe, and say every newest watermark again."""
        self.bus.connect(CENTRAL)
        self.bus.subscribe(CENTRAL, ["lotkeeper/v1/up/+/+/+", "lotkeeper/v1/state/+"])
        self.connected = True
        with self.store.read() as connection:
            marks = {(w.agent, w.stream): w for w in intake.watermarks(connection) if w.agent != CENTRAL}
        for mark in marks.values():
            self._say(ack_topic(mark.agent, mark.stream), sign(mark, self.key))

    def disconnect(self) -> None:
        self.bus.disconnect(CENTRAL)
        self.connected = False

    def receive(self, given: Given, crash: str | None = None) -> str:
        """Take one message; ``crash``: killed ``before`` its commit, or ``after`` it and before the answer."""
        if crash == "before":
            self.crash()
            return "crash before commit"
        outcome = self.ingest.take(given.topic, given.payload)
        if crash == "after":
            self.crash()
            return f"crash after {outcome.result}"
        self.bus.settled(given)
        if outcome.watermark is not None:
            mark = outcome.watermark
            self._say(ack_topic(mark.agent, mark.stream), sign(mark, self.key))
        return outcome.result

    def _say(self, topic: str, payload: bytes) -> None:
        self._mid += 1
        self.bus.publish(CENTRAL, Publish(topic, payload, retain=True, mid=self._mid))

    # -- what it holds -----------------------------------------------------------------------------------------

    def held(self, agent: str) -> dict[int, list[bytes]]:
        """Cycle -> what its records say; a record that was stored again under another epoch counts once."""
        found: dict[int, list[bytes]] = {}
        again: set[str] = set()
        for stored in self.store.facts(agent=agent):
            data, old = stored.fact.data, stored.fact.header.stored_as
            if not isinstance(data, OperationsEvent) or data.code != "order-started":
                continue
            if old is not None and old.hash in again:
                continue
            again.add(old.hash if old else stored.hash)
            cycle = int(str(data.params["order"]).removeprefix("WO-"))
            found.setdefault(cycle, []).append(encode_data(data))
        return found

    def names(self, agent: str) -> Callable[[tuple[str, int]], bool]:
        """Whether the agent has said of an epoch and seq that it no longer had it after a restore."""
        with self.store.read() as connection:
            gaps = [gap for each in chains.epochs(connection, [agent]) for gap in each.gaps]
        return lambda number: any(gap.epoch == number[0] and gap.first <= number[1] <= gap.last for gap in gaps)

    def close(self) -> list[str]:
        """What is wrong with the store at the end."""
        self.store.close()
        found = verify(self.store.database, self.folder / "anchors.jsonl", self.ring.keys())
        return [] if found.ok else [f"central does not prove itself: {found.reason} ({found.first_bad})"]


def encode_data(data: OperationsEvent) -> bytes:
    """What is compared with the ledger: code and parameters."""
    return repr((data.code, sorted(data.params.items()))).encode()


def expected(cycle: int) -> bytes:
    """What a record of this cycle must say."""
    data = cycle_fact(cycle, FakeClock()).data
    assert isinstance(data, OperationsEvent)
    return encode_data(data)
