"""Which chart a reading belongs to, by which limits it is judged, and which specification holds for it.

Pure, and the same on the line and where verdicts are recomputed. Everything comes in as plain JSON mappings: the
characteristic as the line's configuration holds it, the recipe and the limit sets as central's documents do.

Precedence of limits: a set of central for this very key, then the entries of ``for:`` that match it (most fields
wins, then the later one), then ``limits:`` of the characteristic. Of the specification: the recipe, then
``for:``, then ``specification:``. Limits of another key are never taken: where some key has limits and this one
has none, there are none, and `Chosen.missing` says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal, Self
from urllib.parse import parse_qsl, quote

from spc.constants import ConstantSet
from spc.fields import Fields
from spc.fixed import fixed
from spc.limits import VECTORS, Chart, Design, LimitSet, check_subgroup
from spc.plan import ChartPlan, Nominal, most_readings
from spc.rules import Rule, check_rules

__all__ = [
    "PARTS",
    "ChartKey",
    "Chosen",
    "Part",
    "SpecificationSource",
    "choose",
    "fixed_limits",
    "parts_in_use",
    "rules_of",
]

Part = Literal["product", "revision", "tool", "position"]
PARTS: Final[tuple[Part, ...]] = ("product", "revision", "tool", "position")
SpecificationSource = Literal["recipe", "line", "none"]

WEIGHING: Final = ("ewma", "cusum", "mewma")

_Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ChartKey:
    """What tells one chart of a characteristic from another; None: not known, or not used."""

    product: str | None = None
    revision: str | None = None
    tool: str | None = None
    position: str | None = None

    @property
    def text(self) -> str:
        """As a query string: ``product=VS-100&revision=C``; empty where nothing is known."""
        told = ((part, getattr(self, part)) for part in PARTS)
        return "&".join(f"{part}={quote(value, safe='')}" for part, value in told if value is not None)

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` wrote; ValueError for another text."""
        told = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict") if text else []
        known = {field.name for field in fields(cls)}
        if len({name for name, _ in told}) != len(told) or not all(name in known for name, _ in told):
            raise ValueError(f"{text!r} names no chart: {', '.join(PARTS)} may stand there, each once")
        return cls(**dict(told))

    def only(self, parts: Sequence[str]) -> "ChartKey":
        """The key with these parts and no other."""
        return ChartKey(**{part: getattr(self, part) for part in PARTS if part in parts})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The answer for one reading.

    `plan` is None where nothing is charted. `key` holds the parts that tell this characteristic's charts apart.
    `source` says where the limits are from: ``limit-set:<id>:<version>``, ``line`` (fixed, or phase I), ``none``.
    `missing`: there are limits for other keys and none that can be used for this one. `plottable` is False where a
    short-run chart has no target (or sigma) to hold the reading against. `until_us` is when a set of limits that
    is approved already will come into effect. `unsuited` names the approved set of this key that is for another
    kind of chart, subgroup or number of variables, and judges nothing.
    """

    plan: ChartPlan | None
    key: ChartKey
    specification: _Json | None
    specification_source: SpecificationSource
    source: str
    missing: bool = False
    plottable: bool = True
    until_us: int | None = None
    unsuited: str | None = None


def parts_in_use(settings: _Json) -> tuple[str, ...]:
    """What tells the charts of a characteristic apart; a short-run chart goes on over products and revisions."""
    by = settings.get("by")
    told = PARTS if by is None else tuple(part for part in PARTS if part in _list(by))
    return tuple(part for part in told if part in ("tool", "position")) if settings.get("short_run") else told


def choose(
    name: str,
    settings: _Json,
    key: ChartKey,
    recipe: _Json | None = None,
    limit_sets: Sequence[_Json] | None = None,
    at_us: int | None = None,
    line: str | None = None,
) -> Chosen:
    """Plan, key and specification for a reading of characteristic `name` made at `at_us` (None: any time).

    `key` is complete, `settings` one characteristic of the configuration as JSON. `recipe` is the content of the
    document ``recipe`` of the order's product, `limit_sets` the ``sets`` of the document ``limit-sets`` of the
    characteristic, None where there is no such document; of these, sets of another `line` do not count. A set that
    does not suit the chart is as good as none. Raises ValueError for content that cannot be meant.
    """
    entries = [_object(entry) for entry in _list(settings.get("for") or [])]
    from_recipe = _recipe_entry(name, recipe, key)
    specification, from_where = _specification(settings, entries, from_recipe, key)
    used = key.only(parts_in_use(settings))
    if settings.get("chart") is None:
        return Chosen(None, used, specification, from_where, "none")
    own = None if limit_sets is None else [one for one in limit_sets if one.get("line") in (None, line)]
    approved, until_us = _approved(own or (), used, at_us)
    nominal, plottable = _nominal(settings, specification, from_recipe)
    unsuited: str | None = None
    if approved is not None:
        source = f"limit-set:{approved.get('id')}:{approved.get('version')}"
        limits: LimitSet | None = LimitSet.from_json(Fields(approved.get("limits"), "limits"))
        unsuited = None if _suits(settings, limits) else source
        if unsuited is not None:
            limits, source = None, "none"
        plan = plan_of(name, settings, limits, None, nominal)
    else:
        fallback, phase1 = _of_line(settings, entries, key)
        source = "none" if fallback is None and phase1 is None else "line"
        plan = plan_of(name, settings, fallback, phase1, nominal)
    elsewhere = bool(own) or any(entry.get("limits") for entry in entries)
    missing = source == "none" and elsewhere
    return Chosen(plan, used, specification, from_where, source, missing, plottable, until_us, unsuited)


def _suits(settings: _Json, limits: LimitSet | None) -> bool:
    """Whether limits are for the characteristic's kind of chart, its subgroup and its variables."""
    chart, readings = _chart(settings)
    if limits is None or not limits.suits(chart, readings):
        return False
    return chart not in VECTORS or len(limits.mean) == len(_list(settings.get("tags") or []))


