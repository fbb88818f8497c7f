"""Hours of a plant to which everything happens: one fault after another, each drawn by the seed.

What this machine cannot do is left out: disks need root and the programs of a file system, I/O errors
need strace, clocks need libfaketime. The plant rests every now and then, and is judged as at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from records.errors import LotkeeperError
from simulators.faults import calls, clocks, disk, kills, network, power
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import Plant
from simulators.faults.proxy import Meddle, Mode

MINUTE_S = 60.0
LOOK_EVERY = 5
"""After so many minutes the line rests and is judged."""
REST_S = 1.0
"""A machine rests longer than in other loops: an hour's cycles are read more than once."""
JUMPS = ("-2h", "+2h", "-1d", "+1d", "-30s", "+30s", clocks.TRUE)
"""From true time; what no plant's clock does for an hour is left to ``clock-jump``."""
REPLAYING_S = 2.0

Fault = Callable[[], None]


class Meddling:
    """Repeats publishes while it is told to, and passes them on otherwise."""

    def __init__(self, leg: Leg) -> None:
        self._made = network.replaying(leg)
        self.on = False

    def __call__(self) -> Meddle:
        """For a new connection: what is decided here holds for all of it."""
        return self._made() if self.on else bytes


def soak(leg: Leg) -> None:
    """``cycles`` are minutes, full of faults over one plant; the result names the seed that draws them."""
    with _site(leg) as (plant, faults):
        names = sorted(faults)
        began_s = plant.supervisor.clock.monotonic_s()
        for minute in range(1, leg.cycles + 1):
            while plant.supervisor.clock.monotonic_s() - began_s < minute * MINUTE_S:
                name = leg.dice.choose(names)
                faults[name]()
                leg.count(f"soak: {name}")
                plant.committed_beyond(plant.committed())
            leg.cycle_done()
            if minute % LOOK_EVERY == 0:
                look(leg, plant)


def look(leg: Leg, plant: Plant) -> None:
    """The line rests, everything arrives, and ledger, records and both chains must agree.

    Raises:
        LotkeeperError: they do not, so nothing that comes later could say when it happened.
    """
    plant.line.hold()
    plant.settle()
    so_far = Outcome(leg.outcome.scenario, leg.outcome.seed)
    plant.look(so_far)
    plant.verify(so_far)
    leg.count("judged in between")
    if not so_far.ok:
        leg.outcome.comparison, leg.outcome.chains = so_far.comparison, so_far.chains
        raise LotkeeperError(
            f"not as it should be after {leg.outcome.cycles} minutes: {list(so_far.details())[:5]}"
        )
    plant.line.go_on()


@contextmanager
def _site(leg: Leg) -> Iterator[tuple[Plant, dict[str, Fault]]]:
    """A plant at work in which everything that this machine can do may happen; drained and judged after it."""
    clock = leg.folder / "faketime"
    workshop = clocks.under(leg.workshop, clock) if clocks.why_not() is None else None
    volume = disk.LoopDisk(leg.folder / "disk.img", leg.folder / "disk", power.DISK_MB) if _has_disks() else None
    plant = leg.plant(workshop=workshop, buffer=None if volume is None else volume.folder / "agent", rest_s=REST_S)
    meddling = Meddling(leg)
    try:
        with network.behind_proxies(leg, plant, meddling) as (_, agents, centrals):
            faults: dict[str, Fault] = {
                "agent killed": lambda: kills.kill_agent(leg, plant),
                "central killed": lambda: kills.kill_central(leg, plant),
                "several killed": lambda: kills.kill_some(leg, plant),
                "network bad": lambda: network.be_bad(leg, plant, agents, centrals),
                "stood still": lambda: network.stand_still(leg, plant),
                "publishes repeated": lambda: _repeat(leg, plant, meddling, agents),
            }
            if workshop is not None:
                faults["clock set"] = lambda: _set_clock(leg, plant, clock)
            if volume is not None:
                faults["power cut"] = lambda: power.lose_power(leg, plant, volume)
                faults["disk full"] = lambda: power.fill_up(leg, plant, volume, "agent")
            if shutil.which("strace"):
                faults["disk errors"] = lambda: calls.fail_once(leg, plant, of_agent=leg.dice.below(2) == 0)
            try:
                yield plant, faults
            finally:
                network.go_on(plant)
                if workshop is not None:
                    clock.write_text(clocks.TRUE)
    finally:
        if volume is not None:
            volume.unmount()
        if workshop is not None:
            workshop.close()


def _repeat(leg: Leg, plant: Plant, meddling: Meddling, agents: network.RunningProxy) -> None:
    for meddling.on in (True, False):
        agents.set_mode(Mode.RST)
        agents.set_mode(Mode.PASS)
        if meddling.on:
            plant.supervisor.pause(REPLAYING_S)
    leg.outcome.recovery_s.append(plant.committed_beyond(plant.committed()))


def _set_clock(leg: Leg, plant: Plant, file: Path) -> None:
    jump = leg.dice.choose(JUMPS)
    file.write_text(jump)
    leg.outcome.recovery_s.append(plant.committed_beyond(plant.committed()))
    leg.count(f"jump {jump}")


def _has_disks() -> bool:
    programs = all(shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") for name in disk.PROGRAMS)
    return hasattr(os, "geteuid") and os.geteuid() == 0 and programs
