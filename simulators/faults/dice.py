"""Choices that one seed decides: the same seed, the same faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from simulators.noise import Key, uniform

T = TypeVar("T")


class Dice:
    """A stream of numbers that belongs to its seed alone."""

    def __init__(self, *seed: Key) -> None:
        self._seed = seed
        self._drawn = 0

    def between(self, low: float, high: float) -> float:
        self._drawn += 1
        return low + (high - low) * uniform(*self._seed, self._drawn)

    def below(self, bound: int) -> int:
        """A whole number, at least 0, below ``bound``."""
        return int(self.between(0, bound))

    def choose(self, things: Sequence[T]) -> T:
        return things[self.below(len(things))]
