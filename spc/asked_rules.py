"""The rules that a person asks for: a whole set by its name, some by theirs, or as a line file has them."""

import json
from collections.abc import Sequence

from spc.request import RequestError, near
from spc.rules import CATALOGUE, Rule

__all__ = ["RULE_SETS", "asked_rules", "rule_of"]

RULE_SETS = {
    name: tuple(rule for rule in CATALOGUE.values() if rule.name.startswith(name))
    for name in ("nelson", "western")
}
"""Nelson 1 to 8 and Western Electric 1 to 4, by the name of the set."""


def asked_rules(told: object, place: str) -> tuple[Rule, ...]:
    """``nelson``, ``western``, ``nelson1,nelson5``, or a list as in a line file; RequestError says what is wrong.

    Of numbers in a text, a list in JSON is taken too: ``[{"nelson2": {"window": 8}}]``.
    """
    if isinstance(told, str):
        words = told.strip()
        if words in RULE_SETS:
            return RULE_SETS[words]
        if words.startswith("["):
            try:
                told = json.loads(words)
            except ValueError as error:
                raise RequestError(place, f"no list of rules: {error}") from None
        else:
            told = [word.strip() for word in words.split(",") if word.strip()]
    if not isinstance(told, Sequence) or isinstance(told, str) or not told:
        raise RequestError(place, f"rules are nelson, western or a list of rules, not {told!r}")
    rules: list[Rule] = []
    for one in told:
        if isinstance(one, str) and one not in CATALOGUE:
            raise RequestError(place, f"no rule {one!r}; {near(one, (*CATALOGUE, *RULE_SETS))}")
        try:
            rules.append(Rule.read(one))
        except ValueError as error:
            raise RequestError(place, str(error)) from None
    twice = [rule.name for rule in rules if sum(other.name == rule.name for other in rules) > 1]
    if twice:
        raise RequestError(place, f"{twice[0]} is there twice")
    return tuple(rules)


def rule_of(rule_set: str, number: int, place: str) -> Rule:
    """Rule `number` of a set; RequestError when the set has no such."""
    rules = RULE_SETS[rule_set]
    if not 1 <= number <= len(rules):
        raise RequestError(place, f"the rules of {rule_set} are 1 to {len(rules)}, not {number}")
    return rules[number - 1]
