"""The whole chain is proven in the background: a little at a time, from where it stood, and damage is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app import Agent
from edge_agent.outbox import Outbox, export, proof, recovery, verify
from edge_agent.outbox.proof import EVERY_S, ROWS, Prover, path_of, standing
from edge_agent.outbox.schema import TRIGGERS
from edge_agent.proving import Proving
from edge_agent.report import buffer_report
from edge_agent.settings import load_line
from records.clock import FakeClock
from records.keys import SigningKey
from tests.rigs.outboxes import batch, held, make_identity, mark, numbers, open_outbox
from tests.unit.edge.test_agent_app import write_line

COUNT = 4 * ROWS
Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock)
    stored = [opened.commit(batch(number, clock)) for number in range(COUNT)]
    stored[-1].result()
    yield opened
    opened.close()


def prover(outbox: Outbox, clock: FakeClock, told: Told) -> Prover:
    return Prover(outbox.path, clock, outbox.bury_damaged, lambda *event: told.append(event))


def whole_pass(proving: Prover) -> int:
    """How many steps it took."""
    for steps in range(1, 100):
        proving.step()
        if not proving.standing.running:
            return steps
    raise AssertionError("the pass does not end")


def alter(path: Path, seq: int, column: str, value: object) -> None:
    """As a disk does it: past all triggers."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER records_unchanged")
    connection.execute(f"UPDATE records SET {column} = ? WHERE seq = ?", (value, seq))
    connection.execute(TRIGGERS["records_unchanged"])
    connection.commit()
    connection.close()


def test_every_row_is_proven_a_few_at_a_time_once_a_day(outbox: Outbox, clock: FakeClock) -> None:
    told: Told = []
    proving = prover(outbox, clock, told)
    assert proving.step() == EVERY_S
    assert (proving.standing.rows, proving.standing.until) == (ROWS, outbox.head().last)
    assert whole_pass(proving) > 3
    found = standing(outbox.path)
    assert found is not None
    assert (found.rows, found.running, found.wrong, found.ended_us) == (COUNT + 1, False, None, clock.now_us())
    assert proving.step() == pytest.approx(86_400)
    clock.advance(86_401)
    assert proving.step() == EVERY_S
    assert (proving.standing.running, proving.standing.rows) == (True, ROWS)
    assert not told


def test_it_goes_on_where_it_stood_and_over_all_epochs(outbox: Outbox, clock: FakeClock, tmp_path: Path) -> None:
    first = prover(outbox, clock, [])
    first.step()
    first.keep()
    rows = held(outbox)
    outbox.apply(mark(rows[60]))
    ahead = mark(rows[70])
    outbox.apply(type(ahead)(ahead.agent, ahead.epoch, ahead.stream, ahead.committed_through, "00" * 32, 1))
    assert outbox.head().epoch != rows[0].epoch, "stored again under a new epoch"
    second = prover(outbox, clock, [])
    whole_pass(second)
    kept = sum(1 for _ in export(outbox.path))
    assert second.standing.rows == COUNT + 1, "what was there when the pass began"
    assert kept > COUNT + 100
    path_of(outbox.path).write_text("garbage")
    third = prover(outbox, clock, [])
    whole_pass(third)
    assert (third.standing.rows, third.standing.wrong) == (kept, None)


def test_pruning_and_recording_go_on_beside_it(outbox: Outbox, clock: FakeClock) -> None:
    proving = prover(outbox, clock, [])
    proving.step()
    outbox.apply(mark(held(outbox)[-50]))
    clock.advance(10_000)
    assert outbox.prune() > ROWS
    outbox.commit(batch(COUNT, clock)).result()
    whole_pass(proving)
    assert (proving.standing.rows, proving.standing.wrong) == (ROWS + 50, None)


def test_a_body_that_lost_its_digest_gives_way_to_a_tombstone_and_a_record_says_so(
    outbox: Outbox, clock: FakeClock
) -> None:
    body = bytearray(held(outbox)[6].body or b"")
    body[40] ^= 4
    alter(outbox.path, 7, "body", bytes(body))
    assert not verify(outbox.path).ok
    told: Told = []
    proving = prover(outbox, clock, told)
    whole_pass(proving)
    assert (proving.standing.buried, proving.standing.wrong, told) == (1, None, [])
    found = {row.seq: row for row in export(outbox.path)}
    assert found[7].tombstone is not None
    assert found[7].tombstone.reason == "damaged"
    assert b"record-damaged" in (found[outbox.head().last].body or b"")
    assert verify(outbox.path).ok


