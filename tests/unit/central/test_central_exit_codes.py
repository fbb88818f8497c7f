"""What a command of central ends with, typed beside a central that serves and beside one that does not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from central.app import build
from central.settings import load_settings
from records.clock import SystemClock
from tests.unit.typing_commands import Type

SIGNED = ("--user", "admin", "--reason", "a test", "--password-stdin")


NOT_THERE = [
    ("token", "revoke", "nope"),
    ("user", "disable", "nope"),
    ("user", "password", "nope", "--password-stdin"),
    ("hold", "release", "nope", *SIGNED),
    ("configuration", "approve", "nope", "nope", *SIGNED),
    ("limits", "show", "nope"),
    ("limits", "approve", "nope", *SIGNED),
    ("recipe", "approve", "nope", *SIGNED),
    ("certificate", "--lot", "nope"),
    ("certificate", "--agent", "nope"),
    ("recompute", "nope"),
    ("enrol", "nope", "--revoke", "--reason", "a test"),
    ("verify", "--anchors", "/nonexistent"),
    ("import", "/nonexistent"),
    ("import", "/"),
    ("backup", "--out", "/proc/backups"),
    ("backup", "--out", "central.yaml/backups"),
]


def test_what_was_named_and_is_not_there_is_usage(typed: Type) -> None:
    """Bug: 1 (not fine), 3 (not reached) or 74 (the disk), by the command."""
    for words in NOT_THERE:
        said = typed(*words, "--json")
        assert (said.code, said.json["error"]["code"]) == (2, "unknown"), f"{' '.join(words)}: {said.err}"


def test_what_is_typed_wrong_is_usage(typed: Type) -> None:
    said = typed("hold", "set", "lot", "L-1", *SIGNED, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "configuration"), said.err


def test_a_file_that_is_no_export_is_not_fine(typed: Type) -> None:
    said = typed("import", "central.yaml", "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "invalid"), said.err


def test_a_central_that_serves_answers_with_the_same_codes(typed: Type, tmp_path: Path) -> None:
    """Bug: a wrong password ended with 1 where central served, with 3 where it did not."""
    wrong = ("hold", "set", "equipment", "M-1", "--user", "nobody", "--reason", "a test", "--password-stdin")
    asked = (wrong, NOT_THERE[0], ("backup", "--out", "/proc/backups"))
    alone = [typed(*words, "--json") for words in asked]
    loaded = load_settings(tmp_path / "central.yaml")
    with closing(build(loaded.value, SystemClock(), configuration=loaded.hash)) as central:
        central.admin_server.start()
        try:
            served = [typed(*words, "--json") for words in asked]
        finally:
            central.admin_server.stop()
    assert [said.code for said in alone] == [3, 2, 2]
    for one, other in zip(alone, served, strict=True):
        assert (one.code, one.json["error"]["code"]) == (other.code, other.json["error"]["code"]), other.err
