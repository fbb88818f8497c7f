"""Room as a budget: caps that fit, a warning long before, a line that stops and goes on by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import JsonValue
from structlog.testing import capture_logs

from edge_agent import space as space_
from edge_agent.buffer_watch import BufferWatch
from edge_agent.events import Tick, Write, WriteDone
from edge_agent.outbox import Batch, IdentityIndex, Outbox, RunIndex
from edge_agent.papers import NO_PAPERS
from edge_agent.sizes import GIB, MIB
from edge_agent.space import Budget, Room, Space, budget, misfit, plan, room, small_blocks
from edge_agent.station_state import Kept, State
from records.clock import FakeClock
from records.errors import ConfigurationError, Refused
from tests.rigs.outboxes import fact, held, mark, open_outbox
from tests.unit.edge.stations import ASSEMBLE, station
from tests.unit.edge.test_agent_app import write_line
from tests.unit.typing_commands import Type

# -- the budget ----------------------------------------------------------------------------------------------

LARGE = Room(500 * GIB, 400 * GIB, 0)


def test_without_caps_in_the_file_the_volume_gives_them() -> None:
    assert budget(LARGE, None, None, 32 * MIB) == Budget(20 * GIB, 5 * GIB, 32 * MIB)
    small = budget(Room(2 * GIB, 1 * GIB, 0), None, None, 32 * MIB)
    assert 350 * MIB < small.records < 512 * MIB
    assert 100 * MIB < small.telemetry < 128 * MIB
    assert misfit(Room(2 * GIB, 1 * GIB, 0), small, begun=False) is None
    assert budget(LARGE, 7 * GIB, 3 * GIB, 0) == Budget(7 * GIB, 3 * GIB, 0)


def test_caps_that_do_not_fit_are_refused_with_the_numbers() -> None:
    wanted = Budget(20 * GIB, 5 * GIB, 32 * MIB)
    there = Room(50 * GIB, 10 * GIB, 16 * GIB)
    assert misfit(there, wanted, begun=False) is None, "what the files hold already counts"
    there = Room(50 * GIB, 10 * GIB, 12 * GIB)
    said = misfit(there, wanted, begun=False) or ""
    assert "records 20.0 GiB, telemetry 5.0 GiB" in said
    assert "has 50.0 GiB, of which 10.0 GiB are free and 12.0 GiB are the buffer's already" in said
    assert misfit(there, wanted, begun=True) is None, "what others filled may go again"
    assert misfit(Room(20 * GIB, 20 * GIB, 0), wanted, begun=True) is not None


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="only POSIX tells the size of blocks")
def test_a_volume_with_small_blocks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they were 1 KiB, a full disk ended the agent by SIGBUS: a byte in a page does not claim all of it."""
    for blocks, told in ((1024, True), (4096, False), (65536, False)):
        monkeypatch.setattr(os, "statvfs", lambda _, size=blocks: SimpleNamespace(f_frsize=size))
        words = small_blocks(tmp_path / "not-yet")
        assert (words is not None and f"blocks of {blocks} bytes" in words) is told


def test_what_was_set_aside_is_the_buffers_too(tmp_path: Path) -> None:
    for name in ("records.db", "records.db-wal", "records.db.damaged-20260101T000000000000Z", "ballast", "other"):
        (tmp_path / name).write_bytes(bytes(1000))
    assert room(tmp_path).held == 4000
    assert room(tmp_path / "not" / "there").held == 0


def test_an_agent_whose_caps_do_not_fit_does_not_begin(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    file.write_text(file.read_text().replace("{path: buffer}", "{path: buffer, records_max: 900TiB}"))
    with pytest.raises(ConfigurationError, match=r"records 921600\.0 GiB"):
        plan(tmp_path / "buffer", 900 * 1024 * GIB, None, 0)
    said = typed("check", file)
    assert (said.code, "would not fit here, if made now: it may take 9" in said.err) == (0, True), "on any PC"
    (tmp_path / "buffer").mkdir()
    said = typed("check", file)
    assert (said.code, "does not fit its volume" in said.err) == (2, True)
    assert typed("check", write_line(tmp_path)).out.count("logs and reserve") == 1


# -- the ballast ---------------------------------------------------------------------------------------------


def test_the_ballast_is_real_bytes_that_go_once_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space(tmp_path, 3 * MIB)
    assert space.restore()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 3 * MIB
    assert (space.release(), space.release()) == (True, False)
    assert (space.whole, space.released) == (False, True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=GIB, free=5 * MIB))
    assert not space.restore()
    monkeypatch.undo()
    assert space.restore()
    assert not space.released


