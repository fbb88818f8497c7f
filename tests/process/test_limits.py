"""A real agent that may have no more of something says so, keeps its records, and goes on when it may again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.rigs.agent import OneAgent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.uplinks import until

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process from outside"),
]


def test_an_agent_without_files_for_a_connection_goes_on_recording(tmp_path: Path) -> None:
    """Bug: it ended with code 1 and called it a fault of Lotkeeper."""
    import resource

    with Mosquitto(tmp_path / "broker") as broker:
        agent = OneAgent(tmp_path / "agent", broker=broker.url)
        agent.start_machine("near")
        with agent:
            until(lambda: len(agent.cycles("near")) > 2)
            until(lambda: agent.log.read_text().count("uplink-connected") == 1)
            assert agent.process is not None
            opened = len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))
            _, hard = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (opened, hard))
            broker.kill()
            broker.start()
            until(lambda: "this process may open no more files (raise LimitNOFILE=" in agent.log.read_text())
            seen = len(agent.cycles("near"))
            until(lambda: len(agent.cycles("near")) > seen)
            assert agent.alive
            resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
            until(lambda: agent.log.read_text().count("uplink-connected") == 2)
            assert agent.stop() == 0