def test_what_the_disk_altered_is_not_stored_again_as_if_it_were_right(outbox: Outbox, clock: FakeClock) -> None:
    rows = held(outbox)
    outbox.apply(mark(rows[60]))
    body = bytearray(rows[79].body or b"")
    body[body.index(b"WO-") + 3] ^= 1
    alter(outbox.path, 80, "body", bytes(body))
    alter(outbox.path, 90, "hash", b"x" * 32)
    unknown = mark(rows[70])
    outbox.apply(type(unknown)(unknown.agent, unknown.epoch, unknown.stream, 71, "00" * 32, 1))
    assert outbox.head().epoch != rows[0].epoch, "stored again under a new epoch"
    assert numbers(outbox, outbox.acknowledged()[0]) == [
        number for number in range(60, COUNT) if number not in (78, 88)
    ]
    found: Told = []
    whole_pass(prover(outbox, clock, found))
    assert [params["seq"] for _, params in found] == ["90"]
    (told,) = [row.body for row in held(outbox) if row.body is not None and b"record-damaged" in row.body]
    assert rows[79].epoch.encode() in told
    assert b'"seq":"80"' in told


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("kind", "decision", "the row does not follow the row before it"),
        ("hash", b"x" * 32, "the row does not follow the row before it"),
        ("digest", b"x" * 32, "the row was altered"),
    ],
)
def test_a_chain_that_is_broken_is_told_and_the_rest_is_proven(
    outbox: Outbox, clock: FakeClock, column: str, value: object, reason: str
) -> None:
    alter(outbox.path, 7, column, value)
    told: Told = []
    proving = prover(outbox, clock, told)
    whole_pass(proving)
    where = {"stream": "records", "epoch": outbox.head().epoch, "seq": "7"}
    assert told == [("buffer-damaged", {**where, "reason": reason})]
    assert proving.standing.wrong == f"row {outbox.head().epoch}/7: {reason}"
    assert proving.standing.ended_us is None, "no pass has proven all of it"
    clock.advance(86_401)
    proving.step()
    assert len(told) == 2, "said again each day"
    assert proving.standing.wrong is not None, "and shown until a pass finds nothing"


def test_a_row_that_is_gone_a_guard_that_is_gone_and_a_state_that_was_altered_are_told(
    outbox: Outbox, clock: FakeClock
) -> None:
    connection = sqlite3.connect(outbox.path)
    connection.execute("UPDATE state SET value = '77' WHERE key = 'last'")
    connection.commit()
    told: Told = []
    proving = prover(outbox, clock, told)
    whole_pass(proving)
    assert told == [("buffer-damaged", {"stream": "records", "reason": "the state last does not have its digest"})]
    connection.execute("DROP TRIGGER records_kept")
    connection.execute("DELETE FROM records WHERE seq = 9")
    connection.commit()
    connection.close()
    clock.advance(86_401)
    whole_pass(proving)
    assert [params.get("seq") for _, params in told] == [None, "9", None]
    assert "guard records_kept" in told[2][1]["reason"]


def test_what_was_noted_of_a_file_that_is_set_aside_says_nothing_of_the_new_one(
    tmp_path: Path, clock: FakeClock, outbox: Outbox
) -> None:
    alter(outbox.path, 7, "kind", "decision")
    whole_pass(prover(outbox, clock, []))
    noted = standing(outbox.path)
    assert noted is not None
    assert (noted.running, noted.wrong is not None) == (False, True)
    outbox.close()
    outbox.path.write_bytes(b"not a database at all" * 100)
    opened = open_outbox(tmp_path, clock)
    try:
        (made,) = Proving([opened], clock, lambda *_: None)._provers
        told = standing(opened.path)
        assert told is not None
        assert (told.running, told.wrong, told.rows) == (True, None, 0), "status says so at once"
        assert made.step() == EVERY_S
        whole_pass(made)
        assert (made.standing.rows, made.standing.ended_us) == (opened.head().last, clock.now_us())
    finally:
        opened.close()


def test_a_running_agent_finds_a_byte_that_flipped_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, outbox: Outbox
) -> None:
    """Of what central has, a start proves the end of the chain only."""
    outbox.apply(mark(held(outbox)[-1]))
    outbox.close()
    make_identity(tmp_path / "identity", SigningKey.generate())
    line = write_line(tmp_path)
    line.write_text(line.read_text().replace("{path: buffer}", "{path: .}"))
    body = bytearray(next(row.body or b"" for row in export(outbox.path) if row.seq == 7))
    body[40] ^= 4
    alter(outbox.path, 7, "body", bytes(body))
    monkeypatch.setattr(recovery, "TAIL", 20)
    monkeypatch.setattr(proof, "EVERY_S", 0.01)

    async def scene() -> None:
        agent = Agent(load_line(line), clock)
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(20):
            while (stands := proof.standing(outbox.path)) is None or not stands.ended_us:
                await asyncio.sleep(0.005)
        agent.stop()
        await running

    asyncio.run(scene())
    kept = [row.body for row in export(outbox.path) if row.body is not None and b"record-damaged" in row.body]
    assert len(kept) == 1
    assert verify(outbox.path).ok
    told = buffer_report(outbox.path, None, clock.now_us())["buffer"]
    assert isinstance(told, dict)
    stands = told["proof"]
    assert isinstance(stands, dict)
    assert isinstance(stands["records"], dict)
    assert (stands["records"]["buried"], stands["records"]["wrong"]) == (1, None)
