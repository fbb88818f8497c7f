"""The disks of central's PostgreSQL are full, that of its tables and that of its log: nothing is lost, doubled or
half kept, central says what is wrong and what to do, does not end, and goes on by itself when there is room.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from central.settings import load_settings
from central.store import envelopes, leases
from central.store.database import Database
from central.store.engine import reading
from records.keys import Identity
from simulators.sockets import reserved_port
from tests.machine.conftest import Volume, fill
from tests.process.central_rig import CentralProcess, Wire
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.postgres import PostgresServer
from tests.rigs.started import Started
from tests.rigs.uplinks import until
from tests.unit.central.core_rig import Agent, event

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.timeout(400)]
LARGE = 200_000
"""Characters of a record: a few of them fill what was left in pages and in the log's file."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker").start()
    yield made
    made.kill()


def central_on(url: str, folder: Path, broker: Mosquitto) -> CentralProcess:
    """With a port that is known, so that the doctor can ask it."""
    folder.mkdir()
    made = CentralProcess(folder, broker.url, f"database: {{url: '{url}'}}\n")
    text = made.config.read_text()
    made.config.write_text(text.replace("http: {port: 0}", f"http: {{port: {reserved_port()}}}"))
    return made


def page(central: CentralProcess) -> str:
    return f"http://127.0.0.1:{load_settings(central.config).value.http.port}"


def health(central: CentralProcess) -> httpx.Response:
    return httpx.get(f"{page(central)}/healthz", timeout=60)


def metrics(central: CentralProcess) -> str:
    return httpx.get(f"{page(central)}/metrics", timeout=60).text


