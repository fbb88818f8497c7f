"""What a line engineer writes about a characteristic and its chart (pydantic models of the line's YAML)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from edge_agent.chart_parts import (
    ChartName,
    DesignSettings,
    ForKey,
    FromTag,
    Limits,
    Part,
    RuleSetting,
    Specification,
    Subgroup,
    TextOrTag,
)
from edge_agent.reaction_settings import Reactions, check_reactions
from records.yaml import Settings, fault

if TYPE_CHECKING:
    from spc.limits import LimitSet
    from spc.state import ChartPlan

VECTORS = ("t2_subgroup", "t2_individuals", "mewma")
COUNTS = ("p", "np", "c", "u", "laney_p", "laney_u")
SHORT_RUNS = ("imr", "xbar_r", "xbar_s", "ewma", "cusum")
DESIGNS = {
    "ewma": ("lam", "width", "exact", "start"),
    "cusum": ("k", "h", "headstart", "resets"),
    "mewma": ("lam", "h4"),
}
"""Which keys of ``design`` belong to which chart."""
ONE_POINT_ONLY = ("ewma", "cusum", *VECTORS)
"""Charts whose points depend on each other, or have no sides: they know only their limits."""
SPREADS = ("imr", "xbar_r", "xbar_s", "cusum")
"""Charts with a second one: of the spread; a cusum has that of its lower sum."""


class CharacteristicSettings(Settings):
    """A measured property: its tag, specification and control chart (``chart`` absent: no chart)."""

    tag: str | None = None
    """The tag with the value; a station must capture it."""
    tags: tuple[str, ...] = ()
    """Of a chart of several variables: their tags, all captured by one station."""
    size: str | None = None
    """Of a p, np, u or Laney's chart: the tag with the size of the sample; 1 a run when left out."""
    position: TextOrTag | None = None
    """The cavity or head that is measured."""
    chart: ChartName | None = None
    """The control chart; none when left out."""
    subgroup: Annotated[int, Field(ge=1)] | Subgroup = 1
    """How many readings a plotted point has, or what closes it."""
    rules: tuple[RuleSetting, ...] = ("nelson1",)
    """What is a signal."""
    constants: Literal["exact", "textbook"] = "exact"
    """The factors that limits are made with."""
    design: DesignSettings | None = None
    """Of an ewma, cusum or mewma."""
    short_run: Literal["deviation", "z"] | None = None
    """Small lots of many products on one chart: what is charted is the deviation from the specification's target,
    with ``z`` divided by the recipe's sigma."""
    by: tuple[Part, ...] = ("product", "revision", "tool", "position")
    """What tells one chart of this characteristic from another."""
    limits: Limits | None = None
    """Where the chart's limits come from, where central has none for it."""
    specification: Specification | None = None
    """What the order's recipe does not say."""
    for_: tuple[ForKey, ...] = Field(default=(), alias="for")
    """Limits and specifications of single products, revisions, tools or positions."""
    reactions: Reactions = Field(default_factory=dict)
    """What follows a signal, by rule; ``default`` for rules without an entry of their own, a note without one."""

    @model_validator(mode="after")
    def _whole(self) -> CharacteristicSettings:
        wrong = [fault(message, at=at, hint=hint) for at, message, hint in _contradictions(self)]
        if wrong:  # all of them at once
            details = [InitErrorDetails(type=one, loc=(), input=None) for one in wrong]
            raise ValidationError.from_exception_data(type(self).__name__, details)
        check_reactions(self.reactions, self.rule_names() if self.chart else (), self.chart in SPREADS)
        return self

    def sources(self) -> tuple[str, ...]:
        """The tags with its values."""
        return self.tags or ((self.tag,) if self.tag is not None else ())

    def read(self) -> tuple[str, ...]:
        """Every tag that a reading of it needs."""
        position = self.position.tag if isinstance(self.position, FromTag) else None
        return tuple(tag for tag in (*self.sources(), self.size, position) if tag is not None)

    @property
    def after_s(self) -> float | None:
        """After which time an open subgroup is closed."""
        return self.subgroup.after if isinstance(self.subgroup, Subgroup) else None

    @property
    def by_lot(self) -> bool:
        """Whether the end of a lot closes an open subgroup."""
        return isinstance(self.subgroup, Subgroup) and self.subgroup.lot

    def rule_names(self) -> tuple[str, ...]:
        return tuple(rule if isinstance(rule, str) else next(iter(rule)) for rule in self.rules)

    def plan(self, name: str) -> ChartPlan | None:
        """The plan by its own ``limits``, None where there is no chart. ValueError for a contradiction in it."""
        if self.chart is None:
            return None
        from spc.selection import ChartKey, choose  # numpy is loaded only where there is a chart

        told = self.model_dump(mode="json", by_alias=True)
        return choose(name, told | {"for": []}, ChartKey()).plan


