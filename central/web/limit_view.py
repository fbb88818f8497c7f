"""Limit sets for people: how they were computed, which points would signal, and as lines on a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from markupsafe import Markup
from pydantic import JsonValue

from central.charts import ChartHead, ChartPoint
from central.phase_one import Method, Study
from central.proposals import Proposed
from central.web.i18n import Words
from central.web.plots import Line, draw
from central.web.points import RuleBook, plot_of
from records.errors import Invalid
from spc.exact import usable
from spc.fields import Fields
from spc.limits import SINGLE, LimitSet
from spc.rules import Signal

LINES: Mapping[str, str] = {
    "imr": "CL = x̄ · UCL, LCL = x̄ ± 3σ",
    "xbar_r": "CL = x̿ · UCL, LCL = x̿ ± 3σ/√n",
    "xbar_s": "CL = x̿ · UCL, LCL = x̿ ± 3σ/√n",
    "p": "CL = p̄ · UCL, LCL = p̄ ± 3√(p̄(1 − p̄)/nᵢ)",
    "np": "CL = np̄ · UCL, LCL = np̄ ± 3√(np̄(1 − p̄))",
    "c": "CL = c̄ · UCL, LCL = c̄ ± 3√c̄",
    "u": "CL = ū · UCL, LCL = ū ± 3√(ū/nᵢ)",
    "laney_p": "CL = p̄ · UCL, LCL = p̄ ± 3σz√(p̄(1 − p̄)/nᵢ)",
    "laney_u": "CL = ū · UCL, LCL = ū ± 3σz√(ū/nᵢ)",
    "t": "y = t^(1/3.6) · UCL, LCL = (ȳ ± 3σ)^3.6",
    "ewma": "zᵢ = λx + (1 − λ)zᵢ₋₁ · UCL, LCL = μ₀ ± Lσ√(λ/(2 − λ)·(1 − (1 − λ)²ⁱ))",
    "cusum": "C⁺ᵢ = max(0, C⁺ᵢ₋₁ + x/σ − k) · UCL = h",
    "t2_subgroup": "T² = n(x̄ − μ)ᵀS⁻¹(x̄ − μ)",
    "t2_individuals": "T² = (x − μ)ᵀS⁻¹(x − μ)",
    "mewma": "T² = zᵀΣz⁻¹z · UCL = h₄",
}
"""Kind of chart -> its lines."""

SIGMAS: Mapping[str, str] = {
    "mean_mr": "σ = mean(MR)/d₂",
    "median_mr": "σ = median(MR)/0.954",
    "sd": "σ = s",
    "sd/c4": "σ = s/c₄",
    "rbar": "σ = R̄/d₂",
    "sbar": "σ = s̄/c₄",
    "pooled": "σ = √(Σ(nᵢ − 1)sᵢ²/Σ(nᵢ − 1))",
}
"""How the standard deviation is estimated; codes of ``spc.estimate``."""

METHODS: Mapping[str, tuple[str, ...]] = {
    "imr": ("mean_mr", "median_mr", "sd/c4"),
    "xbar_r": ("rbar",),
    "xbar_s": ("sbar", "pooled"),
}
"""Methods to choose from, the usual one first; other kinds of chart have one of their own."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What limits rest on: of a study the window, how many points, what was left out, and how."""

    limits: LimitSet
    formula: str
    sigma: str
    points: int | None
    first: int | None
    last: int | None
    left_out: tuple[Mapping[str, JsonValue], ...]

    @property
    def figures(self) -> list[tuple[str, float]]:
        """Name and value of every number of the limits that says something."""
        held = self.limits
        found = [("CL", held.centre), ("LCL", held.lower), ("UCL", held.upper)]
        if held.range_upper is not None and held.range_lower is not None and held.range_centre is not None:
            name = {"imr": "MR", "xbar_s": "s"}.get(held.chart, "R")
            found += [(f"CL ({name})", held.range_centre), (f"LCL ({name})", held.range_lower)]
            found += [(f"UCL ({name})", held.range_upper)]
        if held.sigma_within:
            found.append(("σ", held.sigma_within))
        if held.sigma_z != 1:
            found.append(("σz", held.sigma_z))
        return found


def method_of(chart: str, sigma: str, centre: str, constants: str) -> Method:
    """The method that a form asks for; what it does not know is as usual."""
    return Method(
        constants="textbook" if constants == "textbook" else "exact",
        sigma=cast(
            Literal["mean_mr", "median_mr", "sd/c4", "rbar", "sbar", "pooled"] | None,
            sigma if sigma in METHODS.get(chart, ()) else None,
        ),
        centre="median" if chart == "imr" and centre == "median" else "mean",
    )


