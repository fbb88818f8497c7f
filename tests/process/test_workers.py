"""Several processes take records in on one PostgreSQL: killed, paused, told of new keys, and nothing is lost."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from central.store import leases
from central.store.engine import reading
from central.store.search import Wanted, facts
from edge_agent.documents import Documents
from edge_agent.outbox import Outbox
from edge_agent.renewal import SIGNING_KEY_US, Renewal
from edge_agent.uplink import Uplink
from records.clock import SystemClock
from records.keys import Identity, IdentityFile, write_identity
from records.model import OperationsEvent
from records.wire import ack_topic, signed_by
from tests.process.central_rig import CentralProcess, Wire, wait_until
from tests.rigs import postgres
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import batch, open_outbox
from tests.rigs.started import Started
from tests.rigs.uplinks import quick
from tests.unit.central.core_rig import Agent

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.timeout(240)]
CLOCK = SystemClock()
AGENTS = 5
LEASE_S = 2
WORKERS = ("one", "two")
EVERYBODY = {"serve", *WORKERS}
FULL_FOR_TWO = """
CREATE FUNCTION full_for_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.holder LIKE 'two %' THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER full_for_two BEFORE INSERT OR UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION full_for_two();
"""
"""Its leases find no room, as where each process writes to pages of its own."""


class Line:
    """What an agent has that speaks with central, in a partition of its own; ``last``: how many facts it has."""

    def __init__(self, folder: Path, number: int, central: CentralProcess, url: str) -> None:
        self.name, self.partition = f"line-{number}", f"p{number}"
        self.last = 0
        central.command("enrol", self.name, "--out", str(folder / "identity"), "--partition", self.partition)
        self.identity = Identity.open(folder / "identity")
        self.outbox: Outbox = open_outbox(folder / "buffer", CLOCK, agent=self.name)
        self.documents = Documents(
            self.outbox, self.identity.central, CLOCK, lambda kind, _: self.renewal.told(kind)
        )
        self.uplink = Uplink(
            self.outbox,
            self.identity,
            quick(url),
            CLOCK,
            documents=self.documents,
            on_central_keys=lambda payload: self.renewal.central_keys(payload),
        )
        self.renewal = Renewal(self.identity, self.documents, CLOCK, lambda *_: None, self.uplink)

    def commit(self, count: int) -> None:
        futures = [self.outbox.commit(batch(self.last + n, CLOCK)) for n in range(1, count + 1)]
        for future in futures:
            future.result()
        self.last += count

    @property
    def done(self) -> bool:
        return self.outbox.pending().records == 0


class Plant:
    """Broker, database, serve and two workers, and agents in partitions."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.folder = folder
        server = postgres.shared()
        name = server.copy()
        undo.callback(server.drop, name)
        self.database = server.place(name)
        self.broker = undo.enter_context(Mosquitto(folder / "broker"))
        more = f"lease: {LEASE_S}s\ndatabase: {{url: '{server.url(name)}'}}\n"
        self.central = CentralProcess(folder, self.broker.url, more)
        self.lines = [Line(folder / f"line-{n}", n, self.central, self.broker.url) for n in range(AGENTS)]
        for line in self.lines:
            undo.callback(line.outbox.close)
        self.central.start()
        undo.callback(self.central.kill)
        self.workers: dict[str, Started] = {}
        self.dead: set[str] = set()  # as leases name them: one of the same name may live
        for worker in WORKERS:
            self.start(worker)
            undo.callback(self.kill, worker)
        for line in self.lines:
            line.uplink.start()
            undo.callback(line.uplink.stop)
        wait_until(lambda: set(self.holders().values()) == EVERYBODY, "every process' share")

    def start(self, name: str) -> None:
        words = ["worker", "--name", name, "--config", str(self.central.config)]
        self.workers[name] = Started("lotkeeper-central", words, self.log(name))

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def said(self, name: str, after: int = 0) -> str:
        """What a worker that runs has said, but for so many characters."""
        said = self.log(name).read_text("utf-8")
        assert self.workers[name].poll() is None, said
        return said[after:]

    def kill(self, name: str) -> None:
        """End a worker or serve at once; what it held is held until its leases end, and by no process."""
        if name == "serve":
            self.central.kill()
        else:
            self.workers[name].kill()
            self.workers[name].wait()
        with reading(self.database) as connection:
            left = leases.held(connection).values()
        self.dead |= {holder for holder in left if holder.split()[0] == name}

    def health(self) -> httpx.Response:
        return httpx.get(f"{self.central.url}/healthz", timeout=60)

    def figure(self, name: str, worker: str) -> float | None:
        """What ``/metrics`` says of a worker; None: nothing."""
        told = httpx.get(f"{self.central.url}/metrics", timeout=60).text
        found = re.search(rf'^{name}{{worker="{worker}"}} (\S+)$', told, re.MULTILINE)
        return None if found is None else float(found[1])

    def holders(self) -> dict[str, str]:
        """Partition -> the name of the process that takes it in, and lives."""
        with reading(self.database) as connection:
            held = leases.held(connection)
        return {
            name.removeprefix("partition/"): holder.split()[0]
            for name, holder in held.items()
            if name.startswith("partition/") and holder not in self.dead
        }

    def wait_for_holders(self, *names: str) -> None:
        """Until every partition is taken in, by exactly these."""
        wait_until(
            lambda: len(held := self.holders()) == AGENTS and set(held.values()) == set(names), f"only {names}"
        )

    def commit(self, count: int) -> None:
        for line in self.lines:
            line.commit(count)

    def arrived(self) -> None:
        wait_until(lambda: all(line.done for line in self.lines), "everything at central")

    def judge(self) -> None:
        """Every fact of every agent is there once, and all chains hold."""
        with reading(self.database) as connection:
            for line in self.lines:
                stored = facts(connection, Wanted(agent=line.name, codes=["order-started"]))
                events = [fact.fact.data for fact in stored]
                found = Counter(str(e.params["order"]) for e in events if isinstance(e, OperationsEvent))
                assert found == Counter(f"WO-{number}" for number in range(1, line.last + 1))
        assert json.loads(self.central.command("verify", "--json"))["ok"]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with ExitStack() as undo:
        yield Plant(tmp_path_factory.mktemp("plant"), undo)


