"""What a person does at a station beside scanning: ends a hold, begins a chart anew. Pure, as the station is.

Each act has a name and a reason, is committed before it is answered, and is refused with a code and a text when
one of them is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from edge_agent import holds
from edge_agent.chart_facts import given_up, ref_subject
from edge_agent.chart_memory import ChartMemory, Stream
from edge_agent.events import Lift, Prompt, Reply, RestartChart
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import State, Step, commit
from records.errors import Invalid
from records.model import Act, Data, Decision, OperationsEvent, Person, Target
from records.reasons import NO_REASONS, Catalogue, Told
from spc.stream import restart

REASON_MIN = 5
STREAMS_TOLD = 20
NAME_MAX, TEXT_MAX = 64, 500

REFUSALS: Mapping[str, str] = {
    "person-missing": "Say who you are: a badge or a name.",
    "person-unknown": "%(by)s is no badge of this station: it must fit %(pattern)s.",
    "reason-unknown": "%(reason)s is no reason of the plant's list; it has: %(reasons)s.",
    "reason-missing": "Give a reason of at least %(least)s characters.",
    "cause-missing": "Name the cause that was found and mended.",
    "text-too-long": "A reason or a cause has at most %(most)s characters on one line, a name %(name)s.",
    "hold-unknown": "Nothing with the name %(hold)s stands at this station; has somebody ended it already?",
    "unit-not-held": "The hold %(hold)s holds no unit %(unit)s; has somebody released it already?",
    "unit-several": "Several held units have the id %(unit)s; name one of: %(units)s.",
    "chart-unknown": "This station has no chart of %(characteristic)s.",
    "stream-unknown": "The chart of %(characteristic)s has no stream %(stream)s; it has: %(streams)s.",
    "stream-missing": "The chart of %(characteristic)s has several streams; name one of: %(streams)s.",
}
"""Why an act is refused, in words (the page translates them)."""

LIFTED: Mapping[holds.Kind, str] = {
    "hold_station": "station-hold-lifted",
    "hold_unit": "unit-released-at-station",
    "alarm": "alarm-acknowledged",
}


class Refusal(Exception):
    """An act that does not count: a code of ``REFUSALS`` and what its text names."""

    def __init__(self, code: str, **params: str | int) -> None:
        super().__init__(code)
        self.code, self.params = code, params


class ActRules:
    """The acts at one station."""

    def __init__(self, station: str, settings: StationSettings) -> None:
        self._station = station
        self._pattern = settings.operator.pattern if settings.operator else None

    def take(self, state: State, event: Lift | RestartChart, catalogue: Catalogue = NO_REASONS) -> Step:
        """Do it, or say why not; the answer comes after the commit."""
        try:
            person = self._person(event.by)
            if isinstance(event, Lift):
                return self._lift(state, event, person, _override(event.reason, catalogue))
            return self._restart_chart(state, event, person, _said(event.reason, REASON_MIN, "reason-missing"))
        except Refusal as refused:
            return state, (Reply(event.number, refused.code, refused.params),)

    def _person(self, by: str) -> str:
        name = by.strip()
        if not name or not name.isprintable():
            raise Refusal("person-missing")
        if len(name) > NAME_MAX:
            raise Refusal("text-too-long", most=TEXT_MAX, name=NAME_MAX)
        if self._pattern is not None and re.fullmatch(self._pattern, name) is None:
            raise Refusal("person-unknown", by=name, pattern=self._pattern)
        return name

    def _lift(self, state: State, event: Lift, by: str, why: Told) -> Step:
        hold = holds.find(state.kept.holds, event.hold)
        if hold is None:
            raise Refusal("hold-unknown", hold=event.hold)
        ended = hold.units if event.unit is None else (_held_unit(hold, event.unit),)
        left, standing = holds.without(state.kept.holds, hold, ended)
        code = LIFTED[hold.kind]
        params: dict[str, JsonValue] = {"hold": hold.id, "by": by, "reason": why.reason}
        if why.version is not None:
            params["reasons"] = str(why.version)
        units = tuple(ref_subject(ref) for ref in ended)
        facts: list[Data] = [OperationsEvent(code, params, units, hold.order)]
        if hold.kind != "alarm":  # what the plan stopped goes on by a person's word
            target = Target("hold", f"{self._station}/{hold.id}")
            new: JsonValue = {"units": [*ended], "left": left} if hold.kind == "hold_unit" else None
            facts.append(
                Decision(
                    *(Act.OVERRIDE, target, Person(by), why.reason, {**holds.told(hold)}, new),
                    order=hold.order,
                    reasons=why.version,
                )
            )
        then = replace(state, kept=replace(state.kept, holds=standing))
        prompt = Prompt(code, {"hold": hold.id, "by": by})
        told: dict[str, str | int] = {"action": hold.kind}
        if event.unit is not None:
            told |= {"unit": units[0].id, "left": left}
        return commit(state, tuple(facts), then, (Reply(event.number, None, told), prompt))

    def _restart_chart(self, state: State, event: RestartChart, by: str, reason: str) -> Step:
        cause = _said(event.cause, 2, "cause-missing")
        stream = _stream(state.charts, event.characteristic, event.stream)
        anew = replace(stream, state=restart(stream.state), opened_us=None)
        params: dict[str, JsonValue] = {
            "characteristic": stream.characteristic,
            "stream": stream.key,
            "segment": anew.state.segment,
            "by": by,
            "cause": cause,
            "reason": reason,
        }
        fact = OperationsEvent("chart-restarted", params, order=stream.order)
        charts = replace(state.charts, streams={**state.charts.streams, anew.name: anew})
        facts = (*given_up(stream.key, stream.state, stream.order), fact)
        told: dict[str, str | int] = {"stream": stream.key, "segment": anew.state.segment}
        return commit(state, facts, replace(state, charts=charts), (Reply(event.number, None, told),))


def _held_unit(hold: holds.Hold, name: str) -> str:
    """The reference of the held unit that is meant."""
    if name in hold.units:
        return name
    found = [ref for ref in hold.units if ref_subject(ref).id == name]
    if not found:
        raise Refusal("unit-not-held", hold=hold.id, unit=name)
    if len(found) > 1:
        raise Refusal("unit-several", unit=name, units=", ".join(found[:STREAMS_TOLD]))
    return found[0]


def _stream(charts: ChartMemory, characteristic: str, key: str | None) -> Stream:
    """The chart that is meant; without a key the only one of its characteristic."""
    known = {stream.key: stream for stream in charts.streams.values() if stream.characteristic == characteristic}
    if not known:
        raise Refusal("chart-unknown", characteristic=characteristic)
    if key is None and len(known) == 1:
        return next(iter(known.values()))
    if key is None or key not in known:
        told = ", ".join(list(known)[:STREAMS_TOLD])
        code = "stream-missing" if key is None else "stream-unknown"
        raise Refusal(code, characteristic=characteristic, stream=key or "", streams=told)
    return known[key]


def _override(text: str, catalogue: Catalogue) -> Told:
    """Why a hold or an alarm is ended: of the plant's list where it has one, else in own words."""
    known = catalogue.groups.get("override")
    said = _said(text, 1 if known else REASON_MIN, "reason-missing")
    try:
        return catalogue.told("override", said)
    except Invalid:
        raise Refusal(
            "reason-unknown", reason=said.partition(":")[0], reasons=", ".join(list(known or ())[:STREAMS_TOLD])
        ) from None


def _said(text: str, least: int, missing: str) -> str:
    """A person's words on one line."""
    words = " ".join(text.split())
    if len(words) < least or not words.isprintable():
        raise Refusal(missing, least=least)
    if len(words) > TEXT_MAX:
        raise Refusal("text-too-long", most=TEXT_MAX, name=NAME_MAX)
    return words
