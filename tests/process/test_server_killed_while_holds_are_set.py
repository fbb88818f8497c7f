"""A real central, agent, broker and PostgreSQL: holds are set and released while the server is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from records.errors import LotkeeperError
from simulators.faults.dice import Dice
from tests.process.central_rig import CentralProcess
from tests.process.test_holds_and_documents import PASSWORD, told
from tests.rigs.agent import OneAgent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.postgres import PostgresServer
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.timeout(400)]
ROUNDS = 6
T = TypeVar("T")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto, own_server: PostgresServer) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url, f"database: {{url: '{own_server.url(own_server.empty())}'}}\n")
    made.command("user", "add", "chen.li", "--role", "qa_manager", "--password-stdin", password=PASSWORD)
    made.start()
    yield made
    made.kill()


def kill(own_server: PostgresServer, how: str) -> None:
    """Its writer's process, all of central's sessions by an administrator ("ended"), all of it as a crash does, or
    by an administrator's immediate shutdown.
    """
    if how == "ended":
        with own_server.admin() as admin:
            query = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'lotkeeper %'"
            )
            admin.execute(query)
        return
    if how == "session":
        with own_server.admin() as admin:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lotkeeper writer'"
            for (pid,) in admin.execute(query).fetchall():
                with suppress(ProcessLookupError):
                    os.kill(int(str(pid)), signal.SIGKILL)
        return
    own_server.stop(signal.SIGKILL if how == "server" else signal.SIGQUIT)


def bring_back(own_server: PostgresServer) -> None:
    """Sessions of one that was killed may take a moment to notice that, and keep the next one out."""

    def starts() -> bool:
        with suppress(LotkeeperError, psycopg.OperationalError):
            if not own_server.alive:
                own_server.start()
            own_server.admin().close()
            return True
        return False

    until(starts)


def listed(central: CentralProcess) -> list[dict[str, Any]]:
    """Every hold, as soon as the server lets central in again."""
    found: list[list[dict[str, Any]]] = []

    def answers() -> bool:
        with suppress(AssertionError):
            found.append(json.loads(central.command("hold", "list", "--json")))
        return bool(found)

    until(answers)
    return found[0]


def decide(central: CentralProcess, *words: str) -> dict[str, Any] | None:
    """What was decided; None: something else was answered."""
    words = ("hold", *words, "--user", "chen.li", "--json", "--password-stdin")
    with suppress(AssertionError):
        decided: dict[str, Any] = json.loads(central.command(*words, password=PASSWORD))
        return decided
    return None


def amid(own_server: PostgresServer, how: str, after_s: float, act: Callable[[], T]) -> T:
    """Act while the server is killed and comes back."""
    with ThreadPoolExecutor(1) as other:
        acting = other.submit(act)
        threading.Event().wait(after_s)  # the moment is the dice's choice
        kill(own_server, how)
        bring_back(own_server)  # here: it ends with the thread that starts it
        return acting.result(120)


def test_answers_are_true_and_each_hold_reaches_the_line_once(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto, own_server: PostgresServer
) -> None:
    """Where nothing can be said for sure, the answer says so; set once more, it is the hold that stands."""
    dice = Dice("server-kills", 1)
    identity = tmp_path / "identity"
    central.command("enrol", "testing-1", "--out", str(identity))
    agent = OneAgent(tmp_path / "agent", broker=broker.url, identity=identity)
    with agent:
        for number in range(ROUNDS):
            how, reason = ("session", "server", "shutdown")[number % 3], f"complaint {number}"
            setting = ("set", "equipment", "near-01", "--reason", reason)
            answer = amid(own_server, how, dice.between(0.0, 0.4), lambda: decide(central, *setting))  # noqa: B023
            stored = [one for one in listed(central) if one["reason"] == reason]
            assert len(stored) <= 1
            assert stored or answer is None, "it was said that it is stored"
            again = decide(central, *setting)
            assert again is not None
            assert [one["hold"] for one in stored or [again]] == [again["hold"]]
            hold = again["hold"]
            until(lambda: told(agent, "start-barred").count(("near", hold)) == 1)  # noqa: B023
            releasing = ("release", hold, "--reason", "judged good")
            answer = amid(own_server, how, dice.between(0.0, 0.4), lambda: decide(central, *releasing))  # noqa: B023
            (stored,) = [one for one in listed(central) if one["hold"] == hold]
            if stored["state"] == "standing":
                assert answer is None, "it was said that it is released"
                assert decide(central, *releasing) is not None
            until(lambda: told(agent, "start-free").count(("near", hold)) == 1)  # noqa: B023
        assert len(listed(central)) == ROUNDS
        assert sorted(told(agent, "start-barred")) == sorted(("near", one["hold"]) for one in listed(central))
    assert not central.ended
    assert json.loads(central.command("verify", "--json"))["ok"]
