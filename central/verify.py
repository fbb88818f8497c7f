"""Proof that central's store is what was once committed: every chain, from its first record to its last.

What is checked, over one moment of the database and without writing anything:

- the guards of the append-only tables;
- each chain: no gap, every digest over the stored bytes, every hash over its predecessor;
- its last record against the watermark; so rows that were cut off at the end show;
- the signed frames that brought an agent's records: every record is covered by one, and its hashes are those that
  the agent signed; so a chain that was computed anew shows;
- the agents' signed heads and central's signed anchors: both lie outside what was committed since;
- the anchors that agents keep in their own signed records: so central's own chains show when they were computed
  anew or cut by whoever has central's key and its anchors file, too;
- each record without a body: what gave it up is said in a chain (``central.tombstones``), never of central's own;
- the index from which pages are made says what the bodies say.

Trusted are central's public keys in the keys folder and the anchors file, or the copy that central keeps elsewhere
(``anchors: also``) where that goes further, or another copy of it. Tombstones that
something explains are legal and counted, and so is what a stated restore has lost. What nobody outside has seen
yet, the last minutes before the next anchor, whoever can write to the database can still rewrite, or add to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from central import anchor_copy, tombstones
from central.domain import Gap
from central.footing import lost_anchors
from central.store import agents, chains, envelopes, index, intake, snapshots
from central.store.database import Database
from central.store.engine import Connection, assert_guards, reading
from central.witness import Key, Moment, Named, Witnesses, disagreement, witnesses
from records import chain
from records.clock import iso_z
from records.errors import Damaged, Invalid, LotkeeperError
from records.keys import KeyRing, PublicKey
from records.model import Fact, decode
from records.wire import CENTRAL, Envelope, Frame, Head, Watermark, frame_message, unsign

PROGRESS_STEP = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the first bad record stands."""

    agent: str
    epoch: str
    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Verification:
    """``records`` counts all that were looked at, with tombstones. ``reason`` is for people; None when ok.

    ``flaws``: what is wrong, for people, one of each chain at most; the first is ``reason`` with its place.
    ``restores``: how often central was restored; ``lost``: records that were anchored and are not here since.
    ``gaps``: by agent, what it says that it made, and no longer had when central needed it.
    ``unanchored``: from when to when (microseconds; 0: from the beginning) the anchors are lost, as was stated.
    ``awaited``: tombstones whose explanation has not come or is not anchored yet. ``copy_unread``: why the copy of
    the anchors that central keeps elsewhere was not compared.
    """

    ok: bool
    records: int
    tombstones: int
    first_bad: Place | None
    reason: str | None
    restores: int = 0
    lost: int = 0
    gaps: tuple[tuple[str, Gap], ...] = ()
    unanchored: tuple[tuple[int, int], ...] = ()
    flaws: tuple[str, ...] = ()
    awaited: int = 0
    copy_unread: str | None = None


class _Bad(Exception):
    def __init__(self, key: Key, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.place = Place(*key, seq)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.place.agent}/{self.place.epoch}/{self.place.stream} seq {self.place.seq}: {self.reason}"


@dataclass(slots=True)
class _Count:
    records: int = 0
    tombstones: int = 0
    restores: int = 0
    lost: int = 0
    gaps: tuple[tuple[str, Gap], ...] = ()
    unanchored: tuple[tuple[int, int], ...] = ()
    awaited: int = 0
    copy_unread: str | None = None
    bad: list[_Bad] = field(default_factory=list)

    def failed(self, reason: str) -> Verification:
        """It could not be read to its end: a bad record that was found before comes first."""
        return self.result(self.bad[0].place, self.bad[0].reason) if self.bad else self.result(None, reason)

    def result(self, place: Place | None = None, reason: str | None = None) -> Verification:
        flaws = tuple(str(each) for each in self.bad) or (() if reason is None else (reason,))
        counted = (self.records, self.tombstones, place, reason, self.restores, self.lost)
        told = (self.gaps, self.unanchored, flaws, self.awaited, self.copy_unread)
        return Verification(reason is None, *counted, *told)


