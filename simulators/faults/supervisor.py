"""Pauses and kills the processes of a plant by their ids, and knows them ready by their own words."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from records.clock import Clock
from records.errors import LotkeeperError, Unreachable
from simulators.starters import STOP_LIMIT_S, Process

POLL_S = 0.004


class Supervisor:
    """What may be done to a running process, and waiting that ends early when one of them has ended."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._never = threading.Event()

    def kill(self, process: Process) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(process, signal.SIGKILL)
        process.wait()

    def signal(self, process: Process, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        if process.code() is None:
            os.kill(process.pid, number)

    def end(self, process: Process, limit_s: float = STOP_LIMIT_S) -> int:
        """SIGTERM as a service manager would; its exit code.

        Raises:
            LotkeeperError: that did not help in time, and it was killed; shows the end of its log.
        """
        self.signal(process, signal.SIGTERM)
        try:
            self.until("the end of a process", lambda: process.code() is not None, limit_s)
        except Unreachable as error:
            self.kill(process)
            raise LotkeeperError(
                f"a process did not end within {limit_s:g} s of being told, and was killed:\n{tail(process.log)}"
            ) from error
        return process.wait()

    def pause(self, seconds: float) -> None:
        """Let the others run: how long is the scenario's own choice, never a guess at readiness."""
        self._never.wait(seconds)

    def until(self, what: str, ready: Callable[[], bool], limit_s: float, alive: Sequence[Process] = ()) -> float:
        """Wait until ``ready``; gives the seconds it took.

        Raises:
            Unreachable: not in time. LotkeeperError: one of ``alive`` ended; shows the end of its log.
        """
        began_s = self.clock.monotonic_s()
        while not ready():
            for process in alive:
                if process.code() is not None:
                    raise LotkeeperError(f"{what}: a process ended with {process.code()}:\n{tail(process.log)}")
            if self.clock.monotonic_s() - began_s > limit_s:
                raise Unreachable(f"{what}: not there after {limit_s:.0f} s")
            self._never.wait(POLL_S)
        return self.clock.monotonic_s() - began_s


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def memory(process: Process, what: str) -> int:
    """Bytes, as the kernel has them: ``VmRSS`` is now, ``VmHWM`` the most ever. 0 where it does not tell."""
    status = Path(f"/proc/{process.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)
