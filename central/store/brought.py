"""SQL of imports: which records came by a file instead of the network, who brought them, and when.

An import states itself before its first record and after its last (``central.importing``). What was committed of
its agent between the two came by it; an agent that sends at the same time sends what the file holds, too. One that
was cut short may have brought what was committed since, until it was done again, and was made before it. Two
imports of one file at once are told like that: the first as cut short by the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import Connection, func, select

from central.store import envelopes, snapshots
from central.store.rows import whole
from central.store.schema import envelope, fact_index
from records.clock import iso_z
from records.wire import CENTRAL

IMPORT_BEGUN, IMPORTED = "export-import-begun", "export-imported"
"""Codes of the facts that state an import, in the audit stream: before its first record is taken, and its end. Of
one that was cut short the first alone tells how its records came, and who decided it.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one chain, from ``first`` to ``last``; ``records``: how many of them were brought."""

    agent: str
    epoch: str
    stream: str
    first: int
    last: int
    records: int = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """One import. ``ended_us`` None: it was cut short, and ``parts`` are those that it may have brought.
    ``reason``: why records by keys that are believed no more were taken, too.
    """

    agent: str
    by: str
    reason: str | None
    begun_us: int
    ended_us: int | None
    digest: str
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "agent": self.agent,
            "by": self.by,
            "reason": self.reason,
            "begun": iso_z(self.begun_us),
            "ended": iso_z(self.ended_us),
            "digest": self.digest,
            "records": [
                {"epoch": p.epoch, "stream": p.stream, "first": p.first, "last": p.last, "records": p.records}
                for p in self.parts
            ],
        }


@dataclass(frozen=True, slots=True)
class _Stated:
    id: int
    code: str
    at_us: int
    params: dict[str, JsonValue]

    @property
    def file(self) -> tuple[str, str]:
        return str(self.params.get("agent")), str(self.params.get("digest"))


def brought(connection: Connection, parts: Sequence[Part]) -> list[Brought]:
    """The imports that brought any of these records, or may have, in their order."""
    begun: dict[tuple[str, str], _Stated] = {}
    windows: list[tuple[_Stated, _Stated | None, int | None]] = []
    for each in _stated(connection):
        first = begun.pop(each.file, None)
        if each.code == IMPORT_BEGUN:
            begun[each.file] = each
        if first is not None:
            windows.append((first, each if each.code == IMPORTED else None, each.id))
    windows += [(each, None, None) for each in begun.values()]
    found = []
    for first, last, until in sorted(windows, key=lambda window: window[0].id):
        agent, digest = first.file
        made_us = first.at_us if last is None else None
        came = (_came(connection, part, first.id, until, made_us) for part in parts if part.agent == agent)
        taken = tuple(part for part in came if part.records)
        if taken:
            reason = first.params.get("reason")
            why, ended_us = None if reason is None else str(reason), None if last is None else last.at_us
            found.append(Brought(agent, str(first.params.get("by")), why, first.at_us, ended_us, digest, taken))
    return found


def _stated(connection: Connection) -> list[_Stated]:
    query = (
        whole()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(fact_index.c.code.in_((IMPORT_BEGUN, IMPORTED)), fact_index.c.agent == CENTRAL)
        .order_by(envelope.c.id)
    )
    told = ((row.id, snapshots.said_by(envelopes.of_row(row))) for row in connection.execute(query))
    return [_Stated(id_, said.code, said.at_us, said.params) for id_, said in told if said is not None]


def _came(connection: Connection, part: Part, after: int, before: int | None, made_us: int | None) -> Part:
    """Which of them were committed after one record and before another, and made no later than at a time."""
    table = envelope.c
    query = select(func.count(), func.min(table.seq), func.max(table.seq)).where(
        table.agent == part.agent,
        table.epoch == part.epoch,
        table.stream == part.stream,
        table.seq.between(part.first, part.last),
        table.id > after,
    )
    if before is not None:
        query = query.where(table.id < before)
    if made_us is not None:
        made = select(fact_index.c.envelope_id).where(
            fact_index.c.envelope_id == table.id, fact_index.c.at_us > made_us
        )
        query = query.where(~made.exists())
    count, first, last = connection.execute(query).one()
    return Part(part.agent, part.epoch, part.stream, first or 0, last or 0, count)
