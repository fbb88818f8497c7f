"""Frames as agents send them: runs of assembly stations with readings, a chart, a consumed lot and a unit each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zstandard import ZstdCompressor

from records import chain
from records.clock import new_id
from records.keys import SigningKey
from records.model import (
    EpochOpened,
    Fact,
    Header,
    MaterialActual,
    MaterialKind,
    OperationRecord,
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
from records.wire import Envelope, encode_frame, seal, up_topic

START_US = 1_795_000_000_000_000
SECOND_US = 1_000_000
STATIONS = 3
STREAM = "product=VS-100&revision=C"


@dataclass
class Line:
    """One agent: a key, an epoch, and as many records as are asked of it, each a minute after the one before."""

    name: str
    partition: str = "p0"
    key: SigningKey = field(default_factory=SigningKey.generate)
    epoch: str = field(default_factory=new_id)
    last: int = 0
    make: Callable[[str, str, int, int], OperationRecord] = field(default_factory=lambda: run)

    def __post_init__(self) -> None:
        self._link = chain.first_hash(self.name, self.epoch, "records")

    @property
    def topic(self) -> str:
        return up_topic(self.partition, self.name, "records")

    def frame(self, records: int, compressor: ZstdCompressor | None = None) -> bytes:
        """The next records, packed and signed."""
        before = self._link
        return encode_frame([self._next() for _ in range(records)], before, self.key, compressor=compressor)

    def _next(self) -> Envelope:
        self.last += 1
        at_us = START_US + self.last * 60 * SECOND_US
        station = f"station-{self.last % STATIONS}"
        header = Header(at_us, 480, "suzhou", "valve-1", station, "lotkeeper-edge bench", "sha256:" + "0" * 64)
        data = EpochOpened("created") if self.last == 1 else self.make(self.name, station, self.last, at_us)
        body = encode(Fact(header, data))
        made = seal(self.name, self.epoch, "records", self.last, 1, kind_of(data), body, self._link)
        self._link = made.hash
        return made


def run(agent: str, station: str, number: int, at_us: int) -> OperationRecord:
    """The record of one run: four readings, one of them on an individuals chart."""
    torque = 2.0 + (number * 7919 % 100) / 1000
    unit = Subject(SubjectKind.UNIT, f"{agent}-{number:08}", "VS-100")
    lot = Subject(SubjectKind.LOT, "SR20-2026-11", "SR-20", "supplier")
    test = TestResult("torque", torque, "N.m", 1.0, 3.0, 2.0, Result.PASS, "line")
    return OperationRecord(
        f"{agent}-{number}",
        station,
        "ASM-01",
        "OP10",
        f"WO-{agent}-{number // 500}",
        "VS-100",
        f"L-{agent}-{number // 500}",
        Purpose.PRODUCTION,
        1,
        number,
        at_us - SECOND_US,
        at_us,
        Outcome.COMPLETED,
        (SubjectResult(unit, Result.PASS, tests=(test,)),),
        people=(Person("B123456"),),
        readings=(
            _reading("torque", torque, "N.m", at_us, "torque"),
            *(_reading(tag, torque * 10, "degC", at_us) for tag in ("temperature", "pressure", "speed")),
        ),
        materials=(MaterialActual(MaterialKind.CONSUMED, lot, unit, "1"),),
        spc=(_judged(number // STATIONS + 1, torque),),
        product_revision="C",
    )


def _reading(tag: str, value: float, unit: str, at_us: int, characteristic: str | None = None) -> Reading:
    source_us = at_us - 20_000
    name = f"assembler.{tag}"
    return Reading(
        name, value, unit, "float64", Quality.GOOD, "Good", source_us, source_us, at_us, "0" * 16, characteristic
    )


def _judged(subgroup: int, value: float) -> SpcState:
    return SpcState(
        "torque", "imr", subgroup, 1, 1, "in_control", (), value, 0.01, 2.0, 1.4, 2.6, "phase1-25", True,
        stream=STREAM, segment=1,
    )  # fmt: skip
