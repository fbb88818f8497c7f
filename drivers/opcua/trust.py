"""Whether an OPC UA server's certificate is to be trusted.

A server is judged as OPC 10000-4, 6.1.3 orders it. Who is trusted is said by the tag map alone: one fingerprint,
or a folder of certificates; nothing is ever trusted because it came first. What the standard lets an administrator
suppress (validity, host name, application URI, key usage, weak keys) is refused too unless it is named under
``accept``. A fingerprint names one certificate and so its server, whatever host name stands in it; in a trust list
the host name is what tells one trusted server from another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.opcua.certificates import (
    CHAIN_AT_MOST,
    RSA_BITS,
    alternative_names,
    application_uri,
    fingerprint,
    load_certificate,
    named,
    read_file,
    split_chain,
)
from drivers.tags.opcua_security import OpcUaSecurity
from records.clock import from_us
from records.errors import ConfigurationError, Refused
from records.trouble import Trouble

_CERTIFICATE_FILES = (".der", ".pem", ".crt", ".cer")
_TRUSTED, _ISSUERS = ("", "certs", "trusted", "trusted/certs"), ("issuers", "issuers/certs")
_CRLS = ("", "crl", "trusted/crl", "issuers/crl")
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True)
class TrustList:
    """A folder of trusted certificates: of servers, or of authorities that sign them.

    Certificates lie in the folder itself, in ``certs`` or in ``trusted/certs``; those in ``issuers/certs`` only
    complete a chain. Revocation lists (``.crl``) lie beside them or in the ``crl`` folders.
    """

    trusted: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...] = ()
    revocations: tuple[x509.CertificateRevocationList, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> TrustList:
        """Read the folder.

        Raises:
            ConfigurationError: there is no such folder, or a file in it is none of a certificate.
        """
        if not folder.is_dir():
            raise ConfigurationError(f"there is no trust list {folder}", hint="make the folder, with certificates")
        trusted = tuple(load_certificate(path) for path in _files(folder, _TRUSTED, _CERTIFICATE_FILES))
        issuers = tuple(load_certificate(path) for path in _files(folder, _ISSUERS, _CERTIFICATE_FILES))
        return cls(trusted, issuers, tuple(_load_crl(path) for path in _files(folder, _CRLS, (".crl",))))

    def why_not(self, chain: tuple[x509.Certificate, ...], now: datetime) -> Trouble | None:
        """Why this server is not trusted, None when it is."""
        path = [chain[0]]
        while path[-1] not in self.trusted:
            issuer = self._issuer(path[-1], chain[1:])
            if issuer is None or issuer in path or len(path) >= CHAIN_AT_MOST:
                return Trouble.of("not-in-trust-list", issuer=path[-1].issuer.rfc4514_string())
            path.append(issuer)
        for certificate, issuer in pairwise(path):
            if self._revoked(certificate, issuer):
                return Trouble.of("revoked", name=named(certificate), issuer=named(issuer))
            if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
                return Trouble.of("authority-not-valid", issuer=named(issuer))
        return None

    def _issuer(
        self, certificate: x509.Certificate, sent: tuple[x509.Certificate, ...]
    ) -> x509.Certificate | None:
        for candidate in (*self.trusted, *self.issuers, *sent):
            if candidate != certificate and _is_authority(candidate) and _issued(certificate, candidate):
                return candidate
        return None

    def _revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        return any(
            found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            for found in self.revocations
            if found.issuer == issuer.subject and found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A server's certificate that is trusted; ``accepted``: what is wrong with it all the same."""

    certificate: x509.Certificate
    fingerprint: str
    accepted: tuple[str, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def judge(blob: bytes, security: OpcUaSecurity, *, host: str, uri: str | None, now_us: int) -> Judged:
    """The server's certificate, judged.

    Args:
        blob: what the server sent, perhaps with its authorities behind.
        security: whom the tag map trusts.
        host: the host name or address that we connect to.
        uri: the application URI that the server says is its own.
        now_us: the time, UTC.

    Raises:
        Refused: it is not trusted; the message says why, the hint what to write to trust it.
        ConfigurationError: the trust list cannot be read.
    """
    chain = split_chain(blob)
    leaf, now = chain[0], from_us(now_us)
    seen = fingerprint(leaf)
    if security.server_fingerprint is not None:
        if seen != security.server_fingerprint:
            met = {"seen": seen, "name": named(leaf), "wanted": security.server_fingerprint}
            another = Trouble("another-certificate", met)
            raise Refused.of(another.hinted(Trouble.of("another-server", line=_line(seen))))
    elif security.trust_list is not None:
        why = TrustList.load(security.trust_list).why_not(chain, now)
        if why is not None:
            untrusted = Trouble.of("certificate-not-trusted", seen=seen, name=named(leaf), why=why)
            raise Refused.of(untrusted.hinted(Trouble.of("put-into-trust-list", folder=str(security.trust_list))))
    else:
        until = leaf.not_valid_after_utc.date().isoformat()
        unnamed = Trouble.of("certificate-not-named", seen=seen, name=named(leaf), until=until)
        raise Refused.of(unnamed.hinted(Trouble.of("name-certificate", line=_line(seen))))
    faults = dict(_faults(leaf, security, host, uri, now))
    for code, fault in faults.items():
        if code not in security.accept:
            faulty = Trouble.of("certificate-not-accepted", seen=seen, why=fault)
            raise Refused.of(faulty.hinted(Trouble.of("right-certificate", codes=", ".join(faults))))
    return Judged(leaf, seen, tuple(str(fault) for fault in faults.values()))


def _line(seen: str) -> str:
    return f'server_fingerprint: "{seen}"'


def _faults(
    leaf: x509.Certificate, security: OpcUaSecurity, host: str, uri: str | None, now: datetime
) -> Iterator[tuple[str, Trouble]]:
    """What is wrong with a certificate that is trusted: its code in the tag map's ``accept``, and what it is."""
    if now > leaf.not_valid_after_utc:
        yield "expired", Trouble.of("expired", day=leaf.not_valid_after_utc.date().isoformat())
    elif now < leaf.not_valid_before_utc:
        yield "expired", Trouble.of("not-valid-yet", day=leaf.not_valid_before_utc.date().isoformat())
    own = application_uri(leaf)
    if own is None or own != uri:
        yield "application_uri", Trouble.of("other-application", own=str(own), uri=str(uri))
    if security.server_fingerprint is None and not _is_for_host(leaf, host):
        yield "host_name", Trouble.of("other-host", host=host)
    usage = _wrong_usage(leaf)
    if usage is not None:
        yield "key_usage", usage
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused("its certificate has no RSA key, which this policy needs")
    if security.policy not in ("Basic128Rsa15", "Basic256"):
        if key.key_size < RSA_BITS:
            yield "weak", Trouble.of("short-key", bits=key.key_size)
        elif isinstance(leaf.signature_hash_algorithm, _WEAK_HASHES):
            yield "weak", Trouble.of("weak-signature", hash=leaf.signature_hash_algorithm.name)


def _wrong_usage(leaf: x509.Certificate) -> Trouble | None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature and usage.key_encipherment):
            return Trouble.of("key-may-not-sign")
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    return None if any(purpose in allowed for purpose in purposes) else Trouble.of("no-server-certificate")


def _is_for_host(leaf: x509.Certificate, host: str) -> bool:
    names = alternative_names(leaf)
    if names is None:
        return False
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() in (name.lower() for name in names.get_values_for_type(x509.DNSName))
    # some servers write an address as a DNS name
    return address in names.get_values_for_type(x509.IPAddress) or host in names.get_values_for_type(x509.DNSName)


def _is_authority(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        may_sign = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, ValueError):
        may_sign = True
    try:
        return may_sign and extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _files(folder: Path, below: tuple[str, ...], endings: tuple[str, ...]) -> list[Path]:
    return [
        path
        for name in below
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if path.is_file() and path.suffix.lower() in endings
    ]


def _load_crl(path: Path) -> x509.CertificateRevocationList:
    content = read_file(path, "the revocation list")
    try:
        if content.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_crl(content)
        return x509.load_der_x509_crl(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{path} is no revocation list that can be read", hint="a DER or PEM file is needed"
        ) from None