def test_a_worker_and_serve_are_killed_and_another_takes_their_partitions(plant: Plant) -> None:
    plant.commit(40)
    plant.kill("one")
    plant.kill("serve")
    plant.commit(20)
    plant.wait_for_holders("two")
    plant.arrived()
    plant.start("one")
    plant.wait_for_holders("one", "two")
    plant.commit(20)
    plant.kill("two")
    plant.central.start()
    plant.start("two")
    plant.wait_for_holders(*EVERYBODY)
    plant.arrived()
    plant.judge()


def test_a_worker_that_stood_still_commits_nothing_under_a_lease_it_lost(plant: Plant) -> None:
    plant.wait_for_holders(*EVERYBODY)
    before = len(plant.said("two"))
    plant.workers["two"].send_signal(signal.SIGSTOP)
    try:
        plant.commit(60)  # some of it lies in the paused process' socket
        plant.wait_for_holders("serve", "one")
        plant.arrived()
        wait_until(lambda: plant.figure("lotkeeper_worker_silent", "two") == 1, "that it is not heard of")
        assert set(plant.health().json()["silent_workers"]) == {"two"}
        assert re.search(r"workers: two was heard of last at \d{4}-", plant.central.command("doctor", code=1))
    finally:
        plant.workers["two"].send_signal(signal.SIGCONT)
    wait_until(lambda: "why=lost" in plant.said("two", before), "its notice")
    wait_until(lambda: plant.figure("lotkeeper_worker_silent", "two") == 0, "that it is heard of again")
    assert plant.health().json()["silent_workers"] == {}
    plant.wait_for_holders(*EVERYBODY)
    plant.commit(20)
    plant.arrived()
    plant.judge()


