"""Capability of a chart for people: Cpk with its interval and n, what speaks against it, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from central.charts import ChartHead, ChartPoint
from central.web.i18n import N_, Words
from central.web.plots import OF_VALUES
from spc.capability import Capability, capability

KEPT = 512
"""Charts whose last result is kept: a board asks again every few seconds."""
FEWEST_VALUES = 10

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
    if head.chart not in OF_VALUES:
        return None
    spec = head.specification
    if spec is None or (spec.lower is None and spec.upper is None):
        return Capable("", "", 0, (words(N_("no specification")),))
    version = points[-1].limit_version if points else None
    groups: list[tuple[float, ...]] = []
    for point in points:
        if point.limit_version == version and not point.excluded and not point.uncertain:
            values = tuple(v for run in point.readings for v in run if v is not None)
            if len(values) >= (1 if head.subgroup == 1 else 2):
                groups.append(values if head.subgroup > 1 else values[:1])
    n = sum(map(len, groups))
    if n < FEWEST_VALUES:
        return Capable("", "", n, (words(N_("only %(n)s values"), n=n),))
    found = _computed(tuple(groups), head.subgroup > 1, spec.lower, spec.upper, spec.target)
    if found is None:
        return Capable("", "", n, (words(N_("the values do not vary")),))
    why = tuple(words(CAUTIONS[code]) for code in found.cautions if code in CAUTIONS)
    if found.normal is False and found.by_percentiles is not None:
        return Capable(f"Ppk {found.by_percentiles.nearer:.2f}", "", n, (*why, words(N_("by percentiles"))), found)
    nearer = found.within.nearer
    return Capable(f"Cpk {nearer.value:.2f}", f"{nearer.low:.2f} … {nearer.high:.2f}", n, why, found)


@lru_cache(maxsize=KEPT)
def _computed(
    groups: tuple[tuple[float, ...], ...],
    grouped: bool,
    lower: float | None,
    upper: float | None,
    target: float | None,
) -> Capability | None:
    """None where a specification or values do not allow it."""
    try:
        if grouped:
            return capability(groups, lsl=lower, usl=upper, target=target)
        return capability([group[0] for group in groups], lsl=lower, usl=upper, target=target)
    except ValueError:
        return None
