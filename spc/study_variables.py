"""Studies of measured values: individuals, subgroups, times between events, short runs."""

import math
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Final

import numpy as np

from spc import variables
from spc.charts import ChartResult, Plotted, bridged, moving_ranges
from spc.constants import ConstantSet
from spc.exact import exact_mean
from spc.request import RequestError, Told
from spc.sigma import SigmaMethod
from spc.statistics import standard_deviation
from spc.study_parts import (
    Common,
    Floats,
    beyond,
    by_group,
    constants_of,
    first,
    given_limits,
    listed,
    plot_of,
)
from spc.study_result import Answer, Study

__all__ = ["SINGLE_METHODS", "SUBGROUP_METHODS", "imr", "means", "short_run", "t"]

SINGLE_METHODS: Final[dict[str, SigmaMethod]] = {
    "mbar": "mean_mr",
    "mrbar": "mean_mr",
    "mean_mr": "mean_mr",
    "median_mr": "median_mr",
    "sd/c4": "sd/c4",
    "sd": "sd",
}
SUBGROUP_METHODS: Final[dict[str, SigmaMethod]] = {"rbar": "rbar", "sbar": "sbar", "pooled": "pooled"}
_SIGMA_WORDS: Final = {
    "mean_mr": "mean moving range / d2",
    "median_mr": "median moving range / 0.954",
    "sd/c4": "standard deviation / c4",
    "sd": "standard deviation",
    "rbar": "mean range / d2",
    "sbar": "mean standard deviation / c4",
    "pooled": "pooled standard deviation",
}


def imr(data: Told, params: Told) -> Study:
    """`values`, charted one by one; parameters center, sigma, factors, or `limits` that are given.

    With `bridge` a moving range reaches over an excluded value to the one before it, as if it had been deleted.
    """
    values = data.readings("values")
    data.done()
    common = Common.read(params, values)
    method = SINGLE_METHODS[params.word("sigma", SINGLE_METHODS) or "mean_mr"]
    centre = params.word("center", ("mean", "median")) or "mean"
    constants = constants_of(params, (2,), by_median=method == "median_mr")
    bridge = params.flag("bridge", default=False)
    limits = given_limits(params, "imr")
    params.done()
    result = variables.imr(
        values,
        limits=limits,
        bridge=bridge,
        **common.asked,
        method=method,
        centre="median" if centre == "median" else "mean",
        constants=constants,
    )
    plots = [replace(plot_of("Value", result.location), single=True), plot_of("Moving range", _spread(result))]
    facts = [] if limits else [("centre", centre), ("sigma", _SIGMA_WORDS[method])]
    return common.study("imr", _individuals(result, bridge=bridge), plots, result, facts)


def _spread(result: ChartResult) -> Plotted:
    if result.spread is None:
        raise TypeError(f"a chart of kind {result.limits.chart} has no spread")
    return result.spread


def _individuals(result: ChartResult, *, bridge: bool = False) -> Answer:
    limits, points = result.limits, result.location.points
    used = points[result.used].tolist()
    between = (
        bridged(points, (), result.used) if bridge else moving_ranges(np.where(result.used, points, np.nan), ())
    )
    ranges = between[np.isfinite(between)].tolist()
    return {
        "cl": limits.centre,
        "sigma": limits.sigma_within,
        "mrbar": exact_mean(ranges) if ranges else None,
        "mrmed": median(ranges) if ranges else None,
        "ucl": limits.upper,
        "lcl": limits.lower,
        "mr_cl": limits.range_centre,
        "mr_ucl": limits.range_upper,
        "mr_lcl": limits.range_lower,
        "signals": beyond(result.location),
        "mr_signals": beyond(_spread(result)),
        "sd": standard_deviation(used) if len(used) > 1 else None,
    }


