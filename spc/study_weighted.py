"""Studies of charts that weigh the past: EWMA and CUSUM."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from spc.charts import ChartResult
from spc.limits import Design
from spc.request import RequestError, Told, whole
from spc.sigma import Constants, SigmaMethod
from spc.study_parts import Common, Floats, beyond, constants_of, first, listed, plot_of
from spc.study_result import Answer, Plot, Study
from spc.study_variables import SINGLE_METHODS, SUBGROUP_METHODS
from spc.weighted import changes, cusum, ewma

__all__ = ["cumulated", "smoothed"]

_Data = list[float] | list[list[float]]


def _data(told: Told) -> tuple[_Data, list[float] | None]:
    """`subgroups`, or `values`; with `sizes` these are means."""
    if "subgroups" in told:
        subgroups = told.rows("subgroups")
        told.done()
        return subgroups, None
    values = told.readings("values")
    sizes = None
    if "sizes" in told:
        given = enumerate(told.items("sizes"))
        sizes = [float(whole(size, f"{told.at('sizes')}[{index}]", 1)) for index, size in given]
    told.done()
    if sizes is not None and len(sizes) != len(values):
        raise RequestError(told.at("sizes"), f"{len(sizes)} sizes, but {len(values)} values")
    return values, sizes


@dataclass(frozen=True, slots=True)
class _Asked:
    """What both charts are asked, beside their design."""

    points: _Data
    sizes: list[float] | None
    common: Common
    target: float | None
    sigma: float | None
    method: SigmaMethod | None
    constants: Constants

    @classmethod
    def read(cls, data: Told, params: Told) -> Self:
        points, sizes = _data(data)
        common = Common.read(params, points)
        target, sigma = params.maybe_number("target"), params.above_zero("sigma0")
        known = SUBGROUP_METHODS if isinstance(points[0], list) else SINGLE_METHODS
        word = params.word("sigma", known)
        of = [max(len(row), 2) for row in points if isinstance(row, list)] or [2]
        method = None if word is None else known[word]
        return cls(points, sizes, common, target, sigma, method, constants_of(params, of))

    def charted(self, chart: Callable[..., ChartResult], design: Design) -> ChartResult:
        return chart(
            self.points,
            self.sizes,
            design=design,
            target=self.target,
            sigma=self.sigma,
            **self.common.asked,
            method=self.method,
            constants=self.constants,
        )

    def facts(self, design: str) -> list[tuple[str, str]]:
        words = ("target", self.target), ("sigma", self.sigma)
        return [("design", design), *((name, "estimated" if value is None else "given") for name, value in words)]


def smoothed(data: Told, params: Told) -> Study:
    """EWMA of `values`, `subgroups`, or means as `values` with `sizes`.

    Parameters lam, L, target, sigma0, z0, and how sigma is estimated.
    """
    asked = _Asked.read(data, params)
    lam, width = params.above_zero("lam", 0.2), params.above_zero("L", 3.0)
    if lam is not None and lam > 1:
        raise RequestError(params.at("lam"), f"must be at most 1, got {lam:g}")
    start = params.maybe_number("z0")
    params.done()
    design = Design(lam=lam or 0.2, width=width or 3.0, start=start)
    result = asked.charted(ewma, design)
    limits, extras = result.limits, result.extras
    exact = _outside(result.location.points, extras["lower_exact"], extras["upper_exact"])
    answer: Answer = {
        "cl": limits.centre,
        "sigma": limits.sigma_within,
        "ewma": listed(result.location.points),
        "lcl_exact": listed(extras["lower_exact"]),
        "ucl_exact": listed(extras["upper_exact"]),
        "lcl_inf": first(extras["lower_settled"]),
        "ucl_inf": first(extras["upper_settled"]),
        "signals": exact,
        "signals_exact": exact,
        "signals_inf": _outside(result.location.points, extras["lower_settled"], extras["upper_settled"]),
    }
    facts = asked.facts(f"lam {design.lam:g}, L {design.width:g}")
    return asked.common.study("ewma", answer, [plot_of("EWMA", result.location)], result, facts)


def _outside(points: Floats, lower: Floats, upper: Floats) -> list[int]:
    return [int(place) + 1 for place in np.flatnonzero((points < lower) | (points > upper))]


def cumulated(data: Told, params: Told) -> Study:
    """CUSUM of `values`, `subgroups`, or means as `values` with `sizes`.

    Parameters target, sigma0, k, h, headstart (of both sums, in the scale of h), resets, and how sigma is found.
    """
    asked = _Asked.read(data, params)
    k, h = params.maybe_number("k"), params.above_zero("h", 5.0)
    headstart, resets = params.maybe_number("headstart"), params.flag("resets", default=False)
    params.done()
    try:
        design = Design(k=0.5 if k is None else k, h=h or 5.0, headstart=headstart or 0.0, resets=resets)
    except ValueError as error:
        raise RequestError(params.place, str(error)) from None
    result = asked.charted(cusum, design)
    facts = asked.facts(f"k {design.k:g}, h {design.h:g}")
    return asked.common.study("cusum", _sums(result), [_mirrored(result)], result, facts)


def _sums(result: ChartResult) -> Answer:
    spread = result.spread
    assert spread is not None  # noqa: S101  the lower sum of a CUSUM
    change = next(iter(changes(result)), None)
    return {
        "cl": result.limits.centre,
        "sigma": result.limits.sigma_within,
        "h": result.limits.upper,
        "c_plus": listed(result.location.points),
        "c_minus": listed(spread.points),
        "n_plus": _whole(result.extras["n_plus"]),
        "n_minus": _whole(result.extras["n_minus"]),
        "cumulative": listed(result.extras["cumulative"]),
        "means": listed(result.extras["means"]),
        "signals": sorted({*beyond(result.location), *beyond(spread)}),
        "change_point": None if change is None else change.first + 1,
        "change_mean": None if change is None else change.mean,
    }


def _whole(values: Floats) -> list[int | None]:
    return [int(value) if math.isfinite(value) else None for value in values.tolist()]


def _mirrored(result: ChartResult) -> Plot:
    """The upper sum above, the lower one below, both against h."""
    plus, minus = result.location, result.spread
    assert minus is not None  # noqa: S101  the lower sum of a CUSUM
    h = result.limits.upper
    every = len(plus.points)
    return Plot(
        "Sums in sigmas",
        plus.points.tolist(),
        [-h] * every,
        [0.0] * every,
        [h] * every,
        plus.signals,
        below=(-minus.points).tolist(),
        below_signals=minus.signals,
        unit=False,
    )
