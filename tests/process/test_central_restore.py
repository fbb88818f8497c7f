"""Central dies, its backup is put back: the real agent sends again what the backup missed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from central.store import intake, search
from central.store.engine import reading
from edge_agent.outbox import Batch, Outbox, export
from edge_agent.uplink import Uplink
from records.clock import SystemClock
from records.keys import Identity
from records.model import (
    Fact,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    decode,
)
from tests.process.central_rig import CentralProcess, wait_until
from tests.process.test_central_agent import agent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, batch, header
from tests.rigs.outboxes import held as held_rows

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url)
    yield made
    made.kill()


def facts(central: CentralProcess, code: str) -> list[OperationsEvent]:
    with reading(central.folder / "data" / "central.db") as connection:
        found = search.facts(connection, search.Wanted(agent=AGENT, codes=[code]))
    return [f.fact.data for f in found if isinstance(f.fact.data, OperationsEvent)]


def orders(central: CentralProcess) -> Counter[str]:
    return Counter(str(event.params["order"]) for event in facts(central, "order-started"))


def write(outbox: Outbox, first: int, last: int) -> None:
    for future in [outbox.commit(batch(n, SystemClock())) for n in range(first, last + 1)]:
        future.result()
    wait_until(lambda: outbox.pending().records == 0, f"the watermark of {last}")


def test_what_the_backup_missed_comes_again_once(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    central.command("enrol", AGENT, "--out", str(tmp_path / "identity"))
    identity = Identity.open(tmp_path / "identity")
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        write(outbox, 1, 20)
        made = json.loads(central.command("backup", "--out", str(tmp_path / "backups"), "--json"))
        write(outbox, 21, 40)
    assert central.command("restore", made["backup"], "--reason", "test", code=3).count("in use") == 1
    central.kill()
    refused = central.command("restore", made["backup"], "--reason", "the disk died", code=3)
    assert "records more than the backup" in refused
    done = json.loads(
        central.command("restore", made["backup"], "--reason", "the disk died", "--replace", "--json")
    )
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 21)})
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as (outbox, _):
        wait_until(lambda: len(orders(central)) == 40, "what the backup missed")
        write(outbox, 41, 50)
    assert orders(central) == Counter({f"WO-{n}": 1 for n in range(1, 51)}), "nothing missing, nothing twice"
    (told,) = facts(central, "central-restored")
    assert (told.params["generation"], told.params["lost_first"]) == (done["generation"], None)
    assert central.stop() == 0
    answer = json.loads(central.command("verify", "--json"))
    assert (answer["ok"], answer["restores"]) == (True, 1)


LOTS = {"WO-1": 0, "WO-2": 1, "WO-4": 1, "WO-5": 0, "WO-6": 0}
"""Lots by what ``certificate`` ends with; of WO-3 nothing is left at all."""


def run(order: str, cycle: int) -> Fact:
    """One machine cycle of a lot that has its order's name."""
    clock = SystemClock()
    at_us = clock.now_us()
    subject = Subject(SubjectKind.CARRIER, f"C{cycle}")
    record = OperationRecord(
        run_id=f"run-{cycle}",
        station="weld",
        equipment="WELD-01",
        operation="OP20",
        order=order,
        product="VS-100",
        lot=order,
        purpose=Purpose.PRODUCTION,
        attempt=1,
        cycle=cycle,
        began_us=at_us,
        ended_us=at_us,
        outcome=Outcome.COMPLETED,
        subjects=(SubjectResult(subject, Result.PASS, 1),),
    )
    return Fact(replace(header(clock), station="weld"), record)


def work(outbox: Outbox, order: str, cycles: range) -> None:
    """Run cycles of an order, until central has them."""
    for future in [outbox.commit(Batch((run(order, cycle),))) for cycle in cycles]:
        future.result()
    wait_until(lambda: outbox.pending().records == 0, f"the watermark of {order}")


def cycles(central: CentralProcess) -> list[int | None]:
    with reading(central.folder / "data" / "central.db") as connection:
        found = search.facts(connection, search.Wanted(agent=AGENT, kinds=["operation_record"]))
    return [f.fact.data.cycle for f in found if isinstance(f.fact.data, OperationRecord)]


