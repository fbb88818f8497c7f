"""The commit function: frames that were checked become central's records, many frames in one transaction.

``central.ingest`` has the promise. What is looked up is looked up once for all frames, rows of a table go in
together; where a frame is no plain continuation of its chain, everything before it is written first, so that what
is then looked up is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from central import succession
from central.quarantine import Detail, Quarantine
from central.store import again, awaited, chains, envelopes, intake, standing, telemetry
from central.store.engine import Connection
from central.store.intake import Conflict
from central.store.standing import Chain, Standing
from central.store.telemetry import Span
from central.stored import StoredFact
from records.clock import Clock
from records.model import Fact
from records.wire import Envelope, Frame, Head, Watermark

Result = Literal["committed", "nothing-new", "hole", "conflict", "quarantined", "head", "request", "ignored"]


@dataclass(frozen=True, slots=True)
class Behind:
    """A frame of a chain begins at ``first``, and the chain is held through ``through`` only."""

    chain: Chain
    through: int
    first: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one payload. ``watermark``: what the agent is to be told now; None: nothing.

    ``facts``: what central stated of it. ``new`` and ``known``: records of a frame that were committed by it, and
    that were held before. ``behind``: the hole, when that is why nothing was taken.
    """

    result: Result
    agent: str | None = None
    watermark: Watermark | None = None
    facts: tuple[StoredFact, ...] = ()
    detail: str = ""
    new: int = 0
    known: int = 0
    behind: Behind | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A record as it was read. ``fact`` None: a tombstone, telemetry, or ``poison``: why nobody can read it."""

    envelope: Envelope
    fact: Fact | None
    poison: Detail | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A frame that may be committed. ``stamp``: of the keys that it was checked by. ``imported``: it came as a
    file, of an agent that may be long gone.
    """

    topic: str
    frame: Frame
    items: Sequence[Item]
    stamp: str
    imported: bool = False

    @property
    def chain(self) -> Chain:
        return self.frame.agent, self.frame.epoch, self.frame.stream


class Committing:
    """``fence`` is asked in each transaction, and raises where another process is to commit."""

    def __init__(
        self, clock: Clock, quarantine: Quarantine, fence: Callable[[Connection], None] | None = None
    ) -> None:
        self._clock, self._quarantine, self._fence = clock, quarantine, fence

    def commit(self, connection: Connection, frames: Sequence[Checked]) -> list[Outcome | None]:
        """What became of each; None: other keys are believed by now than those that it was checked by."""
        held = standing.read(connection, [each.chain for each in frames])
        if self._fence is not None:
            self._fence(connection)
        run = _Run(connection, self._quarantine, self._clock.now_us(), held.chains)
        found = [run.take(each) if each.stamp == held.keys else None for each in frames]
        run.write()
        return found

    def keep_head(self, connection: Connection, head: Head, payload: bytes, now_us: int) -> Outcome:
        """Keep a signed head where it is the highest of its chain."""
        held_head = intake.held_head(connection, head.agent, head.epoch, head.stream)
        if held_head is not None and _of_a_copy(connection, held_head[0], head):
            held_head = None
        known = None if held_head is None else held_head[0]
        if held_head is not None and not _says_more(head, now_us, *held_head):
            if known is not None and head.last == known.last and head.hash != known.hash:
                return head_conflict(connection, self._quarantine, head, known.hash, now_us)
            return Outcome("ignored", head.agent, detail="an older head")
        held = envelopes.hashes(connection, head.agent, head.epoch, head.stream, head.last, head.last)
        if held.get(head.last, bytes.fromhex(head.hash)).hex() != head.hash:
            return head_conflict(connection, self._quarantine, head, held[head.last].hex(), now_us)
        if known is not None and head.last == known.last and head.hash != known.hash:
            return head_conflict(connection, self._quarantine, head, known.hash, now_us)
        intake.keep_head(connection, head, payload, now_us)
        chain = (head.agent, head.epoch, head.stream)
        stands = standing.read(connection, [chain]).chains[chain]
        if known is not None and head.stream == chains.RECORDS and stands.through < known.last < head.last:
            awaited.keep(connection, known)
        # a chain that central has not begun, after a restore perhaps: its agent may believe that all is here
        return Outcome("head", head.agent, stands.answer if stands.mark is None else None)


