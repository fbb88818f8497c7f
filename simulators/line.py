"""The running line: four machines, three operators and the material between them, in one asyncio process.

Every station works through its planned jobs; what is true of a cycle is on disk in the ledger before any
protocol shows it. Hosts may come, go and come back at any time: machines wait at the handshake, operators read
labels again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from records.clock import Clock, from_us
from records.errors import LotkeeperError
from records.files import replace_file
from records.model import Purpose, Result
from simulators import ledger as truth
from simulators.jobs import STATIONS, Cycle, Job, Scan, StationName
from simulators.ledger import Ledger
from simulators.plan import plan_line
from simulators.plant import Value
from simulators.plc import ACK, CARRIER, COUNT, DONE, MODE, ORDER, PERMIT, RESULT, RUNNING, TOTAL, Plc
from simulators.plc_modbus import LEAK_TESTER, WASHER, ModbusPlc
from simulators.plc_opcua import ASSEMBLER, WELDER, OpcUaPlc
from simulators.scanner import Operator, PtyScanner
from simulators.settings import TROUBLES_DEFAULT, TROUBLES_NONE, PlantSettings
from simulators.troubles import Placed, default_script, load_script, place

DEVICE: dict[StationName, str] = {
    "assemble": "assembler",
    "weld": "welder",
    "leak_test": "leak_tester",
    "wash": "washer",
}
SCANNER: dict[StationName, str] = {
    "assemble": "scanner_op10",
    "leak_test": "scanner_op30",
    "wash": "scanner_op40",
}
FREE_RUNNING: frozenset[StationName] = frozenset({"weld"})
"""Stations without an interlock."""

PLC_TAG = {
    "assembler.torque": "Process.Torque",
    "assembler.angle": "Process.Angle",
    "welder.energy": "Process.Energy",
    "welder.collapse": "Process.Collapse",
    "welder.force_profile": "Process.ForceProfile",
    "leak_tester.leak_rate": "Process.LeakRate",
    "leak_tester.pressure": "Process.Pressure",
    "washer.temperature": "Process.Temperature",
    "washer.conductivity": "Process.Conductivity",
    "washer.wash_time": "Process.WashTime",
}
"""Where a PLC shows a value; the leak tester's pass bit follows its result."""

RESULT_CODE = {Result.PASS: 1, Result.FAIL: 2, Result.SCRAP: 3, Result.ABORTED: 4}
MODE_CODE = {Purpose.PRODUCTION: 1, Purpose.REWORK: 2, Purpose.RETEST: 3, Purpose.SETUP: 4}

LEDGER_FILE = "ledger.jsonl"
READY_FILE = "plant-ready.json"
SECOND_LOOK_S = 0.4
"""After a refusal that should not be: how long the operator thinks before reading the label again."""

Say = Callable[[str], None]


def troubles_of(settings: PlantSettings, folder: Path) -> list[tuple[Placed, ...]]:
    """The placed troubles of each order; files are sought beside ``folder``.

    Raises:
        ConfigurationError: a script that is wrong or does not fit its order.
    """
    found: list[tuple[Placed, ...]] = []
    for number, order in enumerate(settings.orders, start=1):
        if order.troubles == TROUBLES_NONE:
            found.append(())
            continue
        default = order.troubles == TROUBLES_DEFAULT
        script = default_script() if default else load_script(folder / order.troubles)
        found.append(place(script, order.units, number))
    return found


