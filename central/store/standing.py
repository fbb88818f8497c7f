"""SQL of where a chain stands, read once a frame: its watermark, its agent's newest one, and what else holds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, func, insert, literal, or_, select, update

from central.store import agents
from central.store.schema import head, meta, watermark
from records import chain
from records.wire import Watermark

_w = watermark.c
_newest = (
    select(func.max(_w.opened))
    .where(_w.agent == bindparam("of_agent"), _w.stream == bindparam("of_stream"))
    .scalar_subquery()
)
_theirs = and_(
    _w.agent == bindparam("of_agent"),
    _w.stream == bindparam("of_stream"),
    or_(_w.epoch == bindparam("of_epoch"), _w.opened == _newest),
)
_generation = select(meta.c.value).where(meta.c.name == "generation").scalar_subquery()
_once = select(literal(1).label("one")).subquery()
_h = head.c
_theirs_head = and_(
    _h.agent == bindparam("of_agent"), _h.stream == bindparam("of_stream"), _h.epoch == bindparam("of_epoch")
)
_READ = (
    select(
        _generation.label("generation"),
        agents.KEYS_STAMP.label("keys"),
        _w.epoch,
        _w.opened,
        _w.committed_through,
        _w.hash,
        _h.last.label("head_last"),
        _h.hash.label("head_hash"),
    )
    .select_from(_once.outerjoin(watermark, _theirs).outerjoin(head, _theirs_head))
    .order_by(_w.opened)
)
_MOVE = (
    update(watermark)
    .where(
        _w.agent == bindparam("of_agent"), _w.stream == bindparam("of_stream"), _w.epoch == bindparam("of_epoch")
    )
    .values(committed_through=bindparam("through"), hash=bindparam("link"), moved_us=bindparam("now_us"))
)
_OPEN = insert(watermark).inline()


@dataclass(frozen=True, slots=True)
class Standing:
    """``mark``: of the chain itself, None when it is new. ``newest``: of its agent's newest epoch.

    ``keys``: the stamp of the believed keys (``central.store.agents``). ``head``: seq and hash of the highest head
    that the agent stated of the chain.
    """

    agent: str
    epoch: str
    stream: str
    mark: Watermark | None
    newest: Watermark | None
    opened: int
    generation: int
    keys: str
    head: tuple[int, bytes] | None = None

    @property
    def through(self) -> int:
        return 0 if self.mark is None else self.mark.committed_through

    @property
    def answer(self) -> Watermark | None:
        """What its agent is told: the watermark of the newest epoch; of a chain not yet begun, its position 0."""
        if self.mark is not None:
            return self.newest
        start = chain.first_hash(self.agent, self.epoch, self.stream).hex()
        return Watermark(self.agent, self.epoch, self.stream, 0, start, self.generation)


def read(connection: Connection, agent: str, epoch: str, stream: str) -> Standing:
    """Where a chain stands now."""
    rows = connection.execute(_READ, {"of_agent": agent, "of_epoch": epoch, "of_stream": stream}).all()
    generation = 1 if rows[0].generation is None else int(rows[0].generation)
    mark = newest = None
    for row in rows:
        if row.epoch is not None:
            newest = Watermark(agent, row.epoch, stream, row.committed_through, row.hash.hex(), generation)
            mark = newest if row.epoch == epoch else mark
    stated = None if rows[0].head_last is None else (rows[0].head_last, rows[0].head_hash)
    return Standing(agent, epoch, stream, mark, newest, rows[-1].opened or 0, generation, rows[0].keys, stated)


def move(connection: Connection, held: Standing, seq: int, link: bytes, now_us: int) -> Watermark | None:
    """State that the chain is committed through ``seq``; a new one becomes its agent's newest epoch.

    Gives the watermark that the agent is to be told.
    """
    agent, epoch, stream = held.agent, held.epoch, held.stream
    moved = Watermark(agent, epoch, stream, seq, link.hex(), held.generation)
    if held.mark is None:
        row = {"agent": agent, "stream": stream, "epoch": epoch, "opened": held.opened + 1}
        row |= {"committed_through": seq, "hash": link, "moved_us": now_us}
        connection.execute(_OPEN, row)
        return moved
    place = {"of_agent": agent, "of_stream": stream, "of_epoch": epoch}
    connection.execute(_MOVE, {**place, "through": seq, "link": link, "now_us": now_us})
    return moved if held.mark == held.newest else held.newest
