"""A TCP proxy that behaves badly on purpose: between an agent and a PLC or broker, for tests.

pass        bytes go through
delay       each chunk waits ``delay_s`` first
trickle     bytes arrive one by one, each as a packet of its own
black-hole  as a pulled cable: connections stay open and silent, bytes wait; they arrive when the mode changes
swallow     what comes is taken and goes nowhere, as by a gateway that dies; then its connections are reset
drop        connections are closed (FIN), new ones too
rst         connections are reset, new ones too
corrupt     towards the target one bit of each chunk is turned over
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from enum import StrEnum

from records.errors import Unreachable

CHUNK = 65_536
SCATTER = 7_919
"""Which byte of a chunk is changed next: a prime, so that none is spared."""

Meddle = Callable[[bytes], bytes]
"""Takes what came and gives what goes on; it may keep bytes back for later."""


class Mode(StrEnum):
    PASS = "pass"  # noqa: S105  a mode of the proxy
    DELAY = "delay"
    TRICKLE = "trickle"
    BLACK_HOLE = "black-hole"
    SWALLOW = "swallow"
    DROP = "drop"
    RST = "rst"
    CORRUPT = "corrupt"


class FaultProxy:
    """Listens on a port of its own and forwards to the target as the mode says.

    Args:
        target_host: where connections go.
        target_port: the port there.
        host: address to listen on.
        port: port to listen on; 0 takes a free one, then to be read from ``port``.
        meddler: makes, for each connection, what changes the bytes on their way to the target.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        meddler: Callable[[], Meddle] | None = None,
    ) -> None:
        self.target = (target_host, target_port)
        self.host = host
        self.port = port
        self.mode = Mode.PASS
        self.delay_s = 0.0
        self._meddler = meddler
        self.connections = 0
        self._turned = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        """Listen.

        Raises:
            Unreachable: the port cannot be taken.
        """
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
        except OSError as error:
            raise Unreachable(f"cannot listen on {self.host}:{self.port}: {error.strerror}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._end_all(reset=False)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set_mode(self, mode: Mode, *, delay_s: float = 0.0) -> None:
        """From now on; drop and rst end what is open, as does the end of swallow: bytes are missing there."""
        if self.mode is Mode.SWALLOW and mode is not Mode.SWALLOW:
            self._end_all(reset=True)
        self.mode, self.delay_s = mode, delay_s
        if mode is Mode.BLACK_HOLE:
            self._flowing.clear()
        else:
            self._flowing.set()
        if mode in (Mode.DROP, Mode.RST):
            self._end_all(reset=mode is Mode.RST)

    # -- inside --------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            await self._forward(reader, writer)
        finally:
            self._end(writer, reset=self._resets())

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode in (Mode.DROP, Mode.RST):
            return
        await self._flowing.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            return
        self._open.add(far_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, self._towards())),
            asyncio.create_task(self._pump(far_reader, writer, bytes)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._end(far_writer, reset=self._resets())

    def _resets(self) -> bool:
        return self.mode is Mode.RST

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meddle: Meddle) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._flowing.wait()
                data = await reader.read(CHUNK)
                if self.mode is Mode.DELAY:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if not data:
                    return
                if self.mode is Mode.SWALLOW:
                    continue
                for piece in self._pieces(meddle(data)):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # what goes out in one turn of the loop may be one packet

    def _towards(self) -> Meddle:
        """What happens to the bytes of one connection on their way to the target."""
        meddle = self._meddler() if self._meddler else bytes
        return lambda data: self._corrupted(meddle(data)) if self.mode is Mode.CORRUPT else meddle(data)

    def _corrupted(self, data: bytes) -> bytes:
        if not data:
            return data
        self._turned += 1
        at = self._turned * SCATTER % len(data)
        return data[:at] + bytes((data[at] ^ 1 << self._turned % 8,)) + data[at + 1 :]

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = 1 if self.mode is Mode.TRICKLE else CHUNK
        return (data[at : at + size] for at in range(0, len(data), size))

    def _end_all(self, *, reset: bool) -> None:
        for writer in tuple(self._open):
            self._end(writer, reset=reset)

    def _end(self, writer: asyncio.StreamWriter, *, reset: bool) -> None:
        self._open.discard(writer)
        if writer.transport.is_closing():
            return
        if reset:
            found = writer.get_extra_info("socket")
            if found is not None:
                with contextlib.suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()
