"""Files that a start has set aside: what of each is nowhere else is told everywhere, and can be exported."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.aside_told import TOLD
from edge_agent.aside_words import aside_json, aside_says
from edge_agent.outbox import Outbox, verify
from edge_agent.outbox.aside import look, set_aside
from edge_agent.outbox.recovery import examine
from records.clock import FakeClock
from records.durable import open_reader, open_writer
from records.errors import Damaged, StorageFailed
from records.exported import read_export
from records.keys import KeyRing, PublicKey, SigningKey
from records.model import Header
from records.wire import Envelope, decode_frame
from tests.rigs.outboxes import AGENT, fill, held, make_identity, mark, numbers, open_outbox, prepared, unguarded
from tests.unit.edge.test_agent_app import run, write_line
from tests.unit.typing_commands import Type


def another_agent_was_at_work(folder: Path) -> list[Envelope]:
    """The records of this agent that wait, before another one uses the folder and this one is back."""
    outbox = open_outbox(folder)
    fill(outbox, 1, 20)
    rows = held(outbox)
    outbox.apply(mark(rows[2]))
    outbox.close()
    open_outbox(folder, agent="press-2").close()
    return rows[3:]


def damage(folder: Path, statement: str) -> None:
    with closing(open_writer(folder / "records.db")) as connection:
        unguarded(connection, statement)


def test_what_waits_in_a_file_of_another_agent_is_counted_until_it_is_moved_away(tmp_path: Path) -> None:
    """Bug: it lay there and nobody said so."""
    waiting = another_agent_was_at_work(tmp_path)
    (mine,) = set_aside(tmp_path)
    assert (mine.why, mine.stream, mine.agent) == ("foreign", "records", AGENT)
    assert (mine.waiting, mine.left, mine.concerns) == (len(waiting), 18, True)
    open_outbox(tmp_path).close()
    assert [(one.agent, one.left) for one in set_aside(tmp_path)] == [(AGENT, 18), ("press-2", 1)]
    said = aside_says(aside_json(mine))
    assert f"18 records of {AGENT} in it have not come to central: lotkeeper-edge buffer export --folder" in said
    mine.path.rename(tmp_path / "moved away")
    assert [one.agent for one in set_aside(tmp_path)] == ["press-2"]
    assert set_aside(tmp_path / "nothing") == ()


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("UPDATE records SET hash = zeroblob(32) WHERE position = 8", 0),
        ("DELETE FROM records WHERE position = 8", 2),  # and the row behind it, which nothing proves now
        ("UPDATE records SET kind = 'decision', hash = zeroblob(32) WHERE position IN (8, 9)", 3),
        ("DROP TABLE records", None),
    ],
)
def test_of_a_damaged_file_only_what_was_not_saved_is_nowhere_else(
    tmp_path: Path, statement: str, left: int | None
) -> None:
    """Facts 1 to 10 stand behind the first row, and central has four rows."""
    prepared(tmp_path)
    if left is None:
        with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
            connection.execute(statement)
    else:
        damage(tmp_path, statement)
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    (one,) = set_aside(tmp_path)
    assert (one.path, one.agent, one.left) == (outbox.finding.aside, AGENT, left)
    if left is not None:
        assert len(numbers(outbox)) == 7 - left
    outbox.close()
    open_outbox(tmp_path, agent="press-2").close()
    assert set_aside(tmp_path)[0].left == left, "also after the file that took its place was set aside"


def test_what_central_never_had_and_holds_no_content_is_nothing_to_save(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, 10)
    outbox.bury_damaged(outbox.head().epoch, 1)
    outbox.close()
    damage(tmp_path, "UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = 4")
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why is None, "a tombstone takes its place"
    outbox.close()
    damage(tmp_path, "UPDATE records SET hash = zeroblob(32) WHERE position = 7")
    outbox = open_outbox(tmp_path)
    (one,) = set_aside(tmp_path)
    assert (one.waiting, one.left) == (11, 0)
    outbox.close()


def test_a_crash_while_a_damaged_file_is_saved_stores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the last piece was stored again when the process died before the tables were copied."""
    prepared(tmp_path)
    damage(tmp_path, "UPDATE records SET hash = zeroblob(32) WHERE position = 8")

    def die(*_: object) -> None:
        raise Damaged("the power went")

    with monkeypatch.context() as cut:
        cut.setattr("edge_agent.outbox.recovery._save_tables", die)
        with pytest.raises(Damaged):
            open_outbox(tmp_path)
    outbox = open_outbox(tmp_path)
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9, 10]
    assert [one.left for one in set_aside(tmp_path)] == [0]
    outbox.close()


