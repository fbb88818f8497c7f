"""Commands that need little load little: a person at a machine types them again and again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LATER = ("numpy", "asyncua", "pymodbus", "sqlite_utils", "biip", "cryptography", "fastapi", "paho")
MODELS = ("ruamel.yaml", "edge_agent.settings", "drivers.tags")
PROGRAM = """
import json, sys
from edge_agent.cli import main
sys.argv = ["lotkeeper-edge", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (("--help",), LATER + MODELS),
        (("browse", "--help"), LATER + MODELS),
        (("convert", "--help"), LATER + MODELS),
        (("spc", "study", "--help"), ("scipy", *LATER, *MODELS)),
        (("spc", "study", "tests/data/mortgage.csv", "--chart", "imr"), ("scipy", *LATER[1:], *MODELS)),
        (("decode", "--registers", "1,2", "--data-type", "uint32"), (*LATER[1:], "edge_agent.settings")),
        (("scan", "--expect", "plain", "A1"), ("numpy", "asyncua", "pymodbus", "sqlite_utils", *MODELS[1:])),
        (("check", "config/lines/valve-testing.yaml", "--json"), ("asyncua", "pymodbus", "sqlite_utils", "biip")),
    ],
    ids=lambda value: value[0] if value[-1] != "paho" else "",
)
def test_what_a_command_does_not_need_is_not_loaded(words: tuple[str, ...], unwanted: tuple[str, ...]) -> None:
    assert sorted(loaded(*words).intersection(unwanted)) == []
