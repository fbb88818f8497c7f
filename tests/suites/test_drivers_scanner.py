"""Scanners on a pseudo terminal: scans, answers, unplugging, and a supervisor that opens again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from driver_rigs import until

from drivers import udi
from drivers.base import ScanFrame
from drivers.factory import build_scanner
from drivers.supervise import DeviceEvent, ScannerSupervisor
from drivers.tags import SerialScannerDevice
from records.clock import SystemClock
from records.errors import Unreachable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")


class Pty:
    """The scanner's end of a pseudo terminal; ``path`` is a link, as udev gives a plugged device one name."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ttySCAN"
        self.master = -1

    def plug(self) -> None:
        import tty

        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self._slave)
        os.close(self.master)

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def received(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.master, 100)
        return b""


@pytest.fixture
def pty(tmp_path: Path) -> Pty:
    return Pty(tmp_path)


def settings(pty: Pty, **more: object) -> SerialScannerDevice:
    return SerialScannerDevice.model_validate({"driver": "serial_scanner", "port": str(pty.path), **more})


def test_scans_arrive_with_raw_bytes_and_are_answered(pty: Pty) -> None:
    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty, acknowledge=True), SystemClock())
        await scanner.open()
        pty.send(b"WO-10")
        pty.send(b"00\r]d20104012345000016\x1d10A\r")
        frames = scanner.frames()
        first, second = await anext(frames), await anext(frames)
        assert (first.text, first.raw, first.error) == ("WO-1000", b"WO-1000", None)
        assert second.raw == b"]d20104012345000016\x1d10A"
        answers = b""
        for accepted in (True, False):
            await scanner.answer(accepted)

        def both() -> bool:
            nonlocal answers
            answers += pty.received()
            return len(answers) == 2

        await until(both, "both answers")
        assert answers == b"\x06\x15"
        await scanner.close()
        await scanner.close()
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        with pytest.raises(Unreachable, match="not open"):
            await scanner.answer(True)
        pty.unplug()

    asyncio.run(job())


def test_a_scanner_that_waits_for_nothing_gets_nothing(pty: Pty) -> None:
    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty), SystemClock())
        await scanner.open()
        await scanner.answer(True)
        assert pty.received() == b""
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_an_unfinished_scan_is_told_and_the_next_one_is_whole(pty: Pty) -> None:
    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty, idle="100ms"), SystemClock())
        await scanner.open()
        frames = scanner.frames()
        pty.send(b"WO-1")
        cut = await asyncio.wait_for(anext(frames), 20)
        assert (cut.error, cut.text, cut.raw) == ("incomplete", "", b"WO-1")
        pty.send(b"WO-1000\r")
        assert (await asyncio.wait_for(anext(frames), 20)).text == "WO-1000"
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_a_port_that_is_not_there_or_taken_is_unreachable(pty: Pty) -> None:
    async def job() -> None:
        scanner = build_scanner("hand", settings(pty), SystemClock())
        with pytest.raises(Unreachable, match=rf"hand \({pty.path}\): no such port"):
            await scanner.open()
        pty.plug()
        await scanner.open()
        second = build_scanner("other", settings(pty), SystemClock())
        with pytest.raises(Unreachable, match=r"other .* another program holds it"):
            await second.open()
        await scanner.close()
        await second.open()
        await second.close()
        pty.unplug()

    asyncio.run(job())


def test_a_flood_waits_and_nothing_is_lost(pty: Pty) -> None:
    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty), SystemClock())
        await scanner.open()
        for n in range(300):
            pty.send(b"%d\r" % n)
        frames = scanner.frames()
        assert [(await asyncio.wait_for(anext(frames), 20)).text for _ in range(300)] == [
            str(n) for n in range(300)
        ]
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_an_unplugged_scanner_comes_back(pty: Pty) -> None:
    async def job() -> None:
        events: list[DeviceEvent] = []
        seen: list[ScanFrame] = []
        scanner = build_scanner("hand", settings(pty, acknowledge=True), SystemClock())
        supervisor = ScannerSupervisor(scanner, SystemClock(), events.append, longest_pause_s=0.3)

        async def take() -> None:
            async for frame in supervisor.frames():
                seen.append(frame)

        taking = asyncio.create_task(take())
        await until(lambda: events, "the first failure")
        assert (events[0].state, events[0].address) == ("lost", str(pty.path))
        for n in (1, 2):
            pty.plug()
            await until(lambda: supervisor.connected, "the connection")
            pty.send(b"WO-%d\r" % n)
            await until(lambda: len(seen) == n, "the scan")  # noqa: B023
            pty.unplug()
            await until(lambda: not supervisor.connected, "the loss")
            with pytest.raises(Unreachable, match="stays unanswered"):
                await supervisor.answer(True)
        assert [frame.text for frame in seen] == ["WO-1", "WO-2"]
        assert [event.state for event in events] == ["lost", "connected", "lost", "connected", "lost"]
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(job())


GTIN = "04012345000016"


def label(serial: str) -> bytes:
    return f"]d201{GTIN}10LOT-7\x1d21{serial}".encode()


