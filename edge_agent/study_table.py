"""What a study found, as tables that a person reads in a terminal: plain letters, which any console shows."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue
from rich import box
from rich.console import Console
from rich.table import Table

from spc.marks import rule_text
from spc.scale import decimals_for, number_text
from spc.study_drawing import heading

if TYPE_CHECKING:
    from spc.arl import ArlResult
    from spc.study_result import Plot, Study

__all__ = ["RunLength", "show", "show_run_lengths"]


@dataclass(frozen=True, slots=True)
class RunLength:
    """The run length in points after a shift of `mu`, in standard deviations of single values."""

    mu: float
    found: ArlResult

    def to_json(self) -> dict[str, JsonValue]:
        found = self.found
        return {"mu": self.mu, "arl": found.value, "method": found.method, "standard_error": found.standard_error}


def console() -> Console:
    """Of stdout; what its encoding does not know becomes a question mark instead of a fault."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, markup=False, soft_wrap=False)


def table(*columns: str, left: Sequence[str] = ()) -> Table:
    """Figures are on the right, the columns named in `left` are not."""
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        found.add_column(name, justify="left" if name in left else "right", no_wrap=name not in left)
    return found


def figure(value: float, digits: int = 6) -> str:
    """Significant digits, without a power of ten where that can be avoided."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text


def show(study: Study) -> None:
    """Limits, figures and signals of a study, each told once."""
    out = console()
    out.print(heading(study))
    if study.facts:
        out.print(_facts(study.facts))
    drawn = [plot for plot in study.plots if study.chart != "capability"]
    if drawn:
        out.print(_limits(study, drawn))
    _show_figures(out, study)
    if study.plots:
        _show_signals(out, study)


def _facts(facts: Sequence[tuple[str, str]]) -> Table:
    shown = Table.grid(padding=(0, 3))
    for name, text in facts:
        shown.add_row(name, text)
    return shown


def _limits(study: Study, plots: Sequence[Plot]) -> Table:
    head = f"limits, {study.unit}" if study.unit else "limits"
    shown = table(head, "LCL", "centre", "UCL", left=(head,))
    for plot in plots:
        decimals = _decimals(plot)
        lines = [_range(line, decimals) for line in (plot.lower, plot.centre, plot.upper)]
        shown.add_row(plot.name, *lines)
    return shown


def _decimals(plot: Plot) -> int:
    """Decimals that tell a thousandth of the way between the limits."""
    lines = [line for line in (plot.lower, plot.centre, plot.upper) if line is not None]
    known = [value for line in lines for value in line if math.isfinite(value)]
    span = max(known, default=0.0) - min(known, default=0.0) or max(map(abs, known), default=1.0) or 1.0
    return decimals_for(span / 1000)


def _range(line: Sequence[float] | None, decimals: int) -> str:
    """A line that is one for all points, or from where to where it goes."""
    known = [] if line is None else [value for value in line if math.isfinite(value)]
    if not known:
        return "-"
    low, high = min(known), max(known)
    first, last = (number_text(value, decimals).replace("−", "-") for value in (low, high))
    return first if low == high else f"{first} to {last}"


def _show_figures(out: Console, study: Study) -> None:
    """The figures of the answer that no other table tells."""
    if study.chart in ("rules", "arl"):
        shown = table("name", "points" if study.chart == "rules" else "points to a signal", left=("name",))
        for name, value in study.answer.items():
            for one, told in value.items() if isinstance(value, Mapping) else [("", value)]:
                shown.add_row(f"{name} {one}".strip(), _told(told))
        out.print(shown)
        return
    if study.chart == "capability":
        out.print(_indices(study.answer))
        return
    limits = {name for name in study.answer if name.split("_")[-1] in ("cl", "ucl", "lcl", "inf")}
    numbers = {
        name: value
        for name, value in study.answer.items()
        if name not in limits and isinstance(value, int | float | None) and value is not None
    }
    if numbers:
        out.print(_facts([(name, figure(float(value))) for name, value in numbers.items()]))


def _indices(answer: Mapping[str, object]) -> Table:
    """Indices with their intervals, then all other figures."""
    shown = table("figure", "value", "from", "to", left=("figure",))
    for name, value in answer.items():
        if (
            name.endswith("_ci")
            or value is None
            or isinstance(value, bool | str)
            or name in ("signals", "cautions")
        ):
            continue
        interval = answer.get(f"{name}_ci")
        ends = [_told(one) for one in interval] if isinstance(interval, list) else ["", ""]
        shown.add_row(name, _told(value), *ends)
    return shown


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_told(one) for one in value) or "-"
    return figure(float(value)) if isinstance(value, int | float) else "-" if value is None else str(value)


_MOST: Final = 50
"""Signals that a terminal is told; all are in the answer."""


def _show_signals(out: Console, study: Study) -> None:
    rows = list(_signals(study))
    if not rows:
        out.print("No signals.")
        return
    shown = table("point", "chart", "value", "LCL", "UCL", "signal", left=("chart", "signal"))
    for row in rows[:_MOST]:
        shown.add_row(*row)
    out.print(shown)
    if len(rows) > _MOST:
        out.print(f"... and {len(rows) - _MOST} more; --json tells all")


def _signals(study: Study) -> Iterator[tuple[str, ...]]:
    """One row for each flagged point of a chart, in the order of the points."""
    found: dict[tuple[int, int], list[str]] = {}
    traces = [
        (plot, values, signals)
        for plot in study.plots
        for values, signals in ((plot.values, plot.signals), (plot.below, plot.below_signals))
    ]
    for place, (_, _, signals) in enumerate(traces):
        for signal in signals:
            found.setdefault((signal.index, place), []).append(rule_text(signal))
    decimals_of = [_decimals(plot) for plot, _, _ in traces]  # once: it looks at every line of every point
    for index, place in sorted(found):
        plot, values, _ = traces[place]
        lower, upper = (None if line is None else line[index] for line in (plot.lower, plot.upper))
        decimals = decimals_of[place]
        value, *cells = (
            "-" if one is None else number_text(one, decimals).replace("−", "-")
            for one in (values[index], lower, upper)
        )
        excluded = "; left out of the limits" if index in study.excluded else ""
        cause = f": {study.excluded[index]}" if study.excluded.get(index) else ""
        words = "; ".join(found[index, place]) + excluded + cause
        yield str(index + 1), plot.name, value, *cells, words


def show_run_lengths(
    heading: str, found: Sequence[RunLength], alarms: float | None, charts: int, chart: str | None = None
) -> None:
    """Run lengths by shift, and what they mean in a day; of a kind of `chart`, with the spread chart beside it."""
    out = console()
    out.print(heading)
    simulated = any(one.found.standard_error is not None for one in found)
    shown = table(
        "shift (sigmas)", "points to a signal", *(["+-"] if simulated else []), "found by", left=("found by",)
    )
    for one in found:
        error = one.found.standard_error
        cells = [figure(one.mu), figure(one.found.value, 5)]
        if simulated:
            cells.append("" if error is None else f"{error:.2g}")
        shown.add_row(*cells, one.found.method)
    out.print(shown)
    if alarms is not None:
        kind = "chart" if chart is None else f"{chart} chart"
        of = f"one {kind}" if charts == 1 else f"{charts} {kind}s"
        out.print(f"False alarms of {of}: {_how_often(alarms)}")


def _how_often(alarms_a_day: float) -> str:
    if alarms_a_day >= 1:
        return f"{figure(alarms_a_day, 3)} a day"
    return f"one every {figure(1 / alarms_a_day, 3)} days" if alarms_a_day else "none, without points"
