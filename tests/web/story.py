"""What a small plant would have recorded: one clean order and one with every kind of trouble, as signed frames.

The agents here write frames as real ones do; the values are made up, the shapes are not.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from records import chain
from records.configuration import ConfigurationFile, ConfigurationRecord
from records.keys import SigningKey
from records.model import (
    Counter,
    Data,
    DocumentUse,
    EpochOpened,
    Fact,
    Header,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Person,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    TestResult,
    encode,
    kind_of,
)
from records.verdict import SpcState
from records.wire import Envelope, Head, encode_frame, seal, sign, state_topic, up_topic
from spc.limits import LimitSet
from spc.rules import check_rules
from spc.state import ChartPlan, ChartState
from spc.stream import judge

CONFIGURATION = "sha256:" + "4f1c" * 16
START_US = 1_795_000_000_000_000
GTIN = "04012345000016"


@dataclass
class Agent:
    """Seals facts into one epoch and packs them into one signed frame."""

    name: str
    key: SigningKey = field(default_factory=SigningKey.generate)
    envelopes: list[Envelope] = field(default_factory=list)
    sent: int = 0

    @property
    def epoch(self) -> str:
        return f"5e{len(self.name):02d}" + "a7c4" * 5

    @property
    def topic(self) -> str:
        return up_topic("p0", self.name, "records")

    @property
    def state_topic(self) -> str:
        return state_topic(self.name)

    def _previous(self, seq: int) -> bytes:
        return chain.first_hash(self.name, self.epoch, "records") if seq == 1 else self.envelopes[seq - 2].hash

    def write(self, at_us: int, station: str | None, data: Data) -> None:
        header = Header(at_us, 480, "suzhou", "valve-1", station, "lotkeeper 0.1.0", CONFIGURATION)
        seq = len(self.envelopes) + 1
        body = encode(Fact(header, data))
        self.envelopes.append(
            seal(self.name, self.epoch, "records", seq, 1, kind_of(data), body, self._previous(seq))
        )

    def frames(self) -> Iterable[bytes]:
        """What has not been sent yet, 200 records a frame."""
        while self.sent < len(self.envelopes):
            part = self.envelopes[self.sent : self.sent + 200]
            yield encode_frame(part, self._previous(self.sent + 1), self.key)
            self.sent += len(part)

    def head(self, at_us: int) -> bytes:
        last = self.envelopes[-1]
        return sign(Head(self.name, self.epoch, "records", last.seq, last.hash.hex(), at_us), self.key)


SPECIFICATIONS = {
    "torque": ("N.m", 1.8, 2.6, 2.2),
    "angle": ("deg", 80.0, 100.0, 90.0),
    "energy": ("J", 55.0, 75.0, 65.0),
    "collapse": ("mm", 0.30, 0.50, 0.40),
    "leak_rate": ("mL/min", 0.0, 0.5, 0.0),
    "test_pressure": ("kPa", 28.0, 32.0, 30.0),
    "wash_temperature": ("degC", 78.0, 84.0, 81.0),
    "conductivity": ("uS/cm", 0.0, 1.3, 0.6),
}
RULES = check_rules(("nelson1", "nelson2"))
PLANS = {
    "torque": ChartPlan("torque", "imr", 1, RULES, LimitSet.fixed("imr", 2.2, 2.05, 2.35, "2026-03")),
    "energy": ChartPlan("energy", "xbar_r", 4, RULES, LimitSet.fixed("xbar_r", 65.0, 63.5, 66.5, "2026-03", 4)),
    "leak_rate": ChartPlan("leak_rate", "imr", 1, RULES, LimitSet.fixed("imr", 0.12, 0.06, 0.18, "2026-03")),
}
STATIONS = {
    "OP10": ("assemble", "ASM-01", "assembly-1"),
    "OP20": ("weld", "WELD-01", "assembly-1"),
    "OP30": ("leak_test", "LEAK-01", "testing-1"),
    "OP40": ("wash", "WASH-01", "testing-1"),
}


@dataclass
class Plant:
    """Two agents and their machines: counters, chart states, a clock that runs."""

    agents: dict[str, Agent] = field(
        default_factory=lambda: {name: Agent(name) for name in ("assembly-1", "testing-1")}
    )
    now_us: int = START_US
    cycles: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("OP10", "OP20", "OP30", "OP40"), 0))
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("OP10", "OP20", "OP30", "OP40"), 0))
    charts: dict[str, ChartState] = field(
        default_factory=lambda: {name: ChartState.start(plan) for name, plan in PLANS.items()}
    )
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))
    flips: dict[float, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for agent in self.agents.values():
            agent.write(self.now_us, None, EpochOpened("created"))
            agent.write(self.now_us, None, OperationsEvent("agent-started", {"software": "lotkeeper 0.1.0"}))

    def tick(self, seconds: float) -> int:
        self.now_us += round(seconds * 1e6)
        return self.now_us

    def near(self, centre: float, sigma: float) -> float:
        """A little beside the centre, on the other side than the last one."""
        self.flips[centre] = -self.flips.get(centre, 1)
        return centre + self.flips[centre] * abs(
            float(np.clip(self.noise.normal(0, sigma), -1.8 * sigma, 1.8 * sigma))
        )

    def values(self, operation: str) -> dict[str, float]:
        made: dict[str, Callable[[], float]] = {
            "torque": lambda: self.near(2.2, 0.05),
            "angle": lambda: self.near(90, 1.5),
            "energy": lambda: self.near(65, 1.0),
            "collapse": lambda: self.near(0.40, 0.012),
            "leak_rate": lambda: self.near(0.12, 0.02),
            "test_pressure": lambda: self.near(30, 0.3),
            "wash_temperature": lambda: self.near(81, 0.5),
            "conductivity": lambda: self.near(0.6, 0.05),
        }
        names = {
            "OP10": ("torque", "angle"),
            "OP20": ("energy", "collapse"),
            "OP30": ("leak_rate", "test_pressure"),
            "OP40": ("wash_temperature", "conductivity"),
        }
        return {name: made[name]() for name in names[operation]}

    def event(self, operation: str, code: str, about: str | None = None, **params: object) -> None:
        station, _, agent = STATIONS[operation]
        data = OperationsEvent(code, dict(params), order=about)  # type: ignore[arg-type]
        self.agents[agent].write(self.tick(1), station, data)

    def run(
        self,
        operation: str,
        order: str,
        subjects: list[Subject],
        *,
        result: Result = Result.PASS,
        purpose: Purpose = Purpose.PRODUCTION,
        attempt: int = 1,
        materials: tuple[MaterialActual, ...] = (),
        extra_parts: int = 0,
        position: str | None = None,
        missed: int = 0,
        bad: str | None = None,
        **given: float,
    ) -> None:
        """One cycle of a machine and the record that its agent makes of it."""
        station, equipment, agent = STATIONS[operation]
        self.cycles[operation] += 1 + missed
        self.totals[operation] += 1 + missed + extra_parts
        if missed:
            last = self.cycles[operation] - 1
            self.event(operation, "cycles-missed", order, first=str(last - missed + 1), last=str(last))
        began_us, ended_us = self.tick(3), self.tick(4)
        values = self.values(operation) | given
        tests = tuple(_test(name, value) for name, value in values.items() if name != bad)
        failed = any(t.result is Result.FAIL for t in tests)
        judged = result if result is not Result.PASS or not failed else Result.FAIL
        reason = "out-of-specification" if failed and result is Result.PASS else None
        aborted = result is Result.ABORTED
        record = OperationRecord(
            run_id=f"{operation.lower()}-{self.cycles[operation]:06d}",
            station=station,
            equipment=equipment,
            operation=operation,
            order=order,
            product="VS-100",
            lot=order,
            purpose=purpose,
            attempt=attempt,
            cycle=self.cycles[operation],
            began_us=began_us,
            ended_us=ended_us,
            outcome=Outcome.ABORTED if aborted else Outcome.COMPLETED,
            subjects=tuple(SubjectResult(s, judged, attempt, position, reason, tests) for s in subjects),
            people=(Person("B104211" if agent == "assembly-1" else "B100378"),),
            readings=tuple(self._readings(operation, values, bad)),
            materials=materials,
            spc=tuple(self._judged(values, bad)) if purpose.counts and not aborted else (),
            counters=(Counter("total", self.totals[operation]),),
            documents=(DocumentUse("work-order", order, 1, 42.5),),
            product_revision="B",
        )
        self.agents[agent].write(self.tick(0.2), station, record)

    def _readings(self, operation: str, values: dict[str, float], bad: str | None) -> Iterable[Reading]:
        device = {"OP10": "assembler", "OP20": "welder", "OP30": "leak_tester", "OP40": "washer"}[operation]
        opcua = operation in ("OP10", "OP20")
        for name, value in values.items():
            ok = name != bad
            raw = struct.pack("<d" if opcua else ">f", value).hex()
            yield Reading(
                f"{device}.{name}",
                value if ok else None,
                SPECIFICATIONS[name][0],
                "float64" if opcua else "float32",
                Quality.GOOD if ok else Quality.BAD,
                "Good" if ok else "BadSensorFailure",
                self.now_us - 40_000 if opcua else None,
                self.now_us - 38_000 if opcua else None,
                self.now_us - 30_000,
                raw if ok else None,
                name,
            )
        if operation == "OP20":
            curve = [round(120 * (1 - np.exp(-i / 9)) * (1 - (i / 60) ** 6), 2) for i in range(60)]
            yield Reading(
                "welder.force_profile", curve, "N", "float64[]", Quality.GOOD, "Good",
                self.now_us - 40_000, self.now_us - 38_000, self.now_us - 30_000,
            )  # fmt: skip

    def _judged(self, values: dict[str, float], bad: str | None) -> Iterable[SpcState]:
        for name, value in values.items():
            if name not in PLANS:
                continue
            self.charts[name], v = judge(PLANS[name], self.charts[name], None if name == bad else value, name)
            yield SpcState(
                name, v.chart, v.subgroup_id, v.position, v.size, v.state, tuple(f.rule.name for f in v.fired),
                v.statistic, v.range_statistic, v.centre, v.lower, v.upper, v.limit_version, v.provisional,
            )  # fmt: skip


def _test(name: str, value: float) -> TestResult:
    unit, lower, upper, target = SPECIFICATIONS[name]
    result = Result.PASS if lower <= value <= upper else Result.FAIL
    return TestResult(name, value, unit, lower, upper, target, result, "line")


def carrier(number: int) -> Subject:
    return Subject(SubjectKind.CARRIER, f"C-{number:03d}")


def unit(serial: str) -> Subject:
    return Subject(SubjectKind.UNIT, serial, "VS-100", "gs1")


def _consumed(into: Subject, body: str, ring: str) -> tuple[MaterialActual, ...]:
    return tuple(
        MaterialActual(MaterialKind.CONSUMED, Subject(SubjectKind.LOT, lot, item, "gs1"), into, quantity)
        for item, lot, quantity in (("VB-10", body, "1"), ("SR-20", ring, "2"))
    )


def _married(number: int, serial: str) -> tuple[MaterialActual, ...]:
    return (MaterialActual(MaterialKind.IDENTIFIED_AS, carrier(number), unit(serial), "1"),)


def begin(plant: Plant, order: str, body: str, ring: str) -> None:
    """Operator, order and lots at the first station, as scans tell them."""
    plant.event("OP10", "operator-signed-on", badge="B104211")
    plant.event("OP10", "order-started", order, order=order, previous=None)
    plant.event("OP10", "lot-mounted", order, item="VB-10", lot=body, expiry=None)
    plant.event("OP10", "lot-mounted", order, item="SR-20", lot=ring, expiry="2027-06-30")


LINE_FILE = """\
agent: testing-1
site: suzhou
line: valve-1
characteristics:
  leak_rate: {tag: leak_tester.leak_rate, chart: imr, limits: {fixed: {centre: 0.12, lower: 0.06, upper: %s}}}
