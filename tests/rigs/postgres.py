"""A real PostgreSQL of one's own: free port, files in a folder, killed and restarted at will.

One server serves a whole test process; each test gets a database of its own, copied from a template that central's
migrations made once. The folder lies in memory where there is such a place: what is tested is what the server is
told, not the machine's disk (``tests/machine`` cuts the power).
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from central.store.database import Server
from central.store.engine import Store
from records.yaml import Secret
from simulators.sockets import free_port

USER = "lotkeeper"
PASSWORD = "a-test-password"
START_S = 60.0
_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
}


def why_not() -> str | None:
    """Why no server can run here, or None."""
    try:
        _program("initdb")
    except FileNotFoundError as error:
        return str(error)
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root and there is no runuser"
    return None


class PostgresServer:
    """``template``: the name of an empty database that central has prepared. ``on_disk``: never in memory."""

    def __init__(self, *, on_disk: bool = False) -> None:
        memory = Path("/dev/shm")
        in_memory = not on_disk and os.access(memory, os.W_OK)
        self.folder = Path(tempfile.mkdtemp(prefix="lotkeeper-pg-", dir=memory if in_memory else None))
        self.data = self.folder / "data"
        self.port = free_port()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.folder.chmod(0o755)
        self._run(
            "initdb", "--pgdata", str(self.data), "--username", "postgres", "--auth-local", "trust",
            "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip
        settings = _SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        with self.admin() as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        self.template = self.empty("template_lotkeeper")
        Store(self.place(self.template)).close()

    # -- databases -------------------------------------------------------------------------------------

    def place(self, database: str) -> Server:
        """Over the socket, without a password."""
        return Server(str(self.folder), self.port, USER, database, here=True)

    def over_tcp(self, database: str, password: Secret) -> Server:
        return Server("127.0.0.1", self.port, USER, database, password, here=True)

    def url(self, database: str) -> str:
        """As central.yaml has it."""
        return f"postgresql://{USER}@{str(self.folder).replace('/', '%2F')}:{self.port}/{database}"

    def empty(self, name: str | None = None) -> str:
        """A database without tables."""
        name = name or f"empty_{next(self._numbers)}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE template0")
        return name

    def copy(self, source: str | None = None) -> str:
        """A copy of a database that nobody uses; left out: of one as central makes it, still empty."""
        name, source = f"central_{next(self._numbers)}", source or self.template
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {source} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        with self.admin() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's session."""
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    # -- the server ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when it lets somebody in."""
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*_as_user(), str(_program("postgres")), "-D", str(self.data)], stdout=log, stderr=log, cwd="/"
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.admin().close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: rolls back and stops; SIGQUIT: stops as a crash does, the next start recovers."""
        if self._process is None or self._process.poll() is not None:
            return
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, how)
        self._process.wait(START_S)
        self._process = None

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [*_as_user(), str(_program(name)), *words], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stdout + done.stderr


@cache
def shared() -> PostgresServer:
    """The server of this test process."""
    return PostgresServer()


def _as_user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def _program(name: str) -> Path:
    """Debian keeps the server's programs of each version in a folder of its own, and only clients on the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))
    for folder in reversed(folders):
        if (folder / name).exists():
            return folder / name
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError("PostgreSQL's server is not installed (Debian: postgresql)")
    return Path(found)
