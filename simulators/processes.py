"""The processes of a demo plant: started with their log beside them, ended by their id, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from records.clock import Clock
from records.errors import LotkeeperError, Unreachable

STOP_LIMIT_S = 15.0
POLL_S = 0.1
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


def command(name: str) -> str:
    """The path of one of our commands, beside the Python that runs this."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


def end_in_order() -> None:
    """SIGTERM, and SIGHUP of a closed terminal, end a run as Ctrl-C does: with all its processes.

    The first that comes is the last that is heard: a second one, of an impatient hand or of a service manager that
    tells the whole group, would cut short what ends the processes and takes the folder away. One that is ignored
    (``nohup``) stays ignored.
    """
    numbers = [number for name in _ENDING if (number := getattr(signal, name, None)) is not None]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupt(_signal: int, _frame: object) -> None:
        for number in heard:
            signal.signal(number, lambda *_: None)  # ignored, it would be so in every process started from here on
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, interrupt)


@dataclass(slots=True)
class Child:
    """One process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _output: IO[bytes] = field(repr=False)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._output.close()


class Processes:
    """Starts children and ends them all, last started first."""

    def __init__(self, logs: Path, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._logs = logs
        self._clock = clock
        self._sleep = sleep
        self._children: list[Child] = []

    def start(self, name: str, arguments: list[str], extra: Mapping[str, str] | None = None) -> Child:
        """Start a process with its output in ``logs/NAME.log``; ``extra`` replaces its environment."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        output = log.open("ab")
        process = subprocess.Popen(
            arguments, stdout=output, stderr=subprocess.STDOUT, env=None if extra is None else dict(extra)
        )
        child = Child(name, process, log, output)
        self._children.append(child)
        return child

    def run(
        self, name: str, arguments: list[str], *, stdin: str | None = None, fine: tuple[int, ...] = (0,)
    ) -> str:
        """Run a command to its end; gives its stdout.

        Raises:
            LotkeeperError: it ended with another code than ``fine``; says what it printed.
        """
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode not in fine:
            said = (done.stderr or done.stdout).strip()
            raise LotkeeperError(f"{name} ended with code {done.returncode}: {said}")
        return done.stdout

    def wait_for(self, what: str, ready: Callable[[], bool], limit_s: float) -> None:
        """Wait until ``ready``; a child that ends meanwhile, or the limit, is an error.

        Raises:
            Unreachable: not ready in time, or a process ended; shows the end of its log.
        """
        deadline_s = self._clock.monotonic_s() + limit_s
        while not ready():
            self.check()
            if self._clock.monotonic_s() > deadline_s:
                raise Unreachable(f"{what}: not there after {limit_s:.0f} s", hint=f"see the logs in {self._logs}")
            self._sleep(POLL_S)

    def check(self) -> None:
        """Raise Unreachable when a process ended by itself; shows the end of its log."""
        for child in self._children:
            if not child.alive:
                raise Unreachable(f"{child.name} ended with code {child.process.returncode}:\n{child.tail()}")

    def stop(self, child: Child) -> None:
        """End one child."""
        child.stop()
        self._children.remove(child)

    def stop_all(self) -> None:
        """End every child, last started first."""
        while self._children:
            self._children.pop().stop()
