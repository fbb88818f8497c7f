"""The charts of a station: which stream a reading belongs to, what is said, what a changeover does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.chart_facts import reading_ref, ref_subjects
from edge_agent.chart_memory import ChartMemory
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.charting import Judged, Occasion, StationCharts
from edge_agent.papers import NO_PAPERS
from records.model import Quality, Reading, Subject, SubjectKind
from tests.unit.edge.stations import NOW_US, TORQUE, reading

PIECE = Subject(SubjectKind.CARRIER, "C-1")


def torque(**changes: Any) -> CharacteristicSettings:
    return CharacteristicSettings.model_validate({"tag": "plc.torque", "chart": "imr"} | changes)


def occasion(value: JsonValue, quality: Quality = Quality.GOOD, **more: Any) -> Occasion:
    readings: dict[str, Reading] = {"plc.torque": reading("plc.torque", value, quality)}
    return Occasion(**({"at_us": NOW_US, "readings": readings, "subjects": (PIECE,), "order": "WO-1"} | more))


def judge(settings: CharacteristicSettings, memory: ChartMemory, *occasions: Occasion) -> Judged:
    charts = StationCharts({"torque": settings})
    judged = Judged(memory)
    for one in occasions:
        judged = charts.judge(judged.memory, one, charts.chooser.of_run(one, NO_PAPERS), NO_PAPERS)
    return judged


def test_a_chart_goes_on_from_what_was_kept() -> None:
    judged = judge(TORQUE, ChartMemory(), occasion(2.2), occasion(2.21))
    (judgement,) = judged.judgements
    assert judgement.verdict.subgroup_id == 2
    assert judgement.verdict.range_statistic == pytest.approx(0.01)


def test_a_state_that_no_longer_fits_its_plan_begins_anew_and_counts_on() -> None:
    judged = judge(torque(chart="xbar_r", subgroup=4), ChartMemory(), occasion(2.2), occasion(2.2))
    (judgement,) = judged.judgements
    assert (judgement.verdict.position, judgement.verdict.size) == (2, 4)
    judged = judge(torque(chart="xbar_r", subgroup=5), judged.memory, occasion(2.2))
    (judgement,) = judged.judgements
    assert (judgement.verdict.subgroup_id, judgement.verdict.position, judgement.verdict.size) == (2, 1, 5)


@pytest.mark.parametrize(
    ("value", "quality"),
    [(2.2, Quality.BAD), ("2.2", Quality.GOOD), (True, Quality.GOOD), ([2.2], Quality.GOOD), (None, Quality.GOOD)],
)
def test_a_reading_that_is_no_number_is_a_gap_in_the_chart(value: JsonValue, quality: Quality) -> None:
    (judgement,) = judge(TORQUE, ChartMemory(), occasion(value, quality)).judgements
    assert judgement.verdict.state == "gap"


def test_what_was_not_captured_moves_no_chart() -> None:
    assert judge(TORQUE, ChartMemory(), occasion(2.2, readings={})) == Judged(ChartMemory())


@pytest.mark.parametrize(
    "subjects",
    [
        (PIECE,),
        (Subject(SubjectKind.UNIT, "0001", "VS-100", "gs1"),),
        (Subject(SubjectKind.LOT, "A|B/C|", "VS-100", "supplier"), PIECE),
    ],
)
def test_subjects_survive_as_a_charts_reference(subjects: tuple[Subject, ...]) -> None:
    assert ref_subjects(reading_ref(subjects)) == subjects
