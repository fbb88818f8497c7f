"""Backups of central: made while it serves, proven before they count, kept by number.

A backup is a folder ``central-YYYYMMDDTHHMMSSZ`` with the database (one consistent moment), the anchors file, the
keys, and ``manifest.json``: the digest of each file, signed by central. It is made under another name, read back
whole (digests, SQLite's own check, every chain, signature and anchor) and only then gets its name, so a folder of
that name is a backup that was once restorable.

Where the database itself does not hold (a bit that rotted), what is there is worth a backup all the same: its
manifest says what is wrong, who asked is told, and a restore of it must be meant (``flaws``).

The keys in it are private: whoever has them can sign as central. The folder is readable by its owner only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from central.access import Actor
from central.facts import Facts, Origin
from central.keys import PRESENT, PUBLIC, CentralKeys, public_keys
from central.settings import CentralSettings
from central.store import snapshots
from central.store.engine import Store, reading
from central.verify import verify
from records.clock import Clock, from_us, iso_z
from records.errors import ConfigurationError, Damaged, LotkeeperError, Refused
from records.files import make_folder, replace_file, sync_folder
from records.foreign import of_path
from records.keys import KeyRing, PublicKey
from records.model import OperationsEvent
from records.progress import Tell, silent
from records.wire import CENTRAL, Document, sign, unsign

MANIFEST = "manifest.json"
DATABASE = snapshots.NAME
ANCHORS = "anchors.jsonl"
KEYS = "keys"
KIND = "backup"
"""Kind of the signed document that a manifest is; no agent is ever told of it."""

MADE = "backup-made"
"""Code of the fact that tells of a backup, in the audit stream."""

VERIFIED = "chain-verified"
"""Code of the fact that says whether all that is stored is as it was committed."""

CHUNK = 1024 * 1024
_NAME = re.compile(r"central-\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class FileEntry:
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """``files``: path within the folder -> what it must be. ``settings``: SHA-256 of central.yaml, if known.

    ``flaws``: what ``verify`` found wrong with the database when it was copied.
    """

    site: str
    software: str
    made: str
    generation: int
    records: int
    settings: str | None
    files: dict[str, FileEntry]
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that was read back and is what its manifest says."""

    folder: Path
    manifest: Manifest
    bytes: int

    def to_json(self) -> dict[str, JsonValue]:
        told = self.manifest
        return {
            "backup": str(self.folder),
            "made": told.made,
            "records": told.records,
            "generation": told.generation,
            "bytes": self.bytes,
            "flaws": list(told.flaws),
        }


_MANIFEST = TypeAdapter(Manifest)


