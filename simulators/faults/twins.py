"""Two line PCs with one identity: a copied identity folder, or a disk that was copied and booted twice.

One of them is fenced: it goes on recording and stops sending, and says so; central states it. Then a person does
what the guide says: the second PC leaves, the first is enrolled again where it was the fenced one, and what the
second recorded is brought to central.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from simulators.faults.fleet import Fleet, LinePc
from simulators.faults.leg import Leg
from simulators.sockets import reserved_port

AGENT = "line-1"
FENCED = "keeps to that one"
"""What the fenced agent's status says."""
DOUBLED = b"agent-doubled"
LOOK_S = 0.2
MORE = 3
"""Cycles that both go on with once one is fenced."""


def same_id(leg: Leg) -> None:
    """A cycle is a second PC that comes and is sent away; well again when one of the two is fenced."""
    fleet = Fleet(leg)
    try:
        fleet.begin()
        first = _asked(fleet.add(AGENT))
        first.switch_on()
        fleet.committed_beyond({AGENT: 3})
        for number in range(1, leg.cycles + 1):
            second = _asked(fleet.place(f"twin-{number}", AGENT, fleet.folder / f"identity-of-twin-{number}"))
            shutil.copytree(first.identity, second.identity)
            copied = leg.dice.below(2) == 1
            if copied:
                _copy_disk(leg, first, second)
            else:
                second.switch_on()
            leg.count("a copied disk" if copied else "a copied identity")
            _one_is_fenced(leg, fleet, first, second)
            _send_away(leg, fleet, first, second, copied)
            leg.cycle_done()
        fleet.drain([first])
        fleet.judge(leg.outcome)
    finally:
        fleet.close()


def _copy_disk(leg: Leg, first: LinePc, second: LinePc) -> None:
    """Both start from the same buffer, in any order."""
    first.kill()
    shutil.copytree(first.buffer, second.buffer)
    starts = [first.start, second.switch_on]
    if leg.dice.below(2):
        starts.reverse()
    for start in starts:
        start()


def _one_is_fenced(leg: Leg, fleet: Fleet, first: LinePc, second: LinePc) -> None:
    """Until one says that it does not send; it goes on recording, and the other's records go on arriving."""
    stated = _stated(fleet)
    pair = (first, second)
    found: list[LinePc] = []

    def told() -> bool:
        fleet.plant.supervisor.pause(LOOK_S)
        found[:] = [pc for pc in pair if fenced(pc.status())]
        return bool(found)

    alive = [pc.process for pc in pair if pc.process is not None]
    leg.outcome.recovery_s.append(fleet.until("a fence around one of two", told, alive))
    (kept,) = [pc for pc in pair if pc not in found] or [first]
    leg.count(f"the {'second' if second in found else 'first'} was fenced")
    if _stated(fleet) == stated and not leg.outcome.problems:
        leg.outcome.problems.append("central did not state that two agents have one identity")
    answered = {pc.name: pc.line.answered for pc in pair}
    fleet.until("records of both", lambda: all(pc.line.answered >= answered[pc.name] + MORE for pc in pair), alive)
    fleet.until("what the kept one recorded at central", lambda: kept.pending == 0, alive)
    if len(found) != 1 or found[0].pending == 0:
        leg.outcome.problems.append(f"fenced: {[pc.name for pc in found]}; the fenced one keeps nothing back")


def _send_away(leg: Leg, fleet: Fleet, first: LinePc, second: LinePc, copied: bool) -> None:
    """The second PC goes; nothing that either recorded may be missing."""
    second.line.finish()
    fleet.until(f"the last answers of {second.name}", lambda: second.line.finished)
    _end(fleet, second)
    if copied:  # its records stand under numbers that the first one's have too: its own agent stores them anew
        _end(fleet, first)
        second.identity = fleet.enrol(AGENT)
        second.start()
        fleet.until("what the second recorded at central", lambda: second.pending == 0)
        _end(fleet, second)
        first.identity = fleet.enrol(AGENT)
        first.start()
        leg.count("enrolled again")
    else:
        brought = json.loads(
            fleet.plant.ask_central("import", str(second.export(second.folder / "export")), "--json", fine=(0, 1))
        )
        if any(brought[what] for what in ("holes", "quarantined", "conflicts")):
            leg.outcome.problems.append(f"not all of {second.name} could be brought: {brought}")
        leg.count("brought by file")
        if fenced(first.status()):
            _end(fleet, first)
            first.identity = fleet.enrol(AGENT)
            first.start()
            leg.count("enrolled again")
    answered = first.line.answered
    fleet.until("the first goes on", lambda: first.line.answered > answered)
    fleet.until("everything of the first at central", lambda: first.pending == 0)


def _asked(pc: LinePc) -> LinePc:
    pc.asked = f"status: {{port: {reserved_port()}}}\n"
    return pc


def _end(fleet: Fleet, pc: LinePc) -> None:
    if pc.process is not None:
        fleet.plant.supervisor.end(pc.process)


def _stated(fleet: Fleet) -> int:
    """How often central said that two agents have one identity."""
    return (fleet.folder / "central.log").read_bytes().count(DOUBLED)


def fenced(status: Mapping[str, Any]) -> bool:
    """Whether the agent says that it does not send."""
    central = status.get("central")
    return isinstance(central, dict) and FENCED in str(central.get("error"))
