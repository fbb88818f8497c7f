"""The gap certificate of one agent as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy import event

from central.agent_certificate import certificate_of
from central.cli_keep import certificate_lines
from central.store.gaps import Gaps
from records.errors import Unknown
from records.model import EpochOpened, OperationRecord, OperationsEvent, Outcome, Purpose
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig

STARTED = OperationsEvent("agent-started", {})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def run(cycle: int | None) -> OperationRecord:
    purpose = Purpose.PRODUCTION
    return OperationRecord(
        f"run-{cycle}", "weld", "W", "OP20", None, None, None, purpose, 1, cycle, 0, 1, Outcome.COMPLETED, ()
    )


def missed(first: int, last: int) -> OperationsEvent:
    return OperationsEvent("cycles-missed", {"first": str(first), "last": str(last)})


def told(rig: Rig, agent: Agent, *, head: bool = True, later_s: float = 0) -> dict[str, Any]:
    rig.ingest.take(agent.topic, agent.frame())
    if head:
        rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us()))
    with rig.store.read() as connection:
        return certificate_of(connection, agent.name, rig.clock.now_us() + round(later_s * 1e6), 120.0)


def written(rig: Rig, *data: OperationRecord | OperationsEvent) -> Agent:
    agent = rig.enrol(Agent())
    agent.write(*data)
    return agent


def test_all_of_an_agent_is_here(rig: Rig) -> None:
    found = told(rig, written(rig, *(run(n) for n in range(1, 6))))
    assert found["grade"] == "complete"
    (chain,) = found["chains"]
    assert (chain["first"], chain["last"], chain["missing"], chain["head_last"]) == (1, 6, 0, 6)
    (part,) = found["cycles"]
    assert (part["station"], part["first"], part["last"], part["recorded"]) == ("weld", 1, 5, 5)


def test_a_head_that_is_old_or_not_there_leaves_the_tail_unknown(rig: Rig) -> None:
    agent = written(rig, run(1))
    assert told(rig, agent, head=False)["grade"] == "tail-unknown"
    assert told(rig, agent, later_s=119)["grade"] == "complete"
    assert told(rig, agent, later_s=121)["grade"] == "tail-unknown"


def test_a_head_by_a_clock_that_was_ahead_grows_old_too(rig: Rig) -> None:
    """Bug: such a head was young until the time that it named."""
    agent = written(rig, run(1))
    rig.ingest.take(agent.topic, agent.frame())
    rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us() + 86_400_000_000))
    assert told(rig, agent, head=False, later_s=119)["grade"] == "complete"
    assert told(rig, agent, head=False, later_s=121)["grade"] == "tail-unknown"


@pytest.mark.parametrize(
    ("data", "grade", "parts"),
    [
        ((run(1), run(2), run(5)), "incomplete", [(1, 5, 0, [3, 4])]),
        ((run(1), run(2), missed(3, 4), run(5)), "complete", [(1, 5, 2, [])]),
        ((run(1), run(2), missed(3, 3), run(5)), "incomplete", [(1, 5, 1, [4])]),
        ((run(7), run(8)), "cycles-not-provable", [(7, 8, 0, [])]),
        ((run(None),), "cycles-not-provable", [(None, None, 0, [])]),
        ((run(1), STARTED, run(2)), "complete", [(1, 2, 0, [])]),
        ((run(1), run(2), run(1)), "complete", [(1, 2, 0, []), (1, 1, 0, [])]),
        ((run(1), run(2), STARTED, run(1)), "cycles-not-provable", [(1, 2, 0, []), (1, 1, 0, [])]),
        ((run(1), run(1)), "incomplete", [(1, 1, 0, [])]),
    ],
)
def test_cycles_are_accounted_for(
    rig: Rig, data: tuple[OperationRecord | OperationsEvent, ...], grade: str, parts: list[tuple[Any, ...]]
) -> None:
    agent = rig.enrol(Agent())
    for each in data:
        header = replace(core_rig.HEADER, station="weld")
        agent.write_body(core_rig.kind_of(each), core_rig.encode(core_rig.Fact(header, each)))
    found = told(rig, agent)
    assert found["grade"] == grade
    assert [(p["first"], p["last"], p["missed"], p["unaccounted"]) for p in found["cycles"]] == parts


def test_the_end_of_a_counter_is_no_gap(rig: Rig) -> None:
    found = told(rig, written(rig, run(2**16 - 2), run(2**16 - 1), run(0), run(1)))
    assert [p["grade"] for p in found["cycles"]] == ["cycles-not-provable", "complete"], "the first began anywhere"


def test_what_a_counter_left_out_at_its_end_is_accounted_for_where_the_agent_said_so(rig: Rig) -> None:
    wrapped = OperationsEvent("counter-wrapped", {"was": "65533", "now": "2", "size": "65536"})
    header = replace(core_rig.HEADER, station="weld")

    def second_period(name: str, *said: OperationsEvent) -> tuple[Any, ...]:
        agent = rig.enrol(Agent(name))
        for each in (run(65533), *said, run(2), run(3)):
            agent.write_body(core_rig.kind_of(each), core_rig.encode(core_rig.Fact(header, each)))
        _, part = told(rig, agent)["cycles"]
        return part["missed"], part["unaccounted"], part["grade"]

    assert second_period("said", missed(65534, 65535), wrapped, missed(0, 1)) == (4, [], "complete")
    assert second_period("silent") == (0, [65534, 65535, 0, 1], "incomplete")


def test_epochs_are_joined_by_what_they_name(rig: Rig) -> None:
    first = written(rig, run(1), run(2))
    told(rig, first)
    last = first.envelopes[-1]
    for hash_, grade in ((last.hash.hex(), "complete"), ("0" * 64, "incomplete")):
        second = Agent(first.name, first.key, envelopes=[])
        second.envelopes.clear()
        second.write(EpochOpened("restored", first.epoch, last.seq, hash_), run(3))
        found = told(rig, second)
        assert found["chains"][-1]["joined"] is (grade == "complete")
        assert found["grade"] == grade
        words = "what its agent made before it began anew is not proven"
        assert [words in line for line in certificate_lines(found)].count(True) == (grade != "complete")
        if grade == "complete":
            assert found["cycles"][0]["recorded"] == 3
            first, last = second, second.envelopes[-1]


def test_what_an_epoch_names_of_the_one_before_and_nobody_has_is_a_gap_with_a_name(rig: Rig) -> None:
    first = written(rig, run(1), run(2))
    told(rig, first)
    second = Agent(first.name, first.key, envelopes=[])
    second.envelopes.clear()
    second.write(EpochOpened("restored", first.epoch, 7, "1" * 64), run(7))
    found = told(rig, second)
    before, behind = found["chains"]
    assert behind["lost"] == [{"epoch": first.epoch, "first": 4, "last": 7}]
    assert (before["grade"], behind["grade"], before["lost"]) == ("incomplete", "incomplete", [])


def lost(epoch: str, first: int, last: int) -> dict[str, JsonValue]:
    return {"epoch": epoch, "first": str(first), "last": str(last)}


def test_each_stretch_of_each_epoch_that_a_restore_left_is_named_once_and_what_is_here_is_none(rig: Rig) -> None:
    """The third epoch was opened after a restore to the first one's third record; the fourth after another."""
    first = written(rig, run(1), run(2))
    told(rig, first)
    third, fourth = Agent(first.name, first.key), Agent(first.name, first.key)
    gone = [lost(first.epoch, 2, 5), lost("second", 1, 9), lost("between", 3, 4)]
    for agent, named in ((third, gone), (fourth, [*gone, lost("second", 8, 12), lost(third.epoch, 1, 3)])):
        agent.envelopes.clear()
        agent.write(EpochOpened("restored", "second", 9, "1" * 64))
        agent.write(OperationsEvent("central-restored", {"lost": [*named, "no gap", lost("", 5, 1)]}), run(9))
        found = told(rig, agent)
    assert found["grade"] == "incomplete"
    before, between, behind = found["chains"]
    assert before["lost"] == []
    assert between["lost"] == [
        {"epoch": first.epoch, "first": 4, "last": 5},
        {"epoch": "second", "first": 1, "last": 9},
        {"epoch": "between", "first": 3, "last": 4},
    ]
    assert behind["lost"] == [{"epoch": "second", "first": 10, "last": 12}]
    assert [chain["grade"] for chain in found["chains"]] == ["incomplete"] * 3