class Backups:
    """Makes backups, one at a time."""

    def __init__(
        self,
        settings: CentralSettings,
        keys: CentralKeys,
        store: Store,
        facts: Facts,
        clock: Clock,
        origin: Origin,
        failpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._store = store
        self._facts = facts
        self._clock = clock
        self._origin = origin
        self._failpoint = failpoint
        self._one = threading.Lock()

    def make(self, out: Path | None, *, by: Actor, tell: Tell = silent) -> Backup:
        """One backup in ``out`` (None: the folder of the settings), stated in the audit stream. ``tell`` hears how
        many of its records are checked.

        Raises:
            ConfigurationError: no folder is known. Unknown, Refused, StorageFailed: it cannot be written.
            Unreachable: the server of the database. Damaged: what was written is not on the disk, or the database
            cannot be read through. Refused: one of this second is there.
        """
        configured = self._settings.backup
        folder = out or (None if configured is None else configured.folder)
        if folder is None:
            raise ConfigurationError("where to?", hint="give --out FOLDER, or set backup.folder in central.yaml")
        with self._one:
            made = self._make(folder, tell)
            self._failpoint("backup.after_rename")
            params: dict[str, JsonValue] = {
                **made.to_json(), "bytes": str(made.bytes), "by": by.user, "origin": by.origin
            }  # fmt: skip
            event = OperationsEvent(MADE, params)
            told = [event]
            if made.manifest.flaws:
                found: dict[str, JsonValue] = {"records": made.manifest.records, "reason": made.manifest.flaws[0]}
                told.append(OperationsEvent(VERIFIED, {"ok": False, **found}))
            self._store.write(lambda c: [self._facts.state(c, each, stream="audit") for each in told])
            if configured is not None and folder == configured.folder:
                _prune(folder, configured.keep, made.folder, self._keys.public)
        return made

    def _make(self, folder: Path, tell: Tell) -> Backup:
        now_us = self._clock.now_us()
        name = from_us(now_us).strftime("central-%Y%m%dT%H%M%SZ")
        final, part = folder / name, folder / f"{name}.part"
        if final.exists():
            raise Refused(f"{final} exists already", hint="wait a second")
        try:
            make_folder(folder)
            for rest in folder.glob("central-*.part"):  # of a backup that was cut short
                shutil.rmtree(rest)
            part.mkdir(mode=0o700)
            self._copy(part)
            manifest = self._manifest(part, now_us, tell)
            content: JsonValue = _MANIFEST.dump_python(manifest, mode="json")
            signed = sign(Document(KIND, name, 1, now_us, content), self._keys.signing)
            replace_file(part / MANIFEST, signed)
            size = _read_back(part, manifest)
            self._failpoint("backup.before_rename")
            part.rename(final)
            sync_folder(folder)
        except OSError as error:
            told = f"cannot write the backup {part}: {error}"
            raise of_path(error, told, hint="check the path, its rights and space") from error
        return Backup(final, manifest, size)

    def _copy(self, part: Path) -> None:
        # the anchors first: whatever they name is in the database that is copied after them
        anchors = self._settings.anchors_file
        replace_file(part / ANCHORS, _whole_lines(anchors.read_bytes() if anchors.exists() else b""))
        snapshots.copy(self._settings.database, part / DATABASE)
        self._failpoint("backup.after_database")
        copy_folder(self._settings.keys, part / KEYS)

    def _manifest(self, part: Path, now_us: int, tell: Tell) -> Manifest:
        with reading(part / DATABASE) as connection:
            standing = snapshots.standing(connection)
        flaws = _flaws(part, self._keys.public, lambda count: tell(count, standing.records))
        files = {
            path.relative_to(part).as_posix(): FileEntry(path.stat().st_size, digest(path))
            for path in sorted(part.rglob("*"))
            if path.is_file()
        }
        return Manifest(
            self._origin.site,
            self._origin.software,
            str(iso_z(now_us)),
            standing.generation,
            standing.records,
            self._origin.configuration,
            files,
            flaws,
        )


def last_backup_us(store: Store) -> int | None:
    """When the newest backup was stated, by central's clock; None: never."""
    with store.read() as connection:
        return snapshots.last_at_us(connection, CENTRAL, MADE)


def keys_of(folder: Path) -> tuple[PublicKey, ...]:
    """The public keys that a backup brings along.

    Raises:
        ConfigurationError: it is no backup, or not all of one: names what is missing.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is no backup: there is no such folder", hint="name the folder central-... of a backup"
        )
    parts = (MANIFEST, DATABASE, ANCHORS, f"{KEYS}/{PUBLIC}", f"{KEYS}/{PRESENT}")
    missing = [name for name in parts if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{folder} is no backup, or not all of one: {', '.join(missing)} missing",
            hint="copy the whole folder again from where it was made, or take another backup",
        )
    return public_keys(folder / KEYS)


def prove(folder: Path, believed: Sequence[PublicKey], tell: Tell = silent) -> Backup:
    """Read a whole backup: manifest and signature, every digest, SQLite's check, every chain and anchor.

    What its manifest calls flawed is (``Manifest.flaws``): who asks decides whether that will do.

    Raises:
        Damaged: names what does not hold. ConfigurationError: it is no backup.
    """
    manifest = read_manifest(folder, believed)
    size = _read_back(folder, manifest)
    known = manifest.records
    if not manifest.flaws and (found := _flaws(folder, believed, lambda count: tell(count, known))):
        raise Damaged(f"the database in {folder} does not verify: {found[0]}", hint="take an earlier backup")
    return Backup(folder, manifest, size)


def _flaws(folder: Path, believed: Sequence[PublicKey], tell: Callable[[int], None]) -> tuple[str, ...]:
    """What is wrong with the database of a backup: () when nothing is."""
    # what central anchored while the copy was made is in the database alone
    result = verify(folder / DATABASE, folder / ANCHORS, believed, tell, complete=False)
    if not result.ok:
        return result.flaws
    with reading(folder / DATABASE) as connection:
        found = snapshots.damage(connection)
    return () if found is None else (f"the database file is damaged: {found}",)


def _read_back(folder: Path, manifest: Manifest) -> int:
    """Compare every file with its digest; how many bytes they have.

    Raises:
        Damaged: names the file.
    """
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"{path} is missing from the backup", hint="take another one")
        if path.stat().st_size != entry.bytes or digest(path) != entry.sha256:
            raise Damaged(f"{path} is not the file that was backed up", hint="take another backup")
    return sum(entry.bytes for entry in manifest.files.values())


def read_manifest(folder: Path, believed: Sequence[PublicKey]) -> Manifest:
    """What central said of a backup.

    Raises:
        ConfigurationError: the folder is no backup. Damaged: the manifest is not as central signed it.
    """
    path = folder / MANIFEST
    try:
        document = unsign(Document, path.read_bytes(), KeyRing(believed), CENTRAL)
        if document.kind == KIND:
            return _MANIFEST.validate_python(document.content)
    except OSError as error:
        raise ConfigurationError(f"{folder} is no backup: {error.strerror}: {path}") from error
    except ValidationError as error:
        raise Damaged(f"{path} says nothing that this version understands: {error.errors()[0]['msg']}") from error
    raise Damaged(f"{path} is no manifest of a backup")


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def copy_folder(source: Path, target: Path) -> None:
    """Copy files with their rights, on disk when this returns; what is there already stays."""
    make_folder(target)
    target.chmod(0o700)
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_dir():
            make_folder(there)
        elif path.is_file() and not there.exists():
            shutil.copy2(path, there)
            with there.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(there.parent)


def listed(folder: Path) -> list[Path]:
    """Finished backups in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file())


def _prune(folder: Path, keep: int, made: Path, believed: Sequence[PublicKey]) -> None:
    """The oldest go, by how far central's records were: names are of its clock, which may have been ahead. The one
    that was just ``made`` stays. Flawed ones do not push out those that are whole.
    """
    told = {each: _told(each, believed) for each in listed(folder)}
    order = sorted(told, key=lambda each: (each == made, told[each].generation, told[each].records))
    flawed = [each for each in order if told[each].flaws]
    whole = [each for each in order if not told[each].flaws]
    for old in (*whole[:-keep], *flawed[:-keep]):
        shutil.rmtree(old)


def _told(folder: Path, believed: Sequence[PublicKey]) -> Manifest:
    """What is said of a backup; nothing where that cannot be read."""
    with suppress(LotkeeperError):
        return read_manifest(folder, believed)
    return Manifest("", "", "", 0, 0, None, {})


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