# -- how full ------------------------------------------------------------------------------------------------

CAP = 2 * MIB


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock, max_bytes=CAP)
    yield opened
    opened.close()


def store(outbox: Outbox, clock: FakeClock, count: int, every_s: float = 60.0) -> None:
    for number in range(count):
        outbox.commit(Batch((fact(number, text="x" * 2000),))).result()
        clock.advance(every_s)


def test_hours_left_follow_from_cap_fill_and_the_rate_of_the_last_hour(outbox: Outbox, clock: FakeClock) -> None:
    store(outbox, clock, 100)
    fill = outbox.fill(GIB)
    assert fill.pending == 101
    assert 250_000 < fill.waiting == fill.used < 500_000
    assert fill.room == CAP - fill.waiting
    assert fill.hours == pytest.approx((fill.room or 0) / (60 * 8192 / 3), rel=0.3)
    outbox.apply(mark(held(outbox)[-1]))
    after = outbox.fill(GIB)
    assert after.pending == 0
    assert after.used == pytest.approx(fill.used, abs=50_000)
    assert after.waiting < 200_000, "what central has gives way when it must"
    assert outbox.fill(MIB).room == MIB + after.used - after.waiting, "the volume ends before the cap"


def test_a_line_that_records_nothing_has_no_end_of_its_room(outbox: Outbox, clock: FakeClock) -> None:
    store(outbox, clock, 100)
    clock.advance(90_000)
    assert outbox.fill(GIB).hours is None


def test_the_indexes_over_what_central_has_give_way_to_records(tmp_path: Path, clock: FakeClock) -> None:
    """Bug: they filled a small buffer, and the line stopped for good though central had everything."""
    opened = open_outbox(tmp_path, clock, max_bytes=MIB, keep_acknowledged_s=0.0)
    for number in range(0, 8000, 100):
        units = range(number, number + 100)
        opened.commit(
            Batch(
                tuple(fact(unit) for unit in units[:20]),
                runs=tuple(RunIndex(f"WO-{number}", "assemble", f"unit/VS-100/gs1/{unit:010}") for unit in units),
                identities=tuple(IdentityIndex("VS-100", "gs1", f"{unit:010}", "carrier") for unit in units),
            )
        ).result()
        opened.apply(mark(held(opened)[-1]))
        clock.advance(1.0)
        opened.prune()
    assert opened.prior_runs("WO-7900", "assemble", "unit/VS-100/gs1/0000007999") == 1, "the newest stay"
    assert opened.identity("VS-100", "gs1", "0000007999") == "carrier"
    assert opened.prior_runs("WO-0", "assemble", "unit/VS-100/gs1/0000000001") == 0
    assert (opened.fill(GIB).room or 0) > MIB // 2
    opened.close()


def test_indexes_that_a_larger_cap_allowed_make_room_before_a_commit_is_refused(
    tmp_path: Path, clock: FakeClock
) -> None:
    opened = open_outbox(tmp_path, clock)
    runs = tuple(RunIndex("WO-1", "assemble", f"unit/VS-100/gs1/{unit:010}") for unit in range(20_000))
    opened.commit(Batch((fact(1),), runs=runs)).result()
    opened.close()
    opened = open_outbox(tmp_path, clock, max_bytes=MIB)
    opened.commit(Batch((fact(2),))).result()
    assert opened.prior_runs("WO-1", "assemble", "unit/VS-100/gs1/0000019999") == 1
    opened.close()


# -- the watch -----------------------------------------------------------------------------------------------