"""


def line_file(plant: Plant, agent: str, text: str, claimed: str | None = None) -> str:
    """An agent loads a line file; its hash, or the one that it claims."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    file = ConfigurationFile("line.yaml", digest, text)
    hash_ = claimed or f"sha256:{digest}"
    record = ConfigurationRecord(hash_, (file,), {"agent": agent}, "lotkeeper-edge/0.1.0", "missing")
    for data in (record, OperationsEvent("configuration-loaded", {"file": "line.yaml", "hash": hash_})):
        plant.agents[agent].write(plant.now_us, None, data)
    return hash_


def clean(plant: Plant, order: str, units: int, first: int = 1) -> None:
    """An order as it should be."""
    begin(plant, order, "VB-2026-031", "SR-2026-007")
    serials = []
    for n in range(first, first + units):
        serial = f"{n:06d}"
        plant.run("OP10", order, [carrier(n)], materials=_consumed(carrier(n), "VB-2026-031", "SR-2026-007"))
        plant.run("OP20", order, [carrier(n)])
        plant.run("OP30", order, [unit(serial)], materials=_married(n, serial))
        serials.append(serial)
    _wash(plant, order, serials)


def _wash(plant: Plant, order: str, serials: list[str]) -> None:
    packed = tuple(
        MaterialActual(
            MaterialKind.PACKED, unit(s), Subject(SubjectKind.CONTAINER, f"TRAY-{1 + i // 10:03d}"), "1"
        )
        for i, s in enumerate(serials)
    )
    plant.run("OP40", order, [unit(s) for s in serials], materials=packed)