def test_a_scan_under_way_while_the_port_is_opened_is_none(pty: Pty) -> None:
    """Its beginning went to nobody; what follows would look like a whole, shorter code."""

    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty), SystemClock())
        opening = asyncio.create_task(scanner.open())
        for byte in b"S0001\rS0002\r":
            pty.send(bytes([byte]))
            await asyncio.sleep(0.005)
        await opening
        pty.send(b"S0003\r")
        assert (await asyncio.wait_for(anext(scanner.frames()), 20)).text == "S0003"
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_a_line_that_never_rests_is_told(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivers import scanner as module

    monkeypatch.setattr(module, "_SETTLE_LIMIT_S", 0.2)

    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty), SystemClock())
        opening = asyncio.create_task(scanner.open())
        async with asyncio.timeout(60):
            while not opening.done():
                pty.send(b"\xff")
                await asyncio.sleep(0.01)
        with pytest.raises(Unreachable, match=r"sends without a pause .*wrong baud rate"):
            await opening
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_several_scanners_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def job() -> None:
        ends = [Pty(tmp_path / name) for name in "abc"]
        scanners = []
        for end in ends:
            end.path.parent.mkdir()
            end.plug()
            scanners.append(build_scanner(end.path.parent.name, settings(end), SystemClock()))
        await asyncio.gather(*(scanner.open() for scanner in scanners))
        for n in range(20):
            for end in ends:
                end.send(b"%s-%d\r" % (end.path.parent.name.encode(), n))
        for scanner in scanners:
            frames = scanner.frames()
            found = [(await asyncio.wait_for(anext(frames), 20)).text for _ in range(20)]
            assert found == [f"{scanner.name}-{n}" for n in range(20)]
            await scanner.close()
        for end in ends:
            end.unplug()

    asyncio.run(job())


async def disturb(pty: Pty, supervisor: ScannerSupervisor, serial: str, chance: np.random.Generator) -> None:
    """Send one label, whole or as a bad cable, a bad plug or a bad setting would."""
    await until(lambda: supervisor.connected, "the connection")
    frame = label(serial) + b"\r"
    at = int(chance.integers(len(frame)))
    match chance.choice(["whole", "whole", "cut", "glued", "noise", "unplug"]):
        case "whole":
            pty.send(frame)
        case "cut":
            pty.send(frame[:at])
        case "glued":
            pty.send(frame[:-1])
        case "noise":
            pty.send(frame[:at] + bytes([int(chance.choice([0, 7, 0x7F, 0xFF]))]) + frame[at:])
        case "unplug":
            pty.send(frame[:at])
            pty.unplug()
            await until(lambda: not supervisor.connected, "the loss")
            pty.plug()
    await asyncio.sleep(float(chance.choice([0, 0.01, 0.15])))


@pytest.mark.parametrize("seed", range(2))
def test_no_disturbance_on_the_line_gives_a_wrong_serial(pty: Pty, seed: int) -> None:
    """Fault F17: noise, half frames, glued scans and a plug that comes out, on a real port."""
    chance = np.random.default_rng(seed)
    sent = [f"SN{seed}{n:03d}" for n in range(25)]
    believed: list[str] = []

    async def job() -> None:
        pty.plug()
        model = settings(pty, idle="100ms", symbology_identifiers=True)
        scanner = build_scanner("hand", model, SystemClock())
        supervisor = ScannerSupervisor(scanner, SystemClock(), lambda _: None, longest_pause_s=0.1)

        async def take() -> None:
            async for frame in supervisor.frames():
                code = udi.parse(frame.text)
                if frame.error is None and code.valid and (serial := code.said("21")):
                    believed.append(serial)

        taking = asyncio.create_task(take())
        for serial in sent:
            await disturb(pty, supervisor, serial, chance)
        await until(lambda: supervisor.connected, "the connection")
        async with asyncio.timeout(60):
            while "LAST" not in believed:  # scanned until it counts, each time after a pause
                await asyncio.sleep(0.2)
                pty.send(label("LAST") + b"\r")
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        pty.unplug()

    asyncio.run(job())
    assert set(believed) <= {*sent, "LAST"}
    assert set(sent) & set(believed)


@pytest.mark.parametrize(("parity", "told"), [("none", False), ("even", True)])
def test_a_byte_of_wrong_parity_is_read_as_noise(pty: Pty, parity: str, told: bool) -> None:
    """A pseudo-terminal has no parity; what the system is asked to do is seen."""
    import termios

    async def job() -> None:
        pty.plug()
        scanner = build_scanner("hand", settings(pty, parity=parity), SystemClock())
        await scanner.open()
        flags = termios.tcgetattr(pty.master)[0]
        assert bool(flags & termios.INPCK) is told
        assert not flags & (termios.IGNPAR | termios.PARMRK)
        await scanner.close()
        pty.unplug()

    asyncio.run(job())


def test_a_scanner_that_no_thread_may_be_started_for_is_away_until_one_may(
    pty: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the error of the thread ended the whole agent."""
    start, refused = threading.Thread.start, 0

    def refuse(thread: threading.Thread) -> None:
        nonlocal refused
        if thread.name == "scanner hand" and refused < 2:
            refused += 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    async def job() -> None:
        pty.plug()
        events: list[DeviceEvent] = []
        scanner = ScannerSupervisor(
            build_scanner("hand", settings(pty), SystemClock()), SystemClock(), events.append, longest_pause_s=0.05
        )
        frames = scanner.frames()
        first = asyncio.ensure_future(anext(frames))
        await until(lambda: scanner.connected, "the scanner")
        pty.send(b"WO-1\r")
        assert (await first).text == "WO-1"
        await frames.aclose()
        assert [event.state for event in events] == ["lost", "connected"]
        assert "this process may start no more threads" in str(events[0].error)
        pty.unplug()

    asyncio.run(job())
