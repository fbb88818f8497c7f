"""A real agent that may have no more of something says so, keeps its records, and goes on when it may again."""

from __future__ import annotations

import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulators.sockets import free_port
from tests.rigs.agent import OneAgent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.uplinks import until

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process from outside"),
]
LOOKS = 12
"""At once, each in a thread of the agent's."""
LESS_THAN_A_THREAD = 7 << 20
"""Bytes: a thread's stack takes 8 MiB."""


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


def test_an_agent_that_may_start_no_more_threads_goes_on(tmp_path: Path) -> None:
    """Bug: looks at its page, which wait for the disk in threads, ended it with code 3."""
    import resource

    agent, port = OneAgent(tmp_path / "agent"), free_port()
    agent.line.write_text(agent.line.read_text() + f"status: {{port: {port}}}\n")

    def looked(_: int) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=30) as answer:
            return int(answer.status)

    agent.start_machine("near")
    with agent, ThreadPoolExecutor(LOOKS) as people:
        until(lambda: len(agent.cycles("near")) > 2)
        assert looked(0) == 200
        assert agent.process is not None
        taken = int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.prlimit(agent.process.pid, resource.RLIMIT_AS)
        resource.prlimit(agent.process.pid, resource.RLIMIT_AS, (taken + LESS_THAN_A_THREAD, hard))
        assert set(people.map(looked, range(5 * LOOKS))) == {200}
        seen = len(agent.cycles("near"))
        until(lambda: len(agent.cycles("near")) > seen + 2)
        assert agent.stop() == 0
    assert "Traceback" not in agent.log.read_text()


def test_an_agent_whose_log_has_no_room_goes_on(tmp_path: Path) -> None:
    """Bug: the first line that found no room ended it with code 1, and so did every start."""
    agent, port = OneAgent(tmp_path / "agent"), free_port()
    agent.line.write_text(agent.line.read_text() + f"status: {{port: {port}}}\n")
    agent.log.symlink_to("/dev/full")
    agent.start_machine("near")
    with agent:
        until(lambda: len(agent.cycles("near")) > 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            told = answer.read().decode()
        assert float(told.split("\nlotkeeper_edge_log_lines_dropped_total ")[1].split()[0]) > 0
        assert agent.stop() == 0
