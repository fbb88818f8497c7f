"""What only Modbus has: tables, blocks with holes, scaling, answers that come late or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from driver_rigs import Bench, ModbusRig, device_of, until

from drivers.base import Device
from drivers.modbus.frames import Ask
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
        asked = _counted(device)
        tags = ["count", "carrier", "missing", "done"]
        block = await device.read(tags)
        assert block.listed() == (7, "C-017", None, False)
        assert block.words()[2] == "BadIllegalAddress"
        assert asked == [(0, 22), (0, 4), (10, 12), (10, 8), (20, 2)]
        asked.clear()
        # without the value that is not there, what lies before it is one request again
        assert (await device.read(tags)).listed() == block.listed()
        assert asked == [(0, 18)]

    bench.run(job)


def _counted(device: Device) -> list[tuple[int, int]]:
    """The start and count of every read that the device sends from now on."""
    asked: list[tuple[int, int]] = []
    ask = device._bus.ask  # type: ignore[attr-defined]

    async def counting(member: object, wanted: Ask, *, urgent: bool = False) -> bytes:
        asked.append((int.from_bytes(wanted.pdu[1:3], "big"), int.from_bytes(wanted.pdu[3:5], "big")))
        return await ask(member, wanted, urgent=urgent)  # type: ignore[no-any-return]

    device._bus.ask = counting  # type: ignore[attr-defined]
    return asked


def test_a_value_that_does_not_stay_is_told(bench: Bench) -> None:
    async def job(rig: ModbusRig, device: Device) -> None:
        with pytest.raises(Refused, match=r"plc \(127.0.0.1:\d+ unit 1\) took True for ack, but holds False"):
            await _write_against(rig, device)

    async def _write_against(rig: ModbusRig, device: Device) -> None:
        ask = device._bus.ask  # type: ignore[attr-defined]

        async def then_undo(member: object, wanted: Ask, *, urgent: bool = False) -> bytes:
            answer = await ask(member, wanted, urgent=urgent)
            await rig.set("ack", False)
            return answer  # type: ignore[no-any-return]

        device._bus.ask = then_undo  # type: ignore[attr-defined]
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
        if n < 3:
            return _answer(request, 0, 0) if n == 1 else b""
        # before each later answer the one that the second is still owed
        return _answer(held[1], 1) + _answer(request, 0)

    async def job(device: Device) -> None:
        assert (await device.read(["done"])).listed() == (False,)
        assert len(held) == 3  # the question at the beginning, one without an answer, the same once more
        assert (await device.read(["done"])).listed() == (False,)

    _with_bad_server(answers, job)


def test_an_answer_that_is_too_late_for_every_try_loses_the_device() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        return _answer(request, 0, 0) if n == 1 else b""

    async def job(device: Device) -> None:
        with pytest.raises(Unreachable, match=r"no answer \(time-out 0.05 s\)"):
            await device.read(["done"])
        with pytest.raises(Unreachable, match="not connected"):
            await device.read(["done"])

    _with_bad_server(answers, job, "50ms")


def test_an_answer_of_another_length_is_no_answer() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        return _answer(request, 0, 0) if n == 1 else _answer(request, 1, 2, 3)

    async def job(device: Device) -> None:
        with pytest.raises(Unreachable, match="another length"):
            await device.read(["done"])

    _with_bad_server(answers, job)


def test_garbage_and_hang_ups_are_unreachable() -> None:
    async def answers(n: int, request: bytes) -> bytes:
        if n % 2:
            return _answer(request, *(0 for _ in range(request[-1])))
        if n == 2:
            return b"\xff" * 40
        raise ConnectionError

    async def job(device: Device) -> None:
        for words in ("is not Modbus TCP", "the connection was lost"):
            with pytest.raises(Unreachable, match=words):
                await device.read(["done"])
            await device.connect()

    _with_bad_server(answers, job)


def test_exceptions_are_bad_readings_and_refused_writes() -> None:
    asked: list[int] = []

    async def answers(n: int, request: bytes) -> bytes:
        asked.append(request[7])
        pdu = bytes([request[6], request[7] | 0x80, 6 if n > 1 else 4])
        return request[:4] + len(pdu).to_bytes(2, "big") + pdu

    async def job(device: Device) -> None:
        block = await device.read(["done", "count"])
        assert block.words() == ("BadDeviceBusy", "BadDeviceBusy")
        assert asked == [3] * 6  # once at the beginning, five times busy
        with pytest.raises(Refused, match="refused to write ack: BadDeviceBusy"):
            await device.write("ack", True)
        assert asked[6:] == [6] * 5

    _with_bad_server(answers, job, "5s")


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateway_that_cannot_reach_the_unit_is_no_answer(code: int) -> None:
    async def answers(n: int, request: bytes) -> bytes:
        pdu = bytes([request[6], request[7] | 0x80, code])
        return request[:4] + len(pdu).to_bytes(2, "big") + pdu

    async def job() -> None:
        rig = ModbusRig()
        server = await _bad_server(rig.port, answers)
        device = device_of(rig)
        with pytest.raises(Unreachable, match=rf"the gateway cannot reach the unit \(exception {code}\)"):
            await device.connect()
        server.close()

    asyncio.run(job())


def test_closing_wakes_a_request_that_waits() -> None:
    asked: list[bytes] = []

    async def answers(n: int, request: bytes) -> bytes:
        asked.append(request)
        return _answer(request, 0, 0) if n == 1 else b""

    async def job(device: Device) -> None:
        reading = asyncio.create_task(device.read(["done"]))
        await until(lambda: len(asked) == 2, "the request")
        await device.close()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(reading, 20)

    _with_bad_server(answers, job, "60s")
