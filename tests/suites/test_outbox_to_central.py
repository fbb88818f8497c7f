"""The agent's outbox and central's ingest hand in hand, without a broker: every frame and watermark by hand.

What both are tested for apart is tested here together: what one calls rolled back, restored or stored again, the
other must take.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from central.access import Actor
from central.facts import Facts, Origin
from central.importing import Importer
from central.ingest import Ingest
from central.store import agents
from central.store.schema import meta
from edge_agent.export import Export
from edge_agent.outbox import Outbox, verify
from records.clock import FakeClock
from records.keys import Identity, IdentityFile, KeyRing, PublicKey, SigningKey
from records.model import Fact, OperationsEvent
from records.wire import CENTRAL, encode_frame, up_topic
from tests.rigs import stores
from tests.rigs.outboxes import AGENT, batch, open_outbox

TOPIC = up_topic("p0", AGENT, "records")


class Central:
    """Central's store and ingest over one folder."""

    def __init__(self, folder: Path, clock: FakeClock, agent_key: SigningKey) -> None:
        self.folder, self.clock, self.agent_key = folder, clock, agent_key
        self.key = SigningKey.generate()
        folder.mkdir()
        self.open(first=True)

    def open(self, *, first: bool = False) -> None:
        ring = KeyRing([PublicKey(CENTRAL, self.key.public.hex())])
        self.store = stores.opened(self.folder)
        origin = Origin("suzhou", "Asia/Shanghai", "test", "sha256:1")
        facts = self.facts = Facts(self.key, ring, self.clock, origin, self.folder / "anchors.jsonl")
        self.store.write(facts.open)
        if first:
            public = self.agent_key.public.hex()
            self.store.write(lambda c: agents.enrol(c, AGENT, "p0", public, self.clock.now_us()))
        self.ingest = Ingest(self.store, facts, self.clock)

    def restore(self, copy: Path, generation: int) -> None:
        """Put an older copy back, as a restore does: with a new generation."""
        self.store.close()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        self.open()

        def job(connection: Connection) -> None:
            connection.execute(meta.delete().where(meta.c.name == "generation"))
            connection.execute(meta.insert().values(name="generation", value=str(generation)))

        self.store.write(job)

    def orders(self) -> Counter[str]:
        """How often each order of a record is held by identity: a record that was stored again counts once."""
        found: dict[str | None, str] = {}
        for stored in self.store.facts(agent=AGENT):
            fact: Fact = stored.fact
            if isinstance(fact.data, OperationsEvent) and "order" in fact.data.params:
                old = fact.header.stored_as
                found[old.hash if old else stored.hash] = str(fact.data.params["order"])
        return Counter(found.values())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def central(tmp_path: Path, clock: FakeClock, key: SigningKey) -> Iterator[Central]:
    made = Central(tmp_path / "central", clock, key)
    yield made
    made.store.close()


def fill(outbox: Outbox, first: int, last: int) -> None:
    for number in range(first, last + 1):
        outbox.commit(batch(number)).result()


def exchange(outbox: Outbox, central: Central, key: SigningKey, records: int = 3) -> Counter[str]:
    """Send until nothing waits, acting on every answer; what central made of the frames."""
    results: Counter[str] = Counter()
    for _ in range(100):
        run = outbox.next_run(outbox.acknowledged()[0], records, 1 << 20)
        if run is None:
            return results
        outcome = central.ingest.take(TOPIC, encode_frame(run.envelopes, run.previous, key))
        results[outcome.result] += 1
        if outcome.watermark is not None:
            outbox.apply(outcome.watermark)
    pytest.fail(f"it does not come to an end: {results}")


def orders(last: int) -> Counter[str]:
    return Counter(f"WO-{number}" for number in range(1, last + 1))


def test_everything_arrives_once(tmp_path: Path, central: Central, clock: FakeClock, key: SigningKey) -> None:
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 1, 20)
    run = outbox.next_run(5, 3, 1 << 20)
    assert run is not None
    early = central.ingest.take(TOPIC, encode_frame(run.envelopes, run.previous, key))
    assert early.result == "hole"
    assert early.watermark is not None
    assert outbox.apply(early.watermark).outcome == "unchanged"
    assert exchange(outbox, central, key) == {"committed": 7}
    assert central.orders() == orders(20)
    outbox.close()


