"""The charts of a station: which stream a reading belongs to, what is said, what a changeover does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.chart_facts import reading_ref, ref_subjects
from edge_agent.chart_memory import MOST_STREAMS, ChartMemory, changes, read_memory
from edge_agent.chart_parts import FromTag
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.charting import Judged, Occasion, StationCharts
from edge_agent.papers import NO_PAPERS, Papers
from records.model import Quality, Reading, Subject, SubjectKind
from spc.fields import Fields
from spc.fixed import fixed
from spc.limits import LimitSet
from spc.state import Verdict
from tests.unit.edge.stations import NOW_US, TORQUE, reading

PIECE = Subject(SubjectKind.CARRIER, "C-1")


def torque(**changes: Any) -> CharacteristicSettings:
    return CharacteristicSettings.model_validate({"tag": "plc.torque", "chart": "imr"} | changes)


def occasion(value: JsonValue, quality: Quality = Quality.GOOD, **more: Any) -> Occasion:
    readings: dict[str, Reading] = {"plc.torque": reading("plc.torque", value, quality)}
    return Occasion(**({"at_us": NOW_US, "readings": readings, "subjects": (PIECE,), "order": "WO-1"} | more))


def judge(
    settings: CharacteristicSettings, memory: ChartMemory, *occasions: Occasion, papers: Papers = NO_PAPERS
) -> Judged:
    """What the last run's charts said; all events of the runs before it are left out."""
    charts = StationCharts({"torque": settings}, "valve-1")
    judged = Judged(memory)
    for one in occasions:
        judged = charts.judge(judged.memory, one, charts.chooser.of_run(one, papers), papers)
    return judged


def codes(judged: Judged) -> list[str]:
    return [event.code for event in (*judged.before, *judged.after)]


def verdict(judged: Judged) -> Verdict:
    (judgement,) = judged.judgements
    return judgement.verdict


def test_a_chart_goes_on_from_what_was_kept() -> None:
    judged = judge(TORQUE, ChartMemory(), occasion(2.2), occasion(2.21))
    assert verdict(judged).subgroup_id == 2
    assert verdict(judged).range_statistic == pytest.approx(0.01)


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


# -- streams -----------------------------------------------------------------------------------------------

FIXED = {"centre": 2.2, "lower": 2.05, "upper": 2.35, "version": "t1"}
RUNS = torque(rules=["nelson1", {"nelson2": {"window": 4}}], limits={"fixed": FIXED})


def of(product: str | None, value: float = 2.25, **more: Any) -> Occasion:
    return occasion(value, product=product, **more)


def test_no_run_crosses_a_changeover_and_coming_back_resumes_the_stream() -> None:
    judged = judge(RUNS, ChartMemory(), of("A"), of("A"), of("A"), of("B"), of("A"))
    assert (verdict(judged).state, verdict(judged).subgroup_id, verdict(judged).segment) == ("in_control", 4, 2)
    assert sorted(judged.memory.streams) == ["torque?product=A", "torque?product=B"]
    assert verdict(judge(RUNS, ChartMemory(), of("A"), of("A"), of("A"), of("A"))).rules == ("nelson2",)


def test_another_order_of_the_same_product_cuts_nothing_and_of_an_unknown_one_it_does() -> None:
    known = judge(RUNS, ChartMemory(), *[of("A", order=f"WO-{n}") for n in range(4)])
    assert verdict(known).rules == ("nelson2",)
    unknown = judge(RUNS, ChartMemory(), *[of(None, order=f"WO-{n}") for n in range(4)])
    assert verdict(unknown).rules == ()


