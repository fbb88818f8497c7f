"""The last step to a `LimitSet` of charts of counts, EWMA, CUSUM and several variables: from known parameters.

A centre, a sigma, a mean vector: whoever has them comes here. `spc.estimate` has them from the points of phase I,
`spc.fixed` from what people wrote down; what the parameters are worth is theirs to know. (imr, xbar_r and xbar_s,
which have limits of a spread too: `LimitSet.estimated` and `LimitSet.fixed`.)
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from spc.limits import ATTRIBUTES, VECTORS, Chart, Design, LimitSet
from spc.statistics import Matrix, cholesky

__all__ = ["check_count", "rates", "vectors", "weighted"]


def check_count(chart: Chart, what: str, count: float, size: float) -> None:
    """ValueError, naming `what`, for a count that a sample of `size` cannot have."""
    if count < 0 or count != math.floor(count):
        raise ValueError(f"{what}: a count is a whole number from 0, not {count:g}")
    if chart in ("p", "np", "laney_p") and count > size:
        raise ValueError(f"{what}: {count:g} nonconforming of {size:g} is impossible")


def weighted(
    chart: Chart,
    target: float,
    sigma_within: float,
    design: Design,
    version: str,
    subgroup: int = 1,
    constants: str = "given",
    provisional: bool = False,
) -> LimitSet:
    """Limits of an ewma or cusum chart with a target and a sigma of one value, given or estimated.

    Raises ValueError for another chart, or a sigma that is not above 0.
    """
    if chart not in ("ewma", "cusum"):
        raise ValueError(f"a chart of kind {chart} is not fixed by target and sigma")
    if not sigma_within > 0:
        raise ValueError(f"{chart}: sigma must be above 0, got {sigma_within}")
    limits = LimitSet(
        chart=chart,
        version=version,
        subgroup=subgroup,
        centre=target,
        lower=0.0 if chart == "cusum" else target,
        upper=design.h if chart == "cusum" else target,
        range_centre=None,
        range_lower=None,
        range_upper=None,
        sigma=sigma_within / math.sqrt(subgroup),
        sigma_within=sigma_within,
        constants=constants,
        provisional=provisional,
        design=design,
    )
    if chart == "cusum":
        return limits
    lines = limits.settled(subgroup)
    return replace(limits, lower=lines.lower, upper=lines.upper, sigma=lines.sigma)


def rates(
    chart: Chart,
    centre: float,
    size: float,
    version: str,
    subgroup: int = 1,
    sigma_z: float = 1.0,
    constants: str = "none",
    provisional: bool = False,
) -> LimitSet:
    """Limits of a chart of counts with a centre, given or estimated.

    `centre` is the mean proportion or rate, of np and c the mean count; `size` that of a usual sample (of np,
    of every sample). Raises ValueError for a centre without variation or another chart.
    """
    if chart not in ATTRIBUTES:
        raise ValueError(f"a chart of kind {chart} has no counts")
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"a sample of size {size} cannot be judged")
    most = size if chart == "np" else 1.0 if chart in ("p", "laney_p") else math.inf
    if not 0 < centre < most:
        raise ValueError(f"{chart}: the centre must be above 0 and below {most:g}, got {centre}")
    sigma = math.sqrt(centre * (1 - centre / size) if chart == "np" else centre)
    upper = centre + 3 * sigma
    limits = LimitSet(
        chart=chart,
        version=version,
        subgroup=subgroup,
        centre=centre,
        lower=max(0.0, centre - 3 * sigma),
        upper=min(upper, size) if chart == "np" else upper,
        range_centre=None,
        range_lower=None,
        range_upper=None,
        sigma=sigma,
        sigma_within=sigma,
        constants=constants,
        provisional=provisional,
        sigma_z=sigma_z,
        sample_size=size,
    )
    if chart in ("np", "c"):
        return limits
    lines = limits.at(size)
    within = lines.sigma * math.sqrt(size)
    return replace(limits, lower=lines.lower, upper=lines.upper, sigma=lines.sigma, sigma_within=within)


def vectors(
    chart: Chart,
    mean: Sequence[float],
    matrix: Matrix,
    upper: float,
    version: str,
    subgroup: int = 1,
    design: Design | None = None,
    provisional: bool = False,
    source: str = "",
) -> LimitSet:
    """Limits of a t2_* or mewma chart with a mean and a covariance of one reading and the limit of T squared.

    `source` says where a MEWMA's h4 comes from (`spc.mewma_arl.decision_interval`), and is kept as its constants.
    Raises ValueError for a covariance that is singular or of another size, a limit not above 0, or another chart.
    """
    if chart not in VECTORS:
        raise ValueError(f"a chart of kind {chart} has no vectors")
    if len(matrix) != len(mean) or any(len(row) != len(mean) for row in matrix):
        raise ValueError(f"{chart}: the covariance does not have the size of the mean, {len(mean)}")
    cholesky(matrix)
    if not upper > 0:
        raise ValueError(f"{chart}: the limit must be above 0, got {upper}")
    return LimitSet(
        chart=chart,
        version=version,
        subgroup=subgroup,
        centre=0.0,
        lower=0.0,
        upper=upper,
        range_centre=None,
        range_lower=None,
        range_upper=None,
        sigma=0.0,
        sigma_within=0.0,
        constants=f"h4 {source}" if source else "none",
        provisional=provisional,
        design=design,
        mean=tuple(mean),
        covariance=matrix,
    )
