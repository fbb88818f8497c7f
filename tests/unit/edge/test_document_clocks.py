"""No clock that is set makes what central told young, and none that is right again makes it old for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent import documents as module
from edge_agent.documents import Documents
from edge_agent.outbox import Outbox
from records.clock import FakeClock
from records.durable import open_writer
from records.errors import Damaged
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import SYNC, Document, down_topic, sign
from tests.rigs.outboxes import AGENT, open_outbox

KEY = SigningKey.generate()
RING = KeyRing([PublicKey("central", KEY.public.hex())])
HOUR = 3600.0
DAY = 86_400.0


@dataclass
class Pc:
    """A line PC that holds central's list of holds."""

    folder: Path
    clock: FakeClock
    outbox: Outbox
    documents: Documents

    def tell(self, document: Document, *, retained: bool = False) -> None:
        topic = down_topic(AGENT, document.kind, document.id)
        self.documents.take(topic, AGENT, sign(document, KEY), retained=retained)

    @property
    def age_s(self) -> float | None:
        return self.documents.age_s("holds", "plant")

    def start(self) -> None:
        """The agent is started again."""
        self.outbox.close()
        self.outbox = open_outbox(self.folder, self.clock)
        self.documents = Documents(self.outbox, RING, self.clock)

    def power_off(self, off_s: float, clock_off_s: float = 0.0) -> None:
        """The power fails for a while; the clock then comes up wrong by so much, and the agent starts."""
        self.clock.advance(off_s)
        self.clock.jump(clock_off_s)
        self.clock.boot()
        self.start()


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    """Central was heard now."""
    clock = FakeClock()
    outbox = open_outbox(tmp_path, clock)
    made = Pc(tmp_path, clock, outbox, Documents(outbox, RING, clock))
    made.tell(Document("holds", "plant", 1, clock.now_us(), {"holds": []}))
    made.documents.heard()
    yield made
    made.outbox.close()


def test_a_clock_that_is_set_while_the_agent_runs_changes_no_age(pc: Pc) -> None:
    """Bug: set back by two hours, what was three hours old was one hour old, and "refuse" was evaded."""
    pc.clock.advance(3 * HOUR)
    for set_s in (-2 * HOUR, -5 * DAY, 40 * DAY):
        pc.clock.jump(set_s)
        assert pc.age_s == 3 * HOUR


@pytest.mark.parametrize("set_s", [-30 * DAY, 30 * DAY])
def test_a_clock_that_was_wrong_when_central_was_heard_is_forgotten_when_it_is_right(pc: Pc, set_s: float) -> None:
    """Bug: heard under a clock 30 days ahead, a list of holds was new for 30 days, also after a start."""
    pc.clock.jump(set_s)
    pc.clock.advance(61)
    pc.documents.heard()
    pc.clock.jump(-set_s)
    pc.clock.advance(20 * HOUR)
    assert pc.age_s == 20 * HOUR
    pc.start()
    assert pc.age_s == 20 * HOUR
    pc.documents.keep()
    pc.power_off(4 * HOUR)
    assert pc.age_s == DAY


@pytest.mark.parametrize("set_s", [0, -2 * HOUR, 30 * DAY])
def test_an_agent_that_is_off_is_no_pc_that_is_off(pc: Pc, set_s: float) -> None:
    """Whatever the clock says at the start, the PC knows how long it runs."""
    pc.clock.jump(set_s)
    pc.clock.advance(3 * HOUR)
    pc.start()
    pc.clock.jump(-set_s)
    assert pc.age_s == 3 * HOUR


def test_the_time_that_a_pc_was_off_counts(pc: Pc) -> None:
    pc.clock.advance(HOUR)
    pc.documents.keep()
    pc.power_off(2 * DAY)
    pc.clock.advance(HOUR)
    assert pc.age_s == 2 * DAY + 2 * HOUR
    pc.start()
    pc.power_off(DAY)
    assert pc.age_s == 3 * DAY + 2 * HOUR, "what was noted at that start counts, too"


def test_a_clock_that_was_set_back_while_the_pc_was_off_takes_no_running_time_away(pc: Pc) -> None:
    pc.clock.advance(5 * HOUR)
    pc.documents.keep()
    pc.power_off(HOUR, -3 * DAY)
    assert pc.age_s == 5 * HOUR, "how long it was off is not known"
    pc.clock.advance(HOUR)
    assert pc.age_s == 6 * HOUR


