"""Central as several processes on one PostgreSQL: any is killed or stands still, others take its partitions.

A worker that is gone is heard of by the end of its lease; one that stood still comes back and must not commit
under a lease that has passed to another.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulators.faults.fleet import Fleet
from simulators.faults.kills import CENTRAL_POINTS, EARLIEST_S, ENDED_AT_POINT, LATEST_S, SETTLING_S, YOUNG_S
from simulators.faults.leg import Leg
from simulators.faults.postgres import LocalPostgres
from simulators.starters import Process

AGENTS = 3
WORKERS = ("one", "two")
SERVE = "serve"
LEASE_S = 5
AWAY_S = (0.0, 9.0)
"""How long one is away that nobody waits for: shorter and longer than a lease."""
STILL = 3
"""In so many of ten cycles they stand still."""


class _Crew:
    """The processes that take records in, by name."""

    def __init__(self, leg: Leg, fleet: Fleet) -> None:
        self._leg, self._fleet = leg, fleet

    def process(self, name: str) -> Process:
        plant = self._fleet.plant
        return plant.running(plant.central) if name == SERVE else self._fleet.workers[name]

    def start(self, name: str, point: str | None = None) -> Process:
        """Returns at once. ``point``: where it ends itself."""
        told = {} if point is None else {"LOTKEEPER_FAILPOINT": f"{point}:{self._leg.dice.below(4) + 1}"}
        if name == SERVE:
            return self._fleet.plant.start_central(told)
        return self._fleet.start_worker(name, told)

    def kill(self, name: str) -> None:
        self.lives(name)
        self._fleet.plant.supervisor.kill(self.process(name))

    def halt(self, name: str) -> None:
        self.lives(name)
        self._fleet.plant.supervisor.signal(self.process(name), signal.SIGSTOP)

    def lives(self, name: str) -> None:
        """Others take over from one that ended; that it ended is a problem all the same."""
        code = self.process(name).code()
        if code is not None:
            self._leg.outcome.problems.append(f"{name} ended by itself with {code}")

    def go_on(self, name: str) -> None:
        self._fleet.plant.supervisor.signal(self.process(name), signal.SIGCONT)


@contextmanager
def _at_work(leg: Leg) -> Iterator[tuple[Fleet, _Crew]]:
    """Every process takes something in; drained and judged when the block is through."""
    fleet = Fleet(leg, LocalPostgres(clock=leg.workshop.clock), f"lease: {LEASE_S}s\n")
    try:
        fleet.begin()
        crew = _Crew(leg, fleet)
        for name in WORKERS:
            crew.start(name)
        for number in range(AGENTS):
            fleet.add(f"line-{number}", f"p{number}").switch_on()
        fleet.committed_beyond({pc.agent: 3 for pc in fleet.pcs})
        yield fleet, crew
        fleet.drain(fleet.pcs)
        for name in (SERVE, *WORKERS):
            crew.lives(name)
        logs = [fleet.folder / f"{name}.log" for name in (*WORKERS, "central")]
        leg.count(
            "refused a commit under a lost lease", sum(log.read_bytes().count(b"ingest-fenced") for log in logs)
        )
        fleet.judge(leg.outcome)
    finally:
        fleet.close()


def worker_kill(leg: Leg) -> None:
    """Workers and serve, one or two at a time; well again when central has committed more of every agent."""
    with _at_work(leg) as (fleet, crew):
        for _ in range(leg.cycles):
            names = [leg.dice.choose((SERVE, *WORKERS))]
            if leg.dice.below(4) == 0:
                names.append(leg.dice.choose([name for name in (SERVE, *WORKERS) if name not in names]))
            fleet.plant.supervisor.pause(leg.dice.between(EARLIEST_S, LATEST_S))
            how = leg.dice.below(10)
            if how == 0:
                recovery_s = _die_at_point(leg, fleet, crew, names[0])
            elif how == 1:
                recovery_s = _die_young(leg, fleet, crew, names[0])
            elif how < 2 + STILL:
                recovery_s = _away(leg, fleet, crew, names, "stood still", crew.halt, crew.go_on)
            else:
                recovery_s = _away(leg, fleet, crew, names, "killed at work", crew.kill, crew.start)
            leg.outcome.recovery_s.append(recovery_s)
            leg.cycle_done()


def _away(
    leg: Leg,
    fleet: Fleet,
    crew: _Crew,
    names: list[str],
    what: str,
    leave: Callable[[str], object],
    come_back: Callable[[str], object],
) -> float:
    """Some leave, and come back after a while or, where serve can be asked, only when others took over."""
    before = fleet.committed()
    for name in names:
        leave(name)
        leg.count(f"{_kind(name)} {what}")
    fleet.plant.supervisor.pause(SETTLING_S)
    if SERVE not in names:
        before = fleet.committed()
    if SERVE not in names and leg.dice.below(2):
        recovery_s = fleet.committed_beyond(before)
        leg.count("others took over meanwhile")
    else:
        recovery_s = leg.dice.between(*AWAY_S)
        fleet.plant.supervisor.pause(recovery_s)
    for name in names:
        come_back(name)
    return recovery_s + fleet.committed_beyond(before)


def _die_young(leg: Leg, fleet: Fleet, crew: _Crew, name: str) -> float:
    before = fleet.committed()
    crew.kill(name)
    crew.start(name)
    fleet.plant.supervisor.pause(leg.dice.between(0.0, YOUNG_S))
    crew.kill(name)
    crew.start(name)
    leg.count(f"{_kind(name)} killed while starting")
    return fleet.committed_beyond(before)


def _die_at_point(leg: Leg, fleet: Fleet, crew: _Crew, name: str) -> float:
    """It lives until the others have given it something to take in."""
    before = fleet.committed()
    crew.kill(name)
    process = crew.start(name, leg.dice.choose(CENTRAL_POINTS))
    fleet.until("a process at its place", lambda: process.code() is not None)
    if process.wait() != ENDED_AT_POINT:
        leg.outcome.problems.append(f"{name} ended with {process.wait()} instead of at its place")
    crew.start(name)
    leg.count(f"{_kind(name)} killed at a named place")
    return fleet.committed_beyond(before)


def _kind(name: str) -> str:
    return name if name == SERVE else "worker"
