"""The SPC board: every chart of the lines as a tile, the worst first; and the same on a wall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response

from central.charts import ChartHead
from central.web import boards, capable
from central.web.boards import GROUPS, POINTS_SHOWN, Tile
from central.web.visit import Enter, Visit

router = APIRouter(include_in_schema=False)

TILES = 60
"""Most charts of one page of the board."""
WALL_TILES = 6
"""Charts of one page on a wall: as many as can be read from five metres."""
WALL_SIZE = (352, 122)
"""A drawing on the wall: as wide, to its height, as what a tile has left for it between two lines of text."""
WALL_PAGE_S = 20
"""How long a page stays on a wall."""
CAPABILITY_POINTS = 200
"""Newest points that a tile's capability is computed from."""


@dataclass(frozen=True, slots=True)
class Choices:
    """A filter of the board: its present value and what there is to choose from."""

    name: str
    value: str
    options: tuple[str, ...]


@router.get("/spc")
def board(
    visit: Enter, state: str = "", line: str = "", product: str = "", page: int = 1, wall: str = ""
) -> Response:
    every = visit.desk.charts.heads()
    wanted = {"state": state if state in GROUPS else "", "line": line, "product": product}
    chosen = [h for h in every if _matches(h, line, product)]
    found = boards.worst_first(h for h in chosen if boards.belongs(h, wanted["state"]))
    if wall:
        return _wall(visit, found, wanted, page)
    page = max(1, min(page, 1 + (len(found) - 1) // TILES if found else 1))
    shown = found[(page - 1) * TILES : page * TILES]
    return visit.page(
        "spc.html",
        tiles=_tiles(visit, shown, (312, 136)),
        found=len(found),
        total=len(every),
        groups={name: sum(boards.belongs(h, name) for h in chosen) for name in GROUPS},
        chosen=len(chosen),
        names=GROUPS,
        wanted=wanted,
        page_number=page,
        pages=1 + (len(found) - 1) // TILES if found else 1,
        filters=[
            Choices("line", line, tuple(sorted({h.line for h in every if h.line}))),
            Choices("product", product, tuple(sorted({h.product for h in every if h.product}))),
        ],
    )


def _matches(head: ChartHead, line: str, product: str) -> bool:
    return line in ("", head.line) and product in ("", head.product)


def _tiles(visit: Visit, heads: list[ChartHead], size: tuple[int, int]) -> list[Tile]:
    wanted = boards.wanted_points(visit.desk.configurations())
    found = []
    for head in heads:
        points = visit.desk.charts.points(head.ref, limit=CAPABILITY_POINTS)
        found.append(
            boards.tile(
                head,
                points[-POINTS_SHOWN:],
                visit.words,
                wanted.get((head.ref.agent, head.ref.characteristic)),
                capable.capable(visit.words, head, points),
                size=size,
            )
        )
    return found


def _wall(visit: Visit, found: list[ChartHead], wanted: Mapping[str, str], page: int) -> Response:
    """One page of the wall; the next one follows by itself, after the last the first."""
    pages = max(1, 1 + (len(found) - 1) // WALL_TILES)
    page = min(max(1, page), pages)
    shown = found[(page - 1) * WALL_TILES : page * WALL_TILES]
    return visit.page(
        "spc_wall.html",
        tiles=_tiles(visit, shown, WALL_SIZE),
        groups={name: sum(boards.belongs(h, name) for h in found) for name in GROUPS},
        names=GROUPS,
        wanted=wanted,
        found=len(found),
        page_number=page,
        pages=pages,
        following=page % pages + 1,
        seconds=WALL_PAGE_S,
    )
