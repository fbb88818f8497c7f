"""Central's own chain: stated with its job or not at all, never the same key twice; and the store's promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central.anchors import read_anchors
from central.store import documents, intake
from central.store.engine import Connection, Store
from central.store.schema import metadata
from records.errors import Damaged, Refused
from records.model import Act, Decision, EpochOpened, OperationsEvent, Person, Target
from tests.rigs import stores
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig, event

pytestmark = pytest.mark.both_stores


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def state(rig: Rig, number: int) -> int:
    return rig.store.write(lambda c: rig.facts.state(c, event(order=f"WO-{number}"))).seq


def test_both_streams_begin_with_their_epoch(rig: Rig) -> None:
    for stream in ("records", "audit"):
        (first,) = rig.store.facts(stream=stream)
        assert (first.agent, first.seq, first.fact.data) == ("central", 1, EpochOpened("created"))


def test_a_fact_is_found_by_what_it_is_about(rig: Rig) -> None:
    decision = Decision(Act.CLOSE, Target("discrepancy", "d1"), Person("li.na", "qa"), "counted again")
    stated = rig.store.write(
        lambda c: rig.facts.state(c, decision, order="WO-1", product="VS-100", lot="L/0001", station="wash")
    )
    for found in (
        rig.store.facts(order="WO-1"),
        rig.store.facts(lot="L/0001", product="VS-100"),
        rig.store.facts(kinds=["decision"], codes=["close"]),
        rig.store.facts(stations=["wash"]),
        rig.store.facts(after=stated.cursor - 1),
    ):
        assert found == [stated]
    assert rig.store.fact(stated.hash) == stated
    assert rig.store.facts(after=stated.cursor) == []
    assert rig.store.fact("no hash") is None
    assert rig.store.facts_by_hash([stated.hash, "00" * 32]) == {stated.hash: stated}


def test_a_job_that_fails_takes_its_fact_back(rig: Rig) -> None:
    def job(connection: Connection) -> None:
        rig.facts.state(connection, event(order="WO-lost"))
        raise Refused("changed its mind")

    with pytest.raises(Refused):
        rig.store.write(job)
    assert rig.store.facts(order="WO-lost") == []
    assert state(rig, 1) == 2, "the seq was not used up"


def test_a_job_may_not_wait_for_another(rig: Rig) -> None:
    with pytest.raises(RuntimeError):
        rig.store.write(lambda _: state(rig, 1))


def test_a_reader_sees_one_moment_and_cannot_write(rig: Rig) -> None:
    with rig.store.read() as connection:
        before = intake.watermarks(connection)
        state(rig, 1)
        assert intake.watermarks(connection) == before
        with pytest.raises(Exception, match=r"readonly|read-only"):
            connection.exec_driver_sql("DELETE FROM watermark")


@pytest.mark.parametrize("table", ["envelope", "body", "frame", "conflict", "quarantine", "agent_key"])
def test_evidence_is_append_only(rig: Rig, table: str) -> None:
    rig.enrol(agent := core_rig.Agent())
    rig.ingest.take(agent.topic, agent.frame())
    rig.ingest.take(agent.topic, b"garbage")
    twin = core_rig.Agent(agent.name, agent.key, agent.epoch)
    twin.envelopes.clear()
    twin.write(event(order="XX"))
    rig.ingest.take(agent.topic, twin.frame())
    rig.store.close()  # beside it, nobody waits for a lock
    assert stores.by_hand(rig.folder, f"SELECT * FROM {table}") != []
    column = metadata.tables[table].columns.keys()[-1]
    others = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"
    if stores.is_server():
        others = f"TRUNCATE {table} CASCADE"
        replica = f"SET session_replication_role = replica; DELETE FROM {table}"
        with pytest.raises(Exception, match="append-only"):
            stores.by_hand(rig.folder, replica)
    for statement in (f"UPDATE {table} SET {column} = NULL", f"DELETE FROM {table}", others):
        with pytest.raises(Exception, match="append-only"):
            stores.by_hand(rig.folder, statement)


def test_a_store_whose_guards_are_gone_is_not_opened(rig: Rig) -> None:
    rig.store.close()
    if stores.is_server():
        name, statement = "guard_envelope_change", "ALTER TABLE envelope DISABLE TRIGGER guard_envelope_change"
    else:
        name, statement = "guard_envelope_delete", "DROP TRIGGER guard_envelope_delete"
    stores.by_hand(rig.folder, statement)
    with pytest.raises(Damaged, match=name):
        Store(stores.place(rig.folder))


def test_what_a_restore_lost_is_named_by_the_next_epoch(rig: Rig) -> None:
    state(rig, 1)
    rig.store.close()
    copy = stores.snapshot(rig.folder)
    second = rig.reopen()
    state(second, 2)
    with second.store.read() as connection:
        marks = intake.watermarks(connection)
    second.facts.anchor(marks)
    second.store.close()
    stores.restore(rig.folder, copy)
    third = rig.reopen()
    try:
        third.store.write(third.facts.reopen)
        opened = third.store.facts(kinds=["epoch_opened"])[-1]
        lost = next(mark for mark in marks if mark.stream == "records")
        assert opened.fact.data == EpochOpened("restored", lost.epoch, lost.committed_through, lost.hash)
        assert (opened.epoch != lost.epoch, opened.seq) == (True, 1)
    finally:
        third.store.close()


def test_anchors_only_ever_grow(rig: Rig) -> None:
    for number in range(3):
        state(rig, number)
        with rig.store.read() as connection:
            rig.facts.anchor(intake.watermarks(connection))
    heads = read_anchors(rig.folder / "anchors.jsonl", rig.ring)
    assert [h.last for h in heads if h.stream == "records"] == [2, 3, 4]


def test_the_newest_version_of_a_document_is_kept(rig: Rig) -> None:
    for version, content in ((1, "a"), (3, "c"), (2, "b")):
        params = {"kind": "lots", "id": "VB-10", "version": str(version), "content": content}
        rig.store.write(lambda c, p=params: rig.facts.state(c, OperationsEvent("document-issued", p)))  # type: ignore[misc,arg-type]
    with rig.store.read() as connection:
        (document,) = documents.current(connection)
        assert documents.version_of(connection, "lots", "VB-10") == 3
    assert (document.version, document.content) == (3, "c")
