"""What a line file says of charts: every kind with its keys, every contradiction with its place and a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from edge_agent.chart_parts import RULE_NAMES, ChartName
from edge_agent.chart_settings import COUNTS, DESIGNS, ONE_POINT_ONLY, SHORT_RUNS, VECTORS, CharacteristicSettings
from edge_agent.settings import load_line
from records.errors import ConfigurationError, Problem
from spc import limits, plan
from spc.rules import CATALOGUE
from tests.unit.edge.test_line_check import LINE
from tests.unit.spc.test_spc_selection import FIGURES


def test_the_words_are_those_of_the_charts() -> None:
    """They are written down twice, so that a check without charts loads no numpy."""
    assert get_args(ChartName) == limits.CHARTS
    assert tuple(CATALOGUE) == RULE_NAMES
    assert set(VECTORS) == limits.VECTORS
    assert set(COUNTS) == limits.ATTRIBUTES
    assert set(SHORT_RUNS) == plan.SHORT_RUNS
    assert set(limits.CHARTS) - set(ONE_POINT_ONLY) == plan.RUN_RULES
    for chart, keys in DESIGNS.items():
        assert set(keys) <= set(limits.Design().to_json()), chart


def of(chart: str, **more: Any) -> dict[str, Any]:
    """A characteristic with fixed limits, as small as this chart may be."""
    told: dict[str, Any] = {
        "tag": "plc.torque",
        "chart": chart,
        "limits": {"fixed": FIGURES[chart] | {"version": "v"}},
    }
    if chart in VECTORS:
        del told["tag"]
        told["tags"] = ["plc.torque", "plc.angle"]
    if chart in ("xbar_r", "xbar_s", "t2_subgroup"):
        told["subgroup"] = 5
    if chart == "np":
        told["size"] = "plc.n"
    if chart == "mewma":
        told["design"] = {"lam": 0.1, "h4": 8.66}
    return told | more


@pytest.mark.parametrize("chart", limits.CHARTS)
@pytest.mark.parametrize("source", [None, {"from": "phase1", "subgroups": 30}])
def test_every_chart_can_be_described(chart: str, source: dict[str, Any] | None) -> None:
    told = of(chart) if source is None else of(chart, limits=source)
    found = CharacteristicSettings.model_validate(told).plan("torque")
    assert found is not None
    assert (found.chart, found.phase1_subgroups) == (chart, None if source is None else 30)
    assert (found.limits is None) == (source is not None)


def test_a_design_and_rules_with_parameters_reach_the_plan() -> None:
    told = of("ewma", design={"lam": 0.1, "width": 2.7, "exact": False})
    found = CharacteristicSettings.model_validate(told).plan("torque")
    assert found is not None
    assert found.limits is not None
    assert found.limits.design == found.design == limits.Design(lam=0.1, width=2.7, exact=False)
    ruled = CharacteristicSettings.model_validate(of("imr", rules=["nelson1", {"nelson2": {"window": 8}}])).plan(
        "t"
    )
    assert ruled is not None
    assert [(rule.name, rule.window) for rule in ruled.rules] == [("nelson1", 1), ("nelson2", 8)]


SAMPLE_OF_HALVES = {"fixed": {"centre": 1, "sample": 2.5, "version": "v"}}
FIXED = {"fixed": FIGURES["imr"] | {"version": "v"}}
ENTRY = {"product": "A", "limits": {"from": "phase1"}}


@pytest.mark.parametrize(
    ("told", "place", "message"),
    [
        (of("imr", tag=None), "tag", "either tag or"),
        (of("imr", tags=["a.b", "a.c"]), "tag", "either tag or"),
        (of("imr") | {"tag": None, "tags": ["a.b", "a.c"]}, "tags", "several tags are for"),
        (of("t2_individuals", tags=["plc.torque"]), "chart", "several variables"),
        (of("t2_individuals", tags=["plc.torque", "plc.torque"]), "tags.1", "twice"),
        (of("t2_individuals", specification={"usl": 2}), "specification", "one variable"),
        (of("imr", size="plc.n"), "size", "charts of counts"),
        ({"tag": "plc.torque", "design": {"lam": 0.2}}, "design", "without a chart"),
        ({"tag": "plc.torque", "for": [ENTRY]}, "for.0.limits", "without a chart"),
        ({"tag": "plc.torque", "rules": ["nelson2"]}, "rules", "without a chart"),
        ({"tag": "plc.torque", "subgroup": 5}, "subgroup", "without a chart"),
        (of("c", size="plc.n"), "size", "charts of counts: p, np, u"),
        (of("np", size=None), "limits.fixed.sample", "a sample of 1"),
        (of("np", limits=SAMPLE_OF_HALVES), "limits.fixed.sample", "a whole number"),
        (of("t2_individuals", tags=["plc.a", "plc.b", "plc.c"]), "limits.fixed.mean", "2 variables, and 3 tags"),
        (of("cusum", design={"h": 3, "headstart": 3}), "design.headstart", "at or above their limit h, 3"),
        (of("imr", limits=FIXED | {"subgroups": 30}), "limits.subgroups", "no phase 1"),
        (of("imr", specification={"lsl": 1, "target": 0.5}), "specification.target", "out of specification"),
        (of("p", reactions={"range": ["alarm"]}), "reactions.range", "no rule of this chart"),
        (of("imr", subgroup={"after": "30min"}), "subgroup", "single readings"),
        (of("np", subgroup={"runs": 5, "after": "30min"}), "subgroup.after", "one size"),
        (of("c", subgroup={"lot": True}), "subgroup.lot", "one size"),
        (of("xbar_r", subgroup={"after": "30min"}), "subgroup", "number of readings"),
        (of("ewma", subgroup={"lot": True}), "subgroup", "number of readings"),
        (of("xbar_r", subgroup={}), "subgroup", "nothing closes"),
        (of("xbar_r", subgroup=1), "subgroup", "at least 2"),
        (of("xbar_r", subgroup={"runs": 26}), "subgroup", "at most 25"),
        (of("imr", rules=[]), "rules", "never signals"),
        (of("imr", rules=["nelson1", "nelson1"]), "rules.1", "twice"),
        (of("imr", rules=["nelson9"]), "rules.0", "no rule 'nelson9'"),
        (of("imr", rules=[{"nelson2": {"window": 8}, "nelson3": {}}]), "rules.0", "one name"),
        (of("imr", rules=[{"nelson2": {"sigmas": 2}}]), "rules.0", "sigmas"),
        (of("cusum", rules=["nelson1", "nelson2"]), "rules.1", "no evidence apart"),
        (of("imr", design={"lam": 0.2}), "design.lam", "says nothing"),
        (of("cusum", design={"lam": 0.2}), "design.lam", "says nothing"),
        (of("mewma", design=None), "design", "h4"),
        (of("p", short_run="z"), "short_run", "short runs are for"),
        (of("imr", short_run="z", by=["product", "tool"]), "by.0", "goes on over products"),
        (of("imr", by=["tool", "tool"]), "by.1", "twice"),
        (of("imr", by=["tool"], **{"for": [ENTRY]}), "for.0.product", "not told apart by product"),
        (of("imr", **{"for": [ENTRY | {"position": "2"}]}), "for.0.position", "never measured"),
        (of("imr", position="1", **{"for": [ENTRY | {"position": "2"}]}), "for.0.position", "never measured"),
        (of("imr", **{"for": [ENTRY, ENTRY]}), "for.1", "twice"),
        (of("imr", **{"for": [{"limits": {"from": "phase1"}}]}), "for.0", "for what"),
        (of("imr", **{"for": [{"product": "A"}]}), "for.0", "limits or a specification"),
        (of("imr", limits={"fixed": {"version": "v", "centre": 2}}), "limits.fixed", "need centre, lower, upper"),
        (of("ewma", limits={"fixed": FIGURES["imr"] | {"version": "v"}}), "limits.fixed", "need target, sigma"),
        (
            of("imr", **{"for": [{"product": "A", "limits": {"fixed": FIGURES["p"] | {"version": "v"}}}]}),
            "for.0.limits.fixed",
            "need centre, lower, upper",
        ),
    ],
)
def test_a_contradiction_is_refused_where_it_stands(told: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CharacteristicSettings.model_validate(told)
    # of several, and of what may have two forms, the one that is meant here
    error = next((one for one in refused.value.errors() if message in one["msg"]), refused.value.errors()[-1])
    at = error.get("ctx", {}).get("at", [])
    path = [part for part in error["loc"] if part not in ("int", "str", "Subgroup")]
    assert message in error["msg"]
    assert ".".join(str(part) for part in (*path, *at)).startswith(place)


def test_all_contradictions_of_a_characteristic_are_told_at_once() -> None:
    told = of("imr", subgroup=3, design={"h": 4}, by=["tool", "tool"])
    with pytest.raises(ValidationError) as refused:
        CharacteristicSettings.model_validate(told)
    places = [error["ctx"]["at"] for error in refused.value.errors()]
    assert {place[0] for place in places} >= {"design", "by"}
    assert len(places) == len({str(place) for place in places}) >= 2


# -- in a file ---------------------------------------------------------------------------------------------


def problems(folder: Path, characteristics: str) -> list[Problem]:
    file = folder / "line.yaml"
    text = LINE[: LINE.index("characteristics:")] + f"characteristics:\n{characteristics}"
    file.write_text(text)
    try:
        load_line(file)
    except ConfigurationError as error:
        return list(error.problems)
    return []


def test_what_is_needed_for_one_reading_is_captured_by_one_station(tmp_path: Path) -> None:
    assert problems(tmp_path, "  both: {tags: [plc.torque, meter.leak], chart: t2_individuals}\n") == []
    (size,) = problems(tmp_path, "  scrap: {tag: plc.torque, chart: p, size: plc.cycel}\n")
    assert (size.path, size.hint) == ("characteristics.scrap.size", "did you mean `plc.cycle`?")
    (order,) = problems(tmp_path, "  scrap: {tag: plc.torque, chart: p, size: plc.serial}\n")
    assert order.message == "plc.serial is no number"
    (leak,) = problems(tmp_path, "  torque: {tag: plc.torque, chart: imr, position: {tag: meter.leak}}\n")
    assert (leak.path, "names nothing" in leak.message) == ("characteristics.torque.position.tag", True)
    (ack,) = problems(tmp_path, "  both: {tags: [plc.torque, plc.ack], chart: t2_individuals}\n")
    assert ack.path == "characteristics.both.tags.1"


def test_a_wrong_word_says_its_place_and_what_is_meant(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "  torque: {tag: plc.torque, chart: imr, rules: [nelson1, nelsen2]}\n")
    assert str(problem).endswith("there is no rule 'nelsen2' (did you mean `nelson2`?)")
    assert problem.path == "characteristics.torque.rules.1"
    assert problem.line > 0
    (problem,) = problems(tmp_path, "  torque: {tag: plc.torque, chart: imrr}\n")
    assert (problem.path, problem.hint) == ("characteristics.torque.chart", "did you mean `imr`?")
    (problem,) = problems(
        tmp_path, "  torque: {tag: plc.torque, chart: imr, for: [{produkt: A, limits: {from: phase1}}]}\n"
    )
    assert (problem.path, problem.hint) == ("characteristics.torque.for.0.produkt", "did you mean `product`?")


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ("rules: [{nelson2: {window: 0}}]", "rules.0.nelson2.window", "0 is out of range: it must be at least 1"),
        ("rules: [{nelson2: {windows: 8}}]", "rules.0.nelson2.windows", "unknown key `windows`"),
        ("subgroup: {runs: 5, after: 30}", "subgroup.after", "a duration needs a unit (ms, s, min, h or d)"),
        ("subgroup: 0", "subgroup", "0 is out of range: it must be at least 1"),
        ("position: ''", "position", "a text is needed, this one is empty"),
    ],
)
def test_what_was_meant_is_told_and_nothing_of_other_forms(
    tmp_path: Path, written: str, path: str, message: str
) -> None:
    (problem,) = problems(tmp_path, f"  torque: {{tag: plc.torque, chart: imr, {written}}}\n")
    assert (problem.path, problem.message) == (f"characteristics.torque.{path}", message)


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "' a'", "''"])
def test_a_name_is_a_part_of_a_charts_address(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, f"  {name}: {{tag: plc.torque}}\n")
    assert "is no name" in problem.message
    assert problems(tmp_path, "  扭矩 1: {tag: plc.torque}\n") == []
