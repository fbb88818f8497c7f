"""Import of an agent's file: the same as over the network, whatever became of the file, its agent or its keys."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from central.access import Actor
from central.committing import Outcome
from central.importing import Imported, Importer, settle
from central.ingest import Ingest
from central.store import agents, envelopes, intake
from central.verify import Verification, verify
from records.clock import iso_z
from records.errors import ConfigurationError, Invalid, LotkeeperError, Refused, Unknown
from records.exported import ExportHeader, write_export
from records.keys import SigningKey, key_id
from records.model import EpochOpened, OperationsEvent
from records.wire import DAMAGED, Tombstone, encode_frame
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event
from tests.unit.typing_commands import Type

BY = Actor("anna", "test")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def agent(rig: Rig) -> Agent:
    made = Agent()
    made.write(*(event(order=f"WO-{n}") for n in range(11)))  # with the epoch's first: twelve records
    return rig.enrol(made)


def importer(rig: Rig, told: list[str] | None = None) -> Importer:
    return Importer(rig.store, rig.facts, rig.ingest, (told if told is not None else []).append)


def exported(folder: Path, agent: Agent, *frames: bytes, head_us: int | None = None) -> Path:
    file = io.BytesIO()
    heads = () if head_us is None else (agent.head(head_us).decode(),)
    header = ExportHeader(agent=agent.name, made_at="2026-11-26T06:00:00Z", heads=heads)
    write_export(file, header, frames or [agent.frame(1, 4), agent.frame(5, 8), agent.frame(9, 12)])
    path = folder / "agent.lkexport"
    path.write_bytes(file.getvalue())
    return path


def held(rig: Rig, agent: Agent) -> list[bytes]:
    with rig.store.read() as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def counts(done: Imported) -> tuple[int, int, int, int, int]:
    return (done.new, done.known, done.conflicts, done.quarantined, done.holes)


def stated(rig: Rig) -> list[dict[str, object]]:
    facts = rig.store.facts(codes=["export-imported"], stream="audit")
    return [dict(f.fact.data.params) for f in facts if isinstance(f.fact.data, OperationsEvent)]


def test_a_file_is_taken_once_and_again_changes_nothing(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    told: list[str] = []
    rig.ingest.take(agent.topic, agent.frame(1, 6))
    path = exported(tmp_path, agent, head_us=rig.clock.now_us())
    first = importer(rig, told).take(path, by=BY)
    assert (first.ok, counts(first), first.through) == (True, (6, 6, 0, 0, 0), {"records": 12})
    again = importer(rig, told).take(path, by=BY)
    assert (again.ok, counts(again)) == (True, (0, 12, 0, 0, 0))
    assert held(rig, agent) == [e.hash for e in agent.envelopes]
    with rig.store.read() as connection:
        ((head, _, _),) = intake.heads(connection)
    assert head.last == 12, "so the tail is known"
    assert rig.ingest.presence() == {}, "a file says nothing of whether the agent is there"
    assert [s["new"] for s in stated(rig)] == ["6", "0"]
    assert told == [agent.name, agent.name]
    assert rig.ingest.take(agent.topic, agent.frame()).result == "nothing-new", (
        "and the network may still bring it"
    )


def test_telemetry_is_not_counted_as_records(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    """Bug: of 321 records and 86 chunks of a file the import said "407 records"."""
    telemetry = Agent(agent.name, agent.key, stream="telemetry")
    telemetry.write_body("telemetry", b"{}")
    path = exported(tmp_path, agent, agent.frame(), telemetry.frame())
    rig.ingest.take(agent.topic, agent.frame(1, 4))
    first, again = (importer(rig).take(path, by=BY) for _ in range(2))
    assert (first.new, first.new_telemetry, first.known, first.known_telemetry) == (10, 2, 4, 0)
    assert (again.new, again.new_telemetry, again.known, again.known_telemetry) == (0, 0, 14, 2)


def test_an_import_tells_how_far_it_is(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    path = exported(tmp_path, agent)
    far: list[tuple[int, int | None]] = []
    importer(rig).take(path, by=BY, tell=lambda count, total=None, /: far.append((count, total)))
    assert far
    assert {total for _, total in far} == {path.stat().st_size // 1000}


@pytest.mark.parametrize("cut", [1, 4, 5, 40, 300])
def test_what_is_whole_in_a_file_that_was_cut_off_is_taken(
    rig: Rig, agent: Agent, tmp_path: Path, cut: int
) -> None:
    path = exported(tmp_path, agent)
    path.write_bytes(path.read_bytes()[:-cut])
    done = importer(rig).take(path, by=BY)
    assert not done.ok
    assert done.damage is not None
    assert "begins at byte" in done.damage
    assert done.new in ((12,) if cut <= 4 else (8,))
    assert len(held(rig, agent)) == done.new
    whole = importer(rig).take(exported(tmp_path, agent), by=BY)
    assert (whole.ok, len(held(rig, agent))) == (True, 12)


def test_a_frame_that_was_altered_goes_to_quarantine_and_leaves_a_gap(
    rig: Rig, agent: Agent, tmp_path: Path
) -> None:
    bad = bytearray(agent.frame(5, 8))
    bad[-1] ^= 1
    done = importer(rig).take(exported(tmp_path, agent, agent.frame(1, 4), bytes(bad), agent.frame(9, 12)), by=BY)
    assert (done.ok, counts(done)) == (False, (4, 0, 0, 1, 1))
    assert held(rig, agent) == [e.hash for e in agent.envelopes[:4]]


def test_another_history_of_the_same_keys_is_a_conflict(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    rig.ingest.take(agent.topic, agent.frame())
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(11)))
    done = importer(rig).take(exported(tmp_path, twin), by=BY)
    assert (done.ok, done.conflicts) == (False, 3)
    assert held(rig, agent) == [e.hash for e in agent.envelopes]


def test_an_import_that_was_cut_short_is_in_the_audit_stream_before_its_first_record(
    rig: Rig, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: central was killed in the midst; nothing told how those records came, nor who let a revoked key in."""
    bring, taken = Ingest.bring, list[bytes]()

    def killed(self: Ingest, name: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        if taken:
            raise SystemExit
        taken.append(payload)
        return bring(self, name, payload, by_any_key=by_any_key)

    monkeypatch.setattr(Ingest, "bring", killed)
    with pytest.raises(SystemExit):
        importer(rig).take(exported(tmp_path, agent), by=BY, reason="its disk was found")
    assert len(held(rig, agent)) == 4
    facts = rig.store.facts(codes=["export-import-begun"], stream="audit")
    (told,) = [dict(f.fact.data.params) for f in facts if isinstance(f.fact.data, OperationsEvent)]
    digest = hashlib.sha256((tmp_path / "agent.lkexport").read_bytes()).hexdigest()
    which = {"agent": agent.name, "digest": digest, "import": told["import"]}
    assert told == {
        **which,
        "by": "anna",
        "origin": "test",
        "reason": "its disk was found",
    }
    for _ in range(2):
        rig.store.write(lambda connection: settle(connection, rig.facts))
    ends = rig.store.facts(codes=["export-import-cut-short"], stream="audit")
    assert [f.fact.data.params for f in ends if isinstance(f.fact.data, OperationsEvent)] == [which]


def test_an_import_that_fails_says_so_by_itself(
    rig: Rig, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Ingest, "bring", fails)
    with pytest.raises(LotkeeperError, match="cannot be read"):
        importer(rig).take(exported(tmp_path, agent), by=BY)
    begun, cut = (
        [f.fact.data.params for f in rig.store.facts(codes=[code]) if isinstance(f.fact.data, OperationsEvent)]
        for code in ("export-import-begun", "export-import-cut-short")
    )
    assert [each["import"] for each in cut] == [each["import"] for each in begun]


def test_the_command_says_why_frames_are_in_quarantine(typed: Type, tmp_path: Path) -> None:
    agent = Agent("assembly-1", SigningKey.generate())
    agent.write(*(event(order=f"WO-{n}") for n in range(11)))
    assert typed("enrol", agent.name, "--out", tmp_path / "another").code == 0
    said = typed("import", exported(tmp_path, agent))
    assert (said.code, said.out) == (
        1,
        "assembly-1: new 0 records and 0 telemetry chunks; known 0 records and 0 telemetry chunks; frames: "
        "0 in conflict, 3 in quarantine, 0 behind a gap\n",
    )
    (why,) = said.err.splitlines()
    assert why.startswith("quarantine: signature: ")


def test_a_revoked_key_needs_a_decision_and_a_reason(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    rig.clock.advance(1)
    rig.enrol(Agent(agent.name, SigningKey.generate()))
    rig.clock.advance(31 * 86_400)
    path = exported(tmp_path, agent, head_us=rig.clock.now_us())
    refused = importer(rig).take(path, by=BY)
    assert refused.quarantined == 4, "three frames and a head"
    key = f"key {key_id(agent.key.public)} of {agent.name} is not valid any more"
    assert refused.quarantined_why == (f"signature: {key}", f"head: {key}")
    assert refused.to_json()["quarantined_why"] == [*refused.quarantined_why]
    assert held(rig, agent) == []
    done = importer(rig).take(path, by=BY, reason="the PC was stolen, its disk was found")
    assert (done.ok, done.new) == (True, 12)
    assert [s["reason"] for s in stated(rig)] == [None, "the PC was stolen, its disk was found"]


def test_a_stranger_and_what_is_no_export_are_refused(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    stranger = Agent("nobody-1")
    with pytest.raises(ConfigurationError, match="never enrolled"):
        importer(rig).take(exported(tmp_path, stranger, stranger.frame()), by=BY)
    (tmp_path / "letter").write_bytes(b"Dear Sirs")
    with pytest.raises(Invalid, match="no export"):
        importer(rig).take(tmp_path / "letter", by=BY)
    with pytest.raises(Unknown, match="there is no file") as missing:
        importer(rig).take(tmp_path / "nothing", by=BY)
    assert str(missing.value.hint).startswith("is the name right"), "before it speaks of rights"
    (tmp_path / "future").write_text(json.dumps({"format": "lotkeeper-export", "version": 9, "agent": "a"}) + "\n")
    with pytest.raises(Invalid, match="newer central"):
        importer(rig).take(tmp_path / "future", by=BY)
    assert stated(rig) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such pipes nor such devices")
def test_what_is_no_file_is_refused_and_not_waited_for(rig: Rig, tmp_path: Path) -> None:
    """Bug: a pipe that nobody writes, and a device without an end, kept the import waiting for ever."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    said: list[str] = []

    def take(path: Path) -> None:
        with pytest.raises(Unknown) as refused:
            importer(rig).take(path, by=BY)
        said.append(str(refused.value))

    for path in (pipe, tmp_path, link, Path("/dev/zero")):
        waiting = threading.Thread(target=take, args=(path,), daemon=True)
        waiting.start()
        waiting.join(20)
        assert said.pop() == f"{path} is no ordinary file: nothing was read (write the export into a file first)"
    assert not stated(rig)


def test_a_revoked_agent_is_refused_before_anything_is_taken(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    """Bug: a key that ends long ago told that the agent was revoked in 1970."""
    at_us = rig.clock.now_us()
    rig.store.write(lambda connection: agents.revoke(connection, agent.name, "stolen", "anna", at_us))
    rig.ingest = Ingest(rig.store, rig.facts, rig.clock)
    path = exported(tmp_path, agent)
    with pytest.raises(Refused, match=f"was revoked on {iso_z(at_us)}.*--accept-revoked"):
        importer(rig).take(path, by=BY)
    assert held(rig, agent) == []
    assert importer(rig).take(path, by=BY, reason="its disk was found").ok


def test_records_that_came_without_their_content_are_named(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    rows = list(agent.envelopes)
    graves = {6: DAMAGED, 7: "thinned"}
    for index, reason in graves.items():
        grave = Tombstone(rows[index].digest.hex(), reason, agent.name)
        rows[index] = replace(rows[index], body=None, tombstone=grave)
    done = importer(rig).take(exported(tmp_path, agent, encode_frame(rows, agent.previous(1), agent.key)), by=BY)
    assert (done.ok, done.new, done.without_body) == (True, 12, 1)
    assert done.to_json()["without_body_named"] == [f"{agent.epoch}/records/7"]
    assert stated(rig)[0]["without_body"] == [[agent.epoch, "records", "7", "7"]]


def test_what_a_disk_had_lost_before_its_export_is_explained_by_the_import(
    rig: Rig, agent: Agent, tmp_path: Path
) -> None:
    for index in (3, 4, 8):
        row = agent.envelopes[index]
        grave = Tombstone(row.digest.hex(), DAMAGED, agent.name)
        agent.envelopes[index] = replace(row, body=None, tombstone=grave)
    rig.ingest.take(agent.topic, agent.frame(1, 6))

    def proven() -> Verification:
        return verify(rig.folder / "central.db", rig.folder / "anchors.jsonl", rig.ring.keys())

    assert "import that once more" in (proven().reason or "")
    importer(rig).take(exported(tmp_path, agent), by=BY)
    assert stated(rig)[0]["without_body"] == [
        [agent.epoch, "records", first, last] for first, last in (("4", "5"), ("9", "9"))
    ]
    assert (proven().ok, proven().tombstones, proven().awaited) == (True, 3, 0)


@pytest.mark.parametrize(
    ("known", "brought", "order"),
    [
        ("AC", "B", "ABC"),  # before the one that names it, behind the one that it names
        ("C", "B", "BC"),
        ("AB", "C", "ABC"),  # behind the newest: it is the newest
        ("ABX", "C", "ABCX"),
        ("AB", "X", "XAB"),  # nobody knows where it belongs: before all
        ("", "B", "B"),
        ("C", "BAX", "XABC"),
    ],
)
def test_an_epoch_of_a_file_stands_where_it_belongs(
    rig: Rig, tmp_path: Path, known: str, brought: str, order: str
) -> None:
    """A, B and C follow each other, X names none before it."""
    key = rig.enrol(Agent()).key
    epochs = {name: Agent(key=key) for name in "ABCX"}
    for before, name in ("AB", "BC"):
        last = epochs[before].envelopes[-1]
        follower = epochs[name] = Agent(key=key)
        follower.envelopes.clear()
        follower.write(EpochOpened("rolled_back", last.epoch, last.seq, last.hash.hex()), event())
    for name in known:
        assert rig.ingest.take(epochs[name].topic, epochs[name].frame()).result == "committed"
    for name in brought:
        importer(rig).take(exported(tmp_path, epochs[name], epochs[name].frame()), by=BY)
    names = {agent.epoch: name for name, agent in epochs.items()}
    with rig.store.read() as connection:
        marks = [mark for mark in intake.watermarks(connection) if mark.agent == "assembly-1"]
        newest = intake.newest_watermark(connection, "assembly-1", "records")
    assert "".join(names[mark.epoch] for mark in marks) == order
    assert newest is not None
    assert names[newest.epoch] == order[-1]
