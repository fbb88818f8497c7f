"""Judging a server's certificate: chains, revocation, and every fault by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drivers.opcua.certificates import fingerprint
from drivers.opcua.trust import judge
from drivers.tags import OpcUaSecurity
from records.clock import FakeClock, from_us
from records.errors import ConfigurationError, Refused

NOW_US = FakeClock().now_us()
NOW = from_us(NOW_US)
DER = serialization.Encoding.DER
URI, HOST = "urn:plc", "plc-1.line"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Made:
    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(DER)


_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def make(
    name: str,
    issuer: Made | None = None,
    *,
    ca: bool = False,
    days: tuple[int, int] = (-10, 10),
    uri: str = URI,
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    signs: bool = True,
    key: Key | None = None,
) -> Made:
    own: Key = key or (rsa.generate_private_key(public_exponent=65537, key_size=2048) if ca else _KEY)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(signs, False, signs, False, False, ca, ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    if not ca:
        names = [x509.UniformResourceIdentifier(uri), x509.DNSName(HOST)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Made(builder.sign(issuer.key if issuer else own, hashes.SHA256()), own)


def revoke(authority: Made, *revoked: Made) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=1))
    )
    for made in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(made.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(NOW - timedelta(days=1)).build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(DER)


def pinned(made: Made, *accept: str) -> OpcUaSecurity:
    return OpcUaSecurity.model_validate(
        {
            "policy": "Basic256Sha256",
            "server_fingerprint": fingerprint(made.certificate),
            "accept": list(accept),
        }
    )


def listed(folder: Path, *accept: str) -> OpcUaSecurity:
    return OpcUaSecurity.model_validate({"policy": "Basic256Sha256", "trust_list": folder, "accept": list(accept)})


def verdict(blob: bytes, security: OpcUaSecurity, *, host: str = HOST, uri: str | None = URI) -> str:
    """Why it is refused, or ``trusted`` with what is accepted."""
    try:
        found = judge(blob, security, host=host, uri=uri, now_us=NOW_US)
    except Refused as refused:
        return refused.message
    return ", ".join(("trusted", *found.accepted))


ROOT = make("root", ca=True)
MIDDLE = make("middle", ROOT, ca=True)
LEAF = make("plc", MIDDLE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("trusted/certs", "issuers/certs", "crl"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_a_chain_ends_at_an_authority_that_is_trusted(folder: Path) -> None:
    (folder / "trusted/certs/root.der").write_bytes(ROOT.der)
    assert "nothing in the trust list stands for it (issued by CN=middle)" in verdict(LEAF.der, listed(folder))
    assert verdict(LEAF.der + MIDDLE.der, listed(folder)) == "trusted"  # the server sends it along
    (folder / "issuers/certs/middle.der").write_bytes(MIDDLE.der)
    assert verdict(LEAF.der, listed(folder)) == "trusted"


def test_an_issuer_alone_is_not_trusted(folder: Path) -> None:
    for made, name in ((ROOT, "root"), (MIDDLE, "middle")):
        (folder / f"issuers/certs/{name}.der").write_bytes(made.der)
    assert "nothing in the trust list stands for it" in verdict(LEAF.der, listed(folder))


def test_what_an_authority_revoked_is_refused(folder: Path) -> None:
    (folder / "trusted/certs/middle.der").write_bytes(MIDDLE.der)
    (folder / "crl/foreign.crl").write_bytes(revoke(make("middle", ca=True), LEAF))  # of the same name only
    assert verdict(LEAF.der, listed(folder)) == "trusted"
    (folder / "crl/middle.crl").write_bytes(revoke(MIDDLE, LEAF))
    assert "CN=plc was revoked by CN=middle" in verdict(LEAF.der, listed(folder))


def test_an_authority_must_be_one_and_be_valid(folder: Path) -> None:
    no_authority = make("plc-2", make("other", ca=True))
    forged = make("forged", Made(no_authority.certificate, no_authority.key))
    (folder / "trusted/certs/plc-2.der").write_bytes(no_authority.der)
    assert "nothing in the trust list stands for it" in verdict(forged.der, listed(folder))
    old = make("old", ca=True, days=(-20, -5))
    (folder / "trusted/certs/old.der").write_bytes(old.der)
    assert "its authority CN=old is not valid now" in verdict(make("plc-3", old).der, listed(folder))


def test_a_trust_list_asks_for_the_host_and_a_fingerprint_does_not(folder: Path) -> None:
    alone = make("plc")
    (folder / "plc.der").write_bytes(alone.der)
    assert verdict(alone.der, listed(folder), host="PLC-1.line") == "trusted"
    assert "it is not for the host 10.0.0.5" in verdict(alone.der, listed(folder), host="10.0.0.5")
    accepted = verdict(alone.der, listed(folder, "host_name"), host="10.0.0.5")
    assert accepted == "trusted, it is not for the host 10.0.0.5"
    assert verdict(alone.der, pinned(alone), host="10.0.0.5") == "trusted"


@pytest.mark.parametrize(
    ("made", "uri", "code", "said"),
    [
        (make("plc", days=(-20, -1)), URI, "expired", "it expired on "),
        (make("plc", days=(1, 20)), URI, "expired", "it is valid only from "),
        (
            make("plc"),
            "urn:else",
            "application_uri",
            "it is for the application urn:plc, the server calls itself urn:else",
        ),
        (
            make("plc", purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
            URI,
            "key_usage",
            "it is no certificate of a server",
        ),
        (make("plc", signs=False), URI, "key_usage", "its key may not be used to sign and to encrypt keys"),
        (make("plc", key=_SMALL), URI, "weak", "its key has only 1024 bits"),
    ],
)
def test_each_fault_refuses_and_can_be_accepted_by_name(made: Made, uri: str, code: str, said: str) -> None:
    refusal = verdict(made.der, pinned(made), uri=uri)
    assert f"is not accepted: {said}" in refusal
    assert verdict(made.der, pinned(made, code), uri=uri).startswith(f"trusted, {said}")
    others = {"expired", "application_uri", "key_usage", "weak", "host_name"} - {code}
    assert verdict(made.der, pinned(made, *others), uri=uri) == refusal


def test_what_a_policy_cannot_use_is_never_accepted() -> None:
    curved = make("plc", key=ec.generate_private_key(ec.SECP256R1()))
    everything = ("expired", "application_uri", "key_usage", "weak", "host_name")
    assert "has no RSA key" in verdict(curved.der, pinned(curved, *everything))


@pytest.mark.parametrize(
    "blob", [b"", b"\x30", b"\x30\x82\xff\xff", b"garbage", LEAF.der[:-5], b"\x30\x84" + b"\xff" * 60]
)
def test_bytes_that_are_no_certificate_are_refused(blob: bytes) -> None:
    assert verdict(blob, pinned(LEAF)) in ("it sends no certificate",) or "as its certificate is none" in verdict(
        blob, pinned(LEAF)
    )


def test_a_trust_list_with_a_broken_file_says_which(folder: Path) -> None:
    (folder / "crl/x.crl").write_bytes(b"none")
    with pytest.raises(ConfigurationError, match=r"x\.crl is no revocation list"):
        verdict(LEAF.der, listed(folder))
