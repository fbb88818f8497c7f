"""The points of a chart: the line, its dots, hollow ones, gaps, and the marks of signals with their words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from spc.markup import escaped, path, px
from spc.panel import Panel
from spc.rules import CATALOGUE, Rule, Signal, rule_words
from spc.scale import number_text, thin
from spc.series import ENGLISH, Note

__all__ = ["Marks", "rule_text"]

_Floats = npt.NDArray[np.float64]

_BEYOND: Final = frozenset({"nelson1", "western1"})
_MANY: Final = 400  # flagged points from which on they share a path and tell their rule in the table alone
_PLAIN: Final = Note()


@dataclass(frozen=True, slots=True)
class _Trace:
    """One line through the points, the rules that flag its points, and the members of its runs."""

    values: _Floats
    letter: str
    flagged: dict[int, list[Signal]] = field(default_factory=dict)
    runs: set[int] = field(default_factory=set)


def rule_text(signal: Signal, words: Mapping[str, str] = ENGLISH) -> str:
    """The rule of a signal in words: those given for its name, else made from its parameters, else the name."""
    if signal.rule in words:
        return words[signal.rule]
    rule: Rule | None = signal.meant or CATALOGUE.get(signal.rule)
    if rule is None:
        return signal.rule
    key, numbers = rule_words(rule)
    return words[key].format(**numbers) if key in words else signal.rule


class Marks:
    """What is drawn of the points of a panel. ValueError for a signal at a point that does not exist."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        series = panel.series
        self.traces = [_trace(panel, panel.values, series.signals, "p")]
        if len(panel.below):
            self.traces.append(_trace(panel, panel.below, series.below_signals, "m"))

    @property
    def gaps(self) -> int:
        return int(np.isnan(self.panel.values).sum())

    def told(self, most: int) -> tuple[int, list[str]]:
        """How many points are flagged, and the first `most` of them in words."""
        found = sorted((index, place) for place, trace in enumerate(self.traces) for index in trace.flagged)
        return len(found), [self._told(self.traces[place], index) for index, place in found[:most]]

    def data(self) -> list[str]:
        """The bands under runs, the lines, their dots where there is room, and ticks for gaps."""
        parts: list[str] = []
        for trace in self.traces:
            parts += self._line(trace)
        return parts + self._gap_ticks()

    def flags(self) -> list[str]:
        """Diamonds for points beyond a limit, squares for completed runs, each with its rules in words."""
        parts: list[str] = []
        for trace in self.traces:
            if len(trace.flagged) > _MANY:
                parts += self._crowd(trace)
            else:
                parts += [self._flag(trace, index) for index in sorted(trace.flagged)]
        return parts

    # -- words ---------------------------------------------------------------------------------------------

    def _note(self, index: int) -> Note:
        return self.panel.series.notes.get(index, _PLAIN)

    def _told(self, trace: _Trace, index: int) -> str:
        """A flagged point in words: which, how much, by which rules, and what people said about it."""
        words = self.panel.words
        rules = "; ".join(rule_text(signal, words) for signal in trace.flagged[index])
        return f"{self._point_text(trace, index)}, {rules}{self._said(index)}"

    def _said(self, index: int) -> str:
        note = self._note(index)
        told = [self.panel.words["excluded"]] if note.excluded else []
        told += [note.text] if note.text else []
        return "".join(f"; {part}" for part in told)

    def _point_text(self, trace: _Trace, index: int) -> str:
        panel, words = self.panel, self.panel.words
        value = panel.told_number(float(trace.values[index]))
        own = panel.limits_at(index)
        if own is not None:
            lower, upper = (None if v is None else number_text(v, panel.decimals) for v in own)
            within = (
                words["upto"].format(upper=upper)
                if lower is None
                else words["within"].format(lower=lower, upper=upper)
            )
            value = f"{value}, {within}"
        number = str(panel.series.first + index)
        if index < len(panel.series.names) and panel.series.names[index]:
            number = f"{number} ({panel.series.names[index]})"
        return words["point"].format(axis=words["axis"], number=number, value=value)

    # -- shapes --------------------------------------------------------------------------------------------

    def _line(self, trace: _Trace) -> list[str]:
        panel = self.panel
        xs = panel.xs(np.arange(len(trace.values), dtype=np.float64))
        hollow = {i for i, note in panel.series.notes.items() if note != _PLAIN and i < len(trace.values)}
        kept = thin(xs, trace.values, trace.flagged.keys() | hollow).tolist()
        absent = np.cumsum(np.isnan(trace.values)).tolist()
        runs = set() if panel.dense else trace.runs
        strokes: list[list[int]] = []
        bands: list[list[int]] = []
        for index in kept:
            joined = bool(strokes) and absent[strokes[-1][-1]] == absent[index]
            if not joined:
                strokes.append([])
            if index in runs:
                if not (bands and joined and bands[-1][-1] == strokes[-1][-1]):
                    bands.append([])
                bands[-1].append(index)
            strokes[-1].append(index)
        name, look = "lk-line", 'stroke-width="1.4"'
        if panel.dense:
            name, look = "lk-line lk-dense", 'stroke-width="0.9" stroke-opacity="0.5"'
        band_look = 'stroke-width="9" stroke-opacity="0.15"'
        parts = [path("lk-run", self._stroke(trace, band), band_look) for band in bands]
        parts += [path(name, self._stroke(trace, stroke), look) for stroke in strokes if len(stroke) > 1]
        dotted = {i for stroke in strokes if len(stroke) == 1 or not panel.dense for i in stroke}
        dots = sorted((dotted | (hollow & set(kept))) - trace.flagged.keys())
        return [*parts, *(self._dot(trace, index) for index in dots)]

    def _stroke(self, trace: _Trace, indices: list[int]) -> str:
        xs = self.panel.xs(np.array(indices, dtype=np.float64)).tolist()
        ys = [self.panel.y(v) for v in trace.values[indices].tolist()]
        return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in zip(xs, ys, strict=True))

    def _dot(self, trace: _Trace, index: int) -> str:
        note = self._note(index)
        name = "lk-point lk-excluded" if note.excluded else "lk-point lk-noted" if note.text else "lk-point"
        x, y = px(self.panel.x(index)), px(self.panel.y(float(trace.values[index])))
        told = self._point_text(trace, index) + self._said(index)
        fill = ' fill="none" stroke="currentColor"' if note.excluded else ""
        dot = (
            f'<circle class="{name}" id="{self.panel.id_of(index, trace.letter)}" cx="{x}" cy="{y}" '
            f'r="{3.5 if note.excluded else 3}"{fill}><title>{escaped(told)}</title></circle>'
        )
        return _linked(dot, note, told)

    def _gap_ticks(self) -> list[str]:
        panel = self.panel
        absent = np.flatnonzero(np.isnan(panel.values)).astype(np.float64)
        columns = sorted({round(x) for x in panel.xs(absent).tolist()})
        if not columns:
            return []
        strokes = "".join(f"M{x} {px(panel.bottom - 7)}v7" for x in columns)
        return [path("lk-gap", strokes, 'stroke-width="1.5"')]

    def _flag(self, trace: _Trace, index: int) -> str:
        rules = [signal.rule for signal in trace.flagged[index]]
        x, y = self.panel.x(index), self.panel.y(float(trace.values[index]))
        note = self._note(index)
        shape = "lk-square" if _BEYOND.isdisjoint(rules) else "lk-diamond"
        hollow = " lk-excluded" if note.excluded else ""
        names = " ".join(f"lk-rule-{escaped(rule)}" for rule in rules)
        told = self._told(trace, index)
        mark = (
            f'<g class="lk-signal {names}" id="{self.panel.id_of(index, trace.letter)}">'
            f"<title>{escaped(told)}</title>"
            f'<circle class="lk-hit" cx="{px(x)}" cy="{px(y)}" r="12" fill="none" pointer-events="all"/>'
            f'<path class="lk-point-signal {shape}{hollow}" d="{self._outline(shape, x, y)}" '
            f'stroke-width="1.5"/></g>'
        )
        return _linked(mark, note, told)

    def _outline(self, shape: str, x: float, y: float) -> str:
        if shape == "lk-diamond":
            r = 5 if self.panel.dense else 7
            return f"M{px(x)} {px(y - r)}l{r} {r}l-{r} {r}l-{r} -{r}z"
        r = 3 if self.panel.dense else 5
        return f"M{px(x - r)} {px(y - r)}h{2 * r}v{2 * r}h-{2 * r}z"

    def _crowd(self, trace: _Trace) -> list[str]:
        """So many flagged points that marks of their own would weigh more than they tell: one path a shape.

        Marks at the very same pixel are one mark; none is left out.
        """
        indices = np.array(sorted(trace.flagged), dtype=np.intp)
        xs = self.panel.xs(indices.astype(np.float64)).tolist()
        outlines: dict[str, dict[str, None]] = {"lk-square": {}, "lk-diamond": {}}
        for index, x in zip(indices.tolist(), xs, strict=True):
            rules = (signal.rule for signal in trace.flagged[index])
            shape = "lk-square" if _BEYOND.isdisjoint(rules) else "lk-diamond"
            y = self.panel.y(float(trace.values[index]))
            outlines[shape][self._outline(shape, round(x), round(y))] = None
        return [
            f'<path class="lk-point-signal {shape}" d="{"".join(drawn)}" stroke-width="0.5"/>'
            for shape, drawn in outlines.items()
            if drawn
        ]


def _trace(panel: Panel, values: _Floats, signals: tuple[Signal, ...], letter: str) -> _Trace:
    trace = _Trace(values, letter)
    for signal in signals:
        if not 0 <= signal.index < len(values) or np.isnan(values[signal.index]):
            raise ValueError(f"{panel.series.key}: {signal.rule} flags point {signal.index}, where none is drawn")
        trace.flagged.setdefault(signal.index, []).append(signal)
        if len(signal.members) > 1:
            trace.runs.update(signal.members)
    return trace


def _linked(mark: str, note: Note, told: str) -> str:
    return f'<a href="{escaped(note.href)}" aria-label="{escaped(told)}">{mark}</a>' if note.href else mark
