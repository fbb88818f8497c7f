"""The whole simulated line over its real protocols, answered by a host of a hundred lines."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import struct
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient

from records.clock import SystemClock
from simulators.ledger import read
from simulators.line import Line, troubles_of
from simulators.settings import LotOnShelf, OrderToMake, PlantSettings

DEADLINE_S = 60.0
POLL_S = 0.01
MODES = {1: "production", 2: "rework", 3: "retest", 4: "setup"}
RESULTS = {1: "pass", 2: "fail", 3: "scrap", 4: "aborted"}


def lots(units: int) -> tuple[LotOnShelf, ...]:
    return (
        LotOnShelf(item="VB-10", lot="VB-0001", quantity=units + 1),
        LotOnShelf(item="SR-20", lot="SR-OLD", expiry=dt.date(2022, 1, 31), quantity=100),
        LotOnShelf(item="SR-20", lot="SR/0001", expiry=dt.date(2049, 6, 30), quantity=2 * units + 2),
    )


def plant_settings(folder: Path, *orders: tuple[int, str], **more: Any) -> PlantSettings:
    made = tuple(
        OrderToMake(
            reference=f"WO-{1001 + index}",
            units=units,
            lots=lots(units),
            serial_prefix=f"26{index:02d}",
            troubles=troubles,
        )
        for index, (units, troubles) in enumerate(orders)
    )
    return PlantSettings(folder=folder, seed=7, speed=5_000, restart_down="50ms", orders=made, **more)


class Host:
    """What an agent would do, without any of its care: permit, capture, acknowledge, answer scans.

    ``cycles``: per station what it read, in order. ``scans``: per scanner the contents it was given.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.cycles: dict[str, list[dict[str, Any]]] = {name: [] for name in line.plcs}
        self.scans: dict[str, list[str]] = {name: [] for name in line.scanners}
        self.silent_for = 0
        self._handles: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for station in ("assemble", "weld"):
            self._tasks.append(asyncio.create_task(self._opcua(station)))
        for station in ("leak_test", "wash"):
            self._tasks.append(asyncio.create_task(self._modbus(station)))
        for station, scanner in self.line.scanners.items():
            self._listen(station, scanner.link)

    async def stop(self) -> None:
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:  # again and again: wait_for in the client libraries can swallow it
                task.cancel()
            await asyncio.wait(running, timeout=0.1)
        for handle in self._handles:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

    # -- scanners

    def _listen(self, station: str, link: Path) -> None:
        handle = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(handle)
        self._handles.append(handle)
        buffer = bytearray()

        def on_bytes() -> None:
            buffer.extend(os.read(handle, 4096))
            while b"\r" in buffer:
                frame, _, rest = bytes(buffer).partition(b"\r")
                buffer[:] = rest
                self._answer(station, handle, frame.decode())

        asyncio.get_running_loop().add_reader(handle, on_bytes)

    def _answer(self, station: str, handle: int, text: str) -> None:
        self.scans[station].append(text)
        if self.silent_for:
            self.silent_for -= 1
            return
        wrong = "FOREIGN" in text or "SR-OLD" in text
        os.write(handle, b"\x15" if wrong else b"\x06")

    # -- PLCs

    async def _opcua(self, station: str) -> None:
        while True:
            with contextlib.suppress(OSError, ua.UaError, TimeoutError):  # it restarts on purpose
                await self._opcua_session(station)
            await asyncio.sleep(POLL_S)

    async def _opcua_session(self, station: str) -> None:
        plc = self.line.plcs[station]
        client = Client(plc.url, timeout=2)
        await client.connect()
        try:
            index = await client.get_namespace_index(f"urn:lotkeeper:sim:{plc.name}")
            nodes = {tag: client.get_node(f"ns={index};s={tag}") for tag in plc.memory}

            async def get(tag: str) -> Any:
                return await nodes[tag].read_value()

            async def put(tag: str, value: bool) -> None:
                await nodes[tag].write_value(value)

            if station == "assemble":
                await put("Station.Permit", True)
            while True:
                await self._handshake(station, get, put, [t for t in nodes if t != "Cycle.Ack"])
        finally:
            with contextlib.suppress(Exception):
                await client.disconnect()

    async def _modbus(self, station: str) -> None:
        plc = self.line.plcs[station]
        client = AsyncModbusTcpClient(plc.host, port=plc.port)
        await client.connect()

        async def get(tag: str) -> Any:
            block = await client.read_holding_registers(0, count=106, device_id=1)
            return decode(block.registers)[tag]

        async def put(tag: str, value: bool) -> None:
            address = {"Cycle.Ack": 1, "Station.Permit": 5}[tag]
            assert not (await client.write_register(address, int(value), device_id=1)).isError()

        try:
            await put("Station.Permit", True)
            while True:
                tags = [t for t in plc.memory if t not in ("Cycle.Ack",)]
                await self._handshake(station, get, put, tags)
                status = await client.read_input_registers(7, count=1, device_id=1)
                self.cycles[station][-1]["pass bit"] = bool(status.registers[0] & 8)
        finally:
            client.close()

    async def _handshake(
        self, station: str, get: Callable[[str], Any], put: Callable[[str, bool], Any], tags: list[str]
    ) -> None:
        while not await get("Cycle.Done"):
            await asyncio.sleep(POLL_S)
        taken = {tag: await get(tag) for tag in tags}
        seen = self.cycles[station]
        if not seen or seen[-1]["Cycle.Count"] != taken["Cycle.Count"]:
            seen.append(taken)
        await put("Cycle.Ack", True)
        while await get("Cycle.Done"):
            await asyncio.sleep(POLL_S)
        await put("Cycle.Ack", False)


