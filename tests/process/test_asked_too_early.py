"""An agent that is at the broker before central is: what it asked first is lost, and it asks again soon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from central.access import Actor
from edge_agent import sync
from edge_agent.app import Agent
from edge_agent.settings import load_line
from edge_agent.uplink.service import NOT_SUBSCRIBED
from records.clock import SystemClock
from tests.process.test_central_broker import make_central
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, make_identity
from tests.unit.edge.test_agent_app import write_line

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(120)]


def test_it_is_compared_soon_after_central_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: it was compared ten minutes later."""
    monkeypatch.setattr(sync, "AGAIN_S", 1.0)

    async def compared() -> None:
        agent = Agent(load_line(tmp_path / "line.yaml"), SystemClock())
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(90):
            while agent.uplink.status().trouble != NOT_SUBSCRIBED:  # what it asked has come to nobody
                assert not running.done()
                await asyncio.sleep(0.01)
            central.start()
            while agent.offset.now() is None:  # it is measured by central's answer
                assert not running.done()
                await asyncio.sleep(0.01)
        agent.stop()
        await running

    with Mosquitto(tmp_path / "broker") as broker:
        central = make_central(tmp_path / "central", broker.url)
        identity = make_identity(tmp_path / "identity", central.keys.signing)
        central.enrolment.register(AGENT, "p0", identity.signing.public.hex(), by=Actor("test", "test"))
        write_line(tmp_path, broker=broker.url)
        try:
            asyncio.run(compared())
        finally:
            central.close()
