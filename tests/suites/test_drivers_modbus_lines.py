"""Serial lines and shared ones, against libmodbus: late answers, noise, dead units, cable out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from driver_rigs import LineFile, until

from drivers.base import Device, ReadingBlock
from drivers.factory import Lines, build_device
from drivers.supervise import DeviceEvent, Supervisor
from drivers.tags import AnyModbusDevice
from records.clock import SystemClock
from records.errors import Unreachable
from records.yaml import parse
from simulators.sockets import free_port
from tests.rigs.libmodbus_server import LibmodbusServer, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

KINDS = ("tcp", "rtu-tcp", "pty")
SERIAL = ("rtu-tcp", "pty")
Job = Callable[[LibmodbusServer, "Line"], Awaitable[None]]


class Line:
    """Devices on one line, as one agent has them."""

    def __init__(self, server: LibmodbusServer, kind: str) -> None:
        self.server, self.kind = server, kind
        self.devices: list[Device] = []
        self._lines = Lines()

    def device(self, unit: int = 1, extra: str = "", timeout: str = "200ms", tags: str = "") -> Device:
        tcp = f"host: 127.0.0.1, port: {self.server.port}"
        where = {
            "tcp": f"driver: modbus_tcp, {tcp}",
            "rtu-tcp": f"driver: modbus_rtu_over_tcp, {tcp}, late_answer_wait: 50ms",
            "pty": f"driver: modbus_rtu, port: {self.server.path}, parity: none, late_answer_wait: 50ms",
        }[self.kind]
        known = (
            tags or "{name: a, address: 0}, {name: b, address: 1}, {name: wide, address: 10, data_type: uint32}"
        )
        text = (
            f"devices:\n  unit{unit}: {{{where}, unit_id: {unit}, timeout: {timeout}, {extra} tags: [{known}]}}\n"
        )
        settings: AnyModbusDevice = parse(text.encode(), LineFile).value.devices[f"unit{unit}"]  # type: ignore[assignment]
        device = build_device(f"unit{unit}", settings, SystemClock(), lambda _: None, lines=self._lines)
        self.devices.append(device)
        return device


def run(kind: str, folder: Path, job: Job) -> None:
    """A job with a libmodbus server of units 1, 2 and 3, each holding its number in every register."""
    path = folder / "line" if kind == "pty" else None
    server = LibmodbusServer(kind, port=0 if kind == "pty" else free_port(), path=path)  # type: ignore[arg-type]
    for unit in (1, 2, 3):
        server.set(unit, "holding", 0, [unit] * 200)

    async def whole() -> None:
        line = Line(server, kind)
        try:
            await asyncio.wait_for(job(server, line), 60)
        finally:
            for device in line.devices:
                await device.close()

    try:
        asyncio.run(whole())
    finally:
        server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_writes(kind: str, tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        tags = (
            "{name: a, address: 0, access: write}, {name: wide, address: 10, data_type: uint32, access: write}, "
            "{name: bit, address: 5, bit: 3, access: write, read_modify_write: true}, "
            "{name: far, address: 150}, {name: lamp, register: coil, address: 9, access: write}"
        )
        device = line.device(2, tags=tags)
        await device.connect()
        assert (await device.read(["a", "wide", "bit", "far"])).listed() == (2, 0x20002, False, 2)
        await device.write("a", 77)
        await device.write("wide", 0xDEADBEEF)
        await device.write("bit", True)
        await device.write("lamp", True)
        assert server.get(2, "holding", 0, 1) == [77]
        assert server.get(2, "holding", 10, 2) == [0xDEAD, 0xBEEF]
        assert server.get(2, "holding", 5, 1) == [2 | 8]
        assert server.get(2, "coil", 9, 1) == [1]
        assert (await device.read(["a", "lamp"])).listed() == (77, True)
        asked = [(each.function, each.address, each.count) for each in server.log() if each.function > 4]
        assert asked == [(6, 0, 1), (16, 10, 2), (6, 5, 1), (5, 9, 1)]

    run(kind, tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_knows_only_multiple_writes(kind: str, tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        tags = "{name: a, address: 0, access: write}, {name: lamp, register: coil, address: 9, access: write}"
        device = line.device(extra="write_multiple: true,", tags=tags)
        await device.connect()
        await device.write("a", 5)
        await device.write("lamp", True)
        assert (await device.read(["a", "lamp"])).listed() == (5, True)
        assert [each.function for each in server.log() if each.function > 4] == [16, 15]

    run(kind, tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_comes_late_is_never_taken_for_the_next(kind: str, tmp_path: Path) -> None:
    """The late answer has the unit, the function and the length of the next request's; only its value is old."""

    async def job(server: LibmodbusServer, line: Line) -> None:
        device = line.device(timeout="150ms", extra="retries: 4,")
        await device.connect()
        for value in range(100, 105):
            server.set(1, "holding", 0, [value])
            server.delay(1, 260, 1)  # answers the next request, with this value, after its time-out and the rest
            server.log()
            reading = asyncio.ensure_future(device.read(["a"]))
            await until(lambda: server.log(), "the request")
            server.set(1, "holding", 0, [value + 1000])
            assert (await reading).listed() == (value + 1000,)
            assert (await device.read(["b"])).listed() == (1,)

    run(kind, tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_nobody_waits_for_any_more_is_not_the_next(kind: str, tmp_path: Path) -> None:
    """Whoever asked was cancelled, as by a station's own time-out; the answer comes all the same."""

    async def job(server: LibmodbusServer, line: Line) -> None:
        device = line.device(timeout="5s")
        await device.connect()
        for value in range(100, 105):
            server.set(1, "holding", 0, [value])
            server.delay(1, 100, 1)
            server.log()
            reading = asyncio.ensure_future(device.read(["a"]))
            await until(lambda: server.log(), "the request")
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            server.set(1, "holding", 0, [value + 1000])
            assert (await device.read(["a"])).listed() == (value + 1000,)

    run(kind, tmp_path, job)


def test_a_shared_connection_that_went_dead_is_made_anew_for_all(tmp_path: Path) -> None:
    """Half open: nothing comes, nothing says so. The third time-out in a row has a new connection made."""
    connections: list[asyncio.StreamWriter] = []
    dead: set[int] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(connections)
        connections.append(writer)
        try:
            while True:
                asked = await reader.readexactly(12)
                if number not in dead:
                    writer.write(asked[:5] + bytes([5, asked[6], 3, 2, 0, asked[6]]))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def job(server: LibmodbusServer, line: Line) -> None:
        half_open = await asyncio.start_server(serve, "127.0.0.1", 0)
        line.server.port = half_open.sockets[0].getsockname()[1]
        first, second = (line.device(unit, "retries: 3,", timeout="100ms") for unit in (1, 2))
        await first.connect()
        await second.connect()
        assert len(connections) == 1
        dead.add(0)
        assert (await first.read(["a"])).listed() == (1,)
        assert (await second.read(["a"])).listed() == (2,)
        assert len(connections) == 2
        await first.close()
        await second.close()
        half_open.close()

    run("tcp", tmp_path, job)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (kind, how)
        for kind in KINDS
        for how in ("short", "noise", "flip", "foreign")
        if (kind, how) != ("tcp", "flip")
    ],
)  # Modbus TCP has no check of its own: a flipped bit is TCP's to find
def test_garbled_answers_cost_a_try_and_never_a_wrong_number(kind: str, how: str, tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        device = line.device(timeout="100ms")
        await device.connect()
        for _ in range(3):
            server.garble(1, how, 1)  # type: ignore[arg-type]
            try:
                assert (await device.read(["a", "wide"])).listed() == (1, 0x10001)
            except Unreachable:
                assert kind == "tcp"  # a stream out of step is given up
                await device.connect()
        server.garble(1, how)
        with pytest.raises(Unreachable):
            await device.read(["a"])

    run(kind, tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_unit_costs_its_neighbours_little(kind: str, tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        events: list[DeviceEvent] = []
        told: list[ReadingBlock] = []
        supervisors = [
            Supervisor(
                line.device(unit, "poll_interval: 20ms,"), SystemClock(), events.append, longest_pause_s=0.3
            )
            for unit in (1, 2, 3)
        ]
        for supervisor in supervisors:
            supervisor.watch(["a"], told.append, every=True)
        running = [asyncio.ensure_future(supervisor.run()) for supervisor in supervisors]
        await until(lambda: {block.device for block in told} == {"unit1", "unit2", "unit3"}, "values of all units")
        server.silent(2)
        await until(lambda: not supervisors[1].connected, "the loss of unit 2")
        server.log()
        told.clear()
        await until(lambda: sum(block.device == "unit1" for block in told) >= 100, "values of unit 1")
        asked = [each.unit for each in server.log()]
        assert asked.count(2) <= 5  # about two seconds: after 0.2, 0.4, 0.8 ... s
        assert sum(block.device == "unit3" for block in told) >= 50
        assert [event.device for event in events if event.state == "lost"] == ["unit2"]
        server.heal()
        await until(lambda: supervisors[1].connected, "unit 2 again")
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    run(kind, tmp_path, job)


def test_units_behind_one_gateway_share_one_connection(tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        first, second = line.device(1), line.device(2)
        await first.connect()
        await second.connect()
        assert first._bus is second._bus  # type: ignore[attr-defined]
        blocks = await asyncio.gather(*(each.read(["a", "wide"]) for each in (first, second) * 20))
        assert [block.value("a") for block in blocks] == [1, 2] * 20
        await first.close()
        assert (await second.read(["a"])).listed() == (2,)
        server.drop()
        with pytest.raises(Unreachable, match="the connection was lost"):
            await second.read(["a"])
        await second.close()
        await second.connect()
        assert (await second.read(["a"])).listed() == (2,)

    run("tcp", tmp_path, job)


def test_a_lost_connection_is_told_to_everyone_on_it(tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        first, second = line.device(1), line.device(2)
        await first.connect()
        await second.connect()
        server.drop()
        with pytest.raises(Unreachable, match="the connection was lost"):
            await first.read(["a"])
        await first.connect()
        # the line is open again, and yet the second must learn that it was lost: its machine may have restarted
        with pytest.raises(Unreachable, match="the connection was lost"):
            await second.read(["a"])
        await second.connect()
        assert (await second.read(["a"])).listed() == (2,)

    run("tcp", tmp_path, job)


def test_a_serial_line_that_is_pulled_and_plugged(tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        events: list[DeviceEvent] = []
        told: list[ReadingBlock] = []
        supervisor = Supervisor(line.device(1), SystemClock(), events.append, longest_pause_s=0.3)
        supervisor.watch(["a"], told.append, every=True)
        running = asyncio.ensure_future(supervisor.run())
        await until(lambda: told, "the first values")
        server.unplug()
        await until(lambda: not supervisor.connected, "the loss")
        server.plug()
        told.clear()
        await until(lambda: told, "values again")
        assert [event.state for event in events] == ["connected", "lost", "connected"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run("pty", tmp_path, job)


def test_slow_devices_get_their_pauses(tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        loop = asyncio.get_running_loop()
        device = line.device(extra="pause_after_connect: 100ms, pause_between_requests: 50ms, max_gap: 0,")
        began = loop.time()
        await device.connect()
        assert loop.time() - began >= 0.1
        began = loop.time()
        await device.read(["a", "wide"])  # two requests, each after a pause
        assert loop.time() - began >= 0.1

    run("tcp", tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_no_torn_value_is_taken(kind: str, tmp_path: Path) -> None:
    """Every few reads the machine changes all values and its count; a reading never mixes two moments."""

    async def job(server: LibmodbusServer, line: Line) -> None:
        tags = (
            "{name: count, address: 130}, {name: a, address: 0}, {name: b, address: 60}, {name: c, address: 110}"
        )
        device = line.device(extra="sequence: {tag: count}, max_gap: 0,", tags=tags)
        await device.connect()
        server.torn(1, 0, 120, 130, 7)
        taken = 0
        for _ in range(30):
            block = await device.read(["a", "b", "c"])
            words = set(block.words())
            assert words in ({"Good"}, {"BadTorn"})
            if words == {"Good"}:
                taken += 1
                assert len(set(block.listed())) == 1
        assert taken > 10
        server.torn(1, 0, 120, 130, 1)  # more often than it can be read
        assert set((await device.read(["a", "b", "c"])).words()) == {"BadTorn"}
        server.heal()
        assert set((await device.read(["a", "b", "c"])).words()) == {"Good"}

    run(kind, tmp_path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_device_is_read_back(kind: str, tmp_path: Path) -> None:
    async def job(server: LibmodbusServer, line: Line) -> None:
        words = [(n * 40_503 + 7) % 65_536 for n in range(1500)]
        server.set(1, "holding", 0, words)
        for first in range(20, 1500, 97):
            server.fail(1, "holding", first, first + first % 5)
        there = [not any(first <= n <= first + first % 5 for first in range(20, 1500, 97)) for n in range(1500)]
        tags = ", ".join(f"{{name: t{n}, address: {n}}}" for n in range(0, 1500, 3))
        device = line.device(extra="max_gap: 30,", tags=tags, timeout="5s")
        await device.connect()
        for _ in range(8):
            server.log()
            block = await device.read([f"t{n}" for n in range(0, 1500, 3)])
            assert block.listed() == tuple(words[n] if there[n] else None for n in range(0, 1500, 3))
        assert all(all(there[each.address : each.address + each.count]) for each in server.log())

    run(kind, tmp_path, job)
