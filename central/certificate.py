"""The gap certificate: every record of the order's chains is here, and every machine cycle is accounted for.

Pure. Per chain (agent and epoch): seq first..last of the order without a gap, and, for the newest, the agent's own
signed head stated after the last record of the whole order, of whichever agent: it says that this agent had
nothing more then. Epochs opened until then must name what came before. Every operation of the routing must have
been recorded. Per station: the machine's cycles from the one after the record before the order, in whichever
epoch, to the order's last, each recorded or declared missed by the agent. What that cannot show: whether the agent
itself read every station (that is what cycles are for), and whether a station without a cycle counter ran unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from central.causes import UNKNOWN, discrepancy
from central.counters import Period, Tick, declarations, declared, periods, ticks
from central.domain import (
    Certificate,
    ChainEvidence,
    ChainPart,
    CyclePart,
    EpochEvidence,
    FactLike,
    Finding,
    Gap,
    Grade,
)
from central.dossier import Dossier
from records.clock import MICROSECONDS
from records.wire import CENTRAL

TAIL_GRACE_S = 120.0
"""How long after the last record an agent's signed head may stay away before that is a discrepancy."""

_WORST = (Grade.COMPLETE, Grade.CYCLES_NOT_PROVABLE, Grade.TAIL_UNKNOWN, Grade.INCOMPLETE)
_Torn = dict[tuple[str, str], tuple[Gap, ...]]
"""Agent and epoch -> the gaps that are named there."""
_MOST_NAMED = 1000
"""Most cycles that a part names one by one."""


def worst(grades: Iterable[Grade]) -> Grade:
    """The grade of a whole from those of its parts."""
    return max(grades, key=_WORST.index, default=Grade.COMPLETE)


def certify(dossier: Dossier, *, over: bool) -> Certificate:
    """The certificate of one order as far as its records reach now; ``over``: nothing more will be made."""
    ends = _ends(dossier)
    rows = ticks(dossier)
    torn = _torn(dossier, rows)
    chains = tuple(_chain(dossier, chain, ends.get(chain.agent, 0), torn) for chain in dossier.chains)
    cycles = (*_cycles(dossier, rows), *_unseen(dossier, over=over))
    # an order without a single record has nothing to certify
    grade = worst([*(c.grade for c in chains), *(c.grade for c in cycles)]) if chains else Grade.TAIL_UNKNOWN
    return Certificate(grade, chains, cycles)


def _ends(dossier: Dossier) -> dict[str, int]:
    """Agent -> when its head must have been stated at the earliest: its own last fact, anyone's last run.

    No fact was made after it came, whatever clock it was made by: heads count by the same measure.
    """
    order_us = max((_made_us(s.fact) for s in dossier.records), default=0)
    ends: dict[str, int] = {}
    for fact in dossier.timeline:
        ends[fact.agent] = max(ends.get(fact.agent, order_us), _made_us(fact))
    return ends


def _made_us(fact: FactLike) -> int:
    return min(fact.fact.header.at_us, fact.received_us)


def _torn(dossier: Dossier, rows: Mapping[tuple[str, str], Sequence[Tick]]) -> _Torn:
    """Chains of the order before which, since a machine's record before the order, an epoch was not joined."""
    found: _Torn = {}
    for (agent, _), row in rows.items():
        mine = next((index for index, tick in enumerate(row) if tick.ours), 0)
        if mine == 0:
            continue
        before, first = row[mine - 1].record.fact.epoch, row[mine].record.fact.epoch
        opened = [e for e in dossier.epochs if e.agent == agent]
        names = [e.epoch for e in opened]
        if before in names and first in names:
            between = opened[names.index(before) + 1 : names.index(first) + 1]
            if not all(e.joined for e in between):
                found[agent, first] = (*found.get((agent, first), ()), *(gap for e in between for gap in e.gaps))
    return found


def joined(parts: Sequence[Certificate]) -> Certificate:
    """One certificate over the orders of a record."""
    grade = worst(part.grade for part in parts) if parts else Grade.TAIL_UNKNOWN
    chains = tuple(chain for part in parts for chain in part.chains)
    return Certificate(grade, chains, tuple(cycle for part in parts for cycle in part.cycles))


