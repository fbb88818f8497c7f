"""The machines of a benchmark: 1,000 OPC UA and 1,000 Modbus values that all change once a period.

Every value is the number of periods since ``base_us``, so whoever sees it knows when it began to be true, and
which ones he did not see. The values change in ten groups spread over the period: how old a value is when it is
polled does not depend on the luck of one phase. One more tag of the Modbus machine counts how often it was read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from records.clock import SystemClock
from simulators.sockets import free_port
from tests.rigs.libmodbus_server import LibmodbusServer
from tests.rigs.opcua_server import NodeOpcUaServer, ServerSettings
from tests.rigs.programs import ROOT, LineServer, made_once
from tools.uv_program import find_uv

VALUES = 1_000
GROUPS = 10
EACH = VALUES // GROUPS
SOURCE = Path(__file__).parent / "open62541.py"
O6 = "o6==2.2.0"
Server = Literal["open62541", "node-opcua"]
SERVERS = get_args(Server)
POLLS_ADDRESS = 2 * VALUES
"""Where the Modbus machine counts how often it was read."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """When what changes: values of group g hold n from ``base_us + g x period / GROUPS + n x period`` on."""

    period_us: int
    base_us: int

    def base_of(self, value: int) -> int:
        """The base of the value with this index."""
        return self.base_us + value // EACH * self.period_us // GROUPS

    def began_us(self, value: int, tick: int) -> int:
        """When the value with this index became ``tick``."""
        return self.base_of(value) + tick * self.period_us


class Open62541:
    """open62541 as a process: see ``benchmarks/rig/open62541.py``."""

    def __init__(self, ticks: Ticks) -> None:
        port = free_port()
        path = os.pathsep.join((str(made_once("o6", [SOURCE], _fetch)), str(ROOT)))
        environment = {**os.environ, "PYTHONPATH": path}
        words = map(str, (port, VALUES, GROUPS, ticks.period_us, ticks.base_us))
        self._lines = LineServer(
            [sys.executable, "-m", "benchmarks.rig.open62541", *words], environment=environment
        )
        self.pid = self._lines.process.pid
        self.url = f"opc.tcp://127.0.0.1:{port}"

    def stop(self) -> None:
        self._lines.stop()


def best_server() -> Server:
    """open62541, or node-opcua where the wheel cannot be had, which is said."""
    try:
        made_once("o6", [SOURCE], _fetch)
    except (OSError, subprocess.SubprocessError):
        print(f"{O6} cannot be had here: measuring with node-opcua, which answers more slowly", file=sys.stderr)
        return "node-opcua"
    return "open62541"


def _fetch(folder: Path) -> None:
    words = ["pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), O6]
    subprocess.run([find_uv() or "uv", *words], check=True, timeout=600)


class Plant:
    """Both machines as processes; their values change every ``period_us``."""

    def __init__(self, folder: Path, period_us: int, server: Server = "open62541") -> None:
        now_us = SystemClock().now_us()
        self.ticks = Ticks(period_us, now_us - now_us % 1_000_000 - 10_000_000)
        folder.mkdir(parents=True)
        self.opcua = Open62541(self.ticks) if server == "open62541" else _node_opcua(folder, self.ticks)
        self.modbus = LibmodbusServer("tcp")
        self.modbus.set(1, "holding", 0, [0] * (2 * VALUES + 2))
        self.modbus.polls(1, POLLS_ADDRESS)
        for first in range(0, VALUES, EACH):
            self.modbus.tick(1, 2 * first, EACH, period_us, self.ticks.base_of(first))

    @property
    def endpoint(self) -> str:
        return self.opcua.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.opcua.stop()
        self.modbus.stop()


def _node_opcua(folder: Path, ticks: Ticks) -> NodeOpcUaServer:
    server = NodeOpcUaServer(folder, ServerSettings(ticks=VALUES))
    for first in range(0, VALUES, EACH):
        server.tick(first, EACH, ticks.period_us, ticks.base_of(first))
    return server
