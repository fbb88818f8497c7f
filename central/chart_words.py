"""The words of control charts at central: one chart, one point of it, one version of its limits, one note.

A chart is told from others by agent, station, characteristic and stream, the query string that its agent gives
it (``product=VS-100&revision=C``; empty for records from before there were streams). Its points are those that the
agent judged; nothing is judged again here. Times are UTC microseconds (``_us``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from central.judgement import FactRef, opaque_id

ClosedBy = Literal["runs", "time", "lot", "restart"]
NoteAct = Literal["comment", "exclude", "include"]


@dataclass(frozen=True, slots=True, order=True)
class ChartRef:
    """Which chart."""

    agent: str
    station: str
    characteristic: str
    stream: str = ""

    @property
    def id(self) -> str:
        """For addresses: 24 hexadecimal digits, always the same."""
        return opaque_id("chart", self.agent, self.station, self.characteristic, self.stream)

    @property
    def key(self) -> dict[str, str]:
        """What tells it from other charts of its characteristic: product, revision, tool, position."""
        return dict(parse_qsl(self.stream, keep_blank_values=True))

    def point(self, segment: int, subgroup: int) -> str:
        """A point's name in decisions."""
        stream = f"?{self.stream}" if self.stream else ""
        return f"{self.agent}/{self.station}/{self.characteristic}{stream}#{segment}-{subgroup}"


@dataclass(frozen=True, slots=True)
class Note:
    """What a person said of a point: a cause of the plant's list, or free text, or that it is left out of limits.

    ``hash`` is the decision's own in central's chain.
    """

    act: NoteAct
    cause: str | None
    text: str
    user: str
    at_us: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One closed subgroup or single value. ``number`` counts the points of its chart from 1, by their arrival.

    ``statistic`` is None for a gap. ``readings`` are the values behind it, one tuple a run (of T squared and MEWMA
    one value a variable; None: not read well), ``uncertain`` how many of them are of uncertain quality. ``sample``
    is the size of a sample of counts or of a subgroup of another size than planned. ``subjects`` are the first of
    ``subjects_total``. ``excluded``: a person has taken it out of what limits are computed from.
    """

    number: int
    at_us: int
    segment: int
    subgroup: int
    state: str
    statistic: float | None
    range_statistic: float | None
    sample: float | None
    centre: float | None
    lower: float | None
    upper: float | None
    range_centre: float | None
    range_lower: float | None
    range_upper: float | None
    rules: tuple[str, ...]
    range_rules: tuple[str, ...]
    limit_version: str | None
    provisional: bool
    closed_by: str
    subjects: tuple[str, ...]
    subjects_total: int
    readings: tuple[tuple[float | None, ...], ...]
    uncertain: int
    ref: FactRef
    cause: str | None = None
    excluded: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def comments(self) -> tuple[Note, ...]:
        """What was said without leaving the point out, oldest first."""
        return tuple(note for note in self.notes if note.act == "comment")

    @property
    def signal(self) -> bool:
        return self.state == "signal"


@dataclass(frozen=True, slots=True)
class Specification:
    """The specification that the last record was tested against; ``source``: ``line`` or ``recipe:...``."""

    lower: float | None
    upper: float | None
    target: float | None
    source: str


@dataclass(frozen=True, slots=True)
class ChartHead:
    """A chart as a board shows it. ``points`` counts all of its points, ``signals_open`` those without a cause.

    ``product``: of its stream, else of its last record. ``subgroup`` is the planned number of readings a point.
    """

    ref: ChartRef
    line: str | None
    chart: str
    subgroup: int
    unit: str | None
    product: str | None
    operation: str | None
    specification: Specification | None
    points: int
    signals_open: int
    last: ChartPoint | None

    @property
    def id(self) -> str:
        return self.ref.id

    @property
    def state(self) -> str:
        """What the last point says; ``empty`` before the first."""
        return "empty" if self.last is None else self.last.state

    @property
    def limit_version(self) -> str | None:
        return None if self.last is None else self.last.limit_version

    @property
    def provisional(self) -> bool:
        return self.last is not None and self.last.provisional


@dataclass(frozen=True, slots=True)
class LimitVersion:
    """Limits by which points ``first`` to ``last`` of a chart were judged; the lines are those of the first."""

    version: str
    provisional: bool
    points: int
    first: int
    last: int
    from_us: int
    to_us: int
    centre: float | None
    lower: float | None
    upper: float | None
    range_centre: float | None
    range_lower: float | None
    range_upper: float | None
