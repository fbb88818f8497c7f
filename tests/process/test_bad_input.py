"""Bad input of every kind against real processes: the message names the place, what can go on goes on, and
nothing is lost.

Shown in their own rooms already, and not repeated here: every way to write a wrong YAML file (test_yaml,
test_line_settings, test_station_settings, test_core_settings), every shape of a dead or lying machine
(test_drivers*, test_drivers_scanner), brokers that die, hang and forget (test_uplink*, test_central_broker), every
answer of an ERP (test_erp*, test_tryton_rpc), every invalid barcode (test_drivers_udi), every damaged frame
(test_wire, test_core_ingest).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from central.store import envelopes, search
from central.store.engine import reading
from edge_agent.outbox import verify
from records.clock import new_id
from records.keys import Identity
from records.model import OperationRecord, OperationsEvent
from simulators.processes import command
from tests.process.central_rig import CentralProcess, Wire, wait_until
from tests.rigs.agent import OneAgent
from tests.rigs.erps import TOKEN, SimulatedRig
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import ring_of, until
from tests.unit.central.core_rig import Agent, event

pytestmark = pytest.mark.timeout(240)
ACK, NAK = b"\x06", b"\x15"


def contiguous(cycles: list[int | None]) -> bool:
    """Every cycle of the machine from its first, once each."""
    return cycles == list(range(1, len(cycles) + 1))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker").start()
    yield made
    made.kill()


# -- a wrong YAML key --------------------------------------------------------------------------------------


def refused(*words: str | Path) -> list[str]:
    """Run a command that must not start for its configuration; what it said, line by line."""
    done = subprocess.run(
        [command(str(words[0])), *map(str, words[1:])], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_a_wrong_key_stops_the_agent_before_it_touches_anything(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    before = agent.envelopes()
    text = agent.line.read_text()
    agent.line.write_text(text.replace("poll_interval: 20ms", "poll_intervall: 20ms", 1))
    row = 1 + text[: text.index("poll_interval")].count("\n")
    (said,) = refused("lotkeeper-edge", "run", agent.line)
    assert said == (
        f"{agent.line}:{row}:5: devices.near.poll_intervall: unknown key `poll_intervall` "
        "(did you mean `poll_interval`?)"
    )
    assert agent.envelopes() == before


def test_a_wrong_key_stops_central_before_it_touches_anything(tmp_path: Path) -> None:
    file = tmp_path / "central.yaml"
    file.write_text("site: suzhou\ntime_zone: Asia/Shanghai\nfolder: data\nbroker:\n  usr: central\n")
    (said,) = refused("lotkeeper-central", "serve", "--config", file)
    assert said == f"{file}:5:3: broker.usr: unknown key `usr` (did you mean `user`?)"
    assert not (tmp_path / "data").exists()


# -- an unreachable PLC ------------------------------------------------------------------------------------


def test_a_machine_that_is_not_there_holds_up_no_other_and_is_read_when_it_comes(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    agent.start_machine("near")
    with agent:
        until(lambda: agent.events("device-lost") and len(agent.cycles("near")) > 3)
        (lost,) = agent.events("device-lost")
        assert lost.params["device"] == "far"
        assert lost.params["address"] == f"127.0.0.1:{agent.ports['far']} unit 1"
        assert f"127.0.0.1:{agent.ports['far']}" in str(lost.params["error"])
        assert agent.cycles("far") == []
        agent.start_machine("far")
        until(lambda: len(agent.cycles("far")) > 3)
        assert [e.params["device"] for e in agent.events("device-connected")].count("far") == 1
        assert len(agent.events("device-lost")) == 1  # said once, however often it was tried
        assert agent.stop() == 0
    assert contiguous(agent.cycles("far"))
    assert contiguous(agent.cycles("near"))
    assert agent.events("cycles-missed") == []
    assert "Traceback" not in agent.log.read_text()


# -- a broker that is not there ----------------------------------------------------------------------------


@pytest.mark.mosquitto
def test_without_a_broker_records_wait_and_drain_when_it_comes(tmp_path: Path) -> None:
    late = Mosquitto(tmp_path / "broker")
    agent = OneAgent(tmp_path / "agent", broker=late.url)
    agent.start_machine("near")
    with agent:
        until(lambda: len(agent.cycles("near")) > 5)
        log = agent.log.read_text()
        assert late.url in log, log
        assert agent.alive
        with (
            late,
            TinyCentral(late.port, agent.central, ring_of(Identity.open(agent.identity)), agent.name) as central,
        ):
            waited = agent.envelopes()
            central.wait(lambda: all((e.epoch, e.seq) in central.records for e in waited))
            assert agent.stop() == 0  # what its last seconds wrote waits again
            kept = agent.envelopes()
            held = {key: envelope.hash for key, envelope in central.records.items()}
            assert held.items() <= {(e.epoch, e.seq): e.hash for e in kept}.items()
            assert central.refused == []
            agent.start()
            central.wait(lambda: all((e.epoch, e.seq) in central.records for e in kept))
    assert contiguous(agent.cycles("near"))
    assert verify(agent.folder / "buffer" / "records.db").ok


# -- an ERP that refuses the password ----------------------------------------------------------------------


class Pages:
    """Central's pages as a person who signed in sees them, and its interface for programs."""

    def __init__(self, central: CentralProcess) -> None:
        found = re.search(r"http://[0-9.:]+", central.log.read_text())
        assert found is not None
        token = json.loads(central.command("token", "create", new_id(4), "--scope", "read", "--json"))["token"]
        self.api = httpx.Client(
            base_url=f"{found[0]}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        self.web = httpx.Client(base_url=found[0], follow_redirects=True, timeout=30)
        form = re.search(r'name="csrf" value="([^"]+)"', self.web.get("/sign-in").text)
        assert form is not None
        answer = self.web.post("/sign-in", data={"csrf": form[1], "user": "admin", "password": "a long password"})
        assert answer.is_success

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self.web.close()


def stated(central: CentralProcess, code: str) -> list[OperationsEvent]:
    """Central's own facts of one code, read from outside while it runs."""
    wanted = search.Wanted(codes=[code], agent="central")
    with reading(central.folder / "data" / "central.db") as connection:
        found = [stored.fact.data for stored in search.facts(connection, wanted)]
    return [data for data in found if isinstance(data, OperationsEvent)]


def enrol(central: CentralProcess, name: str) -> Agent:
    out = central.folder / name
    central.command("enrol", name, "--out", str(out))
    agent = Agent(name, Identity.open(out).signing)
    agent.write(*(event(order=f"WO-{n}") for n in range(9)))
    return agent


def held(central: CentralProcess, agent: Agent) -> list[bytes]:
    with reading(central.folder / "data" / "central.db") as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[CentralProcess]:
    folder = tmp_path / "central"
    folder.mkdir()
    made = CentralProcess(folder, broker.url)
    yield made
    made.kill()


@pytest.mark.mosquitto
def test_an_erp_that_refuses_the_password_is_one_alarm_and_stops_nothing(
    tmp_path: Path, central: CentralProcess, broker: Mosquitto
) -> None:
    erp = SimulatedRig(tmp_path)
    secret = central.folder / "erp.secret"
    secret.write_text("wrong")
    with central.config.open("a") as file:
        file.write(f"erp: {{kind: rest, url: '{erp.url}', token: 'file:erp.secret', poll_interval: 100ms}}\n")
    agent = enrol(central, "assembly-1")
    try:
        central.start()
        with Pages(central) as pages, Wire(broker.port, agent) as wire:
            wait_until(lambda: len(stated(central, "erp-refused")) == 1, "the alarm")
            (alarm,) = stated(central, "erp-refused")
            assert alarm.params["step"] == "sign-in"
            assert "erp.token" in str(alarm.params["error"])  # the setting to correct
            assert "wrong" not in str(alarm.params["error"]).split()
            asked = erp.faults.seen
            wire.deliver(central.ring, 10, agent.frame())  # records are taken as ever
            lines, home = pages.web.get("/lines").text, pages.web.get("/").text
            assert erp.url in lines
            assert "erp.token" in lines
            assert "The ERP refuses central" in home
            assert pages.api.get("/work-orders").json()["items"] == []
            assert erp.faults.seen == asked, "a password that was refused was tried again"
        assert central.stop() == 0
        central.start()  # a restart tries once more and states nothing new
        wait_until(lambda: erp.faults.seen > asked, "the one attempt")
        assert central.stop() == 0
        assert len(stated(central, "erp-refused")) == 1
        secret.write_text(TOKEN)
        central.start()
        with Pages(central) as pages:
            wait_until(lambda: len(pages.api.get("/work-orders").json()["items"]) > 0, "the work orders")
            assert "erp.token" not in pages.web.get("/lines").text
    finally:
        erp.close()
    assert held(central, agent) == [e.hash for e in agent.envelopes]
    assert "Traceback" not in central.log.read_text()


# -- a scan that is no barcode -----------------------------------------------------------------------------


def test_a_scan_that_is_no_barcode_is_refused_recorded_and_changes_nothing(tmp_path: Path) -> None:
    """The operator's pattern of this line (``B.*``) is as wide as they come."""
    gtin = "04012345000016"
    bad = (
        (b"\x00\x07\xf5noise\r", b"\x00\x07\xf5noise", "barcode-invalid"),
        (b"B\x01\x02\r", b"B\x01\x02", "barcode-invalid"),
        (b"B10000", b"B10000", "barcode-invalid"),  # half a frame: its end never comes
        (f"]d201{gtin[:-1]}710WO-1\x1d2100001\r".encode(), b"]d201", "barcode-invalid"),  # wrong check digit
        (b"(01)04012345000016\r", b"(01)04", "scan-not-understood"),
    )
    agent = OneAgent(tmp_path)
    agent.start_machine("near")
    with agent:
        assert agent.sign_on("WO-1", "B100001") == ACK
        for content, _, _ in bad:
            agent.send(content)
            assert agent.answer() == NAK, content
        ran = len(agent.cycles("near"))
        until(lambda: len(agent.cycles("near")) > ran + 1)
        assert agent.sign_on("B100001") == ACK
        assert agent.stop() == 0
    found = [event_ for event_ in agent.events("scan-refused") if event_.params["reason"] != "not-now"]
    for event_, (content, raw, reason) in zip(found, bad, strict=True):
        assert bytes.fromhex(str(event_.params["raw"])).startswith(raw), content
        assert event_.params["reason"] == reason, content
        assert event_.params["scanner"] == "scanner"
    assert [e.params["text"] for e in agent.events("scan-accepted") if e.params["field"] == "operator"] == [
        "B100001",  # once at each station that takes a badge from this scanner
        "B100001",
    ]
    assert len(agent.events("operator-signed-on")) == 2
    last = [f for f in agent.facts() if isinstance(f, OperationRecord)][-1]
    assert (last.order, [p.id for p in last.people]) == ("WO-1", ["B100001"])
    assert contiguous(agent.cycles("near"))
    assert "Traceback" not in agent.log.read_text()


# -- an MQTT payload that is garbage -----------------------------------------------------------------------


@pytest.mark.mosquitto
def test_garbage_on_every_topic_is_visible_and_good_frames_go_on(
    central: CentralProcess, broker: Mosquitto
) -> None:
    agent = enrol(central, "assembly-1")
    central.start()
    topics = (agent.topic, agent.state_topic, "lotkeeper/v1/up/p0/nobody-1/records", "lotkeeper/v1/state/nobody-1")
    garbage = (b"", b"\x00\xff" * 50, b"LKF1" + b"\x00" * 40, b"{}", b"[" * 10_000)
    with Pages(central) as pages, Wire(broker.port, agent) as wire:
        wire.deliver(central.ring, 3, agent.frame(1, 3))
        for topic in topics:
            for payload in garbage:
                wire.send(payload, topic)
        cut = agent.frame(4, 9)[:-20]
        wire.send(cut)
        wire.deliver(central.ring, 10, agent.frame(4))
        wait_until(lambda: any(e.params["bytes"] == len(cut) for e in stated(central, "quarantined")), "it all")
        reasons = {(e.params["agent"], e.params["reason"]) for e in stated(central, "quarantined")}
        assert {("assembly-1", "not-a-frame"), ("assembly-1", "head")} <= reasons
        (line,) = pages.api.get("/agents").json()["items"]
        assert (line["agent"], line["committed_through"], line["healthy"]) == ("assembly-1", 10, False)
        assert line["quarantined"] >= 4
        shown = pages.web.get("/lines").text
        assert "nobody-1" in shown
        assert "assembly-1" in shown
        assert 'lotkeeper_agent_quarantined_messages{agent="assembly-1"}' in pages.web.get("/metrics").text
    assert central.stop() == 0
    assert held(central, agent) == [e.hash for e in agent.envelopes]
    assert json.loads(central.command("verify", "--json"))["ok"]
    assert "Traceback" not in central.log.read_text()
