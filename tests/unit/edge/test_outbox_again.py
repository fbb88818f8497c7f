"""A backlog that is stored again and meets a full disk, a killed process or rows that the disk altered."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge_agent.outbox import Batch, Outbox, Outcome, again, export, inspect, ledger, schema, verify
from edge_agent.outbox.aside import set_aside
from edge_agent.outbox.exporting import owner, runs
from records.clock import FakeClock
from records.durable import Writer, open_writer
from records.errors import Damaged, NoRoom, Refused
from records.model import Header, OperationsEvent, decode
from records.wire import Watermark
from tests.rigs.outboxes import AGENT, batch, fact, fill, header, held, mark, numbers, open_outbox, unguarded


def full(*_: object) -> int:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


class Disk:
    """A volume that takes ``room`` more commits (None: any number), then is full as SQLite says it."""

    room: int | None = None

    def __call__(self, failpoint: str) -> None:
        if failpoint != "outbox.before_commit" or self.room is None:
            return
        if self.room == 0:
            full()
        self.room -= 1

    @contextmanager
    def no_room_for_a_piece(self) -> Iterator[None]:
        """It has room for a record and for central's word, and none for a piece of a backlog."""
        self.room = None
        with pytest.MonkeyPatch.context() as small:
            small.setattr(again, "go_on", full)
            yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(again, "ROWS", 3)
    monkeypatch.setattr(Writer, "_at_cap", lambda _: False)  # the test's own volume has room
    return Disk()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock, disk: Disk) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock, failpoint=disk)
    yield opened
    opened.close()


def ahead(outbox: Outbox) -> Watermark:
    """Central knows rows of this epoch that are not here: the disk was rolled back."""
    head = outbox.head()
    return Watermark(AGENT, head.epoch, "records", head.last + 100, "ab" * 32, 1)


def cut(outbox: Outbox, disk: Disk, word: Watermark, room: int = 3) -> None:
    """Act on a watermark while the volume takes only so many commits: the verdict, the epoch and some pieces."""
    disk.room = room
    with pytest.raises(NoRoom):
        outbox.apply(word)


def waiting(outbox: Outbox) -> list[int]:
    return numbers(outbox, outbox.acknowledged()[0])


def left(outbox: Outbox) -> list[dict[str, object]]:
    """Which rows the events of the file say were not stored again."""
    facts = (decode(row.kind, row.body or b"").data for row in held(outbox))
    told = [fact for fact in facts if isinstance(fact, OperationsEvent) and fact.code == "backlog-damaged"]
    return [gap for event in told for gap in event.params["lost"]]  # type: ignore[union-attr,misc]


# -- no room -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["rolled back", "restored"])
def test_what_found_no_room_when_it_was_stored_again_is_not_lost(
    outbox: Outbox, clock: FakeClock, disk: Disk, why: str
) -> None:
    """Bug: it was neither sent nor waiting, and was pruned once central had the newest record."""
    fill(outbox, 1, 20)
    rows = held(outbox)
    outbox.apply(mark(rows[4]))
    clock.advance(2000)
    assert outbox.prune() == 5
    generation = 1 if why == "rolled back" else 2
    cut(outbox, disk, ahead(outbox) if generation == 1 else mark(rows[1], 2))
    assert 0 < len(waiting(outbox)) < 16
    assert outbox.pending().records >= 16, "what is still to be stored again waits, too"
    last = held(outbox, outbox.acknowledged()[0])[-1]
    with disk.no_room_for_a_piece():
        assert outbox.apply(mark(last, generation)).outcome is Outcome.ADVANCED
        assert outbox.pending().records > 0
        clock.advance(2000)
        outbox.prune()
    fill(outbox, 21, 22)
    assert numbers(outbox) == list(range(5, 23)), "each once, in order"
    outbox.apply(mark(held(outbox)[-1], generation))
    assert outbox.pending().records == 0
    clock.advance(2000)
    outbox.prune()
    assert inspect(outbox.path).records == 0
    assert verify(outbox.path).ok


def test_a_head_vouches_for_nothing_that_is_still_to_be_stored_again(
    outbox: Outbox, clock: FakeClock, disk: Disk
) -> None:
    """Bug: it said that nothing more had been made until now, and a lot whose records were left was COMPLETE."""
    fill(outbox, 1, 20)
    made_us = clock.now_us()
    clock.advance(100)
    cut(outbox, disk, ahead(outbox))
    with disk.no_room_for_a_piece():
        assert outbox.head().at_us == made_us
        assert owner(outbox.path, clock.now_us()).at_us == made_us, "nor does an export"
    outbox.commit(batch(21)).result()
    assert outbox.head().at_us == owner(outbox.path, clock.now_us()).at_us == clock.now_us()


def test_a_commit_goes_on_with_a_backlog_that_found_no_room_before_it(outbox: Outbox, disk: Disk) -> None:
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    with pytest.raises(Refused):
        outbox.commit(batch(99)).result()
    disk.room = None
    outbox.commit(batch(21)).result()
    assert waiting(outbox) == list(range(1, 22))


