"""A process that may have too little says so in words and with its code, never with a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from records.console import run_app


def _unbegun() -> RuntimeError:
    """What a clean-up says of a thread that could not be started."""
    error = RuntimeError("cannot join thread before it is started")
    error.__context__ = RuntimeError("can't start new thread")
    return error


RUN = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_{what}, ({limit}, {limit}))
import typer
from records.console import run_app
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def take() -> None:
    {act}
run_app(app)
"""


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "may open no more files (raise LimitNOFILE=", 3),
        (OSError(errno.ENFILE, "Too many open files in system"), "may open no more files", 3),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "may take no more memory", 3),
        (MemoryError(), "may take no more memory", 3),
        (RuntimeError("can't start new thread"), "may start no more threads (give it more: MemoryMax=", 3),
        (_unbegun(), "may start no more threads", 3),
        (RuntimeError("dictionary changed size"), "a fault of Lotkeeper", 1),
        (PermissionError(errno.EACCES, "Permission denied"), "check the path, its rights", 3),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device", 74),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", 74),
    ],
)
def test_want_of_a_resource_is_said(
    error: BaseException,
    words: str,
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def take() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["lotkeeper-edge"])
    with pytest.raises(SystemExit) as ended:
        run_app(app)
    assert ended.value.code == code
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="setrlimit")
@pytest.mark.parametrize(
    ("what", "limit", "act", "words"),
    [
        ("NOFILE", 32, "held = [open('/dev/null') for _ in range(99)]", "may open no more files"),
        ("AS", 1 << 30, "held = bytes(1 << 31)", "may take no more memory"),
    ],
)
def test_a_process_under_a_limit_ends_cleanly(what: str, limit: int, act: str, words: str) -> None:
    code = RUN.format(what=what, limit=limit, act=act)
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert words in ended.stderr