def _nominal(
    settings: _Json, specification: _Json | None, from_recipe: _Json | None
) -> tuple[Nominal | None, bool]:
    """What a short-run chart holds its readings against, and whether a reading can be plotted at all."""
    how = settings.get("short_run")
    if how is None:
        return None, True
    target = Fields(specification or {"target": None}, "specification").maybe_number("target")
    sigma = Fields({"sigma": None, **(from_recipe or {})}, "recipe").maybe_number("sigma") if how == "z" else None
    if target is None or (how == "z" and sigma is None):
        return None, False
    return Nominal(target, sigma), True


def plan_of(
    name: str, settings: _Json, limits: LimitSet | None, phase1: int | None, nominal: Nominal | None = None
) -> ChartPlan:
    """The chart's plan with these limits; ValueError when its parts contradict each other."""
    chart, readings = _chart(settings)
    design = _design(chart, settings)
    return ChartPlan(
        name, chart, readings, rules_of(settings), limits, phase1, _constants(settings), design, nominal
    )


def rules_of(settings: _Json) -> tuple[Rule, ...]:
    """The rules of a characteristic as its configuration holds it; ValueError for what is no rule."""
    told = settings.get("rules")
    return check_rules(_rule(rule) for rule in _list(told or []))


def fixed_limits(settings: _Json, told: _Json) -> LimitSet:
    """``limits: {fixed: …}`` of a characteristic; ValueError says what does not suit its chart."""
    chart, readings = _chart(settings)
    design = _design(chart, settings)
    return fixed(chart, told, subgroup=readings, constants=_constants(settings), design=design)


def _chart(settings: _Json) -> tuple[Chart, int]:
    """The kind of chart, and the nominal number of readings of a point."""
    subgroup = settings.get("subgroup", 1)
    if isinstance(subgroup, Mapping):
        subgroup = subgroup.get("runs") or most_readings(str(settings.get("chart")))
    if not isinstance(subgroup, int):
        raise ValueError(f"a subgroup is a number of readings, not {subgroup!r}")
    return check_subgroup(str(settings.get("chart")), subgroup), subgroup


def _rule(told: object) -> Rule:
    """A rule of the configuration, whose parameters may be null for what does not differ."""
    if not isinstance(told, Mapping):
        return Rule.read(told)
    rules = {
        name: {key: value for key, value in _object(own).items() if value is not None}
        for name, own in told.items()
    }
    return Rule.read(rules)


def _design(chart: Chart, settings: _Json) -> Design | None:
    if chart not in WEIGHING:
        return None
    told = _object(settings.get("design") or {})
    return Design.from_json(
        Fields(Design().to_json() | {k: v for k, v in told.items() if v is not None}, "design")
    )


def _constants(settings: _Json) -> ConstantSet:
    return "textbook" if settings.get("constants") == "textbook" else "exact"


def _of_line(settings: _Json, entries: Sequence[_Json], key: ChartKey) -> tuple[LimitSet | None, int | None]:
    """The limits that the line itself gives, or how many points phase I has; neither where it says nothing."""
    entry = _best([entry for entry in entries if entry.get("limits")], key)
    told = settings.get("limits") if entry is None else entry.get("limits")
    if told is None:
        return None, None
    told = _object(told)
    figures = told.get("fixed")
    if figures is not None:
        return fixed_limits(settings, _object(figures)), None
    return None, Fields(told, "limits").integer("subgroups")


def _approved(sets: Sequence[_Json], used: ChartKey, at_us: int | None) -> tuple[_Json | None, int | None]:
    """The set of this very key that came into effect last, and when the next one will."""
    fitting = [one for one in sets if _key_of(one) == used]
    begun = [one for one in fitting if at_us is None or _effective(one) <= at_us]
    later = [_effective(one) for one in fitting if at_us is not None and _effective(one) > at_us]
    return max(begun, key=_effective, default=None), min(later, default=None)


def _key_of(one: _Json) -> ChartKey:
    told = _object(one.get("key"))
    values = {part: told.get(part) for part in PARTS}
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise ValueError(f"a limit set has no key {told!r}")
    return ChartKey(**{part: value for part, value in values.items() if isinstance(value, str)})


def _effective(one: _Json) -> int:
    value = one.get("effective_us", 0)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"a limit set is in effect from a time on, not {value!r}")
    return int(value)


def _best(entries: Sequence[_Json], key: ChartKey) -> _Json | None:
    """The entry that matches the key with most fields; of two alike, the later one."""
    best, most = None, -1
    for entry in entries:
        named = [part for part in PARTS if entry.get(part) is not None]
        if len(named) >= most and all(entry[part] == getattr(key, part) for part in named):
            best, most = entry, len(named)
    return best


def _recipe_entry(name: str, recipe: _Json | None, key: ChartKey) -> _Json | None:
    if recipe is None:
        return None
    rows = _object(recipe.get("characteristics") or {}).get(name) or []
    return _best([_object(row) for row in _list(rows)], key)


def _specification(
    settings: _Json, entries: Sequence[_Json], from_recipe: _Json | None, key: ChartKey
) -> tuple[_Json | None, SpecificationSource]:
    if from_recipe is not None and from_recipe.get("specification") is not None:
        return _object(from_recipe["specification"]), "recipe"
    entry = _best([entry for entry in entries if entry.get("specification")], key)
    told = settings.get("specification") if entry is None else entry.get("specification")
    return (None, "none") if told is None else (_object(told), "line")


def _object(value: object) -> _Json:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, found {value!r}")
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, found {value!r}")
    return value
