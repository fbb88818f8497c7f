"""How a line PC that makes its own keys is enrolled: a request file goes to central, a reply file comes back.

Neither file holds a secret. The request is signed by the new signing key itself, so nobody else can ask for it;
that it is the line PC's own is vouched for by the person who carries it and compares the key's id. The reply is
signed by central, so nothing of it can be changed on its way; that it is central's own key, which it names itself,
is vouched for by the person in the same way.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from records.certificates import ASKED, REQUEST, Tell, ask, forget, install, set_aside, unheard
from records.errors import ConfigurationError, Invalid, LotkeeperError, Refused
from records.files import make_folder, replace_file, sync_folder
from records.keys import Identity, IdentityFile, KeyRing, PublicKey, SigningKey, write_identity
from records.wire import CENTRAL, Document, Request, sign, unsign

KIND = "enrol"
REPLY_KIND = "enrolment"
REQUEST_FILE = "request.json"
SIGNING_ASKED = "signing.key.asked"
ASK_AGAIN = "make another request with: lotkeeper-edge identity request --new"


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


_ASKED = TypeAdapter(Asked)
_REPLY = TypeAdapter(Reply)
_SELF_SIGNED = TypeAdapter(dict[str, str])


def make_request(folder: Path, agent: str, now_us: int, *, new: bool = False, tell: Tell = unheard) -> Path:
    """Make a line PC's keys in its identity folder and the request that is carried to central.

    Keys that are there and were never answered are kept, so that a reply which is on its way still fits; with
    ``new`` they are made anew, and no such reply does. ``tell`` hears of keys that were there and are damaged:
    these are set aside, and others are made.

    Raises:
        Refused: the folder is of another agent, or has asked for another. OSError: it cannot be written.
    """
    make_folder(folder)
    if new:
        for name in (REQUEST_FILE, SIGNING_ASKED, REQUEST, ASKED):
            (folder / name).unlink(missing_ok=True)
    else:
        _check_owner(folder, agent)
    signing = asked_key(folder, tell=tell)
    csr = ask(folder, agent, tell=tell).decode()
    content = _ASKED.dump_python(Asked(agent, signing.public.hex(), csr))
    replace_file(folder / REQUEST_FILE, sign(Request(agent, KIND, now_us, content), signing))
    return folder / REQUEST_FILE


def _check_owner(folder: Path, agent: str) -> None:
    owner, what = None, ""
    with suppress(OSError, LotkeeperError):
        owner, what = Identity.open(folder).file.agent, "is the identity of"
    with suppress(OSError, LotkeeperError):
        owner, what = read_request_file((folder / REQUEST_FILE).read_bytes()).agent, "has asked to be"
    if owner is not None and owner != agent:
        raise Refused(
            f"{folder} {what} {owner}, not {agent}: nothing has changed",
            hint=f"correct --agent or --out; to ask for {agent} with new keys instead: --new",
        )


def asked_key(folder: Path, *, tell: Tell = unheard) -> SigningKey:
    """The signing key that central shall believe next; made at the first call, kept until it is in use.

    One that cannot be read is set aside, ``tell`` hears why, and another is made. Raises OSError.
    """
    path = folder / SIGNING_ASKED
    if path.exists():
        try:
            return SigningKey.load(path)
        except ConfigurationError as error:
            tell(f"{error.message}: set aside as {set_aside(path).name}, and another was made")
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


def encode_reply(reply: Reply, key: SigningKey, now_us: int) -> bytes:
    """The file, signed by central's key, which is among those that the reply names."""
    content = _REPLY.dump_python(reply, mode="json")
    return sign(Document(REPLY_KIND, reply.identity.agent, now_us, now_us, content), key)


def read_reply(payload: bytes, now_us: int) -> Reply:
    """Central's answer, as it was made.

    Raises:
        Invalid: no such file, or it is not what was signed.
    """
    try:
        body = TypeAdapter(Document).validate_json(_SELF_SIGNED.validate_json(payload)["body"])
        if body.kind != REPLY_KIND:
            raise ValueError(body.kind)
        reply = _REPLY.validate_python(body.content)
        unsign(Document, payload, KeyRing(reply.identity.central_keys), CENTRAL, at_us=now_us)
    except (ValidationError, ValueError, KeyError) as error:
        raise Invalid(
            "this is no reply of central's", hint="lotkeeper-central enrol --request makes it"
        ) from error
    except LotkeeperError as error:
        raise Invalid(
            f"the reply is not signed by a key that it names: {error.message}",
            hint="it was changed on its way; have it made again: lotkeeper-central enrol --request",
        ) from error
    return reply


def accept(folder: Path, payload: bytes, now_us: int) -> Identity:
    """Take central's answer into the folder that asked; the identity, complete but for what the plant must sign.

    Raises:
        Invalid: no reply, or a certificate that does not fit. ConfigurationError: the folder asked for nothing.
    """
    reply = read_reply(payload, now_us)
    asked = folder / REQUEST_FILE
    if not asked.exists():
        raise ConfigurationError(
            f"{folder} has asked for nothing", hint="make a request with: lotkeeper-edge identity request"
        )
    request = read_request_file(asked.read_bytes())
    agent, waiting = request.agent, folder / SIGNING_ASKED
    if agent != reply.identity.agent:
        raise Invalid(f"the reply is for {reply.identity.agent}, this folder asked for {agent}")
    _check_waiting(waiting, request)
    if reply.certificate is not None and reply.ca is not None:
        install(folder, reply.certificate.encode(), reply.ca.encode(), now_us, agent)
    if reply.mode is not None:
        replace_file(folder / "mode.json", reply.mode.encode())
    write_identity(folder, replace(reply.identity, signing_since_us=now_us))
    if waiting.exists():
        waiting.replace(folder / "signing.key")
        sync_folder(folder)
    forget(waiting)
    asked.unlink()
    return Identity.open(folder)


def _check_waiting(waiting: Path, request: Asked) -> None:
    """Raises Invalid: the signing key that waits is not the one that central was shown."""
    try:
        key = SigningKey.load(waiting) if waiting.exists() else None
    except ConfigurationError as error:
        raise Invalid(error.message, hint=ASK_AGAIN) from error
    if key is not None and key.public.hex() != request.public:
        raise Invalid(f"{waiting} is not the key that was asked for", hint=ASK_AGAIN)


def accept_certificate(folder: Path, certificate: bytes, ca: bytes | None, now_us: int) -> Identity:
    """Take a certificate that the plant's authority signed into an identity folder.

    Raises:
        Invalid: it does not fit, and nothing has changed. ConfigurationError: no identity there.
    """
    identity = Identity.open(folder)
    install(folder, certificate, ca, now_us, identity.file.agent)
    write_identity(folder, replace(identity.file, authority="plant"))
    return Identity.open(folder)
