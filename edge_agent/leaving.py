"""The last words of a station that the line file has no more: what it leaves open is told once, and given up.

No run completes its open subgroups any more, and nothing keeps a held machine locked. The rest of what it
remembers stays: should it come back, it goes on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import structlog
from pydantic import JsonValue

from edge_agent.chart_memory import ChartMemory, changes, read_memory
from edge_agent.chart_turn import Turn
from edge_agent.holds import station_is_held
from edge_agent.outbox import Outbox
from edge_agent.station_state import STATIONS, Kept, as_json, charts_key, read_kept, stored
from records.errors import Damaged
from records.model import Data, OperationsEvent

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LastWords:
    """What is to be committed together: facts, and states by their key."""

    facts: tuple[Data, ...]
    states: dict[str, JsonValue]


def last_words(station: str, kept: Kept, charts: ChartMemory) -> LastWords | None:
    """What there is to tell, None where nothing is open or all of it has been told."""
    turn = Turn(charts)
    for stream in charts.streams.values():
        if stream.state.open_refs:
            turn.leave(stream)
    judged = turn.judged()
    after, unlocked = told_unlocked(station, kept, locks=False)
    if not judged.before and after == kept:
        return None
    states = stored(station, as_json(after), changes(charts, judged.memory))
    return LastWords((*judged.before, *unlocked), states)


def told_unlocked(station: str, kept: Kept, *, locks: bool) -> tuple[Kept, tuple[OperationsEvent, ...]]:
    """Whether the station is held and nothing locks its machine, kept and told once.

    ``locks``: it has a hold's tag or a permit, which is kept true as long as it is held.
    """
    unlocked = station_is_held(kept.holds) and not locks
    after = replace(kept, unlocked=unlocked)
    if not unlocked or kept.unlocked:
        return after, ()
    held: list[JsonValue] = [hold.id for hold in kept.holds if hold.kind == "hold_station"]
    log.error("hold-locks-nothing", station=station, holds=held, hint="give the station hold: or permit:")
    return after, (OperationsEvent("hold-locks-nothing", {"holds": held}, order=kept.order),)


def departed(outbox: Outbox, present: Collection[str]) -> Iterator[tuple[str, LastWords]]:
    """The stations that left while no agent ran, with what each has to say. What cannot be read says nothing."""
    for name, value in outbox.states(STATIONS).items():
        if name in present:
            continue
        try:
            kept = read_kept(name, value)
        except Damaged:
            continue
        words = last_words(name, kept, read_memory(outbox.states(charts_key(name))))
        if words is not None:
            yield name, words
