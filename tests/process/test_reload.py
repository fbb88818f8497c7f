"""Another configuration for an agent at work among real machines: taken whole or refused, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_agent.outbox import verify
from edge_agent.settings import load_line
from records.configuration import ConfigurationRecord
from records.files import replace_file
from records.model import Fact, OperationRecord, OperationsEvent, decode
from simulators.faults.proxy import FaultProxy
from simulators.sockets import free_port
from tests.process.test_agent import contiguous
from tests.rigs.agent import DEVICE, STATION, OneAgent
from tests.rigs.uplinks import until

pytestmark = pytest.mark.timeout(240)
KILLED = 137


class Counted:
    """A way to a machine that counts the sessions on it."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.proxy = FaultProxy("127.0.0.1", port)
        self._do(self.proxy.start())
        self.port = self.proxy.port
        self._before = 0

    def begin(self) -> None:
        """Count from here on; what a machine that was still starting cost is not meant."""
        self._before = self.proxy.connections

    @property
    def sessions(self) -> int:
        """How many sessions have begun since."""
        return self.proxy.connections - self._before

    def _do(self, job: object) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(30)  # type: ignore[arg-type]

    def close(self) -> None:
        self._do(self.proxy.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[tuple[OneAgent, dict[str, Counted]]]:
    """An agent at work with both machines, each reached over a counted way."""
    agent = OneAgent(folder)
    ways = {machine: Counted(port) for machine, port in agent.ports.items()}
    text = agent.line.read_text()
    for machine, port in agent.ports.items():
        agent.start_machine(machine)
        text = text.replace(f"port: {port}\n", f"port: {ways[machine].port}\n")
    page = free_port()
    agent.line.write_text(f"{text}status: {{port: {page}}}\n")
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with agent:
            os.environ.clear()
            os.environ.update(before)
            until(lambda: all(len(agent.cycles(machine)) > 2 for machine in ways))
            for way in ways.values():
                way.begin()
            yield agent, ways
    finally:
        for way in ways.values():
            way.close()


def status(agent: OneAgent) -> dict[str, Any]:
    """What its page's interface says."""
    port = re.search(r"status: {port: (\d+)}", agent.line.read_text())
    assert port is not None
    found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port[1]}/api/v1/status", timeout=30).json()
    return found


def change(agent: OneAgent, *changes: tuple[str, str]) -> str:
    """Replace the line file as a whole; the new configuration's hash."""
    text = agent.line.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    replace_file(agent.line, text.encode())
    return load_line(agent.line).hash


def facts(agent: OneAgent) -> list[Fact]:
    return [decode(e.kind, e.body or b"") for e in agent.envelopes()]


def configured(agent: OneAgent, hash_: str) -> list[str | None]:
    """The stations that have said that they work by this configuration."""
    return [
        fact.header.station
        for fact in facts(agent)
        if isinstance(fact.data, OperationsEvent)
        and fact.data.code == "station-configured"
        and fact.data.params["now"] == hash_
    ]


def more_cycles(agent: OneAgent, *machines: str) -> None:
    seen = {machine: len(agent.cycles(machine)) for machine in machines}
    until(lambda: all(len(agent.cycles(machine)) > count + 2 for machine, count in seen.items()))


def judge(agent: OneAgent, *machines: str) -> None:
    """Nothing missing, nothing twice, and nothing names a configuration that no earlier record explains."""
    for machine in machines:
        assert contiguous(agent.cycles(machine)), agent.cycles(machine)
    assert agent.events("cycles-missed") == []
    explained: set[str | None] = {None}
    for fact in facts(agent):
        if isinstance(fact.data, ConfigurationRecord):
            assert fact.data.hash not in explained, "stored once is enough"
            explained.add(fact.data.hash)
        assert fact.header.configuration in explained
    assert verify(agent.folder / "buffer" / "records.db").ok
    assert "Traceback" not in agent.log.read_text()


def test_only_what_changed_is_touched_and_each_station_goes_over_between_two_runs(tmp_path: Path) -> None:
    with running(tmp_path) as (agent, ways):
        old = load_line(agent.line).hash
        new = change(
            agent, ("port: " + str(ways["far"].port), f"port: {agent.ports['far']}"), ("far-01", "far-02")
        )
        until(lambda: set(configured(agent, new)) == {"near", "far"})
        more_cycles(agent, "near", "far")
        assert agent.sign_on("WO-1", "B1") == b"\x06"  # the scanner works as before
        assert agent.stop() == 0
        assert ways["near"].sessions == 0
        assert ways["far"].sessions == 0
    judge(agent, "near", "far")
    for station in ("near", "far"):
        told = [f for f in facts(agent) if f.header.station == station]
        at = next(n for n, f in enumerate(told) if f.header.configuration == new)
        switch = told[at].data
        assert isinstance(switch, OperationsEvent)
        assert (switch.code, switch.params) == ("station-configured", {"was": old, "now": new, "charts": []})
        assert {f.header.configuration for f in told[:at]} == {old}
        assert {f.header.configuration for f in told[at:]} == {new}
    runs = [
        (f.header.configuration, f.data.equipment) for f in facts(agent) if isinstance(f.data, OperationRecord)
    ]
    assert set(runs) == {(old, "near-01"), (new, "near-01"), (old, "far-01"), (new, "far-02")}


