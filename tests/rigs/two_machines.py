"""A whole agent over a simulated OPC UA and a simulated Modbus machine, in this process, and what it recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import JsonValue

from edge_agent.app import Agent
from edge_agent.outbox import KeptDocument, export
from edge_agent.settings import load_line
from records.clock import SystemClock
from records.keys import SigningKey
from records.model import OperationRecord, decode
from records.wire import Document, Envelope, sign
from simulators.alone import ModbusKind, OpcUaKind, cycle_for_ever, measures, modbus_plc, opcua_plc
from tests.rigs.outboxes import make_identity, open_outbox

AGENT = "testing-1"
LOT = "L-1"
ORDER: dict[str, JsonValue] = {
    "reference": "1",
    "product": "VS-100",
    "product_gtin": "04012345000016",
    "revision": "C",
    "lot": LOT,
    "quantity": "100",
    "state": "released",
    "bom": [],
}
"""The machines name no order; their mode, 1, stands in for it."""
LIMIT_S = 120.0
LINE = """\
agent: testing-1
site: suzhou
line: valve-1
devices:
  assembler:
    driver: opcua
    endpoint: {opcua}
    security: {{policy: None, allow_insecure: true}}
    poll_interval: 10ms
    tags:
      - {{name: done, namespace_uri: "{uri}", identifier: "s=Cycle.Done", data_type: bool, role: trigger}}
      - {{name: count, namespace_uri: "{uri}", identifier: "s=Cycle.Count", data_type: uint32, role: counter}}
      - {{name: ack, namespace_uri: "{uri}", identifier: "s=Cycle.Ack", data_type: bool, access: write}}
      - {{name: carrier, namespace_uri: "{uri}", identifier: "s=Carrier.Id", data_type: string, role: record}}
      - {{name: mode, namespace_uri: "{uri}", identifier: "s=Station.Mode", data_type: uint16, role: record}}
      - {{name: torque, namespace_uri: "{uri}", identifier: "s=Process.Torque", data_type: float64, unit: N.m,
         role: characteristic}}
  tester:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {modbus}
    byte_order: CDAB
    poll_interval: 10ms
    tags:
      - {{name: done, address: 0, role: trigger}}
      - {{name: ack, address: 1, access: write}}
      - {{name: count, address: 2, data_type: uint32, role: counter}}
      - {{name: carrier, address: 10, data_type: string, length: 8, byte_order: ABCD, role: record}}
      - {{name: leak_rate, address: 100, data_type: float32, scale: 1000, unit: uL/min, role: characteristic}}
      - {{name: pressure, address: 102, data_type: float32, unit: kPa, role: characteristic}}
stations:
  assemble:
    equipment: ASM-01
    operation: OP10
    order: {{tag: assembler.mode}}
    trigger: {{tag: assembler.done, acknowledge: assembler.ack, cycle: assembler.count}}
    subject: {{kind: carrier, tag: assembler.carrier}}
    capture: [assembler.torque]
  leak:
    equipment: LEAK-01
    operation: OP30
    order: {{tag: assembler.mode}}
    trigger: {{tag: tester.done, acknowledge: tester.ack, cycle: tester.count}}
    subject: {{kind: carrier, tag: tester.carrier}}
    capture: [tester.leak_rate, tester.pressure]
characteristics:
  torque:
    tag: assembler.torque
    chart: imr
    rules: [nelson1, nelson2, nelson5]
    limits: {{from: phase1, subgroups: 8}}
    specification: {{lsl: 1.8, usl: 2.6, target: 2.2}}
  leak_rate:
    tag: tester.leak_rate
    chart: xbar_r
    subgroup: 3
    limits: {{from: phase1, subgroups: 3}}
  pressure:
    tag: tester.pressure
    chart: ewma
    limits: {{from: phase1, subgroups: 5}}
uplink: {{broker: "mqtt://127.0.0.1:9", identity: identity}}
buffer: {{path: buffer}}
"""


def record(folder: Path, runs: int) -> tuple[SigningKey, list[Envelope]]:
    """Let both machines make so many runs each; the agent's key and everything that it committed."""
    central = SigningKey.generate()
    identity = make_identity(folder / "identity", central, agent=AGENT)
    clock = SystemClock()
    outbox = open_outbox(folder / "buffer", clock, agent=AGENT)  # one that has heard of the order from central
    payload = sign(Document("work-order", "1", 1, clock.now_us(), ORDER), central)
    outbox.documents.put(KeptDocument("work-order", "1", 1, payload, clock.now_us())).result()
    outbox.close()
    asyncio.run(_record(folder, runs))
    return identity.signing, list(export(folder / "buffer" / "records.db"))


async def _record(folder: Path, runs: int) -> None:
    assembler = opcua_plc(OpcUaKind.ASSEMBLER, "127.0.0.1", 0, SystemClock())
    tester = modbus_plc(ModbusKind.LEAK_TESTER, "127.0.0.1", 0)
    machines = ((assembler, measures(OpcUaKind.ASSEMBLER, 7)), (tester, measures(ModbusKind.LEAK_TESTER, 7)))
    for plc, _ in machines:
        await plc.start()
    (folder / "line.yaml").write_text(
        LINE.format(opcua=assembler.url, modbus=tester.port, uri="urn:lotkeeper:sim:assembler")
    )
    agent = Agent(load_line(folder / "line.yaml"), SystemClock())
    cycling = [
        asyncio.create_task(cycle_for_ever(plc, measured, 0.01, handshake=True)) for plc, measured in machines
    ]
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(LIMIT_S):
        while min(_runs(folder).values(), default=0) < runs and not running.done():
            await asyncio.sleep(0.1)
    agent.stop()
    await running
    for task in cycling:
        task.cancel()
    await asyncio.gather(*cycling, return_exceptions=True)
    for plc, _ in machines:
        await plc.stop()


def _runs(folder: Path) -> dict[str, int]:
    found = {"assemble": 0, "leak": 0}
    buffer = folder / "buffer" / "records.db"
    for envelope in export(buffer) if buffer.exists() else ():
        data = decode(envelope.kind, envelope.body or b"").data
        if isinstance(data, OperationRecord):
            found[data.station] += 1
    return found
