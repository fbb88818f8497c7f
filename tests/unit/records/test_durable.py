"""SQLite where committed means on disk."""

from __future__ import annotations

import errno
import gc
import os
import re
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from records import durable, jobs
from records.durable import Writer, open_reader, open_writer, snapshot, transaction
from records.errors import Busy, Damaged, NoRoom, Refused, StorageFailed
from records.files import InstanceLock, make_folder, replace_file


def table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY CHECK (n < 1000))")


def insert(number: int) -> jobs.Job[int]:
    def job(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return job


def numbers(path: Path) -> list[int]:
    with closing(open_reader(path)) as reader:
        return [row[0] for row in reader.execute("SELECT n FROM t ORDER BY n")]


def test_what_a_future_promised_can_be_read_by_another_connection(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db", table)
    assert writer.submit(insert(1)).result() == 1
    assert numbers(tmp_path / "a.db") == [1]
    writer.close()
    writer.close()


def test_the_pragmas_that_carry_the_promise_hold(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "a.db")) as connection:
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2}
        assert connection.execute("PRAGMA recursive_triggers").fetchone()[0] == 1


def test_a_pragma_that_does_not_hold_is_found_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(durable._PRAGMAS, "synchronous", 99)
    with pytest.raises(StorageFailed, match="synchronous"):
        open_writer(tmp_path / "a.db")


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (5000)", "INSERT INTO nowhere VALUES (1)", "SELEC"],
)
def test_a_job_that_is_wrong_takes_only_itself_back(tmp_path: Path, statement: str) -> None:
    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (7)")
        connection.execute(statement)

    gate = threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        gate.wait(10)

    writer = Writer(tmp_path / "a.db", table)
    first: Future[object] = writer.submit(hold)  # the next three wait and are committed together
    jobs = [writer.submit(insert(1)), writer.submit(wrong), writer.submit(insert(2))]
    gate.set()
    first.result()
    assert jobs[0].result() == 1
    with pytest.raises(sqlite3.Error):
        jobs[1].result()
    assert jobs[2].result() == 2
    writer.close()
    assert numbers(tmp_path / "a.db") == [1, 2]


def broken(_: sqlite3.Connection) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    raise error


