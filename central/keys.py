"""Central's own keys: what it signs with, and which of its keys are believed.

A folder, made once by ``init``::

    central.key       Ed25519 private key (mode 0600): watermarks, documents, anchors
    central.json      central's public keys, the present and former ones, each with its validity
    announced.json    the document that tells of the present key, signed by the one before it
    ca.key ca.crt     central's own certificate authority (``central.authority``)
    tls.key tls.crt   central's certificate at the broker

A new key is prepared beside the old one, told of in the database, announced, and only then in force. The database
telling of it is the moment: of a process that was killed before, the next start takes the change back; after, it
ends it, since agents may have heard of the new key, and until when the old one is good.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from records.clock import iso_z
from records.errors import ConfigurationError, Refused
from records.files import make_folder, replace_file, sync_folder
from records.keys import OVERLAP_US, KeyRing, PublicKey, SigningKey
from records.wire import CENTRAL, Document, sign

_KEYS = TypeAdapter(tuple[PublicKey, ...])
WAS_AHEAD = (
    "that is still to come: this clock was ahead then, or is behind now. Set it right; if it was ahead, and every "
    "agent has connected since that change, change the key again with --clock-was-ahead"
)
PRESENT, NEXT, PUBLIC, ANNOUNCED = "central.key", "central.key.next", "central.json", "announced.json"


class CentralKeys:
    """The keys folder, opened. Keys may change while central runs: ask anew for each use."""

    def __init__(self, folder: Path, signing: SigningKey, public: tuple[PublicKey, ...]) -> None:
        self.folder = folder
        self.signing = signing
        self.public = public
        self.ring = KeyRing(public)
        """Central's present and former keys; everybody who verifies holds this very ring."""

    @classmethod
    def create(cls, folder: Path, now_us: int) -> CentralKeys:
        """Make central's first key.

        Raises:
            Refused: there is one already; another would make every signature worthless.
        """
        if (folder / PRESENT).exists():
            raise Refused(f"{folder} holds central's keys already", hint="keep them; they cannot be made again")
        make_folder(folder)
        signing = SigningKey.generate()
        keys = (PublicKey(CENTRAL, signing.public.hex(), now_us),)
        replace_file(folder / PUBLIC, _KEYS.dump_json(keys, indent=1))
        signing.save(folder / PRESENT)
        return cls(folder, signing, keys)

    @classmethod
    def open(cls, folder: Path) -> CentralKeys:
        """Read the folder.

        Raises:
            ConfigurationError: a file is missing or damaged; names it.
        """
        public = public_keys(folder)
        signing = SigningKey.load(folder / PRESENT)
        if signing.id not in {key.id for key in public}:
            raise ConfigurationError(
                f"{folder / PRESENT} is not a key of {folder / PUBLIC}",
                hint="restore both files from the same backup",
            )
        return cls(folder, signing, public)

    def settle(self, told: Document | None) -> None:
        """End or take back a change that a crash left; for who alone may write there, before anything is signed.

        ``told``: the newest document of central's keys in the database.
        """
        left = self.folder / NEXT
        if not left.exists():
            return
        fresh = SigningKey.load(left)
        public = () if told is None else announced(told)
        if fresh.id in {key.id for key in self.public}:
            left.replace(self.folder / PRESENT)
            self.signing = fresh
        elif told is not None and fresh.id in {key.id for key in public}:
            self.change(fresh, public, told)
        else:
            left.unlink()
        sync_folder(self.folder)

    def follow(self) -> None:
        """Take over what another process has changed in the folder; nothing, while it is at it.

        Raises:
            ConfigurationError: a file is missing or damaged; names it.
        """
        public = public_keys(self.folder)
        signing = SigningKey.load(self.folder / PRESENT)
        if signing.id in {key.id for key in public}:
            self.signing, self.public = signing, public
            self.ring.replace(public)

    def announcement(self) -> bytes | None:
        """The signed document that tells agents of the present key; None while it is the first one."""
        path = self.folder / ANNOUNCED
        return path.read_bytes() if path.exists() else None

    def prepare(self, now_us: int, *, clock_was_ahead: bool = False) -> tuple[SigningKey, tuple[PublicKey, ...]]:
        """A new key, and the public keys that will be believed with it; nothing is in force yet.

        ``clock_was_ahead``: also where the last change bears a time that has not come, by a clock that was wrong.
        No key before it is believed for longer than from a change today, then.

        Raises:
            Refused: the last change is less than 30 days ago: agents that were away could not follow two.
        """
        present = next(key for key in self.public if key.id == self.signing.id)
        before_us = max((key.until_us for key in self.public if key.until_us is not None), default=0)
        ahead = len(self.public) > 1 and present.since_us > now_us
        if now_us < before_us and not (ahead and clock_was_ahead):
            hint = "wait until the one before it is not believed any more, 30 days after the change"
            raise Refused(
                f"central's key was changed on {iso_z(present.since_us)}", hint=WAS_AHEAD if ahead else hint
            )
        fresh = SigningKey.generate()
        fresh.save(self.folder / NEXT)
        until_us = now_us + OVERLAP_US
        former = tuple(replace(key, until_us=min(key.until_us or until_us, until_us)) for key in self.public)
        return fresh, (*former, PublicKey(CENTRAL, fresh.public.hex(), now_us))

    def change(self, fresh: SigningKey, public: tuple[PublicKey, ...], document: Document) -> None:
        """Announce what was prepared, signed by the key so far, and sign with the new one from now on."""
        replace_file(self.folder / ANNOUNCED, sign(document, self.signing))
        replace_file(self.folder / PUBLIC, _KEYS.dump_json(public, indent=1))
        (self.folder / NEXT).replace(self.folder / PRESENT)
        sync_folder(self.folder)
        self.signing, self.public = fresh, public
        self.ring.replace(public)


def as_content(keys: tuple[PublicKey, ...]) -> JsonValue:
    """The content of the document that announces keys."""
    told: JsonValue = _KEYS.dump_python(keys, mode="json")
    return {"keys": told}


def announced(document: Document) -> tuple[PublicKey, ...]:
    """The keys that such a document tells of."""
    content = document.content
    return _KEYS.validate_python(content["keys"] if isinstance(content, dict) else [])


def public_keys(folder: Path) -> tuple[PublicKey, ...]:
    """Central's public keys alone: all that verifying needs.

    Raises:
        ConfigurationError: the file is missing or damaged.
    """
    path = folder / PUBLIC
    try:
        return _KEYS.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read central's keys {path}: {error.strerror}", hint="make them with: lotkeeper-central init"
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} is damaged: {error.errors()[0]['msg']}") from error