def test_a_pc_that_comes_up_in_the_past_counts_the_time_off_when_its_clock_is_right(pc: Pc) -> None:
    pc.documents.keep()
    pc.power_off(2 * DAY, -9000 * DAY)
    pc.clock.advance(60)
    assert pc.age_s == 60
    pc.clock.jump(9000 * DAY)
    assert pc.age_s == 2 * DAY + 60
    pc.documents.keep()
    pc.start()
    pc.clock.advance(60)
    assert pc.age_s == 2 * DAY + 120
    pc.power_off(DAY)
    assert pc.age_s == 3 * DAY + 120


def test_once_central_was_heard_the_clock_may_become_right_without_making_anything_old(pc: Pc) -> None:
    pc.power_off(2 * DAY, -9000 * DAY)
    pc.documents.heard()
    pc.clock.jump(9000 * DAY)
    pc.clock.advance(60)
    assert pc.age_s == 60
    pc.start()
    assert pc.age_s == 60


def test_a_clock_that_is_set_back_after_a_start_takes_no_time_off_away(pc: Pc) -> None:
    pc.power_off(3 * HOUR)
    for set_s in (-2 * HOUR, -DAY):
        pc.clock.jump(set_s)
        assert pc.age_s == 3 * HOUR


def test_a_clock_that_jumps_ahead_for_a_moment_is_forgotten(pc: Pc) -> None:
    """After a start nobody knows at once which of the two is right; when it stands as before, it was that one."""
    pc.power_off(HOUR)
    pc.clock.jump(30 * DAY)
    assert pc.age_s == 30 * DAY + HOUR, "rather too old"
    pc.documents.keep()
    pc.start()
    pc.clock.jump(-30 * DAY)
    assert pc.age_s == HOUR


def test_a_pc_that_comes_up_in_the_future_is_young_again_when_central_is_heard(pc: Pc) -> None:
    """It cannot be told from one that was off for so long and whose clock is set back now."""
    pc.power_off(HOUR, 30 * DAY)
    pc.clock.jump(-30 * DAY)
    assert pc.age_s == 30 * DAY + HOUR
    pc.documents.heard()
    pc.clock.advance(60)
    assert pc.age_s == 60


def test_what_was_issued_while_the_agent_was_off_is_no_younger_for_a_clock_that_was_set(pc: Pc) -> None:
    """Its issue is by central's clock: notes that were compared tell what that is here."""
    pc.tell(Document(SYNC, AGENT, 1, pc.clock.now_us(), {"round": "r"}))
    pc.documents.heard()
    pc.clock.advance(HOUR)
    issued = Document("holds", "plant", 2, pc.clock.now_us(), {"holds": ["new"]})
    pc.clock.advance(HOUR)
    pc.clock.jump(-DAY)
    pc.start()
    pc.tell(issued, retained=True)
    assert pc.age_s == HOUR
    pc.start()
    assert pc.age_s == HOUR
    assert pc.documents.central_us() == pc.clock.now_us() + DAY * 1e6, "and where pieces stand has its age by it"


@pytest.mark.parametrize(
    "note", ["DELETE FROM documents WHERE id = 'time'", "UPDATE documents SET payload = x'00'"]
)
def test_a_buffer_without_its_note_of_the_time_counts_by_the_clock(pc: Pc, note: str) -> None:
    pc.documents.keep()
    pc.outbox.close()
    with closing(open_writer(pc.outbox.path)) as connection:
        connection.execute(f"{note} {'AND' if 'WHERE' in note else 'WHERE'} kind = ''")
    pc.clock.advance(HOUR)
    pc.outbox = open_outbox(pc.folder, pc.clock)
    pc.documents = Documents(pc.outbox, RING, pc.clock)
    assert pc.age_s == HOUR


def test_what_is_saved_from_a_damaged_buffer_is_no_younger(pc: Pc) -> None:
    pc.clock.jump(-30 * DAY)  # the time that is counted is far from the clock's
    pc.documents.keep()
    pc.clock.advance(HOUR)
    pc.outbox.close()
    with closing(open_writer(pc.outbox.path)) as connection:
        connection.execute("DROP TRIGGER records_kept")
    pc.start()
    assert pc.outbox.finding.why == "damaged"
    assert pc.age_s == HOUR


