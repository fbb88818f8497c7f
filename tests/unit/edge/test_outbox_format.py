"""A buffer that an older agent made goes on, and a kill on the way to the new format costs nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.outbox import schema, verify
from records.durable import open_writer, transaction
from tests.rigs import outboxes
from tests.rigs.outboxes import fill, held, numbers, open_outbox, prepared

GUARD_OF_1 = """
CREATE TRIGGER records_in_order BEFORE INSERT ON records
WHEN NOT EXISTS (
    SELECT 1 FROM epochs WHERE number = NEW.epoch AND number = (SELECT max(number) FROM epochs)
    AND NEW.seq = last + 1 AND NEW.position = first_position + last
)
BEGIN SELECT RAISE(ABORT, 'a record must follow the last one'); END""".strip()
GUARD_OF_1_TELEMETRY = """
CREATE TRIGGER records_in_order BEFORE INSERT ON records
WHEN NOT EXISTS (
    SELECT 1 FROM epochs WHERE number = NEW.epoch AND number = (SELECT max(number) FROM epochs)
    AND NEW.seq = last + 1 AND NEW.position = first_position + last
) AND NOT (
    NEW.body IS NULL AND NEW.tombstone IS NOT NULL
    AND EXISTS (SELECT 1 FROM permits WHERE act = 'thin' AND position = NEW.position)
)
BEGIN SELECT RAISE(ABORT, 'a record must follow the last one'); END""".strip()
GUARD_OF_2 = """
CREATE TRIGGER records_in_order BEFORE INSERT ON records
WHEN NOT (
    SELECT number = NEW.epoch AND NEW.position = first_position + NEW.seq - 1 AND NEW.seq > last
    AND (NEW.seq = last + 1 OR EXISTS (SELECT 1 FROM records WHERE position = NEW.position - 1))
    FROM epochs ORDER BY number DESC LIMIT 1
) IS 1
BEGIN SELECT RAISE(ABORT, 'a record must follow the last one'); END""".strip()
GUARD_OF_2_TELEMETRY = GUARD_OF_2.replace(
    ") IS 1\n",
    """) IS 1 AND NOT (
    NEW.body IS NULL AND NEW.tombstone IS NOT NULL
    AND EXISTS (SELECT 1 FROM permits WHERE act = 'thin' AND position = NEW.position)
)
""",
)
GUARDS = {1: (GUARD_OF_1, GUARD_OF_1_TELEMETRY), 2: (GUARD_OF_2, GUARD_OF_2_TELEMETRY)}
"""As these formats have them in their files, word for word: of records, of telemetry."""
formats = pytest.mark.parametrize("former", GUARDS)


def set_back(path: Path, former: int, guard: str | None = None) -> None:
    """Make a file what it would be in a former format."""
    with closing(open_writer(path)) as connection, transaction(connection):
        connection.execute("DROP TRIGGER records_in_order")
        connection.execute(guard or GUARDS[former][0])
        connection.execute(f"PRAGMA user_version = {former}")


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@formats
def test_a_file_of_a_former_format_goes_on_in_the_new_one(tmp_path: Path, former: int) -> None:
    epoch = prepared(tmp_path)
    path = tmp_path / "records.db"
    set_back(path, former)
    assert verify(path).ok, "the new version proves it as it is"
    assert version(path) == former
    outbox = open_outbox(tmp_path)
    assert (outbox.finding.why, outbox.head().epoch) == (None, epoch)
    fill(outbox, 11, 30)
    assert numbers(outbox) == list(range(1, 31))
    outbox.close()
    assert (version(path), verify(path).ok) == (schema.FORMAT, True)


@formats
def test_a_guard_of_a_former_format_that_was_altered_is_found(tmp_path: Path, former: int) -> None:
    prepared(tmp_path)
    set_back(tmp_path / "records.db", former, GUARDS[former][0].replace("last + 1", "last + 2"))
    assert (
        verify(tmp_path / "records.db").reason == "the guard records_in_order of the records is missing or altered"
    )
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "damaged"
    outbox.close()


@formats
def test_the_guards_of_former_formats_are_known_word_for_word(former: int) -> None:
    found = [schema.triggers(stream, former)["records_in_order"] for stream in ("records", "telemetry")]
    assert found == list(GUARDS[former])


def die_within(folder: Path, after: bool) -> None:
    """Open a buffer of a former format, and be gone when the new guard stands but nothing is committed."""
    migrate = schema.migrate

    def killed(connection: sqlite3.Connection) -> None:
        if after:
            migrate(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    schema.migrate = killed
    open_outbox(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("after", [False, True])
@formats
def test_a_kill_on_the_way_to_the_new_format_leaves_the_former_one(
    tmp_path: Path, former: int, after: bool
) -> None:
    prepared(tmp_path)
    path = tmp_path / "records.db"
    set_back(path, former)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([outboxes.__name__])
    killed = context.Process(target=die_within, args=(tmp_path, after))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -9
    assert (version(path), verify(path).ok) == (former, True)
    outbox = open_outbox(tmp_path)
    fill(outbox, 11, 12)
    assert numbers(outbox) == list(range(1, 13))
    outbox.close()
    assert (version(path), verify(path).ok) == (schema.FORMAT, True)


def test_the_guard_takes_rows_of_one_commit_in_order_and_no_others(tmp_path: Path) -> None:
    prepared(tmp_path)
    with closing(open_writer(tmp_path / "records.db")) as connection:
        columns = "schema, kind, digest, hash, body, stored_us"

        def add(position: int, epoch: int, seq: int) -> None:
            connection.execute(
                f"INSERT INTO records (position, epoch, seq, {columns})"
                f" SELECT ?, ?, ?, {columns} FROM records WHERE position = 11",
                (position, epoch, seq),
            )

        for position, epoch, seq in ((13, 1, 13), (12, 1, 13), (12, 2, 12), (12, 1, 11), (11, 1, 11), (5, 1, 5)):
            with pytest.raises(sqlite3.IntegrityError), transaction(connection):
                add(position, epoch, seq)
        connection.execute("BEGIN")
        add(12, 1, 12)
        add(13, 1, 13)
        with pytest.raises(sqlite3.IntegrityError, match="must follow"):
            add(15, 1, 15)
        connection.execute("UPDATE epochs SET last = 13")
        with pytest.raises(sqlite3.IntegrityError, match="must follow"):
            add(13, 1, 13)
        stored = connection.execute("SELECT position FROM records WHERE position > 11").fetchall()
        assert stored == [(12,), (13,)], "what is refused leaves nothing, and takes nothing with it"
        connection.execute("ROLLBACK")
    outbox = open_outbox(tmp_path)
    assert len(held(outbox)) == 11
    outbox.close()