def _chain(dossier: Dossier, chain: ChainEvidence, end_us: int, torn: _Torn) -> ChainPart:
    lost = tuple(dict.fromkeys((*chain.lost_within, *chain.lost_after)))
    missing = (chain.last - chain.first + 1) - chain.stored + sum(gap.count for gap in lost)
    before = torn.get((chain.agent, chain.epoch))
    tail, behind = _tail(dossier, chain, end_us)
    broken = missing > 0 or chain.tombstones > 0 or before is not None or bool(chain.otherwise)
    after_end = (chain.head_last or 0) >= chain.last and (chain.head_us or 0) >= end_us
    return ChainPart(
        chain.agent,
        chain.epoch,
        chain.first,
        chain.last,
        chain.stored,
        chain.tombstones,
        missing,
        chain.head_last if after_end else None,
        Grade.INCOMPLETE if broken else tail,
        tuple(dict.fromkeys((*(before or ()), *lost, *behind))),
        chain.otherwise,
    )


def _tail(dossier: Dossier, chain: ChainEvidence, end_us: int) -> tuple[Grade, tuple[Gap, ...]]:
    """Whether everything that the agent made until the order's end is here, over the epochs that it opened; and
    what it says that it no longer had.
    """
    opened = [e for e in dossier.epochs if e.agent == chain.agent]
    names = [e.epoch for e in opened]
    later: Sequence[EpochEvidence] = opened[names.index(chain.epoch) + 1 :] if chain.epoch in names else ()
    head_last, head_us = chain.head_last, chain.head_us
    least = chain.last
    for following in later:
        told = (head_last or 0) >= least and (head_us or 0) >= end_us
        if told and following.opened_us is not None and following.opened_us > end_us:
            return Grade.COMPLETE, ()
        if not following.joined:
            return Grade.INCOMPLETE, following.gaps
        head_last, head_us, least = following.head_last, following.head_us, 1
    told = (head_last or 0) >= least and (head_us or 0) >= end_us
    return Grade.COMPLETE if told else Grade.TAIL_UNKNOWN, ()


def _cycles(dossier: Dossier, rows: Mapping[tuple[str, str], Sequence[Tick]]) -> list[CyclePart]:
    parts = []
    for (agent, station), row in rows.items():
        begun = False
        stated = declarations(dossier, agent, station)
        for number, period in enumerate(periods(dossier, agent, row), start=1):
            if any(tick.ours for tick in period.rows):
                told = declared(dossier, stated, period)
                parts.append(_period(agent, station, number, period, told, whole_period=begun))
                begun = True
    return parts


def _unseen(dossier: Dossier, *, over: bool) -> list[CyclePart]:
    """Operations of the routing that no station recorded, each under its own name: nobody knows who is missing."""
    seen = {s.data.operation for s in dossier.records if s.data.purpose.counts}
    grade = Grade.INCOMPLETE if over else Grade.TAIL_UNKNOWN
    return [
        CyclePart(UNKNOWN, operation, 1, None, None, 0, (), (), (), grade)
        for operation in dossier.routing
        if operation not in seen
    ]


