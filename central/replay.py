"""Charts judged again from recorded readings: the same plans, the same pure functions, verdict against verdict.

Pure. A stream is followed from the oldest of its records that are held. What decided at the line about a cut (a
changeover, other limits, a restart by a person) is taken from the records, which count segments; what a chart said
is computed. Where the state before a record is not known, its verdict cannot be compared, and ``why`` says so:

- ``configuration-unknown``: the line file by which it was judged is not here, or not as it was understood;
- ``before-streams``: the record is of a version that did not name stream and segment;
- ``document-unknown``: it relied on a recipe or limit set that central has not issued;
- ``begins-later``: the oldest record held is not the stream's first, and limits or windows reach back before it;
- ``memory-lost``: the agent began a new series of records with another memory (disk rolled back, buffer lost).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from pydantic import JsonValue

from central.chart_inputs import position_of, sample_of, tags_of, word
from central.closings import count
from central.judgement import FactLike
from records.model import OperationRecord, OperationsEvent
from records.verdict import SpcState
from spc.renewal import described, judged_anew
from spc.selection import ChartKey, Chosen, choose
from spc.state import ChartPlan, ChartState, Sample, Verdict
from spc.stream import close, judge, leave, restart

TOLERANCE = 1e-12
"""Relative; sums are exact on every machine, roots and powers to the last bit or two."""
WEIGHING = ("ewma", "cusum", "mewma")

_NUMBERS = (
    *("statistic", "range_statistic", "centre", "lower", "upper"),
    *("range_centre", "range_lower", "range_upper", "sample"),
)

Characteristics = Callable[[str, str | None], Mapping[str, JsonValue] | None]
"""(agent, configuration hash) -> characteristics of the resolved line file."""
Content = Callable[[str, str, int], JsonValue]
"""(kind, id, version) -> content of a document that central issued; raises KeyError for one that it did not."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One verdict held against the recorded one. ``why``: not comparable; ``fields``: recorded and computed."""

    fact: FactLike
    characteristic: str
    stream: str
    subgroup: int
    why: str | None = None
    fields: Mapping[str, tuple[JsonValue, JsonValue]] | None = None

    @property
    def equal(self) -> bool:
        return self.why is None and not self.fields


