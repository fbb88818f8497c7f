"""The plant's own certificate authority: who may speak at the broker.

One P-256 key and a certificate of ten years in central's keys folder; agents, central and the broker get
certificates of five years from it. TLS keys are apart from signing keys: these only open a connection.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from records.clock import from_us
from records.errors import ConfigurationError
from records.files import make_folder, replace_file
from records.keys import write_private

AUTHORITY_YEARS = 10
CERTIFICATE_YEARS = 5
_YEAR = timedelta(days=365)
_EARLY = timedelta(hours=1)  # clocks of line PCs are seldom right


def create_authority(folder: Path, site: str, now_us: int) -> None:
    """Make ``ca.key`` and ``ca.crt``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Lotkeeper {site}"[:64])])
    now = from_us(now_us)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + AUTHORITY_YEARS * _YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    make_folder(folder)
    write_private(folder / "ca.key", _pem(key))
    replace_file(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))


def issue_client(authority: Path, folder: Path, name: str, now_us: int) -> None:
    """Write ``tls.key``, ``tls.crt`` and ``ca.crt`` for an agent or central; the broker knows it by ``name``."""
    _issue(authority, folder, name, ExtendedKeyUsageOID.CLIENT_AUTH, None, now_us)


def issue_server(authority: Path, folder: Path, hosts: list[str], now_us: int) -> None:
    """Write ``tls.key``, ``tls.crt`` and ``ca.crt`` for the broker, which is reached under these names."""
    names = x509.SubjectAlternativeName([_host(host) for host in hosts])
    _issue(authority, folder, hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names, now_us)


def _issue(
    authority: Path,
    folder: Path,
    name: str,
    usage: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName | None,
    now_us: int,
) -> None:
    ca_key, ca = _load(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    now = from_us(now_us)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(min(now + CERTIFICATE_YEARS * _YEAR, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    make_folder(folder)
    write_private(folder / "tls.key", _pem(key))
    replace_file(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))
    if folder.resolve() != authority.resolve():
        replace_file(folder / "ca.crt", ca.public_bytes(serialization.Encoding.PEM))


def _load(authority: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read the certificate authority in {authority}: {error}",
            hint="lotkeeper-central init makes it; restore it from the backup",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{authority / 'ca.key'} is no key of a Lotkeeper authority")
    return key, certificate


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
