"""Every start is a recovery, and anyone can prove a file from outside."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.outbox import KeptDocument, export, inspect, note, recovery, schema, verify
from records.durable import open_reader, open_writer
from records.errors import StorageFailed
from records.model import EpochOpened, decode
from tests.rigs.outboxes import (
    AGENT,
    batch,
    fill,
    held,
    mark,
    numbers,
    open_outbox,
    prepared,
    unguarded,
)

# -- from outside --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "bad", "reason"),
    [
        (
            "UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = 5",
            5,
            "the body does not have its digest",
        ),
        ("UPDATE records SET kind = 'decision' WHERE position = 5", 5, "does not follow"),
        ("UPDATE records SET digest = zeroblob(32) WHERE position = 5", 5, "altered"),
        ("UPDATE records SET body = NULL WHERE position = 5", 5, "without a tombstone"),
        ("UPDATE records SET body = NULL, tombstone = '{' WHERE position = 5", 5, "cannot be read"),
        ("DELETE FROM records WHERE position = 5", 5, "missing"),
        ("DELETE FROM records WHERE position = 11", 11, "missing"),
        ("UPDATE epochs SET last = 10, head = (SELECT hash FROM records WHERE position = 10)", 11, "noted beside"),
        ("UPDATE epochs SET head = zeroblob(32)", 11, "noted for the last"),
        ("UPDATE epochs SET last = 9, head = (SELECT hash FROM records WHERE position = 9)", 10, "stands behind"),
        ("UPDATE state SET value = '7'", None, "state last"),
    ],
)
def test_verify_names_the_first_row_that_does_not_hold(
    tmp_path: Path, statement: str, bad: int | None, reason: str
) -> None:
    epoch = prepared(tmp_path)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        unguarded(connection, statement)
        if "10" in statement:
            connection.execute("DROP TRIGGER records_kept")
            connection.execute("DELETE FROM records WHERE position > 10")
            connection.execute(schema.TRIGGERS["records_kept"])
        connection.commit()
    answer = verify(tmp_path / "records.db")
    assert not answer.ok
    assert reason in (answer.reason or "")
    found = None if answer.first_bad is None else (answer.first_bad.epoch, answer.first_bad.seq)
    assert found == (None if bad is None else (epoch, bad))


def test_verify_tells_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"nothing of the kind" * 100)
    assert not verify(tmp_path / "records.db").ok
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    assert verify(tmp_path / "other.db").reason == f"{tmp_path / 'other.db'} is no outbox of an agent"
    with pytest.raises(StorageFailed):
        verify(tmp_path / "none.db")


def test_a_file_can_be_looked_into_while_it_is_written_to(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, 10)
    outbox.apply(mark(held(outbox)[3]))
    contents = inspect(outbox.path)
    assert (contents.agent, contents.head.seq, contents.acknowledged.seq) == (AGENT, 11, 4)
    assert (contents.pending.records, contents.records) == (7, 11)
    assert [row.seq for row in export(outbox.path)] == list(range(1, 12))
    with closing(open_reader(outbox.path)) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM state")
    outbox.close()


def test_what_is_committed_while_a_file_is_verified_is_no_fault_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: of a running agent the note was read after the file, so a new row seemed to be missing."""
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, 5)
    honest = note.read

    def late(path: Path, agent: str, stream: str) -> object:
        fill(outbox, 6, 6)
        return honest(path, agent, stream)

    monkeypatch.setattr(note, "read", late)
    assert verify(tmp_path / "records.db").ok
    outbox.close()


def test_no_flipped_bit_goes_unseen_and_none_keeps_the_agent_from_starting(tmp_path: Path) -> None:
    """Bit rot at sixty places: what verify calls good is as it was, a start always ends in a whole file."""
    prepared(tmp_path, 30)
    good = (tmp_path / "records.db").read_bytes()
    rows = list(export(tmp_path / "records.db"))
    step = len(good) // 60
    for turn in range(60):
        folder = tmp_path / str(turn)
        folder.mkdir()
        bad = bytearray(good)
        bad[turn * step + turn * 37 % step] ^= 1 << turn % 8
        (folder / "records.db").write_bytes(bad)
        if verify(folder / "records.db").ok:
            assert list(export(folder / "records.db")) == rows
        outbox = open_outbox(folder)
        outbox.commit(batch(31)).result()
        assert verify(outbox.path).ok
        outbox.close()


def test_the_files_of_two_agents_that_were_swapped_are_set_aside(tmp_path: Path) -> None:
    open_outbox(tmp_path, agent="other").close()
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "foreign"
    assert [path.name for path in tmp_path.glob("records.db.foreign-*")]
    assert decode("epoch_opened", held(outbox)[0].body or b"").data == EpochOpened("foreign")
    outbox.close()


def test_a_file_of_another_program_is_set_aside(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db")) as other:
        other.execute("CREATE TABLE records (x)")
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "foreign"
    outbox.close()


def test_a_lost_file_is_named_by_the_next_epoch(tmp_path: Path) -> None:
    epoch = prepared(tmp_path)
    (tmp_path / "records.db").unlink()
    outbox = open_outbox(tmp_path)
    opened = decode("epoch_opened", held(outbox)[0].body or b"").data
    assert isinstance(opened, EpochOpened)
    assert (opened.why, opened.predecessor, opened.predecessor_last) == ("lost", epoch, 11)
    outbox.close()


def test_an_empty_file_of_a_killed_first_start_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"")
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "created"
    outbox.close()


def test_a_start_whose_disk_refuses_a_file_beside_the_database_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(note, "replace_file", refuse)
    with pytest.raises(StorageFailed, match=re.escape(str(tmp_path / "records.db"))):
        open_outbox(tmp_path)


