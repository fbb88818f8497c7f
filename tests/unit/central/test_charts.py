"""Chart points are a projection of committed facts; notes on them are decisions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from chart_rig import AUDITOR, ENGINEER, QA, START_US, STEP_US, STREAM, ChartRig, closing, run, verdict
from core_rig import HEADER, Agent, rig

from central.access import User
from central.charts import CAUSES, ChartPoint, ChartRef, point_hash, prepare
from central.signature import SignatureRefused
from central.store import chart_intake
from records.errors import Invalid, Refused
from records.model import Decision, Fact, Quality, StoredAs, encode, kind_of

pytestmark = pytest.mark.both_stores


@pytest.fixture
def charts(tmp_path: Path) -> Iterator[ChartRig]:
    with rig(tmp_path) as central:
        yield ChartRig(central)


REF = ChartRef("assembly-1", "assemble", "torque", STREAM)


def numbers(points: list[ChartPoint]) -> list[int]:
    return [point.number for point in points]


def test_single_values_are_points(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1, 2.2])
    (head,) = charts.charts.heads()
    assert (head.ref, head.line, head.chart, head.unit, head.product) == (REF, "valve-1", "imr", "N.m", "VS-100")
    assert (head.points, head.state, head.limit_version, head.provisional) == (3, "in_control", "phase1-25", True)
    assert head.specification is not None
    assert (head.specification.lower, head.specification.upper, head.specification.source) == (1.0, 3.0, "line")
    points = charts.charts.points(REF)
    assert [(p.number, p.subgroup, p.segment, p.statistic, p.readings, p.subjects) for p in points] == [
        (1, 1, 1, 2.0, ((2.0,),), ("S0001",)),
        (2, 2, 1, 2.1, ((2.1,),), ("S0002",)),
        (3, 3, 1, 2.2, ((2.2,),), ("S0003",)),
    ]
    assert points[-1].ref.hash == charts.agent.envelopes[-1].hash.hex()
    assert head.last == points[-1]
    assert charts.charts.head(REF.id) == head


def test_a_subgroup_is_one_point_when_it_closes(charts: ChartRig) -> None:
    how = {"size": 3, "chart": "xbar_r"}
    charts.commit(
        run(1, 2.0, verdict(1, None, position=1, state="open", **how)),
        run(2, 2.1, verdict(1, None, position=2, state="open", **how), quality=Quality.UNCERTAIN),
    )
    assert charts.charts.points(REF) == []
    charts.commit(run(3, 2.2, verdict(1, 2.1, position=3, spread=0.2, **how)), closing(1, 1, [1, 2, 3], "runs"))
    (point,) = charts.charts.points(REF)
    assert point.readings == ((2.0,), (2.1,), (2.2,))
    assert (point.statistic, point.range_statistic, point.uncertain) == (2.1, 0.2, 1)
    assert (point.subjects, point.subjects_total, point.closed_by) == (("S0001", "S0002", "S0003"), 3, "runs")
    assert point.ref.hash == charts.agent.envelopes[-2].hash.hex()  # the record's, not the event's


def test_a_subgroup_that_no_record_closes_is_closed_by_its_event(charts: ChartRig) -> None:
    how = {"size": 3, "chart": "xbar_r", "state": "open"}
    charts.commit(
        run(1, 2.0, verdict(1, None, position=1, **how)),
        run(2, 2.2, verdict(1, None, position=2, **how)),
        closing(
            1, 1, [1, 2], "time", statistic=2.1, range_statistic=0.2, sample=2, lower=1.5, upper=2.5, centre=2
        ),
        run(3, 2.3, verdict(2, None, position=1, **how)),
    )
    (point,) = charts.charts.points(REF)
    assert (point.statistic, point.sample, point.lower, point.closed_by) == (2.1, 2.0, 1.5, "time")
    assert point.readings == ((2.0,), (2.2,))
    assert charts.charts.heads()[0].points == 1


def test_an_event_alone_is_a_point(charts: ChartRig) -> None:
    charts.commit(closing(2, 7, [4, 5], "lot", statistic=2.0, state="signal", rules=["nelson1"]))
    (point,) = charts.charts.points(REF)
    assert (point.subgroup, point.segment, point.rules, point.signal) == (7, 2, ("nelson1",), True)


def test_records_from_before_streams_have_a_chart_without_key(charts: ChartRig) -> None:
    charts.singles([2.0], stream=None, segment=None)
    (head,) = charts.charts.heads()
    assert head.ref.stream == ""
    assert head.last is not None
    assert head.last.segment == 0


def test_a_gap_has_no_value(charts: ChartRig) -> None:
    charts.commit(run(1, None, verdict(1, 9.9, state="gap"), quality=Quality.BAD))
    (point,) = charts.charts.points(REF)
    assert (point.state, point.statistic, point.readings) == ("gap", None, ((None,),))


def test_readings_that_bear_another_name_are_found_by_their_tags_in_the_charts_order(charts: ChartRig) -> None:
    both = run(1, 2.0, replace(verdict(1, 9.0, name="pair"), tags=("press.force", "assembler.torque")))
    force = replace(both.readings[0], tag="press.force", value=40.0, unit="N", characteristic="force")
    charts.commit(replace(both, readings=(*both.readings, force)))
    (head,) = charts.charts.heads()
    assert head.unit == "N"
    (point,) = charts.charts.points(head.ref)
    assert point.readings == ((40.0, 2.0),)


def test_windows_of_numbers_and_times(charts: ChartRig) -> None:
    charts.singles([2.0] * 10)
    read = charts.charts.points
    assert numbers(read(REF, limit=3)) == [8, 9, 10]
    assert numbers(read(REF, limit=3, last=7)) == [5, 6, 7]
    assert numbers(read(REF, first=2, last=4)) == [2, 3, 4]
    assert numbers(read(REF, START_US + 3 * STEP_US, START_US + 6 * STEP_US)) == [3, 4, 5]
    assert read(replace(REF, stream="product=other")) == []


def test_streams_and_products_are_charts_of_their_own(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1])
    charts.singles([5.0], first=3, stream="product=VS-200")
    assert [(h.product, h.points) for h in charts.charts.heads()] == [("VS-100", 2), ("VS-200", 1)]
    assert [h.product for h in charts.charts.heads(product="VS-200")] == ["VS-200"]
    assert charts.charts.heads(line="no-such-line") == []


def test_versions_are_the_spans_of_limits(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1], version=None, state="collecting")
    charts.singles([2.0, 2.1, 2.0], first=3)
    charts.singles([2.2], first=6, version="ls-1:2")
    charts.singles([None], first=7, version=None, state="gap")
    charts.singles([2.2], first=8, version="ls-1:2")
    charts.singles([2.0, 2.1], first=9)  # the later version was withdrawn
    told = charts.charts.versions(REF)
    assert [(v.version, v.first, v.last, v.points, v.lower) for v in told] == [
        ("phase1-25", 3, 5, 3, 1.4),
        ("ls-1:2", 6, 8, 2, 1.4),
        ("phase1-25", 9, 10, 2, 1.4),
    ]


def test_what_was_stored_again_after_a_rolled_back_disk_is_no_second_point(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1])
    again = Agent(key=charts.agent.key)
    old = charts.agent.envelopes[-1]
    header = replace(HEADER, stored_as=StoredAs(old.epoch, old.seq, old.hash.hex()))
    data = run(2, 2.1, verdict(2, 2.1))
    again.write_body(kind_of(data), encode(Fact(header, data)))
    again.write(run(3, 2.2, verdict(2, 2.2)))  # the agent's state was rolled back with its disk
    assert charts.central.ingest.take(again.topic, again.frame()).result == "committed"
    assert [(p.number, p.statistic) for p in charts.charts.points(REF)] == [(1, 2.0), (2, 2.1), (3, 2.2)]


def test_the_tables_are_made_again_from_the_facts(charts: ChartRig) -> None:
    how = {"size": 2, "chart": "xbar_r"}
    charts.singles([2.0, 2.1, 2.9], state="signal", rules=["nelson1"])
    charts.commit(
        run(4, 2.0, verdict(4, None, position=1, state="open", **how)),
        closing(1, 4, [4], "time", statistic=2.0),
    )
    charts.charts.annotate(REF, 3, ENGINEER, cause="tool-wear", text="tip worn")
    before = (charts.charts.heads(), charts.charts.points(REF), charts.charts.versions(REF))
    store = charts.central.store
    store.write(chart_intake.forget)
    prepare(store)  # complete as far as it knows, or never made: both are made anew
    assert (charts.charts.heads(), charts.charts.points(REF), charts.charts.versions(REF)) == before
    prepare(store)
    assert charts.charts.points(REF) == before[1]


# -- notes -------------------------------------------------------------------------------------------------


def test_a_cause_closes_a_signal(charts: ChartRig) -> None:
    charts.singles([2.0, 2.9], state="signal", rules=["nelson1"])
    assert charts.charts.heads()[0].signals_open == 2
    point = charts.charts.annotate(REF, 2, ENGINEER, cause="tool-wear", text="tip worn")
    assert (point.cause, [(n.user, n.cause, n.text) for n in point.comments]) == (
        "tool-wear",
        [("eva", "tool-wear", "tip worn")],
    )
    charts.charts.annotate(REF, 2, QA, text="seen")
    charts.charts.annotate(REF, 2, QA, cause="material")
    assert charts.charts.heads()[0].signals_open == 1
    point = charts.charts.points(REF)[1]
    assert (point.cause, len(point.notes)) == ("material", 3)
    decision = charts.central.store.facts(codes=["comment"])[0].fact.data
    assert isinstance(decision, Decision)
    assert decision.target.id == f"assembly-1/assemble/torque?{STREAM}#1-2"
    assert decision.target.hash == point.ref.hash


def test_causes_are_the_plants(charts: ChartRig) -> None:
    charts.singles([2.9])
    own = type(charts.charts)(
        charts.central.store, charts.central.facts, charts.central.clock, {"torque": ("bit",), "*": ("other",)}
    )
    assert (own.causes("torque"), own.causes("leak")) == (("bit",), ("other",))
    assert charts.charts.causes("torque") == CAUSES
    with pytest.raises(Invalid, match="no cause of torque"):
        own.annotate(REF, 1, ENGINEER, cause="tool-wear")
    with pytest.raises(Invalid, match="a cause or a comment"):
        own.annotate(REF, 1, ENGINEER, text=" ")
    with pytest.raises(Refused, match="may not note"):
        own.annotate(REF, 1, AUDITOR, text="x")
    with pytest.raises(Invalid, match="no point 7"):
        own.annotate(REF, 7, ENGINEER, text="x")


def test_a_point_is_left_out_with_a_signature_and_taken_in_again(charts: ChartRig) -> None:
    charts.singles([2.0, 2.9])
    shown = point_hash(REF, charts.charts.points(REF)[1])
    out = charts.charts.exclude(REF, 2, "exclude", QA, "tip broke", cause="tool-wear", content_hash=shown)
    assert (out.excluded, out.cause, out.notes[0].act) == (True, "tool-wear", "exclude")
    decision = charts.central.store.facts(codes=["exclude"])[0].fact.data
    assert isinstance(decision, Decision)
    assert decision.signature is not None
    assert (decision.signature.user, decision.signature.covers) == ("li.na", shown)
    with pytest.raises(SignatureRefused, match="not as it was shown"):
        charts.charts.exclude(REF, 2, "include", QA, "again", content_hash=shown)
    with pytest.raises(SignatureRefused, match="may not exclude"):
        charts.charts.exclude(REF, 1, "exclude", AUDITOR, "x", content_hash=shown)
    refusals = charts.central.store.facts(codes=["signature-refused"], stream="audit")
    assert len(refusals) == 2
    back = charts.charts.exclude(REF, 2, "include", QA, "was right", content_hash=point_hash(REF, out))
    assert not back.excluded


def test_of_two_signatures_on_one_point_at_once_one_counts(charts: ChartRig) -> None:
    """A button that is pressed twice, or two people: what the second one saw is no longer so."""
    charts.singles([2.0, 2.9])
    shown = point_hash(REF, charts.charts.points(REF)[1])
    both = threading.Barrier(2)

    def sign(user: User) -> str:
        both.wait(10)
        try:
            charts.charts.exclude(REF, 2, "exclude", user, "tip broke", content_hash=shown)
        except SignatureRefused as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(sign, (QA, ENGINEER))) == ["content-changed", "done"]
    assert len(charts.central.store.facts(codes=["exclude"])) == 1
