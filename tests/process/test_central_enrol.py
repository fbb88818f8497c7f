"""Enrolment at a real Mosquitto: mutual TLS, one access list per agent, passwords made without its own tool."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from central.authority import create_authority, issue_client
from central.enrol import access_list, add_password, make_broker, make_identity
from central.keys import CentralKeys
from records.clock import SystemClock
from records.errors import ConfigurationError, Refused
from records.keys import Identity
from records.wire import ack_topic, state_topic, up_topic
from tests.process.central_rig import CentralProcess, wait_until
from tests.rigs.mosquitto import BrokerTls, Mosquitto, program

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def keys(tmp_path: Path) -> CentralKeys:
    now_us = SystemClock().now_us()
    made = CentralKeys.create(tmp_path / "keys", now_us)
    create_authority(made.folder, "suzhou", now_us)
    issue_client(made.folder, made.folder, "central", now_us)
    return made


class Client:
    def __init__(self, port: int, setup: Callable[[paho.Client], None], name: str) -> None:
        self.heard: list[str] = []
        self.error: str | None = None
        self.ready = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        setup(self.client)
        self.client.on_connect = self._connected
        self.client.on_message = lambda _c, _d, message: self.heard.append(message.topic)
        self.client.connect("127.0.0.1", port, 20)

    def _connected(self, client: paho.Client, _d: object, _f: object, code: object, _p: object) -> None:
        if getattr(code, "is_failure", False):
            self.error = str(code)
        else:
            client.subscribe("lotkeeper/#", 1)
        self.ready.set()


@contextmanager
def connected(port: int, setup: Callable[[paho.Client], None], name: str) -> Iterator[Client]:
    made = Client(port, setup, name)
    made.client.loop_start()
    try:
        assert made.ready.wait(30)
        yield made
    finally:
        made.client.disconnect()
        made.client.loop_stop()


def tls_of(folder: Path) -> Callable[[paho.Client], None]:
    def setup(client: paho.Client) -> None:
        client.tls_set(str(folder / "ca.crt"), str(folder / "tls.crt"), str(folder / "tls.key"))

    return setup


def test_mutual_tls_and_every_agent_under_its_own_name(tmp_path: Path, keys: CentralKeys) -> None:
    now_us = SystemClock().now_us()
    make_broker(keys, ["127.0.0.1", "broker.plant"], tmp_path / "broker", 8883, now_us)
    tls = BrokerTls(
        tmp_path / "broker" / "ca.crt", tmp_path / "broker" / "tls.crt", tmp_path / "broker" / "tls.key"
    )
    for name in ("assembly-1", "testing-1"):
        make_identity(keys, name, tmp_path / name, now_us)
        assert Identity.open(tmp_path / name).central.keys() == keys.public
    with Mosquitto(tmp_path / "run", tls=tls, acl=access_list()) as broker:
        with (
            connected(broker.port, tls_of(keys.folder), "c") as central,
            connected(broker.port, tls_of(tmp_path / "assembly-1"), "a") as agent,
        ):
            allowed = [up_topic("p0", "assembly-1", "records"), state_topic("assembly-1")]
            forbidden = [
                up_topic("p0", "testing-1", "records"),
                state_topic("testing-1"),
                ack_topic("assembly-1", "records"),
            ]
            answers = [ack_topic("testing-1", "records"), ack_topic("assembly-1", "records")]
            for topic in (*forbidden, *allowed):
                agent.client.publish(topic, b"x", qos=1).wait_for_publish(20)
            wait_until(lambda: allowed[-1] in central.heard, "the agent's state")
            for topic in answers:
                central.client.publish(topic, b"x", qos=1).wait_for_publish(20)
            wait_until(lambda: answers[-1] in agent.heard, "the agent's watermark")
            assert [topic for topic in central.heard if topic in (*allowed, *forbidden)] == allowed
            assert answers[0] not in agent.heard
        stranger = tmp_path / "stranger"
        other = CentralKeys.create(tmp_path / "other", now_us)
        create_authority(other.folder, "elsewhere", now_us)
        make_identity(other, "assembly-1", stranger, now_us)
        (stranger / "ca.crt").write_bytes((keys.folder / "ca.crt").read_bytes())
        context = ssl.create_default_context(cafile=stranger / "ca.crt")
        context.load_cert_chain(stranger / "tls.crt", stranger / "tls.key")
        with (
            socket.create_connection(("127.0.0.1", broker.port), 20) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            stream.recv(1)  # with TLS 1.3 a refused client hears of it here


def test_the_broker_configuration_is_one_that_mosquitto_takes(tmp_path: Path, keys: CentralKeys) -> None:
    folder = tmp_path / "broker"
    make_broker(keys, ["127.0.0.1"], folder, 8883, SystemClock().now_us())
    with Mosquitto(tmp_path / "run") as probe:
        port = probe.port
    written = (folder / "mosquitto.conf").read_text().replace("listener 8883", f"listener {port}")
    (folder / "mosquitto.conf").write_text("user root\n" + written)
    process = subprocess.Popen(
        [program("mosquitto"), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    try:
        make_identity(keys, "assembly-1", tmp_path / "a", SystemClock().now_us())

        def reachable() -> bool:
            assert process.poll() is None
            try:
                with connected(port, tls_of(tmp_path / "a"), "a") as client:
                    return client.error is None
            except OSError:
                return False

        wait_until(reachable, "the broker")
    finally:
        process.terminate()
        process.wait(20)


def test_password_lines_are_mosquittos(tmp_path: Path, keys: CentralKeys) -> None:
    file = tmp_path / "passwords"
    for name in ("assembly-1", "testing-1", "assembly-1"):  # the last one replaces the first
        made = make_identity(keys, name, tmp_path / name, SystemClock().now_us(), password=True)
        assert made.password_line is not None
        add_password(file, made.password_line)
    assert len(file.read_text().splitlines()) == 2
    settings = ("persistence false", f"password_file {file}", "allow_anonymous false")
    with Mosquitto(tmp_path / "run", settings=settings) as broker:
        identity = Identity.open(tmp_path / "assembly-1")

        def right(client: paho.Client) -> None:
            client.username_pw_set(identity.file.broker_user or "", identity.broker_password)

        def wrong(client: paho.Client) -> None:
            client.username_pw_set("assembly-1", "guessed")

        with connected(broker.port, right, "a") as client:
            assert client.error is None
        with connected(broker.port, wrong, "b") as client:
            assert client.error is not None


@pytest.mark.parametrize("name", ["central", "Assembly", "-a", "", "a" * 64, "a/b", "ä"])
def test_what_cannot_be_an_agent(tmp_path: Path, keys: CentralKeys, name: str) -> None:
    with pytest.raises(ConfigurationError):
        make_identity(keys, name, tmp_path / "out", 0)


def test_keys_are_made_once(keys: CentralKeys) -> None:
    with pytest.raises(Refused):
        CentralKeys.create(keys.folder, 0)
    assert CentralKeys.open(keys.folder).signing.id == keys.signing.id
    (keys.folder / "central.json").write_text("[]")
    with pytest.raises(ConfigurationError, match=r"central\.key"):
        CentralKeys.open(keys.folder)


def test_the_command_makes_both_folders(tmp_path: Path) -> None:
    central = CentralProcess(tmp_path, "mqtt://127.0.0.1:1")
    out, password_file = tmp_path / "id", tmp_path / "passwords"
    answer = json.loads(
        central.command("enrol", "sealing-1", "--out", str(out), "--password-file", str(password_file), "--json")
    )
    assert answer["key"] == Identity.open(out).signing.public.hex()
    assert password_file.read_text().startswith("sealing-1:$7$")
    central.command("enrol", "--broker", "broker.plant", "--out", str(tmp_path / "broker"))
    assert (tmp_path / "broker" / "mosquitto.conf").exists()
    assert "--broker" in central.command("enrol", "--out", str(out), code=2)
    assert "cannot be the name" in central.command("enrol", "Sealing", "--out", str(out), code=2)