@dataclass(frozen=True, slots=True)
class _Papers:
    """By what the last reading of a stream was judged, beside the line file."""

    recipe: Mapping[str, JsonValue] | None = None
    sets: Sequence[Mapping[str, object]] | None = None
    at_us: int = 0
    line: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What holds for a key under the same papers, from a time on; ``told`` describes its plan."""

    chosen: Chosen
    told: object
    from_us: int

    def holds(self, at_us: int) -> bool:
        until_us = self.chosen.until_us
        return self.from_us <= at_us and (until_us is None or at_us < until_us)


@dataclass(slots=True)
class _Stream:
    """A stream while it is followed. ``state`` None: not known, ``why`` says why."""

    state: ChartState | None = None
    why: str = "begins-later"
    plan: ChartPlan | None = None
    judged_by: object = None
    epoch: str = ""
    segment: int | None = None
    restarted: bool = False
    closed: Verdict | None = None
    """The verdict that closed its last subgroup."""
    papers: _Papers = field(default_factory=lambda: _Papers())

    def lose(self, why: str) -> None:
        self.state, self.why = None, why


class Replay:
    """One station's charts. Give ``take`` every record and charting event of the station, in their order."""

    def __init__(self, characteristics: Characteristics, content: Content) -> None:
        self._characteristics, self._content = characteristics, content
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._found: dict[tuple[object, ...], _Found] = {}

    def take(self, fact: FactLike) -> list[Compared]:
        """The verdicts that this fact states, each compared."""
        data = fact.fact.data
        if isinstance(data, OperationRecord):
            return self._record(fact, data)
        if isinstance(data, OperationsEvent):
            return self._event(fact, data)
        return []

    def waits_for(self, records: Collection[str]) -> bool:
        """Whether a subgroup is open that holds a reading of one of these records (chain hashes)."""
        states = [stream.state for stream in self._streams.values() if stream.state is not None]
        return any(ref in records for state in states for ref in state.open_refs)

    # -- records -------------------------------------------------------------------------------------------

    def _record(self, fact: FactLike, record: OperationRecord) -> list[Compared]:
        settings = self._characteristics(fact.agent, fact.fact.header.configuration)
        return [self._judged(fact, record, state, settings) for state in record.spc]

    def _configured(self, settings: Mapping[str, JsonValue]) -> None:
        """The station goes over to another line file: charts that are judged otherwise by it are cut."""
        for (name, key), stream in self._streams.items():
            own = settings.get(name)
            papers = stream.papers
            if not isinstance(own, dict) or own.get("chart") is None:
                stream.judged_by = None  # cut when it comes back, whatever it comes back to
                continue
            if stream.state is None:
                continue
            try:
                told = ChartKey.read(key)
                plan = choose(name, own, told, papers.recipe, papers.sets, papers.at_us, papers.line).plan
            except ValueError:
                continue
            if plan is None:
                stream.judged_by = None
                continue
            now = _told(plan, own)
            if stream.judged_by != now or not stream.state.fits(plan):
                stream.state = judged_anew(stream.state, plan, stream.judged_by, now)
                stream.judged_by, stream.plan = now, plan

    def _judged(
        self,
        fact: FactLike,
        record: OperationRecord,
        told: SpcState,
        settings: Mapping[str, JsonValue] | None,
    ) -> Compared:
        name = told.characteristic
        stream = self._streams.setdefault((name, told.stream or ""), _Stream())
        own = None if settings is None else settings.get(name)
        why: str | None = None
        if told.segment is None or told.stream is None:
            why = "before-streams"
        elif not isinstance(own, dict):
            why = "configuration-unknown"
        else:
            try:
                found = self._choose(fact, record, stream, name, own)
            except (KeyError, ValueError):
                why = "document-unknown"
        if why is not None or not isinstance(own, dict):
            stream.lose(why or "configuration-unknown")
            return Compared(fact, name, told.stream or "", told.subgroup, why)
        chosen = found.chosen
        if chosen.plan is None or chosen.key.text != told.stream:
            there = None if chosen.plan is None else chosen.key.text
            return Compared(fact, name, told.stream or "", told.subgroup, None, {"stream": (told.stream, there)})
        _align(stream, chosen.plan, found.told, told, fact.epoch)
        if stream.state is None:
            return Compared(fact, name, told.stream or "", told.subgroup, stream.why)
        sample = sample_of(own, record, plottable=chosen.plottable)
        stream.state, verdict = _judge(chosen.plan, stream.state, sample, fact.hash)
        stream.plan = chosen.plan
        if not stream.state.open_refs:
            stream.closed = verdict
        return Compared(fact, name, told.stream or "", told.subgroup, None, differences(told, verdict))

    def _choose(
        self,
        fact: FactLike,
        record: OperationRecord,
        stream: _Stream,
        name: str,
        own: Mapping[str, JsonValue],
    ) -> _Found:
        """Raises KeyError for a document that central has not issued, ValueError for one that cannot be meant."""
        used = {(use.kind, use.id): use.version for use in record.documents}
        recipe_id = f"{record.product}/{record.product_revision}"
        recipe = self._document(used, "recipe", recipe_id)
        sets = self._document(used, "limit-sets", name)
        listed = sets.get("sets") if sets is not None else None
        sets_of = cast("Sequence[Mapping[str, object]] | None", listed)
        header = fact.fact.header
        papers = stream.papers = _Papers(recipe, sets_of, record.ended_us, header.line)
        key = ChartKey(record.product, record.product_revision, record.tool, position_of(own, record))
        versions = (used.get(("recipe", recipe_id)), used.get(("limit-sets", name)))
        place = (fact.agent, header.configuration, header.line, name, key, versions)
        found = self._found.get(place)
        if found is None or not found.holds(papers.at_us):
            chosen = choose(name, own, key, papers.recipe, papers.sets, papers.at_us, papers.line)
            told = None if chosen.plan is None else _told(chosen.plan, own)
            found = self._found[place] = _Found(chosen, told, papers.at_us)
        return found

    def _document(
        self, used: Mapping[tuple[str, str], int], kind: str, name: str
    ) -> Mapping[str, JsonValue] | None:
        version = used.get((kind, name))
        if version is None:
            return None
        content = self._content(kind, name, version)
        return content if isinstance(content, dict) else None

    # -- events --------------------------------------------------------------------------------------------

    def _event(self, fact: FactLike, event: OperationsEvent) -> list[Compared]:
        if event.code == "station-configured":
            settings = self._characteristics(fact.agent, str(event.params.get("now")))
            if settings is not None:
                self._configured(settings)
            return []
        name, key = str(event.params.get("characteristic")), str(event.params.get("stream") or "")
        stream = self._streams.get((name, key))
        if stream is None:
            return []
        match event.code:
            case "chart-restarted":
                stream.restarted = True
            case "chart-dropped":
                del self._streams[name, key]
            case "spc-subgroup" if event.params.get("closed_by") != "restart":
                return [self._closing(fact, event, stream)]
            case _:
                pass
        return []

    def _closing(self, fact: FactLike, event: OperationsEvent, stream: _Stream) -> Compared:
        params = event.params
        where = (
            fact,
            str(params.get("characteristic")),
            str(params.get("stream") or ""),
            count(params, "subgroup"),
        )
        if stream.state is None or stream.plan is None:
            return Compared(*where, stream.why)
        verdict = stream.closed
        if params.get("closed_by") in ("time", "lot"):
            stream.state, verdict = close(stream.plan, stream.state)
            stream.closed = verdict
        if verdict is None:
            return Compared(*where, None, {"state": (params.get("state"), None)})
        told = {**_verdict(verdict), "position": None, "size": None}
        found = {field: (params.get(field), value) for field, value in told.items() if field in params}
        return Compared(*where, None, _different(found))


