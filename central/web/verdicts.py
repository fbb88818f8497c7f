"""What control charts said of a piece after its run was recorded: closing verdicts, signals, reactions, holds.

A record holds the verdict known at its commit; the events here came later and name every piece concerned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central.charts import ChartRef
from central.stored import StoredFact
from central.web import rules, states, texts
from central.web.i18n import N_, Words
from central.web.params import stream_text, version_text
from central.web.plots import location_name, spread_name
from central.web.states import Status
from records.model import Decision, OperationRecord, OperationsEvent
from records.verdict import SpcState

CODES = (
    *("spc-subgroup", "spc-signal", "reaction"),
    *("unit-held", "station-held", "unit-released-at-station", "ran-while-held"),
)
"""Events of a chart that name pieces."""
ENDS = ("station-hold-lifted", "override")
"""What ended a hold and names it, not its pieces: an event, and the decisions of people."""

_HELD = ("unit-held", "station-held")
_HOLDS = (*_HELD, "ran-while-held")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One event for a list. ``chart``: which characteristic and stream; ``href``: the chart at that point."""

    fact: StoredFact
    code: str
    title: str
    status: Status
    chart: str
    text: str
    href: str


def verdicts(words: Words, facts: Iterable[StoredFact], order: str | None = None) -> list[Verdict]:
    """The events among these facts and what ended holds, oldest first, each once; ``order``: only those of it."""
    held = {f.hash: f for f in facts}
    found = []
    for fact in sorted(held.values(), key=lambda f: (f.fact.header.at_us, f.cursor)):
        data = fact.fact.data
        if isinstance(data, Decision):
            found.append(_override(words, fact, data))
        elif isinstance(data, OperationsEvent) and data.code in (*CODES, *ENDS) and order in (None, data.order):
            found.append(_verdict(words, fact, data))
    return found


def of_hold(facts: Iterable[StoredFact], ends: Iterable[StoredFact], names: Collection[str]) -> list[StoredFact]:
    """Those of ``ends`` that end a hold which one of the facts began, as far as they are about these pieces."""
    begun = {_place(f) for f in facts if isinstance(f.fact.data, OperationsEvent) and f.fact.data.code in _HELD}
    return [fact for fact in ends if _place(fact) in begun and _concerns(fact.fact.data, names)]


def _place(fact: StoredFact) -> tuple[str, str | None, str]:
    """Agent, station and name of the hold that a fact is about."""
    data = fact.fact.data
    if isinstance(data, Decision):
        name = data.target.id.rpartition("/")[2] if data.target.kind == "hold" else ""
    else:
        name = _text(data.params, "hold") if isinstance(data, OperationsEvent) else ""
    return fact.agent, fact.fact.header.station, name


def _concerns(data: object, names: Collection[str]) -> bool:
    """Whether an override let all go on, or one of these pieces."""
    units = data.new.get("units") if isinstance(data, Decision) and isinstance(data.new, dict) else None
    return not isinstance(units, list) or any(str(ref).rpartition("|")[2] in names for ref in units)


def _override(words: Words, fact: StoredFact, decision: Decision) -> Verdict:
    """A person's word against a hold."""
    old = decision.old if isinstance(decision.old, dict) else {}
    title = states.name(words, "act", decision.act.value)
    text = " · ".join((decision.by.id, decision.reason))
    return Verdict(fact, decision.act.value, title, _status(words, "override", {}), _chart(old), text, "")


def _verdict(words: Words, fact: StoredFact, event: OperationsEvent) -> Verdict:
    params = event.params
    title = words(texts.event_text(event.code).title)
    told = _chart(params)
    return Verdict(
        fact,
        event.code,
        title,
        _status(words, event.code, params),
        told,
        _said(words, event.code, params),
        href(fact),
    )


def _chart(params: Mapping[str, JsonValue]) -> str:
    return " · ".join(filter(None, (_text(params, "characteristic"), stream_text(_text(params, "stream")))))


def _status(words: Words, code: str, params: Mapping[str, JsonValue]) -> Status:
    if code == "spc-subgroup":
        return states.status(words, "spc", _text(params, "state"))
    if code == "spc-signal":
        return states.status(words, "spc", "signal")
    if code in _HOLDS:
        return Status("hold", "square", words(N_("Held after a signal")))
    if code == "reaction":
        return Status("warning", "triangle", words(N_("Reaction")))
    return Status("ok", "circle", words(N_("Released")))


def _said(words: Words, code: str, params: Mapping[str, JsonValue]) -> str:
    if code == "spc-subgroup":
        return "; ".join(_subgroup(words, params))
    rule = _text(params, "rule")
    parts = [rules.text(words, rule, params) if rule else ""]
    if code == "spc-signal" and params.get("part") == "range":
        parts = [f"{spread_name(words, _text(params, 'chart'))}: {parts[0]}"]
    if code == "reaction":
        parts.append(states.name(words, "action", _text(params, "action")))
        parts.append(_text(params, "to"))
    parts += [_text(params, "by"), _text(params, "reason")]
    return " · ".join(filter(None, parts))


def _subgroup(words: Words, params: Mapping[str, JsonValue]) -> list[str]:
    """The rules that a closed subgroup met, and its limits."""
    chart = _text(params, "chart")
    found = []
    for name, part in (("rules", location_name(words, chart)), ("range_rules", spread_name(words, chart))):
        held = params.get(name)
        found += [f"{part}: {rules.text(words, str(rule))}" for rule in (held if isinstance(held, list) else [])]
    version = _text(params, "limit_version")
    return [*found, *([words(N_("limits %(version)s"), version=version_text(version))] if version else [])]


def _text(params: Mapping[str, JsonValue], name: str) -> str:
    value = params.get(name)
    return "" if value is None else str(value)


# -- where on a chart --------------------------------------------------------------------------------------


def href(fact: StoredFact, characteristic: str | None = None) -> str:
    """The page of the chart that a fact is about, at its point; empty where it is about none.

    ``characteristic``: which of a record's charts; else the first.
    """
    data = fact.fact.data
    if isinstance(data, OperationsEvent) and "characteristic" in data.params:
        params = data.params
        ref = ChartRef(
            fact.agent, fact.fact.header.station or "", _text(params, "characteristic"), _text(params, "stream")
        )
        at = f"{_text(params, 'segment')}-{_text(params, 'subgroup')}" if "subgroup" in params else ""
        return address(ref, at)
    if isinstance(data, OperationRecord):
        for state in data.spc:
            if characteristic in (None, state.characteristic):
                return of_state(fact.agent, data.station, state)
    return ""


def of_state(agent: str, station: str, state: SpcState) -> str:
    """The page of the chart at the point of a record's verdict."""
    ref = ChartRef(agent, station, state.characteristic, state.stream or "")
    return address(ref, f"{state.segment or 0}-{state.subgroup}")


def address(ref: ChartRef, at: str = "") -> str:
    return f"/spc/{ref.id}" + (f"?at={at}#point" if at else "")


def rule_told(facts: Sequence[StoredFact]) -> Mapping[str, JsonValue] | None:
    """The parameters of the signal's event among a finding's records; None: a record alone told it."""
    for fact in facts:
        data = fact.fact.data
        if isinstance(data, OperationsEvent) and data.code == "spc-signal":
            return data.params
    return None
