"""Tampering by somebody who owns database, key and anchors file of central: what agents keep gives it away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from central import anchors
from central.store import intake
from central.verify import Verification, verify
from records import chain
from records.model import OperationsEvent
from records.wire import CENTRAL, Head, sign
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event


@dataclass
class Kept:
    """Two agents, central's own facts, an anchor that the first agent keeps; then all was anchored again."""

    rig: Rig
    first: Agent
    second: Agent
    copy: Path

    def verify(self, given: Path | None = None, *, also: Path | None = None) -> Verification:
        path, keys = given or self.file, self.rig.ring.keys()
        return verify(self.rig.folder / "central.db", path, keys, complete=given is None, also=also)

    @property
    def file(self) -> Path:
        return self.rig.folder / "anchors.jsonl"

    def change(self, *statements: str) -> None:
        """With the guards taken away and put back."""
        with closing(sqlite3.connect(self.rig.folder / "central.db")) as connection, connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in found:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)
            for _, sql in found:
                connection.execute(sql)

    def forge_anchors(self) -> None:
        """The anchors file made anew from what the database holds now, signed with central's own key."""
        with closing(sqlite3.connect(self.rig.folder / "central.db")) as connection:
            rows = connection.execute(
                "SELECT agent, epoch, stream, committed_through, hash FROM watermark"
            ).fetchall()
        times = sorted({head.at_us for head in anchors.read_anchors(self.file, self.rig.ring)})
        lines = [
            sign(Head(agent, epoch, stream, last, bytes(link).hex(), at_us), self.rig.key) + b"\n"
            for at_us in times
            for agent, epoch, stream, last, link in sorted(rows, key=lambda row: row[0] == CENTRAL)
        ]
        self.file.write_bytes(b"".join(lines))


def anchor(rig: Rig) -> dict[str, object]:
    """As central does: into the file, and what agents are told of it."""
    rig.clock.advance(5)
    with rig.store.read() as connection:
        marks = intake.watermarks(connection)
    marks.sort(key=lambda mark: mark.agent == CENTRAL)
    signed = rig.facts.anchor(marks)
    told = anchors.told(signed, signed[0].at_us)
    assert isinstance(told, dict)
    return dict(told)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "central").mkdir()
    with core_rig.rig(tmp_path / "central") as rig:
        first, second = rig.enrol(Agent()), rig.enrol(Agent("testing-1"))
        for agent in (first, second):
            agent.write(*(event(order=f"WO-{n}") for n in range(5)))
            rig.ingest.take(agent.topic, agent.frame())
        for number in range(3):
            data = OperationsEvent("signed-in", {"user": f"user{number}"})
            rig.store.write(lambda c, d=data: rig.facts.state(c, d, stream="audit"))  # type: ignore[misc]
        told = anchor(rig)
        first.write(OperationsEvent("anchor-kept", told))  # type: ignore[arg-type]
        rig.ingest.take(first.topic, first.frame(7))
        anchor(rig)
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes((rig.folder / "anchors.jsonl").read_bytes())
    return Kept(rig, first, second, copy)


def made_anew(kept: Kept, old: bytes, new: bytes) -> list[str]:
    """Central's audit stream with one word changed: every hash fits again."""
    with closing(sqlite3.connect(kept.rig.folder / "central.db")) as connection:
        rows = connection.execute(
            "SELECT e.id, e.epoch, e.seq, e.schema, e.kind, b.body FROM envelope e "
            "JOIN body b ON b.envelope_id = e.id WHERE agent = 'central' AND stream = 'audit' ORDER BY seq"
        ).fetchall()
    found, link = [], chain.first_hash(CENTRAL, rows[0][1], "audit")
    for number, epoch, seq, schema, kind, body in rows:
        content = bytes(body).replace(old, new)
        digest = chain.digest(content)
        link = chain.next_hash(CENTRAL, epoch, "audit", seq, schema, kind, link, digest)
        found.append(f"UPDATE body SET body = x'{content.hex()}' WHERE envelope_id = {number}")
        found.append(f"UPDATE envelope SET digest = x'{digest.hex()}', hash = x'{link.hex()}' WHERE id = {number}")
    return [*found, f"UPDATE watermark SET hash = x'{link.hex()}' WHERE agent = 'central' AND stream = 'audit'"]


