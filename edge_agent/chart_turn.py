"""One turn of a station's charts: the memory as it becomes, and what is said on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import JsonValue

from edge_agent import chart_facts
from edge_agent.chart_facts import Judgement, spc_state
from edge_agent.chart_memory import MOST_STREAMS, ChartMemory, Stream, stream_name
from edge_agent.choosing import Occasion
from records.model import OperationsEvent
from records.verdict import SpcState
from spc.state import ChartState
from spc.stream import leave, restart


@dataclass(frozen=True, slots=True)
class Judged:
    """What the charts said: the states for the record, the memory after it, the events before and after it."""

    memory: ChartMemory
    judgements: tuple[Judgement, ...] = ()
    before: tuple[OperationsEvent, ...] = ()
    after: tuple[OperationsEvent, ...] = ()

    @property
    def states(self) -> tuple[SpcState, ...]:
        return tuple(spc_state(judgement) for judgement in self.judgements)


class Turn:
    """Collects what changes; nothing of the memory that it began with is touched."""

    def __init__(self, memory: ChartMemory) -> None:
        self._began = memory
        self._streams = dict(memory.streams)
        self._setups = dict(memory.setups)
        self._forgotten = memory.forgotten
        self._judgements: list[Judgement] = []
        self._before: list[OperationsEvent] = []
        self._after: list[OperationsEvent] = []

    @property
    def memory(self) -> ChartMemory:
        return ChartMemory(dict(self._streams), self._setups, self._forgotten)

    def judged(self) -> Judged:
        return Judged(self.memory, tuple(self._judgements), tuple(self._before), tuple(self._after))

    # -- streams -------------------------------------------------------------------------------------------

    def is_changeover(self, characteristic: str, setup: str) -> bool:
        """Whether the characteristic was set up for something else before; it is for this from now on."""
        before, self._setups[characteristic] = self._setups.get(characteristic, setup), setup
        return before != setup

    def of(self, characteristic: str) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.characteristic == characteristic]

    def stream(self, characteristic: str, key: str, start: ChartState, judged_by: JsonValue) -> Stream:
        """The stream of this key; one that is new takes the place of the oldest where there are too many."""
        known = self._streams.get(stream_name(characteristic, key))
        if known is not None:
            return known
        if len(self._streams) >= MOST_STREAMS:
            self._drop(min(self._streams.values(), key=lambda stream: stream.used_us))
        return Stream(characteristic, key, start._replace(segment=self._forgotten + 1), judged_by)

    def _drop(self, stream: Stream) -> None:
        self.give_up(stream)
        del self._streams[stream.name]
        self._forgotten = max(self._forgotten, stream.state.segment)
        params: dict[str, JsonValue] = {
            "characteristic": stream.characteristic,
            "stream": stream.key,
            "segment": stream.state.segment,
            "subgroup": stream.state.subgroup_id,
        }
        self._before.append(OperationsEvent("chart-dropped", params))

    def put(self, stream: Stream) -> None:
        self._streams[stream.name] = stream

    def leave(self, stream: Stream) -> None:
        """A changeover: the stream waits for its product to come back. One that waits already is left alone."""
        if stream.left:
            return
        self.give_up(stream)
        self.put(replace(stream, state=leave(stream.state), opened_us=None, left=True))

    def end(self, stream: Stream) -> None:
        """Nothing charts it any more; should it come back, it begins anew."""
        self.give_up(stream)
        state = restart(stream.state) if stream.state.open_refs else stream.state
        self.put(replace(stream, state=state, judged_by=None, opened_us=None))

    # -- what is said --------------------------------------------------------------------------------------

    def say(self, judgement: Judgement) -> None:
        """What a chart says with the record of this run."""
        self._judgements.append(judgement)
        self._after += chart_facts.events(judgement)

    def say_before(self, judgement: Judgement) -> None:
        """What a chart says of a subgroup that was closed before this run, or without one."""
        self._before += chart_facts.events(judgement)

    def give_up(self, stream: Stream) -> None:
        """A cut: what is open will never be judged."""
        self._before += chart_facts.given_up(stream.key, stream.state, stream.order)

    def say_limits(self, stream: Stream, after: ChartState, now: JsonValue, source: str) -> None:
        """The chart is judged by another plan; told where its limits are others."""
        told = chart_facts.other_limits(stream.key, stream.state, after, stream.judged_by, now, source)
        self._before += told

    def say_no_limits(self, stream: Stream, occasion: Occasion, unsuited: str | None) -> str:
        """Once for each stream and order; the order for which it was said."""
        order = occasion.order or ""
        if stream.unlimited != order:
            self._after.append(
                chart_facts.no_limits(
                    stream.characteristic, stream.key, occasion.subjects, occasion.order, unsuited
                )
            )
        return order
