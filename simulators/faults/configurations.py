"""Line files as people write them while the agent runs: wrong, half written, right again."""

from __future__ import annotations

from collections.abc import Callable

from simulators.faults.kills import at_work
from simulators.faults.leg import Leg
from simulators.faults.plant import Plant

REFUSED, LOADED = "configuration-refused", "configuration-loaded"
CONFIGURATION_ERROR = 2

Edit = Callable[[str], str]

WRONG: dict[str, Edit] = {
    "no YAML": lambda text: text.replace("devices:", "devices: [", 1),
    "half written": lambda text: text[: len(text) // 2],
    "unknown key": lambda text: text.replace("poll_interval:", "pol_interval:", 1),
    "a tag twice": lambda text: text.replace("name: cycle_ack", "name: cycle_done", 1),
    "no unit": lambda text: text.replace("poll_interval: 10ms", "poll_interval: 10", 1),
    "an unknown tag": lambda text: text.replace(".cycle_result,", ".cycle_resutl,", 1),
    "another agent": lambda text: text.replace("agent: ", "agent: not-", 1),
    "empty": lambda _: "",
}
"""What the agent must refuse, each in its own way."""


def config(leg: Leg) -> None:
    """A wrong file changes nothing and is told once; killed over it, the next start refuses it with its own code.

    A right one is taken while the line goes on. Each cycle is a wrong file and then a right one.
    """
    with at_work(leg) as plant:
        first = good = plant.line_file.read_text()
        for cycle in range(leg.cycles):
            name = list(WRONG)[cycle % len(WRONG)]
            _write(plant, WRONG[name](good), REFUSED)
            plant.answered_beyond(plant.line.answered)
            if leg.dice.below(2) == 0:
                _start_over(leg, plant, good)
            good = first.replace("poll_interval: 10ms", f"poll_interval: {11 + cycle % 5}ms", 1)
            leg.outcome.recovery_s.append(_write(plant, good, LOADED))
            plant.answered_beyond(plant.line.answered)
            leg.count(f"refused: {name}")
            leg.cycle_done()


def _write(plant: Plant, text: str, code: str) -> float:
    """Write it as an editor does, in place, and wait until the agent says what it makes of it; the seconds."""
    before = plant.events(code)
    plant.line_file.write_text(text)
    return plant.told(code, before + 1)


def _start_over(leg: Leg, plant: Plant, good: str) -> None:
    """By a wrong file no agent starts; by the last good one it goes on."""
    plant.supervisor.kill(plant.running(plant.agent))
    agent = plant.start_agent()
    plant.supervisor.until("a refused start", lambda: agent.code() is not None, plant.patience_s)
    if agent.code() != CONFIGURATION_ERROR:
        leg.outcome.problems.append(
            f"started by a wrong file it ended with {agent.code()}, not {CONFIGURATION_ERROR}"
        )
    leg.count("no start by a wrong file")
    before = plant.line.answered
    plant.line_file.write_text(good)
    plant.start_agent()
    plant.answered_beyond(before)
