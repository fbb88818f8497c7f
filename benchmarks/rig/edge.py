"""The agent under test: the real command as a process on one core, with a line file as people write it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from benchmarks.rig.plant import POLLS_ADDRESS, VALUES
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.wire import CENTRAL
from simulators.processes import command

AGENT = "bench-1"
OPCUA, MODBUS = "opc", "mod"
POLLS = "polls"
"""The tag that counts how often its machine was read."""

_OPCUA_DEVICE = """\
  {name}:
    driver: opcua
    endpoint: {endpoint}
    security: {{policy: None, allow_insecure: true}}
    poll_interval: {interval}
    tags:
"""
_MODBUS_DEVICE = """\
  {name}:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {port}
    unit_id: {unit}
    poll_interval: {interval}
    tags:
"""


def opcua_device(name: str, endpoint: str, interval: str, values: Iterable[int]) -> str:
    """A device of the line file that reads these tick nodes."""
    tag = '      - {{name: v{0}, namespace_uri: "urn:test", identifier: s=Tick.{0}, data_type: uint32}}\n'
    tags = [tag.format(n) for n in values]
    return _OPCUA_DEVICE.format(name=name, endpoint=endpoint, interval=interval) + "".join(tags)


def modbus_device(
    name: str, port: int, interval: str, values: Iterable[int], *, polls: bool = False, unit: int = 1
) -> str:
    """A device of the line file that reads these uint32 of the Modbus machine."""
    tag = "      - {{name: {}, address: {}, data_type: uint32}}\n"
    tags = [tag.format(f"v{n}", 2 * n) for n in values]
    if polls:
        tags.append(tag.format(POLLS, POLLS_ADDRESS))
    return _MODBUS_DEVICE.format(name=name, port=port, unit=unit, interval=interval) + "".join(tags)


def both_devices(endpoint: str, port: int, interval: str) -> str:
    """All values of both machines, and how often the Modbus one was read."""
    return opcua_device(OPCUA, endpoint, interval, range(VALUES)) + modbus_device(
        MODBUS, port, interval, range(VALUES), polls=True
    )


class Edge:
    """``devices``, ``stations``: the text of these parts of the line file. ``central``: whose watermarks count."""

    def __init__(self, folder: Path, broker: str, devices: str, stations: str = "") -> None:
        self.central, self.own = SigningKey.generate(), SigningKey.generate()
        folder.mkdir(parents=True)
        file = IdentityFile(AGENT, "p0", (PublicKey(CENTRAL, self.central.public.hex()),))
        Identity.write(folder / "identity", file, self.own, None)
        self.line = folder / "line.yaml"
        self.line.write_text(
            f"agent: {AGENT}\nsite: bench\nline: bench\ndevices:\n{devices}"
            + (f"stations:\n{stations}" if stations else "")
            + f'uplink: {{broker: "{broker}", identity: {folder / "identity"}}}\n'
            + "buffer: {path: buffer}\n"
        )
        self.log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [command("lotkeeper-edge"), "run", str(self.line)], stdout=log, stderr=subprocess.STDOUT
            )
        os.sched_setaffinity(self._process.pid, {max(os.sched_getaffinity(0))})  # before it has other threads
        return self

    def check(self) -> None:
        """Raises RuntimeError with the log's end when the agent is gone."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the agent ended with {self._process.returncode}:\n{self.log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
