"""The way that plants use: a broker as ``enrol --broker`` makes it, central and an agent with certificates of
their own, everything in processes of its own, every agent under its own name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from central.store import envelopes, intake, leases
from central.store.database import Server
from central.store.engine import reading
from edge_agent.outbox import verify
from records.files import replace_private
from records.wire import state_topic, up_topic
from simulators.processes import command
from simulators.sockets import free_port
from tests.process.central_rig import CentralProcess, wait_until
from tests.process.test_bad_input import contiguous
from tests.process.test_workers import FULL_FOR_TWO
from tests.rigs import postgres
from tests.rigs.agent import OneAgent
from tests.rigs.certificates import Authority
from tests.rigs.mosquitto import BrokerTls, Mosquitto, program
from tests.rigs.started import Started

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


@contextmanager
def broker(folder: Path, port: int) -> Iterator[Path]:
    """Mosquitto with the very files that enrolment made, on loopback; its log."""
    conf = folder / "mosquitto.conf"
    made = conf.read_text()
    assert f"listener {port}\n" in made
    account = "user root\n" if os.geteuid() == 0 else ""  # else it gives up the right to read a test's folder
    conf.write_text(account + made.replace(f"listener {port}\n", f"listener {port} 127.0.0.1\n"))
    log = folder / "mosquitto.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program("mosquitto"), "-c", str(conf)], stderr=output)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, "the broker")
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Client:
    """A plain MQTT client with the certificate of an identity folder, or with none."""

    def __init__(self, port: int, ca: Path, folder: Path | None) -> None:
        self.confirmed: dict[int, str] = {}
        self.connected = False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if folder is None:
            self.client.tls_set(str(ca))
        else:
            self.client.tls_set(str(ca), str(folder / "tls.crt"), str(folder / "tls.key"))
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.connect("127.0.0.1", port, 20)
        self.client.loop_start()

    def _on_connect(self, *_: object) -> None:
        self.connected = True

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: object, _properties: object
    ) -> None:
        self.confirmed[mid] = str(code)

    def publish(self, topic: str, payload: bytes) -> str:
        """What the broker says of it."""
        mid = self.client.publish(topic, payload, qos=1).mid
        wait_until(lambda: mid in self.confirmed, "the broker's word")
        return self.confirmed[mid]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def committed(central: CentralProcess, agent: OneAgent) -> dict[tuple[str, int], bytes]:
    """What central holds of the agent's buffer."""
    epochs = dict.fromkeys(envelope.epoch for envelope in agent.envelopes())
    with reading(central.folder / "data" / "central.db") as connection:
        return {
            (e.epoch, e.seq): e.hash
            for epoch in epochs
            for e in envelopes.walk(connection, agent.name, epoch, "records")
        }


def test_records_arrive_over_mutual_tls_and_nobody_speaks_for_another(tmp_path: Path) -> None:
    port = free_port()
    central = over_tls(tmp_path, port)
    keys = tmp_path / "data" / "keys"
    for name in ("testing-1", "assembly-1"):
        central.command("enrol", name, "--out", str(tmp_path / name))
    central.command("enrol", "--broker", "127.0.0.1", "--port", str(port), "--out", str(tmp_path / "broker"))
    agent = OneAgent(tmp_path / "line", broker=f"mqtts://127.0.0.1:{port}", identity=tmp_path / "testing-1")
    agent.start_machine("near")
    clients: list[Client] = []
    try:
        with broker(tmp_path / "broker", port) as log, agent:
            central.start()
            wait_until(lambda: len(agent.cycles("near")) > 5, "some cycles")
            seen = {(e.epoch, e.seq): e.hash for e in agent.envelopes()}
            wait_until(lambda: seen.items() <= committed(central, agent).items(), "the records at central")

            other = Client(port, keys / "ca.crt", tmp_path / "assembly-1")
            clients.append(other)
            before = len(committed(central, agent))
            forged = b"a frame of somebody else"
            for topic in (up_topic("p0", "testing-1", "records"), state_topic("testing-1")):
                assert "Not authorized" in other.publish(topic, forged)
            assert "Success" in other.publish(up_topic("p0", "assembly-1", "records"), forged)
            wait_until(lambda: quarantined(central) == {"assembly-1"}, "the one that was let through")
            wait_until(lambda: len(committed(central, agent)) > before, "further records")

            stranger = Client(port, keys / "ca.crt", None)
            clients.append(stranger)
            stranger.client.publish(up_topic("p0", "testing-1", "records"), forged, qos=1)
            wait_until(lambda: b"did not return a certificate" in log.read_bytes(), "the broker's refusal")
            assert not stranger.connected
            assert stranger.confirmed == {}
            assert agent.stop() == 0
        assert central.stop() == 0
    finally:
        for client in clients:
            client.close()
        central.kill()
    sent = {(e.epoch, e.seq): e.hash for e in agent.envelopes()}
    assert committed(central, agent).items() <= sent.items()
    assert contiguous(agent.cycles("near"))
    assert verify(agent.folder / "buffer" / "records.db").ok
    assert json.loads(central.command("verify", "--json"))["ok"]
    assert "Traceback" not in agent.log.read_text() + central.log.read_text()


