"""A typed command, for the tests of the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from edge_agent import cli


class Said:
    """What a command wrote and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


Type = Callable[..., Said]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; what it said and how it ended."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["lotkeeper-edge", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        assert isinstance(code, int)
        return Said(code, said.out, said.err)

    return run
