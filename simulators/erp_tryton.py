"""A real Tryton 8.2 as the plant's ERP: its environment, its database, its server.

Tryton is GPL and stays outside: a virtual environment of its own in the cache folder, our set-up script and its
server as separate programs, HTTP between us. Three things are kept in the cache, each made once and only under
a lock: the environment (packages pinned in ``tryton_requirements.txt``), a database with the modules activated,
and for each size of plant a filled database. A run gets a copy of the last one, so it starts in seconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from records.clock import SystemClock, new_secret
from records.durable import snapshot
from records.errors import LotkeeperError, Unreachable
from records.keys import write_private
from simulators.cache import cache_folder
from simulators.sockets import free_port

HERE = Path(__file__).parent
SCRIPT = HERE / "tryton_setup.py"
REQUIREMENTS = HERE / "tryton_requirements.txt"
DATABASE = "erp"
USER = "mes"
QUALITY_CONTROL = "VS-100 final release"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0

Tell = Callable[[str], None]


def environment(tell: Tell) -> Path:
    """The Python of the environment where Tryton is installed; made at first use.

    Raises:
        LotkeeperError: the packages could not be installed; names the log.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    mark = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"tryton-{version}-{mark}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "complete"
    with _lock(folder):
        if complete.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        tell("making the Tryton environment (once, about half a minute)")
        uv = shutil.which("uv")
        log = folder.with_name(f"{folder.name}.log")
        if uv is not None:
            _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], log)
            _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(REQUIREMENTS)], log)
        else:
            _run([sys.executable, "-m", "venv", str(folder)], log)
            _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], log)
        complete.touch()
    return python


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled database in the cache; copied, never served."""

    database: Path
    password: str


def filled_database(orders: int, units: int, tell: Tell) -> tuple[Path, Filled]:
    """Tryton's Python, and the database with ``orders`` orders WO-1000.. of ``units`` pieces each."""
    python = environment(tell)
    mark = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:12]
    folder = python.parent.parent.parent / f"{python.parent.parent.name}-data-{mark}"
    target = folder / f"{orders}x{units}"
    with _lock(folder):
        password = target / "mes.password"
        if not password.exists():
            _fill(python, _activated(python, folder / "activated", tell), target, orders, units, tell)
    return python, Filled(target / f"{DATABASE}.sqlite", password.read_text())


def _activated(python: Path, folder: Path, tell: Tell) -> Path:
    complete = folder / "complete"
    if not complete.exists():
        tell("making the Tryton database (once, about a quarter of a minute)")
        config = _fresh_folder(folder)
        (folder / f"{DATABASE}.sqlite").touch()  # Tryton does not make a missing SQLite file
        command = [str(python), str(SCRIPT), "activate", "--config", str(config)]
        _run(command, folder / "activate.log", TRYTON_ADMIN_PASSWORD=new_secret())
        complete.touch()
    return folder / f"{DATABASE}.sqlite"


def _fill(python: Path, source: Path, target: Path, orders: int, units: int, tell: Tell) -> None:
    tell(f"filling the Tryton database: {orders} orders of {units} pieces")
    config = _fresh_folder(target)
    snapshot(source, target / f"{DATABASE}.sqlite")
    password = new_secret()
    command = [str(python), str(SCRIPT), "load", "--config", str(config), "--out", str(target / "demo.json")]
    _run(
        [*command, "--orders", str(orders), "--units", str(units)],
        target / "load.log",
        TRYTON_MES_PASSWORD=password,
    )
    secret = target / "mes.password.new"
    write_private(secret, password.encode())
    secret.replace(target / "mes.password")  # last: its presence says that all is complete


def _fresh_folder(folder: Path, port: int = 0) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _write_config(folder, port)


def _write_config(folder: Path, port: int) -> Path:
    config = folder / "trytond.conf"
    config.write_text(
        f"[database]\nuri = sqlite://\npath = {folder}\n"
        f"[web]\nlisten = 127.0.0.1:{port}\n"
        "[session]\nauthentications = password\n"
        "[email]\nuri = smtp://127.0.0.1:1\nfrom = erp@example.org\n"
    )
    return config


class TrytonServer:
    """A running Tryton with its own copy of a filled database in ``folder``."""

    def __init__(self, folder: Path, *, orders: int, units: int, tell: Tell) -> None:
        """Copy the database (an existing one is served on) and start; ready when it answers.

        Raises:
            Unreachable: it did not answer in time; names the log.
        """
        self._python, filled = filled_database(orders, units, tell)
        self.folder = folder
        self.user = USER
        self.database = DATABASE
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{DATABASE}.sqlite"
        self.password_file = folder / "mes.password"
        if not self.file.exists():
            write_private(self.password_file, filled.password.encode())
            snapshot(filled.database, self.file)
        self.password = self.password_file.read_text()
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the server again on the same port (after ``stop`` or ``kill``)."""
        config = _write_config(self.folder, self.port)
        log = self.folder / "trytond.log"
        self._log = log.open("ab")
        trytond = self._python.with_name("trytond")
        self._process = subprocess.Popen(
            [str(self._python), str(trytond), "-c", str(config), "-d", DATABASE],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
        )
        self._wait(log)

    def _wait(self, log: Path) -> None:
        clock = SystemClock()
        deadline = clock.monotonic_s() + START_LIMIT_S
        question = {"id": 0, "method": "common.server.version", "params": []}
        while clock.monotonic_s() < deadline and self._process is not None and self._process.poll() is None:
            try:
                if httpx.post(f"{self.url}rpc/", json=question, timeout=5.0).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        self.stop()
        raise Unreachable(f"Tryton did not start at {self.url}", hint=f"read {log}")

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def stop(self) -> None:
        """End the process; safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._ended()

    def _ended(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


def _run(command: list[str], log: Path, **extra: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        code = subprocess.run(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **extra}, cwd=log.parent, check=False
        ).returncode
    if code != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-3:])
        raise LotkeeperError(f"{Path(command[0]).name} failed: {last}", hint=f"the whole log is {log}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process at a time makes what lies in ``folder``; freed also when the process is killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
