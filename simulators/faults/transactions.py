"""Each kind of transaction of agent and central: how to let it happen once, and how to know that it is over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from records.durable import open_reader
from simulators.faults.older import make_0001
from simulators.faults.plant import CENTRAL, EDGE, PASSWORD, Plant
from simulators.starters import Process

CHUNKS_S = 2.5
"""In this time an agent commits telemetry more than once, and central takes it."""
KEPT = "keep_acknowledged: 14d"
SHORT = "keep_acknowledged: 1s"
PERSON = "li.na"

Over = Callable[[], bool]


def _nothing(_: Plant) -> None:
    """There is nothing to prepare."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """``prepare`` sets the scene unseen, ``traced`` gives the process id to trace from then on, ``act`` lets it
    happen once and gives what tells that it is over. ``again`` starts whoever was killed (``victim``).

    ``trend``: only in a plant with telemetry.
    """

    name: str
    traced: Callable[[Plant], int]
    act: Callable[[Plant], Over]
    victim: Callable[[Plant], Process]
    again: Callable[[Plant], object]
    prepare: Callable[[Plant], None] = _nothing
    trend: bool = False


def the_agent(plant: Plant) -> Process:
    return plant.running(plant.agent)


def the_central(plant: Plant) -> Process:
    return plant.running(plant.central)


def _agent_id(plant: Plant) -> int:
    return the_agent(plant).pid


def _central_id(plant: Plant) -> int:
    return the_central(plant).pid


def _parent(name: str) -> Callable[[Plant], int]:
    return lambda plant: plant.workshop.commands[name].pid


def _one_cycle(plant: Plant) -> Over:
    before = plant.line.answered
    plant.line.step()
    return lambda: plant.line.answered > before and plant.line.waiting == 0 and plant.buffered()["pending"] == 0


# -- starts ------------------------------------------------------------------------------------------------


def _kill_agent(plant: Plant) -> None:
    plant.supervisor.kill(the_agent(plant))


def _start_agent(plant: Plant) -> Over:
    """On the buffer that is there; at work once it answers a cycle."""
    plant.start_agent()
    return _one_cycle(plant)


def _without_buffer(plant: Plant) -> None:
    """What the old one held is at central. The next start makes schema and epoch and states its configuration."""
    _kill_agent(plant)
    plant.new_buffer()


def _kill_central(plant: Plant) -> None:
    plant.supervisor.kill(the_central(plant))


def _older_layout(plant: Plant) -> None:
    """Central's next start has its database to bring up to date."""
    _kill_central(plant)
    make_0001(plant.central_folder / "central.db")


def _start_central(plant: Plant) -> Over:
    serves = _serve(plant)
    over = _one_cycle(plant)
    return lambda: serves() and over()


def _serve(plant: Plant) -> Over:
    """Until it serves, and no further: each record more is a call more of the next upgrade."""
    log = plant.start_central().log
    return lambda: b"central serves" in log.read_bytes()


def _serve_again(plant: Plant) -> None:
    """The next start must bring the database up to date, wherever the one before ended."""
    plant.start_central()
    plant.central_serves()


def _roll_back(plant: Plant) -> None:
    """The buffer of a cycle ago comes back unseen: what follows is stored again under another epoch."""
    _kill_agent(plant)
    copy = plant.folder / "rolled-back"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(plant.buffer, copy)
    plant.supervisor.until("a cycle to forget", _start_agent(plant), plant.patience_s)
    _kill_agent(plant)
    shutil.rmtree(plant.buffer)
    shutil.copytree(copy, plant.buffer)


# -- in a buffer -------------------------------------------------------------------------------------------


def _count(plant: Plant, question: str) -> int:
    with closing(open_reader(plant.buffer / "records.db")) as reader:
        return int(reader.execute(question).fetchone()[0])


def _keep_for_a_second(plant: Plant) -> None:
    """At its next start the agent frees what central has had for that long."""
    plant.line_file.write_text(plant.line_file.read_text().replace(KEPT, SHORT))
    plant.supervisor.until("a cycle to free", _one_cycle(plant), plant.patience_s)
    _kill_agent(plant)


def _free(plant: Plant) -> Over:
    first = "SELECT min(position) FROM records"
    before, started = _count(plant, first), _start_agent(plant)
    return lambda: started() and _count(plant, first) > before


def _hold(plant: Plant) -> None:
    """A person holds an order that no line works on: a decision with its document for every agent."""
    number = len(list(plant.folder.glob("hold-*")))
    plant.folder.joinpath(f"hold-{number}").touch()
    words = ["hold", "set", "order", f"WO-HELD-{number}", "--user", PERSON, "--reason", "a drill of the harness"]
    plant.ask_central(*words, "--password-stdin", "--json", stdin=PASSWORD, fine=(0, 1, 3))


def _person(plant: Plant) -> None:
    """Somebody who may hold."""
    listed = json.loads(plant.ask_central("user", "list", "--json"))
    if not any(each["user"] == PERSON for each in listed):
        plant.ask_central("user", "add", PERSON, "--role", "qa", "--password-stdin", stdin=PASSWORD)


def _document(plant: Plant) -> Over:
    version = "SELECT coalesce(max(version), 0) FROM documents WHERE kind = 'holds'"
    before = _count(plant, version)
    _hold(plant)
    return lambda: _count(plant, version) > before


def _decide(plant: Plant) -> Over:
    _hold(plant)
    return lambda: True


def _enrol(plant: Plant) -> Over:
    number = len(list(plant.folder.glob("another-*")))
    plant.ask_central(
        "enrol", f"another-{number}", "--out", str(plant.folder / f"another-{number}"), fine=(0, 1, 3)
    )
    return lambda: True


def _chunks(plant: Plant) -> Over:
    clock = plant.supervisor.clock
    until_s = clock.monotonic_s() + CHUNKS_S
    return lambda: clock.monotonic_s() > until_s


KINDS = (
    Transaction("a record and its watermark", _agent_id, _one_cycle, the_agent, Plant.start_agent),
    Transaction("a frame at central", _central_id, _one_cycle, the_central, Plant.start_central),
    Transaction("a start of the agent", _parent(EDGE), _start_agent, the_agent, Plant.start_agent, _kill_agent),
    Transaction(
        "a start with a new buffer", _parent(EDGE), _start_agent, the_agent, Plant.start_agent, _without_buffer
    ),
    Transaction(
        "a start of central", _parent(CENTRAL), _start_central, the_central, Plant.start_central, _kill_central
    ),
    Transaction("a document at the agent", _agent_id, _document, the_agent, Plant.start_agent, _person),
    Transaction(
        "freeing what is acknowledged", _parent(EDGE), _free, the_agent, Plant.start_agent, _keep_for_a_second
    ),
    Transaction(
        "storing again after a disk was rolled back",
        _parent(EDGE),
        _start_agent,
        the_agent,
        Plant.start_agent,
        _roll_back,
    ),
    Transaction("telemetry at the agent", _agent_id, _chunks, the_agent, Plant.start_agent, trend=True),
    Transaction("telemetry at central", _central_id, _chunks, the_central, Plant.start_central, trend=True),
    Transaction("a person's decision at central", _central_id, _decide, the_central, Plant.start_central, _person),
    Transaction("an enrolment at central", _central_id, _enrol, the_central, Plant.start_central),
)
UPGRADES = (
    Transaction(
        "central's layout before 0002",
        _parent(CENTRAL),
        _serve,
        the_central,
        _serve_again,
        _older_layout,
    ),
)
