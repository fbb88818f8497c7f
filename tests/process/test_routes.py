"""A real station and a real central: a piece is refused by what central said of the stations before, which another
agent's records told central; and by what was said when the broker is away and the agent starts anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from records.clock import SystemClock
from records.configuration import ConfigurationRecord
from records.keys import Identity
from records.kinds import ROUTE
from records.model import OperationRecord, OperationsEvent, Result, Subject, SubjectKind
from tests.process.central_rig import RESEND_S, CentralProcess, Wire, wait_until
from tests.rigs.erps import TOKEN, SimulatedRig
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.press import PressLine
from tests.rigs.uplinks import until
from tests.unit.central.core_rig import Agent
from tests.unit.central.factories import Line

pytestmark = [pytest.mark.mosquitto, pytest.mark.libmodbus, pytest.mark.timeout(240)]
PASSWORD = "a long password"
ORDER = "WO-1000"
TAKEN, REFUSED = b"\x06", b"\x15"
PIECES = f"{ROUTE}/{ORDER}#1"


class Before:
    """The agent of OP10 and OP20, as far as central can tell: its records on the wire."""

    def __init__(self, central: CentralProcess, broker: Mosquitto) -> None:
        self._central, self._line = central, Line(ORDER)
        out = central.folder / "assembly-1"
        central.command("enrol", "assembly-1", "--out", str(out))
        self._agent = Agent("assembly-1", Identity.open(out).signing)
        stations: JsonValue = {name: {"operation": name} for name in ("OP10", "OP20")}
        file = ConfigurationRecord("sha256:0", (), {"stations": stations}, "lotkeeper 0")
        self._agent.write(file, OperationsEvent("configuration-loaded", {"file": "line.yaml", "hash": file.hash}))
        self.wire = Wire(broker.port, self._agent)

    def run(self, operation: str, serial: str, result: Result = Result.PASS) -> None:
        """A piece has run there; it is told with the next ``tell``."""
        piece = Subject(SubjectKind.UNIT, serial, "VS-100", "gs1")
        self._agent.write(self._line.record(operation, [piece], result=result))

    def tell(self) -> None:
        """Central has all of it."""
        self.wire.deliver(self._central.ring, len(self._agent.envelopes), self._agent.frame())

    def tell_until(self, condition: Callable[[], object]) -> None:
        """And hears, as from any agent every now and then, that there is no more until now."""
        clock, due_s = SystemClock(), 0.0

        def told_and_happened() -> bool:
            nonlocal due_s
            if clock.monotonic_s() >= due_s:
                due_s = clock.monotonic_s() + RESEND_S
                self.wire.send(self._agent.head(clock.now_us()), self._agent.state_topic)
            return bool(condition())

        self.tell()
        wait_until(told_and_happened, "what central is told for")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    """With an ERP whose order runs over OP10, OP20 and OP30."""
    folder = tmp_path / "central"
    folder.mkdir()
    erp = SimulatedRig(tmp_path)
    (folder / "erp.secret").write_text(TOKEN)
    made = CentralProcess(
        folder,
        broker.url,
        f"erp: {{kind: rest, url: '{erp.url}', token: 'file:erp.secret', poll_interval: 5s}}\n",
    )
    made.command("user", "add", "chen.li", "--role", "qa", "--password-stdin", password=PASSWORD)
    made.start()
    yield made
    made.kill()
    erp.close()


@pytest.fixture
def station(tmp_path: Path, central: CentralProcess, broker: Mosquitto) -> Iterator[PressLine]:
    """OP30, which is told by a label which piece comes."""
    identity = tmp_path / "identity"
    central.command("enrol", "pressing-1", "--out", str(identity))
    with PressLine(tmp_path / "agent") as made:
        text = made.agent.line.read_text()
        for old, new in (
            ("{kind: carrier, tag: press.carrier}", '{kind: unit, scan: scanner, ai: "21"}\n    earlier: refuse'),
            (str(made.agent.identity), str(identity)),
            ("mqtt://127.0.0.1:9", broker.url),
            ("needs: [order]", "needs: [order, subject]"),
        ):
            assert old in text
            text = text.replace(old, new)
        made.agent.line.write_text(text)
        yield made


def label(serial: str) -> str:
    """As a scanner gives a GS1 data matrix: product, serial, lot."""
    return f"]d2010401234500001621{serial}\x1d10{ORDER}"


def connected(station: PressLine, times: int) -> bool:
    """Whether machine and scanner were both there so often."""
    devices = [event.device for event in station.agent.events("device-connected")]
    return min(devices.count("press"), devices.count("scanner")) >= times


def barred(station: PressLine, code: str) -> list[tuple[JsonValue, ...]]:
    """What keeps the machine from running, and what no longer does, with the document that says so."""
    words = ("why", "about", "document")
    return [tuple(event.params.get(word) for word in words) for event in station.agent.events(code)]


def refusals(station: PressLine) -> list[tuple[JsonValue, ...]]:
    """Why scans were refused, and the document that says so."""
    words = ("reason", "expected", "found", "document", "version")
    return [tuple(event.params.get(word) for word in words) for event in station.agent.events("scan-refused")]


def runs(station: PressLine) -> list[tuple[str, list[str], set[str | None]]]:
    """The piece of each run, the documents about pieces that it relied on, and what was too old of all."""
    found = [one for one in station.agent.facts() if isinstance(one, OperationRecord)]
    return [
        (
            one.subjects[0].subject.id,
            [d.id for d in one.documents if d.kind == ROUTE],
            {d.beyond for d in one.documents},
        )
        for one in found
    ]


def test_a_piece_goes_only_where_central_says_that_it_was_before(
    central: CentralProcess, broker: Mosquitto, station: PressLine
) -> None:
    before = Before(central, broker)
    with before.wire:
        for serial in ("GOOD", "BAD", "HELD", "LATE"):
            before.run("OP10", serial)
        before.run("OP20", "GOOD")
        before.run("OP20", "BAD", Result.FAIL)
        before.run("OP20", "HELD")
        before.tell()
        hold = ("hold", "set", "unit", "HELD", "--product", "VS-100", "--user", "chen.li", "--reason", "complaint")
        name = json.loads(central.command(*hold, "--json", "--password-stdin", password=PASSWORD))["hold"]

        station.start()
        until(lambda: connected(station, 1) and f"id={ORDER} kind=work-order" in station.agent.log.read_text())
        assert station.agent.scan(ORDER) == TAKEN
        assert station.agent.scan(label("LATE")) == TAKEN  # it may be on its way in central's word
        before.tell_until(lambda: barred(station, "start-barred"))
        assert barred(station, "start-barred") == [("operation-skipped", "LATE, OP20 missing", PIECES)]
        assert station.locks == (0, 0)
        before.run("OP20", "LATE")
        before.tell_until(lambda: station.locks == (1, 0))
        until(lambda: barred(station, "start-free"))
        assert barred(station, "start-free") == [("operation-skipped", "LATE, OP20 missing", PIECES)]
        station.cycle(1, 10.0)

        assert station.agent.scan(label("BAD")) == REFUSED
        assert station.agent.scan(label("HELD")) == REFUSED
        skipped, held = refusals(station)
        assert skipped[:4] == ("operation-skipped", "OP20", "failed", PIECES)
        assert held[:4] == ("held-by-quality", None, f"{name}: complaint", "holds/plant")

    broker.kill()
    assert station.agent.stop() == 0
    station.start()  # it knows what it knew
    until(lambda: connected(station, 2))
    assert station.agent.scan(label("GOOD")) == TAKEN
    until(lambda: station.locks == (1, 0))
    station.cycle(2, 10.0)
    assert station.agent.scan(label("BAD")) == REFUSED
    assert station.agent.scan(label("HELD")) == REFUSED
    assert refusals(station)[2:] == [skipped, held]
    assert runs(station) == [(serial, ["plant", "WO-1000#1"], {None}) for serial in ("LATE", "GOOD")]
    assert station.agent.events("ran-while-barred") == []
    assert station.agent.stop() == 0
