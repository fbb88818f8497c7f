"""Signing keys: who vouches for a frame, a watermark or a document.

Every agent and central hold one Ed25519 signing key, apart from any TLS key. A key's id is the first 16
hexadecimal digits of SHA-256 over its 32 public bytes and is part of every signature. A ``KeyRing`` holds the
public keys that are believed, each with its owner and validity; verification fails closed.

An agent's identity folder (made by ``enrol``)::

    identity.json      agent, partition, central's public keys, user name at the broker
    signing.key        Ed25519 private key, PEM (mode 0600)
    tls.key tls.crt    key and certificate for mutual TLS (absent where the broker is on loopback)
    tls.csr            what is asked of the plant's authority, while tls.crt is not there yet
    ca.crt             the certificate authority that signed broker and agents
    broker.password    password at the broker, where it asks for one (mode 0600)
    mode.json          central's signed word on how the agent is to work, where it was given one (records.wire)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, TypeAdapter, ValidationError

from records.certificates import finish_pair
from records.chain import fields
from records.errors import ConfigurationError, Damaged, Invalid
from records.files import make_folder, replace_file, replace_private
from records.trouble import Trouble

PROOF_DOMAIN = "lotkeeper/1/new-key"
OVERLAP_US = 30 * 86_400 * 1_000_000
"""How long a replaced key is still believed (30 days)."""


def key_id(public: bytes) -> str:
    """The id of a raw 32-byte Ed25519 public key."""
    return hashlib.sha256(public).hexdigest()[:16]


class SigningKey:
    """A private key that never leaves its process except as a PEM file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a PEM file.

        Raises:
            ConfigurationError: no such file, or no Ed25519 key in it.
        """
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"cannot read the signing key {path}: {error}", hint="run enrol again for this agent"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} holds no Ed25519 key", hint="run enrol again for this agent")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write a PEM file that only its owner can read."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, pem)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(message)


def write_private(path: Path, content: bytes) -> None:
    """Create or replace a file that only its owner can read."""
    replace_private(path, content)


Moment = Annotated[int, Field(ge=0, lt=2**53)]
"""UTC microseconds, to the year 2255: what every clock, calendar and database here can hold."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A believed key. ``until_us`` None: valid until replaced."""

    owner: str
    public: Annotated[str, Field(pattern=r"\A[0-9a-fA-F]{64}\z")]
    since_us: Moment = 0
    until_us: Moment | None = None

    @property
    def id(self) -> str:
        return key_id(bytes.fromhex(self.public))

    def ended(self, at_us: int) -> bool:
        return self.until_us is not None and at_us >= self.until_us


class KeyRing:
    """The public keys that are believed, by id."""

    def __init__(self, keys: Iterable[PublicKey] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    def add(self, key: PublicKey) -> None:
        self._keys[key.id] = key

    def replace(self, keys: Iterable[PublicKey]) -> None:
        """Believe these and no others."""
        self._keys = {key.id: key for key in keys}

    def keys(self) -> tuple[PublicKey, ...]:
        return tuple(self._keys.values())

    def verify(
        self, owner: str, signing_key_id: str, signature: bytes, message: bytes, *, at_us: int | None = None
    ) -> None:
        """Return quietly when ``owner`` signed ``message`` with a key valid at ``at_us`` (None: at any time).

        Only the end of a key's validity is looked at: nobody can have signed with it before it was made, so an
        earlier moment says that a clock is wrong, and must not make a whole plant disbelieve it.

        Raises:
            Damaged: unknown key, key of somebody else, key not valid then, or a wrong signature.
        """
        key = self._keys.get(signing_key_id)
        if key is None or key.owner != owner:
            unknown = Trouble.of("signature-by-unknown-key", key=signing_key_id, owner=owner)
            raise Damaged.of(unknown.hinted(Trouble.of("enrol-or-give-key")))
        if at_us is not None and key.ended(at_us):
            ended = Trouble.of("signature-by-ended-key", key=signing_key_id, owner=owner)
            raise Damaged.of(ended.hinted(Trouble.of("enrol-again")))
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public)).verify(signature, message)
        except InvalidSignature:
            raise Damaged.of(Trouble.of("signature-wrong", key=signing_key_id, owner=owner)) from None