def troubled(plant: Plant, order: str, units: int, first: int) -> None:
    """An order in which everything happens that a reviewer should see."""
    begin(plant, order, "VB-2026-031", "SR-2026-007")
    plant.event("OP10", "scan-refused", order, scanner="scanner_op10", reason="lot-expired",
                text="]d20104012345000023172026053010SR-2025-114", expected="2026-11-18",
                found="2026-05-30")  # fmt: skip
    plant.event("OP10", "scan-refused", order, scanner="scanner_op10", reason="item-not-in-bom",
                text="]d2010401234500004710XY-77", expected="VB-10, SR-20", found="04012345000047")  # fmt: skip
    plant.run("OP10", order, [Subject(SubjectKind.CARRIER, "SETUP-01")], purpose=Purpose.SETUP)
    good: list[str] = []
    for i in range(units):
        n, serial = first + i, f"{first + i:06d}"
        if i == 4:
            plant.run("OP10", order, [carrier(n)], result=Result.ABORTED)
        torque = {"torque": 2.2 + 0.012 * (i - 18)} if 18 <= i < 32 else {}
        plant.run(
            "OP10", order, [carrier(n)], materials=_consumed(carrier(n), "VB-2026-031", "SR-2026-007"), **torque
        )
        energy = {"energy": plant.near(66.4, 0.5)} if 36 <= i < 46 else {}
        if i == 9:
            plant.run("OP20", order, [carrier(n)], result=Result.SCRAP)
            continue
        if i == 12:
            plant.run("OP20", order, [carrier(n)], collapse=0.535)
        elif i == 20:
            plant.run("OP20", order, [carrier(n - 1)])
        elif i == 25:
            plant.run("OP20", order, [carrier(n)], bad="collapse")
        else:
            plant.run("OP20", order, [carrier(n)], **energy)
        _test_unit(plant, order, i, n, serial)
        good.append(serial)
    _wash(plant, order, good)


