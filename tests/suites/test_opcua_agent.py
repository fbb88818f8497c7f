"""A whole agent and a secured machine: what it records of the certificate and identity, run after run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.app import Agent
from edge_agent.cli import app
from edge_agent.outbox import export
from edge_agent.settings import load_line
from records.clock import SystemClock
from records.keys import SigningKey
from records.model import OperationsEvent, decode
from tests.rigs.opcua_server import SECURED, NodeOpcUaServer
from tests.rigs.outboxes import make_identity

pytestmark = pytest.mark.node_opcua
LIMIT_S = 60.0
PASSWORD = "secret-1"
LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: opcua
    endpoint: {url}
    timeout: 5s
    security: {{policy: Aes256_Sha256_RsaPss, {trust},
               auth: {{username: line, password: "env:PLC_PASSWORD"}}}}
    tags: [{{name: torque, namespace_uri: "urn:test", identifier: "s=torque", data_type: float64}}]
uplink: {{broker: "mqtt://127.0.0.1:9", identity: identity}}
buffer: {{path: buffer}}
"""


def events(folder: Path) -> list[OperationsEvent]:
    found = [decode(e.kind, e.body or b"").data for e in export(folder / "buffer" / "records.db")]
    return [data for data in found if isinstance(data, OperationsEvent)]


def run(folder: Path, until: Callable[[Agent], bool]) -> None:
    async def whole() -> None:
        agent = Agent(load_line(folder / "line.yaml"), SystemClock())
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(LIMIT_S):
            while not until(agent) and not running.done():
                await asyncio.sleep(0.01)
        agent.stop()
        await running

    asyncio.run(whole())


def _connected(agent: Agent) -> bool:
    return all(supervisor.connected for supervisor in agent.floor.supervisors.values())


def test_a_machine_is_refused_then_trusted_then_known_then_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", PASSWORD)
    make_identity(tmp_path / "identity", SigningKey.generate())
    server = NodeOpcUaServer(tmp_path / "server", SECURED)
    line = tmp_path / "line.yaml"
    try:
        line.write_text(LINE.format(url=server.url, trust="mode: SignAndEncrypt"))
        assert CliRunner().invoke(app, ["certificate", "create", str(line)]).exit_code == 0
        run(tmp_path, lambda _: any(e.code == "device-lost" for e in events(tmp_path)))
        lost = next(e for e in events(tmp_path) if e.code == "device-lost")
        assert f'server_fingerprint: "{server.own.fingerprint}"' in str(lost.params["error"])

        pinned = LINE.format(url=server.url, trust=f'server_fingerprint: "{server.own.fingerprint}"')
        line.write_text(pinned)
        for _ in range(2):
            run(tmp_path, _connected)
        assert server.tell("sessions") == 0
        told = [
            e for e in events(tmp_path) if e.code in ("server-certificate", "device-identity", "device-changed")
        ]
        assert [(e.code, e.device) for e in told] == [("server-certificate", "plc"), ("device-identity", "plc")]
        assert told[1].params["serial"] == "SN-1"

        port = server.port
        server.stop()
        server = NodeOpcUaServer(tmp_path / "server", replace(SECURED, identity={"serial": "SN-2"}), port=port)
        run(tmp_path, _connected)
        changed = [e for e in events(tmp_path) if e.code == "device-changed"]
        assert [(e.params["was"], e.params["now"]) for e in changed] == [
            ("Maker / Press / SN-1 / 1.0", "Maker / Press / SN-2 / 1.0")
        ]
    finally:
        server.stop()
    kept = b"".join(
        (tmp_path / "buffer" / name).read_bytes()
        for name in ("records.db", "records.db-wal")
        if (tmp_path / "buffer" / name).exists()
    )
    assert PASSWORD.encode() not in kept
