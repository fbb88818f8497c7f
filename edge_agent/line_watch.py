"""Watches the line file and what it extends, and reads it again once it has been written.

A change is read when the files have looked the same twice in a row, so that one that is just being written is left
alone; ``now`` (SIGHUP) reads at once. What can't be read is refused once per content, and read again after the
next change of any file that was named.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.settings import LineSettings
from records.errors import ConfigurationError, Problem
from records.yaml import Loaded

LOOK_EVERY_S = 0.5

Look = tuple[tuple[Path, int, int, int] | tuple[Path], ...]
"""Of each file: when it was changed, its size and number; of one that is not there, only its name."""

Load = Callable[[Path], Loaded[LineSettings]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line file that is not taken: the SHA-256 of its bytes (None: it cannot be read), and what is wrong."""

    hash: str | None
    problems: tuple[Problem, ...]


class LineWatch:
    """``changed(loaded)`` takes another configuration, or raises ConfigurationError when it is refused.

    ``refused(refusal)`` hears of each content that is refused, once.
    """

    def __init__(
        self,
        running: Loaded[LineSettings],
        load: Load,
        changed: Callable[[Loaded[LineSettings]], Awaitable[None]],
        refused: Callable[[Refusal], None],
    ) -> None:
        self._path = Path(running.file)
        self._load, self._changed, self._refused = load, changed, refused
        self._files = self._sources(running)
        self._hash = running.hash
        self._seen = self._look()
        self._settled: Look = ()  # it may have changed since it was read
        self.refusal: Refusal | None = None
        self._now = asyncio.Event()

    def now(self) -> None:
        """Read the file again at once, changed or not."""
        self._now.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), LOOK_EVERY_S)
            asked = self._now.is_set()
            self._now.clear()
            before, self._seen = self._seen, self._look()
            if asked or self._seen == before != self._settled:
                await self._read()

    def _sources(self, loaded: Loaded[LineSettings]) -> tuple[Path, ...]:
        return tuple(self._path.parent / name for name, _ in loaded.sources)

    def _look(self) -> Look:
        return tuple(_stat(path) for path in self._files)

    async def _read(self) -> None:
        seen = self._seen
        try:
            loaded = await asyncio.to_thread(self._load, self._path)
            if loaded.hash != self._hash:
                await self._changed(loaded)
        except ConfigurationError as error:
            self._refuse(error)
            named = {Path(problem.file) for problem in error.problems}
            self._watch((*self._files, *sorted(named - set(self._files))), seen)
            return
        self.refusal = None
        self._hash = loaded.hash
        self._watch(self._sources(loaded), seen)

    def _watch(self, files: tuple[Path, ...], seen: Look) -> None:
        """These files from now on; what was read of them is settled, unless one changed meanwhile."""
        known = {entry[0]: entry for entry in seen}
        self._files = files
        self._settled = tuple(known.get(path) or _stat(path) for path in files)
        self._seen = self._look()

    def _refuse(self, error: ConfigurationError) -> None:
        """Once per content and problems."""
        try:
            found: str | None = f"sha256:{hashlib.sha256(self._path.read_bytes()).hexdigest()}"
        except OSError:
            found = None
        alone = Problem(str(self._path), 1, 1, "(file)", error.message, error.hint)
        refusal = Refusal(found, error.problems or (alone,))
        if refusal != self.refusal:
            self.refusal = refusal
            self._refused(refusal)


def _stat(path: Path) -> tuple[Path, int, int, int] | tuple[Path]:
    try:
        found = path.stat()
    except OSError:
        return (path,)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)
