"""Judging readings one by one, as they come off the line, on charts of every kind.

``judge(plan, state, sample, ref)`` gives the next state and a verdict; it changes nothing, so a caller may commit
the state together with the record and drop it when that commit fails. Each point costs the same, however long the
chart has run. Verdicts equal those of `spc.charts` over the whole series to the bit, and no interruption (state
written as JSON, process gone, state read back) changes any of them.

How a stream is cut and counted:

- Subgroups are consecutive readings, closed by their number or early by `close`; a gap takes its place in them
  (`spc.points`). A point of another number of readings than planned has limits for its own.
- Phase I ends with the reading that completes it. That point still says ``collecting``; the limits, frozen in the
  new state, judge from the next one on, and windows begin there. Points that make no limits (all alike) do not end
  it: it goes on with the next ones, at most `PHASE1_MAX`, the oldest making room. Readings that are not certain
  are left out.
- No window reaches across a gap, other limits or rules, `restart` (restart after a cause, another measured tag)
  or `leave` (changeover). The sums of EWMA, CUSUM and MEWMA go on over a gap and after a changeover that is come
  back from, and begin anew at the others.
- Limits in the plan take precedence over limits frozen in the state.
- Charts of a spread know only rule 1: ranges are skewed, neighbouring moving ranges share a value. So do EWMA,
  CUSUM, T squared and MEWMA.
"""

import math
from typing import Final, NamedTuple

from spc.estimate import NoLimitsError, PhaseOnePoint, estimate
from spc.limits import ATTRIBUTES, LimitSet, Lines
from spc.plan import MEMBERS_MAX, PHASE1_MAX, RUN_RULES, ChartPlan, Nominal, Sample, Watch
from spc.points import Reading, Reduced, point_of, reading_of
from spc.rules import Rule
from spc.state import ChartState, Fired, Memory, Part, Recent, Verdict, VerdictState
from spc.statistics import rate, to_normal
from spc.weighing import weigh
from spc.windows import step

__all__ = [
    "ChartPlan",
    "ChartState",
    "Fired",
    "Nominal",
    "Sample",
    "Verdict",
    "close",
    "judge",
    "leave",
    "restart",
]

_WEIGHING: Final = frozenset({"ewma", "cusum", "mewma"})
_SPREADS: Final = frozenset({"imr", "xbar_r", "xbar_s"})
"""Charts with a second one, of the spread."""

_Numbers = tuple[float | None, float | None, float | None]
"""Centre, lower and upper line, as a verdict has them."""
_NO_LINES: Final[_Numbers] = (None, None, None)


def judge(
    plan: ChartPlan, state: ChartState, sample: Sample | float | None, ref: str
) -> tuple[ChartState, Verdict]:
    """Judge one reading; gives the state to go on with and the verdict.

    `sample` is in the unit of the characteristic, a plain number or None standing for a reading of one value.
    `ref` names the reading for the verdicts that will count it among their members; it is never looked into.
    Raises ValueError when the state belongs to another characteristic, chart or subgroup size than the plan, or
    the sample has another number of variables than the limits.
    """
    _check(plan, state)
    certain = state.open_certain
    if isinstance(sample, Sample):
        reading, certain = reading_of(plan, sample.values, sample.size), certain and sample.certain
    else:
        reading = reading_of(plan, (sample,), 1.0)
    readings, refs = (*state.open_readings, reading), (*state.open_refs, ref)
    if len(readings) >= plan.subgroup:
        return _closed(plan, state, readings, refs, certain)
    opened = state._replace(open_readings=readings, open_refs=refs, open_certain=certain)
    return opened, _bare(plan, state, "gap" if reading is None else "open", len(readings))


def close(plan: ChartPlan, state: ChartState) -> tuple[ChartState, Verdict | None]:
    """Close the open subgroup with the readings that it has (time is up, the lot ends); None when none is open.

    Its verdict has a `position` below its `size`. Raises ValueError as `judge` does.
    """
    _check(plan, state)
    if not state.open_refs:
        return state, None
    return _closed(plan, state, state.open_readings, state.open_refs, state.open_certain)


