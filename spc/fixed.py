"""Limits that somebody decided on, from the few figures that people write down for each kind of chart.

Reads ``limits: {fixed: ...}`` of a line file and refuses what does not suit the chart; nothing is estimated here
(`spc.estimate` does that), and the arithmetic is that of `spc.given`.

=============================  =======================================================================
imr, xbar_r, xbar_s            ``centre``, ``lower``, ``upper`` of what the location chart plots
p, u                           ``centre``: the mean proportion or rate
laney_p, laney_u               the same, and ``sigma_z``: Laney's factor
np                             ``centre``: the mean count in samples of exactly ``sample``
c                              ``centre``: the mean count
t                              ``centre`` and ``upper``, in the unit of the times; the lower limit follows
ewma, cusum                    ``target``, and ``sigma`` of one value
t2_subgroup, t2_individuals    ``mean`` and ``covariance`` of one reading, ``upper`` limit of T squared
mewma                          ``mean`` and ``covariance``; the limit is the design's ``h4``
=============================  =======================================================================
"""

from collections.abc import Mapping
from typing import Final

from spc.constants import ConstantSet
from spc.fields import Fields
from spc.given import rates, vectors, weighted
from spc.limits import NELSON_T_POWER, Chart, Design, LimitSet
from spc.statistics import to_normal

__all__ = ["FIXED", "fixed"]

FIXED: Final[Mapping[Chart, tuple[str, ...]]] = {
    "imr": ("centre", "lower", "upper"),
    "xbar_r": ("centre", "lower", "upper"),
    "xbar_s": ("centre", "lower", "upper"),
    "p": ("centre",),
    "np": ("centre", "sample"),
    "c": ("centre",),
    "u": ("centre",),
    "laney_p": ("centre", "sigma_z"),
    "laney_u": ("centre", "sigma_z"),
    "t": ("centre", "upper"),
    "ewma": ("target", "sigma"),
    "cusum": ("target", "sigma"),
    "t2_subgroup": ("mean", "covariance", "upper"),
    "t2_individuals": ("mean", "covariance", "upper"),
    "mewma": ("mean", "covariance"),
}
"""What has to be given for each kind of chart, beside ``version``; nothing else may be."""


def fixed(
    chart: Chart,
    told: Mapping[str, object],
    *,
    subgroup: int = 1,
    constants: ConstantSet = "exact",
    design: Design | None = None,
) -> LimitSet:
    """The limits of a chart from their `version` and what `FIXED` asks; a value of None counts as left out.

    `subgroup` is the nominal number of readings a point, `design` that of an ewma, cusum or mewma. Raises
    ValueError for what is missing, too much or cannot be meant.
    """
    needed = FIXED[chart]
    present = {key: value for key, value in told.items() if value is not None and key != "version"}
    missing = [key for key in needed if key not in present]
    if missing:
        raise ValueError(f"fixed limits of a chart of kind {chart} need {', '.join(needed)}: no {missing[0]}")
    more = [key for key in present if key not in needed]
    if more:
        raise ValueError(f"`{more[0]}` says nothing on a chart of kind {chart}: give {', '.join(needed)}")
    fields = Fields({**present, "version": told.get("version")}, "limits")
    version = fields.text("version")
    match chart:
        case "imr" | "xbar_r" | "xbar_s":
            centre, lower, upper = (fields.number(key) for key in needed)
            return LimitSet.fixed(chart, centre, lower, upper, version, subgroup, constants)
        case "ewma" | "cusum":
            design = design or Design()
            return weighted(chart, fields.number("target"), fields.number("sigma"), design, version, subgroup)
        case "t2_subgroup" | "t2_individuals" | "mewma":
            return _vectors(chart, fields, version, subgroup, design)
        case "t":
            return _times(fields, version)
        case _:
            size = fields.number("sample") if chart == "np" else 1.0
            factor = fields.number("sigma_z") if chart in ("laney_p", "laney_u") else 1.0
            if not factor > 0:
                raise ValueError(f"sigma_z must be above 0, got {factor}")
            return rates(chart, fields.number("centre"), size, version, subgroup, factor)


def _vectors(chart: Chart, fields: Fields, version: str, subgroup: int, design: Design | None) -> LimitSet:
    matrix = tuple(tuple(row) for row in fields.number_lists("covariance"))
    size = len(matrix)
    square = all(len(row) == size for row in matrix)
    if square and any(matrix[i][j] != matrix[j][i] for i in range(size) for j in range(i)):
        raise ValueError("the covariance is not symmetric")
    if chart != "mewma":
        upper, design = fields.number("upper"), None
    elif design is None or design.h4 is None:
        raise ValueError("fixed limits of a mewma chart need the design's h4, as in design: {lam: 0.1, h4: 8.66}")
    else:
        upper = design.h4
    return vectors(chart, fields.numbers("mean"), matrix, upper, version, subgroup, design)


def _times(fields: Fields, version: str) -> LimitSet:
    """Limits that are symmetric for the times to Nelson's power; a lower one below 0 is 0."""
    centre, upper = fields.number("centre"), fields.number("upper")
    if not 0 < centre < upper:
        raise ValueError(f"needed: 0 < centre < upper, got centre {centre} and upper {upper}")
    mean = to_normal(centre)
    reach = to_normal(upper) - mean
    return LimitSet(
        chart="t",
        version=version,
        subgroup=1,
        centre=centre,
        lower=max(0.0, mean - reach) ** (1 / NELSON_T_POWER),
        upper=upper,
        range_centre=None,
        range_lower=None,
        range_upper=None,
        sigma=reach / 3,
        sigma_within=reach / 3,
        constants="none",
        provisional=False,
        mean=(mean,),
    )