def test_a_worker_that_is_refused_what_it_is_to_store_is_told_of(plant: Plant) -> None:
    """Bug: only its own log told; by its server's settings here, which may hold for its sessions alone."""
    plant.wait_for_holders(*EVERYBODY)
    for one in WORKERS:
        assert plant.figure("lotkeeper_worker_writes_refused", one) is not None
    with postgres.shared().admin() as admin:
        try:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
            for one in WORKERS:
                wait_until(lambda: plant.figure("lotkeeper_worker_writes_refused", one) == 1, one)  # noqa: B023
            told = plant.health()
            assert told.status_code == 503
            for one in WORKERS:
                said = rf"what worker {one} is to store is refused since \d{{4}}-\S+: [^;]*fsync is off"
                assert re.search(said, told.json()["detail"])
        finally:
            admin.execute("ALTER SYSTEM RESET fsync")
            admin.execute("SELECT pg_reload_conf()")
    for one in WORKERS:
        wait_until(lambda: plant.figure("lotkeeper_worker_writes_refused", one) == 0, one)  # noqa: B023
    wait_until(lambda: plant.health().status_code == 200, "that all is well")
    plant.wait_for_holders(*EVERYBODY)
    plant.commit(10)
    plant.arrived()


def test_a_worker_that_cannot_renew_its_leases_leaves_the_sessions_of_whoever_took_them(plant: Plant) -> None:
    """Bug: it kept its connection, so that both ended each other's every two seconds, for as long as nothing came
    from an agent. Seen on a disk that was full for what one process wrote and not for another.
    """
    plant.wait_for_holders(*EVERYBODY)
    theirs = [line for line, name in plant.holders().items() if name == "two"]
    before = len(plant.said("two"))
    with postgres.shared().admin(plant.database.name) as database:
        database.execute(FULL_FOR_TWO)
        try:
            wait_until(
                lambda: plant.said("two", before).count("partition-taken-away") == len(theirs), "its notice"
            )
            plant.wait_for_holders("serve", "one")
            plant.commit(20)
            plant.arrived()
            logs = (plant.said("two", before), plant.said("one"), plant.central.log.read_text())
            assert not any("broker-session-contested" in log for log in logs)
        finally:
            database.execute("DROP FUNCTION full_for_two CASCADE")
    plant.wait_for_holders(*EVERYBODY)
    plant.judge()


def test_running_processes_follow_new_keys_of_agents_and_of_central(plant: Plant) -> None:
    plant.wait_for_holders(*EVERYBODY)
    former = {line.name: line.identity.signing.id for line in plant.lines}
    for line in plant.lines:
        keys = line.identity.file.central_keys
        since_us = CLOCK.now_us() - SIGNING_KEY_US
        line.identity.file = IdentityFile(line.name, line.partition, keys, signing_since_us=since_us)
        write_identity(line.identity.folder, line.identity.file)
        line.renewal.look()
    wait_until(
        lambda: all(line.identity.signing.id != former[line.name] for line in plant.lines), "their own keys"
    )
    plant.commit(20)
    plant.arrived()

    told = plant.central.command("keys", "roll", "--reason", "yearly change", "--json")
    rolled = re.findall(r'"key": "(\w+)"', told)  # the command runs in this process, where the lines log, too
    assert len(rolled) == 1, told
    topics = [ack_topic(line.name, "records") for line in plant.lines]
    with Wire(plant.broker.port, Agent("listener")) as wire:
        wait_until(
            lambda: all(t in wire.said and signed_by(wire.said[t]) == rolled[0] for t in topics),
            "the new key's watermark for every agent",
        )
    plant.commit(20)
    plant.arrived()
    plant.judge()


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    central = CentralProcess(tmp_path, "mqtt://127.0.0.1:1")
    assert "needs a PostgreSQL server" in central.command("worker", "--name", "second", code=2)
