"""What a streaming chart is asked to do: its plan, from configuration and documents, and the readings it takes."""

from dataclasses import dataclass, field
from typing import Final, Self

from spc.constants import ConstantSet
from spc.limits import ATTRIBUTES, Chart, Design, LimitSet, Lines, check_subgroup
from spc.rules import LONGEST_WINDOW, Rule, check_rules, limit_rule
from spc.windows import Step, compiled, longest

__all__ = [
    "MEMBERS_MAX",
    "PHASE1_MAX",
    "SAMPLES_MAX",
    "SUBGROUP_MAX",
    "ChartPlan",
    "Nominal",
    "Sample",
    "most_readings",
]

SUBGROUP_MAX: Final = 25
"""Readings of measured values a point; beyond it no table has factors for the range, and a mean hides too much."""
SAMPLES_MAX: Final = 500
"""Samples whose counts are summed to one point."""
PHASE1_MAX: Final = 500
"""Points; they are in the state until the limits are made."""
MEMBERS_MAX: Final = 500
"""References kept of points before the present one; the oldest points give theirs up first."""

RUN_RULES: Final = frozenset({"imr", "xbar_r", "xbar_s", "t"}) | ATTRIBUTES
"""Charts of independent points, to which rules of several points apply; the others know only their limits."""
SHORT_RUNS: Final = frozenset({"imr", "xbar_r", "xbar_s", "ewma", "cusum"})


def most_readings(chart: str) -> int:
    """How many readings one point of such a chart may have: the bound of what is closed by time or lot."""
    return SAMPLES_MAX if chart in ATTRIBUTES else SUBGROUP_MAX


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a run, as a chart takes it.

    `values` holds one value, or one per variable; None, NaN and infinite are a gap. `size` is that of the sample
    whose count the value is (units, area). A reading that is not `certain` is judged but makes no limits.
    """

    values: tuple[float | None, ...]
    size: float = 1.0
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Nominal:
    """Short runs: what is charted is the deviation from `value`, divided by `sigma` where that is given (Z)."""

    value: float
    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and not self.sigma > 0:
            raise ValueError(f"the sigma of a part must be above 0, got {self.sigma}")


@dataclass(frozen=True, slots=True)
class ChartPlan:
    """How one characteristic is charted.

    `subgroup` readings make a point; counts and sizes of charts of counts are summed over them. With `limits` None
    and `phase1_subgroups` given, limits are estimated from the first that many usable points with `constants` and
    `design`, then frozen as ``phase1-<n>``. Raises ValueError for a plan that contradicts itself.
    """

    characteristic: str
    chart: Chart
    subgroup: int
    rules: tuple[Rule, ...]
    limits: LimitSet | None = None
    phase1_subgroups: int | None = None
    constants: ConstantSet = "exact"
    design: Design | None = None
    nominal: Nominal | None = None
    watch: "Watch" = field(init=False, repr=False, compare=False)
    own_lines: Lines | None = field(init=False, repr=False, compare=False)
    """The lines of a point of the nominal size, where all such points have the same: worked out once."""
    own_spread: Lines | None = field(init=False, repr=False, compare=False)
    """And those of its spread."""

    def __post_init__(self) -> None:
        check_subgroup(self.chart, self.subgroup)
        rules = check_rules(self.rules)
        most = most_readings(self.chart)
        if self.subgroup > most:
            raise ValueError(
                f"{self.characteristic}: subgroups of {self.subgroup} are too large for {self.chart}, "
                f"at most {most}"
            )
        self._check_limits()
        if self.phase1_subgroups is not None and not 2 <= self.phase1_subgroups <= PHASE1_MAX:
            raise ValueError(f"{self.characteristic}: phase I needs at least 2 subgroups, at most {PHASE1_MAX}")
        weighs = self.chart in ("ewma", "cusum", "mewma")
        if self.design is not None and not weighs:
            raise ValueError(
                f"{self.characteristic}: a design belongs to ewma, cusum and mewma, not to {self.chart}"
            )
        if weighs and self.design is None:
            object.__setattr__(self, "design", self.limits.design if self.limits else Design())
        if self.nominal is not None and self.chart not in SHORT_RUNS:
            raise ValueError(f"{self.characteristic}: a chart of kind {self.chart} has no short runs")
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "watch", Watch.of(self.chart, self.subgroup, rules, self.limits))
        limits = self.limits if self.chart in RUN_RULES else None
        object.__setattr__(self, "own_lines", None if limits is None else limits.at(limits.nominal_size))
        object.__setattr__(self, "own_spread", None if limits is None else limits.spread_at(limits.subgroup))

    def _check_limits(self) -> None:
        limits = self.limits
        if limits is None:
            return
        # the limits of counts are for a size of samples, not for a number of readings
        if limits.chart != self.chart or (self.chart not in ATTRIBUTES and limits.subgroup != self.subgroup):
            raise ValueError(
                f"{self.characteristic}: limits {limits.version!r} are for {limits.chart} with subgroups "
                f"of {limits.subgroup}, the plan is {self.chart} with {self.subgroup}"
            )


@dataclass(frozen=True, slots=True)
class Watch:
    """What a plan's rules come to, worked out once.

    `rules` apply to what the upper chart plots, `steps` are the same as functions, `key` the same as text, or the
    design of the limits: a memory made by another is not gone on with. A point beyond the limit of a spread or of
    a sum is reported as `at_limit`. A signal may name `before` points before the present one; `small`: their
    references are so few that all are kept.
    """

    rules: tuple[Rule, ...]
    steps: tuple[Step, ...]
    key: str
    at_limit: Rule | None
    before: int
    small: bool

    @classmethod
    def of(cls, chart: Chart, subgroup: int, rules: tuple[Rule, ...], limits: LimitSet | None) -> Self:
        watched = rules if chart in RUN_RULES else ()
        key = " ".join(f"{rule.name}({rule.points}/{rule.window},{rule.sigmas})" for rule in watched)
        if limits is not None and limits.design is not None:
            key = repr(limits.design)
        # a CUSUM names the points since the change, as far back as any rule may look
        before = (LONGEST_WINDOW if chart == "cusum" else longest(watched)) - 1
        return cls(watched, compiled(watched), key, limit_rule(rules), before, before * subgroup <= MEMBERS_MAX)