def _told(plan: ChartPlan, own: Mapping[str, JsonValue]) -> object:
    return described(plan, tags_of(own), word(own.get("short_run")))


def _align(stream: _Stream, plan: ChartPlan, now: object, told: SpcState, epoch: str) -> None:
    """Bring the stream to where the line had it before this reading: the cuts that the record tells."""
    segment = told.segment or 0
    state = stream.state
    if (told.subgroup, told.position) == (1, 1):  # only the first reading of all
        state = ChartState.start(plan)._replace(segment=segment)
    elif state is None:
        state = _known_again(stream, plan, told)
    else:
        if stream.judged_by != now or not state.fits(plan):
            state = judged_anew(state, plan, stream.judged_by, now)
        if segment > state.segment:
            state = (restart(state) if stream.restarted else leave(state))._replace(segment=segment)
        place = (state.segment, state.subgroup_id, len(state.open_refs) + 1)
        if stream.epoch != epoch and (segment, told.subgroup, told.position) != place:
            stream.why, state = "memory-lost", None
    stream.state, stream.judged_by, stream.epoch = state, now, epoch
    stream.restarted, stream.segment = False, segment


def _known_again(stream: _Stream, plan: ChartPlan, told: SpcState) -> ChartState | None:
    """The state at the beginning of a segment of which nothing earlier matters: its limits are given, and no
    window reaches over the cut. The sums of charts that weigh their past do, but over a restart.
    """
    cut = stream.segment is not None and (told.segment or 0) > stream.segment and told.position == 1
    if not cut or plan.limits is None or (plan.chart in WEIGHING and not stream.restarted):
        return None
    return ChartState.start(plan)._replace(segment=told.segment or 0, subgroup_id=told.subgroup)


# -- judging ---------------------------------------------------------------------------------------------


def _judge(plan: ChartPlan, state: ChartState, sample: Sample, ref: str) -> tuple[ChartState, Verdict]:
    """A reading that the limits cannot judge is a gap, as on the line."""
    try:
        return judge(plan, state, sample, ref)
    except ValueError:
        return judge(plan, state, replace(sample, values=(None,) * len(sample.values)), ref)


# -- comparing ---------------------------------------------------------------------------------------------


def _verdict(verdict: Verdict) -> dict[str, JsonValue]:
    """A computed verdict with the names of a recorded one."""
    numbers: dict[str, JsonValue] = {name: getattr(verdict, name) for name in _NUMBERS}
    return numbers | {
        "subgroup": verdict.subgroup_id,
        "segment": verdict.segment,
        "position": verdict.position,
        "size": verdict.size,
        "state": verdict.state,
        "rules": [*verdict.rules_on("location")],
        "range_rules": [*verdict.rules_on("range")],
        "limit_version": verdict.limit_version,
        "provisional": verdict.provisional,
    }


def differences(told: SpcState, verdict: Verdict) -> dict[str, tuple[JsonValue, JsonValue]]:
    """What a recorded verdict and the one computed again say differently: field -> (recorded, computed)."""
    found: dict[str, tuple[JsonValue, JsonValue]] = {}
    for name, value in _verdict(verdict).items():
        recorded = getattr(told, name)
        found[name] = ([*(recorded or ())] if name.endswith("rules") else recorded, value)
    return _different(found)


def _different(
    found: Mapping[str, tuple[JsonValue, JsonValue]],
) -> dict[str, tuple[JsonValue, JsonValue]]:
    return {name: pair for name, pair in found.items() if not _alike(*pair)}


def _alike(a: JsonValue, b: JsonValue) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE * 1e-3)
    return a == b
