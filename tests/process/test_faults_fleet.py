"""Faults of a plant with several line PCs; ``make faults`` does the long loops."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from records.clock import SystemClock
from records.errors import LotkeeperError
from simulators.faults import workers
from simulators.faults.dice import Dice
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import CENTRAL, EDGE, Workshop
from simulators.faults.run import why_not
from simulators.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(600)]


def run(name: str, cycles: int, folder: Path, workshop: Workshop, seed: int = 1) -> Outcome:
    outcome = Outcome(name, seed)
    reason = why_not(SCENARIOS[name])
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    try:
        SCENARIOS[name].run(Leg(folder, workshop, cycles, Dice(name, seed), outcome))
    except LotkeeperError as error:
        outcome.problems.append(str(error))  # who does not come to an end is red, too
    finally:
        workshop.close()
    return outcome


@pytest.mark.parametrize(
    ("name", "cycles"), [("worker-kill", 4), ("same-id", 2), ("backlog", 1), ("backlog-postgres", 1)]
)
def test_nothing_is_lost_doubled_or_altered(name: str, cycles: int, tmp_path: Path) -> None:
    outcome = run(name, cycles, tmp_path, Workshop(SystemClock()))
    assert outcome.ok, list(outcome.details())
    assert outcome.records > 0
    assert outcome.cycles == cycles


BROKEN = (
    ("worker-kill", 4, CENTRAL, "lease_without_end", "a commit of every agent"),
    ("same-id", 1, CENTRAL, "no_fence", "a fence around one of two"),
    ("backlog", 1, EDGE, "puback_is_proof", "central stands still"),
)
"""Scenario, cycles, the command that breaks a rule, which one, and what it then must come to."""


@pytest.mark.parametrize(("name", "cycles", "command", "mutant", "red"), BROKEN)
def test_a_broken_rule_turns_it_red(
    name: str, cycles: int, command: str, mutant: str, red: str, tmp_path: Path
) -> None:
    found = list(run(name, cycles, tmp_path, broken(command, mutant)).details())
    assert any(re.search(red, told) for told in found), found


@pytest.mark.timeout(900)
def test_a_worker_that_goes_on_where_it_stood_still_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STILL", 8)
    monkeypatch.setattr(workers, "AWAY_S", (6.5, 9.0))  # longer than a lease
    found = list(run("worker-kill", 8, tmp_path, broken(CENTRAL, "lease_unread"), seed=2).details())
    assert any(re.search("ended by itself|a commit of every agent|doubled", told) for told in found), found


def broken(command: str, mutant: str) -> Workshop:
    return Workshop(SystemClock(), mutants={command: [f"tests.rigs.mutants.{mutant}"]}, patience_s=30.0)
