"""Old copies put back, on the line PC and at central, and bits that turn over in the files of both."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

from records.durable import open_reader
from records.errors import LotkeeperError
from simulators.faults.kills import at_work
from simulators.faults.leg import Leg
from simulators.faults.plant import CENTRAL, EDGE, Plant

RUN_S = (0.3, 1.5)
"""How long the line goes on between a copy and its return."""
CYCLES_BEFORE_FLIPS = 30
EDGE_ROWS = "SELECT * FROM records ORDER BY 1"
CENTRAL_ROWS = (
    "SELECT e.*, b.*, t.* FROM envelope e LEFT JOIN body b ON b.envelope_id = e.id "
    "LEFT JOIN telemetry_body t ON t.envelope_id = e.id ORDER BY e.id"
)
NOTES = ("stored_us", "received_us")
"""When an agent stored a row and when central received it: their own notes for what waits and is kept, outside the
chain and no part of the record. A flipped bit in one of them alters nothing that a record says."""
FINE, FOUND = 0, (1, 2, 3, 74)
"""Exit codes: nothing wrong; something wrong was told (a chain, a setting, what cannot be opened, a disk)."""

Rows = list[tuple[object, ...]]


def image_restore(leg: Leg) -> None:
    """The agent's whole folder is an older copy again, as after the return of a disk image: nothing tells it so.

    Everything of before had reached central: what never left a disk that was put back cannot be had again.
    """
    with at_work(leg) as plant:
        copy = leg.folder / "copy"
        for _ in range(leg.cycles):
            _rest(plant)
            plant.supervisor.kill(plant.running(plant.agent))
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(plant.buffer, copy)
            plant.start_agent()
            plant.line.go_on()
            plant.supervisor.pause(leg.dice.between(*RUN_S))
            plant.answered_beyond(plant.line.answered)
            _rest(plant)
            plant.supervisor.kill(plant.running(plant.agent))
            shutil.rmtree(plant.buffer)
            shutil.copytree(copy, plant.buffer)
            before = plant.line.answered
            plant.start_agent()
            plant.line.go_on()
            leg.outcome.recovery_s.append(plant.answered_beyond(before))
            leg.count("copies put back")
            leg.cycle_done()


def central_restore(leg: Leg) -> None:
    """Central's backup, made while it serves, is restored: the agents send again what it lacks."""
    with at_work(leg) as plant:
        for number in range(leg.cycles):
            made = json.loads(plant.ask_central("backup", "--out", str(leg.folder / f"backup-{number}"), "--json"))
            plant.supervisor.pause(leg.dice.between(*RUN_S))
            plant.committed_beyond(plant.committed())
            before = plant.committed()
            plant.supervisor.kill(plant.running(plant.central))
            plant.ask_central(
                "restore", str(made["backup"]), "--reason", "a drill of the harness", "--replace", "--json"
            )
            plant.start_central()
            leg.outcome.recovery_s.append(plant.committed_beyond(before))
            leg.count("backups made and restored")
            leg.cycle_done()


def _rest(plant: Plant) -> None:
    plant.line.hold()
    plant.settle()


def bit_rot(leg: Leg) -> None:
    """One bit at a time in the databases and logs of a killed agent and a killed central.

    ``detected``: the verification, or the next start, says so. ``harmless``: every record is as it was. All else
    is an alteration that nobody sees. ``stored_us`` of a buffer's row and ``received_us`` of central's are not
    compared: notes beside a record, for ages and retention, outside its chain.
    """
    plant = leg.plant()
    try:
        plant.begin()
        plant.answered_beyond(CYCLES_BEFORE_FLIPS)
        _rest(plant)
        plant.supervisor.kill(plant.running(plant.agent))
        plant.supervisor.kill(plant.running(plant.central))
        for source in (plant.buffer, plant.central_folder):
            shutil.copytree(source, source.with_name(f"{source.name}-whole"))
        whole = {name: _rows(plant, name) for name in (EDGE, CENTRAL)}
        for folder in (plant.buffer, plant.central_folder):
            _restore(folder)
        for _ in range(leg.cycles):
            name, file = leg.dice.choose(_files(plant))
            _flip(leg, file)
            verdict = _judge(plant, name, whole[name])
            leg.count(f"{verdict}: {file.name}")
            if verdict == "undetected":
                leg.outcome.problems.append(f"a flipped bit in {file.name} is seen by nobody")
            _restore(plant.buffer if name == EDGE else plant.central_folder)
            leg.cycle_done()
        plant.start_central()
        plant.central_serves()
        plant.start_agent()
        plant.line.go_on()
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()


def _files(plant: Plant) -> list[tuple[str, Path]]:
    named = [(EDGE, plant.buffer / "records.db"), (CENTRAL, plant.central_folder / "central.db")]
    logs = [(name, file.with_name(f"{file.name}-wal")) for name, file in named]
    return [(name, file) for name, file in (*named, *logs) if file.exists() and file.stat().st_size]


def _flip(leg: Leg, file: Path) -> None:
    at = leg.dice.below(file.stat().st_size)
    with file.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes((byte ^ 1 << leg.dice.below(8),)))


def _restore(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name(f"{folder.name}-whole"), folder)


def _rows(plant: Plant, name: str) -> Rows | None:
    """Every stored record, byte by byte, without the notes beside it; None when they cannot be read."""
    path = plant.buffer / "records.db" if name == EDGE else plant.central_folder / "central.db"
    try:
        with closing(open_reader(path)) as reader:
            found = reader.execute(EDGE_ROWS if name == EDGE else CENTRAL_ROWS)
            kept = [at for at, column in enumerate(found.description) if column[0] not in NOTES]
            return [tuple(row[at] for at in kept) for row in found]
    except Exception:  # whatever SQLite or Python make of a damaged page
        return None


def _judge(plant: Plant, name: str, whole: Rows | None) -> str:
    if name == EDGE:
        code, _, _ = plant.workshop.commands[EDGE].run(["buffer", "verify", str(plant.line_file), "--json"])
    else:
        code, _, _ = plant.workshop.commands[CENTRAL].run(["verify", "--config", str(plant.config), "--json"])
    if code in FOUND:
        return "detected"
    if code != FINE:
        raise LotkeeperError(f"verify ended with {code}")
    found = _rows(plant, name)
    if found == whole:
        return "harmless"
    if found is None or whole is None or found != whole[: len(found)]:
        return "undetected"
    return _tail_missed(plant, name)


def _tail_missed(plant: Plant, name: str) -> str:
    """The file proves itself and its last records are gone (a log ends at its first bad frame): who knows of them?

    The agent's next start compares with the note beside the file. What central lacks the agents know, to whom it
    was confirmed.
    """
    if name == CENTRAL:
        return "detected"
    before = plant.buffered()["head"]["epoch"]
    agent = plant.start_agent()
    plant.supervisor.until(
        "a start after a flipped bit",
        lambda: agent.code() is not None or plant.buffered()["head"]["epoch"] != before,
        plant.patience_s,
    )
    plant.supervisor.kill(agent)
    return "detected"
