"""A real central, broker, ERP and PostgreSQL: findings are decided, lots signed, reported and released while the
server is killed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from central.store import documents
from central.store.database import Server
from central.store.engine import reading
from central.store.orders import ORDER_DOCUMENT
from central.store.search import Wanted, facts
from central.stored import StoredFact
from records.clock import SystemClock
from records.errors import LotkeeperError
from records.keys import Identity
from records.model import Decision, Fact, OperationsEvent, Purpose, Result, encode, kind_of
from records.wire import CENTRAL
from simulators.faults.dice import Dice
from tests.process.central_rig import CentralProcess, Wire
from tests.process.test_server_killed_while_holds_are_set import amid
from tests.rigs.erps import TOKEN, SimulatedRig
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.postgres import PostgresServer
from tests.rigs.uplinks import until
from tests.unit.central.core_rig import Agent
from tests.unit.central.factories import Line

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.timeout(400)]
LOTS = 2
PASSWORD = "a long password"
KILLS = ("session", "ended", "server", "shutdown")
CLOCK = SystemClock()
LATEST_S = 0.3
"""An act takes about a tenth of a second."""
PARTS = {"body": "VB-2026-001", "ring": "SR-2026-0A"}


@dataclass
class Plant:
    """Two agents whose frames are sent by hand, and people who decide over HTTP."""

    central: CentralProcess
    broker: Mosquitto
    database: Server
    server: PostgresServer
    erp: SimulatedRig
    wires: dict[str, Wire] = field(default_factory=dict)
    line: Line = field(default_factory=lambda: Line(now_us=CLOCK.now_us() - 60_000_000))
    sent: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for name in ("assembly-1", "testing-1"):
            folder = self.central.folder / name
            self.central.command("enrol", name, "--out", str(folder))
            agent = Agent(name, Identity.open(folder).signing)
            self.wires[name] = Wire(self.broker.port, agent).__enter__()
            self.sent[name] = 1
        for user, role in (("chen.li", "qa"), ("mueller", "qa_manager")):
            words = ("user", "add", user, "--role", role, "--password-stdin")
            self.central.command(*words, password=PASSWORD)
        token = self.central.command("token", "create", "qms", "--scope", "sign")
        secret = re.search(r"\S{20,}", token)
        assert secret is not None, token
        self.central.start()
        self.program = httpx.Client(
            base_url=self.central.url, headers={"authorization": f"Bearer {secret[0]}"}, timeout=120
        )

    def close(self) -> None:
        self.program.close()
        for wire in self.wires.values():
            wire.__exit__()
        self.central.kill()

    def make_lot(self, number: int) -> str:
        """Four pieces of an order, one of them tested twice; all of it at central."""
        line, first = self.line, 4 * number + 1
        line.reference = f"WO-{1000 + number}"
        for index in range(first, first + 4):
            line.assemble(index, **PARTS)
            line.weld(index)
            if index == first:
                line.leak(index, result=Result.FAIL, value=0.8)
                line.leak(index, purpose=Purpose.RETEST)
            else:
                line.leak(index)
        line.wash(range(first, first + 4))
        for name, wire in self.wires.items():
            agent, entries = wire.agent, line.tapes[name].entries
            for header, data in entries[self.sent[name] :]:
                agent.write_body(kind_of(data), encode(Fact(header, data)))
            self.sent[name] = len(entries)
            wire.deliver(self.central.ring, len(agent.envelopes), agent.frame())
            wire.send(agent.head(CLOCK.now_us()), agent.state_topic, retain=True)
        return line.reference

    def get(self, path: str, **params: str) -> Any:
        """As soon as the server lets central in again."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(self.program.get(f"/api/v1/{path}", params=params))
            return answers[-1].status_code == 200

        until(answered)
        return answers[-1].json()

    def dhr(self, lot: str) -> Any:
        """Waits until there is one: a sweep makes it, and kills hold sweeps up."""
        until(lambda: self.get("dhrs", lot=lot)["items"])
        (found,) = self.get("dhrs", lot=lot)["items"]
        return self.get(f"dhrs/{found['id']}")

    def open_findings(self, lot: str) -> list[tuple[str, dict[str, Any]]]:
        kinds = ("exceptions", "discrepancies")
        return [
            (kind, one)
            for kind in kinds
            for one in self.get(kind, state="open")["items"]
            if one["lot"] == lot and one["state"] == "open"
        ]

    def once(self, dice: Dice, what: tuple[str, str], lot: str, act: Callable[[], httpx.Response]) -> None:
        """Done while the server is killed, and once more: the answers say what is in the chain, and it is there
        once.
        """
        answer = amid(self.server, dice.choose(KILLS), dice.between(0.0, LATEST_S), act)
        times = self.decisions(lot)[what]
        assert (answer.status_code, times) in {(201, 1), (503, 0), (503, 1)}, answer.text
        again = act()
        assert again.status_code == (409 if times else 201), again.text
        assert self.decisions(lot)[what] == 1

    def told(self) -> dict[str, dict[str, str]]:
        """Agent -> the state of each order as central's newest document of it says."""
        ring = self.central.ring
        return {
            name: {
                id_: str(document.content["state"])
                for (kind, id_), document in wire.documents(ring).items()
                if kind == ORDER_DOCUMENT and isinstance(document.content, dict)
            }
            for name, wire in self.wires.items()
        }

    def issued(self) -> dict[str, dict[str, str]]:
        with reading(self.database) as connection:
            newest = documents.of_kind(connection, ORDER_DOCUMENT)
        states = {one.id: str(one.content["state"]) for one in newest if isinstance(one.content, dict)}
        return dict.fromkeys(self.wires, states)

    def decide(self, kind: str, finding: dict[str, Any]) -> httpx.Response:
        body = {"act": "close", "reason": "looked at", "content_hash": finding["content_hash"]}
        body |= {"user": "chen.li", "password": PASSWORD}
        return self.program.post(f"/api/v1/{kind}/{finding['id']}/decisions", json=body)

    def sign(self, dhr: dict[str, Any], user: str, meaning: str) -> httpx.Response:
        body = {"user": user, "password": PASSWORD, "meaning": meaning, "content_hash": dhr["content_hash"]}
        return self.program.post(f"/api/v1/dhrs/{dhr['id']}/signatures", json=body)

    def decisions(self, lot: str) -> Counter[tuple[str, str]]:
        """Of people about a lot: act and target, and how often it stands in the chain."""
        found = [one.fact.data for one in self.stated(lot=lot, kinds=["decision"])]
        acts = [one for one in found if isinstance(one, Decision) and one.by.id != CENTRAL]
        return Counter((one.act.value, str(one.target.id)) for one in acts)

    def posted(self, order: str) -> Counter[str]:
        found = [one.fact.data for one in self.stated(order=order, codes=["erp-posted"])]
        return Counter(str(one.params["step"]) for one in found if isinstance(one, OperationsEvent))

    def stated(self, **which: Any) -> list[StoredFact]:
        """What central has stated, as soon as the server lets somebody in again."""
        found: list[list[StoredFact]] = []

        def read() -> bool:
            with suppress(LotkeeperError), reading(self.database) as connection:
                found.append(facts(connection, Wanted(agent=CENTRAL, **which)))
            return bool(found)

        until(read)
        return found[0]


