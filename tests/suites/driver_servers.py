"""The rigs of the driver suite over servers that are not ours and not Python: node-opcua and libmodbus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from driver_rigs import ModbusRig, OpcUaRig, decode_words, registers_of

from drivers.status import word
from tests.rigs.libmodbus_server import LibmodbusServer, Table
from tests.rigs.opcua_server import (
    SECURED,
    NodeOpcUaServer,
    ServerSettings,
    application_certificate,
    own_pair,
)

NETWORK_SERVERS = [
    pytest.param(lambda folder: OpcUaRig(), id="asyncua"),
    pytest.param(lambda folder: NodeOpcUaRig(folder), id="node-opcua", marks=pytest.mark.node_opcua),
    pytest.param(lambda folder: SecuredOpcUaRig(folder), id="node-opcua-secured", marks=pytest.mark.node_opcua),
    pytest.param(lambda folder: ModbusRig(), id="pymodbus"),
    pytest.param(lambda folder: LibmodbusRig(), id="libmodbus", marks=pytest.mark.libmodbus),
]
"""Makers of rigs that are reached over TCP; each takes a folder of its own."""
OWN_PROCESS = [server for server in NETWORK_SERVERS if server.marks]
"""Those of them that are programs of their own."""
SERIAL_SERVERS = [
    pytest.param(lambda folder: SerialRig(folder), id="libmodbus-rtu", marks=pytest.mark.libmodbus),
]
"""Makers of rigs on a serial line."""
_TABLES: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 16: "holding"}
LAST = 65_535


class NodeOpcUaRig(OpcUaRig):
    """node-opcua, its certificates in ``folder``; its nodes are those of ``tests/rigs/node_opcua/nodes.js``."""

    def __init__(self, folder: Path, settings: ServerSettings | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.settings = settings or ServerSettings()
        self.program: NodeOpcUaServer | None = None
        self.yaml = self.yaml.replace(f"127.0.0.1:{self.port}/", f"127.0.0.1:{self.port}/line")

    @property
    def running(self) -> NodeOpcUaServer:
        assert self.program is not None
        return self.program

    async def start(self) -> None:
        settings = replace(self.settings, others=self.other_namespaces)
        self.program = NodeOpcUaServer(self.folder, settings, port=self.port)
        for tag, value in self.values.items():
            await self.set(tag, value)

    async def stop(self) -> None:
        program, self.program = self.program, None
        if program is not None:
            program.stop()

    async def set(self, tag: str, value: Any) -> None:
        self.values[tag] = value
        self.running.set(tag, value)

    async def tell(self, tag: str, found: ua.DataValue) -> None:
        source = found.SourceTimestamp
        status = word(found.StatusCode.value if found.StatusCode is not None else 0)
        held = found.Value.Value if found.Value is not None else None
        self.running.set(tag, held, status=status, source=source.isoformat() if source is not None else None)

    async def get(self, tag: str) -> Any:
        return self.running.get(tag)


class SecuredOpcUaRig(NodeOpcUaRig):
    """node-opcua over an encrypted channel, with a user and a password; no way in without them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "server", replace(SECURED, policies=("Basic256Sha256",), anonymous=False))
        server, ours = own_pair(self.folder), application_certificate(folder, "client", "urn:lotkeeper:agent")
        (folder / "password").write_text(SECURED.users["line"])
        self.yaml = self.yaml.replace(
            "security: {policy: None, allow_insecure: true}",
            f"""security:
      policy: Basic256Sha256
      mode: SignAndEncrypt
      server_fingerprint: "{server.fingerprint}"
      certificate: {ours.certificate}
      private_key: {ours.key}
      auth: {{username: line, password: "file:{folder / "password"}"}}""",
        )


class LibmodbusRig(ModbusRig):
    """libmodbus on TCP, with the same registers and the same holes as pymodbus' server."""

    def __init__(self) -> None:
        super().__init__()
        self.program: LibmodbusServer | None = None

    @property
    def running(self) -> LibmodbusServer:
        assert self.program is not None
        return self.program

    def open(self) -> LibmodbusServer:
        return LibmodbusServer("tcp", port=self.port)

    async def start(self) -> None:
        self.program = self.open()
        self.make_holes()
        for tag, value in self.values.items():
            await self.set(tag, value)
        await self.poke(4, 7, [0b1010])
        for address in range(1, 16, 4):
            await self.poke(1, address, [1])
            await self.poke(2, address, [1])

    def make_holes(self) -> None:
        """What pymodbus' server does not have."""
        for first, last in ((18, 99), (108, LAST)):
            self.running.fail(1, "holding", first, last)
        self.running.fail(1, "input", 18, LAST)
        self.running.fail(1, "coil", 16, LAST)
        self.running.fail(1, "discrete", 16, LAST)

    async def stop(self) -> None:
        program, self.program = self.program, None
        if program is not None:
            program.stop()

    async def poke(self, code: int, address: int, values: list[int]) -> None:
        self.running.set(1, _TABLES[code], address, values)

    async def get(self, tag: str) -> Any:
        address, count = registers_of(tag)
        return decode_words(tag, self.running.get(1, "holding", address, count))


class SerialRig(LibmodbusRig):
    """libmodbus with RTU frames on a pseudo-terminal; stopped, the line is gone, as when its adapter is pulled."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.address = str(folder / "line")
        self.yaml = self.yaml.replace(
            f"driver: modbus_tcp\n    host: 127.0.0.1\n    port: {self.port}",
            f"driver: modbus_rtu\n    port: {self.address}\n    parity: none",
        )

    def open(self) -> LibmodbusServer:
        return LibmodbusServer("pty", path=Path(self.address))