def large(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS big (b)")
    connection.execute("INSERT INTO big VALUES (zeroblob(100000))")


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def full_once(number: int) -> jobs.Job[int]:
    """The volume has no room at the first try."""
    tries: list[int] = []

    def job(connection: sqlite3.Connection) -> int:
        insert(number)(connection)
        tries.append(1)
        if len(tries) == 1:
            raise full()
        return len(tries)

    return job


def test_an_error_of_the_disk_stops_the_writer_for_good(tmp_path: Path) -> None:
    failures: list[StorageFailed] = []
    writer = Writer(tmp_path / "a.db", table, failures.append)
    lost = writer.submit(broken)
    with pytest.raises(StorageFailed, match="did not keep a commit"):
        lost.result()
    with pytest.raises(StorageFailed):
        writer.submit(insert(1)).result()
    assert len(failures) == 1
    writer.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
def test_a_damaged_file_stops_the_writer_and_the_message_says_what_a_start_does(tmp_path: Path, code: int) -> None:
    def damaged(_: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = code
        raise error

    writer = Writer(tmp_path / "a.db", table)
    with pytest.raises(StorageFailed, match="is damaged, a commit was not kept") as found:
        writer.submit(damaged).result()
    assert found.value.exit_code == 74
    assert "the start sets the file aside" in (found.value.hint or "")
    with pytest.raises(StorageFailed):
        writer.submit(insert(1)).result()
    writer.close()


def test_a_file_at_its_cap_takes_nothing_of_that_commit_and_goes_on(tmp_path: Path) -> None:
    failures: list[StorageFailed] = []
    writer = Writer(tmp_path / "a.db", table, failures.append, max_bytes=40_000)
    with pytest.raises(NoRoom, match="at its cap: nothing was stored"):
        writer.submit(large).result(timeout=10)
    assert writer.submit(insert(1)).result(timeout=10) == 1
    writer.close()
    assert (numbers(tmp_path / "a.db"), failures) == ([1], [])


@pytest.mark.parametrize("refuse", ["ABORT", "FAIL"])
def test_what_waits_with_the_row_that_finds_no_room_is_never_promised_and_gone(
    tmp_path: Path, refuse: str
) -> None:
    """With FAIL (the edge's rows, decision 56) SQLite takes back the whole transaction by itself, not the row."""
    writer = Writer(tmp_path / "a.db", table, max_bytes=40_000)
    gate = threading.Event()

    def rows(connection: sqlite3.Connection) -> int:
        connection.execute("CREATE TABLE IF NOT EXISTS big (b)")
        connection.executemany(f"INSERT OR {refuse} INTO big VALUES (?)", [("x" * 3000,)] * 20)
        return 0

    writer.submit(lambda _: gate.wait(10))
    promised = [writer.submit(insert(1)), writer.submit(rows), writer.submit(insert(2))]
    gate.set()
    assert [type(future.exception(timeout=10)) for future in promised] == [NoRoom] * 3
    assert writer.submit(insert(3)).result(timeout=10) == 3
    writer.close()
    assert numbers(tmp_path / "a.db") == [3]


@pytest.mark.parametrize(("made_with", "opened_with"), [(4096, 8192), (8192, 4096)])
def test_a_file_keeps_its_pages_and_its_cap_counts_bytes(tmp_path: Path, made_with: int, opened_with: int) -> None:
    path = tmp_path / "a.db"
    Writer(path, table, page_bytes=made_with).close()
    writer = Writer(path, table, page_bytes=opened_with, max_bytes=200_000)

    def pages(connection: sqlite3.Connection) -> tuple[int, int]:
        size, most = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "max_page_count")
        )
        return size, most

    assert writer.submit(pages).result(timeout=10) == (made_with, 200_000 // made_with)
    writer.close()


def test_a_full_volume_is_tried_once_more_when_something_was_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "_at_cap", lambda _: False)
    freed = iter([True, False])
    writer = Writer(tmp_path / "a.db", table, on_full=lambda: next(freed))
    assert writer.submit(full_once(5)).result(timeout=10) == 2
    with pytest.raises(NoRoom, match="the disk is full") as found:
        writer.submit(full_once(7)).result(timeout=10)
    assert found.value.exit_code == 74, "a start that ends by it is started again like one whose disk failed"
    assert writer.submit(insert(6)).result(timeout=10) == 6, "and it goes on when there is space"
    writer.close()
    assert numbers(tmp_path / "a.db") == [5, 6], "the first try left nothing"


def test_steps_have_a_transaction_each_and_nothing_comes_between(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    commits: list[list[int]] = []
    writer = Writer(path, table, after_commit=lambda: commits.append(numbers(path)), max_bytes=40_000)
    gate = threading.Event()

    def step(connection: sqlite3.Connection, so_far: int | None) -> int | jobs.Again[int | None]:
        number = (so_far or 0) + 1
        large(connection)  # more than the cap allows
        insert(number)(connection)
        return number if number == 3 else jobs.Again(number)

    writer.submit(lambda _: gate.wait(10))
    done, after = writer.submit_steps(step), writer.submit(insert(9))
    gate.set()
    assert done.result(timeout=10) == 3
    with pytest.raises(Refused):
        writer.submit(large).result(timeout=10)
    assert after.result(timeout=10) == 9
    assert commits == [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 9]]
    writer.close()


def test_the_log_is_brought_into_the_file_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    writer = Writer(path, table)
    for _ in range(100):
        writer.submit(large, 100_000).result(timeout=10)
    log = path.with_name("a.db-wal").stat().st_size
    assert log < 2 * durable.CHECKPOINT_BYTES
    assert path.stat().st_size > 100 * 100_000 - log
    writer.close()


