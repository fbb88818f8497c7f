"""Limit sets and recipes are versioned, signed by another person, and issued; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from chart_rig import AUDITOR, ENGINEER, QA, STREAM, ChartRig
from core_rig import Rig, rig
from pydantic import JsonValue

from central import charts as charts_module
from central import limit_sets, recipes
from central.access import User
from central.charts import ChartRef, Charts, point_hash
from central.limit_sets import LimitKey, LimitSets, Window, limits_of
from central.phase_one import Method
from central.proposals import Proposals, Proposed
from central.recipes import read_recipe, recipe_of
from central.signature import SignatureRefused
from central.store import documents
from edge_agent.papers import Papers
from records.errors import ConfigurationError, Invalid, Refused
from records.model import Decision
from records.wire import CENTRAL, Document
from spc.estimate import PhaseOnePoint, estimate
from spc.fields import Fields
from spc.limits import LimitSet
from spc.selection import ChartKey, choose

REF = ChartRef("assembly-1", "assemble", "torque", STREAM)
VALUES = [2.00, 2.04, 1.97, 2.01, 2.06, 1.95, 2.02, 1.99, 2.03, 2.00]


class Plant:
    """A central with charts, limit sets and recipes, and what it told the lines."""

    def __init__(self, central: Rig, charts: ChartRig) -> None:
        self.central, self.rig = central, charts
        self.told: list[tuple[str, Document]] = []
        self.resolved: dict[str, JsonValue] = {}
        self.start()

    def start(self, *, four_eyes: bool = True) -> None:
        """Make the parts anew, as a restart does."""
        store, facts, clock = self.central.store, self.central.facts, self.central.clock
        self.charts = Charts(store, facts, clock)

        def tell(agent: str, document: Document) -> None:
            self.told.append((agent, document))

        sets = Proposals("limit-set", store, facts, clock, tell, limit_sets.issue, four_eyes=four_eyes)
        self.sets = LimitSets(sets, self.charts, lambda _agent, _hash: self.resolved, store.fact)
        self.recipes = Proposals("recipe", store, facts, clock, tell, recipes.issue, four_eyes=four_eyes)

    def approve(self, one: Proposed, user: User = QA, effective_us: int | None = None) -> Proposed:
        return self.sets.proposals.decide(one.id, "approve", user, "reviewed", one.content_hash, effective_us)

    def given(self, upper: float = 2.6, **key: str) -> Proposed:
        numbers: dict[str, JsonValue] = {"centre": 2.0, "lower": 1.4, "upper": upper}
        return self.sets.give(LimitKey("torque", "valve-1", **key), "imr", 1, numbers, ENGINEER, "drawing 7")

    def issued(self, kind: str, name: str) -> Document | None:
        with self.central.store.read() as connection:
            return documents.newest(connection, kind, name)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with rig(tmp_path) as central:
        yield Plant(central, ChartRig(central))


def sets_of(document: Document | None) -> list[tuple[JsonValue, JsonValue]]:
    assert document is not None
    assert isinstance(document.content, dict)
    told = document.content["sets"]
    assert isinstance(told, list)
    return [(one["id"], one["version"]) for one in told if isinstance(one, dict)]


# -- limits from points ------------------------------------------------------------------------------------


def test_limits_are_estimated_from_stored_points(plant: Plant) -> None:
    plant.rig.singles([*VALUES[:5], 9.0, *VALUES[5:]], version=None, state="collecting")
    point = plant.charts.point(REF, 6)
    assert point is not None
    shown = point_hash(REF, point)
    plant.charts.exclude(REF, 6, "exclude", QA, "tip broke", cause="tool-wear", content_hash=shown)
    one = plant.sets.propose(REF, Window(1, 11), Method(), ENGINEER, "25 points of lot L1")
    limits = LimitSet.from_json(Fields(one.content["limits"], "limits"))
    ranges = [None, *(abs(b - a) for a, b in pairwise(VALUES))]
    ranges[5] = None  # no range across the point that was left out
    expected = estimate(
        "imr",
        [PhaseOnePoint(v, r) for v, r in zip(VALUES, ranges, strict=True)],
        subgroup=1,
        version=limits.version,
    )
    assert (limits.centre, limits.lower, limits.upper) == (expected.centre, expected.lower, expected.upper)
    assert (limits.version, limits.provisional) == (f"{one.key}:1", False)
    assert one.content["key"] == {"product": "VS-100", "revision": "C", "tool": None, "position": None}
    basis = one.content["basis"]
    assert isinstance(basis, dict)
    assert (basis["points"], basis["window"]) == (
        10,
        {
            "first": 1,
            "last": 11,
            "from_us": "1795000001000000",
            "to_us": "1795000011000000",
        },
    )
    (left,) = basis["left_out"]  # type: ignore[misc,union-attr]
    assert isinstance(left, dict)
    assert (left["number"], left["why"], left["cause"], left["reason"]) == (
        6,
        "excluded",
        "tool-wear",
        "tip broke",
    )
    assert (one.author, one.state, one.reason) == ("eva", "proposed", "25 points of lot L1")


def test_a_method_is_stored_with_the_limits_that_it_made(plant: Plant) -> None:
    plant.rig.singles(VALUES)
    by_median = Method(constants="textbook", sigma="median_mr", centre="median")
    one = plant.sets.propose(REF, Window(), by_median, ENGINEER, "x")
    basis = one.content["basis"]
    assert isinstance(basis, dict)
    assert basis["method"] == {
        "constants": "textbook",
        "sigma": "median_mr",
        "centre": "median",
        "confidence": None,
        "design": None,
    }
    assert one.content["limits"] != plant.sets.propose(REF, Window(), Method(), ENGINEER, "x").content["limits"]


def test_an_ewma_is_studied_by_its_readings_and_the_lines_design(plant: Plant) -> None:
    plant.resolved = {"characteristics": {"torque": {"design": {"lam": 0.4}}}}
    plant.rig.singles(VALUES, chart="ewma")
    one = plant.sets.propose(REF, Window(), Method(), ENGINEER, "x")
    limits = LimitSet.from_json(Fields(one.content["limits"], "limits"))
    assert limits.design is not None
    assert (limits.design.lam, limits.centre) == (0.4, pytest.approx(sum(VALUES) / 10))
    plant.resolved = {"characteristics": {"torque": {"short_run": "z"}}}
    with pytest.raises(Invalid, match="keeps no deviations"):
        plant.sets.propose(REF, Window(), Method(), ENGINEER, "x")


@pytest.mark.parametrize(
    ("window", "match"),
    [(Window(1, 1), "too little"), (Window(50, 60), "no points in this window")],
    ids=["too few", "nothing"],
)
def test_a_window_that_makes_no_limits_is_refused(plant: Plant, window: Window, match: str) -> None:
    plant.rig.singles(VALUES)
    with pytest.raises(Invalid, match=match):
        plant.sets.propose(REF, window, Method(), ENGINEER, "x")
    assert plant.sets.listed() == []


def test_a_window_of_more_points_than_are_studied_is_refused_not_cut(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.rig.singles(VALUES)
    for module in (charts_module, limit_sets):
        monkeypatch.setattr(module, "MOST_POINTS", 8)
    assert plant.sets.propose(REF, Window(3, 10), Method(), ENGINEER, "x").version == 1
    for window in (Window(2, 10), Window(to_us=2**62)):
        with pytest.raises(Invalid, match="more than 8 points in this window"):
            plant.sets.propose(REF, window, Method(), ENGINEER, "x")


def test_a_proposal_that_is_sent_twice_is_one(plant: Plant) -> None:
    plant.rig.singles(VALUES)

    def propose(user: User = ENGINEER, reason: str = "x", last: int = 10) -> int:
        return plant.sets.propose(REF, Window(1, last), Method(), user, reason).version

    assert [propose(), propose(), propose(QA), propose(QA, "y"), propose(QA, "y", 9)] == [1, 1, 2, 3, 4]
    assert plant.given(upper=2.7).version == plant.given(upper=2.7).version
    newest = plant.given()
    plant.approve(newest)
    assert plant.given().version == newest.version + 1  # nothing waits: it is another proposal


def test_constant_points_make_no_limits(plant: Plant) -> None:
    plant.rig.singles([2.0] * 10)
    with pytest.raises(Invalid, match="no limits from these points"):
        plant.sets.propose(REF, Window(), Method(), ENGINEER, "x")


# -- approval ----------------------------------------------------------------------------------------------


def test_approved_limits_are_issued_and_withdrawn_ones_leave(plant: Plant) -> None:
    first = plant.given()
    assert plant.issued("limit-sets", "torque") is None  # a proposal is no limit
    approved = plant.approve(first)
    assert (approved.state, approved.approver) == ("approved", "li.na")
    document = plant.issued("limit-sets", "torque")
    assert document is not None
    assert document.content == {
        "characteristic": "torque",
        "sets": [
            {
                "id": first.key,
                "version": 1,
                "line": "valve-1",
                "key": {"product": None, "revision": None, "tool": None, "position": None},
                "limits": first.content["limits"],
                "effective_us": str(plant.central.clock.now_us()),
            }
        ],
    }
    assert plant.told == [("*", document)]
    other = plant.approve(plant.given(product="VS-100", revision="C"))
    assert sets_of(plant.issued("limit-sets", "torque")) == sorted([(first.key, 1), (other.key, 1)])  # type: ignore[type-var]
    now = plant.sets.proposals.get(first.id)
    assert now is not None
    plant.sets.proposals.decide(first.id, "withdraw", QA, "wrong drawing", now.content_hash)
    assert sets_of(plant.issued("limit-sets", "torque")) == [(other.key, 1)]
    now = plant.sets.proposals.get(other.id)
    assert now is not None
    plant.sets.proposals.decide(other.id, "withdraw", QA, "wrong drawing", now.content_hash)
    last = plant.issued("limit-sets", "torque")
    assert last is not None
    assert (last.version, last.content) == (4, None)


def test_versions_take_turns_by_their_times(plant: Plant) -> None:
    first = plant.approve(plant.given(2.6))
    begins_us = plant.central.clock.now_us() + 3_600_000_000
    second = plant.approve(plant.given(2.5), effective_us=begins_us)
    assert second.version == 2
    assert sets_of(plant.issued("limit-sets", "torque")) == [(first.key, 1), (first.key, 2)]
    assert [one.state for one in plant.sets.listed()] == ["approved", "approved"]
    plant.central.clock.advance(3601)
    assert [(one.version, one.state) for one in plant.sets.listed()] == [(2, "approved"), (1, "superseded")]
    plant.approve(plant.given(2.4))
    assert sets_of(plant.issued("limit-sets", "torque")) == [(first.key, 3)]


def test_the_author_does_not_approve_unless_the_plant_allows_it(plant: Plant) -> None:
    one = plant.sets.give(LimitKey("torque"), "imr", 1, {"centre": 2, "lower": 1, "upper": 3}, QA, "x")
    with pytest.raises(SignatureRefused, match="may not approve it") as refused:
        plant.approve(one)
    assert refused.value.code == "same-person"
    assert plant.central.store.facts(codes=["signature-refused"], stream="audit")
    plant.start(four_eyes=False)
    assert plant.approve(one).approver == "li.na"


def test_who_may_not_and_what_changed_is_refused(plant: Plant) -> None:
    one = plant.given()
    with pytest.raises(Refused, match="may not propose"):
        plant.sets.give(LimitKey("torque"), "imr", 1, {"centre": 2, "lower": 1, "upper": 3}, AUDITOR, "x")
    with pytest.raises(SignatureRefused, match="may not approve"):
        plant.approve(one, ENGINEER)
    with pytest.raises(SignatureRefused, match="not as it was shown"):
        plant.sets.proposals.decide(one.id, "approve", QA, "x", "0" * 64)
    with pytest.raises(Invalid, match="a reason is needed"):
        plant.sets.proposals.decide(one.id, "approve", QA, " ", one.content_hash)
    plant.approve(one)
    with pytest.raises(SignatureRefused, match="not as it was shown"):
        plant.approve(one)  # what was signed was a proposal
    assert plant.told == [("*", plant.issued("limit-sets", "torque"))]


def test_a_signature_covers_the_limits_themselves(plant: Plant) -> None:
    one = plant.given()
    plant.approve(one)
    decision = plant.central.store.facts(codes=["approve"])[0].fact.data
    assert isinstance(decision, Decision)
    assert decision.target.hash == one.hash
    assert decision.signature is not None
    assert (decision.signature.covers, decision.signature.meaning) == (one.content_hash, "approve")
    assert isinstance(decision.new, dict)
    signed = decision.new["content"]
    assert isinstance(signed, dict)
    assert signed["content"] == one.content


def test_a_restart_knows_all_and_issues_nothing_twice(plant: Plant) -> None:
    plant.approve(plant.given())
    plant.given(2.5)
    before = plant.sets.listed()
    issued = len(plant.central.store.facts(agent=CENTRAL, codes=["document-issued"]))
    plant.start()
    assert plant.sets.listed() == before
    assert len(plant.central.store.facts(agent=CENTRAL, codes=["document-issued"])) == issued
    assert plant.given(2.4).version == 3


# -- given limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chart", "subgroup", "given"),
    [
        ("imr", 1, {"centre": 2.0, "lower": 1.0, "upper": 3.0}),
        ("xbar_s", 5, {"centre": 2.0, "lower": 1.0, "upper": 3.0}),
        ("ewma", 1, {"target": 2.0, "sigma": 0.1, "design": {"lam": 0.3}}),
        ("cusum", 4, {"target": 2.0, "sigma": 0.1}),
        ("p", 1, {"centre": 0.02, "size": 200}),
        ("np", 50, {"centre": 2.0, "size": 50}),
        ("u", 1, {"centre": 1.5}),
        ("laney_p", 1, {"centre": 0.02, "size": 200, "sigma_z": 1.4}),
        ("t2_individuals", 1, {"mean": [1.0, 2.0], "covariance": [[1.0, 0.5], [0.5, 2.0]], "upper": 12.0}),
        ("mewma", 1, {"mean": [1.0], "covariance": [[1.0]], "upper": 8.6, "design": {"lam": 0.1, "h4": 8.6}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_limits_of_every_kind_can_be_given(chart: str, subgroup: int, given: dict[str, JsonValue]) -> None:
    limits = limits_of(chart, subgroup, given, "k:1")
    assert (limits.chart, limits.version) == (chart, "k:1")
    assert LimitSet.from_json(Fields(limits.to_json(), "limits")) == limits


@pytest.mark.parametrize(
    ("chart", "given", "match"),
    [
        ("imr", {"centre": 2.0, "lower": 3.0, "upper": 1.0}, "lower < upper"),
        ("imr", {"centre": 2.0}, "lower"),
        ("t", {"centre": 2.0}, "cannot be given"),
        ("pie", {}, "cannot be given"),
        ("ewma", {"target": 1.0, "sigma": 0.1, "design": {"lambda": 0.2}}, "a design has"),
        ("p", {"centre": 1.5}, "below 1"),
    ],
)
def test_numbers_that_are_no_limits_are_refused(chart: str, given: dict[str, JsonValue], match: str) -> None:
    with pytest.raises(Invalid, match=match):
        limits_of(chart, 1, given, "k:1")


# -- recipes -----------------------------------------------------------------------------------------------

RECIPE = """\
product: VS-100
revision: C
characteristics:
  torque:
    - {tool: T1, specification: {lsl: 1.8, usl: 2.6, target: 2.2}, sigma: 0.05}
    - {specification: {usl: 2.7}}