def test_nothing_of_the_line_overtakes_a_backlog_that_finds_no_room(outbox: Outbox, disk: Disk) -> None:
    """Only what tells of the full disk is stored."""
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    with disk.no_room_for_a_piece():
        with pytest.raises(Refused, match="goes before anything new"):
            outbox.commit(batch(21)).result()
        outbox.commit(Batch((fact(100),)), urgent=True).result()
    fill(outbox, 21, 21)
    now = waiting(outbox)
    assert [number for number in now if number != 100] == list(range(1, 22))
    assert now.index(100) < 20


def test_what_is_committed_while_a_backlog_is_stored_again_is_committed_together(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: each put a job between itself and the one before it, so that none shared a commit."""
    commits: list[str] = []
    begun, may_go = threading.Event(), threading.Event()
    honest = again.go_on

    def held_up(connection: sqlite3.Connection, header: Header) -> int:
        begun.set()
        assert may_go.wait(60)
        return honest(connection, header)

    monkeypatch.setattr(again, "go_on", held_up)
    outbox = open_outbox(tmp_path, clock, failpoint=commits.append)
    fill(outbox, 1, 20)
    with ThreadPoolExecutor(1) as pool:
        applied = pool.submit(outbox.apply, ahead(outbox))
        assert begun.wait(60)
        commits.clear()
        futures = [outbox.commit(batch(number)) for number in range(21, 31)]
        may_go.set()
        for future in futures:
            future.result()
        assert applied.result().stored_again == 20
    assert waiting(outbox) == list(range(1, 31))
    assert commits.count("outbox.before_commit") == 3, "the piece, a look for more of them, and the ten"
    outbox.close()


def test_a_start_on_a_full_disk_leaves_the_backlog_for_later(tmp_path: Path, clock: FakeClock, disk: Disk) -> None:
    first = open_outbox(tmp_path, clock, failpoint=disk)
    fill(first, 1, 20)
    cut(first, disk, ahead(first))
    first.close()
    disk.room = 0
    second = open_outbox(tmp_path, clock, failpoint=disk)
    assert second.pending().records >= 20
    disk.room = None
    fill(second, 21, 21)
    assert waiting(second) == list(range(1, 22))
    second.close()


def test_an_export_says_that_a_backlog_is_not_in_it_yet(outbox: Outbox, disk: Disk) -> None:
    """Bug: it called itself whole."""
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    with pytest.raises(Damaged, match="were not stored again yet"):
        list(runs(outbox.path, 100, 1 << 20))
    disk.room = None
    fill(outbox, 21, 21)
    assert sum(len(run.envelopes) for run in runs(outbox.path, 100, 1 << 20)) == outbox.pending().records


def test_a_second_word_of_central_comes_after_what_the_first_left_to_do(outbox: Outbox, disk: Disk) -> None:
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    cut(outbox, disk, ahead(outbox), room=1)
    disk.room = None
    assert outbox.apply(ahead(outbox)).outcome is Outcome.ROLLED_BACK
    assert waiting(outbox) == list(range(1, 21)), "each once, in order"
    assert verify(outbox.path).ok


def test_the_first_step_is_done_when_it_is_tried_again_with_the_room_of_the_ballast(
    tmp_path: Path, clock: FakeClock, disk: Disk
) -> None:
    """Bug: it was taken back, tried again, did nothing and said that it had."""

    def release() -> bool:
        disk.room = None
        return True

    outbox = Outbox(tmp_path, AGENT, clock, context=lambda: header(clock), on_full=release, failpoint=disk)
    fill(outbox, 1, 20)
    epoch = outbox.head().epoch
    disk.room = 1  # for the verdict
    applied = outbox.apply(ahead(outbox))
    assert (applied.outcome, applied.stored_again) == (Outcome.ROLLED_BACK, 20)
    assert outbox.head().epoch != epoch
    assert waiting(outbox) == list(range(1, 21))
    outbox.close()


def test_what_central_has_gives_way_at_the_cap_while_a_backlog_is_stored_again(
    tmp_path: Path, clock: FakeClock, disk: Disk
) -> None:
    """Else a file that is full of its own copies finds no room on its volume, and nothing ever makes any."""
    cap = 1024 * 1024
    outbox = open_outbox(tmp_path, clock, max_bytes=cap, failpoint=disk)
    for number in range(1, 300):
        outbox.commit(Batch((fact(number, text="x" * 2000),))).result()
    outbox.apply(mark(held(outbox)[100]))
    outbox.apply(ahead(outbox))
    assert waiting(outbox) == list(range(101, 300))
    assert next(export(outbox.path)).seq > 100
    outbox.close()


# -- rows that the disk altered ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "first", "last"),
    [
        ("UPDATE records SET tombstone = '{', body = NULL WHERE position = 8", 8, 8),
        ("UPDATE records SET tombstone = CAST(x'ff' AS TEXT), body = NULL WHERE position = 8", 8, 8),
        ("UPDATE records SET kind = CAST(x'ff' AS TEXT) WHERE position = 8", 8, 8),
        ("UPDATE records SET kind = 'decision' WHERE position = 8", 8, 8),
        ("UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = 8", 8, 8),
        ("UPDATE records SET hash = zeroblob(32) WHERE position = 9", 9, 9),  # the last of its piece
        ("DELETE FROM records WHERE position = 8", 8, 9),  # nothing proves the row behind it
    ],
)
def test_rows_behind_one_that_cannot_be_stored_again_are_not_lost(
    tmp_path: Path, clock: FakeClock, disk: Disk, damage: str, first: int, last: int
) -> None:
    """Bug: a tombstone that could not be read kept them from central, then the agent from starting. Number n
    stands at position n + 1.
    """
    outbox = open_outbox(tmp_path, clock, failpoint=disk)
    fill(outbox, 1, 20)
    epoch = outbox.head().epoch
    with closing(sqlite3.connect(outbox.path)) as other:
        unguarded(other, damage)
        other.commit()
    assert outbox.apply(ahead(outbox)).outcome is Outcome.ROLLED_BACK
    sound = [number for number in range(1, 21) if not first <= number + 1 <= last]
    assert waiting(outbox) == sound
    assert left(outbox) == [{"epoch": epoch, "first": str(first), "last": str(last)}]
    outbox.close()
    outbox = open_outbox(tmp_path, clock)
    assert (outbox.finding.why, waiting(outbox)) == (None, sound)
    outbox.close()


@pytest.mark.parametrize("note", ["kept", "lost"])
def test_of_a_file_damaged_while_its_backlog_was_stored_again_the_rest_is_saved_too(
    tmp_path: Path, clock: FakeClock, disk: Disk, note: str
) -> None:
    """Bug: only what stood under the epoch that central gets was saved. Where it is not noted which rows that
    is, nothing of the file is taken for saved.
    """
    outbox = open_outbox(tmp_path, clock, failpoint=disk)
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    done = len(waiting(outbox))
    outbox.close()
    with closing(open_writer(outbox.path)) as connection:
        unguarded(connection, "UPDATE epochs SET head = zeroblob(32)")
        if note == "lost":
            schema.note_control(connection, "again", "[[")
    outbox = open_outbox(tmp_path, clock)
    assert outbox.finding.why == "damaged"
    (one,) = set_aside(tmp_path)
    if note == "kept":
        assert waiting(outbox) == list(range(1, 21)), "each once, in order"
        assert one.left == 0
    else:
        assert len(waiting(outbox)) == done
        assert (one.left, one.concerns) == (None, True)
    outbox.close()


def test_a_file_whose_backlog_was_being_stored_again_is_saved_in_pieces_that_go_on_in_order(
    tmp_path: Path, clock: FakeClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: rows still to be stored again went before the copies of those that come before them. A start that is
    ended between two pieces goes on behind the last.
    """
    outbox = open_outbox(tmp_path, clock, failpoint=disk)
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    outbox.close()
    with closing(open_writer(outbox.path)) as connection:
        unguarded(connection, "UPDATE epochs SET head = zeroblob(32)")
    store, turns = ledger.store_again, iter([True, False] * 3)

    def die(*args: object) -> int:
        if next(turns, True):
            return store(*args)  # type: ignore[arg-type]
        raise Damaged("the power went")

    monkeypatch.setattr(ledger, "store_again", die)
    for _ in range(3):  # each start comes a piece further
        with pytest.raises(Damaged, match="the power went"):
            open_outbox(tmp_path, clock)
    outbox = open_outbox(tmp_path, clock)
    assert waiting(outbox) == list(range(1, 21)), "each once, in order"
    assert verify(outbox.path).ok
    outbox.close()


def test_an_older_copy_of_a_file_whose_backlog_was_being_stored_again_keeps_its_order(
    tmp_path: Path, clock: FakeClock, disk: Disk
) -> None:
    """Bug: the copies already made of the earlier rows were stored behind those still to be made."""
    outbox = open_outbox(tmp_path, clock, failpoint=disk)
    fill(outbox, 1, 20)
    cut(outbox, disk, ahead(outbox))
    outbox.close()
    older = outbox.path.read_bytes()
    disk.room = None
    outbox = open_outbox(tmp_path, clock)
    fill(outbox, 21, 21)
    outbox.close()
    outbox.path.write_bytes(older)
    outbox = open_outbox(tmp_path, clock)
    assert outbox.finding.why == "restored"
    assert waiting(outbox) == list(range(1, 21)), "each once, in order"
    assert verify(outbox.path).ok
    outbox.close()


def test_a_late_word_of_central_changes_nothing_of_what_is_left_to_do(outbox: Outbox, disk: Disk) -> None:
    fill(outbox, 1, 20)
    rows = held(outbox)
    cut(outbox, disk, ahead(outbox))
    with disk.no_room_for_a_piece():
        assert outbox.apply(mark(rows[9])).outcome is Outcome.UNCHANGED
    outbox.prune()
    assert waiting(outbox) == list(range(1, 21))
