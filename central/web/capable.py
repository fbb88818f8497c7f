"""Capability of a chart for people: Cpk with its interval and n, what speaks against it, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from central.chart_capability import ChartCapability, of_points
from central.charts import ChartHead, ChartPoint
from central.web.i18n import N_, Words
from spc.capability import Capability

CAUTIONS: Mapping[str, str] = {
    "unstable": N_("the chart of these points signals"),
    "few-values": N_("few values"),
    "not-normal": N_("not normally distributed"),
    "normality-unknown": N_("normality cannot be tested"),
    "specification-is-control-limits": N_("the specification equals the control limits"),
}
"""What the reader must know before the figure; codes of ``spc.capability``."""


@dataclass(frozen=True, slots=True)
class Capable:
    """``value``: ``Cpk 1.42``; ``interval``: ``1.20 … 1.64``; ``why``: what speaks against it, or for none."""

    value: str
    interval: str
    n: int
    why: tuple[str, ...]
    detail: Capability | None = None


def capable(words: Words, head: ChartHead, points: Sequence[ChartPoint]) -> Capable | None:
    """Of the newest points under one version of limits; None where it makes no sense for this kind of chart."""
    told = of_points(head, points)
    found = told.found
    if told.why == "other-chart":
        return None
    if found is None:
        return Capable("", "", told.n, (_why(words, told),))
    why = tuple(words(CAUTIONS[code]) for code in found.cautions if code in CAUTIONS)
    if found.normal is False and found.by_percentiles is not None:
        return Capable(
            f"Ppk {found.by_percentiles.nearer:.2f}", "", told.n, (*why, words(N_("by percentiles"))), found
        )
    nearer = found.within.nearer
    return Capable(f"Cpk {nearer.value:.2f}", f"{nearer.low:.2f} … {nearer.high:.2f}", told.n, why, found)


def _why(words: Words, told: ChartCapability) -> str:
    """Why there is no figure."""
    match told.why:
        case "no-specification":
            return words(N_("no specification"))
        case "few-values":
            return words(N_("only %(n)s values"), n=told.n)
        case "short-run":
            return words(N_("several products on one chart"))
        case _:
            return words(N_("the values do not vary"))
