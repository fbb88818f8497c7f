"""SQL of imports: which records came by a file instead of the network, who brought them, and when.

An import states itself before its first record and after its last, or that it was cut short
(``central.importing``). What was committed between the two of a chain that it names came by it, as many as it
says; an agent that sends at the same time sends what the file holds, too, and so does another import of it. One
that was cut short, or is under way, may have brought what was committed meanwhile and was made before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue
from sqlalchemy import Connection, func, select

from central.store import envelopes, snapshots
from central.store.rows import whole
from central.store.schema import envelope, fact_index
from records.clock import iso_z
from records.wire import CENTRAL

IMPORT_BEGUN, IMPORTED, CUT_SHORT = "export-import-begun", "export-imported", "export-import-cut-short"
"""Codes of the facts that state an import, in the audit stream: before its first record is taken, and its end,
either whole or not. They name the import (``import``); those of a central of before do not.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one chain, from ``first`` to ``last``; ``records``: how many of them were brought, at most."""

    agent: str
    epoch: str
    stream: str
    first: int
    last: int
    records: int = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """One import. ``ended_us`` None: it was cut short, as was known at ``cut_short_us``, or is under way (None),
    and ``parts`` are those that it may have brought. ``reason``: why records by keys that are believed no more
    were taken, too.
    """

    agent: str
    by: str
    reason: str | None
    begun_us: int
    ended_us: int | None
    cut_short_us: int | None
    digest: str
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "agent": self.agent,
            "by": self.by,
            "reason": self.reason,
            "begun": iso_z(self.begun_us),
            "ended": iso_z(self.ended_us),
            "cut_short": iso_z(self.cut_short_us),
            "digest": self.digest,
            "records": [
                {"epoch": p.epoch, "stream": p.stream, "first": p.first, "last": p.last, "records": p.records}
                for p in self.parts
            ],
        }


@dataclass(frozen=True, slots=True)
class Stated:
    """A fact that states an import; ``id`` is its place among all records."""

    id: int
    code: str
    at_us: int
    params: dict[str, JsonValue]

    @property
    def of(self) -> tuple[str, ...]:
        """Which import it is about; of a central of before, which file."""
        return tuple(str(self.params.get(name)) for name in ("agent", "digest", "import"))


def imports(connection: Connection) -> list[tuple[Stated, Stated | None]]:
    """How each import began and ended (None: it has not), in the order in which they began."""
    begun: dict[tuple[str, ...], Stated] = {}
    found: list[tuple[Stated, Stated | None]] = []
    for each in _stated(connection):
        first = begun.pop(each.of, None)
        if each.code == IMPORT_BEGUN:
            begun[each.of] = each
        if first is not None:
            found.append((first, each))
    found += [(each, None) for each in begun.values()]
    return sorted(found, key=lambda pair: pair[0].id)


def brought(connection: Connection, parts: Sequence[Part]) -> list[Brought]:
    """The imports that brought any of these records, or may have, in their order."""
    found = []
    for first, last in imports(connection):
        if _new(last) == 0:  # all of its file was here, or came meanwhile by another way
            continue
        agent, digest = str(first.params.get("agent")), str(first.params.get("digest"))
        ended_us = last.at_us if last is not None and last.code == IMPORTED else None
        cut_short_us = last.at_us if last is not None and ended_us is None else None
        until, made_us = None if last is None else last.id, first.at_us if ended_us is None else None
        came = (_came(connection, part, first.id, until, made_us) for part in parts if part.agent == agent)
        limited = (replace(part, records=min(part.records, _most(last, part))) for part in came)
        taken = tuple(part for part in limited if part.records)
        if taken:
            reason = first.params.get("reason")
            why, by = None if reason is None else str(reason), str(first.params.get("by"))
            found.append(Brought(agent, by, why, first.at_us, ended_us, cut_short_us, digest, taken))
    return found


def _new(end: Stated | None) -> int | None:
    """How many records and chunks an import says that it brought; None where it does not."""
    told = None if end is None else end.params.get("new")
    return int(told) if isinstance(told, str) and told.isdigit() else None


def _most(end: Stated | None, part: Part) -> int:
    """How many of a chain an import can have brought; one of a central of before names no chains."""
    chains = None if end is None else end.params.get("brought")
    if not isinstance(chains, list):
        return _new(end) or part.records
    named = [each[2] for each in chains if isinstance(each, list) and each[:2] == [part.epoch, part.stream]]
    return sum(int(count) for count in named if isinstance(count, str) and count.isdigit())


def _stated(connection: Connection) -> list[Stated]:
    query = (
        whole()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(fact_index.c.code.in_((IMPORT_BEGUN, IMPORTED, CUT_SHORT)), fact_index.c.agent == CENTRAL)
        .order_by(envelope.c.id)
    )
    told = ((row.id, snapshots.said_by(envelopes.of_row(row))) for row in connection.execute(query))
    return [Stated(id_, said.code, said.at_us, said.params) for id_, said in told if said is not None]


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