class Disk(Space):
    """A volume whose free space the test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1 * MIB)
        self.left = GIB

    def free(self) -> int:
        return self.left


class Watched:
    def __init__(self, outbox: Outbox, clock: FakeClock, folder: Path) -> None:
        self.told: list[tuple[str, dict[str, JsonValue]]] = []
        self.space = Disk(folder)
        self.watch = BufferWatch(outbox, self.space, clock, 24.0, lambda *said: self.told.append(said))

    def look(self) -> list[str]:
        before = len(self.told)
        with capture_logs():
            self.watch.look()
        return [code for code, _ in self.told[before:]]


@pytest.fixture
def watched(outbox: Outbox, clock: FakeClock, tmp_path: Path) -> Watched:
    return Watched(outbox, clock, tmp_path)


def test_the_warning_comes_long_before_and_once(watched: Watched, outbox: Outbox, clock: FakeClock) -> None:
    store(outbox, clock, 70, every_s=600.0)
    assert watched.look() == []
    store(outbox, clock, 100)
    assert watched.look() == ["buffer-low"]
    assert watched.told[-1][1]["hours"] == pytest.approx(9.0, abs=2.0)
    assert watched.look() == []
    assert not watched.watch.standing.stopped


def test_the_line_stops_before_the_cap_and_goes_on_when_central_has_taken_records(
    watched: Watched, outbox: Outbox, clock: FakeClock
) -> None:
    while not watched.watch.standing.full:
        store(outbox, clock, 5)
        watched.look()
    assert watched.told[-1][0] == "buffer-full"
    store(outbox, clock, 20)  # what was under way still finds room
    assert watched.look() == []
    with pytest.raises(Refused):
        store(outbox, clock, 500)
    outbox.commit(Batch((fact(1),)), urgent=True).result()
    rows = held(outbox)
    outbox.apply(mark(rows[3]))
    assert watched.look() == [], "not for a few records: it would stop again at once"
    outbox.apply(mark(rows[len(rows) // 2]))
    assert watched.look() == ["buffer-room"]
    assert watched.told[-1][1]["why"] == "records"
    store(outbox, clock, 1)


def test_a_full_volume_stops_the_line_until_the_ballast_stands_again(watched: Watched) -> None:
    assert watched.look() == []
    watched.space.left = 1 * MIB
    assert watched.look() == ["disk-full"]
    assert watched.space.release()
    watched.space.left = 5 * MIB
    assert watched.look() == [], "free now is only what the ballast was"
    assert watched.watch.standing.stopped
    watched.space.left = space_.LOW_ROOM + 2 * MIB
    assert watched.look() == ["buffer-room"]
    assert watched.space.whole


def test_a_volume_that_was_full_between_two_looks_is_told_all_the_same(watched: Watched) -> None:
    """The machine's cycle was refused, and half a second later a neighbour's file was gone: nothing said why."""
    assert watched.look() == []
    assert watched.space.release()
    assert watched.look() == ["disk-full"]
    assert watched.look() == ["buffer-room"]
    assert watched.space.whole
    assert watched.look() == []


# -- the station ---------------------------------------------------------------------------------------------


def writes(effects: tuple[Any, ...]) -> list[tuple[str, bool]]:
    return [(effect.tag, effect.value) for effect in effects if isinstance(effect, Write)]


def test_the_permit_falls_with_the_need_buffer_and_rises_again() -> None:
    settings: dict[str, Any] = {**ASSEMBLE, "permit": {"tag": "plc.permit", "needs": ["order"]}}
    ready = station(settings)
    state = replace(ready.open(None), kept=Kept(order="WO-1"))
    state, effects = ready.step(state, Tick(0, 0.0), NO_PAPERS)
    assert writes(effects) == [("plc.permit", True)]
    state, effects = ready.step(state, Tick(1, 1.0, full=True), NO_PAPERS)
    assert writes(effects) == [("plc.permit", False)]
    assert [one.kind for one in ready.missing(state, NO_PAPERS)] == ["buffer"]
    state, effects = ready.step(state, Tick(2, 2.0, full=True), NO_PAPERS)
    assert writes(effects) == []
    _, effects = ready.step(state, Tick(3, 3.0), NO_PAPERS)
    assert writes(effects) == [("plc.permit", True)]


def test_where_there_is_no_permit_the_tag_of_a_hold_stops_the_machine() -> None:
    only_hold: dict[str, Any] = {**ASSEMBLE, "hold": {"tag": "plc.hold", "value": True}}
    del only_hold["permit"]
    made = station(only_hold)
    state, _ = made.step(made.open(None), Tick(0, 0.0), NO_PAPERS)
    assert writes(made.stopping()) == [("plc.hold", True)]
    state, effects = made.step(state, Tick(1, 1.0, full=True), NO_PAPERS)
    assert writes(effects) == [("plc.hold", True)]
    state, _ = made.step(state, WriteDone("plc.hold"), NO_PAPERS)
    state, effects = made.step(made.told_anew(state), Tick(2, 2.0), NO_PAPERS)
    assert (writes(effects), isinstance(state, State)) == ([("plc.hold", False)], True)
