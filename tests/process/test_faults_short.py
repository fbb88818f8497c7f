"""One or two cycles of each fault in a small plant of real processes; ``make faults`` does the long loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from records.clock import SystemClock
from records.errors import LotkeeperError
from simulators.faults.dice import Dice
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import CENTRAL, EDGE, Workshop
from simulators.faults.run import why_not
from simulators.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]

LegRunner = Callable[..., Outcome]


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    made = Workshop(SystemClock())
    yield made
    made.close()


def leg(name: str, folder: Path, workshop: Workshop, *, cycles: int = 2, seed: int = 1) -> Outcome:
    scenario = SCENARIOS[name]
    reason = why_not(scenario)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    outcome = Outcome(name, seed)
    scenario.run(Leg(folder, workshop, cycles, Dice(name, seed), outcome))
    return outcome


@pytest.mark.parametrize("name", ["all-kill", "power-cut", "io-error", "duplicate"])
def test_nothing_is_lost_doubled_or_altered(name: str, tmp_path: Path, workshop: Workshop) -> None:
    outcome = leg(name, tmp_path, workshop)
    assert outcome.ok, list(outcome.details())
    assert outcome.records > 0
    assert outcome.cycles == 2


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "command", "mutant"),
    [
        ("edge-kill", EDGE, "answers_first"),
        ("central-kill", EDGE, "puback_is_proof"),
        ("broker-wipe", EDGE, "puback_is_proof"),
        ("all-kill", EDGE, "puback_is_proof"),
        ("power-cut", EDGE, "synchronous_normal"),
        ("central-power-cut", CENTRAL, "synchronous_normal"),
    ],
)
def test_a_broken_rule_turns_it_red(name: str, command: str, mutant: str, tmp_path: Path) -> None:
    broken = Workshop(SystemClock(), mutants={command: [f"tests.rigs.mutants.{mutant}"]}, patience_s=12.0)
    try:
        outcome = leg(name, tmp_path, broken, cycles=10)
    except LotkeeperError as error:
        assert "a commit of central" in str(error)  # noqa: PT017  a hole that nobody fills is red, too
    else:
        assert outcome.comparison.missing
    finally:
        broken.close()