def test_limits_of_phase_one_and_the_memory_of_an_ewma_go_on_over_a_changeover() -> None:
    settings = torque(chart="ewma", limits={"from": "phase1", "subgroups": 3}, design={"lam": 0.5})
    runs = [of("A", value) for value in (2.1, 2.3, 2.2, 2.4)]
    straight = judge(settings, ChartMemory(), *runs, of("A", 2.4))
    changed = judge(settings, ChartMemory(), *runs, of("B", 9.0), of("A", 2.4))
    assert verdict(changed).statistic == verdict(straight).statistic
    assert (verdict(changed).limit_version, verdict(changed).provisional) == ("phase1-3", True)
    assert verdict(changed).segment == 2


def test_cavities_take_turns_and_each_has_its_run() -> None:
    settings = RUNS.model_copy(update={"position": FromTag(tag="press.cavity")})

    def shot(cavity: int) -> Occasion:
        one = of("A")
        return replace(one, readings=dict(one.readings) | {"press.cavity": reading("press.cavity", cavity)})

    judged = judge(settings, ChartMemory(), *[shot(n % 2) for n in range(7)])
    assert verdict(judged).rules == ("nelson2",)
    assert verdict(judged).segment == 1
    assert [one.stream for one in judged.judgements] == ["product=A&position=0"]


def test_a_cavity_that_cannot_be_read_is_a_chart_of_its_own() -> None:
    settings = RUNS.model_copy(update={"position": FromTag(tag="press.cavity")})
    one = of("A")
    bad = reading("press.cavity", 1, Quality.BAD)
    judged = judge(settings, ChartMemory(), replace(one, readings=dict(one.readings) | {"press.cavity": bad}))
    assert judged.judgements[0].stream == "product=A&position=unknown"


def test_an_open_subgroup_is_given_up_at_a_changeover_and_its_pieces_are_told() -> None:
    settings = torque(chart="xbar_r", subgroup=3)
    first, second = (Subject(SubjectKind.UNIT, serial, "A", "gs1") for serial in ("S1", "S2"))
    opened = judge(settings, ChartMemory(), of("A", subjects=(first,)), of("A", subjects=(second,)))
    judged = judge(settings, opened.memory, of("B"))
    (event,) = judged.before
    assert (event.code, event.params["closed_by"], event.params["state"]) == ("spc-subgroup", "restart", "gap")
    assert event.subjects == (first, second)
    assert codes(judge(settings, judged.memory, of("A"))) == ["spc-subgroup"]  # that of B was open too


def test_streams_are_bounded_and_one_that_gave_way_begins_above_its_old_numbers() -> None:
    memory = ChartMemory()
    for n in range(MOST_STREAMS):
        memory = judge(RUNS, memory, of(f"P{n}", at_us=NOW_US + n)).memory
    memory = judge(RUNS, memory, of("P0", at_us=NOW_US + MOST_STREAMS)).memory  # P1 is the oldest now
    judged = judge(RUNS, memory, of("new", at_us=NOW_US + MOST_STREAMS + 1))
    assert codes(judged) == ["chart-dropped"]
    assert judged.before[0].params["stream"] == "product=P1"
    assert len(judged.memory.streams) == MOST_STREAMS
    back = judge(RUNS, judged.memory, of("P1"))
    assert verdict(back).segment > int(str(judged.before[0].params["segment"]))


# -- limits ------------------------------------------------------------------------------------------------


def approved(version: int, product: str, effective_us: int = 0, chart: str = "imr") -> dict[str, Any]:
    limits = LimitSet.fixed("imr", 2.2, 2.1, 2.3, f"set-{version}").to_json() | {"chart": chart}
    key = {"product": product, "revision": None, "tool": None, "position": None}
    return {
        "id": "S", "version": version, "line": None, "key": key, "limits": limits, "effective_us": effective_us,
    }  # fmt: skip


def limits(*sets: dict[str, Any]) -> Papers:
    return Papers(limits={"torque": sets})


