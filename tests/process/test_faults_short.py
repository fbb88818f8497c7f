"""One or two cycles of each fault in a small plant of real processes; ``make faults`` does the long loops."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from records.clock import SystemClock
from records.errors import LotkeeperError
from simulators.faults import calls, network, soak
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


SHORT = {
    "all-kill": 2,
    "power-cut": 2,
    "central-power-cut": 1,
    "io-error": 2,
    "duplicate": 2,
    "pause": 1,
    "exhaustion": 2,
    "syscall-kill": 1,
    "soak": 2,
}


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_doubled_or_altered(
    name: str, tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "EVERY", 8)
    monkeypatch.setattr(soak, "MINUTE_S", 2.0)
    outcome = leg(name, tmp_path, workshop, cycles=SHORT[name])
    assert outcome.ok, list(outcome.details())
    assert outcome.records > 0
    assert outcome.cycles == SHORT[name]


BROKEN = (
    ("edge-kill", EDGE, "answers_first", "missing"),
    ("central-kill", CENTRAL, "key_is_not_unique", "doubled|altered|chain of|a commit of central"),
    ("broker-wipe", EDGE, "puback_is_proof", "missing|a commit of central"),
    ("all-kill", EDGE, "puback_is_proof", "missing|a commit of central"),
    ("power-cut", EDGE, "synchronous_normal", "missing"),
    ("central-power-cut", CENTRAL, "synchronous_normal", "missing|a commit of central"),
    ("disk-full", EDGE, "answers_first", "missing|stopped nothing"),
    ("syscall-kill", EDGE, "answers_first", "missing"),
    ("io-error", EDGE, "goes_on", "a process that stops at an I/O error|missing"),
    ("partition", EDGE, "sends_once", "a commit of central|a buffer that gets empty"),
    ("duplicate", CENTRAL, "key_is_not_unique", "doubled|altered|chain of|a commit of central"),
    ("clock-jump", EDGE, "clock_unwatched", "event clock-jump"),
    ("image-restore", EDGE, "watermark_by_number", "missing|a commit of central|a plant at rest"),
    ("central-restore", EDGE, "watermark_by_number", "a commit of central|missing"),
    ("bit-rot", EDGE, "chain_unread", "seen by nobody"),
    ("bit-rot", CENTRAL, "chain_unread", "seen by nobody"),
    ("tamper", CENTRAL, "chain_unread", "the verification finds nothing"),
    ("files", EDGE, "old_files_pass", "missing|a commit of central|a plant at rest"),
    ("config", EDGE, "refuses_in_silence", "event configuration-refused"),
    ("plc", EDGE, "any_number", "altered"),
    ("slow-disk", EDGE, "answers_first", "missing|answers in the time"),
    ("exhaustion", EDGE, "puback_is_proof", "missing|a commit of central"),
    ("upgrade", CENTRAL, "upgrade_in_steps", "a process ended"),
    ("soak", EDGE, "puback_is_proof", "missing|a commit of central|not as it should be"),
    ("pause", CENTRAL, "key_is_not_unique", "doubled"),
)
"""Scenario, the command that breaks a rule, which one, and what it then must come to.

Those of several agents and workers are in ``test_faults_fleet``.
"""
LONG_S = 8.0
"""Longer than an agent waits for central's word before it sends again what came to who stood still."""


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "command", "mutant", "red"), BROKEN)
def test_a_broken_rule_turns_it_red(
    name: str, command: str, mutant: str, red: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "EVERY", 5)
    monkeypatch.setattr(soak, "MINUTE_S", 10.0)
    monkeypatch.setattr(network, "SELDOM", 2)
    monkeypatch.setattr(network, "LONG_S", LONG_S)
    broken = Workshop(SystemClock(), mutants={command: [f"tests.rigs.mutants.{mutant}"]}, patience_s=30.0)
    try:
        found = list(leg(name, tmp_path, broken, cycles=min(SCENARIOS[name].leg, 30)).details())
    except LotkeeperError as error:
        found = [str(error)]  # a hole that nobody fills is red, too
    finally:
        broken.close()
    assert any(re.search(red, told) for told in found), found
