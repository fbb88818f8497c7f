"""A press of which the test is the control program, with its agent, over a server that is not ours.

The machine is libmodbus: what was written is seen by somebody else than the agent's own driver. It runs when the
test says so, whatever its permit is.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Self

from simulators.processes import command
from simulators.sockets import free_port
from tests.rigs.agent import OneAgent
from tests.rigs.libmodbus_server import LibmodbusServer
from tests.rigs.uplinks import until

DONE, ACK, COUNT, PERMIT, HOLD, CARRIER, FORCE = 0, 1, 2, 5, 6, 10, 100
LINE = """\
agent: {name}
site: suzhou
line: valve-1
devices:
  press:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {port}
    poll_interval: 20ms
    tags:
      - {{name: done, address: 0}}
      - {{name: ack, address: 1, access: write}}
      - {{name: count, address: 2, data_type: uint32, role: counter}}
      - {{name: permit, address: 5, access: write}}
      - {{name: hold, address: 6, access: write}}
      - {{name: carrier, address: 10, data_type: string, length: 8}}
      - {{name: force, address: 100, data_type: float32, unit: kN}}
  scanner: {{driver: serial_scanner, port: {scanner}, terminator: CR, acknowledge: true}}
stations:
  press:
    equipment: PRESS-01
    operation: OP30
    order: {{scan: scanner, pattern: "WO-.*"}}
    operator: {{scan: scanner, pattern: "B[0-9]{{6}}"}}
    trigger: {{tag: press.done, acknowledge: press.ack, cycle: press.count}}
    permit: {{tag: press.permit, needs: [order]}}
    hold: {{tag: press.hold}}
    subject: {{kind: carrier, tag: press.carrier}}
    capture: [press.force]
characteristics:
  force:
    tag: press.force
    chart: imr
    rules: [nelson1, nelson2]
    limits: {{fixed: {{centre: 10, lower: 9, upper: 11, version: force-1}}}}
    reactions: {{nelson1: [alarm, hold_unit, hold_station, {{escalate: process-engineer}}], range: [note]}}
status: {{port: {page}}}
uplink: {{broker: "mqtt://127.0.0.1:9", identity: {identity}}}
buffer: {{path: buffer}}
"""


class PressLine:
    """The press, its agent and the agent's page."""

    def __init__(self, folder: Path) -> None:
        self.machine = LibmodbusServer("tcp")
        self.machine.set(1, "holding", 0, [0] * 128)
        self.agent = OneAgent(folder, name="pressing-1")
        self.page = free_port()
        self.url = f"http://127.0.0.1:{self.page}"
        text = self.agent.line.read_text()
        scanner = text.partition("driver: serial_scanner, port: ")[2].partition(",")[0]
        self.agent.line.write_text(
            LINE.format(
                name=self.agent.name,
                port=self.machine.port,
                scanner=scanner,
                page=self.page,
                identity=self.agent.identity,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.agent.__exit__(*unused)
        self.machine.stop()

    def start(self, failpoint: str | None = None) -> None:
        """Start the agent; with a failpoint it dies there, as in a power cut."""
        self.agent.start(failpoint)

    def register(self, address: int) -> int:
        """What the machine holds there."""
        return self.machine.get(1, "holding", address, 1)[0]

    @property
    def locks(self) -> tuple[int, int]:
        """Permit and hold, as the machine has them."""
        return self.register(PERMIT), self.register(HOLD)

    def finish(self, cycle: int, force: float, carrier: str = "C-1") -> None:
        """The machine has done a cycle and says so."""
        text = carrier.encode().ljust(16, b"\0")
        self.machine.set(1, "holding", CARRIER, list(struct.unpack(">8H", text)))
        self.machine.set(1, "holding", FORCE, list(struct.unpack(">2H", struct.pack(">f", force))))
        self.machine.set(1, "holding", COUNT, list(struct.unpack(">2H", struct.pack(">I", cycle))))
        self.machine.set(1, "holding", DONE, [1])

    def turn(self) -> bool:
        """What the machine does of a handshake by itself; whether that is over."""
        done, ack = self.register(DONE), self.register(ACK)
        if done and ack:
            self.machine.set(1, "holding", DONE, [0])
        return not done and not ack

    def answered(self) -> None:
        """Wait for the acknowledge, and take done back as the machine does."""
        until(lambda: self.register(ACK) == 1)
        self.machine.set(1, "holding", DONE, [0])
        until(lambda: self.register(ACK) == 0)

    def cycle(self, number: int, force: float, carrier: str = "C-1") -> None:
        """One whole handshake."""
        self.finish(number, force, carrier)
        self.answered()

    def ready(self) -> None:
        """The agent runs, knows its order and lets the machine run."""
        assert self.agent.sign_on("WO-1") == b"\x06"
        until(lambda: self.locks == (1, 0))

    def typed(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command at the station: ``typed("lift", HOLD, ...)``."""
        line = [command("lotkeeper-edge"), "station", str(self.agent.line), "press", *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
