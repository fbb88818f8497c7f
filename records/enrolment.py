"""How a line PC that makes its own keys is enrolled: a request file goes to central, a reply file comes back.

Neither file holds a secret. The request is signed by the new signing key itself, so nobody else can ask for it;
that it is the line PC's own is vouched for by the person who carries it and compares the key's id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from records.certificates import REQUEST, ask, install
from records.errors import ConfigurationError, Invalid, LotkeeperError
from records.files import make_folder, replace_file, sync_folder
from records.keys import Identity, IdentityFile, KeyRing, PublicKey, SigningKey, write_identity
from records.wire import Request, sign, unsign

KIND = "enrol"
REQUEST_FILE = "request.json"
SIGNING_ASKED = "signing.key.asked"


@dataclass(frozen=True, slots=True)
class Asked:
    """``public``: of the new signing key, 64 hexadecimal digits; ``csr``: PEM."""

    agent: str
    public: str
    csr: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Central's answer. ``certificate`` None: the plant has not signed yet; ``mode``: a signed document."""

    identity: IdentityFile
    certificate: str | None = None
    ca: str | None = None
    mode: str | None = None
    lotkeeper: Literal["identity"] = "identity"


_ASKED = TypeAdapter(Asked)
_REPLY = TypeAdapter(Reply)
_SELF_SIGNED = TypeAdapter(dict[str, str])


def make_request(folder: Path, agent: str, now_us: int) -> Path:
    """Make a line PC's keys in its identity folder and the request that is carried to central.

    Keys that are there and were never answered are kept, so that a reply which is on its way still fits.

    Raises:
        OSError: the folder cannot be written.
    """
    make_folder(folder)
    signing = asked_key(folder)
    csr = ask(folder, agent).decode()
    content = _ASKED.dump_python(Asked(agent, signing.public.hex(), csr))
    replace_file(folder / REQUEST_FILE, sign(Request(agent, KIND, now_us, content), signing))
    return folder / REQUEST_FILE


def asked_key(folder: Path) -> SigningKey:
    """The signing key that central shall believe next; made at the first call, kept until it is in use."""
    path = folder / SIGNING_ASKED
    if path.exists():
        return SigningKey.load(path)
    signing = SigningKey.generate()
    signing.save(path)
    return signing


def read_request_file(payload: bytes) -> Asked:
    """What a line PC asks.

    Raises:
        Invalid: no such file, or it was not signed by the key that it names.
    """
    try:
        body = TypeAdapter(Request).validate_json(_SELF_SIGNED.validate_json(payload)["body"])
        asked = _ASKED.validate_python(body.content)
        ring = KeyRing([PublicKey(asked.agent, asked.public)])
        request = unsign(Request, payload, ring, asked.agent)
    except (ValidationError, ValueError, KeyError) as error:
        raise Invalid(
            "this is no request of a line PC", hint="lotkeeper-edge identity request makes one"
        ) from error
    except LotkeeperError as error:
        raise Invalid(f"the request is not signed by the key that it names: {error.message}") from error
    if (request.kind, request.agent) != (KIND, asked.agent):
        raise Invalid("this is a request for something else than enrolment")
    return asked


def encode_reply(reply: Reply) -> bytes:
    return _REPLY.dump_json(reply, indent=1)


def accept(folder: Path, payload: bytes, now_us: int) -> Identity:
    """Take central's answer into the folder that asked; the identity, complete but for what the plant must sign.

    Raises:
        Invalid: no reply, or a certificate that does not fit. ConfigurationError: the folder asked for nothing.
    """
    try:
        reply = _REPLY.validate_json(payload)
    except ValidationError as error:
        raise Invalid(
            "this is no reply of central's", hint="lotkeeper-central enrol --request makes it"
        ) from error
    asked = folder / REQUEST_FILE
    if not asked.exists():
        raise ConfigurationError(
            f"{folder} has asked for nothing", hint="make a request with: lotkeeper-edge identity request"
        )
    agent = read_request_file(asked.read_bytes()).agent
    if agent != reply.identity.agent:
        raise Invalid(f"the reply is for {reply.identity.agent}, this folder asked for {agent}")
    if reply.certificate is not None and reply.ca is not None:
        install(folder, reply.certificate.encode(), reply.ca.encode(), now_us, agent)
    if reply.mode is not None:
        replace_file(folder / "mode.json", reply.mode.encode())
    write_identity(folder, replace(reply.identity, signing_since_us=now_us))
    if (folder / SIGNING_ASKED).exists():
        (folder / SIGNING_ASKED).replace(folder / "signing.key")
        sync_folder(folder)
    asked.unlink()
    return Identity.open(folder)


def accept_certificate(folder: Path, certificate: bytes, ca: bytes | None, now_us: int) -> Identity:
    """Take a certificate that the plant's authority signed into an identity folder.

    Raises:
        Invalid: it does not fit, and nothing has changed. ConfigurationError: no identity there.
    """
    identity = Identity.open(folder)
    install(folder, certificate, ca, now_us, identity.file.agent)
    write_identity(folder, replace(identity.file, authority="plant"))
    return Identity.open(folder)


def waits_for_certificate(folder: Path) -> bool:
    """Whether a request of this folder has not been answered with a certificate."""
    return (folder / REQUEST).exists()