def _period(
    agent: str,
    station: str,
    number: int,
    period: Period,
    told: Sequence[range],
    *,
    whole_period: bool,
) -> CyclePart:
    """Cycles from the record before the order's first to the order's last.

    ``whole_period``: the order began in an earlier period, so this one must be there from its own beginning.
    """
    rows = period.rows
    mine = [index for index, tick in enumerate(rows) if tick.ours]
    follows = mine[0] > 0 and not whole_period
    begin = mine[0] - 1 if follows else 0
    range_of = rows[begin : mine[-1] + 1]
    ours = [tick for tick in rows if tick.ours]
    counts = [tick.cycle for tick in range_of if tick.cycle is not None]
    if any(tick.cycle is None for tick in ours) or not counts:
        return CyclePart(agent, station, number, None, None, len(ours), (), (), (), Grade.CYCLES_NOT_PROVABLE)
    first = counts[0] + 1 if follows else counts[0]
    lost = () if follows else _wrap(period)
    stated = tuple(cycle for cycle in lost if any(cycle in each for each in told))
    # a count that begins here, or anew, at 41: nobody knows about 1 to 40; nor about what an unwatched machine did
    anew = first <= 1 and not period.unwatched and not period.replaced
    begun = follows or anew or period.wrapped is not None
    last = counts[-1]
    recorded = set(counts)
    # a jump beyond all reason is told by its first cycles
    wanted = range(first, min(last, first + len(counts) + _MOST_NAMED) + 1)
    absent = [cycle for cycle in wanted if cycle not in recorded]
    missed = (*stated, *(cycle for cycle in absent if any(cycle in each for each in told)))
    unaccounted = tuple(cycle for cycle in (*lost, *absent) if cycle not in missed)
    doubled = (
        tuple(sorted({cycle for cycle in counts if counts.count(cycle) > 1}))
        if len(recorded) < len(counts)
        else ()
    )
    provable = Grade.COMPLETE if begun else Grade.CYCLES_NOT_PROVABLE
    grade = Grade.INCOMPLETE if unaccounted or doubled else provable
    return CyclePart(agent, station, number, first, last, len(ours), missed, unaccounted, doubled, grade)


def _wrap(period: Period) -> tuple[int, ...]:
    """Cycles at the end of a counter, and at its new beginning, that are not recorded. 0 may be left out.

    An agent that knows the counter's width states them as missed.
    """
    size, before, first = period.wrapped, period.before, period.rows[0].cycle
    if size is None or before is None or before.cycle is None or first is None:
        return ()
    return (*range(before.cycle + 1, size), *(range(first) if first > 1 else ()))


def of_certificate(dossier: Dossier, certificate: Certificate, *, over: bool, grace_s: float) -> list[Finding]:
    """What keeps the certificate from being complete, once the order is over: one discrepancy per grade.

    An unknown tail is one only after ``grace_s`` without an agent's head.
    """
    if not over:
        return []
    found = []
    broken_chains = [c for c in certificate.chains if c.grade is Grade.INCOMPLETE]
    broken_cycles = [c for c in certificate.cycles if c.grade is Grade.INCOMPLETE]
    if broken_chains or broken_cycles:
        missing: list[JsonValue] = [[c.agent, c.first, c.last, c.missing + c.tombstones] for c in broken_chains]
        cycles: list[JsonValue] = [[c.station, [*c.unaccounted], [*c.doubled]] for c in broken_cycles]
        params: dict[str, JsonValue] = {"missing": missing, "unaccounted": cycles}
        found.append(_finding(dossier, "certificate-incomplete", params))
    tails = _tails(certificate)
    if tails and _waited(dossier, grace_s):
        found.append(_finding(dossier, "certificate-tail-unknown", {"agents": [*tails]}))
    blind = sorted({c.station for c in certificate.cycles if c.grade is Grade.CYCLES_NOT_PROVABLE})
    if blind:
        found.append(_finding(dossier, "certificate-cycles-not-provable", {"stations": [*blind]}))
    return found


def by_time(dossier: Dossier, before: Dossier, certificate: Certificate, *, over: bool, grace_s: float) -> bool:
    """Whether ``of_certificate`` says something else than ``before`` by nothing but the time of both dossiers."""
    return over and bool(_tails(certificate)) and _waited(dossier, grace_s) != _waited(before, grace_s)


def _tails(certificate: Certificate) -> list[str]:
    """Agents of which nobody knows whether all of their records are here."""
    return sorted({c.agent for c in certificate.chains if c.grade is Grade.TAIL_UNKNOWN})


def _waited(dossier: Dossier, grace_s: float) -> bool:
    """Whether the last record came longer ago than that."""
    received_us = max((fact.received_us for fact in dossier.facts if fact.agent != CENTRAL), default=0)
    return (dossier.now_us - received_us) / MICROSECONDS > grace_s


def _finding(dossier: Dossier, code: str, params: dict[str, JsonValue]) -> Finding:
    return discrepancy(dossier, code, (), params, at_us=dossier.ended_us)
