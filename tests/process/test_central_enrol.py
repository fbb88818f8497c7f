"""Enrolment at a real Mosquitto: mutual TLS, one access list per agent, passwords made without its own tool."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from central.authority import create_authority, issue_client, revocation_list
from central.broker import Broker, access_list, add_password, broker_configuration
from central.folders import make_broker, make_identity
from central.keys import CentralKeys
from central.store.agents import Agent
from records.clock import SystemClock
from records.errors import ConfigurationError, Refused
from records.keys import Identity
from records.wire import ack_topic, down_topic, request_topic, state_topic, up_topic
from tests.process.central_rig import CentralProcess, wait_until
from tests.rigs.mosquitto import BrokerTls, Mosquitto

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


def issued(keys: CentralKeys, name: str, folder: Path) -> bytes:
    """An identity folder; its certificate."""
    certificate = make_identity(keys, name, folder, SystemClock().now_us()).certificate
    assert certificate is not None
    return certificate


def test_mutual_tls_and_every_agent_under_its_own_name_and_partition(tmp_path: Path, keys: CentralKeys) -> None:
    now_us = SystemClock().now_us()
    make_broker(keys, ["127.0.0.1", "broker.plant"], tmp_path / "broker", 8883, now_us)
    (tmp_path / "broker" / "revoked.crl").write_bytes(revocation_list(keys.folder, [], now_us))
    for name in ("assembly-1", "testing-1"):
        issued(keys, name, tmp_path / name)
        assert Identity.open(tmp_path / name).central.keys() == keys.public
    acl = access_list([Agent("assembly-1", "p0", 0), Agent("testing-1", "p1", 0), Agent("gone-1", "p0", 0, 1)])
    assert "gone-1" not in acl
    with Mosquitto(tmp_path / "run", tls=BrokerTls.of(tmp_path / "broker"), acl=acl) as broker:
        with (
            connected(broker.port, tls_of(keys.folder), "c") as central,
            connected(broker.port, tls_of(tmp_path / "assembly-1"), "a") as agent,
        ):
            allowed = [
                up_topic("p0", "assembly-1", "records"),
                up_topic("p0", "assembly-1", "telemetry"),
                request_topic("p0", "assembly-1"),
                state_topic("assembly-1"),
            ]
            forbidden = [
                up_topic("p0", "testing-1", "records"),
                up_topic("p1", "testing-1", "records"),
                up_topic("p1", "assembly-1", "records"),
                request_topic("p1", "testing-1"),
                state_topic("testing-1"),
                ack_topic("assembly-1", "records"),
                down_topic("assembly-1", "holds", "x"),
                down_topic("testing-1", "holds", "x"),
            ]
            others = [ack_topic("testing-1", "records"), down_topic("testing-1", "holds", "h")]
            own = [ack_topic("assembly-1", "records"), down_topic("assembly-1", "holds", "h")]
            for topic in (*forbidden, *allowed):
                agent.client.publish(topic, b"x", qos=1).wait_for_publish(20)
            wait_until(lambda: allowed[-1] in central.heard, "the agent's state")
            for topic in (*others, *own):
                central.client.publish(topic, b"x", qos=1).wait_for_publish(20)
            wait_until(lambda: own[-1] in agent.heard, "what central says")
            assert [topic for topic in central.heard if topic in (*allowed, *forbidden)] == allowed
            assert [topic for topic in agent.heard if topic in (*others, *own)] == own
        stranger = tmp_path / "stranger"
        other = CentralKeys.create(tmp_path / "other", now_us)
        create_authority(other.folder, "elsewhere", now_us)
        issued(other, "assembly-1", stranger)
        (stranger / "ca.crt").write_bytes((keys.folder / "ca.crt").read_bytes())
        assert refused(broker.port, stranger)


def refused(port: int, folder: Path) -> bool:
    """Whether the broker ends the connection of this identity before anything is said."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        stream.settimeout(0.3)
        try:
            return stream.recv(1) == b""  # with TLS 1.3 a refused client hears of it here
        except TimeoutError:
            return False
        except (ssl.SSLError, ConnectionError):
            return True


