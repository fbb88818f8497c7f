"""An agent looks after its identity: certificate and keys change while records travel over mutual TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.authority import AUTHORITY_YEARS, create_authority, issue_client, sign_request
from central.keys import public_keys
from central.store import envelopes
from central.store.engine import reading
from edge_agent.documents import Documents
from edge_agent.outbox import Outbox
from edge_agent.renewal import SIGNING_KEY_US, Renewal
from edge_agent.uplink import Uplink
from records.certificates import DAY_US, ask, certificate_of, install
from records.clock import SystemClock
from records.keys import Identity, write_identity
from tests.process.central_rig import CentralProcess, wait_until
from tests.rigs.mosquitto import BrokerTls, Mosquitto
from tests.rigs.outboxes import AGENT, fill, open_outbox
from tests.rigs.uplinks import quick

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(240)]


class ShiftedClock(SystemClock):
    """The system's clock, ahead by what a test says."""

    ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


class Counted(Uplink):
    """Counts how often it was asked to connect anew."""

    connects = 0

    def reconnect(self) -> None:
        self.connects += 1
        super().reconnect()


@dataclass
class Line:
    """The parts of an agent that speak with central."""

    folder: Path
    url: str
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    events: list[tuple[str, dict[str, JsonValue]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.identity = Identity.open(self.folder / "identity")
        self.outbox: Outbox = open_outbox(self.folder / "buffer", self.clock)
        self.documents = Documents(self.outbox, self.identity.central, self.clock, self._changed)
        self.uplink = Counted(
            self.outbox,
            self.identity,
            quick(self.url),
            self.clock,
            self._tell,
            documents=self.documents,
            on_central_keys=lambda payload: self.renewal.central_keys(payload),
        )
        self.renewal = Renewal(self.identity, self.documents, self.clock, self._tell, self.uplink)

    def _tell(self, code: str, params: dict[str, JsonValue]) -> None:
        self.events.append((code, params))

    def _changed(self, kind: str, _document: str) -> None:
        self.renewal.told(kind)

    def close(self) -> None:
        self.uplink.stop()
        self.outbox.close()

    def renewed(self, what: str) -> bool:
        return any(code == "identity-renewed" and params["what"] == what for code, params in self.events)

    def delivered(self) -> bool:
        return self.uplink.status().pending == 0


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[tuple[CentralProcess, Mosquitto]]:
    with running(CentralProcess(tmp_path, "mqtt://127.0.0.1:1")) as broker:
        yield broker


@contextmanager
def running(central: CentralProcess) -> Iterator[tuple[CentralProcess, Mosquitto]]:
    """Central, with an agent's identity in its folder, and a broker that wants certificates."""
    tmp_path = central.folder
    keys, files = tmp_path / "data" / "keys", tmp_path / "data" / "broker"
    central.command("enrol", AGENT, "--out", str(tmp_path / "identity"))
    central.command("enrol", "--broker", "127.0.0.1", "--out", str(tmp_path / "broker"))
    settings = (f"acl_file {files / 'access.acl'}", f"crlfile {files / 'revoked.crl'}")
    with Mosquitto(tmp_path / "run", tls=BrokerTls.of(tmp_path / "broker"), settings=settings) as broker:
        tls = f"ca: {keys / 'ca.crt'}, certificate: {keys / 'tls.crt'}, key: {keys / 'tls.key'}"
        text = central.config.read_text()
        central.config.write_text(text.replace("{url: 'mqtt://127.0.0.1:1'}", f"{{url: '{broker.url}', {tls}}}"))
        central.start()
        yield central, broker
        central.kill()


def test_a_renewed_authority_reaches_an_agent_by_itself_and_nobody_is_shut_out_meanwhile(tmp_path: Path) -> None:
    """Of its ten years 50 minutes are left: the agent's certificate, which cannot last longer, is due at once."""
    stopped, keys = CentralProcess(tmp_path, "mqtt://127.0.0.1:1"), tmp_path / "data" / "keys"
    now_us = SystemClock().now_us()
    create_authority(keys, "suzhou", now_us - AUTHORITY_YEARS * 365 * DAY_US + 50 * 60 * 1_000_000)
    issue_client(keys, keys, "central", now_us)
    former, authority = (keys / "ca.crt").read_bytes(), tmp_path / "identity" / "ca.crt"
    ends_us = certificate_of(former).until_us
    with running(stopped) as (central, broker):
        line = Line(tmp_path, broker.url)
        try:
            fill(line.outbox, 1, 20)
            line.uplink.start()
            wait_until(line.delivered, "the first records")
            told = central.command("keys", "renew-authority", "--reason", "it ends within the hour", "--json")
            renewed = (keys / "ca.crt").read_bytes()
            assert json.loads(told)["broker"]["error"] is None
            assert certificate_of(renewed).until_us > ends_us
            assert authority.read_bytes() == former
            fill(line.outbox, 21, 40)
            wait_until(line.delivered, "records of an agent that has the former one")

            line.renewal.look()
            wait_until(lambda: line.renewed("certificate"), "a new certificate")
            found = line.renewal.certificate()
            assert found is not None
            assert found.until_us > ends_us
            assert authority.read_bytes() == renewed
            fill(line.outbox, 41, 60)
            wait_until(line.delivered, "records at a broker that has the former one")

            central.command("enrol", "--broker", "127.0.0.1", "--out", str(tmp_path / "broker"))
            assert certificate_of((tmp_path / "broker" / "tls.crt").read_bytes()).until_us > ends_us
            broker.kill()
            broker.start()
            fill(line.outbox, 61, 80)
            wait_until(line.delivered, "records at a broker that has the new one")
        finally:
            line.close()


def soon_ended(identity: Path, keys: Path) -> str:
    """Give the agent a certificate of which little is left; its fingerprint."""
    now_us = SystemClock().now_us()
    signed = sign_request(keys, ask(identity, AGENT), AGENT, now_us - 700 * DAY_US)
    return install(identity, signed, None, now_us, AGENT).fingerprint


def test_certificate_and_keys_change_while_records_travel(
    tmp_path: Path, plant: tuple[CentralProcess, Mosquitto]
) -> None:
    central, broker = plant
    keys = tmp_path / "data" / "keys"
    former = soon_ended(tmp_path / "identity", keys)
    line = Line(tmp_path, broker.url)
    try:
        fill(line.outbox, 1, 20)
        line.uplink.start()
        wait_until(line.delivered, "the first records")
        line.renewal.look()
        wait_until(lambda: line.renewed("certificate"), "a new certificate")
        found = line.renewal.certificate()
        assert found is not None
        assert found.fingerprint != former
        assert found.renew_us > line.clock.now_us()
        assert line.uplink.connects == 1
        fill(line.outbox, 21, 40)
        wait_until(line.delivered, "records behind the new certificate")

        old_key = line.identity.signing.id
        line.identity.file = line.identity.file.__class__(
            AGENT, "p0", line.identity.file.central_keys, signing_since_us=line.clock.now_us() - SIGNING_KEY_US
        )
        write_identity(line.identity.folder, line.identity.file)
        line.renewal.look()
        wait_until(lambda: line.renewed("signing-key"), "a new signing key")
        assert line.identity.signing.id != old_key
        fill(line.outbox, 41, 60)
        wait_until(line.delivered, "records signed with the new key")

        central_key = central.ring.keys()[-1].id
        central.command("keys", "roll", "--reason", "yearly change")
        wait_until(lambda: line.renewed("central-keys"), "central's new key")
        assert len(line.identity.central.keys()) == 2
        fill(line.outbox, 61, 80)
        wait_until(line.delivered, "records acknowledged with central's new key")
        assert "was changed on" in central.command("keys", "roll", "--reason", "again", code=3)
        assert central.ring.keys()[-1].id != central_key
        assert not [each for each in line.events if each[0] in ("payload-refused", "watermark-refused")]
        epoch, opened = line.outbox.head().epoch, Identity.open(tmp_path / "identity")
        assert opened.signing.id == line.identity.signing.id
        assert {key.id for key in opened.file.central_keys} == {key.id for key in public_keys(keys)}
    finally:
        line.close()
    with reading(tmp_path / "data" / "central.db") as connection:
        frames = envelopes.frames(connection, AGENT, epoch, "records")
    assert {old_key, line.identity.signing.id} == {frame.key for frame in frames}
    assert json.loads(central.command("verify", "--json"))["ok"]
    assert central.stop() == 0


def test_an_agent_that_was_away_for_long_says_what_to_do(
    tmp_path: Path, plant: tuple[CentralProcess, Mosquitto]
) -> None:
    central, broker = plant
    central.command("keys", "roll", "--reason", "yearly change")
    line = Line(tmp_path, broker.url)
    line.clock.ahead_us = 31 * DAY_US
    try:
        line.uplink.start()
        wait_until(lambda: "central-keys" in line.renewal.problems, "what a person must do")
        assert "enrol it again" in line.renewal.problems["central-keys"].whole
        assert len(line.identity.central.keys()) == 1
        line.close()
        line = Line(tmp_path, broker.url)  # its clock is right again: it was away for less
        fill(line.outbox, 1, 5)
        line.uplink.start()
        wait_until(lambda: line.renewed("central-keys"), "central's new key")
        wait_until(line.delivered, "its records")
    finally:
        with suppress(Exception):
            line.close()


def test_with_the_plants_authority_the_agent_warns_long_before(tmp_path: Path) -> None:
    CentralProcess(tmp_path, "mqtt://127.0.0.1:1").command("enrol", AGENT, "--out", str(tmp_path / "identity"))
    soon_ended(tmp_path / "identity", tmp_path / "data" / "keys")
    file = Identity.open(tmp_path / "identity").file
    write_identity(
        tmp_path / "identity", file.__class__(AGENT, "p0", file.central_keys, None, "plant", file.signing_since_us)
    )
    line = Line(tmp_path, "mqtts://127.0.0.1:1")
    try:
        line.renewal.look()
        line.renewal.look()
        assert [code for code, _ in line.events] == ["identity-warning"]
        assert "plant's authority must sign" in line.renewal.problems["certificate"].whole
        assert not (tmp_path / "identity" / "tls.key.asked").exists()
    finally:
        line.outbox.close()