def test_a_product_without_limits_is_said_once_for_each_order_and_never_judged_by_anothers() -> None:
    papers = limits(approved(1, "A"))
    settings = torque()
    judged = judge(settings, ChartMemory(), of("B", 9.9), papers=papers)
    assert codes(judged) == ["chart-no-limits"]
    assert judged.after[0].params == {"characteristic": "torque", "stream": "product=B"}
    assert judged.after[0].subjects == (PIECE,)
    assert (verdict(judged).state, verdict(judged).limit_version) == ("no_limits", None)
    again = judge(settings, judged.memory, of("B", 9.9), papers=papers)
    assert codes(again) == []
    assert codes(judge(settings, again.memory, of("B", 9.9, order="WO-2"), papers=papers)) == ["chart-no-limits"]
    assert verdict(judge(settings, again.memory, of("A"), papers=papers)).limit_version == "set-1"


def test_other_limits_cut_the_run_and_are_told_with_the_first_record_that_they_judge() -> None:
    before = judge(RUNS, ChartMemory(), of("A"), of("A"), of("A"))
    judged = judge(RUNS, before.memory, of("A"), papers=limits(approved(7, "A")))
    assert verdict(judged).rules == ()
    (event,) = judged.before
    assert event.code == "chart-limits"
    assert event.params == {
        "characteristic": "torque", "stream": "product=A", "segment": 2, "was": "t1", "now": "set-7",
        "source": "limit-set:S:7",
    }  # fmt: skip
    assert codes(judge(RUNS, judged.memory, of("A"), papers=limits(approved(7, "A")))) == []


def test_a_set_begins_at_its_time_without_any_new_document() -> None:
    papers = limits(approved(1, "A"), approved(2, "A", NOW_US + 10))
    charts = StationCharts({"torque": torque()})
    found = []
    memory = ChartMemory()
    for at_us in (NOW_US, NOW_US + 9, NOW_US + 10):
        one = of("A", at_us=at_us)
        judged = charts.judge(memory, one, charts.chooser.of_run(one, papers), papers)
        memory = judged.memory
        found.append(verdict(judged).limit_version)
    assert found == ["set-1", "set-1", "set-2"]


def test_what_a_reload_changes_is_named_and_what_was_open_is_given_up() -> None:
    opened = judge(torque(chart="xbar_r", subgroup=3), ChartMemory(), of("A"))
    resumed = StationCharts({"torque": torque(chart="xbar_r", subgroup=4)}).resume(opened.memory, NO_PAPERS)
    assert resumed.cut == ("torque",)
    assert [event.code for event in resumed.told] == ["spc-subgroup"]
    assert StationCharts({"torque": torque(chart="xbar_r", subgroup=3)}).resume(opened.memory, NO_PAPERS).cut == ()
    away = StationCharts({}).resume(opened.memory, NO_PAPERS)
    (given_up,) = away.told  # nobody else would ever tell what became of its pieces
    assert (given_up.params["subgroup"], given_up.params["closed_by"]) == (1, "restart")
    assert given_up.subjects == (PIECE,)
    assert StationCharts({}).resume(away.memory, NO_PAPERS).told == ()
    back = StationCharts({"torque": torque(chart="xbar_r", subgroup=3)}).resume(away.memory, NO_PAPERS)
    assert (back.cut, back.told) == (("torque",), ())
    assert judge(torque(chart="xbar_r", subgroup=3), back.memory, of("A")).states[0].subgroup == 2


@pytest.mark.parametrize("changes", [{"by": ["tool"]}, {"position": "2"}, {"position": None}])
def test_charts_whose_keys_no_run_can_have_any_more_give_up_what_is_open(changes: dict[str, Any]) -> None:
    told = {"chart": "xbar_r", "subgroup": 3, "position": "1"}
    opened = judge(torque(**told), ChartMemory(), of("A"))
    assert [stream.key for stream in opened.memory.streams.values()] == ["product=A&position=1"]
    resumed = StationCharts({"torque": torque(**told | changes)}).resume(opened.memory, NO_PAPERS)
    assert [(event.code, event.subjects) for event in resumed.told] == [("spc-subgroup", (PIECE,))]
    same = StationCharts({"torque": torque(**told | {"by": ["product", "position"]})})
    assert same.resume(opened.memory, NO_PAPERS).told == ()


