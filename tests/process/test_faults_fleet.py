"""Faults of a plant with several line PCs; ``make faults`` does the long loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.clock import SystemClock
from records.errors import Unreachable
from simulators.faults.dice import Dice
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import CENTRAL, Workshop
from simulators.faults.run import why_not
from simulators.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(600)]


def run(name: str, cycles: int, folder: Path, workshop: Workshop) -> Outcome:
    outcome = Outcome(name, 1)
    try:
        SCENARIOS[name].run(Leg(folder, workshop, cycles, Dice(name, 1), outcome))
    finally:
        workshop.close()
    return outcome


@pytest.mark.parametrize(
    ("name", "cycles"), [("worker-kill", 4), ("same-id", 2), ("backlog", 1), ("backlog-postgres", 1)]
)
def test_nothing_is_lost_doubled_or_altered(name: str, cycles: int, tmp_path: Path) -> None:
    reason = why_not(SCENARIOS[name])
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    outcome = run(name, cycles, tmp_path, Workshop(SystemClock()))
    assert outcome.ok, list(outcome.details())
    assert outcome.records > 0
    assert outcome.cycles == cycles


def test_without_a_fence_two_agents_with_one_identity_are_red(tmp_path: Path) -> None:
    mutants = {CENTRAL: ["tests.rigs.mutants.no_fence"]}
    broken = Workshop(SystemClock(), mutants=mutants, patience_s=30.0)
    with pytest.raises(Unreachable, match="a fence around one of two"):
        run("same-id", 1, tmp_path, broken)
