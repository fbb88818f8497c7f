"""What a drawn chart shows: points, limits and when they held, signals, and the words around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spc.rules import Signal

__all__ = ["ENGLISH", "ChartSeries", "Histogram", "LimitSpan", "Note"]

ENGLISH: Final[Mapping[str, str]] = {
    "ucl": "UCL",
    "cl": "CL",
    "lcl": "LCL",
    "usl": "USL",
    "lsl": "LSL",
    "axis": "Sample",
    "phase1": "Phase I",
    "provisional": "{version}, provisional",
    "point": "{axis} {number}: {value}",
    "within": "limits {lower} to {upper}",
    "upto": "limit {upper}",
    "excluded": "left out of the limits",
    "rule-limit": "one point beyond a control limit",
    "rule-one-beyond": "one point beyond {sigmas} sigma",
    "rule-beyond": "{points} of {window} points beyond {sigmas} sigma on one side",
    "rule-side": "{window} points in a row on one side of the centre line",
    "rule-trend": "{window} points in a row, each higher or each lower than the one before",
    "rule-alternating": "{window} points in a row, up and down in turns",
    "rule-within": "{window} points in a row within {sigmas} sigma of the centre line",
    "rule-outside": "{window} points in a row beyond {sigmas} sigma, on both sides of the centre line",
    "values": "{count} values from {low} to {high}, mean {mean}.",
    "bar": "{low} to {high}: {count}",
    "summary": "{points} points, {signals} flagged, {gaps} without a reading.",
}
"""The words of a chart, to be replaced one by one; names in braces are filled in. What stands under a rule's own
name tells it instead of the words for its pattern."""


@dataclass(frozen=True, slots=True)
class LimitSpan:
    """Limits in force from point `start` (0-based) up to but not including `stop` (None: to the end).

    A line that is None is not drawn: a chart of T squared has an upper limit alone. Where each point has lines
    of its own (counts in samples of unequal size, an EWMA over its first points), `centres`, `lowers` and
    `uppers` hold one value a point of the span, NaN for a gap, and stand in for the single ones.
    """

    centre: float | None
    lower: float | None
    upper: float | None
    version: str = ""
    provisional: bool = False
    start: int = 0
    stop: int | None = None
    centres: Sequence[float] = ()
    lowers: Sequence[float] = ()
    uppers: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """What people said about one point.

    `text` is the cause or comment. An `excluded` point is drawn hollow. `href` is where more is told; the
    mark of the point becomes a link, which needs a page around the chart.
    """

    text: str = ""
    excluded: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One chart: what is plotted, in `unit`, and what was said about it.

    `key` is unique on the page and becomes the ids. `values` holds a point each, None or NaN for a gap;
    the first one carries the number `first` on the axis, and `names`, when given, is what each is called
    instead in its own words (a time, a serial). Later `limits` follow earlier ones; the last ones are named
    at the right end. `signals` and `notes` index `values` from 0. `panel` heads the chart where two share a
    drawing. The first `phase1` points set the limits.

    `below` is a second line through the same points, with `below_signals`: the lower sum of a CUSUM, as
    negative numbers.
    """

    key: str
    title: str
    values: Sequence[float | None]
    limits: tuple[LimitSpan, ...] = ()
    signals: tuple[Signal, ...] = ()
    unit: str = ""
    lsl: float | None = None
    usl: float | None = None
    first: int = 1
    panel: str = ""
    names: Sequence[str] = ()
    notes: Mapping[int, Note] = field(default_factory=dict)
    phase1: int | None = None
    below: Sequence[float | None] = ()
    below_signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values in their specification. `curves` are normal ones to compare with: what each is, mean and sigma."""

    values: Sequence[float]
    lsl: float | None = None
    usl: float | None = None
    curves: tuple[tuple[str, float, float], ...] = ()
    panel: str = ""
