"""What a line engineer writes about signals: which of them are only noted, alarm, hold a unit or the station.

::

    reactions:
      nelson1: [alarm, hold_unit]
      range: [hold_station, {escalate: process-engineer}]
      default: [note]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from records.yaml import Settings, did_you_mean, fault

Plain = Literal["note", "alarm", "hold_unit", "hold_station"]
PLAIN: tuple[Plain, ...] = ("note", "alarm", "hold_unit", "hold_station")

RANGE, DEFAULT = "range", "default"
NO_LIMITS, OUT_OF_SPECIFICATION = "chart-no-limits", "out-of-specification"
BESIDE_RULES = (RANGE, NO_LIMITS, OUT_OF_SPECIFICATION, DEFAULT)
"""What may stand beside the names of rules."""


class Escalate(Settings):
    """A signal that somebody beside the line must hear of; central makes an exception with that name."""

    escalate: Annotated[str, Field(min_length=1, max_length=64)]
    """Who: a name or a role."""


def _action(value: object) -> object:
    """Say what is wrong with one action in one sentence, not once for each kind of action."""
    if isinstance(value, Escalate) or value in PLAIN:
        return value
    if isinstance(value, Mapping) and set(value) == {"escalate"}:
        told = value["escalate"]
        if isinstance(told, str) and told.strip() == told and told and told.isprintable():
            return value
        raise fault(f"{told!r} is nobody", at="escalate", hint="{escalate: NAME}, a name or a role")
    if value == "escalate":
        raise fault("escalate to whom?", hint="{escalate: NAME}, a name or a role")
    known = ", ".join((*PLAIN, "{escalate: NAME}"))
    hint = did_you_mean(str(value), PLAIN) if isinstance(value, str) else None
    raise fault(f"{value!r} is no reaction", hint=hint or f"one of {known}")


Action = Annotated[Plain | Escalate, BeforeValidator(_action)]


def _actions(told: tuple[Action, ...]) -> tuple[Action, ...]:
    if not told:
        raise fault("no reaction at all is not possible", hint="[note]: the signal is in the records anyway")
    for n, action in enumerate(told):
        if action in told[:n]:
            raise fault("stands here twice", at=(n,))
    return told


Actions = Annotated[tuple[Action, ...], AfterValidator(_actions), Field(json_schema_extra={"minItems": 1})]
Reactions = Annotated[dict[str, Actions], Field(json_schema_extra={"propertyNames": {"minLength": 1}})]
"""Actions by the name of a rule, ``range``, ``chart-no-limits``, ``out-of-specification`` or ``default``."""


def check_reactions(reactions: Mapping[str, object], rules: Collection[str], spread: bool = True) -> None:
    """Refuse what could never happen: an entry that belongs to no signal of this characteristic.

    ``rules`` are the names of its chart's rules, none without a chart; ``spread``: it has a chart of the spread.

    Raises:
        PydanticCustomError: naming the entry.
    """
    beside = BESIDE_RULES if spread else tuple(name for name in BESIDE_RULES if name != RANGE)
    known = (*rules, *beside) if rules else (OUT_OF_SPECIFICATION,)
    for name in reactions:
        if name not in known:
            why = f"{name!r} is no rule of this chart" if rules else f"{name!r} needs a chart"
            hint = did_you_mean(name, known) or f"one of {', '.join(known)}"
            raise fault(why, at=("reactions", name), hint=hint)


def holds_station(reactions: Mapping[str, tuple[Action, ...]]) -> tuple[str, int] | None:
    """Where a station is held: the entry and the place in it, None where nothing holds one."""
    places = ((name, n) for name, told in reactions.items() for n, action in enumerate(told))
    return next((place for place in places if reactions[place[0]][place[1]] == "hold_station"), None)


def actions_for(reactions: Mapping[str, tuple[Action, ...]], rule: str, part: str | None) -> tuple[Action, ...]:
    """What follows a signal: the entry of its chart of spread, of its rule, else ``default``, else a note.

    What is no rule (``chart-no-limits``, ``out-of-specification``) has no reaction without an entry of its own.
    """
    if rule in (NO_LIMITS, OUT_OF_SPECIFICATION):
        return reactions.get(rule, ())
    if part == RANGE and RANGE in reactions:
        return reactions[RANGE]
    return reactions.get(rule) or reactions.get(DEFAULT) or cast(tuple[Action, ...], ("note",))
