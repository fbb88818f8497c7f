"""A backup put in the place of central's database, so that nothing is told twice and what is lost has a name.

- The backup is proven whole before anything is touched. A running server, and a present database that holds more
  than the backup, are refused; the present one is set aside, never deleted. The present anchors stay: they know
  more than the backup does.
- ``generation`` grows. By it the agents know that a lower watermark is meant: they send again from there, and name
  what they no longer have.
- Both of central's streams go on in new epochs that name the last known record of the old ones, so no key is used
  twice. A ``backup-restored`` fact says what was restored, why, and how far every chain was held. By it ``verify``
  accepts that what was anchored after the backup and before the restore is missing, and nothing else.
- Every document for the lines is stated again at a version above all that are known, the restore's microsecond at
  least, and none is issued below that any more: lines may hold versions that central has lost, and central's word
  must be the higher one.
- Holds set and agents revoked after the backup stand on, as far as the database that is set aside tells of them
  (``central.lost_time``). Where it does not tell all, the document of holds stays as the backup has it: lines that
  hold a newer one keep it, and show it when they compare notes (``central.document_sync``).

Killed in between, a restore leaves a mark by which central refuses to start until it is done again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from central import anchors, backup, holds, lost_time
from central.facts import Facts, Origin
from central.footing import LostAnchors, lost_anchors, unanchored
from central.keys import PUBLIC, CentralKeys, as_content, public_keys
from central.lost_time import Carried, Former
from central.requests import LOCK_FILE
from central.settings import CentralSettings
from central.store import documents, intake, moving, snapshots
from central.store.database import Database
from central.store.engine import Connection, Store, reading
from central.store.orders import ORDER_DOCUMENT
from central.store.snapshots import Standing
from central.witness import ANCHORS_LOST, DOCUMENTS_FROM, HOLDS_AFTER, RESTORED
from records import durable
from records.clock import MICROSECONDS, Clock, from_us, iso_z, new_id
from records.errors import LotkeeperError, Refused, StorageFailed
from records.files import InstanceLock, make_folder, replace_file, sync_folder
from records.keys import PublicKey
from records.model import OperationsEvent
from records.progress import Counting, Tell, unheard
from records.wire import CENTRAL, CENTRAL_KEYS, HOLDS, PLANT, Head

CHUNK, MB = 1024 * 1024, 1_000_000
UNFINISHED = "restore-unfinished"
"""File in central's folder while a restore is under way (``_Mark``)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """``held``: records in the database now. ``set_aside``: where the former database lies, if there was one."""

    backup: Path | None
    generation: int
    held: int
    held_until_us: int
    set_aside: Path | None
    carried: Carried

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "backup": None if self.backup is None else str(self.backup),
            "generation": self.generation,
            "records": self.held,
            "held_until": iso_z(self.held_until_us),
            "set_aside": None if self.set_aside is None else str(self.set_aside),
            "carried_over": self.carried.to_json(),
        }


@dataclass(frozen=True, slots=True)
class _Mark:
    """``aside``: where the former database is to lie ("": there is none), also when a restore is done again.
    ``anchored_us``: of the last anchors before it was begun; None: there were none. ``backup``: what is put into
    which ``database``, by the SHA-256 of its ``manifest``.
    """

    aside: str
    anchored_us: int | None
    backup: str
    manifest: str
    database: str

    @classmethod
    def of(cls, settings: CentralSettings, source: Path, aside: Path | None, anchored_us: int | None) -> Self:
        manifest = backup.digest(source / backup.MANIFEST)
        return cls(str(aside or ""), anchored_us, str(source), manifest, str(settings.database))


_MARK = TypeAdapter(_Mark)


@dataclass(frozen=True, slots=True)
class Why:
    """Who restores, and why."""

    by: str
    origin: str
    reason: str


def assert_whole(folder: Path) -> None:
    """Refuse to go on where a restore was cut short.

    Raises:
        Refused: says what to do.
    """
    if (folder / UNFINISHED).exists():
        raise Refused(
            f"a restore in {folder} was cut short",
            hint="run it again: lotkeeper-central restore BACKUP --reason ...",
        )


