"""TLS certificates as files: keys made here, what is asked of an authority, and whether a pair can be used.

A folder holds ``tls.key``, ``tls.crt`` (the certificate, then those between it and the authority) and ``ca.crt``.
They only open connections; what vouches for content are the signing keys (``records.keys``).

A pair is replaced so that a process killed at any moment leaves one that works: both new files lie beside the old
ones before either takes its place, and ``finish_pair`` ends what was begun.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes, PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from records.clock import iso_z, to_us
from records.errors import Invalid, LotkeeperError
from records.files import make_folder, replace_file, replace_private, sync_folder
from records.trouble import Trouble

KEY, CERTIFICATE, AUTHORITY, REQUEST = "tls.key", "tls.crt", "ca.crt", "tls.csr"
ASKED = "tls.key.asked"
ASIDE = ".aside"
"""Ends the name of what waited for an answer and was of no use any more."""
NEXT = ".next"
LEAST_RSA_BITS = 2048
LONGEST_CHAIN = 5
DAY_US = 86_400 * 1_000_000
RENEW_FROM_US = 30 * DAY_US
"""A certificate is renewed when less than a third of its time is left, and in any case so long before its end."""


Tell = Callable[[str], None]
"""Hears, in words for a person, what was done beside what was asked for."""

_FILE_TROUBLES = {errno.ENOENT: "no-such-file", errno.EACCES: "no-right-to-file"}


def unheard(_what: str) -> None:
    """Nobody does."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of a certificate. ``serial``, ``fingerprint`` (SHA-256): hexadecimal; ``hosts``: as written."""

    name: str
    issuer: str
    serial: str
    fingerprint: str
    since_us: int
    until_us: int
    hosts: tuple[str, ...]

    @property
    def renew_us(self) -> int:
        """When it is time for another one."""
        span_us = self.until_us - self.since_us
        return self.until_us - max(span_us // 3, min(RENEW_FROM_US, span_us // 2))


def new_key_pem() -> bytes:
    """A new P-256 key, PEM, not encrypted."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request_pem(key_pem: bytes, name: str, hosts: Sequence[str] = ()) -> bytes:
    """A certificate signing request (PEM) for a common name, and for the hosts of a server."""
    key = _private(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name[:64]))
    if hosts:
        names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes, name: str) -> CertificateIssuerPublicKeyTypes:
    """The key that a request asks a certificate for, under exactly this common name.

    Raises:
        Invalid: no request, not signed by its own key, another name, or a weak key.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        whole = request.is_signature_valid
        names = _names(request.subject)
    except ValueError as error:
        raise Invalid("no certificate request in PEM, or a damaged one") from error
    if not whole:
        raise Invalid("the certificate request is not signed by the key that it holds")
    if names != [name]:
        raise Invalid(f"the certificate request is for {', '.join(names) or 'nobody'}, not for {name}")
    return _strong(request.public_key())


def same_key(request: bytes, certificate_pem: bytes) -> bool:
    """Whether a request and a certificate, both PEM, are for one key; False where either cannot be read."""
    try:
        asked = x509.load_pem_x509_csr(request).public_key()
        return _spki(asked) == _spki(read_certificates(certificate_pem)[0].public_key())
    except (ValueError, Invalid):
        return False


def is_renewed(held: bytes, offered: bytes) -> bool:
    """Whether ``offered`` is the authority of ``held``, by name and key, for longer; both PEM, and False where
    either cannot be read.
    """
    try:
        one, other = read_certificates(held)[0], read_certificates(offered)[0]
    except Invalid:
        return False
    same = one.subject == other.subject and _spki(one.public_key()) == _spki(other.public_key())
    return same and other.not_valid_after_utc > one.not_valid_after_utc


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM file, in its order.

    Raises:
        Invalid: it holds none, or one that cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Invalid.of(Trouble.of("no-certificate")) from error


def certificate_of(pem: bytes) -> Certificate:
    """The first certificate of a PEM file.

    Raises:
        Invalid: it holds none.
    """
    found = read_certificates(pem)[0]
    return Certificate(
        ", ".join(_names(found.subject)),
        found.issuer.rfc4514_string(),
        f"{found.serial_number:x}",
        found.fingerprint(hashes.SHA256()).hex(),
        to_us(found.not_valid_before_utc),
        to_us(found.not_valid_after_utc),
        _hosts(found),
    )


def check_pair(
    key_pem: bytes, certificate_pem: bytes, authority_pem: bytes, now_us: int, name: str, hosts: Sequence[str] = ()
) -> Certificate:
    """The certificate, when it and the key can be used: by a client of this name, or by a server of these hosts.

    Raises:
        Invalid: the first thing that is wrong: key, name, time, use, host, or the way to the authority.
    """
    return _check(_private(key_pem).public_key(), certificate_pem, authority_pem, now_us, name, hosts)


def check_signed(
    request: bytes, certificate_pem: bytes, authority_pem: bytes, now_us: int, name: str, hosts: Sequence[str] = ()
) -> Certificate:
    """As ``check_pair``, for the key of a request.

    Raises:
        Invalid: the request or the certificate.
    """
    return _check(read_request(request, name), certificate_pem, authority_pem, now_us, name, hosts)


def _check(
    key: object, certificate_pem: bytes, authority_pem: bytes, now_us: int, name: str, hosts: Sequence[str]
) -> Certificate:
    chain, roots = read_certificates(certificate_pem), read_certificates(authority_pem)
    leaf, told = chain[0], certificate_of(certificate_pem)
    if _spki(leaf.public_key()) != _spki(key):
        raise Invalid.of(Trouble.of("certificate-for-another-key"))
    if not hosts and told.name != name:
        raise Invalid.of(Trouble.of("certificate-of-another", seen=told.name or "empty", wanted=name))
    named = {host.lower() for host in told.hosts}
    missing = [host for host in hosts if host.lower() not in named]
    if missing:
        raise Invalid(f"the certificate does not name {', '.join(missing)} as a subject alternative name")
    _check_use(leaf, ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH)
    _strong(leaf.public_key())
    check_time(told, now_us)
    _check_chain(chain, roots, now_us)
    return told


def check_time(certificate: Certificate, now_us: int) -> None:
    """Raises Invalid when it is not valid now, which may be the clock's fault."""
    if now_us < certificate.since_us:
        early = Trouble.of("certificate-valid-from", name=certificate.name, day=_day(certificate.since_us))
        raise Invalid.of(early.hinted(Trouble.of("check-clock")))
    if now_us >= certificate.until_us:
        raise Invalid.of(Trouble.of("certificate-ended", name=certificate.name, day=_day(certificate.until_us)))


# -- files -------------------------------------------------------------------------------------------------


def look_at_files(folder: Path) -> Certificate:
    """The certificate in use, when it, its key and the authority's can be read and belong together.

    Of times, names and who signed nothing is said: of those ``check_pair`` and the other side judge.

    Raises:
        Invalid: names each file that is missing, cannot be read or holds something else.
    """
    held: dict[str, bytes] = {}
    wrong: list[Trouble] = []
    cause: Exception | None = None
    for name, read in ((AUTHORITY, read_certificates), (CERTIFICATE, read_certificates), (KEY, _public_of)):
        try:
            held[name] = (folder / name).read_bytes()
            read(held[name])
        except OSError as error:
            cause = cause or error
            waits = name == CERTIFICATE and (folder / REQUEST).exists() and not (folder / name).exists()
            request = Trouble.of("request-waits", file=str(folder / REQUEST))
            wrong.append(request if waits else trouble_of_file(folder / name, error))
        except Invalid as error:
            wrong.append(trouble_of_file(folder / name, error))
    if wrong:
        both = reduce(lambda first, second: Trouble.of("both", first=first, second=second), wrong)
        raise Invalid.of(both) from cause
    certificate = read_certificates(held[CERTIFICATE])[0]
    if certificate.public_key() != _public_of(held[KEY]):
        key, certificate_file = str(folder / KEY), str(folder / CERTIFICATE)
        raise Invalid.of(Trouble.of("key-of-another", key=key, certificate=certificate_file))
    return certificate_of(held[CERTIFICATE])


def trouble_of_file(path: Path, error: OSError | LotkeeperError) -> Trouble:
    """What is wrong with a file of an identity: it cannot be read, or holds something else."""
    if isinstance(error, LotkeeperError):
        why = error.trouble or Trouble.of("as-said", said=error.message)
    else:
        code = _FILE_TROUBLES.get(error.errno or 0)
        why = Trouble.of("as-said", said=error.strerror or str(error)) if code is None else Trouble.of(code)
    return Trouble.of("file-wrong", file=str(path), why=why)


def ask(folder: Path, name: str, hosts: Sequence[str] = (), *, tell: Tell = unheard) -> bytes:
    """A request (PEM) for a new certificate, also left as ``tls.csr``; asked again it is the same one.

    The key that it is for waits beside it. What the folder holds stays in use until ``install``. Where the two do
    not belong together no answer would ever fit: they are set aside, ``tell`` hears why, and others are made.

    Raises:
        OSError: the folder cannot be written.
    """
    make_folder(folder)
    key, request = folder / ASKED, folder / REQUEST
    asks_for = name if not hosts else hosts[0]
    if key.exists() and request.exists():
        try:
            return _waiting(key, request, asks_for[:64] if hosts else asks_for)
        except Invalid as error:
            aside = set_aside(request), set_aside(key)
            tell(f"{error.message}: set aside as {' and '.join(path.name for path in aside)}, and asked anew")
    fresh = new_key_pem()
    request.unlink(missing_ok=True)  # so that no request stands beside another key
    replace_private(key, fresh)
    pem = request_pem(fresh, asks_for, hosts)
    replace_file(request, pem)
    return pem


def _waiting(key: Path, request: Path, name: str) -> bytes:
    """The request, when the key is its own. Raises Invalid: either cannot be read, or they are of two keys."""
    pem = _read(request)
    asked = read_request(pem, name)
    try:
        held = _spki(_public_of(_read(key)))
    except Invalid as error:
        raise Invalid(f"{key}: {error.message}") from error
    if held != _spki(asked):
        raise Invalid(f"{key} is not the key of {request}")
    return pem


def set_aside(path: Path) -> Path:
    """Give a file another name, in the place of what was set aside before; its new path. Raises OSError."""
    aside = path.with_name(path.name + ASIDE)
    path.replace(aside)
    sync_folder(path.parent)
    return aside


def forget(*waited: Path) -> None:
    """What waited for an answer has it: take it away, and what was set aside in its place before."""
    for path in waited:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ASIDE).unlink(missing_ok=True)


