"""What a process took, from Linux' own books."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process so far, user and system together; 10 ms exact."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_mb(pid: int) -> float:
    """The most memory that a process had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"process {pid} is gone")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time of a run and the CPU that the measured process took in it."""

    began_us: int
    ended_us: int
    cpu_s: float

    @property
    def seconds(self) -> float:
        return (self.ended_us - self.began_us) / 1e6
