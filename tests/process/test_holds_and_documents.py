"""A real agent, central and broker: a hold reaches the line, a wiped broker is healed, offline the line goes on by
what it knows, and what it knows gets too old."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from records.model import OperationRecord, OperationsEvent
from tests.process.central_rig import CentralProcess
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


def hold(central: CentralProcess, kind: str, name: str) -> str:
    words = ("hold", "set", kind, name, "--user", "chen.li", "--reason", "complaint 4711", "--json")
    return str(json.loads(central.command(*words, "--password-stdin", password=PASSWORD))["hold"])


def release(central: CentralProcess, name: str) -> None:
    words = ("hold", "release", name, "--user", "chen.li", "--reason", "judged good")
    central.command(*words, "--password-stdin", password=PASSWORD)


def told(agent: OneAgent, code: str) -> list[tuple[str | None, object]]:
    """Station, and the hold or the document that an event is about."""
    return [
        (fact.header.station, fact.data.params.get("hold") or fact.data.params.get("kind"))
        for fact in facts(agent)
        if isinstance(fact.data, OperationsEvent) and fact.data.code == code
    ]


def versions(agent: OneAgent) -> list[int]:
    """The version of what is held that each run knew, without repetitions."""
    runs = [fact.data for fact in facts(agent) if isinstance(fact.data, OperationRecord)]
    return list(dict.fromkeys(use.version for run in runs for use in run.documents if use.kind == "holds"))


def test_holds_over_everything_that_fails_between_central_and_line(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    identity = tmp_path / "identity"
    central.command("enrol", "testing-1", "--out", str(identity))
    agent = OneAgent(tmp_path / "agent", broker=broker.url, identity=identity)
    agent.start_machine("near")
    with agent:
        until(lambda: versions(agent) == [1])  # that nothing is held is known, too
        first = hold(central, "equipment", "near-01")
        until(lambda: told(agent, "start-barred") == [("near", first)])
        until(lambda: agent.events("ran-while-barred"))  # these machines have no permit
        release(central, first)
        until(lambda: told(agent, "start-free") == [("near", first)])

        broker.kill()
        second = hold(central, "equipment", "near-01")
        broker.wipe()
        broker.start()
        until(lambda: told(agent, "start-barred")[1:] == [("near", second)])

        broker.kill()
        assert agent.stop() == 0
        agent.start()  # without central
        more_cycles(agent, "near")
        assert told(agent, "start-free") == [("near", first)]
        assert versions(agent)[-1] == 4
        change(agent, ("uplink:", "documents: {holds: {max_age: 1s, beyond: refuse}}\nuplink:"))
        until(lambda: sorted(told(agent, "document-too-old")) == [("far", "holds"), ("near", "holds")])
        assert central.stop() == 0
        central.start()  # and a broker that knows nothing
        broker.wipe()
        broker.start()
        release(central, second)
        until(lambda: told(agent, "start-free")[1:] == [("near", second)])
        more_cycles(agent, "near")
        assert agent.stop() == 0
    last = [fact.data for fact in facts(agent) if isinstance(fact.data, OperationRecord)][-1]
    assert [(use.kind, use.version) for use in last.documents] == [("holds", 5)]
    assert {use.beyond for fact in facts(agent) if isinstance(fact.data, OperationRecord)
            for use in fact.data.documents} == {None, "refuse"}  # fmt: skip
