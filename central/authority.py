"""Central's own small certificate authority: who may speak at the broker.

One P-256 key and a certificate of ten years in central's keys folder, which a person renews for the same key.
Central and the broker get certificates of five years from it, agents of two, which they renew by themselves. TLS
keys are apart from signing keys: these only open a connection. A plant with an authority of its own has that one
sign instead (``central.folders``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from records.certificates import (
    AUTHORITY,
    Certificate,
    certificate_of,
    check_time,
    common_name,
    general_name,
    new_key_pem,
    read_request,
    request_pem,
    write_pair,
)
from records.clock import from_us
from records.errors import ConfigurationError
from records.files import make_folder, replace_file, replace_private
from records.wire import CENTRAL

AUTHORITY_YEARS = 10
CENTRAL_YEARS = 5
AGENT_YEARS = 2
_YEAR = timedelta(days=365)
_EARLY = timedelta(hours=1)  # clocks of line PCs are seldom right


def create_authority(folder: Path, site: str, now_us: int) -> None:
    """Make ``ca.key`` and ``ca.crt``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Lotkeeper {site}"[:64])])
    make_folder(folder)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_private(folder / "ca.key", pem)
    replace_file(folder / AUTHORITY, _of_itself(key, name, now_us))


def renewed_authority(folder: Path, now_us: int) -> bytes:
    """Another certificate (PEM) of ten years for the same key and name; nothing is written.

    What the authority has signed and will sign is good under both, so nobody must change over at one moment.

    Raises:
        Invalid: the present one is not valid yet, by this clock. ConfigurationError: the authority is missing.
    """
    key, present = _load(folder)
    held = certificate_of(present.public_bytes(serialization.Encoding.PEM))
    if now_us < held.until_us:  # one that has ended is renewed, too
        check_time(held, now_us)
    return _of_itself(key, present.subject, now_us)


def _of_itself(key: ec.EllipticCurvePrivateKey, name: x509.Name, now_us: int) -> bytes:
    """The certificate (PEM) of an authority, signed by itself."""
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
    return certificate.public_bytes(serialization.Encoding.PEM)


def issue_client(authority: Path, folder: Path, name: str, now_us: int) -> Certificate:
    """Write ``tls.key``, ``tls.crt`` and ``ca.crt`` for an agent or central; the broker knows it by ``name``."""
    key = new_key_pem()
    years = CENTRAL_YEARS if name == CENTRAL else AGENT_YEARS
    signed = sign_request(authority, request_pem(key, name), name, now_us, years=years)
    return _write(authority, folder, key, signed)


def issue_server(authority: Path, folder: Path, hosts: Sequence[str], now_us: int) -> Certificate:
    """Write ``tls.key``, ``tls.crt`` and ``ca.crt`` for the broker, which is reached under these names."""
    key = new_key_pem()
    signed = sign_request(authority, request_pem(key, hosts[0]), hosts[0], now_us, hosts, years=CENTRAL_YEARS)
    return _write(authority, folder, key, signed)


def sign_request(
    authority: Path, request: bytes, name: str, now_us: int, hosts: Sequence[str] = (), *, years: int = AGENT_YEARS
) -> bytes:
    """A certificate (PEM) for the key of a request: a client's of this name, or a server's of these hosts.

    Of the request only its key is taken, after it was checked that it asks for this name.

    Raises:
        Invalid: the request. ConfigurationError: the authority is missing.
    """
    ca_key, ca = _load(authority)
    now, name = from_us(now_us), name[:64]  # more does not fit into a common name
    usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(ca.subject)
        .public_key(read_request(request, name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(min(now + years * _YEAR, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def revocation_list(authority: Path, revoked: Iterable[tuple[str, int]], now_us: int) -> bytes:
    """The list (PEM) of revoked certificates: serial (hexadecimal) and since when.

    It is valid as long as the authority: a broker whose list has ended lets nobody in at all.

    Raises:
        ConfigurationError: the authority is missing.
    """
    ca_key, ca = _load(authority)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(from_us(now_us) - _EARLY)
        .next_update(ca.not_valid_after_utc)
        .add_extension(x509.CRLNumber(now_us), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
    )
    for serial, at_us in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(from_us(at_us))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def listed_serials(authority: Path, pem: bytes) -> set[str] | None:
    """The serials of a revocation list of this authority; None when it is none of it, or ends before it."""
    try:
        found = x509.load_pem_x509_crl(pem)
    except ValueError:
        return None
    key, ca = _load(authority)
    if not found.is_signature_valid(key.public_key()) or found.next_update_utc != ca.not_valid_after_utc:
        return None
    return {f"{each.serial_number:x}" for each in found}


def authority_pem(authority: Path) -> bytes:
    """The authority's certificate.

    Raises:
        ConfigurationError: it is missing.
    """
    return _load(authority)[1].public_bytes(serialization.Encoding.PEM)


def _write(authority: Path, folder: Path, key: bytes, signed: bytes) -> Certificate:
    make_folder(folder)
    write_pair(folder, key, signed)
    if folder.resolve() != authority.resolve():
        replace_file(folder / AUTHORITY, authority_pem(authority))
    return certificate_of(signed)


def _load(authority: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    except (OSError, ValueError) as error:
        why = error if isinstance(error, OSError) else "ca.key or ca.crt is damaged"
        raise ConfigurationError(
            f"cannot read the certificate authority in {authority}: {why}",
            hint="lotkeeper-central init makes it; restore it from the backup",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{authority / 'ca.key'} is no key of a Lotkeeper authority")
    return key, certificate
