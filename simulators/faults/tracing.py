"""Faults at the border to the system, put in by strace: a kill or an error at the n-th call of a kind.

strace counts the calls of each thread apart; all writes to one database file come from one thread.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

from records.errors import Unreachable

SYNCS = ("fdatasync", "fsync")
WRITES = ("pwrite64", "write", "ftruncate", "rename", "unlink")
LIMIT_S = 120.0


class Tracer:
    """strace on a running process with all its threads and, from now on, its children; in force when made.

    Args:
        calls: the system calls that count.
        what: what happens, as ``inject=`` has it: ``signal=SIGKILL:when=3``, ``error=EIO:when=1+``.
        log: where the calls are written down, for ``injected``.

    Raises:
        Unreachable: it may not trace, or the process is gone.
    """

    def __init__(self, pid: int, calls: tuple[str, ...], what: str, log: Path | None = None) -> None:
        self._log = log
        names = ",".join(calls)
        self._strace = subprocess.Popen(
            [
                "strace",
                "-f",
                "-p",
                f"{pid}",
                "-o",
                "/dev/null" if log is None else str(log),
                "-e",
                f"trace={names}",
                "-e",
                f"inject={names}:{what}",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        said = self._stderr.readline()
        if "attached" not in said:
            self.detach()
            raise Unreachable(f"strace could not trace process {pid}: {said.strip()}")

    @property
    def _stderr(self) -> IO[str]:
        if self._strace.stderr is None:
            raise Unreachable("strace has no stderr")
        return self._strace.stderr

    @property
    def injected(self) -> bool:
        """Whether it has happened."""
        return self._log is not None and self._log.exists() and b"(INJECTED)" in self._log.read_bytes()

    def detach(self) -> None:
        """Let the process go on without."""
        if self._strace.poll() is None:
            self._strace.terminate()
        self._strace.communicate(timeout=LIMIT_S)
