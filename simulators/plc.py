"""What every simulated PLC has in common: a retained memory, and the four-phase handshake.

The memory outlives the protocol server: after a restart the same counts, values and an unanswered Done are there
again. The tags are the line's own names (``Cycle.Done``, ``Process.Torque``); how they travel is the twin's own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from simulators.plant import Value

RUNNING, DONE, COUNT, ACK = "Cycle.Running", "Cycle.Done", "Cycle.Count", "Cycle.Ack"
RESULT, PERMIT, MODE = "Cycle.Result", "Station.Permit", "Station.Mode"
CARRIER, ORDER, TOTAL = "Carrier.Id", "Order.Id", "Parts.Total"

COMMON: dict[str, Value] = {
    RUNNING: False,
    DONE: False,
    COUNT: 0,
    ACK: False,
    RESULT: 0,
    PERMIT: False,
    MODE: 1,
    CARRIER: "",
    TOTAL: 0,
}
INPUTS = frozenset({ACK, PERMIT})
"""What a client may write; everything else is the machine's own."""


class Plc(ABC):
    """One PLC: ``show`` is how the machine writes its memory, ``wait_for`` how it waits for the host.

    Args:
        name: the device's name in the line's tag map.
        initial: its tags beyond the common ones, with their values before the first cycle.
        host: address to listen on.
        port: TCP port; 0 is replaced by a free one at the first start.
    """

    def __init__(self, name: str, initial: Mapping[str, Value], host: str, port: int) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.memory: dict[str, Value] = {**COMMON, **initial}
        self._waiting: list[asyncio.Future[None]] = []

    @property
    @abstractmethod
    def url(self) -> str:
        """The endpoint as a client names it."""

    @abstractmethod
    async def start(self) -> None:
        """Listen, and offer what the memory holds.

        Raises:
            Unreachable: the port cannot be taken.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop listening and drop every client; the memory stays."""

    @abstractmethod
    async def _publish(self, tags: Iterable[str]) -> None:
        """Offer these tags of the memory on the protocol, in this order."""

    async def show(self, values: Mapping[str, Value]) -> None:
        """Write the machine's own tags, offered in this order."""
        self.memory.update(values)
        await self._publish(values)

    async def wait_for(self, tag: str, wanted: bool) -> None:
        """Return once the host has written this input so."""
        while bool(self.memory[tag]) is not wanted:
            await self._next_write()

    async def seen(self, tag: str) -> None:  # noqa: B027  a protocol without polls has nothing to wait for
        """Return once a client has been given the tag's present value, where the protocol can tell."""

    async def restart(self, down_s: float) -> None:
        """Stop, stay away for a while, and come back with the same memory."""
        await self.stop()
        await asyncio.sleep(down_s)
        await self.start()

    def written(self, tag: str, value: Value) -> None:
        """Take over what a client wrote."""
        self.memory[tag] = bool(value)
        self._wake()

    # -- inside --------------------------------------------------------------------------------------------

    async def _next_write(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
