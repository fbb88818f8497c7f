"""SQL of what is known about chains: how far each epoch of an agent is here, what heads prove, what is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, select

from central.domain import ChainEvidence, EpochEvidence, Gap
from central.store import again, awaited, envelopes, intake, proven_head
from central.store.gaps import ROLLED_BACK, Gaps
from central.store.rows import parts, stored, with_body
from central.store.schema import envelope, fact_index, tombstone, watermark
from central.stored import StoredFact
from records.model import EpochOpened
from records.wire import Head

RECORDS = "records"
Opened = Mapping[str, Mapping[str, int]]
"""Agent -> its epochs in the order in which they were opened -> the last record that is here without a gap."""


@dataclass(frozen=True, slots=True)
class Span:
    """First and last seq of an order's facts in one chain; ``station`` None: of all stations."""

    agent: str
    epoch: str
    station: str | None
    first: int
    last: int

    def named(self, **more: object) -> dict[str, object]:
        """The values of a statement that asks for it."""
        return {
            "agent": self.agent,
            "epoch": self.epoch,
            "station": self.station,
            "first": self.first,
            "last": self.last,
            **more,
        }


# -- statements, built once: a judgement takes dozens. What they are asked with is ``Span.named``. -------------

ORDER: BindParameter[str] = bindparam("order")
CHAIN = (
    envelope.c.agent == bindparam("agent"),
    envelope.c.epoch == bindparam("epoch"),
    envelope.c.stream == RECORDS,
)
WITHIN = (*CHAIN, envelope.c.seq.between(bindparam("first"), bindparam("last")))
STATION = fact_index.c.station == bindparam("station")

_OPENED = (
    select(watermark.c.agent, watermark.c.epoch, watermark.c.committed_through)
    .where(watermark.c.stream == RECORDS, watermark.c.agent.in_(bindparam("agents", expanding=True)))
    .order_by(watermark.c.agent, watermark.c.opened)
)
_COUNTED = (
    select(func.count(), func.count(tombstone.c.envelope_id))
    .select_from(envelope.outerjoin(tombstone, tombstone.c.envelope_id == envelope.c.id))
    .where(*WITHIN)
)
_TIME_OF = (
    select(fact_index.c.at_us, envelope.c.received_us)
    .join(envelope, fact_index.c.envelope_id == envelope.c.id)
    .where(*CHAIN, envelope.c.seq == bindparam("seq"))
)
_AT_STATIONS = select(fact_index.c.station, envelope.c.seq).join(
    envelope, fact_index.c.envelope_id == envelope.c.id
)
_WORKED_AT = (
    _AT_STATIONS.where(*WITHIN, fact_index.c.work_order == ORDER, fact_index.c.station.is_not(None))
    .with_only_columns(fact_index.c.station)
    .distinct()
)
_WENT_ON = (
    _AT_STATIONS.where(
        *CHAIN,
        envelope.c.seq > bindparam("last"),
        fact_index.c.work_order.is_not(None),
        fact_index.c.work_order != ORDER,
        STATION,
    )
    .order_by(envelope.c.seq)
    .limit(1)
)
_CAME_FROM = (
    _AT_STATIONS.where(
        *CHAIN,
        envelope.c.seq < bindparam("first"),
        fact_index.c.work_order.is_not(None),
        fact_index.c.work_order != ORDER,
        STATION,
    )
    .order_by(envelope.c.seq.desc())
    .limit(1)
)
_FIRSTS = with_body().where(
    envelope.c.agent == bindparam("agent"),
    envelope.c.epoch.in_(bindparam("epochs", expanding=True)),
    envelope.c.stream == RECORDS,
    envelope.c.seq == 1,
    envelope.c.kind == "epoch_opened",
)


def opened(connection: Connection, agents: Collection[str]) -> dict[str, dict[str, int]]:
    """What is here of some agents' chains, by agent."""
    found: dict[str, dict[str, int]] = {}
    for agent, epoch, through in connection.execute(_OPENED, {"agents": sorted(agents)}):
        found.setdefault(agent, {})[epoch] = through
    return found