def _test_unit(plant: Plant, order: str, i: int, n: int, serial: str) -> None:
    """OP30 of one piece: it may fail and be tested again, or go back to be welded."""
    plain = {"materials": _married(n, serial), "extra_parts": int(i == 30), "missed": 2 * int(i == 40)}
    if i == 15:
        plant.run("OP30", order, [unit(serial)], result=Result.FAIL, leak_rate=0.62, **plain)  # type: ignore[arg-type]
        plant.run("OP30", order, [unit(serial)], purpose=Purpose.RETEST, attempt=2)
    elif i == 22:
        plant.run("OP30", order, [unit(serial)], result=Result.FAIL, leak_rate=0.71, **plain)  # type: ignore[arg-type]
        plant.run("OP20", order, [unit(serial)], purpose=Purpose.REWORK, attempt=2)
        plant.run("OP30", order, [unit(serial)], purpose=Purpose.REWORK, attempt=2)
    else:
        plant.run("OP30", order, [unit(serial)], **plain)  # type: ignore[arg-type]


def running(plant: Plant, order: str, done: int, first: int) -> None:
    """An order that is still on the line."""
    begin(plant, order, "VB-2026-032", "SR-2026-007")
    for n in range(first, first + done):
        plant.run("OP10", order, [carrier(n)], materials=_consumed(carrier(n), "VB-2026-032", "SR-2026-007"))
        plant.run("OP20", order, [carrier(n)])


__all__ = ["Agent", "Plant", "clean", "replace", "running", "troubled"]
