"""A production agent and the real central: setup runs until quality has approved the very line file, and again
after every local edit; nothing on the line PC lifts that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from central.agent_certificate import certificate_of
from central.store import charts
from central.store.engine import reading
from edge_agent.outbox import verify
from edge_agent.settings import load_line
from records.clock import SystemClock
from records.model import OperationRecord, OperationsEvent, Purpose
from tests.process.central_rig import CentralProcess, wait_until
from tests.process.test_agent import contiguous
from tests.process.test_reload import change, facts, more_cycles
from tests.rigs.agent import OneAgent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]
PASSWORD = "a long password"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url)
    made.command("user", "add", "chen.li", "--role", "qa", "--password-stdin", password=PASSWORD)
    made.start()
    yield made
    made.kill()


def enrolled(central: CentralProcess, folder: Path, *more: str) -> Path:
    central.command("enrol", "testing-1", "--out", str(folder), *more)
    return folder


def states(central: CentralProcess) -> dict[str, str]:
    """Hash -> state of what central has."""
    found = json.loads(central.command("configuration", "list", "--json"))
    assert all(one["needed"] and one["sound"] for one in found)
    return {one["hash"]: one["state"] for one in found}


def decide(central: CentralProcess, act: str, hash_: str) -> None:
    words = ("configuration", act, "testing-1", hash_, "--user", "chen.li", "--reason", "change 4711")
    central.command(*words, "--password-stdin", password=PASSWORD)


def said(agent: OneAgent, code: str, hash_: str) -> bool:
    return any(
        fact.header.station == "near" and isinstance(fact.data, OperationsEvent) and fact.data.code == code
        for fact in facts(agent)
        if fact.header.configuration == hash_
    )


def purposes(agent: OneAgent) -> list[tuple[str | None, Purpose, str | None]]:
    """(configuration, purpose, why) of each run, without repetitions in a row."""
    runs = [
        (fact.header.configuration, fact.data.purpose, fact.data.purpose_reason)
        for fact in facts(agent)
        if isinstance(fact.data, OperationRecord) and fact.data.station == "near"
    ]
    return [run for n, run in enumerate(runs) if n == 0 or runs[n - 1] != run]


def test_production_runs_only_by_what_quality_has_approved(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    identity = enrolled(central, tmp_path / "identity", "--production")
    agent = OneAgent(tmp_path / "agent", broker=broker.url, identity=identity)
    agent.start_machine("near")
    with agent:
        first = load_line(agent.line).hash
        until(lambda: len(agent.cycles("near")) > 2)
        wait_until(lambda: states(central) == {first: "proposed"}, "the line file at central")
        decide(central, "approve", first)
        until(lambda: said(agent, "configuration-approved", first))
        more_cycles(agent, "near")
        second = change(agent, ("near-01", "near-02"))  # a local edit
        until(lambda: said(agent, "configuration-not-approved", second))
        more_cycles(agent, "near")
        wait_until(lambda: states(central) == {first: "approved", second: "proposed"}, "the other line file")
        (identity / "mode.json").unlink()
        broker.kill()
        assert agent.stop() == 0
        agent.start()  # without central, and with what somebody took away
        more_cycles(agent, "near")
        broker.start()
        decide(central, "approve", second)
        until(lambda: said(agent, "configuration-approved", second))
        more_cycles(agent, "near")
        decide(central, "withdraw", second)
        seen = len(purposes(agent))
        until(lambda: len(purposes(agent)) > seen)
        assert agent.stop() == 0
    why = "configuration-not-approved"
    assert purposes(agent) == [
        (first, Purpose.SETUP, why),
        (first, Purpose.PRODUCTION, None),
        (second, Purpose.SETUP, why),
        (second, Purpose.PRODUCTION, None),
        (second, Purpose.SETUP, why),
    ]
    assert contiguous(agent.cycles("near"))
    assert verify(agent.folder / "buffer" / "records.db").ok
    assert central.stop() == 0
    central.command("verify")


def charted(central: CentralProcess) -> int:
    """How many points of the characteristic central has."""
    with reading(central.folder / "data" / "central.db") as connection:
        return sum(head.points for head in charts.heads(connection, None, None, "leak_rate", 1))


def chains(central: CentralProcess) -> dict[str, str]:
    """The certificate of each of the agent's streams, while it runs."""
    with reading(central.folder / "data" / "central.db") as connection:
        told = certificate_of(connection, "testing-1", SystemClock().now_us(), grace_s=600.0)
    parts = cast("list[dict[str, str]]", told["chains"])
    return {chain["stream"]: chain["grade"] for chain in parts}


CHART = """\
characteristics:
  leak_rate: {tag: near.leak_rate, chart: imr, rules: [nelson1], limits: {from: phase1, subgroups: 500}}
"""


def test_a_line_judges_by_limits_from_its_own_points_while_they_are_approved(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    central.command("user", "add", "eva", "--role", "engineer", "--password-stdin", password=PASSWORD)
    agent = OneAgent(tmp_path / "agent", broker=broker.url, identity=enrolled(central, tmp_path / "identity"))
    agent.line.write_text(agent.line.read_text() + CHART)
    agent.start_machine("near")

    def judged_by() -> list[str | None]:
        """The limits of each verdict, without repetitions in a row."""
        found = [v.limit_version for f in agent.facts() if isinstance(f, OperationRecord) for v in f.spc]
        return [one for n, one in enumerate(found) if n == 0 or found[n - 1] != one]

    def limits(*words: str, password: str = "") -> dict[str, Any]:
        found = json.loads(central.command("limits", *words, "--reason", "study 7", "--json", password=password))
        assert isinstance(found, dict)
        return found

    with agent:
        until(lambda: len(agent.cycles("near")) > 5)
        window = ("--first", "1", "--last", "5", "--by", "eva")
        wait_until(lambda: charted(central) >= 5, "points at central")
        one = limits("propose", "testing-1/near/leak_rate", *window)
        signed = (one["id"], "--user", "chen.li", "--password-stdin")
        assert limits("approve", *signed, password=PASSWORD)["state"] == "approved"
        name = f"{one['key']}:1"
        until(lambda: judged_by() == [None, name])
        assert limits("withdraw", *signed, password=PASSWORD)["state"] == "withdrawn"
        until(lambda: judged_by() == [None, name, None])
        wait_until(lambda: chains(central) == {"records": "complete", "telemetry": "complete"}, "their heads")
        assert agent.stop() == 0
    assert contiguous(agent.cycles("near"))
    assert central.stop() == 0
    central.command("verify")


def test_enrolment_says_and_keeps_how_an_agent_is_to_work(tmp_path: Path, central: CentralProcess) -> None:
    def mode(*more: str) -> str:
        answer = central.command("enrol", "testing-1", "--out", str(tmp_path / "identity"), "--json", *more)
        return str(json.loads(answer)["mode"])

    assert mode() == "open"
    assert not (tmp_path / "identity" / "mode.json").exists()
    assert mode("--production") == "production"
    assert mode() == "production"  # enrolled again, bound as before
    assert (tmp_path / "identity" / "mode.json").exists()
    assert mode("--open") == "open"