def means(chart: str, data: Told, params: Told) -> Study:
    """`subgroups` of at least two values, as xbar_r or xbar_s; both charts of spread are answered.

    `sigma` says how the limits of the means are found, `s_sigma` those of the standard deviations; or `limits` of
    the means are given, for the size of the first subgroup, and those of the spreads follow from the same sigma.
    """
    subgroups = data.rows("subgroups")
    data.done()
    for index, subgroup in enumerate(subgroups):
        if len(subgroup) < 2:
            place = f"{data.at('subgroups')}[{index}]"
            raise RequestError(place, f"{len(subgroup)} value: a subgroup needs at least 2; single values are imr")
    common = Common.read(params, subgroups)
    own = "rbar" if chart == "xbar_r" else "sbar"
    method = SUBGROUP_METHODS[params.word("sigma", SUBGROUP_METHODS) or own]
    s_method = SUBGROUP_METHODS[
        params.word("s_sigma", ("sbar", "pooled")) or ("pooled" if method == "pooled" else "sbar")
    ]
    constants = constants_of(params, [len(subgroup) for subgroup in subgroups])
    for_ranges, for_s = (given_limits(params, one, len(subgroups[0])) for one in ("xbar_r", "xbar_s"))
    params.done()
    shared = partial(
        variables.means,
        subgroups=subgroups,
        **common.asked,
        constants=constants,
    )
    # a pooled deviation is the textbook's s-bar on both charts
    on_ranges = chart == "xbar_r" and method != "pooled"
    by_range = shared("xbar_r", limits=for_ranges, method=method if on_ranges else "rbar")
    s_chart = shared("xbar_s", limits=for_s, method=s_method)
    by_s = s_chart if on_ranges or method == s_method else shared("xbar_s", limits=for_s, method=method)
    main = by_range if on_ranges else by_s
    answer = _subgroups(main, by_range, s_chart)
    spread = (
        plot_of("Range", _spread(by_range))
        if chart == "xbar_r"
        else plot_of("Standard deviation", _spread(s_chart))
    )
    sizes = sorted({len(subgroup) for subgroup in subgroups})
    facts = [("readings a point", str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}")]
    facts += [] if for_ranges else [("sigma", _SIGMA_WORDS[method])]
    return common.study(chart, answer, [plot_of("Mean", main.location), spread], main, facts)


def _subgroups(main: ChartResult, by_range: ChartResult, by_s: ChartResult) -> Answer:
    ranges, deviations = _spread(by_range), _spread(by_s)
    answer: Answer = {
        "cl": main.limits.centre,
        "sigma": main.limits.sigma_within,
        "rbar": _mean_of_used(ranges.points, main),
        "sbar": _mean_of_used(deviations.points, main),
        "lcl": first(main.location.lower),
        "ucl": first(main.location.upper),
        "signals": beyond(main.location),
        "r_cl": _same(ranges.centre),
        "r_ucl": first(ranges.upper),
        "r_lcl": first(ranges.lower),
        "r_signals": beyond(ranges),
        "s_sigma": by_s.limits.sigma_within,
        "s_cl": _same(deviations.centre),
        "s_ucl": first(deviations.upper),
        "s_lcl": first(deviations.lower),
        "s_signals": beyond(deviations),
    }
    answer = by_group(answer, main.location)
    answer = by_group(answer, ranges, "r_")
    return by_group(answer, deviations, "s_")


def _mean_of_used(points: Floats, main: ChartResult) -> float | None:
    used = points[main.used]
    known = used[np.isfinite(used)].tolist()
    return exact_mean(known) if known else None


def _same(line: Floats) -> float | None:
    """The value of a line that is one for all points; where it varies with the size, there is no such."""
    known = {value for value in line.tolist() if math.isfinite(value)}
    return known.pop() if len(known) == 1 else None


def t(data: Told, params: Told) -> Study:
    """`values`: times between events, at least 0."""
    values = data.readings("values")
    data.done()
    common = Common.read(params, values)
    method = SINGLE_METHODS[params.word("sigma", SINGLE_METHODS) or "mean_mr"]
    constants = constants_of(params, (2,), by_median=method == "median_mr")
    params.done()
    result = variables.t(
        values,
        **common.asked,
        method=method,
        constants=constants,
    )
    limits = result.limits
    answer: Answer = {
        "cl": limits.centre,
        "sigma": limits.sigma,
        "ucl": limits.upper,
        "lcl": limits.lower,
        "signals": beyond(result.location),
        "transformed": listed(result.extras["transformed"]),
        "transformed_cl": limits.mean[0],
    }
    facts = [("sigma", f"{_SIGMA_WORDS[method]}, of times to the power 1/3.6")]
    return common.study("t", answer, [plot_of("Time between events", result.location)], result, facts)


def short_run(data: Told, params: Told) -> Study:
    """`values` of `parts`, against what is known of each part: `nominal`, or `nominal` and `sigma`, or nothing.

    With nominals, deviations from them are charted as individuals; with sigmas, or when nothing is known, values
    standardised by their part (Z and W).
    """
    values = data.readings("values")
    parts = _names(data, "parts", len(values))
    data.done()
    common = Common.read(params, values)
    nominal, sigma = _by_part(params, "nominal", parts), _by_part(params, "sigma", parts)
    constants = constants_of(params, (2,))
    params.done()
    if sigma is not None and nominal is None:
        raise RequestError(params.place, "sigma of the parts needs their nominal too")
    if nominal is not None and sigma is None:
        off = variables.deviations(values, nominal)
        result = variables.imr(
            off,
            **common.asked,
            constants=constants,
        )
        plots = [plot_of("Deviation from nominal", result.location), plot_of("Moving range", _spread(result))]
        return common.study("short_run", _individuals(result) | {"deviations": listed(off)}, plots, result)
    if common.phase1 is not None or common.exclude:
        raise RequestError(params.place, "phase1 and exclude: Z and W have limits that are known, from -3 to 3")
    known: ConstantSet = "textbook" if constants == "textbook" else "exact"
    scores = (
        variables.standardised(values, parts, known)
        if nominal is None
        else variables.deviations(values, nominal, sigma)
    )
    result = variables.z_mr(scores, rules=common.asked["rules"], constants=known)
    answer = _individuals(result) | {"z": listed(scores), "w": listed(_spread(result).points)}
    plots = [plot_of("Z", result.location, unit=False), plot_of("W", _spread(result), unit=False)]
    return common.study("short_run", answer, plots, result)


def _names(data: Told, key: str, count: int) -> list[str]:
    names = data.items(key)
    if len(names) != count:
        raise RequestError(data.at(key), f"{len(names)} names, but {count} values")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise RequestError(f"{data.at(key)}[{index}]", "expected the name of a part")
    return [str(name) for name in names]


def _by_part(params: Told, key: str, parts: list[str]) -> list[float] | None:
    """One number for each value, from one for each part."""
    if key not in params:
        return None
    told = params.section(key)
    found = [told.number(part) for part in parts]
    told.done()
    return found