# -- contradictions ----------------------------------------------------------------------------------------

Place = tuple[str | int, ...]
Wrong = tuple[Place, str, str | None]
"""Where, what, and what to do about it."""


def _contradictions(told: CharacteristicSettings) -> Iterator[Wrong]:
    """What the keys say wrong of each other."""
    if told.chart is None:
        yield from (*_tags(told), *_without_chart(told))
        return
    chart = told.chart
    found = [*_tags(told), *_subgroup(told, chart), *_rules(told, chart), *_design(told, chart), *_keys(told)]
    yield from found or _plans(told)  # what the chart says of the same key would be said twice


def _tags(told: CharacteristicSettings) -> Iterator[Wrong]:
    if (told.tag is None) == (not told.tags):
        yield (("tag",), "give either tag or, for a chart of several variables, tags", None)
    several = told.chart in VECTORS
    if told.tags and not several:
        yield (("tags",), "several tags are for " + ", ".join(VECTORS), "give tag, or one of these charts")
    elif several and len(told.tags) < 2:
        yield (
            ("chart",),
            f"a chart of kind {told.chart} has several variables",
            "tags: [press.force, press.depth]",
        )
    for n, tag in enumerate(told.tags):
        if tag in told.tags[:n]:
            yield (("tags", n), f"{tag} stands here twice", None)
    if told.size is not None and (told.chart not in COUNTS or told.chart == "c"):
        sized = ", ".join(chart for chart in COUNTS if chart != "c")
        hint = "chart: u, for samples that differ in size; or take it out" if told.chart == "c" else "take it out"
        yield (("size",), f"the size of a sample is for charts of counts: {sized}", hint)
    if told.tags and (told.specification or any(entry.specification for entry in told.for_)):
        at: Place = ("specification",) if told.specification else ("for",)
        yield (at, "a specification is for one variable", "give each variable a characteristic of its own too")


def _without_chart(told: CharacteristicSettings) -> Iterator[Wrong]:
    for key in ("limits", "design", "short_run", "rules", "subgroup", "constants"):
        if key in told.model_fields_set and getattr(told, key) is not None:
            yield ((key,), f"{key} without a chart: say which chart they belong to", "chart: imr")
    for n, entry in enumerate(told.for_):
        if entry.limits is not None:
            yield (("for", n, "limits"), "limits without a chart: say which chart they belong to", "chart: imr")


def _subgroup(told: CharacteristicSettings, chart: str) -> Iterator[Wrong]:
    if not isinstance(told.subgroup, Subgroup):
        return
    early = "after" if told.subgroup.after is not None else "lot" if told.subgroup.lot else None
    if early is None:
        return
    if chart in ("imr", "t", "t2_individuals", "mewma"):
        yield (("subgroup",), f"a chart of kind {chart} plots single readings: nothing is open", "take it out")
    elif chart in ("np", "c"):
        instead = "p" if chart == "np" else "u"
        message = f"a chart of kind {chart} has samples of one size, which `{early}` does not keep to"
        yield (("subgroup", early), message, f"chart: {instead}, or close it by runs alone")
    elif chart not in COUNTS and told.subgroup.runs is None:
        message = f"the limits of a chart of kind {chart} are for a number of readings"
        yield (("subgroup",), message, f"say how many are usual: {{runs: 5, {early}: …}}")


def _rules(told: CharacteristicSettings, chart: str) -> Iterator[Wrong]:
    if not told.rules:
        yield (("rules",), "a chart without a rule never signals", "rules: [nelson1]")
    names = told.rule_names()
    for n, name in enumerate(names):
        if name in names[:n]:
            yield (("rules", n), f"{name} stands here twice", None)
        elif chart in ONE_POINT_ONLY and name not in ("nelson1", "western1"):
            message = f"{name} looks at several points, which on a chart of kind {chart} are no evidence apart"
            yield (("rules", n), message, "nelson1 or western1: one point beyond its limit")
    from spc.rules import Rule

    for n, rule in enumerate(told.rules):
        if not isinstance(rule, str):
            try:
                Rule.read({name: part.model_dump(exclude_none=True) for name, part in rule.items()})
            except ValueError as error:
                yield (("rules", n), str(error), None)


