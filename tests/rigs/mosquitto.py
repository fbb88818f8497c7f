"""A real Mosquitto of one's own: free port on loopback, its files in a folder, killed and wiped at will.

Its settings are those of the shipped ``config/mosquitto.conf`` but for paths, port and account, and it keeps
nothing over a restart: nothing may depend on the broker. Without TLS it is one on loopback.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from central.broker import shipped_configuration
from simulators.sockets import free_port

START_S = 20.0


@dataclass(frozen=True)
class BrokerTls:
    """Server certificate and key, the authority whose clients are let in, and which of them no more."""

    ca: Path
    certificate: Path
    key: Path
    revoked: Path | None = None

    @classmethod
    def of(cls, folder: Path) -> BrokerTls:
        """Those of a folder that ``enrol --broker`` made."""
        return cls(folder / "ca.crt", folder / "tls.crt", folder / "tls.key", folder / "revoked.crl")


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


class Mosquitto:
    """One broker. The port stays the same over restarts.

    ``settings``: lines in the place of the shipped ones. ``acl``: text of an ACL file. ``passwords``: user ->
    password; without them and without ``tls`` anybody may connect.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: tuple[str, ...] = (),
        tls: BrokerTls | None = None,
        acl: str | None = None,
        passwords: Mapping[str, str] | None = None,
        password_file: Path | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.log = folder / "mosquitto.log"
        self.data.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        replaced: dict[str, str | None] = {
            "listener": f"{self.port} 127.0.0.1",
            "persistence": "false",
            "persistence_location": f"{self.data}/",
            "allow_anonymous": "false" if passwords or tls else "true",
            "cafile": None if tls is None else str(tls.ca),
            "certfile": None if tls is None else str(tls.certificate),
            "keyfile": None if tls is None else str(tls.key),
            "crlfile": None if tls is None or tls.revoked is None else str(tls.revoked),
            "acl_file": None if acl is None else str(folder / "acl"),
        }
        if tls is None:
            replaced |= dict.fromkeys(("require_certificate", "use_identity_as_username", "tls_version"))
        if acl is not None:
            (folder / "acl").write_text(acl)
        replaced |= {word: value for word, _, value in (line.partition(" ") for line in settings)}
        lines = ["user root"]
        if passwords:
            file = folder / "passwords"
            file.touch(mode=0o600)
            for user, password in passwords.items():
                subprocess.run(
                    [program("mosquitto_passwd"), "-b", str(file), user, password], check=True, capture_output=True
                )
            password_file = file
        if password_file is not None:
            lines.append(f"password_file {password_file}")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(shipped_configuration(replaced, lines))

    def start(self) -> Self:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self._configuration)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mosquitto did not start: {self.log.read_text()}") from None
                time.sleep(0.02)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, as a service manager would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what it held in memory is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: it reads its files again, soon."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def wipe(self) -> None:
        """Delete what it stored (it must be stopped)."""
        shutil.rmtree(self.data)
        self.data.mkdir()

    def restart(self, *, kill: bool = False, wipe: bool = False) -> None:
        self.kill() if kill else self.stop()
        if wipe:
            self.wipe()
        self.start()

    def reconfigure(self, line: str, other: str) -> None:
        """Start it again with another line of its configuration."""
        text = self._configuration.read_text()
        assert f"{line}\n" in text
        self._configuration.write_text(text.replace(f"{line}\n", f"{other}\n"))
        self.restart()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            if how is signal.SIGTERM:
                self._process.send_signal(signal.SIGCONT)
            self._process.wait(timeout=20)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