def verify(
    database: Database,
    anchors: Path,
    central_keys: Sequence[PublicKey],
    progress: Callable[[int], None] | None = None,
    *,
    complete: bool = True,
    also: Path | None = None,
) -> Verification:
    """Check everything; of each chain it stops at the first record that is not what it must be.

    ``complete``: the anchors are central's own file; else a copy that may have been made earlier. ``also``: the
    copy that central itself keeps elsewhere: whichever of the two goes further is believed, and the copy must be
    the beginning of the file.

    Raises:
        StorageFailed: the database or the anchors cannot be opened.
    """
    count = _Count()
    try:
        pair = anchor_copy.read(anchors, also, KeyRing(central_keys))
        anchored, count.copy_unread = pair.furthest, pair.unread
        with reading(database) as connection:
            assert_guards(connection)
            found = witnesses(connection, anchored, pair.source)
            count.restores = len(found.restores)
            count.unanchored = found.unanchored
            lost = lost_anchors(connection, anchors, KeyRing(central_keys)) if complete else None
            _verify_all(connection, found, central_keys, count, progress or (lambda _: None))
            _explained(connection, anchored, found, count)
            if pair.differ is not None:
                raise Damaged(pair.differ)
            if lost is not None:
                raise Damaged(f"the anchors file {anchors} lacks what central anchored at {iso_z(lost.known_us)}")
            other = disagreement(connection, anchored, found, complete=complete)
            if other is not None:
                raise _Bad(other.key, other.seq, other.reason)
            damaged = snapshots.damage(connection)
            if damaged is not None:  # chains are walked by an index: a row that it hides is seen only here
                return count.result(None, f"the database file is damaged: {damaged}")
            agents_here = {agent for agent, _, _ in envelopes.chains(connection) if agent != CENTRAL}
            told = chains.epochs(connection, agents_here)
            count.gaps = tuple((each.agent, gap) for each in told for gap in each.gaps if not gap.signed)
    except _Bad as bad:
        count.bad = count.bad or [bad]
        return count.result(bad.place, bad.reason)
    except Damaged as error:
        return count.failed(str(error))
    except (TypeError, ValueError, AttributeError) as error:  # a hand put a text where bytes were, or the like
        return count.failed(f"the database holds something that central never writes: {error}")
    return count.result()


def _verify_all(
    connection: Connection,
    found: Witnesses,
    central_keys: Sequence[PublicKey],
    count: _Count,
    progress: Callable[[int], None],
) -> None:
    ring = KeyRing([*agents.keys(connection), *central_keys])
    marks = {(w.agent, w.epoch, w.stream): w for w in intake.watermarks(connection)}
    stated = {(h.agent, h.epoch, h.stream): (h, payload) for h, _, payload in intake.heads(connection)}
    present = envelopes.chains(connection)
    for key in dict.fromkeys([*present, *marks, *found.named]):
        frames = [] if key[0] == CENTRAL else envelopes.frames(connection, *key)
        named = found.named.get(key, [])
        try:
            wanted = _wanted(key, frames, named, marks.get(key), stated.get(key), ring)
            last = _walk(connection, key, wanted, count, progress)
            _all_there(key, last, wanted, found, count)
            if key[0] != CENTRAL:
                _covered(key, frames, last)
        except _Bad as bad:
            count.bad.append(bad)
    if count.bad:
        raise count.bad[0]


