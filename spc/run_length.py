"""What the ways to an average run length share: the mean number of points until a signal, with that one.

Also the two normal functions that they and `spc.capability` take probabilities from.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["LONGEST", "NeverSignals", "below", "density"]

LONGEST: Final = 1e8
"""Points; a longer mean run length is not told, since rounding would show in it."""


class NeverSignals(ValueError):
    """The mean run length is above `LONGEST` points."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the mean run length of {what} is above {LONGEST:.0e} points: it as good as never signals"
        )


def below(z: float) -> float:
    """Phi(z): the probability that a standard normal value is below z, good in the lower tail too."""
    return math.erfc(-z / math.sqrt(2)) / 2


def density(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """phi(z): the standard normal density."""
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
