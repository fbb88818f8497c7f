"""What only Modbus has: tables, blocks with holes, scaling, answers that come late or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from driver_rigs import Bench, ModbusRig, device_of, until

from drivers.base import Device
from drivers.modbus.plan import Request
from records.errors import Invalid, Refused, Unreachable


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench(ModbusRig())
    yield found
    found.close()


def test_tables_bits_scales_and_raw_registers(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        await rig.poke(16, 102, [123])
        block = await device.read(["passed", "lamp", "door", "level", "torque", "count"])
        assert block.listed() == (True, False, True, pytest.approx(7.3), 2.25, 7)
        assert block.types == ("bool", "bool", "bool", "float64", "float32", "uint32")
        # registers as they travelled: words swapped, the low one first
        assert block.reading("torque").raw == "00004010"
        assert block.reading("count").raw == "00070000"
        assert block.reading("level").raw == "007b"
        assert block.reading("door").raw == "01"

    bench.run(job)


def test_writes_of_every_kind(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        await device.write("level", -3.2)
        assert (await device.read(["level"])).reading("level").raw == "0012"
        await device.write("wide", 1e300)
        assert (await device.read(["wide"])).listed() == (1e300,)
        await device.write("lamp", True)
        assert (await device.read(["lamp"])).listed() == (True,)
        await device.write("lamp", False)
        with pytest.raises(Invalid, match=r"plc\.level: 5000\.0 does not fit into int16"):
            await device.write("level", 5000.0)
        with pytest.raises(Invalid, match=r"plc\.carrier: .* is longer than 16 bytes"):
            await device.write("carrier", "x" * 17)

    bench.run(job)


def test_neighbours_are_one_request(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        rig.requests.clear()
        await device.read(["done", "ack", "count", "carrier", "torque", "passed"])
        assert sorted(rig.requests) == [(3, 0, 18), (3, 100, 2), (4, 7, 1)]

    bench.run(job)


def test_a_hole_in_a_block_is_learned_and_not_asked_again(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        asked: list[tuple[int, int]] = []
        ask = device._ask  # type: ignore[attr-defined]

        async def counting(request: Request) -> object:
            asked.append((request.start, request.count))
            return await ask(request)

        device._ask = counting  # type: ignore[attr-defined]
        tags = ["count", "carrier", "missing", "done"]
        block = await device.read(tags)
        assert block.listed() == (7, "C-017", None, False)
        assert block.words()[2] == "BadIllegalAddress"
        assert asked == [(0, 22), (0, 4), (10, 12), (10, 8), (20, 2)]
        asked.clear()
        assert (await device.read(tags)).listed() == block.listed()
        assert asked == [(0, 4), (10, 8), (20, 2)]

    bench.run(job)


def test_a_value_that_does_not_stay_is_told(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        with pytest.raises(Refused, match=r"plc \(127.0.0.1:\d+ unit 1\) took True for ack, but holds False"):
            await _write_against(rig, device)

    async def _write_against(rig: ModbusRig, device: Device) -> None:
        call = device._call  # type: ignore[attr-defined]

        async def then_undo(request: Callable[[], Awaitable[object]]) -> object:
            answer = await call(request)
            await rig.set("ack", False)
            return answer

        device._call = then_undo  # type: ignore[attr-defined]
        await device.write("ack", True)

    bench.run(job)


Answers = Callable[[int, bytes], Awaitable[bytes]]


async def _bad_server(port: int, answers: Answers) -> asyncio.Server:
    """A Modbus server that answers the n-th request of all connections as it is told."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                head = await reader.readexactly(6)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                count += 1
                writer.write(await answers(count, head + body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


def _answer(request: bytes, *registers: int) -> bytes:
    content = b"".join(value.to_bytes(2, "big") for value in registers)
    pdu = bytes([request[6], request[7], len(content)]) + content
    return request[:4] + len(pdu).to_bytes(2, "big") + pdu


def _with_bad_server(answers: Answers, job: Callable[[Device], Awaitable[None]], timeout: str = "300ms") -> None:
    async def whole() -> None:
        rig = ModbusRig()
        server = await _bad_server(rig.port, answers)
        device = device_of(rig, rig.yaml.replace("timeout: 5s", f"timeout: {timeout}"))
        await device.connect()
        try:
            await job(device)
        finally:
            await device.close()
            server.close()

    asyncio.run(whole())


def test_a_late_answer_is_never_taken_for_the_next_request() -> None:
    held: list[bytes] = []

    async def answers(n: int, request: bytes) -> bytes:
        held.append(request)
        # nothing in time for the first; before each later answer the one that the first is still owed
        return b"" if n == 1 else _answer(held[0], 1) + _answer(request, 0)

    async def job(device: Device) -> None:
        with pytest.raises(Unreachable, match="no answer"):
            await device.read(["done"])
        with pytest.raises(Unreachable, match="not connected"):
            await device.read(["done"])
        await device.connect()
        assert (await device.read(["done"])).listed() == (False,)
        assert (await device.read(["done"])).listed() == (False,)

    _with_bad_server(answers, job)


def test_an_answer_of_another_length_is_no_answer() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        return _answer(request, 1, 2, 3)

    async def job(device: Device) -> None:
        with pytest.raises(Unreachable, match="another length"):
            await device.read(["done"])

    _with_bad_server(answers, job)


def test_garbage_and_hang_ups_are_unreachable() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        if n == 1:
            return b"\xff" * 40
        raise ConnectionError

    async def job(device: Device) -> None:
        for _ in range(2):
            with pytest.raises(Unreachable, match="plc"):
                await device.read(["done"])
            await device.connect()

    _with_bad_server(answers, job)


def test_exceptions_are_bad_readings_and_refused_writes() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        pdu = bytes([request[6], request[7] | 0x80, 6])
        return request[:4] + len(pdu).to_bytes(2, "big") + pdu

    async def job(device: Device) -> None:
        block = await device.read(["done", "count"])
        assert block.words() == ("BadDeviceBusy", "BadDeviceBusy")
        with pytest.raises(Refused, match="refused to write ack: BadDeviceBusy"):
            await device.write("ack", True)

    _with_bad_server(answers, job, "5s")


def test_closing_wakes_a_request_that_waits() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def job(device: Device) -> None:
        reading = asyncio.create_task(device.read(["done"]))
        client = device._client  # type: ignore[attr-defined]
        await until(lambda: client.ctx.request_transaction_id, "the request")
        await device.close()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(reading, 20)

    _with_bad_server(answers, job, "60s")
