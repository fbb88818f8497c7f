"""Setting up: nothing the second time, and plain words where something cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import setup, system_packages


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that making the environment would run, in a folder of its own."""
    ran: list[list[str]] = []
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    python = tmp_path / ".venv" / "bin" / "python"

    def run(command: list[str]) -> None:
        ran.append(command)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "PYTHON", python)
    monkeypatch.setattr(setup, "STAMP", tmp_path / ".venv" / "stamp")
    monkeypatch.setattr(setup, "run", run)
    monkeypatch.setattr(setup, "find_uv", lambda: "uv")
    monkeypatch.setattr(setup, "answers", lambda command: python.exists())
    return ran


def test_the_second_time_nothing_is_done(steps: list[list[str]]) -> None:
    setup.make_environment()
    assert [command[1:3] for command in steps] == [["venv", "--quiet"], ["pip", "sync"], ["pip", "install"]]
    steps.clear()
    setup.make_environment()
    assert steps == []


def test_a_new_lock_is_installed_into_the_same_environment(steps: list[list[str]]) -> None:
    setup.make_environment()
    steps.clear()
    setup.LOCK.write_text("another")
    setup.make_environment()
    assert [command[1:3] for command in steps] == [["pip", "sync"], ["pip", "install"]]


def test_a_step_that_fails_is_done_again_next_time(
    steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str]) -> None:
        raise setup.SetupError("no network")

    working = setup.run
    monkeypatch.setattr(setup, "run", fail)
    with pytest.raises(setup.SetupError):
        setup.make_environment()
    monkeypatch.setattr(setup, "run", working)
    setup.make_environment()
    assert len(steps) == 3


def test_every_package_comes_with_its_hash(steps: list[list[str]]) -> None:
    setup.make_environment()
    assert "--require-hashes" in steps[1]
    assert "--compile-bytecode" in steps[1]  # else each start of a program compiles all that it imports
    assert "--no-deps" in steps[2]


def test_who_is_not_root_is_told_what_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: "there")
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(system_packages, "installed", lambda name: name != "chromium-headless-shell")
    monkeypatch.setattr(system_packages, "apt", lambda *words: pytest.fail("apt-get without being root"))
    system_packages.install_missing(said.append)
    assert len(said) == 2
    assert "chromium-headless-shell" in said[0]
    assert "tests in a browser" in said[0]
    assert said[1].endswith("apt-get install chromium-headless-shell")


def test_root_installs_only_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []
    policy = tmp_path / "policy-rc.d"

    def apt(*words: str) -> bool:
        assert policy.exists(), "a service might be started"
        calls.append(words)
        return True

    monkeypatch.setattr(system_packages.shutil, "which", lambda name: "there" if name == "dpkg-query" else None)
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(system_packages, "installed", lambda name: name != "mosquitto")
    monkeypatch.setattr(system_packages, "apt", apt)
    monkeypatch.setattr(system_packages, "POLICY", policy)
    system_packages.install_missing(lambda text: None)
    assert calls[0][0] == "update"
    assert calls[1][0] == "install"
    assert calls[1][-1] == "mosquitto"
    assert not policy.exists()


def test_the_python_that_is_named_goes_before_the_systems_own(tmp_path: Path) -> None:
    mine = tmp_path / "python"
    mine.symlink_to(Path(sys.executable).resolve())
    named = {**os.environ, "LOTKEEPER_PYTHON": str(mine)}
    assert chosen(named) == str(mine)
    unfit = tmp_path / "unfit"
    unfit.write_text("#!/bin/sh\nexit 1\n")
    unfit.chmod(0o755)
    assert chosen({**named, "LOTKEEPER_PYTHON": str(unfit)}) not in ("", str(unfit))


def chosen(environment: dict[str, str]) -> str:
    words = ["sh", str(Path(setup.__file__).with_name("python.sh"))]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