def of_study(study: Study, points: Sequence[ChartPoint], method: Method) -> Basis:
    """What a preview rests on."""
    return Basis(
        study.limits,
        _formula(study.limits.chart, method.centre),
        SIGMAS.get(method.sigma or METHODS.get(study.limits.chart, ("",))[0], ""),
        study.points,
        points[0].number,
        points[-1].number,
        tuple(left.to_json() for left in study.left_out),
    )


def of_set(one: Proposed) -> Basis:
    """What a stored version rests on.

    Raises:
        Invalid: it is damaged.
    """
    told = one.content.get("limits")
    basis = one.content.get("basis")
    if not isinstance(told, dict) or not isinstance(basis, dict):
        raise Invalid(f"limit set {one.name} holds no limits")
    try:
        limits = LimitSet.from_json(Fields(dict(told), "limits"))
    except ValueError as error:
        raise Invalid(f"limit set {one.name} cannot be read: {error}") from error
    method, window, left = basis.get("method"), basis.get("window"), basis.get("left_out")
    asked = method if isinstance(method, dict) else {}
    span = window if isinstance(window, dict) else {}
    sigma = asked.get("sigma") or METHODS.get(limits.chart, ("",))[0]
    points = basis.get("points")
    return Basis(
        limits,
        _formula(limits.chart, str(asked.get("centre"))) if basis.get("kind") == "study" else "",
        SIGMAS.get(str(sigma), "") if basis.get("kind") == "study" else "",
        points if isinstance(points, int) else None,
        _whole(span.get("first")),
        _whole(span.get("last")),
        tuple(item for item in left if isinstance(item, dict)) if isinstance(left, list) else (),
    )


def _formula(chart: str, centre: str) -> str:
    text = LINES.get(chart, "")
    return text.replace("x̄", "median(x)") if chart == "imr" and centre == "median" else text


def _whole(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# -- on a chart --------------------------------------------------------------------------------------------


def beyond(limits: LimitSet, points: Sequence[ChartPoint]) -> list[tuple[ChartPoint, str]]:
    """Points that would be beyond these limits: (point, ``location`` or ``range``)."""
    found: list[tuple[ChartPoint, str]] = []
    for point, line, spread in _held(limits, points):
        if point.statistic is not None and line and not line.lower <= point.statistic <= line.upper:
            found.append((point, "location"))
        value = point.range_statistic
        if value is not None and spread and not spread.lower <= value <= spread.upper:
            found.append((point, "range"))
    return found


def _held(limits: LimitSet, points: Sequence[ChartPoint]) -> list[tuple[ChartPoint, Line | None, Line | None]]:
    """Each point with the lines that these limits have for it; an EWMA and a CUSUM are as they were plotted."""
    found: list[tuple[ChartPoint, Line | None, Line | None]] = []
    for step, point in enumerate(points, start=1):
        size = point.sample or (1.0 if limits.chart in SINGLE else float(limits.subgroup))
        try:
            at, spread = limits.at(size, step), limits.spread_at(max(2, round(size)))
        except ValueError:
            found.append((point, None, None))
            continue
        found.append(
            (
                point,
                Line(limits.version, limits.provisional, at.centre, at.lower, at.upper),
                None
                if spread is None
                else Line(limits.version, limits.provisional, spread.centre, spread.lower, spread.upper),
            )
        )
    return found


def drawn(
    head: ChartHead,
    limits: LimitSet,
    name: str,
    points: Sequence[ChartPoint],
    words: Words,
    *,
    width: int,
    height: int,
) -> Markup:
    """The points with these lines instead of those that judged them; points beyond them are flagged."""
    held = _held(replace(limits, version=name, provisional=False), points)
    plot = plot_of(head, points, words, key="proposed", book=RuleBook())
    numbers = {point.number: index for index, point in enumerate(points)}
    flags = beyond(limits, points)
    at = {part: [numbers[p.number] for p, on in flags if on == part] for part in ("location", "range")}
    plot = replace(
        plot,
        lines=[line for _, line, _ in held],
        spread_lines=[spread for _, _, spread in held],
        signals=tuple(
            Signal("nelson1", i, (i,)) for i in at["location"] if usable(points[i].statistic) is not None
        ),
        spread_signals=tuple(Signal("nelson1", i, (i,)) for i in at["range"]),
    )
    return draw(plot, words, width=width, height=height)
