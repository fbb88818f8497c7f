"""Ledger, scanner, registers and the fault proxy, each alone."""

from __future__ import annotations

import asyncio
import json
import os
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from records.clock import FakeClock
from records.errors import ConfigurationError, Damaged, StorageFailed, Unreachable
from simulators import ledger as truth
from simulators.faults.proxy import FaultProxy, Mode
from simulators.ledger import Ledger
from simulators.plc_modbus import LEAK_TESTER, ModbusPlc, registers
from simulators.scanner import Answer, Operator, PtyScanner

DEADLINE_S = 10.0


# -- ledger


def test_a_ledger_line_is_on_disk_when_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), fsync(handle))[1])
    ledger = Ledger(tmp_path / "ledger.jsonl", FakeClock(1_000))
    asyncio.run(ledger.write([{"type": "end"}]))
    assert json.loads((tmp_path / "ledger.jsonl").read_text()) == {"type": "end", "at_us": 1_000}
    assert len(synced) == 1
    ledger.close()


def test_a_ledger_is_never_used_twice(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"type":"end"}\n')
    with pytest.raises(ConfigurationError, match="another run"):
        Ledger(path, FakeClock())


def test_a_disk_that_fails_stops_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(5, "Input/output error")

    ledger = Ledger(tmp_path / "ledger.jsonl", FakeClock())
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageFailed):
        asyncio.run(ledger.write([{"type": "end"}]))
    ledger.close()


