"""Processes killed at random moments: agent, central, broker, and any of them together.

A kill comes at any time after the process is at work, while it still starts, or at a place with a name (around a
commit, an answer, a PUBACK), where the process ends itself as a power cut would end it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from simulators.faults.leg import Leg
from simulators.faults.plant import Plant
from simulators.starters import Process

EARLIEST_S, LATEST_S = 0.02, 0.4
"""When, after it is at work, a process is killed."""
YOUNG_S = 0.3
"""Within this time after its start it is killed when it dies young."""
BROKER_DOWN_S = 0.3
SETTLING_S = 0.1
"""In this time what was under way when something died has arrived, so that it does not count as well again."""
EDGE_POINTS = (
    "station.before_capture",
    "station.after_capture",
    "outbox.before_commit",
    "outbox.after_commit",
    "station.after_commit",
    "station.after_ack",
    "station.after_done_falls",
    "station.before_ack_falls",
    "uplink.before_publish",
    "uplink.after_puback",
)
CENTRAL_POINTS = ("ingest.before_commit", "ingest.after_commit", "ingest.after_ack")
ENDED_AT_POINT = 137


@contextmanager
def at_work(leg: Leg, plant: Plant | None = None) -> Iterator[Plant]:
    """A plant whose records arrive; drained and judged when the block is through."""
    plant = plant or leg.plant()
    try:
        plant.begin()
        yield plant
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()


def edge_kill(leg: Leg) -> None:
    """The agent; well again when the next cycle is answered."""
    with at_work(leg) as plant:
        for _ in range(leg.cycles):
            kill_agent(leg, plant)
            leg.cycle_done()


def kill_agent(leg: Leg, plant: Plant) -> None:
    """Once: at work, while it starts, or at a named place."""
    how = leg.dice.below(10)
    if how == 0:
        _dies_at_place(leg, plant, plant.running(plant.agent), plant.start_agent, EDGE_POINTS)
    elif how <= 2:
        start_over(leg, plant, plant.running(plant.agent), plant.start_agent)
        plant.supervisor.kill(plant.running(plant.agent))
        leg.count("killed while starting")
    else:
        plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
        plant.supervisor.kill(plant.running(plant.agent))
        leg.count("killed at work")
    before = plant.line.answered
    plant.start_agent()
    leg.outcome.recovery_s.append(plant.answered_beyond(before))


def central_kill(leg: Leg) -> None:
    """Central; well again when it has committed more than before."""
    with at_work(leg) as plant:
        for _ in range(leg.cycles):
            kill_central(leg, plant)
            leg.cycle_done()


def kill_central(leg: Leg, plant: Plant) -> None:
    """Once: at work, while it starts, or at a named place."""
    how = leg.dice.below(10)
    before = plant.committed()
    if how == 0:
        _dies_at_place(leg, plant, plant.running(plant.central), plant.start_central, CENTRAL_POINTS)
    elif how <= 2:
        start_over(leg, plant, plant.running(plant.central), plant.start_central)
        plant.supervisor.kill(plant.running(plant.central))
        leg.count("killed while starting")
    else:
        plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
        before = max(before, plant.committed())
        plant.supervisor.kill(plant.running(plant.central))
        leg.count("killed at work")
    plant.start_central()
    leg.outcome.recovery_s.append(plant.committed_beyond(before))


def broker_wipe(leg: Leg) -> None:
    """The broker with all that it held; well again when central has committed more than before."""
    with at_work(leg) as plant:
        for _ in range(leg.cycles):
            plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
            plant.broker.kill()
            plant.supervisor.pause(leg.dice.between(SETTLING_S, BROKER_DOWN_S))
            before = plant.committed()
            plant.broker.start()
            leg.count("killed and wiped")
            leg.outcome.recovery_s.append(plant.committed_beyond(before))
            leg.cycle_done()


def all_kill(leg: Leg) -> None:
    """One, two or all three of them at one moment, and started again in any order."""
    with at_work(leg) as plant:
        for _ in range(leg.cycles):
            kill_some(leg, plant)
            leg.cycle_done()


def kill_some(leg: Leg, plant: Plant) -> None:
    """Once: any of agent, central and broker at one moment."""
    kill: dict[str, Callable[[], object]] = {
        "agent": lambda: plant.supervisor.kill(plant.running(plant.agent)),
        "central": lambda: plant.supervisor.kill(plant.running(plant.central)),
        "broker": plant.broker.kill,
    }
    start: dict[str, Callable[[], object]] = {
        "agent": plant.start_agent,
        "central": plant.start_central,
        "broker": plant.broker.start,
    }
    plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
    before = plant.committed()
    chosen = leg.dice.below(7) + 1
    names = [name for bit, name in enumerate(kill) if chosen >> bit & 1]
    for name in names:
        kill[name]()
    plant.supervisor.pause(SETTLING_S)
    before = max(before, plant.committed())
    for name in sorted(names, key=lambda _: leg.dice.between(0, 1)):
        start[name]()
        plant.supervisor.pause(leg.dice.between(0.0, YOUNG_S))
    leg.count(" and ".join(names))
    leg.outcome.recovery_s.append(plant.committed_beyond(before))


def start_over(leg: Leg, plant: Plant, process: Process, start: Callable[[], Process]) -> None:
    """Kill it and start it again; the new one may still be starting when this returns."""
    plant.supervisor.kill(process)
    start()
    plant.supervisor.pause(leg.dice.between(0.0, YOUNG_S))


def _dies_at_place(
    leg: Leg,
    plant: Plant,
    process: Process,
    start: Callable[[Mapping[str, str]], Process],
    points: Sequence[str],
) -> None:
    """Kill it, and wait until the next one has ended itself at one of its places."""
    point = leg.dice.choose(points)
    plant.supervisor.kill(process)
    process = start({"LOTKEEPER_FAILPOINT": f"{point}:{leg.dice.below(4) + 1}"})
    plant.supervisor.until("a process at its place", lambda: process.code() is not None, plant.patience_s)
    if process.wait() != ENDED_AT_POINT:
        leg.outcome.problems.append(f"a process ended with {process.wait()} instead of at its place")
    leg.count("killed at a named place")
