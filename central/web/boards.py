"""The SPC board: every chart as a tile, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from central.charts import ChartHead, ChartPoint
from central.configurations import Configuration
from central.web import states
from central.web.capable import Capable
from central.web.i18n import N_, Words
from central.web.params import stream_text
from central.web.plots import chart_unit, draw_small, location_name
from central.web.points import decimals_of, plot_of
from central.web.show import DASH, figure

ENOUGH_SUBGROUPS = 25
"""Points from which on limits are usually no longer called provisional (phase I)."""
POINTS_SHOWN = 30
"""Points of a small chart."""

GROUPS: Mapping[str, str] = {
    "signal": N_("Signal"),
    "open": N_("Cause not named"),
    "attention": N_("No limits or gap"),
    "collecting": N_("Collecting"),
    "in_control": N_("In control"),
}
"""What the board can be narrowed to -> its name."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One chart on the board."""

    head: ChartHead
    name: str
    key: str
    status: states.Status
    progress: str
    note: str
    value: str
    unit: str
    what: str
    at_us: int | None
    capable: Capable | None
    svg: Markup


def rank(head: ChartHead) -> int:
    """How urgent: a signal without a cause first, a quiet chart with approved limits last."""
    state = head.state
    if state == "signal":
        return 0 if head.last is not None and head.last.cause is None else 2
    if head.signals_open:
        return 1
    order = ("gap", "no_limits", "collecting", "open")
    if state in order:
        return 3 + order.index(state)
    return 7 if head.provisional else 8


def worst_first(heads: Iterable[ChartHead]) -> list[ChartHead]:
    return sorted(heads, key=lambda h: (rank(h), h.line or "", h.ref.station, h.ref.characteristic, h.ref.stream))


def belongs(head: ChartHead, group: str) -> bool:
    """Whether the chart is of this group; a chart may be of two."""
    match group:
        case "signal":
            return head.state == "signal"
        case "open":
            return head.signals_open > 0
        case "attention":
            return head.state in ("gap", "no_limits")
        case "collecting":
            return head.state in ("collecting", "open", "empty")
        case "in_control":
            return head.state == "in_control"
    return True


def wanted_points(configurations: Iterable[Configuration]) -> dict[tuple[str, str], int]:
    """(agent, characteristic) -> points of phase I that its line file asks for, where limits come from phase I."""
    found: dict[tuple[str, str], int] = {}
    for one in configurations:
        resolved = one.record.resolved
        told = resolved.get("characteristics") if isinstance(resolved, dict) and one.in_use else None
        for name, settings in told.items() if isinstance(told, dict) else ():
            limits = settings.get("limits") if isinstance(settings, dict) else None
            count = limits.get("subgroups") if isinstance(limits, dict) else None
            if isinstance(count, int):
                found[one.agent, name] = count
    return found


def tile(
    head: ChartHead,
    points: Sequence[ChartPoint],
    words: Words,
    wanted: int | None,
    capable: Capable | None,
    *,
    size: tuple[int, int],
) -> Tile:
    last = head.last
    plot = plot_of(head, points, words, key=f"t{head.id}")
    decimals = decimals_of(points)
    value = None if last is None or last.state == "gap" else last.statistic
    return Tile(
        head=head,
        name=head.ref.characteristic,
        key=stream_text(head.ref.stream),
        status=states.status(words, "spc", head.state),
        progress=progress(words, head, wanted),
        note=provisional(words, head),
        value=figure(value, decimals) if value is not None else DASH,
        unit=chart_unit(head.chart, head.unit) if value is not None else "",
        what=location_name(words, head.chart),
        at_us=None if last is None else last.at_us,
        capable=capable,
        svg=draw_small(plot, words, width=size[0], height=size[1]) if points else Markup(""),
    )


def progress(words: Words, head: ChartHead, wanted: int | None) -> str:
    """How far phase I is: ``11 of 25``."""
    if head.state != "collecting":
        return ""
    return words(N_("%(k)s of %(n)s"), k=head.points, n=wanted) if wanted else str(head.points)


def provisional(words: Words, head: ChartHead) -> str:
    """That nobody has approved the limits, and how little is behind them."""
    if not head.provisional:
        return ""
    if head.points < ENOUGH_SUBGROUPS:
        return words(N_("Fewer than %(n)s subgroups: limits are provisional"), n=ENOUGH_SUBGROUPS)
    return words(N_("Limits are provisional: nobody has approved them"))
