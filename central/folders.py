"""The folders that are carried to line PCs and to the broker: keys, certificates, and what belongs beside them.

Central's own authority signs at once. With the plant's authority it takes two steps: the first leaves a request
(``tls.csr``) in a folder that is not complete, the second brings what was signed. A private key never leaves the
folder that it was made in. A line PC can also make its keys itself (``records.enrolment``): then only ``reply``
leaves central.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from central.authority import authority_pem, issue_client, issue_server, sign_request
from central.broker import Broker, broker_configuration, password_line
from central.keys import CentralKeys
from central.store.configurations import OPEN, mode_of
from records.certificates import AUTHORITY, CERTIFICATE, KEY, Tell, ask, check_signed, install, unheard
from records.enrolment import Asked, Reply
from records.errors import ConfigurationError
from records.files import make_folder, replace_file
from records.keys import Identity, IdentityFile, SigningKey, write_identity
from records.wire import CENTRAL, Document, sign

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DOCUMENT = TypeAdapter(Document)


@dataclass(frozen=True, slots=True)
class Signed:
    """What the plant's authority gave: a certificate (perhaps with those above it) and its own, both PEM."""

    certificate: bytes
    authority: bytes


@dataclass(frozen=True, slots=True)
class MadeIdentity:
    """A new identity folder. ``password_line`` belongs into mosquitto's password file; None without password.

    ``certificate`` (PEM) None: the plant's authority has to sign ``tls.csr`` first.
    """

    agent: str
    partition: str
    public: str
    folder: Path
    certificate: bytes | None
    password_line: str | None


def check_name(name: str, what: str = "agent") -> str:
    """The name itself.

    Raises:
        ConfigurationError: it cannot be one.
    """
    if not _NAME.fullmatch(name) or name == CENTRAL:
        raise ConfigurationError(
            f"{name!r} cannot be the name of an {what}",
            hint="lower-case letters, digits and dashes, at most 63, beginning with a letter or digit",
        )
    return name


# -- an agent's ---------------------------------------------------------------------------------------------


def make_identity(
    keys: CentralKeys,
    agent: str,
    folder: Path,
    now_us: int,
    *,
    partition: str = "p0",
    secret: str | None = None,
    plant: bool = False,
    tell: Tell = unheard,
) -> MadeIdentity:
    """Write an identity folder: signing key, TLS key and certificate, central's keys, perhaps a broker password.

    ``plant``: another authority signs; the folder gets a request in the place of a certificate, and ``tell`` hears
    of one that was there and is of no use.

    Raises:
        ConfigurationError: the name cannot be one, or the authority is missing.
    """
    check_name(agent)
    check_name(partition, "partition")
    make_folder(folder)
    if plant:
        ask(folder, agent, tell=tell)
    else:
        issue_client(keys.folder, folder, agent, now_us)
    signing = SigningKey.generate()
    user = None if secret is None else agent
    file = IdentityFile(agent, partition, keys.public, user, "plant" if plant else "own", now_us)
    Identity.write(folder, file, signing, secret)
    return MadeIdentity(
        agent,
        partition,
        signing.public.hex(),
        folder,
        None if plant else (folder / CERTIFICATE).read_bytes(),
        None if secret is None else password_line(agent, secret),
    )


def complete_identity(folder: Path, agent: str, signed: Signed, now_us: int) -> None:
    """Put what the plant's authority signed into an agent's folder.

    Raises:
        Invalid: it does not fit, and nothing has changed. ConfigurationError: it is another agent's folder.
    """
    identity = Identity.open(folder)
    if identity.file.agent != agent:
        raise ConfigurationError(f"{folder} is the identity of {identity.file.agent}, not of {agent}")
    install(folder, signed.certificate, signed.authority, now_us, agent)
    write_identity(folder, replace(identity.file, authority="plant"))


def write_mode(keys: CentralKeys, folder: Path, registered: JsonValue) -> str:
    """Put central's signed word on how the agent is to work into its identity folder; the mode.

    ``registered`` is what the registration answered.
    """
    mode, payload = _told_mode(keys, registered)
    if payload is None:
        (folder / "mode.json").unlink(missing_ok=True)
    else:
        replace_file(folder / "mode.json", payload)
    return mode


def _told_mode(keys: CentralKeys, registered: JsonValue) -> tuple[str, bytes | None]:
    told = registered.get("mode") if isinstance(registered, dict) else None
    if told is None:
        return OPEN, None
    document = _DOCUMENT.validate_python(told)
    return mode_of(document) or OPEN, sign(document, keys.signing)


# -- one that makes its keys itself -------------------------------------------------------------------------


def certify(keys: CentralKeys, asked: Asked, signed: Signed | None, now_us: int) -> bytes:
    """The certificate (PEM) that a line PC asked for: signed here, or by the plant's authority before.

    Raises:
        Invalid: the request, or a certificate that does not fit it. ConfigurationError: no authority.
    """
    if signed is None:
        return sign_request(keys.folder, asked.csr.encode(), asked.agent, now_us)
    check_signed(asked.csr.encode(), signed.certificate, signed.authority, now_us, asked.agent)
    return signed.certificate


def reply(
    keys: CentralKeys,
    asked: Asked,
    partition: str,
    certificate: bytes,
    signed: Signed | None,
    registered: JsonValue,
) -> Reply:
    """What the line PC takes with ``identity accept``."""
    payload = _told_mode(keys, registered)[1]
    file = IdentityFile(asked.agent, partition, keys.public, None, "own" if signed is None else "plant")
    authority = authority_pem(keys.folder) if signed is None else signed.authority
    return Reply(file, certificate.decode(), authority.decode(), None if payload is None else payload.decode())


# -- the broker's and central's own -------------------------------------------------------------------------


def make_broker(
    keys: CentralKeys,
    hosts: Sequence[str],
    folder: Path,
    port: int,
    now_us: int,
    *,
    plant: bool = False,
    tell: Tell = unheard,
) -> list[Path]:
    """Write what a mosquitto with mutual TLS needs but for the lists (``BrokerFiles``); the files.

    ``plant``, ``tell``: as of an identity.
    """
    make_folder(folder)
    if plant:
        ask(folder, hosts[0], hosts, tell=tell)
    else:
        issue_server(keys.folder, folder, list(hosts), now_us)
    place = folder.resolve()
    text = broker_configuration(Broker(port, place, place, revocation=not plant))
    replace_file(folder / "mosquitto.conf", text.encode())
    names = ["tls.csr"] if plant else [KEY, CERTIFICATE, AUTHORITY]
    return [folder / name for name in (*names, "mosquitto.conf")]


def make_client(
    keys: CentralKeys, folder: Path, now_us: int, *, plant: bool = False, tell: Tell = unheard
) -> list[Path]:
    """Central's own certificate at the broker, made anew; the files."""
    if plant:
        ask(folder, CENTRAL, tell=tell)
        return [folder / "tls.csr"]
    issue_client(keys.folder, folder, CENTRAL, now_us)
    return [folder / KEY, folder / CERTIFICATE]


def complete(folder: Path, signed: Signed, now_us: int, name: str, hosts: Sequence[str] = ()) -> None:
    """Put what the plant's authority signed into the broker's or central's folder.

    Raises:
        Invalid: it does not fit, and nothing has changed. ConfigurationError: it would hide the own authority.
    """
    if (folder / "ca.key").exists():
        raise ConfigurationError(
            f"{folder} is the folder of central's own authority",
            hint="take another one, and name its files in central.yaml: broker: {ca, certificate, key}",
        )
    install(folder, signed.certificate, signed.authority, now_us, name, hosts)
