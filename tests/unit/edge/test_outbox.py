"""The outbox: what is committed is there after any restart, in order, and nothing is ever changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.outbox import Batch, Outbox, Place, store, verify
from records import chain
from records.clock import FakeClock
from records.errors import Invalid, Refused, StorageFailed, Unreachable
from records.model import EpochOpened, decode
from tests.rigs.outboxes import (
    AGENT,
    batch,
    fact,
    fill,
    held,
    mark,
    numbers,
    open_outbox,
    prepared,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock)
    yield opened
    opened.close()


class _NoFiles:
    """A connection that must open a file and may not."""

    def execute(self, statement: str, *_: object) -> None:
        if statement not in ("BEGIN", "ROLLBACK"):
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error

    def close(self) -> None:
        pass


def test_a_file_that_may_not_be_opened_is_not_called_damaged(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: an agent that was allowed too few files ended with code 1, as if by a fault of its own."""
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_reader", _NoFiles())
        with pytest.raises(Unreachable, match=r"unable to open database file .*LimitNOFILE=") as found:
            outbox.state("last")
    assert found.value.exit_code == 3


# -- commit ------------------------------------------------------------------------------------------------


def test_a_new_file_begins_with_its_epoch(outbox: Outbox) -> None:
    [row] = held(outbox)
    assert decode(row.kind, row.body or b"").data == EpochOpened("created")
    assert (row.seq, outbox.head().last, outbox.head().hash) == (1, 1, row.hash.hex())


def test_records_state_and_indexes_are_committed_together(outbox: Outbox, tmp_path: Path) -> None:
    fill(outbox, 1, 25)
    assert numbers(outbox) == list(range(1, 26))
    assert outbox.state("last") == 25
    assert outbox.prior_runs("WO-1", "assemble", "piece 5") == 3
    assert outbox.prior_runs("WO-2", "assemble", "piece 5") == 0
    assert outbox.identity("VS-100", "gs1", "7") == "carrier 7"
    assert outbox.identity("VS-100", "plant", "7") is None
    assert outbox.pending().records == 26
    assert verify(outbox.path).records == 26


def test_a_commit_tells_where_its_last_record_stands(outbox: Outbox) -> None:
    many = [outbox.commit(Batch((fact(2 * n), fact(2 * n + 1)))) for n in range(20)]
    places = [one.result() for one in many]
    assert places == [Place(row.epoch, row.seq, row.hash) for row in held(outbox)[2::2]]
    assert outbox.commit(Batch(state={"k": [1]})).result() == many[-1].result()


def test_a_state_of_none_takes_its_key_away(outbox: Outbox) -> None:
    outbox.commit(Batch(state={"k": {"a": "ü"}})).result()
    assert outbox.state("k") == {"a": "ü"}
    outbox.commit(Batch(state={"k": None})).result()
    assert outbox.state("k") is None


def test_a_batch_that_cannot_be_stored_leaves_nothing(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        outbox.commit(Batch((fact(1), fact(2, text="\ud800")), {"last": 1}))
    monkeypatch.setattr(store, "MAX_BODY", 1000)
    with pytest.raises(Invalid, match="over the limit"):
        outbox.commit(Batch((fact(1), fact(2, text="x" * 1000)), {"last": 1}))
    assert numbers(outbox) == []
    assert outbox.state("last") is None


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = open_outbox(tmp_path)
    fill(first, 1, 5)
    head = first.head()
    first.close()
    again = open_outbox(tmp_path)
    assert (numbers(again), again.state("last")) == ([1, 2, 3, 4, 5], 5)
    assert (again.head().epoch, again.head().hash) == (head.epoch, head.hash)
    fill(again, 6, 6)
    assert verify(again.path).ok
    again.close()


def test_a_folder_has_one_outbox_at_a_time(outbox: Outbox, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="in use"):
        open_outbox(tmp_path)


def test_a_disk_that_fails_is_told_to_the_process(tmp_path: Path) -> None:
    failures: list[StorageFailed] = []
    outbox = Outbox(
        tmp_path,
        AGENT,
        FakeClock(),
        context=lambda: fact(0).header,
        on_failure=failures.append,
        failpoint=_no_space,
    )
    with pytest.raises(StorageFailed):
        outbox.commit(batch(1)).result()
    with pytest.raises(StorageFailed):
        outbox.commit(batch(2))
    assert len(failures) == 1
    outbox.close()
    again = open_outbox(tmp_path)
    assert numbers(again) == []
    again.close()


def _no_space(name: str) -> None:
    if name == "outbox.before_commit":
        raise OSError(28, "No space left on device")


# -- what may be read next -----------------------------------------------------------------------------------


def test_runs_are_bounded_by_records_and_bytes_and_chained(outbox: Outbox) -> None:
    fill(outbox, 1, 20)
    rows = held(outbox)
    run = outbox.next_run(0, 5, 1 << 20)
    assert run is not None
    assert run.previous == chain.first_hash(AGENT, rows[0].epoch, "records")
    assert list(run.envelopes) == rows[:5]
    run = outbox.next_run(run.position, 100, 1000)
    assert run is not None
    assert run.previous == rows[4].hash
    assert 1 <= len(run.envelopes) < 5
    assert outbox.next_run(run.position, 100, 0) is not None, "one row always comes"
    assert outbox.next_run(21, 100, 1 << 20) is None


# -- append-only ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = CAST('x' AS BLOB) WHERE position = 2",
        "UPDATE records SET body = NULL, tombstone = '{}' WHERE position = 2",
        "UPDATE records SET seq = 9 WHERE position = 2",
        "DELETE FROM records WHERE position = 2",
        "DELETE FROM records",
        "INSERT OR REPLACE INTO records SELECT * FROM records WHERE position = 2",
        "REPLACE INTO records SELECT position, epoch, seq, schema, kind, digest, hash, body, tombstone, 1"
        " FROM records WHERE position = 2",
        "INSERT INTO records SELECT 99, epoch, 99, schema, kind, digest, hash, body, tombstone, stored_us"
        " FROM records WHERE position = 2",
    ],
)
def test_the_guards_refuse_what_is_not_appending(tmp_path: Path, statement: str) -> None:
    """Also on a plain connection, which has SQLite's own defaults."""
    prepared(tmp_path)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
        connection.rollback()
    assert verify(tmp_path / "records.db").ok


# -- space ---------------------------------------------------------------------------------------------------


def test_at_its_cap_the_buffer_frees_what_is_acknowledged_and_then_refuses(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path, max_bytes=300_000)
    number = 0

    def until_full() -> None:
        nonlocal number
        while True:
            number += 1
            outbox.commit(Batch((fact(number, text="x" * 2000),), {"last": number})).result()

    with pytest.raises(Refused, match="central has not committed"):
        until_full()
    assert outbox.state("last") == number - 1, "what was refused left nothing"
    rows = held(outbox)
    outbox.apply(mark(rows[len(rows) // 2]))
    with pytest.raises(Refused):
        until_full()
    assert outbox.pending().records == len(held(outbox, outbox.acknowledged()[0]))
    assert held(outbox, outbox.acknowledged()[0])[0].seq == rows[len(rows) // 2].seq + 1
    assert verify(outbox.path).ok
    assert (tmp_path / "records.db").stat().st_size < 600_000
    outbox.close()
