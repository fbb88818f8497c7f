"""The limit of Hotelling's T squared: how far from the centre a point may lie by chance.

Which limit holds depends on what the point had to do with the estimates. Points that made them (phase I) cannot
lie far out, later ones (phase II) can: with 25 points of 8 variables the two limits are 17.4 and 70.0.
Formulas: Tracy, Young and Mason, *Journal of Quality Technology* 24 (1992); Montgomery, *Introduction to
Statistical Quality Control*, 11.3. `confidence` is the probability that a point in control stays within the
limit.
"""

from typing import Final

__all__ = ["SINGLE_FALSE_ALARM", "phase1_limit", "phase2_limit", "usual_confidence"]

SINGLE_FALSE_ALARM: Final = 0.0027
"""The chance that a point in control is beyond three sigmas."""


def usual_confidence(variables: int) -> float:
    """(1 - 0.0027)^p: as if each of p independent variables had a three-sigma chart of its own (R's qcc)."""
    return float((1 - SINGLE_FALSE_ALARM) ** variables)


def phase1_limit(variables: int, points: int, size: int, confidence: float | None = None) -> float:
    """For the `points` (m) that made the estimates themselves, each the mean of `size` (n) readings.

    n = 1: (m-1)^2/m Beta(p/2, (m-p-1)/2); else p(m-1)(n-1)/(mn-m-p+1) F(p, mn-m-p+1). ValueError where m is too
    small.
    """
    from scipy.special import betaincinv  # loads slowly: only who charts several variables waits for it

    sure = _confidence(variables, confidence)
    if size == 1:
        _enough(variables, points, points - variables - 1)
        quantile = float(betaincinv(variables / 2, (points - variables - 1) / 2, sure))
        return (points - 1) ** 2 / points * quantile
    free = _freedom(variables, points, size)
    return variables * (points - 1) * (size - 1) / free * _f_quantile(variables, free, sure)


def phase2_limit(variables: int, points: int, size: int, confidence: float | None = None) -> float:
    """For points that come after the `points` (m) which made the estimates; as `phase1_limit` else.

    n = 1: p(m+1)(m-1)/(m(m-p)) F(p, m-p); else p(m+1)(n-1)/(mn-m-p+1) F(p, mn-m-p+1).
    """
    sure = _confidence(variables, confidence)
    if size == 1:
        free = points - variables
        _enough(variables, points, free)
        scale = variables * (points + 1) * (points - 1) / (points * free)
        return scale * _f_quantile(variables, free, sure)
    free = _freedom(variables, points, size)
    return variables * (points + 1) * (size - 1) / free * _f_quantile(variables, free, sure)


def _f_quantile(variables: int, free: int, confidence: float) -> float:
    from scipy.special import fdtri

    return float(fdtri(variables, free, confidence))


def _confidence(variables: int, confidence: float | None) -> float:
    if variables < 1:
        raise ValueError("a chart of several variables needs at least one")
    if confidence is None:
        return usual_confidence(variables)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, got {confidence}")
    return confidence


def _freedom(variables: int, points: int, size: int) -> int:
    free = points * size - points - variables + 1
    _enough(variables, points, free)
    return free


def _enough(variables: int, points: int, free: int) -> None:
    if free < 1 or points < 2:
        raise ValueError(
            f"{points} points are too few for {variables} variables: the covariance is not determined"
        )
