"""What the three commands share: exit codes, JSON answers, errors without tracebacks.

Exit codes are those of the errors (``records.errors``), and 0 where all is fine. An answer that cannot be written
is an error, a word on stderr that cannot be is none. With ``--json`` exactly one JSON document goes to stdout: the
answer, or ``{"error": {"code", "message", "hint"}}`` of a command that came to none; the words for people and
progress go to stderr. ``--debug`` (or LOTKEEPER_DEBUG=1) shows the traceback of an error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import typer
import typer.main
from pydantic import JsonValue
from typer.exceptions import TyperException

from records.errors import ConfigurationError, LotkeeperError
from records.foreign import ours
from records.logs import keep_stderr
from records.process import ENDED

INTERRUPTED = 130


class _Answer:
    """Whether the one JSON document of this process's command was given."""

    given = False


def print_json(value: JsonValue) -> None:
    """The one JSON document of this command."""
    _Answer.given = True
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def run_app(app: typer.Typer) -> None:
    """Run a command line; every error becomes its words, with ``--json`` its document, and its exit code."""
    debug = "--debug" in sys.argv or os.environ.get("LOTKEEPER_DEBUG") == "1"
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
    as_json = "--json" in sys.argv
    _Answer.given = False
    keep_stderr()
    try:
        try:
            code = _command(app)(standalone_mode=not as_json)  # else it ends the process itself, with words alone
        finally:
            sys.stdout.flush()  # here, where it can be told
    except SystemExit as ended:
        aborted = isinstance(ended.__context__, typer.Abort)  # nothing was typed
        sys.exit(ConfigurationError.exit_code if aborted else ended.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # who read the answer has gone
        _leave_stdout()
        sys.exit(ENDED)
    except Exception as error:
        sys.exit(_fail(error, as_json=as_json, debug=debug))
    sys.exit(code if isinstance(code, int) else 0)


@cache
def _command(app: typer.Typer) -> Callable[..., object]:
    """A hundred commands with all their options take a second to read: once in a process."""
    return typer.main.get_command(app)


def _fail(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Tell of an error; its exit code."""
    if debug:
        traceback.print_exc()
    told = _typed_wrong(error) if isinstance(error, TyperException | typer.Abort) else ours(error)
    if as_json and not _Answer.given:
        with suppress(OSError):  # stdout may be what failed
            print_json({"error": told.to_json()})
    _leave_stdout()
    sys.stderr.write(describe(told) + "\n")
    return told.exit_code


def _typed_wrong(error: TyperException | typer.Abort) -> ConfigurationError:
    """What Typer found wrong with a command line, or that nothing came from stdin where it was asked for."""
    said = error.format_message() if isinstance(error, TyperException) else "nothing was typed"
    return ConfigurationError(said, hint="see --help")


def _leave_stdout() -> None:
    """What stdout still holds and cannot get rid of would turn the exit code at the end of the process."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def describe(error: LotkeeperError) -> str:
    """The error as a person reads it: each problem of a configuration on its own line."""
    return str(error) if isinstance(error, ConfigurationError) and error.problems else f"error: {error}"
