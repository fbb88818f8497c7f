"""From readings of a line to limits that it judges by, for every kind of chart: station, central, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chart_rig import ENGINEER, QA, ChartRig
from core_rig import rig
from pydantic import JsonValue

from central import limit_sets
from central.charts import ChartHead
from central.limit_sets import LimitSets, Window
from central.phase_one import Method
from central.proposals import Proposals
from central.trial import Trial, trial
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.papers import Papers
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from records.model import OperationRecord, Quality, Reading
from records.verdict import SpcState
from records.wire import Document
from spc.fields import Fields
from spc.limits import CHARTS, LimitSet
from spc.multivariate import mewma, t2_individuals
from spc.plan import RUN_RULES
from spc.weighted import cusum, ewma
from tests.unit.edge import stations
from tests.unit.edge.stations import ASSEMBLE, papers
from tests.unit.edge.test_station import Bench

TAGS = ("torque", "angle", "found", "inspected")
UNITS = {"plc.torque": "N.m", "plc.angle": "deg"}
PHASE1 = {"from": "phase1", "subgroups": 50}
ONE, BOTH = {"tag": "plc.torque"}, {"tags": ["plc.angle", "plc.torque"]}
COUNT, SAMPLE = {"tag": "plc.found"}, {"tag": "plc.found", "size": "plc.inspected"}
KINDS: dict[str, dict[str, Any]] = {
    "imr": ONE,
    "xbar_r": ONE | {"subgroup": 3},
    "xbar_s": ONE | {"subgroup": 3},
    "p": SAMPLE,
    "np": SAMPLE,
    "c": COUNT,
    "u": SAMPLE,
    "laney_p": SAMPLE,
    "laney_u": SAMPLE,
    "t": ONE,
    "ewma": ONE | {"design": {"lam": 0.3, "width": 2.5}},
    "cusum": ONE | {"design": {"k": 0.5, "h": 4}},
    "t2_subgroup": BOTH | {"subgroup": 3},
    "t2_individuals": BOTH,
    "mewma": BOTH | {"design": {"lam": 0.2, "h4": 9.0}},
}


def test_every_kind_of_chart_is_here() -> None:
    assert set(KINDS) == set(CHARTS)


def cycles(count: int = 60) -> list[dict[str, JsonValue]]:
    """What the machine shows, the same in every test: the last ones have moved."""
    chance = np.random.default_rng(7)
    found = []
    for number in range(count):
        moved = 0.9 if number >= count - 6 else 0.0
        found.append(
            {
                "torque": round(2.2 + moved + 0.1 * float(chance.standard_normal()), 4),
                "angle": round(90 + float(chance.standard_normal()), 3),
                "found": int(chance.poisson(4)) + (14 if moved else 0),
                "inspected": 50,
            }
        )
    return found


@dataclass
class Plant:
    """A station whose facts a central takes in, and the documents that central issues for it."""

    rig: ChartRig
    settings: dict[str, dict[str, Any]]
    told: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        central = self.rig.central
        models = {
            name: CharacteristicSettings.model_validate(told | {"limits": told.get("limits", PHASE1)})
            for name, told in self.settings.items()
        }
        resolved: JsonValue = {
            "characteristics": {n: m.model_dump(mode="json", by_alias=True) for n, m in models.items()}
        }
        store, facts, clock = central.store, central.facts, central.clock
        sets = Proposals(
            "limit-set",
            store,
            facts,
            clock,
            lambda _a, doc: self.told.append(doc),
            limit_sets.issue,
            four_eyes=True,
        )
        self.sets = LimitSets(sets, self.rig.charts, lambda _agent, _hash: resolved, store.fact)
        self._models, self._sent = models, 0
        self.bench = self.station(papers())

    def station(self, known: Papers) -> Bench:
        station = ASSEMBLE | {"capture": [f"plc.{tag}" for tag in TAGS]}
        core = Station("assemble", StationSettings.model_validate(station), self._models, line="valve-1")
        return Bench(core, known).ready()

    def run(self, shown: Sequence[dict[str, JsonValue]], first: int = 1) -> None:
        for number, values in enumerate(shown, first):
            self.bench.cycle(number, **values)
        new, self._sent = self.bench.facts[self._sent :], len(self.bench.facts)
        self.rig.commit(*new)  # type: ignore[arg-type]

    def head(self, name: str = "measured") -> ChartHead:
        (found,) = [head for head in self.rig.charts.heads() if head.ref.characteristic == name]
        return found

    def known(self) -> Papers:
        """What the line knows once it has the newest document."""
        issued = Papers.of(self.told[-1:])
        return replace(papers(), limits=issued.limits, documents=issued.documents)


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings with the units of their tags."""
    made = stations.reading

    def reading(tag: str, value: JsonValue, quality: Quality = Quality.GOOD) -> Reading:
        return replace(made(tag, value, quality), unit=UNITS.get(tag))

    monkeypatch.setattr(stations, "reading", reading)


