"""The control charts of one station: which chart a reading belongs to, what the chart says, what is remembered.

Pure, as the station is. Each characteristic has one chart, a stream, for each key that was ever run (product,
revision, tool, position): a changeover goes over to another stream, and coming back resumes the old one. No run of
points and no open subgroup crosses a changeover; limits, phase I and the sums of EWMA, CUSUM and MEWMA go on.
Positions take turns: they are streams beside each other, and going from one to the next is no changeover.

What closes an open subgroup: its last reading; its age, when a run comes or the clock says so; the end of its lot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from edge_agent.chart_facts import Judgement, reading_ref
from edge_agent.chart_memory import MOST_STREAMS, ChartMemory, Stream
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.chart_turn import Judged, Turn
from edge_agent.choosing import Chooser, Occasion
from edge_agent.papers import Papers
from records.clock import MICROSECONDS
from records.model import OperationsEvent, Quality, Reading
from spc.renewal import described, judged_anew
from spc.selection import ChartKey, Chosen
from spc.state import ChartState, Verdict
from spc.stream import Sample, close, judge

__all__ = ["Judged", "Occasion", "Resumed", "StationCharts"]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The memory to go on with, the characteristics whose charts begin a new segment, and what has to be told."""

    memory: ChartMemory
    cut: tuple[str, ...] = ()
    told: tuple[OperationsEvent, ...] = ()