# -- closing -----------------------------------------------------------------------------------------------


def test_a_closed_subgroup_names_every_piece_of_every_load() -> None:
    trays = [tuple(Subject(SubjectKind.UNIT, f"S{n}{m}", "A", "gs1") for m in range(3)) for n in range(2)]
    settings = torque(chart="xbar_r", subgroup=2, limits={"fixed": FIXED})
    judged = judge(settings, ChartMemory(), *[of("A", 2.9, subjects=tray) for tray in trays])
    closed, signal = judged.after
    assert (closed.code, closed.params["closed_by"], closed.params["state"]) == ("spc-subgroup", "runs", "signal")
    assert (signal.code, signal.params["statistic"], signal.params["upper"]) == ("spc-signal", 2.9, 2.35)
    assert closed.subjects == signal.subjects == (*trays[0], *trays[1])


def test_time_closes_what_is_open_without_a_run_and_after_a_restart() -> None:
    settings = torque(chart="xbar_r", subgroup={"runs": 5, "after": "30min"}, limits={"fixed": FIXED})
    charts = StationCharts({"torque": settings})
    opened = judge(settings, ChartMemory(), of("A", 2.21), of("A", 2.25, at_us=NOW_US + 60_000_000))
    memory = read_memory(changes(ChartMemory(), opened.memory))  # the process was killed
    half_an_hour = NOW_US + 1800 * 1_000_000
    assert charts.due(memory, half_an_hour - 1, NO_PAPERS) == Judged(memory)
    judged = charts.due(memory, half_an_hour, NO_PAPERS)
    (closed,) = judged.before
    assert (closed.params["closed_by"], closed.params["sample"]) == ("time", 2.0)
    assert closed.params["statistic"] == pytest.approx(2.23)
    assert closed.params["upper"] == pytest.approx(2.2 + 0.15 * (5 / 2) ** 0.5)  # limits for two readings
    assert charts.due(judged.memory, half_an_hour + 1, NO_PAPERS).before == ()
    late = judge(settings, memory, of("A", at_us=half_an_hour))  # a run came before the clock was looked at
    assert [event.params["closed_by"] for event in late.before] == ["time"]
    assert (verdict(late).subgroup_id, verdict(late).position) == (2, 1)


def test_the_end_of_a_lot_closes_its_subgroup_before_the_next_is_opened() -> None:
    settings = torque(chart="xbar_r", subgroup={"runs": 5, "lot": True}, limits={"fixed": FIXED})
    opened = judge(settings, ChartMemory(), of("A", lot="L1"), of("A", lot="L1"))
    judged = judge(settings, opened.memory, of("A", lot="L2"))
    assert [event.params["closed_by"] for event in judged.before] == ["lot"]
    assert (verdict(judged).subgroup_id, verdict(judged).position, verdict(judged).segment) == (2, 1, 1)
    at_once = StationCharts({"torque": settings}).lot_ended(opened.memory, "L2", NO_PAPERS)
    assert [event.params["closed_by"] for event in at_once.before] == ["lot"]
    assert at_once.before[0].order == "WO-1"


THREE = fixed(
    "t2_individuals",
    {"mean": [1, 2, 3], "covariance": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "upper": 9, "version": "three"},
).to_json()


def test_more_pieces_than_a_record_can_hold_stop_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.chart_facts.MOST_SUBJECTS", 2)
    tray = tuple(Subject(SubjectKind.UNIT, f"S{n}", "A", "gs1") for n in range(5))
    settings = torque(chart="imr", limits={"fixed": FIXED})
    (signal,) = judge(settings, ChartMemory(), of("A", 2.9, subjects=tray)).after
    assert (signal.subjects, signal.params["left_out"]) == (tray[-2:], 3)


# -- readings ----------------------------------------------------------------------------------------------


