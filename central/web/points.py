"""Points of a chart for people: as a drawing, as rules in words with the points that made them, and as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central.charts import ChartHead, ChartPoint
from central.dossier import whole
from central.signal_members import members
from central.web import rules, states
from central.web.i18n import Words
from central.web.params import stream_text
from central.web.plots import Line, Plot, location_name, spread_name
from central.web.show import decimals_for
from spc.exact import usable
from spc.rules import CATALOGUE, Rule, Signal
from spc.svg import Note


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that a point met: in words, on which of the two charts, and the points that made it by number."""

    name: str
    text: str
    part: str
    numbers: tuple[int, ...]


class RuleBook:
    """Rules as events told them: what a chart's rules mean where their parameters are not the usual ones."""

    def __init__(self, told: Sequence[Mapping[str, JsonValue]] = ()) -> None:
        self._of_point = {(_place(p), str(p.get("rule"))): p for p in told}
        self._last = {str(p.get("rule")): p for p in told}

    def rule(self, name: str, point: ChartPoint | None = None) -> Rule | None:
        """The rule with its parameters: those told with the point, else those told last."""
        own = None if point is None else self._of_point.get(((point.segment, point.subgroup), name))
        return rules.told(name, own or self._last.get(name))

    def text(self, words: Words, name: str, point: ChartPoint | None = None) -> str:
        meant = self.rule(name, point)
        return name if meant is None else rules.text(words, meant)

    def told(self, words: Words) -> dict[str, str]:
        """Words of the rules that differ, for a drawing."""
        return {name: self.text(words, name) for name in self._last if name in CATALOGUE}


def _place(params: Mapping[str, JsonValue]) -> tuple[int, int]:
    return whole(params.get("segment")) or 0, whole(params.get("subgroup")) or 0


def decimals_of(points: Sequence[ChartPoint]) -> int:
    """Decimals for the statistics of these points: none for counts."""
    values = [p.statistic for p in points if p.statistic is not None]
    return 0 if all(value.is_integer() for value in values) else decimals_for(values)


def name_of(head: ChartHead) -> str:
    """The characteristic and, where there is more than one chart of it, what tells this one."""
    told = stream_text(head.ref.stream)
    return f"{head.ref.characteristic} · {told}" if told else head.ref.characteristic


def fired(words: Words, chart: str, points: Sequence[ChartPoint], index: int, book: RuleBook) -> tuple[Fired, ...]:
    """What the point at ``index`` of ``points`` met, on both charts."""
    point = points[index]
    found: list[Fired] = []
    for part, names in (
        (location_name(words, chart), point.rules),
        (spread_name(words, chart), point.range_rules),
    ):
        for name in names:
            made_by = members(chart, points, index, book.rule(name, point))
            numbers = tuple(points[i].number for i in made_by)
            found.append(Fired(name, book.text(words, name, point), part, numbers))
    return tuple(found)


def plot_of(
    head: ChartHead,
    points: Sequence[ChartPoint],
    words: Words,
    *,
    key: str = "",
    book: RuleBook | None = None,
    link: Mapping[int, str] | None = None,
) -> Plot:
    """The drawing's input; ``link``: point number -> where its mark leads."""
    known = book or RuleBook()
    location: list[Signal] = []
    spread: list[Signal] = []
    for index, point in enumerate(points):
        for names, value, into in (
            (point.rules, point.statistic, location),
            (point.range_rules, point.range_statistic, spread),
        ):
            for name in names if usable(value) is not None and point.state != "gap" else ():
                into.append(Signal(name, index, members(head.chart, points, index, known.rule(name, point))))
    spec = head.specification
    return Plot(
        key=key or f"c{head.id}",
        title=name_of(head),
        chart=head.chart,
        unit=head.unit,
        values=[None if point.state == "gap" else point.statistic for point in points],
        lines=[_line(p, p.centre, p.lower, p.upper) for p in points],
        signals=tuple(location),
        spreads=[point.range_statistic for point in points],
        spread_lines=[_line(p, p.range_centre, p.range_lower, p.range_upper) for p in points],
        spread_signals=tuple(spread),
        notes=_notes(points, words, link or {}),
        cuts=frozenset(i for i in range(1, len(points)) if points[i].segment != points[i - 1].segment),
        first=points[0].number if points else 1,
        lsl=spec.lower if spec else None,
        usl=spec.upper if spec else None,
    )


def _line(point: ChartPoint, centre: float | None, lower: float | None, upper: float | None) -> Line | None:
    if centre is None or lower is None or upper is None:
        return None
    return Line(point.limit_version or "", point.provisional, centre, lower, upper)


def _notes(points: Sequence[ChartPoint], words: Words, link: Mapping[int, str]) -> dict[int, Note]:
    found: dict[int, Note] = {}
    for index, point in enumerate(points):
        said = [cause_name(words, point.cause)] if point.cause else []
        if point.comments and not said:
            said = [point.comments[-1].text]
        href = link.get(point.number, "")
        if said or point.excluded or href:
            found[index] = Note("; ".join(filter(None, said)), point.excluded, href)
    return found


def cause_name(words: Words, cause: str) -> str:
    """A cause of the starting list in the reader's language; one of the plant's own as it was written."""
    return states.name(words, "cause", cause)
