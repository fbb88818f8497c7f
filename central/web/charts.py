"""Drawing evidence: control charts through ``spc.svg``, and the curve of one captured profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from central.domain import SpcPoint, SpcSeries
from central.web import states
from central.web.i18n import N_, Words
from central.web.show import decimals_for, unit_text
from central.web.visit import markup
from spc.series import ChartSeries, LimitSpan
from spc.svg import draw_chart

CHART_WORDS = {
    "ucl": N_("UCL"),
    "cl": N_("CL"),
    "lcl": N_("LCL"),
    "usl": N_("USL"),
    "lsl": N_("LSL"),
    "axis": N_("Sample"),
    "provisional": N_("{version}, provisional"),
    "point": N_("{axis} {number}: {value}"),
    "summary": N_("{points} points, {signals} flagged, {gaps} without a reading."),
}
"""Words of ``spc.series.ENGLISH`` for the translators; the names in braces stay."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One characteristic: its drawing, and the table that says the same. ``flagged`` are point numbers from 1."""

    key: str
    title: str
    series: SpcSeries
    svg: Markup
    flagged: tuple[tuple[int, SpcPoint, str], ...]
    decimals: int


def chart(series: SpcSeries, words: Words) -> Chart:
    """Draw one series of a record in the reader's language."""
    key = f"chart-{series.station}-{series.characteristic}"
    kind = states.name(words, "chart", series.chart)
    title = f"{series.operation} · {series.characteristic} · {kind}"
    drawn = draw_chart(
        ChartSeries(
            key=key,
            title=title,
            values=[point.value for point in series.points],
            limits=tuple(
                LimitSpan(s.centre, s.lower, s.upper, s.version, s.provisional, s.start, s.stop)
                for s in series.limits
            ),
            signals=series.signals,
            unit=unit_text(series.unit),
            lsl=series.lower,
            usl=series.upper,
        ),
        width=1000,
        height=280,
        labels=_labels(words),
    )
    rules: dict[int, list[str]] = {}
    for signal in series.signals:
        rules.setdefault(signal.index, []).append(states.name(words, "rule", signal.rule))
    flagged = tuple((i + 1, series.points[i], "; ".join(rules[i])) for i in sorted(rules))
    return Chart(key, title, series, markup(drawn), flagged, decimals_for(p.value for p in series.points))


def _labels(words: Words) -> dict[str, str]:
    spoken = {name: words(text) for name, text in CHART_WORDS.items()}
    return spoken | {rule: words(text) for rule, text in states.NAMES["rule"].items()}


def curve(values: Sequence[float], title: str, unit: str) -> Markup:
    """A captured profile as a small line: highest value named, nothing judged."""
    points = [v for v in values if math.isfinite(v)]
    if len(points) < 2:
        return Markup("")
    low, high = min(0.0, *points), max(points)
    span = (high - low) or 1.0
    path = " ".join(
        f"{40 + 920 * i / (len(points) - 1):.1f},{150 - 130 * (v - low) / span:.1f}" for i, v in enumerate(points)
    )
    peak = f"{high:.{decimals_for([float(high)])}f} {unit}".strip()
    return Markup(
        '<svg viewBox="0 0 1000 160" role="img" aria-label="{}">'
        '<line class="axis" x1="40" x2="960" y1="{}" y2="{}"/>'
        '<polyline class="curve" points="{}"/><text x="40" y="12">{}</text></svg>'
    ).format(title, f"{150 + 130 * low / span:.1f}", f"{150 + 130 * low / span:.1f}", path, peak)
