"""What a process that serves for weeks settles at its start: its end with any thread, and short pauses."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from contextlib import suppress

ENDED = 1


def end_with_any_thread() -> None:
    """From now on a thread that ends by an error ends the whole process, with code 1 and a message.

    For processes that are supervised: without one of its threads an agent or central would go on deaf or dumb and
    look well. The next start recovers.
    """
    threading.excepthook = _end


def keep_pauses_short() -> None:
    """From now on the garbage collector passes over what there is now: modules, classes, settings.

    For the end of a start. Else a full collection, at any moment, stops all threads for as long as it takes to
    walk them: 75 to 155 ms in central, seen as the time from a commit at the line to central's.
    """
    gc.collect()
    gc.freeze()


def _end(failed: threading.ExceptHookArgs) -> None:
    name = "a thread" if failed.thread is None else f"the thread {failed.thread.name}"
    with suppress(Exception):
        if os.environ.get("LOTKEEPER_DEBUG") == "1":
            traceback.print_exception(failed.exc_value)
        what = f"{failed.exc_type.__name__}: {failed.exc_value}"
        sys.stderr.write(f"error: {name} ended: {what} (a fault of Lotkeeper; start again)\n")
        sys.stderr.flush()
    os._exit(ENDED)
