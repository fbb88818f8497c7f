"""Sums that come out the same everywhere.

Central recomputes what the edge judged, on another processor and with another numpy, and the answer must be
the same to the last bit: a point is in or out of control by a strict comparison. `numpy.mean` adds in blocks
whose size depends on the machine, so means that end in limits or statistics are taken here: the exact sum,
rounded once. `RunningMean` keeps that exact sum between points (Shewchuk 1997, the method of `math.fsum`), in
a handful of floats however many points went in, and agrees with `exact_mean` to the bit.

A mean is also kept within the smallest and largest value that made it. Without that, five readings of 0.1 may
average one unit in the last place above 0.1, and a process that stands still would appear to run on one side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from spc.fields import Fields

__all__ = ["LARGEST", "RunningMean", "exact_mean", "usable"]

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


@dataclass(frozen=True, slots=True)
class RunningMean:
    """A mean that grows by one value at a time and equals `exact_mean` of all of them, to the bit.

    `partials` are non-overlapping floats whose exact sum is the sum of the values: one to three in
    practice, some forty at the very most.
    """

    count: int = 0
    partials: tuple[float, ...] = ()
    lowest: float = 0.0
    highest: float = 0.0

    def add(self, value: float) -> Self:
        """The mean with one more finite value in it."""
        partials: list[float] = []
        rest = value
        for partial in self.partials:
            large, small = (rest, partial) if abs(rest) >= abs(partial) else (partial, rest)
            rest = large + small
            lost = small - (rest - large)
            if lost:
                partials.append(lost)
        partials.append(rest)
        first = self.count == 0
        return type(self)(
            count=self.count + 1,
            partials=tuple(partials),
            lowest=value if first else min(self.lowest, value),
            highest=value if first else max(self.highest, value),
        )

    @property
    def value(self) -> float:
        """The mean; ValueError while nothing has been added."""
        if self.count == 0:
            raise ValueError("the mean of no values is not defined")
        return _within(math.fsum(self.partials) / self.count, self.lowest, self.highest)

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal object back."""
        return {
            "count": self.count,
            "partials": list(self.partials),
            "lowest": self.lowest,
            "highest": self.highest,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        return cls(
            count=fields.integer("count"),
            partials=tuple(fields.numbers("partials")),
            lowest=fields.number("lowest"),
            highest=fields.number("highest"),
        )