def evidence(
    connection: Connection,
    reference: str,
    where: Iterable[Span],
    told: Sequence[EpochEvidence],
    here: Opened,
) -> tuple[ChainEvidence, ...]:
    """What is known about the chains of an order's spans, in the order in which their epochs were opened.

    ``told``: the epochs of the agents concerned, ``here``: how far they are.
    """
    places = {(each.agent, each.epoch): (place, each) for place, each in enumerate(told)}
    found = []
    for span in sorted(where, key=lambda s: places[s.agent, s.epoch][0]):
        _, epoch = places[span.agent, span.epoch]
        through = here[span.agent][span.epoch]
        behind = _behind(told, span.agent, span.epoch)
        otherwise = [
            seq for seq in signed_otherwise(connection, span.agent, span.epoch, here) if seq >= span.first
        ]
        beyond = bool(behind) or any(seq > span.last for seq in otherwise)
        cut_off = beyond and not _left_behind(connection, reference, span)
        count, tombstones = connection.execute(_COUNTED, span.named()).one()
        found.append(
            ChainEvidence(
                agent=span.agent,
                epoch=span.epoch,
                first=span.first,
                last=span.last,
                stored=count,
                tombstones=tombstones,
                through=through,
                through_us=_time_of(connection, span, through),
                head_last=epoch.head_last,
                head_us=epoch.head_us,
                lost_after=behind if cut_off else (),
                lost_within=_torn(connection, reference, span, epoch),
                otherwise=tuple(seq for seq in otherwise if cut_off or seq <= span.last),
            )
        )
    return tuple(found)


def signed_otherwise(connection: Connection, agent: str, epoch: str, here: Opened) -> tuple[int, ...]:
    """Seqs of one chain of which its agent signed another record than the one that is here, and that one does not
    stand again under a later number: a disk went on in two ways, and what one of them made is not here.
    """
    offered = intake.offered_otherwise(connection, agent, epoch, RECORDS)
    offered += awaited.contradicted(connection, agent, epoch)
    order = [*here[agent]]
    later = order[order.index(epoch) + 1 :]
    return tuple(
        dict.fromkeys(
            seq for seq, link in offered if not again.stands(connection, agent, later, (epoch, seq, link.hex()))
        )
    )


def _behind(told: Sequence[EpochEvidence], agent: str, epoch: str) -> tuple[Gap, ...]:
    """What is lost behind a chain: named by the epoch after it, or together with a gap of its own."""
    theirs = [each for each in told if each.agent == agent]
    index = next((index for index, each in enumerate(theirs) if each.epoch == epoch), len(theirs))
    return tuple(
        gap
        for place, each in enumerate(theirs[index + 1 :])
        if place == 0 or any(gap.epoch == epoch for gap in each.gaps)
        for gap in each.gaps
    )


def _left_behind(connection: Connection, reference: str, span: Span) -> bool:
    """Whether every station that worked on the order in this chain went on to another order there."""
    went_on = _other_orders(connection, _WENT_ON, reference, span)
    return bool(went_on) and None not in went_on


def _torn(connection: Connection, reference: str, span: Span, epoch: EpochEvidence) -> tuple[Gap, ...]:
    """What could not be stored again from where a station of the order left another order until each went on to
    one: any of it may be the order's.
    """
    if not epoch.torn:
        return ()
    came_from = _other_orders(connection, _CAME_FROM, reference, span) or [None]
    went_on = _other_orders(connection, _WENT_ON, reference, span) or [None]
    begin = min(seq or 0 for seq in came_from)
    ends = [seq for seq in went_on if seq is not None]
    end = max(ends) if len(ends) == len(went_on) else span.last + max(seq for seq, _ in epoch.torn)
    return tuple(gap for seq, gap in epoch.torn if begin < seq < end)