def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path) -> None:
    prepared(tmp_path)
    (tmp_path / "epoch.json").write_bytes(b"")
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why is None
    outbox.close()


@pytest.mark.parametrize(
    ("damage", "saved"),
    [
        ("UPDATE records SET hash = zeroblob(32) WHERE position = 8", [4, 5, 6, 7, 8, 9, 10]),
        ("UPDATE records SET hash = zeroblob(32) WHERE position = 11", [4, 5, 6, 7, 8, 9]),
        ("UPDATE records SET hash = zeroblob(32) WHERE position IN (8, 9)", [4, 5, 6, 7, 8, 9, 10]),
        ("UPDATE records SET digest = zeroblob(32) WHERE position = 8", [4, 5, 6, 7, 8, 9, 10]),
        ("UPDATE records SET kind = 'decision' WHERE position = 8", [4, 5, 6, 8, 9, 10]),
        ("UPDATE records SET tombstone = '{', body = NULL WHERE position = 8", [4, 5, 6, 8, 9, 10]),
        ("DELETE FROM records WHERE position = 8", [4, 5, 6, 9, 10]),
    ],
)
def test_what_a_damaged_file_still_proves_is_stored_again(tmp_path: Path, damage: str, saved: list[int]) -> None:
    """Number n stands at position n + 1, and central has acknowledged position 4."""
    epoch = prepared(tmp_path)
    with closing(open_writer(tmp_path / "records.db")) as connection:
        unguarded(connection, damage)
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    assert len(list(tmp_path.glob("records.db.damaged-*Z"))) == 1
    rows = held(outbox)
    opened = decode(rows[0].kind, rows[0].body or b"").data
    assert isinstance(opened, EpochOpened)
    assert (opened.why, opened.predecessor, opened.predecessor_last) == ("damaged", epoch, 11)
    assert numbers(outbox) == saved
    assert (outbox.state("last"), outbox.prior_runs("WO-1", "assemble", "piece 5")) == (10, 1)
    assert outbox.identity("VS-100", "gs1", "7") == "carrier 7"
    assert outbox.documents.all() == [KeptDocument("lots", "SR-20", 1, b"signed", 5)]
    assert verify(outbox.path).ok
    outbox.close()


@pytest.mark.parametrize("acknowledged", [10, 60])
def test_a_start_proves_all_that_waits_for_central_however_much_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acknowledged: int
) -> None:
    """Else nothing behind a row that cannot be sent would ever be."""
    monkeypatch.setattr(recovery, "TAIL", 20)
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, 99)
    outbox.apply(mark(held(outbox)[acknowledged - 1]))
    outbox.close()
    with closing(sqlite3.connect(outbox.path)) as connection:
        unguarded(connection, "UPDATE records SET kind = 'decision' WHERE position = 40")
        connection.commit()
    outbox = open_outbox(tmp_path)
    waiting = numbers(outbox, outbox.acknowledged()[0])
    outbox.close()
    if acknowledged > 40:
        assert (outbox.finding.why, waiting) == (None, list(range(60, 100))), (
            "central has the row that was altered"
        )
    else:
        assert outbox.finding.why == "damaged"
        assert waiting == [number for number in range(10, 100) if number != 39]


@pytest.mark.parametrize("keep", [0, 100, 4096])
def test_a_file_that_was_cut_or_overwritten_is_set_aside(tmp_path: Path, keep: int) -> None:
    epoch = prepared(tmp_path)
    path = tmp_path / "records.db"
    path.write_bytes(path.read_bytes()[:keep] + b"\x55" * 5000)
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    opened = decode("epoch_opened", held(outbox)[0].body or b"").data
    assert isinstance(opened, EpochOpened)
    assert (opened.predecessor, opened.predecessor_last) == (epoch, 11)
    fill(outbox, 11, 12)
    assert verify(outbox.path).ok
    outbox.close()


def test_a_missing_guard_is_found_at_the_start(tmp_path: Path) -> None:
    prepared(tmp_path)
    with closing(open_writer(tmp_path / "records.db")) as connection:
        connection.execute("DROP TRIGGER records_kept")
    assert verify(tmp_path / "records.db").reason == "the guard records_kept of the records is missing or altered"
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9, 10]
    outbox.close()


def test_rows_behind_the_one_noted_as_the_last_are_not_lost(tmp_path: Path) -> None:
    prepared(tmp_path)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        unguarded(connection, "UPDATE epochs SET last = 9, head = (SELECT hash FROM records WHERE position = 9)")
        connection.commit()
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9, 10]
    fill(outbox, 11, 12)
    assert verify(outbox.path).ok
    outbox.close()


@pytest.mark.parametrize("when", ["running", "stopped"])
def test_a_body_that_lost_its_digest_gives_way_to_a_tombstone(tmp_path: Path, when: str) -> None:
    epoch = prepared(tmp_path)
    outbox = open_outbox(tmp_path) if when == "running" else None
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        unguarded(connection, "UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = 8")
        connection.commit()
    outbox = outbox or open_outbox(tmp_path)
    assert outbox.finding.why is None
    rows = held(outbox, 4)
    assert [row.seq for row in rows] == list(range(5, 13))
    grave = rows[3].tombstone
    assert grave is not None
    assert (grave.digest, grave.reason, grave.by) == (rows[3].digest.hex(), "damaged", AGENT)
    event = decode(rows[-1].kind, rows[-1].body or b"").data
    assert getattr(event, "params", None) == {"epoch": epoch, "seq": "8", "digest": grave.digest}
    assert (verify(outbox.path).ok, verify(outbox.path).tombstones) == (True, 1)
    outbox.close()
