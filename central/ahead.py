"""Agents that are ahead: they go on behind records that central does not have, because it once confirmed them.

A frame behind a hole is ordinary when a frame before it was lost: the agent sends again from the last word that it
believes, after a minute at the latest. One that still comes behind the same hole minutes later believes a word
that central's database does not know any more: an older copy was put back together with its anchors, or a stand-by
that lacked the last commits took over. Nobody sends what is missing until a restore is stated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog
from pydantic import JsonValue

from central.committing import Behind, Outcome
from central.dossier import whole
from central.facts import Facts
from central.store import intake, snapshots
from central.store.engine import Connection, Store
from central.witness import RESTORED
from records.clock import MICROSECONDS, Clock
from records.model import OperationsEvent
from records.wire import CENTRAL

CODE = "central-behind"
"""Code of the fact that says so, in the audit stream; params: the chain, what central has of it, what came."""

_PARAMS = ("agent", "epoch", "stream", "offered")

LASTING_US = 300 * MICROSECONDS
"""Several times as long as an agent takes to send again from where it believes that central is."""

DO = (
    "was an older copy of the database put back? Then say so: stop central, lotkeeper-central restore --as-is "
    "--reason WHY, start it; the lines send again what is missing"
)


@dataclass(frozen=True, slots=True)
class _Hole:
    behind: Behind
    since_us: int
    told: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """What an agent was told that central has, and central has no more: it goes on at ``offered``."""

    agent: str
    epoch: str
    stream: str
    held: int
    offered: str
    since_us: int


def gone(connection: Connection) -> list[Gone]:
    """Of each chain what was told of it since the last stated restore and still stands."""
    told: dict[tuple[str, str, str], Gone] = {}
    restored_us = snapshots.last_at_us(connection, CENTRAL, RESTORED) or 0
    for item in snapshots.coded(connection, CODE, "audit"):
        said = snapshots.said_by(item) if item.agent == CENTRAL else None
        if said is None or said.at_us < restored_us:
            continue
        agent, epoch, stream, offered = (str(said.params.get(name)) for name in _PARAMS)
        chain, held = (agent, epoch, stream), whole(said.params.get("held"))
        if held is not None and (chain not in told or told[chain].held != held):
            told[chain] = Gone(*chain, held, offered, said.at_us)
    return [one for chain, one in told.items() if _through(connection, chain) == one.held]


def _through(connection: Connection, chain: tuple[str, str, str]) -> int:
    mark = intake.watermark_of(connection, *chain)
    return 0 if mark is None else mark.committed_through


class Ahead:
    """Watches what becomes of frames; from one thread."""

    def __init__(self, store: Store, facts: Facts, clock: Clock) -> None:
        self._store, self._facts, self._clock = store, facts, clock
        self._holes: dict[tuple[str, str], _Hole] = {}  # by agent and stream

    def heard(self, outcome: Outcome) -> None:
        """Take what became of a frame that came over the network.

        Raises:
            StorageFailed: the process must stop.
        """
        behind = outcome.behind
        if behind is not None:
            self._hole(behind)
        elif outcome.result in ("committed", "nothing-new") and outcome.agent and outcome.watermark:
            self._holes.pop((outcome.agent, outcome.watermark.stream), None)  # it sends from where central is

    def _hole(self, behind: Behind) -> None:
        now_us = self._clock.now_us()
        agent, epoch, stream = behind.chain
        hole = self._holes.get((agent, stream))
        if hole is None or (hole.behind.chain, hole.behind.through) != (behind.chain, behind.through):
            self._holes[agent, stream] = _Hole(behind, now_us)
            return
        if hole.told or now_us - hole.since_us < LASTING_US:
            return
        self._holes[agent, stream] = replace(hole, told=True)
        place: dict[str, JsonValue] = {"agent": agent, "epoch": epoch, "stream": stream}
        event = OperationsEvent(CODE, place | {"held": str(behind.through), "offered": str(behind.first)})
        self._store.write(lambda connection: self._facts.state(connection, event, stream="audit"))
        structlog.get_logger().error(CODE, agent=agent, held=behind.through, offered=behind.first, hint=DO)