def restart(state: ChartState) -> ChartState:
    """The state after a cut in the process: restart after a cause, another measured tag, other rules.

    No window, sum, subgroup or moving range reaches across it: readings of an open subgroup are never judged
    (`close` it before, to have them judged), and the next reading opens a new one. Limits and phase I go on.
    """
    return ChartState(
        state.characteristic,
        state.chart,
        state.subgroup,
        state.segment + 1,
        state.subgroup_id + (1 if state.open_refs else 0),
        limits=state.limits,
        phase1=state.phase1,
    )


def leave(state: ChartState) -> ChartState:
    """The state of a stream that is left at a changeover, to be gone on with when its product comes back.

    As `restart`, but for the sums of EWMA, CUSUM and MEWMA: they are what is known of this very stream, and the
    process that comes back is the one that left. What was mended for a cause begins anew (`restart`).
    """
    cut = restart(state)
    return cut._replace(memory=state.memory) if state.chart in _WEIGHING else cut


def _check(plan: ChartPlan, state: ChartState) -> None:
    if not state.fits(plan):
        raise ValueError(
            f"state of {state.characteristic!r} ({state.chart}, subgroups of {state.subgroup}) does not fit "
            f"the plan of {plan.characteristic!r} ({plan.chart}, subgroups of {plan.subgroup}): "
            "begin with ChartState.start(plan)"
        )


# -- a closed subgroup --------------------------------------------------------------------------------------


class _Point(NamedTuple):
    """A closed subgroup on its way: what it comes to, who made it, of how many readings, all of them certain?"""

    reduced: Reduced
    number: int
    refs: tuple[str, ...]
    readings: int
    certain: bool


class _Judged(NamedTuple):
    """What limits say about a point, and what is remembered of it. `second` is what the lower chart plots."""

    memory: Memory | None
    fired: tuple[Fired, ...]
    statistic: float
    second: float | None
    lines: Lines
    second_lines: Lines | None


def _closed(
    plan: ChartPlan, state: ChartState, readings: tuple[Reading, ...], refs: tuple[str, ...], certain: bool
) -> tuple[ChartState, Verdict]:
    limits = plan.limits or state.limits
    reduced = point_of(plan, state, readings)
    if reduced is None or (plan.chart == "np" and reduced.size != _sample_size(state, limits, reduced)):
        return _gap(plan, state, len(readings), refs)
    point = _Point(reduced, state.subgroup_id, refs, len(readings), certain)
    if limits is None:
        return _collected(plan, state, point)
    judged = (
        _ruled(plan, state, limits, point) if plan.chart in RUN_RULES else _weighed(plan, state, limits, point)
    )
    if not math.isfinite(judged.statistic):
        return _gap(plan, state, len(readings), refs)
    verdict = Verdict(
        plan.characteristic,
        plan.chart,
        state.subgroup_id,
        len(readings),
        plan.subgroup,
        "signal" if judged.fired else "in_control",
        judged.fired,
        judged.statistic,
        judged.second,
        judged.lines.centre,
        judged.lines.lower,
        judged.lines.upper,
        limits.version,
        limits.provisional,
        refs,
        state.segment,
        _sample(plan, point),
        *_numbers(judged.second_lines),
    )
    return _after(state, judged.memory, point), verdict


def _sample_size(state: ChartState, limits: LimitSet | None, point: Reduced) -> float:
    """The one size that the samples of an np chart have."""
    if limits is not None:
        return limits.nominal_size
    return state.phase1[0].size if state.phase1 else point.size


def _sample(plan: ChartPlan, point: _Point) -> float | None:
    if plan.chart in ATTRIBUTES:
        return point.reduced.size
    return None if point.readings == plan.subgroup else float(point.readings)


def _numbers(lines: Lines | None) -> _Numbers:
    return _NO_LINES if lines is None else (lines.centre, lines.lower, lines.upper)


