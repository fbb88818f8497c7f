"""The built wheel, installed into an empty environment: it carries its data, and all three commands work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.uv_program import find_uv

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("records", "drivers", "spc", "edge_agent", "central", "simulators")
NOT_CODE = {".py", ".pyc"}

pytestmark = pytest.mark.timeout(300)


ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: str | Path, cwd: Path, code: int = 0, stdin: str = "") -> str:
    """Run to the end, away from the source tree; its standard output."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=ENVIRONMENT, input=stdin, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without any network: hatchling comes from the lock."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("lotkeeper-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it asks for, in the locked versions, and nothing else."""
    uv = find_uv()
    assert uv is not None, "no uv: make setup"
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    lock = ROOT / "requirements.lock"
    run(uv, "pip", "install", "--quiet", "--python", python, "--constraints", lock, wheel, cwd=folder.parent)
    return folder


def data_files() -> set[str]:
    """Every committed file of the packages and of config that is no Python code, as the wheel names it."""
    done = subprocess.run(
        ["git", "ls-files", "-z", *PACKAGES, "config"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]
    return {name for name in names if Path(name).suffix not in NOT_CODE}


def test_it_carries_every_file_that_is_no_code(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert data_files() - inside == set()


@pytest.mark.parametrize(
    "part",
    [
        "central/web/templates/",
        "central/web/static/",
        "central/web/translations/zh_CN/LC_MESSAGES/messages.po",
        "central/store/migrations/versions/",
        "config/central.yaml",
        "config/lines/",
        "config/troubles/default.yaml",
        "simulators/tryton_requirements.txt",
    ],
)
def test_it_carries(wheel: Path, part: str) -> None:
    assert any(name.startswith(part) for name in zipfile.ZipFile(wheel).namelist())


def test_it_holds_nothing_but_the_six_packages_and_config(wheel: Path) -> None:
    rooms = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {room for room in rooms if not room.endswith(".dist-info")} == {*PACKAGES, "config"}


@pytest.mark.parametrize("command", ["lotkeeper-edge", "lotkeeper-central", "lotkeeper-sim"])
def test_a_command_starts(installed: Path, tmp_path: Path, command: str) -> None:
    assert "Usage" in run(installed / "bin" / command, "--help", cwd=tmp_path)


def test_the_agent_checks_every_installed_line_file(installed: Path, tmp_path: Path) -> None:
    (config,) = installed.glob("lib/python*/site-packages/config")
    lines = sorted((config / "lines").glob("*.yaml"))
    assert lines
    for line in lines:
        answer = run(installed / "bin" / "lotkeeper-edge", "check", line, "--json", cwd=tmp_path)
        assert json.loads(answer) == []


def test_central_begins_and_verifies_its_own_store(installed: Path, tmp_path: Path) -> None:
    central = installed / "bin" / "lotkeeper-central"
    words = ("--site", "suzhou", "--time-zone", "Asia/Shanghai", "--password-stdin", "--json")
    run(central, "init", *words, cwd=tmp_path, stdin="a long enough password 7\n")
    answer = json.loads(run(central, "verify", "--json", cwd=tmp_path))
    assert answer["ok"] is True
    assert int(answer["records"]) > 0


def test_a_simulated_machine_comes_up(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "bin" / "lotkeeper-sim"), "plc-modbus", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as machine:
        assert machine.stdout is not None
        try:
            assert machine.stdout.readline().strip() == "{"
        finally:
            machine.terminate()
            machine.wait(timeout=30)


def test_the_scripted_troubles_are_found(installed: Path, tmp_path: Path) -> None:
    """They lie beside the packages, wherever these are installed."""
    program = "from simulators.troubles import default_script; print(len(default_script().troubles))"
    assert int(run(installed / "bin" / "python", "-c", program, cwd=tmp_path)) > 5
