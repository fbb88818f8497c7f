"""Killed at every write and every sync of each kind of transaction, and disks that answer with an error."""

from __future__ import annotations

from records.errors import LotkeeperError
from simulators.faults.kills import at_work
from simulators.faults.leg import Leg
from simulators.faults.plant import Plant
from simulators.faults.tracing import SYNCS, WRITES, Tracer
from simulators.faults.transactions import KINDS, UPGRADES, Transaction, the_agent, the_central
from simulators.starters import Process

KILLED = -9
STORAGE_FAILED = 74
MOST_POINTS = 4000
"""A transaction with more calls than this is none of ours: the scenario would not end."""
NO_ROOM = "error=ENOSPC"
REFUSING_S = 0.5
"""How long writes find no room."""
STOPS_WITHIN_S = 30.0
UPGRADE_EVERY = 16
EVERY = 1
"""Cut at each call; a short test leaves some out."""
ERRORS = (
    (SYNCS, "error=EIO"),
    (("pwrite64",), "error=EIO"),
    (("pwrite64",), NO_ROOM),
)


def syscall_kill(leg: Leg) -> None:
    """Each kind of transaction from its first call on, until it comes through without reaching the n-th.

    ``cycles`` are kinds of transactions, beginning with the one that the seed names; their cut points are counted.
    """
    first = leg.outcome.seed - 1
    _cut_kinds(leg, [KINDS[(first + number) % len(KINDS)] for number in range(leg.cycles)])


def upgrade(leg: Leg) -> None:
    """The same of the step from an older layout of central's database, which has hundreds of calls: a leg cuts at
    every sixteenth, from the one on that its seed names. Sixteen seeds cut at each.
    """
    _cut_kinds(leg, list(UPGRADES[: leg.cycles]), 1 + (leg.outcome.seed - 1) % UPGRADE_EVERY, UPGRADE_EVERY)


def _cut_kinds(leg: Leg, kinds: list[Transaction], first: int = 1, every: int = 1) -> None:
    with at_work(leg, leg.plant(line={"trend": any(kind.trend for kind in kinds)})) as plant:
        plant.line.hold()
        plant.settle()
        for transaction in kinds:
            points = _cut_all(leg, plant, transaction, first, every * EVERY)
            leg.count(f"cut points of {transaction.name}", points)
            leg.cycle_done()
        plant.line.go_on()


def _cut_all(leg: Leg, plant: Plant, transaction: Transaction, first: int, every: int) -> int:
    """Cut at one call after the other; at how many."""
    for count, point in enumerate(range(first, MOST_POINTS, every)):
        code = _cut(plant, transaction, point)
        if code is None:
            plant.settle()
            return count
        if code != KILLED:
            leg.outcome.problems.append(f"{transaction.name} cut at call {point}: ended with {code}")
        began_s = plant.supervisor.clock.monotonic_s()
        transaction.again(plant)
        plant.settle()
        leg.outcome.recovery_s.append(plant.supervisor.clock.monotonic_s() - began_s)
    raise LotkeeperError(f"{transaction.name} has more than {MOST_POINTS} calls")


def _cut(plant: Plant, transaction: Transaction, point: int) -> int | None:
    """How it ended at its n-th call; None when it came through."""
    transaction.prepare(plant)
    tracer = Tracer(transaction.traced(plant), SYNCS + WRITES, f"signal=SIGKILL:when={point}")
    try:
        over = transaction.act(plant)
        victim = transaction.victim(plant)
        plant.supervisor.until(
            f"call {point} of {transaction.name}", lambda: victim.code() is not None or over(), plant.patience_s
        )
    finally:
        tracer.detach()
    return victim.code()  # only now: its other work may reach the call until it is let go


def io_error(leg: Leg) -> None:
    """A write or a sync fails, once or from then on: the process ends with code 74 and the next one goes on.

    A write that finds no room is refused instead, and the same process goes on when there is room.
    """
    with at_work(leg) as plant:
        for cycle in range(leg.cycles):
            fail_once(leg, plant, of_agent=cycle % 2 == 0)
            leg.cycle_done()


def fail_once(leg: Leg, plant: Plant, *, of_agent: bool) -> None:
    """One process whose disk answers with an error, and its next start. Only no room is survived."""
    victim = the_agent(plant) if of_agent else the_central(plant)
    calls, error = leg.dice.choose(ERRORS)
    when = f"{leg.dice.below(12) + 1}{leg.dice.choose(('', '+'))}"
    code = _fail(leg, plant, victim, calls, f"{error}:when={when}")
    if code not in (STORAGE_FAILED, *((None,) if error == NO_ROOM else ())):
        leg.outcome.problems.append(f"{error} in {calls[0]} ({when}): ended with {code}, not {STORAGE_FAILED}")
    answered, committed = plant.line.answered, plant.committed()
    if code is not None:
        plant.start_agent() if of_agent else plant.start_central()
    if of_agent:
        leg.outcome.recovery_s.append(plant.answered_beyond(answered))
    else:
        leg.outcome.recovery_s.append(plant.committed_beyond(committed))
    how = "survived" if code is None else f"ended with {code}"
    leg.count(f"{error.removeprefix('error=')} in {calls[0]}: {how}")


def _fail(leg: Leg, plant: Plant, victim: Process, calls: tuple[str, ...], what: str) -> int | None:
    """Let calls fail until the process ends, or for a while when there is no room; how it ended."""
    log = leg.folder / "calls.log"
    log.unlink(missing_ok=True)
    tracer = Tracer(victim.pid, calls, what, log)
    try:
        plant.supervisor.until(
            f"an I/O error ({what})", lambda: victim.code() is not None or tracer.injected, plant.patience_s
        )
        if what.startswith(NO_ROOM):
            plant.supervisor.pause(REFUSING_S)
            return victim.code()
        plant.supervisor.until(
            f"a process that stops at an I/O error ({what})", lambda: victim.code() is not None, STOPS_WITHIN_S
        )
    finally:
        tracer.detach()
    return victim.code()
