"""What judging costs: every chart point by point, and a thousand charts in one step, by all eight Nelson rules.

    python -m benchmarks.spc [--json] [--charts 1000] [--rounds 15]

Streaming is everything that `spc.stream.judge` does for one reading: the subgroup, lines, rules with the points
that made them, the next state, the verdict; beside it what writing that state as JSON adds, as the agent does with
each record. The bank (`spc.bank`) judges a new point on each of many charts at once. The plain loop is pure Python
that keeps the last points of a chart and looks at every rule's window again for each new one, and does nothing
else: no state, no members, no verdict. It is also the judge of the others: all three must flag the same.

Figures are medians over rounds of CPU time; memory is what the allocator holds for the states.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from spc.bank import Bank
from spc.given import rates, vectors, weighted
from spc.limits import ATTRIBUTES, CHARTS, NELSON_T_POWER, VECTORS, Chart, Design, LimitSet
from spc.rules import check_rules
from spc.statistics import to_normal
from spc.stream import ChartPlan, ChartState, Sample, judge

RULES = check_rules([f"nelson{number}" for number in range(1, 9)])
WINDOW = max(rule.window for rule in RULES)
READINGS = 1_000
"""Of one round of one chart."""
REF = "unit|VS-100|gs1|000123"
MATRIX = ((1.0, 0.3, 0.1), (0.3, 2.0, 0.2), (0.1, 0.2, 1.0))


@dataclass(frozen=True, slots=True)
class Streaming:
    """One kind of chart, point by point. Times in microseconds of CPU."""

    chart: str
    readings_a_point: int
    us_a_reading: float
    us_a_point: float
    us_to_json: float
    state_bytes: int
    json_bytes: int
    ratio_to_loop: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """All charts at once."""

    charts: int
    ms_a_step: float
    bytes_a_chart: float
    loop_ms: float
    stream_ms: float
    ratio_to_loop: float
    ratio_to_stream: float


# -- the plain loop -----------------------------------------------------------------------------------------


def plain(window: Sequence[float]) -> int:
    """How many of the eight rules the newest of the last points meets, by their definitions; sigma 1 around 0."""
    now, count = window[-1], len(window)
    steps = [b - a for a, b in pairwise(window)]
    met = [not -3 <= now <= 3]
    met.append(count >= 9 and (all(x > 0 for x in window[-9:]) or all(x < 0 for x in window[-9:])))
    met.append(count >= 6 and (all(d > 0 for d in steps[-5:]) or all(d < 0 for d in steps[-5:])))
    turns = zip(steps[-13:], steps[-12:], strict=False)
    met.append(count >= 14 and all(a * b < 0 for a, b in turns))
    for sigmas, points, length in ((2, 2, 3), (1, 4, 5)):
        near = window[-length:]
        above, below = sum(x > sigmas for x in near), sum(x < -sigmas for x in near)
        met.append(count >= length and ((now > sigmas and above >= points) or (now < -sigmas and below >= points)))
    met.append(count >= 15 and all(-1 < x < 1 for x in window[-15:]))
    far = window[-8:]
    met.append(count >= 8 and all(abs(x) > 1 for x in far) and max(far) > 0 > min(far))
    return sum(met)


# -- charts -------------------------------------------------------------------------------------------------


def plan(chart: Chart) -> ChartPlan:
    """The kind of chart with limits of a process in control: subgroups of five, three variables."""
    subgroup = 5 if chart in ("xbar_r", "xbar_s", "t2_subgroup") else 1
    reach = 3 / subgroup**0.5
    match chart:
        case "imr" | "xbar_r" | "xbar_s":
            limits = LimitSet.fixed(chart, 0, -reach, reach, "v1", subgroup)
        case "ewma" | "cusum":
            limits = weighted(chart, 0, 1, Design(), "v1")
        case "t2_subgroup" | "t2_individuals":
            limits = vectors(chart, [0, 0, 0], MATRIX, 14.2, "v1", subgroup)
        case "mewma":
            limits = vectors(chart, [0, 0, 0], MATRIX, 10.79, "v1", 1, Design(lam=0.1, h4=10.79))
        case "t":
            limits = _times()
        case _:
            centre = 5.0 if chart in ("np", "c") else 0.1
            limits = rates(chart, centre, 1 if chart == "c" else 50, "v1")
    return ChartPlan("characteristic", chart, subgroup, RULES, limits)


def _times() -> LimitSet:
    centre, sigma = to_normal(1.0), 0.25
    upper = (centre + 3 * sigma) ** (1 / NELSON_T_POWER)
    spread = (None, None, None)
    return LimitSet("t", "v1", 1, 1.0, 0.0, upper, *spread, sigma, sigma, "exact", False, mean=(centre,))


def readings(chart: Chart, seed: int, count: int = READINGS) -> list[Sample | float]:
    draw = np.random.default_rng(seed)
    if chart in VECTORS:
        return [Sample(tuple(row)) for row in draw.standard_normal((count, 3)).tolist()]
    if chart in ATTRIBUTES:
        return [Sample((number,), 50.0) for number in draw.integers(0, 11, count).astype(float).tolist()]
    numbers: list[float] = (draw.exponential(1, count) if chart == "t" else draw.standard_normal(count)).tolist()
    return [*numbers]


# -- measuring ----------------------------------------------------------------------------------------------


def median_s(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of one call."""
    work()
    found = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return statistics.median(found)


