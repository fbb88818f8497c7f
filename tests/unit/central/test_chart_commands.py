"""``lotkeeper-central recipe`` and ``limits`` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from central.cli import app
from records.errors import ConfigurationError, Refused, Unknown

PASSWORD = "Correct-Horse-9"
RECIPE = "product: VS-100\nrevision: C\ncharacteristics:\n  torque:\n    - specification: {usl: 2.6}\n"
LIMITS = """\
characteristic: torque
line: valve-1
product: VS-100
chart: imr
limits: {centre: 2.0, lower: 1.4, upper: 2.6}
"""

Say = Callable[..., Any]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Type a command with ``--json``, as JSON; or without, as text."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str, stdin: str = PASSWORD + "\n", text: bool = False) -> Any:
        said = CliRunner().invoke(app, [*words, *([] if text else ["--json"])], input=stdin)
        if said.exception is not None and not isinstance(said.exception, SystemExit):
            raise said.exception
        return said.output if text else json.loads(said.output)

    typed("init", "--site", "suzhou", "--time-zone", "Asia/Shanghai", "--password-stdin")
    typed("user", "add", "eva", "--role", "engineer", "--password-stdin")
    typed("user", "add", "li.na", "--role", "qa", "--password-stdin")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "limits.yaml").write_text(LIMITS)
    return typed


def test_a_recipe_goes_from_file_to_approval_to_withdrawal(say: Say) -> None:
    made = say("recipe", "import", "recipe.yaml", "--by", "eva", "--reason", "drawing C")
    assert (made["key"], made["version"], made["state"], made["author"]) == ("VS-100/C", 1, "proposed", "eva")
    signing = ("--user", "li.na", "--password-stdin", "--reason", "checked")
    assert say("recipe", "approve", "VS-100/C:1", *signing)["state"] == "approved"
    assert [one["approved_by"] for one in say("recipe", "list")] == ["li.na"]
    assert "VS-100/C:1" in say("recipe", "list", text=True)
    assert say("recipe", "withdraw", "VS-100/C:1", *signing)["state"] == "withdrawn"
    with pytest.raises(Unknown, match="no user nobody"):
        say("recipe", "import", "recipe.yaml", "--by", "nobody")
    with pytest.raises(Refused, match="user or password is wrong"):
        say("recipe", "approve", "VS-100/C:1", *signing, stdin="wrong\n")


def test_a_file_that_is_no_recipe_is_refused_with_its_place(say: Say, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("usl", "uls"))
    with pytest.raises(ConfigurationError, match=r"recipe.yaml:5:23.*uls"):
        say("recipe", "import", "recipe.yaml", "--by", "eva")


def test_limits_by_numbers_are_proposed_shown_approved_and_withdrawn(say: Say) -> None:
    made = say("limits", "propose", "--file", "limits.yaml", "--by", "eva", "--reason", "drawing 7")
    assert (made["state"], made["content"]["limits"]["upper"]) == ("proposed", 2.6)
    signing = ("--user", "li.na", "--password-stdin", "--reason", "checked")
    with pytest.raises(ConfigurationError, match="is no time"):
        say("limits", "approve", made["id"], *signing, "--effective-from", "tomorrow")
    approved = say("limits", "approve", made["id"], *signing, "--effective-from", "2026-11-26T08:00:00Z")
    assert approved["effective_from"] == "2026-11-26T08:00:00.000000Z"
    assert say("limits", "list", "--characteristic", "torque", "--state", "approved") == [approved]
    assert say("limits", "list", "--state", "proposed") == []
    told = say("limits", "show", made["id"], text=True)
    assert "torque version 1: approved" in told
    assert "given by numbers" in told
    assert "proposed by eva" in told
    assert f"{made['id']}  torque v1  approved" in say("limits", "list", text=True)
    assert say("limits", "withdraw", made["id"], *signing)["state"] == "withdrawn"
    with pytest.raises(Unknown, match="no limit set nope"):
        say("limits", "show", "nope")


def test_what_cannot_be_proposed_is_refused(say: Say) -> None:
    asked = ("--by", "eva", "--reason", "x")
    with pytest.raises(ConfigurationError, match="CHART or --file"):
        say("limits", "propose", *asked)
    with pytest.raises(Unknown, match="there is no chart of torque"):
        say("limits", "propose", "assembly-1/assemble/torque?product=VS-100", *asked)
    with pytest.raises(ConfigurationError, match="names no chart"):
        say("limits", "propose", "torque", *asked)
    with pytest.raises(ConfigurationError, match="sigma"):
        say("limits", "propose", "assembly-1/assemble/torque", *asked, "--sigma", "guess")
