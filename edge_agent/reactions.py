"""From signals to what is done about them: pure, and in the very commit that records the signal.

``follow`` looks at the facts that a step is about to commit. Whatever made a signal (a run, a subgroup that time
or a new order closed) is a fact there, so no way to a signal is without its reaction, and none can be on disk
without it. Actions that stay until a person ends them are ``edge_agent.holds``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from edge_agent import holds
from edge_agent.chart_facts import subject_ref
from edge_agent.events import Commit, Effect, Prompt
from edge_agent.holds import Cause, Hold, Kind
from edge_agent.reaction_settings import NO_LIMITS, OUT_OF_SPECIFICATION, Action, Escalate, actions_for
from edge_agent.recording import UNKNOWN
from edge_agent.station_state import After, Step, as_json
from records.model import Data, OperationRecord, OperationsEvent, Outcome, Purpose, Result, Subject

STATION_HELD, UNIT_HELD, ALARM = "station-held", "unit-held", "alarm"
_EVENTS: Mapping[Kind, str] = {"hold_station": STATION_HELD, "hold_unit": UNIT_HELD, "alarm": ALARM}


@dataclass(frozen=True, slots=True)
class Signal:
    """One fact that may need a reaction: its cause, and the subjects that made it."""

    cause: Cause
    subgroup: int | None
    subjects: tuple[Subject, ...]
    order: str | None
    points: int | None = None
    window: int | None = None
    sigmas: float | None = None


@dataclass(slots=True)
class _Outcome:
    """What the reactions of one commit come to."""

    holds: tuple[Hold, ...]
    facts: list[Data] = field(default_factory=list)
    prompts: dict[str, Prompt] = field(default_factory=dict)

    def prompt(self, code: str, hold: Hold) -> None:
        self.prompts[code] = Prompt(code, {"hold": hold.id, "characteristic": hold.cause.characteristic})


class ReactionRules:
    """The plans of a station's characteristics: by characteristic and rule, what follows a signal.

    ``tag`` is where the station's hold is written, for its event.
    """

    def __init__(
        self, station: str, plans: Mapping[str, Mapping[str, tuple[Action, ...]]], tag: str | None
    ) -> None:
        self._station, self._plans, self._tag = station, plans, tag

    def follow(self, step: Step, at_us: int, elsewhere: Sequence[str] = ()) -> Step:
        """The same step with the reactions to what it commits in its commit.

        ``elsewhere``: the holds of other stations on the units that were worked on.
        """
        state, effects = step
        commit = next((effect for effect in effects if isinstance(effect, Commit)), None)
        if commit is None or state.after is None:
            return step
        then = state.after.state
        outcome = _Outcome(then.kept.holds, ran_while_held(commit.facts, then.kept.holds, elsewhere))
        for signal in signals(commit.facts):
            for action in self._actions(signal):
                self._act(outcome, signal, action, at_us)
        self._keep_within_limits(outcome)
        if not outcome.facts:
            return step
        kept = replace(then.kept, holds=outcome.holds)
        told = next((outcome.prompts[code] for code in _EVENTS.values() if code in outcome.prompts), None)
        after = After(replace(then, kept=kept), (*state.after.effects, *((told,) if told else ())))
        grown = replace(commit, facts=(*commit.facts, *outcome.facts), kept=as_json(kept))
        others: tuple[Effect, ...] = tuple(grown if effect is commit else effect for effect in effects)
        return replace(state, after=after), others

    def _actions(self, signal: Signal) -> Sequence[Action]:
        plan = self._plans.get(signal.cause.characteristic, {})
        return actions_for(plan, signal.cause.rule, signal.cause.part)

    def _act(self, outcome: _Outcome, signal: Signal, action: Action, at_us: int) -> None:
        if isinstance(action, Escalate):
            outcome.facts.append(_reaction(signal, "escalate", to=action.escalate))
        elif action == "note":
            outcome.facts.append(_reaction(signal, action))
        else:
            self._stand(outcome, signal, action, at_us)

    def _stand(self, outcome: _Outcome, signal: Signal, kind: Kind, at_us: int) -> None:
        """What stays until a person ends it. The same reason once more is no second hold."""
        units: dict[str, Subject] = {}
        if kind == "hold_unit":
            units = {subject_ref(s): s for s in signal.subjects if s.id != UNKNOWN}
        known = holds.same(outcome.holds, kind, signal.cause)
        if known is not None:
            new = [units[ref] for ref in units if ref not in known.units]
            outcome.holds = holds.again(outcome.holds, known, units)
            outcome.facts.append(_reaction(signal, kind, hold=known.id))
            if new:
                self._say_held(outcome, replace(known, subgroup=signal.subgroup), new, signal.order)
            elif kind == "alarm":
                outcome.prompt(ALARM, known)
            return
        made = holds.new_hold(
            self._station, kind, signal.cause, signal.subgroup, at_us, signal.order, tuple(units)
        )
        made = replace(made, points=signal.points, window=signal.window, sigmas=signal.sigmas)
        outcome.facts.append(_reaction(signal, kind, hold=made.id))
        held = sum(hold.kind == "hold_station" for hold in outcome.holds)
        if kind == "hold_station" and held >= holds.STATION_HOLDS_MAX:
            return
        outcome.holds = (*outcome.holds, made)
        self._say_held(outcome, made, signal.subjects, signal.order)

    def _say_held(self, outcome: _Outcome, hold: Hold, subjects: Iterable[Subject], order: str | None) -> None:
        outcome.prompt(_EVENTS[hold.kind], hold)
        if hold.kind == "alarm":
            return
        params = holds.told(hold)
        if hold.kind == "hold_station":
            params["tag"] = self._tag
        outcome.facts.append(OperationsEvent(_EVENTS[hold.kind], params, tuple(subjects), order))

    def _keep_within_limits(self, outcome: _Outcome) -> None:
        outcome.holds, gone = holds.bounded(outcome.holds)
        for hold in gone:
            params: dict[str, JsonValue] = {"hold": hold.id, "action": hold.kind, "units": len(hold.units)}
            outcome.facts.append(OperationsEvent("hold-dropped", params, order=hold.order))


def _reaction(signal: Signal, action: str, *, to: str | None = None, hold: str | None = None) -> OperationsEvent:
    cause = signal.cause
    params: dict[str, JsonValue] = {
        "characteristic": cause.characteristic,
        "stream": cause.stream,
        "subgroup": signal.subgroup,
        "rule": cause.rule,
        "part": cause.part,
        "action": action,
        "to": to,
        "hold": hold,
    }
    return OperationsEvent("reaction", params, signal.subjects, signal.order)


# -- what the facts of a commit say ------------------------------------------------------------------------


def signals(facts: Iterable[Data]) -> Iterator[Signal]:
    """Everything in these facts that a plan may react to."""
    for fact in facts:
        if isinstance(fact, OperationRecord):
            yield from _out_of_specification(fact)
        elif isinstance(fact, OperationsEvent) and fact.code in ("spc-signal", NO_LIMITS):
            params = fact.params
            rule = str(params.get("rule")) if fact.code == "spc-signal" else NO_LIMITS
            cause = Cause(str(params.get("characteristic")), _text(params, "stream"), rule, _text(params, "part"))
            numbers = (_whole(params, "points"), _whole(params, "window"), _number(params, "sigmas"))
            yield Signal(cause, _whole(params, "subgroup"), fact.subjects, fact.order, *numbers)


def _text(params: Mapping[str, JsonValue], name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) else None


def _whole(params: Mapping[str, JsonValue], name: str) -> int | None:
    value = params.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(params: Mapping[str, JsonValue], name: str) -> float | None:
    value = params.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _out_of_specification(record: OperationRecord) -> Iterator[Signal]:
    """One signal per characteristic that is out of its specification, by all subjects whose it is."""
    if not record.purpose.counts or record.outcome is not Outcome.COMPLETED:
        return
    outside: dict[str, list[Subject]] = {}
    for member in record.subjects:
        for test in member.tests:
            if test.result is Result.FAIL:
                outside.setdefault(test.characteristic, []).append(member.subject)
    for name, subjects in outside.items():
        unique = tuple(dict.fromkeys(subjects))
        yield Signal(Cause(name, None, OUT_OF_SPECIFICATION), None, unique, record.order)


def ran_while_held(facts: Iterable[Data], standing: Sequence[Hold], elsewhere: Sequence[str] = ()) -> list[Data]:
    """What says that a machine ran all the same, or that a held unit was worked on: a run is never refused.

    A run that had begun before the station was held is none; retest and rework are what a held unit is for.
    """
    found: list[Data] = []
    for record in facts:
        if not isinstance(record, OperationRecord) or not record.purpose.counts:
            continue
        station = [h.id for h in standing if h.kind == "hold_station" and h.since_us <= record.began_us]
        units: list[str] = []
        if record.purpose is Purpose.PRODUCTION:
            refs = {subject_ref(member.subject) for member in record.subjects}
            units = [h.id for h in standing if h.kind == "hold_unit" and not refs.isdisjoint(h.units)]
            units += elsewhere
        if station or units:
            params: dict[str, JsonValue] = {
                "holds": [*station, *units],
                "what": "station" if station else "unit",
                "run_id": record.run_id,
                "cycle": None if record.cycle is None else str(record.cycle),
            }
            subjects = tuple(member.subject for member in record.subjects)
            found.append(OperationsEvent("ran-while-held", params, subjects, record.order))
    return found
