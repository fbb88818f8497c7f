"""Clean orders stay in control at every size, and each scripted trouble shows on its chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from records.model import Purpose, Result
from simulators.jobs import Job, StationName
from simulators.noise import BOUND, calm_series, uniform
from simulators.plant import float32
from simulators.settings import PlantSettings

MakeSettings = Callable[..., PlantSettings]
MakePlan = Callable[[PlantSettings], dict[StationName, tuple[Job, ...]]]

SIZES = (8, 13, 50, 200)
SEEDS = (1, 2, 7, 20261120)

TORQUE, TORQUE_SIGMA = 2.20, 0.05
ENERGY, ENERGY_LIMIT = 65.0, 1.5
LEAK, LEAK_SIGMA = 0.12, 0.02


def values(jobs: Sequence[Job], tag: str, order: str | None = None) -> list[float]:
    found = []
    for job in jobs:
        counts = job.cycle.purpose is not Purpose.SETUP and job.cycle.result is not Result.ABORTED
        if counts and order in (None, job.cycle.order):
            value = job.cycle.values[tag]
            assert isinstance(value, float)
            found.append(value)
    return found


def individuals_signals(points: Sequence[float], centre: float, sigma: float) -> list[int]:
    """Points that break Nelson 1 or 2 on an I-MR chart with fixed limits (the moving range has rule 1 alone)."""
    found = []
    for index, point in enumerate(points):
        beyond = abs(point - centre) > 3 * sigma
        moved = index > 0 and abs(point - points[index - 1]) > 3.6865 * sigma
        run = points[max(0, index - 8) : index + 1]
        nine = len(run) == 9 and (all(p > centre for p in run) or all(p < centre for p in run))
        if beyond or moved or nine:
            found.append(index)
    return found


def means_of_four(points: Sequence[float], start: int = 0) -> list[float]:
    return [sum(points[i : i + 4]) / 4 for i in range(start, len(points) - 3, 4)]


def mean_signals(points: Sequence[float], start: int = 0) -> list[int]:
    return individuals_signals_without_ranges(means_of_four(points, start), ENERGY, ENERGY_LIMIT / 3)


def individuals_signals_without_ranges(points: Sequence[float], centre: float, sigma: float) -> list[int]:
    found = []
    for index, point in enumerate(points):
        run = points[max(0, index - 8) : index + 1]
        nine = len(run) == 9 and (all(p > centre for p in run) or all(p < centre for p in run))
        if abs(point - centre) > 3 * sigma or nine:
            found.append(index)
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("units", SIZES)
def test_clean_orders_give_no_signal_even_after_a_troubled_one(
    units: int, seed: int, make_settings: MakeSettings, make_plan: MakePlan
) -> None:
    plan = make_plan(make_settings(units, orders=3, seed=seed))
    for station, tag, centre, sigma in (
        ("assemble", "assembler.torque", TORQUE, TORQUE_SIGMA),
        ("leak_test", "leak_tester.leak_rate", LEAK, LEAK_SIGMA),
    ):
        jobs = plan[station]  # type: ignore[index]
        everything = values(jobs, tag)
        clean_from = len(everything) - units
        signals = individuals_signals(everything, centre, sigma)
        assert not [i for i in signals if i < units or i >= clean_from], (station, signals)
        for order in ("WO-1001", "WO-1003"):
            assert not individuals_signals(values(jobs, tag, order), centre, sigma)
    energies = values(plan["weld"], "welder.energy")
    for start in range(4):
        assert not mean_signals(energies[:units], start)
        assert not mean_signals(energies[len(energies) - units :], start)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("units", SIZES)
def test_drift_and_mean_shift_show_on_their_charts_at_any_size(
    units: int, seed: int, make_settings: MakeSettings, make_plan: MakePlan
) -> None:
    plan = make_plan(make_settings(units, seed=seed))
    torque = values(plan["assemble"], "assembler.torque", "WO-1002")
    assert any(abs(point - TORQUE) > 3 * TORQUE_SIGMA for point in torque)
    assert all(1.8 <= point <= 2.6 for point in torque)
    energy = values(plan["weld"], "welder.energy", "WO-1002")
    assert all(55 <= point <= 75 for point in energy)
    before = values(plan["weld"], "welder.energy", "WO-1001")
    for held in range(4):  # a subgroup may have begun with so many pieces of the order before
        points = before[units - held :] + energy
        assert any(abs(mean - ENERGY) > ENERGY_LIMIT for mean in means_of_four(points)), held


@pytest.mark.parametrize("units", SIZES)
def test_the_default_troubles_meet_different_pieces(
    units: int, make_settings: MakeSettings, make_plan: MakePlan
) -> None:
    plan = make_plan(make_settings(units))
    troubled = [job for jobs in plan.values() for job in jobs if job.cycle.order == "WO-1002"]
    codes = [code for job in troubled for code in job.troubles]
    assert sorted(codes) == sorted(set(codes))
    by_station: dict[StationName, list[Job]] = {name: [] for name in plan}
    for job in troubled:
        by_station[job.cycle.station].append(job)
    results = [job.cycle.result for job in by_station["assemble"]]
    assert results.count(Result.ABORTED) == 1
    assert results.count(Result.PASS) == units + 1  # and the setup piece
    welds = [job.cycle.carrier for job in by_station["weld"]]
    assert len(welds) == units + 1  # and the rework
    twice = {carrier for carrier in welds if welds.count(carrier) == 2}
    never = {f"C-{n:04d}" for n in range(1, units + 1)} - set(welds)
    assert len(twice) == 2  # the reworked piece, and the carrier that was read for another
    assert len(never) == 1
    assert [j.cycle.result for j in by_station["weld"]].count(Result.SCRAP) == 1
    assert sum(job.restart for job in by_station["weld"]) == 1
    tests = by_station["leak_test"]
    assert [job.cycle.purpose for job in tests].count(Purpose.RETEST) == 1
    assert [job.cycle.purpose for job in tests].count(Purpose.REWORK) == 1
    assert [job.cycle.result for job in tests].count(Result.FAIL) == 2
    assert tests[-1].cycle.total - tests[0].cycle.total == len(tests) - 1 + 1
    (wash,) = by_station["wash"]
    assert len(wash.cycle.subjects) == units - 1
    assert wash.done is not None
    assert (wash.done.ordered, wash.done.good, wash.done.scrap) == (units, units - 1, 1)


def test_an_out_of_specification_weld_passes_the_machine(make_settings: MakeSettings, make_plan: MakePlan) -> None:
    plan = make_plan(make_settings(8))
    outside = [job for job in plan["weld"] if "out-of-specification" in job.troubles]
    assert [(job.cycle.values["welder.collapse"], job.cycle.result) for job in outside] == [(0.535, Result.PASS)]


def test_lots_are_taken_one_after_another_and_never_expired_ones(
    make_settings: MakeSettings, make_plan: MakePlan
) -> None:
    plan = make_plan(make_settings(8))
    clean = [job for job in plan["assemble"] if job.cycle.order == "WO-1001"]
    rings = [used for job in clean for used in job.cycle.materials if used.item == "SR-20"]
    assert [used.lot for used in rings] == ["SR/0001"] * 5 + ["SR/0002"] * 3  # 11 rings are 5 pieces
    assert {used.quantity for used in rings} == {2}
    change = clean[5].scans_before
    assert [scan.text for scan in change] == ["]d201040123450000231728063010SR/0002"]
    refused = [s.text for job in plan["assemble"] for s in job.scans_before if not s.accept]
    assert refused == ["]d2010401234500004710FOREIGN-01", "]d201040123450000231726013110SR-OLD"]
    aborted = next(job for job in plan["assemble"] if job.cycle.result is Result.ABORTED)
    assert aborted.cycle.materials == ()


def test_every_machine_counts_its_cycles_without_a_gap(make_settings: MakeSettings, make_plan: MakePlan) -> None:
    plan = make_plan(make_settings(13, orders=4))
    for jobs in plan.values():
        assert [job.cycle.cycle for job in jobs] == list(range(1, len(jobs) + 1))
    names = [job.name for jobs in plan.values() for job in jobs]
    assert len(names) == len(set(names))
    assert {name for jobs in plan.values() for job in jobs for name in job.after} <= set(names)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another(
    make_settings: MakeSettings, make_plan: MakePlan
) -> None:
    first, again = make_plan(make_settings(13, seed=5)), make_plan(make_settings(13, seed=5))
    assert first == again
    other = make_plan(make_settings(13, seed=6))
    assert values(first["assemble"], "assembler.torque") != values(other["assemble"], "assembler.torque")


def test_values_that_travel_as_float32_are_float32(make_settings: MakeSettings, make_plan: MakePlan) -> None:
    plan = make_plan(make_settings(8))
    for job in (*plan["leak_test"], *plan["wash"]):
        for tag, value in job.cycle.values.items():
            if isinstance(value, float):
                assert value == float32(value), tag


def test_noise_is_a_function_of_its_key() -> None:
    assert uniform(1, "a") == uniform(1, "a") != uniform(1, "b")
    assert 0 < uniform("x") < 1
    series = calm_series(200, 3, "torque")
    assert calm_series(50, 3, "torque") == series[:50]
    assert all(abs(value) <= BOUND for value in series)
    assert individuals_signals(series, 0.0, 1.0) == []
