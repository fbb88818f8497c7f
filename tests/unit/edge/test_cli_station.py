"""``lotkeeper-edge station``: what stands, what is ended, and what is said when nobody can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent import cli_station, cli_status
from edge_agent.asking import Answered
from edge_agent.cli_station import hold_lines
from simulators.sockets import free_port
from tests.unit.edge.test_reaction_settings import LINE
from tests.unit.typing_commands import Type

LIFT = ("lift", "h-1", "--by", "B000001", "--reason", "tool changed")
RESTART = ("restart", "torque", "--by", "B000001", "--cause", "worn", "--reason", "tool changed")
HOLD: dict[str, Any] = {
    "hold": "h-1",
    "action": "hold_unit",
    "characteristic": "torque",
    "stream": "product=VS-100",
    "says": "one point beyond a control limit",
    "since": "2026-11-26T03:00:00Z",
    "times": 3,
    "units": [f"S{n}" for n in range(10)],
}


@pytest.fixture
def line(tmp_path: Path) -> Path:
    file = tmp_path / "line.yaml"
    file.write_text(f"{LINE}status: {{port: {free_port()}}}\n")
    return file


class Agent:
    """An agent that answers as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, status: int = 200, **body: Any) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answer = Answered(status, {"agent": "press-1"} | body)
        monkeypatch.setattr(cli_station, "ask", self._ask)

    def _ask(self, _loaded: object, method: str, path: str, _limit_s: float, body: Any = None) -> Answered:
        self.asked.append((method, path, body))
        return self.answer


def test_what_stands_is_told_in_words_and_as_json(
    typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Agent(monkeypatch, stations=[{"name": "seal", "held": False, "holds": [HOLD]}])
    said = typed("station", line, "seal", "holds")
    assert said.code == 1
    assert said.out.splitlines() == [
        "h-1  units held    since 2026-11-26T03:00:00Z, signalled 3 times",
        "            torque product=VS-100: one point beyond a control limit",
        "            S0, S1, S2, S3, S4, S5, S6, S7 and 2 more",
    ]
    said = typed("station", line, "seal", "holds", "--json")
    assert (said.code, said.json) == (1, {"agent": "press-1", "station": "seal", "held": False, "holds": [HOLD]})


def test_nothing_stands(typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Agent(monkeypatch, stations=[{"name": "seal", "held": False, "holds": []}])
    said = typed("station", line, "seal", "holds")
    assert (said.code, said.out) == (0, "nothing stands at seal\n")
    alarm = HOLD | {"action": "alarm", "times": 1, "units": [], "stream": None}
    assert hold_lines([alarm])[0] == "h-1  alarm         since 2026-11-26T03:00:00Z"


def test_status_tells_what_stands_under_its_station() -> None:
    station = {"name": "seal", "phase": "idle", "order": None, "operator": None, "last_cycle": "7", "prompt": None}
    station |= {"missing": ["hold"], "approved": True, "waits_to_change": False, "holds": [HOLD]}
    report = {"agent": "press-1", "running": True, "configuration": "c", "stations": [station]}
    told = cli_status._lines(report | {"buffer": None, "records": []})
    assert told[-4].startswith("station  seal")
    assert [line.strip().split()[0] for line in told[-3:]] == ["h-1", "torque", "S0,"]


def test_an_act_says_everything_and_what_became_of_it(
    typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(monkeypatch, action="hold_station")
    said = typed("station", line, "seal", *LIFT)
    assert (said.code, said.out) == (0, "h-1 is ended at seal; recorded\n")
    said = typed("station", line, "seal", *RESTART, "--stream", "product=A", "--json")
    assert (said.code, said.json["action"]) == (0, "hold_station")
    whom = {"station": "seal", "by": "B000001", "reason": "tool changed"}
    assert agent.asked == [
        ("POST", "/api/v1/lift", whom | {"hold": "h-1"}),
        ("POST", "/api/v1/restart", whom | {"characteristic": "torque", "stream": "product=A", "cause": "worn"}),
    ]


@pytest.mark.parametrize(("left", "told"), [(2, "2 of it still held"), (0, "none of it is held any more")])
def test_one_unit_of_a_hold_is_released_and_what_is_left_is_said(
    typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch, left: int, told: str
) -> None:
    agent = Agent(monkeypatch, action="hold_unit", unit="S1", left=left)
    said = typed("station", line, "seal", *LIFT, "--unit", "S1")
    assert (said.code, said.out) == (0, f"S1 of h-1 is released at seal, {told}; recorded\n")
    assert agent.asked[0][2]["unit"] == "S1"


@pytest.mark.parametrize(("status", "code"), [(404, 2), (422, 2), (504, 3)])
def test_what_the_agent_refuses_is_said_as_it_says_it(
    typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    Agent(monkeypatch, status=status, error="because it is so")
    said = typed("station", line, "seal", *LIFT)
    assert (said.code, said.out, "because it is so" in said.err) == (code, "", True)


@pytest.mark.parametrize("words", [("holds",), LIFT, RESTART])
def test_without_an_agent_it_says_what_to_do(typed: Type, line: Path, words: tuple[str, ...]) -> None:
    said = typed("station", line, "seal", *words)
    assert (said.code, said.out) == (3, "")
    assert "start it, then try again" in said.err
    line.write_text(LINE)
    said = typed("station", line, "seal", *words)
    assert (said.code, "add status: {port: 8765}" in said.err) == (3, True)


def test_what_is_typed_wrongly(typed: Type, line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = typed("station", line, "press", "holds")
    assert (said.code, "it has: seal" in said.err) == (2, True)
    for missing in (LIFT[:2], LIFT[:4], RESTART[:4], RESTART[:6]):
        assert typed("station", line, "seal", *missing).code == 2
    Agent(monkeypatch, stations=[])
    said = typed("station", line, "seal", "holds")
    assert (said.code, "works by another line file" in said.err) == (2, True), "1 says that something stands"
