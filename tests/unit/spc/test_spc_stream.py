import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from spc.constants import d2, factors
from spc.exact import exact_mean
from spc.given import rates, vectors, weighted
from spc.limits import Chart, Design, LimitSet
from spc.plan import MEMBERS_MAX, PHASE1_MAX
from spc.rules import LONGEST_WINDOW, check_rules
from spc.stream import ChartPlan, ChartState, Fired, Sample, Verdict, close, judge, leave, restart
from spc.variables import imr, means

BOTH = check_rules(("nelson1", "nelson2"))
FIRST, SECOND = BOTH
RUN_LENGTH = SECOND.window
FIXED = LimitSet.fixed("imr", 0, -3, 3, "v1")


def feed(
    plan: ChartPlan,
    values: Sequence[float | Sample | None],
    state: ChartState | None = None,
    *,
    interrupted: bool = False,
) -> tuple[ChartState, list[Verdict]]:
    state = state or ChartState.start(plan)
    verdicts = []
    for number, value in enumerate(values):
        state, verdict = judge(plan, state, value, f"u{number}")
        verdicts.append(verdict)
        if interrupted:
            state = ChartState.from_json(json.loads(json.dumps(state.to_json())))
    return state, verdicts


def states(verdicts: list[Verdict]) -> list[str]:
    return [verdict.state for verdict in verdicts]


def test_individuals_say_what_fired_and_who_made_it() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    _, verdicts = feed(plan, [0.5] * 8 + [4.5])
    assert states(verdicts) == ["in_control"] * 8 + ["signal"]
    last = verdicts[-1]
    assert last.fired == (
        Fired(FIRST, "location", ("u8",), (9,)),
        Fired(SECOND, "location", tuple(f"u{i}" for i in range(9)), tuple(range(1, 10))),
        Fired(FIRST, "range", ("u7", "u8"), (8, 9)),
    )
    assert last.rules == ("nelson1", "nelson2")
    assert (last.subgroup_id, last.position, last.size, last.members) == (9, 1, 1, ("u8",))
    assert (last.statistic, last.range_statistic, last.limit_version) == (4.5, 4.0, "v1")
    assert (verdicts[0].range_statistic, last.centre, last.lower, last.upper) == (None, 0, -3, 3)


def test_a_gap_ends_run_and_moving_range() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    _, verdicts = feed(plan, [1.0] * 8 + [None] + [1.0] * 9)
    assert states(verdicts) == ["in_control"] * 8 + ["gap"] + ["in_control"] * 8 + ["signal"]
    assert verdicts[8].statistic is None
    assert verdicts[8].members == ("u8",)
    assert verdicts[9].range_statistic is None
    assert verdicts[-1].fired[0].members == tuple(f"u{i}" for i in range(9, 18))


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, 1e301, 10**400, np.float64("nan")])
def test_what_is_no_number_is_a_gap(nothing: float | None) -> None:
    _, verdicts = feed(ChartPlan("gap", "imr", 1, BOTH, FIXED), [nothing])
    assert states(verdicts) == ["gap"]


def test_a_subgroup_is_open_until_its_last_reading_and_names_its_members() -> None:
    limits = LimitSet.fixed("xbar_r", 10, 9, 11, "v2", subgroup=3)
    plan = ChartPlan("temp", "xbar_r", 3, BOTH, limits)
    _, verdicts = feed(plan, [10, 10, 10.5, None, 10, 10, 12, 12, None, 12, 12, 12])
    assert states(verdicts) == [
        *("open", "open", "in_control"),
        *("gap", "open", "gap"),
        *("open", "open", "gap"),
        *("open", "open", "signal"),
    ]
    assert [v.position for v in verdicts] == [1, 2, 3] * 4
    assert [v.subgroup_id for v in verdicts] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert verdicts[1].members == ()
    assert verdicts[5].members == ("u3", "u4", "u5")
    assert verdicts[11].fired == (Fired(FIRST, "location", ("u9", "u10", "u11"), (4,)),)


