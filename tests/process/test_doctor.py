"""The doctor at a real plant: everything fine, then one thing after the other made wrong; each is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from central.authority import sign_request
from records import durable
from records.certificates import DAY_US, ask, install
from records.clock import SystemClock
from tests.process.central_rig import CentralProcess
from tests.rigs.mosquitto import BrokerTls, Mosquitto

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def central(tmp_path: Path) -> CentralProcess:
    made = CentralProcess(tmp_path, "mqtt://127.0.0.1:1")
    made.command("enrol", "sealing-1", "--out", str(tmp_path / "identity"))
    made.command("enrol", "--broker", "127.0.0.1", "--out", str(tmp_path / "broker"))
    return made


def point_at(central: CentralProcess, broker: Mosquitto) -> None:
    keys = central.folder / "data" / "keys"
    files = f"ca: {keys / 'ca.crt'}, certificate: {keys / 'tls.crt'}, key: {keys / 'tls.key'}"
    text = central.config.read_text()
    central.config.write_text(text.replace("{url: 'mqtt://127.0.0.1:1'}", f"{{url: '{broker.url}', {files}}}"))


@pytest.fixture
def broker(tmp_path: Path, central: CentralProcess) -> Iterator[Mosquitto]:
    files = tmp_path / "data" / "broker"
    settings = (f"acl_file {files / 'access.acl'}", f"crlfile {files / 'revoked.crl'}")
    with Mosquitto(tmp_path / "run", tls=BrokerTls.of(tmp_path / "broker"), settings=settings) as running:
        point_at(central, running)
        yield running


def found(central: CentralProcess, code: int, state: str) -> dict[str, str]:
    """What is in this state: check -> what was said."""
    answer = json.loads(central.command("doctor", "--json", code=code).split("\nerror:")[0])
    assert answer["ok"] == (code == 0)
    wrong = [each for each in answer["checks"] if each["state"] == state]
    assert all(each["do"] for each in wrong if state != "fine")
    return {each["check"]: each["says"] for each in wrong}


def test_a_plant_that_is_fine(central: CentralProcess, broker: Mosquitto) -> None:
    fine = found(central, 0, "fine")
    kept = {"folder", "signing key", "key files", "authority", "certificate", "database", "broker's lists"}
    assert kept | {"agents", "messages", "clocks"} <= set(fine)
    assert "nobody is let in without a certificate" in fine["broker"]
    assert set(found(central, 0, "warning")) == {"copy of the anchors", "backup"}


def test_a_broker_that_is_away_or_another_one(tmp_path: Path, central: CentralProcess, broker: Mosquitto) -> None:
    broker.stop()
    assert "does not answer" in found(central, 3, "unreachable")["broker"]
    central.command("enrol", "--broker", "broker.plant", "--out", str(tmp_path / "other"))
    tls, acl = BrokerTls.of(tmp_path / "other"), "topic readwrite #\n"
    with Mosquitto(tmp_path / "run2", tls=tls, acl=acl) as another:
        central.config.write_text(central.config.read_text().replace(broker.url, another.url))
        assert "not the one it should be" in found(central, 1, "bad")["broker"]


def test_a_broker_with_other_settings(tmp_path: Path, central: CentralProcess) -> None:
    tls, acl = BrokerTls.of(tmp_path / "broker"), "topic readwrite #\n"
    small = ("message_size_limit 100000", "require_certificate false", "use_identity_as_username false")
    small += ("allow_anonymous true",)
    with Mosquitto(tmp_path / "run", tls=tls, acl=acl, settings=small) as broker:
        point_at(central, broker)
        answer = json.loads(central.command("doctor", "--json", code=1).split("\nerror:")[0])
        said = " | ".join(each["says"] for each in answer["checks"] if each["state"] == "bad")
        assert "publish in an agent's place" in said
        assert "did not take a message" in said
        assert "lets in who has no certificate" in said


def test_keys_and_what_is_stored(tmp_path: Path, central: CentralProcess, broker: Mosquitto) -> None:
    data, now_us = tmp_path / "data", SystemClock().now_us()
    (data / "keys" / "central.key").chmod(0o644)
    (data / "broker" / "access.acl").write_text("topic readwrite #\n")
    signed = sign_request(data / "keys", ask(data / "keys", "central"), "central", now_us - 600 * DAY_US)
    install(data / "keys", signed, None, now_us, "central")
    bad = found(central, 1, "bad")
    assert "others than the owner can read central.key" in bad["key files"]
    assert "access.acl" in bad["broker's lists"]
    assert "good until" in found(central, 1, "warning")["certificate"]
    central.command("enrol", "--central")
    (data / "keys" / "central.key").chmod(0o600)
    central.command("enrol", "testing-1", "--out", str(tmp_path / "t"))
    with closing(durable.open_writer(data / "central.db")) as connection:
        connection.execute("DROP TRIGGER guard_envelope_update")
    assert "guard_envelope_update" in found(central, 1, "bad")["database"]