def cut(agent: Agent, through: int) -> list[str]:
    """The end of an agent's chain taken away, with everything that names it."""
    link = agent.envelopes[through - 1].hash.hex()
    ids = f"SELECT id FROM envelope WHERE agent = '{agent.name}' AND seq > {through}"
    return [
        f"DELETE FROM fact_subject WHERE envelope_id IN ({ids})",
        f"DELETE FROM fact_index WHERE envelope_id IN ({ids})",
        f"DELETE FROM body WHERE envelope_id IN ({ids})",
        f"DELETE FROM envelope WHERE agent = '{agent.name}' AND seq > {through}",
        f"DELETE FROM frame WHERE agent = '{agent.name}' AND first > {through}",
        f"DELETE FROM head WHERE agent = '{agent.name}'",
        f"UPDATE watermark SET committed_through = {through}, hash = x'{link}' WHERE agent = '{agent.name}'",
    ]


def test_an_untouched_store_is_fine_by_its_own_anchors_and_by_a_copy(kept: Kept) -> None:
    assert kept.verify().ok, kept.verify().reason
    assert kept.verify(kept.copy).ok


def test_centrals_chain_made_anew_with_its_own_key_and_anchors_is_seen(kept: Kept) -> None:
    kept.change(*made_anew(kept, b"user1", b"user9"))
    kept.forge_anchors()
    result = kept.verify()
    assert not result.ok
    assert result.first_bad is not None
    assert (result.first_bad.agent, result.first_bad.stream) == ("central", "audit")
    assert "that assembly-1 keeps" in (result.reason or "")


def test_it_is_seen_by_a_copy_of_the_anchors_alone(kept: Kept) -> None:
    kept.change(*made_anew(kept, b"user1", b"user9"), *cut(kept.first, 6))
    kept.forge_anchors()
    result = kept.verify(kept.copy)
    assert not result.ok
    assert result.reason is not None


def test_the_end_of_centrals_chain_cut_off_with_the_anchors_is_seen(kept: Kept) -> None:
    with closing(sqlite3.connect(kept.rig.folder / "central.db")) as connection:
        (link,) = connection.execute(
            "SELECT hash FROM envelope WHERE agent = 'central' AND stream = 'audit' AND seq = 2"
        ).fetchone()
    ids = "SELECT id FROM envelope WHERE agent = 'central' AND stream = 'audit' AND seq > 2"
    kept.change(
        f"DELETE FROM fact_index WHERE envelope_id IN ({ids})",
        f"DELETE FROM body WHERE envelope_id IN ({ids})",
        "DELETE FROM envelope WHERE agent = 'central' AND stream = 'audit' AND seq > 2",
        f"UPDATE watermark SET committed_through = 2, hash = x'{link.hex()}' "
        "WHERE agent = 'central' AND stream = 'audit'",
    )
    kept.forge_anchors()
    result = kept.verify()
    assert result.first_bad is not None
    assert (result.first_bad.stream, result.first_bad.seq) == ("audit", 3)
    assert "that assembly-1 keeps" in (result.reason or "")


def test_another_agents_chain_cut_off_with_the_anchors_is_seen_by_the_root(kept: Kept) -> None:
    kept.change(*cut(kept.second, 1))
    kept.change("UPDATE frame SET last = last WHERE agent = 'testing-1'")
    kept.forge_anchors()
    assert not kept.verify().ok
    assert not kept.verify(kept.copy).ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE body SET body = CAST(replace(body, 'WO-3', 'WO-4') AS BLOB)",  # a row edited
        "DELETE FROM envelope WHERE agent = 'testing-1' AND seq = 3",  # a row taken away
        'UPDATE body SET body = CAST(replace(body, \'"at_us":"17\', \'"at_us":"16\') AS BLOB)',  # back-dated
        "UPDATE frame SET signature = (SELECT signature FROM frame f WHERE f.agent <> frame.agent LIMIT 1)",
        "UPDATE fact_index SET at_us = at_us - 1 WHERE agent = 'testing-1'",  # derived rows
        "UPDATE fact_index SET code = 'order-stopped' WHERE code = 'anchor-kept'",  # a witness hidden
    ],
)
def test_every_class_of_tampering_is_seen_with_its_place(kept: Kept, statement: str) -> None:
    kept.change(statement)
    result = kept.verify()
    assert not result.ok
    assert result.first_bad is not None, result.reason


