"""Verify: whatever is changed, taken away or computed anew in central's store shows, with its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from central.anchors import read_anchors
from central.store import intake
from central.verify import Place, Verification, verify
from records import chain
from records.errors import StorageFailed
from records.model import OperationsEvent
from records.wire import DAMAGED, Tombstone
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event


@dataclass
class Kept:
    """A closed store: ten records of an agent, its stated head, central's own facts, all anchored."""

    rig: Rig
    agent: Agent

    def verify(self) -> Verification:
        return verify(self.rig.folder / "central.db", self.rig.folder / "anchors.jsonl", self.rig.ring.keys())

    def change(self, *statements: str, guards: bool = True) -> None:
        """As somebody with a database tool would, guards taken away and put back."""
        with closing(sqlite3.connect(self.rig.folder / "central.db")) as connection, connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in found:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, statement
            for _, sql in found if guards else ():
                connection.execute(sql)

    def place(self, seq: int) -> Place:
        return Place(self.agent.name, self.agent.epoch, "records", seq)


def test_a_database_of_the_version_before_is_fine_until_a_server_brings_it_up_to_date(kept: Kept) -> None:
    with closing(sqlite3.connect(kept.rig.folder / "central.db")) as connection, connection:
        connection.execute("DROP TABLE configuration_decision")  # and its guards; no row was ever in it
    assert kept.verify().ok


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    with core_rig.rig(tmp_path) as rig:
        agent = rig.enrol(Agent())
        agent.write(*(event(order=f"WO-{n}") for n in range(9)))
        rig.ingest.take(agent.topic, agent.frame(1, 4))
        rig.ingest.take(agent.topic, agent.frame(5, 10))
        rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us()))
        for number in range(3):
            data = OperationsEvent("signed-in", {"user": f"user{number}"})
            rig.store.write(lambda c, d=data: rig.facts.state(c, d, stream="audit"))  # type: ignore[misc]
        with rig.store.read() as connection:
            rig.facts.anchor(intake.watermarks(connection))
    return Kept(rig, agent)


def test_an_untouched_store_is_fine(kept: Kept) -> None:
    assert kept.verify() == Verification(True, 15, 0, None, None)  # 10 + central: records 1, audit 4


OF = "WHERE envelope_id = (SELECT id FROM envelope WHERE agent = 'assembly-1' AND seq = "


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        (f"UPDATE body SET body = replace(body, 'WO-3', 'WO-4') {OF}5)", 5),
        (f"UPDATE body SET body = CAST(replace(body, 'WO-3', 'WO-4') AS BLOB) {OF}5)", 5),
        ("UPDATE envelope SET kind = 'decision' WHERE agent = 'assembly-1' AND seq = 3", 3),
        ("UPDATE envelope SET hash = zeroblob(32) WHERE agent = 'assembly-1' AND seq = 7", 7),
        (f"DELETE FROM body {OF}2)", 2),
        ("DELETE FROM envelope WHERE agent = 'assembly-1' AND seq = 6", 6),
        ("DELETE FROM envelope WHERE agent = 'assembly-1' AND seq = 1", 1),
        ("DELETE FROM envelope WHERE agent = 'assembly-1' AND seq > 8", 9),
        ("DELETE FROM envelope WHERE agent = 'assembly-1'", 1),
        ("DELETE FROM frame WHERE first = 5", 5),
        ("UPDATE frame SET signature = zeroblob(64) WHERE first = 5", 5),
        ("UPDATE fact_index SET work_order = 'WO-X' WHERE work_order = 'WO-2'", 4),
        ("DELETE FROM fact_index WHERE work_order = 'WO-2'", 4),
    ],
)
def test_every_change_shows_with_its_place(kept: Kept, statement: str, seq: int) -> None:
    kept.change(statement)
    result = kept.verify()
    assert not result.ok
    assert result.first_bad == kept.place(seq), result
    assert result.reason


