"""What a line engineer writes about a characteristic and its chart (pydantic models of the line's YAML)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from edge_agent.reaction_settings import Reactions, check_reactions
from records.yaml import Settings

if TYPE_CHECKING:
    from spc.state import ChartPlan


class FixedLimits(Settings):
    centre: float
    """The centre line."""
    lower: float
    """The lower control limit."""
    upper: float
    """The upper control limit."""
    version: str
    """The name under which these limits were approved."""


class Limits(Settings):
    """``fixed`` limits of the plotted statistic, or ``from: phase1`` over the first ``subgroups``."""

    fixed: FixedLimits | None = None
    """Limits that are given."""
    from_: Literal["phase1"] | None = Field(default=None, alias="from")
    """Limits from the first subgroups of this agent."""
    subgroups: Annotated[int, Field(ge=2)] = 25
    """How many subgroups phase 1 has."""

    @model_validator(mode="after")
    def _one(self) -> Limits:
        if (self.fixed is None) == (self.from_ is None):
            raise ValueError("give either fixed or from: phase1")
        return self


class Specification(Settings):
    lsl: float | None = None
    """Lower specification limit."""
    usl: float | None = None
    """Upper specification limit."""
    target: float | None = None
    """The target."""

    @model_validator(mode="after")
    def _ordered(self) -> Specification:
        if self.lsl is None and self.usl is None:
            raise ValueError("give lsl or usl or both")
        if self.lsl is not None and self.usl is not None and self.lsl >= self.usl:
            raise ValueError("lsl must be below usl")
        return self


class CharacteristicSettings(Settings):
    """A measured property: its tag, specification and control chart (``chart`` absent: no chart)."""

    tag: str
    """The tag with the value; a station must capture it."""
    chart: Literal["imr", "xbar_r"] | None = None
    """The control chart; none when left out."""
    subgroup: Annotated[int, Field(ge=1)] = 1
    """How many runs a plotted point has."""
    rules: tuple[Literal["nelson1", "nelson2"], ...] = ("nelson1",)
    """What is a signal."""
    limits: Limits | None = None
    """Where the chart's limits come from."""
    specification: Specification | None = None
    """What the order's recipe does not say."""
    reactions: Reactions = Field(default_factory=dict)
    """What follows a signal, by rule; ``default`` for rules without an entry of their own, a note without one."""

    @model_validator(mode="after")
    def _chart(self) -> CharacteristicSettings:
        if self.chart is None and self.limits is not None:
            raise ValueError("limits without a chart: say which chart they belong to")
        if self.chart is not None:
            self.plan("characteristic")
        check_reactions(self.reactions, self.rules if self.chart else ())
        return self

    def plan(self, name: str) -> ChartPlan | None:
        """The chart's plan, None where there is no chart. ValueError when its parts contradict each other."""
        if self.chart is None:
            return None
        from spc.limits import LimitSet  # numpy is loaded only where there is a chart
        from spc.rules import check_rules
        from spc.state import ChartPlan

        fixed = self.limits.fixed if self.limits else None
        limits = None
        if fixed is not None:
            limits = LimitSet.fixed(
                self.chart, fixed.centre, fixed.lower, fixed.upper, fixed.version, subgroup=self.subgroup
            )
        phase1 = self.limits.subgroups if self.limits and self.limits.from_ else None
        return ChartPlan(name, self.chart, self.subgroup, check_rules(self.rules), limits, phase1)