def quarantined(central: CentralProcess) -> set[str]:
    """Of whom central has set payloads aside."""
    with reading(central.folder / "data" / "central.db") as connection:
        return {row.agent or "" for row in intake.quarantined(connection)}


@pytest.mark.postgres
def test_a_worker_tells_over_mutual_tls_that_it_is_refused(tmp_path: Path) -> None:
    """Under the access list that central writes: what that refuses of a worker nobody would hear."""
    port, server = free_port(), postgres.shared()
    name = server.copy()
    central = over_tls(tmp_path, port, f"database: {{url: '{server.url(name)}'}}\n")
    central.command("enrol", "--broker", "127.0.0.1", "--port", str(port), "--out", str(tmp_path / "broker"))
    words = ["worker", "--name", "two", "--config", str(central.config)]
    try:
        with broker(tmp_path / "broker", port):
            central.start()
            worker = Started("lotkeeper-central", words, tmp_path / "worker.log")
            try:
                wait_until(lambda: "two" in lease_names(server.place(name)), "the worker")
                assert httpx.get(f"{central.url}/healthz", timeout=60).status_code == 200
                with server.admin(name) as database:
                    database.execute(FULL_FOR_TWO)
                refused = "what worker two is to store is refused"
                wait_until(lambda: refused in httpx.get(f"{central.url}/healthz", timeout=60).text, "its word")
            finally:
                worker.terminate()
                worker.wait()
            wait_until(
                lambda: httpx.get(f"{central.url}/healthz", timeout=60).status_code == 200, "that it took it back"
            )
        assert central.stop() == 0
    finally:
        central.kill()
        server.drop(name)


def over_tls(folder: Path, port: int, more: str = "") -> CentralProcess:
    """Central with a certificate of its own, as it is written by hand after ``init``."""
    central = CentralProcess(folder, "mqtt://127.0.0.1:1", more)
    keys = folder / "data" / "keys"
    files = f"ca: {keys / 'ca.crt'}, certificate: {keys / 'tls.crt'}, key: {keys / 'tls.key'}"
    text = central.config.read_text()
    central.config.write_text(
        text.replace("{url: 'mqtt://127.0.0.1:1'}", f"{{url: 'mqtts://127.0.0.1:{port}', {files}}}")
    )
    return central


def lease_names(database: Server) -> set[str]:
    """Of the processes that take records in."""
    with reading(database) as connection:
        return {name.removeprefix("worker/") for name in leases.held(connection)}


