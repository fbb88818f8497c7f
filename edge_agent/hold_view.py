"""What stands at a station, as its status tells it: for the page, the interface and the commands."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from pydantic import JsonValue

from edge_agent.chart_facts import ref_subject
from edge_agent.holds import Hold
from edge_agent.reaction_settings import NO_LIMITS, OUT_OF_SPECIFICATION, RANGE
from records.clock import iso_z

OTHERS: Mapping[str, str] = {
    NO_LIMITS: "no limits for what is made now",
    OUT_OF_SPECIFICATION: "a value outside the specification",
}
"""What signals say that are no rules of a chart."""


def rule_template(rule: str, numbers: Mapping[str, JsonValue]) -> tuple[str, dict[str, str]]:
    """The rule as a sentence with names in braces, and what these hold; an unknown rule stands for itself."""
    from spc.rules import CATALOGUE, Rule, rule_words  # numpy is loaded only where something stands
    from spc.series import ENGLISH

    known = CATALOGUE.get(rule)
    if known is None:
        return OTHERS.get(rule, rule), {}
    told = {name: value for name, value in numbers.items() if value is not None}
    if known.pattern != "beyond":
        told.pop("points", None)
    try:
        meant = Rule.read({rule: told})
    except ValueError:
        meant = known
    key, places = rule_words(meant)
    return ENGLISH[key], places


def rule_says(rule: str, part: str | None, numbers: Mapping[str, JsonValue]) -> str:
    """The rule in English words."""
    template, places = rule_template(rule, numbers)
    return template.format(**places) + (", on the chart of spread" if part == RANGE else "")


def stream_text(stream: str | None) -> str:
    """What a chart is of, apart from its characteristic: ``VS-100 C T1`` of its key's text."""
    return " ".join(value for _, value in parse_qsl(stream or ""))


def hold_json(hold: Hold) -> dict[str, JsonValue]:
    """One hold or alarm; ``units`` are the ids of what is held, ``says`` is its rule in English words."""
    cause = hold.cause
    numbers: dict[str, JsonValue] = {"points": hold.points, "window": hold.window, "sigmas": hold.sigmas}
    return {
        "hold": hold.id,
        "action": hold.kind,
        "characteristic": cause.characteristic,
        "stream": cause.stream,
        "rule": cause.rule,
        "part": cause.part,
        **numbers,
        "says": rule_says(cause.rule, cause.part, numbers),
        "subgroup": hold.subgroup,
        "since": iso_z(hold.since_us),
        "times": hold.times,
        "order": hold.order,
        "units": [ref_subject(ref).id for ref in hold.units],
    }
