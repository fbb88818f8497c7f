"""The standard's address space of an OPC UA server, read from a file instead of made anew at each start.

asyncua makes its hundred thousand objects in seconds, from code that was made of the standard's node set. It can
also write them to a file once and read each node when it is asked for, which starts in a hundredth of that; such a
file is kept in the cache.
"""

from __future__ import annotations

import gc
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from asyncua.server.server import Server

from simulators.cache import cache_folder

FILE = "nodes"


async def load_into(server: Server) -> None:
    """Initialise a server with the standard's address space."""
    kept = cache_folder() / f"asyncua-{version('asyncua')}-{platform.python_version()}"
    if _is_there(kept):
        await server.init(kept / FILE)
        return
    with _nothing_collected():
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f"{kept.name}-", dir=kept.parent))
        except OSError:  # nothing can be kept here
            await server.init()
            return
        try:
            await server.init(fresh / FILE)
            if _is_there(fresh):
                with suppress(OSError):  # another process was faster
                    fresh.rename(kept)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _is_there(folder: Path) -> bool:
    """As asyncua looks for it: what else Python may write such a file as, it does not find again."""
    return any((folder / name).is_file() for name in (FILE, f"{FILE}.db"))


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Objects that live as long as the server: going over them again and again would take three times as long."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