def test_phase_one_collects_freezes_and_then_judges() -> None:
    plan = ChartPlan("temp", "xbar_r", 2, BOTH, phase1_subgroups=3)
    values = [1.0, 3.0, None, 9.0, 2.0, 6.0, 3.0, 5.0]
    state, verdicts = feed(plan, [*values])
    assert states(verdicts)[1::2] == ["collecting", "gap", "collecting", "collecting"]
    assert verdicts[-1].limit_version is None
    assert state.limits == means("xbar_r", [[1, 3], [2, 6], [3, 5]]).limits
    assert state.limits is not None
    assert (state.limits.version, state.limits.provisional) == ("phase1-3", True)
    after, verdicts = feed(plan, [50.0, 51.0], state)
    assert verdicts[1].rules == ("nelson1",)
    assert (verdicts[0].limit_version, verdicts[1].provisional) == ("phase1-3", True)
    assert after.limits == state.limits


def test_phase_one_waits_for_a_moving_range() -> None:
    values = [1.0, None, 2.0, None, 3.0, 5.0]
    state, verdicts = feed(ChartPlan("gap", "imr", 1, BOTH, phase1_subgroups=2), [*values, 5.0])
    assert states(verdicts) == [*["collecting", "gap"] * 2, "collecting", "collecting", "in_control"]
    assert state.limits == imr([math.nan if v is None else v for v in values], phase1=4).limits


def test_points_all_alike_make_no_limits_and_phase_one_goes_on() -> None:
    state, verdicts = feed(ChartPlan("gap", "imr", 1, BOTH, phase1_subgroups=3), [5.0] * 9 + [6.0, 5.1])
    assert states(verdicts) == ["collecting"] * 10 + ["signal"]
    assert state.limits is not None
    assert (state.limits.version, state.phase1) == ("phase1-10", ())


def test_floats_survive_storage_to_the_last_bit() -> None:
    values: list[float | None] = [1 / 3, 0.1 + 0.2, 5e-324, -1 / 7, 1e16 / 3, math.pi * 1e-9, 2 / 3, None]
    for subgroup, chart in ((1, "imr"), (3, "xbar_r")):
        plan = ChartPlan("gap", chart, subgroup, BOTH, phase1_subgroups=2)  # type: ignore[arg-type]
        assert feed(plan, values, interrupted=True) == feed(plan, values)


def test_without_limits_or_phase_one_the_chart_says_so() -> None:
    state, verdicts = feed(ChartPlan("x", "imr", 1, BOTH), [1.0, 2.0, None])
    assert states(verdicts) == ["no_limits", "no_limits", "gap"]
    assert verdicts[1].range_statistic == 1.0
    assert state.phase1 == ()


def test_new_limits_end_a_run_and_win_over_frozen_ones() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    state, _ = feed(plan, [1.0] * 8)
    revised = replace(plan, limits=replace(FIXED, version="v2"))
    _, verdicts = feed(revised, [1.0] * 9, state)
    assert states(verdicts) == ["in_control"] * 8 + ["signal"]
    _, verdicts = feed(plan, [1.0], state)
    assert states(verdicts) == ["signal"]
    frozen, _ = feed(replace(plan, limits=None, phase1_subgroups=2), [7.0, 8.0])
    _, verdicts = feed(plan, [7.0], frozen)
    assert verdicts[0].limit_version == "v1"


def test_restart_lets_nothing_reach_across() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    state, _ = feed(plan, [1.0] * 8)
    _, verdicts = feed(plan, [1.0], restart(state))
    assert (verdicts[0].state, verdicts[0].range_statistic, verdicts[0].subgroup_id) == ("in_control", None, 9)
    grouped = ChartPlan("t", "xbar_r", 3, BOTH, LimitSet.fixed("xbar_r", 0, -1, 1, "v", subgroup=3))
    state, _ = feed(grouped, [9.0, 9.0])
    _, verdicts = feed(grouped, [0.0, 0.0, 0.0], restart(state))
    assert (verdicts[0].position, verdicts[2].subgroup_id, verdicts[2].state) == (1, 2, "in_control")


