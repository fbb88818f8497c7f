"""Central's own keys: what it signs with, and which of its keys are believed.

A folder, made once by ``init``::

    central.key     Ed25519 private key (mode 0600): watermarks, documents, anchors
    central.json    central's public keys, the present and former ones, each with its validity
    ca.key ca.crt   the plant's own certificate authority (``central.authority``)
    tls.key tls.crt central's certificate at the broker
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from records.errors import ConfigurationError, Refused
from records.files import make_folder, replace_file
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import CENTRAL

_KEYS = TypeAdapter(tuple[PublicKey, ...])


@dataclass(frozen=True, slots=True)
class CentralKeys:
    """The keys folder, opened."""

    folder: Path
    signing: SigningKey
    public: tuple[PublicKey, ...]

    @property
    def ring(self) -> KeyRing:
        """Central's present and former keys."""
        return KeyRing(self.public)

    @classmethod
    def create(cls, folder: Path, now_us: int) -> CentralKeys:
        """Make central's first key.

        Raises:
            Refused: there is one already; another would make every signature worthless.
        """
        if (folder / "central.key").exists():
            raise Refused(f"{folder} holds central's keys already", hint="keep them; they cannot be made again")
        make_folder(folder)
        signing = SigningKey.generate()
        keys = (PublicKey(CENTRAL, signing.public.hex(), now_us),)
        replace_file(folder / "central.json", _KEYS.dump_json(keys, indent=1))
        signing.save(folder / "central.key")
        return cls(folder, signing, keys)

    @classmethod
    def open(cls, folder: Path) -> CentralKeys:
        """Read the folder.

        Raises:
            ConfigurationError: a file is missing or damaged; names it.
        """
        public = public_keys(folder)
        signing = SigningKey.load(folder / "central.key")
        if signing.id not in {key.id for key in public}:
            raise ConfigurationError(
                f"{folder / 'central.key'} is not a key of {folder / 'central.json'}",
                hint="restore both files from the same backup",
            )
        return cls(folder, signing, public)


def public_keys(folder: Path) -> tuple[PublicKey, ...]:
    """Central's public keys alone: all that verifying needs.

    Raises:
        ConfigurationError: the file is missing or damaged.
    """
    path = folder / "central.json"
    try:
        return _KEYS.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read central's keys {path}: {error.strerror}", hint="make them with: lotkeeper-central init"
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} is damaged: {error.errors()[0]['msg']}") from error
