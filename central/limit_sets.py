"""Control limits as records: from a study of stored points or given by numbers, approved by another person.

A limit set is for one key: line, characteristic, product, revision, tool and position (each of the last four is
left open where the line's charts do not tell them apart). Its versions count up; each holds method, constants,
window, number of points, what was left out and why, author and approver. Approved ones go to the agents as
document ``limit-sets``, one a characteristic, which lists those in effect and those to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue

from central.access import User
from central.charts import MOST_POINTS, ChartHead, ChartPoint, ChartRef, Charts
from central.judgement import opaque_id
from central.phase_one import Method, Study, study
from central.proposals import Proposals, Proposed
from central.stored import StoredFact
from central.trial import Trial, trial
from records.errors import Invalid, Unknown
from spc.fields import Fields
from spc.given import rates, vectors, weighted
from spc.limits import ATTRIBUTES, CHARTS, VECTORS, Chart, Design, LimitSet, check_subgroup
from spc.rules import check_rules
from spc.selection import rules_of

DOCUMENT = "limit-sets"
USUAL_RULES = ("nelson1",)
"""By which limits are tried where the line file of the points is not known."""
PARTS = ("product", "revision", "tool", "position")

LineFile = Callable[[str, str], Mapping[str, JsonValue] | None]
"""(agent, configuration hash) -> what the agent made of its line file; None where that is not known."""


@dataclass(frozen=True, slots=True)
class LimitKey:
    """What a limit set is for. ``line`` None: every line that measures the characteristic."""

    characteristic: str
    line: str | None = None
    product: str | None = None
    revision: str | None = None
    tool: str | None = None
    position: str | None = None

    @property
    def id(self) -> str:
        return opaque_id(
            "limits", self.line, self.characteristic, self.product, self.revision, self.tool, self.position
        )

    @property
    def parts(self) -> dict[str, JsonValue]:
        return {part: getattr(self, part) for part in PARTS}

    @classmethod
    def of(cls, head: ChartHead) -> LimitKey:
        """The key of a chart's stream."""
        told = {part: head.ref.key.get(part) for part in PARTS}
        return cls(head.ref.characteristic, head.line, **told)


@dataclass(frozen=True, slots=True)
class Window:
    """Which points of a chart are studied: numbers (both inclusive) or times (to before ``to_us``), or both."""

    first: int | None = None
    last: int | None = None
    from_us: int | None = None
    to_us: int | None = None


class LimitSets:
    """All limit sets, on their ``proposals``."""

    def __init__(
        self,
        proposals: Proposals,
        charts: Charts,
        line_file: LineFile,
        fact: Callable[[str], StoredFact | None],
    ) -> None:
        self.proposals = proposals
        self._charts, self._line_file, self._fact = charts, line_file, fact

    def listed(self, characteristic: str | None = None, state: str | None = None) -> list[Proposed]:
        """Every version, by key, the newest first."""
        return [
            one
            for one in self.proposals.listed()
            if characteristic in (None, one.content.get("characteristic")) and state in (None, one.state)
        ]

    def of_chart(self, head: ChartHead) -> list[Proposed]:
        """The versions of the key of a chart, the newest first; those for every line too."""
        key = LimitKey.of(head)
        wanted = {key.id, LimitKey(key.characteristic, None, *map(head.ref.key.get, PARTS)).id}
        return [one for one in self.proposals.listed() if one.key in wanted]

    def propose(self, ref: ChartRef, window: Window, method: Method, user: User, reason: str) -> Proposed:
        """Limits from a window of a chart's points, as the next version of its key.

        Raises:
            Unknown: no such chart. Invalid: too few usable points, no reason. Refused: no right.
        """
        head, points, method, short_run = self._asked(ref, window, method)
        key = LimitKey.of(head)

        def make(version: int) -> dict[str, JsonValue]:
            name = f"{key.id}:{version}"
            found = study(head.chart, head.subgroup, points, method, name, short_run=short_run)
            basis: dict[str, JsonValue] = {
                "kind": "study",
                "chart": ref.id,
                "agent": ref.agent,
                "station": ref.station,
                "stream": ref.stream,
                "window": {
                    "first": points[0].number,
                    "last": points[-1].number,
                    "from_us": str(points[0].at_us),
                    "to_us": str(points[-1].at_us),
                },
                "method": method.to_json(),
                "points": found.points,
                "left_out": [left.to_json() for left in found.left_out],
            }
            return _content(key, found.limits, basis)

        return self.proposals.propose(key.id, make, user, reason)

    def preview(self, ref: ChartRef, window: Window, method: Method) -> tuple[Study, list[ChartPoint]]:
        """The limits that ``propose`` would propose, and the points of the window; nothing is stored.

        Raises:
            Unknown: no such chart. Invalid: too few usable points.
        """
        head, points, method, short_run = self._asked(ref, window, method)
        return study(head.chart, head.subgroup, points, method, "preview", short_run=short_run), points

    def tried(self, ref: ChartRef, limits: LimitSet, points: Sequence[ChartPoint]) -> Trial:
        """What these limits would have said of a stretch of points, by the rules that its last was judged by."""
        settings = self._settings(ref, points[-1]) if points else {}
        rules = rules_of(settings) if settings else check_rules(USUAL_RULES)
        return trial(limits, rules, points, self._charts.restarted(ref))

    def _asked(
        self, ref: ChartRef, window: Window, method: Method
    ) -> tuple[ChartHead, list[ChartPoint], Method, bool]:
        """The chart, the points in the window, the method with the line file's design, whether runs are short."""
        head = self._charts.head(ref.id)
        if head is None:
            raise Unknown(f"there is no chart of {ref.characteristic} at {ref.station} of {ref.agent}")
        points = self._charts.points(
            ref, window.from_us, window.to_us, MOST_POINTS, first=window.first, last=window.last
        )
        if not points:
            raise Invalid("there are no points in this window")
        if len(points) == MOST_POINTS and self._charts.points(
            ref, window.from_us, window.to_us, 1, first=window.first, last=points[0].number - 1
        ):
            raise Invalid(f"more than {MOST_POINTS} points in this window", hint="choose a smaller one")
        settings = self._settings(ref, points[-1])
        if method.design is None and head.chart in ("ewma", "cusum", "mewma"):
            method = replace(method, design=design_of(settings.get("design")))
        return head, points, method, bool(settings.get("short_run"))

    def give(
        self, key: LimitKey, chart: str, subgroup: int, given: Mapping[str, JsonValue], user: User, reason: str
    ) -> Proposed:
        """Limits given by numbers, as the next version of a key; ``given`` as ``limits_of`` takes it.

        Raises:
            Invalid: numbers that do not suit the chart, no reason. Refused: no right.
        """
        if not key.characteristic:
            raise Invalid("a limit set is for a characteristic: name it")

        def make(version: int) -> dict[str, JsonValue]:
            limits = limits_of(chart, subgroup, given, f"{key.id}:{version}")
            return _content(key, limits, {"kind": "given", "given": dict(given)})

        return self.proposals.propose(key.id, make, user, reason)

    def _settings(self, ref: ChartRef, point: ChartPoint) -> Mapping[str, JsonValue]:
        """The characteristic in the line file by which a point was judged; empty where that is not known."""
        fact = self._fact(point.ref.hash)
        hash_ = None if fact is None else fact.fact.header.configuration
        resolved = None if hash_ is None else self._line_file(ref.agent, hash_)
        told = None if resolved is None else resolved.get("characteristics")
        found = told.get(ref.characteristic) if isinstance(told, dict) else None
        return found if isinstance(found, dict) else {}


