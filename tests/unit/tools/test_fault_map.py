"""Every fault that must be survived is shown by something that is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from simulators.faults.scenarios import SCENARIOS
from tests.process.test_faults_short import SHORT
from tools import fault_map
from tools.fault_map import FAULTS

ROOT = Path(__file__).resolve().parents[3]
WANTED = {*range(1, 17), *range(18, 22), 23, 24, 26, 27, 28}


def test_every_fault_of_the_list_is_there() -> None:
    assert [int(number[1:]) for number in FAULTS] == sorted(WANTED)


@pytest.mark.parametrize("test", sorted({test for shown in FAULTS.values() for test in shown.tests}))
def test_the_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_a_fault_that_is_shown_by_the_short_loops_has_one() -> None:
    told = [shown for shown in FAULTS.values() if fault_map.SHORT in shown.tests]
    assert all(set(shown.loops) & set(SHORT) for shown in told)
    assert set(SHORT) == {name for shown in told for name in shown.loops if name in SHORT}


def test_every_loop_shows_a_fault() -> None:
    shown = {name for shown in FAULTS.values() for name in shown.loops} | {"worker-kill"}  # no number of its own
    assert set(SCENARIOS) <= shown