def test_a_disk_that_went_back_unseen_loses_nothing_of_what_it_has(
    tmp_path: Path, central: Central, clock: FakeClock, key: SigningKey
) -> None:
    """The whole folder is an older copy, note and all; the line goes on before central is heard."""
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 1, 5)
    exchange(outbox, central, key)
    outbox.close()
    shutil.copytree(tmp_path / "edge", tmp_path / "copy")
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 6, 10)
    exchange(outbox, central, key)
    outbox.close()
    shutil.rmtree(tmp_path / "edge")
    shutil.copytree(tmp_path / "copy", tmp_path / "edge")
    outbox = open_outbox(tmp_path / "edge", clock)
    assert outbox.finding.why is None, "nothing on this disk tells"
    fill(outbox, 11, 13)
    results = exchange(outbox, central, key)
    assert results["conflict"] == 1, "one key with two contents is never overwritten"
    assert central.orders() == orders(13)
    assert verify(outbox.path).ok
    outbox.close()


def test_a_central_that_was_restored_has_everything_again(
    tmp_path: Path, central: Central, clock: FakeClock, key: SigningKey
) -> None:
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 1, 8)
    exchange(outbox, central, key)
    central.store.close()
    shutil.copytree(tmp_path / "central", tmp_path / "backup")
    central.open()
    fill(outbox, 9, 16)
    exchange(outbox, central, key)
    assert central.orders() == orders(16)
    central.restore(tmp_path / "backup", 2)
    assert central.orders() == orders(8)
    fill(outbox, 17, 18)
    exchange(outbox, central, key)
    assert central.orders() == orders(18)
    outbox.close()


def test_what_was_pruned_before_a_restore_is_all_that_is_missing(
    tmp_path: Path, central: Central, clock: FakeClock, key: SigningKey
) -> None:
    outbox = open_outbox(tmp_path / "edge", clock, keep_acknowledged_s=1000)
    fill(outbox, 1, 8)
    exchange(outbox, central, key)
    central.store.close()
    shutil.copytree(tmp_path / "central", tmp_path / "backup")
    central.open()
    fill(outbox, 9, 12)
    exchange(outbox, central, key)
    clock.advance(1500)
    outbox.prune()
    fill(outbox, 13, 16)
    exchange(outbox, central, key)
    central.restore(tmp_path / "backup", 2)
    fill(outbox, 17, 18)
    exchange(outbox, central, key)
    lost = orders(18) - central.orders()
    assert lost == Counter(f"WO-{number}" for number in (9, 10, 11, 12)), "older than the backup horizon"
    assert central.orders() == orders(18) - lost
    outbox.close()


def test_a_damaged_buffer_gives_central_what_it_still_proves(
    tmp_path: Path, central: Central, clock: FakeClock, key: SigningKey
) -> None:
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 1, 5)
    exchange(outbox, central, key)
    fill(outbox, 6, 10)
    outbox.close()
    (tmp_path / "edge" / "records.db").write_bytes(b"\x55" * 100_000)
    outbox = open_outbox(tmp_path / "edge", clock)
    fill(outbox, 11, 12)
    assert exchange(outbox, central, key)["conflict"] == 0
    assert central.orders() == orders(12) - Counter(f"WO-{number}" for number in range(6, 11))
    outbox.close()


def test_a_dead_network_is_bridged_by_a_file(tmp_path: Path, central: Central, key: SigningKey) -> None:
    """What ``buffer export`` writes is what ``import`` takes, once, and the network may come back any time."""
    identity_folder = tmp_path / "identity"
    Identity.write(identity_folder, IdentityFile(AGENT, "p0", ()), key, None)
    outbox = open_outbox(tmp_path / "buffer")
    fill(outbox, 1, 5)
    exchange(outbox, central, key)
    fill(outbox, 6, 9)
    out = tmp_path / "press-1.lkexport"
    Export(tmp_path / "buffer", Identity.open(identity_folder), "test").write(out, ("records",), central.clock)
    importer = Importer(central.store, central.facts, central.ingest, lambda _: None)
    done = importer.take(out, by=Actor("anna", "test"))
    assert (done.ok, done.new, done.through) == (True, 4, {"records": outbox.head().last})
    assert central.orders() == Counter({f"WO-{n}": 1 for n in range(1, 10)})
    again = importer.take(out, by=Actor("anna", "test"))
    assert (again.ok, again.new, again.known) == (True, 0, 4)
    fill(outbox, 10, 10)
    exchange(outbox, central, key)
    assert central.orders() == Counter({f"WO-{n}": 1 for n in range(1, 11)})
    assert outbox.pending().records == 0
    outbox.close()
