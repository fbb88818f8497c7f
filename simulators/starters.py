"""Starts our commands as processes: as a person does, or forked from a parent that has loaded the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from records.errors import LotkeeperError, Unreachable
from simulators.processes import command

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
    """Starts by forking a parent that has loaded the command (``simulators.warm``).

    Args:
        name: the command.
        modules: what the parent loads beforehand.
        environment: added to the parent's, such as a library to be loaded first.
    """

    def __init__(
        self, name: str, modules: Sequence[str], *, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        words = [sys.executable, "-m", "simulators.warm", name, *modules]
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

    def run(self, words: Sequence[str], stdin: str = "") -> tuple[int, str, str]:
        """Run it to its end; its exit code, stdout and stderr."""
        with tempfile.TemporaryDirectory(prefix="lotkeeper-") as scratch:  # ours alone: secrets pass through it
            files = {name: Path(scratch) / name for name in ("stdin", "stdout", "stderr")}
            files["stdin"].write_text(stdin)
            told = {name: str(file) for name, file in files.items()}
            pid = int(str(self._ask({"words": list(words), "environment": {}, **told})))
            code = self.ended(pid, wait=True)
            return code or 0, files["stdout"].read_text(), files["stderr"].read_text()

    def answer(self, words: Sequence[str], *, stdin: str = "", fine: tuple[int, ...] = (0,)) -> str:
        """Run it to its end; its stdout.

        Raises:
            LotkeeperError: it ended with another code than ``fine``; says what it printed.
        """
        code, out, err = self.run(words, stdin)
        if code not in fine:
            said = (err or out).strip()
            raise LotkeeperError(f"{self.name} {' '.join(words[:2])} ended with code {code}: {said}")
        return out

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