def issue(one: Proposed, valid: Sequence[Proposed]) -> tuple[str, str, JsonValue]:
    """The document of a characteristic: every set of it that is in effect or will be."""
    name = str(one.content["characteristic"])
    sets: list[JsonValue] = [
        {
            "id": other.key,
            "version": other.version,
            "line": other.content["line"],
            "key": other.content["key"],
            "limits": other.content["limits"],
            "effective_us": str(other.effective_us),
        }
        for other in valid
        if other.content["characteristic"] == name
    ]
    return DOCUMENT, name, {"characteristic": name, "sets": sets} if sets else None


def _content(key: LimitKey, limits: LimitSet, basis: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What is proposed. Approval is what makes the limits no longer provisional, so that they never say so."""
    told = cast(dict[str, JsonValue], limits.to_json()) | {"provisional": False}
    return {
        "characteristic": key.characteristic,
        "line": key.line,
        "key": key.parts,
        "chart": limits.chart,
        "subgroup": limits.subgroup,
        "limits": told,
        "basis": basis,
    }


def limits_of(chart: str, subgroup: int, given: Mapping[str, JsonValue], version: str) -> LimitSet:
    """A limit set from numbers.

    imr, xbar_r, xbar_s: ``centre``, ``lower``, ``upper``. ewma, cusum: ``target``, ``sigma`` (of one value),
    ``design``. p, np, c, u, laney_p, laney_u: ``centre``, ``size`` (of a usual sample; default 1), ``sigma_z``.
    t2_subgroup, t2_individuals, mewma: ``mean``, ``covariance``, ``upper``, mewma ``design``.

    Raises:
        Invalid: another chart, or numbers that do not suit it.
    """
    told = Fields(dict(given), "limits")
    try:
        if chart not in CHARTS or chart == "t":
            raise ValueError(f"limits of a chart of kind {chart} cannot be given by numbers")
        kind: Chart = check_subgroup(chart, subgroup)
        if kind in ("ewma", "cusum"):
            design = design_of(given.get("design"))
            return weighted(kind, told.number("target"), told.number("sigma"), design, version, subgroup)
        if kind in ATTRIBUTES:
            size = told.number("size") if "size" in given else 1.0
            factor = told.number("sigma_z") if "sigma_z" in given else 1.0
            return rates(kind, told.number("centre"), size, version, subgroup, factor, "given")
        if kind in VECTORS:
            weights = design_of(given.get("design")) if kind == "mewma" else None
            matrix = [tuple(row) for row in told.number_lists("covariance")]
            return vectors(
                kind, told.numbers("mean"), tuple(matrix), told.number("upper"), version, subgroup, weights
            )
        return LimitSet.fixed(
            kind, told.number("centre"), told.number("lower"), told.number("upper"), version, subgroup
        )
    except ValueError as error:
        raise Invalid(f"no limits: {error}") from error


def design_of(told: JsonValue) -> Design:
    """A design, with the usual values where nothing is said.

    Raises:
        Invalid: an unknown part, or values that cannot be meant.
    """
    known = Design().to_json()
    told = {} if told is None else told
    if not isinstance(told, dict) or not set(told) <= set(known):
        raise Invalid(f"a design has {', '.join(known)}")
    try:
        return Design.from_json(Fields(known | {k: v for k, v in told.items() if v is not None}, "design"))
    except ValueError as error:
        raise Invalid(f"no design: {error}") from error
