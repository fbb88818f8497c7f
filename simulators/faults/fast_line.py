"""A line that does nothing but machine cycles, as fast as its agent answers them, and keeps a ledger of truth.

Each machine is a Modbus PLC with the four-phase handshake. What a cycle measured is on the ledger's disk before
any register shows it; the machine waits for its acknowledge for as long as it takes, whatever dies meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections import Counter
from pathlib import Path

from pydantic import JsonValue

from records.clock import Clock
from records.errors import Unreachable
from simulators.check import Truth, read_ledger
from simulators.ledger import Ledger
from simulators.noise import uniform
from simulators.plant import Value, float32
from simulators.plc import ACK, CARRIER, COUNT, DONE, ORDER, RESULT, TOTAL
from simulators.plc_modbus import LEAK_TESTER, Kind, ModbusPlc
from simulators.sockets import reserved_port

START_LIMIT_S = 120.0
OPERATION = "OP30"
LAYOUT: dict[str, tuple[int, Kind]] = {**LEAK_TESTER, ORDER: (20, "string")}
CYCLES_OF_AN_ORDER = 500
COUNT_ENDS = 2**32
SPOILT = 0.1
"""So often a value is none in a line that spoils."""
RESULTS: tuple[tuple[str, int], ...] = (("pass", 1), ("fail", 2), ("scrap", 3))
TAGS = """\
      - {name: cycle_done, address: 0, role: trigger}
      - {name: cycle_ack, address: 1, access: write}
      - {name: cycle_count, address: 2, data_type: uint32, role: counter}
      - {name: cycle_result, address: 7, role: record}
      - {name: parts_total, address: 8, data_type: uint32, role: counter}
      - {name: carrier, address: 10, data_type: string, length: 8, byte_order: ABCD, role: record}
      - {name: order, address: 20, data_type: string, length: 8, byte_order: ABCD, role: record}
      - {name: leak_rate, address: 100, data_type: float32, unit: mL/min, role: characteristic}
      - {name: pressure, address: 102, data_type: float32, unit: kPa, role: characteristic}