def test_an_uncertain_reading_is_judged_and_makes_no_limits() -> None:
    settings = torque(limits={"from": "phase1", "subgroups": 2})
    uncertain = of("A", readings={"plc.torque": reading("plc.torque", 9.9, Quality.UNCERTAIN)})
    judged = judge(settings, ChartMemory(), of("A", 2.2), uncertain, of("A", 2.3), of("A", 2.4))
    assert verdict(judge(settings, ChartMemory(), uncertain)).statistic == 9.9
    (stream,) = judged.memory.streams.values()
    assert stream.state.limits is None or stream.state.limits.centre < 3
    assert verdict(judge(RUNS, ChartMemory(), uncertain)).state == "signal"


def counts(count: float, size: float, quality: Quality = Quality.GOOD) -> Occasion:
    readings = {"plc.torque": reading("plc.torque", count), "plc.n": reading("plc.n", size, quality)}
    return of("A", readings=readings)


def test_counts_take_the_size_of_their_sample() -> None:
    settings = torque(chart="p", size="plc.n", limits={"fixed": {"centre": 0.1, "version": "p1"}})
    found = verdict(judge(settings, ChartMemory(), counts(30, 100)))
    assert (found.state, found.statistic, found.sample) == ("signal", 0.3, 100)
    assert verdict(judge(settings, ChartMemory(), counts(30, 100, Quality.BAD))).state == "gap"
    assert verdict(judge(settings, ChartMemory(), counts(101, 100))).state == "gap"


def test_a_sample_that_the_limits_cannot_judge_is_a_gap_and_stops_no_record() -> None:
    settings = torque(chart="np", size="plc.n", limits={"fixed": {"centre": 5, "sample": 50, "version": "np1"}})
    assert verdict(judge(settings, ChartMemory(), counts(5, 50))).state == "in_control"
    assert verdict(judge(settings, ChartMemory(), counts(5, 40))).state == "gap"


def test_several_variables_are_one_reading() -> None:
    settings = CharacteristicSettings.model_validate(
        {
            "tags": ["plc.torque", "plc.angle"],
            "chart": "t2_individuals",
            "limits": {"fixed": {"mean": [2, 90], "covariance": [[1, 0], [0, 4]], "upper": 9, "version": "t2"}},
        }
    )

    def pair(angle: float, quality: Quality = Quality.GOOD) -> Occasion:
        readings = {"plc.torque": reading("plc.torque", 2.0), "plc.angle": reading("plc.angle", angle, quality)}
        return of("A", readings=readings)

    assert verdict(judge(settings, ChartMemory(), pair(98))).statistic == pytest.approx(16)
    assert verdict(judge(settings, ChartMemory(), pair(98, Quality.BAD))).state == "gap"
    assert judge(settings, ChartMemory(), of("A")).judgements == ()  # only one of them was captured
    three = LimitSet.from_json(Fields(THREE, "limits")).to_json()
    others = Papers(limits={"torque": (approved(1, "A") | {"limits": three},)})
    assert verdict(judge(settings, ChartMemory(), pair(98), papers=others)).state == "no_limits"


def test_a_short_run_charts_what_is_left_of_each_products_target() -> None:
    entry = {"product": "B", "specification": {"lsl": 4, "usl": 6, "target": 5.0}}
    given = {"centre": 0, "lower": -1, "upper": 1, "version": "s"}
    settings = torque(short_run="deviation", limits={"fixed": given}, specification=SPEC, **{"for": [entry]})
    judged = judge(settings, ChartMemory(), of("A", 2.3), of("B", 5.25))
    assert verdict(judged).statistic == pytest.approx(0.25)
    assert verdict(judged).range_statistic is not None  # no changeover: one chart for all
    without = judge(torque(short_run="deviation", limits={"fixed": given}), ChartMemory(), of("A", 2.3))
    assert (verdict(without).state, codes(without)) == ("gap", ["chart-no-limits"])


SPEC = {"lsl": 1, "usl": 3, "target": 2.0}


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
