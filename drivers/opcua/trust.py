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

    def why_not(self, chain: tuple[x509.Certificate, ...], now: datetime) -> str | None:
        """Why this server is not trusted, None when it is."""
        path = [chain[0]]
        while path[-1] not in self.trusted:
            issuer = self._issuer(path[-1], chain[1:])
            if issuer is None or issuer in path or len(path) >= CHAIN_AT_MOST:
                return f"nothing in the trust list stands for it (issued by {path[-1].issuer.rfc4514_string()})"
            path.append(issuer)
        for certificate, issuer in pairwise(path):
            if self._revoked(certificate, issuer):
                return f"{named(certificate)} was revoked by {named(issuer)}"
            if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
                return f"its authority {named(issuer)} is not valid now"
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
            raise Refused(
                f"its certificate is {seen} ({named(leaf)}), not the {security.server_fingerprint} of the tag map",
                hint=f"another server answers, or it has a new certificate; if that is meant: {_line(seen)}",
            )
    elif security.trust_list is not None:
        why = TrustList.load(security.trust_list).why_not(chain, now)
        if why is not None:
            raise Refused(
                f"its certificate {seen} ({named(leaf)}) is not trusted: {why}",
                hint=f"compare it with the one at the server, then put it into {security.trust_list}",
            )
    else:
        until = leaf.not_valid_after_utc.date().isoformat()
        raise Refused(
            f"nothing says that its certificate is to be trusted: {seen} ({named(leaf)}, valid until {until})",
            hint=f"compare it with the one shown at the server, then write {_line(seen)}",
        )
    faults = dict(_faults(leaf, security, host, uri, now))
    for code, text in faults.items():
        if code not in security.accept:
            raise Refused(
                f"its certificate {seen} is not accepted: {text}",
                hint=f"give the server a right certificate, or write accept: [{', '.join(faults)}]",
            )
    return Judged(leaf, seen, tuple(faults.values()))


def _line(seen: str) -> str:
    return f'server_fingerprint: "{seen}"'


def _faults(
    leaf: x509.Certificate, security: OpcUaSecurity, host: str, uri: str | None, now: datetime
) -> Iterator[tuple[str, str]]:
    """What is wrong with a certificate that is trusted: code and text."""
    if now > leaf.not_valid_after_utc:
        yield "expired", f"it expired on {leaf.not_valid_after_utc.date().isoformat()}"
    elif now < leaf.not_valid_before_utc:
        yield (
            "expired",
            f"it is valid only from {leaf.not_valid_before_utc.date().isoformat()} (is our clock right?)",
        )
    own = application_uri(leaf)
    if own is None or own != uri:
        yield "application_uri", f"it is for the application {own}, the server calls itself {uri}"
    if security.server_fingerprint is None and not _is_for_host(leaf, host):
        yield "host_name", f"it is not for the host {host}"
    usage = _wrong_usage(leaf)
    if usage is not None:
        yield "key_usage", usage
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused("its certificate has no RSA key, which this policy needs")
    if security.policy not in ("Basic128Rsa15", "Basic256"):
        if key.key_size < RSA_BITS:
            yield "weak", f"its key has only {key.key_size} bits"
        elif isinstance(leaf.signature_hash_algorithm, _WEAK_HASHES):
            yield "weak", f"it is signed with {leaf.signature_hash_algorithm.name}"


def _wrong_usage(leaf: x509.Certificate) -> str | None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature and usage.key_encipherment):
            return "its key may not be used to sign and to encrypt keys"
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    return None if any(purpose in allowed for purpose in purposes) else "it is no certificate of a server"


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