def test_a_tail_cut_off_with_its_watermark_shows(kept: Kept) -> None:
    link = kept.agent.envelopes[3].hash.hex()
    kept.change(
        "DELETE FROM envelope WHERE agent = 'assembly-1' AND seq > 4",
        "DELETE FROM frame WHERE first = 5",
        f"UPDATE watermark SET committed_through = 4, hash = x'{link}' WHERE agent = 'assembly-1'",
        "DELETE FROM fact_index WHERE agent = 'assembly-1' AND work_order > 'WO-2'",
    )
    result = kept.verify()
    assert result.first_bad == kept.place(5)
    assert "anchors file" in (result.reason or "")


def rewrite(kept: Kept, agent: str, stream: str) -> list[str]:
    """Statements that make the whole chain anew after changing one record: hashes all fit again."""
    with closing(sqlite3.connect(kept.rig.folder / "central.db")) as connection:
        query = (
            "SELECT id, epoch, seq, schema, kind, body FROM envelope JOIN body ON envelope_id = id "
            "WHERE agent = ? AND stream = ? ORDER BY seq"
        )
        rows = connection.execute(query, (agent, stream)).fetchall()
    statements, link = [], chain.first_hash(agent, rows[0][1], stream)
    for number, epoch, seq, schema, kind, body in rows:
        new = bytes(body).replace(b"user1", b"user9").replace(b"WO-3", b"WO-9")
        digest = chain.digest(new)
        link = chain.next_hash(agent, epoch, stream, seq, schema, kind, link, digest)
        statements += [
            f"UPDATE body SET body = x'{new.hex()}' WHERE envelope_id = {number}",
            f"UPDATE envelope SET digest = x'{digest.hex()}', hash = x'{link.hex()}' WHERE id = {number}",
        ]
    statements.append("UPDATE fact_index SET work_order = 'WO-9' WHERE work_order = 'WO-3'")
    moved = f"UPDATE watermark SET hash = x'{link.hex()}' WHERE agent = '{agent}' AND stream = '{stream}'"
    return [*statements, moved]


def test_an_agents_chain_computed_anew_shows(kept: Kept) -> None:
    kept.change(*rewrite(kept, "assembly-1", "records"))
    result = kept.verify()
    assert result.first_bad is not None
    assert result.first_bad.agent == "assembly-1"
    assert "signed frame" in (result.reason or "")


def test_centrals_chain_computed_anew_shows(kept: Kept) -> None:
    kept.change(*rewrite(kept, "central", "audit"))
    result = kept.verify()
    assert result.first_bad is not None
    assert (result.first_bad.agent, result.first_bad.stream) == ("central", "audit")
    assert "anchors file" in (result.reason or "")


def test_a_missing_guard_shows(kept: Kept) -> None:
    kept.change("UPDATE watermark SET moved_us = 1", guards=False)
    result = kept.verify()
    assert (result.ok, result.first_bad) == (False, None)
    assert "guard_" in (result.reason or "")


def test_anchors_that_central_did_not_sign_show(kept: Kept) -> None:
    path = kept.rig.folder / "anchors.jsonl"
    path.write_bytes(path.read_bytes().replace(b"assembly-1", b"assembly-2"))
    result = kept.verify()
    assert not result.ok
    assert "anchors.jsonl, line 1" in (result.reason or "")


def test_an_anchor_line_cut_short_by_a_power_cut_is_no_damage(kept: Kept) -> None:
    path = kept.rig.folder / "anchors.jsonl"
    lines = len(read_anchors(path, kept.rig.ring))
    path.write_bytes(path.read_bytes() + b'{"body":"{\\"agent\\":')
    assert kept.verify().ok
    opened = kept.rig.reopen()
    with opened.store.read() as connection:
        opened.facts.anchor(intake.watermarks(connection))
    opened.store.close()
    assert kept.verify().ok
    assert len(read_anchors(path, kept.rig.ring)) == 2 * lines


