"""How far a command is: on stderr, moving on a terminal, plain lines elsewhere, nothing of what is quick."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from records import progress as module
from records.progress import Progress
from tests.rigs.uplinks import until


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "EVERY_S", "LOOK_S"):
        monkeypatch.setattr(module, name, 0.001)


def told(read: Callable[[], str]) -> None:
    """Whether each state of a command comes through."""
    with Progress("records read") as progress:
        until(lambda: "0 records read" in read())
        progress(1000)
        until(lambda: "1000 records read" in read())
        progress(1500, 2000)
        until(lambda: "1500 of 2000 records read" in read())
        progress.counting("MB copied")(7)
        until(lambda: "7 MB copied" in read())


def test_what_is_quick_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with Progress("records read") as progress:
        progress(1000)
    assert log.getvalue() == ""


@pytest.mark.usefixtures("soon")
def test_a_log_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    told(log.getvalue)
    said = log.getvalue()
    assert all(line.endswith(" s") for line in said.splitlines())
    assert "\r" not in said
    assert "\x1b" not in said
    assert log.getvalue() == said, "it is over"


@pytest.mark.usefixtures("soon")
def test_a_terminal_gets_one_line_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    said = ""

    def read() -> str:
        nonlocal said
        with suppress(BlockingIOError):
            said += os.read(master, 65_536).decode()
        return said

    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", terminal)
        told(read)
        monkeypatch.undo()
    os.close(master)
    assert "\r" in said or "\x1b" in said


@pytest.mark.usefixtures("soon")
def test_who_reads_no_stderr_is_served_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with Progress("records read") as progress:
        until(lambda: progress._thread is not None and not progress._thread.is_alive())
