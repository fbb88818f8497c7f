"""What a streaming chart is asked to do, what it remembers between points, and what it says.

`ChartPlan` comes from configuration, `ChartState` is committed with each record and read back after a
restart, `Verdict` goes into the record. All three are values: nothing here changes in place.

State is small and bounded: an open subgroup, the previous value, the current run (nine points at most, with
their references) and, in phase I, two running means. It grows neither with time nor with phase I.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, Self

from spc.constants import ConstantSet
from spc.exact import RunningMean
from spc.fields import Fields
from spc.limits import Chart, LimitSet, check_subgroup
from spc.rules import check_rules

__all__ = ["ChartPlan", "ChartState", "Fired", "Part", "Run", "Verdict", "VerdictState"]

Part = Literal["location", "range"]

VerdictState = Literal["in_control", "signal", "collecting", "open", "gap", "no_limits"]
"""``open``: the subgroup is not closed yet. ``gap``: this reading, or the subgroup it closes, is no reading.
``collecting``: phase I still gathers. ``no_limits``: there are none and nobody asked for phase I."""

STATE_VERSION: Final = 1
SUBGROUP_MAX: Final = 25
"""Beyond some ten values the range wastes information, beyond 25 no table has factors for it."""


@dataclass(frozen=True, slots=True)
class ChartPlan:
    """How one characteristic is charted.

    `subgroup` is 1 for imr. With `limits` None and `phase1_subgroups` given, limits are estimated from the
    first that many usable subgroups (values, for imr) with `constants`, then frozen as ``phase1-<n>``.
    Raises ValueError for a plan that contradicts itself.
    """

    characteristic: str
    chart: Chart
    subgroup: int
    rules: tuple[str, ...]
    limits: LimitSet | None = None
    phase1_subgroups: int | None = None
    constants: ConstantSet = "exact"

    def __post_init__(self) -> None:
        check_subgroup(self.chart, self.subgroup)
        check_rules(self.rules)
        if self.subgroup > SUBGROUP_MAX:
            raise ValueError(
                f"{self.characteristic}: subgroups of {self.subgroup} are too large for ranges, "
                f"at most {SUBGROUP_MAX}"
            )
        limits = self.limits
        if limits and (limits.chart, limits.subgroup) != (self.chart, self.subgroup):
            raise ValueError(
                f"{self.characteristic}: limits {limits.version!r} are for {limits.chart} with subgroups "
                f"of {limits.subgroup}, the plan is {self.chart} with {self.subgroup}"
            )
        if self.phase1_subgroups is not None and self.phase1_subgroups < 2:
            raise ValueError(f"{self.characteristic}: phase I needs at least 2 subgroups")


@dataclass(frozen=True, slots=True)
class Run:
    """The points in a row on one side of the centre, judged by the limits `version` with that `centre`.

    `side` is 1 above, -1 below; `refs` holds the references of the last nine points at most, per point.
    """

    side: int
    refs: tuple[tuple[str, ...], ...]
    version: str
    centre: float

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal run back."""
        return {
            "side": self.side,
            "refs": [list(refs) for refs in self.refs],
            "version": self.version,
            "centre": self.centre,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        return cls(
            side=fields.integer("side"),
            refs=tuple(tuple(refs) for refs in fields.text_lists("refs")),
            version=fields.text("version"),
            centre=fields.number("centre"),
        )


@dataclass(frozen=True, slots=True)
class ChartState:
    """All that a chart remembers between two points.

    `subgroup_id` counts subgroups (points, for imr) from 1 and is that of the open one. `limits` are those
    frozen after phase I; `points` and `ranges` gather until then.
    """

    characteristic: str
    chart: Chart
    subgroup: int
    subgroup_id: int = 1
    open_values: tuple[float | None, ...] = ()
    open_refs: tuple[str, ...] = ()
    previous: float | None = None
    previous_ref: str | None = None
    run: Run | None = None
    limits: LimitSet | None = None
    points: RunningMean = field(default_factory=RunningMean)
    ranges: RunningMean = field(default_factory=RunningMean)

    @classmethod
    def start(cls, plan: ChartPlan) -> Self:
        """The state before the first point."""
        return cls(characteristic=plan.characteristic, chart=plan.chart, subgroup=plan.subgroup)

    def fits(self, plan: ChartPlan) -> bool:
        """Whether this state can go on under the plan: same characteristic, chart and subgroup size."""
        mine = (self.characteristic, self.chart, self.subgroup)
        return mine == (plan.characteristic, plan.chart, plan.subgroup)

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal state back, floats to the last bit."""
        return {
            "state_version": STATE_VERSION,
            "characteristic": self.characteristic,
            "chart": self.chart,
            "subgroup": self.subgroup,
            "subgroup_id": self.subgroup_id,
            "open_values": list(self.open_values),
            "open_refs": list(self.open_refs),
            "previous": self.previous,
            "previous_ref": self.previous_ref,
            "run": self.run.to_json() if self.run else None,
            "limits": self.limits.to_json() if self.limits else None,
            "points": self.points.to_json(),
            "ranges": self.ranges.to_json(),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged or the version unknown."""
        fields = Fields(value, "chart state")
        version = fields.integer("state_version")
        if version != STATE_VERSION:
            raise ValueError(f"chart state has version {version}, this build reads {STATE_VERSION}")
        subgroup = fields.integer("subgroup")
        run = fields.maybe_section("run")
        limits = fields.maybe_section("limits")
        return cls(
            characteristic=fields.text("characteristic"),
            chart=check_subgroup(fields.text("chart"), subgroup),
            subgroup=subgroup,
            subgroup_id=fields.integer("subgroup_id"),
            open_values=tuple(fields.maybe_numbers("open_values")),
            open_refs=tuple(fields.texts("open_refs")),
            previous=fields.maybe_number("previous"),
            previous_ref=fields.maybe_text("previous_ref"),
            run=Run.from_json(run) if run else None,
            limits=LimitSet.from_json(limits) if limits else None,
            points=RunningMean.from_json(fields.section("points")),
            ranges=RunningMean.from_json(fields.section("ranges")),
        )


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired, on which part of the chart, and the references of all readings that made it."""

    rule: str
    part: Part
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the chart says about one reading, in the unit of the characteristic.

    Reading `position` of `size` in subgroup `subgroup_id`. `statistic` and `range_statistic` are what the
    two charts plot once the subgroup is closed (the first moving range does not exist). `centre`, `lower`
    and `upper` are the location limits in force, `limit_version` names them. `members` are the references
    of the subgroup, once closed.
    """

    characteristic: str
    chart: Chart
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

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that fired, each once, in the order in which they were found."""
        return tuple(dict.fromkeys(fired.rule for fired in self.fired))

    def to_json(self) -> dict[str, object]:
        """JSON-safe."""
        return {
            "characteristic": self.characteristic,
            "chart": self.chart,
            "subgroup_id": self.subgroup_id,
            "position": self.position,
            "size": self.size,
            "state": self.state,
            "rules": list(self.rules),
            "fired": [
                {"rule": fired.rule, "part": fired.part, "members": list(fired.members)} for fired in self.fired
            ],
            "statistic": self.statistic,
            "range_statistic": self.range_statistic,
            "centre": self.centre,
            "lower": self.lower,
            "upper": self.upper,
            "limit_version": self.limit_version,
            "provisional": self.provisional,
            "members": list(self.members),
        }
