"""A real Mosquitto with the worst settings there are: it keeps nothing, so nothing may depend on it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from records.errors import LotkeeperError, Unreachable
from simulators.faults.supervisor import Supervisor
from simulators.sockets import reserved_port

START_LIMIT_S = 120.0


class ForgetfulBroker:
    """Persistence off, on a loopback port of its own that stays the same over restarts."""

    def __init__(self, folder: Path, supervisor: Supervisor) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Unreachable("mosquitto is not installed", hint="install the package mosquitto; make setup does")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = reserved_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._supervisor = supervisor
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        account = "user root\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        conf = folder / "mosquitto.conf"
        conf.write_text(
            f"{account}listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "set_tcp_nodelay true\nlog_dest stderr\nlog_type error\nlog_type warning\n"
        )
        self._command = [program, "-c", str(conf)]

    def start(self) -> None:
        """It takes connections when this returns."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._supervisor.until("the broker", self._listens, START_LIMIT_S)

    def kill(self) -> None:
        """SIGKILL: queues, sessions and retained messages are gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP: connections stay open and nothing answers; SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise LotkeeperError(f"the broker ended: {self._log.read_text(errors='replace')[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(START_LIMIT_S)
