"""Records as a station with charts commits them, and a central that has their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core_rig import HEADER, Agent, Rig

from central.access import Role, User
from central.charts import Charts
from records.model import (
    Data,
    Fact,
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
    encode,
    kind_of,
)
from records.verdict import SpcState

START_US = 1_795_000_000_000_000
STEP_US = 1_000_000
STREAM = "product=VS-100&revision=C"
ENGINEER = User("eva", "Eva Engineer", Role.ENGINEER, False, 0, 0)
QA = User("li.na", "Li Na", Role.QA, False, 0, 0)
AUDITOR = User("ines", "Ines Roth", Role.AUDITOR, False, 0, 0)


def unit(number: int) -> Subject:
    return Subject(SubjectKind.UNIT, f"S{number:04}", "VS-100")


def verdict(
    subgroup: int,
    value: float | None,
    *,
    position: int = 1,
    size: int = 1,
    state: str = "in_control",
    rules: Sequence[str] = (),
    spread: float | None = None,
    stream: str | None = STREAM,
    segment: int | None = 1,
    version: str | None = "phase1-25",
    name: str = "torque",
    chart: str = "imr",
) -> SpcState:
    limits = (None, None, None) if version is None else (2.0, 1.4, 2.6)
    return SpcState(
        name,
        chart,
        subgroup,
        position,
        size,
        state,
        tuple(rules),
        value,
        spread,
        *limits,
        version,
        True,
        stream=stream,
        segment=segment,
    )


def run(
    number: int,
    value: float | None,
    *states: SpcState,
    quality: Quality = Quality.GOOD,
    lot: str = "L1",
    product: str = "VS-100",
) -> OperationRecord:
    """The record of run ``number``, which measured ``value``."""
    at_us = START_US + number * STEP_US
    test = TestResult("torque", value, "N.m", 1.0, 3.0, 2.0, Result.PASS, "line")
    reading = Reading(
        "assembler.torque", value, "N.m", "float32", quality, "Good", None, None, at_us, None, "torque"
    )
    return OperationRecord(
        f"run-{number}",
        "assemble",
        "ASM-01",
        "OP10",
        "WO-1",
        product,
        lot,
        Purpose.PRODUCTION,
        1,
        number,
        at_us - STEP_US,
        at_us,
        Outcome.COMPLETED,
        (SubjectResult(unit(number), Result.PASS, tests=(test,)),),
        readings=(reading,),
        spc=states,
        product_revision="C",
    )


def closing(segment: int, subgroup: int, units: Sequence[int], closed_by: str, **more: object) -> OperationsEvent:
    params = {
        "characteristic": "torque",
        "chart": "xbar_r",
        "stream": STREAM,
        "segment": segment,
        "subgroup": subgroup,
        "state": "in_control",
        "rules": [],
        "range_rules": [],
        "limit_version": "phase1-25",
        "provisional": True,
        "closed_by": closed_by,
        **more,
    }
    return OperationsEvent("spc-subgroup", params, tuple(unit(n) for n in units))  # type: ignore[arg-type]


class ChartRig:
    """One agent at one central; ``commit`` sends what it wrote."""

    def __init__(self, central: Rig) -> None:
        self.central = central
        self.agent = central.enrol(Agent())
        self.charts = Charts(central.store, central.facts, central.clock)
        self._sent = 0

    def commit(self, *facts: Data) -> None:
        for data in facts:
            self.agent.write_body(kind_of(data), encode(Fact(replace(HEADER, station="assemble"), data)))
        taken = self.central.ingest.take(self.agent.topic, self.agent.frame(self._sent + 1))
        assert taken.result == "committed", taken
        self._sent = len(self.agent.envelopes)

    def singles(self, values: Sequence[float | None], first: int = 1, **how: object) -> None:
        """One run after the other with one value each."""
        facts = []
        for offset, value in enumerate(values):
            number = first + offset
            state = verdict(number, value, **how)  # type: ignore[arg-type]
            facts.append(run(number, value, state))
        self.commit(*facts)
