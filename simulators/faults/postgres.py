"""A real PostgreSQL of one's own: a free port, its files in a folder, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from records.clock import Clock, SystemClock
from records.errors import LotkeeperError, Unreachable
from simulators.sockets import reserved_port

USER = "lotkeeper"
START_LIMIT_S = 60.0
_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
}


def why_not() -> str | None:
    """Why no server can run here, or None."""
    if program("initdb") is None:
        return "PostgreSQL's server is not installed (Debian: postgresql)"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root and there is no setpriv"
    return None


def program(name: str) -> Path | None:
    """Debian keeps the server's programs of each version in a folder of its own, and only clients on the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))
    for folder in reversed(folders):
        if (folder / name).exists():
            return folder / name
    found = shutil.which(name)
    return None if found is None else Path(found)


class LocalPostgres:
    """One server on loopback and a socket in its folder, with the role ``lotkeeper``; started.

    Args:
        within: where its folder is made; left out: among the temporary files.
        settings: on top of small ones; commits are on the disk as the server ships.
    """

    def __init__(
        self, within: Path | None = None, settings: Mapping[str, str] | None = None, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self.folder = Path(tempfile.mkdtemp(prefix="lotkeeper-pg-", dir=within))
        self.data = self.folder / "data"
        self.port = reserved_port("127.0.0.1")
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.folder.chmod(0o755)
        self.run(
            "initdb", "--pgdata", str(self.data), "--username", "postgres", "--auth-local", "trust",
            "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip
        told = {
            **_SETTINGS,
            **(settings or {}),
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in told.items())
        self.start()
        self.run("createuser", *self._socket, USER)

    def make(self, database: str) -> None:
        """An empty database of the role's own."""
        self.run("createdb", *self._socket, "--owner", USER, "--template", "template0", database)

    def url(self, database: str) -> str:
        """As central.yaml has it: over the socket, without a password."""
        return f"postgresql://{USER}@{str(self.folder).replace('/', '%2F')}:{self.port}/{database}"

    def start(self) -> None:
        """Returns when it lets somebody in. With the thread that calls this it ends as in a crash: no server stays
        behind with a process that was killed (where the system has setpriv).

        Raises:
            LotkeeperError: it ended. Unreachable: it did not answer in time.
        """
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*as_user(), str(_needed("postgres")), "-D", str(self.data)],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        deadline_s = self._clock.monotonic_s() + START_LIMIT_S
        ask = [str(_needed("pg_isready")), *self._socket, "--quiet"]
        while subprocess.run(ask, check=False, capture_output=True).returncode != 0:
            if self._process.poll() is not None:
                raise LotkeeperError(f"PostgreSQL ended: {self.log()[-500:]}")
            if self._clock.monotonic_s() > deadline_s:
                raise Unreachable(f"PostgreSQL does not answer: {self.log()[-500:]}")
            threading.Event().wait(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: rolls back and stops; SIGQUIT: stops as a crash does, the next start recovers."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        self._process.wait(START_LIMIT_S)
        self._process = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def remove(self) -> None:
        """End it and delete all that it held. Safe to call twice."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _socket(self) -> list[str]:
        return ["--host", str(self.folder), "--port", str(self.port), "--username", "postgres"]

    def run(self, name: str, *words: str) -> None:
        """One of the server's own programs, to its end.

        Raises:
            LotkeeperError: it did not end well.
        """
        words = (*as_user(), str(_needed(name)), *words)
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode != 0:
            raise LotkeeperError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}")


def _needed(name: str) -> Path:
    found = program(name)
    if found is None:
        raise Unreachable(f"{name} of PostgreSQL is not installed", hint="install the package postgresql")
    return found


def as_user() -> tuple[str, ...]:
    """Words before a command. PostgreSQL refuses to run as root; and it must not outlive us."""
    if shutil.which("setpriv") is None:
        return ()
    user = ("--reuid", "postgres", "--regid", "postgres", "--init-groups") if os.geteuid() == 0 else ()
    return ("setpriv", *user, "--pdeathsig", "QUIT", "--")
