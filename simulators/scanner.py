"""A barcode scanner on a pseudo-terminal, and the operator who holds it.

Frame: the content and CR. The host answers ACK once the scan is committed, NAK when it refuses. Without an
answer the operator reads the label again; bytes that nobody took are dropped first, as a serial line with no
listener drops them. POSIX only: Windows has no pseudo-terminals that a serial port library can open.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from records.errors import ConfigurationError, Unreachable

ACK, NAK, CR = b"\x06", b"\x15", b"\r"
TRIES = 30
"""How often a label is read before the operator takes a break."""

BREAK_S = 5.0
Answer = Literal["ack", "nak"]


class PtyScanner:
    """The scanner's end of the line; the host opens ``link``, a stable path to the other end."""

    def __init__(self, name: str, link: Path) -> None:
        self.name = name
        self.link = link
        self._master = -1
        self._slave = -1
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()

    def open(self) -> None:
        """Make the pseudo-terminal and the link (one left by an earlier run is replaced).

        Raises:
            ConfigurationError: this system has no pseudo-terminals. Unreachable: the link cannot be made.
        """
        if sys.platform == "win32":
            raise ConfigurationError(
                "the scanner simulator needs pseudo-terminals, which Windows has not",
                hint="run the simulators on Linux, or connect a real scanner",
            )
        import pty
        import tty

        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        try:
            self.link.parent.mkdir(parents=True, exist_ok=True)
            if self.link.is_symlink():  # left behind by a simulator that was killed; anything else is somebody's
                self.link.unlink()
            self.link.symlink_to(os.ttyname(self._slave))
        except OSError as error:
            self.close()
            raise Unreachable(f"{self.name}: cannot make {self.link}: {error.strerror}") from error
        asyncio.get_running_loop().add_reader(self._master, self._on_bytes)

    def close(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        if self.link.is_symlink():
            self.link.unlink()

    def send(self, content: bytes) -> None:
        """Put bytes on the line as they are; those before them that the host never took are gone."""
        if sys.platform != "win32":
            import termios

            termios.tcflush(self._slave, termios.TCIFLUSH)
        while not self._answers.empty():
            self._answers.get_nowait()
        os.write(self._master, content)

    async def scan(self, text: str, timeout_s: float) -> Answer | None:
        """Read one label; the host's answer, or None when none came in time."""
        self.send(text.encode("ascii") + CR)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answers.get()
        except TimeoutError:
            return None

    def _on_bytes(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        for byte in data:
            if byte == ACK[0]:
                self._answers.put_nowait("ack")
            elif byte == NAK[0]:
                self._answers.put_nowait("nak")


class Operator:
    """Reads labels until the host has said what it should.

    Args:
        scanner: what is in the hand.
        timeout_s: how long an answer is waited for.
        say: tells the person at the screen when something takes long.
    """

    def __init__(self, scanner: PtyScanner, timeout_s: float, say: Callable[[str], None]) -> None:
        self._scanner = scanner
        self._timeout_s = timeout_s
        self._say = say

    async def read(self, text: str) -> Answer:
        """Read the label until an answer comes, with a break after every so many tries, for ever."""
        while True:
            for attempt in range(TRIES):
                answer = await self._scanner.scan(text, self._timeout_s)
                if answer is not None:
                    if attempt:
                        # an answer to an earlier try may still come; it must not pass for the next label's
                        await asyncio.sleep(self._timeout_s / 4)
                    return answer
            self._say(f"{self._scanner.name}: no answer to {TRIES} scans of {text!r}; trying on")
            await asyncio.sleep(BREAK_S)