class StationCharts:
    """The charts of a station's characteristics, by what the configuration says of them on this line."""

    def __init__(self, characteristics: Mapping[str, CharacteristicSettings], line: str | None = None) -> None:
        self._settings = characteristics
        self.chooser = Chooser(characteristics, line)
        self._descriptions: dict[tuple[str, ChartKey], tuple[Chosen, JsonValue]] = {}

    def resume(self, memory: ChartMemory, papers: Papers) -> Resumed:
        """After others (or the process) ended.

        A chart that is no longer there gives up what it has open, and is cut when it comes back.
        """
        turn, cut = Turn(memory), []
        for stream in memory.streams.values():
            chosen = self._kept_choice(stream, papers)
            if chosen is None or chosen.plan is None:
                turn.end(stream)
            elif (after := self._by(turn, stream, chosen)) is not stream:
                turn.put(after)
                cut.append(stream.characteristic)
        judged = turn.judged()
        return Resumed(judged.memory, tuple(dict.fromkeys(cut)), judged.before)

    def judge(
        self, memory: ChartMemory, occasion: Occasion, choices: Mapping[str, Chosen], papers: Papers
    ) -> Judged:
        """Every charted characteristic of a run, judged by what the chooser found for it."""
        turn = Turn(memory)
        self._end_lots(turn, occasion.lot, papers)
        for name, chosen in choices.items():
            if chosen.plan is not None:
                self._judge_one(turn, name, chosen, occasion, papers)
        return turn.judged()

    def lot_ended(self, memory: ChartMemory, lot: str | None, papers: Papers) -> Judged:
        """The station goes over to this lot: what the lot before left open is closed, where the lot closes it."""
        turn = Turn(memory)
        self._end_lots(turn, lot, papers)
        return turn.judged()

    def due(self, memory: ChartMemory, at_us: int, papers: Papers) -> Judged:
        """What has been open for long enough is closed, though no run comes."""
        turn = Turn(memory)
        for stream in self._open(memory):
            if self._is_due(stream, at_us) and (chosen := self._kept_choice(stream, papers)) is not None:
                turn.put(self._close(turn, stream, chosen, "time"))
        return turn.judged()

    # -- one chart -----------------------------------------------------------------------------------------

    def _judge_one(self, turn: Turn, name: str, chosen: Chosen, occasion: Occasion, papers: Papers) -> None:
        plan = chosen.plan
        assert plan is not None  # noqa: S101  the caller has seen to it
        if turn.is_changeover(name, _setup(chosen.key, occasion)):
            for stream in turn.of(name):
                turn.leave(stream)
        stream = turn.stream(name, chosen.key.text, ChartState.start(plan), self._described(name, chosen))
        stream = self._by(turn, stream, chosen)
        if self._is_due(stream, occasion.at_us):
            stream = self._close(turn, stream, chosen, "time")
        sample = self._sample(name, chosen, occasion.readings)
        state, verdict = _judge(chosen, stream, sample, reading_ref(occasion.subjects))
        opened_us = stream.opened_us if stream.state.open_refs else occasion.at_us
        unlimited = (
            turn.say_no_limits(stream, occasion, chosen.unsuited)
            if chosen.missing or not chosen.plottable
            else None
        )
        turn.put(
            replace(
                stream,
                state=state,
                opened_us=opened_us if state.open_refs else None,
                order=occasion.order,
                lot=occasion.lot,
                unlimited=unlimited,
                used_us=occasion.at_us,
                left=False,
            )
        )
        turn.say(Judgement(stream.key, verdict, occasion.order, None if state.open_refs else "runs"))

    def _sample(self, name: str, chosen: Chosen, readings: Mapping[str, Reading]) -> Sample:
        """The reading as the chart takes it: bad quality is a gap, what is uncertain makes no limits."""
        settings = self._settings[name]
        read = [readings[tag] for tag in settings.sources()]
        values = tuple(number(reading) if chosen.plottable else None for reading in read)
        size: float | None = 1.0
        if settings.size is not None:
            read.append(readings[settings.size])
            size = number(read[-1])
        if size is None:
            values, size = (None,) * len(values), 1.0
        return Sample(values, size, all(reading.quality is Quality.GOOD for reading in read))

    def _kept_choice(self, stream: Stream, papers: Papers) -> Chosen | None:
        """What holds for a stream without a run; None where the configuration no longer charts it."""
        key = ChartKey.read(stream.key)
        if not self.chooser.has_chart(stream.characteristic, key):
            return None
        return self.chooser.choose(stream.characteristic, key, papers, stream.used_us)

    def _described(self, name: str, chosen: Chosen) -> JsonValue:
        """By what the chart is judged; made once for each choice, since every reading asks for it."""
        known = self._descriptions.get((name, chosen.key))
        if known is not None and known[0] is chosen:
            return known[1]
        assert chosen.plan is not None  # noqa: S101  the caller has seen to it
        settings = self._settings[name]
        told: JsonValue = described(chosen.plan, settings.read(), settings.short_run)  # type: ignore[assignment]
        if len(self._descriptions) > MOST_STREAMS:
            self._descriptions.clear()
        self._descriptions[name, chosen.key] = (chosen, told)
        return told

    def _by(self, turn: Turn, stream: Stream, chosen: Chosen) -> Stream:
        """The stream as it goes on by this plan: itself where it was judged by the same before."""
        plan = chosen.plan
        assert plan is not None  # noqa: S101  the caller has seen to it
        now = self._described(stream.characteristic, chosen)
        if stream.judged_by == now and stream.state.fits(plan):
            return stream
        state = judged_anew(stream.state, plan, stream.judged_by, now)
        turn.give_up(stream)
        turn.say_limits(stream, state, now, chosen.source)
        return replace(stream, state=state, judged_by=now, opened_us=None)

    # -- closing -------------------------------------------------------------------------------------------

    def _open(self, memory: ChartMemory) -> Iterator[Stream]:
        return (stream for stream in memory.streams.values() if stream.state.open_refs)

    def _is_due(self, stream: Stream, at_us: int) -> bool:
        settings = self._settings.get(stream.characteristic)
        after_s = None if settings is None else settings.after_s
        if after_s is None or stream.opened_us is None or not stream.state.open_refs:
            return False
        return at_us - stream.opened_us >= after_s * MICROSECONDS

    def _end_lots(self, turn: Turn, lot: str | None, papers: Papers) -> None:
        for stream in self._open(turn.memory):
            settings = self._settings.get(stream.characteristic)
            if settings is None or not settings.by_lot or stream.lot == lot:
                continue
            chosen = self._kept_choice(stream, papers)
            if chosen is not None:
                turn.put(self._close(turn, stream, chosen, "lot"))

    def _close(self, turn: Turn, stream: Stream, chosen: Chosen, by: str) -> Stream:
        """The stream without an open subgroup; its verdict is told."""
        plan = chosen.plan
        assert plan is not None  # noqa: S101  the caller has seen to it
        stream = self._by(turn, stream, chosen)
        state, verdict = close(plan, stream.state)
        if verdict is not None:
            turn.say_before(Judgement(stream.key, verdict, stream.order, "lot" if by == "lot" else "time"))
        return replace(stream, state=state, opened_us=None)


def number(reading: Reading) -> float | None:
    """The value as a chart takes it, None where it is none."""
    value = reading.value
    if reading.quality is Quality.BAD or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _judge(chosen: Chosen, stream: Stream, sample: Sample, ref: str) -> tuple[ChartState, Verdict]:
    """A reading that the limits cannot judge (a sample of another size, other variables) is a gap, not a stop."""
    plan = chosen.plan
    assert plan is not None  # noqa: S101  the caller has seen to it
    try:
        return judge(plan, stream.state, sample, ref)
    except ValueError:
        return judge(plan, stream.state, replace(sample, values=(None,) * len(sample.values)), ref)


def _setup(key: ChartKey, occasion: Occasion) -> str:
    """What has to stay the same, or it is a changeover. Where no product is known, the order stands for it."""
    setup = replace(key, position=None).text
    unknown = occasion.product is None and occasion.order is not None
    return f"{setup}&order={occasion.order}" if unknown else setup
