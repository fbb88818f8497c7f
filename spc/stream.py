"""Judging readings one by one, as they come off the line.

``judge(plan, state, value, ref)`` gives the next state and a verdict; it changes nothing, so a caller may
commit the state together with the record and drop it when that commit fails. Each point costs the same,
however long the chart has run. Verdicts equal those of `spc.charts` over the whole series to the bit, and
no interruption (state written as JSON, process gone, state read back) changes any of them.

How a stream is cut and counted:

- Subgroups are consecutive readings. A gap takes its place in the subgroup, and a subgroup with a gap in it
  closes in its turn but is not judged: a mean and a range of fewer values would need other limits.
- Phase I ends with the reading that completes it. That point still says ``collecting``; the limits, frozen
  in the new state, judge from the next one on, and a run begins there.
- A run never continues over a gap, over other limits, or over `restart` (changeover, new tool, new order).
- Limits in the plan take precedence over limits frozen in the state.
- On the range chart only rule 1 is applied: ranges are skewed, neighbouring moving ranges share a value.
"""

from dataclasses import dataclass, replace

from spc.constants import factors
from spc.exact import exact_mean, usable
from spc.limits import LimitSet, range_span
from spc.rules import RUN_LENGTH
from spc.state import ChartPlan, ChartState, Fired, Run, Verdict, VerdictState

__all__ = ["ChartPlan", "ChartState", "Fired", "Run", "Verdict", "judge", "restart"]


@dataclass(frozen=True, slots=True)
class _Point:
    """What a closed subgroup puts on the two charts."""

    location: float
    spread: float | None  # None for the first individual value after a gap
    refs: tuple[str, ...]
    spread_refs: tuple[str, ...]


def judge(plan: ChartPlan, state: ChartState, value: float | None, ref: str) -> tuple[ChartState, Verdict]:
    """Judge one reading; gives the state to go on with and the verdict.

    `value` is in the unit of the characteristic; None, NaN and infinite are a gap. `ref` names the reading
    for the verdicts that will count it among their members; it is never looked into. Raises ValueError when
    the state belongs to another characteristic, chart or subgroup size than the plan.
    """
    if not state.fits(plan):
        raise ValueError(
            f"state of {state.characteristic!r} ({state.chart}, subgroups of {state.subgroup}) does not fit "
            f"the plan of {plan.characteristic!r} ({plan.chart}, subgroups of {plan.subgroup}): "
            "begin with ChartState.start(plan)"
        )
    reading = usable(value)
    values = (*state.open_values, reading)
    refs = (*state.open_refs, ref)
    if len(values) < plan.subgroup:
        opened = replace(state, open_values=values, open_refs=refs)
        verdict = _verdict(plan, state, "gap" if reading is None else "open", position=len(values))
        return opened, verdict
    closed = replace(state, open_values=(), open_refs=(), subgroup_id=state.subgroup_id + 1)
    point = _point(state, values, refs)
    if plan.chart == "imr":
        closed = replace(closed, previous=reading, previous_ref=None if reading is None else ref)
    if point is None:
        return replace(closed, run=None), _verdict(plan, state, "gap", members=refs)
    if _limits(plan, state) is None:
        return _collect(plan, state, closed, point)
    return _compare(plan, state, closed, point)


def restart(state: ChartState) -> ChartState:
    """The state after a cut in the process: changeover, new tool, new part, new order.

    No run, subgroup or moving range reaches across it: readings of an open subgroup are never judged, and
    the next reading opens a new one. Limits and phase I go on.
    """
    return replace(
        state,
        subgroup_id=state.subgroup_id + (1 if state.open_refs else 0),
        open_values=(),
        open_refs=(),
        previous=None,
        previous_ref=None,
        run=None,
    )


def _limits(plan: ChartPlan, state: ChartState) -> LimitSet | None:
    return plan.limits or state.limits