def held(central: CentralProcess, agent: Agent) -> list[bytes]:
    with reading(load_settings(central.config).value.database) as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def large(agent: Agent, count: int) -> None:
    agent.write(*(event(order="WO-1", text=os.urandom(LARGE // 2).hex()) for _ in range(count)))


def disk_of(own_server: PostgresServer, volume: Volume, size: str) -> Path:
    """A small volume that is the server's; below what pytest keeps for itself it could not go there."""
    disk = volume(size, own_server.folder)
    shutil.chown(disk, "postgres", "postgres")
    return disk


def on_small_disk(own_server: PostgresServer, volume: Volume) -> tuple[Path, str]:
    """A small disk, and an empty database whose tables are on it."""
    disk = disk_of(own_server, volume, "64m")
    name = own_server.empty()
    with own_server.admin() as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'".encode())
        admin.execute(f"ALTER DATABASE {name} SET TABLESPACE small".encode())
    return disk, name


def log_on(own_server: PostgresServer, disk: Path) -> None:
    """The server's log (pg_wal) goes on a disk of its own."""
    own_server.stop()
    log = own_server.data / "pg_wal"
    subprocess.run(["cp", "-a", str(log), str(disk / "log")], check=True)
    shutil.rmtree(log)
    log.symlink_to(disk / "log")
    own_server.start()


@pytest.fixture
def started(tmp_path: Path, broker: Mosquitto) -> Iterator[Callable[[str], tuple[CentralProcess, Agent]]]:
    """A central that serves from a database, and its one agent."""
    made: list[CentralProcess] = []

    def start(url: str) -> tuple[CentralProcess, Agent]:
        central = central_on(url, tmp_path / "central", broker)
        made.append(central)
        out = central.folder / "identity"
        central.command("enrol", "assembly-1", "--out", str(out))
        return central.start(), Agent("assembly-1", Identity.open(out).signing)

    yield start
    for central in made:
        central.kill()


def each_frame(agent: Agent, after: int) -> list[bytes]:
    return [agent.frame(seq, seq) for seq in range(after + 1, len(agent.envelopes) + 1)]


def assert_told(central: CentralProcess, *words: str) -> None:
    """By whatever asks, with what to do."""
    assert not central.ended, central.log.read_text()
    answer = health(central)
    assert answer.status_code == 503
    doctor = central.command("doctor", code=1)
    for said in (answer.json()["detail"], doctor, central.log.read_text()):
        assert all(word in said for word in words), said
    assert "goes on by itself" in doctor


def assert_whole(central: CentralProcess, agent: Agent) -> None:
    assert not central.ended, "it went on by itself"
    assert held(central, agent) == [e.hash for e in agent.envelopes]
    assert json.loads(central.command("verify", "--json"))["ok"]
    assert central.stop() == 0


def test_the_disk_of_its_log_is_full(
    broker: Mosquitto,
    own_server: PostgresServer,
    volume: Volume,
    started: Callable[[str], tuple[CentralProcess, Agent]],
) -> None:
    """Bug: PostgreSQL ends itself then, and central ended itself after it, and again with each start."""
    disk = disk_of(own_server, volume, "96m")
    log_on(own_server, disk)
    central, agent = started(own_server.url(own_server.empty()))
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.ring, 1, agent.frame(1))
        fill(disk / "neighbour")
        large(agent, 60)
        frames = each_frame(agent, 1)
        wire.send_until(lambda: not own_server.alive, *frames)
        wire.send_until(lambda: "database-lost" in central.log.read_text(), frames[0])
        assert_told(central, "full")
        (disk / "neighbour").unlink()
        own_server.start()  # as whoever made room does
        done = wire.through(central.ring)
        wire.deliver(central.ring, len(agent.envelopes), *each_frame(agent, done))
    assert "database-back" in central.log.read_text()
    assert health(central).json()["status"] == "ok"
    assert "lotkeeper_writes_refused 0.0" in metrics(central)
    assert_whole(central, agent)


def test_the_disk_of_its_tables_is_full(
    broker: Mosquitto,
    own_server: PostgresServer,
    volume: Volume,
    started: Callable[[str], tuple[CentralProcess, Agent]],
) -> None:
    """Bug: central ended itself, and again with each start."""
    disk, name = on_small_disk(own_server, volume)
    central, agent = started(own_server.url(name))
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.ring, 1, agent.frame(1))
        fill(disk / "neighbour")
        large(agent, 20)
        wire.send_until(lambda: "writes-refused" in central.log.read_text(), *each_frame(agent, 1))
        assert_told(central, "disk is full", "No space left on device")
        assert "lotkeeper_writes_refused 1.0" in metrics(central)
        refused_at = wire.through(central.ring)
        assert [e.hash for e in agent.envelopes[:refused_at]] == held(central, agent)
        (disk / "neighbour").unlink()
        wire.deliver(central.ring, len(agent.envelopes), *each_frame(agent, refused_at))
    assert_whole(central, agent)


def test_a_worker_that_is_refused_for_a_full_disk_is_told_of(
    broker: Mosquitto,
    own_server: PostgresServer,
    volume: Volume,
    started: Callable[[str], tuple[CentralProcess, Agent]],
) -> None:
    """Bug: only its own log told; central said that all is well where what it writes itself is small."""
    disk, name = on_small_disk(own_server, volume)
    central, _ = started(own_server.url(name))
    agents = [enrolled(central, f"line-{number}", f"p{number}") for number in (1, 2)]
    database = load_settings(central.config).value.database
    log = central.folder / "worker.log"
    worker = Started("lotkeeper-central", ["worker", "--name", "one", "--config", str(central.config)], log)
    try:
        until(lambda: taken(database, "one", agents))
        (agent, *_) = taken(database, "one", agents)
        with Wire(broker.port, agent) as wire:
            wire.deliver(central.ring, 1, agent.frame(1))
            fill(disk / "neighbour")
            large(agent, 20)
            told = 'lotkeeper_worker_writes_refused{worker="one"} 1.0'
            wire.send_until(lambda: told in metrics(central), *each_frame(agent, 1))
            said = r"what worker one is to store is refused since \d{4}-.*disk is full.*No space left"
            assert re.search(said, health(central).json()["detail"])
            assert re.search(said, central.command("doctor", code=1))
            refused_at = wire.through(central.ring)
            (disk / "neighbour").unlink()
            wire.deliver(central.ring, len(agent.envelopes), *each_frame(agent, refused_at))
        assert held(central, agent) == [e.hash for e in agent.envelopes]
    finally:
        worker.terminate()
        assert worker.wait(timeout=60) == 0
    assert json.loads(central.command("verify", "--json"))["ok"]


def taken(database: Database, worker: str, agents: Sequence[Agent]) -> list[Agent]:
    """Those that a worker takes in."""
    with reading(database) as connection:
        holders = leases.held(connection)
    return [one for one in agents if holders.get(f"partition/{one.partition}", "").split()[:1] == [worker]]


def enrolled(central: CentralProcess, name: str, partition: str) -> Agent:
    out = central.folder / name
    central.command("enrol", name, "--out", str(out), "--partition", partition)
    return Agent(name, Identity.open(out).signing, partition=partition)