@pytest.mark.parametrize("stream", ["records", "telemetry"])
def test_a_body_that_a_disk_lost_is_counted_where_its_agent_says_so(tmp_path: Path, stream: str) -> None:
    with core_rig.rig(tmp_path) as rig:
        agent = rig.enrol(Agent(stream=stream))
        agent.write(*(event(order=f"WO-{n}") for n in range(9)))
        lost = agent.envelopes[3]
        grave = Tombstone(lost.digest.hex(), DAMAGED, agent.name)
        agent.envelopes[3] = replace(lost, body=None, tombstone=grave)
        told = event("record-damaged", epoch=agent.epoch, seq="4", digest=grave.digest)
        rig.ingest.take(agent.topic, agent.frame())
        assert proven(rig).first_bad == Place(agent.name, agent.epoch, stream, 4)

        agent.write(told)
        rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us()))
        found = proven(rig)
        assert (found.ok, found.tombstones, found.awaited) == (True, 1, 1), "it has not come yet"
        rig.ingest.take(agent.topic, agent.frame(11))
        found = proven(rig)
        assert (found.ok, found.tombstones, found.awaited) == (True, 1, 0), found


@pytest.mark.parametrize(("chunks", "place"), [(3, None), (2, 5)])
def test_chunks_that_gave_way_are_as_many_as_their_agent_says(
    tmp_path: Path, chunks: int, place: int | None
) -> None:
    with core_rig.rig(tmp_path) as rig:
        agent = rig.enrol(Agent())
        trend = Agent(key=agent.key, stream="telemetry")
        trend.write(*(event(order=f"T-{n}") for n in range(5)))
        for at in (1, 3, 4):
            row = trend.envelopes[at]
            grave = Tombstone(row.digest.hex(), "thinned", agent.name)
            trend.envelopes[at] = replace(row, body=None, tombstone=grave)
        rig.ingest.take(trend.topic, trend.frame())
        assert "no record of its agent says so" in (proven(rig).reason or "")
        told = {"epoch": trend.epoch, "first": "2", "last": "5", "chunks": chunks}
        agent.write(OperationsEvent("telemetry-thinned", dict(told)))
        rig.ingest.take(agent.topic, agent.frame())
        found = proven(rig)
        assert (found.ok, found.tombstones) == (place is None, 3), found
        assert (None if found.first_bad is None else found.first_bad.seq) == place


def proven(rig: Rig) -> Verification:
    return verify(rig.folder / "central.db", rig.folder / "anchors.jsonl", rig.ring.keys())


def test_a_store_that_is_not_there_or_no_database(kept: Kept) -> None:
    path = kept.rig.folder / "central.db"
    path.write_bytes(b"no database" * 99)
    result = kept.verify()
    assert not result.ok
    assert "cannot be read" in (result.reason or "")
    path.unlink()
    with pytest.raises(StorageFailed, match=r"central\.db"):
        kept.verify()


def test_every_flipped_bit_of_the_file_is_found_or_harmless(kept: Kept) -> None:
    """A flip in free space or in a table that only finds things changes no record; all others must show."""
    path = kept.rig.folder / "central.db"
    good = path.read_bytes()
    bodies = [good.find(e.body or b"?") for e in kept.agent.envelopes]
    for offset in (b + 7 * n for n, b in enumerate(bodies) if b > 0):
        path.write_bytes(good[:offset] + bytes([good[offset] ^ 4]) + good[offset + 1 :])
        assert not kept.verify().ok, offset
    path.write_bytes(good)
    assert kept.verify().ok


def test_an_identity_flipped_in_the_row_but_not_in_its_index_shows(kept: Kept) -> None:
    """Chains are walked by an index, which still has the old name. Found by the fault loop bit-rot, seed 103."""
    path = kept.rig.folder / "central.db"
    good, name = path.read_bytes(), kept.agent.name.encode()
    hidden = 0
    at = good.find(name)
    while at >= 0:
        path.write_bytes(good[:at] + bytes([good[at] ^ 2]) + good[at + 1 :])
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = bytes
            names = {row[0] for row in connection.execute("SELECT agent FROM envelope NOT INDEXED")}
        if names - {name, b"central"}:
            hidden += 1
            assert not kept.verify().ok, at
        at = good.find(name, at + 1)
    path.write_bytes(good)
    assert hidden
    assert kept.verify().ok
