"""What the three commands share: exit codes, JSON answers, errors without tracebacks.

Exit codes: 0 fine, 1 the thing checked is not fine, 2 usage or configuration error, 3 something could not be
reached or refused us, or this process may have no more memory, files or threads (74: the disk failed). An answer
that cannot be written is an error, a word on stderr that cannot be is none. With ``--json`` exactly one JSON
document goes to stdout, errors and progress go to stderr. ``--debug`` (or LOTKEEPER_DEBUG=1) shows the traceback
of an error.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from contextlib import suppress

import typer
from pydantic import JsonValue

from records.clock import SystemClock
from records.errors import ConfigurationError, LotkeeperError, StorageFailed
from records.logs import keep_stderr
from records.process import ENDED, LACKING, lacks


def print_json(value: JsonValue) -> None:
    """The one JSON document of this command."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a full or failing disk says, wherever it was met: not what is wrong with a path or its rights."""


class Progress:
    """Tells how far a long command is, once a second on stderr; nothing when it takes less."""

    def __init__(self, what: str) -> None:
        self._what, self._clock = what, SystemClock()
        self._next_s = self._clock.monotonic_s() + 1.0

    def __call__(self, count: int) -> None:
        if self._clock.monotonic_s() >= self._next_s:
            self._next_s += 1.0
            sys.stderr.write(f"{count} {self._what}\n")


def run_app(app: typer.Typer) -> None:
    """Run a command line; every LotkeeperError becomes its message and exit code."""
    debug = "--debug" in sys.argv or os.environ.get("LOTKEEPER_DEBUG") == "1"
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
    keep_stderr()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where it can be told
    except LotkeeperError as error:
        if debug:
            traceback.print_exc()
        sys.stderr.write(describe(error) + "\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # who read the answer has gone
        _leave_stdout()
        sys.exit(ENDED)
    except Exception as error:
        _leave_stdout()
        if debug:
            raise
        words, code = _of_others(error)
        sys.stderr.write(f"error: {words}\n")
        sys.exit(code)


def _leave_stdout() -> None:
    """What stdout still holds and cannot get rid of would turn the exit code at the end of the process."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _of_others(error: Exception) -> tuple[str, int]:
    """The words and the exit code of an error that is not of our own kinds."""
    want = lacks(error)
    if want is not None:
        return want, LACKING
    if isinstance(error, OSError):
        code = StorageFailed.exit_code if error.errno in OF_THE_DISK else 3
        return f"{error} (check the path, its rights and free space)", code
    return f"{type(error).__name__}: {error} (a fault of Lotkeeper; --debug shows where)", ENDED


def describe(error: LotkeeperError) -> str:
    """The error as a person reads it: each problem of a configuration on its own line."""
    return str(error) if isinstance(error, ConfigurationError) and error.problems else f"error: {error}"
