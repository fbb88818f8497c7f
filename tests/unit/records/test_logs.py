"""What cannot be written to the log is dropped and told of; nothing else depends on it."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest

from records.logs import DroppingWriter

ROOT = Path(__file__).parents[3]
COMMAND = """\
import sys
import structlog, typer
from records.console import print_json, run_app
from records.errors import Refused
from records.logs import set_up_log
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def talk(refuse: bool = False, answer: bool = False) -> None:
    set_up_log()
    for number in range(2000):
        structlog.get_logger().info("line", number=number)
    structlog.get_logger().debug("much")
    if answer:
        print_json({"fine": True})
    if refuse:
        raise Refused("no")
run_app(app)
"""


class Volume(io.RawIOBase):
    """A file on a volume that takes ``room`` bytes more."""

    def __init__(self) -> None:
        self.room = 10_000
        self.held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(memoryview(data))[: self.room]  # type: ignore[arg-type]
        if not block:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(block)
        self.held += block
        return len(block)


def test_what_a_full_volume_does_not_take_is_counted_and_told_once_it_does() -> None:
    volume = Volume()
    writer = DroppingWriter(volume)
    out = io.TextIOWrapper(io.BufferedWriter(writer), line_buffering=True)
    print("one", file=out, flush=True)
    volume.room = 3
    for word in ("second", "third", "fourth"):
        print(word, file=out, flush=True)
    assert (volume.held, writer.dropped) == (b"one\nsec", 3)
    volume.room = 20  # enough for the beginning of what is told, not for all
    print("fifth", file=out, flush=True)
    volume.room = 10_000
    print("sixth", file=out, flush=True)
    print("seventh", file=out, flush=True)
    lines = volume.held.decode().splitlines()
    assert [lines[0], lines[1], *lines[-2:]] == ["one", "sec", "sixth", "seventh"]
    told = [line for line in lines if "log-lines-dropped lines=4 " in line]
    assert told == lines[3:4]
    assert told[0].endswith("reason='No space left on device'")
    assert writer.dropped == 4


def talk(*arguments: str, redirect: str) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'exec "$0" "$@" {redirect}', sys.executable, "-c", COMMAND, *arguments]
    return subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell, and /dev/full")
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", ">/dev/full 2>&1"])
def test_a_log_that_cannot_be_written_changes_no_exit_code(redirect: str) -> None:
    assert talk(redirect=redirect).returncode == 0
    assert talk("--refuse", redirect=redirect).returncode == 3


@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
def test_a_reader_of_the_log_that_has_gone_changes_no_exit_code() -> None:
    for arguments, code in (((), 0), (("--refuse",), 3)):
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, stderr=subprocess.PIPE)
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait(60) == code


@pytest.mark.skipif(sys.platform == "win32", reason="a shell, and /dev/full")
def test_an_answer_that_cannot_be_written_is_told_without_a_traceback() -> None:
    ended = talk("--answer", redirect=">/dev/full")
    assert ended.returncode == 74
    assert ended.stderr.splitlines()[-1].startswith("error: [Errno 28] No space left on device")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("debug", ["0", "1"])
def test_the_log_tells_everything_only_when_asked(debug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTKEEPER_DEBUG", debug)
    told = talk(redirect="").stderr
    assert ("much" in told, told.count("number=")) == (debug == "1", 2000)
