"""The whole plant, end to end: the ledger of truth, central's records and the ERP agree cycle by cycle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
ORDERS = 2
UNITS = 8
NONE_OF = ("missing", "extra", "doubled", "altered", "erp_disagreements")


def lotkeeper(*words: str | Path, seconds: float = 400) -> str:
    """Run one command to its end; its standard output."""
    program, *rest = map(str, words)
    done = subprocess.run([str(BIN / program), *rest], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check(folder: Path, *options: str) -> dict[str, object]:
    """One accelerated run that judges itself; its figures."""
    size = ["--orders", str(ORDERS), "--units", str(UNITS)]
    answer = lotkeeper("lotkeeper-sim", "demo", "--check", *size, *options, "--keep", folder, "--json")
    figures: dict[str, object] = json.loads(answer)
    return figures


def judge(figures: dict[str, object]) -> None:
    assert figures["ok"] is True, figures
    assert {name: figures[name] for name in NONE_OF} == dict.fromkeys(NONE_OF, 0)
    assert figures["chains_ok"] is True
    assert figures["orders"] == ORDERS
    assert figures["units"] == ORDERS * UNITS
    assert figures["released"], "the clean lot was not released"


@pytest.mark.mosquitto
@pytest.mark.timeout(420)
def test_simulated_erp_over_mosquitto(tmp_path: Path) -> None:
    figures = check(tmp_path / "kept", "--erp", "simulated", "--broker", "mosquitto")
    judge(figures)
    assert figures["exceptions"], "the scripted troubles of the second order left no trace"
    central = lotkeeper("lotkeeper-central", "verify", "--config", tmp_path / "kept" / "central.yaml", "--json")
    assert json.loads(central)["ok"] is True
    lines = sorted((tmp_path / "kept" / "lines").glob("*.yaml"))
    assert len(lines) == 2
    for line in lines:
        assert json.loads(lotkeeper("lotkeeper-edge", "buffer", "verify", line, "--json"))["ok"] is True


@pytest.mark.tryton
@pytest.mark.timeout(420)
def test_real_tryton_over_the_broker_that_the_demo_brings(tmp_path: Path) -> None:
    """Any ERP with any broker: the two runs together have each of the four at work once."""
    judge(check(tmp_path / "kept", "--erp", "tryton", "--broker", "amqtt"))
