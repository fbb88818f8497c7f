"""What all suites share: parts of the machine that a test may need, skips that explain themselves, times by suite.

A test marked ``mosquitto``, ``browser``, ``libmodbus`` or ``node_opcua`` is skipped with its reason where that
program is missing; ``make setup`` as root installs what Debian has. At the end every skip is listed with its
reason, and with ``--strict-skips`` (the way ``.ci/run`` calls it) a skip that ``tests/expected_skips.toml`` does
not expect fails the run.
"""

from __future__ import annotations

import gc
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher

from simulators.processes import end_in_order
from tests.rigs import browser, examples
from tests.rigs.postgres import PostgresServer
from tests.rigs.statements import compiled_once
from tests.rigs.stores import on_postgres

examples.register()

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")
"""Where tests keep their folders, if it is there: what is tested is what the disk is told, and thousands of
databases each wait for it. Power is cut and disks are filled in ``tests/machine`` and ``simulators.faults``."""
ENOUGH_BYTES = 4 << 30
EXPECTED = HERE / "expected_skips.toml"

PROGRAMS = {
    "mosquitto": ("mosquitto",),
    "browser": browser.PROGRAMS,
}
"""Marker -> the programs of which one must be there."""

SERVERS = {
    "libmodbus": "tests.rigs.libmodbus_server",
    "node_opcua": "tests.rigs.opcua_server",
    "postgres": "tests.rigs.postgres",
}
"""Marker -> the module whose ``why_not`` says why such a server cannot run here."""

SHARES_S = {
    "house": 40,
    "unit": 1000,
    "golden": 10,
    "sim": 70,
    "suites": 600,
    "process": 730,
    "machine": 75,
    "web": 630,
    "demo": 190,
}
"""What each suite may take of the 20 minutes that ``make test`` has; said, not asserted.

Three processes run them at once: they are seconds of three times 20 minutes, less set-up and checks.
"""

SLOW_FIRST = ("process", "demo", "suites", "machine", "web", "sim")
"""In several processes these suites go first, in this order: what is left for the end is short, and none of the
processes waits long for the last one."""


@dataclass(slots=True)
class Suite:
    """What one folder of tests took."""

    tests: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Watch:
    """Times and skips of one run, gathered from the reports (of all worker processes, when there are some)."""

    strict: bool
    suites: dict[str, Suite] = field(default_factory=dict)
    skips: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = self.suites.setdefault(suite_of(report.nodeid), Suite())
        suite.seconds += report.duration
        if report.when == "setup":
            suite.tests += 1
        if report.failed:
            suite.failed += 1
        if report.skipped and not hasattr(report, "wasxfail"):
            suite.skipped += 1
            self.skips[report.nodeid] = reason_of(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skips[report.nodeid] = reason_of(report)

    def unexpected(self) -> dict[str, str]:
        """The skips that no entry of the list explains."""
        expected = tomllib.loads(EXPECTED.read_text(encoding="utf-8")).get("skip", [])
        return {
            test: reason
            for test, reason in self.skips.items()
            if not any(
                fnmatchcase(test, entry["test"]) and fnmatchcase(reason, entry["reason"]) for entry in expected
            )
        }

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.strict and self.unexpected() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skips:
            unexpected = self.unexpected()
            terminalreporter.section("skipped, and why")
            for test, reason in sorted(self.skips.items()):
                mark = "NOT EXPECTED  " if self.strict and test in unexpected else ""
                terminalreporter.line(f"{mark}{test}: {reason}")
        if len(self.suites) > 1 or self.strict:
            terminalreporter.section("suites")
            for line in table(self.suites):
                terminalreporter.line(line)


def table(suites: dict[str, Suite]) -> list[str]:
    """One line for each suite: how many tests, seconds (of all processes together), share, skipped, failed."""
    lines = [f"{'suite':<12}{'tests':>7}{'seconds':>10}{'share':>8}{'skipped':>9}{'failed':>8}"]
    for name, suite in sorted(suites.items()):
        share = SHARES_S.get(name)
        over = "  over its share" if share is not None and suite.seconds > share else ""
        lines.append(
            f"{name:<12}{suite.tests:>7}{suite.seconds:>10.1f}{share if share is not None else '-':>8}"
            f"{suite.skipped:>9}{suite.failed:>8}{over}"
        )
    total = sum(suite.seconds for suite in suites.values())
    lines.append(f"{'all':<12}{sum(suite.tests for suite in suites.values()):>7}{total:>10.1f}")
    return lines


def suite_of(nodeid: str) -> str:
    """The first folder below ``tests``."""
    parts = nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[0]


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--strict-skips", action="store_true", help="fail on a skip that is not in the expected list")


def pytest_configure(config: pytest.Config) -> None:
    end_in_order()  # SIGTERM, too, ends fixtures: servers and mounted disks would stay behind
    if not hasattr(config, "workerinput"):  # in a worker process the main one watches
        config.pluginmanager.register(Watch(config.getoption("--strict-skips")), "suite-watch")
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        last = len(SLOW_FIRST)
        turns = {suite: turn for turn, suite in enumerate(SLOW_FIRST)}
        items.sort(key=lambda item: turns.get(suite_of(item.nodeid), last))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: to go over it again and again took the collector a tenth of a run."""
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, programs in PROGRAMS.items():
        if item.get_closest_marker(marker) and not any(map(find_program, programs)):
            pytest.skip(f"{programs[0]} is not installed; make setup as root installs it")
    for marker, module in SERVERS.items():
        if item.get_closest_marker(marker) and (reason := import_module(module).why_not()) is not None:
            pytest.skip(reason)


def find_program(name: str) -> str | None:
    """A program on the PATH, or where Debian keeps servers (not on everybody's PATH)."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module marked ``both_stores`` runs over a file and over a server (``tests.rigs.stores``)."""
    if metafunc.definition.get_closest_marker("both_stores"):
        server = pytest.param("postgres", marks=pytest.mark.postgres)
        metafunc.parametrize("store_kind", ["sqlite", server], indirect=True)


@pytest.fixture(autouse=True)
def store_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which database central's rigs of this test have."""
    kind = getattr(request, "param", "sqlite")
    with on_postgres() if kind == "postgres" else nullcontext():
        yield kind


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that the test alone has, to kill, fill or spoil."""
    made = PostgresServer()
    yield made
    made.remove()


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """A password costs this process as little as can be; processes that tests start take what a plant has."""
    with pytest.MonkeyPatch.context() as patch:
        least = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr("central.access.PasswordHasher", least)
        yield


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a test's process logs to ends with the test: its captured stderr is closed then."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True, scope="session")
def statements_compiled_once() -> Iterator[None]:
    with compiled_once():
        yield
