"""An identifier longer than any index holds stops no stream, on neither store; the longest one is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import and_, update

from central.store import envelopes, intake, lot_uses
from central.store.schema import fact_index
from central.verify import verify
from records.model import LONGEST_ID, Act, Data, Decision, OperationRecord, Person, Target
from tests.rigs import stores
from tests.rigs.trends import TrendAgent
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event
from tests.unit.central.factories import Line

pytestmark = pytest.mark.both_stores


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def agent(rig: Rig) -> Agent:
    return rig.enrol(Agent())


def _any(length: int, first: int, last: int) -> str:
    """Text of characters from ``first`` to ``last`` that compression does not shorten much."""
    return "".join(map(chr, np.random.default_rng(1).integers(first, last, length, endpoint=True)))


def _long(length: int) -> str:
    return _any(length, 0x30, 0x7A)


def _unit(serial: str) -> OperationRecord:
    record = Line().leak(1)
    renamed = [replace(each, subject=replace(each.subject, id=serial)) for each in record.subjects]
    return replace(record, subjects=tuple(renamed))


def _quarantined(rig: Rig) -> list[intake.Quarantined]:
    with rig.store.read() as connection:
        return intake.quarantined(connection)


def _proven(rig: Rig) -> bool:
    with rig.store.read() as connection:
        rig.facts.anchor(intake.watermarks(connection))
    return verify(stores.place(rig.folder), rig.folder / "anchors.jsonl", rig.ring.keys()).ok


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (event("scan-refused", order=_long(6000)), "work_order"),
        (event("scan-refused", lot=_long(6000)), "lot"),
        (event("scan-refused", run_id=_long(6000)), "run_id"),
        (event(_long(6000)), "code"),
        (_unit(_long(2800)), "subject"),
        (_unit("x" * (LONGEST_ID + 1)), "subject"),
        (replace(Line().leak(1), lot="批" * (LONGEST_ID + 1)), "lot"),
        (Decision(Act.COMMENT, Target("order", _long(6000)), Person("B-1"), "why"), "work_order"),
    ],
)
def test_an_identifier_that_no_index_holds_does_not_stop_its_stream(
    rig: Rig, agent: Agent, said: Data, name: str
) -> None:
    agent.write(said, event(order="WO-last"))
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    with rig.store.read() as connection:
        held = [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]
    assert held == [e.hash for e in agent.envelopes]
    (row,) = _quarantined(rig)
    assert (row.reason, row.envelope is not None) == ("body", True)
    assert row.detail.startswith(f"{name}: ")
    assert f"more than {LONGEST_ID}" in row.detail
    assert rig.store.facts(order="WO-last", agent=agent.name)
    assert _proven(rig)


def test_the_longest_identifiers_are_held_and_found(rig: Rig, agent: Agent) -> None:
    longest = _any(LONGEST_ID, 0x20000, 0x29FFF)  # four bytes each
    record = replace(_unit(longest), run_id=longest, order=longest, product=longest, lot=longest)
    agent.write(record)
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    assert _quarantined(rig) == []
    rig.store.write(lambda c: lot_uses.put(c, longest, {(longest, longest): "1"}))
    for found in (rig.store.facts(subject=longest), rig.store.facts(order=longest), rig.store.facts(lot=longest)):
        assert [fact.fact.data for fact in found] == [record]


def test_what_a_file_took_of_longer_ones_before_there_was_a_longest_stays_and_is_fine(
    rig: Rig, agent: Agent
) -> None:
    agent.write(event("scan-refused", lot="L" * (LONGEST_ID + 1)))
    rig.ingest.take(agent.topic, agent.frame())
    last = and_(fact_index.c.agent == agent.name, fact_index.c.kind == "operations_event")
    told = {"readable": True, "lot": "L" * (LONGEST_ID + 1), "code": "scan-refused"}
    told |= {"at_us": core_rig.HEADER.at_us, "station": core_rig.HEADER.station}
    with rig.store.read() as connection:
        assert connection.execute(fact_index.select().where(last)).one().readable is False
    rig.store.write(lambda c: c.execute(update(fact_index).where(last).values(told)))
    assert rig.store.facts(codes=["scan-refused"])
    assert _proven(rig)


def test_a_chunk_of_a_device_whose_name_no_index_holds_does_not_stop_its_stream(rig: Rig) -> None:
    agent = TrendAgent(device=_long(6000)).enrol(rig.store, rig.clock.now_us())
    agent.send(rig.ingest, agent.body([(rig.clock.now_us(), 1.0, 0)]))
    agent.device = "welder"
    agent.send(rig.ingest, agent.body([(rig.clock.now_us(), 1.0, 0)]))
    assert [row.reason for row in _quarantined(rig)] == ["body"]
    assert _proven(rig)


def test_a_topic_that_no_index_holds_goes_to_quarantine(rig: Rig) -> None:
    topic = "lotkeeper/v1/up/" + _any(2000, 0x4E00, 0x9FA5)
    for _ in range(2):
        assert rig.ingest.take(topic, b"x").result == "quarantined"
    assert [row.reason for row in _quarantined(rig)] == ["topic"]
