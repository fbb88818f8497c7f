"""How often a line's charts would call somebody though nothing is wrong: a warning before it becomes a habit.

People stop looking at charts that cry wolf. What rules cost is known beforehand: from the run length in control of
each chart with its rules, and from how many points a day it gets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.line_view import LineView
from records.errors import Problem

DAY_S = 86_400.0
RUNS_A_DAY = 1440
"""Assumed where a station does not say: one run a minute, day and night."""

_WORST = 3


_SPREADS = {"imr": " and its moving range", "xbar_r": " and its range", "xbar_s": " and its standard deviation"}


@dataclass(frozen=True, slots=True)
class _Cost:
    """What the chart of one characteristic would cost; `told` where its stations say their runs a day."""

    name: str
    chart: str
    rules: tuple[str, ...]
    points_a_day: float
    alarms_a_day: float
    told: bool

    def __str__(self) -> str:
        every = self.points_a_day / self.alarms_a_day
        return (
            f"{self.name} {self.alarms_a_day:.1f} ({self.chart}{_SPREADS.get(self.chart, '')} with "
            f"{', '.join(self.rules)}: one in {every:.0f} of {self.points_a_day:.0f} points)"
        )


def costly_charts(line: LineView) -> Iterator[Problem]:
    """A warning where the charts together would give more false alarms a day than the line accepts."""
    found = list(_costs(line))
    costs = sorted((one for one in found if isinstance(one, _Cost)), key=lambda cost: -cost.alarms_a_day)
    untold = [one for one in found if isinstance(one, str)]
    total = sum(cost.alarms_a_day for cost in costs)
    if untold:
        message = f"how often {' and '.join(untold)} would signal with nothing wrong cannot be told"
        hint = "a design within what run lengths are computed for; the other charts are counted without it"
        yield line.problem(("characteristics", untold[0]), message, hint, key=True)
    if total <= line.false_alarms_a_day:
        return
    worst = [cost for cost in costs if cost.alarms_a_day > 0][:_WORST]
    others = len(costs) - len(worst)
    rest = f"; {others} more charts {sum(cost.alarms_a_day for cost in costs[_WORST:]):.1f}" if others else ""
    assumed = "" if all(cost.told for cost in worst) else f", at {RUNS_A_DAY} runs a day where none are told,"
    message = (
        f"with nothing wrong, the charts of this line would signal about {total:.1f} times a day{assumed} and "
        f"{line.false_alarms_a_day:g} are accepted: {'; '.join(map(str, worst))}{rest}"
    )
    hint = (
        "fewer rules, larger subgroups, or ewma or cusum in the place of imr; or tell runs_a_day of the station, "
        "or accept more with charts: {false_alarms_a_day: N}"
    )
    yield line.problem(("characteristics", worst[0].name), message, hint, key=True)


def _costs(line: LineView) -> Iterator[_Cost | str]:
    """What each chart would cost; of one whose run length cannot be told, its name."""
    for name, settings in line.characteristics.items():
        plan = settings.plan(name)
        needed = settings.read()
        stations = [each for each in line.stations.values() if set(each.captured()).issuperset(needed)]
        if plan is None or not stations:
            continue
        from spc.false_alarms import alarm_rate  # numpy is loaded only where there is a chart

        runs = [each.runs_a_day or RUNS_A_DAY for each in stations]
        points, readings = sum(runs) / plan.subgroup, plan.subgroup
        if settings.after_s is not None:  # closed by time, unless runs are rarer than that
            points = max(points, sum(min(each, DAY_S / settings.after_s) for each in runs))
            readings = max(round(sum(runs) / points), 1)
        variables = max(len(settings.tags), 1)
        try:
            rate = alarm_rate(plan.rules, plan.chart, plan.design, readings, variables=variables)
        except ValueError:
            yield name
            continue
        told = all(each.runs_a_day is not None for each in stations)
        yield _Cost(name, plan.chart, tuple(rule.name for rule in plan.rules), points, points * rate, told)