def test_rules_that_are_not_asked_for_do_not_fire() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH[1:], FIXED)
    _, verdicts = feed(plan, [9.0] * 9)
    assert [v.rules for v in verdicts] == [()] * 8 + [("nelson2",)]
    _, verdicts = feed(replace(plan, rules=BOTH[:1]), [1.0] * 12)
    assert set(states(verdicts)) == {"in_control"}


def test_a_state_of_another_chart_is_refused() -> None:
    state = ChartState.start(ChartPlan("gap", "imr", 1, BOTH, FIXED))
    with pytest.raises(ValueError, match="does not fit"):
        judge(ChartPlan("other", "imr", 1, BOTH, FIXED), state, 1.0, "u")
    with pytest.raises(ValueError, match="does not fit"):
        judge(ChartPlan("gap", "xbar_r", 2, BOTH), state, 1.0, "u")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ChartPlan("x", "imr", 5, BOTH), "single values"),
        (lambda: ChartPlan("x", "xbar_r", 1, BOTH), "at least 2"),
        (lambda: ChartPlan("x", "xbar_r", 26, BOTH), "too large"),
        (lambda: ChartPlan("x", "xbar_r", 4, BOTH, FIXED), "limits 'v1' are for imr"),
        (lambda: ChartPlan("x", "imr", 1, (*BOTH, FIRST)), "named twice"),
        (lambda: ChartPlan("x", "imr", 1, BOTH, phase1_subgroups=1), "at least 2"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(make, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        make()


def test_damaged_state_is_refused_with_the_place() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    stored = feed(plan, [1.0, 2.0])[0].to_json()
    assert ChartState.from_json(stored) == feed(plan, [1.0, 2.0])[0]
    for key, damage, words in [
        ("state_version", 3, "version 3, this build reads 2"),
        ("open_readings", 3, r"chart state\.open_readings: expected a list"),
        ("open_readings", [[1.0], 2], r"chart state\.open_readings: expected a list of lists"),
        ("open_refs", [1], r"chart state\.open_refs: expected text"),
        ("memory", [], r"chart state\.memory: expected an object"),
        ("phase1", [{}], r"chart state\.phase1\[0\]\.location: missing"),
        ("chart", "histogram", "unknown chart"),
        ("previous", "1.0", r"chart state\.previous: expected a finite number"),
    ]:
        with pytest.raises(ValueError, match=words):
            ChartState.from_json(stored | {key: damage})
    memory = dict(stored["memory"])  # type: ignore[call-overload]
    for key, damage, words in [
        ("windows", [1.5], "expected a list of whole numbers"),
        ("recent", ["a"], "expected a list of lists"),
        ("recent", [["one", "u1"]], "invalid literal"),
    ]:
        with pytest.raises(ValueError, match=words):
            ChartState.from_json(stored | {"memory": memory | {key: damage}})


def test_a_verdict_is_plain_json() -> None:
    _, verdicts = feed(ChartPlan("gap", "imr", 1, BOTH, FIXED), [0.1, 7.0])
    assert json.loads(json.dumps(verdicts[1].to_json())) == {
        "characteristic": "gap",
        "chart": "imr",
        "subgroup_id": 2,
        "position": 1,
        "size": 1,
        "state": "signal",
        "rules": ["nelson1"],
        "fired": [
            {"rule": "nelson1", "part": "location", "members": ["u1"], "points": [2]},
            {"rule": "nelson1", "part": "range", "members": ["u0", "u1"], "points": [1, 2]},
        ],
        "statistic": 7.0,
        "range_statistic": 6.9,
        "centre": 0.0,
        "lower": -3.0,
        "upper": 3.0,
        "limit_version": "v1",
        "provisional": False,
        "members": ["u1"],
        "segment": 1,
        "sample": None,
        "range_centre": d2(2),
        "range_lower": 0.0,
        "range_upper": factors(2).D4 * d2(2),
    }


def test_state_does_not_grow() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, FIXED)
    short, _ = feed(plan, [1.0] * 20)
    long, _ = feed(plan, [1.0] * 400)
    assert short.memory is not None
    assert len(short.memory.recent) == RUN_LENGTH - 1
    assert len(json.dumps(long.to_json())) < len(json.dumps(short.to_json())) + 40


# --- closing, sizes, what cannot be ---------------------------------------------------------------------


def test_a_subgroup_that_closes_early_has_the_limits_of_its_size() -> None:
    limits = LimitSet.fixed("xbar_s", 10, 9, 11, "v1", subgroup=4)
    plan = ChartPlan("temp", "xbar_s", 4, BOTH, limits)
    assert close(plan, ChartState.start(plan)) == (ChartState.start(plan), None)
    state, _ = feed(plan, [12, 12])
    state, verdict = close(plan, state)
    assert verdict is not None
    assert (verdict.position, verdict.size, verdict.sample, verdict.members) == (2, 4, 2.0, ("u0", "u1"))
    assert verdict.lower == pytest.approx(10 - math.sqrt(2))
    assert (verdict.state, verdict.rules_on("location"), verdict.rules_on("range")) == ("signal", ("nelson1",), ())
    spread = limits.spread_at(2)
    assert spread is not None
    assert (verdict.range_centre, verdict.range_upper) == (spread.centre, spread.upper)
    assert (state.subgroup_id, state.open_refs) == (2, ())


def test_one_reading_of_a_chart_of_means_is_a_gap() -> None:
    plan = ChartPlan("temp", "xbar_r", 3, BOTH, LimitSet.fixed("xbar_r", 10, 9, 11, "v1", subgroup=3))
    _, verdict = close(plan, feed(plan, [12])[0])
    assert verdict is not None
    assert (verdict.state, verdict.members) == ("gap", ("u0",))


def test_counts_are_summed_over_the_samples_of_a_point() -> None:
    plan = ChartPlan("leaks", "p", 3, BOTH, rates("p", 0.1, 50, "v1"))
    state, verdicts = feed(plan, [Sample((4.0,), 20), None, Sample((5.0,), 10)])
    last = verdicts[-1]
    assert (last.statistic, last.sample, last.state) == (9 / 30, 30.0, "signal")
    lines = rates("p", 0.1, 50, "v1").at(30)
    assert (last.lower, last.upper) == (lines.lower, lines.upper)
    _, verdict = close(plan, feed(plan, [Sample((1.0,), 40)], state)[0])
    assert verdict is not None
    assert (verdict.statistic, verdict.sample) == (1 / 40, 40.0)


@pytest.mark.parametrize(
    ("chart", "sample"),
    [
        ("p", Sample((5.0,), 4)),
        ("p", Sample((-1.0,), 4)),
        ("p", Sample((0.5,), 4)),
        ("u", Sample((1.0,), 0)),
        ("u", Sample((1.0,), math.nan)),
        ("u", Sample((1.0,), -3.0)),
        ("np", Sample((1.0,), 49)),
        ("c", Sample((-1.0,))),
        ("p", Sample((1.0, 2.0), 4)),
    ],
)
def test_a_count_that_cannot_be_is_a_gap(chart: Chart, sample: Sample) -> None:
    centre = 0.1 if chart in ("p", "u") else 5.0
    plan = ChartPlan("leaks", chart, 1, BOTH, rates(chart, centre, 50, "v1"))
    _, verdicts = feed(plan, [sample])
    assert states(verdicts) == ["gap"]


def test_counts_of_equal_samples_need_all_of_them() -> None:
    plan = ChartPlan("scratches", "c", 2, BOTH, rates("c", 5.0, 1, "v1"))
    state, verdicts = feed(plan, [3.0, None, 3.0])
    assert states(verdicts) == ["open", "gap", "open"]
    _, verdict = close(plan, state)
    assert verdict is not None
    assert verdict.state == "gap"


def test_a_negative_time_between_events_is_a_gap() -> None:
    plan = ChartPlan("days", "t", 1, BOTH, phase1_subgroups=2)
    assert states(feed(plan, [1.0, -1.0, 2.0, 3.0, 2.5])[1]) == [
        *("collecting", "gap", "collecting", "collecting", "in_control")
    ]


def test_a_reading_of_another_number_of_variables_is_refused() -> None:
    plan = ChartPlan(
        "pair", "t2_individuals", 1, BOTH, vectors("t2_individuals", [0, 0], ((1.0, 0.0), (0.0, 1.0)), 9, "v")
    )
    with pytest.raises(ValueError, match="pair: limits 'v' are for 2 variables, the reading has 3"):
        judge(plan, ChartState.start(plan), Sample((1.0, 2.0, 3.0)), "u")


def test_a_cusum_names_the_points_since_the_process_changed() -> None:
    limits = weighted("cusum", 0, 1, Design(k=0.5, h=2.0), "v1")
    plan = ChartPlan("force", "cusum", 1, BOTH, limits)
    state, verdicts = feed(plan, [1.0, -2.0, 1.0, None, 1.5, 1.6], interrupted=True)
    assert verdicts[-1].fired == (Fired(FIRST, "location", ("u2", "u4", "u5"), (3, 5, 6)),)
    assert (verdicts[-1].statistic, verdicts[-1].range_statistic) == (pytest.approx(2.6), 0.0)
    _, verdicts = feed(plan, [2.0] * 40, state)
    assert len(verdicts[-1].fired[0].points) == LONGEST_WINDOW


def test_sums_begin_anew_under_another_design_and_go_on_after_a_changeover() -> None:
    plan = ChartPlan("force", "ewma", 1, BOTH, weighted("ewma", 0, 1, Design(lam=0.5), "v1"))
    state, verdicts = feed(plan, [2.0, 2.0])
    assert verdicts[-1].statistic == 1.5
    other = replace(plan, limits=weighted("ewma", 0, 1, Design(lam=0.25), "v1"), design=None)
    assert feed(other, [2.0], state)[1][0].statistic == 0.5
    assert feed(plan, [2.0], restart(state))[1][0].statistic == 1.0
    assert feed(plan, [2.0], leave(state))[1][0].statistic == 1.75


def test_references_are_bounded_and_the_points_are_named_all_the_same() -> None:
    plan = ChartPlan("leaks", "p", 200, BOTH, rates("p", 0.1, 200, "v1"))
    state, verdicts = ChartState.start(plan), []
    for number in range(9 * 200):
        state, verdict = judge(plan, state, 1.0 if number % 4 == 0 else 0.0, f"u{number}")
        verdicts.append(verdict)
        assert state.memory is None or sum(len(refs) for _, refs in state.memory.recent) <= MEMBERS_MAX
    run = verdicts[-1].fired[-1]
    assert (run.rule, run.points) == (SECOND, tuple(range(1, 10)))
    assert run.members == tuple(f"u{number}" for number in range(6 * 200, 9 * 200))


def test_phase_one_that_never_ends_holds_a_bounded_number_of_points() -> None:
    plan = ChartPlan("gap", "imr", 1, BOTH, phase1_subgroups=2)
    state, _ = feed(plan, [5.0] * (PHASE1_MAX + 40))
    assert len(state.phase1) == PHASE1_MAX


def test_a_state_of_version_1_keeps_its_place_and_its_limits() -> None:
    plan = ChartPlan("temp", "xbar_r", 2, BOTH, phase1_subgroups=3)
    state, _ = feed(plan, [1.0, 3.0, 2.0, 6.0, 3.0, 5.0, 4.0])
    assert state.limits is not None
    told = state.limits.to_json()
    for later in ("sigma_z", "design", "mean", "covariance", "sample_size", "sbar"):
        del told[later]
    mean = {"count": 3, "partials": [9.0], "lowest": 2.0, "highest": 4.0}
    older = {
        "state_version": 1,
        "characteristic": "temp",
        "chart": "xbar_r",
        "subgroup": 2,
        "subgroup_id": 4,
        "open_values": [4.0],
        "open_refs": ["u6"],
        "previous": None,
        "previous_ref": None,
        "run": {"side": 1, "refs": [["u4", "u5"]], "version": "phase1-3", "centre": 3.0},
        "limits": told,
        "points": mean,
        "ranges": mean,
    }
    # a chart of subgroups looks at no neighbour
    assert ChartState.from_json(older) == state._replace(previous=None, previous_ref="")


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        exact_mean([])
