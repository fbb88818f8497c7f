"""A parent that has loaded one of our commands and forks a child for each start: a real process in a few
milliseconds, which is what makes a thousand kills cheap.

    python -m simulators.warm COMMAND [MODULE ...]

The child runs the command's own entry point with its own arguments and log. Orders come as JSON lines on stdin,
each is answered by one line on stdout; when stdin ends every child is killed, so nothing outlives the harness.

Only fork makes this cheap, so it is for POSIX; ``--full-starts`` does without.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypedDict


class StartOrder(TypedDict):
    """``words`` follow the command's name; ``environment`` is added to the parent's own; files are paths."""

    words: list[str]
    environment: dict[str, str]
    stdin: str
    stdout: str
    stderr: str


class Parent:
    """Forks and reaps; one child is one process id until it was waited for."""

    def __init__(self, name: str, entry: Callable[[], object]) -> None:
        self._name, self._entry = name, entry
        self._children: set[int] = set()

    def serve(self) -> Callable[[], object] | None:
        """Take orders until stdin ends. In a child: what it has to run."""
        for line in iter(sys.stdin.readline, ""):
            order = json.loads(line)
            answer: int | None
            if "words" in order:
                pid = os.fork()
                if pid == 0:
                    self._become(order)
                    return self._entry
                self._children.add(pid)
                answer = pid
            else:
                answer = self._ended(order["pid"], order["wait"])
            say(answer)
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return None

    def _ended(self, pid: int, wait: bool) -> int | None:
        """The exit code (negative: the signal), None while it runs."""
        found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
        if found == 0:
            return None
        self._children.discard(pid)
        return os.waitstatus_to_exitcode(status)

    def _become(self, order: StartOrder) -> None:
        """In the child: be the command."""
        sys.argv = [self._name, *order["words"]]
        os.environ.update(order["environment"])
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(order["stdin"], os.O_RDONLY), 0)
        os.dup2(os.open(order["stdout"], appending, 0o644), 1)
        os.dup2(os.open(order["stderr"], appending, 0o644), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(answer: int | str | None) -> None:
    """One line to the harness, by a call that no tracer of writes counts: kills are meant for the children."""
    os.writev(1, [f"{json.dumps(answer)}\n".encode()])


def main() -> None:
    name, *modules = sys.argv[1:]
    (entry,) = entry_points(group="console_scripts", name=name)
    command = entry.load()
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is loaded stays: children share its pages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to answer: it ends our stdin
    say("ready")
    run = Parent(name, command).serve()
    if run is not None:
        run()


if __name__ == "__main__":
    main()
