"""Our commands as processes of their own, forked from a parent that has loaded them: loading takes a start longer
than everything that it does.

They are real processes that end by real signals (``simulators.warm``). Starts as a person makes them, a new
interpreter each, are tested in ``tests/demo`` and by ``test_wheel.py``.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from simulators.faults.plant import LOADED
from simulators.starters import WarmStarter

POLL_S = 0.01
NOTHING: Mapping[str, str] = MappingProxyType({})


class Started:
    """A process, with as much of ``subprocess.Popen`` as tests ask of theirs.

    Args:
        name: the command.
        log: what it prints is added here.
        environment: added to this process' own.
        mutants: modules that break a rule when they are loaded, to see red.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        log: Path,
        environment: Mapping[str, str] = NOTHING,
        mutants: tuple[str, ...] = (),
    ) -> None:
        log.touch()
        self._process = _parent(name, mutants).start(list(words), log, {**os.environ, **environment})
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code (negative: the signal), None while it runs."""
        return self._process.code()

    def poll(self) -> int | None:
        return self._process.code()

    def wait(self, timeout: float = 60.0) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after so many seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self._process.code()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _parent(name: str, mutants: tuple[str, ...]) -> WarmStarter:
    parent = WarmStarter(name, (*LOADED.get(name, ()), *mutants))
    atexit.register(parent.close)
    return parent