def read_in_turns(path: Path, here: threading.Event, other: threading.Event, end: threading.Event) -> None:
    """Leaves the log only when the other reader has come into it anew, so that one of the two is always there."""
    while not end.is_set():
        with closing(open_reader(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM t").fetchone()
            here.set()
            while not (other.wait(0.05) or end.is_set()):
                pass
            other.clear()


def test_a_log_that_always_has_a_reader_does_not_grow_without_end(tmp_path: Path) -> None:
    """Central's took 0.9 GB of the disk in a minute: its readers followed each other without a gap."""
    path = tmp_path / "a.db"
    writer = Writer(path, table)
    one, two, end = threading.Event(), threading.Event(), threading.Event()
    readers = [
        threading.Thread(target=read_in_turns, args=(path, one, two, end)),
        threading.Thread(target=read_in_turns, args=(path, two, one, end)),
    ]
    for reader in readers:
        reader.start()
    try:
        for _ in range(400):
            writer.submit(large, 100_000).result(timeout=10)
    finally:
        end.set()
        for reader in readers:
            reader.join()
    assert path.with_name("a.db-wal").stat().st_size < 16 * 1024 * 1024
    writer.close()


def test_a_reader_that_stays_is_waited_for_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup may read for minutes: no commit after that waits for it."""
    waited: list[int] = []
    restart = Writer._restart_log

    def counted(connection: sqlite3.Connection, wait_ms: int) -> tuple[int, int, int]:
        waited.append(wait_ms)
        return restart(connection, wait_ms)

    monkeypatch.setattr(Writer, "_restart_log", staticmethod(counted))
    path = tmp_path / "a.db"
    writer = Writer(path, table)
    with closing(open_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        for _ in range(600):  # 15,000 pages
            writer.submit(large).result(timeout=10)
        reader.execute("COMMIT")
    assert 0 < len(waited) <= 14
    assert waited == sorted(waited)
    for _ in range(200):
        writer.submit(large).result(timeout=10)
    writer.submit(insert(1)).result(timeout=10)
    assert path.with_name("a.db-wal").stat().st_size < 16 * 1024 * 1024, "when it has left, the log is begun anew"
    writer.close()


def test_the_log_of_a_writer_that_was_killed_is_brought_into_the_file_by_the_next_ones_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed again and again before its first checkpoint, central left a log of 32 MB beside a file of 0.4 MB."""
    path, after = tmp_path / "a.db", tmp_path / "after" / "a.db"
    after.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(durable, "CHECKPOINT_BYTES", 10_000 * 4096)
        writer = Writer(path, table)
        for _ in range(20):
            writer.submit(large).result(timeout=10)
        for name in ("a.db", "a.db-wal"):
            shutil.copy(tmp_path / name, after.parent / name)
        writer.close()
    writer = Writer(after)
    writer.submit(insert(1)).result(timeout=10)
    writer.submit(insert(2)).result(timeout=10)
    assert after.stat().st_size > 20 * 100_000
    writer.close()


def until_it_fails(writer: Writer) -> None:
    for _ in range(1000):
        writer.submit(lambda _: None).result(timeout=10)


def test_a_checkpoint_that_fails_stops_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's automatic checkpoint would keep the error to itself, and lose pages at the next one."""
    monkeypatch.setattr(durable, "CHECKPOINT_BYTES", 1)
    failures: list[StorageFailed] = []
    path = tmp_path / "a.db"

    def tricky(connection: sqlite3.Connection) -> None:
        def deny(action: int, _1: str | None, second: str | None, *_: str | None) -> int:
            wanted = action == sqlite3.SQLITE_PRAGMA and second is not None and "PASSIVE" in second
            return sqlite3.SQLITE_DENY if wanted else sqlite3.SQLITE_OK

        connection.set_authorizer(deny)

    writer = Writer(path, table, failures.append)
    writer.submit(tricky).result(timeout=10)
    with pytest.raises(StorageFailed):
        until_it_fails(writer)
    assert len(failures) == 1
    writer.close()


class FullAtRestart:
    """A connection whose disk has no room when the log is begun anew."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> sqlite3.Cursor:
        if "RESTART" in statement:
            raise full()
        return self._connection.execute(statement)


def test_commits_wait_for_strangers_as_before_when_the_disk_was_full_as_the_log_was_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "RESTART_BYTES", 1)
    asked: list[bool] = []

    def free() -> bool:
        asked.append(True)
        return True

    writer = Writer(tmp_path / "a.db", table, on_full=free)
    writer.submit(insert(1)).result(timeout=10)
    connection = writer._connection
    assert connection is not None
    writer._log_bytes = durable.CHECKPOINT_BYTES
    without_room: Any = FullAtRestart(connection)
    writer._tidy(without_room)
    assert asked == [True]
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (5000,)
    writer.close()


def test_jobs_that_share_a_commit_with_a_failing_disk_all_fail(tmp_path: Path) -> None:
    gate = threading.Event()
    writer = Writer(tmp_path / "a.db", table)

    def hold(_: sqlite3.Connection) -> None:
        gate.wait(10)

    writer.submit(hold)
    jobs = [writer.submit(insert(1)), writer.submit(broken), writer.submit(insert(2))]
    gate.set()
    for job in jobs:
        with pytest.raises(StorageFailed):
            job.result(timeout=10)
    assert numbers(tmp_path / "a.db") == []


def test_jobs_of_one_kind_are_done_at_once_and_the_one_that_fails_takes_only_itself_back(tmp_path: Path) -> None:
    began, gate, calls = threading.Event(), threading.Event(), []

    def hold(_: sqlite3.Connection) -> None:
        began.set()
        gate.wait(10)

    def insert_all(connection: sqlite3.Connection, given: Sequence[int]) -> list[str]:
        calls.append(tuple(given))
        connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in given])
        return [f"stored {number}" for number in given]

    writer = Writer(tmp_path / "a.db", table)
    writer.submit(hold)
    began.wait(10)
    jobs = [writer.submit_alike(insert_all, number) for number in (1, 2, 3)]
    jobs.append(writer.submit(insert(4)))  # type: ignore[arg-type]
    jobs += [writer.submit_alike(insert_all, number) for number in (5, 5000, 6)]
    gate.set()
    assert [job.result(timeout=10) for job in jobs[:5]] == ["stored 1", "stored 2", "stored 3", 4, "stored 5"]
    with pytest.raises(sqlite3.IntegrityError):
        jobs[5].result(timeout=10)
    assert jobs[6].result(timeout=10) == "stored 6"
    assert calls == [(1, 2, 3), (5, 5000, 6), (5,), (5000,), (6,)]
    assert numbers(tmp_path / "a.db") == [1, 2, 3, 4, 5, 6]
    writer.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("how", ["alike", "plain", "steps"])
def test_what_a_job_was_given_goes_with_its_answer_and_waits_for_no_collector(tmp_path: Path, how: str) -> None:
    class Given:
        """Megabytes of bodies."""

    def submit(given: Given) -> Future[bool]:
        if how == "alike":
            return writer.submit_alike(lambda _, all_given: [one is not None for one in all_given], given)
        if how == "plain":
            return writer.submit(lambda _: given is not None)
        return writer.submit_steps(lambda *_: given is not None)

    writer = Writer(tmp_path / "a.db", table)
    given, gone = Given(), threading.Event()
    weakref.finalize(given, gone.set)
    assert submit(given).result(timeout=10)
    del given
    assert gone.wait(10), "while the writer waits for the next one"
    writer.close()


def test_a_hook_that_fails_stops_the_writer_instead_of_promising(tmp_path: Path) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise RuntimeError("no")

    writer = Writer(tmp_path / "a.db", table, before_commit=fail)
    with pytest.raises(StorageFailed, match="the writer stopped"):
        writer.submit(insert(1)).result(timeout=10)
    assert numbers(tmp_path / "a.db") == []


def test_hooks_stand_around_the_commit_and_before_the_promise(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    seen: list[list[int]] = []
    futures: list[Future[int]] = []
    done: list[bool] = []

    def look(_: object = None) -> None:
        seen.append(numbers(path))
        done.append(any(future.done() for future in futures))

    writer = Writer(path, table, before_commit=look, after_commit=look)
    gate = threading.Event()

    def first(connection: sqlite3.Connection) -> int:
        gate.wait(10)
        return insert(1)(connection)

    futures.append(writer.submit(first))
    gate.set()
    futures[0].result()
    writer.close()
    assert seen == [[], [1]]
    assert done == [False, False]


def test_what_was_submitted_cannot_be_cancelled(tmp_path: Path) -> None:
    """A cancelled future used to kill the writer's thread when its result was set."""
    gate = threading.Event()
    writer = Writer(tmp_path / "a.db", table)
    writer.submit(lambda _: gate.wait(10))
    job = writer.submit(insert(1))
    assert not job.cancel()
    gate.set()
    assert job.result(timeout=10) == 1
    assert writer.submit(insert(2)).result(timeout=10) == 2
    writer.close()


def test_no_job_is_left_without_an_answer_when_the_writer_closes(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db", table)
    answers: list[Future[int] | None] = []

    def hammer() -> None:
        for number in range(1, 500):
            try:
                answers.append(writer.submit(insert(number)))
            except StorageFailed:
                return

    thread = threading.Thread(target=hammer)
    thread.start()
    writer.close()
    thread.join()
    promised = [answer.result(timeout=10) for answer in answers if answer is not None]
    assert numbers(tmp_path / "a.db") == promised


def test_too_many_waiting_jobs_are_refused_and_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "WAITING_LIMIT", 3)
    gate = threading.Event()
    started = threading.Event()
    writer = Writer(tmp_path / "a.db", table)

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        gate.wait(10)

    writer.submit(hold)
    started.wait(10)
    waiting = [writer.submit(insert(number)) for number in (1, 2, 3)]
    refused = writer.submit(insert(9))
    with pytest.raises(Busy, match="3 writes wait"):
        refused.result(timeout=10)
    gate.set()
    assert [job.result(timeout=10) for job in waiting] == [1, 2, 3]
    writer.submit(insert(4)).result(timeout=10)
    writer.close()
    assert numbers(tmp_path / "a.db") == [1, 2, 3, 4]


def test_what_prepare_raises_is_raised_by_the_constructor(tmp_path: Path) -> None:
    def prepare(_: sqlite3.Connection) -> None:
        raise Damaged("no")

    with pytest.raises(Damaged):
        Writer(tmp_path / "a.db", prepare)


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database at all, " * 100)
    with pytest.raises(Damaged):
        open_writer(path)


def test_a_folder_where_the_file_should_be_is_said_to_fail(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StorageFailed, match="cannot open"):
        open_writer(tmp_path / "a.db")


def test_a_reader_can_only_read(tmp_path: Path) -> None:
    Writer(tmp_path / "a.db", table).close()
    with closing(open_reader(tmp_path / "a.db")) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(StorageFailed):
        open_reader(tmp_path / "none.db")


def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "a.db")) as connection:
        table(connection)
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.execute("INSERT INTO t VALUES (1), (1)")
        assert not connection.in_transaction
        assert numbers(tmp_path / "a.db") == []


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "a.db")) as connection:
        table(connection)
        connection.execute("CREATE TABLE c (n INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.execute("INSERT INTO c VALUES (1)")
        assert not connection.in_transaction


def test_a_snapshot_has_what_is_only_in_the_log_and_is_one_file(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db", table)
    writer.submit(insert(1)).result()
    (tmp_path / "copies").mkdir()
    snapshot(tmp_path / "a.db", tmp_path / "copies" / "b.db")
    writer.close()
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["b.db"]
    assert numbers(tmp_path / "copies" / "b.db") == [1]
    with pytest.raises(StorageFailed):
        snapshot(tmp_path / "none.db", tmp_path / "c.db")
    assert not (tmp_path / "c.db").exists()


def test_replace_file_leaves_the_whole_new_content_and_nothing_else(tmp_path: Path) -> None:
    make_folder(tmp_path / "x" / "y")
    path = tmp_path / "x" / "y" / "note"
    replace_file(path, b"a long first content")
    replace_file(path, b"second", sync=False)
    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["note"]


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / "lock")
    with pytest.raises(Refused, match="in use"):
        InstanceLock(tmp_path / "lock")
    lock.release()
    lock.release()
    InstanceLock(tmp_path / "lock").release()


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StorageFailed), (errno.EACCES, PermissionError)])
def test_a_lock_that_cannot_be_made_says_whether_it_is_the_disk_or_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def refuse(self: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(error, match=re.escape(str(tmp_path / "lock"))):
        InstanceLock(tmp_path / "lock")
