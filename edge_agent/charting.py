"""The control charts of one station: which chart a reading belongs to, what the chart says, what is remembered.

Pure, as the station is. Each characteristic has one chart, a stream, for each key that was ever run (product,
revision, tool, position): a changeover goes over to another stream, and coming back resumes the old one. No run of
points and no open subgroup crosses a changeover; limits and phase I go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from edge_agent.chart_facts import Judgement, reading_ref, signals, spc_state
from edge_agent.chart_memory import MOST_STREAMS, ChartMemory, Stream, described, judged_anew, stream_name
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.papers import Papers
from records.model import OperationsEvent, Quality, Reading, Subject
from records.verdict import SpcState
from spc.selection import ChartKey, Chosen, choose
from spc.state import ChartPlan, ChartState
from spc.stream import judge, restart


@dataclass(frozen=True, slots=True)
class Occasion:
    """A run that charts are asked about: when, what was read, of whom, and what the station was set up for."""

    at_us: int
    readings: Mapping[str, Reading]
    subjects: tuple[Subject, ...]
    order: str | None
    product: str | None = None
    revision: str | None = None
    tool: str | None = None


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


class StationCharts:
    """The charts of a station's characteristics, by what the configuration says of them."""

    def __init__(self, characteristics: Mapping[str, CharacteristicSettings]) -> None:
        charted = {name: settings for name, settings in characteristics.items() if settings.chart is not None}
        self._settings = charted
        self._json: dict[str, Mapping[str, JsonValue]] = {
            name: settings.model_dump(mode="json", by_alias=True) for name, settings in charted.items()
        }

    def resume(self, memory: ChartMemory, papers: Papers) -> tuple[ChartMemory, tuple[str, ...]]:
        """The memory by which these charts go on after others (or the process) ended, and which ones begin anew.

        A chart that the configuration no longer has is kept, and cut when it comes back.
        """
        streams, cut = dict(memory.streams), []
        for name, stream in memory.streams.items():
            if stream.characteristic not in self._settings:
                streams[name] = replace(stream, judged_by=None)
                continue
            chosen = self._chosen(stream.characteristic, ChartKey.read(stream.key), papers)
            after = self._by(stream, chosen)
            if after is not stream:
                streams[name] = after
                cut.append(stream.characteristic)
        return replace(memory, streams=streams), tuple(dict.fromkeys(cut))

    def judge(self, memory: ChartMemory, occasion: Occasion, papers: Papers) -> Judged:
        """Every charted characteristic that was read in a run, judged."""
        turn = _Turn(memory)
        for name, settings in self._settings.items():
            reading = occasion.readings.get(settings.tag)
            if reading is not None:
                self._judge_one(turn, name, reading, occasion, papers)
        return turn.judged()

    def _judge_one(self, turn: _Turn, name: str, reading: Reading, occasion: Occasion, papers: Papers) -> None:
        key = ChartKey(occasion.product, occasion.revision, occasion.tool)
        chosen = self._chosen(name, key, papers)
        plan = chosen.plan
        if plan is None:
            return
        turn.set_up(name, _setup(chosen.key, occasion.order))
        stream = turn.stream(name, chosen.key.text, plan, self._described(name, plan))
        stream = self._by(stream, chosen)
        value = reading.value if isinstance(reading.value, int | float) else None
        usable = float(value) if value is not None and reading.quality is Quality.GOOD else None
        state, verdict = judge(plan, stream.state, usable, reading_ref(occasion.subjects))
        turn.put(replace(stream, state=state, order=occasion.order, used_us=occasion.at_us))
        turn.say(Judgement(stream.key, verdict, occasion.order))

    def _chosen(self, name: str, key: ChartKey, papers: Papers) -> Chosen:
        return choose(name, self._json[name], key)

    def _described(self, name: str, plan: ChartPlan) -> JsonValue:
        return described(plan, (self._settings[name].tag,))

    def _by(self, stream: Stream, chosen: Chosen) -> Stream:
        """The stream as it goes on by this plan: itself where it was judged by the same before."""
        plan = chosen.plan
        if plan is None:
            return stream
        now = self._described(stream.characteristic, plan)
        if stream.judged_by == now and stream.state.fits(plan):
            return stream
        return replace(stream, state=judged_anew(stream.state, plan, stream.judged_by, now), judged_by=now)


def _setup(key: ChartKey, order: str | None) -> str:
    """What has to stay the same, or it is a changeover. Positions take turns; no product: the order counts."""
    setup = replace(key, position=None)
    return setup.text if setup.product is not None or order is None else f"{setup.text}&order={order}"


class _Turn:
    """One turn of a station's charts: the memory as it becomes, and what is said on the way."""

    def __init__(self, memory: ChartMemory) -> None:
        self._streams = dict(memory.streams)
        self._setups = dict(memory.setups)
        self._forgotten = memory.forgotten
        self._judgements: list[Judgement] = []
        self._before: list[OperationsEvent] = []
        self._after: list[OperationsEvent] = []

    def judged(self) -> Judged:
        memory = ChartMemory(self._streams, self._setups, self._forgotten)
        return Judged(memory, tuple(self._judgements), tuple(self._before), tuple(self._after))

    def set_up(self, characteristic: str, setup: str) -> None:
        """A changeover cuts every stream of the characteristic."""
        if self._setups.get(characteristic, setup) != setup:
            for stream in self._of(characteristic):
                self.put(replace(stream, state=restart(stream.state), opened_us=None))
        self._setups[characteristic] = setup

    def _of(self, characteristic: str) -> Sequence[Stream]:
        return [stream for stream in self._streams.values() if stream.characteristic == characteristic]

    def stream(self, characteristic: str, key: str, plan: ChartPlan, judged_by: JsonValue) -> Stream:
        """The stream of this key, new where there was none."""
        known = self._streams.get(stream_name(characteristic, key))
        if known is not None:
            return known
        if len(self._streams) >= MOST_STREAMS:
            oldest = min(self._streams.values(), key=lambda stream: stream.used_us)
            del self._streams[oldest.name]
        return Stream(characteristic, key, ChartState.start(plan), judged_by)

    def put(self, stream: Stream) -> None:
        self._streams[stream.name] = stream

    def say(self, judgement: Judgement) -> None:
        self._judgements.append(judgement)
        self._after += signals(judgement)
