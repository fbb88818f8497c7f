"""The study of capability, with the chart that says whether the process was in control."""

import math
from collections.abc import Callable, Collection
from typing import Final, cast

from spc.capability import Capability, WithinSigma, capability
from spc.request import RequestError, Told
from spc.series import Histogram
from spc.study_parts import Common, constants_of
from spc.study_result import Answer, Plot, Study

__all__ = ["capable"]

_SINGLE: Final = ("mbar", "mrbar", "mean_mr", "median_mr")
_SUBGROUPS: Final = ("rbar", "sbar", "pooled")
_CAUTIONS: Final = {
    "unstable": "the chart signals: a process that is not in control has no capability",
    "few-values": "fewer than 25 values: the intervals are wide",
    "not-normal": "the values are not normal: look at the percentile figures",
    "normality-unknown": "whether the values are normal cannot be tested",
    "specification-is-control-limits": "the specification is the control limits: these are no specification",
}
_OWN_FACTORS: Final = ("d2", "c4")
_CHART_PARAMS: Final = ("phase1", "exclude", "sigma", "d2_round", "constants", *_OWN_FACTORS, "rules")

Chart = Callable[[Told, Told], Study]


def capable(data: Told, params: Told, chart_of: Callable[[bool], Chart]) -> Study:
    """`values` or `subgroups` against `lsl`, `usl` and `target`; `sigma` within, and `conf` of the intervals.

    `chart_of` gives the study of the chart for single values (True) or subgroups.
    """
    single = "subgroups" not in data
    points = [[value] for value in data.readings("values")] if single else data.rows("subgroups")
    data.done()
    common = Common.read(params, points)
    lsl, usl, target = (params.maybe_number(key) for key in ("lsl", "usl", "target"))
    if lsl is None and usl is None:
        raise RequestError(params.place, "lsl or usl is missing: a capability is held against a specification")
    word = params.word("sigma", _SINGLE if single else _SUBGROUPS)
    method = "mrbar" if word in ("mbar", "mean_mr") else word
    if lsl is not None and usl is not None and not lsl < usl:
        raise RequestError(params.at("lsl"), f"must be below usl, got {lsl:g} and {usl:g}")
    confidence = params.maybe_number("conf")
    if confidence is not None and not 0 < confidence < 1:
        raise RequestError(params.at("conf"), f"must be above 0 and below 1, got {confidence:g}")
    there = [[value for value in point if math.isfinite(value)] for point in points]
    sizes = [2] if single else [len(point) for point in there if len(point) > 1]
    constants = constants_of(params, sizes, by_median=method == "median_mr", own=_OWN_FACTORS)
    params.done()
    gaps = {place + 1 for place, point in enumerate(there) if not point}
    found = capability(
        [point or [0.0] for point in there],
        lsl=lsl,
        usl=usl,
        target=target,
        sigma=cast("WithinSigma | None", method),
        phase1=common.first,
        exclude={place + 1 for place in common.exclude} | gaps,
        confidence=0.95 if confidence is None else confidence,
        constants=constants,
    )
    return Study(
        "capability",
        cast("Answer", found.figures()),
        _plots(chart_of(single), data, params),
        phase1=common.first,
        excluded=common.exclude,
        facts=_facts(found, lsl, usl, target),
        histogram=_histogram(found, there[: common.first], common.exclude, lsl, usl),
    )


def _histogram(
    found: Capability, points: list[list[float]], exclude: Collection[int], lsl: float | None, usl: float | None
) -> Histogram:
    """The values that count, with the curve within subgroups, by which Cp judges, and that of all values."""
    values = [value for place, point in enumerate(points) if place not in exclude for value in point]
    curves = (("within", found.centre, found.sigma_within), ("overall", found.centre, found.sigma_overall))
    return Histogram(values, lsl, usl, curves, "Values in their specification")


def _plots(chart: Chart, data: Told, params: Told) -> tuple[Plot, ...]:
    """The charts of the same points; none where they have no limits (two subgroups, say)."""
    told = {key: params[key] for key in _CHART_PARAMS if key in params}
    try:
        return chart(data.again(), Told(told, params.place)).plots
    except ValueError:
        return ()


def _facts(
    found: Capability, lsl: float | None, usl: float | None, target: float | None
) -> tuple[tuple[str, str], ...]:
    given = (("LSL", lsl), ("USL", usl), ("target", target))
    spec = ", ".join(f"{name} {value:g}" for name, value in given if value is not None)
    return (
        ("values", f"{found.n} in {found.points} points"),
        ("specification", spec),
        ("sigma within", found.sigma_method),
        ("confidence", f"{found.confidence:g}"),
        *(("caution", _CAUTIONS[caution]) for caution in found.cautions),
    )