"""


def test_a_recipe_is_imported_approved_issued_and_withdrawn(plant: Plant, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    recipe = read_recipe(file)
    one = plant.recipes.propose(recipe.key, lambda _v: recipe.content, ENGINEER, "drawing C")
    assert (one.name, one.state) == ("VS-100/C:1", "proposed")
    plant.recipes.decide(one.id, "approve", QA, "checked", one.content_hash)
    document = plant.issued("recipe", "VS-100/C")
    assert document is not None
    assert document.content == {
        "product": "VS-100",
        "revision": "C",
        "characteristics": {
            "torque": [
                {
                    "tool": "T1",
                    "position": None,
                    "specification": {"lsl": 1.8, "usl": 2.6, "target": 2.2},
                    "sigma": 0.05,
                },
                {
                    "tool": None,
                    "position": None,
                    "specification": {"lsl": None, "usl": 2.7, "target": None},
                    "sigma": None,
                },
            ]
        },
    }
    second = plant.recipes.propose(recipe.key, lambda _v: recipe.content | {"revision": "C"}, ENGINEER, "again")
    plant.recipes.decide(second.name, "approve", QA, "checked", second.content_hash)
    assert [(o.version, o.state) for o in plant.recipes.listed()] == [(2, "approved"), (1, "superseded")]
    assert plant.issued("recipe", "VS-100/C") == document  # the same content is not issued again
    current = plant.recipes.get(second.id)
    assert current is not None
    plant.recipes.decide(second.id, "withdraw", QA, "wrong", current.content_hash)
    assert plant.issued("recipe", "VS-100/C") == document  # version 1 holds again
    first = plant.recipes.get(one.id)
    assert first is not None
    plant.recipes.decide(one.id, "withdraw", QA, "wrong", first.content_hash)
    gone = plant.issued("recipe", "VS-100/C")
    assert gone is not None
    assert gone.content is None
    with pytest.raises(Invalid, match="from when on"):
        plant.recipes.decide(one.id, "withdraw", QA, "x", first.content_hash, 5)


@pytest.mark.parametrize(
    ("was", "now", "match"),
    [
        ("lsl: 1.8, usl: 2.6", "lsl: 2.8, usl: 2.6", "lsl must be below usl"),
        ("tool: T1, ", "", "two entries for the same tool"),
        ("sigma: 0.05", "sigma: 0", "more than 0"),
        ("revision: C\n", "", "revision"),
        ("specification: {usl: 2.7}", "position: '1'", "give a specification"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_place(tmp_path: Path, was: str, now: str, match: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.replace(was, now, 1))
    with pytest.raises(ConfigurationError, match=match):
        read_recipe(file)


def test_a_recipe_by_interface_says_what_is_wrong() -> None:
    with pytest.raises(Invalid, match="no recipe"):
        recipe_of({"product": "VS-100"})


def test_a_line_judges_by_what_is_issued(plant: Plant) -> None:
    one = plant.approve(plant.given(product="VS-100", revision="C"))
    recipe = recipe_of({"product": "VS-100", "revision": "C", "characteristics": {"torque": [{"sigma": 0.1}]}})
    proposed = plant.recipes.propose(recipe.key, lambda _v: recipe.content, ENGINEER, "drawing C")
    plant.recipes.decide(proposed.id, "approve", QA, "checked", proposed.content_hash)
    issued = [plant.issued("limit-sets", "torque"), plant.issued("recipe", "VS-100/C")]
    papers = Papers.of([document for document in issued if document is not None])
    assert papers.problems == ()
    assert set(papers.recipes) == {("VS-100", "C")}
    settings = {"tag": "plc.torque", "chart": "imr", "by": ["product", "revision"]}
    key = ChartKey("VS-100", "C", "T1")
    now_us = plant.central.clock.now_us()
    chosen = choose("torque", settings, key, None, papers.limits["torque"], now_us, "valve-1")
    assert chosen.source == f"limit-set:{one.key}:1"
    assert chosen.plan is not None
    assert chosen.plan.limits is not None
    assert (chosen.plan.limits.version, chosen.plan.limits.provisional) == (one.name, False)
    elsewhere = choose("torque", settings, key, None, papers.limits["torque"], now_us, "valve-2")
    assert (elsewhere.source, elsewhere.missing) == ("none", False)
