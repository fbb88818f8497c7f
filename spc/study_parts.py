"""What the studies of all charts have in common: what they ask of a request, and how they answer in JSON."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from spc.charts import ChartResult, Plotted
from spc.constants import (
    ConstantSet,
    with_factors,
    with_median_factors,
)
from spc.limits import Chart, LimitSet
from spc.request import RequestError, Told, asked_rules, whole
from spc.rules import CATALOGUE, Rule, Signal
from spc.sigma import Constants, factors_of
from spc.study_result import Answer, Plot, Study

__all__ = [
    "Common",
    "beyond",
    "by_group",
    "constants_of",
    "first",
    "given_limits",
    "listed",
    "one_based",
    "plot_of",
    "rule_signals",
]

_FACTORS: Final = ("d2", "c4", "A2", "A3", "B3", "B4", "D3", "D4", "E2")

Floats = npt.NDArray[np.float64]


class Asked(TypedDict):
    """What a function of `spc.charts` is asked, whatever its chart."""

    phase1: int | None
    exclude: Collection[int]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Common:
    """The parameters that every chart of points has: what sets its limits, and what judges it.

    `first` counts points from the first, gaps too, as people number them; `phase1` those of them that are no gaps,
    as the charts do. `exclude` holds places from 0 with the cause. `rules` are those asked for.
    """

    first: int | None
    phase1: int | None
    exclude: Mapping[int, str]
    rules: tuple[Rule, ...]

    @classmethod
    def read(cls, params: Told, points: Sequence[float] | Sequence[Sequence[float]]) -> "Common":
        """From the parameters of a series of points, each one number or several, of which a gap makes it one.

        Raises RequestError for a point that the series does not have.
        """
        first = params.maybe_whole("phase1", 2)
        if first is not None and first > len(points):
            raise RequestError(params.at("phase1"), f"{first} points, but there are {len(points)}")
        rules = asked_rules(params["rules"], params.at("rules")) if "rules" in params else ()
        phase1 = None if first is None else sum(1 for point in points[:first] if _there(point))
        return cls(first, phase1, _excluded(params, len(points)), rules)

    @property
    def asked(self) -> Asked:
        """For the chart; rules with the one for points beyond a limit, where it is not among them."""
        return {"phase1": self.phase1, "exclude": self.exclude, "rules": self._judging()}

    def _judging(self) -> tuple[Rule, ...]:
        known = {rule.name for rule in self.rules}
        if any(rule.at_limits for rule in self.rules) or "nelson1" in known:
            return self.rules
        return (CATALOGUE["nelson1"], *self.rules)

    def study(
        self,
        chart: str,
        answer: Answer,
        plots: Sequence[Plot],
        result: ChartResult,
        facts: Iterable[tuple[str, str]] = (),
    ) -> Study:
        """The study of a judged series; with rules asked for, the answer tells their signals too."""
        if self.rules:
            # of a CUSUM both charts are of location: the sums upwards and downwards
            both = chart == "cusum" and result.spread is not None
            signals = (*result.location.signals, *(result.spread.signals if both and result.spread else ()))
            answer = answer | {"rule_signals": rule_signals(self.rules, signals)}
        used = int(result.used.sum())
        last = int(np.flatnonzero(result.used)[-1]) + 1 if used else None
        said = [("points", str(len(result.location.points)))]
        if used:
            numbers = ", ".join(str(place + 1) for place in sorted(self.exclude) if place < (last or 0))
            said.append(("limits from", f"points 1 to {last}" + (f", without {numbers}" if numbers else "")))
        return Study(
            chart,
            answer,
            tuple(plots),
            version=result.limits.version,
            phase1=last if self.phase1 is not None else None,
            excluded=self.exclude,
            facts=(*said, *facts, *_constants(result)),
        )


def _there(point: float | Sequence[float]) -> bool:
    return all(map(math.isfinite, point)) if isinstance(point, Sequence) else math.isfinite(point)


def _constants(result: ChartResult) -> list[tuple[str, str]]:
    name = result.limits.constants
    return [] if name in ("none", "given") else [("constants", name)]


def _excluded(params: Told, points: int) -> dict[int, str]:
    """Places from 0 with their causes, from a list of numbers or an object of numbers and causes."""
    if "exclude" not in params:
        return {}
    place, told = params.at("exclude"), params["exclude"]
    if isinstance(told, Mapping):
        causes = {}
        for key, cause in told.items():
            if not (str(key).isdecimal() and isinstance(cause, str)):
                raise RequestError(place, 'expected points and their causes: {"15": "new material"}')
            causes[whole(int(key), f"{place}.{key}", 1)] = cause
    elif isinstance(told, Sequence) and not isinstance(told, str):
        causes = {whole(one, f"{place}[{index}]", 1): "" for index, one in enumerate(told)}
    else:
        raise RequestError(place, "expected a list of points, counted from 1")
    for number in causes:
        if number > points:
            raise RequestError(place, f"there is no point {number}, there are {points}")
    return {number - 1: cause for number, cause in causes.items()}


def constants_of(
    params: Told, sizes: Collection[int], *, by_median: bool = False, own: Sequence[str] = _FACTORS
) -> Constants:
    """The factors that a request asks for, for ranges of `sizes`: a set by name, or with figures of its own.

    `own` are the factors that it may tell; others are none of its parameters.
    """
    name = params.word("constants", ("exact", "textbook"))
    decimals = params.maybe_whole("d2_round", 1)
    given = {factor: value for factor in own if (value := params.maybe_number(factor)) is not None}
    if name is not None and decimals is not None:
        raise RequestError(params.at("d2_round"), f"does not go with constants {name}")
    named = f"d2 of {decimals} decimals" if decimals is not None else name or "exact"
    if not given:
        return named
    if len(set(sizes)) != 1:
        raise RequestError(
            params.place, f"{', '.join(given)}: factors are for subgroups of one size, here they vary"
        )
    (size,) = set(sizes)
    try:
        base = factors_of(named, size, by_median=by_median)
        if by_median and (mean := given.pop("d2", None)) is not None:
            base = with_median_factors(base, mean)
        return with_factors(base, **given)
    except ValueError as error:
        raise RequestError(params.place, str(error)) from None


def given_limits(params: Told, chart: Chart, subgroup: int = 1) -> LimitSet | None:
    """`limits` that are frozen, by cl, lcl, ucl and perhaps their version; None where they are estimated."""
    if "limits" not in params:
        return None
    told = params.section("limits")
    centre, lower, upper = (told.number(key) for key in ("cl", "lcl", "ucl"))
    version = told.text("version") or "given"
    told.done()
    known: ConstantSet = "textbook" if params.word("constants", ("exact", "textbook")) == "textbook" else "exact"
    try:
        return LimitSet.fixed(chart, centre, lower, upper, version, subgroup, known)
    except ValueError as error:
        raise RequestError(told.place, str(error)) from None


# -- answers ----------------------------------------------------------------------------------------------------


def listed(values: Iterable[float]) -> list[float | None]:
    """As JSON has it: null for a gap."""
    return [float(value) if math.isfinite(value) else None for value in values]


def first(values: Iterable[float]) -> float | None:
    """The first that is no gap: where limits vary, those of the first point stand for all."""
    return next((float(value) for value in values if math.isfinite(value)), None)


def beyond(plotted: Plotted) -> list[int]:
    """Points strictly beyond their limits, counted from 1; excluded ones are judged too."""
    points = plotted.points
    return [int(place) + 1 for place in np.flatnonzero((points < plotted.lower) | (points > plotted.upper))]


def by_group(answer: Answer, plotted: Plotted, prefix: str = "") -> Answer:
    """With the limits of each point, where these differ."""
    if not any(len(set(listed(line)) - {None}) > 1 for line in (plotted.lower, plotted.upper)):
        return answer
    return answer | {
        f"{prefix}ucl_by_group": listed(plotted.upper),
        f"{prefix}lcl_by_group": listed(plotted.lower),
    }


def one_based(signals: Iterable[Signal]) -> list[int]:
    return sorted({signal.index + 1 for signal in signals})


def rule_signals(rules: Iterable[Rule], signals: Iterable[Signal]) -> dict[str, list[int]]:
    """Where each rule fired, counted from 1; a rule that did not has an empty list."""
    found = list(signals)
    return {rule.name: one_based(one for one in found if one.rule == rule.name) for rule in rules}


def plot_of(name: str, plotted: Plotted, *, centred: bool = True, floored: bool = True, unit: bool = True) -> Plot:
    """One chart for people. `centred` and `floored` tell whether it has a centre line and a lower limit."""
    return Plot(
        name,
        plotted.points.tolist(),
        plotted.lower.tolist() if floored else None,
        plotted.centre.tolist() if centred else None,
        plotted.upper.tolist(),
        plotted.signals,
        unit=unit,
    )
