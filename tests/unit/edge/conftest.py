"""A typed command, for the tests of the command line."""

from __future__ import annotations

import pytest

from edge_agent import cli
from tests.unit.typing_commands import Type, typing


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; what it said and how it ended."""
    return typing("lotkeeper-edge", cli.main, monkeypatch, capsys)
