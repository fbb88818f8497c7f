"""From stored chart points to what limits are estimated from, and why points were left out. Pure.

A point is left out when a person excluded it, when it is a gap, and when a reading of it was of uncertain quality.
EWMA, CUSUM, MEWMA and T squared are estimated from the readings, whatever was plotted of them under other limits;
a point whose readings are not kept is left out too.
A moving range is taken between neighbours on the line only: neither across a point that was left out nor across
the beginning of a segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import JsonValue

from central.chart_words import ChartPoint
from records.errors import Invalid
from spc.constants import ConstantSet
from spc.estimate import Centre, NoLimitsError, PhaseOnePoint, estimate
from spc.exact import exact_mean
from spc.limits import ATTRIBUTES, MEANS, VECTORS, Chart, Design, LimitSet
from spc.sigma import SigmaMethod
from spc.statistics import covariance, mean_vector, to_normal, value_range

Why = Literal["excluded", "gap", "no-readings", "uncertain"]


_BY_READINGS = frozenset({"ewma", "cusum", *VECTORS})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A point that limits are not computed from. ``cause`` and ``reason`` are the person's who excluded it."""

    number: int
    record: str
    why: Why
    cause: str | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "number": self.number,
            "record": self.record,
            "why": self.why,
            "cause": self.cause,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Method:
    """How limits are to be estimated; None: as the chart usually is. See ``spc.estimate.estimate``."""

    constants: ConstantSet = "exact"
    sigma: SigmaMethod | None = None
    centre: Centre = "mean"
    confidence: float | None = None
    design: Design | None = None

    def to_json(self) -> dict[str, JsonValue]:
        design = None if self.design is None else cast(JsonValue, self.design.to_json())
        return {
            "constants": self.constants,
            "sigma": self.sigma,
            "centre": self.centre,
            "confidence": self.confidence,
            "design": design,
        }


@dataclass(frozen=True, slots=True)
class Study:
    """Limits from points, how many made them, and which did not."""

    limits: LimitSet
    points: int
    left_out: tuple[LeftOut, ...]


def study(
    chart: str, subgroup: int, points: Sequence[ChartPoint], method: Method, version: str, *, short_run: bool
) -> Study:
    """The limits that a window of points gives; they are provisional.

    Raises:
        Invalid: too few points, points without variation, or a chart that this window cannot give limits for.
    """
    if short_run and chart in ("ewma", "cusum"):
        raise Invalid(
            f"a short-run chart of kind {chart} keeps no deviations to compute limits from",
            hint="give the limits by numbers",
        )
    kind = cast(Chart, chart)
    usable, left_out = _usable(kind, points)
    try:
        limits = estimate(
            kind,
            usable,
            subgroup=subgroup,
            constants=method.constants,
            design=method.design,
            version=version,
            method=method.sigma,
            centre=method.centre,
            confidence=method.confidence,
        )
    except NoLimitsError as error:
        raise Invalid(f"no limits from these points: {error}", hint="take a wider window") from error
    except ValueError as error:
        raise Invalid(f"no limits from these points: {error}") from error
    return Study(limits, len(usable), tuple(left_out))


def _usable(chart: Chart, points: Sequence[ChartPoint]) -> tuple[list[PhaseOnePoint], list[LeftOut]]:
    usable: list[PhaseOnePoint] = []
    left_out: list[LeftOut] = []
    before: ChartPoint | None = None
    for point in points:
        why = _why(chart, point)
        if why is not None:
            left_out.append(_left_out(point, why))
            before = None
            continue
        joined = before is not None and before.segment == point.segment
        usable.append(_phase_one(chart, point, before if joined else None))
        before = point
    return usable, left_out


def _why(chart: Chart, point: ChartPoint) -> Why | None:
    if point.excluded:
        return "excluded"
    if chart not in _BY_READINGS:
        absent = point.statistic is None
    elif not point.readings and point.state != "gap":
        return "no-readings"
    else:
        absent = not point.readings or len(_rows(point)) < (2 if chart in MEANS else 1)
    if absent:
        return "gap"
    return "uncertain" if point.uncertain else None


def _left_out(point: ChartPoint, why: Why) -> LeftOut:
    note = next((note for note in reversed(point.notes) if note.act == "exclude"), None)
    if why != "excluded" or note is None:
        return LeftOut(point.number, point.ref.hash, why)
    return LeftOut(point.number, point.ref.hash, why, point.cause, note.text)


def _phase_one(chart: Chart, point: ChartPoint, before: ChartPoint | None) -> PhaseOnePoint:
    """A point with what its neighbour ``before`` makes of it."""
    if chart in ATTRIBUTES:
        return _count(chart, point, joined=before is not None)
    if chart in _BY_READINGS:
        return _read(chart, point, before)
    value = _statistic(point)
    if chart not in ("imr", "t"):
        size = point.sample or float(len(point.readings))
        return PhaseOnePoint(value, point.range_statistic, size)
    if before is None:
        return PhaseOnePoint(value, joined=False)
    last = _statistic(before)
    apart = abs(to_normal(value) - to_normal(last)) if chart == "t" else abs(value - last)
    return PhaseOnePoint(value, apart)


def _statistic(point: ChartPoint) -> float:
    if point.statistic is None:
        raise Invalid(f"point {point.number} has no value")
    return point.statistic


def _count(chart: Chart, point: ChartPoint, *, joined: bool) -> PhaseOnePoint:
    """The count in the point's sample. What is plotted is a share of it for all but np and c."""
    size = point.sample or float(len(point.readings) or 1)
    counts = [reading[0] for reading in point.readings if len(reading) == 1]
    if counts and len(counts) == len(point.readings) and None not in counts:
        count = sum(count for count in counts if count is not None)
    else:
        count = _statistic(point) * (1.0 if chart in ("np", "c") else size)
        count = float(round(count))
    return PhaseOnePoint(count, None, 1.0 if chart == "c" else size, joined=joined)


def _read(chart: Chart, point: ChartPoint, before: ChartPoint | None) -> PhaseOnePoint:
    """Of charts whose statistic remembers earlier points, or is of several variables: from the readings."""
    rows = _rows(point)
    if chart in VECTORS:
        if chart == "t2_subgroup":
            return PhaseOnePoint(0.0, None, float(len(rows)), mean_vector(rows), covariance(rows))
        return PhaseOnePoint(0.0, None, 1.0, rows[0])
    values = [row[0] for row in rows]
    if len(values) > 1:
        return PhaseOnePoint(exact_mean(values), value_range(values), float(len(values)))
    if before is None:
        return PhaseOnePoint(values[0], joined=False)
    return PhaseOnePoint(values[0], abs(values[0] - _rows(before)[0][0]))


def _rows(point: ChartPoint) -> list[tuple[float, ...]]:
    """The readings of a point, none where one of them was not read well: such a point is a gap on the line."""
    rows = [tuple(value for value in reading if value is not None) for reading in point.readings]
    whole = all(row and len(row) == len(point.readings[0]) for row in rows)
    return rows if whole else []


__all__ = ["LeftOut", "Method", "Study", "study"]
