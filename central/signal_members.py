"""Which points made a signal: those of its rule's window that say it, the completing one last. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spc.rules import Rule
from spc.statistics import to_normal


class Judged(Protocol):
    """A point of a chart as it was judged: a record's verdict, or a point of central's charts."""

    @property
    def segment(self) -> int | None: ...
    @property
    def limit_version(self) -> str | None: ...
    @property
    def statistic(self) -> float | None: ...
    @property
    def centre(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


def members(chart: str, points: Sequence[Judged], index: int, rule: Rule | None) -> tuple[int, ...]:
    """The places of the points that made ``rule`` fire at ``index``.

    The window reaches no further back than the segment, the limit version, and the next gap. Of a rule of some
    points beyond a zone, only those beyond it on the side of the completing one.
    """
    if rule is None or rule.window == 1:
        return (index,)
    last = points[index]
    first = index
    while first > 0 and index - first + 1 < rule.window and _joined(points[first - 1], last):
        first -= 1
    window = range(first, index + 1)
    if rule.pattern != "beyond":
        return tuple(window)
    far, side = rule.sigmas or 0.0, 1.0 if _distance(chart, last) > 0 else -1.0
    return tuple(at for at in window if side * _distance(chart, points[at]) > far) or (index,)


def _joined(point: Judged, last: Judged) -> bool:
    same = (point.segment, point.limit_version) == (last.segment, last.limit_version)
    return same and point.statistic is not None


def _distance(chart: str, point: Judged) -> float:
    """From the centre line, in standard deviations of what is plotted; times in the scale in which rules hold."""
    if point.statistic is None or point.centre is None or point.upper is None:
        return 0.0
    value, centre, upper = point.statistic, point.centre, point.upper
    if chart == "t":
        value, centre, upper = to_normal(value), to_normal(centre), to_normal(upper)
    return 3 * (value - centre) / (upper - centre) if upper > centre else 0.0