def test_what_is_lost_before_the_first_epoch_that_is_here_is_a_gap(rig: Rig) -> None:
    agent = rig.enrol(Agent())
    agent.write(OperationsEvent("central-restored", {"lost": [lost("before", 1, 4)]}), run(1))
    found = told(rig, agent)
    assert (found["grade"], found["chains"][0]["lost"]) == (
        "incomplete",
        [{"epoch": "before", "first": 1, "last": 4}],
    )


def test_a_gap_before_an_epoch_that_names_a_row_that_is_here_is_a_gap_all_the_same(rig: Rig) -> None:
    first = written(rig, run(1), run(2))
    told(rig, first)
    last = first.envelopes[-1]
    second = Agent(first.name, first.key)
    second.envelopes.clear()
    second.write(EpochOpened("restored", first.epoch, last.seq, last.hash.hex()))
    second.write(OperationsEvent("central-restored", {"lost": [lost("between", 1, 4)]}), run(3))
    found = told(rig, second)
    assert (found["grade"], found["chains"][1]["joined"]) == ("incomplete", False)


def test_nobody_of_that_name(rig: Rig) -> None:
    with rig.store.read() as connection, pytest.raises(Unknown, match="nothing is here"):
        certificate_of(connection, "nobody-1", 0, 60.0)


def test_what_restores_left_is_found_without_a_look_at_each_record_of_the_agent(rig: Rig) -> None:
    """Every order that is judged asks for it: the cost must not grow with all that an agent ever recorded."""
    agent = written(rig, run(1))
    told(rig, agent)
    asked: list[tuple[str, Any]] = []

    def ask(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    with rig.store.read() as connection:
        event.listen(connection, "before_cursor_execute", ask)
        Gaps(connection, agent.name, {}, {})
        event.remove(connection, "before_cursor_execute", ask)
        plans = [
            str(row[3])
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert plans
    assert all("code=?" in plan or "rowid=?" in plan for plan in plans), plans
