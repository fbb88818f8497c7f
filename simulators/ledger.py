"""The ledger of truth: what really happened on the simulated line, a JSON object a line, on disk before it shows.

Promise: when ``write`` returns, its lines survive a power cut. Whatever a protocol shows of a cycle was in the
ledger before. Format, by ``type``::

    cycle    station equipment operation cycle order purpose result carrier operator values subjects materials
    unit     order carrier serial disposition            (a piece's fate is final)
    scan     station text expect answer                  (one answered scan)
    trouble  code order station cycle                    (a scripted trouble begins)
    order    order ordered good scrap                    (an order is finished)
    end                                                  (all orders are)

Each line ends with ``at_us`` (UTC microseconds), the only thing that differs between two runs of one seed; the
lines of one station come in one order, those of different stations interleave as they happen.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue

from records.clock import Clock
from records.errors import ConfigurationError, Damaged, StorageFailed
from simulators.jobs import EQUIPMENT, OPERATION, Cycle, Fate, OrderDone

Line = Mapping[str, JsonValue]


class Ledger:
    """Appends lines to a new file, from one event loop; several tasks may write at once.

    Raises:
        ConfigurationError: the file has lines already: two runs in one ledger could not be told apart.
        StorageFailed: it cannot be made.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot open the ledger {path}: {error}", hint="check path and rights") from error
        if self._file.tell() > 0:
            self._file.close()
            raise ConfigurationError(
                f"{path} holds the ledger of another run", hint="choose another folder or move the file away"
            )

    async def write(self, lines: Iterable[Line]) -> None:
        """Append and fsync.

        Raises:
            StorageFailed: the disk did not keep them.
        """
        text = "".join(
            json.dumps({**line, "at_us": self._clock.now_us()}, separators=(",", ":")) + "\n" for line in lines
        )
        await asyncio.get_running_loop().run_in_executor(self._disk, self._append, text)

    def close(self) -> None:
        self._disk.shutdown()
        self._file.close()

    def _append(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageFailed(f"the ledger {self.path} was not kept: {error}") from error


def read(path: Path) -> Iterator[dict[str, JsonValue]]:
    """The lines of a ledger; a last line that is not complete yet is left out.

    Raises:
        Damaged: a line that is no JSON object.
    """
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            if not text.endswith("\n"):
                return
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict):
                raise Damaged(f"{path}: line {number} is no JSON object")
            yield line


def cycle_line(cycle: Cycle) -> Line:
    return {
        "type": "cycle",
        "station": cycle.station,
        "equipment": EQUIPMENT[cycle.station],
        "operation": OPERATION[cycle.station],
        "cycle": cycle.cycle,
        "order": cycle.order,
        "purpose": cycle.purpose.value,
        "result": cycle.result.value,
        "carrier": cycle.carrier,
        "operator": cycle.operator,
        "values": {tag: list(v) if isinstance(v, tuple) else v for tag, v in cycle.values.items()},
        "subjects": list(cycle.subjects),
        "materials": [{"item": m.item, "lot": m.lot, "quantity": m.quantity} for m in cycle.materials],
    }


def unit_line(fate: Fate) -> Line:
    return {
        "type": "unit",
        "order": fate.order,
        "carrier": fate.carrier,
        "serial": fate.serial,
        "disposition": fate.disposition,
    }


def scan_line(station: str, text: str, accept: bool, answer: str) -> Line:
    expect = "accept" if accept else "refuse"
    return {"type": "scan", "station": station, "text": text, "expect": expect, "answer": answer}


def trouble_line(code: str, cycle: Cycle) -> Line:
    return {
        "type": "trouble",
        "code": code,
        "order": cycle.order,
        "station": cycle.station,
        "cycle": cycle.cycle,
    }


def order_line(done: OrderDone) -> Line:
    return {"type": "order", "order": done.order, "ordered": done.ordered, "good": done.good, "scrap": done.scrap}


def final_lines(fates: Sequence[Fate], done: OrderDone | None) -> list[Line]:
    """What a job leaves behind when its cycle is over."""
    return [*(unit_line(fate) for fate in fates), *([] if done is None else [order_line(done)])]