@pytest.fixture
def plant(tmp_path: Path, own_server: PostgresServer) -> Iterator[Plant]:
    folder = tmp_path / "central"
    folder.mkdir()
    (folder / "erp.token").write_text(TOKEN)
    (tmp_path / "erp").mkdir()
    erp, name = SimulatedRig(tmp_path / "erp"), own_server.empty()
    with Mosquitto(tmp_path / "broker") as broker:
        more = (
            f"database: {{url: '{own_server.url(name)}'}}\n"
            f"erp: {{kind: rest, url: '{erp.url}', token: 'file:{folder / 'erp.token'}', poll_interval: 1s}}\n"
            "items: {VS-100: {gtin: '04012345000016', revision: B}}\n"
        )
        central = CentralProcess(folder, broker.url, more)
        made = Plant(central, broker, own_server.place(name), own_server, erp)
        try:
            yield made
        finally:
            made.close()
            erp.close()


def test_answers_are_true_and_each_act_is_done_once(plant: Plant) -> None:
    """Where nothing can be said for sure, the answer says so; done once more, it is told as done already."""
    dice = Dice("lots-signed", 1)
    for number in range(LOTS):
        lot = plant.make_lot(number)
        until(lambda: plant.open_findings(lot))  # noqa: B023
        for kind, finding in plant.open_findings(lot):
            plant.once(dice, ("close", finding["id"]), lot, lambda: plant.decide(kind, finding))  # noqa: B023
        for _ in range(3):  # about when it is reported, which is by itself, every few seconds
            amid(plant.server, dice.choose(KILLS), dice.between(0.0, 2.0), lambda: None)
        until(lambda: plant.posted(lot)["read-back"], 120)  # noqa: B023
        for user, meaning, act in (("chen.li", "reviewed", "review"), ("mueller", "released", "release")):
            until(lambda: plant.dhr(lot)["blockers"] == [] or meaning == "reviewed")  # noqa: B023
            dhr = plant.dhr(lot)
            plant.once(dice, (act, dhr["id"]), lot, lambda: plant.sign(dhr, user, meaning))  # noqa: B023
        assert plant.dhr(lot)["state"] == "released"
        assert plant.posted(lot) == {"confirmation": 1, "read-back": 1}
        assert len(plant.erp.book.bookings(str(number + 1))) == 1
    assert not plant.central.ended
    until(lambda: plant.told() == plant.issued())
    assert {orders[f"WO-{1000 + n}"] for orders in plant.told().values() for n in range(LOTS)} == {"closed"}
    assert json.loads(plant.central.command("verify", "--json"))["ok"]