def _after(
    state: ChartState,
    memory: Memory | None,
    point: _Point | None,
    limits: LimitSet | None = None,
    phase1: tuple[PhaseOnePoint, ...] | None = None,
) -> ChartState:
    """The state once a subgroup is closed; without a point (a gap) the next one has no neighbour."""
    return ChartState(
        state.characteristic,
        state.chart,
        state.subgroup,
        state.segment,
        state.subgroup_id + 1,
        (),
        (),
        True,
        None if point is None else point.reduced.location,
        "" if point is None else point.refs[-1],
        True if point is None else point.certain,
        memory,
        limits or state.limits,
        state.phase1 if phase1 is None else phase1,
    )


def _gap(plan: ChartPlan, state: ChartState, position: int, refs: tuple[str, ...]) -> tuple[ChartState, Verdict]:
    memory = None if plan.chart in RUN_RULES else state.memory
    return _after(state, memory, None), _bare(plan, state, "gap", position, refs)


def _bare(
    plan: ChartPlan, state: ChartState, outcome: VerdictState, position: int, members: tuple[str, ...] = ()
) -> Verdict:
    """A verdict on a reading that plots nothing, with the lines of a point as planned."""
    limits = plan.limits or state.limits
    lines = spread = _NO_LINES
    version, provisional = None, False
    if limits is not None:
        version, provisional = limits.version, limits.provisional
        lines = limits.centre, limits.lower, limits.upper
        spread = limits.range_centre, limits.range_lower, limits.range_upper
        if plan.chart == "cusum":
            lines = spread = (0.0, limits.lower, limits.upper)
    return Verdict(
        plan.characteristic,
        plan.chart,
        state.subgroup_id,
        position,
        plan.subgroup,
        outcome,
        (),
        None,
        None,
        *lines,
        version,
        provisional,
        members,
        state.segment,
        None,
        *spread,
    )


# -- phase I ------------------------------------------------------------------------------------------------


def _collected(plan: ChartPlan, state: ChartState, point: _Point) -> tuple[ChartState, Verdict]:
    """A point without limits: kept for phase I, and the limits frozen when that is complete."""
    asked, reduced = plan.phase1_subgroups, point.reduced
    statistic: float | None = None
    if plan.chart in RUN_RULES:
        statistic = (
            rate(plan.chart, reduced.location, reduced.size) if plan.chart in ATTRIBUTES else reduced.location
        )
    verdict = Verdict(
        plan.characteristic,
        plan.chart,
        state.subgroup_id,
        point.readings,
        plan.subgroup,
        "no_limits" if asked is None else "collecting",
        statistic=statistic,
        range_statistic=reduced.spread if plan.chart in _SPREADS else None,
        members=point.refs,
        segment=state.segment,
        sample=_sample(plan, point),
    )
    if asked is None or not point.certain:
        return _after(state, None, point), verdict
    if not state.previous_certain and (plan.subgroup == 1 or plan.chart in ATTRIBUTES):
        reduced = reduced._replace(spread=None, joined=False)
    points = (*state.phase1, PhaseOnePoint(*reduced))[-PHASE1_MAX:]
    if len(points) < asked:
        return _after(state, None, point, phase1=points), verdict
    try:
        limits = estimate(
            plan.chart,
            points,
            subgroup=plan.subgroup,
            constants=plan.constants,
            design=plan.design,
            version=f"phase1-{len(points)}",
        )
    except NoLimitsError:
        return _after(state, None, point, phase1=points), verdict
    return _after(state, None, point, limits, ()), verdict


# -- under limits -------------------------------------------------------------------------------------------


def _known(plan: ChartPlan, state: ChartState, limits: LimitSet) -> Memory:
    """What is remembered of the points before, as far as these limits and rules made it."""
    held, watch = state.memory, plan.watch
    made_by = (limits.version, limits.centre, limits.sigma_within, watch.key)
    if held is not None and held.made_by == made_by:
        return held
    return Memory(made_by, 0, 0.0, (0,) * len(watch.rules))


