"""A simulated line with its two real agents as processes, without broker and central: what the edge does alone.

The agents find their work orders and lots among the documents that their buffers already hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import JsonValue
from ruamel.yaml import YAML

from edge_agent.outbox import KeptDocument, Outbox, export
from records.clock import SystemClock
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.model import Header, OperationRecord, OperationsEvent, decode
from records.wire import CENTRAL, Document, sign
from simulators.check import (
    HeldEnd,
    HeldMaterial,
    HeldPerson,
    HeldReading,
    HeldRecord,
    HeldSubject,
    Truth,
    read_ledger,
)
from simulators.processes import Processes, command
from tests.rigs.started import Started

EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "lines"
AGENTS = {"assembly-1": "valve-assembly.yaml", "testing-1": "valve-testing.yaml"}
LOTS: tuple[dict[str, JsonValue], ...] = (
    {"item": "VB-10", "lot": "VB-1", "quantity": 9999, "expiry": None},
    {"item": "SR-20", "lot": "SR-1", "quantity": 9999, "expiry": "2035-01-01"},
)


class LineRig:
    """One order of ``units`` pieces on the simulated line. ``mutants``: modules that break a rule of agents."""

    def __init__(
        self, folder: Path, units: int, *, speed: float = 400.0, seed: int = 1, mutants: tuple[str, ...] = ()
    ) -> None:
        self.folder, self.mutants = folder, mutants
        self.processes = Processes(folder / "logs", SystemClock(), time.sleep)
        self.central = SigningKey.generate()
        for agent in AGENTS:
            self._prepare(agent, units)
        order = {"reference": "WO-1", "units": units, "lots": list(LOTS), "serial_prefix": "S"}
        (folder / "plant").mkdir()
        (folder / "plant.yaml").write_text(
            json.dumps({"folder": "plant", "speed": speed, "seed": seed, "orders": [order]})
        )
        self.plant = self.processes.start(
            "plant", [command("lotkeeper-sim"), "plant", "--config", str(folder / "plant.yaml")]
        )
        ready = folder / "plant" / "plant-ready.json"
        self.processes.wait_for("the line", ready.exists, 60)
        self._write_lines(json.loads(ready.read_text()))

    def _prepare(self, agent: str, units: int) -> None:
        """An identity, and a buffer that already knows the order and the lots."""
        clock = SystemClock()
        keys = (PublicKey(CENTRAL, self.central.public.hex()),)
        Identity.write(
            self.folder / agent / "identity", IdentityFile(agent, "p0", keys), SigningKey.generate(), None
        )
        outbox = Outbox(
            self.folder / agent / "buffer",
            agent,
            clock,
            context=lambda: Header(clock.now_us(), 480, "suzhou", "valve-1", None, "test", None),
        )
        bom: list[JsonValue] = [
            {"item": "VB-10", "quantity": str(units)},
            {"item": "SR-20", "quantity": str(2 * units)},
        ]
        documents: Iterable[tuple[str, str, JsonValue]] = (
            (
                "work-order",
                "WO-1",
                {
                    "reference": "WO-1",
                    "product": "VS-100",
                    "product_gtin": "04012345000016",
                    "revision": "B",
                    "lot": "WO-1",
                    "quantity": str(units),
                    "state": "released",
                    "bom": bom,
                },
            ),
            *(
                (
                    "lots",
                    str(lot["item"]),
                    {"item": lot["item"], "lots": [{"lot": lot["lot"], "expiry": lot["expiry"]}]},
                )
                for lot in LOTS
            ),
        )
        for kind, name, content in documents:
            payload = sign(Document(kind, name, 1, clock.now_us(), content), self.central)
            outbox.documents.put(KeptDocument(kind, name, 1, payload, clock.now_us())).result()
        outbox.close()

    def _write_lines(self, ready: Mapping[str, Mapping[str, Mapping[str, JsonValue]]]) -> None:
        yaml = YAML()
        for agent, name in AGENTS.items():
            line = yaml.load(EXAMPLES / name)
            for device, settings in line["devices"].items():
                if device in ready["scanners"]:
                    settings["port"] = ready["scanners"][device]
                elif "endpoint" in settings:
                    settings["endpoint"] = ready["endpoints"][device]["url"]
                else:
                    settings["port"] = ready["endpoints"][device]["port"]
            line["uplink"] = {"broker": "mqtt://127.0.0.1:9", "identity": "identity"}
            line["buffer"] = {"path": "buffer"}
            yaml.dump(line, self.line(agent))

    def line(self, agent: str) -> Path:
        return self.folder / agent / "line.yaml"

    def start(self, agent: str, failpoint: str | None = None) -> Started:
        """Start an agent; with a failpoint it dies there. Not watched: it may die."""
        environment = {"LOTKEEPER_FAILPOINT": failpoint} if failpoint else {}
        log = self.folder / "logs" / f"{agent}.log"
        return Started("lotkeeper-edge", ["run", str(self.line(agent))], log, environment, self.mutants)

    def stop(self) -> None:
        self.processes.stop_all()

    @property
    def truth(self) -> Truth:
        path = self.folder / "plant" / "ledger.jsonl"
        if not path.exists():
            return read_ledger(())
        return read_ledger(
            json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
        )

    def records(self) -> list[HeldRecord]:
        """Every operation record in both buffers."""
        return [
            held
            for agent in AGENTS
            for envelope in export(self.folder / agent / "buffer" / "records.db")
            if (held := _held(envelope.agent, envelope.epoch, envelope.seq, envelope.kind, envelope.body or b""))
        ]

    def codes(self, agent: str) -> list[str]:
        """The codes of the agent's events, in order."""
        facts = (decode(e.kind, e.body or b"") for e in export(self.folder / agent / "buffer" / "records.db"))
        return [fact.data.code for fact in facts if isinstance(fact.data, OperationsEvent)]


def _held(agent: str, epoch: str, seq: int, kind: str, body: bytes) -> HeldRecord | None:
    """A record as central's interface would give it."""
    data = decode(kind, body).data
    if not isinstance(data, OperationRecord):
        return None
    return HeldRecord(
        agent=agent,
        epoch=epoch,
        seq=seq,
        station=data.station,
        cycle=data.cycle,
        order=data.order,
        operation=data.operation,
        purpose=data.purpose.value,
        subjects=tuple(
            HeldSubject(kind=s.subject.kind.value, id=s.subject.id, result=s.result.value) for s in data.subjects
        ),
        readings=tuple(HeldReading(tag=r.tag, value=r.value, quality=r.quality.value) for r in data.readings),
        materials=tuple(
            HeldMaterial.model_validate(
                {
                    "kind": m.kind.value,
                    "source": m.source and HeldEnd(kind=m.source.kind, id=m.source.id, product=m.source.product),
                    "quantity": m.quantity,
                }
            )
            for m in data.materials
        ),
        people=tuple(HeldPerson(id=p.id) for p in data.people),
    )
