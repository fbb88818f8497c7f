"""Faults of a plant with several line PCs; ``make faults`` does the long loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.clock import SystemClock
from simulators.faults.dice import Dice
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import Workshop
from simulators.faults.run import why_not
from simulators.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("name", "cycles"), [("worker-kill", 4), ("backlog", 1), ("backlog-postgres", 1)])
def test_nothing_is_lost_doubled_or_altered(name: str, cycles: int, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    reason = why_not(scenario)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    workshop = Workshop(SystemClock())
    try:
        outcome = Outcome(name, 1)
        scenario.run(Leg(tmp_path, workshop, cycles, Dice(name, 1), outcome))
    finally:
        workshop.close()
    assert outcome.ok, list(outcome.details())
    assert outcome.records > 0
    assert outcome.cycles == cycles