def restore(
    settings: CentralSettings,
    source: Path,
    clock: Clock,
    origin: Origin,
    why: Why,
    *,
    replace: bool = False,
    flawed: bool = False,
    failpoint: Callable[[str], None] = lambda _: None,
    counting: Counting = unheard,
) -> Restored:
    """Put a backup in the place of the database. ``replace``: even of one that holds more, or that is damaged.

    ``flawed``: even a backup of a database that did not hold when it was copied. ``counting`` gives who hears how
    far each part of the work is.

    Raises:
        Refused: central runs, the backup is of another central, or the present database holds more.
        ConfigurationError: no backup. Damaged: the backup does not hold. StorageFailed: the disk.
    """
    theirs = backup.keys_of(source)
    make_folder(settings.folder)
    lock = InstanceLock(settings.folder / LOCK_FILE)
    try:
        believed = _present_keys(settings, source, theirs) or theirs
        manifest = backup.read_manifest(source, believed)
        _refuse_flawed(source, manifest, meant=flawed)
        held = _present(settings, source, manifest.records, replace=replace)  # before what takes minutes
        proven = backup.prove(source, believed, counting("records of the backup checked"))
        aside = _place_aside(settings, clock)
        anchored = _last_anchored(settings, source)
        former = None if aside is None else _former(settings, source, aside, anchored)
        mark = _Mark.of(settings, source, aside, anchored[0].at_us if anchored else None)
        replace_file(settings.folder / UNFINISHED, _MARK.dump_json(mark))
        backup.copy_folder(source / backup.KEYS, settings.keys)
        if not settings.anchors_file.exists():
            shutil.copyfile(_furthest_anchors(settings, source), settings.anchors_file)
        generation = 0 if held is None else held.generation
        if isinstance(settings.database, Path):
            fresh = settings.database.with_name(settings.database.name + ".restoring")
            _remove(fresh)
            _copy(source / backup.DATABASE, fresh, counting("MB of the database copied"))
            failpoint("restore.copied")
            tell = counting("documents stated again")
            done, carried = _declare(settings, fresh, proven, clock, origin, why, generation, former, tell)
            failpoint("restore.declared")
            if aside is not None and settings.database.exists():
                _set_aside(settings.database, _free(settings.database, clock) if aside.exists() else aside)
            failpoint("restore.set_aside")
            fresh.replace(settings.database)
            sync_folder(settings.database.parent)
        else:
            if held is None:  # else it was filled before the restore was cut short
                moving.into_server(
                    source / backup.DATABASE, settings.database, counting("rows brought into the database")
                )
            failpoint("restore.copied")
            tell, database = counting("documents stated again"), settings.database
            done, carried = _declare(settings, database, proven, clock, origin, why, generation, None, tell)
        failpoint("restore.replaced")
        (settings.folder / UNFINISHED).unlink()
        sync_folder(settings.folder)
    except OSError as error:
        raise StorageFailed(f"the restore stopped: {error}", hint="mend that and run it again") from error
    finally:
        lock.release()
    return Restored(source, done.generation, done.records, done.committed_us, aside, carried)


def declare(
    settings: CentralSettings, clock: Clock, origin: Origin, why: Why, counting: Counting = unheard
) -> Restored:
    """State that the database as it is was restored by other means (a server's own backup, a copied disk).

    Raises:
        Refused: central runs. ConfigurationError, Damaged, StorageFailed: keys, anchors or the database.
    """
    lock = InstanceLock(settings.folder / LOCK_FILE)
    try:
        tell = counting("documents stated again")
        done, carried = _declare(settings, settings.database, None, clock, origin, why, 0, None, tell)
    finally:
        lock.release()
    return Restored(None, done.generation, done.records, done.committed_us, None, carried)


def _refuse_flawed(source: Path, manifest: backup.Manifest, *, meant: bool) -> None:
    if manifest.flaws and not meant:
        raise Refused(
            f"{source} was made of a database that did not hold: {'; '.join(manifest.flaws)}",
            hint="take an earlier backup: the lines send again what it lacks; or restore this one all the same "
            "with --flawed: verify then goes on naming what is wrong",
        )


