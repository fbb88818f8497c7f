"""The broker of a demo plant, as a process: a real Mosquitto, or amqtt where nothing is installed.

Both listen on loopback only and take nobody without a user name and a generated password.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from argon2 import PasswordHasher

from records.errors import Unreachable
from simulators.processes import Child, Processes, command


class Broker:
    """A broker on loopback that listens soon after ``start``; its log is that of the process ``broker``.

    ``protocol``: "5" or "3.1.1", what central and agents are told to speak.
    """

    protocol: str

    def __init__(self, port: int, words: Sequence[str], processes: Processes) -> None:
        self.port = port
        self._words = list(words)
        self._processes = processes
        self._child: Child | None = None

    def start(self) -> None:
        self._child = self._processes.start("broker", self._words)

    def stop(self) -> None:
        """Safe to call twice."""
        if self._child is not None:
            self._processes.stop(self._child)
            self._child = None

    def restart(self) -> None:
        """End it and start it anew on the same port."""
        self.stop()
        self.start()


class Mosquitto(Broker):
    """Debian's Mosquitto with a password file, its queue kept on disk."""

    protocol = "5"

    def __init__(self, folder: Path, port: int, passwords: Mapping[str, str], processes: Processes) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Unreachable(
                "mosquitto is not installed", hint="install the package mosquitto, or use --broker amqtt"
            )
        folder.mkdir(parents=True, exist_ok=True)
        users = folder / "passwords"
        users.touch(mode=0o600)
        for user, password in passwords.items():
            subprocess.run(["mosquitto_passwd", "-b", str(users), user, password], check=True, capture_output=True)
        account = "user root\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        conf = folder / "mosquitto.conf"
        conf.write_text(
            f"{account}listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true\n"
            "max_queued_messages 100000\nmessage_size_limit 0\nlog_dest stderr\n"
        )
        super().__init__(port, [program, "-c", str(conf)], processes)


class Amqtt(Broker):
    """The broker that Lotkeeper's ``demo`` packages bring. It speaks MQTT 3.1.1 and keeps nothing over a restart:
    none is needed.
    """

    protocol = "3.1.1"

    def __init__(self, folder: Path, port: int, passwords: Mapping[str, str], processes: Processes) -> None:
        if importlib.util.find_spec("amqtt") is None:
            raise Unreachable("amqtt is not installed", hint="pip install 'lotkeeper[demo]'")
        folder.mkdir(parents=True, exist_ok=True)
        hasher = PasswordHasher(time_cost=1, memory_cost=1024)
        users, conf = folder / "passwords", folder / "amqtt.json"
        users.touch(mode=0o600)
        users.write_text("".join(f"{user}:{hasher.hash(password)}\n" for user, password in passwords.items()))
        told = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
            "plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(users)}},
        }
        conf.write_text(json.dumps(told))  # which is YAML, too
        super().__init__(port, [command("amqtt"), "-c", str(conf)], processes)