def rewritten(kept: Kept) -> None:
    """By who owns the database alone, without a key: all that was anchored late is made anew, and the file cut."""
    kept.change(
        *made_anew(kept, b"user1", b"user9"), *cut(kept.first, 6), "DELETE FROM meta WHERE name = 'anchored'"
    )
    kept.file.write_bytes(b"")


def test_a_rewritten_history_is_seen_by_the_copy_that_central_keeps_elsewhere(kept: Kept) -> None:
    rewritten(kept)
    assert kept.verify().ok, "nothing here tells it"
    result = kept.verify(also=kept.copy)
    assert result.first_bad is not None
    assert (result.first_bad.agent, result.first_bad.stream) == ("central", "audit")
    assert f"the copy of the anchors {kept.copy}" in (result.reason or "")


def test_an_anchors_file_that_was_cut_is_not_fine_by_itself(kept: Kept) -> None:
    kept.change("DELETE FROM meta WHERE name = 'anchored'")
    lines = kept.file.read_bytes().splitlines(keepends=True)
    kept.file.write_bytes(b"".join(lines[:-1]))
    assert kept.verify().ok
    assert "the file was cut" in str(kept.verify(also=kept.copy).flaws)


def test_a_file_that_was_signed_anew_differs_from_its_copy(kept: Kept) -> None:
    kept.forge_anchors()
    assert "differ from line" in str(kept.verify(also=kept.copy).flaws)


def test_a_copy_that_is_behind_is_fine_and_one_that_is_not_there_is_told(kept: Kept, tmp_path: Path) -> None:
    lines = kept.copy.read_bytes().splitlines(keepends=True)
    kept.copy.write_bytes(b"".join(lines[:-1]))
    result = kept.verify(also=kept.copy)
    assert (result.ok, result.copy_unread) == (True, None)
    result = kept.verify(also=tmp_path / "away" / "anchors.jsonl")
    assert result.ok
    assert "its disk is not there" in (result.copy_unread or "")


FORGED = (
    "INSERT INTO tombstone (envelope_id, reason, \"by\", act) SELECT id, '{}', 'anna', {} FROM envelope WHERE {}"
)
"""No trigger, key or anchor is touched."""
ACT = "(SELECT lower(hex(hash)) FROM envelope WHERE agent = 'central' AND stream = 'audit' AND seq = 2)"


@pytest.mark.parametrize(
    ("reason", "act", "which", "said"),
    [
        ("retention", "NULL", "agent = 'central' AND stream = 'audit' AND seq = 3", "nothing ever gives one up"),
        ("retention", ACT, "agent = 'central' AND stream = 'records' AND seq = 1", "nothing ever gives one up"),
        ("retention", "NULL", "agent = 'testing-1' AND seq = 3", "nothing in any chain says so"),
        ("thinned", "NULL", "agent = 'testing-1' AND seq = 3", "nothing in any chain says so"),
        ("damaged", "NULL", "agent = 'testing-1' AND seq = 3", "no record of its agent says"),
        (
            "retention",
            ACT,
            "agent = 'testing-1' AND seq = 3",
            "audit stream, which its tombstone names, gave nothing",
        ),
        ("retention", "'00ff'", "agent = 'testing-1' AND seq = 3", "is no fact of central's"),
    ],
)
def test_a_forged_tombstone_explains_nothing(kept: Kept, reason: str, act: str, which: str, said: str) -> None:
    kept.change(FORGED.format(reason, act, which), *taken_away())
    result = kept.verify()
    assert not result.ok
    assert said in (result.reason or "")
    assert result.first_bad is not None
    assert which.startswith(f"agent = '{result.first_bad.agent}'")
    assert which.endswith(f"seq = {result.first_bad.seq}")


def test_a_tombstone_hides_no_body_that_is_still_there(kept: Kept) -> None:
    kept.change(FORGED.format("retention", "NULL", "agent = 'testing-1' AND seq = 3"))
    assert "a tombstone beside its body" in (kept.verify().reason or "")


def taken_away() -> tuple[str, ...]:
    """What goes with a forged tombstone."""
    gone = "envelope_id IN (SELECT envelope_id FROM tombstone)"
    return f"UPDATE fact_index SET readable = 0 WHERE {gone}", f"DELETE FROM body WHERE {gone}"
