"""What a stretch of a chart would have said under other limits: before they are proposed, and before approval.

Pure. Single values, means, counts and times are plotted the same under any limits: they are held against the lines
that these limits have for each. EWMA, CUSUM, MEWMA and T squared depend on their parameters, so they are computed
anew from the readings, as the line would have done it from the first point of the stretch on. Rules are the
chart's own. A point that was left out belongs to no run and is judged all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from central.chart_words import ChartPoint
from spc.exact import usable
from spc.limits import ATTRIBUTES, SINGLE, VECTORS, LimitSet, Lines
from spc.plan import RUN_RULES, ChartPlan, Sample
from spc.rules import Rule, Signal, beyond_limits, evaluate, limit_rule
from spc.state import ChartState, Verdict
from spc.statistics import to_normal
from spc.stream import close, judge, restart

_Pair = tuple[Lines | None, Lines | None]


@dataclass(frozen=True, slots=True)
class Trial:
    """A stretch of m points under trial limits; sequences have one entry a point, signals index them from 0.

    ``values`` None: a gap, or a point that these limits cannot judge. ``spreads`` are moving ranges, ranges,
    standard deviations, or of a CUSUM its lower sums.
    """

    values: tuple[float | None, ...]
    spreads: tuple[float | None, ...]
    lines: tuple[_Pair, ...]
    signals: tuple[Signal, ...]
    spread_signals: tuple[Signal, ...]

    @property
    def fired(self) -> list[tuple[Signal, bool]]:
        """Every signal in the order of its points, and whether it is on the chart of the spread."""
        found = [*((one, False) for one in self.signals), *((one, True) for one in self.spread_signals)]
        return sorted(found, key=lambda one: one[0].index)


def trial(
    limits: LimitSet, rules: Sequence[Rule], points: Sequence[ChartPoint], restarted: Collection[int] = ()
) -> Trial:
    """The points judged by ``limits`` with ``rules``; ``restarted``: segments that a person's restart began.

    No run reaches across a segment. Sums and weighted means do, as on the line: a chart that is left at a
    changeover goes on when its product comes back, and begins anew after a restart.
    """
    if limits.chart in RUN_RULES:
        return _independent(limits, rules, points)
    return _followed(limits, rules, points, restarted)


# -- points that limits do not change ----------------------------------------------------------------------


def _independent(limits: LimitSet, rules: Sequence[Rule], points: Sequence[ChartPoint]) -> Trial:
    lines = tuple(_lines(limits, point) for point in points)
    values = tuple(
        usable(point.statistic) if line is not None else None
        for point, (line, _) in zip(points, lines, strict=True)
    )
    spreads = tuple(usable(point.range_statistic) for point in points)
    return Trial(
        values, spreads, lines, _by_rules(limits, rules, points, values, lines), _by_spread(rules, spreads, lines)
    )


def _lines(limits: LimitSet, point: ChartPoint) -> _Pair:
    """The lines for a point of its size; none where no limits can be told for that."""
    single = limits.chart in SINGLE
    size = point.sample or (limits.nominal_size if limits.chart in ATTRIBUTES or single else limits.subgroup)
    try:
        return limits.at(size), limits.spread_at(max(2, round(size)))
    except ValueError:
        return None, None


def _by_rules(
    limits: LimitSet,
    rules: Sequence[Rule],
    points: Sequence[ChartPoint],
    values: Sequence[float | None],
    lines: Sequence[_Pair],
) -> tuple[Signal, ...]:
    scaled: list[Lines | None] = [line for line, _ in lines]
    if limits.chart == "t":  # run rules apply where times are nearly normal
        values = [None if value is None else to_normal(value) for value in values]
        scaled = [limits.transformed()] * len(points)
    table = np.array(
        [(np.nan,) * 4 if one is None else (one.centre, one.lower, one.upper, one.sigma) for one in scaled]
    ).reshape(len(points), 4)
    return evaluate(
        rules,
        np.array(values, dtype=np.float64),
        centre=table[:, 0],
        lower=table[:, 1],
        upper=table[:, 2],
        sigma=table[:, 3],
        excluded=[at for at, point in enumerate(points) if point.excluded],
        restarts=[at for at in range(1, len(points)) if points[at].segment != points[at - 1].segment],
    )


def _by_spread(
    rules: Sequence[Rule], spreads: Sequence[float | None], lines: Sequence[_Pair]
) -> tuple[Signal, ...]:
    held = [(np.nan, np.nan) if spread is None else (spread.lower, spread.upper) for _, spread in lines]
    table = np.array(held, dtype=np.float64).reshape(len(held), 2)
    return beyond_limits(limit_rule(rules), np.array(spreads, dtype=np.float64), table[:, 0], table[:, 1])


# -- points that limits make -------------------------------------------------------------------------------


def _followed(
    limits: LimitSet, rules: Sequence[Rule], points: Sequence[ChartPoint], restarted: Collection[int]
) -> Trial:
    """Judged reading by reading by the functions of the line, which equal those of whole series to the bit."""
    plan = ChartPlan("trial", limits.chart, limits.subgroup, tuple(rules), limits)
    state, verdicts = ChartState.start(plan), list[Verdict]()
    for at, point in enumerate(points):
        if at and point.segment != points[at - 1].segment and point.segment in restarted:
            state = restart(state)
        state, verdict = _point(plan, state, point, str(at))
        verdicts.append(verdict)
    return Trial(
        tuple(verdict.statistic for verdict in verdicts),
        tuple(verdict.range_statistic for verdict in verdicts),
        tuple((_upper(limits, one), _lower(one)) for one in verdicts),
        _signals(verdicts, "location"),
        _signals(verdicts, "range"),
    )


def _point(plan: ChartPlan, state: ChartState, point: ChartPoint, ref: str) -> tuple[ChartState, Verdict]:
    """All readings of a point; one whose readings are not kept, or are others than planned, is a gap."""
    variables = len(plan.limits.mean) if plan.limits is not None and plan.chart in VECTORS else 1
    gap = (None,) * variables
    rows = [row if len(row) == variables else gap for row in point.readings] or [gap]
    if len(rows) > plan.subgroup:
        rows = [gap]
    verdict: Verdict | None = None
    for row in rows:
        state, verdict = judge(plan, state, Sample(row), ref)
    if state.open_refs:
        state, verdict = close(plan, state)
    assert verdict is not None  # noqa: S101  there is at least one row
    return state, verdict


def _upper(limits: LimitSet, verdict: Verdict) -> Lines | None:
    if verdict.centre is None or verdict.lower is None or verdict.upper is None:
        return None
    return Lines(verdict.lower, verdict.centre, verdict.upper, limits.sigma)


def _lower(verdict: Verdict) -> Lines | None:
    if verdict.range_centre is None or verdict.range_lower is None or verdict.range_upper is None:
        return None
    return Lines(verdict.range_lower, verdict.range_centre, verdict.range_upper, 0.0)


def _signals(verdicts: Sequence[Verdict], part: str) -> tuple[Signal, ...]:
    return tuple(
        Signal(fired.rule.name, at, _members(fired.members, at), fired.rule)
        for at, verdict in enumerate(verdicts)
        for fired in verdict.fired
        if fired.part == part
    )


def _members(refs: Sequence[str], at: int) -> tuple[int, ...]:
    found = sorted({int(ref) for ref in refs})
    return tuple(found) if found else (at,)
