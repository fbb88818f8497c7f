"""A second line whose charts show every state there is: signals, gaps, two limit versions, provisional, none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import story
from pydantic import JsonValue

from records.configuration import ConfigurationFile, ConfigurationRecord
from records.model import (
    EpochOpened,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    TestResult,
)
from records.verdict import SpcState
from spc.constants import factors
from spc.limits import Design, LimitSet

AGENT = "press-1"
MINUTE_US = 60_000_000


@dataclass
class Press:
    """One press that makes records with the verdicts that a story asks for."""

    agent: story.Agent
    now_us: int
    cycle: int = 0

    def write(
        self, state: SpcState, reading: float | None, unit: str, spec: tuple[float, float, float] | None
    ) -> None:
        self.cycle += 1
        self.now_us += 2 * MINUTE_US
        name = state.characteristic
        subject = Subject(SubjectKind.UNIT, f"P{self.cycle:06d}", "PT-20", "gs1")
        tests: tuple[TestResult, ...] = ()
        if spec is not None and reading is not None:
            tests = (TestResult(name, reading, unit, spec[0], spec[1], spec[2], Result.PASS, "line"),)
        quality = Quality.BAD if reading is None else Quality.GOOD
        told = Reading(
            f"press.{name}", reading, unit, "float64", quality, "Good" if reading is not None else "BadNoData",
            self.now_us - 40_000, self.now_us - 38_000, self.now_us - 30_000, None, name,
        )  # fmt: skip
        record = OperationRecord(
            run_id=f"press-{self.cycle:06d}",
            station="press",
            equipment="PRESS-04",
            operation="OP60",
            order=None,
            product="PT-20",
            lot=None,
            purpose=Purpose.PRODUCTION,
            attempt=1,
            cycle=self.cycle,
            began_us=self.now_us - MINUTE_US,
            ended_us=self.now_us,
            outcome=Outcome.COMPLETED,
            subjects=(SubjectResult(subject, Result.PASS, 1, None, None, tests),),
            people=(),
            readings=(told,),
            spc=(state,),
        )
        self.agent.write(self.now_us, "press", record)

    def singles(
        self,
        name: str,
        chart: str,
        values: Sequence[float | None],
        limits: Sequence[LimitSet | None],
        *,
        unit: str = "",
        stream: str = "product=PT-20&revision=C",
        spec: tuple[float, float, float] | None = None,
        flags: dict[int, tuple[str, ...]] | None = None,
        range_flags: dict[int, tuple[str, ...]] | None = None,
        sizes: Sequence[float] | None = None,
        seconds: Sequence[float | None] | None = None,
        cuts: Sequence[int] = (),
        collecting: bool = False,
        reads: Sequence[float] | None = None,
    ) -> None:
        """One point a record; ``flags`` are rules of points from 0, ``seconds`` what the second chart plots.

        ``reads`` are the readings where they are not what is plotted.
        """
        before: float | None = None
        for index, (value, held) in enumerate(zip(values, limits, strict=True)):
            size = 1.0 if sizes is None else sizes[index]
            segment = 1 + sum(index >= cut for cut in cuts)
            lines = None if held is None else held.at(size, index + 1)
            spread = None if held is None else held.spread_at(2)
            second = None if seconds is None else seconds[index]
            if chart == "imr" and value is not None and before is not None and index not in cuts:
                second = abs(value - before)
            before = value
            rules, of_spread = (flags or {}).get(index, ()), (range_flags or {}).get(index, ())
            state = "gap" if value is None else "collecting" if collecting else "no_limits"
            if lines is not None and value is not None:
                state = "signal" if rules or of_spread else "in_control"
            judged = SpcState(
                name, chart, index + 1, 1, 1, state, rules, value, second,
                lines and lines.centre, lines and lines.lower, lines and lines.upper,
                held and held.version, bool(held and held.provisional), stream, segment,
                None if sizes is None else size, of_spread,
                spread and spread.centre, spread and spread.lower, spread and spread.upper,
            )  # fmt: skip
            self.write(judged, value if reads is None else reads[index], unit, spec)
            for rule in rules:
                self._signal(judged, rule)

    def groups(
        self,
        name: str,
        groups: Sequence[Sequence[float]],
        held: LimitSet,
        *,
        unit: str,
        stream: str,
        spec: tuple[float, float, float],
        flags: dict[int, tuple[str, ...]] | None = None,
    ) -> None:
        """An xbar_r chart: every reading is a record, the last of a subgroup closes it."""
        for index, group in enumerate(groups):
            lines, spread = held.at(len(group)), held.spread_at(len(group))
            rules = (flags or {}).get(index, ())
            open_ = SpcState(
                name, held.chart, index + 1, 1, len(group), "open", (), None, None, None, None, None,
                held.version, held.provisional, stream, 1,
            )  # fmt: skip
            for position, value in enumerate(group, start=1):
                state = replace(open_, position=position)
                if position == len(group):
                    state = replace(
                        state, state="signal" if rules else "in_control", rules=rules,
                        statistic=float(np.mean(group)), range_statistic=float(max(group) - min(group)),
                        centre=lines.centre, lower=lines.lower, upper=lines.upper, range_rules=(),
                        range_centre=spread and spread.centre, range_lower=spread and spread.lower,
                        range_upper=spread and spread.upper,
                    )  # fmt: skip
                self.write(state, value, unit, spec)

    def _signal(self, state: SpcState, rule: str) -> None:
        params = {
            "characteristic": state.characteristic, "chart": state.chart, "rule": rule, "part": "location",
            "subgroup": state.subgroup, "limit_version": state.limit_version, "stream": state.stream,
            "segment": state.segment, "statistic": state.statistic,
        }  # fmt: skip
        if rule == "nelson2":
            params |= {"points": 8, "window": 8}
        self.agent.write(self.now_us, "press", OperationsEvent("spc-signal", params))  # type: ignore[arg-type]


def tell(plant: story.Plant) -> None:
    """The charts of the press, on top of what else has happened in the plant."""
    agent = plant.agents.setdefault(AGENT, story.Agent(AGENT))
    press = Press(agent, plant.now_us - 4 * 24 * 60 * MINUTE_US)
    agent.write(press.now_us, None, EpochOpened("created"))
    limits: JsonValue = {"characteristics": {"wall_thickness": {"limits": {"from": "phase1", "subgroups": 25}}}}
    text = "agent: press-1\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    file = ConfigurationFile("line.yaml", digest, text)
    agent.write(
        press.now_us, None, ConfigurationRecord(f"sha256:{digest}", (file,), limits, "lotkeeper-edge/0.1.0")
    )
    loaded = OperationsEvent("configuration-loaded", {"file": "line.yaml", "hash": f"sha256:{digest}"})
    agent.write(press.now_us, None, loaded)
    noise = np.random.default_rng(7)

    def near(centre: float, sigma: float, count: int) -> list[float]:
        """Beside the centre in turns, so that no rule fires by chance."""
        sides = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
        return (centre + sides * np.clip(np.abs(noise.normal(0, sigma, count)), 0, 1.9 * sigma)).tolist()  # type: ignore[no-any-return]

    _burst_pressure(press, near)
    held = LimitSet.estimated("xbar_r", 5, 8.0, 0.12, factors(5), "phase1-2026-11-18")
    for position, shift in (("1", 0.0), ("2", 0.09)):
        groups = [near(8.0 + (shift if i == 33 else 0.0), 0.05, 5) for i in range(34)]
        press.groups(
            "seal_width", groups, held, unit="mm", spec=(7.7, 8.3, 8.0),
            stream=f"product=PT-20&revision=C&tool=T4&position={position}",
            flags={33: ("nelson1",)} if shift else None,
        )  # fmt: skip
    walls: list[float | None] = [*near(0.62, 0.01, 11)]
    press.singles("wall_thickness", "imr", walls, [None] * 11, unit="mm", spec=(0.55, 0.69, 0.62), collecting=True)
    press.singles("particles", "c", [float(v) for v in noise.poisson(4, 9)], [None] * 9, stream="product=PT-21")
    _attributes(press, noise)
    _weighted(press, near)
    last: list[float | None] = [*near(51.0, 0.8, 30), None]
    limits = LimitSet.fixed("imr", 51.0, 48.0, 54.0, "3")
    press.singles("mould_temperature", "imr", last, [limits] * 31, unit="degC")
    plant.now_us = max(plant.now_us, press.now_us)


def _burst_pressure(press: Press, near: object) -> None:
    """Two limit versions, a changeover, a point beyond a limit, a run on one side, a jump of the moving range."""
    values: list[float | None] = [*near(412.0, 4.0, 40), *near(408.0, 3.0, 38)]  # type: ignore[operator]
    values[21] = 429.5
    values[30] = None
    for index in range(52, 61):
        values[index] = 409.4 + 0.4 * (index % 3)
    values[70] = 418.9
    old = LimitSet.fixed("imr", 412.0, 398.0, 426.0, "2026-03")
    new = LimitSet.fixed("imr", 408.0, 398.5, 417.5, "2026-07")
    press.singles(
        "burst_pressure", "imr", values, [old] * 40 + [new] * 38, unit="kPa", spec=(390.0, 430.0, 410.0),
        flags={21: ("nelson1",), 59: ("nelson2",), 60: ("nelson2",), 70: ("nelson1",)},
        range_flags={22: ("nelson1",)}, cuts=(46,),
    )  # fmt: skip


def _attributes(press: Press, noise: np.random.Generator) -> None:
    sizes = [float(v) for v in noise.integers(180, 420, 36)]
    counts = [float(noise.binomial(int(n), 0.031)) for n in sizes]
    counts[27] = round(0.085 * sizes[27])
    shares: list[float | None] = [count / size for count, size in zip(counts, sizes, strict=True)]
    made = LimitSet(
        "p", "2026-05", 300, 0.031, 0.0, 0.061, None, None, None, 0.01, 0.1733, "exact", False
    )  # fmt: skip
    press.singles("rejects", "p", shares, [made] * 36, sizes=sizes, flags={27: ("nelson1",)}, reads=counts)


def _weighted(press: Press, near: object) -> None:
    raw = near(25.0, 0.3, 44)  # type: ignore[operator]
    z, smooth = 25.0, []
    for value in raw:
        z = 0.2 * value + 0.8 * z
        smooth.append(z)
    held = LimitSet(
        "ewma", "2026-06", 1, 25.0, 24.7, 25.3, None, None, None, 0.1, 0.3, "exact", False, design=Design()
    )  # fmt: skip
    press.singles("insertion_force", "ewma", smooth, [held] * 44, unit="N", spec=(20.0, 30.0, 25.0), reads=raw)
    upper, lower, high, low = [], [], 0.0, 0.0
    for value in [*near(10.0, 0.02, 26), *(10.02 + 0.004 * i for i in range(10))]:  # type: ignore[operator]
        high, low = max(0.0, high + (value - 10.0) / 0.02 - 0.5), max(0.0, low - (value - 10.0) / 0.02 - 0.5)
        upper.append(high)
        lower.append(low)
    sums = LimitSet(
        "cusum", "2026-06", 1, 10.0, 0.0, 5.0, None, None, None, 0.02, 0.02, "exact", False, design=Design()
    )  # fmt: skip
    beyond = {i: ("nelson1",) for i, value in enumerate(upper) if value > 5}
    press.singles("fill_weight", "cusum", upper, [sums] * len(upper), unit="g", seconds=lower, flags=beyond)
    squares = [float(v) for v in np.abs(np.array(near(3.0, 2.0, 30)))]  # type: ignore[operator]
    square = LimitSet(
        "t2_individuals", "2026-06", 1, 0.0, 0.0, 11.8, None, None, None, 1.0, 1.0, "exact", False,
        mean=(1.0, 2.0), covariance=((1.0, 0.0), (0.0, 1.0)),
    )  # fmt: skip
    press.singles("geometry", "t2_individuals", squares, [square] * 30)


def closings(plant: story.Plant, order: str, carriers: Sequence[int]) -> None:
    """What the welder's agent says of four pieces when their subgroup is closed: a signal, and what follows it."""
    subjects = tuple(story.carrier(number) for number in carriers)
    place = {"characteristic": "energy", "stream": "", "subgroup": 3}
    told: tuple[tuple[str, dict[str, object]], ...] = (
        ("spc-subgroup", place | {
            "chart": "xbar_r", "segment": 0, "state": "signal", "rules": ["nelson1"], "range_rules": [],
            "statistic": 66.9, "range_statistic": 1.2, "centre": 65.0, "lower": 63.5, "upper": 66.5, "sample": 4,
            "limit_version": "2026-03", "provisional": False, "closed_by": "runs",
        }),
        ("reaction", place | {"rule": "nelson1", "part": "location", "action": "hold_unit", "to": None}),
        ("unit-held", place | {"hold": "h-1", "rule": "nelson1"}),
    )  # fmt: skip
    for code, params in told:
        event = OperationsEvent(code, params, subjects, order)  # type: ignore[arg-type]
        plant.agents["assembly-1"].write(plant.tick(1), "weld", event)
