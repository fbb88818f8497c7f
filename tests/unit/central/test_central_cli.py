"""``lotkeeper-central`` as it is typed, where nothing of a plant is needed."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from click.testing import Result
from structlog.testing import capture_logs
from typer.testing import CliRunner

from central import cli_common, serving
from central.admin import Administration, AdminServer
from central.cli import app
from central.requests import HoldList, ask_server
from records.errors import ConfigurationError, LotkeeperError, Refused, Unreachable
from records.files import InstanceLock


def test_init_without_a_password_makes_nothing_and_can_be_typed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["init", "--site", "plant", "--time-zone", "Europe/Berlin"]
    said = CliRunner().invoke(app, words)
    assert isinstance(said.exception, ConfigurationError)
    assert "no password was given" in str(said.exception)
    assert list(tmp_path.iterdir()) == []
    said = CliRunner().invoke(app, [*words, "--password-stdin"], input="Correct-Horse-9\n")
    assert said.exit_code == 0, said.exception
    assert "admin is its administrator" in said.output


def test_who_calls_before_central_serves_waits() -> None:
    """Its address was said a moment before anybody could connect: who came in between was refused."""
    with (
        serving._listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname(), 5) as caller,
    ):
        taken, address = listening.accept()
        taken.close()
        assert address == caller.getsockname()


def test_a_backup_of_a_damaged_database_is_made_and_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["init", "--site", "suzhou", "--time-zone", "Asia/Shanghai", "--password-stdin"]
    assert CliRunner().invoke(app, words, input="Correct-Horse-9\n").exit_code == 0
    (database,) = tmp_path.rglob("central.db")
    with closing(sqlite3.connect(database)) as other, other:
        (sql,) = other.execute("SELECT sql FROM sqlite_master WHERE name = 'guard_body_update'").fetchone()
        other.execute("DROP TRIGGER guard_body_update")
        other.execute("UPDATE body SET body = CAST('x' AS BLOB) WHERE envelope_id = 1")
        other.execute(sql)
    said = CliRunner().invoke(app, ["backup", "--out", "backups"])
    assert said.exit_code == 1
    assert "seq 1: the record's body was changed" in said.output
    assert "restore the newest whole one" in said.output
    (made,) = (tmp_path / "backups").iterdir()
    refused = CliRunner().invoke(app, ["restore", str(made), "--replace", "--reason", "a test"])
    assert "--flawed" in (str(refused.exception) + refused.output)
    restored = CliRunner().invoke(app, ["restore", str(made), "--replace", "--flawed", "--reason", "a test"])
    assert (restored.exit_code, restored.exception) == (0, None)


def test_records_are_given_up_by_a_person_who_may_release_lots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the act named who was logged in at the server, and asked for no password."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, secret: str = "Correct-Horse-9") -> Result:
        return CliRunner().invoke(app, words, input=f"{secret}\n")

    assert run("init", "--site", "plant", "--time-zone", "Europe/Berlin", "--password-stdin").exit_code == 0
    assert run("user", "add", "max", "--role", "qa_manager", "--password-stdin").exit_code == 0
    assert run("retention").exit_code == 0
    act = ("retention", "--apply", "--reason", "as SOP-17 says")
    assert isinstance(run(*act).exception, ConfigurationError)
    assert isinstance(run("retention", "--user", "max").exception, ConfigurationError)
    refused = run(*act, "--user", "admin", "--password-stdin")
    assert "admin may not give up records" in str(refused.exception)
    assert isinstance(run(*act, "--user", "max", "--password-stdin", secret="wrong").exception, Refused)
    done = run(*act, "--user", "max", "--password-stdin")
    assert (done.exit_code, done.exception) == (0, None)
    assert "gave up 0 records" in done.output


def test_a_fault_of_the_server_is_logged_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: the command that asked was told that --debug shows where, and nothing anywhere did."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("at the worst moment")

    monkeypatch.setattr(Administration, "do", broken)
    server = AdminServer(tmp_path, object.__new__(Administration), structlog.get_logger())
    server.start()
    try:
        with capture_logs() as said, pytest.raises(LotkeeperError, match="at the worst moment"):
            ask_server(tmp_path, HoldList(by="anna"))
    finally:
        server.stop()
    assert [(one["event"], one["exc_info"]) for one in said] == [("administration-failed", True)]


def test_a_command_waits_for_another_one_that_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: of two commands at once, one was told that central ran and that it was asked by the wrong account."""
    monkeypatch.chdir(tmp_path)
    words = ["init", "--site", "plant", "--time-zone", "Europe/Berlin", "--password-stdin"]
    assert CliRunner().invoke(app, words, input="Correct-Horse-9\n").exit_code == 0
    other = InstanceLock(tmp_path / "central-data" / "instance.lock")
    monkeypatch.setattr(cli_common, "sleep", lambda _: other.release())
    said = CliRunner().invoke(app, ["hold", "list"])
    assert (said.exit_code, said.exception) == (0, None)

    other = InstanceLock(tmp_path / "central-data" / "instance.lock")
    monkeypatch.setattr(cli_common, "WAIT_S", 0.0)
    monkeypatch.setattr(cli_common, "sleep", lambda _: None)
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    for left in (None, json.dumps({"port": port, "secret": "of one that was killed"})):
        if left is not None:
            (tmp_path / "central-data" / "admin.json").write_text(left)
        said = CliRunner().invoke(app, ["hold", "list"])
        assert isinstance(said.exception, Unreachable)
        assert "in use by a process that takes no requests" in str(said.exception)
    other.release()


def test_a_central_that_ends_before_it_answers_is_told_as_that(tmp_path: Path) -> None:
    """Bug: whoever imported a file while central was killed was told to be of another account."""
    with closing(socket.create_server(("127.0.0.1", 0))) as central:
        (tmp_path / "admin.json").write_text(json.dumps({"port": central.getsockname()[1], "secret": "x"}))

        def end() -> None:
            central.accept()[0].close()

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(Unreachable, match="has not answered: it ended"):
            ask_server(tmp_path, HoldList(by="anna"))
        ending.join()
