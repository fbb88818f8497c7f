"""The process: killed between commit and answer, asked by its own commands while it runs, ended in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from central.store import envelopes
from central.store.engine import reading
from records.exported import ExportHeader, write_export
from records.failpoint import ENDED
from records.keys import Identity
from tests.process.central_rig import CentralProcess, Wire, wait_until
from tests.rigs.mosquitto import Mosquitto
from tests.unit.central.core_rig import Agent, event

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker").start()
    yield made
    made.kill()


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url)
    yield made
    made.kill()


def enrol(central: CentralProcess, name: str) -> Agent:
    out = central.folder / name
    central.command("enrol", name, "--out", str(out))
    agent = Agent(name, Identity.open(out).signing)
    agent.write(*(event(order=f"WO-{n}") for n in range(9)))
    return agent


def held(central: CentralProcess, agent: Agent) -> list[bytes]:
    with reading(central.folder / "data" / "central.db") as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def test_killed_around_the_commit(central: CentralProcess, broker: Mosquitto) -> None:
    """Killed with the same frame before its commit, after it, and after the broker was answered."""
    agent = enrol(central, "assembly-1")
    agent.write(*(event(order=f"WO-{n}") for n in range(10)))
    sent = [e.hash for e in agent.envelopes]
    with Wire(broker.port, agent) as wire:
        for place, kept in (("before_commit", 0), ("after_commit", 10), ("after_ack", 10)):
            central.start(LOTKEEPER_FAILPOINT=f"ingest.{place}")
            wire.send_until(lambda: central.ended, agent.frame(1, 10))
            assert central.process is not None
            assert central.process.returncode == ENDED
            assert held(central, agent) == sent[:kept], place
        central.start()
        wire.deliver(central.ring, 20, agent.frame(1, 10), agent.frame(11))
    assert held(central, agent) == sent
    assert central.stop() == 0
    assert "broker-left" in central.log.read_text()
    assert "broker-lost" not in central.log.read_text(), "an ordinary stop is no trouble"
    answer = json.loads(central.command("verify", "--json"))
    assert (answer["ok"], answer["first_bad"]) == (True, None)


def test_the_broker_is_answered_only_after_the_commit(central: CentralProcess, broker: Mosquitto) -> None:
    """So it brings the frame again by itself, although its agent sends nothing more."""
    agent = enrol(central, "assembly-1")
    central.start(LOTKEEPER_FAILPOINT="ingest.before_commit")
    with Wire(broker.port, agent) as wire:
        wire.send_until(lambda: central.ended, agent.frame())
    assert held(central, agent) == []
    central.start()
    wait_until(lambda: len(held(central, agent)) == 10, "the frame from the broker's session")


def test_commands_work_while_it_runs_and_while_it_does_not(central: CentralProcess, broker: Mosquitto) -> None:
    password = "another long one"
    central.start()
    central.command("user", "add", "li.na", "--role", "qa", "--password-stdin", password=password)
    token = json.loads(central.command("token", "create", "erp", "--scope", "read", "--json"))["token"]
    refused = central.command(
        "user", "add", "li.na", "--role", "qa", "--password-stdin", password=password, code=3
    )
    assert "is or was somebody's" in refused
    assert "Traceback" not in refused
    agent = enrol(central, "testing-1")
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.ring, 10, agent.frame())  # of an agent that was enrolled while it ran
        agent.write(event(order="WO-by-file"))
        with (central.folder / "file").open("wb") as file:
            write_export(file, ExportHeader(agent=agent.name, made_at="2026-11-26T06:00:00Z"), [agent.frame(9)])
        answer = json.loads(central.command("import", str(central.folder / "file"), "--json"))
        assert (answer["new"], answer["known"]) == (1, 2)
        wait_until(lambda: wire.through(central.ring) == 11, "the agent is told")
    second = central.command("serve", code=3)
    assert "in use by another running process" in second
    assert central.stop() == 0
    central.command("user", "disable", "li.na")
    central.command("token", "revoke", "erp")
    users = {each["user"]: each for each in json.loads(central.command("user", "list", "--json"))}
    assert users["li.na"]["disabled"]
    assert token not in (central.folder / "data" / "central.db").read_bytes().decode("latin-1")
    assert json.loads(central.command("verify", "--json"))["ok"]


def test_told_to_end_while_it_still_begins_it_ends(tmp_path: Path) -> None:
    """Bug: a SIGTERM between central's start and the web server's was forgotten, and central went on."""
    central = CentralProcess(tmp_path, "mqtt://127.0.0.1:9")
    for _ in range(3):
        central.start()
        assert central.stop() == 0
