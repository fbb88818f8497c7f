"""The agent as a process among real machines: it starts, records, stops in order, and goes on where it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from edge_agent.outbox import verify
from simulators.processes import command
from tests.rigs.agent import OneAgent
from tests.rigs.uplinks import until

pytestmark = pytest.mark.timeout(240)
ACK, NAK = b"\x06", b"\x15"


def contiguous(cycles: list[int | None]) -> bool:
    """Every cycle of the machine from its first, once each."""
    return cycles == list(range(1, len(cycles) + 1))


def test_it_stops_in_order_and_goes_on_where_it_was(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    agent.start_machine("near")
    with agent:
        assert agent.sign_on("WO-1") == ACK
        until(lambda: len(agent.cycles("near")) > 3)
        second = subprocess.run(
            [command("lotkeeper-edge"), "run", str(agent.line)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 3
        assert "in use by another" in second.stderr
        assert "Traceback" not in second.stderr
        shown = subprocess.run(
            [command("lotkeeper-edge"), "buffer", "show", str(agent.line), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(shown.stdout)["pending"] > 3  # nobody takes them: there is no broker
        assert agent.stop() == 0
        before = agent.cycles("near")
        assert agent.events("agent-stopped")[-1].params == {"reason": "asked"}
        agent.start()
        until(lambda: len(agent.cycles("near")) > len(before) + 3)
        assert agent.sign_on("WO-1") == ACK  # both stations know it already: nothing changes
        assert agent.stop() == 0
    assert contiguous(agent.cycles("near"))
    assert len(agent.events("order-started")) == 2
    assert len(agent.events("agent-started")) == 2
    assert verify(tmp_path / "buffer" / "records.db").ok
    assert "Traceback" not in agent.log.read_text()


def test_a_killed_agent_doubles_and_loses_nothing(tmp_path: Path) -> None:
    """Killed at no chosen moment; the chosen ones are in test_handshake_kills."""
    agent = OneAgent(tmp_path)
    agent.start_machine("near")
    with agent:
        for turn in range(1, 4):
            until(lambda turn=turn: len(agent.cycles("near")) >= 4 * turn)
            agent.kill()
            agent.start()
        seen = len(agent.cycles("near"))
        until(lambda: len(agent.cycles("near")) > seen)
        assert agent.stop() == 0
    assert contiguous(agent.cycles("near"))
    assert agent.events("cycles-missed") == []
    assert verify(tmp_path / "buffer" / "records.db").ok


def test_a_machine_that_restarts_is_lost_and_found(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    agent.start_machine("near")
    with agent:
        until(lambda: len(agent.cycles("near")) > 1)
        agent.stop_machine("near")
        until(lambda: any(e.device == "near" for e in agent.events("device-lost")))
        kept = len(agent.cycles("near"))
        agent.start_machine("near")  # its count begins anew
        until(lambda: len(agent.cycles("near")) > kept + 1)
        assert agent.stop() == 0
    (period,) = agent.events("counter-period")
    assert period.params["why"] == "step-back"
    assert contiguous(agent.cycles("near")[:kept])
    assert contiguous(agent.cycles("near")[kept:])
