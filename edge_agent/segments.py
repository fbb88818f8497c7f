"""Chart segments: a chart whose plan is another than before begins anew, and its numbers go on.

What a chart was judged by is kept beside its state. When the chart, its subgroup, rules or limits, or the measured
tag are changed, no run of points and no open subgroup crosses the change. Subgroups count on, so that none of an
agent's epoch is named twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from spc.state import ChartPlan, ChartState
from spc.stream import restart

GONE: JsonValue = "gone"
"""Kept in the place of the plan of a chart that the configuration no longer has."""


@dataclass(frozen=True, slots=True)
class Charts:
    """``states`` by characteristic, the ``plans`` that they were last judged by, and which ones were ``cut``."""

    states: dict[str, JsonValue]
    plans: dict[str, JsonValue]
    cut: tuple[str, ...] = ()


def described(plan: ChartPlan, tag: str) -> JsonValue:
    """Everything by which a chart of this tag is judged."""
    return {
        "tag": tag,
        "chart": plan.chart,
        "subgroup": plan.subgroup,
        "rules": [*plan.rules],
        "limits": None if plan.limits is None else plan.limits.to_json(),  # type: ignore[dict-item]  # JSON
        "phase1": plan.phase1_subgroups,
    }


def segmented(
    plans: Mapping[str, ChartPlan],
    tags: Mapping[str, str],
    states: Mapping[str, JsonValue],
    before: Mapping[str, JsonValue],
) -> Charts:
    """The chart states to go on with under these plans (``tags``: the measured tag of each).

    A state without a kept plan (of an older version) goes on as it is.
    """
    after, told, cut = dict(states), dict(before), []
    for name, plan in plans.items():
        now, was, state = described(plan, tags[name]), before.get(name), held(states.get(name))
        told[name] = now
        if state is None or was == now or (was is None and state.fits(plan)):
            continue
        after[name] = _cut(state, plan, was, now).to_json()  # type: ignore[assignment]  # JSON by its promise
        cut.append(name)
    for name in states:
        if name not in plans:
            told[name] = GONE
    return Charts(after, told, tuple(cut))


def _cut(state: ChartState, plan: ChartPlan, was: JsonValue, now: JsonValue) -> ChartState:
    """Limits that were found in phase I stay only where the same thing is charted in the same way."""
    cut = restart(state)
    if isinstance(was, dict) and isinstance(now, dict) and state.fits(plan):
        changed = {key for key in now if now[key] != was.get(key)}
        if changed <= {"rules"} or (changed <= {"rules", "limits", "phase1"} and plan.limits is not None):
            return cut
    return replace(ChartState.start(plan), subgroup_id=cut.subgroup_id)


def held(state: JsonValue) -> ChartState | None:
    """A kept chart state, or None when there is none that this version can read."""
    try:
        return None if state is None else ChartState.from_json(state)
    except ValueError:
        return None
