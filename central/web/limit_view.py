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
from central.trial import Trial
from central.web import plots, rules
from central.web.chart_view import told_points
from central.web.i18n import N_, Words
from central.web.points import RuleBook, plot_of
from records.errors import Invalid
from spc.fields import Fields
from spc.limits import LimitSet, Lines

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


@dataclass(frozen=True, slots=True)
class Met:
    """A rule that a point would meet under other limits: on which chart, in words, and by which points if by
    several.
    """

    point: ChartPoint
    part: str
    value: float | None
    text: str
    made_by: str


def met(head: ChartHead, tried: Trial, points: Sequence[ChartPoint], words: Words) -> list[Met]:
    """What these points would meet, in their order."""
    found = []
    for signal, on_spread in tried.fired:
        values = tried.spreads if on_spread else tried.values
        numbers = [points[at].number for at in signal.members]
        found.append(
            Met(
                points[signal.index],
                _part(words, head.chart, on_spread=on_spread),
                values[signal.index],
                rules.text(words, signal.meant or signal.rule),
                told_points(numbers) if len(numbers) > 1 else "",
            )
        )
    return found


def _part(words: Words, chart: str, *, on_spread: bool) -> str:
    if on_spread and chart == "cusum":
        return words(N_("Lower sum"))
    return plots.spread_name(words, chart) if on_spread else plots.location_name(words, chart)


def drawn(
    head: ChartHead,
    tried: Trial,
    name: str,
    points: Sequence[ChartPoint],
    words: Words,
    *,
    width: int,
    height: int,
) -> Markup:
    """The points as they would have been under limits that are called ``name``, with what they would have met."""
    plot = plot_of(head, points, words, key="proposed", book=RuleBook())
    plot = replace(
        plot,
        values=tried.values,
        lines=[_line(name, line) for line, _ in tried.lines],
        signals=tried.signals,
        spreads=tried.spreads,
        spread_lines=[_line(name, spread) for _, spread in tried.lines],
        spread_signals=tried.spread_signals,
    )
    told = {one.rule: rules.text(words, one.meant or one.rule) for one, _ in tried.fired}
    return plots.draw(plot, words, width=width, height=height, told=told)


def _line(name: str, line: Lines | None) -> plots.Line | None:
    return None if line is None else plots.Line(name, False, line.centre, line.lower, line.upper)
