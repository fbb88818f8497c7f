"""A database of the layout before 0002 (bodies in ``envelope``) is brought up to date, or is as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from central.store.engine import Store, reading
from central.verify import Verification, verify
from records.errors import Refused
from simulators.faults.older import make_0001
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event


@pytest.fixture
def older(tmp_path: Path) -> Rig:
    """9 records of an agent, one of them without its body, and a chunk of telemetry."""
    with core_rig.rig(tmp_path) as rig:
        agent = rig.enrol(Agent())
        agent.write(*(event(order=f"WO-{n}") for n in range(8)))
        lost = agent.envelopes[2].digest.hex()
        agent.write(event("record-damaged", epoch=agent.epoch, seq="3", digest=lost))
        assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
        trend = rig.enrol(Agent("trend-1", stream="telemetry"))
        assert rig.ingest.take(trend.topic, trend.frame()).result == "committed"
    with closing(sqlite3.connect(tmp_path / "central.db")) as connection, connection:
        connection.execute("INSERT INTO tombstone (envelope_id, reason, \"by\") VALUES (5, 'damaged', 'admin')")
        connection.execute("DELETE FROM body WHERE envelope_id = 5")
    make_0001(tmp_path / "central.db")
    return rig


def proven(rig: Rig) -> Verification:
    return verify(rig.folder / "central.db", rig.folder / "anchors.jsonl", rig.ring.keys())


def test_bodies_move_and_the_chains_hold(older: Rig) -> None:
    with pytest.raises(Refused, match="start central once"), reading(older.folder / "central.db"):
        pass
    opened = older.reopen()
    try:
        assert [f.seq for f in opened.store.facts(agent="assembly-1")] == [s for s in range(1, 11) if s != 3]
    finally:
        opened.store.close()
    found = proven(older)
    assert (found.ok, found.tombstones) == (True, 1), found


def test_a_migration_that_is_cut_short_leaves_the_database_as_it_was(older: Rig) -> None:
    """Cut before each of its statements; each time the next start begins again."""
    path, begun = older.folder / "central.db", [0]
    at = 0

    def cut(*_: object) -> None:
        begun[0] += 1
        if begun[0] == at:
            raise RuntimeError("cut short")

    listen(Engine, "before_cursor_execute", cut)
    try:
        before = dump(path)
        for at in count(1):
            begun[0] = 0
            try:
                Store(path).close()
                break
            except RuntimeError:
                assert dump(path) == before, at
    finally:
        remove(Engine, "before_cursor_execute", cut)
    assert at > 20
    assert proven(older).ok


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
