"""Central dies, its backup is put back: the real agent sends again what the backup missed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from central.store import search
from central.store.engine import reading
from edge_agent.outbox import Outbox
from records.clock import SystemClock
from records.keys import Identity
from records.model import OperationsEvent
from tests.process.central_rig import CentralProcess, wait_until
from tests.process.test_central_agent import agent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, batch

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url)
    yield made
    made.kill()


def facts(central: CentralProcess, code: str) -> list[OperationsEvent]:
    with reading(central.folder / "data" / "central.db") as connection:
        found = search.facts(connection, search.Wanted(agent=AGENT, codes=[code]))
    return [f.fact.data for f in found if isinstance(f.fact.data, OperationsEvent)]


def orders(central: CentralProcess) -> Counter[str]:
    return Counter(str(event.params["order"]) for event in facts(central, "order-started"))


def write(outbox: Outbox, first: int, last: int) -> None:
    for future in [outbox.commit(batch(n, SystemClock())) for n in range(first, last + 1)]:
        future.result()
    wait_until(lambda: outbox.pending().records == 0, f"the watermark of {last}")


def test_what_the_backup_missed_comes_again_once(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    central.command("enrol", AGENT, "--out", str(tmp_path / "identity"))
    identity = Identity.open(tmp_path / "identity")
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        write(outbox, 1, 20)
        made = json.loads(central.command("backup", "--out", str(tmp_path / "backups"), "--json"))
        write(outbox, 21, 40)
    assert central.command("restore", made["backup"], "--reason", "test", code=3).count("in use") == 1
    central.kill()
    refused = central.command("restore", made["backup"], "--reason", "the disk died", code=3)
    assert "records more than the backup" in refused
    done = json.loads(
        central.command("restore", made["backup"], "--reason", "the disk died", "--replace", "--json")
    )
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 21)})
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        wait_until(lambda: len(orders(central)) == 40, "what the backup missed")
        write(outbox, 41, 50)
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 51)}), "nothing missing, nothing twice"
    (told,) = facts(central, "central-restored")
    assert (told.params["generation"], told.params["lost_first"]) == (done["generation"], None)
    assert central.stop() == 0
    answer = json.loads(central.command("verify", "--json"))
    assert (answer["ok"], answer["restores"]) == (True, 1)
