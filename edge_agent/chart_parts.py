"""The parts of what a line engineer writes about a chart: rules, subgroup, design, limits, specification, keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from records.yaml import Duration, Settings, did_you_mean, fault

ChartName = Literal[
    "imr",
    "xbar_r",
    "xbar_s",
    "p",
    "np",
    "c",
    "u",
    "laney_p",
    "laney_u",
    "t",
    "ewma",
    "cusum",
    "t2_subgroup",
    "t2_individuals",
    "mewma",
]
"""As ``spc.limits.Chart``, which is not loaded where no chart is asked for."""

RuleName = Literal[
    "nelson1",
    "nelson2",
    "nelson3",
    "nelson4",
    "nelson5",
    "nelson6",
    "nelson7",
    "nelson8",
    "western1",
    "western2",
    "western3",
    "western4",
]
RULE_NAMES: tuple[str, ...] = get_args(RuleName)

Part = Literal["product", "revision", "tool", "position"]


class FromTag(Settings):
    """What the machine tells at each run."""

    tag: str
    """The tag; a station must capture it."""


TextOrTag = Annotated[str, Field(min_length=1)] | FromTag
"""A text that stays as it is, or what a tag says at each run."""


class RuleParameters(Settings):
    """What differs from the rule's usual parameters."""

    points: Annotated[int, Field(ge=1)] | None = None
    """How many points of the window must show the pattern."""
    window: Annotated[int, Field(ge=1)] | None = None
    """How many consecutive points are looked at."""
    sigmas: Annotated[float, Field(gt=0)] | None = None
    """The distance from the centre that the pattern speaks of."""


def _rule(value: object) -> object:
    """Say in one sentence what is wrong with a rule, not once for each form that a rule may have."""
    name: object = value
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise fault("a rule is a name, or one name with its parameters", hint="{nelson2: {window: 8}}")
        name = next(iter(value))
    if name not in RULE_NAMES:
        hint = did_you_mean(str(name), RULE_NAMES) or f"known here: {', '.join(RULE_NAMES)}"
        raise fault(f"there is no rule {name!r}", hint=hint)
    return value


RuleSetting = Annotated[RuleName | dict[RuleName, RuleParameters], BeforeValidator(_rule)]


class Subgroup(Settings):
    """When a point is complete: by the number of readings, by time, or when the lot ends; whichever is first."""

    runs: Annotated[int, Field(ge=1)] | None = None
    """How many readings a point has."""
    after: Annotated[Duration, Field(gt=0)] | None = None
    """How long a point may stay open, from its first reading on."""
    lot: bool = False
    """Whether the end of an order's lot closes it."""

    @model_validator(mode="after")
    def _said(self) -> Subgroup:
        if self.runs is None and self.after is None and not self.lot:
            raise ValueError("nothing closes the subgroup: give runs, after, or lot: true")
        return self


class DesignSettings(Settings):
    """What is chosen for a chart that weighs its past."""

    lam: Annotated[float, Field(gt=0, le=1)] | None = None
    """ewma, mewma: the weight of the newest point; 0.2 when left out."""
    width: Annotated[float, Field(gt=0)] | None = None
    """ewma: where the limits are, in sigmas; 3 when left out."""
    exact: bool | None = None
    """ewma: limits for each point, or those that they widen to; true when left out."""
    start: float | None = None
    """ewma: what stands before the first point; the centre when left out."""
    k: Annotated[float, Field(ge=0)] | None = None
    """cusum: the reference value, half the shift that is looked for, in sigmas; 0.5 when left out."""
    h: Annotated[float, Field(gt=0)] | None = None
    """cusum: the decision interval, in sigmas; 5 when left out."""
    headstart: Annotated[float, Field(ge=0)] | None = None
    """cusum: where both sums begin, below h; 0 when left out."""
    resets: bool | None = None
    """cusum: whether the sums begin anew after a signal; false when left out."""
    h4: Annotated[float, Field(gt=0)] | None = None
    """mewma: the decision interval."""


class FixedLimits(Settings):
    """Limits that somebody decided on. What has to be given depends on the chart."""

    version: Annotated[str, Field(min_length=1)]
    """The name under which these limits were approved."""
    centre: float | None = None
    """The centre line: imr, xbar_r, xbar_s, t; p, u, Laney's: the proportion or rate; np, c: the mean count."""
    lower: float | None = None
    """The lower control limit: imr, xbar_r, xbar_s."""
    upper: float | None = None
    """The upper control limit: imr, xbar_r, xbar_s, t; of t2 charts that of T squared."""
    target: float | None = None
    """ewma, cusum: where the process should be."""
    sigma: float | None = None
    """ewma, cusum: the standard deviation of one value."""
    sigma_z: float | None = None
    """laney_p, laney_u: by how much samples vary more than chance alone would have them."""
    sample: float | None = None
    """np: the size of every sample."""
    mean: tuple[float, ...] | None = None
    """t2 charts and mewma: the mean of each variable."""
    covariance: tuple[tuple[float, ...], ...] | None = None
    """t2 charts and mewma: the covariance of one reading, row by row."""


class Limits(Settings):
    """``fixed`` limits, or ``from: phase1`` over the first ``subgroups``."""

    fixed: FixedLimits | None = None
    """Limits that are given."""
    from_: Literal["phase1"] | None = Field(default=None, alias="from")
    """Limits from the first subgroups of this agent."""
    subgroups: Annotated[int, Field(ge=2, le=500)] = 25
    """How many subgroups phase 1 has."""

    @model_validator(mode="after")
    def _one(self) -> Limits:
        if (self.fixed is None) == (self.from_ is None):
            raise ValueError("give either fixed or from: phase1")
        if self.fixed is not None and "subgroups" in self.model_fields_set:
            raise fault(
                "fixed limits have no phase 1", at=("subgroups",), hint="take it out, or give from: phase1"
            )
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
        low, high = (limit if limit is not None else self.target for limit in (self.lsl, self.usl))
        if self.target is not None and low is not None and high is not None and not low <= self.target <= high:
            raise fault(f"the target {self.target:g} is itself out of specification", at=("target",))
        return self


class ForKey(Settings):
    """What holds for some products, revisions, tools or positions only; the entry with most of them wins."""

    product: Annotated[str, Field(min_length=1)] | None = None
    """The product, as the ERP calls it."""
    revision: Annotated[str, Field(min_length=1)] | None = None
    """Its revision."""
    tool: Annotated[str, Field(min_length=1)] | None = None
    """The tool in the machine."""
    position: Annotated[str, Field(min_length=1)] | None = None
    """The cavity or head."""
    limits: Limits | None = None
    """Their limits."""
    specification: Specification | None = None
    """Their specification, where the order's recipe says none."""

    @model_validator(mode="after")
    def _said(self) -> ForKey:
        if not self.parts:
            raise ValueError("for what? give product, revision, tool or position")
        if self.limits is None and self.specification is None:
            raise ValueError("give limits or a specification")
        return self

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the key that it names."""
        told = ((part, getattr(self, part)) for part in ("product", "revision", "tool", "position"))
        return {part: value for part, value in told if value is not None}