@pytest.fixture
def chart_rig(tmp_path: Path) -> Iterator[ChartRig]:
    with rig(tmp_path) as central:
        yield ChartRig(central)


def verdicts(bench: Bench, name: str = "measured") -> list[SpcState]:
    """The closed ones."""
    records = [fact for fact in bench.facts if isinstance(fact, OperationRecord)]
    return [s for r in records for s in r.spc if s.characteristic == name and s.position == s.size]


@pytest.mark.parametrize("chart", CHARTS)
def test_limits_are_previewed_proposed_approved_and_judge_the_next_reading(
    chart: str, chart_rig: ChartRig
) -> None:
    runs = ["nelson5", {"nelson2": {"window": 6}}] if chart in RUN_RULES else []
    plant = Plant(chart_rig, {"measured": KINDS[chart] | {"chart": chart, "rules": ["nelson1", *runs]}})
    shown = cycles()
    plant.run(shown)
    head = plant.head()
    study, points = plant.sets.preview(head.ref, Window(), Method())
    tried = plant.sets.tried(head.ref, study.limits, points)
    assert tried.signals, "what moved at the end is seen"
    one = plant.sets.propose(head.ref, Window(), Method(), ENGINEER, "phase I")
    plant.sets.proposals.decide(one.id, "approve", QA, "reviewed", one.content_hash)
    approved = LimitSet.from_json(Fields(one.content["limits"], "limits"))
    # the line's next verdict
    plant.bench.papers = plant.known()
    plant.run(shown[: head.subgroup], len(shown) + 1)
    newest = verdicts(plant.bench)[-1]
    assert (newest.limit_version, newest.provisional) == (f"{one.key}:1", False)
    assert newest.state in ("in_control", "signal")
    # a line that had these limits from the first reading on says what the preview showed, to the bit
    again = plant.station(plant.known())
    for number, values in enumerate(shown, 1):
        again.cycle(number, **values)
    plant.bench = again
    said = verdicts(again)
    assert [(s.statistic, s.lower, s.upper) for s in said] == [
        (value, line.lower, line.upper) for value, (line, _) in zip(tried.values, tried.lines, strict=True) if line
    ]
    assert rules(tried) == [(s.rules, s.range_rules or ()) for s in said]
    assert approved.chart == chart


def rules(tried: Trial) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [
        (
            tuple(one.rule for one in tried.signals if one.index == at),
            tuple(one.rule for one in tried.spread_signals if one.index == at),
        )
        for at in range(len(tried.values))
    ]


def test_a_preview_is_what_the_batch_functions_draw(chart_rig: ChartRig) -> None:
    kinds = ("ewma", "cusum", "t2_individuals", "mewma")
    plant = Plant(chart_rig, {kind: KINDS[kind] | {"chart": kind} for kind in kinds})
    shown = cycles()
    plant.run(shown)
    torque = [float(one["torque"]) for one in shown]  # type: ignore[arg-type]
    both = [[float(one["angle"]), float(one["torque"])] for one in shown]  # type: ignore[arg-type]
    for kind in kinds:
        study, points = plant.sets.preview(plant.head(kind).ref, Window(1, 50), Method())
        tried = plant.sets.tried(plant.head(kind).ref, study.limits, points)
        match kind:
            case "ewma":
                batch = ewma(torque[:50], limits=study.limits)
            case "cusum":
                batch = cusum(torque[:50], limits=study.limits)
            case "mewma":
                batch = mewma(both[:50], limits=study.limits)
            case _:
                batch = t2_individuals(both[:50], limits=study.limits)
        assert list(tried.values) == batch.location.points.tolist()
        assert [one.index for one in tried.signals] == [one.index for one in batch.location.signals]
        assert (study.points, study.left_out) == (50, ())


