"""The closing event of a subgroup as a verdict: parameters that any agent may have written, read without trust.

What is missing or of another kind than it should be is left out, or empty; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from central.dossier import whole
from records.verdict import SpcState

CLOSING = "spc-subgroup"
"""Event of a closed subgroup: the verdict that no record of its readings holds, or that more than one shares."""


def closing_state(params: Mapping[str, JsonValue]) -> SpcState:
    """The verdict that a closing event tells, in the shape that records have; position and size are not told."""
    return SpcState(
        characteristic=text(params, "characteristic"),
        chart=text(params, "chart"),
        subgroup=count(params, "subgroup"),
        position=0,
        size=0,
        state=text(params, "state"),
        rules=_texts(params, "rules"),
        statistic=_number(params, "statistic"),
        range_statistic=_number(params, "range_statistic"),
        centre=_number(params, "centre"),
        lower=_number(params, "lower"),
        upper=_number(params, "upper"),
        limit_version=text(params, "limit_version") or None,
        provisional=params.get("provisional") is True,
        stream=text(params, "stream"),
        segment=count(params, "segment"),
        sample=_number(params, "sample"),
        range_rules=_texts(params, "range_rules"),
        range_centre=_number(params, "range_centre"),
        range_lower=_number(params, "range_lower"),
        range_upper=_number(params, "range_upper"),
    )


def text(params: Mapping[str, JsonValue], name: str) -> str:
    """Empty where nothing is told."""
    value = params.get(name)
    return "" if value is None else str(value)


def count(params: Mapping[str, JsonValue], name: str) -> int:
    """0 where no whole number is told."""
    return whole(params.get(name)) or 0


def _texts(params: Mapping[str, JsonValue], name: str) -> tuple[str, ...]:
    value = params.get(name)
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _number(params: Mapping[str, JsonValue], name: str) -> float | None:
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
