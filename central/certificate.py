"""The gap certificate: every record of the order's chains is here, and every machine cycle is accounted for.

Pure. Per chain (agent and epoch): seq first..last of the order without a gap, and, for the newest, the agent's own
signed head stated after the order's last record. Per station: the machine's cycles from the one after the record
before the order to the order's last, each recorded or declared missed by the agent. What that cannot show:
whether the agent itself read every station (that is what cycles are for), and whether a station without a cycle
counter ran unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from central.causes import discrepancy
from central.counters import Tick, ticks
from central.domain import Certificate, ChainEvidence, ChainPart, CyclePart, Finding, Grade
from central.dossier import Dossier, whole
from records.clock import MICROSECONDS
from records.wire import CENTRAL

TAIL_GRACE_S = 120.0
"""How long after the last record an agent's signed head may stay away before that is a discrepancy."""

_WORST = (Grade.COMPLETE, Grade.CYCLES_NOT_PROVABLE, Grade.TAIL_UNKNOWN, Grade.INCOMPLETE)
_MOST_NAMED = 1000
"""Most cycles that a part names one by one."""


def worst(grades: Iterable[Grade]) -> Grade:
    """The grade of a whole from those of its parts."""
    return max(grades, key=_WORST.index, default=Grade.COMPLETE)


def certify(dossier: Dossier) -> Certificate:
    """The certificate of one order as far as its records reach now."""
    ends = {
        (agent, epoch): last for (agent, epoch, station), (_, last) in dossier.spans.items() if station is None
    }
    times: dict[tuple[str, str], int] = {}
    for fact in dossier.timeline:
        if ends.get((fact.agent, fact.epoch)) == fact.seq:
            times[fact.agent, fact.epoch] = fact.fact.header.at_us
    chains = tuple(_chain(chain, times.get((chain.agent, chain.epoch), 0)) for chain in dossier.chains)
    cycles = tuple(_cycles(dossier))
    # an order without a single record has nothing to certify
    grade = worst([*(c.grade for c in chains), *(c.grade for c in cycles)]) if chains else Grade.TAIL_UNKNOWN
    return Certificate(grade, chains, cycles)


def joined(parts: Sequence[Certificate]) -> Certificate:
    """One certificate over the orders of a record."""
    grade = worst(part.grade for part in parts) if parts else Grade.TAIL_UNKNOWN
    chains = tuple(chain for part in parts for chain in part.chains)
    return Certificate(grade, chains, tuple(cycle for part in parts for cycle in part.cycles))


def _chain(chain: ChainEvidence, end_us: int) -> ChainPart:
    missing = (chain.last - chain.first + 1) - chain.stored
    told = chain.head_last is not None and chain.head_us is not None
    after_end = told and (chain.head_last or 0) >= chain.last and (chain.head_us or 0) >= end_us
    if missing > 0 or chain.tombstones > 0 or chain.next_epoch_joined is False:
        grade = Grade.INCOMPLETE
    elif chain.next_epoch_joined or after_end:
        grade = Grade.COMPLETE
    else:
        grade = Grade.TAIL_UNKNOWN
    return ChainPart(
        chain.agent,
        chain.epoch,
        chain.first,
        chain.last,
        chain.stored,
        chain.tombstones,
        missing,
        chain.head_last if after_end else None,
        grade,
    )


def _cycles(dossier: Dossier) -> list[CyclePart]:
    parts = []
    missed = _declared(dossier)
    for (agent, station), row in ticks(dossier).items():
        for number, period in enumerate(_periods(row), start=1):
            if any(tick.ours for tick in period):
                parts.append(_period(agent, station, number, period, missed.get((agent, station), [])))
    return parts


def _declared(dossier: Dossier) -> dict[tuple[str, str], list[range]]:
    """Cycles that agents themselves stated as missed, per (agent, station)."""
    found: dict[tuple[str, str], list[range]] = {}
    for event in (*dossier.events, *dossier.surroundings):
        first, last = whole(event.data.params.get("first")), whole(event.data.params.get("last"))
        if event.data.code == "cycles-missed" and first is not None and last is not None:
            key = (event.fact.agent, event.fact.fact.header.station or "")
            found.setdefault(key, []).append(range(first, last + 1))
    return found


def _periods(row: Sequence[Tick]) -> list[list[Tick]]:
    """The station's records cut where its cycle count steps back."""
    periods: list[list[Tick]] = []
    latest: int | None = None
    for tick in row:
        stepped_back = tick.cycle is not None and latest is not None and tick.cycle < latest
        if not periods or stepped_back:
            periods.append([])
        periods[-1].append(tick)
        latest = tick.cycle if tick.cycle is not None else latest
    return periods


def _period(agent: str, station: str, number: int, period: Sequence[Tick], told: Sequence[range]) -> CyclePart:
    """Cycles from the record before the order's first to the order's last."""
    mine = [index for index, tick in enumerate(period) if tick.ours]
    begin = max(0, mine[0] - 1)
    range_of = period[begin : mine[-1] + 1]
    ours = [tick for tick in period if tick.ours]
    counts = [tick.cycle for tick in range_of if tick.cycle is not None]
    if any(tick.cycle is None for tick in ours) or not counts:
        return CyclePart(agent, station, number, None, None, len(ours), (), (), (), Grade.CYCLES_NOT_PROVABLE)
    first = counts[0] if begin == mine[0] else counts[0] + 1
    last = counts[-1]
    recorded = set(counts)
    # a jump beyond all reason is told by its first cycles
    wanted = range(first, min(last, first + len(counts) + _MOST_NAMED) + 1)
    absent = [cycle for cycle in wanted if cycle not in recorded]
    missed = tuple(cycle for cycle in absent if any(cycle in declared for declared in told))
    unaccounted = tuple(cycle for cycle in absent if cycle not in missed)
    doubled = (
        tuple(sorted({cycle for cycle in counts if counts.count(cycle) > 1}))
        if len(recorded) < len(counts)
        else ()
    )
    grade = Grade.INCOMPLETE if unaccounted or doubled else Grade.COMPLETE
    return CyclePart(agent, station, number, first, last, len(ours), missed, unaccounted, doubled, grade)


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
    tails = sorted({c.agent for c in certificate.chains if c.grade is Grade.TAIL_UNKNOWN})
    received_us = max((fact.received_us for fact in dossier.facts if fact.agent != CENTRAL), default=0)
    waited_s = (dossier.now_us - received_us) / MICROSECONDS
    if tails and waited_s > grace_s:
        found.append(_finding(dossier, "certificate-tail-unknown", {"agents": [*tails]}))
    blind = sorted({c.station for c in certificate.cycles if c.grade is Grade.CYCLES_NOT_PROVABLE})
    if blind:
        found.append(_finding(dossier, "certificate-cycles-not-provable", {"stations": [*blind]}))
    return found


def _finding(dossier: Dossier, code: str, params: dict[str, JsonValue]) -> Finding:
    return discrepancy(dossier, code, (), params, at_us=dossier.ended_us)