def test_the_shipped_configuration_is_the_one_that_is_made(tmp_path: Path) -> None:
    place = Path("/etc/mosquitto/lotkeeper")
    shipped = (Path(__file__).parents[2] / "config" / "mosquitto.conf").read_text()
    assert broker_configuration(Broker(8883, place, Path("/var/lib/mosquitto"))) == shipped
    made = broker_configuration(
        Broker(1, place, tmp_path, "127.0.0.1", "root", revocation=False, persistence=False)
    )
    assert [line for line in made.splitlines() if line not in shipped.splitlines()] == [
        "user root",
        "listener 1 127.0.0.1",
        "persistence false",
        f"persistence_location {tmp_path}/",
    ]
    assert "crlfile" not in made.replace("# ", "")


def test_revoking_cuts_off_at_the_broker_and_at_central(tmp_path: Path) -> None:
    """The lists that central writes: the one who is connected can say nothing more, and does not come in again."""
    central = CentralProcess(tmp_path, "mqtt://127.0.0.1:1")
    files, names = tmp_path / "data" / "broker", ("sealing-1", "testing-1")
    for name in names:
        central.command("enrol", name, "--out", str(tmp_path / name))
    central.command("enrol", "--broker", "127.0.0.1", "--out", str(tmp_path / "broker"))
    assert (tmp_path / "broker" / "access.acl").read_bytes() == (files / "access.acl").read_bytes()
    settings = (f"acl_file {files / 'access.acl'}", f"crlfile {files / 'revoked.crl'}")
    tls = BrokerTls.of(tmp_path / "broker")
    with (
        Mosquitto(tmp_path / "run", tls=tls, settings=settings) as broker,
        connected(broker.port, tls_of(tmp_path / "data" / "keys"), "c") as listener,
        connected(broker.port, tls_of(tmp_path / "sealing-1"), "s") as revoked,
        connected(broker.port, tls_of(tmp_path / "testing-1"), "t") as other,
    ):
        assert not refused(broker.port, tmp_path / "sealing-1")
        assert "reason" in central.command("enrol", "sealing-1", "--revoke", code=2)
        said = central.command("enrol", "sealing-1", "--revoke", "--reason", "stolen", "--json")
        assert json.loads(said)["keys"] == [Identity.open(tmp_path / "sealing-1").signing.id]
        assert "before" in central.command("enrol", "sealing-1", "--revoke", "--reason", "stolen", code=3)
        broker.reload()
        wait_until(lambda: refused(broker.port, tmp_path / "sealing-1"), "the revocation list")
        assert not refused(broker.port, tmp_path / "testing-1")
        revoked.client.publish(state_topic("sealing-1"), b"late", qos=1).wait_for_publish(20)
        other.client.publish(state_topic("testing-1"), b"x", qos=1).wait_for_publish(20)
        wait_until(lambda: state_topic("testing-1") in listener.heard, "the other's word")
        assert state_topic("sealing-1") not in listener.heard
        central.command("enrol", "sealing-1", "--out", str(tmp_path / "again"))
        broker.reload()
        wait_until(lambda: "sealing-1" in (files / "access.acl").read_text(), "a new beginning")
        assert refused(broker.port, tmp_path / "sealing-1")
        assert not refused(broker.port, tmp_path / "again")


def test_password_lines_are_mosquittos(tmp_path: Path, keys: CentralKeys) -> None:
    file = tmp_path / "passwords"
    for name in ("assembly-1", "testing-1", "assembly-1"):  # the last one replaces the first
        made = make_identity(keys, name, tmp_path / name, SystemClock().now_us(), secret=f"secret of {name}")
        assert made.password_line is not None
        add_password(file, made.password_line)
    assert len(file.read_text().splitlines()) == 2
    with Mosquitto(tmp_path / "run", settings=("allow_anonymous false",), password_file=file) as broker:
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
