"""Frames that are committed together: each has its own outcome, and one that fails keeps no other from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from central.committing import Checked, Outcome, _Run
from central.ingest import Taking
from central.store.engine import Connection
from records.errors import Invalid
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as made:
        yield made


@pytest.fixture
def agent(rig: Rig) -> Agent:
    made = rig.enrol(Agent())
    made.write(*(event(order=f"WO-{n}") for n in range(9)))
    return made


def together(rig: Rig, *payloads: tuple[str, bytes]) -> list[Taking]:
    """Taken in one transaction: what goes to the disk first waits for the rest."""
    gate = threading.Event()
    first = rig.store.submit(lambda _: gate.wait())
    begun = [rig.ingest.begin(topic, payload) for topic, payload in payloads]
    gate.set()
    first.result()
    return begun


def results(begun: list[Taking]) -> list[str]:
    return [taking.result().result for taking in begun]


def seqs(rig: Rig, agent: Agent) -> list[int]:
    return [fact.seq for fact in rig.store.facts(agent=agent.name)]


def test_frames_of_one_chain_follow_each_other_within_one_commit(rig: Rig, agent: Agent) -> None:
    runs = [(1, 2), (3, 3), (3, 5), (8, 9), (4, 5), (6, 10)]
    begun = together(rig, *((agent.topic, agent.frame(a, b)) for a, b in runs))
    outcomes = [taking.result() for taking in begun]
    assert [(o.result, o.new, o.known) for o in outcomes] == [
        ("committed", 2, 0),
        ("committed", 1, 0),
        ("committed", 2, 1),
        ("hole", 0, 0),
        ("nothing-new", 0, 2),
        ("committed", 5, 0),
    ]
    told = [o.watermark.committed_through for o in outcomes if o.watermark is not None]
    assert told == [2, 3, 5, 5, 5, 10]
    assert seqs(rig, agent) == list(range(1, 11))


def test_a_twin_is_found_among_frames_that_are_not_written_yet(rig: Rig, agent: Agent) -> None:
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(9)))
    begun = together(
        rig, *((agent.topic, frame) for frame in (agent.frame(1, 1), agent.frame(2, 6), twin.frame(4, 8)))
    )
    assert results(begun) == ["committed", "committed", "conflict"]
    assert seqs(rig, agent) == list(range(1, 7))


def test_a_new_epoch_changes_what_frames_of_the_old_one_are_told(rig: Rig, agent: Agent) -> None:
    later = Agent(agent.name, agent.key)
    later.write(event(order="WO-1"))
    frames = (agent.frame(1, 2), agent.frame(3, 4), later.frame(), agent.frame(5, 6))
    outcomes = [taking.result() for taking in together(rig, *((agent.topic, frame) for frame in frames))]
    told = [(o.watermark.epoch, o.watermark.committed_through) for o in outcomes if o.watermark is not None]
    assert told == [(agent.epoch, 2), (agent.epoch, 4), (later.epoch, 2), (later.epoch, 2)]


def test_a_frame_that_cannot_be_committed_keeps_no_other_from_it(rig: Rig, agent: Agent) -> None:
    other, broken = rig.enrol(Agent("press-2")), rig.enrol(Agent("press-3"))
    for each in (other, broken):
        each.write(event(order="WO-1"))
    real = _Run.take

    def take(self: _Run, checked: Checked) -> Outcome:
        if checked.frame.agent == broken.name:
            raise Invalid("this one")
        return real(self, checked)

    with patch.object(_Run, "take", take):
        begun = together(rig, *((each.topic, each.frame()) for each in (agent, other, broken, agent)))
        assert results(begun[:2]) == ["committed", "committed"]
        with pytest.raises(Invalid, match="this one"):
            begun[2].result()
        assert results(begun[3:]) == ["nothing-new"]
    assert (seqs(rig, agent), seqs(rig, broken)) == (list(range(1, 11)), [])


def test_a_head_does_not_overtake_the_frames_that_came_before_it(rig: Rig, agent: Agent) -> None:
    other = rig.enrol(Agent("press-2"))
    other.write(event(order="WO-1"))
    gate = threading.Event()
    write = rig.store.write

    def let_go(job: Callable[[Connection], object]) -> object:
        gate.set()
        return write(job)

    rig.store.submit(lambda _: gate.wait())
    rig.ingest.begin(other.topic, other.frame())
    begun = [rig.ingest.begin(agent.topic, agent.frame(a, b)) for a, b in ((1, 5), (6, 10))]
    with patch.object(rig.store, "write", let_go):
        head = rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us()))
    assert (head.result, head.watermark) == ("head", None)  # else it were told that nothing of it is here
    assert results(begun) == ["committed", "committed"]
    assert seqs(rig, agent) == list(range(1, 11))
