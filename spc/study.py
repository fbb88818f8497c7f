"""The study of data with a control chart, as people ask for it: one request in, one flat object of numbers out.

A request is ``{"chart", "data", "params"}``. What each chart takes is told where it is read (`study_variables`,
`study_counts`, ...); names are those of the published cases. Points count from 1 in `exclude`, `signals` and
`rule_signals`; `signals` are the points strictly beyond their limits, excluded ones judged too. Null and NaN are
gaps. Where limits vary, `ucl` and `lcl` are those of the first point, `ucl_by_group` and `lcl_by_group` of all.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from spc.limits import CHARTS, Chart
from spc.request import RULE_SETS, RequestError, Told, asked_rules, near, rule_of
from spc.rules import Rule, Signal, evaluate
from spc.study_parts import one_based, rule_signals
from spc.study_result import Answer, Plot, Study
from spc.study_variables import imr, means, short_run, t

__all__ = ["STUDIES", "RequestError", "studied", "study"]

STUDIES: Final = (*CHARTS, "short_run", "capability", "rules", "arl")
"""What can be studied, by the names of requests."""

_DESCRIPTIVE: Final = frozenset(
    {
        *("id", "source", "notes", "published", "recomputed", "recomputed_exact_constants"),
        *("agreement", "all_reproduced"),
    }
)
"""What a published case has beside its request: read past."""


def study(request: Mapping[str, object]) -> Answer:
    """The answer in numbers. Raises RequestError, a ValueError, that names the place of what is wrong."""
    return studied(request).answer


def studied(request: Mapping[str, object]) -> Study:
    """The answer with the charts and words that go with it; raises as `study`."""
    told = Told(request, "")
    chart = told.text("chart")
    if chart is None or chart not in STUDIES:
        what = "chart is missing" if chart is None else f"{chart!r} is no chart"
        raise RequestError("chart", f"{what}; {near(chart or '', STUDIES)}")
    data = told.section("data")
    params = told.section("params") if "params" in told else Told({}, "params")
    title, unit = told.text("title"), told.text("unit")
    told.past(_DESCRIPTIVE)
    told.done()
    try:
        found = _study(chart, data, params)
    except RequestError:
        raise
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise RequestError("data", str(error)) from error
    return replace(found, title=title or "", unit=unit or "")


def _study(chart: str, data: Told, params: Told) -> Study:
    match chart:
        case "imr":
            return imr(data, params)
        case "xbar_r" | "xbar_s":
            return means(chart, data, params)
        case "t":
            return t(data, params)
        case "short_run":
            return short_run(data, params)
        case "rules":
            return _rules(data, params)
        case "arl":
            return _run_lengths(data, params)
        case "capability":
            from spc.study_capability import capable  # loads scipy, which the others do without

            return capable(data, params, _chart_of)
        case "ewma" | "cusum":
            from spc.study_weighted import cumulated, smoothed

            return smoothed(data, params) if chart == "ewma" else cumulated(data, params)
        case "t2_subgroup" | "t2_individuals" | "mewma":
            from spc.study_vectors import multivariate_ewma, t2

            return multivariate_ewma(data, params) if chart == "mewma" else t2(chart, data, params)
        case _:
            from spc.study_counts import counted

            return counted(_count_chart(chart), data, params)


def _count_chart(chart: str) -> Chart:
    return next(known for known in CHARTS if known == chart)


def _chart_of(single: bool) -> Callable[[Told, Told], Study]:
    return imr if single else lambda data, params: means("xbar_r", data, params)


# -- rules and run lengths --------------------------------------------------------------------------------------


def _rules(data: Told, params: Told) -> Study:
    """`{set, z}` judged by all rules of a set, or such series by name, each by one `rule` or all.

    `z` are points in standard deviations from the centre.
    """
    params.done()
    if "z" in data:
        rules, z, signals = _judged(data)
        answer: Answer = dict(rule_signals(rules, signals))
        return Study("rules", answer, (_zones(z, signals),), facts=(("points", str(len(z))),))
    answer = {}
    for name in data.keys():  # noqa: SIM118  an object of a request is no dict
        rules, _, signals = _judged(data.section(name))
        answer[name] = one_based(signals) if len(rules) == 1 else rule_signals(rules, signals)
    if not answer:
        raise RequestError(data.place, 'nothing to judge; needed: {"set": "nelson", "z": [...]}')
    return Study("rules", answer)


def _judged(told: Told) -> tuple[tuple[Rule, ...], list[float], tuple[Signal, ...]]:
    rule_set = told.word("set", RULE_SETS) or "nelson"
    number = told.maybe_whole("rule", 1)
    z = told.readings("z")
    told.done()
    rules = RULE_SETS[rule_set] if number is None else (rule_of(rule_set, number, told.at("rule")),)
    return rules, z, evaluate(rules, z, centre=0.0, lower=-3.0, upper=3.0)


def _zones(z: list[float], signals: tuple[Signal, ...]) -> Plot:
    every = len(z)
    return Plot("z", z, [-3.0] * every, [0.0] * every, [3.0] * every, signals, unit=False)


def _run_lengths(data: Told, params: Told) -> Study:
    """Run lengths of several requests by their names; `params` are what all share unless they differ.

    One request without a name is answered as `arl`.
    """
    if "f" in data:
        return Study("arl", {"arl": _run_length(data, params)})
    answer: Answer = {}
    for name in data.keys():  # noqa: SIM118
        answer[name] = _run_length(data.section(name), params)
    if not answer:
        raise RequestError(data.place, 'no requests; needed: {"a": {"f": "cusum2", "k": 0.5, "h": 5}}')
    return Study("arl", answer)


def _run_length(told: Told, params: Told) -> float:
    """Of one request. `rules` may be a set or names in one text; a `set` without rules means all of it."""
    from spc.arl import arl

    request = {key: one[key] for one in (params, told) for key in one.keys()}  # noqa: SIM118
    rules = request.get("rules")
    if isinstance(rules, str) or ("set" in request and rules is None):
        request["rules"] = [rule.to_json() for rule in asked_rules(rules or request["set"], told.place)]
    try:
        return arl(request).value
    except ValueError as error:
        raise RequestError(told.place, str(error)) from error
