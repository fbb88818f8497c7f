"""A Modbus device that is not ours and not Python: ``libmodbus/server.c`` over Debian's libmodbus."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.rigs.programs import LineServer, made_once

SOURCE = Path(__file__).parent / "libmodbus" / "server.c"
HEADER = Path("/usr/include/modbus/modbus.h")
Table = Literal["coil", "discrete", "input", "holding"]


def why_not() -> str | None:
    """Why the server cannot be built here, or None."""
    missing = [] if shutil.which("gcc") else ["gcc"]
    if not HEADER.exists():
        missing.append("libmodbus-dev")
    return f"{' and '.join(missing)} not installed; make setup as root installs it" if missing else None


def prepare() -> Path:
    """The program, built when its source changed."""
    return made_once("libmodbus-server", [SOURCE], _build) / "server"


def _build(folder: Path) -> None:
    words = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(folder / "server"), str(SOURCE), "-lmodbus"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server saw it."""

    function: int
    unit: int
    address: int
    count: int


class LibmodbusServer:
    """One device (all unit ids that were set) on TCP, on TCP with RTU frames, or on a pseudo-terminal.

    A pty is reached over ``path``, a link that leads to the new line after ``unplug`` and ``plug``.
    """

    def __init__(self, kind: Literal["tcp", "rtu-tcp", "pty"], *, port: int = 0, path: Path | None = None) -> None:
        program = prepare()
        words = [str(program), kind] if kind == "pty" else [str(program), kind, str(port)]
        self._lines = LineServer(words)
        self.path = path
        self.port = 0 if kind == "pty" else int(self._lines.first)
        self.pid = self._lines.process.pid
        if kind == "pty":
            self._link(self._lines.first)

    def stop(self) -> None:
        self._lines.stop()

    # -- what it holds -------------------------------------------------------------------------------------

    def set(self, unit: int, table: Table, address: int, values: list[int]) -> None:
        for first in range(0, len(values), 10_000):
            part = " ".join(map(str, values[first : first + 10_000]))
            self._lines.tell(f"set {unit} {table} {address + first} {part}")

    def get(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        return [int(word) for word in self._lines.tell(f"get {unit} {table} {address} {count}").split()]

    # -- faults: until ``heal``, or ``times`` answers long -----------------------------------------------------

    def fail(self, unit: int, table: Table, first: int, last: int, code: int = 2) -> None:
        """Requests that touch these addresses get an exception; 2 makes them a hole."""
        self._lines.tell(f"fail {unit} {table} {first} {last} {code}")

    def limit(self, unit: int, most: int, code: int = 3) -> None:
        """Reads of more than ``most`` get an exception."""
        self._lines.tell(f"limit {unit} {most} {code}")

    def delay(self, unit: int, ms: int, times: int = 0) -> None:
        self._lines.tell(f"delay {unit} {ms} {times}")

    def silent(self, unit: int, times: int = 0) -> None:
        self._lines.tell(f"silent {unit} {times}")

    def garble(self, unit: int, how: Literal["short", "noise", "flip", "foreign"], times: int = 0) -> None:
        """Half an answer, noise, one bit flipped, or an answer that is another's (transaction or unit)."""
        self._lines.tell(f"garble {unit} {how} {times}")

    def heal(self) -> None:
        self._lines.tell("heal")

    def drop(self) -> None:
        """Reset all connections."""
        self._lines.tell("drop")

    def unplug(self) -> None:
        """The serial line hangs up."""
        assert self.path is not None
        self.path.unlink()
        self._lines.tell("unplug")

    def plug(self) -> None:
        self._link(self._lines.tell("plug"))

    def _link(self, target: str) -> None:
        assert self.path is not None, "a pty needs a path"
        self.path.unlink(missing_ok=True)
        os.symlink(target, self.path)

    # -- values that change --------------------------------------------------------------------------------

    def torn(self, unit: int, address: int, count: int, sequence: int, every: int) -> None:
        """Each ``every``-th read changes ``count`` registers and the sequence word, all to the same number."""
        self._lines.tell(f"torn {unit} {address} {count} {sequence} {every}")

    def tick(self, unit: int, address: int, count: int, period_us: int, base_us: int) -> None:
        """``count`` uint32 (ABCD) hold the number of periods since ``base_us``; may be said for several places."""
        self._lines.tell(f"tick {unit} {address} {count} {period_us} {base_us}")

    def polls(self, unit: int, address: int) -> None:
        """A uint32 (ABCD) that counts the reads that cover it."""
        self._lines.tell(f"polls {unit} {address}")

    def uint32(self, unit: int, address: int) -> int:
        return int(struct.unpack(">I", struct.pack(">2H", *self.get(unit, "holding", address, 2)))[0])

    def log(self) -> list[Asked]:
        """The requests since the last log."""
        return [Asked(*map(int, word.split(":"))) for word in self._lines.tell("log").split()]