def install(
    folder: Path,
    certificate_pem: bytes,
    authority_pem: bytes | None,
    now_us: int,
    name: str,
    hosts: Sequence[str] = (),
) -> Certificate:
    """Take the certificate that was asked for into use, with its key. ``authority_pem`` None: as it is.

    Raises:
        Invalid: it does not fit (``check_pair``), and nothing has changed. OSError: the folder cannot be written.
    """
    waiting, present = folder / ASKED, folder / KEY
    authority = authority_pem if authority_pem is not None else _read(folder / AUTHORITY)
    keys = [_read(path) for path in (waiting, present) if path.exists()]
    if not keys:
        raise Invalid(f"{folder} holds no key: nothing was asked for from here")
    wanted = _spki(read_certificates(certificate_pem)[0].public_key())
    key = next((each for each in keys if _is_for(each, wanted)), keys[0])
    found = check_pair(key, certificate_pem, authority, now_us, name, hosts)
    if authority_pem is not None:
        replace_file(folder / AUTHORITY, authority_pem)
    write_pair(folder, key, certificate_pem)
    forget(waiting, folder / REQUEST)
    return found


def write_pair(folder: Path, key_pem: bytes, certificate_pem: bytes) -> None:
    """Put a new key and certificate in the place of the old ones."""
    replace_private(folder / (KEY + NEXT), key_pem)
    replace_file(folder / (CERTIFICATE + NEXT), certificate_pem)
    finish_pair(folder)