def _ruled(plan: ChartPlan, state: ChartState, limits: LimitSet, point: _Point) -> _Judged:
    """A chart of independent points: the plan's rules on the upper chart, rule 1 on that of the spread."""
    reduced, known, watch = point.reduced, _known(plan, state, limits), plan.watch
    size = reduced.size
    lines, spread = plan.own_lines, plan.own_spread
    if lines is None or size != limits.nominal_size:
        lines, spread = limits.at(size), limits.spread_at(int(size))
    statistic = value = reduced.location
    scaled = lines
    if plan.chart in ATTRIBUTES:
        statistic = value = rate(plan.chart, value, size)
    elif plan.chart == "t":
        value, scaled = to_normal(value), limits.transformed()
    since = known.since + 1
    windows, hits = step(watch.steps, known.windows, since, known.last, value, scaled)
    recent = (*known.recent, (point.number, point.refs))
    fired = (
        tuple(_fired(watch.rules[place], "location", members, recent) for place, members in hits) if hits else ()
    )
    memory = Memory(known.made_by, since, value, windows, _kept(recent, watch))
    if plan.chart not in _SPREADS:
        return _Judged(memory, fired, statistic, None, lines, None)
    second = reduced.spread
    if second is not None and spread is not None and not spread.lower <= second <= spread.upper and watch.at_limit:
        fired = (*fired, _spread_fired(watch.at_limit, state, point))
    return _Judged(memory, fired, statistic, second, lines, spread)


def _weighed(plan: ChartPlan, state: ChartState, limits: LimitSet, point: _Point) -> _Judged:
    """A chart that knows only its limits."""
    reduced, known = point.reduced, _known(plan, state, limits)
    if len(reduced.vector) != len(limits.mean):
        raise ValueError(
            f"{plan.characteristic}: limits {limits.version!r} are for {len(limits.mean)} variables, "
            f"the reading has {len(reduced.vector)}"
        )
    at_limit, since = plan.watch.at_limit, known.since + 1
    weighed = weigh(limits, known.sums, since, reduced)
    fired: list[Fired] = []
    recent = (*known.recent, (point.number, point.refs))
    if at_limit and weighed.beyond:
        fired.append(_fired(at_limit, "location", _newest(weighed.spans[0], recent), recent))
    if at_limit and weighed.second_beyond:
        fired.append(_fired(at_limit, "range", _newest(weighed.spans[1], recent), recent))
    memory = Memory(known.made_by, since, weighed.statistic, (), _kept(recent, plan.watch), weighed.sums)
    second_lines = None if weighed.second is None else weighed.lines
    return _Judged(memory, tuple(fired), weighed.statistic, weighed.second, weighed.lines, second_lines)


def _newest(span: float, recent: tuple[Recent, ...]) -> int:
    """The newest `span` points, as far as they are remembered, as bits."""
    return (1 << min(int(span), len(recent))) - 1


def _fired(rule: Rule, part: Part, members: int, recent: tuple[Recent, ...]) -> Fired:
    """The signal of the points that `members` marks by bits, the newest of `recent` lowest."""
    if members == 1:
        number, refs = recent[-1]
        return Fired(rule, part, refs, (number,))
    made = [recent[-1 - bit] for bit in range(members.bit_length() - 1, -1, -1) if members >> bit & 1]
    return Fired(rule, part, tuple(ref for _, refs in made for ref in refs), tuple(number for number, _ in made))


def _spread_fired(rule: Rule, state: ChartState, point: _Point) -> Fired:
    if state.chart != "imr":
        return Fired(rule, "range", point.refs, (point.number,))
    return Fired(rule, "range", (state.previous_ref, *point.refs), (point.number - 1, point.number))


def _kept(recent: tuple[Recent, ...], watch: Watch) -> tuple[Recent, ...]:
    """The newest points that a window may still name, with the references of the newest `MEMBERS_MAX` readings."""
    kept = recent[-watch.before :] if watch.before else ()
    if watch.small:
        return kept
    room, trimmed = MEMBERS_MAX, []
    for number, refs in reversed(kept):
        room -= len(refs)
        trimmed.append((number, refs if room >= 0 else ()))
    return tuple(reversed(trimmed))
