"""What central says: acknowledged is not forgotten, a disk that went back and a central that was restored."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.outbox import Gap, Outbox, Outcome, again, export, ledger, verify
from records import chain
from records.clock import FakeClock
from records.errors import Damaged, StorageFailed
from records.model import EpochOpened, OperationsEvent, decode
from tests.rigs.outboxes import (
    AGENT,
    batch,
    fill,
    held,
    mark,
    number_of,
    numbers,
    open_outbox,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock)
    yield opened
    opened.close()


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
    assert (applied.outcome, applied.acknowledged.seq, applied.lost) == (Outcome.REWOUND, 4, ())
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
    assert (applied.outcome, applied.lost, applied.stored_again) == (
        Outcome.REWOUND,
        (Gap(rows[0].epoch, 5, 7),),
        4,
    )
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


def lost_in(outbox: Outbox) -> list[dict[str, str]]:
    """What the newest ``central-restored`` names."""
    facts = [decode(row.kind, row.body).data for row in export(outbox.path) if row.body is not None]
    told = [f for f in facts if isinstance(f, OperationsEvent) and f.code == "central-restored"]
    return told[-1].params["lost"]  # type: ignore[return-value]


def roll_back(outbox: Outbox) -> None:
    """Central knows rows of the current epoch that this disk does not have, 5 of them."""
    last = held(outbox)[-1]
    outbox.apply(replace(mark(last), committed_through=last.seq + 5, hash="aa" * 32))


def settle(outbox: Outbox) -> None:
    outbox.apply(mark(held(outbox, outbox.acknowledged()[0])[-1]))


def test_all_that_was_freed_of_each_epoch_before_central_was_restored_is_named(
    outbox: Outbox, clock: FakeClock
) -> None:
    fill(outbox, 1, 6)
    rows = held(outbox)
    outbox.apply(mark(rows[4]))
    roll_back(outbox)  # rows 6 and 7 are stored again, 8 to 12 were made elsewhere
    settle(outbox)
    fill(outbox, 7, 8)
    second = outbox.head().epoch
    settle(outbox)
    roll_back(outbox)
    settle(outbox)
    third = outbox.head()
    clock.advance(2000)
    outbox.prune()
    fill(outbox, 9, 10)
    applied = outbox.apply(mark(rows[2], generation=2))
    assert applied.outcome is Outcome.REWOUND
    assert [gap.to_json() for gap in applied.lost] == lost_in(outbox)
    assert applied.lost == (
        Gap(rows[0].epoch, 4, 12),
        Gap(second, 1, 11),
        Gap(third.epoch, 1, 2),
    )
    again = held(outbox, outbox.acknowledged()[0])
    opened = decode(again[0].kind, again[0].body or b"").data
    assert opened == EpochOpened("restored", third.epoch, 2, third.hash)
    assert numbers(outbox, outbox.acknowledged()[0]) == [9, 10]
    settle(outbox)
    applied = outbox.apply(mark(rows[3], generation=3))
    assert applied.lost[0] == Gap(rows[0].epoch, 5, 12), "a later backup"
    assert applied.lost[1:] == (Gap(second, 1, 11), Gap(third.epoch, 1, 2)), "they are lost for ever"
    assert verify(outbox.path).ok


def test_a_restore_to_the_last_row_of_an_epoch_does_not_hide_that_the_next_was_freed(
    outbox: Outbox, clock: FakeClock
) -> None:
    fill(outbox, 1, 3)
    first = held(outbox)
    outbox.apply(mark(first[-1]))
    outbox.apply(replace(mark(first[0]), committed_through=50, hash="aa" * 32))
    fill(outbox, 4, 5)
    settle(outbox)
    second = outbox.head()
    clock.advance(2000)
    outbox.prune()
    applied = outbox.apply(mark(first[-1], generation=2))
    assert applied.lost == (Gap(first[0].epoch, 5, 50), Gap(second.epoch, 1, 4))
    opened = next(row for row in held(outbox, outbox.acknowledged()[0]) if row.seq == 1)
    assert decode(opened.kind, opened.body or b"").data == EpochOpened("restored", second.epoch, 4, second.hash), (
        "central must not take the first epoch for the one before"
    )


def test_nothing_is_named_of_an_epoch_before_the_one_where_a_restored_central_stands(
    outbox: Outbox, clock: FakeClock
) -> None:
    fill(outbox, 1, 3)
    outbox.apply(mark(held(outbox)[-1]))
    roll_back(outbox)
    fill(outbox, 4, 8)
    second = held(outbox, outbox.acknowledged()[0])
    outbox.apply(mark(second[4]))
    clock.advance(2000)
    outbox.prune()
    assert outbox.apply(mark(second[1], generation=2)).lost == (Gap(second[0].epoch, 3, 5),)


def test_the_epoch_after_a_restore_names_no_row_before_it_that_was_stored_again(outbox: Outbox) -> None:
    """Freed is the first epoch through a row that stands under the second by now."""
    fill(outbox, 1, 6)
    first = held(outbox)
    outbox.apply(mark(first[1]))
    outbox.apply(replace(mark(first[2]), hash="aa" * 32))
    second = outbox.head().epoch
    settle(outbox)
    position = outbox.acknowledged()[0]
    outbox._writer.submit(lambda connection: ledger.prune(connection, position, 4)).result()
    outbox.apply(mark(first[0], generation=2))
    opened = held(outbox, outbox.acknowledged()[0])[0]
    start = chain.first_hash(AGENT, second, "records").hex()
    assert decode(opened.kind, opened.body or b"").data == EpochOpened("restored", second, 0, start)
    assert numbers(outbox, outbox.acknowledged()[0]) == [2, 3, 4, 5, 6]
    assert verify(outbox.path).ok


def test_rows_that_were_stored_again_are_not_lost_where_they_stood_before(
    outbox: Outbox, clock: FakeClock
) -> None:
    """Rows 3 to 7 were stored again under the second epoch, which holds them still; all of the first is freed."""
    fill(outbox, 1, 6)
    first = held(outbox)
    outbox.apply(mark(first[1]))
    outbox.apply(replace(mark(first[2]), hash="aa" * 32))
    settle_one = held(outbox, outbox.acknowledged()[0])[0]
    outbox.apply(mark(settle_one))
    clock.advance(2000)
    outbox.prune()
    assert held(outbox)[0].seq == 2, "all but the last epoch's tail is freed"
    applied = outbox.apply(mark(first[0], generation=2))
    assert applied.lost == (Gap(first[0].epoch, 2, 3), Gap(settle_one.epoch, 1, 1)), "3 of the other disk"
    assert numbers(outbox, outbox.acknowledged()[0]) == [2, 3, 4, 5, 6]


# -- a long backlog ------------------------------------------------------------------------------------------


def test_a_backlog_is_stored_again_in_pieces_and_a_crash_between_them_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "ROWS", 3)
    commits: list[str] = []
    dies_at = 3

    def failpoint(name: str) -> None:
        commits.append(name)
        if name == "outbox.before_commit" and commits.count(name) == dies_at:
            raise OSError("the power is cut")

    first = open_outbox(tmp_path)
    fill(first, 1, 10)
    rows = held(first)
    first.close()
    second = open_outbox(tmp_path, failpoint=failpoint)
    with pytest.raises(StorageFailed):
        second.apply(replace(mark(rows[3]), committed_through=99, hash="aa" * 32))
    second._lock.release()  # the process is gone, and its writer with it
    third = open_outbox(tmp_path)
    assert third.finding.why is None
    assert numbers(third, third.acknowledged()[0]) == list(range(1, 11)), "each once, in order"
    assert codes(third).count("epoch-rolled-back") == 1
    assert verify(third.path).ok
    third.close()


def test_nothing_comes_between_the_pieces(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "ROWS", 2)
    fill(outbox, 1, 9)
    after: list[Future[object]] = []

    calls: list[None] = []

    def meanwhile() -> None:
        calls.append(None)
        if len(calls) == 3:  # the first piece is on disk
            after.append(outbox.commit(batch(10)))  # type: ignore[arg-type]

    outbox.listen(meanwhile)
    applied = outbox.apply(replace(mark(held(outbox)[0]), committed_through=99, hash="aa" * 32))
    after[0].result()
    assert applied.stored_again == 9
    assert numbers(outbox, outbox.acknowledged()[0]) == list(range(1, 11))