@dataclass(slots=True)
class _Run:
    """One transaction's frames. ``held``: where their chains stand, with what is ``added`` and not written yet."""

    connection: Connection
    quarantine: Quarantine
    now_us: int
    held: dict[Chain, Standing]
    added: list[Item] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    moved: dict[Chain, Standing] = field(default_factory=dict)
    cursors: range = range(0)

    def take(self, checked: Checked) -> Outcome:
        frame, held = checked.frame, self.held[checked.chain]
        if held.mark is None and frame.heard is not None and frame.heard < held.generation:
            # Begun now, it would be what its agent is told, who would never hear what is missing before it.
            detail = f"{frame.epoch} is not begun before its agent has heard that central was restored"
            return Outcome("hole", frame.agent, held.answer, detail=detail)
        if frame.first > held.through + 1:
            detail = f"{frame.first} came while {held.through + 1} is next"
            behind = Behind(checked.chain, held.through, frame.first)
            return Outcome("hole", frame.agent, held.answer, detail=detail, behind=behind)
        conflicting = self._conflict(frame, held)
        if conflicting is not None:
            return conflicting
        new = checked.items[max(0, held.through + 1 - frame.first) :]
        known = len(checked.items) - len(new)
        if not new:
            return Outcome("nothing-new", frame.agent, held.answer, known=known)
        facts = self._contradicts_head(held, new)
        self.added += new
        self.frames.append(frame)
        last = new[-1].envelope
        moved = held.moved(last.seq, last.hash)
        if held.mark is None:
            self._begin(succession.placed(self.connection, moved, new[0].envelope) if checked.imported else moved)
        else:
            self.moved[checked.chain] = self.held[checked.chain] = moved
        if any(item.poison is not None for item in new):
            facts += self._poison(checked.topic, new)
        answer = self.held[checked.chain].answer
        return Outcome("committed", frame.agent, answer, tuple(facts), new=len(new), known=known)

    def write(self) -> None:
        """Bring everything into the database; ``cursors``: of what was added last."""
        added, self.added = self.added, []
        if added:
            told = [(item.envelope, item.fact) for item in added]
            self.cursors = envelopes.add(self.connection, told, self.now_us)
            spans = zip(self.cursors, added, strict=True)
            telemetry.add(
                self.connection,
                [(cursor, item.envelope.agent, item.span) for cursor, item in spans if item.span is not None],
            )
        envelopes.add_frames(self.connection, self.frames, self.now_us)
        standing.move(self.connection, self.moved.values(), self.now_us)
        self.frames.clear()
        self.moved.clear()

    def _begin(self, begun: Standing) -> None:
        """A new chain changes what the others of its agent are told: all is read anew."""
        standing.begin(self.connection, begun, self.now_us)
        self.write()
        self.held.update(standing.read(self.connection, list(self.held)).chains)

    def _poison(self, topic: str, new: Sequence[Item]) -> list[StoredFact]:
        """What central states of records that nobody can read; they are the last that were added."""
        stated: list[StoredFact] = []
        self.write()
        for cursor, item in zip(self.cursors[-len(new) :], new, strict=True):
            e = item.envelope
            if item.poison is not None and e.body is not None:
                stated += self.quarantine.poison(self.connection, topic, e, e.body, item.poison, cursor)
        return stated

    def _contradicts_head(self, held: Standing, new: Sequence[Item]) -> list[StoredFact]:
        """A head that the agent stated, and that these records are not: there were two histories of one epoch, as
        after an older image of a disk. The records hold; the other head is kept as a conflict.
        """
        if held.head is None:
            return []
        last, stated_hash = held.head
        named = next((item.envelope for item in new if item.envelope.seq == last), None)
        if named is None or named.hash == stated_hash:
            return []
        stated = intake.head_of(self.connection, held.agent, held.epoch, held.stream)
        if stated is None:
            return []
        self.write()
        intake.drop_head(self.connection, stated)
        return list(head_conflict(self.connection, self.quarantine, stated, named.hash.hex(), self.now_us).facts)

    def _conflict(self, frame: Frame, held: Standing) -> Outcome | None:
        """The first record of the frame that is held with another hash, if there is one."""
        first, through = max(1, frame.first - 1), min(held.through, frame.last)
        known: dict[int, bytes] = {}
        if held.mark is not None and first == held.through:
            known = {first: bytes.fromhex(held.mark.hash)}  # nothing but the record before is held
        elif first <= through:
            self.write()
            known = envelopes.hashes(self.connection, frame.agent, frame.epoch, frame.stream, first, through)
        offered: dict[int, tuple[bytes, bytes | None]] = {frame.first - 1: (frame.previous, None)}
        offered |= {e.seq: (e.hash, e.body) for e in frame.envelopes[: max(through - frame.first + 1, 0)]}
        for seq, link in sorted(known.items()):
            given, body = offered[seq]
            if given != link:
                self.write()
                found = Conflict(
                    0, frame.agent, frame.epoch, frame.stream, seq, link.hex(), given.hex(), self.now_us
                )
                facts = self.quarantine.conflict(self.connection, found, body)
                return Outcome("conflict", frame.agent, held.answer, facts, f"seq {seq} is held otherwise")
        return None


def _of_a_copy(connection: Connection, known: Head, head: Head) -> bool:
    """Whether the known head was signed by an older copy of the disk, which went on until it heard better: what it
    names is not here, and its records stand again under later numbers. So it does not outdo that of the disk.
    """
    if head.last > known.last or head.hash == known.hash or head.stream != chains.RECORDS:
        return False
    order = chains.opened(connection, [head.agent]).get(head.agent, {})
    if known.last <= order.get(head.epoch, known.last):
        return False
    epochs = [*order]
    later = epochs[epochs.index(head.epoch) + 1 :]
    return again.stands(connection, head.agent, later, (known.epoch, known.last, known.hash))


def _says_more(head: Head, now_us: int, known: Head, received_us: int) -> bool:
    """Whether a head goes further than the known one, or was stated later. One that a clock stated which was ahead
    gives way to the next; the broker may repeat it, and that says nothing new.
    """
    if head.last != known.last or head.at_us == known.at_us:
        return head.last > known.last
    until_us, known_us = intake.stated_us(head.at_us, now_us), intake.stated_us(known.at_us, received_us)
    return (until_us, head.at_us) > (known_us, known.at_us)


def head_conflict(connection: Connection, quarantine: Quarantine, head: Head, held: str, now_us: int) -> Outcome:
    """Keep a head that says otherwise than what is held."""
    found = Conflict(0, head.agent, head.epoch, head.stream, head.last, held, head.hash, now_us)
    facts = quarantine.conflict(connection, found, None)
    return Outcome("conflict", head.agent, None, facts, f"the head {head.last} is held otherwise")
