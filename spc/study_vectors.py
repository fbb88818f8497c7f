"""Studies of several variables at once: Hotelling's T squared and the MEWMA."""

import math
from itertools import chain

import numpy as np

from spc.charts import ChartResult
from spc.hotelling import phase1_limit, phase2_limit
from spc.limits import Design
from spc.mewma_arl import USUAL_ARL, decision_interval
from spc.multivariate import mewma, t2_individuals, t2_subgroup
from spc.request import RequestError, Told
from spc.statistics import Matrix
from spc.study_parts import Common, beyond, first, listed, plot_of
from spc.study_result import Answer, Study

__all__ = ["multivariate_ewma", "t2"]


def t2(chart: str, data: Told, params: Told) -> Study:
    """t2_individuals: `rows` of one reading of each variable. t2_subgroup: `vars` [variable][subgroup][value].

    Parameter `conf`: that a point in control stays within the limit, default (1 - 0.0027)^p.
    """
    subgroups = chart == "t2_subgroup"
    rows = [] if subgroups else data.table("rows")
    variables = _variables(data) if subgroups else []
    data.done()
    points = [list(chain(*point)) for point in zip(*variables, strict=False)] if subgroups else rows
    common = Common.read(params, points)
    confidence = params.maybe_number("conf")
    if confidence is not None and not 0 < confidence < 1:
        raise RequestError(params.at("conf"), f"must be above 0 and below 1, got {confidence:g}")
    params.done()
    if subgroups:
        result = t2_subgroup(variables, **common.asked, confidence=confidence)
    else:
        result = t2_individuals(rows, **common.asked, confidence=confidence)
    used, size = int(result.used.sum()), result.limits.subgroup
    answer = _estimates(result) | {
        "ucl_phase1": phase1_limit(len(result.limits.mean), used, size, confidence),
        "ucl_phase2": phase2_limit(len(result.limits.mean), used, size, confidence),
        "t2": listed(result.location.points),
        "signals": beyond(result.location),
    }
    plots = [plot_of("T squared", result.location, centred=False, floored=False, unit=False)]
    return common.study(chart, answer, plots, result, [("variables", str(len(result.limits.mean)))])


def _variables(data: Told) -> list[list[list[float]]]:
    place = data.at("vars")
    return [
        Told({"subgroups": one}, f"{place}[{index}]").rows("subgroups")
        for index, one in enumerate(data.items("vars"))
    ]


def _estimates(result: ChartResult) -> Answer:
    matrix = result.limits.covariance
    return {
        "center": list(result.limits.mean),
        "det": _determinant(matrix),
        "cov_diag": [row[index] for index, row in enumerate(matrix)],
        "cov": [list(row) for row in matrix],
    }


def _determinant(matrix: Matrix) -> float:
    with np.errstate(over="ignore"):
        found = float(np.linalg.det(np.array(matrix)))
    if not math.isfinite(found):
        raise ValueError("the determinant of the covariance is too large for floating point: take another unit")
    return found


def multivariate_ewma(data: Told, params: Told) -> Study:
    """MEWMA of `rows`; parameters `r`, and the limit as `h4` or by the in-control run length `arl0` (200;
    `spc.mewma_arl.decision_interval`).

    `target` and `cov` are given together, or estimated.
    """
    rows = data.table("rows")
    data.done()
    common = Common.read(params, rows)
    r, h4, arl0 = params.above_zero("r", 0.1) or 0.1, params.above_zero("h4"), params.above_zero("arl0")
    if h4 is not None and arl0 is not None:
        raise RequestError(params.at("arl0"), "the limit is given by h4 or by arl0, not by both")
    if r > 1:
        raise RequestError(params.at("r"), f"must be at most 1, got {r:g}")
    mean = params.readings("target") if "target" in params else None
    matrix = params.table("cov") if "cov" in params else None
    if (mean is None) is not (matrix is None):
        raise RequestError(params.place, "target and cov are given together or not at all")
    params.done()
    source = "given"
    if h4 is None:
        h4, source = decision_interval(len(rows[0]), r, arl0 or USUAL_ARL)
    result = mewma(
        rows,
        design=Design(lam=r, h4=h4),
        mean=mean,
        matrix=matrix,
        **common.asked,
    )
    answer = _estimates(result) | {
        "h4": h4,
        "ucl": first(result.location.upper),
        "t2": listed(result.location.points),
        "signals": beyond(result.location),
    }
    plots = [plot_of("T squared of Z", result.location, centred=False, floored=False, unit=False)]
    return common.study("mewma", answer, plots, result, [("design", f"r {r:g}, h4 {h4:.6g} ({source})")])
