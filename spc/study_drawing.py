"""The drawing of a study: its chart, or its pair of charts, from its `spc.study_result.Study`."""

from collections.abc import Mapping, Sequence
from typing import Final

from spc.series import ChartSeries, LimitSpan, Note
from spc.study_result import Plot, Study
from spc.svg import draw_chart, draw_pair, draw_with_histogram

__all__ = ["draw_study", "heading"]

CHART_TITLES: Final[Mapping[str, str]] = {
    "imr": "Individuals and moving ranges (I-MR)",
    "xbar_r": "Means and ranges (X-bar/R)",
    "xbar_s": "Means and standard deviations (X-bar/S)",
    "p": "Proportion nonconforming (p)",
    "np": "Number nonconforming (np)",
    "c": "Number of nonconformities (c)",
    "u": "Nonconformities per unit (u)",
    "laney_p": "Proportion nonconforming, Laney's p'",
    "laney_u": "Nonconformities per unit, Laney's u'",
    "t": "Time between events (t)",
    "ewma": "Exponentially weighted moving average (EWMA)",
    "cusum": "Cumulative sums (CUSUM)",
    "t2_subgroup": "Hotelling's T squared of subgroups",
    "t2_individuals": "Hotelling's T squared of single readings",
    "mewma": "Multivariate EWMA (MEWMA)",
    "short_run": "Short runs",
    "rules": "Rules",
    "capability": "Capability",
    "arl": "Average run lengths",
}

_PAIR_HEIGHT, _SINGLE_HEIGHT = 480, 320
_CUSUM_WORDS: Final = {"ucl": "h", "lcl": "−h", "cl": ""}


def heading(study: Study) -> str:
    """What the study is called: of what, if that was told, and with which chart."""
    return f"{study.title}: {CHART_TITLES[study.chart]}" if study.title else CHART_TITLES[study.chart]


def draw_study(study: Study, *, width: int = 960) -> str:
    """The charts of a study as one svg element; ValueError for a study that has none (run lengths)."""
    if not study.plots:
        raise ValueError(f"a study of kind {study.chart} has no chart to draw")
    series = [_series(study, plot, index) for index, plot in enumerate(study.plots[:2])]
    if study.histogram is not None and series:
        return draw_with_histogram(series[0], study.histogram, width=width, height=_PAIR_HEIGHT)
    labels = _CUSUM_WORDS if study.chart == "cusum" else {}
    if len(series) == 1:
        return draw_chart(series[0], width=width, height=_SINGLE_HEIGHT, labels=labels)
    return draw_pair(series[0], series[1], width=width, height=_PAIR_HEIGHT, labels=labels)


def _series(study: Study, plot: Plot, index: int) -> ChartSeries:
    lower, centre, upper = plot.lower, plot.centre, plot.upper
    known = [line for line in (lower, centre, upper) if line is not None]
    span = LimitSpan(
        None if centre is None else _last(centre),
        None if lower is None else _last(lower),
        None if upper is None else _last(upper),
        "" if index else study.version,
        study.provisional,
        centres=centre or (),
        lowers=lower or (),
        uppers=upper or (),
    )
    return ChartSeries(
        key="study" if index == 0 else "study-spread",
        title=heading(study),
        values=plot.values,
        limits=(span,) if known and len(plot.values) else (),
        signals=plot.signals,
        unit=study.unit if plot.unit else "",
        lsl=study.histogram.lsl if plot.single and study.histogram else None,
        usl=study.histogram.usl if plot.single and study.histogram else None,
        panel=f"{study.title}: {plot.name}" if study.title and index == 0 else plot.name,
        notes={place: Note(cause, excluded=True) for place, cause in study.excluded.items()},
        phase1=study.phase1,
        below=plot.below,
        below_signals=plot.below_signals,
    )


def _last(line: Sequence[float]) -> float | None:
    """The last value that is no gap."""
    return next((value for value in reversed(line) if value == value), None)
