"""The outbox: committed means there after any restart, acknowledged is not forgotten, nothing is ever changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.outbox import Batch, KeptDocument, Outbox, Outcome, export, inspect, schema, store, verify
from records import chain
from records.clock import FakeClock
from records.durable import open_reader, open_writer
from records.errors import Damaged, Invalid, Refused, StorageFailed
from records.model import EpochOpened, decode
from tests.rigs.outboxes import AGENT, batch, fact, held, mark, number_of, open_outbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock)
    yield opened
    opened.close()


def numbers(outbox: Outbox, behind: int = 0) -> list[int]:
    found = [number_of(row.body or b"{}") for row in held(outbox, behind)]
    return [number for number in found if number is not None]


def fill(outbox: Outbox, first: int, last: int) -> None:
    for future in [outbox.commit(batch(number)) for number in range(first, last + 1)]:
        future.result()


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


def test_envelopes_say_what_was_stored(outbox: Outbox) -> None:
    [row] = outbox.commit(batch(1)).result()
    assert row == held(outbox)[-1]
    assert outbox.commit(Batch(state={"k": [1]})).result() == []


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
    assert outbox.read_after(19, 10, 1 << 20) == (rows[18].hash, rows[19:])


# -- watermarks ----------------------------------------------------------------------------------------------


def test_acknowledged_is_not_forgotten_until_its_time(outbox: Outbox, clock: FakeClock) -> None:
    fill(outbox, 1, 10)
    rows = held(outbox)
    clock.advance(5000)
    assert outbox.prune() == 0, "nothing was acknowledged"
    applied = outbox.apply(mark(rows[5]))
    assert (applied.outcome, applied.acknowledged.seq) == (Outcome.ADVANCED, 6)
    assert outbox.pending().records == 5
    clock.advance(999)
    assert outbox.prune() == 0, "the backup horizon has not passed"
    clock.advance(2)
    assert outbox.prune() == 6
    assert [row.seq for row in export(outbox.path)] == [7, 8, 9, 10, 11]
    assert verify(outbox.path).ok
    assert outbox.next_run(0, 1, 1 << 20) == outbox.next_run(6, 1, 1 << 20)


def test_a_clock_that_is_set_forward_ages_nothing(outbox: Outbox, clock: FakeClock) -> None:
    fill(outbox, 1, 3)
    outbox.apply(mark(held(outbox)[-1]))
    clock.jump(10 * 365 * 86_400)
    assert outbox.prune() == 0


def test_running_time_counts_over_restarts(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = open_outbox(tmp_path, clock)
    fill(outbox, 1, 3)
    outbox.apply(mark(held(outbox)[-1]))
    clock.advance(600)
    assert outbox.prune() == 0
    outbox.close()
    outbox = open_outbox(tmp_path, clock)
    clock.advance(399)
    assert outbox.prune() == 0
    clock.advance(3)
    assert outbox.prune() == 4
    outbox.close()


def test_duplicates_and_late_watermarks_change_nothing(outbox: Outbox, clock: FakeClock) -> None:
    fill(outbox, 1, 10)
    rows = held(outbox)
    outbox.apply(mark(rows[7]))
    for late in (rows[7], rows[2]):
        applied = outbox.apply(mark(late))
        assert (applied.outcome, applied.acknowledged.seq) == (Outcome.UNCHANGED, 8)
    clock.advance(2000)
    assert outbox.prune() == 8
    for late in (rows[7], rows[2]):
        assert outbox.apply(mark(late)).outcome is Outcome.UNCHANGED, "also when its row is gone"
    assert outbox.head().epoch == rows[0].epoch


@pytest.mark.parametrize("change", [{"agent": "other"}, {"stream": "telemetry"}, {"generation": 0}])
def test_a_watermark_that_is_not_ours_is_refused(outbox: Outbox, change: dict[str, object]) -> None:
    fill(outbox, 1, 3)
    rows = held(outbox)
    outbox.apply(mark(rows[0]))
    applied = outbox.apply(replace(mark(rows[3]), **change))  # type: ignore[arg-type]
    assert applied.outcome is Outcome.REFUSED
    assert applied.reason
    assert outbox.acknowledged()[1].seq == 1


def test_central_cannot_take_back_what_it_acknowledged(outbox: Outbox) -> None:
    fill(outbox, 1, 3)
    rows = held(outbox)
    outbox.apply(mark(rows[3]))
    assert outbox.apply(replace(mark(rows[1]), hash="00" * 32)).outcome is Outcome.REFUSED
    assert outbox.head().epoch == rows[0].epoch


def test_a_watermark_without_a_hash_is_damaged(outbox: Outbox) -> None:
    for wrong in ("zz", "00"):
        with pytest.raises(Damaged):
            outbox.apply(replace(mark(held(outbox)[0]), hash=wrong))


# -- a disk that was rolled back -----------------------------------------------------------------------------


def rolled_back(outbox: Outbox, old: str, settled: int, again: list[int], known: dict[str, object]) -> None:
    """A new epoch names what was known elsewhere, an event follows, then every unacknowledged row once more."""
    rows = held(outbox, outbox.acknowledged()[0])
    facts = [decode(row.kind, row.body or b"") for row in rows]
    opened, event = facts[0].data, facts[1].data
    assert isinstance(opened, EpochOpened)
    assert {
        "predecessor": opened.predecessor,
        "last": opened.predecessor_last,
        "head": opened.predecessor_head,
    } == known
    assert getattr(event, "code", None) == "epoch-rolled-back"
    assert [number_of(row.body or b"") for row in rows[2:]] == again
    stored = [fact.header.stored_as for fact in facts[2:]]
    assert [(s.epoch, s.seq) for s in stored if s] == [(old, settled + i) for i in range(1, len(again) + 1)]
    hashes = {row.seq: row.hash.hex() for row in export(outbox.path) if row.epoch == old}
    assert [s.hash for s in stored if s] == [hashes[settled + i] for i in range(1, len(again) + 1)]
    assert {row.epoch for row in rows} == {outbox.head().epoch} != {old}
    assert outbox.pending().records == len(again) + 2
    assert verify(outbox.path).ok


@pytest.mark.parametrize("case", ["ahead", "other hash", "unknown epoch"])
def test_a_watermark_that_the_file_does_not_hold_means_a_disk_was_rolled_back(
    outbox: Outbox, clock: FakeClock, case: str
) -> None:
    fill(outbox, 1, 10)
    rows = held(outbox)
    outbox.apply(mark(rows[5]))
    strange = {
        "ahead": replace(mark(rows[0]), committed_through=99, hash="aa" * 32),
        "other hash": replace(mark(rows[8]), hash="aa" * 32),
        "unknown epoch": replace(mark(rows[0]), epoch="ffff", committed_through=7, hash="aa" * 32),
    }[case]
    applied = outbox.apply(strange)
    assert (applied.outcome, applied.stored_again, applied.acknowledged.seq) == (Outcome.ROLLED_BACK, 5, 6)
    known = {"predecessor": strange.epoch, "last": strange.committed_through, "head": "aa" * 32}
    rolled_back(outbox, rows[0].epoch, 6, [6, 7, 8, 9, 10], known)
    assert len(list(export(outbox.path))) == 11 + 7, "nothing was pruned"
    for repeated in (strange, mark(rows[5])):  # the retained one comes again with every connection
        assert outbox.apply(repeated).outcome is Outcome.UNCHANGED
    last = held(outbox, outbox.acknowledged()[0])[-1]
    assert outbox.apply(mark(last)).outcome is Outcome.ADVANCED
    assert outbox.pending().records == 0
    clock.advance(2000)
    assert outbox.prune() == 18
    assert verify(outbox.path).ok


def test_a_copy_that_was_put_back_is_found_at_the_next_start(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, 4)
    outbox.apply(mark(held(outbox)[2]))
    outbox.close()
    old = (tmp_path / "records.db").read_bytes()
    outbox = open_outbox(tmp_path)
    fill(outbox, 5, 8)
    last = held(outbox)[-1]
    outbox.close()
    (tmp_path / "records.db").write_bytes(old)
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why == "restored"
    rolled_back(outbox, last.epoch, 3, [3, 4], {"predecessor": last.epoch, "last": 9, "head": last.hash.hex()})
    outbox.close()
    outbox = open_outbox(tmp_path)
    assert outbox.finding.why is None
    outbox.close()


def test_a_record_that_was_stored_again_twice_keeps_its_first_identity(outbox: Outbox) -> None:
    fill(outbox, 1, 2)
    first = held(outbox)
    outbox.apply(replace(mark(first[0]), committed_through=50, hash="aa" * 32))
    second = held(outbox)
    outbox.apply(replace(mark(second[0]), committed_through=60, hash="bb" * 32))
    rows = held(outbox)
    identities = {number_of(r.body or b""): decode(r.kind, r.body or b"").header.stored_as for r in rows}
    assert {n: (s.epoch, s.seq) for n, s in identities.items() if n and s} == {
        1: (first[0].epoch, 2),
        2: (first[0].epoch, 3),
    }


# -- central restored ----------------------------------------------------------------------------------------


def codes(outbox: Outbox) -> list[str]:
    facts = [decode(row.kind, row.body) for row in export(outbox.path) if row.body is not None]
    return [f.data.code for f in facts if hasattr(f.data, "code") and f.data.code != "order-started"]


def test_a_restored_central_is_sent_again_what_it_lost(outbox: Outbox) -> None:
    fill(outbox, 1, 10)
    rows = held(outbox)
    outbox.apply(mark(rows[8]))
    applied = outbox.apply(mark(rows[3], generation=2))
    assert (applied.outcome, applied.acknowledged.seq, applied.lost) == (Outcome.REWOUND, 4, None)
    assert held(outbox, outbox.acknowledged()[0])[:7] == rows[4:], "under the same identity"
    assert codes(outbox) == ["central-restored"]
    assert outbox.apply(mark(rows[9])).outcome is Outcome.REFUSED, "of the generation before"
    assert outbox.apply(mark(rows[9], generation=2)).outcome is Outcome.ADVANCED


def test_what_was_pruned_before_central_was_restored_is_a_named_gap(outbox: Outbox, clock: FakeClock) -> None:
    fill(outbox, 1, 10)
    rows = held(outbox)
    outbox.apply(mark(rows[6]))
    clock.advance(2000)
    assert outbox.prune() == 7
    applied = outbox.apply(mark(rows[3], generation=2))
    assert (applied.outcome, applied.lost, applied.stored_again) == (Outcome.REWOUND, (5, 7), 4)
    again = held(outbox, outbox.acknowledged()[0])
    opened = decode(again[0].kind, again[0].body or b"").data
    assert opened == EpochOpened("restored", rows[0].epoch, 7, rows[6].hash.hex())
    assert codes(outbox) == ["central-restored"]
    assert [number_of(row.body or b"") for row in again[2:]] == [7, 8, 9, 10]
    assert verify(outbox.path).ok


def test_a_central_restored_to_before_a_roll_back_gets_both_epochs_again(outbox: Outbox) -> None:
    fill(outbox, 1, 6)
    first = held(outbox)
    outbox.apply(mark(first[4]))
    outbox.apply(replace(mark(first[0]), committed_through=99, hash="aa" * 32))
    outbox.apply(mark(held(outbox, outbox.acknowledged()[0])[-1]))
    assert outbox.pending().records == 0
    applied = outbox.apply(mark(first[2], generation=2))
    assert applied.outcome is Outcome.REWOUND
    rows = held(outbox, outbox.acknowledged()[0])
    assert {row.epoch for row in rows} == {outbox.head().epoch}
    assert [n for row in rows if (n := number_of(row.body or b"{}"))] == [3, 4, 5, 6]
    assert verify(outbox.path).ok


def test_a_central_that_lost_everything_gets_everything_that_is_left(outbox: Outbox) -> None:
    fill(outbox, 1, 6)
    rows = held(outbox)
    outbox.apply(mark(rows[-1]))
    start = chain.first_hash(AGENT, rows[0].epoch, "records").hex()
    applied = outbox.apply(replace(mark(rows[0], generation=2), committed_through=0, hash=start))
    assert (applied.outcome, applied.acknowledged.seq) == (Outcome.REWOUND, 0)
    assert held(outbox)[:7] == rows


# -- at the start --------------------------------------------------------------------------------------------


def reopened(tmp_path: Path) -> Outbox:
    return open_outbox(tmp_path)


def prepared(tmp_path: Path, through: int = 10, acknowledged: int = 4) -> str:
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, through)
    outbox.documents.put(KeptDocument("lots", "SR-20", 1, b"signed", 5)).result()
    outbox.apply(mark(held(outbox)[acknowledged - 1]))
    epoch = outbox.head().epoch
    outbox.close()
    return epoch


def test_the_files_of_two_agents_that_were_swapped_are_set_aside(tmp_path: Path) -> None:
    open_outbox(tmp_path, agent="other").close()
    outbox = reopened(tmp_path)
    assert outbox.finding.why == "foreign"
    assert [path.name for path in tmp_path.glob("records.db.foreign-*")]
    assert decode("epoch_opened", held(outbox)[0].body or b"").data == EpochOpened("foreign")
    outbox.close()


def test_a_file_of_another_program_is_set_aside(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db")) as other:
        other.execute("CREATE TABLE records (x)")
    outbox = reopened(tmp_path)
    assert outbox.finding.why == "foreign"
    outbox.close()


def test_a_lost_file_is_named_by_the_next_epoch(tmp_path: Path) -> None:
    epoch = prepared(tmp_path)
    (tmp_path / "records.db").unlink()
    outbox = reopened(tmp_path)
    opened = decode("epoch_opened", held(outbox)[0].body or b"").data
    assert isinstance(opened, EpochOpened)
    assert (opened.why, opened.predecessor, opened.predecessor_last) == ("lost", epoch, 11)
    outbox.close()


def test_an_empty_file_of_a_killed_first_start_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"")
    outbox = reopened(tmp_path)
    assert outbox.finding.why == "created"
    outbox.close()


def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path) -> None:
    prepared(tmp_path)
    (tmp_path / "epoch.json").write_bytes(b"")
    outbox = reopened(tmp_path)
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
    outbox = reopened(tmp_path)
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


@pytest.mark.parametrize("keep", [0, 100, 4096])
def test_a_file_that_was_cut_or_overwritten_is_set_aside(tmp_path: Path, keep: int) -> None:
    epoch = prepared(tmp_path)
    path = tmp_path / "records.db"
    path.write_bytes(path.read_bytes()[:keep] + b"\x55" * 5000)
    outbox = reopened(tmp_path)
    assert outbox.finding.why == "damaged"
    opened = decode("epoch_opened", held(outbox)[0].body or b"").data
    assert isinstance(opened, EpochOpened)
    assert (opened.predecessor, opened.predecessor_last) == (epoch, 11)
    fill(outbox, 11, 12)
    assert verify(outbox.path).ok
    outbox.close()


def unguarded(connection: sqlite3.Connection, statement: str) -> None:
    """What somebody does who owns the file: take the guard away, change a row, put the guard back."""
    for name in schema.TRIGGERS:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    for trigger in schema.TRIGGERS.values():
        connection.execute(trigger)


def test_a_missing_guard_is_found_at_the_start(tmp_path: Path) -> None:
    prepared(tmp_path)
    with closing(open_writer(tmp_path / "records.db")) as connection:
        connection.execute("DROP TRIGGER records_kept")
    assert verify(tmp_path / "records.db").reason == "the guard records_kept of the records is missing or altered"
    outbox = reopened(tmp_path)
    assert outbox.finding.why == "damaged"
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9, 10]
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


def test_a_row_may_be_buried_once_and_says_why(outbox: Outbox) -> None:
    fill(outbox, 1, 3)
    rows = held(outbox)
    outbox.bury(rows[1].epoch, 2, "retention", "qa")
    outbox.bury(rows[1].epoch, 2, "again", "qa")
    assert held(outbox)[1].tombstone == replace(held(outbox)[1].tombstone, reason="retention", by="qa")  # type: ignore[type-var]
    assert verify(outbox.path).tombstones == 1
    with pytest.raises(Invalid, match="holds no row"):
        outbox.bury(rows[1].epoch, 99, "x", "qa")


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


def test_a_file_can_be_looked_into_while_it_is_written_to(outbox: Outbox) -> None:
    fill(outbox, 1, 10)
    outbox.apply(mark(held(outbox)[3]))
    contents = inspect(outbox.path)
    assert (contents.agent, contents.head.seq, contents.acknowledged.seq) == (AGENT, 11, 4)
    assert (contents.pending.records, contents.records) == (7, 11)
    assert [row.seq for row in export(outbox.path)] == list(range(1, 12))
    with closing(open_reader(outbox.path)) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM state")


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
