"""What a loop of faults came to: the figures of ``demo --check``, and how long it took to be well again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pydantic import JsonValue

from simulators.check import Comparison

MOST_PROBLEMS = 20
"""So many are told of a leg; the first ones say why."""


@dataclass(slots=True)
class Outcome:
    """One leg: a new plant, some cycles of one fault, then the judgement.

    ``counts`` are what the scenario itself counted (kills, cut points, flips); ``recovery_s`` one figure for each
    time that it was measured.
    """

    scenario: str
    seed: int
    cycles: int = 0
    records: int = 0
    comparison: Comparison = field(default_factory=lambda: Comparison((), (), (), ()))
    chains: dict[str, str] = field(default_factory=dict)
    exceptions: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def chains_ok(self) -> bool:
        return bool(self.chains) and not any(self.chains.values())

    @property
    def ok(self) -> bool:
        return self.comparison.agrees and self.chains_ok and not self.problems

    def to_json(self) -> dict[str, JsonValue]:
        c = self.comparison
        return {
            "ok": self.ok,
            "units": self.records,
            "orders": 0,
            "missing": len(c.missing),
            "extra": len(c.extra),
            "doubled": len(c.doubled),
            "altered": len(c.altered),
            "exceptions": dict(sorted(self.exceptions.items())),
            "released": [],
            "chains_ok": self.chains_ok,
            "erp_disagreements": 0,
            "duration_s": round(self.duration_s, 1),
            "cycles": self.cycles,
            "recovery_s": {"p50": percentile(self.recovery_s, 50), "p99": percentile(self.recovery_s, 99)},
            "scenario": self.scenario,
            "seed": self.seed,
            "counts": dict(sorted(self.counts.items())),
            "problems": list(islice(self.details(), MOST_PROBLEMS)),
        }

    def details(self) -> Iterator[str]:
        """Every single thing that is not as it should be."""
        c = self.comparison
        for what, found in (("missing", c.missing), ("extra", c.extra), ("doubled", c.doubled)):
            yield from (f"{what}: {cycle}" for cycle in found)
        yield from (
            f"altered: {d.station} {d.cycle} {d.what}: ledger {d.truth}, record {d.held}" for d in c.altered
        )
        yield from (f"chain of {name}: {reason}" for name, reason in self.chains.items() if reason)
        yield from self.problems


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile, to the millisecond; None of nothing."""
    if not values:
        return None
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return round(sorted(values)[rank - 1], 3)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Several legs as one."""
    first = outcomes[0]
    c = [outcome.comparison for outcome in outcomes]
    return Outcome(
        first.scenario,
        first.seed,
        sum(outcome.cycles for outcome in outcomes),
        sum(outcome.records for outcome in outcomes),
        Comparison(
            tuple(cycle for one in c for cycle in one.missing),
            tuple(cycle for one in c for cycle in one.extra),
            tuple(cycle for one in c for cycle in one.doubled),
            tuple(difference for one in c for difference in one.altered),
        ),
        {f"{name} (seed {o.seed})": reason for o in outcomes for name, reason in o.chains.items()},
        dict(sum((Counter(outcome.exceptions) for outcome in outcomes), Counter())),
        sum((outcome.counts for outcome in outcomes), Counter()),
        [seconds for outcome in outcomes for seconds in outcome.recovery_s],
        [problem for outcome in outcomes for problem in outcome.problems],
        sum(outcome.duration_s for outcome in outcomes),
    )