def finish_pair(folder: Path) -> None:
    """End what ``write_pair`` began before the process was killed, or take it back."""
    key, certificate = folder / (KEY + NEXT), folder / (CERTIFICATE + NEXT)
    if not certificate.exists():
        key.unlink(missing_ok=True)  # without its certificate it is of no use
        return
    if key.exists():
        key.replace(folder / KEY)
        sync_folder(folder)  # so that no power cut leaves the certificate's new name alone
    certificate.replace(folder / CERTIFICATE)
    sync_folder(folder)


# -- within ------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from error


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def general_name(host: str) -> x509.GeneralName:
    """An address as an address, anything else as a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    key = _any_private(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Invalid.of(Trouble.of("weak-private-key"))
    return key


def _public_of(pem: bytes) -> object:
    return _any_private(pem).public_key()


def _is_for(key_pem: bytes, wanted: bytes) -> bool:
    try:
        return _spki(_public_of(key_pem)) == wanted
    except Invalid:
        return False


def _any_private(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid.of(Trouble.of("no-private-key")) from error


def _strong(key: object) -> CertificateIssuerPublicKeyTypes:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    raise Invalid.of(Trouble.of("weak-key", bits=LEAST_RSA_BITS))


def _spki(key: object) -> bytes:
    return _strong(key).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _names(subject: x509.Name) -> list[str]:
    return [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _hosts(found: x509.Certificate) -> tuple[str, ...]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _check_use(leaf: x509.Certificate, wanted: x509.ObjectIdentifier) -> None:
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return  # for any use
    if wanted not in uses:
        kind = Trouble.of("by-server" if wanted == ExtendedKeyUsageOID.SERVER_AUTH else "by-client")
        raise Invalid.of(Trouble.of("certificate-lacks-use", kind=kind))


def _check_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now_us: int) -> None:
    """From the first certificate to one of the authority's, each signed by the next, each valid now."""
    current = chain[0]
    for _ in range(LONGEST_CHAIN):
        anchored = next((root for root in roots if _signed(current, root)), None)
        issuer = anchored or next((each for each in chain[1:] if _signed(current, each)), None)
        if issuer is None:
            break
        if not (to_us(issuer.not_valid_before_utc) <= now_us < to_us(issuer.not_valid_after_utc)):
            raise Invalid.of(Trouble.of("authority-ended", name=issuer.subject.rfc4514_string()))
        if anchored is not None:
            return
        current = issuer
    told = Trouble.of("not-signed-by-authority", name=current.subject.rfc4514_string())
    raise Invalid.of(told.hinted(Trouble.of("put-between", issuer=current.issuer.rfc4514_string())))


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _day(at_us: int) -> str:
    return (iso_z(at_us) or "")[:10]
