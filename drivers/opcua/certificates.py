"""Certificates of OPC UA applications: reading them, and making our own."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drivers.tags.opcua_security import CERTIFICATE, KEY
from records.clock import from_us
from records.errors import ConfigurationError, Refused
from records.files import make_folder, replace_file
from records.keys import write_private

PEM = "certificate.pem"
"""Our application certificate once more, for servers that want it so."""

CHAIN_AT_MOST = 8
RSA_BITS = 2048


def fingerprint(certificate: x509.Certificate) -> str:
    """``sha256:`` and the SHA-256 of the certificate's DER bytes."""
    return f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def named(certificate: x509.Certificate) -> str:
    """The certificate's subject, as people read it."""
    return certificate.subject.rfc4514_string() or "(no name)"


def application_uri(certificate: x509.Certificate) -> str | None:
    """The URI of the application that the certificate is for."""
    names = alternative_names(certificate)
    found = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    return found[0] if found else None


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses that the certificate is for."""
    names = alternative_names(certificate)
    if names is None:
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def split_chain(blob: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain, the application's own first.

    Raises:
        Refused: these bytes are no certificates.
    """
    found: list[x509.Certificate] = []
    left = blob
    while left and len(found) < CHAIN_AT_MOST:
        size = _der_size(left)
        try:
            found.append(x509.load_der_x509_certificate(left[:size]))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Refused(f"what it sends as its certificate is none ({error})") from None
        left = left[size:]
    if not found:
        raise Refused("it sends no certificate")
    return tuple(found)


def _der_size(data: bytes) -> int:
    """The whole size of the DER element at the beginning, all of it when that cannot be told."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + data[1] if len(data) > 1 else len(data)
    digits = data[1] & 0x7F
    return 2 + digits + int.from_bytes(data[2 : 2 + digits], "big")


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    """The other names that the certificate is for, None when it has none that can be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def read_file(path: Path, what: str) -> bytes:
    """The file's bytes; ``what`` it is, for the message.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{what} {path} cannot be read: {error.strerror}", hint="check the path and its rights"
        ) from None


def load_certificate(path: Path) -> x509.Certificate:
    """A certificate file, DER or PEM.

    Raises:
        ConfigurationError: it cannot be read or is none.
    """
    content = read_file(path, "the certificate")
    try:
        if content.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (ValueError, UnsupportedAlgorithm):  # their words send a reader to the FAQ of a library
        raise ConfigurationError(
            f"{path} is no certificate that can be read", hint="a DER or PEM file is needed"
        ) from None


@dataclass(frozen=True, slots=True)
class Own:
    """A certificate of ours with its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def load(cls, certificate: Path, private_key: Path) -> Own:
        """Read both files.

        Raises:
            ConfigurationError: one cannot be read, or they do not belong together.
        """
        if not certificate.exists() and not private_key.exists():
            hint = "make it with: lotkeeper-edge certificate create LINE.yaml"
            raise ConfigurationError(f"there is no certificate {certificate}", hint=hint)
        found = load_certificate(certificate)
        content = read_file(private_key, "the private key")
        load = (
            serialization.load_pem_private_key
            if content.lstrip().startswith(b"-----")
            else serialization.load_der_private_key
        )
        try:
            key = load(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(
                f"{private_key} is no private key", hint="a DER or PEM file without a password is needed"
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigurationError(f"{private_key} is no RSA key", hint="OPC UA's policies need RSA")
        if key.public_key() != found.public_key():
            raise ConfigurationError(f"{private_key} is not the key of {certificate}")
        return cls(found, key)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def uri_of(agent: str) -> str:
    """The application URI of an agent; it is unique in the plant, as its name is."""
    return f"urn:lotkeeper:{agent}"


def create(folder: Path, agent: str, hosts: tuple[str, ...], now_us: int, days: int) -> Own:
    """Make and write our application certificate (OPC 10000-6, 6.2.2): self-signed, RSA 2048, SHA-256.

    The private key can be read by its owner only. The caller asks first before something is replaced.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Lotkeeper {agent}"[:64])])
    now = from_us(now_us)
    alternative = [x509.UniformResourceIdentifier(uri_of(agent)), *map(_host_name, hosts)]
    own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(own_key, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    own = Own(builder.sign(key, hashes.SHA256()), key)
    make_folder(folder)
    pem = serialization.Encoding.PEM
    write_private(
        folder / KEY, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    replace_file(folder / CERTIFICATE, own.der)
    replace_file(folder / PEM, own.certificate.public_bytes(pem))
    return own


_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=True,
    data_encipherment=True,
    key_agreement=False,
    key_cert_sign=True,  # it signs itself
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host if host.isascii() else host.encode("idna").decode())
    except (ValueError, UnicodeError):
        raise ConfigurationError(f"{host!r} is no host name", hint="name it with --host") from None