def _present_keys(settings: CentralSettings, source: Path, theirs: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
    """The keys of this folder; () when there are none, and the backup's will be taken."""
    if not (settings.keys / "central.json").exists():
        return ()
    present = public_keys(settings.keys)
    if not {key.id for key in theirs} <= {key.id for key in present}:
        raise Refused(
            f"{source} is a backup of another central: its keys are not those in {settings.keys}",
            hint="restore it into a folder of its own, or move these keys away first",
        )
    return present


def _furthest_anchors(settings: CentralSettings, source: Path) -> Path:
    """The copy elsewhere, if it goes further than the backup's: the file only grows."""
    also, given = settings.anchors.also, source / backup.ANCHORS
    with suppress(OSError):
        if also is not None and also.read_bytes().startswith(given.read_bytes()):
            return also
    return given


def _present(settings: CentralSettings, source: Path, given: int, *, replace: bool) -> Standing | None:
    """How far the present database is; None when there is none, or none that can be read. ``given``: how many
    records the backup holds.
    """
    database = settings.database
    if not isinstance(database, Path):
        return _on_server(settings, source, database)
    if not database.exists():
        return None
    try:
        with reading(database) as connection:
            held = snapshots.standing(connection)
    except LotkeeperError as error:
        if replace:
            return None
        raise Refused(
            f"the present database cannot be read: {error.message}",
            hint="restore over it with --replace: it is set aside, not deleted",
        ) from error
    if held.records > given and not replace:
        raise Refused(
            f"the present database holds {held.records - given} records more than the backup, the last of "
            f"{iso_z(held.committed_us)}",
            hint="restore over it with --replace: it is set aside, not deleted",
        )
    return held


def _on_server(settings: CentralSettings, source: Path, database: Database) -> Standing | None:
    """A server's database takes a backup only while it is empty; None when it is.

    Raises:
        Refused: it is not, and no restore of this very backup into it was cut short. Unreachable: the server.
    """
    try:
        with reading(database) as connection:
            held = snapshots.standing(connection)
    except Refused:  # central was never started on it
        return None
    if held.records == 0:
        return None
    mark, ours = _unfinished(settings), _Mark.of(settings, source, None, None)
    if mark is None or mark.database != ours.database:
        raise Refused(
            f"{database} holds {held.records} records",
            hint="make an empty database on the server, name it in central.yaml and restore into that one",
        )
    if mark.manifest != ours.manifest:
        raise Refused(
            f"{database} holds what a restore of {mark.backup} has put there, which was cut short",
            hint="run that one again; for another backup make an empty database and name it in central.yaml",
        )
    return held


def _unfinished(settings: CentralSettings) -> _Mark | None:
    """What a restore that was cut short was about; None: there was none, or nobody can read it."""
    with suppress(FileNotFoundError, ValidationError):
        return _MARK.validate_json((settings.folder / UNFINISHED).read_bytes())
    return None


def _declare(
    settings: CentralSettings,
    database: Database,
    source: backup.Backup | None,
    clock: Clock,
    origin: Origin,
    why: Why,
    generation: int,
    former: Former | None,
    tell: Tell,
) -> tuple[Standing, Carried]:
    """Make a database that was put back the present one: generation, epochs, fact, documents, anchors."""
    keys = CentralKeys.open(settings.keys)
    facts = Facts(keys.signing, keys.ring, clock, origin, settings.anchors_file)
    store = Store(database)
    try:
        with store.read() as connection:
            lost = lost_anchors(connection, settings.anchors_file, keys.ring)
            if source is None and lost is not None:
                _refuse_copied(connection, settings, keys)
        after = _After(source, why, generation, lost, former)
        done = store.write(lambda connection: _state(connection, facts, keys, clock, after, tell))
        with store.read() as connection:
            newest = {(w.agent, w.stream): w for w in intake.watermarks(connection) if w.agent == CENTRAL}
        at_us = facts.anchor(list(newest.values()))[0].at_us
        store.write(lambda connection: snapshots.note_anchored(connection, at_us))
    finally:
        store.close()
    if settings.anchors.also is not None:
        with suppress(LotkeeperError):  # the running server catches it up, and says so where it cannot
            anchors.mirror(settings.anchors_file, settings.anchors.also)
    return done


def _refuse_copied(connection: Connection, settings: CentralSettings, keys: CentralKeys) -> None:
    """Anchors that lie in their second place are not lost."""
    fault = unanchored(connection, settings, keys.ring)
    if fault is not None and fault.copied:
        raise Refused(fault.says, hint=fault.do)


@dataclass(frozen=True, slots=True)
class _After:
    """What is known beside the database that was put back. ``generation``: of the present one."""

    source: backup.Backup | None
    why: Why
    generation: int
    lost: LostAnchors | None
    former: Former | None


def _state(
    connection: Connection, facts: Facts, keys: CentralKeys, clock: Clock, after: _After, tell: Tell
) -> tuple[Standing, Carried]:
    before = snapshots.standing(connection)
    newest = {(w.agent, w.stream): w for w in intake.watermarks(connection)}
    # by the clock, since nobody may know how often a lost database had been restored
    generation = max(before.generation + 1, after.generation + 1, clock.now_us() // MICROSECONDS)
    snapshots.set_generation(connection, generation)
    facts.reopen(connection)
    carried = lost_time.carry(connection, facts, after.former)
    known = max(documents.highest(connection), documents.floor(connection)) + 1
    floor = max(clock.now_us(), known, 0 if after.former is None else after.former.version)
    through: list[JsonValue] = [[w.agent, w.epoch, w.stream, str(w.committed_through)] for w in newest.values()]
    params: dict[str, JsonValue] = {
        "backup": None if after.source is None else str(after.source.folder),
        "held_until": str(before.committed_us),
        "generation": str(generation),
        "through": through,
        DOCUMENTS_FROM: str(floor),
        "carried_over": carried.to_json(),
        "by": after.why.by,
        "origin": after.why.origin,
        "reason": after.why.reason,
    }
    if carried.unknown:
        params[HOLDS_AFTER] = str(documents.version_of(connection, HOLDS, PLANT))
    if after.source is not None and after.source.manifest.flaws:
        params["flaws"] = list(after.source.manifest.flaws)
    if after.lost is not None:
        params[ANCHORS_LOST] = str(after.lost.after_us)
    facts.state(connection, OperationsEvent(RESTORED, params), stream="audit")
    documents.raise_floor(connection, floor)
    _issue_again(connection, facts, keys, tell, holds_too=not carried.unknown)
    return Standing(before.records, generation, before.committed_us), carried


def _issue_again(connection: Connection, facts: Facts, keys: CentralKeys, tell: Tell, *, holds_too: bool) -> None:
    """Say again what is so; of central's keys what their folder says, which is newer than the backup."""
    told = {(each.kind, each.id): each.content for each in documents.current(connection)}
    if keys.announcement() is not None:
        told[CENTRAL_KEYS, CENTRAL] = as_content(keys.public)
    if (HOLDS, PLANT) in told:
        told[HOLDS, PLANT] = holds.lines_content(holds.known_in(connection))
    for count, ((kind, name), content) in enumerate(told.items(), start=1):
        tell(count, len(told))
        if kind != HOLDS or holds_too:
            facts.issue(connection, kind, name, content, order=name if kind == ORDER_DOCUMENT else None)


def _copy(source: Path, target: Path, tell: Tell) -> None:
    """Copy a file; it is on disk when this returns."""
    size, done = source.stat().st_size // MB, 0
    with source.open("rb") as given, target.open("wb") as made:
        while chunk := given.read(CHUNK):
            made.write(chunk)
            done += len(chunk)
            tell(done // MB, size)
        made.flush()
        os.fsync(made.fileno())


def _place_aside(settings: CentralSettings, clock: Clock) -> Path | None:
    """Where the former database is to lie, or lies since a restore that was cut short; None: there is none."""
    database, mark = settings.database, _unfinished(settings)
    if not isinstance(database, Path):
        return None
    if mark is not None and mark.aside and Path(mark.aside).exists():
        return Path(mark.aside)
    return _free(database, clock) if database.exists() else None


def _free(database: Path, clock: Clock) -> Path:
    """A name for a database that is set aside now."""
    stamp = from_us(clock.now_us()).strftime("%Y%m%dT%H%M%SZ")
    place = database.with_name(f"{database.name}.replaced-{stamp}")
    return place.with_name(f"{place.name}-{new_id(2)}") if place.exists() else place


def _last_anchored(settings: CentralSettings, source: Path) -> list[Head]:
    """What was anchored last before this restore was begun: one that was cut short has anchored what it made, and
    of that the former database knows nothing.
    """
    keys = CentralKeys.open(settings.keys if (settings.keys / PUBLIC).exists() else source / backup.KEYS)
    found = list(anchors.batches(anchors.read_anchors(settings.anchors_file, keys.ring, tail_only=True)))
    mark = _unfinished(settings)
    if mark is None:
        return found[-1] if found else []
    return next((each for each in reversed(found) if each[0].at_us == mark.anchored_us), [])


def _former(settings: CentralSettings, source: Path, aside: Path, anchored: list[Head]) -> Former | None:
    """What the former database still tells, which lies at ``aside``, or will."""
    database = settings.database
    present = database if isinstance(database, Path) and not aside.exists() else aside
    with reading(source / backup.DATABASE) as connection:
        marks = [w for w in intake.watermarks(connection) if w.agent == CENTRAL]
        floor = documents.floor(connection)
    ends = [Head(w.agent, w.epoch, w.stream, w.committed_through, w.hash, 0) for w in marks]
    return lost_time.read(present, aside, [*ends, *anchored], floor)


def _set_aside(database: Path, aside: Path) -> None:
    """Move a database and what SQLite keeps beside it out of the way."""
    with suppress(LotkeeperError):  # what its log still holds goes into it, so that the file alone is whole
        durable.open_writer(database).close()
    for end in ("-wal", "-shm", ""):  # the log first: beside another database it would be taken for its own
        part = database.with_name(database.name + end)
        if part.exists():
            part.replace(aside.with_name(aside.name + end))
    sync_folder(database.parent)


def _remove(fresh: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
