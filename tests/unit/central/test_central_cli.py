"""``lotkeeper-central`` as it is typed, where nothing of a plant is needed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from central import serving
from central.cli import app
from records.errors import ConfigurationError


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
