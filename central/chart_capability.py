"""Capability of a chart's points: which values count, and why there is none. Pure; figures by ``spc.capability``.

The newest points under one version of limits count. What is excluded, uncertain or a gap is left out, and no
moving range reaches across it or across the beginning of a segment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from central.chart_words import ChartHead, ChartPoint
from spc.capability import Capability, capability

OF_VALUES = frozenset({"imr", "xbar_r", "xbar_s", "ewma"})
"""Kinds of measured values, which can be held against a specification."""
FEWEST_VALUES = 10
KEPT = 512
"""Charts whose last result is kept: a board asks again every few seconds."""

Why = Literal["other-chart", "no-specification", "short-run", "few-values", "no-variation"]


@dataclass(frozen=True, slots=True)
class ChartCapability:
    """``found`` None: ``why`` says so. ``n`` values of points ``first`` to ``last``, judged by ``version``."""

    found: Capability | None
    why: Why | None
    n: int = 0
    version: str | None = None
    first: int | None = None
    last: int | None = None


def of_points(head: ChartHead, points: Sequence[ChartPoint]) -> ChartCapability:
    """The capability that the newest of these points (oldest first) show."""
    spec = head.specification
    if head.chart not in OF_VALUES:
        return ChartCapability(None, "other-chart")
    if spec is None or (spec.lower is None and spec.upper is None):
        return ChartCapability(None, "no-specification")
    version = points[-1].limit_version if points else None
    counted = [point for point in points if point.limit_version == version]
    if any(_deviates(head, point) for point in counted):
        return ChartCapability(None, "short-run")
    groups, left_out = _groups(head, counted)
    n = sum(len(group) for at, group in enumerate(groups, 1) if at not in left_out)
    if n < FEWEST_VALUES:
        return ChartCapability(None, "few-values", n, version)
    found = _computed(tuple(groups), frozenset(left_out), head.subgroup > 1, spec.lower, spec.upper, spec.target)
    why: Why | None = "no-variation" if found is None else None
    return ChartCapability(found, why, n, version, counted[0].number, counted[-1].number)


def _deviates(head: ChartHead, point: ChartPoint) -> bool:
    """Whether the chart plots something else than its readings: deviations of many products from their targets."""
    values = _values(point)
    if head.chart == "ewma" or point.statistic is None or not values or len(values) < len(point.readings):
        return False
    return not math.isclose(point.statistic, math.fsum(values) / len(values), rel_tol=1e-6, abs_tol=1e-9)


def _values(point: ChartPoint) -> tuple[float, ...]:
    return tuple(value for run in point.readings for value in run if value is not None)


def _groups(head: ChartHead, points: Sequence[ChartPoint]) -> tuple[list[tuple[float, ...]], set[int]]:
    """Values by point, and the 1-based places that only keep neighbours apart."""
    groups: list[tuple[float, ...]] = []
    left_out: set[int] = set()
    before: ChartPoint | None = None
    for point in points:
        values = _values(point)
        fine = not point.excluded and not point.uncertain and len(values) >= (1 if head.subgroup == 1 else 2)
        apart = before is not None and before.segment != point.segment
        if (apart or not fine) and head.subgroup == 1 and groups:
            groups.append((0.0,))
            left_out.add(len(groups))
        if fine:
            groups.append(values if head.subgroup > 1 else values[:1])
        before = point
    return groups, left_out


@lru_cache(maxsize=KEPT)
def _computed(
    groups: tuple[tuple[float, ...], ...],
    left_out: frozenset[int],
    grouped: bool,
    lower: float | None,
    upper: float | None,
    target: float | None,
) -> Capability | None:
    """None where the values or the specification do not allow it."""
    try:
        if grouped:
            return capability(groups, lsl=lower, usl=upper, target=target)
        values = [group[0] for group in groups]
        return capability(values, lsl=lower, usl=upper, target=target, exclude=left_out)
    except ValueError:
        return None