def prove(agent: str, key: SigningKey) -> str:
    """What shows central that an agent holds a new key: its signature (hexadecimal) over name and key."""
    return key.sign(fields(PROOF_DOMAIN, agent, key.public)).hex()


def check_proof(agent: str, public: str, proof: str) -> None:
    """Return quietly when ``prove`` made the proof with this key.

    Raises:
        Invalid: it did not.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(proof), fields(PROOF_DOMAIN, agent, bytes.fromhex(public)))
    except (ValueError, InvalidSignature):
        raise Invalid(f"{agent} does not show that it holds the key that it offers") from None


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """The content of ``identity.json``.

    ``authority``: ``own``: central's own signs the agent's certificates and renews them when it asks; ``plant``:
    another one does, and a person brings them. ``signing_since_us``: how old the signing key is; 0: not known.
    """

    agent: str
    partition: str
    central_keys: tuple[PublicKey, ...]
    broker_user: str | None = None
    authority: Literal["own", "plant"] = "own"
    signing_since_us: Moment = 0


_IDENTITY = TypeAdapter(IdentityFile)


class Identity:
    """An agent's identity folder, opened. Its keys may change while the agent runs: ask anew for each use."""

    def __init__(self, folder: Path, file: IdentityFile, signing: SigningKey) -> None:
        self.folder = folder
        self.file = file
        self.signing = signing
        self.central = KeyRing(file.central_keys)
        """Central's keys; everybody who verifies holds this very ring."""

    @property
    def broker_password(self) -> str | None:
        """As the folder holds it now. Raises Invalid: it cannot be read."""
        path = self.folder / "broker.password"
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Invalid(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Invalid(f"{path}: not text") from error

    @property
    def mode(self) -> bytes | None:
        """Central's signed document of kind ``agent-mode`` as it was enrolled with, not verified."""
        path = self.folder / "mode.json"
        return path.read_bytes() if path.exists() else None

    @classmethod
    def open(cls, folder: Path) -> Identity:
        """Read the folder. A change that was begun before a crash is ended.

        Raises:
            ConfigurationError: a file is missing or damaged; names it.
        """
        file = read_identity(folder)
        with suppress(OSError):  # a folder that cannot be written: nothing was begun there
            finish_pair(folder)
        return cls(folder, file, SigningKey.load(folder / "signing.key"))

    @staticmethod
    def write(folder: Path, file: IdentityFile, signing: SigningKey, broker_password: str | None) -> None:
        """Make or replace identity.json, signing.key and broker.password; TLS files are written apart."""
        make_folder(folder)
        signing.save(folder / "signing.key")
        if broker_password is not None:
            write_private(folder / "broker.password", broker_password.encode())
        write_identity(folder, file)

    def believe(self, keys: Iterable[PublicKey]) -> None:
        """Take these for central's keys from now on, after the next start too.

        Raises:
            OSError: the folder cannot be written; they are believed until the agent ends.
        """
        self.file = replace(self._present(), central_keys=tuple(keys))
        self.central.replace(self.file.central_keys)
        write_identity(self.folder, self.file)

    def sign_with(self, key: SigningKey, since_us: int) -> None:
        """Sign with another key from now on. Raises OSError: the folder cannot be written."""
        key.save(self.folder / "signing.key")
        self.signing = key
        self.file = replace(self._present(), signing_since_us=since_us)
        write_identity(self.folder, self.file)

    def _present(self) -> IdentityFile:
        """What the folder says by now: a person may have changed it while the agent runs."""
        with suppress(ConfigurationError):
            present = read_identity(self.folder)
            if present.agent == self.file.agent:
                return present
        return self.file


def read_identity(folder: Path) -> IdentityFile:
    """``identity.json`` alone; nothing is changed.

    Raises:
        ConfigurationError: it is missing or damaged.
    """
    path = folder / "identity.json"
    try:
        return _IDENTITY.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"no identity in {folder}: {error.strerror}",
            hint="make it with: lotkeeper-central enrol AGENT --out FOLDER",
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} is damaged: {error.errors()[0]['msg']}", hint="enrol again") from error


def write_identity(folder: Path, file: IdentityFile) -> None:
    """Make or replace ``identity.json`` alone."""
    replace_file(folder / "identity.json", _IDENTITY.dump_json(file, indent=1))