"""
TREND = "      - {name: parts_trend, address: 8, data_type: uint32}\n"


class FastLine:
    """``machines`` testers of one agent, in a thread of their own.

    Args:
        agent: the stations are ``AGENT-1``, ``AGENT-2``, ... so that they are unique in the plant.
        rest_s: how long a machine rests between two cycles.
        poll_ms: how often the agent reads each machine.
        trend: it has a tag of telemetry, too.
        first: the number of a machine's first cycle; the count begins anew at 2**32.
        spoils: now and then a measured value is none (NaN, infinity): the ledger then holds null.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        agent: str,
        machines: int,
        seed: int,
        rest_s: float = 0.0,
        poll_ms: int = 10,
        trend: bool = False,
        first: int = 1,
        spoils: bool = False,
    ) -> None:
        self.agent = agent
        self.path = folder / "ledger.jsonl"
        self._ledger = Ledger(self.path, clock)
        self._seed, self._rest_s, self._poll_ms = seed, rest_s, poll_ms
        self._first, self._spoils = first, spoils
        self.ways: dict[str, int] = {}
        """Station -> port where the agent finds its machine; a scenario may put a proxy between."""
        self._tags = TAGS + (TREND if trend else "")
        self._plcs = [_machine(f"{agent}-{n + 1}") for n in range(machines)]
        self._answered: Counter[str] = Counter()
        self._finishing = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._held = False
        self._steps = 0
        self._begun = self._over = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fast line", daemon=True)

    # -- from the harness's thread -------------------------------------------------------------------------

    def start(self) -> None:
        """Listen and begin; the agent may come later.

        Raises:
            Unreachable: the machines do not listen.
        """
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S) or self._failed is not None:
            raise Unreachable(f"the line did not start: {self._failed}")

    @property
    def answered(self) -> int:
        """Cycles that were acknowledged: each was promised to be on the agent's disk."""
        return sum(self._answered.values())

    @property
    def truth(self) -> Truth:
        with self.path.open() as lines:
            return read_ledger(json.loads(line) for line in lines if line.endswith("\n"))

    def hold(self) -> None:
        """Begin no new cycle until ``go_on``."""
        self._held = True
        self._loop.call_soon_threadsafe(self._going.clear)

    def go_on(self) -> None:
        self._held = False
        self._loop.call_soon_threadsafe(self._going.set)

    def step(self) -> None:
        """While held: let one machine do one cycle."""

        def permit() -> None:
            self._steps += 1
            self._going.set()

        self._begun += 1  # from here on, so that nobody takes the line for idle before the machine has begun
        self._loop.call_soon_threadsafe(permit)

    @property
    def waiting(self) -> int:
        """Machines whose cycle has no answer yet."""
        return self._begun - self._over

    def finish(self) -> None:
        """Begin no more cycles; ``finished`` once the last has its answer."""
        self._loop.call_soon_threadsafe(self._finishing.set)
        self.go_on()

    @property
    def finished(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End, whatever state the machines are in."""

        def cancel() -> None:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()

        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(cancel)
        self._thread.join()

    @property
    def ports(self) -> dict[str, int]:
        """Station -> port where its machine listens."""
        return {plc.name: plc.port for plc in self._plcs}

    def restart(self, station: str) -> None:
        """The machine's network side ends and begins anew: every session on it is gone, its memory is not."""
        (plc,) = (plc for plc in self._plcs if plc.name == station)

        async def again() -> None:
            await plc.stop()
            await plc.start()

        asyncio.run_coroutine_threadsafe(again(), self._loop).result(START_LIMIT_S)

    def answered_of(self, station: str | None) -> int:
        """As ``answered``, of one machine; None: of all."""
        return self.answered if station is None else self._answered[station]

    def devices(self) -> str:
        """The agent's ``devices:`` and ``stations:``, as YAML."""
        devices = "".join(
            f"  {plc.name}:\n    driver: modbus_tcp\n    host: {plc.host}\n"
            f"    port: {self.ways.get(plc.name, plc.port)}\n    byte_order: CDAB\n"
            f"    poll_interval: {self._poll_ms}ms\n    tags:\n{self._tags}"
            for plc in self._plcs
        )
        stations = "".join(
            f"  {name}:\n    equipment: {name}-01\n    operation: {OPERATION}\n"
            f"    order: {{tag: {name}.order}}\n"
            f"    trigger: {{tag: {name}.cycle_done, acknowledge: {name}.cycle_ack, cycle: {name}.cycle_count}}\n"
            f"    subject: {{kind: carrier, tag: {name}.carrier}}\n"
            f"    result: {{tag: {name}.cycle_result, pass: 1, fail: 2, scrap: 3, aborted: 4}}\n"
            f"    capture: [{name}.leak_rate, {name}.pressure]\n    counters: {{total: {name}.parts_total}}\n"
            for name in (plc.name for plc in self._plcs)
        )
        return f"devices:\n{devices}stations:\n{stations}"

    # -- in the line's own thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failed = error
            self._ready.set()
            raise
        finally:
            self._settle()
            self._ledger.close()
            self._loop.close()

    def _settle(self) -> None:
        """Let what the protocol library still has under way end, so that nothing is destroyed while it runs."""
        left = asyncio.all_tasks(self._loop)

        async def settle() -> None:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self._loop.run_until_complete(settle())

    async def _work(self) -> None:
        for plc in self._plcs:
            await plc.start()
        self._ready.set()
        try:
            await asyncio.gather(*(self._cycles(plc) for plc in self._plcs))
            await self._ledger.write([{"type": "end"}])
        finally:
            for plc in self._plcs:
                await plc.stop()

    async def _cycles(self, plc: ModbusPlc) -> None:
        number = self._first - 1
        while True:
            stepped = await self._turn()
            if self._finishing.is_set():
                return
            number += 1
            self._begun += not stepped
            shown, line = cycle_of(self._seed, plc.name, number, spoils=self._spoils)
            await self._ledger.write([line])
            await plc.show({**shown, DONE: True})
            await plc.wait_for(ACK, True)
            self._answered[plc.name] += 1
            await plc.show({DONE: False})
            await plc.wait_for(ACK, False)
            self._over += 1
            await asyncio.sleep(self._rest_s)

    async def _turn(self) -> bool:
        """Wait until this machine may begin; whether it is a step of a line that is held."""
        while True:
            await self._going.wait()
            if self._steps:
                self._steps -= 1
                return True
            if not self._held:
                return False
            self._going.clear()


def cycle_of(
    seed: int, station: str, number: int, *, spoils: bool = False
) -> tuple[dict[str, Value], dict[str, JsonValue]]:
    """What the registers show of a station's n-th cycle, and what the ledger keeps of it."""
    leak, pressure = (
        float32(centre * (1 + 0.1 * (uniform(seed, station, number, name) - 0.5)))
        for name, centre in (("leak", 0.12), ("pressure", 30.0))
    )
    if spoils and uniform(seed, station, number, "spoilt") < SPOILT:
        leak = math.nan if number % 2 else math.inf
    result, code = RESULTS[int(uniform(seed, station, number, "result") * 1.2) % 2]
    carrier, order = f"{station[-1]}-{number}", f"WO-{1 + number // CYCLES_OF_AN_ORDER}"
    count = number % COUNT_ENDS
    shown: dict[str, Value] = {
        "Process.LeakRate": leak,
        "Process.Pressure": pressure,
        CARRIER: carrier,
        ORDER: order,
        RESULT: code,
        COUNT: count,
        TOTAL: count,
    }
    line: dict[str, JsonValue] = {
        "type": "cycle",
        "station": station,
        "equipment": f"{station}-01",
        "operation": OPERATION,
        "cycle": count,
        "order": order,
        "purpose": "production",
        "result": result,
        "carrier": carrier,
        "operator": None,
        "values": {
            f"{station}.leak_rate": leak if math.isfinite(leak) else None,
            f"{station}.pressure": pressure,
        },
        "subjects": [],
        "materials": [],
    }
    return shown, line


def _machine(name: str) -> ModbusPlc:
    plc = ModbusPlc(name, LAYOUT, port=reserved_port())
    plc.memory[ORDER] = ""
    return plc
