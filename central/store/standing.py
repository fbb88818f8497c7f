"""SQL of where chains stand, read once for all frames that are committed together: their watermarks, the newest
ones of their agents, and what else holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, insert, select, update

from central.store import agents
from central.store.bulk import placeholders
from central.store.schema import meta, watermark
from records import chain
from records.wire import Watermark

Chain = tuple[str, str, str]
"""Agent, epoch, stream."""

_GENERATION = select(meta.c.value).where(meta.c.name == "generation").scalar_subquery()
_HOLDS = select(_GENERATION.label("generation"), agents.KEYS_STAMP.label("keys"))
_READ = (
    "SELECT a.column1, w.epoch, w.opened, w.committed_through, w.hash, h.last, h.hash "
    "FROM (VALUES {chains}) AS a "
    "LEFT JOIN watermark w ON w.agent = a.column2 AND w.stream = a.column4 AND (w.epoch = a.column3 OR w.opened = "
    "(SELECT max(n.opened) FROM watermark n WHERE n.agent = a.column2 AND n.stream = a.column4)) "
    "LEFT JOIN head h ON h.agent = a.column2 AND h.stream = a.column4 AND h.epoch = a.column3 "
    "ORDER BY a.column1, w.opened"
)
_MOVE = (
    "UPDATE watermark SET committed_through = {0}, hash = {0}, moved_us = {0} "
    "WHERE agent = {0} AND epoch = {0} AND stream = {0}"
)
_OPEN = insert(watermark).inline()


@dataclass(frozen=True, slots=True)
class Standing:
    """``mark``: of the chain itself, None when it is new. ``newest``: of its agent's newest epoch.

    ``head``: seq and hash of the highest head that the agent stated of the chain.
    """

    agent: str
    epoch: str
    stream: str
    mark: Watermark | None
    newest: Watermark | None
    opened: int
    generation: int
    head: tuple[int, bytes] | None = None

    @property
    def chain(self) -> Chain:
        return self.agent, self.epoch, self.stream

    @property
    def through(self) -> int:
        return 0 if self.mark is None else self.mark.committed_through

    @property
    def answer(self) -> Watermark:
        """What its agent is told: the watermark of its newest epoch; position 0 of this one where none has begun.

        Also of a chain not yet begun: position 0 of it would say nothing of the epochs before, so that an agent
        that hears it of a restored central must take all that it ever made for lost.
        """
        if self.newest is not None:
            return self.newest
        start = chain.first_hash(self.agent, self.epoch, self.stream).hex()
        return Watermark(self.agent, self.epoch, self.stream, 0, start, self.generation)

    def moved(self, seq: int, link: bytes) -> Standing:
        """Committed through ``seq``. A chain that is new becomes its agent's newest epoch."""
        mark = Watermark(self.agent, self.epoch, self.stream, seq, link.hex(), self.generation)
        if self.mark is None:
            return replace(self, mark=mark, newest=mark, opened=self.opened + 1)
        newest = mark if self.newest is None or self.newest.epoch == self.epoch else self.newest
        return replace(self, mark=mark, newest=newest)


@dataclass(frozen=True, slots=True)
class Standings:
    """``keys``: the stamp of the believed keys (``central.store.agents``)."""

    keys: str
    chains: dict[Chain, Standing]


def read(connection: Connection, chains: Collection[Chain]) -> Standings:
    """Where chains stand now."""
    holds = connection.execute(_HOLDS).one()
    generation = 1 if holds.generation is None else int(holds.generation)
    asked = list(dict.fromkeys(chains))
    rows = connection.exec_driver_sql(
        _read_of(len(asked), connection.dialect.name), tuple(part for each in asked for part in each)
    )
    found: list[list[Any]] = [[] for _ in asked]
    for row in rows:
        found[row[0]].append(row)
    return Standings(
        holds.keys,
        {each: _standing(each, theirs, generation) for each, theirs in zip(asked, found, strict=True)},
    )


@lru_cache
def _read_of(chains: int, dialect: str) -> str:
    marks = placeholders(3, dialect)
    return _READ.format(chains=", ".join(f"({number}, {marks})" for number in range(chains)))


def _standing(asked: Chain, rows: Sequence[Any], generation: int) -> Standing:
    agent, epoch, stream = asked
    mark = newest = None
    for _, of, _, through, link, _, _ in rows:
        if of is not None:
            newest = Watermark(agent, of, stream, through, bytes(link).hex(), generation)
            mark = newest if of == epoch else mark
    last, head_hash = rows[0][5:]
    stated = None if last is None else (last, bytes(head_hash))
    return Standing(agent, epoch, stream, mark, newest, rows[-1][2] or 0, generation, stated)


def begin(connection: Connection, begun: Standing, now_us: int) -> None:
    """A chain that is new begins at its place, which is free."""
    if begun.mark is not None:
        row = {"agent": begun.agent, "stream": begun.stream, "epoch": begun.epoch, "opened": begun.opened}
        row |= {"committed_through": begun.through, "hash": bytes.fromhex(begun.mark.hash), "moved_us": now_us}
        connection.execute(_OPEN, row)


def order(connection: Connection, agent: str, stream: str) -> list[tuple[str, int]]:
    """An agent's epochs and their places, the oldest first."""
    mine = (watermark.c.agent == agent, watermark.c.stream == stream)
    query = select(watermark.c.epoch, watermark.c.opened).where(*mine).order_by(watermark.c.opened)
    return [(row.epoch, row.opened) for row in connection.execute(query)]


def make_room(connection: Connection, agent: str, stream: str, opened: int) -> None:
    """Let an agent's epochs from this place on stand one place later."""
    later = (watermark.c.agent == agent, watermark.c.stream == stream, watermark.c.opened >= opened)
    connection.execute(update(watermark).where(*later).values(opened=watermark.c.opened + 1))


def move(connection: Connection, moved: Iterable[Standing], now_us: int) -> None:
    """State how far chains are committed by now."""
    rows = [
        (each.mark.committed_through, bytes.fromhex(each.mark.hash), now_us, *each.chain)
        for each in moved
        if each.mark is not None
    ]
    if rows:
        sql = _MOVE.format(placeholders(1, connection.dialect.name))
        connection.exec_driver_sql(sql, rows)
