"""Seeds of the deterministic simulation, and the broken rules that it must notice."""

from __future__ import annotations

import pytest

from tests.sim.mutations import MUTATIONS
from tests.sim.world import STEPS, run

SEEDS = 6
CHUNKS = 8
MOST_SEEDS = 60
"""In so many seeds a broken rule must have shown."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_is_lost_doubled_or_altered(chunk: int) -> None:
    for seed in range(chunk * SEEDS, (chunk + 1) * SEEDS):
        told = run(seed)
        assert told.wrong == [], f"python -m tests.sim --seed {seed} --steps {STEPS} tells the story"


@pytest.mark.faults
def test_nothing_is_lost_doubled_or_altered_in_two_thousand_seeds() -> None:
    failed = {seed: wrong for seed in range(1000, 3000) if (wrong := run(seed).wrong)}
    assert failed == {}


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = run(3), run(3)
    assert first.lines == second.lines
    assert first.lines != run(4).lines


HAPPENS = {
    "edge crash",
    "power cut",
    "crash in commit",
    "central crash",
    "central crash before commit",
    "central crash after committed",
    "central hole",
    "central nothing-new",
    "connection lost",
    "broker wiped",
    "image put back",
    "restore",
    "clock jump",
    "tampered",
    "central quarantined",
}


def test_everything_that_can_go_wrong_does() -> None:
    """Else the seeds would prove less than they seem to."""
    missing = set(HAPPENS)
    for seed in range(15):
        missing -= set(run(seed, 200).counts)
        if not missing:
            break
    assert missing == set()


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_broken_rule_turns_it_red(name: str) -> None:
    broken, word, known = MUTATIONS[name]
    with broken():
        for seed in (known, *range(MOST_SEEDS)):  # the first of them, until the simulation changes
            if any(word in wrong for wrong in run(seed).wrong):
                return
    pytest.fail(f"{MOST_SEEDS} seeds did not notice that {broken.__doc__}")
