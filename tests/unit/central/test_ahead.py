"""Central notices that an agent believes to be confirmed what is no longer here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central import ahead, doctor_keeping
from records.clock import MICROSECONDS
from records.model import OperationsEvent
from tests.rigs import stores
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event

pytestmark = pytest.mark.both_stores

LASTING_S = ahead.LASTING_US / MICROSECONDS


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def stated(rig: Rig) -> list[OperationsEvent]:
    found = rig.store.facts(codes=[ahead.CODE], stream="audit")
    return [each.fact.data for each in found if isinstance(each.fact.data, OperationsEvent)]


def told(rig: Rig) -> list[str]:
    with rig.store.read() as connection:
        return [each.says for each in doctor_keeping.behind(connection)]


def test_an_agent_that_goes_on_behind_what_an_older_copy_lacks_is_told_of(rig: Rig) -> None:
    agent = rig.enrol(Agent())
    agent.write(event(order="WO-1"))
    rig.ingest.take(agent.topic, agent.frame())
    rig.store.close()
    older = stores.snapshot(rig.folder)
    later = rig.reopen()
    agent.write(event(order="WO-2"))
    later.ingest.take(agent.topic, agent.frame(3))
    later.store.close()
    stores.restore(rig.folder, older)
    again = rig.reopen()
    try:
        agent.write(event(order="WO-3"))
        for _ in range(4):
            assert again.ingest.take(agent.topic, agent.frame(4)).result == "hole"
            assert stated(again) == []
            again.clock.advance(LASTING_S / 4)
        for _ in range(3):
            again.ingest.take(agent.topic, agent.frame(4))
        (one,) = stated(again)
        assert (one.params["agent"], one.params["held"], one.params["offered"]) == (agent.name, "2", "4")
        (said,) = told(again)
        assert f"{agent.name} goes on at 4" in said
        assert again.ingest.take(agent.topic, agent.frame(3)).result == "committed"
        assert told(again) == [], "it sent what was missing"
    finally:
        again.store.close()


def test_each_agent_that_goes_on_behind_is_told_until_it_sends_again(rig: Rig) -> None:
    """Bug: only the one that was noticed last was told, and nothing once that one had sent again."""
    first, second = rig.enrol(Agent()), rig.enrol(Agent("assembly-2"))
    for agent in (first, second):
        agent.write(*(event(order=f"WO-{n}") for n in range(4)))
        for _ in range(3):
            rig.ingest.take(agent.topic, agent.frame(3))
            rig.clock.advance(LASTING_S)
    assert [line.split(" goes")[0] for line in told(rig)] == [first.name, second.name]
    rig.ingest.take(second.topic, second.frame())
    (said,) = told(rig)
    assert f"{first.name} goes on at 3" in said
    rig.ingest.take(first.topic, first.frame())
    assert told(rig) == []


def test_a_frame_that_was_lost_on_its_way_is_no_such_hole(rig: Rig) -> None:
    agent = rig.enrol(Agent())
    agent.write(*(event(order=f"WO-{n}") for n in range(9)))
    rig.ingest.take(agent.topic, agent.frame(1, 2))
    for first in range(3, 9):
        assert rig.ingest.take(agent.topic, agent.frame(first + 1)).result == "hole"
        rig.clock.advance(LASTING_S - 1)
        assert rig.ingest.take(agent.topic, agent.frame(first, first)).result == "committed"
    assert stated(rig) == []
