"""A machine's own counters against the records: totals between neighbouring cycles, and cycles recorded twice.

Pure. A count that steps back opens a new period, and so does another machine at the station: nothing is compared
across it. Which cycles the old period had after its last record, nobody knows where the agent or the machine was
away in between. At the end of 16 or 32 bits a count goes on at 0: that is no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pydantic import JsonValue

from central.causes import discrepancy
from central.domain import Finding
from central.dossier import Dossier, Stated, whole
from records.model import OperationRecord


@dataclass(frozen=True, slots=True)
class Tick:
    """One record of a station in the order of its machine, the order's own or a neighbour's."""

    record: Stated[OperationRecord]
    ours: bool

    @property
    def cycle(self) -> int | None:
        return self.record.data.cycle

    def counter(self, name: str) -> int | None:
        return next((c.value for c in self.record.data.counters if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Period:
    """A station's records within one counting. ``before``: the last record of the counting before it.

    ``unwatched``: the agent was not there all the time between the two; ``replaced``: another machine counts.
    """

    rows: tuple[Tick, ...]
    before: Tick | None = None
    unwatched: bool = False
    replaced: bool = False

    @property
    def wrapped(self) -> int | None:
        """How many counts the counter has, where it came to its end between the two periods."""
        last, first = (None if self.before is None else self.before.cycle), self.rows[0].cycle
        if last is None or first is None or self.replaced or self.unwatched:
            return None
        return next((size for size in SIZES if size - NEAR <= last < size and first <= NEAR), None)


SIZES = (2**16, 2**32)
"""Counts of an unsigned counter of 16 and of 32 bits."""
NEAR = 64
"""So near to its end before and to its beginning after, a counter has wrapped and was not reset."""

AWAY = ("agent-started", "device-lost")
"""After these, nobody saw what a machine did before."""
REPLACED = "device-changed"
MISSED = "cycles-missed"
COUNTING = (*AWAY, REPLACED, MISSED)
"""Events that say something about the counts of an agent's machines."""


def periods(dossier: Dossier, agent: str, row: Sequence[Tick]) -> list[Period]:
    """One station's records, cut where its count steps back and where another machine stands there."""
    place = dossier.place
    events = [(place(s.fact), s) for s in dossier.counting_events if s.fact.agent == agent]
    found: list[Period] = []
    latest: Tick | None = None
    for tick in row:
        after = None if latest is None else place(latest.record.fact)
        between = [s for at, s in events if after is not None and after < at < place(tick.record.fact)]
        replaced = any(e.data.code == REPLACED and _counts_for(tick, e.data.device) for e in between)
        counted = latest is not None and latest.cycle is not None and tick.cycle is not None
        stepped_back = counted and (tick.cycle or 0) < (latest.cycle or 0) if latest is not None else False
        if not found or stepped_back or replaced:
            away = any(e.data.code in AWAY for e in between)
            found.append(Period((tick,), latest, away, replaced))
        else:
            found[-1] = replace(found[-1], rows=(*found[-1].rows, tick))
        latest = tick if tick.cycle is not None else latest
    return found


Declared = tuple[tuple[int, int], range]
"""Where it was stated, and the cycles."""


def declarations(dossier: Dossier, agent: str, station: str) -> list[Declared]:
    """What the agent itself stated as missed at a station."""
    found: list[Declared] = []
    for event in dossier.counting_events:
        fact, params = event.fact, event.data.params
        if event.data.code != MISSED or (fact.agent, fact.fact.header.station or "") != (agent, station):
            continue
        first, last = whole(params.get("first")), whole(params.get("last"))
        if first is not None and last is not None:
            found.append((dossier.place(fact), range(first, last + 1)))
    return found


def declared(dossier: Dossier, stated: Sequence[Declared], period: Period) -> list[range]:
    """Cycles of this counting that were stated as missed: after the last record of the counting before it, and
    before its own last one. The same number in another counting is another cycle.
    """
    begin = (-1, 0) if period.before is None else dossier.place(period.before.record.fact)
    end = dossier.place(period.rows[-1].record.fact)
    return [cycles for at, cycles in stated if begin < at < end]


def _counts_for(tick: Tick, device: str | None) -> bool:
    """Whether a device is one that the record's readings came from; where it has none, any is."""
    devices = {reading.tag.partition(".")[0] for reading in tick.record.data.readings}
    return device is None or not devices or device in devices


def ticks(dossier: Dossier) -> dict[tuple[str, str], list[Tick]]:
    """(agent, station) -> its records in the order of the machine, epochs joined in the order of their opening."""
    place = dossier.place
    ours = {s.data.run_id for s in dossier.records}
    found: dict[tuple[str, str], list[Tick]] = {}
    neighbours = dossier.neighbour_records
    for record in (*dossier.records, *(n for n in neighbours if n.data.run_id not in ours)):
        key = (record.fact.agent, record.data.station)
        found.setdefault(key, []).append(Tick(record, record.data.run_id in ours))
    for station in found.values():
        station.sort(key=lambda tick: place(tick.record.fact))
    return dict(sorted(found.items()))


def of_counters(dossier: Dossier) -> list[Finding]:
    """A machine's own total against the cycles between two neighbouring records; a reset begins a new period."""
    found = []
    for (agent, station), row in ticks(dossier).items():
        for before, after in pairwise(row):
            machine = _step(before.counter("total"), after.counter("total"))
            cycles = 1 if after.cycle is None else _step(before.cycle, after.cycle)
            if not after.ours or machine is None or cycles is None or machine < 0 or cycles <= 0:
                continue
            if machine != cycles:
                params: dict[str, JsonValue] = {
                    "counter": "total",
                    "machine": machine,
                    "records": cycles,
                    "from_cycle": before.cycle,
                    "to_cycle": after.cycle,
                }
                target = (agent, station, after.record.data.run_id)
                at_us = after.record.data.ended_us
                found.append(
                    discrepancy(dossier, "counter-disagrees", target, params, at_us=at_us, by=after.record)
                )
    return found


def of_cycles(dossier: Dossier) -> list[Finding]:
    """One machine cycle recorded by two runs: the same cycle follows itself."""
    found = []
    for (agent, station), row in ticks(dossier).items():
        for before, after in pairwise(row):
            if after.cycle is None or before.cycle != after.cycle or not (after.ours or before.ours):
                continue
            runs: list[JsonValue] = [before.record.data.run_id, after.record.data.run_id]
            params: dict[str, JsonValue] = {"cycle": after.cycle, "runs": runs}
            target = (agent, station, after.record.data.run_id)
            at_us = after.record.data.ended_us
            found.append(discrepancy(dossier, "cycle-doubled", target, params, at_us=at_us, by=after.record))
    return found


def _step(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
