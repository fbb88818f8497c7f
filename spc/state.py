"""What a streaming chart remembers between points, and what it says.

`ChartState` is committed with each record and read back after a restart, `Verdict` goes into the record. Both are
values: nothing here changes in place. They are named tuples because each reading makes one of each: a frozen
dataclass of as many fields takes five times as long to make.

State is bounded and does not grow with time: the open subgroup, the last value, one integer a rule, the references
of the points that a window may still name and, until phase I is complete, its points.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self

from spc.estimate import PhaseOnePoint
from spc.fields import Fields
from spc.limits import Chart, LimitSet, check_subgroup
from spc.plan import ChartPlan, Nominal, Sample
from spc.rules import Rule

__all__ = [
    "STATE_VERSION",
    "ChartPlan",
    "ChartState",
    "Fired",
    "Memory",
    "Nominal",
    "Part",
    "Recent",
    "Sample",
    "Verdict",
    "VerdictState",
]

Part = Literal["location", "range"]
"""Which of the two charts: the upper one, or that of the spread (a CUSUM: that of the lower sum)."""

VerdictState = Literal["in_control", "signal", "collecting", "open", "gap", "no_limits"]
"""``open``: the subgroup is not closed yet. ``gap``: this reading, or the subgroup it closes, is no reading.
``collecting``: phase I still gathers. ``no_limits``: there are none and nobody asked for phase I."""

Recent = tuple[int, tuple[str, ...]]
"""A point that a signal may still name: the number of its subgroup, the references of its readings."""

STATE_VERSION: Final = 2


MadeBy = tuple[str, float, float, str]
"""Limits and rules: the version, the centre, the sigma of one value, and the rules as text."""
_MADE_BY: Final = ("version", "centre", "sigma", "rules")


class Memory(NamedTuple):
    """What reaches from one point to the next, since the last cut.

    It belongs to the limits and rules that made it (`made_by`); under others it begins anew. `since` counts its
    points, `last` is the newest one plotted, `windows` holds one integer a rule (`spc.windows`). `recent` are the
    newest points that a signal may name: number of the subgroup, references. `sums` is the z of an EWMA, the upper
    and lower sum of a CUSUM with the points since either was 0, the vector of a MEWMA.
    """

    made_by: MadeBy
    since: int
    last: float
    windows: tuple[int, ...]
    recent: tuple[Recent, ...] = ()
    sums: tuple[float, ...] = ()

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal memory back."""
        return {
            **dict(zip(_MADE_BY, self.made_by, strict=True)),
            "since": self.since,
            "last": self.last,
            "windows": list(self.windows),
            "recent": [[str(number), *refs] for number, refs in self.recent],
            "sums": list(self.sums),
        }

    @classmethod
    def from_json(cls, told: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        return cls(
            made_by=(
                told.text("version"),
                told.number("centre"),
                told.number("sigma"),
                told.text("rules"),
            ),
            since=told.integer("since"),
            last=told.number("last"),
            windows=tuple(told.integers("windows")),
            recent=tuple((int(row[0]), tuple(row[1:])) for row in told.text_lists("recent")),
            sums=tuple(told.numbers("sums")),
        )


class ChartState(NamedTuple):
    """All that a chart remembers between two points.

    `subgroup_id` counts subgroups (points, for single values) from 1 and is that of the open one; `segment` counts
    the stretches that nothing reaches across. A reading is held as its values (with the size of its sample, for
    counts), None for a gap. `limits` are those frozen after phase I, `phase1` its points until then.
    """

    characteristic: str
    chart: Chart
    subgroup: int
    segment: int = 1
    subgroup_id: int = 1
    open_readings: tuple[tuple[float, ...] | None, ...] = ()
    open_refs: tuple[str, ...] = ()
    open_certain: bool = True
    previous: float | None = None
    previous_ref: str = ""
    previous_certain: bool = True
    memory: Memory | None = None
    limits: LimitSet | None = None
    phase1: tuple[PhaseOnePoint, ...] = ()

    @classmethod
    def start(cls, plan: ChartPlan) -> Self:
        """The state before the first point."""
        return cls(characteristic=plan.characteristic, chart=plan.chart, subgroup=plan.subgroup)

    def fits(self, plan: ChartPlan) -> bool:
        """Whether this state can go on under the plan: same characteristic, chart and subgroup size."""
        return (
            self.chart == plan.chart
            and self.subgroup == plan.subgroup
            and self.characteristic == plan.characteristic
        )

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal state back, floats to the last bit."""
        return {
            "state_version": STATE_VERSION,
            "characteristic": self.characteristic,
            "chart": self.chart,
            "subgroup": self.subgroup,
            "segment": self.segment,
            "subgroup_id": self.subgroup_id,
            "open_readings": [None if reading is None else list(reading) for reading in self.open_readings],
            "open_refs": list(self.open_refs),
            "open_certain": self.open_certain,
            "previous": self.previous,
            "previous_ref": self.previous_ref,
            "previous_certain": self.previous_certain,
            "memory": self.memory.to_json() if self.memory else None,
            "limits": self.limits.to_json() if self.limits else None,
            "phase1": [_told(point) for point in self.phase1],
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged or the version unknown.

        A state of version 1 (imr and xbar_r only) keeps its place and its frozen limits; what it had gathered for
        runs and for limits begins anew.
        """
        told = Fields(value, "chart state")
        version = told.integer("state_version")
        if version == 1:
            return cls._of_version_1(told)
        if version != STATE_VERSION:
            raise ValueError(f"chart state has version {version}, this build reads {STATE_VERSION}")
        subgroup = told.integer("subgroup")
        memory, limits = told.maybe_section("memory"), told.maybe_section("limits")
        return cls(
            characteristic=told.text("characteristic"),
            chart=check_subgroup(told.text("chart"), subgroup),
            subgroup=subgroup,
            segment=told.integer("segment"),
            subgroup_id=told.integer("subgroup_id"),
            open_readings=tuple(
                None if row is None else tuple(row) for row in told.maybe_number_lists("open_readings")
            ),
            open_refs=tuple(told.texts("open_refs")),
            open_certain=told.flag("open_certain"),
            previous=told.maybe_number("previous"),
            previous_ref=told.text("previous_ref"),
            previous_certain=told.flag("previous_certain"),
            memory=Memory.from_json(memory) if memory else None,
            limits=LimitSet.from_json(limits) if limits else None,
            phase1=tuple(_read(point) for point in told.sections("phase1")),
        )

    @classmethod
    def _of_version_1(cls, told: Fields) -> Self:
        subgroup = told.integer("subgroup")
        limits = told.maybe_section("limits")
        values = told.maybe_numbers("open_values")
        return cls(
            characteristic=told.text("characteristic"),
            chart=check_subgroup(told.text("chart"), subgroup),
            subgroup=subgroup,
            subgroup_id=told.integer("subgroup_id"),
            open_readings=tuple(None if value is None else (value,) for value in values),
            open_refs=tuple(told.texts("open_refs")),
            previous=told.maybe_number("previous"),
            previous_ref=told.maybe_text("previous_ref") or "",
            limits=LimitSet.from_json(limits.filled(_LATER_LIMITS)) if limits else None,
        )


_LATER_LIMITS: Final[Mapping[str, object]] = {
    "sigma_z": 1.0,
    "design": None,
    "mean": [],
    "covariance": [],
    "sample_size": None,
    "sbar": None,
}
"""What limits in a state of version 1 do not say."""


def _told(point: PhaseOnePoint) -> dict[str, object]:
    held: dict[str, object] = {"location": point.location, "spread": point.spread, "size": point.size}
    if not point.joined:
        held["joined"] = False
    if point.vector:
        held |= {"vector": list(point.vector), "covariance": [list(row) for row in point.covariance]}
    return held


def _read(told: Fields) -> PhaseOnePoint:
    several = told.has("vector")
    return PhaseOnePoint(
        told.number("location"),
        told.maybe_number("spread"),
        told.number("size"),
        tuple(told.numbers("vector")) if several else (),
        tuple(tuple(row) for row in told.number_lists("covariance")) if several else (),
        not told.has("joined"),
    )


class Fired(NamedTuple):
    """A rule that fired, on which part of the chart, and what made it.

    `points` are the numbers of the subgroups, oldest first, and `members` the references of all their readings.
    (Of points further back than `MEMBERS_MAX` readings the numbers alone are known.)
    """

    rule: Rule
    part: Part
    members: tuple[str, ...]
    points: tuple[int, ...]


class Verdict(NamedTuple):
    """What the chart says about one reading, in the unit of the characteristic.

    Reading `position` of `size` in subgroup `subgroup_id` of `segment`. `statistic` and `range_statistic` are what
    the two charts plot once the subgroup is closed (the first moving range does not exist; a CUSUM: the upper and
    the lower sum). `centre`, `lower` and `upper`, and `range_*`, are the lines in force for that point,
    `limit_version` names them. `sample` is the size of a sample of counts, or the number of readings of a
    subgroup that closed with another one than planned. `members` are the references of the subgroup, once closed.
    """

    characteristic: str
    chart: str
    subgroup_id: int
    position: int
    size: int
    state: VerdictState
    fired: tuple[Fired, ...] = ()
    statistic: float | None = None
    range_statistic: float | None = None
    centre: float | None = None
    lower: float | None = None
    upper: float | None = None
    limit_version: str | None = None
    provisional: bool = False
    members: tuple[str, ...] = ()
    segment: int = 1
    sample: float | None = None
    range_centre: float | None = None
    range_lower: float | None = None
    range_upper: float | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that fired on either part, each once, in the order in which they were found."""
        return tuple(dict.fromkeys(fired.rule.name for fired in self.fired))

    def rules_on(self, part: Part) -> tuple[str, ...]:
        """The names of the rules that fired on one part of the chart."""
        return tuple(fired.rule.name for fired in self.fired if fired.part == part)

    def to_json(self) -> dict[str, object]:
        """JSON-safe."""
        told = self._asdict()
        told["rules"] = list(self.rules)
        told["members"] = list(self.members)
        told["fired"] = [
            {
                "rule": fired.rule.to_json(),
                "part": fired.part,
                "members": list(fired.members),
                "points": list(fired.points),
            }
            for fired in self.fired
        ]
        return told