def _design(told: CharacteristicSettings, chart: str) -> Iterator[Wrong]:
    known = DESIGNS.get(chart, ())
    for key in told.design.model_fields_set if told.design else ():
        if key not in known:
            said = f"give {', '.join(known)}" if known else "take the design out"
            yield (("design", key), f"{key} says nothing on a chart of kind {chart}", said)
    if told.design is not None and chart == "cusum":
        h, headstart = (5.0 if told.design.h is None else told.design.h), told.design.headstart or 0.0
        if headstart >= h:
            yield (("design", "headstart"), f"the sums would begin at or above their limit h, {h:g}", "below h")
    if chart == "mewma" and (told.design is None or told.design.h4 is None):
        yield (("design",), "a mewma chart needs h4, its decision interval", "design: {lam: 0.1, h4: 8.66}")
    if told.short_run is not None and chart not in SHORT_RUNS:
        yield (("short_run",), "short runs are for " + ", ".join(SHORT_RUNS), "take it out")


def _keys(told: CharacteristicSettings) -> Iterator[Wrong]:
    for n, part in enumerate(told.by):
        if part in told.by[:n]:
            yield (("by", n), f"{part} stands here twice", None)
        elif told.short_run is not None and "by" in told.model_fields_set and part in ("product", "revision"):
            message = "a short-run chart goes on over products and revisions"
            yield (("by", n), message, "by: [tool, position]")
    used = [part for part in told.by if told.short_run is None or part in ("tool", "position")]
    seen: list[dict[str, str]] = []
    for n, entry in enumerate(told.for_):
        unused = next((part for part in entry.parts if part not in used), None)
        if entry.limits is not None and unused is not None:
            message = f"charts of this characteristic are not told apart by {unused}"
            yield (("for", n, unused), message, "add it to by, or take it out")
        if entry.position is not None and told.position in (None, *_other(told.position, entry.position)):
            yield (("for", n, "position"), "this characteristic is never measured at that position", None)
        if entry.parts in seen:
            yield (("for", n), "stands here twice: the earlier entry would never count", None)
        seen.append(entry.parts)


def _other(position: object, wanted: str) -> tuple[object, ...]:
    """The characteristic's position, where it is a text and another one."""
    return (position,) if isinstance(position, str) and position != wanted else ()


def _plans(told: CharacteristicSettings) -> Iterator[Wrong]:
    """Limits that do not suit the chart; and whatever the chart itself says is impossible."""
    try:
        told.model_copy(update={"limits": None, "for_": ()}).plan("characteristic")
    except ValueError as error:
        yield (("subgroup",), _plain(error), None)
        return
    places: list[tuple[Place, Limits | None]] = [(("limits",), told.limits)]
    places += [(("for", n, "limits"), entry.limits) for n, entry in enumerate(told.for_)]
    for at, limits in places:
        if limits is None:
            continue
        try:
            plan = told.model_copy(update={"limits": limits, "for_": ()}).plan("characteristic")
        except ValueError as error:
            yield ((*at, "fixed") if limits.fixed else at, _plain(error), None)
            continue
        if plan is not None and plan.limits is not None:
            for below, message, hint in _misfits(told, plan.limits):
                yield (*at, "fixed", *below), message, hint


def _misfits(told: CharacteristicSettings, limits: LimitSet) -> Iterator[Wrong]:
    """Limits that are whole in themselves, and by which no reading of this characteristic could be judged."""
    if told.tags and len(limits.mean) != len(told.tags):
        message = f"limits of {len(limits.mean)} variables, and {len(told.tags)} tags are measured"
        yield (("mean",), message, "one mean for each tag, in the order of tags")
    if told.chart != "np":
        return
    runs = told.subgroup if isinstance(told.subgroup, int) else told.subgroup.runs or 1
    if limits.nominal_size % 1:
        yield (("sample",), f"a sample has a whole number of units, not {limits.nominal_size:g}", None)
    elif told.size is None and limits.nominal_size != runs:
        message = f"without `size` each run is a sample of 1: a point has {runs}, never {limits.nominal_size:g}"
        yield (("sample",), message, "size: the tag with the size of the sample")


def _plain(error: ValueError) -> str:
    return str(error).removeprefix("characteristic: ")
