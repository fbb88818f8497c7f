"""Power cuts of the line PC and of central, and disks that are full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from simulators.faults.disk import LoopDisk
from simulators.faults.kills import EARLIEST_S, LATEST_S, SETTLING_S, start_over
from simulators.faults.leg import Leg
from simulators.faults.plant import Plant
from simulators.faults.supervisor import tail
from simulators.starters import Process

Part = Literal["agent", "central"]

DISK_MB = 160
"""Room for the least caps of a buffer, its logs and its ballast."""
STORAGE_FAILED = 74
REFUSING_S = 1.0
"""How long a full disk stays full."""
NOTICING_S = 20.0
"""Within this time a process has to notice that its disk refuses."""


@contextmanager
def _on_disk(leg: Leg, part: str, megabytes: int = DISK_MB) -> Iterator[tuple[Plant, LoopDisk]]:
    """A plant at work whose agent or central has its data on a disk of its own; drained and judged after it."""
    disk = LoopDisk(leg.folder / "disk.img", leg.folder / "disk", megabytes)
    folder = disk.folder / part
    plant = leg.plant(buffer=folder if part == "agent" else None, central=folder if part == "central" else None)
    try:
        plant.begin()
        yield plant, disk
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()
        disk.unmount()


def power_cut(leg: Leg) -> None:
    """The line PC; every other time central is out of reach, so that what was answered is only on that disk."""
    with _on_disk(leg, "agent") as (plant, disk):
        for _ in range(leg.cycles):
            lose_power(leg, plant, disk)
            leg.cycle_done()


def lose_power(leg: Leg, plant: Plant, disk: LoopDisk) -> None:
    """Once, of the agent's disk."""
    away = leg.dice.below(2) == 0
    if away:
        plant.broker.kill()
    if leg.dice.below(4) == 0:
        start_over(leg, plant, plant.running(plant.agent), plant.start_agent)
    else:
        plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
    _cut(leg, plant, disk, plant.running(plant.agent))
    if away:
        plant.broker.start()
    before = plant.line.answered
    plant.start_agent()
    leg.outcome.recovery_s.append(plant.answered_beyond(before))


def central_power_cut(leg: Leg) -> None:
    """Central's machine: what it has confirmed to the agent must be there afterwards."""
    with _on_disk(leg, "central") as (plant, disk):
        for _ in range(leg.cycles):
            before = plant.committed()
            if leg.dice.below(4) == 0:
                start_over(leg, plant, plant.running(plant.central), plant.start_central)
            else:
                plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
                before = max(before, plant.committed())
            _cut(leg, plant, disk, plant.running(plant.central))
            plant.start_central()
            leg.outcome.recovery_s.append(plant.committed_beyond(before))
            leg.cycle_done()


def _cut(leg: Leg, plant: Plant, disk: LoopDisk, process: Process) -> None:
    if process.code() is None:
        disk.cut(process.pid)
        leg.count("ended with the power")
    else:
        disk.cut()
        leg.outcome.problems.append(f"a process ended with {process.code()} before its power went")
    plant.supervisor.kill(process)
    disk.remount()


def disk_full(leg: Leg) -> None:
    """The agent's disk in even cycles' plants, central's in the others: filled by a neighbour, then freed.

    While it is full nothing may be answered or confirmed that is not kept. A process that stops (exit code 74) is
    started again and again, as its service manager does.
    """
    part: Part = "agent" if leg.outcome.seed % 2 else "central"
    with _on_disk(leg, part) as (plant, disk):
        for _ in range(leg.cycles):
            fill_up(leg, plant, disk, part)
            leg.cycle_done()


def fill_up(leg: Leg, plant: Plant, disk: LoopDisk, part: Part) -> None:
    """Once: full until nothing is answered or confirmed any more, then free again.

    Every other time the process is killed then, so that the next one starts on a disk without any room.
    """
    plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
    neighbour = disk.fill()
    _refusing(leg, plant, disk, part)
    if leg.dice.below(2) == 0:
        plant.supervisor.kill(plant.running(plant.agent if part == "agent" else plant.central))
        leg.count(f"{part} started on a full disk")
        plant.start_agent() if part == "agent" else plant.start_central()
        _refusing(leg, plant, disk, part)
    neighbour.unlink()
    leg.outcome.recovery_s.append(_working_again(leg, plant, part))
    leg.count(f"disk of {part} full and free again")


def _refusing(leg: Leg, plant: Plant, disk: LoopDisk, part: Part) -> None:
    """Until nothing is answered (by the agent) or committed (by central) any more, and for a while after that.

    What they free themselves, such as the ballast, the neighbour takes as well.
    """
    clock = plant.supervisor.clock
    began_s = last_s = clock.monotonic_s()
    moved = -1
    while clock.monotonic_s() - last_s < REFUSING_S:
        if clock.monotonic_s() - began_s > NOTICING_S:
            leg.outcome.problems.append(f"the full disk of {part} stopped nothing")
            return
        now = plant.line.answered if part == "agent" else plant.committed()
        if now > moved:
            moved, last_s = now, clock.monotonic_s()
        _keep_up(leg, plant, part)
        disk.fill()
        plant.supervisor.pause(SETTLING_S)


def _working_again(leg: Leg, plant: Plant, part: Part) -> float:
    """Until more is answered and committed than before; the seconds."""
    answered = plant.line.answered
    committed = 0

    def well() -> bool:
        nonlocal committed
        _keep_up(leg, plant, part)
        now = plant.committed()
        if not committed:
            committed = now
        return 0 < committed < now and plant.line.answered > answered

    return plant.supervisor.until("work on a disk with room", well, plant.patience_s)


def _keep_up(leg: Leg, plant: Plant, part: Part) -> None:
    """What a service manager does: a process that ended is started again."""
    process = plant.running(plant.agent if part == "agent" else plant.central)
    if process.code() is None:
        return
    _ended_well(leg, process)
    plant.start_agent() if part == "agent" else plant.start_central()


def _ended_well(leg: Leg, process: Process) -> None:
    code = process.wait()
    leg.count(f"ended with {code}")
    if code != STORAGE_FAILED:
        said = tail(process.log, lines=3)
        leg.outcome.problems.append(f"on a full disk a process ended with {code}, not {STORAGE_FAILED}: {said}")
