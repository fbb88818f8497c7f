"""Studies of counts: nonconforming units, events, and Laney's charts."""

import math

from spc.attributes import counts
from spc.limits import Chart
from spc.request import RequestError, Told, number
from spc.study_parts import Common, beyond, by_group, constants_of, first, plot_of
from spc.study_result import Answer, Study

__all__ = ["counted"]

_NAMES = {"p": "Proportion", "laney_p": "Proportion", "np": "Nonconforming", "c": "Count"}


def counted(chart: Chart, data: Told, params: Told) -> Study:
    """`counts`, but for c in samples of `sizes`, which may be one number for all.

    Of Laney's charts the parameter `narrow` false keeps sigma_z at 1 or above.
    """
    events = data.readings("counts")
    sizes = None if chart == "c" else _sizes(data, len(events), whole=chart in ("p", "np", "laney_p"))
    data.done()
    common = Common.read(params, events)
    laney = chart in ("laney_p", "laney_u")
    narrow = params.flag("narrow", default=True) if laney else True
    constants = constants_of(params, (2,)) if laney else "exact"
    params.done()
    result = counts(
        chart,
        events,
        sizes,
        **common.asked,
        constants=constants,
        narrow=narrow,
    )
    plotted = result.location
    answer: Answer = {"sigma_z": result.limits.sigma_z} if laney else {}
    answer |= {
        "cl": result.limits.centre,
        "ucl": first(plotted.upper),
        "lcl": first(plotted.lower),
        "signals": beyond(plotted),
    }
    facts = [("sigma_z", f"{result.limits.sigma_z:.6g}")] if laney else []
    plot = plot_of(_NAMES.get(chart, "Count per unit"), plotted)
    return common.study(chart, by_group(answer, plotted), [plot], result, facts)


def _sizes(data: Told, points: int, *, whole: bool) -> list[float] | float:
    """Above 0; `whole` where units are counted, not an area."""
    place = data.at("sizes")
    told = data["sizes"]
    if isinstance(told, int | float):
        sizes = [number(told, place)]
    else:
        sizes = [number(one, f"{place}[{index}]") for index, one in enumerate(data.items("sizes"))]
        if len(sizes) != points:
            raise RequestError(place, f"{len(sizes)} sizes, but {points} counts")
    for index, size in enumerate(sizes):
        if not size > 0 or (whole and size != math.floor(size)):
            at = place if isinstance(told, int | float) else f"{place}[{index}]"
            what = " and a whole number of units" if whole else ""
            raise RequestError(at, f"the size of a sample must be above 0{what}, got {size:g}")
    return sizes[0] if isinstance(told, int | float) else sizes
