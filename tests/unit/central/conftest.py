"""A typed command of a new central."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from central import cli
from tests.unit.typing_commands import Said, Type, typing


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command beside ``central.yaml``, with the password of its administrator, ``admin``, on stdin."""
    monkeypatch.chdir(tmp_path)
    run = typing("lotkeeper-central", cli.main, monkeypatch, capsys)

    def with_password(*words: object) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO("Correct-Horse-9\n"))
        return run(*words)

    made = with_password("init", "--site", "plant", "--time-zone", "Europe/Berlin", "--password-stdin")
    assert made.code == 0, made.err
    return with_password