@pytest.mark.parametrize("ends", ["killed", "no room"])
def test_a_start_that_ends_behind_setting_a_file_aside_loses_neither_records_nor_where_the_station_stands(
    tmp_path: Path, ends: str
) -> None:
    """Bug: the next start took the file for lost, and a cycle that central had was recorded once more."""
    prepared(tmp_path)
    damage(tmp_path, "UPDATE records SET hash = zeroblob(32) WHERE position = 8")
    if ends == "killed":
        examine(tmp_path / "records.db", AGENT, "records", 0)
    else:

        def full() -> Header:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.raises(StorageFailed, match="free space, then start again"):
            Outbox(tmp_path, AGENT, FakeClock(), context=full)
    assert look(next(tmp_path.glob("records.db.damaged-*Z"))) is not None
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9, 10]
    assert (outbox.state("last"), len(outbox.documents.all())) == (10, 1)
    assert [one.left for one in set_aside(tmp_path)] == [0]
    fill(outbox, 11, 11)
    outbox.close()
    outbox = open_outbox(tmp_path)
    assert (outbox.finding.why, outbox.state("last")) == (None, 11), "nothing is taken up twice"
    outbox.close()
    (tmp_path / "records.db").unlink()
    outbox = open_outbox(tmp_path)
    assert (outbox.finding.why, numbers(outbox)) == ("lost", []), "it was saved from, and central may have it"
    outbox.close()


def test_a_start_that_is_killed_between_a_damaged_file_and_its_log_does_not_lose_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the new file took the log for its own and threw it away. There is one where somebody else reads."""
    prepared(tmp_path)
    path, log = tmp_path / "records.db", tmp_path / "records.db-wal"
    reader = open_reader(path)
    assert reader.execute("SELECT count(*) FROM records").fetchone() == (11,)
    outbox = open_outbox(tmp_path)
    fill(outbox, 11, 15)
    outbox.close()
    damage(tmp_path, "UPDATE records SET hash = zeroblob(32) WHERE position = 8")
    committed = log.read_bytes()
    assert committed
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self == log:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as kill:
        kill.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            open_outbox(tmp_path)
    assert not path.exists()
    outbox = open_outbox(tmp_path)
    (kept,) = tmp_path.glob("records.db.damaged-*Z")
    assert outbox.finding.aside == kept
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == committed
    assert numbers(outbox) == list(range(4, 16))
    assert verify(outbox.path).ok
    outbox.close()
    reader.close()


def test_a_file_of_another_program_is_told_of_though_nobody_can_read_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db")) as other:
        other.execute("CREATE TABLE records (x)")
    open_outbox(tmp_path).close()
    (one,) = set_aside(tmp_path)
    assert (one.agent, one.left, one.concerns) == (None, None, True)
    assert "cannot be told" in aside_says(aside_json(one))
    assert look(tmp_path / "records.db") is None


# -- where it is told ----------------------------------------------------------------------------------------


def test_the_record_names_each_file_once_and_the_log_at_every_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_line(tmp_path)
    make_identity(tmp_path / "identity", SigningKey.generate())
    another_agent_was_at_work(tmp_path / "buffer")
    for _ in range(2):
        told = [
            e
            for e in run(tmp_path, lambda agent, _clock: agent.outbox.state(TOLD))
            if e.code == "buffer-set-aside"
        ]
        assert "[error" in capsys.readouterr().out
    first, second = told
    (mine, other) = set_aside(tmp_path / "buffer")
    assert first.params == {
        "file": mine.path.name,
        "stream": "records",
        "why": "foreign",
        "agent": AGENT,
        "pending": 18,
    }
    assert (second.params["file"], second.params["agent"]) == (other.path.name, "press-2")


def test_status_and_check_tell_of_it(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    another_agent_was_at_work(tmp_path / "buffer")
    open_outbox(tmp_path / "buffer").close()
    mine, _ = set_aside(tmp_path / "buffer")
    assert typed("status", file, "--json").json["buffer"]["set_aside"][0] == aside_json(mine)
    assert f"SET ASIDE: {mine.path} was set aside" in typed("status", file).out
    said = typed("check", file)
    assert (said.code, f"warning: {mine.path} was set aside" in said.err) == (0, True)


def test_a_file_that_was_set_aside_is_exported_by_the_identity_of_its_agent(typed: Type, tmp_path: Path) -> None:
    file, buffer = write_line(tmp_path), tmp_path / "buffer"
    mine = make_identity(tmp_path / "identity", SigningKey.generate())
    waiting = another_agent_was_at_work(buffer)
    open_outbox(buffer).close()
    aside, other = set_aside(buffer)
    said = typed("buffer", "export", file, "--all", "--out", tmp_path / "in-use")
    assert said.code == 1, "made, but not whole"
    assert f"NOT IN IT: {aside.path} was set aside" in said.err
    out = tmp_path / "aside"
    said = typed("buffer", "export", file, "--folder", aside.path, "--out", out, "--json")
    assert (said.code, said.err, said.json["records"]) == (0, "", 18)
    ring = KeyRing([PublicKey(AGENT, mine.signing.public.hex())])
    with out.open("rb") as opened:
        frames = [decode_frame(payload, ring) for _, payload in read_export(opened).frames]
    assert [row for frame in frames for row in frame.envelopes] == waiting
    said = typed("buffer", "export", file, "--folder", other.path, "--out", tmp_path / "other")
    assert (said.code, "of press-2, the identity is of press-1" in said.err) == (2, True)