def _explained(connection: Connection, anchored: Sequence[Head], found: Witnesses, count: _Count) -> None:
    looked = tombstones.examine(connection, anchored, found)
    count.awaited = looked.awaited
    count.bad += [_Bad(each.key, each.seq, each.reason) for each in looked.unexplained]
    if count.bad:
        raise count.bad[0]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What somebody vouches for: this record of the chain has this hash. ``must_exist``: also that it is there.

    ``moment``: when, if a restore since then may explain that it is not.
    """

    hash: bytes
    by: str
    must_exist: bool = True
    moment: Moment | None = None


def _wanted(
    key: Key,
    frames: list[Frame],
    named: Iterable[Named],
    mark: Watermark | None,
    stated: tuple[Head, bytes] | None,
    ring: KeyRing,
) -> dict[int, list[_Wanted]]:
    wanted: dict[int, list[_Wanted]] = {}
    for frame in frames:
        try:
            ring.verify(frame.agent, frame.key, frame.signature, frame_message(frame))
        except Damaged as error:
            raise _Bad(key, frame.first, f"the frame {frame.first}-{frame.last}: {error.message}") from error
        by = "the signed frame that brought it"
        wanted.setdefault(frame.first - 1, []).append(_Wanted(frame.previous, by))
        wanted.setdefault(frame.last, []).append(_Wanted(frame.head, by))
    for each in named:
        vouched = _Wanted(bytes.fromhex(each.hash), each.by, moment=each.moment)
        wanted.setdefault(each.last, []).append(vouched)
    if mark is not None:
        by = "the watermark"
        wanted.setdefault(mark.committed_through, []).append(_Wanted(bytes.fromhex(mark.hash), by))
    if stated is not None:
        head, payload = stated
        try:
            signed = unsign(Head, payload, ring, key[0])
        except LotkeeperError as error:
            raise _Bad(key, head.last, f"the agent's stated head: {error.message}") from error
        by = "the head that the agent stated"
        wanted.setdefault(signed.last, []).append(_Wanted(bytes.fromhex(signed.hash), by, must_exist=False))
    return wanted


def _walk(
    connection: Connection,
    key: Key,
    wanted: dict[int, list[_Wanted]],
    count: _Count,
    progress: Callable[[int], None],
) -> int:
    """Follow one chain to its end; its last seq."""
    link, last = chain.first_hash(*key), 0
    _vouched(key, 0, link, wanted)
    indexed = index.rows(connection, *key)
    for item in envelopes.walk(connection, *key):
        if item.seq != last + 1:
            raise _Bad(key, last + 1, f"record {last + 1} is missing" if item.seq > last else "a record below 1")
        link = _link(key, item, link)
        _vouched(key, item.seq, link, wanted)
        _in_index(key, item, indexed)
        last = item.seq
        count.records += 1
        count.tombstones += item.body is None
        if count.records % PROGRESS_STEP == 0:
            progress(count.records)
    return last


def _all_there(key: Key, last: int, wanted: dict[int, list[_Wanted]], found: Witnesses, count: _Count) -> None:
    """Nobody names a record behind the last one, unless a stated restore explains that it is lost."""
    lost = 0
    for seq in sorted(seq for seq in wanted if seq > last):
        for each in wanted[seq]:
            if each.must_exist and not (each.moment is not None and found.explain(key, each.moment, last)):
                raise _Bad(key, last + 1, f"records {last + 1} to {seq} are missing: {each.by} names {seq}")
            if each.must_exist:
                lost = seq - last
    count.lost += lost


def _typed(*columns: tuple[object, type]) -> bool:
    """SQLite stores whatever it is given, whatever the column is for."""
    return all(isinstance(value, kind) for value, kind in columns)


def _link(key: Key, item: Envelope, previous: bytes) -> bytes:
    stored = [(item.schema, int), (item.kind, str), (item.digest, bytes), (item.hash, bytes)]
    if not _typed(*stored, *([] if item.body is None else [(item.body, bytes)])):
        raise _Bad(key, item.seq, "the record was changed: a column holds what none of ours would")
    if item.body is None and item.tombstone is None:
        raise _Bad(key, item.seq, "the record has neither body nor tombstone")
    if item.tombstone is not None and item.body is not None:
        raise _Bad(key, item.seq, "the record has a tombstone beside its body")
    if item.tombstone is not None and key[0] == CENTRAL:
        raise _Bad(key, item.seq, "the body of a record of central's own is gone: nothing ever gives one up")
    digest = item.digest if item.body is None else chain.digest(item.body)
    if digest != item.digest:
        raise _Bad(key, item.seq, "the record's body was changed")
    link = chain.next_hash(*key, item.seq, item.schema, item.kind, previous, digest)
    if link != item.hash:
        raise _Bad(key, item.seq, "the record's hash does not follow from it and its predecessor")
    return link


def _vouched(key: Key, seq: int, link: bytes, wanted: dict[int, list[_Wanted]]) -> None:
    for each in wanted.get(seq, ()):
        if each.hash != link:
            raise _Bad(key, max(seq, 1), f"{each.by} names another hash for record {seq}")


def _in_index(key: Key, item: Envelope, indexed: Iterator[tuple[int, dict[str, object]]]) -> None:
    seq, row = next(indexed, (0, {}))
    fact: Fact | None = None
    if item.body is not None and item.stream != "telemetry":
        try:
            fact = decode(item.kind, item.body)
        except Invalid:
            fact = None
    if fact is not None and row.get("readable") is False and index.too_long(fact):
        fact = None  # in quarantine
    if item.body is None and row.get("readable") is True:
        fact, row = None, {**row, "readable": False}  # thinned since
    for name, value in index.expected(fact).items():
        # central's facts may be filed under an order that their body does not name
        if row.get(name) != value and not (key[0] == CENTRAL and value is None):
            raise _Bad(key, item.seq, f"the index says otherwise than the record: {name}")
    if seq != item.seq:
        raise _Bad(key, item.seq, "the index has no row for the record")


def _covered(key: Key, frames: list[Frame], last: int) -> None:
    """Every record lies in a frame that its agent signed."""
    through = 0
    for frame in sorted(frames, key=lambda each: each.first):
        if frame.first > through + 1:
            break
        through = max(through, frame.last)
    if through < last:
        raise _Bad(key, through + 1, f"no signed frame covers record {through + 1}")
