"""A buffer's folder in bad hands, and a disk that takes its time.

Whatever is done to the files happens after everything in them has reached central: what never left a disk that was
destroyed cannot be had again. What must hold is the rest: the agent starts, says what it found, uses no number
twice, and nothing of what comes then is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from records.durable import open_writer
from simulators.faults.kills import at_work
from simulators.faults.leg import Leg
from simulators.faults.plant import Plant
from simulators.faults.tracing import SYNCS, Tracer

DELAYS_MS = (100, 300, 1000)
"""How long each sync of a slow disk takes."""
SLOW_S = (2.0, 4.0)

Harm = Callable[[Leg, Path], None]


def _log_lost(_: Leg, database: Path) -> None:
    database.with_name(f"{database.name}-wal").unlink(missing_ok=True)


def _log_cut(leg: Leg, database: Path) -> None:
    _cut(leg, database.with_name(f"{database.name}-wal"))


def _lost(_: Leg, database: Path) -> None:
    for path in (database, database.with_name(f"{database.name}-wal")):
        path.unlink(missing_ok=True)


def _cut_short(leg: Leg, database: Path) -> None:
    _cut(leg, database)


def _emptied(_: Leg, database: Path) -> None:
    database.write_bytes(b"")


def _of_another(_: Leg, database: Path) -> None:
    """As if the folders of two agents had been swapped."""
    with closing(open_writer(database)) as db:
        db.execute("UPDATE control SET value = 'another-1' WHERE name = 'agent'")


def _garbage(leg: Leg, database: Path) -> None:
    database.write_bytes(bytes(leg.dice.below(256) for _ in range(8192)))


def _note_garbled(_: Leg, database: Path) -> None:
    database.with_name("epoch.json").write_bytes(b'{"agent":')


def _cut(leg: Leg, path: Path) -> None:
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(leg.dice.below(path.stat().st_size + 1))


HARMS: dict[str, Harm] = {
    "log deleted": _log_lost,
    "log cut": _log_cut,
    "database deleted": _lost,
    "database cut": _cut_short,
    "database emptied": _emptied,
    "database of another agent": _of_another,
    "garbage for a database": _garbage,
    "note garbled": _note_garbled,
}


def files(leg: Leg) -> None:
    """The agent's files are deleted, cut, emptied or exchanged while it is down."""
    with at_work(leg) as plant:
        for cycle in range(leg.cycles):
            plant.line.hold()
            plant.settle()
            plant.supervisor.kill(plant.running(plant.agent))
            name = list(HARMS)[cycle % len(HARMS)]
            HARMS[name](leg, plant.buffer / "records.db")
            leg.count(name)
            before = plant.line.answered
            plant.start_agent()
            plant.line.go_on()
            leg.outcome.recovery_s.append(plant.answered_beyond(before))
            plant.committed_beyond(plant.committed())
            leg.cycle_done()


def slow_disk(leg: Leg) -> None:
    """Each sync of the agent takes its time, and in the middle of one the agent is killed.

    An answer that came before its sync was over is a cycle that is missing in the end. That the line waits for the
    disk, and does not pile up behind it, shows in the answers: no more than each machine's one for each sync.
    """
    with at_work(leg) as plant:
        for _ in range(leg.cycles):
            delay_ms = leg.dice.choose(DELAYS_MS)
            agent = plant.running(plant.agent)
            before = plant.line.answered
            tracer = Tracer(agent.pid, SYNCS, f"delay_exit={delay_ms}000")
            try:
                seconds = leg.dice.between(*SLOW_S)
                plant.supervisor.pause(seconds)
                _judge_pace(leg, plant, plant.line.answered - before, seconds * 1000 / delay_ms)
                plant.supervisor.kill(agent)
            finally:
                tracer.detach()
            leg.count(f"syncs of {delay_ms} ms")
            before = plant.line.answered
            plant.start_agent()
            leg.outcome.recovery_s.append(plant.answered_beyond(before))
            leg.cycle_done()


def _judge_pace(leg: Leg, plant: Plant, answers: int, syncs: float) -> None:
    """A group commit takes at most one cycle of each machine along; one more was under way before."""
    most = (syncs + 2) * len(plant.line.ports)
    if answers > most:
        leg.outcome.problems.append(f"{answers} answers in the time of {syncs:.1f} syncs")
