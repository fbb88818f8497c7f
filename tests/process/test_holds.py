"""A signal holds a real machine: before the answer, over a kill, until a person with a name lifts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_agent.outbox import verify
from records.model import Decision
from tests.rigs.press import ACK, HOLD, PERMIT, PressLine
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.timeout(240), pytest.mark.libmodbus]
KILLED = 137
OUTSIDE = 11.1
WRITES = (5, 6, 15, 16)


@pytest.fixture
def press(tmp_path: Path) -> Iterator[PressLine]:
    with PressLine(tmp_path) as made:
        yield made


def standing(press: PressLine) -> list[dict[str, Any]]:
    """What ``holds`` says stands."""
    said = press.typed("holds", "--json")
    found: list[dict[str, Any]] = json.loads(said.stdout)["holds"]
    assert said.returncode == (1 if found else 0), said.stderr
    return found


def locked_first(press: PressLine) -> bool:
    """Whether the machine was locked before it was answered, as the machine saw it."""
    written = [asked.address for asked in press.machine.log() if asked.function in WRITES]
    return max(written.index(HOLD), written.index(PERMIT)) < written.index(ACK)


def test_a_hold_outlives_the_agent_and_ends_only_by_a_person(press: PressLine) -> None:
    press.start("station.after_commit:2")
    until(lambda: press.agent.events("device-connected"))
    press.ready()
    press.cycle(1, 10.0, "C-1")
    press.finish(2, OUTSIDE, "C-2")
    assert press.agent.process is not None
    assert press.agent.process.wait(60) == KILLED  # the record is on disk, nothing is written yet
    assert (press.locks, press.register(ACK)) == ((1, 0), 0)
    (held,) = press.agent.events("station-held")
    assert (held.params["characteristic"], held.params["rule"], held.params["tag"]) == (
        "force",
        "nelson1",
        "press.hold",
    )
    assert [subject.id for subject in press.agent.events("unit-held")[0].subjects] == ["C-2"]
    assert [event.params["action"] for event in press.agent.events("reaction")] == [
        "alarm",
        "hold_unit",
        "hold_station",
        "escalate",
    ]
    press.machine.log()

    press.start()
    press.answered()
    assert locked_first(press)
    assert press.locks == (0, 1)
    assert press.agent.cycles("press") == [1, 2]

    found = {hold["action"]: hold for hold in standing(press)}
    assert set(found) == {"alarm", "hold_unit", "hold_station"}
    assert found["hold_unit"]["units"] == ["C-2"]
    assert found["hold_station"]["says"] == "one point beyond a control limit"
    name = str(found["hold_station"]["hold"])
    refused = press.typed("lift", name, "--by", "Chen Wei", "--reason", "tool changed")
    assert (refused.returncode, "no badge of this station" in refused.stderr) == (2, True)
    for said, status in (({"reason": "ok"}, 422), ({"hold": "h-0"}, 404), ({"station": "seal"}, 404)):
        asked = {"station": "press", "hold": name, "by": "B000001", "reason": "tool changed"} | said
        assert httpx.post(f"{press.url}/api/v1/lift", json=asked, timeout=60).status_code == status
    assert press.locks == (0, 1)
    lifted = press.typed("lift", name, "--by", "B000001", "--reason", "tool 7 changed", "--json")
    assert lifted.returncode == 0, lifted.stderr
    assert json.loads(lifted.stdout)["action"] == "hold_station"
    until(lambda: press.locks == (1, 0))
    assert press.agent.events("station-hold-lifted")[0].params == {
        "hold": name,
        "by": "B000001",
        "reason": "tool 7 changed",
    }
    (decision,) = [fact for fact in press.agent.facts() if isinstance(fact, Decision)]
    assert (decision.by.id, decision.target.id) == ("B000001", f"press/{name}")
    press.cycle(3, 10.0, "C-3")
    assert press.agent.cycles("press") == [1, 2, 3]
    assert press.agent.events("ran-while-held") == []

    assert press.agent.stop() == 0
    down = press.typed("lift", name, "--by", "B000001", "--reason", "tool 7 changed")
    assert (down.returncode, "start it, then try again" in down.stderr) == (3, True)
    assert verify(press.agent.folder / "buffer" / "records.db").ok


def test_a_machine_that_forgot_is_held_again_and_one_that_runs_is_told(press: PressLine) -> None:
    press.start()
    until(lambda: press.agent.events("device-connected"))
    press.ready()
    press.cycle(1, 10.0)
    press.machine.log()
    press.cycle(2, OUTSIDE)
    assert locked_first(press)
    assert press.locks == (0, 1)
    press.machine.set(1, "holding", PERMIT, [1, 0])  # it was switched off and on
    press.machine.drop()
    until(lambda: press.locks == (0, 1))
    press.cycle(3, 10.5, "C-2")  # it runs all the same: recorded, and told
    (ran,) = press.agent.events("ran-while-held")
    assert (ran.params["cycle"], ran.params["what"]) == ("3", "station")
    anew = press.typed("restart", "force", "--by", "B000001", "--cause", "tool worn", "--reason", "tool 7 changed")
    assert anew.returncode == 0, anew.stderr
    (restarted,) = press.agent.events("chart-restarted")
    assert (restarted.params["by"], restarted.params["cause"], restarted.params["segment"]) == (
        "B000001",
        "tool worn",
        2,
    )
    assert press.agent.stop() == 0
