"""The broker of a demo plant: a real Mosquitto as a process, or amqtt inside this one where nothing is installed.

Both listen on loopback only and take nobody without a user name and a generated password.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from argon2 import PasswordHasher

from records.errors import Unreachable
from simulators.processes import Child, Processes

START_LIMIT_S = 15.0


class Broker(Protocol):
    """A broker on loopback; ``restart`` ends it and starts it anew on the same port."""

    port: int
    protocol: str  # "5" or "3.1.1": what central and agents are told to speak

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...


class Mosquitto:
    """Debian's Mosquitto with a password file, its queue kept on disk."""

    protocol = "5"

    def __init__(self, folder: Path, port: int, passwords: Mapping[str, str], processes: Processes) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Unreachable(
                "mosquitto is not installed", hint="install the package mosquitto, or use --broker amqtt"
            )
        self.port = port
        self._processes = processes
        self._child: Child | None = None
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
        self._command = [program, "-c", str(conf)]

    def start(self) -> None:
        self._child = self._processes.start("broker", self._command)

    def stop(self) -> None:
        if self._child is not None:
            self._processes.stop(self._child)
            self._child = None

    def restart(self) -> None:
        self.stop()
        self.start()


class Amqtt:
    """amqtt in a thread of this process. It speaks MQTT 3.1.1 and keeps nothing over a restart: none is needed."""

    protocol = "3.1.1"

    def __init__(self, folder: Path, port: int, passwords: Mapping[str, str]) -> None:
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        users = folder / "passwords"
        users.touch(mode=0o600)
        hasher = PasswordHasher(time_cost=1, memory_cost=1024)
        users.write_text("".join(f"{user}:{hasher.hash(password)}\n" for user, password in passwords.items()))
        self._config = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
            "plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(users)}},
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen when this returns.

        Raises:
            Unreachable: amqtt is not installed, or the port cannot be had.
        """
        try:
            from amqtt.broker import Broker as AmqttBroker
        except ImportError as error:
            raise Unreachable("amqtt is not installed", hint="pip install 'lotkeeper[demo]'") from error
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # its warnings are no news to who looks at a demo
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="amqtt", daemon=True)
        self._thread.start()

        async def listen() -> AmqttBroker:
            broker = AmqttBroker(self._config)
            await broker.start()
            return broker

        self._broker = asyncio.run_coroutine_threadsafe(listen(), loop).result(START_LIMIT_S)

    def stop(self) -> None:
        """Safe to call twice. One that does not end in time is ended with its thread: it has nothing to keep."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), loop).result(START_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def restart(self) -> None:
        self.stop()
        self.start()
