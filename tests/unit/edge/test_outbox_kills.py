"""A writer that is killed: what it promised is there, once, in an unbroken chain, whatever the moment."""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.outbox import verify
from tests.rigs import outboxes
from tests.rigs.outboxes import held, number_of, open_outbox

FAILPOINTS = ("outbox.before_commit", "outbox.after_commit")


def kill_once(folder: Path, failpoint: str, nth: int) -> list[int]:
    """Run a writer until its failpoint kills it; the numbers whose commit it was promised."""
    context = multiprocessing.get_context("forkserver")  # forks from a process that has imported and done nothing
    context.set_forkserver_preload([outboxes.__name__])
    here, there = context.Pipe(duplex=False)
    writer = context.Process(target=outboxes.write_until_killed, args=(folder, failpoint, nth, there))
    writer.start()
    there.close()
    promised = []
    with suppress(EOFError):
        while here.poll(60):
            promised.append(here.recv())
    writer.join(60)
    assert writer.exitcode == -9
    return promised


def check(folder: Path, promised: set[int]) -> None:
    outbox = open_outbox(folder)
    assert outbox.finding.why is None
    numbers = [number for row in held(outbox) if (number := number_of(row.body or b"{}")) is not None]
    state, answer = outbox.state("last"), verify(outbox.path)
    outbox.close()
    assert answer.ok, answer
    assert numbers == list(range(1, len(numbers) + 1)), "nothing missing, nothing twice"
    assert promised <= set(numbers), f"lost: {promised - set(numbers)}"
    assert state == (numbers[-1] if numbers else None), "state and records belong together"


def kills(folder: Path, count: int) -> None:
    promised: set[int] = set()
    for turn in range(count):
        promised |= set(kill_once(folder, FAILPOINTS[turn % 2], 1 + turn % 5))
        check(folder, promised)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_twenty_kills_around_the_commit_lose_nothing(tmp_path: Path) -> None:
    kills(tmp_path, 20)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_thousand_kills_around_the_commit_lose_nothing(tmp_path: Path) -> None:
    kills(tmp_path, 1000)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_the_check_sees_a_writer_that_promises_before_it_commits(tmp_path: Path) -> None:
    """The fault test itself, seen red: one promise too many is found."""
    promised = set(kill_once(tmp_path, "outbox.before_commit", 2))
    with pytest.raises(AssertionError, match="lost"):
        check(tmp_path, promised | {max(promised) + 1})