def test_a_half_written_or_wrong_file_leaves_the_old_one_at_work_and_says_so_once(tmp_path: Path) -> None:
    with running(tmp_path) as (agent, ways):
        text = agent.line.read_text().replace("far-01", "far-02")
        with agent.line.open("w") as file:
            file.write(text[: text.index("trigger:") + 12])
            file.flush()
            until(lambda: agent.events("configuration-refused"))
            more_cycles(agent, "near", "far")
            file.write(text[text.index("trigger:") + 12 :])
        until(lambda: len(configured(agent, load_line(agent.line).hash)) == 2)
        agent.line.write_text(text.replace("tag: near.done", "tag: near.dome"))
        until(lambda: len(agent.events("configuration-refused")) == 2)
        agent.line.touch()
        more_cycles(agent, "near", "far")
        assert "near.dome" in str(status(agent)["refused"]["problems"])
        agent.line.write_text(text)  # as it is at work: nothing to say
        until(lambda: status(agent)["refused"] is None)
        more_cycles(agent, "near", "far")
        assert agent.stop() == 0
        assert all(way.sessions == 0 for way in ways.values())
    judge(agent, "near", "far")
    assert len(agent.events("configuration-loaded")) == 2
    half, wrong = agent.events("configuration-refused")
    (problem,) = wrong.params["problems"]  # type: ignore[misc]
    assert "did you mean" in str(problem)
    assert "near.done" in str(problem)
    assert half.params["hash"] != wrong.params["hash"]


def test_what_needs_a_restart_is_refused_by_its_name(tmp_path: Path) -> None:
    with running(tmp_path) as (agent, _):
        change(agent, ("site: suzhou", "site: wuxi"), ("path: buffer", "path: other"))
        until(lambda: agent.events("configuration-refused"))
        more_cycles(agent, "near")
        assert agent.stop() == 0
    judge(agent, "near", "far")
    (refused,) = agent.events("configuration-refused")
    first, second = refused.params["problems"]  # type: ignore[misc]
    assert "`site` cannot be changed while the agent runs (restart the agent)" in str(first)
    assert "`buffer` cannot" in str(second)
    assert {fact.header.site for fact in facts(agent)} == {"suzhou"}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP")
def test_sighup_reads_the_file_again_though_it_looks_the_same(tmp_path: Path) -> None:
    with running(tmp_path) as (agent, _):
        noticed = change(agent, ("near-01", "near-02"))
        until(lambda: len(configured(agent, noticed)) == 2)  # so the watch has seen the file as it is
        before = agent.line.stat()
        with agent.line.open("r+") as file:
            at = file.read().index("far-01")
            file.seek(at)
            file.write("far-02")
        os.utime(agent.line, ns=(before.st_atime_ns, before.st_mtime_ns))
        new = load_line(agent.line).hash
        more_cycles(agent, "near", "far")
        assert configured(agent, new) == []
        assert agent.process is not None
        agent.process.send_signal(signal.SIGHUP)
        until(lambda: len(configured(agent, new)) == 2)
        assert agent.stop() == 0
    judge(agent, "near", "far")


def test_a_device_and_its_station_leave_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as (agent, ways):
        device = DEVICE.format(name="far", port=ways["far"].port)
        station = STATION.format(name="far")
        change(agent, (device, ""), (station, ""))
        until(lambda: len(agent.events("configuration-loaded")) == 2)
        more_cycles(agent, "near")
        left = len(agent.cycles("far"))
        more_cycles(agent, "near")
        assert len(agent.cycles("far")) == left
        change(agent, ("  scanner:", device + "  scanner:"), ("stations:\n", "stations:\n" + station))
        more_cycles(agent, "near", "far")
        assert agent.stop() == 0
        assert ways["near"].sessions == 0
        assert ways["far"].sessions == 1
    judge(agent, "near", "far")


@pytest.mark.parametrize("point", ["reload.before_commit", "reload.after_commit"])
def test_killed_in_a_reload_it_starts_by_what_is_on_disk(tmp_path: Path, point: str) -> None:
    with running(tmp_path, LOTKEEPER_FAILPOINT=point) as (agent, _):
        new = change(agent, ("far-01", "far-02"))
        assert agent.process is not None
        assert agent.process.wait(60) == KILLED
        agent.start()
        more_cycles(agent, "near", "far")
        assert agent.stop() == 0
    judge(agent, "near", "far")
    assert set(configured(agent, new)) == {"near", "far"}
    runs = {
        (f.header.configuration, f.data.equipment) for f in facts(agent) if isinstance(f.data, OperationRecord)
    }
    assert (new, "far-02") in runs
    assert (new, "far-01") not in runs
