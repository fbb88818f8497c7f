"""A real agent's outbox and uplink against the real central: through broker kills and a rolled-back disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from central.access import Actor
from central.app import Central
from central.store import intake
from edge_agent.outbox import Outbox
from edge_agent.uplink import Uplink
from records.clock import SystemClock
from records.keys import Identity
from records.model import OperationsEvent
from tests.process.central_rig import wait_until
from tests.process.test_central_broker import make_central
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, batch, make_identity, open_outbox
from tests.rigs.uplinks import QUICK

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[Central]:
    made = make_central(tmp_path / "central", broker.url)
    yield made
    made.close()


@pytest.fixture
def identity(tmp_path: Path, central: Central) -> Identity:
    made = make_identity(tmp_path / "identity", central.keys.signing)
    central.enrolment.register(AGENT, "p0", made.signing.public.hex(), by=Actor("test", "test"))
    return made


@contextmanager
def agent(
    folder: Path, identity: Identity, broker: Mosquitto, *, keep_acknowledged_s: float = 1000.0
) -> Iterator[tuple[Outbox, Uplink]]:
    outbox = open_outbox(folder, SystemClock(), keep_acknowledged_s=keep_acknowledged_s)
    uplink = Uplink(outbox, identity, replace(QUICK, broker=broker.url), SystemClock())
    uplink.start()
    try:
        yield outbox, uplink
    finally:
        uplink.stop()
        outbox.close()


def orders(central: Central) -> Counter[str]:
    facts = central.store.facts(agent=AGENT, codes=["order-started"])
    return Counter(str(f.fact.data.params["order"]) for f in facts if isinstance(f.fact.data, OperationsEvent))


def test_everything_arrives_once_through_a_forgetful_broker(
    tmp_path: Path, central: Central, broker: Mosquitto, identity: Identity
) -> None:
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, uplink):
        for number in range(1, 151):
            committed = outbox.commit(batch(number, SystemClock()))
            if number == 70:
                wait_until(lambda: len(orders(central)) > 10, "the first records")
                broker.restart(kill=True, wipe=True)
        committed.result()
        wait_until(lambda: outbox.pending().records == 0, "the last watermark")
        sent, again = uplink.status().frames_sent, uplink.status().frames_sent_again
        assert again <= sent, "a watermark said twice must not make everything go twice"
        head = outbox.head()
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 151)})
    with central.store.read() as connection:
        mark = intake.newest_watermark(connection, AGENT, "records")
    assert mark is not None
    assert (mark.epoch, mark.committed_through, mark.hash) == (head.epoch, head.last, head.hash)
    assert central.verify().ok


def test_a_rolled_back_disk_goes_on_in_another_epoch(
    tmp_path: Path, central: Central, broker: Mosquitto, identity: Identity
) -> None:
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        outbox.commit(batch(1, SystemClock())).result()
        wait_until(lambda: outbox.pending().records == 0, "the first watermark")
    shutil.copytree(tmp_path / "outbox", tmp_path / "copy")
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        for number in (2, 3):
            outbox.commit(batch(number, SystemClock())).result()
        wait_until(lambda: outbox.pending().records == 0, "the second watermark")
    with agent(tmp_path / "copy", identity, broker) as (outbox, _):
        outbox.commit(batch(4, SystemClock())).result()
        wait_until(lambda: orders(central)["WO-4"] == 1 and outbox.pending().records == 0, "the other epoch")
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 5)})
    opened = [f.fact.data for f in central.store.facts(agent=AGENT, kinds=["epoch_opened"])]
    assert len(opened) == 2
    assert central.verify().ok
