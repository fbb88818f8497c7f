"""Machines that run out: of files that may be open, of memory, of processors. And memory that must not grow.

Limits are set on the running process from outside and taken away again. While they hold, a process may refuse or
end, with one of its own codes and never in silence; it is started again then. Only Linux has such limits.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from simulators.faults.kills import SETTLING_S, at_work
from simulators.faults.leg import Leg
from simulators.faults.plant import Plant
from simulators.faults.supervisor import memory
from simulators.starters import Process

SHORT_S = (1.0, 3.0)
"""How long something is short."""
OWN_CODES = (0, 3, 74)
"""A process that ends over it says so: something is not there, or the disk. 1 would be a fault of ours."""
MEMORY_LEFT = 1 << 20
"""Bytes that a process may still take when its memory is short."""
MAY_GROW = 96 << 20
"""Bytes by which a process may have grown when everything has arrived; a leak over a leg shows beyond that."""
BURNERS = 4
BURN = "while True: pass"


def why_not() -> str | None:
    """Why nothing can be made short here, or None."""
    return None if sys.platform == "linux" else "only Linux limits a process from outside"


def exhaustion(leg: Leg) -> None:
    """Files, memory, processors; then the same process goes on, or the next one."""
    with at_work(leg) as plant:
        before = {name: memory(process, "VmRSS") for name, process in _both(plant).items()}
        started = {name: process.pid for name, process in _both(plant).items()}
        for _ in range(leg.cycles):
            name = leg.dice.choose(("agent", "central"))
            what = leg.dice.choose(sorted(SHORTAGES))
            SHORTAGES[what](leg, plant, _both(plant)[name])
            _keep_up(leg, plant)
            leg.outcome.recovery_s.append(plant.committed_beyond(plant.committed()))
            plant.answered_beyond(plant.line.answered)
            leg.count(f"{what}: {name}")
            leg.cycle_done()
        for name, process in _both(plant).items():
            grown = memory(process, "VmRSS") - before[name]
            if process.pid == started[name] and grown > MAY_GROW:
                leg.outcome.problems.append(f"{name} grew by {grown >> 20} MiB")


def _both(plant: Plant) -> dict[str, Process]:
    return {"agent": plant.running(plant.agent), "central": plant.running(plant.central)}


def _no_files(leg: Leg, plant: Plant, process: Process) -> None:
    """It may open nothing more, and all its connections to the broker are gone: it needs new ones."""
    import resource  # POSIX alone has it

    opened = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    old = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (opened, old[1]))
    plant.broker.kill()
    plant.broker.start()
    plant.supervisor.pause(leg.dice.between(*SHORT_S))
    if process.code() is None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, old)


def _no_memory(leg: Leg, plant: Plant, process: Process) -> None:
    """It may take next to nothing more, while a backlog gathers and drains."""
    import resource

    old = resource.prlimit(process.pid, resource.RLIMIT_AS)
    plant.broker.kill()
    taken = memory(process, "VmSize")
    resource.prlimit(process.pid, resource.RLIMIT_AS, (taken + MEMORY_LEFT, old[1]))
    plant.supervisor.pause(leg.dice.between(*SHORT_S))
    plant.broker.start()
    plant.supervisor.pause(leg.dice.between(*SHORT_S))
    if process.code() is None:
        resource.prlimit(process.pid, resource.RLIMIT_AS, old)


def _no_processor(leg: Leg, plant: Plant, process: Process) -> None:
    """Others want all there is."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(BURNERS)]
    try:
        plant.supervisor.pause(leg.dice.between(*SHORT_S))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


SHORTAGES: dict[str, Callable[[Leg, Plant, Process], None]] = {
    "no files": _no_files,
    "no memory": _no_memory,
    "no processor": _no_processor,
}


def _keep_up(leg: Leg, plant: Plant) -> None:
    """What a service manager does, a moment later."""
    plant.supervisor.pause(SETTLING_S)
    for name, process in _both(plant).items():
        code = process.code()
        if code is None:
            continue
        leg.count(f"{name} ended with {code}")
        if code not in OWN_CODES:
            leg.outcome.problems.append(f"{name} ended with {code}")
        plant.start_agent() if name == "agent" else plant.start_central()
