"""Keys that never leave the line PC, and the plant's own authority in the place of central's: by command."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.cli import main as edge_main
from records.certificates import certificate_of, common_name
from records.clock import SystemClock, from_us
from records.keys import Identity
from tests.process.central_rig import CentralProcess, run_command
from tests.process.test_central_enrol import refused
from tests.rigs.mosquitto import BrokerTls, Mosquitto

pytestmark = pytest.mark.mosquitto


class Plant:
    """A plant's authority: a root that signs another one, which signs what is asked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.root, self._folder = folder / "root.crt", folder
        root, self._key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
        top = self._build("Plant root", "Plant root", root.public_key(), ca=True).sign(root, hashes.SHA384())
        middle = self._build("Plant line CA", "Plant root", self._key.public_key(), ca=True)
        self._chain = middle.sign(root, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)
        self.root.write_bytes(top.public_bytes(serialization.Encoding.PEM))

    def sign(self, request: Path, *, days: int = 90, use: x509.ObjectIdentifier | None = None) -> Path:
        """What the plant's people give back: the certificate, and the one between it and the root."""
        asked = x509.load_pem_x509_csr(request.read_bytes())
        name = str(asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        builder = self._build(name, "Plant line CA", asked.public_key(), days=days)
        names = [each for each in asked.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
        for each in names:
            builder = builder.add_extension(each.value, critical=False)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use or usage]), critical=False)
        signed = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        path = self._folder / f"{name}-{len(list(self._folder.iterdir()))}.crt"
        path.write_bytes(signed + self._chain)
        return path

    @staticmethod
    def _build(
        name: str, issuer: str, key: object, *, ca: bool = False, days: int = 900
    ) -> x509.CertificateBuilder:
        now_us = SystemClock().now_us()
        return (
            x509.CertificateBuilder()
            .subject_name(common_name(name))
            .issuer_name(common_name(issuer))
            .public_key(key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(from_us(now_us - 3_600_000_000))
            .not_valid_after(from_us(now_us + days * 86_400_000_000))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )


@pytest.fixture
def central(tmp_path: Path) -> CentralProcess:
    return CentralProcess(tmp_path, "mqtt://127.0.0.1:1")


def edge(*words: str, code: int = 0) -> str:
    return run_command(edge_main, "lotkeeper-edge", words, code=code)


def only_owner_reads(folder: Path) -> bool:
    private = [path for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in private}
    return bool(private) and modes == {0o600}


def test_a_line_pc_makes_its_keys_itself(tmp_path: Path, central: CentralProcess) -> None:
    folder, reply = tmp_path / "identity", tmp_path / "reply.json"
    made = json.loads(edge("identity", "request", "--agent", "sealing-1", "--out", str(folder), "--json"))
    request = (folder / "request.json").read_text()
    assert "PRIVATE" not in request
    kept = tmp_path / "kept.json"
    kept.write_text(request)
    assert made == json.loads(edge("identity", "request", "--agent", "sealing-1", "--out", str(folder), "--json"))
    answer = ("--request", str(folder / "request.json"), "--out", str(reply))
    assert "not of sealing-2" in central.command("enrol", "sealing-2", *answer, code=2)
    told = json.loads(central.command("enrol", "sealing-1", *answer, "--production", "--json"))
    assert told["key_id"] == made["key_id"]
    assert "PRIVATE" not in reply.read_text()
    for before, after in (("p0", "p1"), ("sealing-1", "sealing-2"), ("enrolment", "work-order")):
        changed = tmp_path / "changed.json"
        changed.write_text(reply.read_text().replace(before, after))
        assert changed.read_bytes() != reply.read_bytes()
        said = edge("identity", "accept", str(changed), "--out", str(folder), code=1)
        assert ("not signed by a key that it names" in said) == (before != "enrolment"), said
    assert "this folder asked for" in _accept_of_another(tmp_path, reply)
    accepted = json.loads(edge("identity", "accept", str(reply), "--out", str(folder), "--json"))
    identity = Identity.open(folder)
    assert identity.signing.public.hex() == told["key"] == accepted["key"]
    assert identity.central.keys() == central.ring.keys()
    assert identity.mode is not None
    assert only_owner_reads(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.crt",
        "identity.json",
        "mode.json",
        "signing.key",
        "tls.crt",
        "tls.key",
    ]
    copied = ("--request", str(kept), "--out", str(reply))
    again = json.loads(central.command("enrol", "sealing-1", *copied, "--json"))
    assert (again["key"], again["central_key_id"]) == (told["key"], told["central_key_id"])
    central.command("enrol", "sealing-1", "--revoke", "--reason", "stolen")
    assert "replaced or revoked" in central.command("enrol", "sealing-1", *copied, code=3)


def _accept_of_another(tmp_path: Path, reply: Path) -> str:
    other = tmp_path / "another"
    edge("identity", "request", "--agent", "sealing-2", "--out", str(other))
    return edge("identity", "accept", str(reply), "--out", str(other), code=1)


def test_a_reply_that_was_lost_is_made_again_and_a_name_that_was_mistyped_spoils_none(
    tmp_path: Path, central: CentralProcess
) -> None:
    """Bugs: the same request was refused for ever, and another name made the keys anew without a word."""
    folder, reply = tmp_path / "identity", tmp_path / "reply.json"
    ask = ("identity", "request", "--out", str(folder), "--agent")
    answer = ("--request", str(folder / "request.json"), "--out", str(reply))
    edge(*ask, "sealing-1")
    central.command("enrol", "sealing-1", *answer)
    reply.unlink()
    edge(*ask, "sealing-1")
    central.command("enrol", "sealing-1", *answer)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "has asked to be sealing-1, not sealing-7" in edge(*ask, "sealing-7", code=3)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    edge("identity", "accept", str(reply), "--out", str(folder))
    assert "is the identity of sealing-1, not sealing-7" in edge(*ask, "sealing-7", code=3)
    first = Identity.open(folder).signing.id
    edge(*ask, "sealing-7", "--new")
    central.command("enrol", "sealing-7", *answer)
    edge("identity", "accept", str(reply), "--out", str(folder))
    assert Identity.open(folder).file.agent == "sealing-7"
    assert Identity.open(folder).signing.id != first


def test_keys_that_central_refuses_are_made_anew_as_it_advises(tmp_path: Path, central: CentralProcess) -> None:
    folder, reply = tmp_path / "identity", tmp_path / "reply.json"
    ask = ("identity", "request", "--out", str(folder), "--agent", "sealing-1")
    answer = ("--request", str(folder / "request.json"), "--out", str(reply))
    edge(*ask)
    central.command("enrol", "sealing-1", *answer)
    central.command("enrol", "sealing-1", "--revoke", "--reason", "stolen")
    assert "--out FOLDER --new" in central.command("enrol", "sealing-1", *answer, code=3)
    edge(*ask, "--new")
    central.command("enrol", "sealing-1", *answer)
    edge("identity", "accept", str(reply), "--out", str(folder))


def test_keys_that_were_damaged_while_they_waited_are_told_and_made_anew(
    tmp_path: Path, central: CentralProcess
) -> None:
    """Bug: a signing key that could not be read was taken into use, and the agent did not start any more."""
    folder, reply = tmp_path / "identity", tmp_path / "reply.json"
    ask = ("identity", "request", "--out", str(folder), "--agent", "sealing-1")
    answer = ("--request", str(folder / "request.json"), "--out", str(reply))
    edge(*ask)
    central.command("enrol", "sealing-1", *answer)
    (folder / "signing.key.asked").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "signing.key.asked" in edge("identity", "accept", str(reply), "--out", str(folder), code=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "tls.key.asked").write_bytes(b"")
    said = edge(*ask)
    assert "set aside as signing.key.asked.aside" in said
    assert "set aside as tls.csr.aside and tls.key.asked.aside" in said
    assert "set aside" not in edge(*ask)
    central.command("enrol", "sealing-1", *answer)
    edge("identity", "accept", str(reply), "--out", str(folder))
    assert Identity.open(folder).file.agent == "sealing-1"


def test_a_request_that_its_own_key_did_not_sign_is_refused(tmp_path: Path, central: CentralProcess) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for name, folder in (("sealing-1", one), ("sealing-2", two)):
        edge("identity", "request", "--agent", name, "--out", str(folder))
    forged = json.loads((one / "request.json").read_text())
    forged["signature"] = json.loads((two / "request.json").read_text())["signature"]
    (one / "request.json").write_text(json.dumps(forged))
    said = central.command(
        "enrol", "sealing-1", "--request", str(one / "request.json"), "--out", str(tmp_path / "r"), code=1
    )
    assert "not signed by the key" in said
    assert not (tmp_path / "r").exists()


def test_the_plants_own_authority(tmp_path: Path, central: CentralProcess) -> None:
    plant, agent, broker = Plant(tmp_path / "plant"), tmp_path / "agent", tmp_path / "broker"
    client, root = tmp_path / "client", ("--ca", str(plant.root))
    assert "NOT COMPLETE" in central.command("enrol", "sealing-1", "--out", str(agent), "--csr")
    assert "NOT COMPLETE" in central.command("enrol", "--broker", "127.0.0.1", "--out", str(broker), "--csr")
    assert "NOT COMPLETE" in central.command("enrol", "--central", "--out", str(client), "--csr")
    assert not (agent / "tls.crt").exists()

    wrong = plant.sign(broker / "tls.csr")
    said = central.command("enrol", "sealing-1", "--out", str(agent), "--certificate", str(wrong), *root, code=1)
    assert "another key" in said
    said = central.command(
        "enrol", "sealing-1", "--out", str(agent), "--certificate", str(central.config), *root, code=1
    )
    assert (f"{central.config}: no certificate in PEM" in said, "cryptography" in said) == (True, False)
    own = ("--ca", str(tmp_path / "data" / "keys" / "ca.crt"))
    signed = plant.sign(agent / "tls.csr")
    said = central.command("enrol", "sealing-1", "--out", str(agent), "--certificate", str(signed), *own, code=1)
    assert "not signed by the authority" in said
    server = plant.sign(agent / "tls.csr", use=ExtendedKeyUsageOID.SERVER_AUTH)
    said = central.command("enrol", "sealing-1", "--out", str(agent), "--certificate", str(server), *root, code=1)
    assert "extended key usage" in said
    ended = plant.sign(agent / "tls.csr", days=0)
    said = central.command("enrol", "sealing-1", "--out", str(agent), "--certificate", str(ended), *root, code=1)
    assert "ended on" in said
    assert not (agent / "tls.crt").exists()

    central.command("enrol", "sealing-1", "--out", str(agent), "--certificate", str(signed), *root)
    named = ("--certificate", str(plant.sign(broker / "tls.csr")), *root)
    assert "does not name" in central.command("enrol", "--broker", "b.plant", "--out", str(broker), *named, code=1)
    central.command("enrol", "--broker", "127.0.0.1", "--out", str(broker), *named)
    mine = ("--certificate", str(plant.sign(client / "tls.csr")), *root)
    central.command("enrol", "--central", "--out", str(client), *mine)
    assert Identity.open(agent).file.authority == "plant"
    assert "crlfile /" not in (broker / "mosquitto.conf").read_text()
    tls = BrokerTls(broker / "ca.crt", broker / "tls.crt", broker / "tls.key")
    with Mosquitto(tmp_path / "run", tls=tls, acl=(broker / "access.acl").read_text()) as running:
        assert not refused(running.port, agent)
        assert not refused(running.port, client)

    edge("identity", "request", "--agent", "sealing-1", "--out", str(agent))  # the next one, on the line PC
    before = (agent / "tls.key").read_bytes(), certificate_of((agent / "tls.crt").read_bytes())
    later = plant.sign(agent / "tls.csr", days=400)
    edge("identity", "accept", str(later), "--out", str(agent))
    assert (agent / "tls.key").read_bytes() != before[0]
    assert certificate_of((agent / "tls.crt").read_bytes()).until_us > before[1].until_us
