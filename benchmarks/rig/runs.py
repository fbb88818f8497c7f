"""Runs of a station as it records them: each with a carrier, a serial, three readings, a chart and a consumed lot.

Values differ from run to run as a plant's do, to the last bit of what the protocol carried: frames pack less
well than those of runs that only count, and ``benchmarks.edge`` tells to how much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count

import numpy as np

from records.clock import new_id
from records.model import (
    Counter,
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
)
from records.verdict import SpcState

START_US = 1_795_000_000_000_000
CONFIGURATION = "sha256:" + new_id(64)
TAGS = (
    ("press.torque", "N.m", 2.1, 0.05),
    ("press.angle", "deg", 41.0, 1.2),
    ("sealer.seal_temp", "degC", 131.4, 0.6),
)
"""Name, unit, mean and spread."""


def header(at_us: int = START_US) -> Header:
    return Header(at_us, 480, "suzhou", "valve-1", "assemble", "lotkeeper-edge/0.1.0", CONFIGURATION)


def runs(number: int) -> list[Fact]:
    """So many runs, the same each time but for their ids."""
    made = endless()
    return [next(made) for _ in range(number)]


def events(number: int) -> list[Fact]:
    """So many events of a machine that comes and goes: short records."""
    machine = {"device": "press", "address": "opc.tcp://10.0.4.17:4840"}
    told = [("device-lost", machine | {"error": "no answer"}), ("device-connected", machine)]
    return [Fact(header(START_US + at * 1_000_000), OperationsEvent(*told[at % 2])) for at in range(number)]


def endless() -> Iterator[Fact]:
    """Runs about four seconds apart."""
    chance = np.random.default_rng(7)
    at_us = START_US
    for number in count(1):
        at_us += 4_000_000 + int(chance.integers(-300_000, 300_000))
        values = [float(np.float32(chance.normal(mean, spread))) for _, _, mean, spread in TAGS]
        yield Fact(header(at_us), _run(number, at_us, values, int(chance.integers(1_000, 90_000))))


def _run(number: int, at_us: int, values: list[float], late_us: int) -> OperationRecord:
    serial = Subject(SubjectKind.UNIT, f"{26_11_0000000 + number:012}", "VS-100", "gs1")
    lot = Subject(SubjectKind.LOT, f"SR20-2611-{number // 400:03}", "SR-20", "supplier")
    torque, average = values[0], 2.1
    test = TestResult("torque", torque, "N.m", 1.9, 2.3, 2.1, Result.PASS, "line")
    return OperationRecord(
        run_id=new_id(32),
        station="assemble",
        equipment="ASM-01",
        operation="OP10",
        order=f"WO-{1000 + number // 500}",
        product="VS-100",
        lot=f"WO-{1000 + number // 500}",
        purpose=Purpose.PRODUCTION,
        attempt=1,
        cycle=number,
        began_us=at_us - 3_000_000 - late_us,
        ended_us=at_us,
        outcome=Outcome.COMPLETED,
        subjects=(SubjectResult(serial, Result.PASS, tests=(test,)),),
        people=(Person("B123456"),),
        readings=tuple(
            _reading(tag, value, unit, at_us, late_us)
            for (tag, unit, _, _), value in zip(TAGS, values, strict=True)
        ),
        materials=(MaterialActual(MaterialKind.CONSUMED, lot, serial, "1"),),
        spc=(
            SpcState(
                "torque", "imr", number, 1, 1, "in_control", (), torque, abs(torque - average), average, 1.95,
                2.25, "phase1-25", stream="product=VS-100&revision=C", segment=1,
            ),
        ),
        counters=(Counter("total", number),),
        product_revision="C",
    )  # fmt: skip


def _reading(tag: str, value: float, unit: str, at_us: int, late_us: int) -> Reading:
    raw = struct.pack("<d", value).hex()
    name = "torque" if tag == "press.torque" else None
    source_us, server_us = at_us - late_us, at_us - late_us // 2
    return Reading(tag, value, unit, "float64", Quality.GOOD, "Good", source_us, server_us, at_us, raw, name)