def test_reading_leaves_out_a_line_that_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"type":"end"}\n{"type":"e')
    assert list(truth.read(path)) == [{"type": "end"}]
    path.write_text("nonsense\n")
    with pytest.raises(Damaged, match="line 1"):
        list(truth.read(path))


# -- registers


def test_values_become_registers_low_word_first() -> None:
    assert registers("float32", 123.456) == [0xE979, 0x42F6]
    assert registers("uint32", 0x00010002) == [2, 1]
    assert registers("uint16", True) == [1]
    assert registers("string", "C-0001") == [0x432D, 0x3030, 0x3031, 0, 0, 0, 0, 0]


def test_a_port_that_is_taken_is_named() -> None:
    async def run() -> None:
        first = ModbusPlc("leak_tester", LEAK_TESTER)
        await first.start()
        second = ModbusPlc("washer", LEAK_TESTER, port=first.port)
        with pytest.raises(Unreachable, match=f"washer: cannot listen on modbus://127.0.0.1:{first.port}"):
            await second.start()
        await first.stop()

    asyncio.run(run())


# -- scanner


def test_frames_end_with_cr_and_the_answer_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        scanner = PtyScanner("scanner", tmp_path / "tty" / "scanner")
        scanner.open()
        handle = os.open(scanner.link, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(handle)
        for answer, expected in ((b"\x06", "ack"), (b"\x15", "nak")):
            waiting = asyncio.create_task(scanner.scan("]d2\x1dX", DEADLINE_S))
            frame = await asyncio.to_thread(os.read, handle, 64)
            assert frame == b"]d2\x1dX\r"
            os.write(handle, answer)
            assert await waiting == expected
        os.close(handle)
        scanner.close()
        assert not scanner.link.exists()

    asyncio.run(run())


def test_scans_that_nobody_took_are_gone_when_somebody_listens(tmp_path: Path) -> None:
    async def run() -> None:
        scanner = PtyScanner("scanner", tmp_path / "scanner")
        scanner.open()
        assert await scanner.scan("WO-1", 0.01) is None
        assert await scanner.scan("WO-2", 0.01) is None
        handle = os.open(scanner.link, os.O_RDWR | os.O_NOCTTY)
        assert await asyncio.to_thread(os.read, handle, 64) == b"WO-2\r"
        os.close(handle)
        scanner.close()

    asyncio.run(run())


def test_the_operator_reads_again_and_says_so_before_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.scanner.TRIES", 3)
    monkeypatch.setattr("simulators.scanner.BREAK_S", 0.01)
    tries: list[str] = []
    said: list[str] = []

    class Deaf(PtyScanner):
        async def scan(self, text: str, timeout_s: float) -> Answer | None:
            tries.append(text)
            return "ack" if len(tries) == 5 else None

    operator = Operator(Deaf("scanner_op10", tmp_path / "x"), 0.01, said.append)
    assert asyncio.run(operator.read("WO-1")) == "ack"
    assert len(tries) == 5
    assert said == ["scanner_op10: no answer to 3 scans of 'WO-1'; trying on"]


# -- fault proxy


async def with_echo(test: Callable[[FaultProxy], Awaitable[None]]) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            await test(proxy)
    finally:
        await proxy.stop()
        server.close()
        await server.wait_closed()


async def say(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, data: bytes) -> bytes:
    writer.write(data)
    await writer.drain()
    return await reader.readexactly(len(data))


def test_the_proxy_passes_delays_and_holds_back() -> None:
    async def test(proxy: FaultProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await say(writer, reader, b"one") == b"one"
        proxy.set_mode(Mode.DELAY, delay_s=0.01)
        assert await say(writer, reader, b"two") == b"two"
        proxy.set_mode(Mode.BLACK_HOLE)
        answer = asyncio.create_task(say(writer, reader, b"three"))
        done, _ = await asyncio.wait([answer], timeout=0.1)
        assert not done
        proxy.set_mode(Mode.PASS)
        assert await answer == b"three"
        writer.close()

    asyncio.run(with_echo(test))


def test_what_a_proxy_swallows_is_lost_with_its_connection() -> None:
    async def test(proxy: FaultProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await say(writer, reader, b"one") == b"one"
        proxy.set_mode(Mode.SWALLOW)
        answer = asyncio.create_task(say(writer, reader, b"two"))
        done, _ = await asyncio.wait([answer], timeout=0.1)
        assert not done
        proxy.set_mode(Mode.PASS)
        with pytest.raises(ConnectionError):
            await answer
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await say(writer, reader, b"three") == b"three"
        writer.close()

    asyncio.run(with_echo(test))


def test_a_corrupting_proxy_turns_one_bit_over_and_never_the_same() -> None:
    async def test(proxy: FaultProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        proxy.set_mode(Mode.CORRUPT)
        sent = bytes(64)
        answers = [await say(writer, reader, sent) for _ in range(8)]
        assert [sum(byte.bit_count() for byte in answer) for answer in answers] == [1] * 8
        assert len(set(answers)) == 8
        proxy.set_mode(Mode.PASS)
        assert await say(writer, reader, sent) == sent
        writer.close()

    asyncio.run(with_echo(test))


@pytest.mark.parametrize("mode", [Mode.DROP, Mode.RST])
def test_the_proxy_ends_what_is_open_and_what_is_new(mode: Mode) -> None:
    async def ended(reader: asyncio.StreamReader) -> str:
        try:
            return "reset" if await reader.read(1) else "closed"
        except ConnectionResetError:
            return "reset"

    async def test(proxy: FaultProxy) -> None:
        expected = "closed" if mode is Mode.DROP else "reset"
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await say(writer, reader, b"x") == b"x"
        proxy.set_mode(mode)
        assert await ended(reader) == expected
        writer.close()
        late_reader, late_writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await ended(late_reader) == expected
        late_writer.close()
        proxy.set_mode(Mode.PASS)
        again_reader, again_writer = await asyncio.open_connection(proxy.host, proxy.port)
        assert await say(again_writer, again_reader, b"y") == b"y"
        assert proxy.connections == 3
        again_writer.close()

    asyncio.run(with_echo(test))


def test_a_scanner_takes_nobodys_file_away(tmp_path: Path) -> None:
    """Bug: ``--link`` of an ordinary file deleted that file."""
    precious = tmp_path / "central.yaml"
    precious.write_text("site: suzhou\n")

    async def scene() -> None:
        with pytest.raises(Unreachable, match=r"central\.yaml"):
            PtyScanner("scanner", precious).open()

    asyncio.run(scene())
    assert precious.read_text() == "site: suzhou\n"