def events_of(buffer: Path) -> list[OperationsEvent]:
    """What the line itself has kept."""
    data = [decode(row.kind, row.body or b"").data for row in export(buffer / "records.db")]
    return [each for each in data if isinstance(each, OperationsEvent)]


def certified(central: CentralProcess, *what: str, code: int = 1) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(central.command("certificate", *what, "--json", code=code))
    return told


def stated(central: CentralProcess, agent_: tuple[Outbox, Uplink]) -> None:
    """Wait until central has the agent's signed head."""
    agent_[1].request_head()
    head = agent_[0].head()

    def there() -> bool:
        with reading(central.folder / "data" / "central.db") as connection:
            known = intake.head_of(connection, AGENT, head.epoch, "records")
        return known is not None and known.last >= head.last

    wait_until(there, "the head")


def test_what_the_line_no_longer_has_is_a_gap_with_a_name(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    """WO-1 lies before the gap, WO-2 ends in it, WO-3 lies in it, WO-4 begins in it, WO-5 lies behind it."""
    central.command("enrol", AGENT, "--out", str(tmp_path / "identity"))
    identity = Identity.open(tmp_path / "identity")
    central.start()
    with agent(tmp_path / "outbox", identity, broker) as line:
        work(line[0], "WO-1", range(1, 6))
        work(line[0], "WO-2", range(6, 11))
        stated(central, line)
        made = json.loads(central.command("backup", "--out", str(tmp_path / "backups"), "--json"))
        held = line[0].head()
    with agent(tmp_path / "outbox", identity, broker, keep_acknowledged_s=0.0) as (outbox, _):
        work(outbox, "WO-2", range(11, 16))
        work(outbox, "WO-3", range(16, 21))
        work(outbox, "WO-4", range(21, 26))
        lost = outbox.head()
        wait_until(lambda: not held_rows(outbox), "what is freed")
    with agent(tmp_path / "outbox", identity, broker) as line:
        work(line[0], "WO-4", range(26, 31))
        work(line[0], "WO-5", range(31, 36))
        central.kill()
        central.command("restore", made["backup"], "--reason", "the disk died", "--replace", "--json")
        assert cycles(central) == [*range(1, 11)]
        central.start()
        wait_until(lambda: len(cycles(central)) == 20, "what the line still has")
        work(line[0], "WO-6", range(36, 41))
        stated(central, line)
    assert cycles(central) == [*range(1, 11), *range(26, 41)], "nothing twice, and all behind the gap"
    named = {"epoch": held.epoch, "first": held.last + 1, "last": lost.last}
    (told,) = facts(central, "central-restored")
    (noted,) = (fact for fact in events_of(tmp_path / "outbox") if fact.code == "central-restored")
    assert told == noted
    assert (told.params["lost_first"], told.params["lost_last"]) == (str(held.last + 1), str(lost.last))

    of_agent = certified(central, "--agent", AGENT)
    before, behind = of_agent["chains"]
    assert (of_agent["grade"], before["lost"], behind["lost"]) == ("incomplete", [], [named])
    assert (before["grade"], behind["grade"], behind["missing"]) == ("incomplete", "incomplete", 0)
    assert of_agent["cycles"][0]["unaccounted"] == [*range(11, 26)]
    said = central.command("certificate", "--agent", AGENT, code=1)
    assert f"lost: records {named['first']} to {named['last']} of {held.epoch}:" in said
    lots = {lot: certified(central, "--lot", lot, code=code) for lot, code in LOTS.items()}
    told_of = {
        lot: (each["grade"], [c["lost"] for c in each["chains"] if c["lost"]]) for lot, each in lots.items()
    }
    by_name_only = [
        [{**named, "signed": False}]
    ]  # what became of them, central was told; no head of theirs is here
    assert told_of == {
        lot: ("incomplete", by_name_only) if code else ("complete", []) for lot, code in LOTS.items()
    }
    assert "no lot WO-3" in central.command("certificate", "--lot", "WO-3", code=2)

    assert central.stop() == 0
    verified = json.loads(central.command("verify", "--json"))
    assert (verified["ok"], verified["restores"]) == (True, 1)
    assert verified["gaps"] == [{"agent": AGENT, **named}]
    assert f"{AGENT} made records {named['first']} to {named['last']}" in central.command("verify")
