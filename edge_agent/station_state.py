"""What a station remembers: the part that survives the process, and everything else between two events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import quote

from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_agent.barriers import Barred
from edge_agent.chart_memory import ChartMemory, changes
from edge_agent.events import Commit, Effect, Married, Ran
from edge_agent.holds import Hold
from edge_agent.recording import MountedLot
from edge_agent.route_status import OwnRun, PieceHere
from records.errors import Damaged
from records.fields import Int64
from records.model import Data, Subject


class Phase(StrEnum):
    START = "start"
    IDLE = "idle"
    CAPTURING = "capturing"
    ANSWERING = "answering"
    WAITING = "waiting"
    RELEASING = "releasing"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose start is committed and whose end is not."""

    run_id: str
    began_us: Int64
    lots: tuple[MountedLot, ...] = ()  # what it takes from: a lot mounted meanwhile is for the next run


@dataclass(frozen=True, slots=True)
class Loaded:
    """A unit that waits for the next run; ``position`` is its container and place."""

    subject: Subject
    position: str | None = None
    carrier: str | None = None
    since_us: Int64 = 0
    ran: Mapping[str, OwnRun] = field(default_factory=dict)  # earlier, by this agent


@dataclass(frozen=True, slots=True)
class Kept:
    """What a station remembers over a restart; committed with the facts that changed it."""

    order: str | None = None
    operator: str | None = None
    lots: tuple[MountedLot, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    container: str | None = None
    last_cycle: Int64 | None = None
    run: OpenRun | None = None
    configuration: str | None = None  # the hash by which the station last worked
    approved: bool = True  # whether it was approved then
    holds: tuple[Hold, ...] = ()  # what signals left standing, until a person ends it
    hold_tag: tuple[str, bool] | None = None  # where a hold is told and how; the one before until it is taken back
    barred: tuple[Barred, ...] = ()  # what was told to stand against a start, or to be warned of
    unlocked: bool = False  # it was told that the station is held and nothing locks its machine


@dataclass(frozen=True, slots=True)
class State:
    """Everything between two events. ``after`` is what to install and do once the pending commit is on disk."""

    kept: Kept
    charts: ChartMemory = field(default_factory=ChartMemory)  # kept too, each stream under a name of its own
    phase: Phase = Phase.START
    done: bool | None = None
    running: bool = False
    told: Mapping[str, bool] = field(default_factory=dict)  # what each tag of the interlock was last told
    sure: frozenset[str] = frozenset()  # those of them whose write was verified
    recovered: bool = False  # the open run began before this start of the agent
    seen: PieceHere | None = None  # the piece that the reader sees, where earlier operations are looked at
    counts: bool = True  # the machine is set to runs that count
    full: bool = False  # the buffer has no room for another run
    lost_since_s: float | None = None  # an open run's machine neither runs nor says done since then
    after: After | None = None

    @property
    def busy(self) -> bool:
        """Whether a run is going on: what names the next piece has to wait."""
        return self.phase not in (Phase.IDLE, Phase.START) or self.running or self.kept.run is not None

    @property
    def free(self) -> bool:
        """Whether nothing of a run is there: none has begun, and none waits to be captured or stored.

        A machine that starts its next run as soon as it is answered is free at that moment: the beginning is not
        recorded yet, so all of that run is the new rules'.
        """
        between = self.phase in (Phase.IDLE, Phase.START) and self.kept.run is None
        return between and not self.done and self.after is None


@dataclass(frozen=True, slots=True)
class After:
    state: State
    effects: tuple[Effect, ...]


Step = tuple[State, tuple[Effect, ...]]


_KEPT = TypeAdapter(Kept)


def read_kept(station: str, kept: JsonValue | None) -> Kept:
    """What the last commit kept (None: never committed).

    Raises:
        Damaged: it cannot be read; nothing was changed.
    """
    if kept is None:
        return Kept()
    try:
        return _KEPT.validate_python(kept)
    except ValidationError as error:
        raise Damaged(
            f"station {station}: its kept state cannot be read: {error.errors()[0]['msg']}",
            hint="was the buffer written by a newer version?",
        ) from error


def as_json(kept: Kept) -> JsonValue:
    """What ``read_kept`` reads again."""
    value: JsonValue = _KEPT.dump_python(kept, mode="json")
    return value


STATIONS = "station/"
"""Under it and its name the buffer has what a station keeps."""


def charts_key(station: str) -> str:
    """Under it and their names the buffer has the streams of a station's charts."""
    return f"charts/{quote(station, safe='')}/"


def stored(station: str, kept: JsonValue, charts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a station keeps (``as_json``) and the changes of its charts, as the buffer has them."""
    of_charts = charts_key(station)
    return {STATIONS + station: kept, **{of_charts + name: chart for name, chart in charts.items()}}


def commit(
    state: State,
    facts: tuple[Data, ...],
    then: State,
    effects: tuple[Effect, ...] = (),
    ran: Ran | None = None,
    married: tuple[Married, ...] = (),
) -> Step:
    """Store facts and what ``then`` keeps; once they are on disk, install ``then`` and do ``effects``."""
    waiting = replace(state, after=After(replace(then, after=None), effects))
    charts = changes(state.charts, then.charts)
    return waiting, (Commit(facts, as_json(then.kept), charts, ran, married),)


def grown(state: State, step: Step, facts: tuple[Data, ...], charts: ChartMemory) -> Step:
    """The same commit of a step that was made from ``state``, with these facts first and these charts in it."""
    waiting, effects = step
    if waiting.after is None:
        return step
    then = replace(waiting.after.state, charts=charts)
    kept = changes(state.charts, charts)
    with_them = tuple(
        replace(effect, facts=(*facts, *effect.facts), charts=kept) if isinstance(effect, Commit) else effect
        for effect in effects
    )
    return replace(waiting, after=replace(waiting.after, state=then)), with_them
