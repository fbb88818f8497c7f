"""A machine's own counters against the records: totals between neighbouring cycles, and cycles recorded twice.

Pure. A count that steps back opens a new period: nothing is compared across it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

from central.causes import discrepancy
from central.domain import Finding
from central.dossier import Dossier, Stated
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


def ticks(dossier: Dossier) -> dict[tuple[str, str], list[Tick]]:
    """(agent, station) -> its records in the order of the machine, epochs joined in the order of their opening."""
    opened = [(e.agent, e.epoch) for e in dossier.epochs]
    opened += [(c.agent, c.epoch) for c in dossier.chains if (c.agent, c.epoch) not in opened]
    ranks = {chain: rank for rank, chain in enumerate(opened)}
    ours = {s.data.run_id for s in dossier.records}
    found: dict[tuple[str, str], list[Tick]] = {}
    neighbours = dossier.neighbour_records
    for record in (*dossier.records, *(n for n in neighbours if n.data.run_id not in ours)):
        key = (record.fact.agent, record.data.station)
        found.setdefault(key, []).append(Tick(record, record.data.run_id in ours))
    for station in found.values():
        station.sort(key=lambda t: (ranks.get((t.record.fact.agent, t.record.fact.epoch), 0), t.record.fact.seq))
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
