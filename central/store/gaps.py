"""SQL of gaps: what an agent itself says that it made, and that central does not have.

An agent says so four times: the first record of an epoch names the last one before it; ``central-restored``
names every stretch, of each epoch, that a restored central misses and that its agent had freed;
``backlog-damaged`` what its disk had altered and it could not store again, in the place where that would stand;
and its signed head names the last record of an epoch. What central holds by now under the very number is no gap,
nor what stands again under a later one, as far as its hash is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from pydantic import JsonValue
from sqlalchemy import Connection, bindparam, select

from central.domain import Gap
from central.store import again
from central.store.envelopes import TELEMETRY
from central.store.rows import parts, stored, with_body
from central.store.schema import envelope, fact_index
from central.stored import StoredFact
from records.errors import Invalid
from records.model import EpochOpened, OperationsEvent, decode
from records.wire import Head

RESTORED, DAMAGED = TELL = ("central-restored", "backlog-damaged")
"""Events that name in ``lost`` what is."""
EVENT = "operations_event"
ROLLED_BACK = "rolled_back"
"""Why an epoch began: central told its agent of records that its disk did not hold."""
_IDS = select(fact_index.c.envelope_id).where(
    fact_index.c.code.in_(TELL),
    fact_index.c.agent == bindparam("agent"),
    fact_index.c.stream == "records",
)


class Gaps:
    """The gaps of one agent, each under the first of its epochs that names it; ask in the order of the epochs.

    ``through``: epoch -> the last of its records that is here without a gap. ``heads``: epoch -> the highest head
    that was ever signed for it.
    """

    def __init__(
        self, connection: Connection, agent: str, through: Mapping[str, int], heads: Mapping[str, Head]
    ) -> None:
        self._connection, self._agent = connection, agent
        self._through, self._heads = through, heads
        self._told: dict[str, list[Gap]] = {}
        self._torn: dict[str, list[tuple[int, Gap]]] = {}
        self._named: dict[str, list[Gap]] = {}
        self._rolled_back: set[str] = set()
        for fact in _told(connection, agent):
            event = fact.fact.data
            if isinstance(event, OperationsEvent) and event.code == DAMAGED:
                self._torn.setdefault(fact.epoch, []).extend((fact.seq, gap) for gap in _lost(event))
            elif isinstance(event, OperationsEvent):
                self._told.setdefault(fact.epoch, []).extend(_lost(event))

    def named_in(self, epoch: str, first: StoredFact | None, before: str | None) -> tuple[Gap, ...]:
        """What this epoch, whose first record is given, names and none before it did, and what the head of the
        epoch ``before`` it names.
        """
        if first is not None and isinstance(first.fact.data, EpochOpened) and first.fact.data.why == ROLLED_BACK:
            self._rolled_back.add(epoch)
        found: list[Gap] = []
        for gap, chain_hash in self._names(epoch, first, before):
            named = self._named.setdefault(gap.epoch, [])
            new = less(gap, [self._held(gap.epoch), *named])
            if new and chain_hash and self._stands_again(gap, chain_hash, epoch):
                continue
            named += new
            found += new
        for _, gap in self.torn_in(epoch):
            named = self._named.setdefault(gap.epoch, [])
            new = less(gap, named)
            named += new
            found += new
        return tuple(found)

    def torn_in(self, epoch: str) -> tuple[tuple[int, Gap], ...]:
        """What could not be stored again in this epoch, each with the seq of the event in whose place it would
        stand; ask after ``named_in``.

        What is here under the very number is another record where a disk went on in two ways since.
        """
        found: list[tuple[int, Gap]] = []
        for seq, gap in self._torn.get(epoch, ()):
            held = () if self._of_a_copy(gap.epoch) else (self._held(gap.epoch),)
            found += [(seq, piece) for piece in less(gap, held)]
        return tuple(found)

    def _held(self, epoch: str) -> Gap:
        """What is here of an epoch."""
        return Gap(epoch, 1, self._through.get(epoch, 0))

    def _of_a_copy(self, epoch: str) -> bool:
        """Whether a disk was rolled back after this epoch had begun: an older copy may have gone on in it."""
        order = [*self._through]
        later = order[order.index(epoch) + 1 :] if epoch in order else ()
        return not self._rolled_back.isdisjoint(later)

    def _names(self, epoch: str, first: StoredFact | None, before: str | None) -> Iterator[tuple[Gap, str | None]]:
        """Each with the hash (hexadecimal) of its last record, where it is known."""
        for gap in self._told.get(epoch, ()):
            yield gap, None
        data = None if first is None else first.fact.data
        if isinstance(data, EpochOpened) and data.predecessor is not None and data.predecessor_last is not None:
            yield Gap(data.predecessor, 1, data.predecessor_last), data.predecessor_head
        head = None if before is None else self._heads.get(before)
        if head is not None:
            yield Gap(head.epoch, 1, head.last, signed=True), head.hash

    def _stands_again(self, gap: Gap, chain_hash: str, epoch: str) -> bool:
        """Whether it was stored again in an epoch from this one on."""
        order = [*self._through]
        later = order[order.index(epoch) :]
        return again.stands(self._connection, self._agent, later, (gap.epoch, gap.last, chain_hash))


def chunks_left(connection: Connection, agent: str, epoch: str) -> tuple[Gap, ...]:
    """What an agent says in an epoch of its telemetry that it could not store again there.

    It says so among what it could store; no index has that.
    """
    found: list[Gap] = []
    for item, _ in again.first_made_as(connection, agent, [epoch], TELEMETRY):
        if item.kind == EVENT and item.body is not None:
            with suppress(Invalid):
                event = decode(item.kind, item.body).data
                found += _lost(event) if isinstance(event, OperationsEvent) and event.code == DAMAGED else ()
    return tuple(found)


def _told(connection: Connection, agent: str) -> Iterator[StoredFact]:
    """What the agent told of gaps, oldest first; found by its code: an agent's records are many, these few."""
    ids = sorted(connection.execute(_IDS, {"agent": agent}).scalars())
    for part in parts(ids):
        query = with_body().where(envelope.c.id.in_(part)).order_by(envelope.c.id)
        yield from map(stored, connection.execute(query))


def less(gap: Gap, taken: Iterable[Gap]) -> list[Gap]:
    """What of a gap is left without others of its epoch."""
    left = [gap]
    for other in taken:
        pieces = [
            piece
            for each in left
            for piece in (
                replace(each, last=min(each.last, other.first - 1)),
                replace(each, first=max(each.first, other.last + 1)),
            )
        ]
        left = [piece for piece in pieces if piece.first <= piece.last]
    return left


def _lost(event: OperationsEvent) -> Iterator[Gap]:
    """What an event names; any agent may have written it, so what is no gap is passed over."""
    named = event.params.get("lost")
    for each in named if isinstance(named, list) else ():
        if isinstance(each, dict):
            epoch, first, last = each.get("epoch"), _seq(each.get("first")), _seq(each.get("last"))
            if isinstance(epoch, str) and 0 < first <= last:
                yield Gap(epoch, first, last)


def _seq(value: JsonValue) -> int:
    """A number of a record as text; 0 for what is none."""
    text = value if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
