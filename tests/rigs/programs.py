"""Small servers that are not Python: built or fetched once into ``.cache``, then told what to do line by line.

Each takes one command on a line of stdin and answers it with one line on stdout, so a test knows that what it
asked for is done.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
WAIT_S = 120.0


def made_once(name: str, sources: Iterable[Path], make: Callable[[Path], None]) -> Path:
    """The folder ``.cache/NAME-HASH`` that ``make`` fills; the hash is of the sources' bytes.

    Two processes at once both make it, each apart; the first to be ready wins.
    """
    digest = sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    if not folder.exists():
        making = CACHE / f"{folder.name}.{os.getpid()}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        make(making)
        try:
            making.rename(folder)
        except OSError:  # another was first
            shutil.rmtree(making, ignore_errors=True)
    return folder


class LineServer:
    """A server process of one's own. ``first`` is what it said when it was ready."""

    def __init__(self, words: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        )
        self.first = self._answer(words[0])

    def tell(self, command: str) -> str:
        """What it answers; it must end the command well.

        Raises:
            AssertionError: it did not understand, or is gone.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer(command)

    def _answer(self, command: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ok"), f"{command[:80]}: {line.strip() or 'the server is gone'}"
        return line[2:].strip()

    def stop(self) -> None:
        """SIGKILL: a server that is gone says nothing more."""
        self.process.kill()
        self.process.wait(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
