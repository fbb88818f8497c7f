"""One real agent as a process, with two leak testers and a scanner of its own: what a line PC is made of.

The machines (``near``, ``far``) are simulated Modbus PLCs that run cycle after cycle, each waiting for its
acknowledge; they are started and ended apart. The scanner is a pseudo-terminal that the test holds.
"""

from __future__ import annotations

import os
import select
import shutil
import time
import tty
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from edge_agent.outbox import KeptDocument, Outbox, export
from records.clock import SystemClock
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.model import Data, Header, OperationRecord, OperationsEvent, decode
from records.wire import CENTRAL, Document, Envelope, sign
from simulators.sockets import free_port
from tests.rigs.started import Started
from tests.rigs.uplinks import until

MACHINES = ("near", "far")
ORDER: dict[str, JsonValue] = {
    "reference": "WO-1",
    "product": "VS-100",
    "product_gtin": "04012345000016",
    "lot": "WO-1",
    "quantity": "8",
    "state": "released",
    "bom": [],
}
DEVICE = """\
  {name}:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {port}
    byte_order: CDAB
    poll_interval: 20ms
    tags:
      - {{name: done, address: 0}}
      - {{name: ack, address: 1, access: write}}
      - {{name: count, address: 2, data_type: uint32, role: counter}}
      - {{name: carrier, address: 10, data_type: string, length: 8, byte_order: ABCD}}
      - {{name: leak_rate, address: 100, data_type: float32, unit: mL/min}}
"""
STATION = """\
  {name}:
    equipment: {name}-01
    operation: OP30
    order: {{scan: scanner, pattern: "WO-.*"}}
    operator: {{scan: scanner, pattern: "B.*"}}
    trigger: {{tag: {name}.done, acknowledge: {name}.ack, cycle: {name}.count}}
    subject: {{kind: carrier, tag: {name}.carrier}}
    capture: [{name}.leak_rate]
"""


class OneAgent:
    """``identity`` None: one is made, as enrolment would; ``central`` is then the key of its central."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "testing-1",
        broker: str = "mqtt://127.0.0.1:9",
        identity: Path | None = None,
    ) -> None:
        self.folder, self.name = folder, name
        self.line = folder / "line.yaml"
        self.log = folder / "agent.log"
        self.central = SigningKey.generate()
        self.ports = {machine: free_port() for machine in MACHINES}
        self.process: Started | None = None
        self._starts = 0
        self._machines: dict[str, Started] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = identity or folder / "identity"
        if identity is None:
            self._enrol()
        self._know_the_order()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.line.write_text(
            f"agent: {name}\nsite: suzhou\nline: valve-1\ndevices:\n"
            + "".join(DEVICE.format(name=machine, port=port) for machine, port in self.ports.items())
            + f"  scanner: {{driver: serial_scanner, port: {os.ttyname(self._slave)}, terminator: CR, "
            + "acknowledge: true}\n"
            + "stations:\n"
            + "".join(STATION.format(name=machine) for machine in MACHINES)
            + f'uplink: {{broker: "{broker}", identity: {self.identity}, head_interval: 1s}}\n'
            + "buffer: {path: buffer}\n"
        )

    def _enrol(self) -> None:
        file = IdentityFile(self.name, "p0", (PublicKey(CENTRAL, self.central.public.hex()),))
        Identity.write(self.identity, file, SigningKey.generate(), None)

    def _know_the_order(self) -> None:
        """A buffer that has heard of the order, as one that spoke with central before."""
        clock = SystemClock()
        outbox = Outbox(
            self.folder / "buffer",
            self.name,
            clock,
            context=lambda: Header(clock.now_us(), 0, "suzhou", "valve-1", None, "test", None),
        )
        payload = sign(Document("work-order", "WO-1", 1, clock.now_us(), ORDER), self.central)
        outbox.documents.put(KeptDocument("work-order", "WO-1", 1, payload, clock.now_us())).result()
        outbox.close()

    # -- processes -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        for machine in list(self._machines):
            self.stop_machine(machine)
        os.close(self._master)
        os.close(self._slave)

    def start(self, failpoint: str | None = None) -> Self:
        """Start it; with a failpoint it dies there, as in a power cut."""
        self._starts += 1
        environment = {} if failpoint is None else {"LOTKEEPER_FAILPOINT": failpoint}
        self.process = Started("lotkeeper-edge", ["run", str(self.line)], self.log, environment)
        return self

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, limit_s: float = 60.0) -> int:
        """As a service manager would; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(limit_s)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)

    def new_pc(self) -> None:
        """In the place of one that is lost with all that it held: same name, enrolled anew, told of the order."""
        self.kill()
        (self.folder / "buffer").rename(self.folder / "lost")
        shutil.rmtree(self.identity)
        self._starts = 0
        self._enrol()
        self._know_the_order()

    def start_machine(self, machine: str) -> None:
        words = ["plc-modbus", "--port", str(self.ports[machine]), "--every", "0.1", "--handshake"]
        self._machines[machine] = Started("lotkeeper-sim", words, self.folder / f"{machine}.log")

    def stop_machine(self, machine: str) -> None:
        process = self._machines.pop(machine)
        process.terminate()
        process.wait(60)

    # -- the scanner ---------------------------------------------------------------------------------------

    def send(self, content: bytes) -> None:
        os.write(self._master, content)

    def answer(self, limit_s: float = 30.0) -> bytes:
        """The next byte that the host sends to the scanner; empty when none came."""
        deadline = time.monotonic() + limit_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], min(left, 0.2))[0]:
                return os.read(self._master, 1)
        return b""

    def scan(self, text: str) -> bytes:
        """Read one label; the host's answer."""
        self.send(text.encode("latin-1") + b"\r")
        return self.answer()

    def until_scanner(self) -> None:
        """What a scanner reads before the agent has opened its port is gone, as on a real port."""
        until(lambda: sum(e.device == "scanner" for e in self.events("device-connected")) >= self._starts)

    def sign_on(self, *texts: str) -> bytes:
        """Read these labels, each until it is taken: while a run is on, an order has to wait."""
        self.until_scanner()
        answer = b""
        for text in texts:
            for _ in range(50):
                answer = self.scan(text)
                if answer == b"\x06":
                    break
        return answer

    # -- what it keeps -------------------------------------------------------------------------------------

    def envelopes(self) -> list[Envelope]:
        return list(export(self.folder / "buffer" / "records.db"))

    def facts(self) -> list[Data]:
        return [decode(e.kind, e.body or b"").data for e in self.envelopes()]

    def events(self, code: str) -> list[OperationsEvent]:
        return [fact for fact in self.facts() if isinstance(fact, OperationsEvent) and fact.code == code]

    def runs(self, station: str) -> list[OperationRecord]:
        """What a station has recorded, in order."""
        return [f for f in self.facts() if isinstance(f, OperationRecord) and f.station == station]

    def cycles(self, station: str) -> list[int | None]:
        """The machine cycles that a station has recorded, in order."""
        return [run.cycle for run in self.runs(station)]