def run(chart_plan: ChartPlan, given: Sequence[Sample | float]) -> tuple[ChartState, int]:
    """The state after all readings, and how many signals of the upper chart there were."""
    state, signals = ChartState.start(chart_plan), 0
    for reading in given:
        state, verdict = judge(chart_plan, state, reading, REF)
        signals += len(verdict.rules_on("location"))
    return state, signals


def streaming(chart: Chart, rounds: int) -> Streaming:
    chart_plan, given = plan(chart), readings(chart, 1)
    us = median_s(lambda: run(chart_plan, given), rounds) / len(given) * 1e6
    state, signals = run(chart_plan, given)
    ratio = None
    if chart == "imr":
        numbers = [reading for reading in given if isinstance(reading, float)]
        windows = [numbers[max(0, end - WINDOW) : end] for end in range(1, len(numbers) + 1)]
        if sum(map(plain, windows)) != signals:
            raise RuntimeError("the plain loop flags other points than the stream")
        ratio = median_s(lambda: [plain(window) for window in windows], rounds) / len(given) * 1e6 / us
    to_json = median_s(lambda: [json.dumps(state.to_json()) for _ in range(100)], rounds) * 1e4
    return Streaming(
        chart,
        chart_plan.subgroup,
        us,
        us * chart_plan.subgroup,
        to_json,
        held_bytes(chart_plan),
        len(json.dumps(state.to_json())),
        ratio,
    )


def held_bytes(chart_plan: ChartPlan, charts: int = 200) -> int:
    """What one chart's state holds once its windows are full, its references with it."""
    given = [readings(chart_plan.chart, seed, 30 * chart_plan.subgroup) for seed in range(charts)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    states = []
    for seed, numbers in enumerate(given):
        state = ChartState.start(chart_plan)
        for place, reading in enumerate(numbers):
            state, _ = judge(chart_plan, state, reading, f"{REF}|{seed}|{place}")
        states.append(state)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return round(held / len(states))


def step(charts: int, rounds: int) -> Step:
    points = np.random.default_rng(1).standard_normal((200, charts))
    bank = Bank(charts, RULES, centre=0, lower=-3, upper=3, sigma=1)
    flagged = sum(int(np.count_nonzero(bank.step(row))) for row in points)
    table = [column.tolist() for column in points.T]
    plain_flagged = sum(plain(row[max(0, end - WINDOW) : end]) for row in table[:50] for end in range(1, 201))
    few = Bank(50, RULES, centre=0, lower=-3, upper=3, sigma=1)
    if plain_flagged != sum(int(np.count_nonzero(few.step(row[:50]))) for row in points) or not flagged:
        raise RuntimeError("the plain loop flags other points than the bank")
    one = median_s(lambda: [bank.step(row) for row in points], rounds) / len(points)
    last = [row[-WINDOW:] for row in table]
    loop = median_s(lambda: [plain(window) for window in last], rounds)
    single = plan("imr")
    states = [run(single, row[-30:])[0] for row in table]
    stream = median_s(lambda: [judge(single, state, 0.3, REF) for state in states], rounds)
    return Step(charts, one * 1e3, bank.bytes_per_chart, loop * 1e3, stream * 1e3, loop / one, stream / one)


# -- the table ----------------------------------------------------------------------------------------------


def table(rows: Sequence[Streaming], all_at_once: Step) -> Iterator[str]:
    """The figures for people."""
    yield (
        f"{'chart':<15} {'readings':>8} {'us/reading':>10} {'us/point':>9} {'+ JSON us':>9}"
        f" {'state B':>8} {'JSON B':>7} {'loop/this':>9}"
    )
    for row in rows:
        ratio = "-" if row.ratio_to_loop is None else f"{row.ratio_to_loop:.1f}"
        yield (
            f"{row.chart:<15} {row.readings_a_point:>8} {row.us_a_reading:>10.1f} {row.us_a_point:>9.1f}"
            f" {row.us_to_json:>9.1f} {row.state_bytes:>8} {row.json_bytes:>7} {ratio:>9}"
        )
    yield ""
    yield (
        f"one step of {all_at_once.charts} charts, 8 rules: bank {all_at_once.ms_a_step:.3f} ms,"
        f" {all_at_once.bytes_a_chart:.0f} B a chart; plain loop {all_at_once.loop_ms:.1f} ms"
        f" (x {all_at_once.ratio_to_loop:.0f}), streaming {all_at_once.stream_ms:.1f} ms"
        f" (x {all_at_once.ratio_to_stream:.0f})"
    )


def main() -> int:
    """Exit code 0 when all was measured; figures are printed, never judged here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--charts", type=int, default=1_000, help="charts in the bank")
    parser.add_argument("--rounds", type=int, default=15, help="rounds that a median is of")
    options = parser.parse_args()
    rows = []
    for chart in CHARTS:
        print(f"measuring {chart} ...", file=sys.stderr, flush=True)
        rows.append(streaming(chart, options.rounds))
    all_at_once = step(options.charts, options.rounds)
    if options.json:
        print(json.dumps({"streaming": [asdict(row) for row in rows], "step": asdict(all_at_once)}, indent=2))
    else:
        print("\n".join(table(rows, all_at_once)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
