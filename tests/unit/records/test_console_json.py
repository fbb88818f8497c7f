"""What a program hears of a command that came to no answer: one document, and an exit code."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from records import errors
from records.console import print_json, run_app
from records.errors import (
    KINDS,
    Busy,
    ConfigurationError,
    Invalid,
    LotkeeperError,
    NoRoom,
    Problem,
    Refused,
    StorageFailed,
    Unknown,
    Unreachable,
    from_json,
)
from tests.unit.typing_commands import Type, typing


def command(
    error: BaseException | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    after: bool = False,
) -> Type:
    """A program of one command that fails, perhaps after its answer."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

    @app.command()
    def take(json: bool = False, number: int = 0) -> None:
        if error is None or after:
            print_json({"fine": number})
        if error is not None:
            raise error

    return typing("take", lambda: run_app(app), monkeypatch, capsys)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ConfigurationError("so", hint="thus"), "configuration", 2),
        (Unknown("so", hint="thus"), "unknown", 2),
        (Invalid("so", hint="thus"), "invalid", 1),
        (Refused("so", hint="thus"), "refused", 3),
        (Unreachable("so", hint="thus"), "unreachable", 3),
        (NoRoom("so", hint="thus"), "no-room", 74),
        (Busy("so", hint="thus"), "busy", 74),
        (StorageFailed("so", hint="thus"), "storage-failed", 74),
    ],
)
def test_an_error_is_one_document_on_stdout_and_its_words_on_stderr(
    error: LotkeeperError,
    kind: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bug: stdout stayed empty, and a script had words to take apart."""
    run = command(error, monkeypatch, capsys)
    said = run("--json")
    assert said.json == {"error": {"code": kind, "message": "so", "hint": "thus"}}
    assert (said.code, said.err) == (code, "error: so (thus)\n")
    plain = run()
    assert (plain.code, plain.out, plain.err) == (code, "", said.err)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), "unknown", 2),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), "unknown", 2),
        (PermissionError(errno.EACCES, "Permission denied"), "refused", 3),
        (OSError(errno.EROFS, "Read-only file system"), "refused", 3),
        (OSError(errno.EMFILE, "Too many open files"), "lacking", 3),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "unreachable", 3),
        (OSError(errno.ENOSPC, "No space left on device"), "no-room", 74),
        (OSError(errno.EFBIG, "File too large"), "no-room", 74),
        (OSError(errno.EIO, "Input/output error"), "storage-failed", 74),
        (KeyError("x"), "fault", 1),
    ],
)
def test_an_error_that_is_not_ours_is_of_a_kind_too(
    error: Exception, kind: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = command(error, monkeypatch, capsys)("--json")
    assert (said.json["error"]["code"], said.code) == (kind, code)


@pytest.mark.parametrize("words", [("--bogus",), ("--number", "many"), ("more",)])
def test_what_is_typed_wrong_is_a_document_too(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = command(None, monkeypatch, capsys)
    said = run("--json", *words)
    assert (said.json["error"]["code"], said.code) == ("configuration", 2)
    assert words[0] in said.json["error"]["message"]
    assert "Usage" in run(*words).err


def test_what_is_asked_for_and_not_typed_is_typed_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: a password that an empty stdin did not give was a fault of Lotkeeper."""
    run = command(EOFError(), monkeypatch, capsys)
    said = run("--json")
    assert (said.json["error"]["code"], said.code) == ("configuration", 2)
    assert said.json["error"]["message"] == "nothing was typed"
    assert run().code == 2


def test_problems_of_a_file_have_their_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = Problem("line.yaml", 3, 5, "devices", "is missing")
    said = command(ConfigurationError("wrong", (problem,)), monkeypatch, capsys)("--json")
    assert said.json["error"]["problems"] == [problem.to_json()]


def test_who_had_an_answer_gets_no_second_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = command(Refused("gone"), monkeypatch, capsys, after=True)("--json")
    assert (said.code, said.json, said.err) == (3, {"fine": 0}, "error: gone\n")
    assert command(None, monkeypatch, capsys)("--json").code == 0


def test_errors_come_through_another_process_as_they_were() -> None:
    ours = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LotkeeperError)}
    assert set(KINDS) == {each for each in ours if "kind" in vars(each)}  # a family has none, and is never raised
    for kind in KINDS:
        back = from_json(kind("so", hint="thus").to_json())
        assert (type(back), back.message, back.hint) == (kind, "so", "thus")
    assert type(from_json({"code": "of a newer central", "message": "so", "hint": None})) is LotkeeperError


@pytest.mark.parametrize("program", ["lotkeeper-edge", "lotkeeper-central", "lotkeeper-sim"])
def test_each_program_tells_so(program: str) -> None:
    beside = Path(sys.executable).parent / program
    ended = subprocess.run([beside, "no-such-command", "--json"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (2, "configuration")
