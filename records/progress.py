"""How far a long command is, told on stderr and never on stdout: nothing of what takes less than a second; on a
terminal one line that moves, else a plain line every few seconds, for logs.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

from records.clock import SystemClock

FIRST_S = 1.0
EVERY_S = 5.0
LOOK_S = 0.2


class Tell(Protocol):
    """Hears how much is done, and of how much where that is known."""

    def __call__(self, count: int, total: int | None = None, /) -> None: ...


Counting = Callable[[str], Tell]
"""Gives who hears of the next part of a command, by what is counted in it, such as ``records read``."""


def silent(_count: int, _total: int | None = None, /) -> None:
    """Tells nobody."""


def unheard(_what: str) -> Tell:
    """Of no part anybody hears."""
    return silent


class Progress:
    """Within it a command is told of while it lasts. ``what`` is counted, such as ``records read``."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = 0
        self._total: int | None = None
        self._clock = SystemClock()
        self._began_s = self._clock.monotonic_s()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, count: int, total: int | None = None, /) -> None:
        self._count, self._total = count, total

    def counting(self, what: str) -> Tell:
        """From here on this is counted."""
        self._what, self._count, self._total = what, 0, None
        return self

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._run, name="progress", daemon=True)
        with suppress(RuntimeError):  # no room for a thread: the command goes on without
            thread.start()
            self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        if self._ended.wait(FIRST_S):
            return
        with suppress(OSError, ValueError):  # nobody reads it
            if sys.stderr.isatty():
                self._move()
                return
            while True:
                sys.stderr.write(f"{self._says()}, {self._clock.monotonic_s() - self._began_s:.0f} s\n")
                sys.stderr.flush()
                if self._ended.wait(EVERY_S):
                    return

    def _move(self) -> None:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True), transient=True) as line:
            task = line.add_task(self._says(), total=None)
            while not self._ended.wait(LOOK_S):
                line.update(task, description=self._says())

    def _says(self) -> str:
        of = "" if self._total is None else f" of {self._total}"
        return f"{self._count}{of} {self._what}"
