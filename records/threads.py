"""What becomes of a process one of whose threads has ended by an error."""

from __future__ import annotations

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


def _end(failed: threading.ExceptHookArgs) -> None:
    name = "a thread" if failed.thread is None else f"the thread {failed.thread.name}"
    with suppress(Exception):
        if os.environ.get("LOTKEEPER_DEBUG") == "1":
            traceback.print_exception(failed.exc_value)
        what = f"{failed.exc_type.__name__}: {failed.exc_value}"
        sys.stderr.write(f"error: {name} ended: {what} (a fault of Lotkeeper; start again)\n")
        sys.stderr.flush()
    os._exit(ENDED)
