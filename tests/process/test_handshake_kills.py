"""Agents killed at each phase of the handshake, by the process dying there as in a power cut: nothing is missing,
nothing is doubled, nothing is altered against the ledger of truth, and charts say what they would have said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.outbox import export, verify
from records.clock import new_id
from records.model import OperationRecord, decode
from records.verdict import SpcState
from simulators.check import compare
from spc.limits import LimitSet
from spc.variables import imr, means
from spc.weighted import cusum, ewma
from tests.rigs.line import AGENTS, LineRig

PHASES = (
    "station.before_capture",
    "station.after_capture",
    "outbox.before_commit",
    "station.after_commit",
    "station.after_ack",
    "station.after_done_falls",
    "station.before_ack_falls",
)
RULES = ["nelson1", {"nelson2": {"window": 2}}]
FIXED = {"version": "k1", "centre": 2.2, "lower": 2.15, "upper": 2.25}
CHARTS: dict[str, dict[str, Any]] = {
    "torque": {"chart": "imr", "rules": RULES, "limits": {"fixed": FIXED}},
    "torque_means": {"chart": "xbar_r", "subgroup": 3, "rules": RULES, "limits": {"fixed": FIXED}},
    "torque_slow": {"chart": "ewma", "limits": {"fixed": {"version": "k2", "target": 2.2, "sigma": 0.02}}},
    "torque_sums": {
        "chart": "cusum",
        "design": {"h": 4, "headstart": 2},
        "limits": {"fixed": {"version": "k3", "target": 2.2, "sigma": 0.02}},
    },
}
"""Narrow ones, so that rules fire."""
KILLED = 137
LIMIT_S = 200.0
"""Twice as long as a slow machine needs for fourteen starts of agents and ten pieces."""


def keep_running(
    rig: LineRig, agent: str, failpoints: list[str], ending: threading.Event, codes: list[int]
) -> None:
    """Run an agent; each time it dies at its failpoint start it again with the next."""
    left = list(failpoints)
    while not ending.is_set():
        process = rig.start(agent, left.pop(0) if left else None)
        while process.poll() is None and not ending.wait(0.05):
            pass
        if process.poll() is None:
            process.terminate()
        codes.append(process.wait(LIMIT_S))


def kill_at(rig: LineRig, failpoints: dict[str, list[str]]) -> dict[str, list[int]]:
    """Run the line to its end while the agents die at these points; their exit codes."""
    ending = threading.Event()
    codes: dict[str, list[int]] = {agent: [] for agent in AGENTS}
    keepers = [
        threading.Thread(target=keep_running, args=(rig, agent, failpoints[agent], ending, codes[agent]))
        for agent in AGENTS
    ]
    for keeper in keepers:
        keeper.start()
    try:
        rig.processes.wait_for("the end of the order", lambda: rig.truth.finished, LIMIT_S)
    finally:
        ending.set()
        for keeper in keepers:
            keeper.join()
        rig.stop()
    return codes


def judge(rig: LineRig) -> None:
    truth = rig.truth
    found = compare(truth, rig.records())
    assert found.agrees, found
    assert truth.cycles
    for agent in AGENTS:
        checked = verify(rig.folder / agent / "buffer" / "records.db")
        assert checked.ok, checked


def chart(rig: LineRig) -> None:
    """Have the assembly agent chart its torque in four ways."""
    yaml = YAML()
    line = yaml.load(rig.line("assembly-1"))
    line["characteristics"] = {name: {"tag": "assembler.torque", **told} for name, told in CHARTS.items()}
    yaml.dump(line, rig.line("assembly-1"))


def limits(name: str) -> LimitSet:
    plan = CharacteristicSettings.model_validate({"tag": "assembler.torque", **CHARTS[name]}).plan(name)
    assert plan is not None
    assert plan.limits is not None
    return plan.limits


def judge_charts(rig: LineRig) -> None:
    """Every verdict of the killed agent against the batch charts of the torques that it recorded."""
    facts = [
        decode(e.kind, e.body or b"").data for e in export(rig.folder / "assembly-1" / "buffer" / "records.db")
    ]
    runs = [f for f in facts if isinstance(f, OperationRecord) and f.station == "assemble" and f.purpose.counts]
    values = [float(str(r.value)) for run in runs for r in run.readings if r.tag == "assembler.torque"]
    told: dict[str, list[SpcState]] = {name: [] for name in CHARTS}
    for run in runs:
        for state in run.spc:
            told[state.characteristic].append(state)
    groups = np.array(values[: len(values) // 3 * 3]).reshape(-1, 3)
    results = {
        "torque": imr(values, limits=limits("torque"), rules=RULES),
        "torque_means": means("xbar_r", groups, limits=limits("torque_means"), rules=RULES),
        "torque_slow": ewma(values, limits=limits("torque_slow")),
        "torque_sums": cusum(values, limits=limits("torque_sums")),
    }
    for name, result in results.items():
        closed = [state for state in told[name] if state.position == state.size]
        assert [state.statistic for state in closed] == result.location.points.tolist(), name
        fired = {(signal.index, signal.rule) for signal in result.location.signals}
        assert {(n, rule) for n, state in enumerate(closed) for rule in state.rules} == fired, name
        assert [state.subgroup for state in closed] == list(range(1, len(closed) + 1)), name
    opened = [state.position for state in told["torque_means"]]
    assert opened == [n % 3 + 1 for n in range(len(values))]
    assert results["torque"].location.signals  # else nothing was shown


@pytest.mark.timeout(480)
def test_killed_at_each_phase_of_the_handshake(tmp_path: Path) -> None:
    rig = LineRig(tmp_path, units=10)
    chart(rig)
    points = [f"{phase}:2" for phase in PHASES]
    codes = kill_at(rig, dict.fromkeys(AGENTS, points))
    judge(rig)
    judge_charts(rig)
    for agent in AGENTS:
        assert codes[agent].count(KILLED) == len(PHASES), (agent, codes[agent])


@pytest.mark.timeout(480)
def test_answering_before_the_commit_would_lose_cycles(tmp_path: Path) -> None:
    """The mutation: an agent that acknowledges first. The same kills must then cost records, or the test above
    proves nothing."""
    rig = LineRig(tmp_path, units=10, mutants=("tests.rigs.mutants.answers_first",))
    kill_at(rig, {agent: ["station.answered_first:2"] for agent in AGENTS})
    assert compare(rig.truth, rig.records()).missing


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turn", range(10))
def test_killed_at_random_phases_again_and_again(tmp_path: Path, turn: int) -> None:
    rig = LineRig(tmp_path, units=40, seed=turn)
    points = {
        agent: [f"{PHASES[int(new_id(2), 16) % len(PHASES)]}:{1 + int(new_id(2), 16) % 6}" for _ in range(12)]
        for agent in AGENTS
    }
    codes = kill_at(rig, points)
    judge(rig)
    kills = sum(found.count(KILLED) for found in codes.values())
    print(f"turn {turn}: {kills} kills, {len(rig.truth.cycles)} cycles, 0 lost")
