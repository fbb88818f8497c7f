"""What a drawn chart shows: points, limits and when they held, signals, and the words around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spc.rules import Signal

__all__ = ["ENGLISH", "ChartSeries", "LimitSpan"]

ENGLISH: Final[Mapping[str, str]] = {
    "ucl": "UCL",
    "cl": "CL",
    "lcl": "LCL",
    "usl": "USL",
    "lsl": "LSL",
    "axis": "Sample",
    "provisional": "{version}, provisional",
    "point": "{axis} {number}: {value}",
    "nelson1": "one point beyond a control limit",
    "nelson2": "nine points in a row on one side of the centre line",
    "summary": "{points} points, {signals} flagged, {gaps} without a reading.",
}
"""The words of a chart, to be replaced one by one; names in braces are filled in."""


@dataclass(frozen=True, slots=True)
class LimitSpan:
    """Limits in force from point `start` (0-based) up to but not including `stop` (None: to the end)."""

    centre: float
    lower: float
    upper: float
    version: str = ""
    provisional: bool = False
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One chart: what is plotted, in `unit`, and what was said about it.

    `key` is unique on the page and becomes the ids. `values` holds a point each, None or NaN for a gap;
    the first one carries the number `first` on the axis. Later `limits` follow earlier ones; the last ones
    are named at the right end. `signals` index `values` from 0.
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