def _other_orders(connection: Connection, query: Select[Any], reference: str, span: Span) -> list[int | None]:
    """For each station that worked on the order in this chain the seq of its nearest record of another order."""
    asked = span.named(order=reference)
    stations = connection.execute(_WORKED_AT, asked).scalars().all()
    rows = (connection.execute(query, asked | {"station": each}).first() for each in stations)
    return [None if row is None else int(row.seq) for row in rows]


def _time_of(connection: Connection, span: Span, seq: int) -> int:
    row = connection.execute(_TIME_OF, span.named(seq=seq)).one_or_none()
    return 0 if row is None else intake.stated_us(row.at_us or 0, row.received_us)


def epochs(connection: Connection, agents: Collection[str]) -> tuple[EpochEvidence, ...]:
    """Every epoch of some agents, each agent's in the order in which they were opened."""
    return epochs_of(connection, opened(connection, agents))


def epochs_of(connection: Connection, here: Opened) -> tuple[EpochEvidence, ...]:
    """The same, of these."""
    found = []
    heads = proven_head.of_agents(connection, here)
    for agent, theirs in here.items():
        before: str | None = None
        named = Gaps(connection, agent, theirs, intake.heads_of(connection, agent, RECORDS))
        firsts = _firsts(connection, agent, theirs)
        for epoch in theirs:
            first = firsts.get(epoch)
            head = heads.get((agent, epoch))
            gaps = named.named_in(epoch, first, before)
            follows = False
            if before is not None and first is not None and not gaps:
                follows = _after(first, theirs, heads.get((agent, before))) or _names_last(
                    connection, first, before, theirs
                )
            found.append(
                EpochEvidence(
                    agent=agent,
                    epoch=epoch,
                    opened_us=None
                    if first is None
                    else intake.stated_us(first.fact.header.at_us, first.received_us),
                    joined=follows,
                    head_last=None if head is None else head.last,
                    head_us=None if head is None else head.at_us,
                    gaps=gaps,
                    torn=named.torn_in(epoch),
                )
            )
            before = epoch
    return tuple(found)


def _firsts(connection: Connection, agent: str, theirs: Iterable[str]) -> dict[str, StoredFact]:
    """Epoch -> the record that opened it."""
    found: dict[str, StoredFact] = {}
    for part in parts(theirs):
        rows = connection.execute(_FIRSTS, {"agent": agent, "epochs": part})
        found |= {row.epoch: stored(row) for row in rows}
    return found


def _names_last(connection: Connection, first: StoredFact, before: str, theirs: Mapping[str, int]) -> bool:
    """Whether an epoch's first record names the epoch before it and the last record that is here of that, with its
    hash, or what is here behind it stands again in the epochs from this one on.

    ``theirs``: how far each is here without a gap. A disk that was rolled back, or a new one, names what central
    told it, which says nothing of what the disk before had made and not sent. Nor does one that names less than is
    here, and never had it: an older copy.
    """
    data, through = first.fact.data, theirs[before]
    if not isinstance(data, EpochOpened) or data.predecessor != before or data.why == ROLLED_BACK:
        return False
    last = data.predecessor_last
    if not last or through < last:
        return False
    held = envelopes.hashes(connection, first.agent, before, RECORDS, last, through)
    if last not in held or held[last].hex() != data.predecessor_head:
        return False
    order = [*theirs]
    later = order[order.index(first.epoch) :]
    return last == through or again.stands(connection, first.agent, later, (before, through, held[through].hex()))


def _after(first: StoredFact, theirs: Mapping[str, int], last: Head | None) -> bool:
    """Whether an epoch that names nothing which is not here began when all of the one before it was, as the head
    of that says: a PC that died was replaced, and its file was imported. It began when it says, but no later than
    it came: where the new PC's clock is wrong, only a head from after it came will do. A head of less than is here
    is that of an older copy.

    The beginning of an epoch is nothing: a new file that rolls over before anything of it was taken names that.
    """
    data = first.fact.data
    if not isinstance(data, EpochOpened) or last is None or last.last < theirs[last.epoch]:
        return False
    named = data.predecessor if data.predecessor_last else None
    known = named is None or named in theirs
    return known and last.at_us >= max(first.fact.header.at_us, first.received_us)