def test_two_characteristics_on_one_tag_are_studied_both(chart_rig: ChartRig) -> None:
    second = ONE | {"chart": "ewma", "specification": {"lsl": 1.8, "usl": 2.6, "target": 2.2}}
    plant = Plant(chart_rig, {"torque": ONE | {"chart": "imr"}, "drift": second})
    plant.run(cycles(30))
    head = plant.head("drift")
    assert head.unit == "N.m"
    assert head.specification is not None
    assert (head.specification.lower, head.specification.upper) == (1.8, 2.6)
    ours, theirs = (chart_rig.charts.points(plant.head(name).ref) for name in ("drift", "torque"))
    assert [point.readings for point in ours] == [point.readings for point in theirs]
    assert plant.sets.preview(head.ref, Window(), Method())[0].points == 30


def test_a_sample_of_uncertain_size_makes_no_limits(chart_rig: ChartRig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stations.reading

    def reading(tag: str, value: JsonValue, quality: Quality = Quality.GOOD) -> Reading:
        doubtful = (tag, value) == ("plc.inspected", 51)
        return made(tag, value, Quality.UNCERTAIN if doubtful else quality)

    monkeypatch.setattr(stations, "reading", reading)
    plant = Plant(chart_rig, {"measured": SAMPLE | {"chart": "p"}})
    shown = cycles(30)
    shown[4]["inspected"] = 51
    plant.run(shown)
    study, points = plant.sets.preview(plant.head().ref, Window(), Method())
    assert [(point.sample, point.uncertain) for point in points[3:6]] == [(50.0, 0), (51.0, 1), (50.0, 0)]
    assert [(one.number, one.why) for one in study.left_out] == [(5, "uncertain")]


# -- what a trial says of cuts -----------------------------------------------------------------------------


def test_no_run_crosses_a_segment_and_sums_do_unless_a_person_restarted(chart_rig: ChartRig) -> None:
    plant = Plant(chart_rig, {"single": ONE | {"chart": "imr"}, "drift": ONE | {"chart": "ewma"}})
    plant.run([{"torque": 2.2 + 0.01 * (n % 3)} for n in range(12)])
    points = chart_rig.charts.points(plant.head("single").ref)
    limits = LimitSet.fixed("imr", 2.0, 1.0, 3.0, "v")
    model = CharacteristicSettings.model_validate(ONE | {"chart": "imr", "rules": ["nelson2"]})
    plan = model.plan("single")
    assert plan is not None
    assert [one.index for one in trial(limits, plan.rules, points).signals] == [8, 9, 10, 11]
    cut = [replace(point, segment=1 if point.number < 4 else 2) for point in points]
    assert [one.index for one in trial(limits, plan.rules, cut).signals] == [11]
    excluded = [replace(point, excluded=point.number == 2) for point in points]
    assert [one.index for one in trial(limits, plan.rules, excluded).signals] == [10, 11]
    drift = chart_rig.charts.points(plant.head("drift").ref)
    weighed = plant.sets.preview(plant.head("drift").ref, Window(), Method())[0].limits
    parts = [replace(point, segment=1 if point.number < 4 else 2) for point in drift]
    whole = trial(weighed, plan.rules, drift).values
    assert trial(weighed, plan.rules, parts).values == whole
    assert trial(weighed, plan.rules, parts, {2}).values[3:] == trial(weighed, plan.rules, drift[3:]).values
    assert trial(weighed, plan.rules, parts, {2}).values != whole
