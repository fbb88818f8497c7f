"""Every command helps, with an example that is really one of its own."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.testing import CliRunner

from tools.commands import Command, commands, programs

ALL = {each.path: each for name, app in programs().items() for each in commands(name, app)}


@pytest.mark.parametrize("path", ALL)
def test_it_says_what_it_does(path: str) -> None:
    assert ALL[path].command.help


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if not command.is_group])
def test_it_has_an_example_that_it_would_take(path: str) -> None:
    command = ALL[path]
    words = [r"\S+" if word.startswith("{") else re.escape(word) for word in path.split()]
    begins = re.compile(rf"\s*{' '.join(words)}")
    examples = [line for line in re.split(r"\n|Example: ", command.about) if begins.match(line)]
    assert examples, f"{path} --help has no line with 'Example: {path} ...'"
    for example in examples:
        options = [word.partition("=")[0] for word in shlex.split(example) if word.startswith("--")]
        assert set(options) <= known_options(command), f"{path}: {example.strip()}"


def known_options(command: Command) -> set[str]:
    return {word for parameter in command.command.get_params(command.context) for word in parameter.opts}


@pytest.mark.parametrize("path", ALL)
def test_help_is_shown_and_ends_well(path: str) -> None:
    program, *words = path.split()
    result = CliRunner().invoke(programs()[program], [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_the_three_programs_are_there() -> None:
    assert set(programs()) == {"lotkeeper-edge", "lotkeeper-central", "lotkeeper-sim"}