def test_an_agent_records_while_files_of_its_identity_are_away_and_connects_once_they_are_back(
    tmp_path: Path,
) -> None:
    """At its start, and at a reconnect: a renewal by hand, a share that is not there. Bug: code 2, and code 1."""
    authority = Authority(tmp_path / "authority")
    broker = Mosquitto(
        tmp_path / "broker", tls=BrokerTls(authority.certificate, *authority.issue("broker", server=True))
    )
    agent = OneAgent(tmp_path / "line", broker=broker.url)
    agent.line.write_text(agent.line.read_text() + f"status: {{port: {free_port()}}}\n")
    made = dict(zip(("tls.crt", "tls.key"), authority.issue("testing-1"), strict=True))
    made["ca.crt"] = authority.certificate
    kept = {agent.identity / name: path.read_bytes() for name, path in made.items()}
    agent.start_machine("near")
    with broker, agent:
        wait_until(lambda: "is not asked" in agent.log.read_text(), "what the uplink says")
        going_on(agent)
        told = status(agent)
        assert told["central"]["error"].count("No such file") == len(kept)
        assert [problem["what"] for problem in told["identity"]["problems"]] == ["files"]
        put_back(kept)
        wait_until(lambda: agent.log.read_text().count("uplink-connected") == 1, "a connection")
        (agent.identity / "tls.key").unlink()
        broker.kill()
        broker.start()
        wait_until(lambda: f"{agent.identity / 'tls.key'}: No such file" in connection_error(agent), "its name")
        going_on(agent)
        put_back(kept)
        wait_until(lambda: agent.log.read_text().count("uplink-connected") == 2, "another connection")
        assert status(agent)["identity"]["problems"] == []
        assert agent.stop() == 0
    assert [event.params["what"] for event in agent.events("identity-warning")] == ["files"]
    assert contiguous(agent.cycles("near"))


def test_status_of_a_revoked_agent_says_so_while_it_is_connected_and_after_a_restart(tmp_path: Path) -> None:
    """Bug: "connected" with code 0 while nothing was taken, then "Unspecified error"."""
    central = CentralProcess(tmp_path, "mqtt://127.0.0.1:1")
    central.command("enrol", "testing-1", "--out", str(tmp_path / "testing-1"))
    central.command("enrol", "--broker", "127.0.0.1", "--out", str(tmp_path / "broker"))
    files = tmp_path / "data" / "broker"
    settings = (f"acl_file {files / 'access.acl'}", f"crlfile {files / 'revoked.crl'}")
    broker = Mosquitto(tmp_path / "run", tls=BrokerTls.of(tmp_path / "broker"), settings=settings)
    agent = OneAgent(
        tmp_path / "line", broker=broker.url.replace("localhost", "127.0.0.1"), identity=tmp_path / "testing-1"
    )
    agent.line.write_text(agent.line.read_text() + f"status: {{port: {free_port()}}}\n")
    agent.start_machine("near")
    with broker, agent:
        wait_until(lambda: "uplink-connected" in agent.log.read_text(), "a connection")
        central.command("enrol", "testing-1", "--revoke", "--reason", "stolen")
        broker.reload()
        wait_until(lambda: "Not authorized" in connection_error(agent), "the broker's refusal")
        told = subprocess.run(
            [command("lotkeeper-edge"), "status", str(agent.line)], capture_output=True, text=True
        )
        assert told.returncode == 1
        assert "connected, but WRONG: the broker did not take a message: Not authorized" in told.stdout
        assert "enrol the agent again" in told.stdout
        assert agent.stop() == 0
        agent.start()
        refused = "refuses this agent's certificate: revoked"
        wait_until(lambda: refused in agent.log.read_text(), "what is known of the end")
        going_on(agent)
        assert refused in connection_error(agent)
        assert agent.stop() == 0


def going_on(agent: OneAgent) -> None:
    seen = len(agent.cycles("near"))
    wait_until(lambda: len(agent.cycles("near")) > seen + 2, "further cycles")
    assert agent.alive


def put_back(files: Mapping[Path, bytes]) -> None:
    for path, content in files.items():
        replace_private(path, content)


def status(agent: OneAgent) -> dict[str, Any]:
    """What ``status`` tells, which finds something wrong or not."""
    told = subprocess.run([command("lotkeeper-edge"), "status", str(agent.line), "--json"], capture_output=True)
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["running"], told
    return found


def connection_error(agent: OneAgent) -> str:
    return status(agent)["central"]["error"] or ""
