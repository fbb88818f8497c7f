"""Starts, pauses and kills the processes of a plant by their ids, and knows them ready by their own words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from records.clock import Clock
from records.errors import LotkeeperError, Unreachable
from simulators.processes import command

POLL_S = 0.004
STOP_LIMIT_S = 120.0


class Starter(Protocol):
    """Starts one of our commands as a process."""

    def start(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process: ...

    def close(self) -> None: ...


class Process(Protocol):
    """A started process. ``code`` is its exit code (negative: the signal), None while it runs."""

    pid: int
    log: Path

    def code(self) -> int | None: ...

    def wait(self) -> int: ...


class _Forked:
    def __init__(self, pid: int, log: Path, parent: WarmStarter) -> None:
        self.pid, self.log, self._parent = pid, log, parent
        self._code: int | None = None

    def code(self) -> int | None:
        if self._code is None:
            self._code = self._parent.ended(self.pid, wait=False)
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = self._parent.ended(self.pid, wait=True)
        return 0 if self._code is None else self._code


class WarmStarter:
    """Starts by forking a parent that has loaded the command (``simulators.faults.warm``).

    Args:
        name: the command.
        modules: what the parent loads beforehand.
        environment: added to the parent's, such as a library to be loaded first.
    """

    def __init__(
        self, name: str, modules: Sequence[str], *, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        words = [sys.executable, "-m", "simulators.faults.warm", name, *modules]
        self.name = name
        self._gate = threading.Lock()
        self._parent = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self._ready = False

    def start(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
        files = {"stdin": os.devnull, "stdout": str(log), "stderr": str(log)}
        pid = self._ask({"words": list(words), "environment": dict(environment), **files})
        return _Forked(int(str(pid)), log, self)

    def run(self, words: Sequence[str], scratch: Path, stdin: str = "") -> tuple[int, str, str]:
        """Run it to its end; its exit code, stdout and stderr. ``scratch`` is a folder for those."""
        files = {name: scratch / f"{self.name}.{name}" for name in ("stdin", "stdout", "stderr")}
        for file in files.values():
            file.unlink(missing_ok=True)
        files["stdin"].write_text(stdin)
        told = {name: str(file) for name, file in files.items()}
        pid = int(str(self._ask({"words": list(words), "environment": {}, **told})))
        code = self.ended(pid, wait=True)
        return code or 0, files["stdout"].read_text(), files["stderr"].read_text()

    def ended(self, pid: int, *, wait: bool) -> int | None:
        code = self._ask({"pid": pid, "wait": wait})
        return None if code is None else int(str(code))

    @property
    def pid(self) -> int:
        """The parent's own."""
        return self._parent.pid

    def close(self) -> None:
        """End the parent; it takes every child along."""
        if self._parent.stdin is not None and self._parent.stdout is not None:
            self._parent.stdin.close()
            try:
                self._parent.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._parent.kill()
                self._parent.wait()
            self._parent.stdout.close()

    def _ask(self, order: object) -> object:
        with self._gate:
            if self._parent.stdin is None or self._parent.stdout is None:
                raise Unreachable("the warm parent has no pipes")
            if not self._ready:
                self._answer()
                self._ready = True
            self._parent.stdin.write(f"{json.dumps(order)}\n")
            self._parent.stdin.flush()
            return self._answer()

    def _answer(self) -> object:
        line = self._parent.stdout.readline() if self._parent.stdout is not None else ""
        if not line:
            raise Unreachable(f"the warm parent ended with code {self._parent.wait()}", hint="see its words above")
        return json.loads(line)


class _Whole:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self.log = process, log
        self.pid = process.pid

    def code(self) -> int | None:
        return self._process.poll()

    def wait(self) -> int:
        return self._process.wait()


class WholeStarter:
    """Starts the command as a person would: a new interpreter each time.

    Args:
        name: the command.
    """

    def __init__(self, name: str) -> None:
        self._words = [command(name)]
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._words, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
            )
        self._started = [child for child in self._started if child.poll() is None] + [process]
        return _Whole(process, log)

    def close(self) -> None:
        for child in self._started:
            if child.poll() is None:
                child.kill()
                child.wait()


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

    def end(self, process: Process) -> int:
        """SIGTERM as a service manager would, SIGKILL when that does not help; its exit code."""
        self.signal(process, signal.SIGTERM)
        try:
            self.until("the end of a process", lambda: process.code() is not None, STOP_LIMIT_S)
        except Unreachable:
            self.kill(process)
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
