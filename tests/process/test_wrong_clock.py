"""A line PC whose clock is wrong from the start: central does not answer it, and it knows why within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from central.access import Actor
from central.app import Central
from central.store import intake
from edge_agent.app import Agent
from edge_agent.clock_offset import Offset
from edge_agent.settings import load_line
from records.clock import MICROSECONDS, SystemClock
from tests.process.central_rig import wait_until
from tests.process.test_central_broker import make_central
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, make_identity
from tests.unit.edge.test_agent_app import events, write_line

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(120)]
OFF_S = 1200


class WrongClock(SystemClock):
    """``off_s``: ahead of the true time."""

    def __init__(self, off_s: float) -> None:
        self._off_us = round(off_s * MICROSECONDS)

    def now_us(self) -> int:
        return super().now_us() + self._off_us


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Central]:
    with Mosquitto(tmp_path / "broker") as broker:
        made = make_central(tmp_path / "central", broker.url)
        identity = make_identity(tmp_path / "identity", made.keys.signing)
        made.enrolment.register(AGENT, "p0", identity.signing.public.hex(), by=Actor("test", "test"))
        write_line(tmp_path, broker=broker.url)
        made.start()
        wait_until(lambda: made.mqtt.state.connected, "central at the broker")  # what is asked before is lost
        yield made
        made.close()


def measured(folder: Path, clock: SystemClock) -> Offset:
    """Run the agent until it knows how far its clock is from central's."""

    async def all_of_it() -> Offset:
        agent = Agent(load_line(folder / "line.yaml"), clock)
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(60):
            while (found := agent.offset.now()) is None:
                assert not running.done()
                await asyncio.sleep(0.01)
        agent.stop()
        await running
        return found

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("off_s", [-OFF_S, OFF_S])
def test_it_says_by_how_much_its_clock_is_wrong(tmp_path: Path, central: Central, off_s: int) -> None:
    """Bug: central refused what it asked, and for 15 minutes neither the agent nor its status said a word."""
    assert not measured(tmp_path, SystemClock()).too_far
    found = measured(tmp_path, WrongClock(off_s))
    assert found.too_far
    assert abs(found.seconds - off_s) < OFF_S / 2
    (alarm,) = [event.params["seconds"] for event in events(tmp_path) if event.code == "clock-offset"]
    assert abs(float(str(alarm)) - off_s) < OFF_S / 2
    with central.store.read() as connection:
        refused = [each.detail for each in intake.quarantined(connection)]
    assert any("clock" in detail for detail in refused), "it is refused all the same"