def decode(words: list[int]) -> dict[str, Any]:
    def float32(at: int) -> float:
        return float(struct.unpack(">f", struct.pack(">HH", words[at + 1], words[at]))[0])

    text = struct.pack(">8H", *words[10:18]).split(b"\x00")[0].decode()
    return {
        "Cycle.Done": words[0],
        "Cycle.Count": words[3] << 16 | words[2],
        "Cycle.Running": words[4],
        "Station.Permit": words[5],
        "Station.Mode": words[6],
        "Cycle.Result": words[7],
        "Parts.Total": words[9] << 16 | words[8],
        "Carrier.Id": text,
        "Process.LeakRate": float32(100),
        "Process.Pressure": float32(102),
        "Process.Temperature": float32(100),
        "Process.Conductivity": float32(102),
        "Process.WashTime": float32(104),
    }


@contextlib.asynccontextmanager
async def running(settings: PlantSettings) -> AsyncIterator[tuple[Line, Host]]:
    line = Line(settings, troubles_of(settings, settings.folder), SystemClock(), lambda text: None)
    await line.start()
    host = Host(line)
    try:
        yield line, host
    finally:
        await host.stop()
        await line.stop()


async def answered(line: Line, host: Host) -> None:
    """Run the line to its end with the host at work."""
    host.start()
    async with asyncio.timeout(DEADLINE_S):
        await line.run()


async def make(settings: PlantSettings) -> tuple[list[dict[str, Any]], Host]:
    """Run all orders; the ledger and what the host saw."""
    async with running(settings) as (line, host):
        await answered(line, host)
    return list(read(settings.folder / "ledger.jsonl")), host


def of(ledger: list[dict[str, Any]], kind: str, **wanted: object) -> list[dict[str, Any]]:
    return [line for line in ledger if line["type"] == kind and all(line[k] == v for k, v in wanted.items())]


def assert_host_saw_the_truth(ledger: list[dict[str, Any]], host: Host) -> None:
    shown = {
        "assembler.torque": "Process.Torque",
        "assembler.angle": "Process.Angle",
        "welder.energy": "Process.Energy",
        "welder.collapse": "Process.Collapse",
        "welder.force_profile": "Process.ForceProfile",
        "leak_tester.leak_rate": "Process.LeakRate",
        "leak_tester.pressure": "Process.Pressure",
        "leak_tester.leak_ok": "pass bit",
        "washer.temperature": "Process.Temperature",
        "washer.conductivity": "Process.Conductivity",
        "washer.wash_time": "Process.WashTime",
    }
    for station, seen in host.cycles.items():
        true = of(ledger, "cycle", station=station)
        assert [line["cycle"] for line in true] == [taken["Cycle.Count"] for taken in seen], station
        for line, taken in zip(true, seen, strict=True):
            assert RESULTS[taken["Cycle.Result"]] == line["result"]
            assert MODES[taken["Station.Mode"]] == line["purpose"]
            assert taken["Carrier.Id"] == (line["carrier"] or "")
            assert {tag: taken[shown[tag]] for tag in line["values"]} == line["values"]
            if station == "weld":
                assert taken["Order.Id"] == line["order"]


def test_a_clean_order_of_three_goes_through(tmp_path: Path) -> None:
    ledger, host = asyncio.run(make(plant_settings(tmp_path, (3, "none"))))
    assert_host_saw_the_truth(ledger, host)
    assert len(of(ledger, "cycle")) == 3 * 3 + 1
    assert not of(ledger, "trouble")
    units = of(ledger, "unit")
    assert [(u["carrier"], u["serial"], u["disposition"]) for u in units] == [
        ("C-0001", "26000001", "good"),
        ("C-0002", "26000002", "good"),
        ("C-0003", "26000003", "good"),
    ]
    assert [(o["ordered"], o["good"], o["scrap"]) for o in of(ledger, "order")] == [(3, 3, 0)]
    assert ledger[-1]["type"] == "end"
    assert {scan["answer"] for scan in of(ledger, "scan")} == {"ack"}
    assert host.scans["leak_test"] == ["B100002"] + [
        "]d2010401234500001617291231" + f"10WO-1001\x1d2126000{n:03d}" for n in (1, 2, 3)
    ]
    assert host.scans["wash"][:2] == ["B100003", "TRAY-001"]
    (wash,) = of(ledger, "cycle", station="wash")
    assert wash["subjects"] == ["26000001", "26000002", "26000003"]
    first = of(ledger, "cycle", station="assemble")[0]
    assert first["materials"] == [
        {"item": "VB-10", "lot": "VB-0001", "quantity": 1},
        {"item": "SR-20", "lot": "SR/0001", "quantity": 2},
    ]