def test_a_hold_that_came_while_the_clock_was_ahead_is_there_after_central_s_key_has_ended(pc: Pc) -> None:
    """Bug: it counted as signed by a key that had ended before, and was left out by the next start."""
    pc.clock.jump(90 * DAY)
    held = Document("holds", "plant", 2, pc.clock.now_us(), {"holds": ["complaint"]})
    pc.tell(held)
    pc.clock.jump(-90 * DAY)
    ended = KeyRing([PublicKey("central", KEY.public.hex(), 0, pc.clock.now_us() + 1)])
    pc.clock.advance(1)
    again = Documents(pc.outbox, ended, pc.clock)
    assert (again.get("holds", "plant"), again.refused) == (held, 0)
    with pytest.raises(Damaged, match="not valid any more"):
        again.take(down_topic(AGENT, "holds", "plant"), AGENT, sign(held, KEY))


def test_an_answer_that_a_clock_far_ahead_had_asked_for_stands_before_no_later_one(pc: Pc) -> None:
    """Bug: when all clocks of the plant had been a year ahead, no comparison of notes was answered for a year."""

    def answer(number: int) -> Document:
        now_us = pc.clock.now_us()
        return Document(SYNC, AGENT, now_us, now_us, {"round": f"round {number}"})

    heard: list[str] = []
    pc.documents = Documents(pc.outbox, RING, pc.clock, lambda kind, _: heard.append(kind))
    pc.clock.jump(365 * DAY)
    pc.tell(answer(1))
    pc.clock.jump(-365 * DAY)
    for number in (2, 3):
        pc.clock.advance(HOUR)
        pc.tell(answer(number))
        assert pc.documents.get(SYNC, AGENT) == answer(number)
    assert heard == [SYNC] * 3
    old = Document(SYNC, AGENT, pc.clock.now_us() - 1, pc.clock.now_us(), {"round": "played again"})
    pc.tell(old)
    assert pc.documents.get(SYNC, AGENT) == answer(3)
    pc.start()
    assert pc.documents.get(SYNC, AGENT) == answer(3)
    assert pc.documents.central_us() == pc.clock.now_us()


def test_the_time_is_noted_while_nobody_is_heard(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_EVERY_S", 0.0)
    pc.clock.advance(5 * HOUR)

    async def noted(before: bytes | None) -> None:
        async with asyncio.timeout(60):
            running = asyncio.create_task(pc.documents.run())
            while pc.outbox.documents.time()[0] == before:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(noted(pc.outbox.documents.time()[0]))
    pc.power_off(HOUR, -3 * DAY)
    assert pc.age_s == 5 * HOUR


def full(outbox: Outbox) -> Callable[[], None]:
    """The file may not grow from now on, by SQLite's own cap; what ends that."""

    def cap(pages: int | None) -> None:
        def job(connection) -> None:  # type: ignore[no-untyped-def]
            (now,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages or now}").fetchone()

        outbox._writer.submit(job).result()

    cap(None)
    return lambda: cap(1_000_000)


def test_a_document_for_which_there_is_no_room_is_held_and_stored_later(pc: Pc) -> None:
    """Bug: it raised, and kept all else from going on."""
    makes_room = full(pc.outbox)
    large = Document("holds", "plant", 2, 1, {"holds": ["x" * 200_000]})
    pc.tell(large)
    assert pc.documents.get("holds", "plant") == large
    assert "1 of central's documents cannot be kept here" in str(pc.documents.not_kept)
    pc.clock.advance(HOUR)
    pc.documents.heard()
    assert (pc.age_s, pc.documents.get("holds", "plant")) == (0, large)
    again = Documents(pc.outbox, RING, pc.clock)
    assert (again.get("holds", "plant") or large).version == 1
    assert again.age_s("holds", "plant") == HOUR, "central's last word was not of this one"
    makes_room()
    pc.documents.keep()
    assert pc.documents.not_kept is None
    pc.start()
    assert (pc.age_s, pc.documents.get("holds", "plant")) == (0, large)
