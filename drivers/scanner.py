"""Serial barcode scanners over pyserial: frames by terminator, raw bytes kept, ACK or NAK back.

A thread reads the port, since pyserial blocks. A frame ends with suffix and terminator; what grows over the
maximum length or stays without its end for the idle time is handed over as a frame with an error and no text,
never as a shortened scan. When the consumer is slow the thread stops reading and the operating system holds the
bytes. A scan that was sent while the port was closed is not taken: the operator saw no answer to it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator

import serial

from drivers.base import ScanFrame
from drivers.tags import SerialScannerDevice
from records.clock import Clock
from records.errors import Unreachable

ACK, NAK = b"\x06", b"\x15"
_ENDS = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n"}
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_WAITING_LIMIT = 64
_TICK_S = 0.05


class Framer:
    """Bytes to frames; pure but for the clock that stamps them."""

    def __init__(self, settings: SerialScannerDevice, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._prefix = settings.prefix.encode(settings.encoding)
        self._end = settings.suffix.encode(settings.encoding) + _ENDS[settings.terminator]
        self._limit = len(self._prefix) + settings.max_length + len(self._end)
        self._buffer = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[ScanFrame]:
        """The frames that these bytes complete."""
        frames = []
        self._buffer += data
        while (at := self._buffer.find(self._end)) >= 0:
            raw, self._buffer = self._buffer[:at], self._buffer[at + len(self._end) :]
            if self._skipping:
                self._skipping = False
                continue
            # a scanner set to CR LF leaves the other half of its terminator where one was expected
            raw = raw.strip(b"\r\n") if len(self._end) == 1 else raw
            if raw:
                frames.append(self._frame(raw))
        if len(self._buffer) >= self._limit:
            if not self._skipping:
                frames.append(self._wrong(self._buffer[: self._limit], "too_long"))
            self._skipping = True
            self._buffer = self._buffer[-len(self._end) :]
        return frames

    def idle(self) -> list[ScanFrame]:
        """Told that nothing came for the idle time: an unfinished frame never will be finished."""
        raw, self._buffer = self._buffer.lstrip(b"\r\n"), b""
        skipped, self._skipping = self._skipping, False
        return [self._wrong(raw, "incomplete")] if raw and not skipped else []

    def _frame(self, raw: bytes) -> ScanFrame:
        if not raw.startswith(self._prefix):
            return self._wrong(raw, "prefix")
        content = raw[len(self._prefix) :]
        if len(content) > self._settings.max_length:
            return self._wrong(raw, "too_long")
        try:
            text = content.decode(self._settings.encoding)
        except UnicodeDecodeError:
            return self._wrong(raw, "encoding")
        return ScanFrame(raw, text, self._clock.now_us())

    def _wrong(self, raw: bytes, error: str) -> ScanFrame:
        return ScanFrame(raw, "", self._clock.now_us(), error)


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
        self._thread = threading.Thread(
            target=self._read,
            args=(port, loop, self._frames, self._stop),
            name=f"scanner {self.name}",
            daemon=True,
        )
        self._thread.start()

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
            raise Unreachable(f"{self._where}: not open, the scan stays unanswered")
        try:
            await asyncio.to_thread(port.write, ACK if accepted else NAK)
        except (OSError, serial.SerialException) as error:
            raise Unreachable(f"{self._where}: {_reason(error)}, the scan stays unanswered") from None

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

    def _open_port(self) -> serial.Serial:
        settings = self.settings
        try:
            return serial.Serial(
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
            hint = "is it plugged in, may this user read it, does another program hold it?"
            raise Unreachable(f"{self._where}: {_reason(error)}", hint=hint) from None

    def _read(
        self,
        port: serial.Serial,
        loop: asyncio.AbstractEventLoop,
        frames: asyncio.Queue[ScanFrame | Unreachable | None],
        stop: threading.Event,
    ) -> None:
        """The thread: until told to stop or the port is gone."""
        framer = Framer(self.settings, self._clock)
        last_s = self._clock.monotonic_s()
        try:
            while not stop.is_set():
                data = port.read(max(1, port.in_waiting))
                now_s = self._clock.monotonic_s()
                found = framer.feed(data) if data else []
                if data:
                    last_s = now_s
                elif now_s - last_s >= self.settings.idle:
                    found = framer.idle()
                for frame in found:
                    _hand_over(frame, loop, frames, stop)
        except (OSError, serial.SerialException) as error:
            lost = Unreachable(f"{self._where}: {_reason(error)}", hint="was it unplugged?")
            _hand_over(lost, loop, frames, stop)


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


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    known = {
        2: "no such port",
        13: "no right to open it",
        16: "another program holds it",
        11: "another program holds it",
    }
    if number in known:
        return known[number]
    text = str(error)
    return "the port is gone" if "returned no data" in text or number == 5 else text