class Line:
    """The plant of one run.

    Args:
        settings: what to make.
        troubles: the placed troubles of each order.
        clock: for the ledger and today's date.
        say: one line for the person at the screen.

    Raises:
        ConfigurationError: lots that do not suffice, or a folder that holds another run's ledger.
    """

    def __init__(
        self, settings: PlantSettings, troubles: Sequence[Sequence[Placed]], clock: Clock, say: Say
    ) -> None:
        self.settings = settings
        self.jobs = plan_line(settings, troubles, from_us(clock.now_us()).date())
        self.ledger = Ledger(settings.folder / LEDGER_FILE, clock)
        self._say = say
        self._over: dict[str, asyncio.Event] = {
            job.name: asyncio.Event() for jobs in self.jobs.values() for job in jobs
        }
        host, ports = settings.host, settings.ports
        self.plcs: dict[StationName, Plc] = {
            "assemble": OpcUaPlc("assembler", ASSEMBLER, clock=clock, host=host, port=ports.assembler),
            "weld": OpcUaPlc("welder", WELDER, clock=clock, host=host, port=ports.welder),
            "leak_test": ModbusPlc("leak_tester", LEAK_TESTER, host=host, port=ports.leak_tester),
            "wash": ModbusPlc("washer", WASHER, host=host, port=ports.washer),
        }
        self.scanners = {
            station: PtyScanner(name, settings.folder / "tty" / name) for station, name in SCANNER.items()
        }
        self._operators = {
            station: Operator(scanner, settings.scan_timeout, say) for station, scanner in self.scanners.items()
        }

    async def start(self) -> JsonValue:
        """Open every device, then write ``plant-ready.json`` (whole or not at all) and give what it holds.

        Raises:
            Unreachable: a port or path cannot be had.
        """
        for plc in self.plcs.values():
            await plc.start()
        for scanner in self.scanners.values():
            scanner.open()
        ready: JsonValue = {
            "endpoints": {
                DEVICE[station]: {"url": plc.url, "host": plc.host, "port": plc.port}
                for station, plc in self.plcs.items()
            },
            "scanners": {scanner.name: str(scanner.link.absolute()) for scanner in self.scanners.values()},
            "ledger": str(self.ledger.path.absolute()),
            "pid": os.getpid(),
        }
        content = json.dumps(ready, indent=2) + "\n"
        replace_file(self.settings.folder / READY_FILE, content.encode(), sync=False)
        return ready

    async def run(self) -> None:
        """Make all orders; returns after the last cycle was acknowledged and ``end`` is in the ledger.

        Raises:
            StorageFailed: the ledger's disk; the line stands still then.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for station in STATIONS:
                    group.create_task(self._work(station), name=station)
        except* LotkeeperError as failed:
            raise failed.exceptions[0] from None
        await self.ledger.write([{"type": "end"}])

    async def stop(self) -> None:
        for scanner in self.scanners.values():
            scanner.close()
        for plc in self.plcs.values():
            await plc.stop()
        self.ledger.close()
        (self.settings.folder / READY_FILE).unlink(missing_ok=True)

    # -- one station ---------------------------------------------------------------------------------------

    async def _work(self, station: StationName) -> None:
        for job in self.jobs[station]:
            for name in job.after:
                await self._over[name].wait()
            if job.troubles:
                await self.ledger.write(truth.trouble_line(code, job.cycle) for code in job.troubles)
            await self._scan(station, job.scans_before)
            await self._arrive(station, job)
            await self._scan(station, job.scans)
            await self._cycle(station, job)
            if job.fates or job.done:
                await self.ledger.write(truth.final_lines(job.fates, job.done))
            if job.done is not None:
                self._say(f"{job.done.order}: finished, {job.done.good} good, {job.done.scrap} scrap")
            self._over[job.name].set()

    async def _arrive(self, station: StationName, job: Job) -> None:
        """The piece is in place: its carrier and the machine's mode can be read."""
        plc, cycle = self.plcs[station], job.cycle
        values: dict[str, Value] = {MODE: MODE_CODE[cycle.purpose], CARRIER: cycle.carrier or ""}
        if ORDER in plc.memory:
            values[ORDER] = cycle.order
        await plc.show(values)
        if job.scans:
            # a person needs a second to take up the scanner. Accelerated, that second would be shorter than the
            # host's poll, and the label be read before the host can know what it is for
            await plc.seen(CARRIER)

    async def _scan(self, station: StationName, scans: Sequence[Scan]) -> None:
        for scan in scans:
            while True:
                await asyncio.sleep(self.settings.pace.between_scans / self.settings.speed)
                answer = await self._operators[station].read(scan.text)
                await self.ledger.write([truth.scan_line(station, scan.text, scan.accept, answer)])
                if answer == "ack" or not scan.accept:
                    break
                self._say(f"{station}: {scan.text!r} was refused; reading it again")
                await asyncio.sleep(SECOND_LOOK_S)

    async def _cycle(self, station: StationName, job: Job) -> None:
        """One machine cycle through its four-phase handshake."""
        plc, cycle = self.plcs[station], job.cycle
        if station not in FREE_RUNNING:
            await plc.wait_for(PERMIT, True)
        await plc.show({RUNNING: True})
        await asyncio.sleep(self._process_s(station))
        await self.ledger.write([truth.cycle_line(cycle)])
        await plc.show({**_shown(cycle), RUNNING: False, DONE: True})
        if job.restart:
            await plc.restart(self.settings.restart_down)
        await plc.wait_for(ACK, True)
        await plc.show({DONE: False})
        await plc.wait_for(ACK, False)

    def _process_s(self, station: StationName) -> float:
        pace = self.settings.pace
        seconds: Mapping[StationName, float] = {
            "assemble": pace.assemble,
            "weld": pace.weld,
            "leak_test": pace.leak_test,
            "wash": pace.wash,
        }
        return seconds[station] / self.settings.speed


def _shown(cycle: Cycle) -> dict[str, Value]:
    """A finished cycle as its PLC shows it."""
    values = {PLC_TAG[tag]: value for tag, value in cycle.values.items() if tag in PLC_TAG}
    return {**values, RESULT: RESULT_CODE[cycle.result], COUNT: cycle.cycle, TOTAL: cycle.total}
