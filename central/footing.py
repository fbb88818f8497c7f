"""Whether central stands on its own ground: the database that its anchors speak of, the anchors that the database
knows of. Asked at every start before anything is written, and by the doctor.

- Anchors are written after what they name was committed. So a database that lacks what the newest of them name is
  another one, an empty one, or an older copy that was put back by hand. The copy of the anchors elsewhere counts
  where it goes further than the file: then both were put back together.
- The database notes the moment of the newest anchor, and holds what agents keep. So a file of anchors that is
  gone, or is an older copy, shows.

``restore`` makes either legal, as a stated fact: what it anchors itself is the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from central import anchors
from central.settings import CentralSettings
from central.store import snapshots
from central.store.database import Database
from central.store.engine import Connection, at_any_version
from records.clock import iso_z
from records.errors import LotkeeperError, Refused
from records.keys import KeyRing
from records.wire import Head

MOST_NAMED = 3
"""Chains that a message names one by one."""

_PUT_BACK = (
    "{}; where it is lost: lotkeeper-central restore BACKUP --reason WHY, or with --as-is instead of BACKUP to go "
    "on with what lies there"
)
_LOST = "where it is lost for good, lotkeeper-central restore --as-is --reason WHY states so, and verify names it"


@dataclass(frozen=True, slots=True)
class Fault:
    """``says``: what is wrong; ``do``: what to do. ``copied``: what is missing lies in the second place."""

    says: str
    do: str
    copied: bool = False


def assert_own(settings: CentralSettings, ring: KeyRing, *, anchors_too: bool = True) -> None:
    """Refuse to go on with a database that is not the one that the anchors name, or that is behind them.

    ``anchors_too``: also without the anchors that the database knows of; False for who has only copies of them.

    Raises:
        Refused: says what is missing where, and what to do. Else as ``faults``.
    """
    for fault in faults(settings, ring, anchors_too=anchors_too):
        raise Refused(fault.says, hint=fault.do)


def faults(settings: CentralSettings, ring: KeyRing, *, anchors_too: bool = True) -> list[Fault]:
    """What of this is wrong now, whether or not central runs.

    Raises:
        Damaged: a line of the anchors that central did not sign, or no database. Unreachable: its server.
    """
    newest = _newest_known(settings, ring)  # before the database, which goes on
    database = settings.database
    if isinstance(database, Path) and not database.exists():
        return [] if newest is None else [_nothing(database, newest)]
    with at_any_version(database) as connection:
        found = [
            _behind(connection, database, newest),
            unanchored(connection, settings, ring) if anchors_too else None,
        ]
    return [each for each in found if each is not None]


def unanchored(connection: Connection, settings: CentralSettings, ring: KeyRing) -> Fault | None:
    """What is to be done where the file of anchors is not the one that the database knows of."""
    lost = lost_anchors(connection, settings.anchors_file, ring)
    if lost is None:
        return None
    path, also = settings.anchors_file, settings.anchors.also
    what = f"ends at {iso_z(lost.after_us)}" if lost.after_us else "is gone or empty"
    says = f"the anchors file {path} {what}, but central anchored at {iso_z(lost.known_us)}: it is the witness"
    copied = also is not None and any(head.at_us >= lost.known_us for head in _copy(also, ring))
    back = f"cp {also} {path}" if copied else "put its newest copy back, of anchors: {also: ...} or of the folder"
    return Fault(says, back if copied else f"{back}; {_LOST}", copied)


@dataclass(frozen=True, slots=True)
class LostAnchors:
    """The file has no anchor after ``after_us`` (0: none at all), the database knows of one at ``known_us``."""

    after_us: int
    known_us: int


def lost_anchors(connection: Connection, path: Path, ring: KeyRing) -> LostAnchors | None:
    """None: the file, read after the database, has what the database knows of."""
    heads = anchors.read_anchors(path, ring, tail_only=True)
    known_us = snapshots.anchored_us(connection)
    if known_us is None and not heads:
        known_us = snapshots.kept_us(connection, anchors.KEPT)
    if known_us is None or any(head.at_us >= known_us for head in heads):
        return None
    return LostAnchors(heads[-1].at_us if heads else 0, known_us)


# -- within ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Newest:
    """What was anchored last: where that stands, and the heads of all chains that stand near it."""

    path: Path
    batch: Sequence[Head]
    chains: int
    records: int

    @property
    def at_us(self) -> int:
        return self.batch[0].at_us


def _newest_known(settings: CentralSettings, ring: KeyRing) -> _Newest | None:
    """By the anchors file, or by its copy where that goes further; None: nothing was ever anchored."""
    path, also = settings.anchors_file, settings.anchors.also
    own = _newest(path, anchors.read_anchors(path, ring, tail_only=True))
    there = None if also is None else _newest(also, _copy(also, ring))
    if there is not None and (own is None or there.at_us > own.at_us):
        return there
    return own


def _newest(path: Path, heads: Sequence[Head]) -> _Newest | None:
    if not heads:
        return None
    batch = [head for head in heads if head.at_us == heads[-1].at_us]
    through = {(head.agent, head.epoch, head.stream): head.last for head in heads}
    return _Newest(path, batch, len(through), sum(through.values()))


def _copy(also: Path, ring: KeyRing) -> list[Head]:
    """A copy that cannot be read is the doctor's and the mirror's matter: it hinders no start."""
    try:
        return anchors.read_anchors(also, ring, tail_only=True)
    except LotkeeperError:
        return []


def _nothing(database: Database, newest: _Newest) -> Fault:
    says = (
        f"{database} holds nothing of what central anchored until {iso_z(newest.at_us)}: {newest.path} names at "
        f"least {newest.chains} chains with {newest.records} records. It is gone, empty or another one"
    )
    return Fault(says, _PUT_BACK.format("let folder and database in central.yaml name the right one"))


def _behind(connection: Connection, database: Database, newest: _Newest | None) -> Fault | None:
    if newest is None:
        return None
    held = {head: snapshots.held_through(connection, head) for head in newest.batch}
    lacking = [(head, through) for head, through in held.items() if through is not None]
    if not lacking:
        return None
    if not snapshots.has_any(connection):
        return _nothing(database, newest)
    named = "; ".join(
        f"{head.agent}/{head.epoch}/{head.stream} through {head.last}, here through {through}"
        for head, through in lacking[:MOST_NAMED]
    )
    says = (
        f"{database} is behind what central anchored at {iso_z(newest.at_us)} ({newest.path}), in {len(lacking)} "
        f"chains: {named}. An older copy was put back, or it is another one"
    )
    return Fault(says, _PUT_BACK.format("put the present database back"))
