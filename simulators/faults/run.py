"""Runs one scenario leg by leg: judges each, appends it to the file of results, goes on where the file stops."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from records.clock import Clock
from records.errors import LotkeeperError, Unreachable
from simulators.faults import results
from simulators.faults.dice import Dice
from simulators.faults.leg import Leg, Scenario
from simulators.faults.outcome import Outcome, together
from simulators.faults.plant import Workshop

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asked for.

    ``cycles`` None: the scenario's leg. ``until``: go on until the results file holds so many cycles. ``keep``:
    leave the folders of legs that went wrong there.
    """

    scenario: Scenario
    seed: int
    cycles: int | None = None
    full_starts: bool = False
    results: Path | None = None
    until: int | None = None
    keep: Path | None = None


def run(order: Order, clock: Clock, say: Say) -> Outcome:
    """All legs of an order as one outcome.

    Raises:
        Unreachable: the machine cannot do this (no root, a program is missing).
    """
    why = why_not(order.scenario)
    if why is not None:
        raise Unreachable(f"{order.scenario.name} cannot run here: {why}")
    left, seed = _left(order), order.seed
    if order.results is not None and order.until is not None:
        seed = max(seed, results.done(order.results, order.scenario.name, full_starts=order.full_starts)[1] + 1)
    outcomes: list[Outcome] = []
    workshop = Workshop(clock, full_starts=order.full_starts)
    try:
        while left > 0:
            outcome = _leg(order, workshop, min(left, order.scenario.leg), seed, say)
            outcomes.append(outcome)
            if order.results is not None:
                results.append(order.results, outcome, full_starts=order.full_starts, at_us=clock.now_us())
            say(_line(outcome))
            left, seed = left - max(outcome.cycles, 1), seed + 1
            if not outcome.ok:
                break
    finally:
        workshop.close()
    return together(outcomes) if outcomes else Outcome(order.scenario.name, seed, chains={"none": ""})


def why_not(scenario: Scenario) -> str | None:
    """Why a scenario cannot run on this machine; None when it can."""
    if sys.platform == "win32":
        return "it needs a POSIX system"
    if scenario.root and os.geteuid() != 0:
        return "it needs root"
    for program in scenario.programs:
        if shutil.which(program) is None and shutil.which(program, path="/usr/sbin:/sbin") is None:
            return f"the program {program} is not installed"
    return scenario.why_not()


def _left(order: Order) -> int:
    if order.until is None:
        return order.cycles or order.scenario.leg
    if order.results is None:
        return order.until
    return order.until - results.done(order.results, order.scenario.name, full_starts=order.full_starts)[0]


def _leg(order: Order, workshop: Workshop, cycles: int, seed: int, say: Say) -> Outcome:
    """One leg; what goes wrong in it is in the outcome, with the folder where it can be looked at."""
    folder = Path(tempfile.mkdtemp(prefix="lotkeeper-faults-"))
    outcome = Outcome(order.scenario.name, seed)
    began_s = workshop.clock.monotonic_s()
    try:
        order.scenario.run(Leg(folder, workshop, cycles, Dice(order.scenario.name, seed), outcome))
    except (LotkeeperError, httpx.HTTPError) as error:
        outcome.problems.append(str(error))
    finally:
        outcome.duration_s = workshop.clock.monotonic_s() - began_s
        if not outcome.ok and order.keep is not None:
            kept = order.keep / f"{order.scenario.name}-{seed}"
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            say(f"what is left of it: {kept}")
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _line(outcome: Outcome) -> str:
    told = outcome.to_json()
    figures = ", ".join(f"{told[key]} {key}" for key in ("missing", "extra", "doubled", "altered"))
    return (
        f"{outcome.scenario}, seed {outcome.seed}: {'fine' if outcome.ok else 'NOT FINE'}: "
        f"{outcome.cycles} cycles, {outcome.records} records, {figures}, {outcome.duration_s:.0f} s"
    )
