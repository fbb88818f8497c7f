"""Serial barcode scanners over pyserial: frames by terminator, raw bytes kept, ACK or NAK back.

A thread reads the port, since pyserial blocks. When the consumer is slow the thread stops reading and the
operating system holds the bytes. A scan that was sent while the port was closed is not taken: the operator saw no
answer to it; one under way while it was opened is thrown away up to the first pause, for its beginning is missing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import AsyncIterator

import serial

from drivers.base import ScanFrame
from drivers.framer import Framer
from drivers.system_trouble import of_port
from drivers.tags import SerialScannerDevice
from records.clock import Clock
from records.errors import Unreachable
from records.process import lacks, look_for_room_for_a_thread
from records.trouble import Trouble

ACK, NAK = b"\x06", b"\x15"
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_WAITING_LIMIT = 64
_TICK_S = 0.05
_SETTLE_LIMIT_S = 2.0


class SerialScanner:
    """A ``Scanner`` on a serial port."""

    def __init__(self, name: str, settings: SerialScannerDevice, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self._clock = clock
        self._port: serial.Serial | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._frames: asyncio.Queue[ScanFrame | Unreachable | None] = asyncio.Queue(_WAITING_LIMIT)

    async def open(self) -> None:
        await self.close()
        self._stop = threading.Event()
        self._frames = asyncio.Queue(_WAITING_LIMIT)
        port = await asyncio.to_thread(self._open_port)
        self._port = port
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=self._read,
            args=(port, loop, self._frames, self._stop),
            name=f"scanner {self.name}",
            daemon=True,
        )
        try:
            look_for_room_for_a_thread()
            thread.start()
        except (OSError, RuntimeError) as error:
            await self.close()
            raise Unreachable(f"{self._where}: not read: {lacks(error) or error}") from error
        self._thread = thread

    async def frames(self) -> AsyncIterator[ScanFrame]:
        frames = self._frames
        while True:
            found = await frames.get()
            if found is None:
                return
            if isinstance(found, Unreachable):
                await self.close()
                raise found
            yield found

    async def answer(self, accepted: bool) -> None:
        if not self.settings.acknowledge:
            return
        port = self._port
        if port is None:
            raise self._away(Trouble.of("scan-unanswered", why=Trouble.of("not-open")))
        try:
            await asyncio.to_thread(port.write, ACK if accepted else NAK)
        except (OSError, serial.SerialException) as error:
            raise self._away(Trouble.of("scan-unanswered", why=of_port(error))) from None

    async def close(self) -> None:
        port, self._port = self._port, None
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            await asyncio.to_thread(thread.join)
        if port is not None:
            await asyncio.to_thread(port.close)
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)

    # -- inside ----------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.settings.address_text})"

    def _away(self, why: Trouble, hint: str | None = None) -> Unreachable:
        away = Trouble.of("away", where=self._where, why=why)
        return Unreachable.of(away.hinted(None if hint is None else Trouble.of(hint)))

    def _open_port(self) -> serial.Serial:
        settings = self.settings
        try:
            port = serial.Serial(
                settings.port,
                settings.baudrate,
                bytesize=settings.bytesize,
                parity=_PARITIES[settings.parity],
                stopbits=settings.stopbits,
                timeout=min(_TICK_S, settings.idle),
                write_timeout=1.0,
                exclusive=True,
            )
        except (OSError, ValueError, serial.SerialException) as error:
            raise self._away(of_port(error), "check-scanner") from None
        try:
            _tell_line_errors(port, settings.parity)
            self._settle(port)
        except (OSError, serial.SerialException) as error:
            port.close()
            raise self._away(of_port(error), "unplugged") from None
        except Unreachable:
            port.close()
            raise
        return port

    def _settle(self, port: serial.Serial) -> None:
        """Throw away what comes until the line is silent: its beginning was sent before the port was open."""
        until_s = self._clock.monotonic_s() + _SETTLE_LIMIT_S
        while port.read(max(1, port.in_waiting)):
            if self._clock.monotonic_s() > until_s:
                raise self._away(Trouble.of("no-pause"), "noise")

    def _read(
        self,
        port: serial.Serial,
        loop: asyncio.AbstractEventLoop,
        frames: asyncio.Queue[ScanFrame | Unreachable | None],
        stop: threading.Event,
    ) -> None:
        """The thread: until told to stop or the port is gone."""
        framer = Framer(self.settings, self._clock)
        try:
            while not stop.is_set():
                data = port.read(max(1, port.in_waiting))
                for frame in framer.feed(data, self._clock.monotonic_s()):
                    _hand_over(frame, loop, frames, stop)
        except (OSError, serial.SerialException) as error:
            _hand_over(self._away(of_port(error), "unplugged"), loop, frames, stop)


def _hand_over(
    found: ScanFrame | Unreachable,
    loop: asyncio.AbstractEventLoop,
    frames: asyncio.Queue[ScanFrame | Unreachable | None],
    stop: threading.Event,
) -> None:
    """Wait until the consumer has room; give up when the port is being closed."""
    put = frames.put(found)
    try:
        waiting = asyncio.run_coroutine_threadsafe(put, loop)
    except RuntimeError:  # the loop is closed: nobody wants it any more
        put.close()
        return
    while not stop.is_set():
        try:
            waiting.result(_TICK_S)
            return
        except concurrent.futures.TimeoutError:
            continue
    waiting.cancel()


def _tell_line_errors(port: serial.Serial, parity: str) -> None:
    """Have the system read a byte of wrong parity as NUL, which no scan holds; pyserial lets it pass."""
    if sys.platform == "win32" or parity == "none":
        return
    import termios

    attributes = termios.tcgetattr(port.fd)
    attributes[0] = (attributes[0] | termios.INPCK) & ~(termios.IGNPAR | termios.PARMRK)
    termios.tcsetattr(port.fd, termios.TCSANOW, attributes)