def test_the_default_troubles_all_happen(tmp_path: Path) -> None:
    ledger, host = asyncio.run(make(plant_settings(tmp_path, (3, "none"), (8, "default"))))
    assert_host_saw_the_truth(ledger, host)
    codes = [line["code"] for line in of(ledger, "trouble")]
    assert sorted(codes) == [
        "aborted-cycle",
        "broker-restart",
        "carrier-misread",
        "counter-disagrees",
        "drift",
        "expired-lot-scanned",
        "fail-retest-pass",
        "mean-shift",
        "out-of-specification",
        "plc-restart",
        "rework-loop",
        "scrap",
        "setup-piece",
        "wrong-lot-scanned",
    ]
    refused = of(ledger, "scan", expect="refuse")
    assert [scan["answer"] for scan in refused] == ["nak", "nak"]
    units = of(ledger, "unit", order="WO-1002")
    assert [u["disposition"] for u in units].count("good") == 7
    (scrap,) = of(ledger, "unit", disposition="scrap")
    assert scrap["serial"] is None
    assert [(o["order"], o["good"], o["scrap"]) for o in of(ledger, "order")] == [
        ("WO-1001", 3, 0),
        ("WO-1002", 7, 1),
    ]
    totals = [taken["Parts.Total"] for taken in host.cycles["leak_test"]]
    assert totals[-1] == len(totals) + 1
    (restarted,) = of(ledger, "trouble", code="plc-restart")
    assert restarted["cycle"] in [taken["Cycle.Count"] for taken in host.cycles["weld"]]


def test_two_runs_of_one_seed_differ_in_their_times_only(tmp_path: Path) -> None:
    runs = []
    for name, speed in (("first", 5_000), ("second", 1_500)):
        (tmp_path / name).mkdir()
        settings = plant_settings(tmp_path / name, (8, "default")).model_copy(update={"speed": speed})
        ledger, _ = asyncio.run(make(settings))
        by_station: dict[str, list[dict[str, Any]]] = {}
        for line in ledger:
            line.pop("at_us")
            by_station.setdefault(str(line.get("station", line["type"])), []).append(line)
        runs.append(by_station)
    assert runs[0] == runs[1]


def test_a_label_without_an_answer_is_read_again(tmp_path: Path) -> None:
    async def run() -> Host:
        settings = plant_settings(tmp_path, (1, "none"), scan_timeout="50ms")
        async with running(settings) as (line, host):
            host.silent_for = 3
            await answered(line, host)
            return host

    host = asyncio.run(run())
    assert sum(map(len, host.scans.values())) == 9 + 3
    taken = of(list(read(tmp_path / "ledger.jsonl")), "scan")
    assert len(taken) == len({(line["station"], line["text"]) for line in taken})


def test_the_ledger_has_a_cycle_before_the_plc_says_done(tmp_path: Path) -> None:
    async def run() -> None:
        settings = plant_settings(tmp_path, (2, "none"))
        async with running(settings) as (line, host):
            plc = line.plcs["assemble"]
            show = plc.show

            async def watched(values: Any) -> None:
                if values.get("Cycle.Done"):
                    cycles = of(list(read(tmp_path / "ledger.jsonl")), "cycle", station="assemble")
                    assert cycles[-1]["cycle"] == values["Cycle.Count"]
                await show(values)

            plc.show = watched  # type: ignore[method-assign]
            await answered(line, host)

    asyncio.run(run())


@pytest.mark.parametrize("station", ["weld", "leak_test"])
def test_a_plc_keeps_an_unanswered_cycle_over_a_restart(tmp_path: Path, station: str) -> None:
    async def run() -> None:
        settings = plant_settings(tmp_path, (1, "none"))
        async with running(settings) as (line, _):
            plc = line.plcs[station]  # type: ignore[index]
            await plc.show({"Cycle.Count": 70_000, "Cycle.Done": True, "Carrier.Id": "C-0009"})
            before = plc.url
            await plc.restart(0.01)
            assert plc.url == before
            if station == "weld":
                async with Client(plc.url) as client:
                    index = await client.get_namespace_index("urn:lotkeeper:sim:welder")
                    count = await client.get_node(f"ns={index};s=Cycle.Count").read_value()
                    done = await client.get_node(f"ns={index};s=Cycle.Done").read_value()
                    with pytest.raises(ua.UaError):
                        await client.get_node(f"ns={index};s=Cycle.Count").write_value(
                            ua.Variant(1, ua.VariantType.UInt32)
                        )
            else:
                client = AsyncModbusTcpClient(plc.host, port=plc.port)
                await client.connect()
                block = decode((await client.read_holding_registers(0, count=106, device_id=1)).registers)
                count, done = block["Cycle.Count"], block["Cycle.Done"]
                assert (await client.write_register(0, 0, device_id=1)).isError()
                client.close()
            assert (count, bool(done)) == (70_000, True)

    asyncio.run(run())
