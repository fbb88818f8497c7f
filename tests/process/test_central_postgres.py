"""The process on a server: killed around commits, its server crashed under it, backed up and put back."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from central.settings import load_settings
from central.store import envelopes
from central.store.engine import reading
from records.failpoint import ENDED
from records.keys import Identity
from tests.process.central_rig import CentralProcess, Wire, wait_until
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.postgres import PostgresServer
from tests.unit.central.core_rig import Agent, event

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.timeout(400)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker").start()
    yield made
    made.kill()


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto, own_server: PostgresServer) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    more = f"database: {{url: '{own_server.url(own_server.empty())}'}}\nbackup: {{folder: backups}}\n"
    made = CentralProcess(folder, broker.url, more)
    yield made
    made.kill()


def held(central: CentralProcess, agent: Agent) -> list[bytes]:
    with reading(load_settings(central.config).value.database) as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def test_it_serves_from_a_server_that_may_crash(
    central: CentralProcess, broker: Mosquitto, own_server: PostgresServer
) -> None:
    out = central.folder / "identity"
    central.command("enrol", "assembly-1", "--out", str(out))
    agent = Agent("assembly-1", Identity.open(out).signing)
    agent.write(*(event(order=f"WO-{n}") for n in range(19)))
    sent = [e.hash for e in agent.envelopes]
    with Wire(broker.port, agent) as wire:
        central.start(LOTKEEPER_FAILPOINT="ingest.after_commit")
        wire.send_until(lambda: central.ended, agent.frame(1, 10))
        assert central.process is not None
        assert central.process.returncode == ENDED
        assert held(central, agent) == sent[:10]
        central.start()
        wire.deliver(central.ring, 10, agent.frame(1, 10))
        own_server.stop(signal.SIGQUIT)
        # the intake fails, or waits in the writer for the server: whichever of the two meets it first
        wire.send_until(
            lambda: bool(re.search("ingest-failed|database-lost", central.log.read_text())), agent.frame(11)
        )
        own_server.start()
        wire.deliver(central.ring, 20, agent.frame(11))
        assert not central.ended, "it goes on by itself"
    told = central.log.read_text()
    assert told.count("ingest-failed") == 0 or "ingest-works-again" in told
    assert told.count("database-lost") == told.count("database-back") <= 1
    assert held(central, agent) == sent
    assert not (central.folder / "data" / "central.db").exists()

    token = json.loads(central.command("token", "create", "reader", "--scope", "read", "--json"))["token"]
    found = re.search(r"http://\S+", central.log.read_text())
    assert found is not None
    answer = httpx.get(f"{found.group(0)}/api/v1/agents", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert [item["agent"] for item in answer.json()["items"]] == ["assembly-1"]

    backup = json.loads(central.command("backup", "--json"))["backup"]
    assert json.loads(central.command("verify", "--json"))["ok"]
    assert central.stop() == 0
    assert "holds" in central.command("restore", backup, "--reason", "a test", code=3)
    text = central.config.read_text()
    for database in (f"database: {{url: '{own_server.url(own_server.empty())}'}}", "# in a file again"):
        central.config.write_text(re.sub(r"(?m)^(database:|# in).*$", database, text))
        central.command("restore", backup, "--reason", "a test")
        assert held(central, agent) == sent
    assert json.loads(central.command("verify", "--json"))["ok"]
    with Wire(broker.port, agent) as wire:
        central.start()
        agent.write(event(order="WO-after"))
        wire.deliver(central.ring, 21, agent.frame(21))
        wait_until(lambda: len(held(central, agent)) == 21, "the next record")