def _point(state: ChartState, values: tuple[float | None, ...], refs: tuple[str, ...]) -> _Point | None:
    """What the closed subgroup plots; None when it holds a gap."""
    readings = [value for value in values if value is not None]
    if len(readings) < len(values):
        return None
    if state.chart == "xbar_r":
        return _Point(exact_mean(readings), max(readings) - min(readings), refs, refs)
    if state.previous is None or state.previous_ref is None:
        return _Point(readings[0], None, refs, ())
    return _Point(readings[0], abs(readings[0] - state.previous), refs, (state.previous_ref, *refs))


def _collect(plan: ChartPlan, state: ChartState, closed: ChartState, point: _Point) -> tuple[ChartState, Verdict]:
    """A point without limits: count it for phase I and freeze the limits when that is complete."""
    asked = plan.phase1_subgroups
    verdict = _verdict(plan, state, "collecting" if asked else "no_limits", point=point)
    if asked is None:
        return closed, verdict
    points = state.points.add(point.location)
    ranges = state.ranges if point.spread is None else state.ranges.add(point.spread)
    if points.count < asked or ranges.count == 0:
        return replace(closed, points=points, ranges=ranges), verdict
    limits = LimitSet.estimated(
        plan.chart,
        plan.subgroup,
        points.value,
        ranges.value,
        factors(range_span(plan.subgroup), plan.constants),
        f"phase1-{points.count}",
    )
    return replace(closed, points=points, ranges=ranges, limits=limits), verdict


def _compare(plan: ChartPlan, state: ChartState, closed: ChartState, point: _Point) -> tuple[ChartState, Verdict]:
    """A point under limits: apply the plan's rules."""
    limits = _limits(plan, state)
    if limits is None:
        raise ValueError(f"{plan.characteristic}: no limits to compare with")
    run = _extended(state.run, limits, point) if "nelson2" in plan.rules else None
    fired: list[Fired] = []
    if "nelson1" in plan.rules and not limits.lower <= point.location <= limits.upper:
        fired.append(Fired("nelson1", "location", point.refs))
    if run is not None and len(run.refs) == RUN_LENGTH:
        fired.append(Fired("nelson2", "location", tuple(ref for refs in run.refs for ref in refs)))
    spread = limits.spread_at(plan.subgroup)
    if (
        "nelson1" in plan.rules
        and spread is not None
        and point.spread is not None
        and not spread.lower <= point.spread <= spread.upper
    ):
        fired.append(Fired("nelson1", "range", point.spread_refs))
    verdict = _verdict(plan, state, "signal" if fired else "in_control", point=point, fired=tuple(fired))
    return replace(closed, run=run), verdict


def _extended(run: Run | None, limits: LimitSet, point: _Point) -> Run | None:
    """The run with this point in it: continued, begun anew, or none for a point on the centre line."""
    side = (point.location > limits.centre) - (point.location < limits.centre)
    if side == 0:
        return None
    continues = (
        run is not None and run.side == side and run.version == limits.version and run.centre == limits.centre
    )
    before = run.refs if run is not None and continues else ()
    return Run(side, (*before, point.refs)[-RUN_LENGTH:], limits.version, limits.centre)


def _verdict(
    plan: ChartPlan,
    state: ChartState,
    outcome: VerdictState,
    *,
    position: int | None = None,
    point: _Point | None = None,
    fired: tuple[Fired, ...] = (),
    members: tuple[str, ...] = (),
) -> Verdict:
    """The verdict, with the limits that were in force; `position` None means that the subgroup closed."""
    limits = _limits(plan, state)
    return Verdict(
        characteristic=plan.characteristic,
        chart=plan.chart,
        subgroup_id=state.subgroup_id,
        position=plan.subgroup if position is None else position,
        size=plan.subgroup,
        state=outcome,
        fired=fired,
        statistic=point.location if point else None,
        range_statistic=point.spread if point else None,
        centre=limits.centre if limits else None,
        lower=limits.lower if limits else None,
        upper=limits.upper if limits else None,
        limit_version=limits.version if limits else None,
        provisional=limits.provisional if limits else False,
        members=point.refs if point else members,
    )
