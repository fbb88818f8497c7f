"""A chart that goes on by another plan: what of it stays, and what begins anew. The same wherever it is judged."""

from collections.abc import Iterable

from spc.plan import ChartPlan
from spc.state import ChartState
from spc.stream import restart

__all__ = ["described", "judged_anew"]

_FROZEN = frozenset({"rules"})
_GIVEN = frozenset({"rules", "limits", "phase1"})


def described(plan: ChartPlan, tags: Iterable[str], short_run: str | None = None) -> dict[str, object]:
    """Everything by which a chart of these tags is judged, as JSON; not the nominal values of a short-run chart's
    parts.
    """
    return {
        "tags": [*tags],
        "chart": plan.chart,
        "subgroup": plan.subgroup,
        "rules": [rule.to_json() for rule in plan.rules],
        "limits": None if plan.limits is None else plan.limits.to_json(),
        "phase1": plan.phase1_subgroups,
        "constants": plan.constants,
        "design": None if plan.design is None else plan.design.to_json(),
        "short_run": short_run,
    }


def judged_anew(state: ChartState, plan: ChartPlan, was: object, now: object) -> ChartState:
    """The state in which a chart goes on by another plan: in a new segment. `was` and `now`: see `described`.

    What it found in phase I stays only where the same thing is charted in the same way. What it remembers of its
    past points belongs to the limits and rules that made it.
    """
    cut = restart(state)
    if isinstance(was, dict) and isinstance(now, dict) and state.fits(plan):
        changed = {key for key in now if now[key] != was.get(key)}
        if changed <= _FROZEN or (changed <= _GIVEN and plan.limits is not None):
            return cut
    return ChartState.start(plan)._replace(segment=cut.segment, subgroup_id=cut.subgroup_id)
