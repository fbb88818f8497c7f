"""Sums that come out the same everywhere.

Central recomputes what the edge judged, on another processor and with another numpy, and the answer must be
the same to the last bit: a point is in or out of control by a strict comparison. `numpy.mean` adds in blocks
whose size depends on the machine, so means that end in limits or statistics are taken here: the exact sum,
rounded once.

A mean is also kept within the smallest and largest value that made it. Without that, five readings of 0.1 may
average one unit in the last place above 0.1, and a process that stands still would appear to run on one side.
"""

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["LARGEST", "exact_mean", "usable"]

LARGEST: Final = 1e300
"""Magnitudes above this count as no reading: sums and limits of such values would leave the float range."""


def usable(value: float | None) -> float | None:
    """The value as a float, or None for what is no reading: None, NaN, infinite, or beyond `LARGEST`."""
    if value is None or not abs(value) <= LARGEST:
        return None
    return float(value)


def exact_mean(values: Sequence[float]) -> float:
    """Mean of at least one finite value: the exact sum rounded once, divided, kept within the values."""
    if not values:
        raise ValueError("the mean of no values is not defined")
    return _within(math.fsum(values) / len(values), min(values), max(values))


def _within(mean: float, lowest: float, highest: float) -> float:
    return min(max(mean, lowest), highest)
