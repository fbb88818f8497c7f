"""Days of a line PC while its broker was away: machine cycles in its ledger, their records in its buffer.

    python -m simulators.faults.past < ORDER.json

The records are what an agent makes of these cycles, and the agent's own outbox commits them: one commit a record,
those of some minutes at once. A cycle is on the ledger's disk before its record is committed. Only the clock is
not real. It is a process of its own, since simulators know nothing of agents.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from pydantic import BaseModel, JsonValue

from edge_agent.outbox import Batch, Outbox, RunIndex
from records.clock import MICROSECONDS, FakeClock, new_id
from records.model import (
    Counter,
    Fact,
    Header,
    OperationRecord,
    Outcome,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
)
from simulators.check import RESULTS
from simulators.faults.fast_line import CYCLES_OF_AN_ORDER, OPERATION, cycle_of
from simulators.plant import Value
from simulators.plc import CARRIER, COUNT, ORDER, RESULT, TOTAL

MINUTE_S = 60
TOGETHER = 20
"""Minutes whose commits are waited for at once."""
TAGS: tuple[tuple[str, str, str, str | None], ...] = (
    ("cycle_count", COUNT, "uint32", None),
    ("cycle_result", RESULT, "uint16", None),
    ("parts_total", TOTAL, "uint32", None),
    ("carrier", CARRIER, "string", None),
    ("order", ORDER, "string", None),
    ("leak_rate", "Process.LeakRate", "float32", "mL/min"),
    ("pressure", "Process.Pressure", "float32", "kPa"),
)
"""Name in the line file, on the machine, type and unit."""


class Order(BaseModel):
    """What one agent is to have recorded. ``began_us``: when its broker went away."""

    agent: str
    stations: list[str]
    minutes: int
    seed: int
    buffer: Path
    ledger: Path
    began_us: int


class _Cycle(NamedTuple):
    line: dict[str, JsonValue]
    batch: Batch


def live(order: Order) -> int:
    """Live through it; the seq of the agent's last record."""
    clock = FakeClock(order.began_us)
    header = Header(order.began_us, 480, "suzhou", order.agent, None, "lotkeeper-edge", None)
    outbox = Outbox(order.buffer, order.agent, clock, context=lambda: header, note_every_s=MINUTE_S)
    try:
        with order.ledger.open("a", encoding="utf-8") as ledger:
            for first in range(1, order.minutes + 1, TOGETHER):
                last = min(first + TOGETHER - 1, order.minutes)
                cycles = [cycle for minute in range(first, last + 1) for cycle in _minute(order, minute)]
                _write(ledger, [cycle.line for cycle in cycles])
                for future in [outbox.commit(cycle.batch) for cycle in cycles]:
                    future.result()
                clock.advance((last - first + 1) * MINUTE_S)
        return outbox.head().last
    finally:
        outbox.close()


def _minute(order: Order, minute: int) -> Iterator[_Cycle]:
    """One cycle of every station."""
    at_us = order.began_us + minute * MINUTE_S * MICROSECONDS
    for station in order.stations:
        shown, line = cycle_of(order.seed, station, minute)
        shown[ORDER] = line["order"] = f"{station}-{1 + minute // CYCLES_OF_AN_ORDER}"
        fact = Fact(
            Header(at_us, 480, "suzhou", order.agent, station, "lotkeeper-edge", None),
            _record(station, minute, at_us, shown),
        )
        run = RunIndex(str(shown[ORDER]), station, str(shown[CARRIER]))
        yield _Cycle({**line, "at_us": at_us}, Batch((fact,), {f"backlog/{station}": minute}, (run,)))


def _record(station: str, number: int, at_us: int, shown: dict[str, Value]) -> OperationRecord:
    """What the agent records of a cycle."""
    readings = tuple(
        Reading(f"{station}.{name}", _json(shown[on_machine]), unit, kind, Quality.GOOD, "good", None, None, at_us)
        for name, on_machine, kind, unit in TAGS
    )
    carrier = Subject(SubjectKind.CARRIER, str(shown[CARRIER]))
    return OperationRecord(
        run_id=new_id(),
        station=station,
        equipment=f"{station}-01",
        operation=OPERATION,
        order=str(shown[ORDER]),
        product=None,
        lot=None,
        purpose=Purpose.PRODUCTION,
        attempt=1,
        cycle=number,
        began_us=at_us - 20 * MICROSECONDS,
        ended_us=at_us,
        outcome=Outcome.COMPLETED,
        subjects=(SubjectResult(carrier, Result(RESULTS[str(shown[RESULT])])),),
        readings=readings,
        counters=(Counter("total", number),),
    )


def _json(value: Value) -> JsonValue:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _write(ledger: TextIO, lines: list[dict[str, JsonValue]]) -> None:
    ledger.writelines(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
    ledger.flush()
    os.fsync(ledger.fileno())


def main() -> None:
    for line in sys.stdin:
        print(live(Order.model_validate_json(line)), flush=True)


if __name__ == "__main__":
    main()
